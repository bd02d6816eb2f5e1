/**
 * Packets that wait for a neighbour to answer (RFC 1122 section 2.3.2.2: at least the latest one is saved). They are few and wait a second, after which their sender
 * has sent again; each sender has a share, and where all is taken whoever holds most gives up his oldest, so that one guest costs another nothing.
 */
import type { Clock, Timer } from "@selvage/base";

export const waitingLimits = {
  /** Packets of one sender to one next hop: the latest are kept. */
  hop: 3,
  /** Packets of one sender. */
  sender: 16,
  /** Packets in all, and their bytes. */
  packets: 256,
  bytes: 1 << 20,
  /** Milliseconds. */
  time: 1_000,
} as const;

export interface WaitingPacket {
  /** Whoever it is of, as shares go. */
  readonly sender: string;
  /** What it waits for. */
  readonly hop: string;
  readonly bytes: number;
}

interface Kept<P> {
  readonly packet: P;
  /** Until when, by the monotonic clock. */
  readonly until: number;
}

export type Outcome = "sent" | "late" | "crowded";

export interface WaitingOptions {
  readonly clock: Clock;
  /** What became of each packet. */
  readonly ended: (outcome: Outcome) => void;
}

export class Waiting<P extends WaitingPacket> {
  readonly #options: WaitingOptions;
  /** The oldest first. */
  readonly #kept = new Set<Kept<P>>();
  #bytes = 0;
  #timer: Timer | undefined;

  constructor(options: WaitingOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#kept.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Keeps a packet for a while; others may have to make room, of the same sender first. One that is larger than all of the room is not kept. */
  keep(packet: P): void {
    const { hop, sender, packets, bytes, time } = waitingLimits;
    if (packet.bytes > bytes) return;
    const own = this.#of((each) => each.sender === packet.sender);
    const same = own.filter((each) => each.packet.hop === packet.hop);
    const [oldest] = same.length >= hop ? same : own.length >= sender ? own : [];
    if (oldest !== undefined) this.#end(oldest, "crowded");
    while (this.#kept.size >= packets) this.#crowd(() => 1);
    while (this.#bytes + packet.bytes > bytes) this.#crowd((each) => each.bytes);
    this.#kept.add({ packet, until: this.#options.clock.monotonic() + time });
    this.#bytes += packet.bytes;
    this.#timer ??= this.#options.clock.after(time, () => this.#late());
  }

  /** What waits for a next hop, in the order in which it came; it waits no more. */
  take(hop: string): readonly P[] {
    const now = this.#options.clock.monotonic();
    const all = this.#of((each) => each.hop === hop);
    for (const each of all) this.#end(each, each.until > now ? "sent" : "late");
    return all.filter(({ until }) => until > now).map(({ packet }) => packet);
  }

  /** Forgets all. Idempotent. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#kept.clear();
    this.#bytes = 0;
  }

  #of(which: (packet: P) => boolean): readonly Kept<P>[] {
    return [...this.#kept].filter(({ packet }) => which(packet));
  }

  #end(kept: Kept<P>, outcome: Outcome): void {
    this.#kept.delete(kept);
    this.#bytes -= kept.packet.bytes;
    this.#options.ended(outcome);
  }

  /** Ends the oldest packet of whoever's take most of the room. */
  #crowd(room: (packet: P) => number): void {
    const held = new Map<string, number>();
    for (const { packet } of this.#kept) held.set(packet.sender, (held.get(packet.sender) ?? 0) + room(packet));
    const most = Math.max(...held.values());
    const oldest = [...this.#kept].find(({ packet }) => held.get(packet.sender) === most);
    if (oldest !== undefined) this.#end(oldest, "crowded");
  }

  #late(): void {
    const now = this.#options.clock.monotonic();
    for (const each of this.#kept) if (each.until <= now) this.#end(each, "late");
    const [next] = this.#kept;
    this.#timer = next === undefined ? undefined : this.#options.clock.after(next.until - now, () => this.#late());
  }
}
