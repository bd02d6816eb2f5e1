/** `selvage server run`: the server in this process, until it is told to end. */

import { renameSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { SERVER_UID } from "@selvage/lab";
import { startServer } from "@selvage/server";
import { Exit } from "../exit.ts";

export interface ServerFlags {
  readonly data: string;
  readonly host: string;
  readonly port: number;
  readonly socket?: string;
  readonly readyFile?: string;
  readonly underlayMtu?: number;
  readonly tunnelOverhead?: number;
}

/** Runs `selvage server run`; resolves when the server has ended. Started as root, it goes on as user and group 61616. */
export async function serverRun(flags: ServerFlags): Promise<number> {
  const asRoot = process.getuid?.() === 0;
  const server = await startServer({
    dataDir: resolve(flags.data),
    host: flags.host,
    port: flags.port,
    ...(flags.socket === undefined ? {} : { socket: resolve(flags.socket) }),
    settings: {
      ...(flags.underlayMtu === undefined ? {} : { underlayMtu: flags.underlayMtu }),
      ...(flags.tunnelOverhead === undefined ? {} : { tunnelOverhead: flags.tunnelOverhead }),
    },
    ...(asRoot ? { runAs: { uid: SERVER_UID, gid: SERVER_UID } } : {}),
  });
  if (flags.readyFile !== undefined) {
    const next = `${flags.readyFile}.new`;
    writeFileSync(next, JSON.stringify({ pid: process.pid, port: server.port, url: server.url }));
    renameSync(next, flags.readyFile);
  }
  await new Promise<void>((done) => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(signal, () => done());
  });
  await server.close();
  return Exit.ok;
}
