/**
 * A many-to-many relation of integers in columns: index membership, edges from readers to what they read, and rows'
 * contributors are all this one structure (ENGINE.md, section 1). 20 bytes an entry, no object an entry.
 */

/** Columns of fewer words grow by half, so that growing is rare; larger ones by an eighth, so that little of them is room. */
const large = 1 << 14;

/** A copy of `column` with room for `length` words at least. */
export function grown(column: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  const factor = column.length < large ? 1.5 : 1.125;
  const larger = new Int32Array(Math.max(length, Math.ceil(column.length * factor)));
  larger.set(column);
  return larger;
}

const tagBits = 5;
/** How many tags a left side may have: tags are 0 to 31. */
export const tagCount = 1 << tagBits;

/**
 * Entries lead from (left, tag) to right. Left and right are dense numbers below 2^26. Linking is O(1), unlinking
 * O(entries of that left). Entries of a left are walked last linked first; entries of a right in no stable order.
 */
export class Relation {
  #left = new Int32Array(64);
  #right = new Int32Array(64);
  #nextOfLeft = new Int32Array(64);
  #nextOfRight = new Int32Array(64);
  #prevOfRight = new Int32Array(64);
  #headOfLeft = new Int32Array(64);
  #headOfRight = new Int32Array(64);
  #degreeOfRight = new Int32Array(64);
  #firstFree = 0;
  #next = 1;
  #size = 0;

  /** Entries in the relation. */
  get size(): number {
    return this.#size;
  }

  /** Adds an entry and gives its number, valid until it is unlinked. The caller keeps entries distinct. */
  link(left: number, tag: number, right: number): number {
    let entry = this.#firstFree;
    if (entry === 0) {
      entry = this.#next;
      this.#next += 1;
      if (entry >= this.#left.length) this.#growEntries(entry + 1);
    } else {
      this.#firstFree = at(this.#nextOfLeft, entry);
    }
    if (left >= this.#headOfLeft.length) this.#headOfLeft = grown(this.#headOfLeft, left + 1);
    if (right >= this.#headOfRight.length) {
      this.#headOfRight = grown(this.#headOfRight, right + 1);
      this.#degreeOfRight = grown(this.#degreeOfRight, right + 1);
    }
    this.#left[entry] = (left << tagBits) | tag;
    this.#right[entry] = right;
    this.#nextOfLeft[entry] = at(this.#headOfLeft, left);
    this.#headOfLeft[left] = entry;
    const follower = at(this.#headOfRight, right);
    this.#nextOfRight[entry] = follower;
    this.#prevOfRight[entry] = 0;
    if (follower !== 0) this.#prevOfRight[follower] = entry;
    this.#headOfRight[right] = entry;
    this.#degreeOfRight[right] = this.degreeOfRight(right) + 1;
    this.#size += 1;
    return entry;
  }

  /** Removes the entries of (left, tag) that `wanted` picks; all when it is left out. */
  unlink(left: number, tag: number, wanted?: (right: number, entry: number) => boolean): void {
    const tagged = (left << tagBits) | tag;
    let previous = 0;
    let entry = at(this.#headOfLeft, left);
    while (entry !== 0) {
      const next = at(this.#nextOfLeft, entry);
      if (at(this.#left, entry) === tagged && (wanted === undefined || wanted(at(this.#right, entry), entry))) {
        if (previous === 0) this.#headOfLeft[left] = next;
        else this.#nextOfLeft[previous] = next;
        this.#detach(entry);
      } else {
        previous = entry;
      }
      entry = next;
    }
  }

  /** The rights of (left, tag), last linked first. */
  rightsOf(left: number, tag: number): number[] {
    const rights: number[] = [];
    this.eachOfLeft(left, tag, (right) => rights.push(right));
    return rights;
  }

  /** Walks the entries of (left, tag), last linked first. The relation must not change during the walk. */
  eachOfLeft(left: number, tag: number, visit: (right: number, entry: number) => void): void {
    const tagged = (left << tagBits) | tag;
    for (let entry = at(this.#headOfLeft, left); entry !== 0; entry = at(this.#nextOfLeft, entry)) {
      if (at(this.#left, entry) === tagged) visit(at(this.#right, entry), entry);
    }
  }

  /** Walks the entries that lead to `right`. The relation must not change during the walk. */
  eachOfRight(right: number, visit: (left: number, tag: number, entry: number) => void): void {
    for (let entry = at(this.#headOfRight, right); entry !== 0; entry = at(this.#nextOfRight, entry)) {
      const tagged = at(this.#left, entry);
      visit(tagged >>> tagBits, tagged & (tagCount - 1), entry);
    }
  }

  /** How many entries lead to `right`. */
  degreeOfRight(right: number): number {
    return at(this.#degreeOfRight, right);
  }

  #detach(entry: number): void {
    const right = at(this.#right, entry);
    const next = at(this.#nextOfRight, entry);
    const previous = at(this.#prevOfRight, entry);
    if (previous === 0) this.#headOfRight[right] = next;
    else this.#nextOfRight[previous] = next;
    if (next !== 0) this.#prevOfRight[next] = previous;
    this.#degreeOfRight[right] = this.degreeOfRight(right) - 1;
    this.#nextOfLeft[entry] = this.#firstFree;
    this.#firstFree = entry;
    this.#size -= 1;
  }

  #growEntries(length: number): void {
    this.#left = grown(this.#left, length);
    this.#right = grown(this.#right, length);
    this.#nextOfLeft = grown(this.#nextOfLeft, length);
    this.#nextOfRight = grown(this.#nextOfRight, length);
    this.#prevOfRight = grown(this.#prevOfRight, length);
  }
}

/** The word at a position; what lies beyond a column has never been linked, which is 0. */
function at(column: Int32Array, position: number): number {
  return column[position] ?? 0;
}
