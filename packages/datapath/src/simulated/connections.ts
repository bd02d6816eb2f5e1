/**
 * Connection tracking: which packets belong together, by zone, and what is kept with a connection. It says of every packet what Open vSwitch's userspace
 * datapath says (its manual ovs-fields(7), "Connection Tracking Fields"; lib/conntrack), so that the two can be compared packet by packet.
 */
import { connectionsOfPort, IpProto } from "@selvage/pipeline";
import { mostConnections, translatedTimeWait } from "../zone-kinds.ts";
import type { Datagram } from "./datagram.ts";
import { Reassembly } from "./reassembly.ts";
import { mayOpen, segmentOf, TcpConnection, type TcpPhase } from "./tcp.ts";
import type { Rewrite } from "./translation.ts";
import { type Belonging, belongingOf, reversed, type Tuple, tupleText } from "./tuple.ts";

/** What tracking says of a packet; the rest of it is in fields of home `connection`. */
export interface ConnectionState {
  readonly isNew: boolean;
  readonly established: boolean;
  readonly related: boolean;
  readonly reply: boolean;
  readonly invalid: boolean;
}

/** A packet that has been tracked: its state, and its connection as it was opened, with what was kept of it then. */
export interface Tracked {
  readonly zone: string;
  readonly state: ConnectionState;
  /** As the connection was opened; undefined for what is invalid. */
  readonly opened: Tuple | undefined;
  readonly kept: ReadonlyMap<string, bigint>;
  /** Whether its connection's source is translated. */
  readonly sourced: boolean;
}

/** To what a new connection's source is translated: an address (hexadecimal digits), and one of these ports where they are given. */
export interface SourcePlan {
  readonly address: string;
  readonly ports: { readonly first: number; readonly last: number } | null;
}

/** Which port a connection, as it is opened, is to leave with, by an address; null: none; undefined: one that its flow tells. One that is not to be had is passed over. */
export type ChoosePort = (opened: Tuple, address: string) => number | null | undefined;

const nothing: ConnectionState = { isNew: false, established: false, related: false, reply: false, invalid: false };
const fresh: ConnectionState = { ...nothing, isNew: true };
const invalid: ConnectionState = { ...nothing, invalid: true };

/** Milliseconds for which a connection is kept after a packet: Open vSwitch's defaults. */
const lifetimes = {
  tcp: { first: 30, opening: 30, established: 86_400, closing: 900, finWait: 45, closed: 30 },
  icmp: { first: 60, answered: 30 },
  other: { first: 60, answered: 30 },
} as const;

interface Connection {
  readonly opened: Tuple;
  /** What an answer is: the other way round, unless the source is translated. */
  readonly answer: Tuple;
  readonly sourced: boolean;
  readonly followed: TcpConnection | Exchange;
  kept: ReadonlyMap<string, bigint>;
  until: number;
}

/** A connection of a protocol that has no states but whether it was answered. */
class Exchange {
  readonly #lifetime: (typeof lifetimes)["icmp" | "other"];
  #answered = false;

  constructor(protocol: number) {
    this.#lifetime = protocol === IpProto.icmp || protocol === IpProto.icmp6 ? lifetimes.icmp : lifetimes.other;
  }

  /** One-way traffic stays new until an answer is seen. */
  update(reply: boolean): "valid" | "fresh" {
    this.#answered ||= reply;
    return this.#answered ? "valid" : "fresh";
  }

  get seconds(): number {
    return this.#answered ? this.#lifetime.answered : this.#lifetime.first;
  }
}

/** Entries of a zone from which on those whose time is over are looked for. */
const firstSweep = 1_000;

interface Zone<T> {
  /** By the text of both directions. */
  readonly connections: Map<string, Connection>;
  count: number;
  /** Entries at which to look again. */
  sweepAt: number;
  readonly fragments: Reassembly<T>;
}

/** A packet's way through tracking: what it is now, and what is needed to keep its connection. */
interface Ticket {
  readonly zone: string;
  readonly datagram: Datagram;
  readonly belonging: Belonging;
  /** Whether it goes against the direction in which its connection was opened, be it valid or not. */
  readonly reply: boolean;
  connection: Connection | undefined;
}

/** Connections of all zones of a switch. `T`: what goes along with a fragment that is held. */
export class Connections<T> {
  readonly #now: () => number;
  readonly #limit: number;
  readonly #choosePort: ChoosePort;
  readonly #zones = new Map<string, Zone<T>>();
  readonly #tickets = new WeakMap<Tracked, Ticket>();

  /** `now`: the clock by which connections end, in milliseconds. `limit`: as many as a port's zone keeps. */
  constructor(now: () => number, limit = connectionsOfPort, choosePort: ChoosePort = () => undefined) {
    this.#now = now;
    this.#limit = limit;
    this.#choosePort = choosePort;
  }

