/**
 * The rows that derivations contribute, and the row in force for each id: the same body from several is one row, counted;
 * different bodies are a conflict, won by content and never by arrival (ENGINE.md, section 3).
 */
import type { EngineRow } from "./derivation.ts";
import { grown, Relation } from "./relation.ts";
import { ObjectShelf, type RowShelf } from "./row-shelf.ts";
import { TextIndex } from "./text-index.ts";

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

/** What the engine needs of rows. */
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

/** Contributions as a relation of (node, tag) to numbered ids; the rows themselves lie on a shelf, equal ones of one id once. */
export class FoldedRows<Row extends EngineRow> implements RowStore<Row> {
  readonly #originOf: (node: number, tag: number) => Origin;
  readonly #shelf: RowShelf<Row>;
  /** Numbers of the ids under which there are rows. */
  readonly #numbers = new TextIndex((number) => this.#touched.get(number)?.id ?? this.#rowAt(this.#inForce[number]).id);
  readonly #free: number[] = [];
  /** By number the place of the row in force; while it is touched, of one that is contributed; 0: of none. */
  #inForce = new Int32Array(64);
  #next = 1;
  readonly #contributions = new Relation();
  /** By entry of the relation the place of the contributed row. */
  #contributed = new Int32Array(64);
  /** How many contributions more than one a place is of, where it is of more. */
  readonly #shared = new Map<number, number>();
  /** Rows by place that were put since the last time that all was settled: they need not be read from the shelf. */
  readonly #recent = new Map<number, Row>();
  readonly #touched = new Map<number, Touched<Row>>();
  readonly #conflicted = new Set<number>();

  constructor(originOf: (node: number, tag: number) => Origin, shelf: RowShelf<Row> = new ObjectShelf()) {
    this.#originOf = originOf;
    this.#shelf = shelf;
  }

  get size(): number {
    return this.#numbers.size;
  }

  get contributions(): number {
    return this.#contributions.size;
  }

