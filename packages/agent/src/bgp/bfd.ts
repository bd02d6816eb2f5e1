/**
 * Signs of life for BGP peers that ask for them: Bidirectional Forwarding Detection (RFC 5880), passive, asynchronous, without authentication and echo.
 * Pure: packets and times in, packets and times out. Times are milliseconds of a clock that never goes back; those in packets are microseconds.
 */

/** RFC 5880 section 4.1. */
export const BfdState = { adminDown: 0, down: 1, init: 2, up: 3 } as const;
export type BfdState = (typeof BfdState)[keyof typeof BfdState];

const Diagnostic = { none: 0, expired: 1, neighbourDown: 3, adminDown: 7 } as const;

export interface BfdPacket {
  readonly diagnostic: number;
  readonly state: BfdState;
  readonly poll: boolean;
  readonly final: boolean;
  readonly multiplier: number;
  /** The discriminators: the sender's, and the receiver's as far as the sender knows it, else 0. */
  readonly mine: number;
  readonly yours: number;
  readonly desiredMinTx: number;
  readonly requiredMinRx: number;
}

const version = 1;
const length = 24;
const flag = { poll: 0x20, final: 0x10, authenticated: 0x04, multipoint: 0x01 } as const;

/** Reads a datagram's payload; undefined: what is to be discarded (RFC 5880 section 6.8.6). */
export function decodeBfd(bytes: Uint8Array): BfdPacket | undefined {
  if (bytes.length < length) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [first, second, multiplier] = [view.getUint8(0), view.getUint8(1), view.getUint8(2)];
  const said = view.getUint8(3);
  if (first >> 5 !== version || said < length || said > bytes.length) return undefined;
  if ((second & (flag.authenticated | flag.multipoint)) !== 0 || multiplier === 0) return undefined;
  const state = (second >> 6) as BfdState;
  const [mine, yours] = [view.getUint32(4), view.getUint32(8)];
  if (mine === 0 || (yours === 0 && state > BfdState.down)) return undefined;
  return {
    ...{ diagnostic: first & 31, state, multiplier, mine, yours },
    poll: (second & flag.poll) !== 0,
    final: (second & flag.final) !== 0,
    desiredMinTx: view.getUint32(12),
    requiredMinRx: view.getUint32(16),
  };
}

export function encodeBfd(packet: BfdPacket): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, (version << 5) | packet.diagnostic);
  view.setUint8(1, (packet.state << 6) | (packet.poll ? flag.poll : 0) | (packet.final ? flag.final : 0));
  view.setUint8(2, packet.multiplier);
  view.setUint8(3, length);
  view.setUint32(4, packet.mine);
  view.setUint32(8, packet.yours);
  view.setUint32(12, packet.desiredMinTx);
  view.setUint32(16, packet.requiredMinRx);
  return bytes;
}

export interface BfdPlan {
  /** This end's discriminator: not 0, and no other session's. */
  readonly mine: number;
  /** How often signs are given and taken, ms. */
  readonly interval: number;
  /** How many signs must be missing. */
  readonly multiplier: number;
  /** From 0 up to 1. */
  readonly random: () => number;
}

/** Milliseconds between two signs of a session that is not up, at least (RFC 5880 section 6.8.3). */
const slow = 1_000;

/** One session with one peer. */
export class BfdSession {
  readonly #plan: BfdPlan;
  #state: BfdState = BfdState.down;
  #diagnostic: number = Diagnostic.none;
  /** What the peer said last; undefined: nobody is there. */
  #peer: BfdPacket | undefined;
  #heardAt = 0;
  /** What this end wants has changed, and the peer has not said that it knows. */
  #polls = false;
  #sendAt = 0;

  constructor(plan: BfdPlan) {
    this.#plan = plan;
  }

  get state(): BfdState {
    return this.#state;
  }

  /** Takes a packet of the peer's; gives what is to be answered at once. */
  take(packet: BfdPacket, now: number): BfdPacket | undefined {
    if (packet.yours !== 0 && packet.yours !== this.#plan.mine) return undefined;
    // Whoever does not know this end's number and says that he is another is believed once the one who knew it is silent: he may be anybody.
    if (packet.yours === 0 && this.#state === BfdState.up && now < this.#expiry) return undefined;
    const isFirst = this.#peer === undefined;
    this.#peer = packet;
    this.#heardAt = now;
    if (packet.final) this.#polls = false;
    this.#step(packet.state);
    if (packet.poll) return this.#packet({ final: true });
    if (isFirst) this.#sendAt = now;
    return undefined;
  }

  /** What is to be said by itself at this moment. */
  due(now: number): BfdPacket | undefined {
    if (this.#peer === undefined) return undefined;
    if (now >= this.#expiry) {
      // Who takes the passive part says so once, and is silent then (RFC 5880 section 6.8.7).
      this.#enter(BfdState.down, Diagnostic.expired);
      const last = this.#packet({});
      this.#peer = undefined;
      return last;
    }
    if (now < this.#sendAt || this.#peer.requiredMinRx === 0) return undefined;
    this.#sendAt = now + this.#pause * (0.75 + 0.25 * this.#plan.random());
    return this.#packet({ poll: this.#polls });
  }

  /** When `due` is to be asked next; undefined: not before a packet comes. */
  get next(): number | undefined {
    if (this.#peer === undefined) return undefined;
    return this.#peer.requiredMinRx === 0 ? this.#expiry : Math.min(this.#sendAt, this.#expiry);
  }

  /** What is said when this end ends of its own will (RFC 5880 section 6.8.16). */
  farewell(): BfdPacket | undefined {
    if (this.#peer === undefined) return undefined;
    this.#enter(BfdState.adminDown, Diagnostic.adminDown);
    return this.#packet({});
  }

  /** RFC 5880 section 6.8.6. */
  #step(theirs: BfdState): void {
    const { adminDown, down, init, up } = BfdState;
    if (theirs === adminDown) {
      if (this.#state !== down) this.#enter(down, Diagnostic.neighbourDown);
    } else if (this.#state === down) {
      if (theirs === down) this.#enter(init, this.#diagnostic);
      else if (theirs === init) this.#enter(up, Diagnostic.none);
    } else if (this.#state === init) {
      if (theirs !== down) this.#enter(up, Diagnostic.none);
    } else if (theirs === down) this.#enter(down, Diagnostic.neighbourDown);
  }

  #enter(state: BfdState, diagnostic: number): void {
    if (state !== this.#state) this.#sendAt = 0;
    this.#polls = state === BfdState.up;
    this.#state = state;
    this.#diagnostic = diagnostic;
  }

  get #pause(): number {
    const theirs = (this.#peer?.requiredMinRx ?? 0) / 1_000;
    return Math.max(this.#wanted, theirs);
  }

  get #wanted(): number {
    return this.#state === BfdState.up ? this.#plan.interval : Math.max(slow, this.#plan.interval);
  }

  /** When the peer has been silent for too long (RFC 5880 section 6.8.4). */
  get #expiry(): number {
    const { multiplier = 0, desiredMinTx = 0 } = this.#peer ?? {};
    return this.#heardAt + multiplier * Math.max(this.#plan.interval, desiredMinTx / 1_000);
  }

  #packet({ poll = false, final = false }: { readonly poll?: boolean; readonly final?: boolean }): BfdPacket {
    const { mine, multiplier, interval } = this.#plan;
    return {
      ...{ diagnostic: this.#diagnostic, state: this.#state, poll, final, multiplier, mine },
      yours: this.#peer?.mine ?? 0,
      desiredMinTx: this.#wanted * 1_000,
      requiredMinRx: interval * 1_000,
    };
  }
}
