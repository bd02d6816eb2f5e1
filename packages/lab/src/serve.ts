/** The server inside this process, as every way of running it starts it: root given up, hosts' sync plugged in, a file that says where it listens. */

import { renameSync, writeFileSync } from "node:fs";
import { createLog } from "@selvage/base";
import type { RunningServer, ServerPlugin } from "@selvage/server";
import { type LineSink, logDescriptor } from "./bounded-log.ts";
import { SERVER_UID } from "./server-process.ts";

/** How to serve. */
export interface ServeOptions {
  readonly dataDir: string;
  readonly host: string;
  readonly port: number;
  readonly socket?: string;
  /** Gets `{pid, port, url}` once the server listens. */
  readonly readyFile?: string;
  readonly underlayMtu?: number;
  readonly tunnelOverhead?: number;
  /** The open file into which standard error moves when it is longer than `LOG_LIMIT`; absent: it grows. */
  readonly olderLog?: number;
}

const STANDARD_ERROR = 2;

/** A log's lines on standard error, which is a file that moves into `olderLog` when it is too long. */
export const boundedStandardError = (olderLog: number): LineSink => logDescriptor(STANDARD_ERROR, olderLog);

/**
 * Starts the server; as root it goes on as user and group 61616.
 * @param more further parts, such as simulated hosts; they may still use root's rights
 */
export async function serve(options: ServeOptions, more: readonly ServerPlugin[] = []): Promise<RunningServer> {
  const { dataDir, host, port, socket, readyFile, underlayMtu, tunnelOverhead, olderLog } = options;
  // Loaded here and not with the lab's face: commands that only ask a server must start fast.
  const { relay, startServer } = await import("@selvage/server");
  const server = await startServer({
    dataDir,
    host,
    port,
    ...(socket === undefined ? {} : { socket }),
    settings: {
      ...(underlayMtu === undefined ? {} : { underlayMtu }),
      ...(tunnelOverhead === undefined ? {} : { tunnelOverhead }),
    },
    log: await createLog({
      room: "server",
      ...(olderLog === undefined ? {} : { destination: boundedStandardError(olderLog) }),
    }),
    plugins: [relay(), ...more],
    ...(process.getuid?.() === 0 ? { runAs: { uid: SERVER_UID, gid: SERVER_UID } } : {}),
  });
  announce(readyFile, server);
  return server;
}

/** Says in a file where a server listens, for whoever waits for it: to be called once all that the waiter may ask next is served. */
export function announce(readyFile: string | undefined, { port, url }: Pick<RunningServer, "port" | "url">): void {
  if (readyFile === undefined) return;
  const next = `${readyFile}.new`;
  writeFileSync(next, JSON.stringify({ pid: process.pid, port, url }));
  renameSync(next, readyFile);
}

/** Resolves when this process is asked to end (SIGTERM, SIGINT, SIGHUP). */
export function askedToEnd(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(signal, () => resolve());
  });
}
