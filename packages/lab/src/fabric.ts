/** The whole of one Selvage on this machine brought up: server, lab and demo, proved with pings. Every step is idempotent and repairs what died. */

import { mkdir } from "node:fs/promises";
import { findPort } from "./api.ts";
import { probeCapability } from "./capability.ts";
import { askControl, type LabState } from "./control.ts";
import { type DemoProject, demoPlan, ensureDemo } from "./demo.ts";
import { LabError } from "./failure.ts";
import { ensureGround, labRuns } from "./ground.ts";
import { portIsHeld } from "./holder.ts";
import { forgetDeleted, rebind, tokenFor } from "./joining.ts";
import { settledLab } from "./lab-process.ts";
import { emptyLab, type LabRecord, readLabRecord, writeLabRecord } from "./lab-record.ts";
import { parseWires, refuseRewiring } from "./outside.ts";
import { type DataPaths, dataPaths } from "./paths.ts";
import { plug } from "./plugging.ts";
import { type PingResult, prove } from "./proof.ts";
import { lockData, type RunRecord, readRunRecord } from "./run-record.ts";
import { adminApi } from "./running.ts";
import { missingTools, setUp } from "./setup.ts";
import { askStatus, type FabricStatus } from "./status.ts";
import { DEFAULT_UNDERLAY, machineRoutes, parseUnderlay, refuseOverlap } from "./underlay.ts";
import { until } from "./waiting.ts";

/** Hosts of a lab when nothing else is said. */
export const DEFAULT_HOSTS = 3;
/** The server's port when nothing else is said: Neutron's. */
export const DEFAULT_PORT = 9696;

export interface UpOptions {
  readonly dataDirectory: string;
  /** Absent: as many as there are, or three. */
  readonly hosts?: number;
  /** Absent: as it was the last time, or 9696. 0: any free one. */
  readonly port?: number;
  readonly underlay?: string;
  /** The physical networks that new hosts have besides `public`: `left=h1+h2,right=h3`. Absent: none. */
  readonly wires?: string;
  /** The words that run this program: the pinned Node and the CLI's entry. */
  readonly selvage: readonly string[];
  /** Where the launcher looks for running fabrics. */
  readonly runningMarks: string;
  /** The word of SELVAGE_DATAPATH, if any. */
  readonly datapath?: string;
  /** Gets each step as it begins. */
  readonly onStep: (step: string) => void;
  /** Gets what a step's tools print meanwhile, such as apt's lines. */
  readonly onDetail: (line: string) => void;
}

/** What `up` made, for people and programs. */
export interface FabricReport {
  readonly datapath: "ovs" | "simulated";
  readonly why: string | null;
  readonly url: string;
  readonly port: number;
  readonly dataDirectory: string;
  readonly status: FabricStatus;
  readonly lab: LabState;
  readonly demo: readonly DemoProject[];
  readonly pings: readonly PingResult[];
}

function hostNames(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `h${index + 1}`);
}

/** The port to ask for: where any free one will do, the one of the last time if it is free, for clients have its URL. */
function portFor(wished: number | undefined, last: number | undefined): number {
  const port = wished ?? last ?? DEFAULT_PORT;
  return port === 0 && last !== undefined && !portIsHeld(last) ? last : port;
}

async function prepareRecord(
  paths: DataPaths,
  options: UpOptions,
  running: RunRecord | undefined,
  runs: boolean,
): Promise<{ record: LabRecord; count: number }> {
  const known = await readLabRecord(paths.labRecord);
  const wishedUnderlay = options.underlay === undefined ? undefined : parseUnderlay(options.underlay).cidr;
  const underlay = wishedUnderlay ?? known?.underlay ?? DEFAULT_UNDERLAY;
  const count = options.hosts ?? (known === undefined || known.hosts.length === 0 ? DEFAULT_HOSTS : known.hosts.length);
  if (known !== undefined && count < known.hosts.length) {
    throw new LabError(
      "host-count",
      `this fabric has ${known.hosts.length} hosts, ${count} were asked for`,
      "a lab only grows: ./selvage down --purge begins anew",
    );
  }
  if (known !== undefined && known.hosts.length > 0 && known.underlay !== underlay) {
    throw new LabError(
      "underlay-invalid",
      `this fabric's underlay is ${known.underlay}`,
      "./selvage down --purge begins anew with another",
    );
  }
  const range = parseUnderlay(underlay);
  if (count > range.capacity)
    throw new LabError("host-count", `${underlay} has room for ${range.capacity} hosts`, "give a wider --underlay");
  if (!runs) refuseOverlap(range, await machineRoutes());
  const record: LabRecord = {
    ...(known ?? emptyLab(underlay)),
    underlay,
    port: portFor(options.port, running?.port ?? known?.port),
  };
  return { record, count };
}

