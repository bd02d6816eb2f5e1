/**
 * Drops by a measured length. The switch works out what follows a measurement for both outcomes at once, and credits the flows of both with each
 * packet (ovs-actions(7), "The check_pkt_larger action"); so such a drop goes through a meter, which counts only what really came to it.
 */
import type { ReasonCode } from "@selvage/base";
import { type MeterConfig, MeterFlag } from "@selvage/openflow";
import type { AnyTable, Action as Declared, Program, Step } from "@selvage/pipeline";

/** Meters that count, by the reason; their numbers are stable, beside those of the punts. */
const meters: Partial<Readonly<Record<ReasonCode, number>>> = { "mtu-exceeded": 7 };

/** A rate that no host reaches: every packet is dropped behind it anyway. */
const rate = 10_000_000;

export const countingMeters: readonly MeterConfig[] = Object.values(meters).map((meter) => ({
  meter,
  flags: MeterFlag.packets | MeterFlag.burst | MeterFlag.statistics,
  bands: [{ kind: "drop", rate, burst: rate }],
}));

/** The meter that counts drops for a reason. Throws TypeError for a reason that has none. */
export function meterOf(reason: ReasonCode): number {
  const meter = meters[reason];
  if (meter === undefined) throw new TypeError(`${reason}: no meter counts what is dropped by its length`);
  return meter;
}

/** The reason whose drops a meter counts; undefined for other meters. */
export const reasonOfMeter = (meter: number): ReasonCode | undefined => {
  const [reason] = Object.entries(meters).find(([, number]) => number === meter) ?? [];
  return reason as ReasonCode | undefined;
};

/** Names of the fields that some step of the program measures into. */
export function measuredFields(program: Program): ReadonlySet<string> {
  const lists = program.tables.flatMap((table: AnyTable): readonly (readonly Step[])[] => [
    ...Object.values<Declared>(table.actions).map(({ steps }) => steps),
    table.miss,
  ]);
  return new Set(lists.flat().flatMap((step) => (step.do === "measure" ? [step.field.name] : [])));
}
