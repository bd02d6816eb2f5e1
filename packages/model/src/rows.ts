/**
 * The rows that derivations contribute, and the row in force for each id: the same body from several is one row, counted;
 * different bodies are a conflict, won by content and never by arrival (ENGINE.md, section 3).
 */
import type { EngineRow } from "./derivation.ts";
import { Relation } from "./relation.ts";

/** Where a row comes from: the derivation, what it is over (a kind, or an index), and the object's id or the key. */
export interface Origin {
  readonly derivation: string;
  readonly over: string;
  readonly key: string;
}

/** One of several different rows contributed under one id. */
export interface Contribution<Row extends EngineRow> {
  readonly row: Row;
  readonly origin: Origin;
}

/** Different bodies under one id: which is in force, and all that were contributed, by body and then origin. */
export interface RowConflict<Row extends EngineRow> {
  readonly id: string;
  readonly inForce: Row;
  readonly contributions: readonly Contribution<Row>[];
}

/** What a batch did to the rows in force. */
export interface RowChanges<Row extends EngineRow> {
  readonly added: readonly Row[];
  readonly removed: readonly Row[];
  readonly modified: readonly { readonly before: Row; readonly after: Row }[];
  /** Of the ids that were touched, those that are in conflict now. */
  readonly conflicts: readonly RowConflict<Row>[];
}

/** What the engine needs of rows: so that they may lie in typed slabs one day. */
export interface RowStore<Row extends EngineRow> {
  /** Rows in force. */
  readonly size: number;
  /** Contributions held, shared ones counted each. */
  readonly contributions: number;
  /** The contributor (node, tag) contributes these rows now, of distinct ids, and no others. */
  contribute(node: number, tag: number, rows: readonly Row[]): void;
  /** Folds what was touched since the last time, and gives the difference. */
  settle(): RowChanges<Row>;
  row(id: string): Row | undefined;
  rows(): Iterable<Row>;
  /** Who contributes the body in force. */
  origins(id: string): readonly Origin[];
  conflicts(): readonly RowConflict<Row>[];
}

interface Touched<Row> {
  readonly id: string;
  readonly before: Row | undefined;
}

/** Rows as objects; contributions as a relation of (node, tag) to numbered ids. */
export class ObjectRows<Row extends EngineRow> implements RowStore<Row> {
  readonly #originOf: (node: number, tag: number) => Origin;
  readonly #numbers = new Map<string, number>();
  readonly #inForce: (Row | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #contributions = new Relation();
  /** The contributed row, by entry of the relation. */
  readonly #contributed: (Row | undefined)[] = [];
  readonly #touched = new Map<number, Touched<Row>>();
  readonly #conflicted = new Set<number>();

  constructor(originOf: (node: number, tag: number) => Origin) {
    this.#originOf = originOf;
  }

  get size(): number {
    return this.#numbers.size;
  }

  get contributions(): number {
    return this.#contributions.size;
  }

