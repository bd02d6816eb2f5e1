/**
 * From a row to flows, by the program's declaration alone: no table or action is known here by name. A `goto` or `call` looks up another table and
 * returns, as ovs-actions(7) says of its lookup action; the rows of a `members` table under one key are the buckets of one group; clauses of rules that
 * match the same are one flow (ovs-fields(7), "Conjunctive Match Fields").
 */
import type { ReasonCode } from "@selvage/base";
import {
  type Action,
  act,
  type Bucket,
  bucket,
  type Conjunction,
  type FieldName,
  fields,
  type GroupType,
  type Match,
  type Selection,
} from "@selvage/openflow";
import {
  type AnyTable,
  type Column,
  type Action as Declared,
  type Field,
  ingressOf,
  type Program,
  type Row,
  type Step,
} from "@selvage/pipeline";
import { translates, zoneOwner } from "../zone-kinds.ts";
import { actionsOf, literal } from "./actions.ts";
import { cookieOf } from "./cookie.ts";
import { bitsOf, type PlacedValue, placed, placeOf, resumption, shaped, zoneFields } from "./layout.ts";
import { type Condition, condition, conditionsOf, matchesOf } from "./match.ts";
import { measuredFields, meterOf } from "./measured.ts";
import { Ports } from "./ports.ts";
import { firstDriverTable } from "./punts.ts";
import { isTracked, resumptionTable } from "./reentry.ts";
import { matchText } from "./text.ts";
import { bitsFrom, maskedBits } from "./values.ts";

/** A flow as it should be; no flow of ours times out or has flags. */
export interface RenderedFlow {
  readonly table: number;
  readonly priority: number;
  readonly match: Match;
  readonly actions: readonly Action[];
  readonly cookie: bigint;
  /** Why it drops; null where it does not. */
  readonly reason: ReasonCode | null;
}

/** The rows of a `members` table under one key. */
export interface MemberSet {
  /** `table(key=…)*`. */
  readonly id: string;
  readonly table: number;
  readonly match: Match;
  /** Whether a packet goes to all members or to one, and by what that is chosen. */
  readonly type: GroupType;
  readonly selection: Selection | null;
}

/** One clause of a rule: what a flow with this match says of the rule. */
export interface RenderedClause {
  readonly table: number;
  readonly match: Match;
  readonly conjunction: Conjunction;
}

/** Packets of one flow, by both addresses, protocol and ports, go to the same member; of a packet counts what it has of these. */
const flowFields: readonly FieldName[] = [
  ...(["ipv4_src", "ipv4_dst", "ipv6_src", "ipv6_dst", "ip_proto"] as const),
  ...(["tcp_src", "tcp_dst", "udp_src", "udp_dst", "sctp_src", "sctp_dst"] as const),
];
const byFlow: Selection = {
  method: "hash",
  parameter: 0n,
  fields: flowFields.map((field) => ({ field, value: shaped(field, (1n << BigInt(fields[field].bits)) - 1n) })),
};

/** Clauses of one flow, 16 bytes each: an OpenFlow message has at most 64 KiB. */
const mostClauses = 4_000;

/** The priority of a row in an exact table and of all rows in one of clauses, and what longest prefixes add to. */
export const exactPriority = 100;
const rankStep = 100;

export class Renderer {
  readonly program: Program;
  readonly #measured: ReadonlySet<string>;
  /** Names of the tables of whose members a packet goes to one. */
  readonly #selected: ReadonlySet<string>;
  /** Names of the tables whose rows name no interface, no zone and no tunnel's end: nearly all rows are theirs. */
  readonly #nameless: ReadonlySet<string>;
  readonly #tails: readonly Tail[];

