/** A probe from a guest to the machine outside, and how long it was not answered. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Namespace } from "./processes.ts";

const program = fileURLToPath(new URL("echo-probe.ts", import.meta.url));

/** Milliseconds. */
export interface Silence {
  /** The longest since it was asked last, the present one with it. */
  readonly longest: number;
  /** Since the last answer. */
  readonly present: number;
  readonly answers: number;
}

export class SilenceProbe implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  constructor(inside: Namespace, address: string, port: number) {
    const argv = inside.within(process.execPath, program, address, String(port));
    // It is not to wait for its turn: what it measures is not its own lateness.
    const child = spawn("setpriv", ["--pdeathsig", "KILL", "nice", "-n", "-15", ...argv], {
      stdio: ["pipe", "pipe", "ignore"],
    });
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout });
  }

  async ask(): Promise<Silence> {
    const line = once(this.#lines, "line");
    this.#child.stdin?.write("ask\n");
    const [text] = (await line) as [string];
    return JSON.parse(text) as Silence;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await gone;
  }
}
