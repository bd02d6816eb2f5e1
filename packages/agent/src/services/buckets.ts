/** Token buckets by key: what one guest asks takes nothing from another. Times are milliseconds of a clock that never goes back. */

export interface BucketLimits {
  /** Tokens a second. */
  readonly rate: number;
  /** The most that a bucket holds. */
  readonly burst: number;
}

interface Bucket {
  readonly tokens: number;
  readonly at: number;
}

export class Buckets {
  readonly #limits: BucketLimits;
  readonly #buckets = new Map<string, Bucket>();

  constructor(limits: BucketLimits) {
    this.#limits = limits;
  }

  /** Keys that are kept: those whose bucket is not full. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Takes a token at a time; gives whether there was one. */
  take(key: string, now: number): boolean {
    const { rate, burst } = this.#limits;
    const known = this.#buckets.get(key);
    const tokens = known === undefined ? burst : Math.min(burst, known.tokens + ((now - known.at) * rate) / 1000);
    if (tokens < 1) {
      this.#buckets.set(key, { tokens, at: now });
      return false;
    }
    this.#buckets.set(key, { tokens: tokens - 1, at: now });
    return true;
  }

  /** Forgets the keys that `gone` picks. */
  forget(gone: (key: string) => boolean): void {
    for (const key of this.#buckets.keys()) if (gone(key)) this.#buckets.delete(key);
  }
}
