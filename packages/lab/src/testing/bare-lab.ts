/** A lab of bare hosts (switches without agents) in a directory of its own, for tests of the lab itself and of whatever drives a switch. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Capability, probeCapability } from "../capability.ts";
import type { CommandResult } from "../command.ts";
import { askControl, type HostState, type LabState, type MachineState } from "../control.ts";
import { type LabPlace, type LabProcess, settledLab, startLab, stopLab } from "../lab-process.ts";
import { emptyLab, writeLabRecord } from "../lab-record.ts";
import type { MachinePlan } from "../machine.ts";
import { type DataPaths, dataPaths } from "../paths.ts";
import { captureInLab, placeOf } from "../plugging.ts";
import { parseUnderlay } from "../underlay.ts";

/** What a lab of bare hosts is made with. */
export interface BareLabOptions {
  readonly hosts: number;
  /** Default 198.18.0.0/15. */
  readonly underlay?: string;
}

/** A running lab of bare hosts. */
export interface BareLab extends AsyncDisposable {
  readonly paths: DataPaths;
  readonly process: LabProcess;
  state(): Promise<LabState>;
  /** Makes a host with this number, `h<number>`, unless it is there. */
  host(number: number): Promise<HostState>;
  plug(plan: MachinePlan, waitMs: number): Promise<MachineState>;
  unplug(port: string): Promise<boolean>;
  /** Runs a command in a room of the lab. */
  run(place: LabPlace | MachineState, ...argv: readonly string[]): Promise<CommandResult>;
  /** Ends the lab and starts it anew from its record, as `down` and `up` do. */
  restart(): Promise<void>;
}

/** Why this machine cannot run a lab with real switches; `undefined` when it can. For `test(name, { skip })`. */
export async function whyNoLab(): Promise<string | undefined> {
  const capability: Capability = await probeCapability(process.env.SELVAGE_DATAPATH, () => Promise.resolve());
  return capability.why ?? undefined;
}

/** Starts it; `await using` ends it and removes its directory. */
export async function bareLab(options: BareLabOptions): Promise<BareLab> {
  const root = await mkdtemp(join(tmpdir(), "selvage-lab-"));
  const paths = dataPaths(root);
  const underlay = parseUnderlay(options.underlay ?? "198.18.0.0/15");
  await writeLabRecord(paths.labRecord, emptyLab(underlay.cidr));
  const start = (): Promise<LabProcess> =>
    startLab({ dataDirectory: root, selvage: null, serverSocket: paths.serverSocket });
  let running = await start();
  const socket = paths.labSocket;
  const host = (number: number): Promise<HostState> =>
    askControl(socket, { op: "host", name: `h${number}`, number, tunnelIp: underlay.addressOf(number), token: null });
  const dispose = async (): Promise<void> => {
    await stopLab(running, socket, 20_000);
    await rm(root, { recursive: true, force: true });
  };
  try {
    await Promise.all(Array.from({ length: options.hosts }, (_, index) => host(index + 1)));
  } catch (cause) {
    await dispose();
    throw cause;
  }
  return {
    paths,
    get process() {
      return running;
    },
    state: () => askControl(socket, { op: "state" }),
    host,
    plug: (machine, waitMs) => askControl(socket, { op: "plug", machine, waitMs }),
    unplug: async (port) => (await askControl(socket, { op: "unplug", port })).removed,
    run: (place, ...argv) => captureInLab(running.first.pid, "kind" in place ? place : placeOf(place), argv),
    async restart() {
      await stopLab(running, socket, 20_000);
      running = await start();
      await settledLab(socket, 240_000);
    },
    [Symbol.asyncDispose]: dispose,
  };
}
