/**
 * A soak: a fabric of several hosts with real switches on which ports, rules, routers and what leads outside come, change and go, while machines, and whoever is on the
 * wire, say whatever comes to their minds; and a pair of machines beside it that must notice nothing of it.
 */

import { until } from "@selvage/lab/testing";
import { Fabric, type Guest, type Program } from "../support/guests.ts";
import { Chance } from "./chance.ts";
import { Churn, dualNetwork } from "./churn.ts";
import { type HostFindings, look, missed } from "./hosts.ts";

export interface SoakPlan {
  readonly hosts: number;
  /** For which things are done; making the fabric, and looking at it, come on top. */
  readonly seconds: number;
  readonly seed: number;
  readonly say?: (line: string) => void;
}

export interface SoakReport {
  readonly steps: number;
  readonly done: ReadonlyMap<string, number>;
  readonly refused: ReadonlyMap<string, number>;
  /** Raw frames that machines sent. */
  readonly sent: number;
  /** Those that came from outside. */
  readonly sentOutside: number;
  /** Pings of the pair that must notice nothing: asked and answered. */
  readonly asked: number;
  readonly answered: number;
  readonly hosts: readonly HostFindings[];
  /** What is wrong, in words: of hosts, of the pair. */
  readonly faults: readonly string[];
}

const WAIT_MS = 60_000;

/** Which of its questions a ping has had answered, and the last that it knows of. */
function pinged({ said }: Program): { readonly asked: number; readonly answered: number } {
  const seen = new Set([...said.matchAll(/icmp_seq=(\d+) /g)].map(([, seq]) => Number(seq)));
  return { asked: Math.max(0, ...seen), answered: seen.size };
}

export async function soak(plan: SoakPlan): Promise<SoakReport> {
  const { seconds, seed, say = () => undefined } = plan;
  const names = Array.from({ length: plan.hosts }, (_, n) => `h${n + 1}`);
  await using fabric = await Fabric.up("soak", plan.hosts);
  const { id: network_id } = await dualNetwork(fabric, "steady", 80);
  const pair: readonly Guest[] = await Promise.all(
    [names.at(0), names.at(-1)].map((host, n) => fabric.guest(`steady-${n + 1}`, host ?? "h1", { network_id })),
  );
  await using churn = new Churn(fabric, new Chance(seed), names);
  await churn.begin();
  await fabric.settled();
  const [one, two] = pair;
  if (one === undefined || two === undefined) throw new Error("the pair is not there");
  await using pings = new AsyncDisposableStack();
  const steady = [
    [one, two.ip4],
    [two, one.ip6],
  ] as const;
  const running = steady.map(([from, to]) => pings.use(fabric.start(from, "ping", "-n", "-i", "0.1", to)));
  for (const ping of running) await ping.says(/icmp_seq=1 /);

  const end = performance.now() + 1_000 * seconds;
  let steps = 0;
  let told = performance.now();
  const faults: string[] = [];
  while (performance.now() < end && faults.length === 0) {
    await churn.step();
    steps += 1;
    for (const host of names) {
      const misses = missed(fabric, host);
      if (misses > 0)
        faults.push(`${host} has dropped ${misses} packets for want of a row, after step ${steps} of seed ${seed}`);
    }
    if (performance.now() - told < 10_000) continue;
    told = performance.now();
    say(`${Math.round((end - told) / 1_000)} s to go: ${steps} steps, ${churn.sent} frames`);
  }
  const { sent, sentOutside } = churn;
  await churn.hush();
  // What is on its way has come: one more answer each.
  for (const ping of running) {
    const { answered } = pinged(ping);
    await until("the pair hears nothing more", WAIT_MS, async () =>
      pinged(ping).answered > answered ? true : undefined,
    );
  }
  await fabric.settled();
  const answers = running.map(pinged);
  const asked = answers.reduce((sum, each) => sum + each.asked, 0);
  const answered = answers.reduce((sum, each) => sum + each.answered, 0);
  // Of 6,000 none was lost; a busy machine may lose a few of one moment for reasons of its own.
  if (asked - answered > Math.max(3, asked / 200))
    faults.push(`${asked - answered} of ${asked} pings of a pair beside it were not answered`);
  const hosts: HostFindings[] = [];
  for (const host of names) hosts.push(await look(fabric, host));
  for (const { host, faults: found } of hosts) for (const fault of found) faults.push(`${host}: ${fault}`);
  return { steps, done: churn.done, refused: churn.refused, sent, sentOutside, asked, answered, hosts, faults };
}
