/**
 * How a packet comes back from connection tracking. The userspace datapath holds fragments until a datagram is whole, and those that it gives up after 15 seconds
 * it lets go on with whatever packets are tracked at that moment, as if they were of them (lib/ipf.c, `ipf_send_expired_frags`): another tenant's, by another
 * port's fields. A packet that was tracked bears the zone that it was tracked in; one that does not bear the zone that its fields ask for is another's, and is
 * dropped. So every packet is looked up again behind each `ct` action, one that only keeps a connection too.
 */
import { type Action, act } from "@selvage/openflow";
import type { AnyTable, Action as Declared, Field, Program, Step } from "@selvage/pipeline";
import { translates } from "../zone-kinds.ts";
import { cookieOf } from "./cookie.ts";
import { bitsOf, placed, resumption, spread, together, zoneFields } from "./layout.ts";
import type { RenderedFlow } from "./render.ts";

/** Where packets come back, and from where they go on. */
export const reentryTable = 252;
export const resumptionTable = 253;

/** What the driver notes of a packet before it is tracked: which field holds its zone, and where it goes on. */
const noteOf = (zone: Field, table: number): bigint => BigInt((sideOf(zone) << 8) | table);

/** From 1. Throws TypeError for a field of whose zones the driver does not know. */
function sideOf(zone: Field): number {
  const at = zoneFields.findIndex(({ name }) => name === zone.name);
  if (at < 0) throw new TypeError(`${zone.name} holds no zone`);
  return at + 1;
}

/**
 * Tracks a packet in the zone that a field holds, and goes on in a table; with `keep`, its connection is kept, and those actions say what with it. Zones
 * that translate do so by every `ct`, and others by none. What another zone said is forgotten first: of a packet that was translated there, this switch would
 * take the connection of that zone for one of this (lib/conntrack.c, `check_orig_tuple`).
 */
export function trackActions(zone: Field, table: number, keep?: readonly Action[]): readonly Action[] {
  const parts = { zone: bitsOf(zone).subfield, recircTable: reentryTable };
  const note = act.setField(placed(resumption, noteOf(zone, table)));
  if (keep !== undefined) return [note, act.ct({ ...parts, mode: "commit", actions: keep })];
  const actions = translates(zone) ? [act.nat()] : [];
  return [note, act.ctClear(), act.ct({ ...parts, actions })];
}

/** The steps that ask connection tracking. */
type Tracking = Extract<Step, { readonly do: "track" | "commit" | "translate" | "translateSource" }>;
const tracking: ReadonlySet<Step["do"]> = new Set(["track", "commit", "translate", "translateSource"]);
export const isTracked = (step: Step): step is Tracking => tracking.has(step.do);

/** The flows by which packets of one zone come back. */
export const zoneFlows = (zone: number): readonly RenderedFlow[] =>
  zoneFields.map((field) => ({
    table: reentryTable,
    priority: 1,
    match: [
      together([spread(resumption, noteOf(field, 0), 0xff00n)]),
      placed(bitsOf(field), BigInt(zone)),
      { field: "ct_zone", value: zone },
    ],
    actions: [act.resubmit(resumptionTable)],
    cookie: cookieOf(reentryTable, `zone(${field.name}=${zone})`, null),
    reason: null,
  }));

/** Where packets go on, of every zone, and what happens to those that are another's. */
export function reentryFlows(program: Program): readonly RenderedFlow[] {
  const numbers = new Map(program.tables.map(({ name, number }) => [name, number]));
  const ways = new Map<bigint, number>();
  for (const steps of program.tables.flatMap(listsOf)) {
    for (const [at, step] of steps.entries()) {
      if (!isTracked(step)) continue;
      const next = step.do === "commit" ? steps[at + 1] : step;
      if (next === undefined || !("table" in next)) continue;
      const table = numbers.get(next.table);
      if (table !== undefined) ways.set(noteOf(step.zone, table), table);
    }
  }
  const flows = [...ways].map(
    ([note, table]): RenderedFlow => ({
      table: resumptionTable,
      priority: 1,
      match: [placed(resumption, note)],
      actions: [act.resubmit(table)],
      cookie: cookieOf(resumptionTable, `resumption(${note})`, null),
      reason: null,
    }),
  );
  const reason = "ct-invalid";
  const cookie = cookieOf(reentryTable, "reentry(miss)", reason);
  return [{ table: reentryTable, priority: 0, match: [], actions: [], cookie, reason }, ...flows];
}

const listsOf = (table: AnyTable): readonly (readonly Step[])[] => [
  ...Object.values<Declared>(table.actions).map(({ steps }) => steps),
  table.miss,
];
