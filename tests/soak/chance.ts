/** What is drawn in a soak, by a seed: the same seed draws the same. */

/** Mulberry32 (Tommy Ettinger): 32 bits of state, more than enough for choices. */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to, and not, 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  }

  /** A whole number from 0 up to, and not, `below`. */
  below(below: number): number {
    return Math.floor(this.next() * below);
  }

  /** One of these; undefined where there are none. */
  of<T>(all: readonly T[]): T | undefined {
    return all[this.below(all.length)];
  }

  /** Those among these that are drawn, each as likely as not. */
  some<T>(all: readonly T[]): readonly T[] {
    return all.filter(() => this.next() < 0.5);
  }
}
