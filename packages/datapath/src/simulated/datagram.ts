/** The IP datagram, or the fragment of one, in a frame as connection tracking reads it: lengths and checksums that must be right (RFC 791, RFC 8200). */
import { checksum, Frame } from "@selvage/packet";
import { EthType } from "@selvage/pipeline";

/** Where a fragment belongs (RFC 791; RFC 8200, section 4.5). */
export interface FragmentPlace {
  /** The sender's number of the datagram. */
  readonly id: number;
  /** Where its bytes begin in the datagram's, which are those behind the IPv4 header or the IPv6 fragment header. */
  readonly offset: number;
  readonly more: boolean;
}

export interface Datagram {
  readonly version: 4 | 6;
  /** Addresses as hexadecimal digits. */
  readonly source: string;
  readonly destination: string;
  /** IPv4 protocol or last IPv6 next header; of a later IPv6 fragment 44. */
  readonly protocol: number;
  /** What is behind the IP headers, without what pads the frame. */
  readonly upper: Uint8Array;
  /** Bytes of the packet, IP header included. */
  readonly length: number;
  readonly fragment?: FragmentPlace;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** The datagram of a frame, behind a SNAP header too; undefined where there is none, or where its IP header says what cannot be. */
export function datagramOf(bytes: Uint8Array): Datagram | undefined {
  const frame = new Frame(bytes);
  const packet = bytes.subarray(frame.networkOffset);
  switch (frame.get("eth_type")) {
    case EthType.ipv4:
      return ipv4Of(packet, { verify: true, whole: true });
    case EthType.ipv6:
      return ipv6Of(packet, { whole: true });
    default:
      return undefined;
  }
}

interface Ipv4Strictness {
  /** Whether the header's checksum must be right. */
  readonly verify: boolean;
  /** Whether the packet must be there in full: the one inside an ICMP error is not. */
  readonly whole: boolean;
}

/** An IPv4 packet that begins with the first byte. */
export function ipv4Of(bytes: Uint8Array, { verify, whole }: Ipv4Strictness): Datagram | undefined {
  if (bytes.length < 20) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const header = (view.getUint8(0) & 15) * 4;
  const total = view.getUint16(2);
  if (header < 20 || header > bytes.length) return undefined;
  if (whole && (total < header || total > bytes.length)) return undefined;
  if (verify && checksum(bytes, 0, header) !== 0) return undefined;
  const place = view.getUint16(6);
  const fragment = { id: view.getUint16(4), offset: (place & 0x1fff) * 8, more: (place & 0x2000) !== 0 };
  const end = whole ? total : bytes.length;
  return {
    version: 4,
    source: hex(bytes.subarray(12, 16)),
    destination: hex(bytes.subarray(16, 20)),
    protocol: view.getUint8(9),
    upper: bytes.subarray(header, end),
    length: end,
    ...(fragment.offset > 0 || fragment.more ? { fragment } : {}),
  };
}

const hopByHop = 0;
const routing = 43;
const fragmentHeader = 44;
const authentication = 51;
const destinationOptions = 60;

/** An IPv6 packet that begins with the first byte. Extension headers are gone through as by Open vSwitch, which knows no mobility header. */
export function ipv6Of(bytes: Uint8Array, { whole }: { readonly whole: boolean }): Datagram | undefined {
  if (bytes.length < 40) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const announced = 40 + view.getUint16(4);
  if (whole && announced > bytes.length) return undefined;
  const end = whole ? announced : bytes.length;
  let next = view.getUint8(6);
  let at = 40;
  let fragment: FragmentPlace | undefined;
  for (;;) {
    const length = extensionLength(next, bytes, at);
    if (length === undefined) break;
    if (end - at < 8 || end - at < length) return undefined;
    const kind = next;
    next = view.getUint8(at);
    if (kind === fragmentHeader) {
      const place = view.getUint16(at + 2);
      const found = { id: view.getUint32(at + 4), offset: place & 0xfff8, more: (place & 1) !== 0 };
      if (found.offset > 0 || found.more) fragment = found;
    }
    at += length;
    if (fragment !== undefined && fragment.offset > 0) {
      next = fragmentHeader;
      break;
    }
  }
  return {
    version: 6,
    source: hex(bytes.subarray(8, 24)),
    destination: hex(bytes.subarray(24, 40)),
    protocol: next,
    upper: bytes.subarray(at, end),
    length: end,
    ...(fragment === undefined ? {} : { fragment }),
  };
}

/** Bytes of an extension header; undefined for what is none. */
function extensionLength(kind: number, bytes: Uint8Array, at: number): number | undefined {
  switch (kind) {
    case hopByHop:
    case routing:
    case destinationOptions:
      return ((bytes[at + 1] ?? 0) + 1) * 8;
    case authentication:
      return ((bytes[at + 1] ?? 0) + 2) * 4;
    case fragmentHeader:
      return 8;
    default:
      return undefined;
  }
}

/** Whether the checksum over an upper layer and its pseudo-header is right (RFC 768, RFC 9293, RFC 8200 section 8.1). */
export function hasRightChecksum({ version, source, destination, protocol, upper }: Datagram): boolean {
  const length = upper.length;
  const rest =
    version === 4
      ? [0, protocol, length >> 8, length & 255]
      : [length >>> 24, (length >> 16) & 255, (length >> 8) & 255, length & 255, 0, 0, 0, protocol];
  const summed = Buffer.concat([Buffer.from(source + destination, "hex"), Uint8Array.from(rest), upper]);
  return checksum(summed, 0, summed.length) === 0;
}
