/**
 * Random conversations of two machines, frame by frame: TCP from handshake to reset with numbers that are mostly right, UDP, SCTP and pings both ways,
 * errors about frames that went before, fragments in any order, and frames that are broken. For comparing what two switches make of a connection.
 */
import { TcpFlag } from "@selvage/packet";
import fc from "fast-check";
import type { Speaker } from "./frames.ts";
import { fragmentsOf, icmpError, ping, sctp, tcp, udpBetween } from "./ip-frames.ts";

/** One turn of a conversation. */
export interface Turn {
  readonly kind: "tcp" | "udp" | "echo" | "sctp" | "error";
  readonly version: 4 | 6;
  /** Whether the second machine speaks. */
  readonly back: boolean;
  /** Which of a few pairs of ports, or numbers of pings. */
  readonly flow: number;
  readonly flags: number;
  /** What is added to the right sequence and acknowledgement number. */
  readonly skew: readonly [seq: number, ack: number];
  readonly length: number;
  readonly window: number;
  readonly scale: number | undefined;
  /** Whether a ping answers; an error is about the other's last frame, or about one's own. */
  readonly answers: boolean;
  readonly errorType: number;
  readonly errorBytes: number;
  readonly twist: "none" | "checksum" | "ipChecksum" | "noPort" | "cut";
  /** How it is sent: whole, in fragments in order, the other way round, without the last, or in fragments too small to be taken. */
  readonly pieces: "whole" | "inOrder" | "reversed" | "lacking" | "twice" | "small";
}

const { syn, ack, fin, rst, psh, urg } = TcpFlag;
const rarely = <T>(usual: T, ...others: readonly T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 12, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) });

export const turns: fc.Arbitrary<Turn> = fc.record(
  {
    kind: fc.constantFrom("tcp", "tcp", "tcp", "tcp", "udp", "udp", "echo", "sctp", "error"),
    version: fc.constantFrom<4 | 6>(4, 6),
    back: fc.boolean(),
    flow: fc.nat(1),
    flags: fc.constantFrom(
      ...[syn, syn, syn | ack, syn | ack, ack, ack, ack, ack | psh, fin | ack, fin | ack, rst, rst | ack],
      ...[0, syn | fin, syn | rst, fin, psh, urg | ack, syn | ack | psh, psh | fin | ack],
    ),
    skew: fc.tuple(
      rarely(0, 1, -1, 1_000, -1_000, 100_000, -100_000, 0x7fff_ffff),
      rarely(0, 1, -1, 1_000, -70_000, 100_000, 0x7fff_ffff),
    ),
    length: fc.constantFrom(0, 0, 0, 1, 10, 1_000),
    window: fc.constantFrom(0, 1, 100, 8_000, 64_000, 0xffff),
    scale: fc.constantFrom(undefined, 0, 2, 7, 14, 20),
    answers: fc.boolean(),
    errorType: fc.nat(7),
    errorBytes: fc.constantFrom(20, 28, 40, 48, 60, 1_000, 1_000),
    twist: rarely<Turn["twist"]>("none", "checksum", "ipChecksum", "noPort", "cut"),
    pieces: rarely<Turn["pieces"]>("whole", "inOrder", "reversed", "lacking", "twice", "small"),
  },
  { noNullPrototype: true },
);

/** Flags of a connection from its first segment to the first of the next between the same ports, with who sends each. */
const script: readonly (readonly [flags: number, back: boolean, length: number])[] = [
  [syn, false, 0],
  [syn | ack, true, 0],
  [ack, false, 0],
  [ack | psh, false, 10],
  [ack, true, 1_000],
  [fin | ack, false, 0],
  [ack, true, 10],
  [fin | ack, true, 0],
  [ack, false, 0],
  [syn, false, 0],
  [syn | ack, true, 0],
  [ack, false, 1],
];

