/** ICMPv6 messages (RFC 4443) and Neighbour Discovery among them (RFC 4861 section 4, preference RFC 4191). */

import { readIpv6, writeIpv6 } from "./address.ts";
import { type Reader, readU16, type Writer } from "./bytes.ts";
import {
  type NdOption,
  preferenceBits,
  preferenceOf,
  type RouterPreference,
  readNdOptions,
  writeNdOptions,
} from "./nd.ts";

/** The types that this package takes apart. */
export const Icmpv6Type = {
  unreachable: 1,
  packetTooBig: 2,
  timeExceeded: 3,
  parameterProblem: 4,
  echoRequest: 128,
  echoReply: 129,
  routerSolicitation: 133,
  routerAdvertisement: 134,
  neighborSolicitation: 135,
  neighborAdvertisement: 136,
} as const;

/** A router's word on itself and its link: `lifetime` in seconds, `reachableTime` and `retransTimer` in milliseconds, 0 for unsaid. */
export interface RouterAdvertisement {
  readonly kind: "router-advertisement";
  readonly hopLimit: number;
  readonly managed: boolean;
  readonly otherConfig: boolean;
  readonly preference: RouterPreference;
  readonly lifetime: number;
  readonly reachableTime: number;
  readonly retransTimer: number;
  readonly options: readonly NdOption[];
}

/**
 * An ICMPv6 message. Echo data and the packet that an error is about are the packet's payload; Neighbour Discovery has none, its
 * options run to the end. `length` is that of the original datagram in words of 8 bytes, 0 if not said (RFC 4884).
 */
export type Icmpv6 =
  | { readonly kind: "echo-request" | "echo-reply"; readonly id: number; readonly sequence: number }
  | { readonly kind: "unreachable" | "time-exceeded"; readonly code: number; readonly length: number }
  | { readonly kind: "packet-too-big"; readonly mtu: number }
  | { readonly kind: "parameter-problem"; readonly code: number; readonly pointer: number }
  | { readonly kind: "router-solicitation"; readonly options: readonly NdOption[] }
  | RouterAdvertisement
  | { readonly kind: "neighbor-solicitation"; readonly target: string; readonly options: readonly NdOption[] }
  | {
      readonly kind: "neighbor-advertisement";
      readonly router: boolean;
      readonly solicited: boolean;
      readonly override: boolean;
      readonly target: string;
      readonly options: readonly NdOption[];
    }
  | { readonly kind: "other"; readonly type: number; readonly code: number; readonly rest: number };

/** Whether a message is of Neighbour Discovery: such leave with hop limit 255 and bear no payload. */
export function isNeighborDiscovery(icmpv6: Icmpv6): boolean {
  return icmpv6.kind.startsWith("router-") || icmpv6.kind.startsWith("neighbor-");
}

export function readIcmpv6(reader: Reader): Icmpv6 {
  const start = reader.at;
  const type = reader.u8();
  const code = reader.u8();
  reader.skip(2);
  const at = reader.at;
  const rest = reader.u32();
  const { bytes } = reader;
  if (type >= Icmpv6Type.routerSolicitation && type <= Icmpv6Type.neighborAdvertisement) {
    if (code !== 0) reader.fail("value", start + 1);
    return readNeighborDiscovery(reader, type, rest);
  }
  switch (type) {
    case Icmpv6Type.unreachable:
    case Icmpv6Type.timeExceeded:
      return { kind: type === Icmpv6Type.unreachable ? "unreachable" : "time-exceeded", code, length: bytes[at]! };
    case Icmpv6Type.packetTooBig:
      return { kind: "packet-too-big", mtu: rest };
    case Icmpv6Type.parameterProblem:
      return { kind: "parameter-problem", code, pointer: rest };
    case Icmpv6Type.echoRequest:
    case Icmpv6Type.echoReply:
      if (code !== 0) break;
      return {
        kind: type === Icmpv6Type.echoRequest ? "echo-request" : "echo-reply",
        id: rest >>> 16,
        sequence: readU16(bytes, at + 2),
      };
  }
  return { kind: "other", type, code, rest };
}

