/** From the request that makes a port to the first ping that is answered from it, by ports and hosts that there are; and what of it is recomputed. */
import { plug } from "@selvage/lab";
import { type ApiClient, type Json, makeNetwork } from "./api-client.ts";
import { type Bench, inDirectory, type Size, until } from "./bench.ts";
import { agentMetrics, type Fabric, openBenchFabric, SwitchDatabase } from "./fabric.ts";
import { numberText, percentile, type Report, spread } from "./figures.ts";
import { type GuestPlan, leaseTime, makeGuest, removeGuest, startProbe } from "./guest.ts";

interface Plan {
  readonly hosts: readonly number[];
  readonly ports: readonly number[];
  /** Beyond those: only what is recomputed is counted, not timed. */
  readonly countedAt: number;
  readonly samples: number;
}

const plans: Readonly<Record<Size, Plan>> = {
  quick: { hosts: [2, 10], ports: [10, 1_000], countedAt: 10_000, samples: 60 },
  full: { hosts: [2, 10], ports: [10, 1_000, 5_000], countedAt: 10_000, samples: 200 },
};

/** OVN 23.03 on such a machine, a port added and bound until `--wait=hv sync` returns, with a remote group: ms by hosts and ports. */
const ovn: Readonly<Record<string, number>> = {
  "2/10": 73,
  "2/1000": 662,
  "2/5000": 11_538,
  "10/10": 152,
  "10/1000": 1_306,
};

const warmUps = 5;
const leases = 20;
const second = 77;

/** Where everything of one fabric is. */
interface Scene {
  readonly fabric: Fabric;
  readonly network: string;
  readonly subnet: string;
  readonly directory: string;
  readonly database: SwitchDatabase;
  readonly target: GuestPlan["target"];
}

/** Ms since the POST was sent. */
interface Sample {
  readonly replied: number;
  readonly named: number;
  readonly answered: number;
  /** How long its DHCP client took, where it was asked. */
  readonly leased: number | undefined;
}

async function openScene(fabric: Fabric): Promise<Scene> {
  const { api, labApi, paths } = fabric;
  const { network, subnet } = await makeNetwork(api, "first-ping", second);
  const port = await api.create("port", { network_id: network, name: "target", "binding:host_id": "h2" });
  const machine = await plug(labApi, paths.labSocket, port.id, "h2", 20_000);
  const [host] = (await fabric.state()).hosts.filter(({ name }) => name === "h1");
  if (host === undefined || machine.ipv4 === null) throw new Error("the target has no address");
  const address = machine.ipv4.split("/")[0] ?? "";
  const target = { address, mac: machine.mac, namespace: machine.namespace };
  return {
    fabric,
    network,
    subnet,
    directory: host.directory,
    database: await SwitchDatabase.open(host.directory),
    target,
  };
}

/** Makes ports until the network has so many, spread over all hosts; none of them is plugged. */
async function fill({ fabric: { api }, network }: Scene, hosts: number, from: number, to: number): Promise<void> {
  const values = Array.from({ length: Math.max(0, to - from) }, (_, at) => ({
    network_id: network,
    name: `there-${from + at}`,
    "binding:host_id": `h${1 + (at % hosts)}`,
  }));
  await api.createMany("port", values);
}

async function allInForce(api: ApiClient): Promise<void> {
  await until("not every host has the newest revision in force", 120_000, async () => {
    const { revision, hosts } = await api.ask("GET", "/v1/status");
    return (hosts as readonly Json[]).every((host) => host.in_force === revision) ? true : undefined;
  });
}

function guestOf({ target }: Scene, number: number): GuestPlan {
  const octets = [number >> 8, number & 255].map((octet) => octet.toString(16).padStart(2, "0"));
  return {
    name: `bench${number}`,
    host: "h1",
    // Not of the prefix from which the server gives MAC addresses itself.
    mac: `02:5e:be:00:${octets.join(":")}`,
    address: `10.${second}.${250 + Math.floor(number / 250)}.${1 + (number % 250)}`,
    prefix: 16,
    target,
  };
}

/** Makes a guest, a port for it and plugs it; waits for the first answer; asks for a lease when that is wanted; takes all away again. */
async function sample(scene: Scene, guest: GuestPlan, lease: "asked" | "not asked"): Promise<Sample> {
  const { fabric, network, subnet, database } = scene;
  const { api } = fabric;
  await makeGuest(fabric, guest);
  await database.add(guest.name);
  const probe = startProbe(fabric, guest);
  let made: string | undefined;
  try {
    await probe.sending;
    const begin = performance.now();
    const { id } = await api.create("port", {
      network_id: network,
      mac_address: guest.mac,
      fixed_ips: [{ subnet_id: subnet, ip_address: guest.address }],
      "binding:host_id": guest.host,
    });
    made = id;
    const replied = performance.now();
    await database.name(guest.name, id);
    const named = performance.now();
    const answered = await probe.answered(10_000);
    await probe.stop();
    const leased = lease === "asked" ? await leaseTime(fabric, guest) : undefined;
    return { replied: replied - begin, named: named - begin, answered: answered - begin, leased };
  } finally {
    await probe.stop();
    await database.remove(guest.name);
    if (made !== undefined) await api.ask("DELETE", `/v2.0/ports/${made}`);
    await removeGuest(fabric, guest);
  }
}

