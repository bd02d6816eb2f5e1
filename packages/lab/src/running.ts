/** A fabric that runs: how a command finds it and asks it. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Api, at, openApi } from "./api.ts";
import { LabError } from "./failure.ts";
import { type LabProcess, labAlive } from "./lab-process.ts";
import { type DataPaths, dataPaths, readRecord } from "./paths.ts";
import { identify, isAlive } from "./processes.ts";
import { type RunRecord, readRunRecord } from "./run-record.ts";

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

/** The file that a server which runs by itself (a service) leaves in its data directory: `{pid, port, url, host}`. */
const SERVICE_RECORD = "ready.json";

/** A server that runs as a service on this very data directory: what `up` would have recorded of it. */
async function serviceRecord(root: string): Promise<(RunRecord & { readonly listens: string }) | undefined> {
  const value = await readRecord(join(root, SERVICE_RECORD));
  const [pid, port, url] = [at(value, "pid"), at(value, "port"), at(value, "url")];
  const server = typeof pid === "number" ? identify(pid) : undefined;
  if (server === undefined || typeof port !== "number" || typeof url !== "string") return undefined;
  const host = at(value, "host");
  const listens = typeof host === "string" ? host : new URL(url).hostname.replace(/^\[(.*)\]$/, "$1");
  return { version: 1, datapath: "ovs", why: null, port, url, server, lab: null, listens };
}

/** A fabric whose server answers. */
export interface RunningFabric {
  readonly paths: DataPaths;
  readonly record: RunRecord;
  /** The address that its server listens on. */
  readonly listens: string;
  readonly api: Api;
}

/** A lab whose machines can be entered; its server may be gone. */
export interface RunningLab {
  readonly paths: DataPaths;
  readonly lab: LabProcess;
}

async function recordOf(paths: DataPaths): Promise<RunRecord> {
  const record = await readRunRecord(paths.runRecord);
  if (record !== undefined) return record;
  throw new LabError(
    "not-running",
    `no fabric runs in ${paths.root}`,
    "start one: ./selvage up, or name its --data DIR",
  );
}

/**
 * Opens the fabric of a data directory, or the server that runs as a service on it.
 * @throws LabError `not-running` when its server does not run.
 */
export async function openFabric(dataDirectory: string): Promise<RunningFabric> {
  const ours = dataPaths(dataDirectory);
  const service = (await readRunRecord(ours.runRecord)) === undefined ? await serviceRecord(ours.root) : undefined;
  // A service's data directory is its server's own.
  const paths: DataPaths = service === undefined ? ours : { ...ours, server: ours.root };
  const record = service ?? (await recordOf(paths));
  if (!isAlive(record.server))
    throw new LabError("not-running", "the fabric's server has ended", "repair it: ./selvage up");
  // What `up` starts listens on the loopback address alone.
  return { paths, record, listens: service?.listens ?? "127.0.0.1", api: await adminApi(paths, record.url) };
}

/**
 * Opens the lab of a data directory, whether or not its server runs.
 * @throws LabError `not-running` when the lab does not run, `capability` when the fabric is simulated.
 */
export async function openLab(dataDirectory: string): Promise<RunningLab> {
  const paths = dataPaths(dataDirectory);
  const { lab, why } = await recordOf(paths);
  if (lab === null) {
    throw new LabError(
      "capability",
      "this fabric runs the simulated datapath: it has no machines to enter",
      why ?? undefined,
    );
  }
  if (!labAlive(lab)) throw new LabError("not-running", "the lab has ended", "repair it: ./selvage up");
  return { paths, lab };
}
