/** One topology with its packets, on the simulated switches and on the real ones: the first packet whose ends differ is a divergence. */

import { decode, Frame, summary } from "@selvage/packet";
import { fabricIngress, physicalName, rowText, serviceIngress } from "@selvage/pipeline";
import fc from "fast-check";
import { miscounts, slacksOf } from "./drops.ts";
import { type Crossing, difference, type Ending } from "./ending.ts";
import { OuterTalk } from "./outer-talk.ts";
import { type RealSide, underlays } from "./real-side.ts";
import { fromService } from "./service-shots.ts";
import { frameOf, manyOuterShots, manyShots, type Shot } from "./shots.ts";
import { type Entry, type SimulatedEnd, SimulatedSide } from "./simulated-side.ts";
import { Talk } from "./talk.ts";
import {
  type Interface,
  outerTopologies,
  serviceWire,
  type Topology,
  type TopologyPlan,
  topologies,
  topologyOf,
} from "./topology.ts";
import type { Heard } from "./wire.ts";
import { fromWire, isSpoilt } from "./wire-shots.ts";

export interface Scenario {
  readonly plan: TopologyPlan;
  readonly shots: readonly Shot[];
}

const shotsATopology = 70;
/** Machines, networks and routers; and an outside beyond them. */
export const scenarios: fc.Arbitrary<Scenario> = fc.record({
  plan: topologies,
  shots: manyShots(shotsATopology),
});
export const outerScenarios: fc.Arbitrary<Scenario> = fc.record({
  plan: outerTopologies,
  shots: manyOuterShots(shotsATopology),
});

/** A packet ended in one way here and in another there; or all ended alike, and drops are counted otherwise. */
export class Divergence extends Error {
  constructor(what: string, facts: readonly string[]) {
    super(`${what}\n${facts.join("\n")}`);
    this.name = "Divergence";
  }
}

/** What the two sides count differs, with nothing else: a busy switch may have told of earlier packets late. */
export class Miscount extends Divergence {}

/** A packet as it enters the fabric. */
type Thrown =
  | { readonly interface: Interface; readonly frame: Uint8Array }
  /** By the wire of a physical network. */
  | Heard
  | { readonly crossing: Crossing; readonly frame: Uint8Array };

/** All that is said in a topology, among its machines and with who is outside. */
interface Talks {
  readonly inner: Talk;
  readonly outer: OuterTalk;
}

/** What a shot is in a topology: nothing where the topology has nothing that could send it. */
function thrown(shot: Shot, topology: Topology, talks: Talks, version: 4 | 6): readonly Thrown[] {
  if (shot.enters === "turn") return talks.inner.say(shot);
  if (shot.enters === "outer-turn" || shot.enters === "wire") {
    const { outside } = topology;
    const all = shot.enters === "wire" ? fromWire(shot, topology) : talks.outer.say(shot);
    return all.filter((each) => !("wire" in each && outside !== null && isSpoilt(each.frame, outside)));
  }
  if (shot.enters === "service") return [fromService(shot, topology)];
  if (shot.enters === "interface") {
    const bound = topology.interfaces.filter((each) => each.isBound);
    const pool = shot.bound && bound.length > 0 ? bound : topology.interfaces;
    const from = pool[shot.interface % pool.length];
    return from === undefined ? [] : [{ interface: from, frame: frameOf(shot.frame, topology, from.names) }];
  }
  const { addresses, stranger } = underlays[version];
  const { networkKeys, portKeys } = topology;
  const dstPort = portKeys[shot.dstPort % portKeys.length] ?? 0;
  const fitting = shot.fitting ? topology.networkOf.get(dstPort) : undefined;
  const frame = frameOf(shot.frame, topology, null);
  const isNamed = shot.by === "geneve";
  const crossing = {
    by: shot.by,
    from: addresses[shot.from] ?? stranger,
    to: addresses[shot.to] ?? stranger,
    key: fitting ?? networkKeys[shot.net % networkKeys.length] ?? 0,
    srcPort: isNamed ? (portKeys[shot.srcPort % portKeys.length] ?? 0) : 0,
    dstPort: isNamed ? dstPort : 0,
    srcSet: isNamed ? (topology.setKeys[shot.srcSet % topology.setKeys.length] ?? 0) : 0,
    frame,
  };
  return [{ frame, crossing }];
}

/** A topology in force on both sides, and what was sent since. */
interface Scene {
  readonly real: RealSide;
  readonly simulated: SimulatedSide;
  readonly topology: Topology;
  readonly sent: { readonly one: Thrown; readonly end: SimulatedEnd }[];
}

/**
 * Plays a scenario on both sides: every packet is really sent, then the drops are counted, then every packet is traced; where rules change, in two halves, of
 * which the second is traced: a traced packet is tracked again. `passed` is called with each that ended alike. Throws Divergence.
 */
