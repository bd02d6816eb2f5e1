/**
 * A Debian system to install packages into: this machine's own (or the one that SELVAGE_PACKAGING_ROOT names) as the lower half of an
 * overlay in namespaces of its own (overlayfs, unshare(1)), where nothing reaches the machine, the network or this repository.
 */
import assert from "node:assert/strict";
import { type ChildProcessByStdio, type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";

const repository = join(import.meta.dirname, "../..");

/** Runs as the first process of its namespaces: makes the system, says where it is, and lasts until its input ends. */
const setUp = `
set -e
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o "lowerdir=$1,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
mount -t proc proc /mnt/root/proc
mount --rbind /dev /mnt/root/dev
mount -t tmpfs tmpfs /mnt/root/run
mount -t tmpfs tmpfs /mnt/root/tmp
if [ -d "/mnt/root$2" ]; then mount -t tmpfs tmpfs "/mnt/root$2"; fi
ip link set lo up
echo ready
cat > /dev/null
`;

/** Why this machine cannot hold such a system; undefined when it can. For `test(name, { skip })`. */
export function whyNoRoot(): string | undefined {
  const { status, stderr } = spawnSync("unshare", ["--mount", "--net", "--pid", "--fork", "true"], {
    encoding: "utf8",
  });
  if (status !== 0) return `namespaces cannot be made here: ${stderr.trim()}`;
  if (!readFileSync("/proc/filesystems", "utf8").includes("overlay")) return "this kernel has no overlay file system";
  return spawnSync("dpkg-deb", ["--version"]).status === 0 ? undefined : "dpkg-deb is not installed";
}

export interface Running extends AsyncDisposable {
  /** Everything that it wrote. */
  readonly output: () => string;
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
}

export class DebianRoot implements AsyncDisposable {
  readonly #holder: ChildProcessByStdio<Writable, Readable, null>;
  readonly #pid: string;

  private constructor(holder: ChildProcessByStdio<Writable, Readable, null>, pid: string) {
    this.#holder = holder;
    this.#pid = pid;
  }

  static async open(): Promise<DebianRoot> {
    const words = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private"];
    const base = process.env.SELVAGE_PACKAGING_ROOT ?? "/";
    const holder = spawn("unshare", [...words, "sh", "-c", setUp, "sh", base, repository], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const [line] = await once(createInterface({ input: holder.stdout }), "line");
    assert.equal(line, "ready");
    const pid = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, "utf8").trim();
    return new DebianRoot(holder, pid);
  }

  #words(argv: readonly string[]): readonly string[] {
    return ["--target", this.#pid, "--mount", "--net", "--pid", "chroot", "/mnt/root", ...argv];
  }

  readonly #env = {
    PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
    LC_ALL: "C.UTF-8",
    DEBIAN_FRONTEND: "noninteractive",
  } as const;

  /** Runs a command in the system and gives what came of it. */
  run(argv: readonly string[], input = ""): SpawnSyncReturns<string> {
    return spawnSync("nsenter", this.#words(argv), { encoding: "utf8", env: this.#env, input, timeout: 600_000 });
  }

  /** Runs a command that must succeed and gives its output. */
  ok(argv: readonly string[], input = ""): string {
    const { status, stdout, stderr } = this.run(argv, input);
    assert.equal(status, 0, `${argv.join(" ")}: ${stderr}\n${stdout}`);
    return stdout;
  }

  /** Starts a command that stays; it is told to end, and waited for, when its scope ends. */
  start(argv: readonly string[]): Running {
    const child = spawn("nsenter", this.#words(argv), { env: this.#env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => {
        output += text;
      });
    }
    return {
      output: () => output,
      child,
      [Symbol.asyncDispose]: async () => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = once(child, "exit");
        // nsenter forks to enter the namespace of processes: its child is the command.
        const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim();
        process.kill(Number(children === "" ? child.pid : children), "SIGTERM");
        await ended;
      },
    };
  }

  /** Copies a file of this machine into the system. */
  put(from: string, to: string): void {
    const { status, stderr } = spawnSync("nsenter", this.#words(["sh", "-c", 'cat > "$1"', "sh", to]), {
      input: readFileSync(from),
      env: this.#env,
    });
    assert.equal(status, 0, String(stderr));
  }

  /** Writes a file in the system. */
  write(path: string, text: string): void {
    this.ok(["sh", "-c", 'cat > "$1"', "sh", path], text);
  }

  /** What differs from the system as it was at first, directories apart: what was added, changed or removed. */
  changes(): readonly string[] {
    const words = ["--target", this.#pid, "--mount", "find", "/mnt/upper", "-not", "-type", "d"];
    const { stdout, status } = spawnSync("nsenter", words, { encoding: "utf8" });
    assert.equal(status, 0);
    return stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.replace("/mnt/upper", ""));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#holder, "exit");
    this.#holder.stdin.end();
    await ended;
  }
}
