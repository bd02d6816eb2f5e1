/**
 * Who has which address on a physical network, asked by this host for its routers: the next hops of their routes always, others when a packet wants them
 * (RFC 826, RFC 4861 section 7). What answers is a fact in the host's own view, from which rows follow as from any other object.
 */
import type { Clock, Gauge, Log, Metrics, Timer } from "@selvage/base";
import type { Datapath, Punt } from "@selvage/datapath";
import {
  type Change,
  cidrContains,
  cidrOf,
  type Delta,
  ipOf,
  LearnedNeighbour,
  linkLocalOf,
  macOf,
  neighbourId,
  physicalKeys,
  Subnet,
  textOfIp,
  type View,
} from "@selvage/model";
import { decode } from "@selvage/packet";
import { NextHops, Route, Routed, type Row } from "@selvage/pipeline";
import { type Answer, reply, resume, silence } from "./answer.ts";
import type { KeptNeighbour, KeptNeighbours } from "./kept-neighbours.ts";
import { Waiting, type WaitingPacket } from "./waiting.ts";
import { questionFrame, sendOn, type Wire, wireOf } from "./wire.ts";

/** Milliseconds. One that does not answer is asked again after `first`, twice that, and so on; one that does is asked anew after `fresh`. */
const pace = { first: 250, most: 8_000, fresh: 30_000 } as const;
/** Milliseconds between two MACs of one address: who is on the wire can say another with each packet. */
const steady = 1_000;
/** Questions without an answer after which nobody has the address any more. */
const patience = 4;
/** Addresses that packets asked for, a network: beyond it the oldest go. */
const most = 1_024;

export interface NeighboursOptions {
  readonly view: View;
  readonly hostName: string;
  readonly datapath: Pick<Datapath, "send" | "resume">;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Whether this host has an address itself: it need not ask. */
  readonly owns: (net: number, address: string) => boolean;
  /** Where what is known outlives the agent; absent: it does not. */
  readonly kept?: Pick<KeptNeighbours, "before" | "write">;
  /** Facts that are others now. */
  readonly learned: (changes: readonly Change[]) => void;
}

interface Asked {
  readonly net: number;
  readonly address: string;
  mac: string | undefined;
  /** Of the network, once it has answered. */
  networkId: string | undefined;
  unanswered: number;
  /** When it answered with this MAC first, by the monotonic clock. */
  since: number;
  timer: Timer | undefined;
}

/** A packet that goes on once its next hop has answered. */
interface Held extends WaitingPacket {
  readonly punt: Punt;
}

/** One that nothing is known of. */
const unheard = {
  mac: undefined,
  networkId: undefined,
  unanswered: 0,
  since: Number.NEGATIVE_INFINITY,
  timer: undefined,
} as const;

const keyOf = (net: number, address: string): string => `${net}|${address}`;

/** The next hop on a physical network that a row leads to; undefined for any other row. */
function nextHopOf({ table, action, args }: Row): { readonly net: number; readonly address: string } | undefined {
  if ((table !== Route.name && table !== NextHops.name) || action !== "via") return undefined;
  const net = Number(args.net);
  return net < physicalKeys.first ? undefined : { net, address: String(args.nh) };
}

export class Neighbours {
  readonly #options: NeighboursOptions;
  readonly #asked = new Map<string, Asked>();
  /** By row: which next hop it needs. */
  readonly #needs = new Map<string, string>();
  readonly #uses = new Map<string, number>();
  readonly #waiting: Waiting<Held>;
  #closed = false;

