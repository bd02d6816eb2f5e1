/**
 * The rows of one table, found by tuple-space search (Srinivasan et al. 1999, as in Open vSwitch's classifier): rows that mask the
 * same bits share one hash table, and the tables are asked from the highest rank down.
 */
import type { AnyTable, Column, Field, Row } from "@selvage/pipeline";
import { type FieldValue, maskedFrom } from "./values.ts";

/** Reads what a packet, or the program's memory of it, holds in a field; undefined where the packet has no such field. */
export type FieldReader = (field: Field) => FieldValue | undefined;

interface Asked {
  readonly field: Field;
  readonly mask: bigint;
}

/** Where a row belongs: which tuple, by its signature, and under which key in it. */
interface Place {
  readonly signature: string;
  readonly key: string;
  readonly asked: readonly Asked[];
  readonly rank: number;
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

export class TupleSpace {
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

  /**
   * Puts a row, replacing the one of the same id. Throws TypeError on values that do not fit their fields, and AmbiguousRows when a row of
   * another id has the same key and rank: other words for one thing.
   */
  put(row: Row): void {
    const { signature, key, asked, rank } = this.place(row);
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

  /** Takes a row away, if it is there. */
  remove(row: Row): void {
    const { signature, key } = this.place(row);
    const tuple = this.#tuples.get(signature);
    if (tuple?.rows.delete(key) !== true) return;
    this.#size -= 1;
    if (tuple.rows.size > 0) return;
    this.#tuples.delete(signature);
    this.#ordered = this.#ordered.filter((each) => each !== tuple);
  }

  /** The row that wins for a packet, or undefined for a miss. Throws AmbiguousRows. */
  find(read: FieldReader): Row | undefined {
    let found: Row | undefined;
    let foundRank = Number.NEGATIVE_INFINITY;
    for (const tuple of this.#ordered) {
      if (tuple.rank < foundRank) break;
      const row = lookUp(tuple, read);
      if (row === undefined) continue;
      if (found !== undefined && found.body !== row.body) throw new AmbiguousRows(found, row);
      found = row;
      foundRank = tuple.rank;
    }
    return found;
  }

  *[Symbol.iterator](): Iterator<Row> {
    for (const tuple of this.#ordered) yield* tuple.rows.values();
  }

  /** Where a row belongs. Throws TypeError on values that do not fit their fields, and on a rank that the table has not. */
  place(row: Row): Place {
    const asked: Asked[] = [];
    const pieces: string[] = [];
    let prefixBits = 0;
    for (const [name, column] of this.#columns) {
      const masked = maskedFrom(column, row.key[name]);
      if (masked === undefined) continue;
      asked.push({ field: column.field, mask: masked.mask });
      pieces.push(pieceOf(masked.value));
      prefixBits += masked.length;
    }
    const rank = this.#rankOf(row, prefixBits);
    const signature = `${rank};${asked.map(({ field, mask }) => `${field.name}/${mask.toString(36)}`).join(",")}`;
    return { signature, key: pieces.join("|"), asked, rank };
  }

  #rankOf(row: Row, prefixBits: number): number {
    switch (this.#table.scheme) {
      case "exact":
        return 0;
      case "longest":
        return prefixBits;
      case "ranked":
        return this.#rankNamed(row.rank);
    }
  }

  #rankNamed(name: string | undefined): number {
    const rank: unknown = name === undefined ? undefined : this.#table.ranks[name];
    if (typeof rank !== "number") throw new TypeError(`${this.#table.name}: no rank ${name}`);
    return rank;
  }
}

function lookUp(tuple: Tuple, read: FieldReader): Row | undefined {
  const pieces: string[] = [];
  for (const { field, mask } of tuple.asked) {
    const value = read(field);
    if (value === undefined) return undefined;
    pieces.push(pieceOf(typeof value === "string" ? value : value & mask));
  }
  return tuple.rows.get(pieces.join("|"));
}
