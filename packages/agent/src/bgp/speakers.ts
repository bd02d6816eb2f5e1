/**
 * Announces by BGP what this host holds, as each speaker of its networks, by a daemon for each: once the rows that take it are in force, and no more from the moment
 * at which they are wanted no longer, or the switch is away. Ended, the agent takes leave of the peers; killed, it leaves them what they know for a while.
 */
import { isDeepStrictEqual } from "node:util";
import type { Clock, Gauge, Log, Metrics, Timer } from "@selvage/base";
import { type Delta, type Engine, Host } from "@selvage/model";
import type { Row } from "@selvage/pipeline";
import { type Announcement, announcementsOf, type Taken, takenBy } from "./announcement.ts";
import type { Standing } from "./configuration.ts";
import { Daemon, type SessionState } from "./daemon.ts";
import { Signs } from "./signs.ts";

export interface SpeakersOptions {
  readonly view: Engine<Row>["view"];
  readonly hostName: string;
  readonly settings: Readonly<Record<"bgpDaemon" | "bgpSource", string>> &
    Readonly<Record<"bgpRestartTime" | "bgpBfdInterval", number>>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly random: () => number;
}

/** What comes is looked at together, ms; short, for what goes must be withdrawn at once. */
const together = 5;
/** Milliseconds between two looks at how the sessions stand. */
const lookInterval = 2_000;

/** How one speaker stands on this host, for people. */
export interface SpeakerStatus {
  readonly speaker: string;
  readonly routes: number;
  readonly sessions: readonly SessionState[];
}

interface Running {
  readonly daemon: Daemon;
  said: Announcement;
  sessions: readonly SessionState[];
}

export class Speakers {
  readonly #options: SpeakersOptions;
  readonly #running = new Map<string, Running>();
  /** What the switch takes, by row: in force, and wanted with the number of the look at which it came. */
  readonly #held = new Map<string, Taken>();
  readonly #coming = new Map<string, { readonly taken: Taken; readonly since: number }>();
  readonly #ending = new Set<Promise<void>>();
  readonly #look: Timer;
  readonly #signs: Signs;
  #now = 0;
  /** The switch has held what was wanted: before, there is nothing to say, and what peers kept of an earlier life would be forgotten for that. */
  #hasBeenInForce = false;
  #soon: Timer | undefined;
  #closed = false;

