/** Counts what this host's switch drops, by reason (docs/drop-reasons.md): for the metrics, and told to the server for `selvage status`. */
import type { Clock, Counter, Log, Metrics, ReasonCode } from "@selvage/base";
import type { Datapath } from "@selvage/datapath";
import { type DropCount, mostDrops } from "@selvage/sync";
import { Looks } from "./looks.ts";

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

/** Looks from time to time; counts begin with the switch's own, which outlive this process. */
export class DropWatch {
  readonly #options: DropWatchOptions;
  readonly #looks: Looks;
  readonly #counter: Counter<"reason">;
  #last: ReadonlyMap<ReasonCode, number> = new Map();

  constructor(options: DropWatchOptions) {
    this.#options = options;
    const { clock, datapath, isHere, log } = options;
    const take = async (): Promise<void> => this.#note(await datapath.drops());
    this.#looks = new Looks({ clock, log, isHere, take, what: "drops" });
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
    this.#looks.start();
  }

  /** Looks now; the next look is a pause after it. Resolves when the counts are taken. Never rejects. */
  look(): Promise<void> {
    return this.#looks.look();
  }

  /** Resolves when nothing is asked of the switch any more. */
  close(): Promise<void> {
    return this.#looks.close();
  }

  #note(now: ReadonlyMap<ReasonCode, number>): void {
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
    if (differs) this.#options.changed();
  }
}
