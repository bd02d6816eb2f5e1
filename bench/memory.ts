/** What the agent and the server hold in memory, after collection, by how many ports there are; and how the server starts and stalls with many. */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { bareLab } from "@selvage/lab/testing";
import { ApiClient, type Json, makeNetwork } from "./api-client.ts";
import { type Bench, inDirectory, type Size, until, whenInterrupted } from "./bench.ts";
import { type Child, startChild } from "./child.ts";
import { numberText, percentile, type Report, spread } from "./figures.ts";
import type { AgentAnswers, StartAgent } from "./memory-agent-child.ts";
import { held, type MemoryUse, mebibytes } from "./memory-use.ts";
import type { ServerAnswers } from "./server-child.ts";

const beside = (use: MemoryUse): string =>
  `heap ${numberText(mebibytes(use.heap))}, columns ${numberText(mebibytes(use.buffers))}, resident ${numberText(mebibytes(use.resident))} MiB`;

const remotePorts: Readonly<Record<Size, readonly number[]>> = { quick: [10_000], full: [10_000, 50_000] };

/** Waits until all is in force on the switch, and what was in its hands for that has been let go (its cache is written beside it); gives the memory then. */
async function settledMemory(agent: Child<AgentAnswers>, revision: number): Promise<MemoryUse> {
  await until("the agent is not in step", 120_000, async () => {
    const { inForce } = await agent.ask("status");
    return inForce !== null && inForce >= revision ? true : undefined;
  });
  let last = await agent.ask("memory");
  return until(
    "the agent's memory does not come to rest",
    60_000,
    async () => {
      const before = last;
      last = await agent.ask("memory");
      return Math.abs(held(before) - held(last)) < 2 ** 16 ? last : undefined;
    },
    1_000,
  );
}

async function agentMemory(report: Report, size: Size): Promise<void> {
  await inDirectory(async (directory) => {
    await using lab = await bareLab({ hosts: 1 });
    using interruption = new DisposableStack();
    interruption.defer(whenInterrupted(() => lab[Symbol.asyncDispose]()));
    await using server = startChild<ServerAnswers>("server-child.ts");
    const dataDir = join(directory, "server");
    const socket = join(directory, "server.sock");
    const { url } = await server.ask("start", { dataDir, socket });
    const api = await ApiClient.admin(url, dataDir);
    const [host] = (await lab.state()).hosts;
    if (host === undefined) throw new Error("the lab has no host");
    const tokenOf = async (name: string): Promise<string> => {
      const { token, ca_fingerprint } = await api.ask("POST", "/v1/hosts", { name });
      return `${String(token)}.${String(ca_fingerprint)}`;
    };
    const token = await tokenOf(host.name);
    await using far = startChild<AgentAnswers>("memory-agent-child.ts");
    await using agent = startChild<AgentAnswers>("memory-agent-child.ts");
    const start: StartAgent = {
      server: `unix:${socket}`,
      token,
      dataDir: join(directory, "agent"),
      database: `unix:${join(host.directory, "run", "db.sock")}`,
      tunnelIp: host.tunnelIp,
    };
    await agent.ask("start", start);
    // The other host has joined, so that its ports are behind a tunnel; nothing of it runs on.
    const elsewhere = { token: await tokenOf("far"), dataDir: join(directory, "far"), tunnelIp: "198.18.200.1" };
    await far.ask("start", { ...start, ...elsewhere, database: "unix:/nonexistent" });
    await until("the other host said where its tunnels end", 20_000, async () => {
      const reply = await api.ask("GET", "/v1/hosts");
      const hosts = reply.hosts as readonly Json[];
      return hosts.every((each) => typeof each.tunnel_ip === "string" && each.tunnel_ip !== "") ? true : undefined;
    });
    await far.end();

    const { network, subnet } = await makeNetwork(api, "memory", 1);
    const local = await api.create("port", { network_id: network, "binding:host_id": host.name });
    const addresses = local.fixed_ips as readonly { readonly ip_address: string }[];
    await lab.plug(
      {
        port: local.id,
        name: "local",
        host: host.name,
        mac: String(local.mac_address),
        ipv6: [],
        dhcp: true,
      },
      20_000,
    );
    if (addresses.length !== 1 || subnet === "") throw new Error("the local port has no address");
    const remote = async (count: number): Promise<void> => {
      const values = Array.from({ length: count }, (_, at) => ({
        network_id: network,
        name: `remote-${at}`,
        "binding:host_id": "far",
      }));
      await api.createMany("port", values);
    };
    const revision = async (): Promise<number> => {
      const { revision: now } = await api.ask("GET", "/v1/status");
      return Number(now);
    };
    await remote(1);
    const one = await settledMemory(agent, await revision());
    report.add({ name: "agent, 1 remote port", value: mebibytes(held(one)), unit: "MiB", beside: beside(one) });
    let there = 1;
    let before = one;
    for (const count of remotePorts[size]) {
      report.step(`making ${count} remote ports`);
      await remote(count - there);
      const many = await settledMemory(agent, await revision());
      const { rows } = await agent.ask("status");
      report.add({
        name: `agent, ${count.toLocaleString("en-US")} remote ports`,
        value: mebibytes(held(many)),
        unit: "MiB",
        ...(count === 10_000 ? { aim: { is: "<", value: 120 } as const } : {}),
        beside: `${beside(many)}; ${rows.toLocaleString("en-US")} rows`,
      });
      report.add({
        name: `agent, each of ${count.toLocaleString("en-US")} remote ports`,
        value: (held(many) - held(one)) / (count - 1),
        unit: "bytes",
        aim: { is: "<", value: 1024 },
        beside: [
          `resident ${numberText((many.resident - one.resident) / (count - 1))} bytes each`,
          ...(there === 1
            ? []
            : [`each beyond ${there}: ${numberText((held(many) - held(before)) / (count - there))}`]),
        ].join("; "),
      });
      there = count;
      before = many;
    }
    api.close();
  });
}