/** Turns of a TCP connection in their order, of which a few are left out or are other ones. */
export const connectionTurns: fc.Arbitrary<readonly Turn[]> = fc
  .tuple(fc.constantFrom<4 | 6>(4, 6), fc.array(fc.tuple(turns, fc.nat(9)), { minLength: 12, maxLength: 12 }))
  .map(([version, all]) =>
    all.flatMap(([turn, chance], at) => {
      const [flags, back, length] = script[at] ?? [ack, false, 0];
      if (chance === 0) return [];
      if (chance === 1) return [{ ...turn, version, flow: 0 }];
      const sound = { flow: 0, skew: [0, 0], twist: "none", pieces: "whole", answers: true, window: 8_000 } as const;
      return [{ ...turn, ...sound, kind: "tcp", version, flags, back, length } as const];
    }),
  );

/** A frame and who sends it. */
export interface Said {
  readonly back: boolean;
  readonly frame: Uint8Array;
}

/** What is right to say next on a TCP connection. */
interface TcpSide {
  next: number;
}

const errorTypes = {
  4: [3, 11, 12, 4, 5, 3, 13, 9],
  6: [1, 2, 3, 4, 1, 3, 100, 200],
} as const;

/** Ports of the flows: who opens a connection is no one's business. */
const portsOf = (flow: number, back: boolean) =>
  back ? { src: 80 + flow, dst: 40_000 + flow } : { src: 40_000 + flow, dst: 80 + flow };

export interface ConversationOptions {
  /** Datagrams are numbered from here on: a switch remembers fragments of other conversations for a while. */
  readonly firstId?: number;
  /** The two as they address each other, where a router is between them. */
  readonly seen?: readonly [Speaker, Speaker];
}

export class Conversation {
  /** Each as it is, and as the other addresses it. */
  readonly #speakers: readonly [Speaker, Speaker];
  readonly #seen: readonly [Speaker, Speaker];
  readonly #sides = new Map<string, TcpSide>();
  readonly #last = new Map<string, Uint8Array>();
  #id: number;

  constructor(first: Speaker, second: Speaker, { firstId = 0, seen = [first, second] }: ConversationOptions = {}) {
    this.#speakers = [first, second];
    this.#seen = seen;
    this.#id = firstId;
  }

  /** The frames of the next turn, in the order in which they are sent. */
  say(turn: Turn): readonly Said[] {
    const whole = twisted(this.#frameOf(turn), turn);
    return this.#sent(whole, turn).map((frame) => ({ back: turn.back, frame }));
  }

  #frameOf(turn: Turn): Uint8Array {
    const from = this.#speakers[turn.back ? 1 : 0];
    const to = this.#seen[turn.back ? 0 : 1];
    const { version, back, flow } = turn;
    const ports = { ...portsOf(flow, back), ...(turn.twist === "noPort" ? { dst: 0 } : {}) };
    const payload = payloadOf(turn, this.#id);
    switch (turn.kind) {
      case "tcp":
        return this.#remember(turn, this.#segment(turn, from, to, ports));
      case "udp":
        return this.#remember(turn, udpBetween(version, from, to, ports, payload));
      case "echo": {
        const kind = turn.answers ? "reply" : "request";
        return this.#remember(turn, ping(version, kind, from, to, { id: 7 + flow, sequence: this.#id & 0xffff }));
      }
      case "sctp":
        return this.#remember(turn, sctp(version, from, to, ports, this.#id));
      case "error": {
        const about = this.#last.get(`${version} ${turn.answers ? !back : back}`) ?? new Uint8Array(14);
        const type = errorTypes[version][turn.errorType] ?? 0;
        return icmpError(version, from, to, { type, code: 0, about, bytes: turn.errorBytes });
      }
    }
  }

  /** A segment with the numbers that are right now, as far as the turn does not want other ones. */
  #segment(turn: Turn, from: Speaker, to: Speaker, ports: { readonly src: number; readonly dst: number }): Uint8Array {
    const { version, back, flow, flags, window, scale } = turn;
    const side = this.#side(version, flow, back);
    const other = this.#side(version, flow, !back);
    const hasSyn = (flags & syn) !== 0;
    if (hasSyn && (flags & ack) === 0 && turn.answers) side.next = (side.next + 500_000) >>> 0;
    const payload = payloadOf(turn, this.#id);
    const segment = {
      ...ports,
      flags,
      window,
      seq: (side.next + turn.skew[0]) >>> 0,
      ack: (flags & ack) === 0 ? 0 : (other.next + turn.skew[1]) >>> 0,
      ...(hasSyn && scale !== undefined ? { options: Uint8Array.of(1, 3, 3, scale) } : {}),
    };
    side.next = (side.next + payload.length + (hasSyn ? 1 : 0) + ((flags & fin) === 0 ? 0 : 1)) >>> 0;
    return tcp(version, from, to, segment, payload);
  }

  #side(version: number, flow: number, back: boolean): TcpSide {
    const key = `${version} ${flow} ${back}`;
    const found = this.#sides.get(key);
    if (found !== undefined) return found;
    const side = { next: back ? 0xffff_ff00 : 1_000 };
    this.#sides.set(key, side);
    return side;
  }

