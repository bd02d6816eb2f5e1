/** What happened, in order, and a way to wait for what has not happened yet: the only clock that a test of a datapath has. */

interface Waiter<T> {
  readonly wanted: (item: T) => boolean;
  readonly found: (item: T) => void;
}

/** Something did not happen in time: the message says what. */
export class Late extends Error {
  constructor(what: string, milliseconds: number) {
    super(`${what}: not after ${milliseconds} ms`);
    this.name = "Late";
  }
}

export class Journal<T> {
  readonly #items: T[] = [];
  readonly #waiters = new Set<Waiter<T>>();

  /** Writes an item down and wakes who waits for it. */
  add(item: T): void {
    this.#items.push(item);
    for (const waiter of this.#waiters) {
      if (!waiter.wanted(item)) continue;
      this.#waiters.delete(waiter);
      waiter.found(item);
    }
  }

  get all(): readonly T[] {
    return this.#items;
  }

  get last(): T | undefined {
    return this.#items.at(-1);
  }

  /** The first item that is wanted, from the `from`-th on: one that is there, or the next to come. Rejects with Late. */
  async first(wanted: (item: T) => boolean, what: string, deadline: number, from = 0): Promise<T> {
    const there = this.#items.slice(from).find(wanted);
    if (there !== undefined) return there;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const waiter: Waiter<T> = { wanted, found: resolve };
    this.#waiters.add(waiter);
    const timer = setTimeout(() => {
      this.#waiters.delete(waiter);
      reject(new Late(what, deadline));
    }, deadline);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }
}