  contribute(node: number, tag: number, rows: readonly Row[]): void {
    const former = this.#formerOf(node, tag);
    if (former === undefined) {
      for (const row of rows) this.#add(node, tag, row);
      return;
    }
    const kept = new Set<number>();
    const fresh: Row[] = [];
    for (const row of rows) {
      const held = former.get(row.id);
      if (held?.row.body === row.body) kept.add(held.entry);
      else fresh.push(row);
    }
    if (kept.size < former.size) {
      this.#contributions.unlink(node, tag, (number, entry) => {
        if (kept.has(entry)) return false;
        this.#release(number, this.#contributed[entry] ?? 0);
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
      const place = this.#fold(number);
      this.#inForce[number] = place;
      if (place === 0) {
        this.#numbers.delete(id, number);
        this.#free.push(number);
        if (before !== undefined) removed.push(before);
        continue;
      }
      const after = this.#rowAt(place);
      if (before === undefined) added.push(after);
      else if (before.body !== after.body) modified.push({ before, after });
      if (this.#conflicted.has(number)) conflicts.push(this.#conflictAt(number, after));
    }
    this.#touched.clear();
    this.#recent.clear();
    return { added, removed, modified, conflicts };
  }

  row(id: string): Row | undefined {
    const number = this.#numbers.find(id);
    return number === 0 ? undefined : this.#rowOf(number);
  }

  *rows(): Iterable<Row> {
    for (let number = 1; number < this.#next; number += 1) {
      const row = this.#rowOf(number);
      if (row !== undefined) yield row;
    }
  }

  origins(id: string): readonly Origin[] {
    const number = this.#numbers.find(id);
    if (number === 0) return [];
    const body = this.#rowOf(number)?.body;
    return this.#contributionsOf(number)
      .filter(({ row }) => row.body === body)
      .map(({ origin }) => origin);
  }

  conflicts(): readonly RowConflict<Row>[] {
    const conflicts: RowConflict<Row>[] = [];
    for (const number of this.#conflicted) {
      const inForce = this.#rowOf(number);
      if (inForce !== undefined) conflicts.push(this.#conflictAt(number, inForce));
    }
    return conflicts.sort((a, b) => compare(a.id, b.id));
  }

  /** Of different bodies the least text wins: the same in every order of arrival, on every host, after every restart. */
  protected winner(rows: readonly [Row, ...Row[]]): Row {
    return rows.reduce((best, row) => (row.body < best.body ? row : best));
  }

  /** What the contributor contributes, by id; undefined when that is nothing. */
  #formerOf(node: number, tag: number): ReadonlyMap<string, { readonly entry: number; readonly row: Row }> | undefined {
    let former: Map<string, { entry: number; row: Row }> | undefined;
    this.#contributions.eachOfLeft(node, tag, (_number, entry) => {
      former ??= new Map();
      const row = this.#rowAt(this.#contributed[entry]);
      former.set(row.id, { entry, row });
    });
    return former;
  }

  #add(node: number, tag: number, row: Row): void {
    const number = this.#numberOf(row.id);
    this.#touch(number, row.id);
    const held = this.#inForce[number] ?? 0;
    let place = held;
    if (held !== 0 && this.#rowAt(held).body === row.body) {
      this.#shared.set(held, (this.#shared.get(held) ?? 0) + 1);
    } else {
      place = this.#shelf.put(row);
      this.#recent.set(place, row);
      if (held === 0) this.#inForce[number] = place;
    }
    const entry = this.#contributions.link(node, tag, number);
    if (entry >= this.#contributed.length) this.#contributed = grown(this.#contributed, entry + 1);
    this.#contributed[entry] = place;
  }

  /** A contribution of what lies at a place ends. */
  #release(number: number, place: number): void {
    if (!this.#touched.has(number)) this.#touch(number, this.#rowAt(place).id);
    const more = this.#shared.get(place) ?? 0;
    if (more > 1) this.#shared.set(place, more - 1);
    else if (more === 1) this.#shared.delete(place);
    else {
      this.#shelf.take(place);
      this.#recent.delete(place);
      if (this.#inForce[number] === place) this.#inForce[number] = 0;
    }
  }

  /** The place of the row that is to be in force under a number; 0: none. */
  #fold(number: number): number {
    const places = new Set<number>();
    this.#contributions.eachOfRight(number, (_node, _tag, entry) => places.add(this.#contributed[entry] ?? 0));
    const rows = places.size < 2 ? [] : [...places].map((place) => this.#rowAt(place));
    const [first, ...others] = rows;
    if (others.some((row) => row.body !== first?.body)) this.#conflicted.add(number);
    else this.#conflicted.delete(number);
    const at = first === undefined ? 0 : rows.indexOf(this.winner([first, ...others]));
    return [...places][at] ?? 0;
  }

  #conflictAt(number: number, inForce: Row): RowConflict<Row> {
    return { id: inForce.id, inForce, contributions: this.#contributionsOf(number) };
  }

  #contributionsOf(number: number): readonly Contribution<Row>[] {
    const contributions: Contribution<Row>[] = [];
    this.#contributions.eachOfRight(number, (node, tag, entry) => {
      contributions.push({ row: this.#rowAt(this.#contributed[entry]), origin: this.#originOf(node, tag) });
    });
    return contributions.sort((a, b) => compare(a.row.body, b.row.body) || compareOrigins(a.origin, b.origin));
  }

  #touch(number: number, id: string): void {
    if (!this.#touched.has(number)) this.#touched.set(number, { id, before: this.#rowOf(number) });
  }

  #numberOf(id: string): number {
    const known = this.#numbers.find(id);
    if (known !== 0) return known;
    const number = this.#free.pop() ?? this.#next;
    if (number === this.#next) this.#next += 1;
    if (number >= this.#inForce.length) this.#inForce = grown(this.#inForce, number + 1);
    this.#inForce[number] = 0;
    this.#numbers.add(id, number);
    return number;
  }

  #rowOf(number: number): Row | undefined {
    const place = this.#inForce[number] ?? 0;
    return place === 0 ? undefined : this.#rowAt(place);
  }

  #rowAt(place = 0): Row {
    return this.#recent.get(place) ?? this.#shelf.at(place);
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
