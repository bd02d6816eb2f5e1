/** Ethernet II frames (RFC 894, IEEE 802.3 clause 3) with at most one 802.1Q tag. */

import { readMac, writeMac } from "./address.ts";
import { checkWidth, type Reader, type Writer } from "./bytes.ts";

/** The EtherTypes that this package decodes (IANA, "IEEE 802 numbers"). */
export const EtherType = {
  ipv4: 0x0800,
  arp: 0x0806,
  vlan: 0x8100,
  ipv6: 0x86dd,
  transparentEthernet: 0x6558,
} as const;

/** An 802.1Q tag: `id` 0 is a priority tag, no VLAN; `priority` is 0 to 7. */
export interface Vlan {
  readonly id: number;
  readonly priority: number;
  readonly dropEligible: boolean;
}

/** The header of a frame. `type` is that of what follows the tag, if there is one; below 0x600 it is an 802.3 length. */
export interface Ethernet {
  readonly src: string;
  readonly dst: string;
  readonly type: number;
  readonly vlan?: Vlan;
}

/** What a caller must say of a frame: `type` follows from the next layer where that is decoded, so it may be left out there. */
export interface EthernetSpec {
  readonly src: string;
  readonly dst: string;
  readonly type?: number;
  readonly vlan?: Pick<Vlan, "id"> & Partial<Vlan>;
}

/** Reads a frame's header. A second tag is not taken apart: it shows as `type` 0x8100 with the rest as payload. */
export function readEthernet(reader: Reader): Ethernet {
  const at = reader.skip(12);
  const dst = readMac(reader.bytes, at);
  const src = readMac(reader.bytes, at + 6);
  const type = reader.u16();
  if (type !== EtherType.vlan) return { src, dst, type };
  const tag = reader.u16();
  const vlan: Vlan = { id: tag & 0xfff, priority: tag >>> 13, dropEligible: (tag & 0x1000) !== 0 };
  return { src, dst, type: reader.u16(), vlan };
}

/** Writes a frame's header with the EtherType that `encode` found right. */
export function writeEthernet(writer: Writer, eth: EthernetSpec, type: number): void {
  const at = writer.reserve(12);
  writeMac(writer.buffer, at, eth.dst, "eth.dst");
  writeMac(writer.buffer, at + 6, eth.src, "eth.src");
  if (eth.vlan !== undefined) {
    const { id, priority = 0, dropEligible = false } = eth.vlan;
    checkWidth(id, 12, "eth.vlan.id");
    checkWidth(priority, 3, "eth.vlan.priority");
    writer.u16(EtherType.vlan, "eth.type");
    writer.u16((priority << 13) | (dropEligible ? 0x1000 : 0) | id, "eth.vlan");
  }
  writer.u16(type, "eth.type");
}
