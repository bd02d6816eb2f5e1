/**
 * Zones of connection tracking: each port that is tracked here has one of its own, 16 bits of this host. A zone is never given to another port before its
 * connections were forgotten, and some time has passed in which packets on their way could still meet it.
 */
import { connectionsOfPort } from "@selvage/pipeline";

/** Which numbers there are, and how long one that was given back rests, milliseconds. Numbers below 64 are nobody's. */
export interface ZonePlan {
  readonly first: number;
  readonly last: number;
  readonly rest: number;
  /** Connections that one zone has at most. */
  readonly connections: number;
}

export const usualZones: ZonePlan = { first: 64, last: 0xffff, rest: 60_000, connections: connectionsOfPort };

/** Who has which zone. Numbers that nobody had are given first, then those that rest longest. */
export class Zones {
  readonly #plan: ZonePlan;
  readonly #held = new Map<string, number>();
  readonly #taken = new Set<number>();
  /** Given back, the oldest first, with the time until which they rest. */
  readonly #resting = new Map<number, number>();
  #next: number;

  constructor(plan: ZonePlan = usualZones) {
    this.#plan = plan;
    this.#next = plan.first;
  }

  /** Connections that each has at most. */
  get limit(): number {
    return this.#plan.connections;
  }

  get held(): ReadonlyMap<string, number> {
    return this.#held;
  }

  /** Notes a zone that a port had before; gives false where the number is another's or none of ours. */
  claim(port: string, zone: number): boolean {
    const { first, last } = this.#plan;
    const isOurs = Number.isInteger(zone) && zone >= first && zone <= last;
    if (!isOurs || this.#held.has(port) || this.#taken.has(zone)) return false;
    this.#resting.delete(zone);
    this.#held.set(port, zone);
    this.#taken.add(zone);
    return true;
  }

  /** The port's zone, at a time by the clock; undefined while none is free. */
  of(port: string, now: number): number | undefined {
    const held = this.#held.get(port);
    if (held !== undefined) return held;
    const zone = this.#free(now);
    if (zone !== undefined) this.claim(port, zone);
    return zone;
  }

  #free(now: number): number | undefined {
    while (this.#taken.has(this.#next) || this.#resting.has(this.#next)) this.#next += 1;
    if (this.#next <= this.#plan.last) return this.#next;
    const [oldest, until] = [...this.#resting.entries()][0] ?? [];
    return oldest === undefined || until === undefined || until > now ? undefined : oldest;
  }

  /** Gives a port's zone back, whose connections are forgotten. */
  free(port: string, now: number): void {
    const zone = this.#held.get(port);
    if (zone === undefined) return;
    this.#held.delete(port);
    this.#taken.delete(zone);
    this.#resting.set(zone, now + this.#plan.rest);
  }

  /** When the next number has rested, by the clock; undefined where none rests. */
  get rested(): number | undefined {
    const [until] = this.#resting.values();
    return until;
  }
}
