/** A set of whole numbers kept as sorted, disjoint, never adjacent intervals: address pools and the ranges of allocators. */

/** The arithmetic that an interval set needs of its numbers. */
export interface Arithmetic<N extends number | bigint> {
  readonly zero: N;
  readonly next: (n: N) => N;
  readonly previous: (n: N) => N;
  readonly add: (a: N, b: N) => N;
  readonly subtract: (a: N, b: N) => N;
}

/** For ports, VLANs, tunnel keys, IPv4: whole numbers up to 2^53-1. */
export const numberArithmetic: Arithmetic<number> = {
  zero: 0,
  next: (n) => n + 1,
  previous: (n) => n - 1,
  add: (a, b) => a + b,
  subtract: (a, b) => a - b,
};

/** For IPv6 and anything larger. */
export const bigintArithmetic: Arithmetic<bigint> = {
  zero: 0n,
  next: (n) => n + 1n,
  previous: (n) => n - 1n,
  add: (a, b) => a + b,
  subtract: (a, b) => a - b,
};

/** One interval; both ends belong to it. */
export interface Interval<N extends number | bigint> {
  readonly first: N;
  readonly last: N;
}

/**
 * A mutable set of whole numbers. A change costs O(log intervals) plus the move of the intervals behind it, whatever
 * how many numbers it covers; `count` is kept, not computed.
 */
export class IntervalSet<N extends number | bigint> {
  readonly #arithmetic: Arithmetic<N>;
  readonly #firsts: N[] = [];
  readonly #lasts: N[] = [];
  #count: N;

  constructor(arithmetic: Arithmetic<N>, intervals: Iterable<Interval<N>> = []) {
    this.#arithmetic = arithmetic;
    this.#count = arithmetic.zero;
    for (const { first, last } of intervals) this.add(first, last);
  }

  /** How many numbers are in the set. */
  get count(): N {
    return this.#count;
  }

  /** How many intervals the set is made of. */
  get intervalCount(): number {
    return this.#firsts.length;
  }

  has(n: N): boolean {
    const at = this.#firstEndingAtOrAfter(n);
    const first = this.#firsts[at];
    return first !== undefined && first <= n;
  }

  /** Whether every number of `first` to `last` is in the set. */
  covers(first: N, last: N): boolean {
    const at = this.#firstEndingAtOrAfter(first);
    const [start, end] = [this.#firsts[at], this.#lasts[at]];
    return start !== undefined && end !== undefined && start <= first && last <= end;
  }

  /** Adds `first` to `last` (one number where `last` is absent). Idempotent. Throws RangeError when `last` is below `first`. */
  add(first: N, last: N = first): void {
    this.#check(first, last);
    const { next, previous } = this.#arithmetic;
    // The intervals that overlap or touch the new one are [from, to): all become one.
    const from = this.#firstEndingAtOrAfter(previous(first));
    const to = this.#firstStartingAfter(next(last));
    const low = this.#firsts[from];
    const high = this.#lasts[to - 1];
    const merged = from < to && low !== undefined && high !== undefined;
    const interval = {
      first: merged && low < first ? low : first,
      last: merged && high > last ? high : last,
    };
    this.#replace(from, to, [interval]);
  }

  /** Takes `first` to `last` out (one number where `last` is absent). Idempotent. Throws RangeError as {@link add}. */
  remove(first: N, last: N = first): void {
    this.#check(first, last);
    const { next, previous } = this.#arithmetic;
    const from = this.#firstEndingAtOrAfter(first);
    const to = this.#firstStartingAfter(last);
    if (from >= to) return;
    const low = this.#firsts[from];
    const high = this.#lasts[to - 1];
    const rest: Interval<N>[] = [];
    if (low !== undefined && low < first) rest.push({ first: low, last: previous(first) });
    if (high !== undefined && high > last) rest.push({ first: next(last), last: high });
    this.#replace(from, to, rest);
  }

  /** The number of rank `rank` (0 is the lowest), or undefined where the set is not that large. */
  nth(rank: N): N | undefined {
    const { zero, add, subtract, next } = this.#arithmetic;
    if (rank < zero || rank >= this.#count) return undefined;
    let left = rank;
    for (const { first, last } of this.intervals()) {
      const size = next(subtract(last, first));
      if (left < size) return add(first, left);
      left = subtract(left, size);
    }
    return undefined;
  }

  /** The lowest number, or undefined where the set is empty. */
  lowest(): N | undefined {
    return this.#firsts[0];
  }

  /** A uniformly random number of the set, left in it; takes `below(n)`, a uniform whole number under n. Undefined where empty. */
  pick(below: (limit: N) => N): N | undefined {
    return this.#count === this.#arithmetic.zero ? undefined : this.nth(below(this.#count));
  }

  /** The intervals in order. */
  *intervals(): IterableIterator<Interval<N>> {
    for (const [at, first] of this.#firsts.entries()) {
      const last = this.#lasts[at];
      if (last !== undefined) yield { first, last };
    }
  }

  /** Every number in order. */
  *[Symbol.iterator](): IterableIterator<N> {
    for (const { first, last } of this.intervals())
      for (let n = first; n <= last; n = this.#arithmetic.next(n)) yield n;
  }

  /** A copy that changes on its own. */
  clone(): IntervalSet<N> {
    return new IntervalSet(this.#arithmetic, this.intervals());
  }

  #check(first: N, last: N): void {
    if (last < first) throw new RangeError(`An interval ends before it starts: ${first} to ${last}`);
  }

  /** Index of the first interval whose last number is at least `n`. */
  #firstEndingAtOrAfter(n: N): number {
    return partition(this.#lasts, (last) => last < n);
  }

  /** Index of the first interval whose first number is above `n`. */
  #firstStartingAfter(n: N): number {
    return partition(this.#firsts, (first) => first <= n);
  }

  #replace(from: number, to: number, intervals: readonly Interval<N>[]): void {
    const { add, subtract, next } = this.#arithmetic;
    const firsts = intervals.map((interval) => interval.first);
    const lasts = intervals.map((interval) => interval.last);
    const goneFirsts = this.#firsts.splice(from, to - from, ...firsts);
    const goneLasts = this.#lasts.splice(from, to - from, ...lasts);
    for (const [at, last] of goneLasts.entries()) {
      const first = goneFirsts[at];
      if (first !== undefined) this.#count = subtract(this.#count, next(subtract(last, first)));
    }
    for (const { first, last } of intervals) this.#count = add(this.#count, next(subtract(last, first)));
  }
}

/** How many leading items of a partitioned list are `before`: binary search. */
function partition<T>(items: readonly T[], before: (item: T) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = items[middle];
    if (item !== undefined && before(item)) low = middle + 1;
    else high = middle;
  }
  return low;
}
