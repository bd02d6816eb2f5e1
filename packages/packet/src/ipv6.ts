/** IPv6 headers and their extension headers (RFC 8200 sections 3 and 4; AH RFC 4302; fragments section 4.5, atomic ones RFC 6946). */

import { readIpv6, writeIpv6 } from "./address.ts";
import { checkWidth, EncodeError, type Reader, type Writer } from "./bytes.ts";

/**
 * An extension header. `data` of the option-bearing kinds is all behind the length byte (6 bytes, or 6 and a multiple of 8), that of
 * `authentication` all behind it likewise (RFC 4302 counts it in words). A fragment's `offset` is in bytes.
 */
export type Ipv6Extension =
  | { readonly kind: "hop-by-hop" | "routing" | "destination"; readonly data: Uint8Array }
  | { readonly kind: "authentication"; readonly data: Uint8Array }
  | { readonly kind: "fragment"; readonly offset: number; readonly more: boolean; readonly id: number };

/** An IPv6 header with its extension headers in order; `protocol` is the upper layer's, whatever stands between. */
export interface Ipv6 {
  readonly src: string;
  readonly dst: string;
  readonly protocol: number;
  readonly hopLimit: number;
  readonly dscp: number;
  readonly ecn: number;
  readonly flowLabel: number;
  readonly extensions: readonly Ipv6Extension[];
}

/** What a caller must say of an IPv6 header. Hop limit is 64, or 255 for Neighbour Discovery; all else is 0 or empty unless said. */
export type Ipv6Spec = Pick<Ipv6, "src" | "dst"> & Partial<Ipv6>;

/** An IPv6 header read, and how many bytes of upper layer it announces (all present). */
export interface Ipv6Header {
  readonly ipv6: Ipv6;
  readonly payloadLength: number;
}

const kindOf: ReadonlyMap<number, Ipv6Extension["kind"]> = new Map([
  [0, "hop-by-hop"],
  [43, "routing"],
  [44, "fragment"],
  [51, "authentication"],
  [60, "destination"],
]);

const numberOf: Readonly<Record<Ipv6Extension["kind"], number>> = {
  "hop-by-hop": 0,
  routing: 43,
  fragment: 44,
  authentication: 51,
  destination: 60,
};

/**
 * Whether a next-header number is that of an extension header that can be stepped over. A mobility header is none here: nothing may follow it (RFC 6275,
 * section 6.1.1), and neither switches nor hosts look for it.
 */
export function isExtension(nextHeader: number): boolean {
  return kindOf.has(nextHeader);
}

/** The length in bytes of an extension header, from its number and its second byte (RFC 8200 section 4, RFC 4302 section 2.2). */
export function extensionLength(nextHeader: number, lengthByte: number): number {
  if (nextHeader === numberOf.fragment) return 8;
  return nextHeader === numberOf.authentication ? (lengthByte + 2) * 4 : (lengthByte + 1) * 8;
}

/** Reads the fixed header and all extension headers up to the upper layer or the first that begins inside another fragment. */
export function readIpv6Header(reader: Reader): Ipv6Header {
  const start = reader.at;
  const word = reader.u32();
  if (word >>> 28 !== 6) reader.fail("version", start);
  const length = reader.u16();
  let next = reader.u8();
  const hopLimit = reader.u8();
  const at = reader.skip(32);
  if (length > reader.left) reader.fail("truncated", start + 4);
  const body = reader.inner("ipv6", length);
  const extensions: Ipv6Extension[] = [];
  let later = false;
  for (let kind = kindOf.get(next); kind !== undefined && !later; kind = kindOf.get(next)) {
    if (kind === "hop-by-hop" && extensions.length > 0) body.fail("value", body.at);
    const header = readExtension(body, kind);
    extensions.push(header.extension);
    next = header.next;
    later = header.extension.kind === "fragment" && header.extension.offset !== 0;
  }
  reader.at = body.at;
  const ipv6: Ipv6 = {
    src: readIpv6(reader.bytes, at),
    dst: readIpv6(reader.bytes, at + 16),
    protocol: next,
    hopLimit,
    dscp: (word >>> 22) & 0x3f,
    ecn: (word >>> 20) & 3,
    flowLabel: word & 0xfffff,
    extensions,
  };
  return { ipv6, payloadLength: body.left };
}

function readExtension(
  reader: Reader,
  kind: Ipv6Extension["kind"],
): { readonly next: number; readonly extension: Ipv6Extension } {
  const at = reader.at;
  const next = reader.u8();
  const lengthByte = reader.u8();
  if (kind === "fragment") {
    const word = reader.u16();
    const id = reader.u32();
    const offset = word & 0xfff8;
    const more = (word & 1) !== 0;
    if (offset + reader.left > 0xffff) reader.fail("length", at + 2);
    return { next, extension: { kind, offset, more, id } };
  }
  return { next, extension: { kind, data: reader.take(extensionLength(numberOf[kind], lengthByte) - 2) } };
}

