/** Names the process that holds a TCP port, from the kernel's socket tables and the processes' open files (proc(5): /proc/net/tcp, /proc/PID/fd). */

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { LabError } from "./failure.ts";
import { commandLine, processIds } from "./processes.ts";

const LISTEN_STATE = "0A";

/** Who listens on a port. */
export interface PortHolder {
  readonly pid: number;
  readonly command: string;
}

function listeningInodes(table: string, port: number): readonly string[] {
  let text: string;
  try {
    text = readFileSync(table, "utf8");
  } catch {
    return []; // no such family in this kernel
  }
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  return text.split("\n").flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const [local, state, inode] = [fields[1], fields[3], fields[9]];
    if (local === undefined || inode === undefined || state !== LISTEN_STATE) return [];
    return local.endsWith(`:${hex}`) ? [inode] : [];
  });
}

function openSockets(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
        return inode === undefined ? [] : [inode];
      } catch {
        return []; // closed meanwhile
      }
    });
  } catch {
    return []; // gone meanwhile, or not ours to see
  }
}

/** The process that listens on this TCP port, IPv4 or IPv6; `undefined` when nobody does or it cannot be seen. */
export function portHolder(port: number): PortHolder | undefined {
  const inodes = new Set([...listeningInodes("/proc/net/tcp", port), ...listeningInodes("/proc/net/tcp6", port)]);
  if (inodes.size === 0) return undefined;
  for (const pid of processIds()) {
    if (openSockets(pid).some((inode) => inodes.has(inode))) return { pid, command: commandLine(pid) };
  }
  return undefined;
}

/** Whether anyone listens on this TCP port. */
export function portIsHeld(port: number): boolean {
  return listeningInodes("/proc/net/tcp", port).length > 0 || listeningInodes("/proc/net/tcp6", port).length > 0;
}

/**
 * Refuses to go on when a port is taken.
 * @throws LabError `port-in-use` naming the holder and the flag that helps.
 */
export function refuseHeldPort(port: number): void {
  if (port === 0 || !portIsHeld(port)) return;
  const holder = portHolder(port);
  const who = holder === undefined ? "another process" : `process ${holder.pid} (${holder.command})`;
  throw new LabError(
    "port-in-use",
    `port ${port} is held by ${who}`,
    "choose another: ./selvage up --port N (0: any free one)",
  );
}
