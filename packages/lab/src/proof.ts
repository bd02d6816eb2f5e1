/** Proves the demo with real pings: reach within each project, silence between them. */

import { askControl, type LabState } from "./control.ts";
import { type DemoPing, type DemoProject, demoPings } from "./demo.ts";
import { LabError } from "./failure.ts";
import type { Ground } from "./ground.ts";
import { captureInLab, findMachine, placeOf } from "./plugging.ts";
import { until } from "./waiting.ts";

const REACH_TIMEOUT_MS = 60_000;

/** A ping of the demo and what came of it. */
export interface PingResult extends DemoPing {
  readonly ok: boolean;
  /** The average round trip in milliseconds where an answer came. */
  readonly milliseconds: number | null;
}

interface Answer {
  readonly reached: boolean;
  readonly milliseconds: number | null;
}

async function ask(ground: Ground, state: LabState, ping: DemoPing): Promise<Answer> {
  const from = findMachine(state, ping.from);
  const { lab } = ground.record;
  if (lab === null) {
    const { milliseconds } = await askControl(ground.socket, {
      op: "ping",
      port: from.port,
      address: ping.address,
      count: 2,
    });
    return { reached: milliseconds !== null, milliseconds };
  }
  const words = ping.expected === "reached" ? ["-c", "3", "-i", "0.2", "-W", "1"] : ["-c", "2", "-i", "0.2", "-w", "1"];
  const result = await captureInLab(lab.first.pid, placeOf(from), ["ping", "-n", ...words, ping.address], 60_000);
  const average = /= [\d.]+\/([\d.]+)\//.exec(result.stdout)?.[1];
  const received = Number(/, (\d+) received/.exec(result.stdout)?.[1] ?? 0);
  // Reach means every echo answered; silence means none.
  const reached = ping.expected === "reached" ? result.code === 0 && received === 3 : received > 0;
  return { reached, milliseconds: average === undefined ? null : Number(average) };
}

async function pingOnce(ground: Ground, state: LabState, ping: DemoPing): Promise<PingResult> {
  const { reached, milliseconds } = await ask(ground, state, ping);
  return { ...ping, ok: reached === (ping.expected === "reached"), milliseconds };
}

/** Sends every ping of the demo; one that must be answered may be repeated for a while, since rows may still be on their way. */
export async function prove(ground: Ground, plan: readonly DemoProject[]): Promise<readonly PingResult[]> {
  const state = await askControl(ground.socket, { op: "state" });
  const reach = async (ping: DemoPing): Promise<PingResult> => {
    let last: PingResult = { ...ping, ok: false, milliseconds: null };
    await until(`${ping.from} did not reach ${ping.to} (${ping.address})`, REACH_TIMEOUT_MS, async () => {
      last = await pingOnce(ground, state, ping);
      return last.ok ? last : undefined;
    }).catch((cause: unknown) => {
      if (!(cause instanceof LabError) || cause.code !== "start-failed") throw cause;
    });
    return last;
  };
  const pings = demoPings(plan);
  // Silence is only proof once the network is known to carry: so it comes second.
  const reached = await Promise.all(pings.filter((ping) => ping.expected === "reached").map(reach));
  const silent = await Promise.all(
    pings.filter((ping) => ping.expected === "silence").map((ping) => pingOnce(ground, state, ping)),
  );
  return [...reached, ...silent];
}