function readNeighborDiscovery(reader: Reader, type: number, rest: number): Icmpv6 {
  switch (type) {
    case Icmpv6Type.routerSolicitation:
      return { kind: "router-solicitation", options: readNdOptions(reader) };
    case Icmpv6Type.routerAdvertisement: {
      const flags = rest >>> 16;
      const reachableTime = reader.u32();
      const retransTimer = reader.u32();
      return {
        kind: "router-advertisement",
        hopLimit: rest >>> 24,
        managed: (flags & 0x80) !== 0,
        otherConfig: (flags & 0x40) !== 0,
        // A reserved preference is to be taken for medium (RFC 4191 section 2.2).
        preference: preferenceOf((flags >>> 3) & 3) ?? "medium",
        lifetime: rest & 0xffff,
        reachableTime,
        retransTimer,
        options: readNdOptions(reader),
      };
    }
    case Icmpv6Type.neighborSolicitation: {
      const target = readIpv6(reader.bytes, reader.skip(16));
      return { kind: "neighbor-solicitation", target, options: readNdOptions(reader) };
    }
    default: {
      const target = readIpv6(reader.bytes, reader.skip(16));
      return {
        kind: "neighbor-advertisement",
        router: rest >>> 31 === 1,
        solicited: (rest & 0x40000000) !== 0,
        override: (rest & 0x20000000) !== 0,
        target,
        options: readNdOptions(reader),
      };
    }
  }
}

/** Writes a message, its checksum open, and gives its offset; echo data and the like are the caller's to add. */
export function writeIcmpv6(writer: Writer, icmpv6: Icmpv6): number {
  const at = writer.at;
  const head = (type: number, code: number): void => {
    writer.u8(type, "icmpv6.type");
    writer.u8(code, "icmpv6.code");
    writer.u16(0, "icmpv6.checksum");
  };
  switch (icmpv6.kind) {
    case "echo-request":
    case "echo-reply":
      head(icmpv6.kind === "echo-request" ? Icmpv6Type.echoRequest : Icmpv6Type.echoReply, 0);
      writer.u16(icmpv6.id, "icmpv6.id");
      writer.u16(icmpv6.sequence, "icmpv6.sequence");
      return at;
    case "unreachable":
    case "time-exceeded":
      head(icmpv6.kind === "unreachable" ? Icmpv6Type.unreachable : Icmpv6Type.timeExceeded, icmpv6.code);
      writer.u8(icmpv6.length, "icmpv6.length");
      writer.u24(0, "icmpv6.unused");
      return at;
    case "packet-too-big":
      head(Icmpv6Type.packetTooBig, 0);
      writer.u32(icmpv6.mtu, "icmpv6.mtu");
      return at;
    case "parameter-problem":
      head(Icmpv6Type.parameterProblem, icmpv6.code);
      writer.u32(icmpv6.pointer, "icmpv6.pointer");
      return at;
    case "router-solicitation":
      head(Icmpv6Type.routerSolicitation, 0);
      writer.u32(0, "icmpv6.reserved");
      writeNdOptions(writer, icmpv6.options);
      return at;
    case "router-advertisement":
      head(Icmpv6Type.routerAdvertisement, 0);
      writer.u8(icmpv6.hopLimit, "nd.hopLimit");
      writer.u8(
        (icmpv6.managed ? 0x80 : 0) | (icmpv6.otherConfig ? 0x40 : 0) | (preferenceBits(icmpv6.preference) << 3),
        "nd.flags",
      );
      writer.u16(icmpv6.lifetime, "nd.lifetime");
      writer.u32(icmpv6.reachableTime, "nd.reachableTime");
      writer.u32(icmpv6.retransTimer, "nd.retransTimer");
      writeNdOptions(writer, icmpv6.options);
      return at;
    case "neighbor-solicitation":
      head(Icmpv6Type.neighborSolicitation, 0);
      writer.u32(0, "icmpv6.reserved");
      writeTarget(writer, icmpv6.target);
      writeNdOptions(writer, icmpv6.options);
      return at;
    case "neighbor-advertisement":
      head(Icmpv6Type.neighborAdvertisement, 0);
      writer.u8((icmpv6.router ? 0x80 : 0) | (icmpv6.solicited ? 0x40 : 0) | (icmpv6.override ? 0x20 : 0), "nd.flags");
      writer.u24(0, "icmpv6.reserved");
      writeTarget(writer, icmpv6.target);
      writeNdOptions(writer, icmpv6.options);
      return at;
    case "other":
      head(icmpv6.type, icmpv6.code);
      writer.u32(icmpv6.rest, "icmpv6.rest");
      return at;
  }
}

function writeTarget(writer: Writer, target: string): void {
  const at = writer.reserve(16);
  writeIpv6(writer.buffer, at, target, "nd.target");
}
