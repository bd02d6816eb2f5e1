/** Has signs of life given to BGP peers, by a thread that is there while there are any. */
import { Worker } from "node:worker_threads";
import type { Clock, Log, Timer } from "@selvage/base";

/** How the thread is to do it. */
export interface BeaconData {
  /** Milliseconds between two signs. */
  readonly interval: number;
  /** The address that they come from; empty: as the system routes. */
  readonly source: string;
}

export type ToBeacon = { readonly kind: "peers"; readonly addresses: readonly string[] } | { readonly kind: "end" };
export interface FromBeacon {
  readonly kind: "log";
  readonly level: "debug" | "warn";
  readonly text: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface SignsOptions {
  readonly data: BeaconData;
  readonly clock: Clock;
  readonly log: Log;
  /** What the thread runs; absent: the beacon. */
  readonly thread?: URL;
}

/** Milliseconds after which a thread that ended is started again. */
const again = 5_000;
/** Milliseconds that taking leave may take. */
const patience = 1_000;

export class Signs {
  readonly #options: SignsOptions;
  #addresses: readonly string[] = [];
  #worker: Worker | undefined;
  /** Whether the thread was told to end. */
  #isLeaving = false;
  #retry: Timer | undefined;
  #closed = false;

  constructor(options: SignsOptions) {
    this.#options = options;
  }

  /** These peers are to hear that this host lives, if they ask. */
  tell(addresses: readonly string[]): void {
    const sorted = [...new Set(addresses)].sort();
    if (this.#closed || this.#options.data.interval === 0 || sorted.join() === this.#addresses.join()) return;
    this.#addresses = sorted;
    if (sorted.length === 0) this.#leave();
    else if (this.#worker === undefined) this.#begin();
    else this.#say({ kind: "peers", addresses: sorted });
  }

  /** Takes leave of them: this host does not end by accident. Resolves when the thread is gone. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    const ended = worker && new Promise<unknown>((resolve) => worker.once("exit", resolve));
    this.#leave();
    await ended;
  }

  #say(message: ToBeacon): void {
    this.#worker?.postMessage(message);
  }

  /** Has the thread end, and none begin. */
  #leave(): void {
    this.#retry?.cancel();
    const worker = this.#worker;
    if (worker === undefined || this.#isLeaving) return;
    this.#isLeaving = true;
    this.#say({ kind: "end" });
    const timer = this.#options.clock.after(patience, () => void worker.terminate());
    worker.once("exit", () => timer.cancel());
  }

  #begin(): void {
    const { data, log, thread = new URL("beacon-thread.ts", import.meta.url) } = this.#options;
    this.#retry?.cancel();
    const worker = new Worker(thread, { workerData: data });
    this.#worker = worker;
    this.#isLeaving = false;
    worker.on("message", ({ level, text, fields }: FromBeacon) => log[level](text, fields));
    worker.on("error", (error) => log.warn("what gives signs of life to BGP peers has failed", { error }));
    worker.on("exit", () => this.#ended());
    this.#say({ kind: "peers", addresses: this.#addresses });
    // The agent's end is its own affair.
    worker.unref();
  }

  /** The thread is gone: there is another where there are peers, at once if it was told to go before they came. */
  #ended(): void {
    this.#worker = undefined;
    if (this.#closed || this.#addresses.length === 0) return;
    if (this.#isLeaving) this.#begin();
    else this.#retry = this.#options.clock.after(again, () => this.#begin());
  }
}
