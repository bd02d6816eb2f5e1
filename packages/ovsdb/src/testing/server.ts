/** A real ovsdb-server for one test: its own directory, database and unix socket, gone with the process that started it (ovsdb-server(1) `--run`). */

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Where Debian's package puts the switch's schema. */
export const VSWITCH_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema";

/** A running server. */
export type OvsdbServer = {
  /** `unix:PATH`, as `connect` takes it and as `--db` of the command line tools. */
  readonly endpoint: string;
  /** A directory of its own, removed at `stop`. */
  readonly directory: string;
  /** The server's process id. */
  readonly pid: number;
  /** Runs `ovs-vsctl --no-wait` on this database and gives what it printed, without the last newline. */
  readonly vsctl: (...args: readonly string[]) => Promise<string>;
  /** Runs `ovsdb-client --format=json dump` and gives its tables by name: column headings and rows as JSON. */
  readonly dump: (database: string, table: string) => Promise<DumpedTable>;
  /** Ends the server and removes its directory. Idempotent. */
  readonly stop: () => Promise<void>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
};

/** A table as ovsdb-client prints it. */
export type DumpedTable = { readonly headings: readonly string[]; readonly data: readonly (readonly unknown[])[] };

/** Starts a server with an empty database of the schema; it listens when this settles. Rejects, saying what to run, when Open vSwitch is not installed. */
export async function startOvsdbServer(options: { readonly schema?: string } = {}): Promise<OvsdbServer> {
  const schema = options.schema ?? VSWITCH_SCHEMA;
  await access(schema).catch((cause: unknown) => {
    throw new Error(`Open vSwitch is not installed (${schema} is missing): run \`./selvage setup\``, { cause });
  });
  const directory = await mkdtemp(join(tmpdir(), "ovsdb-"));
  const database = join(directory, "conf.db");
  const endpoint = `unix:${join(directory, "db.sock")}`;
  const discard = () => rm(directory, { recursive: true, force: true });
  try {
    await run("ovsdb-tool", ["create", database, schema]).catch(missing("ovsdb-tool"));
  } catch (error) {
    await discard();
    throw error;
  }
  const child = spawn(
    "ovsdb-server",
    [
      "--no-chdir",
      "-vconsole:off",
      `--remote=p${endpoint}`,
      `--unixctl=${join(directory, "ctl")}`,
      // Run once it listens; the server ends when this does, and this ends when our side of its input closes.
      "--run=echo listening; cat >/dev/null",
      database,
    ],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await Promise.race([
    once(child.stdout, "data"),
    exited.then(() => Promise.reject(new Error("ovsdb-server ended before it listened"))),
  ]).catch(missing("ovsdb-server"));
  const stop = async (): Promise<void> => {
    child.stdin.end();
    child.kill("SIGTERM");
    await exited;
    await discard();
  };
  return {
    endpoint,
    directory,
    pid: child.pid!,
    vsctl: async (...args) => {
      const { stdout } = await run("ovs-vsctl", [`--db=${endpoint}`, "--no-wait", ...args]).catch(missing("ovs-vsctl"));
      return stdout.replace(/\n$/, "");
    },
    dump: async (name, table) => {
      const args = ["--format=json", "dump", endpoint, name, table];
      const { stdout } = await run("ovsdb-client", args).catch(missing("ovsdb-client"));
      return JSON.parse(stdout);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function missing(program: string): (error: Error & { readonly code?: unknown }) => never {
  return (error) => {
    if (error.code !== "ENOENT") throw error;
    throw new Error(`${program} is not installed: run \`./selvage setup\``, { cause: error });
  };
}
