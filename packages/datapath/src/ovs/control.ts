/**
 * The switch daemon's control socket (ovs-appctl(8), unixctl: JSON-RPC over a unix stream), for the one thing that OpenFlow cannot tell: when cached
 * flows follow the tables again. A barrier comes before that by about a millisecond, in which packets still meet the old rows.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Connection, dial } from "@selvage/ovsdb";

/** What the daemon says of itself begins with this. */
const daemonName = "ovs-vswitchd";

export class Control {
  readonly #connection: Connection;
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  private constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** The control socket of the switch whose files are in a directory; undefined where none answers. */
  static async find(directory: string): Promise<Control | undefined> {
    const names = await readdir(directory).catch(() => []);
    for (const name of names.filter((each) => each.endsWith(".ctl"))) {
      const control = await Control.#at(join(directory, name));
      if (control !== undefined) return control;
    }
    return undefined;
  }

  static async #at(path: string): Promise<Control | undefined> {
    // A socket that a daemon left behind refuses us, one of another daemon has another name: neither is a fault.
    const transport = await dial({ kind: "unix", path }).catch(() => undefined);
    if (transport === undefined) return undefined;
    const connection = new Connection(transport, { probeMs: 0 });
    const version = await connection.request("version", []).catch(() => undefined);
    if (typeof version === "string" && version.startsWith(daemonName)) return new Control(connection);
    connection.close();
    return undefined;
  }

  /** Resolves when all cached flows have been looked through once more from now on. Callers that come together share one look. Rejects when the daemon cannot tell. */
  revalidated(): Promise<void> {
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        this.#running = this.#connection.request("revalidator/wait", []).then(() => undefined);
        return this.#running;
      });
    return this.#next;
  }

  /** Runs a command of the daemon (ovs-appctl(8)) and gives what it says. Rejects with what it refuses. */
  async command(name: string, args: readonly string[]): Promise<string> {
    return String(await this.#connection.request(name, [...args]));
  }

  close(): void {
    this.#connection.close();
  }
}