  constructor(options: NeighboursOptions) {
    this.#options = options;
    const count = options.metrics.counter({
      name: "neighbour_packets_total",
      help: "Packets that waited for an address on a physical network, by what became of them",
      labels: ["outcome"],
    });
    this.#waiting = new Waiting({ clock: options.clock, ended: (outcome) => count.inc({ outcome }) });
    const gauge = (name: string, help: string, read: () => number): Gauge =>
      options.metrics.gauge({ name, help, read });
    gauge("neighbours_known", "Addresses on physical networks that answered", () => this.#known);
    gauge("neighbour_packets", "Packets that wait for an address on a physical network", () => this.#waiting.size);
    gauge("neighbours_asked", "Addresses on physical networks that are asked for", () => this.#asked.size);
  }

  /** Takes what was known when the agent ended, and asks whether it still holds. */
  restore(): void {
    const { clock, kept, learned } = this.#options;
    const changes = (kept?.before ?? []).map(({ net, networkId, address, mac }) => {
      const asked: Asked = { ...unheard, net, address, mac, networkId };
      asked.timer = clock.after(pace.first, () => this.#ask(asked));
      this.#asked.set(keyOf(net, address), asked);
      return factOf(networkId, address, mac);
    });
    if (changes.length > 0) learned(changes);
  }

  /** Takes note of the rows that are wanted now, whose next hops are kept known. */
  changed({ added, removed, modified }: Pick<Delta<Row>, "added" | "removed" | "modified">): void {
    for (const row of [...removed, ...modified.map(({ before }) => before)]) this.#unneed(row.id);
    for (const row of [...added, ...modified.map(({ after }) => after)]) {
      const hop = nextHopOf(row);
      if (hop === undefined) continue;
      const key = keyOf(hop.net, hop.address);
      this.#needs.set(row.id, key);
      this.#uses.set(key, (this.#uses.get(key) ?? 0) + 1);
      this.#want(hop.net, hop.address);
    }
  }

  /** The wires are others: what waits is asked at once. */
  again(): void {
    for (const asked of this.#asked.values()) if (asked.mac === undefined) this.#ask(asked);
  }

  /** A packet that needs a neighbour, or what one says of itself. */
  serve(punt: Punt): Answer {
    const { view, hostName } = this.#options;
    const wire = wireOf(view, punt.net, hostName);
    if (wire === undefined) return silence("the network stands on no wire that is known here");
    const decoded = decode(punt.frame, { checksums: "ignore" });
    if (!decoded.ok) return silence("the packet cannot be read");
    const { arp, icmpv6, ipv4, ipv6, eth } = decoded.packet;
    if (punt.attachment === wire.name) {
      if (arp !== undefined) return this.#heard(wire, punt.net, arp.spa, arp.sha);
      if (icmpv6?.kind !== "neighbor-advertisement") return silence("not an answer");
      const said = icmpv6.options.find((option) => option.kind === "target-link-layer");
      return this.#heard(wire, punt.net, icmpv6.target, said?.kind === "target-link-layer" ? said.mac : eth.src);
    }
    const dst = ipv4?.dst ?? ipv6?.dst;
    if (dst === undefined) return silence("not a packet of IP");
    const nextHop = punt.waits?.nextHop ?? dst;
    // A gateway is asked for anyway; whoever else is to be asked for is on the link.
    const isThere = view
      .by(Subnet.index.network_id, wire.networkId)
      .some(
        (subnet) =>
          subnet.ip_version === (ipv4 === undefined ? 6 : 4) && cidrContains(cidrOf(subnet.cidr), ipOf(nextHop)),
      );
    if (isThere) this.#want(punt.net, nextHop);
    return this.#held(punt, keyOf(punt.net, nextHop));
  }

  /** Ends it; what was learned stays in the switch. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#waiting.close();
    for (const { timer } of this.#asked.values()) timer?.cancel();
  }

  /** A packet whose next hop is asked for waits for the answer; the answer may have been faster than its row. */
  #held(punt: Punt, hop: string): Answer {
    const asked = this.#asked.get(hop);
    if (asked === undefined || this.#closed) return silence("the next hop is not asked for");
    if (asked.mac !== undefined) return onward(punt, asked.mac);
    if (punt.waits !== undefined) {
      // What comes from another host is of its machine there.
      const sender = `${punt.attachment}|${punt.srcPort}`;
      this.#waiting.keep({ sender, hop, bytes: punt.frame.length, punt });
    }
    return reply([], "question");
  }

  /** Has what waited for a neighbour go on. */
  #goOn(hop: string, mac: string): void {
    const { datapath, log } = this.#options;
    for (const { punt } of this.#waiting.take(hop)) {
      const answer = onward(punt, mac);
      if (answer.answer !== "resume") continue;
      datapath
        .resume(answer.table, answer.at, answer.frame)
        .catch((error: unknown) => log.debug("a packet that waited could not go on", { hop, error }));
    }
  }

  get #known(): number {
    return [...this.#asked.values()].filter(({ mac }) => mac !== undefined).length;
  }

  #want(net: number, address: string): void {
    const key = keyOf(net, address);
    if (this.#closed || this.#asked.has(key) || this.#options.owns(net, address)) return;
    this.#makeRoom(net);
    const asked: Asked = { ...unheard, net, address };
    this.#asked.set(key, asked);
    this.#ask(asked);
  }

  #makeRoom(net: number): void {
    const others = [...this.#asked].filter(([key, asked]) => asked.net === net && !this.#uses.has(key));
    const [oldest] = others;
    if (others.length >= most && oldest !== undefined) this.#forget(...oldest);
  }

  #unneed(row: string): void {
    const key = this.#needs.get(row);
    if (key === undefined) return;
    this.#needs.delete(row);
    const uses = (this.#uses.get(key) ?? 1) - 1;
    if (uses > 0) {
      this.#uses.set(key, uses);
      return;
    }
    this.#uses.delete(key);
    const asked = this.#asked.get(key);
    if (asked !== undefined) this.#forget(key, asked);
  }

  #forget(key: string, asked: Asked): void {
    asked.timer?.cancel();
    this.#asked.delete(key);
    this.#tell(asked, undefined);
  }

  /** Asks once, and comes again. */
  #ask(asked: Asked): void {
    const { view, hostName, datapath, clock, log } = this.#options;
    asked.timer?.cancel();
    const key = keyOf(asked.net, asked.address);
    if (this.#options.owns(asked.net, asked.address)) {
      this.#forget(key, asked);
      return;
    }
    if (asked.unanswered >= patience) {
      if (!this.#uses.has(key)) {
        this.#forget(key, asked);
        return;
      }
      this.#tell(asked, undefined);
    }
    const wire = wireOf(view, asked.net, hostName);
    if (wire !== undefined) {
      const linkLocal = textOfIp(linkLocalOf(macOf(wire.mac)));
      sendOn(datapath, wire, questionFrame(wire.mac, linkLocal, asked.address)).catch((error: unknown) =>
        log.debug("a neighbour could not be asked for", { address: asked.address, error }),
      );
    }
    const pause = Math.min(pace.most, pace.first * 2 ** Math.min(asked.unanswered, 10));
    asked.unanswered += 1;
    asked.timer = clock.after(pause, () => this.#ask(asked));
  }

  #heard(wire: Wire, net: number, address: string, mac: string): Answer {
    const { clock } = this.#options;
    const asked = this.#asked.get(keyOf(net, address));
    // Only who was asked is believed.
    if (asked === undefined) return silence(`nobody asked who has ${address} on ${wire.name}`);
    asked.unanswered = 0;
    asked.timer?.cancel();
    if (asked.networkId !== undefined && asked.networkId !== wire.networkId) {
      // The key is another network's now, and nothing is known on the one that had it.
      this.#tell(asked, undefined);
      asked.networkId = wire.networkId;
    }
    const isOther = asked.mac !== mac;
    const wait = asked.since + steady - clock.monotonic();
    if (isOther && asked.mac !== undefined && wait > 0) {
      asked.timer = clock.after(wait, () => this.#ask(asked));
      return silence(`${address} on ${wire.name} had another MAC a moment ago`);
    }
    asked.timer = clock.after(pace.fresh, () => this.#ask(asked));
    if (isOther) asked.since = clock.monotonic();
    this.#tell(asked, mac);
    this.#goOn(keyOf(net, address), mac);
    return reply([], "learned");
  }

  #tell(asked: Asked, mac: string | undefined): void {
    if (asked.mac === mac) return;
    const { view, hostName, kept, learned } = this.#options;
    const networkId = asked.networkId ?? wireOf(view, asked.net, hostName)?.networkId;
    asked.mac = mac;
    asked.networkId = networkId;
    if (networkId === undefined) return;
    kept?.write(() => this.#keptOnes());
    learned([factOf(networkId, asked.address, mac)]);
  }

  *#keptOnes(): Iterable<KeptNeighbour> {
    for (const { net, networkId, address, mac } of this.#asked.values())
      if (networkId !== undefined && mac !== undefined) yield { net, networkId, address, mac };
  }
}

/** A packet goes on where its router was about to send it, with all that was known of it. */
function onward({ net, vrf, frame, waits }: Punt, nhMac: string): Answer {
  if (waits === undefined) return silence("it is not known how the packet goes on");
  return resume(Routed.name, { net, vrf, sentOn: { nhMac, underway: waits.underway } }, frame, "sent on");
}

/** That an address has a MAC, or has none any more. */
function factOf(networkId: string, address: string, mac: string | undefined): Change {
  const { kind } = LearnedNeighbour;
  const id = neighbourId(networkId, address);
  if (mac === undefined) return { kind, id, object: null };
  const object: LearnedNeighbour = { id, network_id: networkId, address, mac };
  return { kind, id, object };
}
