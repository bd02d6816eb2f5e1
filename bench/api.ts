/** How fast the API is: ports created for good (each answered when its entry is synced to disk) and lists read, by clients in a process of their own. */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { ApiClient, makeWideNetwork } from "./api-client.ts";
import { type Bench, inDirectory, type Size } from "./bench.ts";
import { type Child, startChild } from "./child.ts";
import { numberText, percentile, type Report, spread } from "./figures.ts";
import type { Load, LoadAnswers, Loaded } from "./load-child.ts";
import type { ServerAnswers } from "./server-child.ts";

/** A Neutron (Zed, one machine of this size) with the same request: ports created a second and ms, by clients. */
const neutronAtFour = { rate: 5.3, p50: 733 };

const seconds: Readonly<Record<Size, number>> = { quick: 4, full: 20 };

interface Measured extends Loaded {
  /** The server's processor time for one request, ms: what a busy machine changes least. */
  readonly busy: number;
}

async function measured(server: Child<ServerAnswers>, load: Child<LoadAnswers>, what: Load): Promise<Measured> {
  const before = await server.ask("busy");
  const result = await load.ask("run", what);
  const after = await server.ask("busy");
  if (result.failures > 0) throw new Error(`${result.failures} requests failed: ${result.firstFailure}`);
  return { ...result, busy: (after - before) / result.answered };
}

/** How long the disk takes to have 4 KiB for good: what no create can be faster than, unless it shares one. Ms. */
async function syncTimes(directory: string): Promise<readonly number[]> {
  await using file = await open(join(directory, "sync"), "w");
  const block = Buffer.alloc(4096);
  const times: number[] = [];
  for (let at = 0; at < 200; at += 1) {
    const before = performance.now();
    await file.write(block);
    await file.datasync();
    times.push(performance.now() - before);
  }
  return times;
}

function tellCreates(report: Report, clients: number, where: string, result: Measured): void {
  const { rate, latencies, busy } = result;
  const neutron =
    clients === 4
      ? `; Neutron at 4: ${neutronAtFour.rate} a second, so ${Math.round(rate / neutronAtFour.rate)} times that`
      : "";
  report.add({
    name: `ports created a second, ${clients === 1 ? "1 client" : `${clients} clients`}, ${where}`,
    value: rate,
    unit: "/s",
    ...(clients === 32 ? { aim: { is: ">=", value: 1000 } as const } : {}),
    beside: `ms: ${spread(latencies)}; server busy ${numberText(busy)} ms each${neutron}`,
  });
  if (clients !== 32) return;
  report.add({
    name: `create p99, ${clients} clients, ${where}`,
    value: percentile(latencies, 0.99),
    unit: "ms",
    aim: { is: "<", value: 100 },
  });
}

async function run(report: Report, size: Size): Promise<void> {
  await inDirectory(async (directory) => {
    await using server = startChild<ServerAnswers>("server-child.ts");
    await using load = startChild<LoadAnswers>("load-child.ts");
    const dataDir = join(directory, "server");
    const { url } = await server.ask("start", { dataDir, socket: join(directory, "server.sock") });
    const api = await ApiClient.admin(url, dataDir);
    await api.takeQuota();
    const milliseconds = seconds[size] * 1000;
    const { token } = api;
    const base = { url, token, milliseconds };

    const one = await makeWideNetwork(api, "one");
    const many = await Promise.all(Array.from({ length: 32 }, (_, at) => makeWideNetwork(api, `many-${at}`)));
    const creates = (networks: readonly string[]): Load["requests"] =>
      networks.map((network_id) => ({
        method: "POST",
        path: "/v2.0/ports",
        body: JSON.stringify({ port: { network_id, name: "bench" } }),
      }));

    const listed = await makeWideNetwork(api, "listed");
    const values = Array.from({ length: 1000 }, (_, at) => ({ network_id: listed, name: `listed-${at}` }));
    await api.createMany("port", values);
    const syncs = await syncTimes(directory);
    report.add({
      name: "this disk: 4 KiB written and synced, p50",
      value: percentile(syncs, 0.5),
      unit: "ms",
      beside: `ms: ${spread(syncs)}`,
    });
    report.step("warming up");
    await measured(server, load, { ...base, milliseconds: 2000, clients: 8, requests: creates([one]) });
    for (const [where, networks] of [
      ["one subnet", [one]],
      ["32 subnets", many],
    ] as const) {
      for (const clients of [1, 4, 32, 256]) {
        report.step(`${clients} clients, ${where}`);
        const result = await measured(server, load, { ...base, clients, requests: creates(networks) });
        tellCreates(report, clients, where, result);
      }
    }
    report.step("lists");
    const list = { method: "GET", path: `/v2.0/ports?network_id=${listed}` };
    const lists = await measured(server, load, { ...base, clients: 1, requests: [list] });
    report.add({
      name: "list of 1,000 ports p99, 1 client",
      value: percentile(lists.latencies, 0.99),
      unit: "ms",
      aim: { is: "<", value: 50 },
      beside: `ms: ${spread(lists.latencies)}; server busy ${numberText(lists.busy)} ms each`,
    });
    const four = await measured(server, load, { ...base, clients: 4, requests: [list] });
    report.add({ name: "lists of 1,000 ports a second, 4 clients", value: four.rate, unit: "/s" });
    report.add({
      name: "longest stall of the server's event loop meanwhile",
      value: await server.ask("stall"),
      unit: "ms",
    });
    api.close();
  });
}

export const api: Bench = {
  name: "api",
  what: "ports created and listed through the API, each create durable",
  needs: "nothing",
  run,
};
