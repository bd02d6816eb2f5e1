/** Brings events to Nova: gathered for a moment, one request for many, tried again until Nova takes them or they are out of date. */
import { backoffDelay, type Clock, type Counter, type Log, type Metrics, type Timer } from "@selvage/base";
import { ComputeFailure, type Verdict } from "./compute.ts";
import type { NovaEvent } from "./watch.ts";

export interface CourierOptions {
  /** Sends events in one request. Throws ComputeFailure. */
  readonly send: (events: readonly NovaEvent[], signal: AbortSignal) => Promise<readonly Verdict[]>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** How long events gather before they are sent, ms. */
  readonly gather: number;
  /** Events of one request. */
  readonly batch: number;
  readonly random?: () => number;
}

/** Waits between tries: full jitter up to these, ms. */
const backoff = { base: 500, cap: 30_000 } as const;

/**
 * The queue holds at most two events a port, the newest of each sort: whether it is plugged, and that its addresses changed.
 * So however long Nova is away, it stays as small as the number of ports, and what Nova hears is how things are then.
 */
export class Courier {
  readonly #options: CourierOptions;
  readonly #events: Counter<"name" | "outcome">;
  readonly #failures: Counter;
  readonly #queue = new Map<string, NovaEvent>();
  readonly #end = new AbortController();
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #attempt = 0;

  constructor(options: CourierOptions) {
    const { metrics } = options;
    this.#options = options;
    this.#events = metrics.counter({
      name: "nova_events_total",
      help: "Events for Nova by name and outcome: delivered, refused by Nova, or replaced by a newer one before it was sent",
      labels: ["name", "outcome"],
    });
    this.#failures = metrics.counter({
      name: "nova_request_failures_total",
      help: "Requests to Nova or its Identity service that failed and are tried again",
    });
    metrics.gauge({
      name: "nova_events_pending",
      help: "Events that Nova has not taken yet",
      read: () => this.#queue.size,
    });
  }

  get pending(): number {
    return this.#queue.size;
  }

  /** Takes events to send; returns at once. */
  take(events: readonly NovaEvent[]): void {
    for (const event of events) {
      const key = keyOfEvent(event);
      const older = this.#queue.get(key);
      if (older !== undefined) this.#count(older, "replaced");
      // Again at the end: the order is that of the newest events.
      this.#queue.delete(key);
      this.#queue.set(key, event);
    }
    if (this.#queue.size > 0) this.#schedule(this.#options.gather);
  }

  /** Sends what waits, once, for at most `ms`; then nothing more is sent. Idempotent. */
  async close(ms: number): Promise<void> {
    const { clock } = this.#options;
    this.#timer?.cancel();
    const limit = clock.after(ms, () => this.#end.abort());
    this.#running ??= this.#queue.size > 0 && !this.#end.signal.aborted ? this.#drain() : undefined;
    await this.#running;
    limit.cancel();
    this.#end.abort();
    if (this.#queue.size > 0) this.#options.log.warn("events for Nova were left unsent", { events: this.#queue.size });
  }

  #schedule(ms: number): void {
    if (this.#timer !== undefined || this.#running !== undefined || this.#end.signal.aborted) return;
    this.#timer = this.#options.clock.after(ms, () => {
      this.#timer = undefined;
      this.#running = this.#drain().finally(() => {
        this.#running = undefined;
        if (this.#queue.size > 0) this.#schedule(this.#pause());
      });
    });
  }

  #pause(): number {
    if (this.#attempt === 0) return this.#options.gather;
    return backoffDelay({ ...backoff, random: this.#options.random ?? Math.random }, this.#attempt - 1);
  }

  /** Sends what waits, batch after batch, until none is left or a request fails. */
  async #drain(): Promise<void> {
    const { send, batch, log } = this.#options;
    while (this.#queue.size > 0 && !this.#end.signal.aborted) {
      const events = [...this.#queue.values()].slice(0, batch);
      try {
        for (const verdict of await send(events, this.#end.signal)) this.#settle(verdict);
        if (this.#attempt > 0) log.info("Nova takes events again", { failures: this.#attempt });
        this.#attempt = 0;
      } catch (error) {
        if (this.#end.signal.aborted) return;
        if (!(error instanceof ComputeFailure)) throw error;
        if (!error.passing) {
          log.error("Nova refused a request of events; they are given up", { error, events: events.length });
          for (const event of events) this.#settle({ event, code: 400 });
          continue;
        }
        this.#attempt += 1;
        this.#failures.inc();
        log.warn("events could not be brought to Nova; they are tried again", { error, pending: this.#queue.size });
        return;
      }
    }
  }

  #settle({ event, code }: Verdict): void {
    const key = keyOfEvent(event);
    // A newer event took its place while this one was on its way.
    if (this.#queue.get(key) === event) this.#queue.delete(key);
    const delivered = code >= 200 && code < 300;
    this.#count(event, delivered ? "delivered" : "refused");
    if (!delivered) this.#options.log.info("Nova did not take an event", { ...event, code });
  }

  #count(event: NovaEvent, outcome: "delivered" | "refused" | "replaced"): void {
    this.#events.inc({ name: event.name, outcome });
  }
}

function keyOfEvent(event: NovaEvent): string {
  switch (event.name) {
    case "network-vif-plugged":
    case "network-vif-unplugged":
    case "network-vif-deleted":
      return `${event.tag}|${event.server_uuid}|vif`;
    case "network-changed":
      return `${event.tag}|${event.server_uuid}|addresses`;
  }
}
