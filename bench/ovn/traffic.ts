/** What traffic costs on both systems: throughput, processor time, requests and connections a second; same network and routed, without and with 20 rules. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { until } from "../bench.ts";
import { numberText, percentile, type Report } from "../figures.ts";
import { type Cache, cacheOf, type Walk, walkOf } from "./caches.ts";
import type { Guest } from "./hosts.ts";
import { addressOf, type Plan, type PlannedPort, services } from "./plan.ts";
import { plugGuest, type Side, type SideName } from "./side.ts";

const web = fileURLToPath(new URL("web.ts", import.meta.url));
const guarded = "guarded";
const ruleCount = 20;
/** Numbers of the client and of both servers. */
const port = (number: number, host: number, network: number, group?: string): PlannedPort => ({
  number,
  host,
  network,
  ...(group === undefined ? {} : { group }),
});
const ports = [
  ...[port(1, 1, 1), port(2, 2, 1), port(3, 2, 2)],
  ...[port(11, 1, 1, guarded), port(12, 2, 1, guarded), port(13, 2, 2, guarded)],
];
const plan: Plan = { hosts: 2, networks: 2, ports, groups: [{ name: guarded, rules: services(ruleCount) }] };

interface Scene {
  readonly name: string;
  readonly client: number;
  readonly server: number;
}
const scenes: readonly Scene[] = [
  { name: "same network, no rules", client: 1, server: 2 },
  { name: "routed, no rules", client: 1, server: 3 },
  { name: `same network, ${ruleCount} stateful rules`, client: 11, server: 12 },
  { name: `routed, ${ruleCount} stateful rules`, client: 11, server: 13 },
];

/** A side with its guests and what serves in them. */
class Stage implements AsyncDisposable {
  readonly side: Side;
  readonly #guests = new Map<number, Guest>();
  readonly #servers: ChildProcess[] = [];

  constructor(side: Side) {
    this.side = side;
  }

  async open(): Promise<void> {
    await this.side.build(plan);
    for (const each of ports) this.#guests.set(each.number, await plugGuest(this.side, each));
    for (const { server } of scenes) {
      const { namespace } = this.guest(server);
      this.#serve(namespace.within("iperf3", "-s"));
      this.#serve(namespace.within(process.execPath, web, "8080"));
    }
    for (const { client, server } of scenes) {
      await until(`${this.side.name}: an answer`, 30_000, () =>
        this.client(client, ["wrk", "-t1", "-c1", "-d1s", `http://${addressOf(this.guest(server).port)}:8080/`]).then(
          (text) => (Number(/(\d+) requests in/.exec(text)?.[1] ?? 0) > 0 ? true : undefined),
          () => undefined,
        ),
      );
    }
  }

  #serve(argv: readonly string[]): void {
    this.#servers.push(spawn("setpriv", ["--pdeathsig", "KILL", ...argv], { stdio: "ignore" }));
  }

  guest(number: number): Guest {
    const found = this.#guests.get(number);
    if (found === undefined) throw new RangeError(`no guest ${number}`);
    return found;
  }

  client(number: number, argv: readonly string[]): Promise<string> {
    return this.guest(number).namespace.exec(...argv);
  }

  get cpuSeconds(): number {
    return this.side.hosts.reduce((sum, host) => sum + host.switchCpuSeconds, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) {
      if (server.exitCode !== null || server.signalCode !== null) continue;
      const gone = once(server, "exit");
      server.kill("SIGKILL");
      await gone;
    }
  }
}

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

async function wrk(
  stage: Stage,
  { client, server }: Scene,
  seconds: number,
  headers: readonly string[],
): Promise<Rate> {
  const url = `http://${addressOf(stage.guest(server).port)}:8080/`;
  const before = stage.cpuSeconds;
  const text = await stage.client(client, ["wrk", "-t1", "-c16", `-d${seconds}s`, ...headers, url]);
  const cpu = stage.cpuSeconds - before;
  const count = Number(/(\d+) requests in/.exec(text)?.[1]);
  return { perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]), cpu: (1e6 * cpu) / count };
}

async function round(stage: Stage, scene: Scene, seconds: number): Promise<Round> {
  const to = addressOf(stage.guest(scene.server).port);
  const before = stage.cpuSeconds;
  const result = JSON.parse(await stage.client(scene.client, ["iperf3", "-J", "-t", String(seconds), "-c", to])) as {
    readonly end: { readonly sum_received: { readonly bytes: number; readonly bits_per_second: number } };
  };
  const { bytes, bits_per_second } = result.end.sum_received;
  const cpu = (stage.cpuSeconds - before) / (bytes / 1e9);
  const requests = await wrk(stage, scene, seconds, []);
  const connections = await wrk(stage, scene, seconds, ["-H", "Connection: close"]);
  const caches = await Promise.all(stage.side.hosts.map(cacheOf));
  const cache = {
    megaflows: Math.max(...caches.map((each) => each.megaflows)),
    masks: Math.max(...caches.map((each) => each.masks)),
  };
  return { mbits: bits_per_second / 1e6, cpu, requests, connections, cache };
}

const median = (values: readonly number[]): number => percentile(values, 0.5);

/** Both sides are up; their rounds alternate, so that what else the machine does meets both. */
export async function traffic(report: Report, sides: readonly Side[], rounds: number, seconds: number): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const stages = sides.map((side) => stack.use(new Stage(side)));
  for (const stage of stages) await stage.open();
  for (const scene of scenes) {
    const seen = new Map<SideName, Round[]>(sides.map(({ name }) => [name, []]));
    const walks = new Map<SideName, Walk>();
    for (const stage of stages) {
      const [from, to] = [stage.guest(scene.client), stage.guest(scene.server)];
      walks.set(stage.side.name, await walkOf(from.host, from.port, to.port, 8080));
    }
    for (let at = 0; at < rounds; at += 1) {
      for (const stage of at % 2 === 0 ? stages : stages.toReversed()) {
        report.step(`${scene.name}, round ${at + 1} of ${rounds}: ${stage.side.name}`);
        seen.get(stage.side.name)?.push(await round(stage, scene, seconds));
        const died = stage.side.deaths();
        if (died.length > 0) throw new Error(died.join("; "));
      }
    }
    tell(report, scene, seen, walks);
  }
}

const units = {
  throughput: "Mb/s",
  "processor time of both switches for a GB": "CPU s",
  "requests a second": "/s",
  "processor time of both switches for 1,000 requests": "CPU ms",
  "connections a second": "/s",
  "processor time of both switches for 1,000 connections": "CPU ms",
} as const;

function tell(
  report: Report,
  { name }: Scene,
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
