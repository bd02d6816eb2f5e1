/** Following a log: reads pages from its driver and sleeps on a doorbell. The doorbell only wakes; what is told comes from the log. */
import type { Revision } from "@selvage/model";
import { type LogRow, loggedEntry } from "./body.ts";
import { type Bounds, Compacted, type LoggedEntry, StoreFailure } from "./store.ts";

/** Some rows right after the asked revision, and the log's bounds, all read at one moment. */
export interface LogPage extends Bounds {
  readonly rows: readonly LogRow[];
}

interface Waiter {
  readonly position: Revision;
  readonly wake: () => void;
  readonly fail: (error: Error) => void;
}

/** Wakes those who wait for the log to grow. Rings may be lost, late or repeated as long as one comes in the end. */
export class Bell {
  #head: Revision = 0;
  readonly #waiters = new Set<Waiter>();
  #alarm: { readonly number: number; readonly error: Error | undefined } = { number: 0, error: undefined };

  /** The head is at least here. */
  ring(head: Revision): void {
    if (head <= this.#head) return;
    this.#head = head;
    for (const waiter of [...this.#waiters]) if (head > waiter.position) waiter.wake();
  }

  /** Ends the wait of everyone with an error. */
  fail(error: Error): void {
    this.#alarm = { number: this.#alarm.number + 1, error };
    for (const waiter of [...this.#waiters]) waiter.fail(error);
  }

  /** How often `fail` was called. Taken before a read, it tells `beyond` of what happened between the read and the wait. */
  get alarms(): number {
    return this.#alarm.number;
  }

  /** Resolves when the head is known to be beyond `position` or `signal` aborts; throws what `fail` was given since `alarms`. */
  beyond(position: Revision, signal: AbortSignal, alarms: number): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    if (this.#alarm.error !== undefined && this.#alarm.number > alarms) return Promise.reject(this.#alarm.error);
    if (this.#head > position) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiters.delete(waiter);
        signal.removeEventListener("abort", wake);
      };
      const wake = (): void => {
        leave();
        resolve();
      };
      const fail = (error: Error): void => {
        leave();
        reject(error);
      };
      const waiter: Waiter = { position, wake, fail };
      this.#waiters.add(waiter);
      signal.addEventListener("abort", wake, { once: true });
    });
  }

  /** How many wait now. */
  get waiting(): number {
    return this.#waiters.size;
  }
}

/** The promise's value, or undefined as soon as `signal` aborts; after that its failure is nobody's business. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const abort = (): void => resolve(undefined);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
    if (signal.aborted) abort();
  });
}

/** What a driver offers to be followed: a page of entries after a revision (at least one row where there is one), and its bell. */
export interface Followed {
  readonly read: (after: Revision) => Promise<LogPage>;
  readonly bell: Bell;
}

/** `Store.tail` for any driver that can read a page: the same promises and errors. */
export async function* follow(from: Revision, signal: AbortSignal, log: Followed): AsyncGenerator<LoggedEntry, void> {
  let position = from;
  while (!signal.aborted) {
    const alarms = log.bell.alarms;
    const page = await unlessAborted(log.read(position), signal);
    if (page === undefined) return;
    if (position + 1 < page.oldest) throw new Compacted(page.oldest);
    if (position > page.head) {
      throw new StoreFailure(
        `revision ${position} is beyond the log's head ${page.head}: this is another log, or an older copy of it`,
        "failed",
      );
    }
    for (const row of page.rows) {
      if (row.revision !== position + 1)
        throw new StoreFailure(`the log has a gap after revision ${position}`, "failed");
      position = row.revision;
      yield loggedEntry(row);
      if (signal.aborted) return;
    }
    if (page.rows.length > 0) continue;
    if (position < page.head) throw new StoreFailure(`the log has a gap after revision ${position}`, "failed");
    await log.bell.beyond(position, signal, alarms);
  }
}
