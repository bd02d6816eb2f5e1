/** Failed logins slow down further ones: a delay that doubles, by a key (an account, a source address), in bounded memory. */

export interface ThrottleOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Failures that cost nothing. */
  readonly free: number;
  /** First delay, and the longest, ms. */
  readonly first: number;
  readonly longest: number;
  /** A key without a failure for this long is forgotten, ms. */
  readonly forget: number;
  /** Most keys kept; the one whose last failure is oldest goes first. */
  readonly capacity: number;
}

interface Record {
  readonly failures: number;
  readonly last: number;
}

export class Throttle {
  readonly #options: ThrottleOptions;
  /** In the order of the last failure: the oldest first. */
  readonly #records = new Map<string, Record>();

  constructor(options: ThrottleOptions) {
    this.#options = options;
  }

  /** Keys kept now. */
  get size(): number {
    return this.#records.size;
  }

  /** Milliseconds until the key may try again; 0: now. */
  wait(key: string): number {
    const record = this.#records.get(key);
    if (record === undefined) return 0;
    const { now, free, first, longest, forget } = this.#options;
    const passed = now() - record.last;
    if (passed >= forget) return 0;
    const beyond = record.failures - free;
    if (beyond <= 0) return 0;
    return Math.max(0, Math.min(longest, first * 2 ** Math.min(beyond - 1, 30)) - passed);
  }

  /** Notes a failure. */
  failed(key: string): void {
    const { now, forget, capacity } = this.#options;
    const before = this.#records.get(key);
    this.#records.delete(key);
    const failures = before === undefined || now() - before.last >= forget ? 1 : before.failures + 1;
    this.#records.set(key, { failures, last: now() });
    if (this.#records.size <= capacity) return;
    const [oldest] = this.#records.keys();
    if (oldest !== undefined) this.#records.delete(oldest);
  }

  /** Forgets a key's failures: it has shown who it is. */
  succeeded(key: string): void {
    this.#records.delete(key);
  }
}
