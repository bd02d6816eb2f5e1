/** Where rows lie while they are held: as objects, or in whatever form whoever knows their content can write and read. */

/** Each row has a place, any number but 0, until it is taken away; a place may then be given to another. */
export interface RowShelf<Row> {
  put(row: Row): number;
  /** The row, or one equal to it. Throws where there is none. */
  at(place: number): Row;
  take(place: number): void;
}

/** Rows as they are. */
export class ObjectShelf<Row> implements RowShelf<Row> {
  readonly #rows: (Row | undefined)[] = [undefined];
  readonly #free: number[] = [];

  put(row: Row): number {
    const place = this.#free.pop() ?? this.#rows.length;
    this.#rows[place] = row;
    return place;
  }

  at(place: number): Row {
    const row = this.#rows[place];
    if (row === undefined) throw new Error(`no row lies at ${place}`);
    return row;
  }

  take(place: number): void {
    this.#rows[place] = undefined;
    this.#free.push(place);
  }
}
