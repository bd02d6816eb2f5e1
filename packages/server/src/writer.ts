/**
 * The one writer of intent: requests queue, run one after another on an overlay in one synchronous turn, and become one
 * append (one fsync) on the condition that the log's head has not moved. When it has, only rules whose reads changed
 * run again (architecture, ideas 2 and "Intent and state"). Readers see the replica, so never an uncommitted change.
 */
import { randomUUID } from "node:crypto";
import { fail, isError } from "@selvage/base";
import { type Change, completed, Overlay, Replica, type Revision } from "@selvage/model";
import { type Author, Compacted, type LoggedEntry, type Store, StoreFailure } from "@selvage/store";
import { type Random, secureRandom } from "./allocate.ts";
import { differenceTo, pause } from "./catch-up.ts";
import { AlreadyLogged, isSame, type NamedRequest } from "./history/named.ts";
import { Transaction } from "./transaction.ts";
import { inParts, turn } from "./turns.ts";

/** A request's rules: reads and writes through the transaction, synchronously; throws what the caller shall be told. */
export type Rules<T> = (transaction: Transaction) => T;

export interface Committed<T> {
  /** The log's revision in which it took hold; for rules that changed nothing, the one at which they read. */
  readonly revision: Revision;
  readonly result: T;
}

export interface WriterOptions {
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly random?: Random;
  /** How many races against other writers a request may lose before it is refused. */
  readonly attempts?: number;
  /** Told of what went wrong in the background: the store gone, the log compacted under us. */
  readonly onTrouble?: (error: unknown) => void;
}

export type CommitListener = (entry: LoggedEntry) => void;

/** Figures since the start, for /metrics. */
export interface WriterFigures {
  readonly appends: number;
  readonly entries: number;
  readonly moved: number;
  readonly reruns: number;
  readonly refused: number;
}

type Outcome =
  | { readonly kind: "changed"; readonly result: unknown; readonly changes: readonly Change[] }
  | { readonly kind: "unchanged"; readonly result: unknown }
  | { readonly kind: "refused"; readonly error: unknown };

interface Request {
  readonly author: Author;
  readonly rules: Rules<unknown>;
  readonly resolve: (committed: Committed<unknown>) => void;
  readonly reject: (error: unknown) => void;
  /** Id of the entry: kept over reruns, so that a lost reply is recognised. */
  readonly entryId: string;
  readonly named: NamedRequest<unknown> | undefined;
  attempts: number;
  run: { readonly transaction: Transaction; readonly outcome: Outcome } | undefined;
  /** Something that it read was changed by another writer since it ran. */
  touched: boolean;
}

const catchUpMs = 5_000;
const unknownTries = 5;
const tailPauseMs = 200;
const retryAfter = 1;

export class Writer {
  readonly replica: Replica;
  readonly #store: Store;
  readonly #now: () => number;
  readonly #random: Random;
  readonly #attempts: number;
  readonly #onTrouble: (error: unknown) => void;
  readonly #queue: Request[] = [];
  readonly #listeners = new Set<CommitListener>();
  readonly #waiting = new Set<{ readonly revision: Revision; readonly wake: () => void }>();
  readonly #end = new AbortController();
  readonly #figures = { appends: 0, entries: 0, moved: 0, reruns: 0, refused: 0 };
  /** The batch whose append is on its way. */
  #flight: readonly Request[] = [];
  #entangled = false;
  #draining: Promise<void> | undefined;
  #tailing: Promise<void> = Promise.resolve();

  private constructor(store: Store, replica: Replica, options: WriterOptions) {
    this.#store = store;
    this.replica = replica;
    this.#now = options.now ?? Date.now;
    this.#random = options.random ?? secureRandom;
    this.#attempts = options.attempts ?? 100;
    this.#onTrouble = options.onTrouble ?? (() => undefined);
  }