const HOSTS_TIMEOUT_MS = 240_000;
const LEASE_TIMEOUT_MS = 90_000;

/**
 * Brings the fabric up, or repairs what of it is not running; when all runs it only proves it again.
 * @throws LabError with what to do; whatever was started by then keeps running, so that a second call goes on from there.
 */
export async function bringUp(options: UpOptions): Promise<FabricReport> {
  const { onStep } = options;
  const paths = dataPaths(options.dataDirectory);
  await mkdir(paths.root, { recursive: true, mode: 0o755 });
  const lock = await lockData(paths.lock);
  try {
    onStep("looking at what this machine can do");
    const capability = await probeCapability(options.datapath, async () => {
      const missing = [...new Set(missingTools("fabric").map((tool) => tool.package))];
      if (missing.length > 0) onStep(`installing ${missing.join(", ")} (no service of theirs is started or enabled)`);
      await setUp("fabric", options.onDetail);
    });
    const known = await readRunRecord(paths.runRecord);
    const runs = labRuns(known);
    const { record, count } = await prepareRecord(paths, options, known, runs);
    const wires = options.wires === undefined ? undefined : parseWires(options.wires, hostNames(count));
    if (wires !== undefined) refuseRewiring(wires, record.hosts);
    const ground = await ensureGround(
      paths,
      {
        datapath: capability.datapath,
        why: capability.why,
        port: record.port ?? DEFAULT_PORT,
        namedPort: options.port,
        underlay: record.underlay,
        selvage: options.selvage,
        runningMarks: options.runningMarks,
        onStep,
        // A running lab writes its record itself.
        keep: async (port) => (runs ? undefined : writeLabRecord(paths.labRecord, { ...record, port })),
      },
      known,
    );
    const { socket } = ground;
    const { url, port } = ground.record;
    const api = await adminApi(paths, url);
    const range = parseUnderlay(record.underlay);
    onStep(`starting ${count} hosts, each with its own switch and agent`);
    await Promise.all(
      hostNames(count).map(async (name, index) => {
        const number = index + 1;
        const token = await tokenFor(api, ground.hosts, name);
        await askControl(socket, {
          op: "host",
          name,
          number,
          tunnelIp: range.addressOf(number),
          token,
          wires: wires?.get(name) ?? [],
        });
      }),
    );
    await settledLab(socket, HOSTS_TIMEOUT_MS);
    await until("not every host's agent reached the server", HOSTS_TIMEOUT_MS, async () => {
      const status = await askStatus(api);
      return status.hosts.filter((host) => host.alive).length >= count ? status : undefined;
    });

    // Before the demo makes a port anew that bears the same name.
    const forgotten = await forgetDeleted(api, socket);
    if (forgotten.length > 0) onStep(`unplugged, for their ports were deleted: ${forgotten.join(", ")}`);
    onStep("making the demo: two projects with the same addresses");
    const plan = demoPlan(hostNames(count));
    await ensureDemo(api, plan, paths);
    onStep("plugging its machines and waiting for their addresses (DHCP)");
    // One that was moved meanwhile stays where it is.
    const ours = new Set(hostNames(count));
    const placed = async ({ port, host }: DemoProject["machines"][number]): Promise<void> => {
      const bound = (await findPort(api, port)).host;
      await plug(api, socket, port, ours.has(bound) ? bound : host, LEASE_TIMEOUT_MS);
    };
    await Promise.all(plan.flatMap(({ machines }) => machines.map(placed)));
    await rebind(api, socket);
    onStep("pinging within the projects and between them");
    const pings = await prove(ground, plan);
    return {
      datapath: capability.datapath,
      why: capability.why,
      url,
      port,
      dataDirectory: paths.root,
      status: await askStatus(api),
      lab: await askControl(socket, { op: "state" }),
      demo: plan,
      pings,
    };
  } finally {
    await lock.release();
  }
}
