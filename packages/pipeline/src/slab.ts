/** Short records in pages of bytes: what is freed is given to the next record of the same size. */

/** Sizes and places are counted in words of this many bytes. */
const word = 4;
const pageBytes = 1 << 16;
const pageWords = pageBytes / word;
/** Words of the longest record. */
const longest = 255;

/** A record's first byte is its size in words; what it says follows. */
export class Slab {
  /** Bytes of the longest record, its first one included. */
  static readonly longest = longest * word;

  readonly #pages: Buffer[] = [];
  readonly #free: number[][] = [];
  /** The first word, of all pages, that was never used. */
  #next = 0;

  /** Copies the first `length` bytes of a record, whose first byte is not read. Gives its place, from 0. */
  put(record: Buffer, length: number): number {
    const size = Math.ceil(length / word);
    record[0] = size;
    const place = this.#free[size]?.pop() ?? this.#fresh(size);
    const page = this.page(place);
    const from = this.offset(place);
    for (let at = 0; at < length; at += 1) page[from + at] = record[at] ?? 0;
    return place;
  }

  take(place: number): void {
    const size = this.page(place)[this.offset(place)] ?? 0;
    const free = this.#free[size] ?? [];
    this.#free[size] = free;
    free.push(place);
  }

  /** The page that a record lies in. */
  page(place: number): Buffer {
    const page = this.#pages[Math.floor(place / pageWords)];
    if (page === undefined) throw new Error(`no record lies at ${place}`);
    return page;
  }

  /** Where in its page a record begins. */
  offset(place: number): number {
    return (place % pageWords) * word;
  }

  #fresh(size: number): number {
    const left = pageWords - (this.#next % pageWords);
    if (size > left) this.#next += left;
    const place = this.#next;
    this.#next += size;
    if (Math.floor(place / pageWords) === this.#pages.length) this.#pages.push(Buffer.allocUnsafeSlow(pageBytes));
    return place;
  }
}
