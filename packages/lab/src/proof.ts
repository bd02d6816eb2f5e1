/** Proves the demo with real pings: reach within each project, silence between them. */

import { askControl, type LabState } from "./control.ts";
import { type DemoPing, type DemoProject, demoPings } from "./demo.ts";
import type { LabProcess } from "./lab-process.ts";
import { captureInLab, findMachine, placeOf } from "./plugging.ts";
import { until } from "./waiting.ts";

const REACH_TIMEOUT_MS = 20_000;

/** A ping of the demo and what came of it. */
export interface PingResult extends DemoPing {
  readonly ok: boolean;
  /** The average round trip in milliseconds where an answer came. */
  readonly milliseconds: number | null;
}

async function pingOnce(lab: LabProcess, state: LabState, ping: DemoPing): Promise<PingResult> {
  const from = findMachine(state, ping.from);
  const words = ping.expected === "reached" ? ["-c", "3", "-i", "0.2", "-W", "1"] : ["-c", "2", "-i", "0.2", "-w", "1"];
  const result = await captureInLab(lab.first.pid, placeOf(from), ["ping", "-n", ...words, ping.address], 15_000);
  const average = /= [\d.]+\/([\d.]+)\//.exec(result.stdout)?.[1];
  const answered = /, ([1-9]\d*) received/.test(result.stdout);
  const ok = ping.expected === "reached" ? result.code === 0 : !answered;
  return { ...ping, ok, milliseconds: average === undefined ? null : Number(average) };
}

/** Sends every ping of the demo; one that must be answered may be repeated for a while, since rows may still be on their way. */
export async function prove(
  lab: LabProcess,
  socket: string,
  plan: readonly DemoProject[],
): Promise<readonly PingResult[]> {
  const state = await askControl(socket, { op: "state" });
  return Promise.all(
    demoPings(plan).map(async (ping) => {
      if (ping.expected === "silence") return pingOnce(lab, state, ping);
      let last: PingResult | undefined;
      return until(`${ping.from} did not reach ${ping.to} (${ping.address})`, REACH_TIMEOUT_MS, async () => {
        last = await pingOnce(lab, state, ping);
        return last.ok ? last : undefined;
      }).catch(() => last ?? { ...ping, ok: false, milliseconds: null });
    }),
  );
}
