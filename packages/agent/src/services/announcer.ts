/**
 * Tells a physical network which addresses came to this host: three times, the first once the rows that answer for them are in force, so that nobody is told too
 * early (design, 6.1). What is owned is what the switch answers questions for; there is no second list.
 */
import type { Clock, Counter, Log, Metrics, Timer } from "@selvage/base";
import type { Datapath } from "@selvage/datapath";
import { FloatingIp, keyOf as indexKey, type View } from "@selvage/model";
import { FromPhysical, type Row } from "@selvage/pipeline";
import { announcementFrame, sendOn, wireOf } from "./wire.ts";

const times = 3;
/** Milliseconds (RFC 4861 section 10, RetransTimer). */
const between = 1_000;

export interface AnnouncerOptions {
  readonly view: View;
  readonly hostName: string;
  readonly datapath: Pick<Datapath, "send">;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** An address that a host owns on a network, as a row says it; link-local ones are nobody's to move. */
export interface Owned {
  readonly net: number;
  readonly address: string;
}

const keyOf = ({ net, address }: Owned): string => `${net}|${address}`;

/** What a row says is owned; undefined for any other row. */
export function ownedBy({ table, rank, key }: Row): Owned | undefined {
  if (table !== FromPhysical.name || rank !== "question") return undefined;
  const address = String(key.arpTpa ?? key.ndTarget);
  return address.startsWith("fe80:") ? undefined : { net: Number(key.net), address };
}

export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #timers = new Set<Timer>();
  /** By row: what is owned now. */
  readonly #owned = new Map<string, Owned>();
  /** How many rows say so, by network and address: a question costs the same however much is owned. */
  readonly #rows = new Map<string, number>();
  readonly #sent: Counter<"outcome">;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
    this.#sent = options.metrics.counter({
      name: "announcements_total",
      help: "Gratuitous ARP and unsolicited neighbour advertisements, by what became of them",
      labels: ["outcome"],
    });
  }

  /** Takes note of rows that are wanted now and were not; gives what they make this host own, to be announced when they are in force. */
  changed(delta: { readonly added: readonly Row[]; readonly removed: readonly Row[] }): readonly Owned[] {
    const come: Owned[] = [];
    for (const row of delta.added) {
      const owned = ownedBy(row);
      if (owned === undefined) continue;
      this.#forget(row.id);
      this.#owned.set(row.id, owned);
      const key = keyOf(owned);
      this.#rows.set(key, (this.#rows.get(key) ?? 0) + 1);
      come.push(owned);
    }
    for (const row of delta.removed) this.#forget(row.id);
    return come;
  }

  /** Whether this host answers for an address. */
  owns(net: number, address: string): boolean {
    return this.#rows.has(keyOf({ net, address }));
  }

  /** What is here because hosts agree on it, and another may have had while it saw this one no more: all but what is a machine's own. */
  get agreed(): readonly Owned[] {
    const { view, hostName } = this.#options;
    return [...this.#owned.values()].filter(({ net, address }) => {
      const wire = wireOf(view, net, hostName);
      if (wire === undefined) return false;
      return view
        .by(FloatingIp.index.address, indexKey(wire.networkId, address))
        .every((each) => each.port_id === null);
    });
  }

  /** Says that they are here, now and twice again. */
  announce(all: readonly Owned[], left = times): void {
    if (all.length === 0) return;
    const here = all.filter(({ net, address }) => this.owns(net, address));
    for (const owned of here) this.#say(owned);
    if (left <= 1 || here.length === 0) return;
    const timer = this.#options.clock.after(between, () => {
      this.#timers.delete(timer);
      this.announce(here, left - 1);
    });
    this.#timers.add(timer);
  }

  /** Ends it. Idempotent. */
  close(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }

  #forget(row: string): void {
    const owned = this.#owned.get(row);
    if (owned === undefined) return;
    this.#owned.delete(row);
    const key = keyOf(owned);
    const left = (this.#rows.get(key) ?? 0) - 1;
    if (left > 0) this.#rows.set(key, left);
    else this.#rows.delete(key);
  }

  #say({ net, address }: Owned): void {
    const { view, hostName, datapath, log } = this.#options;
    const wire = wireOf(view, net, hostName);
    if (wire === undefined) return;
    sendOn(datapath, wire, announcementFrame(wire.mac, address)).then(
      () => this.#sent.inc({ outcome: "sent" }),
      (error: unknown) => {
        this.#sent.inc({ outcome: "failed" });
        log.debug("an address could not be announced", { address, error });
      },
    );
  }
}