  /**
   * Tracks a packet in a zone: what it is, and the items that go on with that. A fragment goes on when all are there, each with the
   * connection's state; until then there are none. A packet that is no datagram is invalid.
   */
  track(
    zone: string,
    datagram: Datagram | undefined,
    item: T,
  ): { readonly tracked: Tracked; readonly items: readonly T[] } {
    const held = this.#zone(zone);
    if (datagram?.fragment === undefined) return { tracked: this.#judge(zone, held, datagram), items: [item] };
    const arrival = held.fragments.add(datagram, item, this.#now());
    switch (arrival.kind) {
      case "held":
        return { tracked: { ...invalidIn(zone), state: nothing }, items: [] };
      case "refused":
        return { tracked: invalidIn(zone), items: [item] };
      case "whole":
        return { tracked: this.#judge(zone, held, arrival.datagram), items: arrival.items };
    }
  }

  /**
   * Keeps a tracked packet's connection with values, or changes the values of one that is kept; gives the packet with what is kept now. An invalid packet has
   * no connection, and one that would be a zone's that is full is not kept.
   */
  commit(tracked: Tracked, values: ReadonlyMap<string, bigint>): Tracked {
    const ticket = this.#tickets.get(tracked);
    if (ticket === undefined) return tracked;
    ticket.connection ??= this.#keep(ticket, { answer: reversed(ticket.belonging.tuple), sourced: false });
    const { connection } = ticket;
    if (connection === undefined) return tracked;
    connection.kept = new Map([...connection.kept, ...values]);
    const after: Tracked = { ...tracked, kept: connection.kept };
    this.#tickets.set(after, ticket);
    return after;
  }

  /**
   * Keeps a tracked packet's new connection with its source translated, in a way that makes it unlike any other of the zone; gives what the packet is then.
   * Where there is no such way, or no room, it is as it was. One that is translated already stays.
   */
  translateSource(tracked: Tracked, plan: SourcePlan): Tracked {
    const ticket = this.#tickets.get(tracked);
    if (ticket === undefined || tracked.sourced) return tracked;
    ticket.connection ??= this.#keepTranslated(ticket, plan);
    if (ticket.connection?.sourced !== true) return tracked;
    const translated: Tracked = { ...tracked, sourced: true };
    this.#tickets.set(translated, ticket);
    return translated;
  }

  /** How a packet that has been tracked is to be written; undefined where it stays as it is. */
  rewriteOf(tracked: Tracked): Rewrite | undefined {
    const { connection, reply } = this.#tickets.get(tracked) ?? {};
    if (connection === undefined || !tracked.sourced) return undefined;
    const { related } = tracked.state;
    const inside = connection.opened.from;
    const outside = connection.answer.to;
    if (!reply) return { source: outside };
    return related ? { destination: inside, quotedSource: inside } : { destination: inside };
  }

  /** Forgets all of a zone. */
  flush(zone: string): void {
    this.#zones.delete(zone);
  }

  /** How many connections a zone keeps. */
  count(zone: string): number {
    return this.#zones.get(zone)?.count ?? 0;
  }

  /** Zones that keep something. */
  get zones(): readonly string[] {
    return [...this.#zones.keys()];
  }

  #zone(name: string): Zone<T> {
    const found = this.#zones.get(name);
    if (found !== undefined) return found;
    const zone: Zone<T> = { connections: new Map(), count: 0, sweepAt: firstSweep, fragments: new Reassembly() };
    this.#zones.set(name, zone);
    return zone;
  }

  #judge(zone: string, held: Zone<T>, datagram: Datagram | undefined): Tracked {
    const belonging = datagram === undefined ? undefined : belongingOf(datagram);
    if (datagram === undefined || belonging === undefined) return invalidIn(zone);
    const text = tupleText(belonging.tuple);
    const connection = this.#find(held, text);
    const reply = connection !== undefined && text !== tupleText(connection.opened);
    const ticket: Ticket = { zone, datagram, belonging, reply, connection: undefined };
    if (connection === undefined) {
      if (belonging.related || !mayBegin(datagram)) return invalidIn(zone);
      return this.#ticketed(ticket, fresh);
    }
    if (belonging.related) {
      ticket.connection = connection;
      return this.#ticketed(ticket, { ...nothing, related: true, reply });
    }
    switch (this.#follow(connection, datagram, reply)) {
      case "invalid":
        if (!connection.sourced) return { ...invalidIn(zone), opened: connection.opened, kept: connection.kept };
        // It is written as if it were of the connection all the same (lib/conntrack.c, `process_one`).
        ticket.connection = connection;
        return this.#ticketed(ticket, invalid);
      case "again":
        forget(held, connection);
        // Of a translated connection the other side's packets bear a tuple of their own, which Open vSwitch still has: it says nothing of such a packet.
        if (reply && connection.sourced) return { ...invalidIn(zone), state: nothing };
        return mayBegin(datagram) ? this.#ticketed(ticket, fresh) : invalidIn(zone);
      case "fresh":
        ticket.connection = connection;
        return this.#ticketed(ticket, fresh);
      case "valid":
        ticket.connection = connection;
        return this.#ticketed(ticket, { ...nothing, established: true, reply });
    }
  }

  #ticketed(ticket: Ticket, state: ConnectionState): Tracked {
    const { zone, belonging, connection } = ticket;
    const opened = connection?.opened ?? belonging.tuple;
    const sourced = connection?.sourced === true;
    const tracked: Tracked = { zone, state, opened, kept: connection?.kept ?? new Map(), sourced };
    this.#tickets.set(tracked, ticket);
    return tracked;
  }

  #find(held: Zone<T>, text: string): Connection | undefined {
    const found = held.connections.get(text);
    if (found === undefined || found.until > this.#now()) return found;
    forget(held, found);
    return undefined;
  }

  #follow(connection: Connection, datagram: Datagram, reply: boolean): ReturnType<TcpConnection["update"]> {
    const { followed } = connection;
    const standing =
      followed instanceof TcpConnection ? followed.update(segmentOf(datagram.upper), reply) : followed.update(reply);
    if (standing !== "invalid") connection.until = this.#now() + lifeOf(connection);
    return standing;
  }

