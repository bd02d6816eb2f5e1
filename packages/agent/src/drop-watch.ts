/** Counts what this host's switch drops, by reason (docs/drop-reasons.md): for the metrics, and told to the server for `selvage status`. */
import type { Clock, Counter, Log, Metrics, ReasonCode } from "@selvage/base";
import type { Datapath } from "@selvage/datapath";
import { type DropCount, mostDrops } from "@selvage/sync";

export interface DropWatchOptions {
  readonly datapath: Pick<Datapath, "drops">;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Whether there is a switch to ask now. */
  readonly isHere: () => boolean;
  /** The counts differ now. */
  readonly changed: () => void;
}

/** Pause between two looks, ms; longer where a look takes long, so that looking takes at most a fiftieth of the time. */
const shortestPause = 10_000;
const pausePerLook = 49;

/** Looks from time to time; counts begin with the switch's own, which outlive this process. */
export class DropWatch {
  readonly #options: DropWatchOptions;
  readonly #counter: Counter<"reason">;
  #last: ReadonlyMap<ReasonCode, number> = new Map();
  #timer: { cancel(): void } | undefined;
  #looking: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: DropWatchOptions) {
    this.#options = options;
    this.#counter = options.metrics.counter({
      name: "drops_total",
      help: "Packets that the switch dropped, by reason (docs/drop-reasons.md)",
      labels: ["reason"],
    });
  }

  /** Packets dropped since the switch started, most first; reasons for which none was are absent. */
  get counts(): DropCount[] {
    return [...this.#last]
      .filter(([, packets]) => packets > 0)
      .map(([reason, packets]) => ({ reason, packets }))
      .sort((a, b) => b.packets - a.packets || (a.reason < b.reason ? -1 : 1))
      .slice(0, mostDrops);
  }

  start(): void {
    this.#again(shortestPause);
  }

  /** Looks now; the next look is a pause after it. Resolves when the counts are taken. Never rejects. */
  look(): Promise<void> {
    this.#timer?.cancel();
    this.#looking = this.#looking.then(async () => {
      const { clock } = this.#options;
      const begun = clock.monotonic();
      await this.#take();
      this.#again(Math.max(shortestPause, pausePerLook * (clock.monotonic() - begun)));
    });
    return this.#looking;
  }

  /** Resolves when nothing is asked of the switch any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#looking;
  }

  #again(pause: number): void {
    if (this.#isClosed) return;
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(pause, () => void this.look());
  }

  async #take(): Promise<void> {
    const { datapath, isHere, log, changed } = this.#options;
    if (this.#isClosed || !isHere()) return;
    let now: ReadonlyMap<ReasonCode, number>;
    try {
      now = await datapath.drops();
    } catch (error) {
      // A switch that went away meanwhile tells so by itself; the next look counts what this one could not.
      log.debug("drops could not be counted", { error });
      return;
    }
    let differs = false;
    for (const [reason, packets] of now) {
      const before = this.#last.get(reason) ?? 0;
      if (packets === before) continue;
      differs = true;
      // A switch that began anew counts from 0.
      this.#counter.inc({ reason }, packets > before ? packets - before : packets);
    }
    for (const reason of this.#last.keys()) if (!now.has(reason)) differs = true;
    this.#last = new Map(now);
    if (differs) changed();
  }
}
