/** A fabric that runs: how a command finds it and asks it. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Api, openApi } from "./api.ts";
import { LabError } from "./failure.ts";
import { type LabProcess, labAlive } from "./lab-process.ts";
import { type DataPaths, dataPaths } from "./paths.ts";
import { isAlive } from "./processes.ts";
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
