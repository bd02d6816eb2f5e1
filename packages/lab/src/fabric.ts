/** The whole of one Selvage on this machine: server, lab and demo brought up, proved, taken down. Every step is idempotent and repairs what died. */

import { mkdir, readFile, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { type Api, ApiError, needText, openApi, portsOf } from "./api.ts";
import { type Capability, probeCapability } from "./capability.ts";
import { askControl, type LabState } from "./control.ts";
import { type DemoPing, type DemoProject, demoPings, demoPlan, ensureDemo } from "./demo.ts";
import { LabError } from "./failure.ts";
import { portIsHeld, refuseHeldPort } from "./holder.ts";
import { type LabProcess, labAlive, settledLab, startLab, stopLab } from "./lab-process.ts";
import { emptyLab, type LabRecord, readLabRecord, writeLabRecord } from "./lab-record.ts";
import { type DataPaths, dataPaths } from "./paths.ts";
import { captureInLab, findMachine, placeOf, plug } from "./plugging.ts";
import { isAlive, type ProcessIdentity } from "./processes.ts";
import { lockData, markRunning, type RunRecord, readRunRecord, unmarkRunning, writeRunRecord } from "./run-record.ts";
import { type ServerProcess, startServerProcess, stopServerProcess } from "./server-process.ts";
import { missingTools, setUp } from "./setup.ts";
import { askStatus, type FabricStatus } from "./status.ts";
import { message } from "./supervise.ts";
import {
  DEFAULT_UNDERLAY,
  machineRoutes,
  parseUnderlay,
  refuseOverlap,
  TENANT_MTU,
  TUNNEL_OVERHEAD,
} from "./underlay.ts";

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

/** A ping of the demo and what came of it. */
export interface PingResult extends DemoPing {
  readonly ok: boolean;
  /** The average round trip in milliseconds where an answer came. */
  readonly milliseconds: number | null;
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

/** The administrator's password of a data directory. */
export async function adminPassword(paths: DataPaths): Promise<string> {
  const file = join(paths.server, "admin-password");
  try {
    return (await readFile(file, "utf8")).trim();
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code === "EACCES")
      throw new LabError("data-dir", `${file} is not readable for you`, "run as the user who started the fabric");
    throw new LabError(
      "not-running",
      `there is no fabric in ${paths.root}`,
      "start one: ./selvage up, or name its --data DIR",
    );
  }
}

/** A client of the fabric's server as its administrator. */
export async function adminApi(paths: DataPaths, url: string): Promise<Api> {
  return openApi({ url, user: "admin", password: await adminPassword(paths), project: "admin" });
}

function hostNames(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `h${index + 1}`);
}

async function prepareRecord(
  paths: DataPaths,
  options: UpOptions,
  labRuns: boolean,
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
  if (!labRuns) refuseOverlap(range, await machineRoutes());
  const port = options.port ?? known?.port ?? DEFAULT_PORT;
  const record: LabRecord = { ...(known ?? emptyLab(underlay)), underlay, port };
  if (!labRuns) await writeLabRecord(paths.labRecord, record);
  return { record, count };
}

async function ensureServer(
  paths: DataPaths,
  options: UpOptions,
  { port = DEFAULT_PORT, underlay }: LabRecord,
  known: RunRecord | undefined,
): Promise<ServerProcess> {
  if (known !== undefined && isAlive(known.server)) {
    if (options.port !== undefined && options.port !== 0 && options.port !== known.port) {
      throw new LabError(
        "busy",
        `this fabric already runs on port ${known.port}`,
        "./selvage down, then up with the other port",
      );
    }
    return { identity: known.server, port: known.port, url: known.url };
  }
  refuseHeldPort(port);
  options.onStep("starting the server");
  const overhead = TUNNEL_OVERHEAD[parseUnderlay(underlay).version];
  const argv = [
    ...options.selvage,
    ...["server", "run", "--data", paths.server, "--port", String(port), "--socket", paths.serverSocket],
    ...["--ready-file", join(paths.server, "ready.json")],
    ...["--underlay-mtu", String(TENANT_MTU + overhead), "--tunnel-overhead", String(overhead)],
  ];
  try {
    return await startServerProcess(argv, paths);
  } catch (cause) {
    // Someone may have taken the port meanwhile: say that rather than what the server says of it.
    if (port !== 0 && portIsHeld(port)) refuseHeldPort(port);
    throw cause;
  }
}

/** Frees a host of its ports: each is bound again when its machine is plugged. */
async function unbindAll(api: Api, host: string): Promise<void> {
  for (const port of await portsOf(api, host))
    await api.ask("PUT", `/v2.0/ports/${port.id}`, { port: { "binding:host_id": "" } });
}

