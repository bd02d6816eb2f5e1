/** `selvage drops HOST`: what a host's switch dropped since it started, each reason with what can be done about it. */

import { isReasonCode, reasonByCode } from "@selvage/base";
import { agentSocket, askAgent, askStatus, at, openFabric } from "@selvage/lab";
import { dataDirectory } from "../context.ts";
import { Exit } from "../exit.ts";
import { type Output, printJson, standardOutput } from "../format.ts";
import { chosen } from "./drift.ts";

export interface DropsFlags {
  readonly agent?: string;
  readonly data?: string;
  readonly json?: boolean;
}

export interface CountedDrop {
  readonly reason: string;
  readonly packets: number;
  readonly text: string;
  readonly hint: string;
}

/** A count with the registry's words; a reason that a newer host names has none here. */
export function explained({ reason, packets }: Pick<CountedDrop, "reason" | "packets">): CountedDrop {
  const { text, hint } = isReasonCode(reason) ? reasonByCode(reason) : { text: "", hint: "" };
  return { reason, packets, text, hint };
}

/** For people: the most frequent first. */
export function showDrops(drops: readonly CountedDrop[], output: Output): void {
  if (drops.length === 0) output.text("nothing was dropped\n");
  for (const { reason, packets, text, hint } of drops) output.text(`${packets}  ${reason}: ${text}\n  → ${hint}\n`);
}

function countsOf(status: unknown): readonly Pick<CountedDrop, "reason" | "packets">[] {
  const drops = at(status, "drops");
  return (Array.isArray(drops) ? drops : []).map((each: unknown) => ({
    reason: String(at(each, "reason")),
    packets: Number(at(each, "packets")),
  }));
}

/** Runs `selvage drops HOST`. Counts are as old as ten seconds. */
export async function drops(host: string, flags: DropsFlags, output: Output = standardOutput): Promise<number> {
  const counts =
    flags.agent === undefined
      ? chosen((await askStatus((await openFabric(dataDirectory(flags.data))).api)).hosts, host)[0]?.drops
      : countsOf(await askAgent(agentSocket(flags.agent), "/v1/status"));
  const told = (counts ?? []).map(explained);
  if (flags.json === true) printJson(output, { host, drops: told });
  else showDrops(told, output);
  return Exit.ok;
}
