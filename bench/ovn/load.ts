/** Rounds of traffic between a client and a server, what both systems' switches spend on them, and how the medians are told. */
import { numberText, percentile, type Report } from "../figures.ts";
import { type Cache, cacheOf, type Walk } from "./caches.ts";
import type { Side, SideName } from "./side.ts";
import { type Pair, type Stage, urlOf } from "./stage.ts";

/** What is measured on both sides alike. */
export interface Scene {
  readonly name: string;
  /** For each round, numbered from 0. */
  pair(stage: Stage, round: number): Pair;
  /** What the first packet of a connection costs on its machine's host. */
  walk(stage: Stage): Promise<Walk>;
}

/** Rounds of all sides alternate, so that what else the machine does meets all. */
export async function compare(
  report: Report,
  stages: readonly Stage[],
  scenes: readonly Scene[],
  { rounds, seconds }: { readonly rounds: number; readonly seconds: number },
): Promise<void> {
  for (const scene of scenes) {
    const seen = new Map<SideName, Round[]>(stages.map(({ side }) => [side.name, []]));
    const walks = new Map<SideName, Walk>();
    for (const stage of stages) walks.set(stage.side.name, await scene.walk(stage));
    for (let at = 0; at < rounds; at += 1) {
      for (const { side, pair } of inTurn(stages, at).map((stage) => ({
        side: stage.side,
        pair: scene.pair(stage, at),
      }))) {
        report.step(`${scene.name}, round ${at + 1} of ${rounds}: ${side.name}`);
        seen.get(side.name)?.push(await round(side, pair, seconds));
        const died = side.deaths();
        if (died.length > 0) throw new Error(died.join("; "));
      }
    }
    tell(report, scene.name, seen, walks);
  }
}

/** Whoever was last begins. */
export const inTurn = <T>(all: readonly T[], turn: number): readonly T[] => (turn % 2 === 0 ? all : all.toReversed());

interface Round {
  readonly mbits: number;
  /** Of both switches, for 10⁹ bytes. */
  readonly cpu: number;
  readonly requests: Rate;
  readonly connections: Rate;
  readonly cache: Cache;
}

interface Rate {
  readonly perSecond: number;
  /** Processor time of both switches for a thousand, ms. */
  readonly cpu: number;
}

/** Of all switches of a side. */
const cpuSeconds = ({ hosts }: Side): number => hosts.reduce((sum, host) => sum + host.switchCpuSeconds, 0);

async function wrk(side: Side, pair: Pair, seconds: number, headers: readonly string[]): Promise<Rate> {
  const before = cpuSeconds(side);
  const text = await pair.client.exec("wrk", "-t1", "-c16", `-d${seconds}s`, ...headers, urlOf(pair));
  const cpu = cpuSeconds(side) - before;
  const count = Number(/(\d+) requests in/.exec(text)?.[1]);
  return { perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]), cpu: (1e6 * cpu) / count };
}

async function round(side: Side, pair: Pair, seconds: number): Promise<Round> {
  const { client, server } = pair;
  const before = cpuSeconds(side);
  const result = JSON.parse(await client.exec("iperf3", "-J", "-t", String(seconds), "-c", server)) as {
    readonly end: { readonly sum_received: { readonly bytes: number; readonly bits_per_second: number } };
  };
  const { bytes, bits_per_second } = result.end.sum_received;
  const cpu = (cpuSeconds(side) - before) / (bytes / 1e9);
  const requests = await wrk(side, pair, seconds, []);
  const connections = await wrk(side, pair, seconds, ["-H", "Connection: close"]);
  const caches = await Promise.all(side.hosts.map(cacheOf));
  const cache = {
    megaflows: Math.max(...caches.map((each) => each.megaflows)),
    masks: Math.max(...caches.map((each) => each.masks)),
  };
  return { mbits: bits_per_second / 1e6, cpu, requests, connections, cache };
}

const median = (values: readonly number[]): number => percentile(values, 0.5);

const units = {
  throughput: "Mb/s",
  "processor time of both switches for a GB": "CPU s",
  "requests a second": "/s",
  "processor time of both switches for 1,000 requests": "CPU ms",
  "connections a second": "/s",
  "processor time of both switches for 1,000 connections": "CPU ms",
} as const;

/** Medians; of each the aim is what OVN does. */
function tell(
  report: Report,
  name: string,
  seen: ReadonlyMap<SideName, readonly Round[]>,
  walks: ReadonlyMap<SideName, Walk>,
): void {
  const of = (side: SideName, value: (one: Round) => number): number => median((seen.get(side) ?? []).map(value));
  const costs = (["Selvage", "OVN"] as const).map((side) => {
    const walk = walks.get(side);
    const [flows, masks] = [of(side, (one) => one.cache.megaflows), of(side, (one) => one.cache.masks)];
    return `${side}: ${walk?.lookups} lookups, ${walk?.recirculations} recirculations, ${flows} megaflows of ${masks} masks`;
  });
  for (const [what, value, better] of [
    ["throughput", (one: Round) => one.mbits, "more"],
    ["processor time of both switches for a GB", (one: Round) => one.cpu, "less"],
    ["requests a second", (one: Round) => one.requests.perSecond, "more"],
    ["processor time of both switches for 1,000 requests", (one: Round) => one.requests.cpu, "less"],
    ["connections a second", (one: Round) => one.connections.perSecond, "more"],
    ["processor time of both switches for 1,000 connections", (one: Round) => one.connections.cpu, "less"],
  ] as const) {
    const [ours, theirs] = [of("Selvage", value), of("OVN", value)];
    report.add({
      name: `${name}: ${what}, ${better === "more" ? "Selvage to OVN" : "OVN to Selvage"}`,
      value: better === "more" ? ours / theirs : theirs / ours,
      unit: "times",
      aim: { is: ">=", value: 1 },
      beside: [
        `Selvage ${numberText(ours)}, OVN ${numberText(theirs)} ${units[what]}`,
        ...(what === "throughput" ? costs : []),
      ].join("; "),
    });
  }
}