/** A token with which a host joins; `null` when the host has joined already. */
async function tokenFor(api: Api, paths: DataPaths, name: string): Promise<string | null> {
  const joined = await readFile(join(paths.hosts, name, "joined")).then(
    () => true,
    () => false,
  );
  if (joined) return null;
  try {
    return needText(await api.ask("POST", "/v1/hosts", { name }), "token");
  } catch (cause) {
    if (!(cause instanceof ApiError) || cause.status !== 409) throw cause;
    // It is known from an earlier life whose key is lost: it joins anew.
    await unbindAll(api, name);
    await api.ask("DELETE", `/v1/hosts/${encodeURIComponent(name)}`);
    return needText(await api.ask("POST", "/v1/hosts", { name }), "token");
  }
}

/** Binds again what machines are plugged into, where a host that lost its key had to be freed of its ports. */
async function rebind(api: Api, socket: string): Promise<void> {
  const { machines, hosts } = await askControl(socket, { op: "state" });
  const bound = new Set(
    (await Promise.all(hosts.map((host) => portsOf(api, host.name)))).flat().map((port) => port.id),
  );
  for (const machine of machines.filter((one) => !bound.has(one.port))) {
    // A port that was deleted meanwhile leaves its machine plugged into nothing, as a real one would be.
    await plug(api, socket, machine.port, machine.host, 0).catch((cause: unknown) => {
      if (!(cause instanceof LabError) || cause.code !== "unknown-machine") throw cause;
    });
  }
}

async function until<T>(what: string, timeoutMs: number, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    if (performance.now() > deadline)
      throw new LabError("start-failed", `${what} within ${timeoutMs / 1000} s`, "see the logs in the data directory");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const HOSTS_TIMEOUT_MS = 90_000;
const LEASE_TIMEOUT_MS = 30_000;
const REACH_TIMEOUT_MS = 20_000;

async function pingOnce(lab: LabProcess, state: LabState, ping: DemoPing): Promise<PingResult> {
  const from = findMachine(state, ping.from);
  const words = ping.expected === "reached" ? ["-c", "3", "-i", "0.2", "-W", "1"] : ["-c", "2", "-i", "0.2", "-w", "1"];
  const result = await captureInLab(lab.first.pid, placeOf(from), ["ping", "-n", ...words, ping.address], 15_000);
  const average = /= [\d.]+\/([\d.]+)\//.exec(result.stdout)?.[1];
  const answered = /, ([1-9]\d*) received/.test(result.stdout);
  const ok = ping.expected === "reached" ? result.code === 0 : !answered;
  return { ...ping, ok, milliseconds: average === undefined ? null : Number(average) };
}

async function prove(lab: LabProcess, socket: string, plan: readonly DemoProject[]): Promise<readonly PingResult[]> {
  const state = await askControl(socket, { op: "state" });
  return Promise.all(
    demoPings(plan).map(async (ping) => {
      if (ping.expected === "silence") return pingOnce(lab, state, ping);
      let last: PingResult | undefined;
      return until(`${ping.from} did not reach ${ping.to} (${ping.address})`, REACH_TIMEOUT_MS, async () => {
        last = await pingOnce(lab, state, ping);
        return last.ok ? last : undefined;
      }).catch(() => last ?? { ...ping, ok: false, milliseconds: null });
    }),
  );
}

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
    if (capability.datapath === "simulated") return await bringUpSimulated(options, capability);
    const known = await readRunRecord(paths.runRecord);
    const labRuns = known?.lab !== undefined && known.lab !== null && labAlive(known.lab);
    const { record, count } = await prepareRecord(paths, options, labRuns);

    const server = await ensureServer(paths, options, record, known);
    const note = async (lab: LabProcess | null): Promise<void> => {
      const { identity, port, url } = server;
      await writeRunRecord(paths.runRecord, {
        version: 1,
        datapath: "ovs",
        why: null,
        port,
        url,
        server: identity,
        lab,
      });
      await markRunning(options.runningMarks, lab === null ? [identity] : [identity, lab.first]);
    };
    let lab = labRuns ? (known?.lab ?? null) : null;
    await note(lab);
    if (lab === null) {
      onStep("starting the lab");
      if (known?.lab !== undefined && known.lab !== null) await stopLab(known.lab, paths.labSocket, 0);
      lab = await startLab({ dataDirectory: paths.root, selvage: options.selvage, serverSocket: paths.serverSocket });
      await note(lab);
    }

    const api = await adminApi(paths, server.url);
    const range = parseUnderlay(record.underlay);
    onStep(`starting ${count} hosts, each with its own switch and agent`);
    await Promise.all(
      hostNames(count).map(async (name, index) => {
        const token = await tokenFor(api, paths, name);
        await askControl(paths.labSocket, {
          op: "host",
          name,
          number: index + 1,
          tunnelIp: range.addressOf(index + 1),
          token,
        });
      }),
    );
    await settledLab(paths.labSocket, HOSTS_TIMEOUT_MS);
    await until("not every host's agent reached the server", HOSTS_TIMEOUT_MS, async () => {
      const status = await askStatus(api);
      return status.hosts.filter((host) => host.alive).length >= count ? status : undefined;
    });

    onStep("making the demo: two projects with the same addresses");
    const plan = demoPlan(hostNames(count));
    await ensureDemo(api, plan, paths);
    onStep("plugging its machines and waiting for their addresses (DHCP)");
    await Promise.all(
      plan.flatMap((project) =>
        project.machines.map((machine) => plug(api, paths.labSocket, machine.port, machine.host, LEASE_TIMEOUT_MS)),
      ),
    );
    await rebind(api, paths.labSocket);
    onStep("pinging within the projects and between them");
    const pings = await prove(lab, paths.labSocket, plan);
    return {
      datapath: "ovs",
      why: null,
      url: server.url,
      port: server.port,
      dataDirectory: paths.root,
      status: await askStatus(api),
      lab: await askControl(paths.labSocket, { op: "state" }),
      demo: plan,
      pings,
    };
  } finally {
    await lock.release();
  }
}

