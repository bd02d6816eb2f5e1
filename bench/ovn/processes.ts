/** Processes and network namespaces of a bench: each ends with this process, whatever becomes of it (prctl(2), PR_SET_PDEATHSIG). */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** Runs a command to its end and gives what it printed. Throws when it fails, with its words. */
export async function run(argv: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const [file = "", ...rest] = argv;
  return (await execute(file, rest, { env, maxBuffer: 1 << 29 })).stdout;
}

/** What `work` gives; rejects when it takes longer, and leaves it alone. */
export async function within<T>(what: string, limitMs: number, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`${what}: not within ${limitMs} ms`)), limitMs);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** A process that stays. */
export class Daemon {
  readonly name: string;
  readonly #argv: readonly string[];
  readonly #env: NodeJS.ProcessEnv;
  readonly #comesAgain: boolean;
  #child: ChildProcess;
  #told = false;
  /** How often it ended by itself and was started again. */
  falls = 0;

  /** With `comesAgain` it is started again when a signal ends it, as a daemon's own `--monitor` does (ovn-controller(8)). */
  constructor(argv: readonly string[], env: NodeJS.ProcessEnv = process.env, { comesAgain = false } = {}) {
    this.name = argv.find((word) => /^(ovs|ovn)-|^ovsdb-/.test(word)) ?? argv[0] ?? "";
    this.#argv = argv;
    this.#env = env;
    this.#comesAgain = comesAgain;
    this.#child = this.#start();
  }

  #start(): ChildProcess {
    const child = spawn("setpriv", ["--pdeathsig", "KILL", ...this.#argv], { env: this.#env, stdio: "ignore" });
    child.once("exit", (_code, signal) => {
      if (this.#told || !this.#comesAgain || signal === null) return;
      this.falls += 1;
      this.#child = this.#start();
    });
    return child;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** How it ended by itself, which it should not; undefined while it runs. */
  get death(): string | undefined {
    const { exitCode, signalCode } = this.#child;
    if (this.#told || (exitCode === null && signalCode === null)) return undefined;
    return `${this.name} ended by itself (${signalCode ?? exitCode})`;
  }

  /** Seconds of processor time that it has used, its own and the kernel's for it. */
  get cpuSeconds(): number {
    const fields = readFileSync(`/proc/${this.pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  async end(): Promise<void> {
    this.#told = true;
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill("SIGKILL");
    await gone;
  }
}

/** A network namespace of its own, there for as long as its process is. */
export class Namespace {
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  static async make(): Promise<Namespace> {
    const inside = ["unshare", "-n", "sh", "-c", "ip link set lo up; echo here; exec sleep infinity"];
    const holder = spawn("setpriv", ["--pdeathsig", "KILL", ...inside], { stdio: ["ignore", "pipe", "ignore"] });
    // The word comes from inside: then the namespace is there.
    await new Promise((resolve, reject) => {
      holder.once("error", reject);
      holder.once("exit", (code) => reject(new Error(`no namespace could be made (${code}): it needs root`)));
      holder.stdout.once("data", resolve);
    });
    return new Namespace(holder);
  }

  get pid(): string {
    return String(this.#holder.pid);
  }

  within(...argv: readonly string[]): readonly string[] {
    return ["nsenter", `--net=/proc/${this.pid}/ns/net`, ...argv];
  }

  exec(...argv: readonly string[]): Promise<string> {
    return run(this.within(...argv));
  }

  /** Several commands of a shell, in one process. */
  script(...lines: readonly string[]): Promise<string> {
    return this.exec("sh", "-ec", lines.join("\n"));
  }

  async end(): Promise<void> {
    this.#holder.removeAllListeners("exit");
    const gone = new Promise<void>((resolve) => this.#holder.once("exit", () => resolve()));
    if (this.#holder.kill("SIGKILL")) await gone;
  }
}