  constructor(options: SpeakersOptions) {
    this.#options = options;
    const { metrics, clock } = options;
    const gauge = (name: string, help: string, read: () => number): Gauge => metrics.gauge({ name, help, read });
    const all = () => [...this.#running.values()];
    gauge("bgp_routes", "Routes that this host announces", () =>
      all().reduce((sum, { said }) => sum + said.routes.size, 0),
    );
    gauge("bgp_sessions_up", "BGP sessions that are established", () =>
      all().reduce((sum, { sessions }) => sum + sessions.filter(({ state }) => state === "Established").length, 0),
    );
    gauge("bgp_peers", "BGP peers that this host is to tell", () =>
      all().reduce((sum, { said }) => sum + said.peers.length, 0),
    );
    const { bgpBfdInterval: interval, bgpSource: source } = options.settings;
    this.#signs = new Signs({ data: { interval, source }, clock, log: options.log.child("bgp") });
    this.#look = clock.every(lookInterval, () => this.#ask());
  }

  get status(): readonly SpeakerStatus[] {
    return [...this.#running].map(([speaker, { said, sessions }]) => ({
      speaker,
      routes: said.routes.size,
      sessions,
    }));
  }

  /** Takes note of rows that are wanted now and of those that are not any more, and of a view that may be another. */
  changed({ added, removed, modified }: Pick<Delta<Row>, "added" | "removed" | "modified">): void {
    // What a row takes stays what it is when it leads elsewhere on this host.
    const others = modified.filter(({ before, after }) => !isDeepStrictEqual(takenBy(before), takenBy(after)));
    for (const { id } of [...removed, ...others.map(({ before }) => before)]) {
      this.#held.delete(id);
      this.#coming.delete(id);
    }
    for (const row of [...added, ...others.map(({ after }) => after)]) {
      const taken = takenBy(row);
      if (taken !== undefined) this.#coming.set(row.id, { taken, since: this.#now });
    }
    this.#settleSoon();
  }

  /** A mark of what has come so far: given back to `inForce` when the switch holds it. */
  mark(): number {
    this.#now += 1;
    return this.#now;
  }

  /** The switch holds what had come at that mark. */
  inForce(mark: number): void {
    this.#hasBeenInForce = true;
    for (const [id, { taken, since }] of this.#coming) {
      if (since >= mark) continue;
      this.#coming.delete(id);
      this.#held.set(id, taken);
    }
    this.#settleSoon();
  }

  /** The switch is away: what it held has to be in force anew. */
  lost(): void {
    for (const [id, taken] of this.#held) this.#coming.set(id, { taken, since: this.#now });
    this.#held.clear();
    this.#settleSoon();
  }

  /** Withdraws everything; resolves when the daemons are gone. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#look.cancel();
    this.#soon?.cancel();
    for (const id of [...this.#running.keys()]) this.#end(id);
    await Promise.all(this.#ending);
    await this.#signs.close();
  }

  #settleSoon(): void {
    if (this.#closed || !this.#hasBeenInForce) return;
    this.#soon ??= this.#options.clock.after(together, () => {
      this.#soon = undefined;
      this.#settle();
    });
  }

  #settle(): void {
    const { view, hostName } = this.#options;
    const wanted = announcementsOf(view, hostName, this.#held.values());
    const kept = new Set(wanted.map(({ speaker }) => speaker));
    for (const id of [...this.#running.keys()]) if (!kept.has(id)) this.#end(id);
    for (const announcement of wanted) {
      const running = this.#running.get(announcement.speaker);
      if (running === undefined) this.#begin(announcement);
      else if (!same(running.said, announcement)) {
        running.said = announcement;
        running.daemon.want(announcement);
      }
    }
    this.#signs.tell([...this.#running.values()].flatMap(({ said }) => said.peers.map(({ address }) => address)));
  }

  #begin(announcement: Announcement): void {
    const { settings, clock, log, random } = this.#options;
    const standing = this.#standing();
    if (settings.bgpDaemon === "" || standing === undefined) return;
    const { speaker } = announcement;
    const daemon = new Daemon(
      { program: settings.bgpDaemon, standing, clock, log: log.child("bgp", { speaker }), random },
      announcement,
    );
    this.#running.set(speaker, { daemon, said: announcement, sessions: [] });
  }

  #end(speaker: string): void {
    const running = this.#running.get(speaker);
    if (running === undefined) return;
    this.#running.delete(speaker);
    const ended = running.daemon.close().finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }

  /** The identifier is this host's for good, whatever addresses it has: sessions would end with another. */
  #standing(): Standing | undefined {
    const { view, hostName, settings } = this.#options;
    const key = view.by(Host.index.name, hostName)[0]?.key;
    if (key === undefined) return undefined;
    const routerId = ["10", ...[16, 8, 0].map((shift) => String((key >>> shift) & 0xff))].join(".");
    return { routerId, source: settings.bgpSource, restartTime: settings.bgpRestartTime };
  }

  #ask(): void {
    for (const running of this.#running.values()) {
      running.daemon.sessions().then(
        (sessions) => {
          running.sessions = sessions;
        },
        (error: unknown) => this.#options.log.debug("how the sessions stand could not be read", { error }),
      );
    }
  }
}

function same(one: Announcement, other: Announcement): boolean {
  if (one.routes.size !== other.routes.size) return false;
  for (const [prefix, nextHop] of other.routes) if (one.routes.get(prefix) !== nextHop) return false;
  return JSON.stringify(one.peers) === JSON.stringify(other.peers);
}
