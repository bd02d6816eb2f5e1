/** `selvage server run`: the server in this process, until it is told to end. */

import { resolve } from "node:path";
import { askedToEnd, type ServeOptions, serve, simulate } from "@selvage/lab";
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

function serveOptions(flags: ServerFlags): ServeOptions {
  const { data, host, port, socket, readyFile, underlayMtu, tunnelOverhead } = flags;
  return {
    dataDir: resolve(data),
    host,
    port,
    ...(socket === undefined ? {} : { socket: resolve(socket) }),
    ...(readyFile === undefined ? {} : { readyFile: resolve(readyFile) }),
    ...(underlayMtu === undefined ? {} : { underlayMtu }),
    ...(tunnelOverhead === undefined ? {} : { tunnelOverhead }),
  };
}

/** Runs `selvage server run`; resolves when the server has ended. */
export async function serverRun(flags: ServerFlags): Promise<number> {
  const server = await serve(serveOptions(flags));
  await askedToEnd();
  await server.close();
  return Exit.ok;
}

/** Runs `selvage lab simulate`: the server and simulated hosts in this one process. */
export async function labSimulate(flags: ServerFlags): Promise<number> {
  const fabric = await simulate(serveOptions(flags));
  await askedToEnd();
  await fabric.close();
  return Exit.ok;
}
