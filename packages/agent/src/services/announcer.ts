/**
 * Tells a physical network which addresses came to this host: three times, the first once the rows that answer for them are in force, so that nobody is told too
 * early (design, 6.1). What is owned is what the switch answers questions for; there is no second list.
 */
import type { Clock, Counter, Log, Metrics, Timer } from "@selvage/base";
import type { Datapath } from "@selvage/datapath";
import type { View } from "@selvage/model";
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
      this.#owned.set(row.id, owned);
      come.push(owned);
    }
    for (const row of delta.removed) this.#owned.delete(row.id);
    return come;
  }

  /** Whether this host answers for an address. */
  owns(net: number, address: string): boolean {
    for (const owned of this.#owned.values()) if (owned.net === net && owned.address === address) return true;
    return false;
  }

  /** Says that they are here, now and twice again. */
  announce(all: readonly Owned[], left = times): void {
    if (all.length === 0) return;
    const still = new Set([...this.#owned.values()].map(({ net, address }) => `${net}|${address}`));
    const here = all.filter(({ net, address }) => still.has(`${net}|${address}`));
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
