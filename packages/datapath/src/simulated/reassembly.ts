/** Fragments held until their datagram is complete (RFC 791, RFC 8200 section 4.5), with the rules of Open vSwitch's tracking. */
import type { Datagram } from "./datagram.ts";

/** A fragment that others follow is at least so large, header included: smaller ones are taken for an attack. */
const smallest = { 4: 1200, 6: 1280 } as const;
/** Milliseconds for which fragments wait for the others. */
const patience = 15_000;
const mostBytes = 65_535;

/** `held`: it waits for others. `whole`: it was the last; all of them, in order, and what they are together. `refused`: it cannot be of a datagram. */
export type Arrival<T> =
  | { readonly kind: "held" }
  | { readonly kind: "whole"; readonly items: readonly T[]; readonly datagram: Datagram }
  | { readonly kind: "refused" };

interface Piece<T> {
  readonly from: number;
  readonly to: number;
  readonly datagram: Datagram;
  readonly item: T;
}

interface Waiting<T> {
  readonly until: number;
  readonly pieces: Piece<T>[];
}

/** Fragments of one zone; each goes with an item, which comes back when the datagram is complete. */
export class Reassembly<T> {
  readonly #waiting = new Map<string, Waiting<T>>();

  /** Takes a fragment at a time in milliseconds. Throws TypeError on what is no fragment. */
  add(datagram: Datagram, item: T, now: number): Arrival<T> {
    const place = datagram.fragment;
    if (place === undefined) throw new TypeError("a whole datagram is no fragment");
    if (place.more && datagram.length < smallest[datagram.version]) return { kind: "refused" };
    this.#expire(now);
    const key = keyOf(datagram, place.id);
    const waiting = this.#waiting.get(key) ?? { until: now + patience, pieces: [] };
    this.#waiting.set(key, waiting);
    const [from, to] = [place.offset, place.offset + datagram.upper.length];
    if (waiting.pieces.some((each) => overlap(each, from, to))) return { kind: "refused" };
    waiting.pieces.push({ from, to, datagram, item });
    const whole = together(waiting.pieces);
    if (whole === undefined) return { kind: "held" };
    this.#waiting.delete(key);
    return { kind: "whole", items: waiting.pieces.map((each) => each.item), datagram: whole };
  }

  /** Forgets fragments whose time is over. */
  #expire(now: number): void {
    for (const [key, { until }] of this.#waiting) if (until <= now) this.#waiting.delete(key);
  }
}

/** IPv6's number of a datagram is the sender's alone; IPv4's is counted for each protocol. */
const keyOf = ({ version, source, destination, protocol }: Datagram, id: number): string =>
  `${version} ${source} ${destination} ${id} ${version === 4 ? protocol : ""}`;

/** Whether one of the ends lies within the other piece. */
const overlap = (piece: Piece<unknown>, from: number, to: number): boolean =>
  (from >= piece.from && from < piece.to) || (to - 1 >= piece.from && to - 1 < piece.to);

/** The datagram, when nothing of it is missing; puts the pieces into order. */
function together<T>(pieces: Piece<T>[]): Datagram | undefined {
  const isFirst = pieces.some((each) => each.from === 0);
  const isLast = pieces.some((each) => each.datagram.fragment?.more === false);
  if (!isFirst || !isLast) return undefined;
  pieces.sort((one, other) => one.from - other.from);
  if (pieces.some((each, at) => at > 0 && pieces[at - 1]?.to !== each.from)) return undefined;
  const [first] = pieces;
  const upper = Buffer.concat(pieces.map((each) => each.datagram.upper));
  if (first === undefined || upper.length > mostBytes) return undefined;
  const { fragment: _, ...head } = first.datagram;
  return { ...head, upper, length: head.length - head.upper.length + upper.length };
}