/** What an agent ran and changed for one port more on another host of the network. */
interface Cost {
  readonly derivations: number;
  readonly rows: number;
  readonly fullRecomputes: number;
}

const countedPorts = 10;

/** The mean over some ports that are made and stay, each for itself. */
async function costOfPort({ fabric: { api }, network, directory }: Scene): Promise<Cost> {
  await allInForce(api);
  const before = await agentMetrics(directory);
  for (let at = 0; at < countedPorts; at += 1) {
    await api.create("port", { network_id: network, "binding:host_id": "h2" });
    await allInForce(api);
  }
  const after = await agentMetrics(directory);
  const more = (name: string): number => {
    const [then, now] = [before.get(name), after.get(name)];
    if (then === undefined || now === undefined) throw new Error(`the agent does not tell ${name}`);
    return now - then;
  };
  return {
    derivations: more("derivations_run") / countedPorts,
    rows: more("rows_changed") / countedPorts,
    fullRecomputes: after.get("full_recomputes") ?? Number.NaN,
  };
}

function tell(report: Report, hosts: number, ports: number, samples: readonly Sample[]): number {
  const answered = samples.map((each) => each.answered);
  const p50 = percentile(answered, 0.5);
  const part = (of: (one: Sample) => number): string => numberText(percentile(samples.map(of), 0.5));
  const theirs = ovn[`${hosts}/${ports}`];
  report.add({
    name: `POST to first ping answered, p50, ${hosts} hosts, ${ports.toLocaleString("en-US")} ports`,
    value: p50,
    unit: "ms",
    aim: { is: "<", value: 50 },
    beside: [
      `ms: ${spread(answered)}`,
      `of it the reply ${part((one) => one.replied)}, iface-id ${part((one) => one.named - one.replied)}, the rest ${part((one) => one.answered - one.named)}`,
      ...(theirs === undefined ? [] : [`OVN until its rows are in force: ${numberText(theirs)}`]),
    ].join("; "),
  });
  const leased = samples.flatMap((one) => one.leased ?? []);
  if (leased.length > 0) {
    report.add({
      name: `DHCP client from start to lease, p50, ${hosts} hosts, ${ports.toLocaleString("en-US")} ports`,
      value: percentile(leased, 0.5),
      unit: "ms",
      beside: `ms, with its process: ${spread(leased)}`,
    });
  }
  return p50;
}

/** One fabric, filled step by step; gives p50 by ports, and the costs by ports. */
async function measure(report: Report, hosts: number, plan: Plan) {
  return inDirectory(async (directory) => {
    report.step(`bringing up ${hosts} hosts`);
    await using fabric = await openBenchFabric(directory, hosts);
    const scene = await openScene(fabric);
    using _database = scene.database;
    const medians: number[] = [];
    const costs: { readonly ports: number; readonly cost: Cost }[] = [];
    let there = 1;
    let guests = 0;
    const grow = async (ports: number): Promise<void> => {
      report.step(`${ports} ports`);
      await fill(scene, hosts, there, ports);
      there = Math.max(there, ports);
      await allInForce(fabric.api);
    };
    for (const ports of plan.ports) {
      await grow(ports);
      const samples: Sample[] = [];
      for (let at = 0; at < warmUps + plan.samples; at += 1) {
        guests += 1;
        const one = await sample(scene, guestOf(scene, guests), at < warmUps + leases ? "asked" : "not asked");
        if (at >= warmUps) samples.push(one);
      }
      medians.push(tell(report, hosts, ports, samples));
      costs.push({ ports, cost: await costOfPort(scene) });
      there += countedPorts;
    }
    if (hosts === plan.hosts[0]) {
      await grow(plan.countedAt);
      costs.push({ ports: plan.countedAt, cost: await costOfPort(scene) });
    }
    return { medians, costs };
  });
}

async function run(report: Report, size: Size): Promise<void> {
  const plan = plans[size];
  for (const hosts of plan.hosts) {
    const { medians, costs } = await measure(report, hosts, plan);
    report.add({
      name: `slowest p50 to fastest over ${plan.ports.join(", ")} ports, ${hosts} hosts`,
      value: Math.max(...medians) / Math.min(...medians),
      unit: "times",
      aim: { is: "<", value: 1.5 },
    });
    const by = (of: (cost: Cost) => number): readonly number[] => costs.map(({ cost }) => of(cost));
    const where = costs.map(({ ports }) => ports.toLocaleString("en-US")).join(" / ");
    for (const [what, values] of [
      ["derivations run", by((cost) => cost.derivations)],
      ["rows changed", by((cost) => cost.rows)],
    ] as const) {
      report.add({
        name: `${what} on a host for one port more, ${hosts} hosts: largest less smallest`,
        value: Math.max(...values) - Math.min(...values),
        unit: "",
        aim: { is: "<", value: 2.01 },
        beside: `${values.map(numberText).join(" / ")} at ${where} ports`,
      });
    }
    report.add({
      name: `full recomputes, ${hosts} hosts`,
      value: Math.max(...by((cost) => cost.fullRecomputes)),
      unit: "",
      aim: { is: "<", value: 1 },
    });
  }
}

export const firstPing: Bench = {
  name: "first-ping",
  what: "from POST of a port to the first ping answered from it, and what one port more recomputes",
  needs: "switch",
  run,
};
