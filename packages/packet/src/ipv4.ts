/** IPv4 headers with options and fragments (RFC 791; the TOS byte is DSCP and ECN, RFC 2474 and RFC 3168). */

import { readIpv4, writeIpv4 } from "./address.ts";
import { checkWidth, EncodeError, noBytes, type Reader, type Writer } from "./bytes.ts";
import { checksum } from "./checksum.ts";

/** Protocol numbers that this package knows (IANA); of SCTP it reads the ports alone. */
export const IpProtocol = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, none: 59, sctp: 132 } as const;

/** An IPv4 header. `fragmentOffset` is in bytes (a multiple of 8); `options` are the raw bytes behind the fixed 20, padding included. */
export interface Ipv4 {
  readonly src: string;
  readonly dst: string;
  readonly protocol: number;
  readonly ttl: number;
  readonly dscp: number;
  readonly ecn: number;
  readonly id: number;
  readonly dontFragment: boolean;
  readonly moreFragments: boolean;
  readonly fragmentOffset: number;
  readonly options: Uint8Array;
}

/** What a caller must say of an IPv4 header: TTL is 64 and all else 0 or empty unless said; `protocol` follows from a decoded upper layer. */
export type Ipv4Spec = Pick<Ipv4, "src" | "dst"> & Partial<Ipv4>;

/** An IPv4 header read, and how many bytes of payload it announces (all present). */
export interface Ipv4Header {
  readonly ipv4: Ipv4;
  readonly payloadLength: number;
}

/** Reads a header and, if asked to, verifies its checksum. What lies behind the total length (Ethernet padding) is nobody's. */
export function readIpv4Header(reader: Reader, verify: boolean): Ipv4Header {
  const at = reader.skip(20);
  const { bytes } = reader;
  const first = bytes[at]!;
  if (first >>> 4 !== 4) reader.fail("version", at);
  const headerLength = (first & 0xf) * 4;
  if (headerLength < 20) reader.fail("length", at);
  reader.at = at + 2;
  const totalLength = reader.u16();
  if (totalLength < headerLength) reader.fail("length", at + 2);
  if (totalLength > reader.end - at) reader.fail("truncated", at + 2);
  const id = reader.u16();
  const fragment = reader.u16();
  const fragmentOffset = (fragment & 0x1fff) * 8;
  if (fragmentOffset + totalLength - headerLength > 0xffff) reader.fail("length", at + 6);
  const ttl = reader.u8();
  const protocol = reader.u8();
  if (verify && checksum(bytes, at, at + headerLength) !== 0) reader.fail("checksum", at + 10);
  reader.at = at + 20;
  const tos = bytes[at + 1]!;
  const ipv4: Ipv4 = {
    src: readIpv4(bytes, at + 12),
    dst: readIpv4(bytes, at + 16),
    protocol,
    ttl,
    dscp: tos >>> 2,
    ecn: tos & 3,
    id,
    dontFragment: (fragment & 0x4000) !== 0,
    moreFragments: (fragment & 0x2000) !== 0,
    fragmentOffset,
    options: reader.take(headerLength - 20),
  };
  return { ipv4, payloadLength: totalLength - headerLength };
}

/** Whether a header belongs to a part of a datagram only, so that its payload is no whole upper layer. */
export function isFragment(ipv4: Pick<Ipv4Spec, "moreFragments" | "fragmentOffset">): boolean {
  return ipv4.moreFragments === true || (ipv4.fragmentOffset ?? 0) !== 0;
}

/** Writes a header with its length and checksum open, and gives its offset for `closeIpv4Header`. */
export function writeIpv4Header(writer: Writer, ipv4: Ipv4Spec, protocol: number): number {
  const { ttl = 64, dscp = 0, ecn = 0, id = 0, fragmentOffset = 0, options = noBytes } = ipv4;
  checkWidth(dscp, 6, "ipv4.dscp");
  checkWidth(ecn, 2, "ipv4.ecn");
  checkWidth(fragmentOffset, 16, "ipv4.fragmentOffset");
  if (fragmentOffset % 8 !== 0)
    throw new EncodeError("ipv4.fragmentOffset", `${fragmentOffset} is not a multiple of 8`);
  if (options.length > 40 || options.length % 4 !== 0)
    throw new EncodeError("ipv4.options", `${options.length} bytes are not 0 to 10 words`);
  const at = writer.at;
  writer.u8(0x40 | (5 + options.length / 4), "ipv4.version");
  writer.u8((dscp << 2) | ecn, "ipv4.tos");
  writer.u16(0, "ipv4.length");
  writer.u16(id, "ipv4.id");
  const flags = (ipv4.dontFragment === true ? 0x4000 : 0) | (ipv4.moreFragments === true ? 0x2000 : 0);
  writer.u16(flags | (fragmentOffset / 8), "ipv4.fragment");
  writer.u8(ttl, "ipv4.ttl");
  writer.u8(protocol, "ipv4.protocol");
  writer.u16(0, "ipv4.checksum");
  const addresses = writer.reserve(8);
  writeIpv4(writer.buffer, addresses, ipv4.src, "ipv4.src");
  writeIpv4(writer.buffer, addresses + 4, ipv4.dst, "ipv4.dst");
  writer.put(options);
  return at;
}

/** Fills the length and checksum of the header at `at`, once all behind it is written. Throws `EncodeError` beyond 65,535 bytes. */
export function closeIpv4Header(writer: Writer, at: number): void {
  writer.patchU16(at + 2, writer.at - at, "ipv4.length");
  const headerLength = (writer.buffer[at]! & 0xf) * 4;
  const fragmentOffset = ((writer.buffer[at + 6]! & 0x1f) << 11) | (writer.buffer[at + 7]! << 3);
  if (fragmentOffset + writer.at - at - headerLength > 0xffff)
    throw new EncodeError("ipv4.fragmentOffset", "the fragment ends beyond 65,535 bytes");
  writer.patchU16(at + 10, checksum(writer.buffer, at, at + headerLength), "ipv4.checksum");
}
