/**
 * What a TCP segment is to a connection that is being followed: the states and windows of both ends, as Open vSwitch's userspace connection tracking
 * keeps them (after pf; sequence check of Guido van Rooij, "Real stateful TCP packet filtering in IP Filter"; RFC 9293).
 */
import { TcpFlag } from "@selvage/packet";

/** A segment as far as tracking reads it. */
export interface Segment {
  readonly flags: number;
  readonly seq: number;
  readonly ack: number;
  readonly window: number;
  /** Bytes of payload. */
  readonly length: number;
  /** The shift of the window scale option (RFC 7323), if it is there. */
  readonly scale: number | undefined;
}

/** `fresh`: of a connection that is being opened; `again`: the first of another one between the same ends. */
export type Standing = "valid" | "fresh" | "again" | "invalid";

/** How long a connection is kept after a segment, by what it is then. */
export type TcpPhase = "first" | "opening" | "established" | "closing" | "finWait" | "closed";

const State = { closed: 0, synSent: 2, established: 4, closing: 7, finWait2: 9, timeWait: 10 } as const;
type State = (typeof State)[keyof typeof State];

interface End {
  state: State;
  /** Highest sequence number sent. */
  low: number;
  /** Highest that the other end allows. */
  high: number;
  maxWindow: number;
  /** Window scale: what was announced; `unknown` where the connection was met in its midst. */
  scale: number | "none" | "unknown";
}

const maxScale = 14;
/** A segment may acknowledge so much that was not seen. */
const maxAckWindow = 0xffff + 1500;

const before = (a: number, b: number): boolean => ((a - b) | 0) < 0;
const atLeast = (a: number, b: number): boolean => !before(a, b);
const sum = (...values: readonly number[]): number => values.reduce((total, value) => (total + value) >>> 0, 0);

/** Reads the segment at the beginning of the bytes; its header is there in full. */
export function segmentOf(bytes: Uint8Array): Segment {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const header = (view.getUint8(12) >> 4) * 4;
  return {
    seq: view.getUint32(4),
    ack: view.getUint32(8),
    flags: view.getUint8(13),
    window: view.getUint16(14),
    length: bytes.length - header,
    scale: scaleIn(bytes.subarray(20, header)),
  };
}

function scaleIn(options: Uint8Array): number | undefined {
  let scale: number | undefined;
  for (let at = 0; options.length - at >= 3; ) {
    const kind = options[at] ?? 0;
    if (kind === 0) return scale;
    if (kind === 1) {
      at += 1;
      continue;
    }
    if (kind === 3) scale = Math.min(options[at + 2] ?? 0, maxScale);
    at += Math.max(options[at + 1] ?? 0, 2);
  }
  return scale;
}

const has = (segment: Segment, flag: keyof typeof TcpFlag): boolean => (segment.flags & TcpFlag[flag]) !== 0;

/** Sets of flags that no TCP sends. */
function hasNonsense(segment: Segment): boolean {
  if (has(segment, "syn") ? has(segment, "rst") || has(segment, "fin") : !has(segment, "ack") && !has(segment, "rst"))
    return true;
  return !has(segment, "ack") && (has(segment, "fin") || has(segment, "psh") || has(segment, "urg"));
}

/** Whether a connection may begin with it: a SYN, or something from the midst of one that was never seen, but not the answer to a SYN. */
export const mayOpen = (segment: Segment): boolean =>
  !hasNonsense(segment) && !(has(segment, "syn") && has(segment, "ack"));

const shiftOf = (end: End): number => (typeof end.scale === "number" ? end.scale : 0);
const scaled = (window: number, shift: number): number => Math.ceil(window / 2 ** shift);

export class TcpConnection {
  readonly #opener: End;
  readonly #answerer: End;
  #phase: TcpPhase = "first";

  /** Begins with a segment that may open one. */
  constructor(first: Segment) {
    const isSyn = has(first, "syn");
    const scale = isSyn ? (first.scale ?? "none") : "unknown";
    const end = sum(first.seq, first.length, 1, isSyn ? 1 : 0, has(first, "fin") ? 1 : 0);
    this.#opener = { state: State.synSent, low: first.seq, high: end, maxWindow: Math.max(first.window, 1), scale };
    this.#opener.maxWindow = scaled(this.#opener.maxWindow, shiftOf(this.#opener));
    this.#answerer = { state: State.closed, low: 0, high: 1, maxWindow: 1, scale: isSyn ? "none" : "unknown" };
  }

