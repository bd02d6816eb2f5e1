/** `selvage lab simulate`: the server, simulated hosts and their machines in this process, until it is told to end. */

import { resolve } from "node:path";
import { askedToEnd, simulate } from "@selvage/lab";
import { Exit } from "../exit.ts";

export interface SimulateFlags {
  readonly data: string;
  readonly host: string;
  readonly port: number;
  readonly socket?: string;
  readonly readyFile?: string;
  readonly olderLog?: number;
  readonly underlayMtu?: number;
  readonly tunnelOverhead?: number;
}

/** Runs `selvage lab simulate`; resolves when all has ended. */
export async function labSimulate(flags: SimulateFlags): Promise<number> {
  const { data, host, port, socket, readyFile, olderLog, underlayMtu, tunnelOverhead } = flags;
  const fabric = await simulate({
    dataDir: resolve(data),
    host,
    port,
    ...(socket === undefined ? {} : { socket: resolve(socket) }),
    ...(readyFile === undefined ? {} : { readyFile: resolve(readyFile) }),
    ...(olderLog === undefined ? {} : { olderLog }),
    ...(underlayMtu === undefined ? {} : { underlayMtu }),
    ...(tunnelOverhead === undefined ? {} : { tunnelOverhead }),
  });
  await askedToEnd();
  await fabric.close();
  return Exit.ok;
}
