/** Options of Neighbour Discovery messages (RFC 4861 section 4.6; routes RFC 4191, DNS RFC 8106) and the rules of receiving (RFC 4861 6.1, 7.1). */

import { ipv6Bytes, readIpv6, readMac, writeIpv6, writeMac } from "./address.ts";
import { checkWidth, EncodeError, type Reader, type Writer } from "./bytes.ts";
import type { Icmpv6 } from "./icmpv6.ts";
import type { Ipv6 } from "./ipv6.ts";
import { readNames, writeNames } from "./names.ts";

/** A router's or route's preference (RFC 4191 section 2.1). */
export type RouterPreference = "low" | "medium" | "high";

/** An option. Lifetimes are in seconds, 0xffffffff being for ever; `length` of prefixes in bits; `data` is all behind the length byte. */
export type NdOption =
  | { readonly kind: "source-link-layer" | "target-link-layer"; readonly mac: string }
  | {
      readonly kind: "prefix";
      readonly prefix: string;
      readonly length: number;
      readonly onLink: boolean;
      readonly autonomous: boolean;
      readonly validLifetime: number;
      readonly preferredLifetime: number;
    }
  | { readonly kind: "mtu"; readonly mtu: number }
  | {
      readonly kind: "route";
      readonly prefix: string;
      readonly length: number;
      readonly preference: RouterPreference;
      readonly lifetime: number;
    }
  | { readonly kind: "dns-servers"; readonly servers: readonly string[]; readonly lifetime: number }
  | { readonly kind: "dns-search"; readonly domains: readonly string[]; readonly lifetime: number }
  | { readonly kind: "other"; readonly type: number; readonly data: Uint8Array };

/** The option types of RFC 4861 and its followers. */
export const NdOptionType = {
  sourceLinkLayer: 1,
  targetLinkLayer: 2,
  prefix: 3,
  mtu: 5,
  route: 24,
  dnsServers: 25,
  dnsSearch: 31,
} as const;

/** Reads all options up to the end of the message. */
export function readNdOptions(reader: Reader): readonly NdOption[] {
  const options: NdOption[] = [];
  while (reader.left > 0) {
    const at = reader.at;
    const type = reader.u8();
    const length = reader.u8() * 8;
    if (length === 0) reader.fail("length", at + 1);
    options.push(readNdOption(reader.part(length - 2), type));
  }
  return options;
}

function readNdOption(reader: Reader, type: number): NdOption {
  const { bytes, at, left } = reader;
  const sized = (ok: boolean): void => {
    if (!ok) reader.fail("length", at - 1);
  };
  switch (type) {
    case NdOptionType.sourceLinkLayer:
    case NdOptionType.targetLinkLayer:
      sized(left === 6);
      return {
        kind: type === NdOptionType.sourceLinkLayer ? "source-link-layer" : "target-link-layer",
        mac: readMac(bytes, at),
      };
    case NdOptionType.prefix: {
      sized(left === 30);
      const length = reader.u8();
      if (length > 128) reader.fail("value", at);
      const flags = reader.u8();
      const validLifetime = reader.u32();
      const preferredLifetime = reader.u32();
      const prefix = readIpv6(bytes, at + 14);
      return {
        kind: "prefix",
        prefix,
        length,
        onLink: (flags & 0x80) !== 0,
        autonomous: (flags & 0x40) !== 0,
        validLifetime,
        preferredLifetime,
      };
    }
    case NdOptionType.mtu:
      sized(left === 6);
      reader.skip(2);
      return { kind: "mtu", mtu: reader.u32() };
    case NdOptionType.route:
      return readRoute(reader) ?? { kind: "other", type, data: new Uint8Array(bytes.subarray(at, reader.end)) };
    case NdOptionType.dnsServers: {
      sized(left >= 22 && (left - 6) % 16 === 0);
      reader.skip(2);
      const lifetime = reader.u32();
      const servers: string[] = [];
      while (reader.left > 0) servers.push(readIpv6(bytes, reader.skip(16)));
      return { kind: "dns-servers", servers, lifetime };
    }
    case NdOptionType.dnsSearch: {
      sized(left >= 14);
      reader.skip(2);
      const lifetime = reader.u32();
      const offset = reader.at;
      return { kind: "dns-search", domains: readNames(reader.rest(), reader.layer, offset, "forbidden"), lifetime };
    }
    default:
      return { kind: "other", type, data: reader.rest() };
  }
}

/** A route, or nothing if its preference is the reserved one, for then the option is to be ignored (RFC 4191 section 2.3). */
function readRoute(reader: Reader): NdOption | undefined {
  const at = reader.at;
  const length = reader.u8();
  const preference = preferenceOf((reader.u8() >>> 3) & 3);
  const lifetime = reader.u32();
  const sent = reader.left;
  if (length > 128) reader.fail("value", at);
  if (sent > 16 || sent * 8 < length) reader.fail("length", at - 1);
  const prefix = new Uint8Array(16);
  prefix.set(reader.rest());
  // A sender may give more of the address than its length needs; that is ignored (RFC 4191 section 2.3).
  prefix.fill(0, Math.ceil(length / 64) * 8);
  return preference && { kind: "route", prefix: readIpv6(prefix, 0), length, preference, lifetime };
}

/** The preference in two bits, or nothing for the reserved value (RFC 4191 section 2.1). */
export function preferenceOf(bits: number): RouterPreference | undefined {
  return (["medium", "high", undefined, "low"] as const)[bits];
}

/** The two bits of a preference. */
export function preferenceBits(preference: RouterPreference): number {
  return { medium: 0, high: 1, low: 3 }[preference];
}