  /** Checks that this switch can hold the program. Throws TypeError when a field cannot be written, a table's number is the driver's, or members lack a number. */
  constructor(program: Program) {
    this.program = program;
    this.#measured = measuredFields(program);
    this.#selected = new Set(
      program.tables.flatMap(listsOf).flatMap((step) => (step.do === "select" ? [step.table] : [])),
    );
    this.#nameless = new Set(program.tables.filter((table) => !canName(table)).map(({ name }) => name));
    for (const table of program.tables) checkTable(table);
    this.#tails = tailsOf(program);
    this.misses();
    this.tailFlows();
  }

  /** Whether the row is of a table and an action of the program. */
  knows(row: Row): boolean {
    const actions: Readonly<Record<string, Declared>> | undefined = this.program.byName.get(row.table)?.actions;
    return actions !== undefined && Object.hasOwn(actions, row.action);
  }

  /** The interfaces whose numbers the row's flows contain; without them the row waits. */
  interfacesOf(row: Row): readonly string[] {
    if (this.#nameless.has(row.table)) return [];
    const table = this.#table(row);
    const ingress = Object.entries<Column>(table.columns).flatMap(([name, { field }]) =>
      placeOf(field).kind === "ingress" && row.key[name] !== undefined ? [String(row.key[name])] : [],
    );
    const outputs = stepsOf(table, row).flatMap((step) => {
      if (step.do === "output") return [String(literal(step.to, row))];
      return step.do === "tunnel" ? [ingressOf[step.by]] : [];
    });
    return [...ingress, ...outputs];
  }

  /** The ports whose zones of connection tracking the row's flows contain; without them the row waits. */
  zonesOf(row: Row): readonly string[] {
    if (this.#nameless.has(row.table)) return [];
    return stepsOf(this.#table(row), row).flatMap((step) =>
      step.do === "set" && step.field.kind === "name" ? [zoneOwner(step.field, String(literal(step.to, row)))] : [],
    );
  }

  /** Underlay addresses to which the row sends. */
  tunnelEndsOf(row: Row): readonly string[] {
    if (this.#nameless.has(row.table)) return [];
    const steps = stepsOf(this.#table(row), row);
    return steps.flatMap((step) => (step.do === "tunnel" ? [String(literal(step.to, row))] : []));
  }

  /** Whether the row is a member of a set, a bucket and no flow. */
  isMember = (row: Row): boolean => this.#table(row).role === "members";

  /** Whether the row is a clause of a rule, a part of flows and none by itself. */
  isClause(row: Row): boolean {
    const table = this.#table(row);
    return table.scheme === "clauses" && partOf(table, row) > 0;
  }

  /** A clause, once for each match that it needs. Throws TypeError as `flows` does. */
  clauses(row: Row): readonly RenderedClause[] {
    const table = this.#table(row);
    const conditions = conditionsOf(table, row, Ports.none) ?? [];
    const conjunction = act.conjunction(ruleOf(table, row), partOf(table, row) - 1, Number(row.args.of));
    return matchesOf(row.id, conditions, []).map((match) => ({ table: table.number, match, conjunction }));
  }

  /** The flow of all clauses with one match: each rule's part once, in order. */
  clauseFlow(table: number, match: Match, clauses: Iterable<Conjunction>): RenderedFlow {
    const sorted = [
      ...new Map([...clauses].map((each) => [`${each.id},${each.clause},${each.of}`, each])).values(),
    ].sort((a, b) => a.id - b.id || a.clause - b.clause || a.of - b.of);
    if (sorted.length > mostClauses)
      throw new TypeError(`${sorted.length} rules ask the same: a switch takes ${mostClauses}`);
    const cookie = cookieOf(table, `clauses(${matchText(match)})`, null);
    return { table, priority: exactPriority, match, actions: sorted, cookie, reason: null };
  }

  /** The row's flows, none while it waits for an interface or a zone. Throws TypeError when no packet can match it or a value does not fit. */
  flows(row: Row, ports: Ports): readonly RenderedFlow[] {
    const table = this.#table(row);
    const conditions: Condition[] | undefined = conditionsOf(table, row, ports)?.slice();
    if (table.scheme === "clauses") conditions?.push({ kind: "number", of: "conj_id", number: ruleOf(table, row) });
    if (conditions === undefined) return [];
    const steps = stepsOf(table, row);
    const rendered = actionsOf(this.program, steps, row, ports);
    if (rendered === undefined) return [];
    const priority = priorityOf(table, row);
    const reason = this.#countedReasonOf(row);
    const dropped = reasonOf(steps);
    const actions = dropped === null || reason !== null ? rendered : [...rendered, act.meter(meterOf(dropped))];
    const cookie = this.cookieOf(row);
    return matchesOf(row.id, conditions, steps).map((match) => ({
      table: table.number,
      priority,
      match,
      actions,
      cookie,
      reason,
    }));
  }

  /** The cookie of all flows of a row that is no member. */
  cookieOf(row: Row): bigint {
    const table = this.#table(row);
    return cookieOf(table.number, row.id, this.#countedReasonOf(row));
  }

  /** Why the row's flows drop, where their own counters tell how often; null for rows that do not drop, and for drops by a measured field. */
  #countedReasonOf(row: Row): ReasonCode | null {
    const table = this.#table(row);
    const isMeasured = Object.entries<Column>(table.columns).some(
      ([name, { field }]) => row.key[name] !== undefined && this.#measured.has(field.name),
    );
    return isMeasured ? null : reasonOf(stepsOf(table, row));
  }

  /** The set that a member row belongs to. */
  setOf(row: Row): MemberSet {
    const table = this.#table(row);
    const columns = Object.entries<Column>(table.columns).slice(0, -1);
    const conditions = columns.map(([name, column]) => condition(column, row.key[name] ?? ""));
    const key = columns.map(([name]) => `${name}=${row.key[name]}`).join(", ");
    const [match = []] = matchesOf(row.id, conditions, []);
    const isChoice = this.#selected.has(table.name);
    return {
      id: `${table.name}(${key})*`,
      table: table.number,
      match,
      type: isChoice ? "select" : "all",
      selection: isChoice ? byFlow : null,
    };
  }

  /** The flow that sends what is replicated to a set into its group. */
  setFlow(set: MemberSet, group: number): RenderedFlow {
    const cookie = cookieOf(set.table, set.id, null);
    const actions = [act.group(group)];
    return { table: set.table, priority: exactPriority, match: set.match, actions, cookie, reason: null };
  }

  /**
   * A member row as a bucket, whose id is the member's number; undefined while it waits for an interface. A bucket's actions are a set, in which only the last
   * lookup counts (OpenFlow 1.5.1, section 5.6.1): of an action with several all are done elsewhere.
   */
  bucket(row: Row, ports: Ports): Bucket | undefined {
    const table = this.#table(row);
    const tail = this.#tails.find((each) => each.table === table && each.action === row.action);
    const steps = stepsOf(table, row).slice(0, tail?.from);
    const made = actionsOf(this.program, steps, row, ports);
    if (made === undefined) return undefined;
    const rest = tail === undefined ? [] : [act.setField(tail.note), act.resubmit(resumptionTable)];
    const parts = this.#selected.has(table.name) ? { weight: 1 } : {};
    return bucket(this.memberNumber(row), [...made, ...rest], parts);
  }

  /** What members do behind their first lookup. */
  tailFlows(): readonly RenderedFlow[] {
    return this.#tails.flatMap(({ table, action, from, note }) => {
      const id = `${table.name}.${action}(tail)`;
      const row: Row = { table: table.name, key: {}, action, args: {}, id, body: "" };
      const actions = actionsOf(this.program, stepsOf(table, row).slice(from), row, Ports.none) ?? [];
      const cookie = cookieOf(resumptionTable, id, null);
      return [{ table: resumptionTable, priority: 1, match: [note], actions, cookie, reason: null }];
    });
  }

  /** The number of a member in its set: the value of the last column. */
  memberNumber(row: Row): number {
    const [name, column] = Object.entries<Column>(this.#table(row).columns).at(-1) ?? [];
    if (name === undefined || column === undefined) throw new TypeError(`${row.id}: its table has no columns`);
    return Number(bitsFrom(column.field, row.key[name] ?? ""));
  }

  /** What the tables do with packets that no row matches: the declared misses, and `table-miss` behind those that the switch narrows. */
  misses(): readonly RenderedFlow[] {
    return this.program.tables.flatMap((table) => {
      if (table.role !== "stage") return [];
      const id = `${table.name}(miss)`;
      const row: Row = { table: table.name, key: {}, action: "miss", args: {}, id, body: "" };
      const actions = actionsOf(this.program, table.miss, row, Ports.none);
      if (actions === undefined) throw new TypeError(`${table.name}: a miss names no interface`);
      const reason = reasonOf(table.miss);
      const matches = matchesOf(id, [], table.miss);
      const narrowed = matches.some((match) => match.length > 0);
      const flow = { table: table.number, actions, cookie: cookieOf(table.number, id, reason), reason };
      const unknown = { cookie: cookieOf(table.number, id, "table-miss"), reason: "table-miss" } as const;
      const rest = { table: table.number, priority: 0, match: [], actions: [], ...unknown };
      const declared = matches.map((match) => ({ ...flow, priority: narrowed ? 1 : 0, match }));
      return narrowed ? [...declared, rest] : declared;
    });
  }

  #table(row: Row): AnyTable {
    const table = this.program.byName.get(row.table);
    if (table === undefined) throw new TypeError(`${row.id}: no table ${row.table}`);
    return table;
  }
}

function priorityOf(table: AnyTable, row: Row): number {
  switch (table.scheme) {
    case "exact":
    case "clauses":
      return exactPriority;
    case "ranked": {
      const ranks: Readonly<Record<string, number>> = table.ranks;
      return (ranks[row.rank ?? ""] ?? 0) * rankStep;
    }
    case "longest": {
      const lengths = Object.entries<Column>(table.columns).map(([name, column]) => {
        const value = row.key[name];
        return value === undefined ? 0 : maskedBits(column, value).length;
      });
      return exactPriority + lengths.reduce((sum, length) => sum + length, 0);
    }
  }
}

/** The part of its rule that a row of a table of clauses is; 0 for the verdict. */
function partOf(table: AnyTable, row: Row): number {
  const ranks: Readonly<Record<string, number>> = table.ranks;
  return ranks[row.rank ?? ""] ?? 0;
}

/** The number of a row's rule. Throws TypeError for 0, which the switch says of packets that meet no rule. */
function ruleOf(table: AnyTable, row: Row): number {
  const [name = "", column] = Object.entries<Column>(table.columns)[0] ?? [];
  const rule = column === undefined ? 0n : bitsFrom(column.field, row.key[name] ?? 0);
  if (rule === 0n) throw new TypeError(`${row.id}: no rule has the number 0`);
  return Number(rule);
}

function stepsOf(table: AnyTable, row: Row): readonly Step[] {
  const actions: Readonly<Record<string, Declared>> = table.actions;
  const declared = actions[row.action];
  if (declared === undefined) throw new TypeError(`${row.id}: no action ${row.action}`);
  return declared.steps;
}

const reasonOf = (steps: readonly Step[]): ReasonCode | null => {
  const last = steps.at(-1);
  return last?.do === "drop" ? last.reason : null;
};

/** The steps of everything that a table does. */
const listsOf = (table: AnyTable): readonly Step[] => [
  ...Object.values<Declared>(table.actions).flatMap(({ steps }) => steps),
  ...table.miss,
];

/** Whether a row of a table can name an interface, a zone or a tunnel's end. */
const canName = (table: AnyTable): boolean =>
  Object.values<Column>(table.columns).some(({ field }) => placeOf(field).kind === "ingress") ||
  listsOf(table).some(
    (step) => step.do === "output" || step.do === "tunnel" || (step.do === "set" && step.field.kind === "name"),
  );

/** What is left of a member's action behind its first lookup, and the note by which a packet comes to it. */
interface Tail {
  readonly table: AnyTable;
  readonly action: string;
  /** Place of the first lookup among its steps. */
  readonly from: number;
  readonly note: PlacedValue;
}

/** The notes of packets that come back from connection tracking have other numbers before. */
const tailNotes = 0xff00;

const simple: ReadonlySet<Step["do"]> = new Set<Step["do"]>(["set", "decrementTtl"]);

/** The tails of the program's members. Throws TypeError for an action that no bucket can hold. */
function tailsOf(program: Program): readonly Tail[] {
  const tails: Tail[] = [];
  for (const table of program.tables) {
    if (table.role !== "members") continue;
    for (const [action, { steps }] of Object.entries<Declared>(table.actions)) {
      const from = steps.findIndex((step) => !simple.has(step.do));
      const rest = steps.slice(from);
      if (rest.length === 1 && rest.every((step) => "table" in step || step.do === "output" || step.do === "drop"))
        continue;
      const needs = rest.find((step) => step.do === "measure" || ("to" in step && step.to.from === "param"));
      if (needs !== undefined)
        throw new TypeError(`${table.name}.${action}: a member does not ${needs.do} behind a lookup`);
      tails.push({ table, action, from, note: placed(resumption, BigInt(tailNotes | tails.length)) });
    }
  }
  return tails;
}

/** A zone that translates does so from its first packet to its last, and others never. */
function checkZone(table: AnyTable, zone: Field, what: Step["do"]): void {
  if (!zoneFields.includes(zone)) throw new TypeError(`${table.name}: ${zone.name} holds no zone`);
  const translated = what === "translate" || what === "translateSource";
  if (translates(zone) !== translated) throw new TypeError(`${table.name}: no ${what} in the zone of ${zone.name}`);
}

/** Reads everything of the table that could not be rendered, so that a program that this switch cannot hold is refused at once. */
function checkTable(table: AnyTable): void {
  if (table.number >= firstDriverTable)
    throw new TypeError(`${table.name}: tables from ${firstDriverTable} on are the driver's`);
  const columns = Object.values<Column>(table.columns);
  for (const { field } of columns) placeOf(field);
  if (table.scheme === "clauses" && columns.some(({ field }) => placeOf(field).kind === "ingress"))
    throw new TypeError(`${table.name}: a clause does not ask where a packet came in`);
  if (table.role === "members") {
    const member = columns.at(-1);
    if (member?.field.kind !== "int" || member.field.bits > 24) {
      throw new TypeError(`${table.name}: the last column of members is a number of at most 24 bits`);
    }
  }
  for (const step of listsOf(table)) {
    if (isTracked(step)) checkZone(table, step.zone, step.do);
    if (step.do === "pushTag" && step.vlan.from === "field")
      throw new TypeError(`${table.name}: a VLAN stands in the row, not in ${step.vlan.field.name}`);
    if (step.do === "commit")
      for (const { field } of step.keep)
        if (!bitsOf(field).writable) throw new TypeError(`${table.name}: ${field.name} cannot be kept`);
    if (step.do === "set" && !bitsOf(step.field).writable)
      throw new TypeError(`${table.name}: ${step.field.name} cannot be written`);
    if ((step.do === "output" || step.do === "tunnel") && step.to.from === "field") {
      throw new TypeError(`${table.name}: where to send stands in the row, not in ${step.to.field.name}`);
    }
    if (step.do === "set" && step.field.kind === "name" && step.to.from === "field")
      throw new TypeError(`${table.name}: a zone is the port's that stands in the row, not in ${step.to.field.name}`);
  }
}
