/** Numbers by text without the texts: who has numbered things finds them by what they are called, and tells the text of a number when asked. Some 15 bytes a text. */
import { randomInt } from "node:crypto";

/** Another one in each process, so that nobody can choose texts that fall together. */
const seed = randomInt(2 ** 31);

/** 32 bits of a text. */
function hashOf(text: string): number {
  let hash = seed;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return hash | 0;
}

/** Open addressing with linear probing; what is deleted leaves no trace (Knuth, The Art of Computer Programming, 6.4, algorithm R). */
export class TextIndex {
  readonly #textOf: (number: number) => string;
  /** The number of each slot, 0 where it is free, and behind it the hash of its text. A power of two of slots, at most three quarters in use. */
  #slots = new Int32Array(2 * 64);
  #size = 0;

  /** `textOf` gives the text of a number that is in the index. */
  constructor(textOf: (number: number) => string) {
    this.#textOf = textOf;
  }

  get size(): number {
    return this.#size;
  }

  /** The number of a text, 0 when it has none. */
  find(text: string): number {
    const hash = hashOf(text);
    for (let slot = this.#home(hash); ; slot = this.#after(slot)) {
      const number = this.#at(slot);
      if (number === 0 || (this.#slots[slot + 1] === hash && this.#textOf(number) === text)) return number;
    }
  }

  /** Gives a text that has no number this one, of 32 bits and not 0. */
  add(text: string, number: number): void {
    if (8 * (this.#size + 1) > 3 * this.#slots.length) this.#enlarge();
    this.#size += 1;
    this.#put(hashOf(text), number);
  }

  /** Gives a text another number. */
  move(text: string, before: number, after: number): void {
    this.#slots[this.#slotOf(text, before)] = after;
  }

  /** Takes the number of a text away. */
  delete(text: string, number: number): void {
    let gap = this.#slotOf(text, number);
    this.#size -= 1;
    const mask = this.#slots.length - 1;
    // What stands behind the gap moves into it, if it may stand there.
    for (let slot = this.#after(gap); this.#at(slot) !== 0; slot = this.#after(slot)) {
      const home = this.#home(this.#slots[slot + 1] ?? 0);
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue;
      this.#slots.copyWithin(gap, slot, slot + 2);
      gap = slot;
    }
    this.#slots[gap] = 0;
  }

  /** All numbers, in no particular order. The index must not change during the walk. */
  *numbers(): Iterable<number> {
    for (let slot = 0; slot < this.#slots.length; slot += 2) {
      const number = this.#at(slot);
      if (number !== 0) yield number;
    }
  }

  #slotOf(text: string, number: number): number {
    let slot = this.#home(hashOf(text));
    for (; this.#at(slot) !== number; slot = this.#after(slot))
      if (this.#at(slot) === 0) throw new Error(`${text} has not the number ${number}`);
    return slot;
  }

  #home(hash: number): number {
    return (hash << 1) & (this.#slots.length - 1);
  }

  #after(slot: number): number {
    return (slot + 2) & (this.#slots.length - 1);
  }

  #at(slot: number): number {
    return this.#slots[slot] ?? 0;
  }

  #put(hash: number, number: number): void {
    let slot = this.#home(hash);
    while (this.#at(slot) !== 0) slot = this.#after(slot);
    this.#slots[slot] = number;
    this.#slots[slot + 1] = hash;
  }

  #enlarge(): void {
    const before = this.#slots;
    this.#slots = new Int32Array(2 * before.length);
    for (let slot = 0; slot < before.length; slot += 2) {
      const number = before[slot] ?? 0;
      if (number !== 0) this.#put(before[slot + 1] ?? 0, number);
    }
  }
}
