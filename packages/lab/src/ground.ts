/** What a fabric stands on: a server process and a lab of hosts, with real switches in namespaces or simulated ones in the server's own process. */

import { join } from "node:path";
import { LabError } from "./failure.ts";
import { portIsHeld, refuseHeldPort } from "./holder.ts";
import { type LabProcess, labAlive, startLab, stopLab } from "./lab-process.ts";
import type { DataPaths } from "./paths.ts";
import { isAlive } from "./processes.ts";
import { markRunning, type RunRecord, writeRunRecord } from "./run-record.ts";
import { OLDER_LOG, type ServerProcess, startServerProcess } from "./server-process.ts";
import { parseUnderlay, TENANT_MTU, TUNNEL_OVERHEAD } from "./underlay.ts";

/** How the ground shall be. */
export interface GroundWish {
  readonly datapath: "ovs" | "simulated";
  readonly why: string | null;
  readonly port: number;
  /** The port if the user named one in this call. */
  readonly namedPort: number | undefined;
  readonly underlay: string;
  readonly selvage: readonly string[];
  readonly runningMarks: string;
  readonly onStep: (step: string) => void;
  /**
   * Keeps what was asked for, with the server's port; called once nothing refuses it any more, before anything starts, and again when the
   * server has chosen a port by itself.
   */
  readonly keep: (port: number) => Promise<void>;
}

/** The ground of a running fabric. */
export interface Ground {
  readonly record: RunRecord;
  /** The control channel of its hosts and machines. */
  readonly socket: string;
  /** Where its hosts' own folders are. */
  readonly hosts: string;
}

async function ensureServer(
  paths: DataPaths,
  wish: GroundWish,
  known: RunRecord | undefined,
  command: readonly string[],
): Promise<ServerProcess> {
  const { port, underlay } = wish;
  if (known !== undefined && isAlive(known.server)) {
    if (wish.namedPort !== undefined && wish.namedPort !== 0 && wish.namedPort !== known.port) {
      throw new LabError(
        "busy",
        `this fabric already runs on port ${known.port}`,
        "./selvage down, then up with the other port",
      );
    }
    await wish.keep(known.port);
    return { identity: known.server, port: known.port, url: known.url };
  }
  refuseHeldPort(port);
  await wish.keep(port);
  wish.onStep("starting the server");
  const overhead = TUNNEL_OVERHEAD[parseUnderlay(underlay).version];
  const argv = [
    ...wish.selvage,
    ...command,
    ...["--older-log", String(OLDER_LOG)],
    ...["--data", paths.server, "--port", String(port), "--socket", paths.serverSocket],
    ...["--ready-file", join(paths.server, "ready.json")],
    ...["--underlay-mtu", String(TENANT_MTU + overhead), "--tunnel-overhead", String(overhead)],
  ];
  try {
    const server = await startServerProcess(argv, paths);
    if (server.port !== port) await wish.keep(server.port);
    return server;
  } catch (cause) {
    // Someone may have taken the port meanwhile: say that rather than what the server says of it.
    if (port !== 0 && portIsHeld(port)) refuseHeldPort(port);
    throw cause;
  }
}

/** Whether the lab that was recorded still runs. */
export function labRuns(known: RunRecord | undefined): boolean {
  if (known === undefined) return false;
  if (known.datapath === "simulated") return isAlive(known.server);
  return known.lab !== null && labAlive(known.lab);
}

/**
 * Starts what of the ground does not run.
 * @throws LabError `busy` when it runs with another datapath or port, `port-in-use`, `start-failed`
 */
export async function ensureGround(paths: DataPaths, wish: GroundWish, known: RunRecord | undefined): Promise<Ground> {
  const { datapath, why } = wish;
  if (known !== undefined && known.datapath !== datapath && labRuns(known)) {
    throw new LabError(
      "busy",
      `this fabric runs with datapath ${known.datapath}, ${datapath} was asked for`,
      "./selvage down first",
    );
  }
  const simulated = datapath === "simulated";
  const server = await ensureServer(
    paths,
    wish,
    known,
    simulated ? ["lab", "simulate"] : ["server", "run", "--no-config"],
  );
  const note = async (lab: LabProcess | null): Promise<RunRecord> => {
    const { identity, port, url } = server;
    const record: RunRecord = { version: 1, datapath, why, port, url, server: identity, lab };
    await writeRunRecord(paths.runRecord, record);
    await markRunning(wish.runningMarks, lab === null ? [identity] : [identity, lab.first]);
    return record;
  };
  if (simulated) return { record: await note(null), socket: paths.simulatedSocket, hosts: paths.simulatedHosts };

  const before = known?.lab ?? null;
  if (before !== null && labAlive(before))
    return { record: await note(before), socket: paths.labSocket, hosts: paths.hosts };
  await note(null);
  wish.onStep("starting the lab");
  if (before !== null) await stopLab(before, paths.labSocket, 0);
  const lab = await startLab({ dataDirectory: paths.root, selvage: wish.selvage, serverSocket: paths.serverSocket });
  return { record: await note(lab), socket: paths.labSocket, hosts: paths.hosts };
}
