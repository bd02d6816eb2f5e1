/**
 * From a row to flows, by the program's declaration alone: no table or action is known here by name. A `goto` or `call` looks up another table and
 * returns, as ovs-actions(7) says of its lookup action; the rows of a `members` table under one key are the buckets of one group.
 */
import type { ReasonCode } from "@selvage/base";
import { type Action, act, type Bucket, bucket, type Match } from "@selvage/openflow";
import {
  type AnyTable,
  type Column,
  type Action as Declared,
  ingressOf,
  type Program,
  type Row,
  type Step,
} from "@selvage/pipeline";
import { actionsOf, literal } from "./actions.ts";
import { cookieOf } from "./cookie.ts";
import { bitsOf, placeOf } from "./layout.ts";
import { condition, conditionsOf, matchesOf } from "./match.ts";
import { measuredFields, meterOf } from "./measured.ts";
import { Ports } from "./ports.ts";
import { firstDriverTable } from "./punts.ts";
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
}

/** The priority of a row in an exact table, and what longest prefixes add to. */
const exactPriority = 100;
const rankStep = 100;

export class Renderer {
  readonly program: Program;
  readonly #measured: ReadonlySet<string>;

  /** Checks that this switch can hold the program. Throws TypeError when a field cannot be written, a table's number is the driver's, or members lack a number. */
  constructor(program: Program) {
    this.program = program;
    this.#measured = measuredFields(program);
    for (const table of program.tables) checkTable(table);
    this.misses();
  }

  /** The interfaces whose numbers the row's flows contain; without them the row waits. */
  interfacesOf(row: Row): readonly string[] {
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

  /** Underlay addresses to which the row sends. */
  tunnelEndsOf(row: Row): readonly string[] {
    const steps = stepsOf(this.#table(row), row);
    return steps.flatMap((step) => (step.do === "tunnel" ? [String(literal(step.to, row))] : []));
  }

  /** Whether the row is a member of a set, a bucket and no flow. */
  isMember = (row: Row): boolean => this.#table(row).role === "members";

  /** The row's flows, none while it waits for an interface. Throws TypeError when no packet can match it or a value does not fit. */
  flows(row: Row, ports: Ports): readonly RenderedFlow[] {
    const table = this.#table(row);
    const conditions = conditionsOf(table, row, ports);
    if (conditions === undefined) return [];
    const steps = stepsOf(table, row);
    const rendered = actionsOf(this.program, steps, row, ports);
    if (rendered === undefined) return [];
    const priority = priorityOf(table, row);
    const reason = this.#countedReasonOf(row);
    const dropped = reasonOf(steps);
    const actions = dropped === null || reason !== null ? rendered : [act.meter(meterOf(dropped))];
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
    return { id: `${table.name}(${key})*`, table: table.number, match };
  }

  /** The flow that sends what is replicated to a set into its group. */
  setFlow(set: MemberSet, group: number): RenderedFlow {
    const cookie = cookieOf(set.table, set.id, null);
    const actions = [act.group(group)];
    return { table: set.table, priority: exactPriority, match: set.match, actions, cookie, reason: null };
  }

  /** A member row as a bucket, whose id is the member's number; undefined while it waits for an interface. */
  bucket(row: Row, ports: Ports): Bucket | undefined {
    const table = this.#table(row);
    const actions = actionsOf(this.program, stepsOf(table, row), row, ports);
    return actions === undefined ? undefined : bucket(this.memberNumber(row), actions);
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

/** Reads everything of the table that could not be rendered, so that a program that this switch cannot hold is refused at once. */
function checkTable(table: AnyTable): void {
  if (table.number >= firstDriverTable)
    throw new TypeError(`${table.name}: tables from ${firstDriverTable} on are the driver's`);
  const columns = Object.values<Column>(table.columns);
  for (const { field } of columns) placeOf(field);
  if (table.role === "members") {
    const member = columns.at(-1);
    if (member?.field.kind !== "int" || member.field.bits > 24) {
      throw new TypeError(`${table.name}: the last column of members is a number of at most 24 bits`);
    }
  }
  const lists: readonly (readonly Step[])[] = [
    ...Object.values<Declared>(table.actions).map(({ steps }) => steps),
    table.miss,
  ];
  for (const step of lists.flat()) {
    if (step.do === "set" && !bitsOf(step.field).writable)
      throw new TypeError(`${table.name}: ${step.field.name} cannot be written`);
    if ((step.do === "output" || step.do === "tunnel") && step.to.from === "field") {
      throw new TypeError(`${table.name}: where to send stands in the row, not in ${step.to.field.name}`);
    }
  }
}
