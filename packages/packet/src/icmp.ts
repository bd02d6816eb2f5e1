/** ICMP for IPv4 (RFC 792; the next hop's MTU RFC 1191, the original datagram's length RFC 4884). */

import { type Reader, readU16, type Writer } from "./bytes.ts";

/** The types of RFC 792 that this package takes apart. */
export const IcmpType = { echoReply: 0, unreachable: 3, echoRequest: 8, timeExceeded: 11 } as const;

/** Codes of "destination unreachable" that a network device sends (RFC 792, RFC 1122, RFC 1812). */
export const UnreachableCode = {
  network: 0,
  host: 1,
  protocol: 2,
  port: 3,
  fragmentationNeeded: 4,
  prohibited: 13,
} as const;

/**
 * An ICMP message's header; what follows (echo data, the original datagram) is the packet's payload.
 * `mtu` is 0 unless the code is `fragmentationNeeded`; `length` is that of the original datagram in words, 0 if not said.
 */
export type Icmp =
  | { readonly kind: "echo-request" | "echo-reply"; readonly id: number; readonly sequence: number }
  | { readonly kind: "unreachable"; readonly code: number; readonly length: number; readonly mtu: number }
  | { readonly kind: "time-exceeded"; readonly code: number; readonly length: number }
  | { readonly kind: "other"; readonly type: number; readonly code: number; readonly rest: number };

export function readIcmp(reader: Reader): Icmp {
  const type = reader.u8();
  const code = reader.u8();
  reader.skip(2);
  const at = reader.at;
  const rest = reader.u32();
  const length = reader.bytes[at + 1]!;
  const low = readU16(reader.bytes, at + 2);
  if ((type === IcmpType.echoRequest || type === IcmpType.echoReply) && code === 0) {
    return { kind: type === IcmpType.echoRequest ? "echo-request" : "echo-reply", id: rest >>> 16, sequence: low };
  }
  if (type === IcmpType.unreachable) return { kind: "unreachable", code, length, mtu: low };
  if (type === IcmpType.timeExceeded) return { kind: "time-exceeded", code, length };
  return { kind: "other", type, code, rest };
}

/** Writes a header with its checksum open, and gives its offset. */
export function writeIcmpHeader(writer: Writer, icmp: Icmp): number {
  const at = writer.at;
  const head = (type: number, code: number): void => {
    writer.u8(type, "icmp.type");
    writer.u8(code, "icmp.code");
    writer.u16(0, "icmp.checksum");
  };
  switch (icmp.kind) {
    case "echo-request":
    case "echo-reply":
      head(icmp.kind === "echo-request" ? IcmpType.echoRequest : IcmpType.echoReply, 0);
      writer.u16(icmp.id, "icmp.id");
      writer.u16(icmp.sequence, "icmp.sequence");
      return at;
    case "unreachable":
      head(IcmpType.unreachable, icmp.code);
      writer.u8(0, "icmp.unused");
      writer.u8(icmp.length, "icmp.length");
      writer.u16(icmp.mtu, "icmp.mtu");
      return at;
    case "time-exceeded":
      head(IcmpType.timeExceeded, icmp.code);
      writer.u8(0, "icmp.unused");
      writer.u8(icmp.length, "icmp.length");
      writer.u16(0, "icmp.unused");
      return at;
    case "other":
      head(icmp.type, icmp.code);
      writer.u32(icmp.rest, "icmp.rest");
      return at;
  }
}
