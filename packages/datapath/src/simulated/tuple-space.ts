/**
 * The rows of one table, found by tuple-space search (Srinivasan et al. 1999, as in Open vSwitch's classifier): rows that mask the
 * same bits share one hash table, and the tables are asked from the highest rank down.
 */
import type { AnyTable, Column, Field, Row, Scheme } from "@selvage/pipeline";
import { type FieldValue, maskedFrom } from "./values.ts";

/** Reads what a packet, or the program's memory of it, holds in a field; undefined where the packet has no such field. */
export type FieldReader = (field: Field) => FieldValue | undefined;

/** One column as rows that mask the same bits ask of it. */
export interface Asked {
  readonly field: Field;
  readonly mask: bigint;
}

/** The rows of one table. */
export interface RowSpace extends Iterable<Row> {
  readonly size: number;
  /** Throws TypeError on values that do not fit their fields, and on a rank that the table has not. */
  check(row: Row): void;
  /** Puts a row, replacing the one of the same id. Throws as `check` does, and AmbiguousRows when a row of another id asks the same in its place. */
  put(row: Row): void;
  /** Takes a row away, if it is there. */
  remove(row: Row): void;
  /** What a packet meets, the row whose action is run last; empty for a miss. Throws AmbiguousRows. */
  find(read: FieldReader): readonly Row[];
}

/** Where a row belongs: which tuple, by its signature, and under which key in it. */
interface Place {
  readonly signature: string;
  readonly key: string;
  readonly asked: readonly Asked[];
  readonly prefixBits: number;
}

/** Rows of one rank that mask the same bits. */
interface Tuple {
  readonly rank: number;
  readonly asked: readonly Asked[];
  readonly rows: Map<string, Row>;
}

/** Two rows of one rank match one packet and say different things: the program has no meaning for it. */
export class AmbiguousRows extends Error {
  readonly rows: readonly [Row, Row];
  constructor(first: Row, second: Row) {
    super(`${first.id} and ${second.id} match one packet at one rank`);
    this.name = "AmbiguousRows";
    this.rows = [first, second];
  }
}

const pieceOf = (value: FieldValue): string => (typeof value === "string" ? value : value.toString(36));

export class TupleSpace implements RowSpace {
  readonly #table: AnyTable;
  readonly #columns: readonly (readonly [string, Column])[];
  readonly #tuples = new Map<string, Tuple>();
  #ordered: readonly Tuple[] = [];
  #size = 0;

  constructor(table: AnyTable) {
    this.#table = table;
    this.#columns = Object.entries<Column>(table.columns);
  }

  get size(): number {
    return this.#size;
  }

  check(row: Row): void {
    this.#place(row);
  }

  put(row: Row): void {
    const { signature, key, asked, rank } = this.#place(row);
    let tuple = this.#tuples.get(signature);
    if (tuple === undefined) {
      tuple = { rank, asked, rows: new Map() };
      this.#tuples.set(signature, tuple);
      this.#ordered = [...this.#tuples.values()].sort((a, b) => b.rank - a.rank);
    }
    const held = tuple.rows.get(key);
    if (held !== undefined && held.id !== row.id) throw new AmbiguousRows(held, row);
    if (held === undefined) this.#size += 1;
    tuple.rows.set(key, row);
  }

  remove(row: Row): void {
    const { signature, key } = this.#place(row);
    const tuple = this.#tuples.get(signature);
    if (tuple?.rows.delete(key) !== true) return;
    this.#size -= 1;
    if (tuple.rows.size > 0) return;
    this.#tuples.delete(signature);
    this.#ordered = this.#ordered.filter((each) => each !== tuple);
  }

  find(read: FieldReader): readonly Row[] {
    let found: Row | undefined;
    let foundRank = Number.NEGATIVE_INFINITY;
    for (const { rank, asked, rows } of this.#ordered) {
      if (rank < foundRank) break;
      const row = lookUp(asked, rows, read);
      if (row === undefined) continue;
      if (found !== undefined && found.body !== row.body) throw new AmbiguousRows(found, row);
      found = row;
      foundRank = rank;
    }
    return found === undefined ? [] : [found];
  }

  *[Symbol.iterator](): Iterator<Row> {
    for (const tuple of this.#ordered) yield* tuple.rows.values();
  }

  #place(row: Row): Place & { readonly rank: number } {
    const place = placeOf(this.#columns, row);
    const rank = this.#rankOf(row, place.prefixBits);
    return { ...place, rank, signature: `${rank};${place.signature}` };
  }

  #rankOf(row: Row, prefixBits: number): number {
    const scheme: Scheme = this.#table.scheme;
    switch (scheme) {
      case "exact":
        return 0;
      case "longest":
        return prefixBits;
      case "ranked":
        return this.#rankNamed(row.rank);
      case "clauses":
        throw new TypeError(`${this.#table.name}: clauses have a space of their own`);
    }
  }

  #rankNamed(name: string | undefined): number {
    const rank: unknown = name === undefined ? undefined : this.#table.ranks[name];
    if (typeof rank !== "number") throw new TypeError(`${this.#table.name}: no rank ${name}`);
    return rank;
  }
}

/** Where a row belongs among others, by what it asks of the columns. Throws TypeError on values that do not fit their fields. */
export function placeOf(columns: readonly (readonly [string, Column])[], row: Row): Place {
  const asked: Asked[] = [];
  const pieces: string[] = [];
  let prefixBits = 0;
  for (const [name, column] of columns) {
    const masked = maskedFrom(column, row.key[name]);
    if (masked === undefined) continue;
    asked.push({ field: column.field, mask: masked.mask });
    pieces.push(pieceOf(masked.value));
    prefixBits += masked.length;
  }
  const signature = asked.map(({ field, mask }) => `${field.name}/${mask.toString(36)}`).join(",");
  return { signature, key: pieces.join("|"), asked, prefixBits };
}

/** What is held for a packet among rows that mask the same bits; undefined where it has not all of the fields. */
export function lookUp<T>(asked: readonly Asked[], rows: ReadonlyMap<string, T>, read: FieldReader): T | undefined {
  const pieces: string[] = [];
  for (const { field, mask } of asked) {
    const value = read(field);
    if (value === undefined) return undefined;
    pieces.push(pieceOf(typeof value === "string" ? value : value & mask));
  }
  return rows.get(pieces.join("|"));
}
