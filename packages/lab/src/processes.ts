/** Says for certain whether a process is still the one that was started: by its id and its start time (proc(5), /proc/PID/stat field 22). */

import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** A process that cannot be mistaken for a later one with the same id. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks between boot and its start, as the kernel writes them. */
  readonly startedAt: string;
  /** Differs after a reboot, when ids and ticks begin anew. */
  readonly boot: string;
}

function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

interface Stat {
  readonly state: string;
  readonly startedAt: string;
}

function readStat(pid: number): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined; // no such process
  }
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state, startedAt] = [fields[0], fields[19]];
  return state === undefined || startedAt === undefined ? undefined : { state, startedAt };
}

/** Who this process is now; `undefined` when there is none with this id, or only its remains (a zombie). */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = readStat(pid);
  if (stat === undefined || stat.state === "Z" || stat.state === "X") return undefined;
  return { pid, startedAt: stat.startedAt, boot: bootId() };
}

/** Whether exactly this process still lives. */
export function isAlive(identity: ProcessIdentity): boolean {
  const now = identify(identity.pid);
  return now !== undefined && now.startedAt === identity.startedAt && now.boot === identity.boot;
}

/** All process ids of this machine. */
export function processIds(): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** The command line of a process, words parted by spaces; empty when it is gone. */
export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return ""; // gone meanwhile
  }
}

/** The identity of a process's namespace of one type (namespaces(7)), such as `pid:[4026531836]`. */
export function namespaceOf(pid: number, type: "pid" | "net" | "mnt"): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${type}`);
  } catch {
    return undefined; // gone meanwhile, or not ours to see
  }
}

/** Children of a process, in the order of their ids. */
export function childrenOf(pid: number): readonly number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return text === "" ? [] : text.split(" ").map(Number);
  } catch {
    return []; // gone meanwhile
  }
}

/** The id that a process has in the innermost PID namespace it is in (pid_namespaces(7), `NSpid`). */
export function innerPid(pid: number): number | undefined {
  try {
    const line = /^NSpid:\s+(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
    const last = line?.[1]?.split(/\s+/).at(-1);
    return last === undefined ? undefined : Number(last);
  } catch {
    return undefined; // gone meanwhile
  }
}

/**
 * Sends a signal to exactly this process and waits until it is gone.
 * @returns whether it was gone within the time.
 */
export async function endProcess(identity: ProcessIdentity, signal: NodeJS.Signals, waitMs: number): Promise<boolean> {
  if (!isAlive(identity)) return true;
  try {
    process.kill(identity.pid, signal);
  } catch (cause) {
    if (isAlive(identity)) throw cause;
    return true;
  }
  const deadline = performance.now() + waitMs;
  while (isAlive(identity)) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return true;
}
