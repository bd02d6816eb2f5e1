/** One speaker's bgpd: started with all it has to say, told of changes, started again when it ends or does not do as it is told, and ended with leave taken. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { backoffDelay, type Clock, type Log } from "@selvage/base";
import type { Announcement } from "./announcement.ts";
import { changes, configuration, farewell, type Standing } from "./configuration.ts";
import { Vty } from "./vty.ts";

export interface DaemonOptions {
  /** The program: FRR's bgpd. */
  readonly program: string;
  readonly standing: Standing;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
}

/** How a session stands, as the daemon says it: `Established`, or what it is at. */
export interface SessionState {
  readonly peer: string;
  readonly state: string;
}

/** Milliseconds. */
const pauses = { base: 500, cap: 15_000 } as const;
const startLimit = 10_000;
const endLimit = 2_000;
const lookAgain = 20;

/** A daemon that runs, and what it has been told. */
interface Life {
  readonly child: ChildProcess;
  readonly ended: Promise<string>;
  readonly directory: string;
  readonly vty: Vty;
  said: Announcement;
}

export class Daemon {
  readonly #options: DaemonOptions;
  readonly #closing = new AbortController();
  #wanted: Announcement;
  #life: Life | undefined;
  #wake: (() => void) | undefined;
  readonly #done: Promise<void>;

  /** Starts at once. */
  constructor(options: DaemonOptions, wanted: Announcement) {
    this.#options = options;
    this.#wanted = wanted;
    this.#done = this.#live();
  }

  /** From now on this is what is to be said. */
  want(announcement: Announcement): void {
    this.#wanted = announcement;
    this.#wake?.();
  }

  /** How the sessions stand; none while the daemon does not run. */
  async sessions(): Promise<readonly SessionState[]> {
    const life = this.#life;
    if (life === undefined) return [];
    const { version } = this.#wanted;
    const said = await life.vty.ask(`show bgp ipv${version} unicast summary json`).catch(() => "");
    return sessionsIn(said);
  }

  /** Withdraws everything, and resolves when the daemon is gone. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#wake?.();
    await this.#done;
  }

  /** Never rejects: what fails is logged and tried again. */
  async #live(): Promise<void> {
    const { clock, log, random } = this.#options;
    const { signal } = this.#closing;
    for (let failures = 0; !signal.aborted; failures += 1) {
      const begun = clock.monotonic();
      try {
        const life = await this.#start();
        this.#life = life;
        await this.#serve(life).finally(() => this.#stop(life));
      } catch (error) {
        if (!signal.aborted) log.warn("the routing daemon is started again", { error });
      }
      this.#life = undefined;
      if (clock.monotonic() - begun > pauses.cap) failures = 0;
      // Only the end interrupts the wait.
      await clock.sleep(backoffDelay({ ...pauses, random }, failures), signal).catch(() => signal.aborted);
    }
  }

  /** Tells it what changes, until it ends or is to end. Throws why it has to be started again. */
  async #serve(life: Life): Promise<void> {
    const { signal } = this.#closing;
    let over: string | undefined;
    void life.ended.then((how) => {
      over = how;
      this.#wake?.();
    });
    while (!signal.aborted) {
      if (over !== undefined) throw new Error(`it ended: ${over}`);
      const wanted = this.#wanted;
      for (const command of changes(this.#options.standing, life.said, wanted)) await life.vty.ask(command);
      life.said = wanted;
      if (wanted === this.#wanted && over === undefined && !signal.aborted)
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
    for (const command of farewell(life.said)) await life.vty.ask(command);
  }

  async #start(): Promise<Life> {
    const { program, standing, log } = this.#options;
    const said = this.#wanted;
    const prefix = `selvage-bgp-${said.speaker.slice(0, 8)}-${standing.routerId}-`;
    // An agent that was killed has left its own behind.
    const left = (await readdir(tmpdir())).filter((name) => name.startsWith(prefix));
    for (const name of left) await rm(join(tmpdir(), name), { recursive: true, force: true });
    const directory = await mkdtemp(join(tmpdir(), prefix));
    const file = join(directory, "bgpd.conf");
    await writeFile(file, configuration(standing, said), { mode: 0o600 });
    // It speaks to no kernel and listens nowhere; and goes when the agent is gone, without a word.
    const words = ["--pdeathsig", "KILL", program, "--skip_runas", "--no_zebra", "--no_kernel", "--bgp_port", "0"];
    const places = ["--vty_port", "0", "--vty_socket", directory, "--pid_file", join(directory, "pid")];
    const child = spawn("setpriv", [...words, ...places, "--config_file", file, "--log", "stdout"], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: process.env.PATH ?? "" },
    });
    let last = "";
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on("line", (line) => {
        last = line;
        log.debug("the routing daemon says", { line });
      });
    const ended = new Promise<string>((resolve) => {
      child.on("error", (cause) => resolve(cause.message));
      child.on("close", (code, by) => resolve(`${by ?? `exit status ${code}`}; it said last: ${last}`));
    });
    try {
      const vty = await this.#conversation(join(directory, "bgpd.vty"), ended);
      await vty.ask("enable");
      // Who answers has read it; and it holds what sessions are signed with.
      await rm(file);
      return { child, ended, directory, vty, said };
    } catch (error) {
      child.kill("SIGKILL");
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** Waits until it listens, which it does once it has read its file. */
  async #conversation(path: string, ended: Promise<string>): Promise<Vty> {
    const { clock } = this.#options;
    const { signal } = this.#closing;
    const until = clock.monotonic() + startLimit;
    let over: string | undefined;
    void ended.then((how) => {
      over = how;
    });
    for (;;) {
      try {
        return await Vty.open(path);
      } catch (error) {
        signal.throwIfAborted();
        if (over !== undefined) throw new Error(`it ended: ${over}`);
        if (clock.monotonic() > until) throw error;
      }
      await clock.sleep(lookAgain, signal);
    }
  }

  async #stop({ child, ended, directory, vty }: Life): Promise<void> {
    vty.close();
    child.kill("SIGTERM");
    const timer = this.#options.clock.after(endLimit, () => child.kill("SIGKILL"));
    await ended;
    timer.cancel();
    await rm(directory, { recursive: true, force: true });
  }
}

/** Of `show bgp ipv4 unicast summary json`; none where it says nothing of peers. */
function sessionsIn(said: string): readonly SessionState[] {
  if (!said.startsWith("{")) return [];
  const { peers = {} } = JSON.parse(said) as Readonly<Record<string, Readonly<Record<string, { state?: unknown }>>>>;
  return Object.entries(peers).map(([peer, { state }]) => ({ peer, state: String(state) }));
}