export async function compare(
  real: RealSide,
  { plan, shots }: Scenario,
  passed: (entries: readonly Entry[]) => void,
): Promise<void> {
  const play = real.nextPlay();
  const topology = topologyOf(plan, real.addresses, play);
  const talks: Talks = { inner: new Talk(topology), outer: new OuterTalk(topology) };
  await real.install(topology, plan.change);
  const simulated = await SimulatedSide.make(real.addresses, topology, real.rows);
  const half = plan.policy.later === "same" ? shots.length : Math.ceil(shots.length / 2);
  const first: Scene = { real, simulated, topology, sent: [] };
  if (!(await act(first, shots.slice(0, half), talks))) return;
  if (half === shots.length) return judge(first, passed);
  refuse(await miscounted(first));
  for (const { end } of first.sent) passed(end.entries);
  await real.install(topologyOf(plan, real.addresses, play, true), "later");
  await simulated.adopt(real.rows);
  const second: Scene = { real, simulated, topology, sent: [] };
  if (await act(second, shots.slice(half), talks)) await judge(second, passed);
}

/** Plays some of a scenario; gives whether all of it could be, and the two sides remember the same. */
async function act(scene: Scene, shots: readonly Shot[], talks: Talks): Promise<boolean> {
  const { real, simulated, topology, sent } = scene;
  for (const shot of shots) {
    for (const one of thrown(shot, topology, talks, real.version)) {
      const there = await sentThere(real, one);
      if (topology.outside?.translates && mayTranslate(one.frame)) simulated.know(await real.chosenPorts());
      const end = sentHere(simulated, one, there);
      if (shot.enters === "outer-turn") talks.outer.heard(shot, there);
      real.abandon(end.entries);
      sent.push({ one, end });
      const facts = difference(end.ending.ends, there.ends);
      if (facts.length === 0) continue;
      // It went another way than was guessed, and the simulated switches keep another state of it than the real ones.
      if (end.isGuess) {
        await real.forget();
        return false;
      }
      await fail(scene, one, end, facts);
    }
  }
  return true;
}

function sentThere(real: RealSide, one: Thrown): Promise<Ending> {
  if ("interface" in one) return real.send(one.interface.host, one.interface.wire, one.frame);
  return "wire" in one ? real.come(one) : real.inject(one.crossing);
}

function sentHere(simulated: SimulatedSide, one: Thrown, there: Ending): SimulatedEnd {
  if ("interface" in one) return simulated.send(one.interface.host, one.interface.ingress, one.frame, there);
  return "wire" in one
    ? simulated.send(one.host, physicalName(one.wire), one.frame, there)
    : simulated.inject(one.crossing, there);
}

/** Whether a packet may be of a connection whose source is translated to a port that is chosen. */
const mayTranslate = (frame: Uint8Array): boolean => new Frame(frame).has("ip_dst");

function refuse(counts: readonly string[]): void {
  if (counts.length > 0) throw new Miscount("drops are counted differently", counts);
}

/** Counts what was dropped, and has the switches tell the way of all that was sent: where both differ, that tells more. */
async function judge(scene: Scene, passed: (entries: readonly Entry[]) => void): Promise<void> {
  const { real, topology, sent } = scene;
  const counts = await miscounted(scene);
  for (const { one, end } of sent) {
    const told = await real.explain(end.entries, wireIn(topology));
    const facts = end.isGuess ? [] : difference(end.ending.way, told.way);
    if (facts.length > 0) await fail(scene, one, end, facts);
    passed(end.entries);
  }
  await real.forget();
  refuse(counts);
}

const wireIn =
  ({ interfaces }: Topology) =>
  ({ host, ingress }: Entry): number =>
    ingress === serviceIngress
      ? serviceWire
      : (interfaces.find((each) => each.host === host && each.ingress === ingress)?.wire ?? 0);

async function miscounted({ real, simulated, sent }: Scene): Promise<readonly string[]> {
  const ends = sent.map(({ end }) => end);
  return miscounts(await simulated.drops(), await real.drops(), slacksOf(ends, real.abandoned));
}

async function fail(scene: Scene, one: Thrown, { entries }: SimulatedEnd, facts: readonly string[]): Promise<never> {
  const { real, topology } = scene;
  const account = [
    "drops so far:",
    ...(await miscounted(scene)),
    ...(await explained(real, entries, wireIn(topology))),
  ];
  await real.forget();
  throw new Divergence(described(one), [...facts, ...account]);
}

function described(one: Thrown): string {
  const read = decode(one.frame);
  const words = read.ok ? summary(read.packet) : "a frame that is malformed";
  return `${words}\n${placeOf(one)}\nbytes ${Buffer.from(one.frame).toString("hex")}\nends differ (- simulated, + real):`;
}

function placeOf(one: Thrown): string {
  if ("interface" in one)
    return `from wire${one.interface.wire} of host ${one.interface.host + 1}, ${one.interface.ingress}`;
  return "wire" in one
    ? `from the physical network ${one.wire}, to host ${one.host + 1}`
    : `from the underlay: ${JSON.stringify({ ...one.crossing, frame: undefined })}`;
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