  #keepTranslated(ticket: Ticket, { address, ports }: SourcePlan): Connection | undefined {
    const held = this.#zone(ticket.zone);
    const { tuple, related } = ticket.belonging;
    if (related) return undefined;
    for (const port of portsFor(tuple, ports, this.#choosePort(tuple, address))) {
      const answer = reversed({ ...tuple, from: { ...tuple.from, address, port } });
      if (this.#find(held, tupleText(answer)) === undefined) return this.#keep(ticket, { answer, sourced: true });
    }
    return undefined;
  }

  #keep({ zone, datagram, belonging }: Ticket, as: Pick<Connection, "answer" | "sourced">): Connection | undefined {
    const held = this.#zone(zone);
    const text = tupleText(belonging.tuple);
    if (this.#find(held, text) !== undefined) return undefined;
    const most = mostConnections(zone, this.#limit);
    if (held.count >= most || held.connections.size >= held.sweepAt) sweep(held, this.#now());
    if (held.count >= most) return undefined;
    const followed =
      datagram.protocol === IpProto.tcp
        ? new TcpConnection(segmentOf(datagram.upper))
        : new Exchange(datagram.protocol);
    const connection: Connection = { opened: belonging.tuple, ...as, followed, kept: new Map(), until: 0 };
    connection.until = this.#now() + lifeOf(connection);
    held.count += 1;
    held.connections.set(text, connection);
    held.connections.set(tupleText(as.answer), connection);
    return connection;
  }
}

const invalidIn = (zone: string): Tracked => ({
  zone,
  state: invalid,
  opened: undefined,
  kept: new Map(),
  sourced: false,
});

function forget(zone: Zone<unknown>, { opened, answer }: Connection): void {
  if (zone.connections.delete(tupleText(opened))) zone.count -= 1;
  zone.connections.delete(tupleText(answer));
}

/** Ports to try, the first of them by what the connection is: of a range, or the sender's own. The number of an ICMP question stays what it is. */
function* portsFor(
  { protocol, from, to }: Tuple,
  ports: SourcePlan["ports"],
  chosen: ReturnType<ChoosePort>,
): Generator<number> {
  const hasPorts = protocol === IpProto.tcp || protocol === IpProto.udp;
  if (!hasPorts || ports === null) {
    yield from.port;
    return;
  }
  if (chosen === null) return;
  if (chosen !== undefined && chosen >= ports.first && chosen <= ports.last) yield chosen;
  const size = ports.last - ports.first + 1;
  const start = [from.port, to.port, ...from.address, ...to.address].reduce<number>(
    (sum, each) => (Math.imul(sum, 31) + (typeof each === "number" ? each : each.charCodeAt(0))) >>> 0,
    protocol,
  );
  for (let n = 0; n < size; n += 1) yield ports.first + ((start + n) % size);
}

/** Forgets what is over. As often as a zone has doubled, so that it costs each connection a constant. */
function sweep(zone: Zone<unknown>, now: number): void {
  for (const connection of new Set(zone.connections.values())) if (connection.until <= now) forget(zone, connection);
  zone.sweepAt = Math.max(firstSweep, 2 * zone.connections.size);
}

function lifeOf({ followed, sourced }: Connection): number {
  if (!(followed instanceof TcpConnection)) return 1000 * followed.seconds;
  const { phase }: { readonly phase: TcpPhase } = followed;
  const isOver = phase === "finWait" || phase === "closed";
  return 1000 * (sourced && isOver ? translatedTimeWait : lifetimes.tcp[phase]);
}

/** Questions with which an ICMP connection begins; an answer alone begins none. */
const questions4: ReadonlySet<number> = new Set([8, 13, 15]);

/** Whether a packet of no known connection may be the first of one. */
function mayBegin({ protocol, upper }: Datagram): boolean {
  switch (protocol) {
    case IpProto.tcp:
      return mayOpen(segmentOf(upper));
    case IpProto.icmp:
      return questions4.has(upper[0] ?? -1);
    case IpProto.icmp6:
      return upper[0] === 128;
    default:
      return true;
  }
}