  get phase(): TcpPhase {
    return this.#phase;
  }

  /** Takes the next segment; `reply`: it comes from the end that did not open. An invalid one changes nothing. */
  update(segment: Segment, reply: boolean): Standing {
    const [from, to] = reply ? [this.#answerer, this.#opener] : [this.#opener, this.#answerer];
    if (hasNonsense(segment)) return "invalid";
    if (has(segment, "syn") && !has(segment, "ack")) {
      if (to.state >= State.finWait2 && from.state >= State.finWait2) {
        from.state = State.closed;
        to.state = State.closed;
        return "again";
      }
      if (from.state <= State.synSent) {
        from.state = State.synSent;
        this.#phase = "first";
        return "fresh";
      }
    }
    return this.#follow(segment, from, to);
  }

  #follow(segment: Segment, from: End, to: End): Standing {
    const isSyn = has(segment, "syn");
    let [fromShift, toShift] = [0, 0];
    if (!isSyn && typeof from.scale === "number" && typeof to.scale === "number")
      [fromShift, toShift] = [from.scale, to.scale];
    else if (!isSyn && from.scale === "unknown" && to.scale === "unknown") [fromShift, toShift] = [maxScale, maxScale];

    let { window } = segment;
    const flagged = (isSyn ? 1 : 0) + (has(segment, "fin") ? 1 : 0);
    let end = sum(segment.seq, segment.length, flagged);
    let checksSkew = true;
    if (from.state < State.synSent) {
      if (isSyn && typeof to.scale === "number") {
        if (segment.scale === undefined) {
          to.maxWindow = (to.maxWindow << to.scale) & 0xffff;
          to.scale = "none";
          from.scale = "none";
        } else {
          from.scale = segment.scale;
          [fromShift, toShift] = [from.scale, to.scale];
          window = scaled(window, fromShift);
        }
      }
      from.low = segment.seq;
      from.state = State.synSent;
      const allowed = sum(end, Math.max(1, to.maxWindow << toShift));
      if (from.high === 1 || atLeast(allowed, from.high)) {
        from.high = allowed;
        checksSkew = false;
      }
      from.maxWindow = Math.max(from.maxWindow, window);
    }

    let { ack, seq } = segment;
    if (!has(segment, "ack") || (ack === 0 && has(segment, "rst"))) ack = to.low;
    if (seq === end) {
      seq = from.low;
      end = seq;
    }
    const skew = checksSkew ? (to.low - ack) | 0 : 0;
    const fits =
      atLeast(from.high, end) &&
      atLeast(seq, sum(from.low, -(to.maxWindow << toShift))) &&
      skew >= -maxAckWindow &&
      skew <= maxAckWindow << fromShift &&
      (!has(segment, "rst") || Math.abs((segment.seq - from.low) | 0) <= 1);
    const isLoose =
      (to.state < State.synSent || to.state >= State.finWait2 || from.state >= State.finWait2) &&
      atLeast(sum(from.high, maxAckWindow), end) &&
      atLeast(seq, sum(from.low, -maxAckWindow));
    if (!fits && !isLoose) return "invalid";

    from.maxWindow = Math.max(from.maxWindow, window);
    if (before(from.low, end)) from.low = end;
    const allowed = window << fromShift;
    if (atLeast(sum(ack, allowed), to.high)) to.high = sum(ack, Math.max(allowed, 1));
    if (has(segment, "fin") && from.state < State.closing) from.state = State.closing;
    if (fits && has(segment, "ack")) {
      if (to.state === State.synSent) to.state = State.established;
      else if (to.state === State.closing) to.state = State.finWait2;
    }
    if (has(segment, "rst")) {
      from.state = State.timeWait;
      to.state = State.timeWait;
    }
    if (fits) this.#phase = phaseOf(from.state, to.state);
    return "valid";
  }
}

function phaseOf(one: State, other: State): TcpPhase {
  const [low, high] = [Math.min(one, other), Math.max(one, other)];
  if (low >= State.finWait2) return "closed";
  if (low >= State.closing) return "finWait";
  if (low < State.established) return "opening";
  return high >= State.closing ? "closing" : "established";
}
