/** The rows of a table of scheme `clauses`: which rule, if any, a packet meets, and how near it comes to the others. */
import type { AnyTable, Column, Row } from "@selvage/pipeline";
import { AmbiguousRows, type Asked, type FieldReader, lookUp, placeOf, type RowSpace } from "./tuple-space.ts";

/** How a packet stands to one rule. */
export interface NearRule {
  /** The rule's number, as its rows name it. */
  readonly rule: number;
  /** Clauses that the packet meets, one a part. */
  readonly met: readonly Row[];
  /** Parts that it does not meet, with their clauses, each of which would do. */
  readonly failing: readonly { readonly part: string; readonly clauses: readonly Row[] }[];
  /** What would be run; undefined for a rule whose verdict is not there (any more, or yet). */
  readonly verdict: Row | undefined;
}

interface Tuple {
  readonly asked: readonly Asked[];
  /** By what is asked, then by rule. */
  readonly rows: Map<string, Map<number, Row>>;
}

/** Clauses of one part of all rules, found as rows of other tables are: those that mask the same bits together. */
class Part {
  readonly name: string;
  readonly tuples = new Map<string, Tuple>();
  /** All clauses of a rule. */
  readonly byRule = new Map<number, Map<string, Row>>();

  constructor(name: string) {
    this.name = name;
  }

  /** The rules of which a packet meets a clause here, with one clause that it meets. */
  met(read: FieldReader): ReadonlyMap<number, Row> {
    const all = new Map<number, Row>();
    for (const { asked, rows } of this.tuples.values())
      for (const [rule, row] of lookUp(asked, rows, read) ?? []) {
        const held = all.get(rule);
        if (held === undefined || row.id < held.id) all.set(rule, row);
      }
    return all;
  }
}

const partsOf = (row: Row): number => Number(row.args.of);

export class ClauseSpace implements RowSpace {
  readonly #table: AnyTable;
  /** Name of the column that says whose rule it is. */
  readonly #rule: string;
  readonly #columns: readonly (readonly [string, Column])[];
  /** In order of their numbers, from 1. */
  readonly #parts: readonly Part[];
  readonly #verdicts = new Map<number, Row>();
  #size = 0;

  constructor(table: AnyTable) {
    this.#table = table;
    const [rule, ...columns] = Object.entries<Column>(table.columns);
    if (rule === undefined) throw new TypeError(`${table.name}: no column names the rule`);
    this.#rule = rule[0];
    this.#columns = columns;
    this.#parts = Object.entries<number>(table.ranks)
      .filter(([, number]) => number > 0)
      .sort(([, one], [, other]) => one - other)
      .map(([name]) => new Part(name));
  }

  get size(): number {
    return this.#size;
  }