/**
 * Whether the bytes behind the headers are a whole upper layer as its sender summed it: not a part of a datagram, and not on the
 * way to another hop of a routing header (whose final destination is in the checksum, RFC 8200 section 8.1).
 */
export function isWhole(ipv6: Pick<Ipv6Spec, "extensions">): boolean {
  for (const extension of ipv6.extensions ?? []) {
    switch (extension.kind) {
      case "fragment":
        if (extension.offset !== 0 || extension.more) return false;
        break;
      case "routing":
        if (extension.data[1] !== 0) return false;
        break;
      case "hop-by-hop":
      case "destination":
      case "authentication":
        break;
    }
  }
  return true;
}

/** Writes the headers with the payload length open, and gives the offset of the fixed one for `closeIpv6Header`. */
export function writeIpv6Header(writer: Writer, ipv6: Ipv6Spec, protocol: number, defaultHopLimit: number): number {
  const { hopLimit = defaultHopLimit, dscp = 0, ecn = 0, flowLabel = 0, extensions = [] } = ipv6;
  checkWidth(dscp, 6, "ipv6.dscp");
  checkWidth(ecn, 2, "ipv6.ecn");
  checkWidth(flowLabel, 20, "ipv6.flowLabel");
  const at = writer.at;
  writer.u32(((6 << 28) | (dscp << 22) | (ecn << 20) | flowLabel) >>> 0, "ipv6.version");
  writer.u16(0, "ipv6.length");
  const first = extensions[0];
  writer.u8(first === undefined ? protocol : numberOf[first.kind], "ipv6.protocol");
  writer.u8(hopLimit, "ipv6.hopLimit");
  const addresses = writer.reserve(32);
  writeIpv6(writer.buffer, addresses, ipv6.src, "ipv6.src");
  writeIpv6(writer.buffer, addresses + 16, ipv6.dst, "ipv6.dst");
  for (const [n, extension] of extensions.entries()) {
    if (n > 0 && extension.kind === "hop-by-hop")
      throw new EncodeError("ipv6.extensions", "hop-by-hop options stand first or not at all");
    const following = extensions[n + 1];
    writeExtension(writer, extension, following === undefined ? protocol : numberOf[following.kind]);
  }
  return at;
}

function writeExtension(writer: Writer, extension: Ipv6Extension, next: number): void {
  writer.u8(next, "ipv6.protocol");
  switch (extension.kind) {
    case "fragment":
      checkWidth(extension.offset, 16, "ipv6.fragment.offset");
      if (extension.offset % 8 !== 0)
        throw new EncodeError("ipv6.fragment.offset", `${extension.offset} is not a multiple of 8`);
      writer.u8(0, "ipv6.fragment.reserved");
      writer.u16(extension.offset | (extension.more ? 1 : 0), "ipv6.fragment.offset");
      writer.u32(extension.id, "ipv6.fragment.id");
      return;
    case "authentication":
      if (extension.data.length < 6 || (extension.data.length + 2) % 4 !== 0)
        throw new EncodeError("ipv6.authentication", "not a number of words");
      writer.u8((extension.data.length + 2) / 4 - 2, "ipv6.authentication.length");
      writer.put(extension.data);
      return;
    case "hop-by-hop":
    case "routing":
    case "destination":
      if (extension.data.length < 6 || (extension.data.length + 2) % 8 !== 0)
        throw new EncodeError(`ipv6.${extension.kind}`, "not a multiple of 8 bytes");
      writer.u8((extension.data.length + 2) / 8 - 1, `ipv6.${extension.kind}.length`);
      writer.put(extension.data);
      return;
  }
}

/** Fills the payload length of the header at `at`, once all behind it is written. Throws `EncodeError` beyond 65,535 bytes. */
export function closeIpv6Header(writer: Writer, at: number, ipv6: Pick<Ipv6Spec, "extensions">): void {
  writer.patchU16(at + 4, writer.at - at - 40, "ipv6.length");
  let header = at + 40;
  for (const extension of ipv6.extensions ?? []) {
    header += extension.kind === "fragment" ? 8 : extension.data.length + 2;
    if (extension.kind === "fragment" && extension.offset + writer.at - header > 0xffff) {
      throw new EncodeError("ipv6.fragment.offset", "the fragment ends beyond 65,535 bytes");
    }
  }
}
