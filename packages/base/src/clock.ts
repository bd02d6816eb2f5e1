/** Time as a dependency: the real clock, and one that tests move by hand. */

/** A timer that has been set. */
export interface Timer {
  /** Stops it. Idempotent; a timer that has fired stays fired. */
  cancel(): void;
}

/** What a part of the program may ask of time. All times are milliseconds. */
export interface Clock {
  /** Wall time since 1970-01-01 UTC; may jump. For what is shown and stored. */
  now(): number;
  /** Time since some fixed moment; never goes back. For measuring and deadlines. */
  monotonic(): number;
  /** Runs `task` once, after `ms`. A real timer does not keep the process alive. */
  after(ms: number, task: () => void): Timer;
  /** Runs `task` every `ms`, the first time after `ms`. Throws RangeError unless `ms` is above 0. */
  every(ms: number, task: () => void): Timer;
  /** Resolves after `ms`; rejects with the signal's reason once that is aborted. Keeps the process alive. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Milliseconds beyond which Node fires a timer at once instead of late. */
const longestTimer = 2 ** 31 - 1;

function sleepOn(start: (ms: number, task: () => void) => Timer, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const abort = (): void => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = start(ms, () => {
      signal?.removeEventListener("abort", abort);
      resolve();
    });
    signal?.addEventListener("abort", abort, { once: true });
  });
}

function startReal(ms: number, task: () => void): NodeJS.Timeout {
  return setTimeout(task, Math.min(Math.max(ms, 0), longestTimer));
}

function positive(ms: number): number {
  if (!(ms > 0)) throw new RangeError(`A period is above 0 ms, not ${ms}`);
  return ms;
}

/** The machine's own clock. Timers longer than 24 days fire after 24 days. */
export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (ms, task) => {
    const handle = startReal(ms, task).unref();
    return { cancel: () => clearTimeout(handle) };
  },
  every: (ms, task) => {
    const handle = setInterval(task, Math.min(positive(ms), longestTimer)).unref();
    return { cancel: () => clearInterval(handle) };
  },
  sleep: (ms, signal) =>
    sleepOn(
      (delay, task) => {
        const handle = startReal(delay, task);
        return { cancel: () => clearTimeout(handle) };
      },
      ms,
      signal,
    ),
};

interface Pending {
  readonly at: number;
  readonly order: number;
  readonly task: () => void;
}

/** A clock that stands still until a test moves it. */
export class ManualClock implements Clock {
  readonly #start: number;
  #elapsed = 0;
  #order = 0;
  readonly #pending = new Set<Pending>();
  #waiters: { readonly count: number; readonly resolve: () => void }[] = [];

  /** Takes the wall time at which it starts. */
  constructor(start = Date.UTC(2026, 0, 1)) {
    this.#start = start;
  }

  now(): number {
    return this.#start + this.#elapsed;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  /** How many timers are set. */
  get pending(): number {
    return this.#pending.size;
  }

  after(ms: number, task: () => void): Timer {
    const entry: Pending = { at: this.#elapsed + Math.max(ms, 0), order: this.#order++, task };
    this.#pending.add(entry);
    const met = this.#waiters.filter((waiter) => waiter.count <= this.#pending.size);
    this.#waiters = this.#waiters.filter((waiter) => !met.includes(waiter));
    for (const waiter of met) waiter.resolve();
    return { cancel: () => void this.#pending.delete(entry) };
  }

  every(ms: number, task: () => void): Timer {
    positive(ms);
    let current: Timer;
    const set = (): void => {
      current = this.after(ms, () => {
        set();
        task();
      });
    };
    set();
    return { cancel: () => current.cancel() };
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn((delay, task) => this.after(delay, task), ms, signal);
  }

  /** Resolves once at least `count` timers are set: how a test waits for code to fall asleep. */
  whenPending(count = 1): Promise<void> {
    if (this.#pending.size >= count) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ count, resolve }));
  }

  /** Moves time on, running what falls due in its order, timers set meanwhile included. */
  advance(ms: number): void {
    const end = this.#elapsed + ms;
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#pending.delete(next);
      this.#elapsed = next.at;
      next.task();
    }
    this.#elapsed = end;
  }

  /** Moves time to the next timer and runs it, and all of the same moment. Gives the milliseconds moved, or undefined where none is set. */
  advanceToNext(): number | undefined {
    const next = this.#next(Number.POSITIVE_INFINITY);
    if (next === undefined) return undefined;
    const moved = next.at - this.#elapsed;
    this.advance(moved);
    return moved;
  }

  #next(end: number): Pending | undefined {
    let best: Pending | undefined;
    for (const entry of this.#pending) {
      if (entry.at > end) continue;
      if (best === undefined || entry.at < best.at || (entry.at === best.at && entry.order < best.order)) best = entry;
    }
    return best;
  }
}
