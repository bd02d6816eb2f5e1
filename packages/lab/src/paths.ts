/** Where everything of one Selvage is in its data directory, and how its small records are written so that a crash never leaves half a file. */

import { open, readFile, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LabError } from "./failure.ts";

/** The data directory when none is named. */
export const DEFAULT_DATA_DIRECTORY = "/var/lib/selvage";

/** sockaddr_un holds 108 bytes with the closing zero (unix(7)); the longest name below a data directory needs 40. */
const LONGEST_DATA_DIRECTORY = 67;

/** Paths inside a data directory. */
export interface DataPaths {
  readonly root: string;
  /** Who runs: server and lab processes, port, datapath. Gone when nothing runs. */
  readonly runRecord: string;
  /** What the lab is made of: hosts, machines, underlay. Stays over `down`. */
  readonly labRecord: string;
  /** The demo users and their passwords (0600). */
  readonly demoRecord: string;
  readonly labSocket: string;
  readonly server: string;
  readonly serverSocket: string;
  readonly hosts: string;
  /** The same of simulated hosts: below the server's folder, for they live in its process and it is not root. */
  readonly simulatedHosts: string;
  readonly simulatedSocket: string;
  readonly simulatedRecord: string;
  readonly logs: string;
  readonly lock: string;
}

/**
 * The paths of a data directory.
 * @throws LabError `data-dir` when sockets in it could not have a name, or the lab would hide it.
 */
export function dataPaths(root: string): DataPaths {
  if (!root.startsWith("/")) throw new LabError("data-dir", `the data directory ${root} is not absolute`);
  if (Buffer.byteLength(root) > LONGEST_DATA_DIRECTORY) {
    throw new LabError(
      "data-dir",
      `the data directory's path is longer than ${LONGEST_DATA_DIRECTORY} bytes`,
      "choose a shorter --data DIR",
    );
  }
  if (/^(\/var)?\/run(\/|$)/.test(root)) {
    throw new LabError("data-dir", `${root} is under /run, which the lab keeps private`, "choose another --data DIR");
  }
  return {
    root,
    runRecord: join(root, "run.json"),
    labRecord: join(root, "lab.json"),
    demoRecord: join(root, "demo.json"),
    labSocket: join(root, "lab.sock"),
    server: join(root, "server"),
    serverSocket: join(root, "server", "server.sock"),
    hosts: join(root, "hosts"),
    simulatedHosts: join(root, "server", "hosts"),
    simulatedSocket: join(root, "server", "lab.sock"),
    simulatedRecord: join(root, "server", "lab.json"),
    logs: join(root, "log"),
    lock: join(root, "lock"),
  };
}

/** The file in a host's folder that says it has joined. */
export const JOINED = "joined";

/** The folder of one host. */
export function hostDirectory(paths: DataPaths, name: string): string {
  return join(paths.hosts, name);
}

/** Reads a JSON record; `undefined` when there is none. */
export async function readRecord(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw cause;
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new LabError("data-dir", `${path} is not readable JSON`, "./selvage down --purge removes it and begins anew");
  }
}

/** Writes a JSON record so that a reader sees the old or the new one, never a part (rename(2)). Mode 0600. */
export async function writeRecord(path: string, value: unknown): Promise<void> {
  const next = `${path}.${process.pid}.new`;
  const file = await open(next, "w", 0o600);
  try {
    await file.writeFile(`${JSON.stringify(value, undefined, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(next, path);
  const directory = await open(dirname(path), "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
