/** Rows of a program by their ids, packed: for who keeps many of them and seldom looks at one. */
import { TextIndex } from "@selvage/model";
import { PackedRows } from "./packed-rows.ts";
import type { Program } from "./program.ts";
import type { Row } from "./row.ts";

export class RowTable {
  readonly #rows: PackedRows;
  readonly #places = new TextIndex((place) => this.#rows.at(place).id);

  constructor(program: Pick<Program, "tables">) {
    this.#rows = new PackedRows(program);
  }

  get size(): number {
    return this.#places.size;
  }

  has(id: string): boolean {
    return this.#places.find(id) !== 0;
  }

  get(id: string): Row | undefined {
    const place = this.#places.find(id);
    return place === 0 ? undefined : this.#rows.at(place);
  }

  /** Puts a row in the place of the one with its id, if there is one. */
  put(row: Row): void {
    const before = this.#places.find(row.id);
    const place = this.#rows.put(row);
    if (before === 0) this.#places.add(row.id, place);
    else {
      this.#places.move(row.id, before, place);
      this.#rows.take(before);
    }
  }

  delete(id: string): void {
    const place = this.#places.find(id);
    if (place === 0) return;
    this.#places.delete(id, place);
    this.#rows.take(place);
  }

  /** All rows, in no particular order. */
  *values(): Iterable<Row> {
    for (const place of this.#places.numbers()) yield this.#rows.at(place);
  }
}
