/** The server as a process that is killed and started again: `selvage server run` itself, or a child whose store's worker can be ended. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync, watch } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * `cli`: `selvage server run`. `child`: the same server, with a handle on the worker thread of its store. `hasty`: one that
 * acknowledges before it is durable, to show that a run finds that out.
 */
export type Kind = "cli" | "child" | "hasty";

const here = dirname(fileURLToPath(import.meta.url));
const main = join(here, "../../packages/cli/src/main.ts");
const child = join(here, "server-child.ts");

/** A TCP port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const probe = createServer();
  probe.listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  await once(probe, "close");
  if (address === null || typeof address === "string") throw new Error("the probe has no port");
  return address.port;
}

export class ServerProcess {
  readonly url: string;
  readonly #process: ChildProcess;
  readonly #exited: Promise<unknown>;
  #complaints = "";

  private constructor(process: ChildProcess, url: string) {
    this.#process = process;
    this.url = url;
    this.#exited = once(process, "exit");
    process.stderr?.on("data", (bytes) => {
      this.#complaints = `${this.#complaints}${bytes}`.slice(-4_000);
    });
  }

  /** Starts a server and resolves when it answers. `within`: words of a command that runs it in its place. Throws when it ends before, with its last words. */
  static async start(
    kind: Kind,
    dataDir: string,
    port: number,
    within: readonly string[] = [],
  ): Promise<ServerProcess> {
    const url = `http://127.0.0.1:${port}`;
    const readyFile = join(dataDir, "ready.json");
    rmSync(readyFile, { force: true });
    const words =
      kind !== "cli"
        ? [child, dataDir, String(port), kind]
        : [main, "server", "run", "--data", dataDir, "--port", String(port), "--ready-file", readyFile];
    const [first = "", ...rest] = [...within, process.execPath, ...words];
    const stdio =
      kind !== "cli" ? (["ignore", "ignore", "pipe", "ipc"] as const) : (["ignore", "ignore", "pipe"] as const);
    const server = new ServerProcess(spawn(first, rest, { stdio: [...stdio] }), url);
    const ready = kind !== "cli" ? once(server.#process, "message") : written(readyFile);
    const ended = server.#exited.then(() => Promise.reject(new Error(`the server ended: ${server.#complaints}`)));
    await Promise.race([ready, ended]);
    return server;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get complaints(): string {
    return this.#complaints;
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#exited;
  }

  /** Ends the thread that owns the store's file, as if it had crashed. Only of kind `child`. */
  endWorker(): void {
    if (this.#process.connected) this.#process.send("end the worker");
  }
}

/** Resolves when a file is there with JSON in it. */
async function written(path: string): Promise<void> {
  const whole = (): boolean => existsSync(path) && readFileSync(path, "utf8").endsWith("}");
  if (whole()) return;
  const watcher = watch(dirname(path));
  try {
    for (;;) {
      const changed = once(watcher, "change");
      if (whole()) return;
      await changed;
    }
  } finally {
    watcher.close();
  }
}
