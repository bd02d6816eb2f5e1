/** What each host of a soak must be found like, whatever was done to it: no packet fell through the program, the switch holds the rows that are wanted, no row was worked out twice. */

import { request } from "node:http";
import { askAgent, at } from "@selvage/lab";
import { until } from "@selvage/lab/testing";
import { selvageProgram } from "@selvage/pipeline";
import type { Fabric } from "../support/guests.ts";

const WAIT_MS = 120_000;

export interface HostFindings {
  readonly host: string;
  readonly rows: number;
  /** Packets dropped since the switch started, by reason. */
  readonly drops: Readonly<Record<string, number>>;
  /** What is wrong, in words. */
  readonly faults: readonly string[];
}

const listAt = (value: unknown, key: string): readonly unknown[] => {
  const found = at(value, key);
  return Array.isArray(found) ? found : [];
};

/** An agent's metrics, in Prometheus's text format. */
function metricsOf(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: "/metrics" }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve(text)).on("error", reject);
    });
    asked.on("error", reject).end();
  });
}

const numberIn = (metrics: string, name: string): number =>
  Number(new RegExp(`^selvage_${name}(?:\\{[^}]*\\})? (\\S+)$`, "m").exec(metrics)?.[1] ?? Number.NaN);

/** Packets for which a host's program had no row: at any time, whether told or not. */
export const missed = (fabric: Fabric, host: string): number => fabric.dropped(host, "table-miss");

/** Looks at a host that has come to rest. */
export async function look(fabric: Fabric, host: string): Promise<HostFindings> {
  const socket = await fabric.agent(host);
  const faults: string[] = [];
  const constants = new Set(selvageProgram.constants.map(({ id }) => id)).size;
  // What the switch holds is read from it, and compared with what the agent wants: it may just be changing.
  const settled = async () => {
    const [status, flows] = [
      await askAgent(socket, "/v1/status"),
      listAt(await askAgent(socket, "/v1/flows"), "flows"),
    ];
    const rows = Number(at(status, "rows"));
    const foreign = flows.filter((flow) => at(flow, "row") === null);
    return { status, rows, foreign, missing: rows + constants - (flows.length - foreign.length) };
  };
  const found = await until(`${host} does not hold what is wanted`, WAIT_MS, async () => {
    const now = await settled();
    return now.missing === 0 && now.foreign.length === 0 ? now : undefined;
  }).catch(settled);
  if (found.missing !== 0) faults.push(`${found.missing} rows that are wanted are not on the switch`);
  for (const flow of found.foreign) faults.push(`on the switch, and nobody's: ${at(flow, "text")}`);
  for (const drift of listAt(found.status, "drift")) faults.push(`drift: ${JSON.stringify(drift)}`);
  for (const set of listAt(found.status, "quarantined")) faults.push(`set aside: ${JSON.stringify(set)}`);
  const metrics = await metricsOf(socket);
  for (const name of ["full_recomputes", "drift_rows_total", "quarantined"]) {
    const value = numberIn(metrics, name);
    if (value !== 0) faults.push(`selvage_${name} is ${value}`);
  }
  const misses = missed(fabric, host);
  if (misses > 0) faults.push(`table-miss: ${misses} packets`);
  const drops = Object.fromEntries(
    listAt(found.status, "drops").map((each) => [String(at(each, "reason")), Number(at(each, "packets"))]),
  );
  return { host, rows: found.rows, drops, faults };
}