  contribute(node: number, tag: number, rows: readonly Row[]): void {
    const former = this.#entriesOf(node, tag);
    if (former === undefined) {
      for (const row of rows) this.#add(node, tag, row);
      return;
    }
    const kept = new Set<number>();
    const fresh: Row[] = [];
    for (const row of rows) {
      const entry = former.get(row.id);
      if (entry !== undefined && this.#rowAt(entry).body === row.body) kept.add(entry);
      else fresh.push(row);
    }
    if (kept.size < former.size) {
      this.#contributions.unlink(node, tag, (number, entry) => {
        if (kept.has(entry)) return false;
        this.#touch(number, this.#rowAt(entry).id);
        this.#contributed[entry] = undefined;
        return true;
      });
    }
    for (const row of fresh) this.#add(node, tag, row);
  }

  settle(): RowChanges<Row> {
    const added: Row[] = [];
    const removed: Row[] = [];
    const modified: { before: Row; after: Row }[] = [];
    const conflicts: RowConflict<Row>[] = [];
    for (const [number, { id, before }] of this.#touched) {
      const after = this.#fold(number);
      this.#inForce[number] = after;
      if (after === undefined) {
        this.#numbers.delete(id);
        this.#free.push(number);
        if (before !== undefined) removed.push(before);
      } else if (before === undefined) {
        added.push(after);
      } else if (before.body !== after.body) {
        modified.push({ before, after });
      }
      if (after !== undefined && this.#conflicted.has(number)) conflicts.push(this.#conflictAt(number, after));
    }
    this.#touched.clear();
    return { added, removed, modified, conflicts };
  }

  row(id: string): Row | undefined {
    const number = this.#numbers.get(id);
    return number === undefined ? undefined : this.#inForce[number];
  }

  *rows(): Iterable<Row> {
    for (const number of this.#numbers.values()) {
      const row = this.#inForce[number];
      if (row !== undefined) yield row;
    }
  }

  origins(id: string): readonly Origin[] {
    const number = this.#numbers.get(id);
    if (number === undefined) return [];
    const body = this.#inForce[number]?.body;
    return this.#contributionsOf(number)
      .filter(({ row }) => row.body === body)
      .map(({ origin }) => origin);
  }

  conflicts(): readonly RowConflict<Row>[] {
    const conflicts: RowConflict<Row>[] = [];
    for (const number of this.#conflicted) {
      const inForce = this.#inForce[number];
      if (inForce !== undefined) conflicts.push(this.#conflictAt(number, inForce));
    }
    return conflicts.sort((a, b) => compare(a.id, b.id));
  }

  /** Of different bodies the least text wins: the same in every order of arrival, on every host, after every restart. */
  protected winner(rows: readonly [Row, ...Row[]]): Row {
    return rows.reduce((best, row) => (row.body < best.body ? row : best));
  }

  /** The contributor's entries by row id; undefined when it has none. */
  #entriesOf(node: number, tag: number): ReadonlyMap<string, number> | undefined {
    let entries: Map<string, number> | undefined;
    this.#contributions.eachOfLeft(node, tag, (_number, entry) => {
      entries ??= new Map();
      entries.set(this.#rowAt(entry).id, entry);
    });
    return entries;
  }

  #add(node: number, tag: number, row: Row): void {
    const number = this.#numberOf(row.id);
    this.#touch(number, row.id);
    this.#contributed[this.#contributions.link(node, tag, number)] = row;
  }

  #fold(number: number): Row | undefined {
    const rows: Row[] = [];
    this.#contributions.eachOfRight(number, (_node, _tag, entry) => rows.push(this.#rowAt(entry)));
    const [first, ...others] = rows;
    if (others.some((row) => row.body !== first?.body)) this.#conflicted.add(number);
    else this.#conflicted.delete(number);
    return first === undefined ? undefined : this.winner([first, ...others]);
  }

  #conflictAt(number: number, inForce: Row): RowConflict<Row> {
    return { id: inForce.id, inForce, contributions: this.#contributionsOf(number) };
  }

  #contributionsOf(number: number): readonly Contribution<Row>[] {
    const contributions: Contribution<Row>[] = [];
    this.#contributions.eachOfRight(number, (node, tag, entry) => {
      contributions.push({ row: this.#rowAt(entry), origin: this.#originOf(node, tag) });
    });
    return contributions.sort((a, b) => compare(a.row.body, b.row.body) || compareOrigins(a.origin, b.origin));
  }

  #touch(number: number, id: string): void {
    if (!this.#touched.has(number)) this.#touched.set(number, { id, before: this.#inForce[number] });
  }

  #numberOf(id: string): number {
    const known = this.#numbers.get(id);
    if (known !== undefined) return known;
    const number = this.#free.pop() ?? this.#inForce.length;
    this.#inForce[number] = undefined;
    this.#numbers.set(id, number);
    return number;
  }

  #rowAt(entry: number): Row {
    const row = this.#contributed[entry];
    if (row === undefined) throw new Error(`no row is contributed by entry ${entry}`);
    return row;
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareOrigins(a: Origin, b: Origin): number {
  return compare(a.derivation, b.derivation) || compare(a.key, b.key);
}

/** The rows of one derivation, each id once. Throws when one is malformed, or two of one id differ. */
export function distinctRows<Row extends EngineRow>(rows: Iterable<Row>): readonly Row[] {
  const given = [...rows];
  for (const row of given) {
    if (typeof row?.id !== "string" || row.id === "" || typeof row.body !== "string") {
      throw new TypeError("a row has no id or no body");
    }
  }
  if (given.length < 2) return given;
  const distinct = new Map<string, Row>();
  for (const row of given) {
    const same = distinct.get(row.id);
    if (same !== undefined && same.body !== row.body) {
      throw new Error(`two different rows of one derivation have the id ${row.id}`);
    }
    distinct.set(row.id, row);
  }
  return distinct.size === given.length ? given : [...distinct.values()];
}
