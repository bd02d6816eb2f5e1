/** Looks how many connections this host's switch tracks for each port: for the metrics, and told to the server of ports that have as many as they may. */
import type { Clock, Gauge, Log, Metrics } from "@selvage/base";
import { type Datapath, isTranslating, type PortConnections, translatingZone } from "@selvage/datapath";
import { Looks } from "./looks.ts";

export interface ConnectionWatchOptions {
  readonly datapath: Pick<Datapath, "tracked">;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Whether there is a switch to ask now. */
  readonly isHere: () => boolean;
  /** Other ports are full now. */
  readonly changed: () => void;
}

/** Ports that the metric names: those that come nearest to what they may have. */
const shown = 5;
/** A port that was full is so no more when it has less than this share: between the two it would be told again and again. */
const room = 0.9;

export class ConnectionWatch {
  readonly #options: ConnectionWatchOptions;
  readonly #looks: Looks;
  readonly #ratio: Gauge<"port">;
  readonly #tracked: Gauge;
  #full: ReadonlySet<string> = new Set();
  #all: ReadonlyMap<string, PortConnections> = new Map();
  #begun = Number.NEGATIVE_INFINITY;

  constructor(options: ConnectionWatchOptions) {
    this.#options = options;
    const { clock, datapath, isHere, log, metrics } = options;
    const take = async (): Promise<void> => {
      const begun = clock.monotonic();
      const all = await datapath.tracked();
      this.#begun = begun;
      this.#note(all);
    };
    this.#looks = new Looks({ clock, log, isHere, take, what: "connections" });
    this.#ratio = metrics.gauge({
      name: "port_connections_ratio",
      help: "Connections of the ports that have most, as a share of what a port may have",
      labels: ["port"],
    });
    this.#tracked = metrics.gauge({ name: "connections", help: "Connections that the switch tracks for ports here" });
  }

  /** Ports that have as many connections as a port may. */
  get full(): ReadonlySet<string> {
    return this.#full;
  }

  /** Connections that are translated for a router, as they were at the last look; undefined: they were not counted. */
  translated(routerId: string): number | undefined {
    return this.#all.get(translatingZone(routerId))?.count;
  }

  /** When the last look began that found something out, monotonic ms. */
  get begun(): number {
    return this.#begun;
  }

  start(): void {
    this.#looks.start();
  }

  /** Looks now; the next look is a pause after it. Never rejects. */
  look(): Promise<void> {
    return this.#looks.look();
  }

  /** Resolves when nothing is asked of the switch any more. */
  close(): Promise<void> {
    return this.#looks.close();
  }

  #note(all: ReadonlyMap<string, PortConnections>): void {
    const { log, changed } = this.#options;
    this.#all = all;
    const shares = [...all].map(([port, { count, most }]) => ({ port, share: most === 0 ? 0 : count / most }));
    this.#ratio.reset();
    for (const { port, share } of shares.sort((a, b) => b.share - a.share).slice(0, shown))
      this.#ratio.set({ port }, share);
    this.#tracked.set([...all.values()].reduce((sum, { count }) => sum + count, 0));
    const before = this.#full;
    const now = new Set(
      shares.filter(({ port, share }) => share >= (before.has(port) ? room : 1)).map(({ port }) => port),
    );
    this.#full = now;
    const come = [...now].filter((port) => !before.has(port));
    const gone = [...before].filter((port) => !now.has(port));
    for (const port of come) log.warn("a port has as many connections as a port may have: it opens no more", { port });
    for (const port of gone) log.info("a port may open connections again", { port });
    // What is translated may be told anew though nothing is full.
    if (come.length + gone.length > 0 || [...all.keys()].some(isTranslating)) changed();
  }
}
