/** Packets that were dropped, by reason: what the flows and meters of a switch have counted (OpenFlow 1.5.1, sections 7.3.5.2 and 7.3.5.13). */
import type { ReasonCode } from "@selvage/base";
import { type Connection, MeterId } from "@selvage/openflow";
import { provenanceOf } from "./cookie.ts";
import { reasonOfMeter } from "./measured.ts";
import { reasonOfRefusal } from "./punts.ts";

/** Adds packets to those of a reason; a reason without any is not there. */
export const count = (counts: Map<ReasonCode, number>, reason: ReasonCode, packets: number): void => {
  if (packets > 0) counts.set(reason, (counts.get(reason) ?? 0) + packets);
};

/** What flows and meters count, with what was counted by flows that are gone. */
export async function dropsOf(
  connection: Connection,
  gone: ReadonlyMap<ReasonCode, number>,
): Promise<ReadonlyMap<ReasonCode, number>> {
  const counts = new Map(gone);
  for await (const { cookie, statistics } of connection.flowStats()) {
    const reason = provenanceOf(cookie)?.reason ?? null;
    if (reason !== null) count(counts, reason, Number(statistics.packets ?? 0n));
  }
  for (const [reason, packets] of await metered(connection)) count(counts, reason, packets);
  return counts;
}

/** Packets that were above the rate of a meter, and those that a meter counts because they are dropped behind it. */
async function metered(connection: Connection): Promise<ReadonlyMap<ReasonCode, number>> {
  const counts = new Map<ReasonCode, number>();
  for await (const part of connection.ask({ of: "meterCounters", meter: MeterId.all })) {
    if (part.of !== "meterCounters") continue;
    for (const { meter, packets, bands } of part.meters) {
      const reason = reasonOfMeter(meter);
      const refused = reasonOfRefusal(meter);
      if (reason !== undefined) count(counts, reason, Number(packets));
      else if (refused !== undefined) for (const band of bands) count(counts, refused, Number(band.packets));
    }
  }
  return counts;
}
