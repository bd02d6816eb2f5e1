/** Small numbers for things that the switch knows by number: given, kept and given again. What the switch already holds is claimed first. */

/** Throws RangeError when no number is left. */
export class Allocator {
  readonly #max: number;
  readonly #numbers = new Map<string, number>();
  readonly #owners = new Map<number, string>();
  /** No number below is free. */
  #lowest = 1;

  /** Gives numbers from 1 to `max`. */
  constructor(max: number) {
    this.#max = max;
  }

  /** Takes a number that the switch holds for a key; does nothing where the key has one or the number is taken. */
  claim(key: string, number: number): void {
    if (number < 1 || number > this.#max || this.#numbers.has(key) || this.#owners.has(number)) return;
    this.#numbers.set(key, number);
    this.#owners.set(number, key);
  }

  /** The key's number, the lowest free one if it has none yet. */
  of(key: string): number {
    const held = this.#numbers.get(key);
    if (held !== undefined) return held;
    while (this.#owners.has(this.#lowest)) this.#lowest += 1;
    if (this.#lowest > this.#max) throw new RangeError(`all ${this.#max} numbers are taken, none is left for ${key}`);
    this.claim(key, this.#lowest);
    return this.of(key);
  }

  /** Gives a key's number back. Idempotent. */
  free(key: string): void {
    const held = this.#numbers.get(key);
    if (held === undefined) return;
    this.#numbers.delete(key);
    this.#owners.delete(held);
    this.#lowest = Math.min(this.#lowest, held);
  }

  keys(): readonly string[] {
    return [...this.#numbers.keys()];
  }
}
