/** Starts and ends the server from outside: a detached process that drops root by itself and says where it listens in a file. */

import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, statSync } from "node:fs";
import { chown, mkdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LabError } from "./failure.ts";
import { type DataPaths, readRecord } from "./paths.ts";
import { endProcess, identify, isAlive, type ProcessIdentity } from "./processes.ts";
import { findCommand } from "./setup.ts";

/** The numeric user and group that the server becomes when it is started as root; no name in /etc/passwd is needed. */
export const SERVER_UID = 61616;

/** The descriptor under which a started server gets the file for what is too much in its log. */
export const OLDER_LOG = 3;

/** Where a started server listens. */
export interface ServerProcess {
  readonly identity: ProcessIdentity;
  readonly port: number;
  readonly url: string;
}

/** The file in which a server says that it listens. */
export function readyFile(paths: DataPaths): string {
  return join(paths.server, "ready.json");
}

/**
 * Looks whether the server's user can reach a directory through all that is above it.
 * @throws LabError `data-dir` naming the first directory in its way.
 */
export function refuseClosedParents(directory: string): void {
  for (let at = dirname(directory); ; at = dirname(at)) {
    const { mode, uid } = statSync(at);
    if ((mode & 0o001) === 0 && uid !== SERVER_UID) {
      throw new LabError(
        "data-dir",
        `the server runs as user ${SERVER_UID} and may not pass through ${at}`,
        `choose another --data DIR, or: chmod o+x ${at}`,
      );
    }
    if (at === "/") return;
  }
}

/**
 * A command that, with all it starts, can gain no rights that it does not have: no set-user-ID program gives it any
 * (PR_SET_NO_NEW_PRIVS, prctl(2)), as the unit of the service has it. setpriv becomes the command, so its id stays. Where there is no
 * setpriv the command runs as it is.
 */
function withoutNewPrivileges(argv: readonly string[]): readonly string[] {
  const setpriv = findCommand("setpriv");
  return setpriv === undefined ? argv : [setpriv, "--no-new-privs", ...argv];
}

interface Ready {
  readonly pid: number;
  readonly port: number;
  readonly url: string;
}

function isReady(value: unknown): value is Ready {
  return typeof value === "object" && value !== null && "pid" in value && "port" in value && "url" in value;
}

/** One that ends is seen at once: this is only for one that hangs, on the slowest of machines. */
const START_TIMEOUT_MS = 180_000;

/**
 * Starts the server and resolves when it listens.
 * @param argv the whole command: it must write `ready.json` ({pid, port, url}) once it listens; told to keep its log short
 *   (`--older-log N`), it moves what is too much from standard error into descriptor N = `OLDER_LOG`, `server.log.1`
 * @throws LabError `start-failed` with the end of its log.
 */
export async function startServerProcess(argv: readonly string[], paths: DataPaths): Promise<ServerProcess> {
  const asRoot = process.getuid?.() === 0;
  await mkdir(paths.server, { recursive: true, mode: 0o700 });
  await mkdir(paths.logs, { recursive: true, mode: 0o700 });
  if (asRoot) {
    refuseClosedParents(paths.server);
    await chown(paths.server, SERVER_UID, SERVER_UID);
  }
  const ready = readyFile(paths);
  await rm(ready, { force: true });
  const logFile = join(paths.logs, "server.log");
  // Its own user may not name these files: it gets them open, the log to append and to read, the older one to write.
  const log = openSync(logFile, "a+", 0o600);
  const older = openSync(`${logFile}.1`, "a", 0o600);
  const { size } = statSync(logFile);
  const [file = "", ...args] = withoutNewPrivileges(argv);
  const child = spawn(file, args, { detached: true, stdio: ["ignore", log, log, older], cwd: "/" });
  closeSync(log);
  closeSync(older);
  let ended = false;
  child.once("error", () => {
    ended = true;
  });
  child.once("exit", () => {
    ended = true;
  });
  child.unref();
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!ended && performance.now() < deadline) {
    const value = await readRecord(ready).catch(() => undefined);
    const identity = child.pid === undefined ? undefined : identify(child.pid);
    if (isReady(value) && value.pid === child.pid && identity !== undefined) {
      return { identity, port: value.port, url: value.url };
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  if (child.pid !== undefined && !ended) child.kill("SIGKILL");
  const words = readFileSync(logFile).subarray(size).toString().trim().split("\n").slice(-4).join("\n  ");
  throw new LabError(
    "start-failed",
    `the server did not start:\n  ${words || "it wrote nothing"}`,
    `its log: ${logFile}`,
  );
}

/** Ends the server, kindly first. Harmless when it is gone. */
export async function stopServerProcess(identity: ProcessIdentity): Promise<void> {
  if (!isAlive(identity)) return;
  if (await endProcess(identity, "SIGTERM", 20_000)) return;
  await endProcess(identity, "SIGKILL", 30_000);
}
