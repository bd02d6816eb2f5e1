/** ARP for IPv4 over Ethernet (RFC 826; the address kinds are fixed by it and anything else is refused). */

import { readIpv4, readMac, writeIpv4, writeMac } from "./address.ts";
import type { Reader, Writer } from "./bytes.ts";

/** The operations of RFC 826; others (RARP, InARP) are numbers that pass through unnamed. */
export const ArpOp = { request: 1, reply: 2 } as const;

/** An ARP message: sender's and target's hardware (`sha`, `tha`) and protocol (`spa`, `tpa`) addresses. */
export interface Arp {
  readonly op: number;
  readonly sha: string;
  readonly spa: string;
  readonly tha: string;
  readonly tpa: string;
}

export function readArp(reader: Reader): Arp {
  const at = reader.at;
  if (reader.u16() !== 1) reader.fail("value", at);
  if (reader.u16() !== 0x0800) reader.fail("value", at + 2);
  if (reader.u8() !== 6) reader.fail("length", at + 4);
  if (reader.u8() !== 4) reader.fail("length", at + 5);
  const op = reader.u16();
  const body = reader.skip(20);
  return {
    op,
    sha: readMac(reader.bytes, body),
    spa: readIpv4(reader.bytes, body + 6),
    tha: readMac(reader.bytes, body + 10),
    tpa: readIpv4(reader.bytes, body + 16),
  };
}

export function writeArp(writer: Writer, arp: Arp): void {
  writer.u16(1, "arp.htype");
  writer.u16(0x0800, "arp.ptype");
  writer.u8(6, "arp.hlen");
  writer.u8(4, "arp.plen");
  writer.u16(arp.op, "arp.op");
  const at = writer.reserve(20);
  writeMac(writer.buffer, at, arp.sha, "arp.sha");
  writeIpv4(writer.buffer, at + 6, arp.spa, "arp.spa");
  writeMac(writer.buffer, at + 10, arp.tha, "arp.tha");
  writeIpv4(writer.buffer, at + 16, arp.tpa, "arp.tpa");
}