  check(row: Row): void {
    this.#ruleOf(row);
    if (this.#partOf(row) !== undefined) placeOf(this.#columns, row);
  }

  put(row: Row): void {
    const rule = this.#ruleOf(row);
    const part = this.#partOf(row);
    if (part === undefined) {
      if (!this.#verdicts.has(rule)) this.#size += 1;
      this.#verdicts.set(rule, row);
      return;
    }
    const { signature, key, asked } = placeOf(this.#columns, row);
    const tuple = part.tuples.get(signature) ?? { asked, rows: new Map() };
    part.tuples.set(signature, tuple);
    const rows = tuple.rows.get(key) ?? new Map<number, Row>();
    tuple.rows.set(key, rows);
    const held = rows.get(rule);
    if (held !== undefined && held.id !== row.id) throw new AmbiguousRows(held, row);
    if (held === undefined) this.#size += 1;
    rows.set(rule, row);
    const own = part.byRule.get(rule) ?? new Map<string, Row>();
    part.byRule.set(rule, own.set(row.id, row));
  }

  remove(row: Row): void {
    const rule = this.#ruleOf(row);
    const part = this.#partOf(row);
    if (part === undefined) {
      if (this.#verdicts.delete(rule)) this.#size -= 1;
      return;
    }
    const { signature, key } = placeOf(this.#columns, row);
    const tuple = part.tuples.get(signature);
    const rows = tuple?.rows.get(key);
    if (tuple === undefined || rows?.delete(rule) !== true) return;
    this.#size -= 1;
    if (rows.size === 0) tuple.rows.delete(key);
    if (tuple.rows.size === 0) part.tuples.delete(signature);
    const own = part.byRule.get(rule);
    own?.delete(row.id);
    if (own?.size === 0) part.byRule.delete(rule);
  }

  /** The verdict of the rule of the lowest number that a packet meets, behind the clauses by which it does. */
  find(read: FieldReader): readonly Row[] {
    const met = this.#met(read);
    const [first] = met;
    const rules = [...(first?.keys() ?? [])].sort((one, other) => one - other);
    for (const rule of rules) {
      const verdict = this.#verdicts.get(rule);
      const clauses = verdict === undefined ? undefined : clausesOf(rule, met);
      if (verdict !== undefined && clauses !== undefined) return [...clauses, verdict];
    }
    return [];
  }

  /** How the packet stands to the rules of which it meets the first part (its own set's, or none), the nearest first, `most` of them. */
  nearest(read: FieldReader, most: number): readonly NearRule[] {
    const met = this.#met(read);
    const [first] = met;
    const all = [...(first ?? [])].map(([rule, row]) => this.#standing(rule, partsOf(row), met));
    return all.sort((one, other) => one.failing.length - other.failing.length || one.rule - other.rule).slice(0, most);
  }

  *[Symbol.iterator](): Iterator<Row> {
    for (const part of this.#parts) for (const rows of part.byRule.values()) yield* rows.values();
    yield* this.#verdicts.values();
  }

  /** Parts after the first are looked at only where a rule's first is met: most packets meet none of most sets. */
  #met(read: FieldReader): readonly ReadonlyMap<number, Row>[] {
    const [first, ...others] = this.#parts;
    const met = first?.met(read) ?? new Map<number, Row>();
    return met.size === 0 ? [met] : [met, ...others.map((part) => part.met(read))];
  }

  #standing(rule: number, count: number, met: readonly ReadonlyMap<number, Row>[]): NearRule {
    const parts = this.#parts.slice(0, count);
    return {
      rule,
      met: met.slice(0, count).flatMap((rows) => rows.get(rule) ?? []),
      failing: parts.flatMap((part, at) =>
        met[at]?.has(rule) === true ? [] : [{ part: part.name, clauses: [...(part.byRule.get(rule)?.values() ?? [])] }],
      ),
      verdict: this.#verdicts.get(rule),
    };
  }

  #ruleOf(row: Row): number {
    const rule = row.key[this.#rule];
    if (typeof rule !== "number") throw new TypeError(`${row.id}: ${rule} is no number of a rule`);
    return rule;
  }

  /** The part that a clause is of; undefined for a verdict. */
  #partOf(row: Row): Part | undefined {
    const number: unknown = row.rank === undefined ? undefined : this.#table.ranks[row.rank];
    if (typeof number !== "number") throw new TypeError(`${this.#table.name}: no rank ${row.rank}`);
    if (number === 0) return undefined;
    const part = this.#parts[number - 1];
    if (part === undefined) throw new TypeError(`${this.#table.name}: no part ${number}`);
    return part;
  }
}

/** One clause of each part that the rule has, or undefined where the packet misses one. */
function clausesOf(rule: number, met: readonly ReadonlyMap<number, Row>[]): readonly Row[] | undefined {
  const first = met[0]?.get(rule);
  if (first === undefined) return undefined;
  const clauses: Row[] = [];
  for (let part = 0; part < partsOf(first); part += 1) {
    const clause = met[part]?.get(rule);
    if (clause === undefined) return undefined;
    clauses.push(clause);
  }
  return clauses;
}
