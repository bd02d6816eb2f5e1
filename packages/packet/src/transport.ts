/** UDP (RFC 768) and TCP (RFC 9293) headers. */

import { checkWidth, EncodeError, noBytes, type Reader, readU16, type Writer } from "./bytes.ts";

/** The UDP ports whose payload this package decodes (IANA): a datagram to one of them is taken for its protocol. */
export const UdpPort = {
  dhcpServer: 67,
  dhcpClient: 68,
  dhcpv6Client: 546,
  dhcpv6Server: 547,
  vxlan: 4789,
  geneve: 6081,
} as const;

/** A UDP header: ports. Length and checksum follow from the rest. */
export interface Udp {
  readonly src: number;
  readonly dst: number;
}

/** The control bits of RFC 9293 section 3.1, as they stand in the 8 bits of `Tcp.flags`. */
export const TcpFlag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128 } as const;

/** A TCP header; `flags` is a set of `TcpFlag`, `options` are the raw bytes behind the fixed 20, padding included. */
export interface Tcp {
  readonly src: number;
  readonly dst: number;
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  readonly window: number;
  readonly urgent: number;
  readonly options: Uint8Array;
}

/** What a caller must say of a TCP header: all else is 0 or empty. */
export type TcpSpec = Pick<Tcp, "src" | "dst" | "flags"> & Partial<Tcp>;

/** A UDP header read: its length is checked against what the IP header announced; `checksum` is as it came (0: none). */
export interface UdpHeader {
  readonly udp: Udp;
  readonly length: number;
  readonly checksum: number;
}

export function readUdpHeader(reader: Reader): UdpHeader {
  const at = reader.at;
  const src = reader.u16();
  const dst = reader.u16();
  const length = reader.u16();
  const checksum = reader.u16();
  if (length < 8) reader.fail("length", at + 4);
  if (length > reader.end - at) reader.fail("truncated", at + 4);
  return { udp: { src, dst }, length, checksum };
}

/** Writes a header with its length and checksum open, and gives its offset. */
export function writeUdpHeader(writer: Writer, udp: Udp): number {
  const at = writer.at;
  writer.u16(udp.src, "udp.src");
  writer.u16(udp.dst, "udp.dst");
  writer.u32(0, "udp.length");
  return at;
}

export function readTcp(reader: Reader): Tcp {
  const at = reader.at;
  const src = reader.u16();
  const dst = reader.u16();
  const seq = reader.u32();
  const ack = reader.u32();
  const headerLength = (reader.u8() >>> 4) * 4;
  const flags = reader.u8();
  const window = reader.u16();
  reader.skip(2);
  const urgent = reader.u16();
  if (headerLength < 20) reader.fail("length", at + 12);
  return { src, dst, seq, ack, flags, window, urgent, options: reader.take(headerLength - 20) };
}

/** Writes a header with its checksum open, and gives its offset. */
export function writeTcpHeader(writer: Writer, tcp: TcpSpec): number {
  const { seq = 0, ack = 0, window = 0, urgent = 0, options = noBytes } = tcp;
  if (options.length > 40 || options.length % 4 !== 0)
    throw new EncodeError("tcp.options", `${options.length} bytes are not 0 to 10 words`);
  const at = writer.at;
  writer.u16(tcp.src, "tcp.src");
  writer.u16(tcp.dst, "tcp.dst");
  writer.u32(seq, "tcp.seq");
  writer.u32(ack, "tcp.ack");
  writer.u8((5 + options.length / 4) << 4, "tcp.offset");
  writer.u8(tcp.flags, "tcp.flags");
  writer.u16(window, "tcp.window");
  writer.u16(0, "tcp.checksum");
  writer.u16(urgent, "tcp.urgent");
  writer.put(options);
  return at;
}

/** The option that announces a maximum segment size in bytes (RFC 9293 section 3.7.1), ready to be `Tcp.options`. */
export function mssOption(size: number): Uint8Array {
  checkWidth(size, 16, "tcp.mss");
  return Uint8Array.of(2, 4, size >>> 8, size & 0xff);
}

/** The maximum segment size in raw TCP options, if one is announced and the options before it are well formed. */
export function mssOf(options: Uint8Array): number | undefined {
  for (let at = 0; at < options.length; ) {
    const kind = options[at]!;
    if (kind === 0) return undefined;
    if (kind === 1) {
      at++;
      continue;
    }
    const length = options[at + 1];
    if (length === undefined || length < 2 || at + length > options.length) return undefined;
    if (kind === 2) return length === 4 ? readU16(options, at + 2) : undefined;
    at += length;
  }
  return undefined;
}