const serverPorts = 100_000;

/** What lists of a server with many ports cost, and how long each keeps everybody else waiting. */
async function tellLists(report: Report, server: Child<ServerAnswers>, api: ApiClient): Promise<void> {
  const lists = [
    ["the 1,000 of one network", 10, "network_id=NETWORK"],
    ["a page of 1,000", 10, "limit=1000"],
    ["a page of 1,000, by name", 10, "limit=1000&sort_key=name&sort_dir=desc"],
    ["all of them in one reply", 3, ""],
  ] as const;
  const { networks } = await api.ask("GET", "/v2.0/networks?name=n0");
  const [network] = networks as readonly Json[];
  await server.ask("stall");
  for (const [what, times, query] of lists) {
    const taken: number[] = [];
    for (let at = 0; at < times; at += 1) {
      const before = performance.now();
      await api.ask("GET", `/v2.0/ports?${query.replace("NETWORK", String(network?.id))}`);
      taken.push(performance.now() - before);
    }
    report.add({
      name: `server, 100,000 ports: longest stall while it lists ${what}`,
      value: await server.ask("stall"),
      unit: "ms",
      aim: { is: "<", value: 200 },
      beside: `lists, ms: ${spread(taken)}`,
    });
  }
}

async function serverMemory(report: Report): Promise<void> {
  await inDirectory(async (directory) => {
    const dataDir = join(directory, "server");
    const socket = join(directory, "server.sock");
    let empty: MemoryUse;
    let full: MemoryUse;
    {
      await using server = startChild<ServerAnswers>("server-child.ts");
      const { url } = await server.ask("start", { dataDir, socket });
      const api = await ApiClient.admin(url, dataDir);
      empty = await server.ask("memory");
      report.add({ name: "server, empty", value: mebibytes(held(empty)), unit: "MiB", beside: beside(empty) });
      report.step(`making ${serverPorts} ports on 100 networks and 100 hosts`);
      for (let host = 0; host < 100; host += 1) await api.ask("POST", "/v1/hosts", { name: `host-${host}` });
      const perNetwork = serverPorts / 100;
      for (let at = 0; at < 100; at += 1) {
        const { network } = await makeNetwork(api, `n${at}`, at);
        const values = Array.from({ length: perNetwork }, (_, port) => ({
          network_id: network,
          name: `port-${at}-${port}`,
          device_id: randomUUID(),
          device_owner: "compute:nova",
          "binding:host_id": `host-${port % 100}`,
        }));
        await api.createMany("port", values);
      }
      report.add({
        name: "server: longest stall while 100,000 ports are made, 500 a request",
        value: await server.ask("stall"),
        unit: "ms",
        aim: { is: "<", value: 200 },
      });
      full = await server.ask("memory");
      report.add({
        name: "server, 100,000 ports, beyond empty",
        value: mebibytes(held(full) - held(empty)),
        unit: "MiB",
        aim: { is: "<", value: 200 },
        beside: beside(full),
      });
      await server.ask("stall");
      const { network } = await makeNetwork(api, "last", 200);
      const times: number[] = [];
      for (let at = 0; at < 500; at += 1) {
        const before = performance.now();
        await api.create("port", { network_id: network, name: `late-${at}` });
        times.push(performance.now() - before);
      }
      report.add({
        name: "server, 100,000 ports: longest stall while 500 more are made one by one",
        value: await server.ask("stall"),
        unit: "ms",
        aim: { is: "<", value: 200 },
        beside: `creates, ms: ${spread(times)}`,
      });
      report.add({ name: "server, 100,000 ports: create p50, 1 client", value: percentile(times, 0.5), unit: "ms" });
      await tellLists(report, server, api);
      api.close();
    }
    await using again = startChild<ServerAnswers>("server-child.ts");
    const { milliseconds } = await again.ask("start", { dataDir, socket });
    const stall = await again.ask("stall");
    report.add({
      name: "server, start with 100,000 ports",
      value: milliseconds / 1000,
      unit: "s",
      aim: { is: "<", value: 5 },
    });
    report.add({
      name: "server, longest stall while it starts with 100,000 ports",
      value: stall,
      unit: "ms",
      aim: { is: "<", value: 200 },
      beside: "before it serves: nobody waits for it yet",
    });
    const started = await again.ask("memory");
    report.add({
      name: "server, started anew with 100,000 ports, beyond empty",
      value: mebibytes(held(started) - held(empty)),
      unit: "MiB",
      aim: { is: "<", value: 200 },
      beside: beside(started),
    });
  });
}

async function run(report: Report, size: Size): Promise<void> {
  if (process.getuid?.() === 0) await agentMemory(report, size);
  else report.step("the agent is passed over: its switch needs root");
  await serverMemory(report);
}

export const memory: Bench = {
  name: "memory",
  what: "memory of agent and server by ports, after collection; start and stalls of a server with many",
  needs: "nothing",
  run,
};