/** Writes options one behind the other, each padded to 8 bytes. */
export function writeNdOptions(writer: Writer, options: readonly NdOption[]): void {
  for (const option of options) {
    const at = writer.reserve(2);
    const type = writeNdOption(writer, option);
    writer.patchU8(at, type, "nd.option.type");
    const length = writer.at - at;
    writer.reserve((8 - (length % 8)) % 8);
    writer.patchU8(at + 1, Math.ceil(length / 8), "nd.option.length");
  }
}

function writeNdOption(writer: Writer, option: NdOption): number {
  switch (option.kind) {
    case "source-link-layer":
    case "target-link-layer": {
      const at = writer.reserve(6);
      writeMac(writer.buffer, at, option.mac, `nd.${option.kind}`);
      return option.kind === "source-link-layer" ? NdOptionType.sourceLinkLayer : NdOptionType.targetLinkLayer;
    }
    case "prefix": {
      if (option.length > 128) throw new EncodeError("nd.prefix.length", `${option.length} bits`);
      writer.u8(option.length, "nd.prefix.length");
      writer.u8((option.onLink ? 0x80 : 0) | (option.autonomous ? 0x40 : 0), "nd.prefix.flags");
      writer.u32(option.validLifetime, "nd.prefix.validLifetime");
      writer.u32(option.preferredLifetime, "nd.prefix.preferredLifetime");
      const at = writer.reserve(20);
      writeIpv6(writer.buffer, at + 4, option.prefix, "nd.prefix");
      return NdOptionType.prefix;
    }
    case "mtu":
      writer.u16(0, "nd.mtu.reserved");
      writer.u32(option.mtu, "nd.mtu");
      return NdOptionType.mtu;
    case "route": {
      checkWidth(option.length, 8, "nd.route.length");
      if (option.length > 128) throw new EncodeError("nd.route.length", `${option.length} bits`);
      const prefix = ipv6Bytes(option.prefix);
      const sent = Math.ceil(option.length / 64) * 8;
      if (prefix.subarray(sent).some((byte) => byte !== 0))
        throw new EncodeError("nd.route.prefix", `${option.prefix} is longer than ${option.length} bits`);
      writer.u8(option.length, "nd.route.length");
      writer.u8(preferenceBits(option.preference) << 3, "nd.route.preference");
      writer.u32(option.lifetime, "nd.route.lifetime");
      writer.put(prefix.subarray(0, sent));
      return NdOptionType.route;
    }
    case "dns-servers":
      if (option.servers.length === 0) throw new EncodeError("nd.dns-servers", "at least one server");
      writer.u16(0, "nd.dns-servers.reserved");
      writer.u32(option.lifetime, "nd.dns-servers.lifetime");
      for (const server of option.servers) {
        const at = writer.reserve(16);
        writeIpv6(writer.buffer, at, server, "nd.dns-servers");
      }
      return NdOptionType.dnsServers;
    case "dns-search":
      if (option.domains.length === 0) throw new EncodeError("nd.dns-search", "at least one domain");
      writer.u16(0, "nd.dns-search.reserved");
      writer.u32(option.lifetime, "nd.dns-search.lifetime");
      writeNames(writer, option.domains, "nd.dns-search");
      return NdOptionType.dnsSearch;
    case "other":
      if ((option.data.length + 2) % 8 !== 0) throw new EncodeError("nd.other", "not a multiple of 8 bytes");
      writer.put(option.data);
      return option.type;
  }
}

/** Why a receiver must discard a well-formed Neighbour Discovery message. */
export type NdFault =
  | "hop-limit"
  | "fragmented"
  | "multicast-target"
  | "unspecified-source"
  | "source-not-link-local"
  | "solicited-multicast";

/**
 * Checks what RFC 4861 sections 6.1.1, 6.1.2, 7.1.1, 7.1.2 and RFC 6980 make a receiver check beyond the format. Gives the first rule
 * broken, or nothing: also for messages that are not Neighbour Discovery. Who skips this answers packets from off the link.
 */
export function ndFault(ipv6: Ipv6, icmpv6: Icmpv6): NdFault | undefined {
  const multicast = (address: string): boolean => address.startsWith("ff") && ipv6Bytes(address)[0] === 0xff;
  const common =
    ipv6.hopLimit !== 255
      ? "hop-limit"
      : ipv6.extensions.some((header) => header.kind === "fragment")
        ? "fragmented"
        : undefined;
  switch (icmpv6.kind) {
    case "router-solicitation":
      if (common) return common;
      return ipv6.src === "::" && hasSource(icmpv6.options) ? "unspecified-source" : undefined;
    case "router-advertisement": {
      if (common) return common;
      const source = ipv6Bytes(ipv6.src);
      return source[0] === 0xfe && (source[1]! & 0xc0) === 0x80 ? undefined : "source-not-link-local";
    }
    case "neighbor-solicitation": {
      if (common) return common;
      if (multicast(icmpv6.target)) return "multicast-target";
      if (ipv6.src !== "::") return undefined;
      const solicited = ipv6.dst.startsWith("ff02::1:ff");
      return solicited && !hasSource(icmpv6.options) ? undefined : "unspecified-source";
    }
    case "neighbor-advertisement":
      if (common) return common;
      if (multicast(icmpv6.target)) return "multicast-target";
      return icmpv6.solicited && multicast(ipv6.dst) ? "solicited-multicast" : undefined;
    default:
      return undefined;
  }
}

function hasSource(options: readonly NdOption[]): boolean {
  return options.some((option) => option.kind === "source-link-layer");
}
