/** What a conformance check is, and how one is run: a fresh store, a clock of its own, a deadline in place of a hang. */
import type { Store } from "../store.ts";

/** The clock that leases are measured by, milliseconds since the epoch. It stands still until it is advanced. */
export class TestClock {
  #now = 1_700_000_000_000;

  /** Bound: it is passed on as a function. */
  readonly now = (): number => this.#now;

  advance(milliseconds: number): void {
    this.#now += milliseconds;
  }
}

/** A store made for one check. */
export interface Opened {
  readonly store: Store;
  /** Closes the store and opens the same data again. Every durable driver has it. */
  readonly reopen?: () => Promise<Store>;
  /** Opens one more handle on the same data, as a second server would. */
  readonly peer?: () => Promise<Store>;
  /** Closes all that was opened and takes the data away. */
  readonly dispose: () => Promise<void>;
}

/** Gives a new, empty store that takes its time from `clock`. */
export type OpenForTest = (clock: TestClock) => Promise<Opened>;

export interface CheckContext {
  readonly store: Store;
  readonly clock: TestClock;
  readonly reopen: () => Promise<Store>;
  readonly peer: () => Promise<Store>;
}

export interface Check {
  readonly name: string;
  /** What the driver must offer for the check to make sense. */
  readonly needs?: "reopen" | "peer";
  readonly run: (context: CheckContext) => Promise<void>;
}

function absent(what: string): () => Promise<Store> {
  return () => Promise.reject(new Error(`this driver has no ${what}`));
}

/** Runs one check on a store of its own. Throws what the check throws, or when it has not ended after `deadline` milliseconds. */
export async function runCheck(check: Check, open: OpenForTest, deadline = 60_000): Promise<void> {
  const clock = new TestClock();
  const opened = await open(clock);
  const { store, reopen = absent("reopen"), peer = absent("peer") } = opened;
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`'${check.name}' has not ended after ${deadline} ms`)),
    deadline,
  );
  try {
    await Promise.race([check.run({ store, clock, reopen, peer }), late.promise]);
  } finally {
    clearTimeout(timer);
    await opened.dispose();
  }
}
