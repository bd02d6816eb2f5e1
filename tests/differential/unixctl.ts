/** A client of the switch daemon's control socket (ovs-appctl(8), unixctl: JSON-RPC over a unix stream): one connection, as many questions as wanted. */
import { Connection, dial } from "@selvage/ovsdb";

export class Unixctl {
  readonly #connection: Connection;

  private constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Connects to a daemon's socket. Rejects where none answers. */
  static async connect(path: string): Promise<Unixctl> {
    return new Unixctl(new Connection(await dial({ kind: "unix", path }), { probeMs: 0 }));
  }

  /** The text that `ovs-appctl <command> …` would print. Rejects with what the daemon has against it. Questions may overlap. */
  async ask(command: string, ...args: readonly string[]): Promise<string> {
    return String(await this.#connection.request(command, [...args]));
  }

  close(): void {
    this.#connection.close();
  }
}
