/** Has signs of life given to BGP peers, by a thread that is there while there are any. */
import { once } from "node:events";
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
}

/** Milliseconds after which a thread that ended is started again. */
const again = 5_000;
/** Milliseconds that taking leave may take. */
const patience = 1_000;

export class Signs {
  readonly #options: SignsOptions;
  #addresses: readonly string[] = [];
  #worker: Worker | undefined;
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
    if (this.#worker === undefined) this.#begin();
    else this.#say({ kind: "peers", addresses: sorted });
  }

  /** Takes leave of them: this host does not end by accident. Resolves when the thread is gone. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#retry?.cancel();
    const worker = this.#worker;
    if (worker === undefined) return;
    const ended = once(worker, "exit");
    this.#say({ kind: "end" });
    const timer = this.#options.clock.after(patience, () => void worker.terminate());
    await ended;
    timer.cancel();
  }

  #say(message: ToBeacon): void {
    this.#worker?.postMessage(message);
  }

  #begin(): void {
    const { data, log, clock } = this.#options;
    this.#retry = undefined;
    const worker = new Worker(new URL("beacon-thread.ts", import.meta.url), { workerData: data });
    this.#worker = worker;
    worker.on("message", ({ level, text, fields }: FromBeacon) => log[level](text, fields));
    worker.on("error", (error) => log.warn("what gives signs of life to BGP peers has failed", { error }));
    worker.on("exit", () => {
      if (this.#worker === worker) this.#worker = undefined;
      if (!this.#closed) this.#retry = clock.after(again, () => this.#begin());
    });
    this.#say({ kind: "peers", addresses: this.#addresses });
    // The agent's end is its own affair.
    worker.unref();
  }
}
