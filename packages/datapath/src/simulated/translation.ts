/**
 * How a packet is written whose connection has its source translated (RFC 3022), and the packet that an ICMP error quotes as well (RFC 5508, section 4.2).
 * Checksums are corrected by the difference, as a switch does; ICMP's is made anew where the quotation changes.
 */
import { checksum, Frame } from "@selvage/packet";
import { IpProto } from "@selvage/pipeline";
import type { Side } from "./tuple.ts";

/** An address (hexadecimal digits), and a port where the protocol has ports. */
export type Written = Pick<Side, "address" | "port">;

/** What is written into a packet, and into the one that it quotes. */
export interface Rewrite {
  readonly source?: Written;
  readonly destination?: Written;
  readonly quotedSource?: Written;
  readonly quotedDestination?: Written;
}

/** The frame with other addresses and ports; of an ICMP message only its addresses are another, for its number is never translated. */
export function rewritten(frame: Frame, rewrite: Rewrite): Frame {
  const { source, destination, quotedSource, quotedDestination } = rewrite;
  const made = frame.clone();
  if (source !== undefined) {
    made.setBits("ip_src", BigInt(`0x${source.address}`));
    for (const name of ["tcp_src", "udp_src"] as const) made.setBits(name, BigInt(source.port));
  }
  if (destination !== undefined) {
    made.setBits("ip_dst", BigInt(`0x${destination.address}`));
    for (const name of ["tcp_dst", "udp_dst"] as const) made.setBits(name, BigInt(destination.port));
  }
  if (quotedSource === undefined && quotedDestination === undefined) return made;
  const bytes = made.toBytes();
  const at = made.networkOffset;
  const icmp = bytes.subarray(at + headerLength(bytes.subarray(at)), at + word(bytes, at + 2));
  const quoted = icmp.subarray(8);
  if (quotedSource !== undefined) writeQuoted(quoted, { address: 12, port: 0 }, quotedSource);
  if (quotedDestination !== undefined) writeQuoted(quoted, { address: 16, port: 2 }, quotedDestination);
  put(icmp, 2, 0);
  put(icmp, 2, checksum(icmp, 0, icmp.length));
  return new Frame(bytes);
}

/** Of a quoted packet at least the first eight bytes behind its header are there (RFC 792); a checksum that is not there is not corrected. */
function writeQuoted(packet: Uint8Array, at: { readonly address: number; readonly port: number }, to: Written): void {
  const upper = packet.subarray(headerLength(packet));
  const protocol = packet[9];
  const address = Number.parseInt(to.address, 16);
  const old = [word(packet, at.address), word(packet, at.address + 2)] as const;
  const now = [address >>> 16, address & 0xffff] as const;
  for (const half of [0, 1] as const) {
    correct(packet, 10, old[half], now[half]);
    put(packet, at.address + 2 * half, now[half]);
  }
  const sum = protocol === IpProto.tcp ? 16 : protocol === IpProto.udp ? 6 : undefined;
  if (sum === undefined) return;
  const isThere = protocol === IpProto.tcp ? upper.length >= 20 : word(upper, sum) !== 0;
  const ports = [word(upper, at.port), to.port] as const;
  put(upper, at.port, to.port);
  if (!isThere) return;
  for (const half of [0, 1] as const) correct(upper, sum, old[half], now[half]);
  correct(upper, sum, ...ports);
  if (protocol === IpProto.udp && word(upper, sum) === 0) put(upper, sum, 0xffff);
}

const word = (bytes: Uint8Array, at: number): number => (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
const headerLength = (packet: Uint8Array): number => ((packet[0] ?? 0) & 15) * 4;

function put(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value & 255;
}

/** A checksum over a word that is another now (RFC 1624, equation 3). */
function correct(bytes: Uint8Array, at: number, before: number, after: number): void {
  let sum = (~word(bytes, at) & 0xffff) + (~before & 0xffff) + after;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  put(bytes, at, ~sum & 0xffff);
}