async function bringUpSimulated(_options: UpOptions, capability: Capability): Promise<FabricReport> {
  throw new LabError("capability", capability.why ?? "the simulated datapath runs");
}

/** Everything of a fabric that a command needs while it runs. */
export interface RunningFabric {
  readonly paths: DataPaths;
  readonly record: RunRecord;
  readonly api: Api;
}

/**
 * Opens the fabric of a data directory.
 * @throws LabError `not-running` when nothing runs there.
 */
export async function openFabric(dataDirectory: string): Promise<RunningFabric> {
  const paths = dataPaths(dataDirectory);
  const record = await readRunRecord(paths.runRecord);
  if (record === undefined)
    throw new LabError(
      "not-running",
      `no fabric runs in ${paths.root}`,
      "start one: ./selvage up, or name its --data DIR",
    );
  if (!isAlive(record.server))
    throw new LabError("not-running", "the fabric's server has ended", "repair it: ./selvage up");
  return { paths, record, api: await adminApi(paths, record.url) };
}

/** The lab of a running fabric. */
export function labOf(fabric: RunningFabric): LabProcess {
  const { lab } = fabric.record;
  if (lab === null)
    throw new LabError(
      "capability",
      "this fabric runs the simulated datapath: it has no machines to enter",
      fabric.record.why ?? undefined,
    );
  if (!labAlive(lab)) throw new LabError("not-running", "the lab has ended", "repair it: ./selvage up");
  return lab;
}

export interface DownOptions {
  readonly dataDirectory: string;
  readonly runningMarks: string;
  /** Whether the data stay or go. */
  readonly data: "keep" | "purge";
  readonly onStep: (step: string) => void;
}

/** What `down` found and did. */
export interface DownReport {
  readonly wasRunning: boolean;
  readonly purged: boolean;
}

const OWN_NAMES = ["run.json", "lab.json", "lab.sock", "demo.json", "lock", "server", "hosts", "log"];

/** Ends all of a fabric; its data stay unless purged. Harmless when nothing runs. */
export async function takeDown(options: DownOptions): Promise<DownReport> {
  const paths = dataPaths(options.dataDirectory);
  const known = await readRunRecord(paths.runRecord).catch((cause: unknown) => {
    if (options.data === "purge") return undefined;
    throw cause;
  });
  const there = known !== undefined || (await readLabRecord(paths.labRecord).catch(() => undefined)) !== undefined;
  if (!there && options.data === "keep") return { wasRunning: false, purged: false };
  await mkdir(paths.root, { recursive: true, mode: 0o755 });
  const lock = await lockData(paths.lock);
  try {
    if (known !== undefined) {
      if (known.lab !== null) {
        options.onStep("ending the lab");
        await stopLab(known.lab, paths.labSocket, 6_000);
      }
      options.onStep("ending the server");
      await stopServerProcess(known.server);
      const marks: readonly ProcessIdentity[] = known.lab === null ? [known.server] : [known.server, known.lab.first];
      await unmarkRunning(options.runningMarks, marks);
      await rm(paths.runRecord, { force: true });
    }
    if (options.data === "purge") {
      options.onStep(`removing ${paths.root}`);
      // Only what is ours: a directory that someone named by mistake keeps all else.
      await Promise.all(OWN_NAMES.map((name) => rm(join(paths.root, name), { recursive: true, force: true })));
    }
    return { wasRunning: known !== undefined, purged: options.data === "purge" };
  } catch (cause) {
    throw cause instanceof LabError ? cause : new LabError("start-failed", message(cause));
  } finally {
    await lock.release();
    if (options.data === "purge") await rmdir(paths.root).catch(() => undefined); // not empty: not only ours
  }
}
