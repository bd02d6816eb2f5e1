/**
 * The switch daemon's control socket (ovs-appctl(8), unixctl: JSON-RPC over a unix stream), for the one thing that OpenFlow cannot tell: when cached
 * flows follow the tables again. A barrier comes before that by about a millisecond, in which packets still meet the old rows.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Connection, dial } from "@selvage/ovsdb";
import { shared } from "./share.ts";

/** What the daemon says of itself begins with this. */
const daemonName = "ovs-vswitchd";

/**
 * The first release of each branch whose userspace datapath changes the very cached flow that it is told to change. An older one may change another
 * that overlaps it ("dpif-netdev: Fix dpif_netdev_flow_put", 2023), and the first then follows an old table for as long as packets meet it.
 */
const mended: readonly (readonly [major: number, minor: number, patch: number])[] = [
  [2, 17, 8],
  [3, 0, 5],
  [3, 1, 3],
];

/** Whether a daemon's userspace datapath may change the wrong cached flow, by its answer to `version`. One whose answer cannot be read may. */
export function mayChangeWrongFlow(version: string): boolean {
  const [, ...parts] = /(\d+)\.(\d+)\.(\d+)/.exec(version) ?? [];
  const [major = 0, minor = 0, patch = 0] = parts.map(Number);
  const branch = mended.find((each) => each[0] === major && each[1] === minor);
  if (branch !== undefined) return patch < branch[2];
  return major < 3 || (major === 3 && minor < 2);
}

/** By the answer to `dpctl/dump-dps`: a line `netdev@NAME` for each that is the switch's own. None need be there before the first bridge is. */
const mayBeUserspace = (datapaths: unknown): boolean =>
  typeof datapaths !== "string" || !/^system@/m.test(datapaths) || datapaths.includes("netdev@");

export class Control {
  readonly #connection: Connection;
  /** For what takes its time: the daemon answers one question of a connection after the other. */
  readonly #looks: Connection;
  /** Whether a cached flow may have been changed in another's place whenever the tables changed. */
  readonly #isUnsure: boolean;
  /** Resolves when all cached flows have been looked through once more from now on. Callers that come together share one look. Rejects when the daemon cannot tell. */
  readonly revalidated = shared(async () => {
    await this.#looks.request("revalidator/wait", []);
  });

  private constructor(connection: Connection, looks: Connection, isUnsure: boolean) {
    this.#connection = connection;
    this.#looks = looks;
    this.#isUnsure = isUnsure;
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
    const open = () => dial({ kind: "unix", path }).then((each) => new Connection(each, { probeMs: 0 }));
    const connection = await open().catch(() => undefined);
    if (connection === undefined) return undefined;
    const version = await connection.request("version", []).catch(() => undefined);
    if (typeof version === "string" && version.startsWith(daemonName)) {
      const datapaths = await connection.request("dpctl/dump-dps", []).catch(() => undefined);
      const looks = await open().catch(() => undefined);
      if (looks !== undefined)
        return new Control(connection, looks, mayChangeWrongFlow(version) && mayBeUserspace(datapaths));
    }
    connection.close();
    return undefined;
  }

  /** Runs a command of the daemon (ovs-appctl(8)) and gives what it says. Rejects with what it refuses. */
  async command(name: string, args: readonly string[]): Promise<string> {
    return String(await this.#connection.request(name, [...args]));
  }

  /**
   * Resolves when whatever the switch has cached follows its tables, as they were when this was called or later. Where a cached flow may have been changed in
   * another's place, all of them are taken away: each flow of packets then asks the tables once more. With 2,000 busy flows and ten changes a second that
   * took a third of the packets that passed (183,000 a second became 122,000) and 30 ms of each change; with ten flows it could not be measured.
   * Rejects as `revalidated` does.
   */
  async inForce(): Promise<void> {
    await this.revalidated();
    if (this.#isUnsure) await this.#looks.request("revalidator/purge", []);
  }

  close(): void {
    this.#connection.close();
    this.#looks.close();
  }
}