  /** Loads the store's snapshot and follows its log from there. Throws StoreFailure when the store cannot be read. */
  static async open(store: Store, options: WriterOptions = {}): Promise<Writer> {
    const snapshot = await store.snapshot();
    const replica = new Replica();
    for (const part of inParts(snapshot.objects)) {
      for (const { revision, ...change } of part)
        replica.swap({ ...change, object: completed(change.kind, change.object) }, revision);
      await turn();
    }
    replica.rewind(snapshot.revision);
    const writer = new Writer(store, replica, options);
    writer.#tailing = writer.#follow();
    return writer;
  }

  get figures(): WriterFigures {
    return { ...this.#figures };
  }

  /** Requests that wait or are on their way. */
  get pending(): number {
    return this.#queue.length + this.#flight.length;
  }

  /** Calls `listener` once for each entry of the log from now on, in order, after the replica has taken it. Gives the way to stop. */
  onCommitted(listener: CommitListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Runs a request's rules and appends what they changed as one entry.
   * `named`: by what a retry of the request is known. Rejects with AlreadyLogged when the log holds it (another server took it),
   * with what the rules threw, StoreUnavailable when the store cannot be written, StoreBusy after too many lost races.
   */
  transact<T>(author: Author, rules: Rules<T>, named?: NamedRequest<T>): Promise<Committed<T>> {
    if (this.#end.signal.aborted)
      return Promise.reject(fail("StoreUnavailable", { reason: "the server is closing" }, { retryAfter }));
    return new Promise<Committed<T>>((resolve, reject) => {
      this.#queue.push({
        author,
        rules,
        // The result is what these rules returned, handed through untouched.
        resolve: resolve as (committed: Committed<unknown>) => void,
        reject,
        entryId: named?.entryId ?? randomUUID(),
        named,
        attempts: 0,
        run: undefined,
        touched: false,
      });
      this.#draining ??= this.#drain();
    });
  }

  /** Resolves when the replica has reached a revision, or after `timeoutMs`; gives whether it has. */
  async reached(revision: Revision, timeoutMs = catchUpMs): Promise<boolean> {
    if (this.replica.revision >= revision) return true;
    let waiter: { readonly revision: Revision; readonly wake: () => void } | undefined;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((wake) => {
      waiter = { revision, wake };
      this.#waiting.add(waiter);
      timer = setTimeout(wake, timeoutMs);
    });
    clearTimeout(timer);
    if (waiter !== undefined) this.#waiting.delete(waiter);
    return this.replica.revision >= revision;
  }

  /** Answers what is on its way and stops following the log. The store stays open: it is its opener's. */
  async close(): Promise<void> {
    this.#end.abort();
    await this.#draining;
    for (const waiter of this.#waiting) waiter.wake();
    await this.#tailing;
  }

  async #drain(): Promise<void> {
    // One turn later: requests that come in the same turn go into the same batch.
    await new Promise<void>((next) => setImmediate(next));
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0);
      try {
        await this.#commit(batch);
      } catch (error) {
        for (const request of batch) request.reject(unavailable(error));
      } finally {
        this.#flight = [];
      }
    }
    this.#draining = undefined;
  }

  /** Runs a batch and appends it, again and again until it stands in the log or each of its requests is answered. */
  async #commit(batch: readonly Request[]): Promise<void> {
    let open = batch;
    let firstToRun = 0;
    for (;;) {
      const head = this.replica.revision;
      for (const request of open) request.attempts += 1;
      this.#run(open, firstToRun);
      const { entries, changed } = this.#entriesOf(open);
      if (entries.length === 0) {
        if (await this.#current(head, open)) return this.#answer(open, head, new Map());
      } else {
        this.#flight = open;
        this.#entangled = false;
        const appended = await this.#append(head, entries);
        if (appended.outcome === "appended") {
          this.#figures.appends += 1;
          this.#figures.entries += entries.length;
          const revisions = new Map(changed.map((request, index) => [request, head + index + 1]));
          for (const [index, entry] of entries.entries()) this.#advance({ ...entry, revision: head + index + 1 });
          return this.#answer(open, head, revisions);
        }
        this.#figures.moved += 1;
        if (!(await this.reached(appended.head)))
          throw new StoreFailure("the log cannot be read up to its head", "failed");
        // While this is asked entries come in: they must still find the batch on its way.
        open = await this.#refuseLogged(open);
        this.#flight = [];
      }
      open = this.#refuseExhausted(open);
      if (open.length === 0) return;
      const touched = open.findIndex((request) => request.touched);
      firstToRun = touched < 0 ? open.length : touched;
      this.#figures.reruns += open.length - firstToRun;
    }
  }

  /** Runs the rules of the requests from `first` on; those before it keep what they did, since nothing that they read has changed. */
  #run(batch: readonly Request[], first: number): void {
    const overlay = new Overlay(this.replica);
    for (const [index, request] of batch.entries()) {
      if (index >= first || request.run === undefined) request.run = this.#attempt(request, overlay);
      if (request.run.outcome.kind === "changed") overlay.apply(request.run.outcome.changes);
    }
  }

  #attempt(request: Request, base: Overlay): Request["run"] & object {
    request.touched = false;
    const transaction = new Transaction(base, request.author, this.#now(), this.#random);
    try {
      const result = request.rules(transaction);
      if (result instanceof Promise) throw new Error("rules must be synchronous: they read one revision");
      const changes = transaction.changes();
      return {
        transaction,
        outcome: changes.length === 0 ? { kind: "unchanged", result } : { kind: "changed", result, changes },
      };
    } catch (error) {
      this.#figures.refused += 1;
      return { transaction, outcome: { kind: "refused", error } };
    }
  }

  #entriesOf(batch: readonly Request[]): {
    readonly entries: readonly Omit<LoggedEntry, "revision">[];
    readonly changed: readonly Request[];
  } {
    const at = new Date(this.#now()).toISOString();
    const changed = batch.filter((request) => request.run?.outcome.kind === "changed");
    const entries = changed.map((request) => {
      const outcome = request.run?.outcome;
      const mark = outcome?.kind === "changed" ? request.named?.mark(outcome.result) : undefined;
      return {
        id: request.entryId,
        at,
        author: request.author,
        ...(mark === undefined ? {} : { request: mark }),
        changes: outcome?.kind === "changed" ? outcome.changes : [],
      };
    });
    return { entries, changed };
  }

  /** Whether the log's head is still `head`: a refusal, too, is an answer about the present and not about a replica that lags. */
  async #current(head: Revision, batch: readonly Request[]): Promise<boolean> {
    let now: Revision;
    try {
      now = (await this.#store.bounds()).head;
    } catch (error) {
      // The store is gone and nothing was to be written: the replica's answer is the best there is.
      this.#onTrouble(error);
      return true;
    }
    if (now <= head) return true;
    for (const request of batch) request.touched = true;
    return !(await this.reached(now));
  }

  /** Appends; a lost reply is repeated with the same ids until the log says whether it holds them. */
  async #append(head: Revision, entries: readonly Omit<LoggedEntry, "revision">[]) {
    for (let tries = 1; ; tries++) {
      try {
        const appended = await this.#store.append(head, entries);
        if (appended.outcome === "moved" && tries > 1 && (await this.#holds(head, entries, appended.head))) {
          return { outcome: "appended" as const, revision: head + entries.length };
        }
        return appended;
      } catch (error) {
        if (!(error instanceof StoreFailure) || error.outcome === "failed" || tries >= unknownTries) throw error;
        this.#onTrouble(error);
      }
    }
  }

  /** Whether the log holds exactly these entries behind `head`. */
  async #holds(
    head: Revision,
    entries: readonly Pick<LoggedEntry, "id" | "author">[],
    newHead: Revision,
  ): Promise<boolean> {
    if (newHead < head + entries.length) return false;
    const stop = new AbortController();
    let index = 0;
    for await (const entry of this.#store.tail(
      head,
      AbortSignal.any([stop.signal, this.#end.signal, AbortSignal.timeout(catchUpMs)]),
    )) {
      const own = entries[index];
      if (own === undefined || !isSame(own.id, own.author, entry)) return false;
      index += 1;
      if (index === entries.length) return true;
    }
    return false;
  }

  #answer(batch: readonly Request[], head: Revision, revisions: ReadonlyMap<Request, Revision>): void {
    for (const request of batch) {
      const outcome = request.run?.outcome;
      switch (outcome?.kind) {
        case "changed":
        case "unchanged":
          request.resolve({ revision: revisions.get(request) ?? head, result: outcome.result });
          break;
        case "refused":
          request.reject(outcome.error);
          break;
        case undefined:
          request.reject(new Error("a request was answered before it ran"));
      }
    }
  }

  /** Tells the named requests that the log holds already, as another server's: those after them must not stand on what they did. */
  async #refuseLogged(batch: readonly Request[]): Promise<readonly Request[]> {
    const left: Request[] = [];
    for (const request of batch) {
      const logged = request.named === undefined ? undefined : await this.#store.find(request.entryId);
      if (logged === undefined) left.push(request);
      else request.reject(new AlreadyLogged(logged));
    }
    if (left.length < batch.length) for (const request of left) request.touched = true;
    return left;
  }

  #refuseExhausted(batch: readonly Request[]): readonly Request[] {
    return batch.filter((request) => {
      if (request.attempts < this.#attempts) return true;
      request.reject(fail("StoreBusy", { attempts: request.attempts }, { retryAfter }));
      return false;
    });
  }

  /** Takes an entry into the replica, once, whoever brings it: the append's own reply or the tail. */
  #advance(entry: LoggedEntry): void {
    if (entry.revision <= this.replica.revision) return;
    this.#markTouched(entry);
    const changes = entry.changes.map((change) =>
      change.object === null ? change : { ...change, object: completed(change.kind, change.object) },
    );
    this.replica.apply(changes, entry.revision);
    for (const listener of this.#listeners) {
      try {
        listener(entry);
      } catch (error) {
        this.#onTrouble(error);
      }
    }
    for (const waiter of this.#waiting) if (waiter.revision <= entry.revision) waiter.wake();
  }

  /** Marks the requests on their way that read what another writer's entry changes. The replica does not have the entry yet. */
  #markTouched(entry: LoggedEntry): void {
    const flight = this.#flight;
    if (flight.length === 0 || flight.some((request) => isSame(request.entryId, request.author, entry))) return;
    if (!this.#entangled) {
      this.#entangled = true;
      this.#markEntangled(flight);
    }
    for (const request of flight) {
      if (!request.touched && request.run?.transaction.reads.touchedBy(entry.changes, this.replica))
        request.touched = true;
    }
  }

  /** A request that read what an earlier one of its batch wrote cannot be judged against the replica alone: it runs again. */
  #markEntangled(flight: readonly Request[]): void {
    const earlier: Change[] = [];
    for (const request of flight) {
      if (earlier.length > 0 && request.run?.transaction.reads.touchedBy(earlier, this.replica)) request.touched = true;
      if (request.run?.outcome.kind === "changed") earlier.push(...request.run.outcome.changes);
    }
  }

  async #follow(): Promise<void> {
    const { signal } = this.#end;
    while (!signal.aborted) {
      try {
        for await (const entry of this.#store.tail(this.replica.revision, signal)) this.#advance(entry);
      } catch (error) {
        if (signal.aborted) return;
        this.#onTrouble(error);
        if (error instanceof Compacted) await this.#reload();
        else await pause(tailPauseMs, signal);
      }
    }
  }

  /** The log begins after where we stand: take the snapshot, and tell of the difference as one entry. */
  async #reload(): Promise<void> {
    try {
      const snapshot = await this.#store.snapshot();
      const changes = differenceTo(this.replica, snapshot);
      this.#advance({
        id: randomUUID(),
        at: new Date(this.#now()).toISOString(),
        author: { kind: "system", id: "reload", request_id: "" },
        changes,
        revision: snapshot.revision,
      });
    } catch (error) {
      this.#onTrouble(error);
      await pause(tailPauseMs, this.#end.signal);
    }
  }
}

function unavailable(error: unknown): unknown {
  if (isError(error) || !(error instanceof StoreFailure)) return error;
  return fail("StoreUnavailable", { reason: error.message }, { retryAfter, cause: error });
}
