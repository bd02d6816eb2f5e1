/** Frames of connections in real bytes: TCP, UDP, SCTP, pings, ICMP errors about other frames, and fragments of frames. */
import { decode, encode, TcpFlag, type TcpSpec } from "@selvage/packet";
import { IpProto } from "@selvage/pipeline";
import type { Speaker } from "./frames.ts";

/** Which IP, and how far a packet may still go where that matters. */
export interface IpOptions {
  readonly ttl?: number;
}

const ipOf = (version: 4 | 6, from: Speaker, to: Speaker, { ttl = 64 }: IpOptions = {}) =>
  version === 4
    ? ({ ipv4: { src: from.ip4, dst: to.ip4, ttl } } as const)
    : ({ ipv6: { src: from.ip6, dst: to.ip6, hopLimit: ttl } } as const);

const ethOf = (from: Speaker, to: Speaker) => ({ src: from.mac, dst: to.mac });

/** A UDP datagram between given ports. */
export function udpBetween(
  version: 4 | 6,
  from: Speaker,
  to: Speaker,
  ports: { readonly src: number; readonly dst: number },
  payload: Uint8Array = new Uint8Array(8),
  options?: IpOptions,
): Uint8Array {
  return encode({ eth: ethOf(from, to), ...ipOf(version, from, to, options), udp: ports, payload });
}

/** A TCP segment; flags are SYN unless told. */
export function tcp(
  version: 4 | 6,
  from: Speaker,
  to: Speaker,
  segment: Omit<TcpSpec, "flags"> & { readonly flags?: number },
  payload: Uint8Array = new Uint8Array(0),
  options?: IpOptions,
): Uint8Array {
  const { flags = TcpFlag.syn, window = 64_000, ...rest } = segment;
  return encode({
    eth: ethOf(from, to),
    ...ipOf(version, from, to, options),
    tcp: { ...rest, flags, window },
    payload,
  });
}

/** An SCTP packet with a chunk that nobody looks at (RFC 9260); its checksum is none. */
export function sctp(
  version: 4 | 6,
  from: Speaker,
  to: Speaker,
  { src, dst }: { readonly src: number; readonly dst: number },
  mark = 0,
): Uint8Array {
  const payload = new Uint8Array(20);
  const view = new DataView(payload.buffer);
  view.setUint16(0, src);
  view.setUint16(2, dst);
  view.setUint32(4, mark);
  view.setUint32(12, 0x0a00_0008);
  const eth = ethOf(from, to);
  return version === 4
    ? encode({ eth, ipv4: { src: from.ip4, dst: to.ip4, protocol: IpProto.sctp }, payload })
    : encode({ eth, ipv6: { src: from.ip6, dst: to.ip6, protocol: IpProto.sctp }, payload });
}

/** An echo request, or the answer to it. */
export function ping(
  version: 4 | 6,
  kind: "request" | "reply",
  from: Speaker,
  to: Speaker,
  { id, sequence = 1 }: { readonly id: number; readonly sequence?: number },
  options?: IpOptions,
): Uint8Array {
  const eth = ethOf(from, to);
  const message = { kind: `echo-${kind}`, id, sequence } as const;
  const payload = new Uint8Array(8).fill(0x61);
  const { ttl = 64 } = options ?? {};
  return version === 4
    ? encode({ eth, ipv4: { src: from.ip4, dst: to.ip4, ttl }, icmp: message, payload })
    : encode({ eth, ipv6: { src: from.ip6, dst: to.ip6, hopLimit: ttl }, icmpv6: message, payload });
}

/** An ICMP error of a type and code, from a speaker to another, with as much of a frame's IP packet as is told, all unless told. */
export function icmpError(
  version: 4 | 6,
  from: Speaker,
  to: Speaker,
  { type, code, about, bytes = 1_000 }: IcmpErrorPlan,
): Uint8Array {
  const eth = ethOf(from, to);
  const message = { kind: "other", type, code, rest: 0 } as const;
  const payload = about.subarray(14, 14 + bytes);
  return version === 4
    ? encode({ eth, ipv4: { src: from.ip4, dst: to.ip4 }, icmp: message, payload })
    : encode({ eth, ipv6: { src: from.ip6, dst: to.ip6 }, icmpv6: message, payload });
}

export interface IcmpErrorPlan {
  readonly type: number;
  readonly code: number;
  /** The frame that it is about. */
  readonly about: Uint8Array;
  readonly bytes?: number;
}

/** The frame in fragments, each but the last with so many bytes behind its IP headers (a multiple of 8). Throws on what bears no whole IP packet. */
export function fragmentsOf(frame: Uint8Array, bytes: number, id: number): readonly Uint8Array[] {
  const decoded = decode(frame, { checksums: "ignore" });
  const packet = decoded.ok ? decoded.packet : decoded.before;
  const ip = packet?.ipv4 ?? packet?.ipv6;
  if (packet === undefined || ip === undefined) throw new TypeError("no IP packet to fragment");
  const upper = frame.subarray(14 + (packet.ipv4 === undefined ? 40 : 20));
  const starts = Array.from({ length: Math.ceil(upper.length / bytes) }, (_, n) => n * bytes);
  return starts.map((offset) => {
    const payload = upper.subarray(offset, offset + bytes);
    const more = offset + bytes < upper.length;
    const { eth } = packet;
    return packet.ipv4 === undefined
      ? encode({
          eth,
          ipv6: { ...packet.ipv6!, extensions: [{ kind: "fragment", offset, more, id }] },
          payload,
        })
      : encode({ eth, ipv4: { ...packet.ipv4, id, fragmentOffset: offset, moreFragments: more }, payload });
  });
}
