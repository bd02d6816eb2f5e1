/** From a row's key to matches: the conditions, what the switch demands before them, and an order in which it takes them (ovs-fields(7), "Prerequisites"). */
import type { FieldMatch, FieldName, Match } from "@selvage/openflow";
import { type AnyTable, type Column, F, type Field, type Row, type RowValue, type Step } from "@selvage/pipeline";
import {
  alternativesOf,
  type BitsPlace,
  bitsOf,
  isIp,
  isIpv4,
  isTagged,
  type Need,
  needsOf,
  needsOfZero,
  placeOf,
  type Spread,
  spread,
  together,
  unknownOfLater,
} from "./layout.ts";
import type { Ports } from "./ports.ts";
import { familyOf, maskedBits } from "./values.ts";

/** One condition on a field, in the field's own bits; or on a number that is the switch's own: the port that a packet came in by, a rule whose clauses it meets. */
export type Condition =
  | {
      readonly kind: "bits";
      readonly field: Field;
      readonly place: BitsPlace;
      readonly value: bigint;
      readonly mask: bigint;
    }
  | { readonly kind: "number"; readonly of: "in_port" | "conj_id"; readonly number: number };

/** One column's condition. Throws TypeError for the ingress, whose number only the switch knows, and for values that do not fit. */
export function condition(column: Column, value: RowValue): Condition {
  const place = placeOf(column.field);
  const { value: bits, mask } = maskedBits(column, value);
  switch (place.kind) {
    case "bits":
      return { kind: "bits", field: column.field, place, value: bits, mask };
    case "family": {
      const family = familyOf(column.field, value) === 4 ? place.ip4 : place.ip6;
      const width = (1n << BigInt(family.subfield.bits)) - 1n;
      return { kind: "bits", field: column.field, place: family, value: bits, mask: mask & width };
    }
    case "ingress":
      throw new TypeError(`${column.field.name} is not matched by its bits`);
  }
}

/** The columns that say something of a packet: all but that of a rule's number, in a table of clauses. */
export const askedOf = (table: AnyTable): readonly (readonly [string, Column])[] =>
  Object.entries<Column>(table.columns).slice(table.scheme === "clauses" ? 1 : 0);

/** The conditions of a row's key; undefined while its interface is not there. */
export function conditionsOf(table: AnyTable, row: Row, ports: Ports): readonly Condition[] | undefined {
  const conditions: Condition[] = [];
  for (const [name, column] of askedOf(table)) {
    const value = row.key[name];
    if (value === undefined) continue;
    if (placeOf(column.field).kind !== "ingress") {
      conditions.push(condition(column, value));
      continue;
    }
    const number = ports.numberOf(String(value));
    if (number === undefined) return undefined;
    conditions.push({ kind: "number", of: "in_port", number });
  }
  const isLater = conditions.some((one) => one.kind === "bits" && one.field === F.later && one.value === 1n);
  return isLater
    ? conditions.filter((one) => one.kind === "number" || !unknownOfLater.has(one.field.name))
    : conditions;
}

/**
 * Adds what the switch demands before it lets fields be matched or touched, and puts it all in its order; several matches where a demand can be
 * met in several ways. Throws TypeError when the demands contradict the row.
 */
export function matchesOf(id: string, given: readonly Condition[], steps: readonly Step[]): readonly Match[] {
  let forks: Map<string, Condition>[] = [new Map(given.map((one) => [nameOf(one), one]))];
  const meet = (needs: readonly Need[]): void => {
    if (needs.length === 0) return;
    queue.push(...new Set(needs.map((one) => one.field)));
    forks = forks.flatMap((fork) => needs.flatMap((one) => withNeed(fork, one.field, one.value) ?? []));
  };
  const queue: Field[] = [...given.flatMap((one) => (one.kind === "bits" ? [one.field] : [])), ...touchedBy(steps)];
  for (const one of given)
    if (one.kind === "bits" && one.value === 0n) for (const need of needsOfZero(one.field)) meet([need]);
  if (steps.some(({ do: what }) => ofIpOnly.has(what))) meet(isIp);
  // No zone translates IPv6 (design, section 6.8).
  if (steps.some(({ do: what }) => what === "translateSource")) meet([isIpv4]);
  if (steps.some(({ do: what }) => what === "popTag")) meet([isTagged]);
  for (let field = queue.shift(); field !== undefined; field = queue.shift()) {
    for (const need of needsOf(field)) meet([need]);
    meet(alternativesOf(field));
  }
  if (forks.length === 0) throw new TypeError(`${id}: no packet can match it`);
  const code = given.some((one) => one.kind === "bits" && one.field === F.ndTarget) ? [noCode] : [];
  return forks.map((fork) => matched(fork, code));
}

/** Steps that the switch takes for IP alone. */
const ofIpOnly: ReadonlySet<Step["do"]> = new Set<Step["do"]>([
  ...(["track", "commit", "translate", "translateSource", "decrementTtl"] as const),
]);

/**
 * Neighbour discovery's code is 0 (RFC 4861, section 4); the target of a message with another one is not read. It is said all the same: of such a message
 * Open vSwitch's userspace datapath caches what became of it without the target (`flow_wc_map`), and would treat all others of the machine like it.
 */
const noCode: FieldMatch = { field: "icmpv6_code", value: 0 };

const nameOf = (one: Condition): string => (one.kind === "number" ? one.of : one.field.name);

/** The fork with one more condition; undefined where it holds another value already. */
function withNeed(fork: Map<string, Condition>, field: Field, value: number): Map<string, Condition> | undefined {
  const held = fork.get(field.name);
  if (held === undefined) return new Map(fork).set(field.name, needed(field, value));
  return held.kind === "bits" && held.value === (BigInt(value) & held.mask) ? fork : undefined;
}

function needed(field: Field, value: number): Condition {
  const mask = (1n << BigInt(field.bits)) - 1n;
  return { kind: "bits", field, place: bitsOf(field), value: BigInt(value), mask };
}

/** Conditions as the switch takes them: one a field of its own, prerequisites before what needs them. */
function matched(fork: ReadonlyMap<string, Condition>, also: readonly FieldMatch[]): Match {
  const match: FieldMatch[] = [...also];
  const parts = new Map<FieldName, [Spread, ...Spread[]]>();
  for (const one of fork.values()) {
    if (one.kind === "number") {
      match.push({ field: one.of, value: one.number });
      continue;
    }
    // Asked of no bit, an Ethernet field is told as a condition on `packet_type`, which would be taken for another hand's.
    if (one.mask === 0n) continue;
    const part = spread(one.place, one.value, one.mask);
    const held = parts.get(part.field);
    if (held === undefined) parts.set(part.field, [part]);
    else held.push(part);
  }
  return [...match, ...[...parts.values()].map(together)].sort((a, b) => rankOf(a) - rankOf(b));
}

const order = [
  ...["in_port", "metadata", "eth_src", "eth_dst", "vlan_vid", "eth_type", "nw_frag", "ip_proto"],
  ...["icmp_type", "icmpv6_type", "icmpv6_code", "ct_state"],
];
const rankOf = ({ field }: FieldMatch): number => {
  const rank = order.indexOf(field);
  if (rank >= 0) return rank;
  return field.startsWith("reg") || field.startsWith("x") || field.startsWith("tun") ? 0.5 : order.length;
};

/** Fields of the packet that steps read or write. */
const touchedBy = (steps: readonly Step[]): readonly Field[] =>
  steps.flatMap((step) => {
    if (step.do !== "set") return [];
    const read = step.to.from === "field" ? [step.to.field] : [];
    return [step.field, ...read].filter((field) => field.home === "frame");
  });
