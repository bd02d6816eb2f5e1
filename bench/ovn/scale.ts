/** What one real switch holds of a large fabric whose other hosts are simulated, and what a member or a rule more changes there. */
import { percentile, type Report, spread } from "../figures.ts";
import { fromMembers, type Plan, type PlannedPort, services, spreadPorts } from "./plan.ts";
import type { SelvageSide } from "./selvage.ts";
import type { Side } from "./side.ts";

export interface Scale {
  readonly hosts: number;
  readonly portsOfHost: number;
  /** Members of each of the two groups. */
  readonly members: number;
}
export const large: Scale = { hosts: 1_000, portsOfHost: 10, members: 2_000 };

const perNetwork = 100;

/** Ports one after the other on each host, networks of a hundred on one router, the first of them in two groups by turns, whose rules are ten together. */
export function planOf({ hosts, portsOfHost, members }: Scale): Plan {
  const ports = spreadPorts(hosts * portsOfHost, { hosts, perNetwork }).map((port, at): PlannedPort => {
    if (at < members) return { ...port, group: "a" };
    return at < 2 * members ? { ...port, group: "b" } : port;
  });
  const groups = ["a", "b"].map((name) => ({ name, rules: [...services(4), ...fromMembers] }));
  return { hosts, networks: Math.ceil(ports.length / perNetwork), ports, groups };
}

/** The flows of the first host, once everything is in force. */
export async function flowsAtScale(report: Report, side: Side, scale: Scale): Promise<void> {
  const plan = planOf(scale);
  const [host] = side.hosts;
  if (host === undefined) throw new Error("a host is needed");
  await host.plugDummies(plan.ports.filter((port) => port.host === 1));
  const begun = performance.now();
  await side.build(plan);
  const seconds = (performance.now() - begun) / 1000;
  const { hosts, portsOfHost, members } = scale;
  report.add({
    name: `${side.name}: flows of a host, ${hosts} hosts × ${portsOfHost} ports, two groups of ${members}, 10 stateful rules`,
    value: await host.flows(),
    unit: "flows",
    ...(side.name === "Selvage" ? { aim: { is: "<", value: 20_000 } as const } : {}),
    beside: `from nothing in ${seconds.toFixed(1)} s`,
  });
}

const samples = 20;

/** A member more and a rule more beside so many members: rows and ms on the member's own host and on another. Gives the rows of each. */
export async function oneMore(report: Report, side: SelvageSide, members: number): Promise<readonly number[]> {
  const group = "a";
  const hosts = Math.max(2, Math.ceil(members / 10));
  const ports = spreadPorts(members, { hosts, perNetwork, group });
  const network = Math.ceil(members / perNetwork) + 1;
  const fresh = Array.from(
    { length: samples },
    (_, at): PlannedPort => ({ number: members + 1 + at, host: 2, network, group }),
  );
  for (const host of side.hosts)
    await host.plugDummies([...ports, ...fresh].filter((port) => port.host === host.number));
  // The first of them is there from the start, so that the network is.
  const [first, ...rest] = fresh;
  const all = first === undefined ? ports : [...ports, first];
  await side.build({
    hosts,
    networks: network,
    ports: all,
    groups: [{ name: group, rules: [...services(9), ...fromMembers] }],
  });
  const size = members.toLocaleString("en-US");
  const told: number[] = [];
  const tell = (what: string, runs: readonly (readonly { readonly rows: number; readonly ms: number }[])[]): void => {
    for (const [at, where] of [
      [1, "on its own host"],
      [0, "on another host"],
    ] as const) {
      const each = runs.flatMap((run) => run[at] ?? []);
      const ms = each.map((one) => one.ms);
      const rows = percentile(
        each.map((one) => one.rows),
        1,
      );
      told.push(rows);
      report.add({
        name: `Selvage: ${what} beside ${size} members, ${where}, until it is in force, p50`,
        value: percentile(ms, 0.5),
        unit: "ms",
        aim: { is: "<", value: 10 },
        beside: `${rows} rows; ms: ${spread(ms)}`,
      });
    }
  };
  const memberRuns = [];
  for (const port of rest) memberRuns.push(await side.timedAdd(port));
  tell("a member more", memberRuns);
  const ruleRuns = [];
  for (let at = 0; at < samples; at += 1)
    ruleRuns.push(await side.timedRule(group, { tcp: [20_000 + at, 20_000 + at] }));
  tell("a rule more", ruleRuns);
  return told;
}