  #remember({ version, back }: Turn, frame: Uint8Array): Uint8Array {
    this.#id = (this.#id + 1) & 0xffff;
    this.#last.set(`${version} ${back}`, frame);
    return frame;
  }

  #sent(frame: Uint8Array, turn: Turn): readonly Uint8Array[] {
    const { pieces, version } = turn;
    if (!isFragmented(turn)) return [frame];
    this.#id = (this.#id + 1) & 0xffff;
    const all = fragmentsOf(frame, pieces === "small" ? 8 : version === 4 ? 1_184 : 1_240, this.#id);
    switch (pieces) {
      case "whole":
      case "inOrder":
      case "small":
        return all;
      case "reversed":
        return all.toReversed();
      case "lacking":
        return all.slice(0, -1);
      case "twice":
        return all.slice(0, 1).concat(all);
    }
  }
}

const isFragmented = ({ pieces, twist, kind }: Turn): boolean =>
  pieces !== "whole" && twist !== "cut" && twist !== "ipChecksum" && kind !== "error";

/** Bytes of payload: in fragments there are enough of them for two. */
function payloadOf(turn: Turn, mark: number): Uint8Array {
  const payload = new Uint8Array(isFragmented(turn) && turn.pieces !== "small" ? 2_000 : turn.length);
  if (payload.length >= 4) new DataView(payload.buffer).setUint32(0, mark);
  return payload;
}

/** The frame with what is wrong with it. */
function twisted(frame: Uint8Array, { twist, version }: Turn): Uint8Array {
  const wrong = Uint8Array.from(frame);
  switch (twist) {
    case "none":
    case "noPort":
      return frame;
    case "checksum":
      wrong[wrong.length - 1] = (wrong.at(-1) ?? 0) ^ 0x55;
      return wrong;
    case "ipChecksum":
      if (version === 4) wrong[24] = (wrong[24] ?? 0) ^ 0x55;
      return wrong;
    case "cut": {
      // The IP header says so too, so that only the upper layer lacks something.
      const short = wrong.subarray(0, (version === 4 ? 34 : 54) + 6);
      return version === 4 ? withLength4(short) : withLength6(short);
    }
  }
}

function withLength4(frame: Uint8Array): Uint8Array {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const length = frame.length - 14;
  // The checksum is corrected by the difference (RFC 1624).
  const sum = (~view.getUint16(24) & 0xffff) + (~view.getUint16(16) & 0xffff) + length;
  view.setUint16(16, length);
  view.setUint16(24, ~((sum & 0xffff) + Math.floor(sum / 0x10000)) & 0xffff);
  return frame;
}

function withLength6(frame: Uint8Array): Uint8Array {
  new DataView(frame.buffer, frame.byteOffset, frame.length).setUint16(18, frame.length - 54);
  return frame;
}
