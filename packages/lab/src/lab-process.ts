/** Starts and ends the lab from outside: one process tree in its own PID, mount and network namespaces (unshare(1)), and the way into it (nsenter(1)). */

import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { askControl, type LabState } from "./control.ts";
import { LabError } from "./failure.ts";
import type { LabLaunch } from "./init.ts";
import { dataPaths } from "./paths.ts";
import {
  childrenOf,
  endProcess,
  identify,
  innerPid,
  isAlive,
  namespaceOf,
  type ProcessIdentity,
  processIds,
} from "./processes.ts";

const INIT_SCRIPT = fileURLToPath(new URL("init.sh", import.meta.url));
const INIT_MAIN = fileURLToPath(new URL("init-main.ts", import.meta.url));

/** One that ends is seen at once: this is only for one that hangs, on the slowest of machines. */
const START_TIMEOUT_MS = 120_000;
/** Until what was killed is gone: the kernel has namespaces to take apart. */
const KILLED_MS = 30_000;

/** A lab that was started. */
export interface LabProcess {
  /** The process outside that holds it. */
  readonly holder: ProcessIdentity;
  /** Its first process, as this machine numbers it; when it ends, everything in the lab ends. */
  readonly first: ProcessIdentity;
}

/** Whether the lab lives. */
export function labAlive(lab: LabProcess): boolean {
  return isAlive(lab.holder) && isAlive(lab.first);
}

async function until<T>(
  look: () => T | undefined | Promise<T | undefined>,
  whileTrue: () => boolean,
  timeoutMs: number,
): Promise<T | undefined> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    if (!whileTrue() || performance.now() > deadline) return undefined;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function tailOf(file: string): string {
  return readFileSync(file, "utf8").trim().split("\n").slice(-3).join(" | ");
}

/**
 * Starts the lab whose record is in the data directory, detached; resolves when its control channel answers.
 * Hosts and machines of the record may still be coming up then (`LabState.settled`).
 * @throws LabError `start-failed` with the last lines that it wrote.
 */
export async function startLab(launch: LabLaunch): Promise<LabProcess> {
  const paths = dataPaths(launch.dataDirectory);
  await mkdir(paths.logs, { recursive: true, mode: 0o700 });
  const logFile = join(paths.logs, "lab-start.log");
  const log = openSync(logFile, "w", 0o600);
  const child = spawn(
    "unshare",
    [
      ...["--fork", "--pid", "--mount", "--net", "--kill-child", "--mount-proc", "--propagation", "private"],
      ...[INIT_SCRIPT, process.execPath, INIT_MAIN, JSON.stringify(launch)],
    ],
    { detached: true, stdio: ["ignore", log, log], cwd: "/" },
  );
  closeSync(log);
  let ended = false;
  const spawned = await new Promise<boolean>((resolve) => {
    child.once("spawn", () => resolve(true));
    child.once("error", () => resolve(false));
    child.once("exit", () => {
      ended = true;
    });
  });
  child.unref();
  const refuse = (): LabError =>
    new LabError("start-failed", `the lab did not start: ${tailOf(logFile) || "no output"}`, `see ${paths.logs}`);
  const pid = child.pid;
  if (!spawned || pid === undefined)
    throw new LabError("command-missing", "unshare is not installed", "run ./selvage setup");
  const holder = identify(pid);
  if (holder === undefined) throw refuse();
  const first = await until(
    () => {
      const [firstPid] = childrenOf(pid);
      return firstPid === undefined ? undefined : identify(firstPid);
    },
    () => !ended,
    START_TIMEOUT_MS,
  );
  if (first === undefined) throw refuse();
  const answered = await until(
    () => askControl(paths.labSocket, { op: "state" }).catch(() => undefined),
    () => !ended,
    START_TIMEOUT_MS,
  );
  if (answered === undefined) {
    await endProcess(first, "SIGKILL", KILLED_MS);
    throw refuse();
  }
  return { holder, first };
}

/** Ends the lab: kindly over its control channel, and by its first process when that takes longer than `graceMs`. Harmless when it is gone. */
export async function stopLab(lab: LabProcess, socket: string, graceMs: number): Promise<void> {
  if (labAlive(lab)) {
    await askControl(socket, { op: "stop" }).catch(() => undefined); // a lab that cannot answer is ended below
    await until(
      () => (isAlive(lab.first) ? undefined : true),
      () => true,
      graceMs,
    );
  }
  await endProcess(lab.first, "SIGKILL", KILLED_MS);
  await endProcess(lab.holder, "SIGKILL", KILLED_MS);
}

/** Waits until the lab has brought back all that was recorded and gives its state. */
export async function settledLab(socket: string, timeoutMs: number): Promise<LabState> {
  let last: LabState | undefined;
  const settled = await until(
    async () => {
      last = await askControl(socket, { op: "state" });
      return last.settled ? last : undefined;
    },
    () => true,
    timeoutMs,
  );
  if (settled === undefined)
    throw new LabError(
      "start-failed",
      `the lab's hosts did not come back within ${timeoutMs / 1000} s`,
      "see the logs in the data directory",
    );
  return settled;
}

/** Which room of the lab a command shall run in. */
export type LabPlace =
  | { readonly kind: "lab" }
  | { readonly kind: "host"; readonly name: string }
  | { readonly kind: "machine"; readonly namespace: string; readonly holder: number | null };

/**
 * The words that run a command inside the lab from outside. The command dies with the caller's nsenter, never lives on unseen.
 * @param firstPid the lab's first process as this machine numbers it
 */
export function enterLab(firstPid: number, place: LabPlace, argv: readonly string[]): readonly string[] {
  const inside = `/proc/${firstPid}/root`;
  const base = ["nsenter", `--target=${firstPid}`, "--pid"];
  const rest = ["--", "setpriv", "--pdeathsig", "KILL", ...argv];
  switch (place.kind) {
    case "lab":
      return [...base, "--net", "--mount", ...rest];
    case "host":
      return [...base, `--net=${inside}/run/netns/${place.name}`, "--mount", ...rest];
    case "machine":
      return [
        ...base,
        `--net=${inside}/run/netns/${place.namespace}`,
        `--mount=${inside}/proc/${place.holder ?? 0}/ns/mnt`,
        ...rest,
      ];
  }
}

/** The number that this machine gives to a process of the lab. */
export function outerPid(firstPid: number, inner: number): number | undefined {
  const namespace = namespaceOf(firstPid, "pid");
  if (namespace === undefined) return undefined;
  return processIds().find((pid) => namespaceOf(pid, "pid") === namespace && innerPid(pid) === inner);
}
