/** From a row's key to matches: the conditions, what the switch demands before them, and an order in which it takes them (ovs-fields(7), "Prerequisites"). */
import type { FieldMatch, Match } from "@selvage/openflow";
import { type AnyTable, type Column, F, type Field, type Row, type RowValue, type Step } from "@selvage/pipeline";
import { alternativesOf, type BitsPlace, bitsOf, needsOf, placed, placeOf } from "./layout.ts";
import type { Ports } from "./ports.ts";
import { familyOf, maskedBits } from "./values.ts";

/** One condition on a field, in the field's own bits; or on the port that a packet came in by. */
export type Condition =
  | {
      readonly kind: "bits";
      readonly field: Field;
      readonly place: BitsPlace;
      readonly value: bigint;
      readonly mask: bigint;
    }
  | { readonly kind: "ingress"; readonly number: number };

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

/** The conditions of a row's key; undefined while its interface is not there. */
export function conditionsOf(table: AnyTable, row: Row, ports: Ports): readonly Condition[] | undefined {
  const conditions: Condition[] = [];
  for (const [name, column] of Object.entries<Column>(table.columns)) {
    const value = row.key[name];
    if (value === undefined) continue;
    if (placeOf(column.field).kind !== "ingress") {
      conditions.push(condition(column, value));
      continue;
    }
    const number = ports.numberOf(String(value));
    if (number === undefined) return undefined;
    conditions.push({ kind: "ingress", number });
  }
  return conditions;
}

/**
 * Adds what the switch demands before it lets fields be matched or touched, and puts it all in its order; several matches where a demand can be
 * met in several ways. Throws TypeError when the demands contradict the row.
 */
export function matchesOf(id: string, given: readonly Condition[], steps: readonly Step[]): readonly Match[] {
  let forks: Map<string, Condition>[] = [new Map(given.map((one) => [nameOf(one), one]))];
  const queue: Field[] = [...given.flatMap((one) => (one.kind === "bits" ? [one.field] : [])), ...touchedBy(steps)];
  for (let field = queue.shift(); field !== undefined; field = queue.shift()) {
    for (const { field: needed, value } of needsOf(field)) {
      queue.push(needed);
      forks = forks.flatMap((fork) => withNeed(fork, needed, value) ?? []);
    }
    const alternatives = alternativesOf(field);
    if (alternatives.length > 0) {
      queue.push(...new Set(alternatives.map((one) => one.field)));
      forks = forks.flatMap((fork) => alternatives.flatMap((one) => withNeed(fork, one.field, one.value) ?? []));
    }
  }
  if (forks.length === 0) throw new TypeError(`${id}: no packet can match it`);
  const code = given.some((one) => one.kind === "bits" && one.field === F.ndTarget) ? [noCode] : [];
  return forks.map((fork) => [...[...fork.values()].map(matched), ...code].sort((a, b) => rankOf(a) - rankOf(b)));
}

/**
 * Neighbour discovery's code is 0 (RFC 4861, section 4); the target of a message with another one is not read. It is said all the same: of such a message
 * Open vSwitch's userspace datapath caches what became of it without the target (`flow_wc_map`), and would treat all others of the machine like it.
 */
const noCode: FieldMatch = { field: "icmpv6_code", value: 0 };

const nameOf = (one: Condition): string => (one.kind === "ingress" ? "ingress" : one.field.name);

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

const matched = (one: Condition): FieldMatch =>
  one.kind === "ingress" ? { field: "in_port", value: one.number } : placed(one.place, one.value, one.mask);

/** Prerequisites go before what needs them. */
const order = [
  "in_port",
  "metadata",
  "eth_src",
  "eth_dst",
  "vlan_vid",
  "eth_type",
  "ip_proto",
  "icmpv6_type",
  "icmpv6_code",
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
