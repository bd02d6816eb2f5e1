/** One topology with its packets, on the simulated switches and on the real ones: the first packet whose ends differ is a divergence. */

import type { ReasonCode } from "@selvage/base";
import { decode, summary } from "@selvage/packet";
import { fabricIngress, rowText } from "@selvage/pipeline";
import fc from "fast-check";
import { type Crossing, difference } from "./ending.ts";
import { type RealSide, underlays } from "./real-side.ts";
import { frameOf, type Shot, shots } from "./shots.ts";
import { type Entry, type SimulatedEnd, SimulatedSide } from "./simulated-side.ts";
import { hostName, type Interface, type Topology, type TopologyPlan, topologies, topologyOf } from "./topology.ts";

export interface Scenario {
  readonly plan: TopologyPlan;
  readonly shots: readonly Shot[];
}

const shotsATopology = 250;
export const scenarios: fc.Arbitrary<Scenario> = fc.record({
  plan: topologies,
  shots: fc.array(shots, { minLength: 1, maxLength: shotsATopology, size: "max" }),
});

/** A packet ended in one way here and in another there. */
export class Divergence extends Error {
  constructor(what: string, facts: readonly string[]) {
    super(`${what}\n${facts.join("\n")}`);
    this.name = "Divergence";
  }
}

/** A packet as it enters the fabric. */
type Thrown =
  | { readonly interface: Interface; readonly frame: Uint8Array }
  | { readonly crossing: Crossing; readonly frame: Uint8Array };

/** What a shot is in a topology; undefined where the topology has nothing that could send it. */
function thrown(shot: Shot, topology: Topology, version: 4 | 6): Thrown | undefined {
  if (shot.enters === "interface") {
    const bound = topology.interfaces.filter((each) => each.isBound);
    const pool = shot.bound && bound.length > 0 ? bound : topology.interfaces;
    const from = pool[shot.interface % pool.length];
    return from && { interface: from, frame: frameOf(shot.frame, topology, from.names) };
  }
  const { addresses, stranger } = underlays[version];
  const { networkKeys, portKeys } = topology;
  const dstPort = portKeys[shot.dstPort % portKeys.length] ?? 0;
  const fitting = shot.fitting ? topology.networkOf.get(dstPort) : undefined;
  const frame = frameOf(shot.frame, topology, null);
  return {
    frame,
    crossing: {
      by: shot.by,
      from: addresses[shot.from] ?? stranger,
      to: addresses[shot.to] ?? stranger,
      key: fitting ?? networkKeys[shot.net % networkKeys.length] ?? 0,
      srcPort: shot.by === "vxlan" ? 0 : (portKeys[shot.srcPort % portKeys.length] ?? 0),
      dstPort: shot.by === "vxlan" ? 0 : dstPort,
      frame,
    },
  };
}

/**
 * Plays a scenario on both sides: every packet is really sent, then the drops are counted, then every packet is traced. `passed` is called with each
 * that ended alike. Throws Divergence.
 */
export async function compare(
  real: RealSide,
  { plan, shots: all }: Scenario,
  passed: (entries: readonly Entry[]) => void,
): Promise<void> {
  const topology = topologyOf(plan, real.addresses);
  await real.install(topology, plan.change);
  const rows = real.hosts.map((host) => [...host.rows]);
  const simulated = await SimulatedSide.make(real.addresses, topology, rows);
  const wireOf = ({ host, ingress }: Entry): number =>
    topology.interfaces.find((each) => each.host === host && each.ingress === ingress)?.wire ?? 0;
  const fail = async (one: Thrown, { entries }: SimulatedEnd, facts: readonly string[]): Promise<never> => {
    const counted = miscounts(await simulated.drops(), await real.drops());
    const account = ["drops so far:", ...counted, ...(await explained(real, entries, wireOf))];
    await real.forget();
    throw new Divergence(described(one), [...facts, ...account]);
  };
  const sent: { readonly one: Thrown; readonly end: SimulatedEnd }[] = [];
  for (const one of all.flatMap((shot) => thrown(shot, topology, real.version) ?? [])) {
    const isSent = "interface" in one;
    const end = isSent
      ? simulated.send(one.interface.host, one.interface.ingress, one.frame)
      : simulated.inject(one.crossing);
    const there = isSent
      ? await real.send(one.interface.host, one.interface.wire, one.frame)
      : await real.inject(one.crossing);
    const facts = difference(end.ending.ends, there.ends);
    if (facts.length > 0) await fail(one, end, facts);
    sent.push({ one, end });
  }
  const counts = miscounts(await simulated.drops(), await real.drops());
  for (const { one, end } of sent) {
    const told = await real.explain(end.entries, wireOf);
    const facts = difference(end.ending.way, told.way);
    if (facts.length > 0) await fail(one, end, facts);
    passed(end.entries);
  }
  await real.forget();
  if (counts.length > 0) throw new Divergence("drops are counted differently", counts);
}

function described(one: Thrown): string {
  const read = decode(one.frame);
  const words = read.ok ? summary(read.packet) : "a frame that is malformed";
  const where =
    "interface" in one
      ? `from wire${one.interface.wire} of host ${one.interface.host + 1}, ${one.interface.ingress}`
      : `from the underlay: ${JSON.stringify({ ...one.crossing, frame: undefined })}`;
  return `${words}\n${where}\nbytes ${Buffer.from(one.frame).toString("hex")}\nends differ (- simulated, + real):`;
}

/**
 * Drops that the two sides count differently. A real switch credits what follows a measured length for both outcomes with each packet (ovs-actions(7),
 * "check_pkt_larger"), so that for each frame that is too large another drop may be counted as well.
 */
function miscounts(
  simulated: readonly ReadonlyMap<ReasonCode, number>[],
  real: readonly ReadonlyMap<ReasonCode, number>[],
): readonly string[] {
  return simulated.flatMap((expected, host) => {
    const found = real[host] ?? new Map<ReasonCode, number>();
    const tooLarge = expected.get("mtu-exceeded") ?? 0;
    return [...new Set([...expected.keys(), ...found.keys()])].flatMap((reason) => {
      const [wanted, counted] = [expected.get(reason) ?? 0, found.get(reason) ?? 0];
      const isRight =
        counted === wanted || (reason !== "mtu-exceeded" && counted > wanted && counted <= wanted + tooLarge);
      return isRight ? [] : [`${hostName(host)} ${reason}: ${wanted} simulated, ${counted} real`];
    });
  });
}

/** Both sides' whole account of a packet. */
async function explained(
  real: RealSide,
  entries: readonly Entry[],
  wireOf: (entry: Entry) => number,
): Promise<readonly string[]> {
  const visits = entries.flatMap(({ host, ingress, trace }) => [
    `simulated on host ${host + 1}, ${ingress.startsWith(fabricIngress) ? "out of a tunnel" : `from ${ingress}`}:`,
    ...trace.visits.map(({ table, row }) => `  ${table}: ${row === undefined ? "miss" : rowText(row)}`),
    ...trace.outcomes.map((outcome) => `  ends: ${JSON.stringify({ ...outcome, frame: undefined })}`),
  ]);
  return ["", ...visits, "", ...(await real.words(entries, wireOf))];
}
