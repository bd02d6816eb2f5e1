/** Who runs of one Selvage: the server, the lab, on which port, with which datapath. Written when it starts, removed when it ends. */

import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LabError } from "./failure.ts";
import { type LabProcess, labAlive } from "./lab-process.ts";
import { readRecord, writeRecord } from "./paths.ts";
import { identify, isAlive, type ProcessIdentity } from "./processes.ts";

export interface RunRecord {
  readonly version: 1;
  readonly datapath: "ovs" | "simulated";
  readonly why: string | null;
  readonly port: number;
  readonly url: string;
  readonly server: ProcessIdentity;
  /** None with the simulated datapath: there everything lives in the server's process. */
  readonly lab: LabProcess | null;
}

function isRunRecord(value: unknown): value is RunRecord {
  return (
    typeof value === "object" &&
    value !== null &&
    "version" in value &&
    value.version === 1 &&
    "server" in value &&
    "url" in value
  );
}

/** What was recorded as running; it may have died since. */
export async function readRunRecord(path: string): Promise<RunRecord | undefined> {
  const value = await readRecord(path);
  return isRunRecord(value) ? value : undefined;
}

export function writeRunRecord(path: string, record: RunRecord): Promise<void> {
  return writeRecord(path, record);
}

/** Whether all that was recorded lives. */
export function runsWhole(record: RunRecord): boolean {
  return isAlive(record.server) && (record.lab === null || labAlive(record.lab));
}

/** A lock on a data directory, held by one command at a time. */
export interface DataLock {
  release(): Promise<void>;
}

function isIdentity(value: unknown): value is ProcessIdentity {
  return typeof value === "object" && value !== null && "pid" in value && "startedAt" in value && "boot" in value;
}

/**
 * Takes the lock; one that a dead process left is taken over.
 * @throws LabError `busy` naming who holds it.
 */
export async function lockData(path: string): Promise<DataLock> {
  const mine = identify(process.pid);
  for (let round = 0; round < 3; round += 1) {
    try {
      await writeFile(path, JSON.stringify(mine), { flag: "wx", mode: 0o600 });
      return { release: () => rm(path, { force: true }) };
    } catch (cause) {
      if (!(cause instanceof Error && "code" in cause && cause.code === "EEXIST")) throw cause;
    }
    let holder: unknown;
    try {
      holder = JSON.parse(await readFile(path, "utf8"));
    } catch {
      holder = undefined; // gone meanwhile, or cut short by a crash
    }
    if (isIdentity(holder) && isAlive(holder)) {
      throw new LabError(
        "busy",
        `another command (process ${holder.pid}) is changing this fabric`,
        "wait until it has ended",
      );
    }
    await rm(path, { force: true });
  }
  throw new LabError("busy", "another command is changing this fabric", "try again");
}

function isForbidden(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && (cause.code === "EACCES" || cause.code === "EROFS");
}

/** Removes the marks of processes that were killed and so could not be unmarked. */
async function sweep(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const [pid, startedAt] = (await readFile(join(directory, name), "utf8").catch(() => "")).trim().split(" ");
    if (identify(Number(pid))?.startedAt !== startedAt) await rm(join(directory, name), { force: true });
  }
}

/**
 * Leaves the marks by which the launcher knows that a fabric runs from its tree: one file a process, "PID START". A user who may not
 * write the tree leaves none: they cannot renew its libraries either.
 */
export async function markRunning(directory: string, processes: readonly ProcessIdentity[]): Promise<void> {
  try {
    await mkdir(directory, { recursive: true });
    await sweep(directory);
    await Promise.all(
      processes.map((one) => writeFile(join(directory, String(one.pid)), `${one.pid} ${one.startedAt}\n`)),
    );
  } catch (cause) {
    if (!isForbidden(cause)) throw cause;
  }
}

/** Removes those marks. */
export async function unmarkRunning(directory: string, processes: readonly ProcessIdentity[]): Promise<void> {
  try {
    await Promise.all(processes.map((one) => rm(join(directory, String(one.pid)), { force: true })));
  } catch (cause) {
    if (!isForbidden(cause)) throw cause;
  }
}
