/** The headers of the two tunnels: VXLAN (RFC 7348 section 5) and Geneve with options (RFC 8926 sections 3.4 and 3.5). */

import { checkWidth, EncodeError, type Reader, type Writer } from "./bytes.ts";
import { EtherType } from "./ethernet.ts";

/** A VXLAN header: the 24-bit network identifier. The inner Ethernet frame is the packet's payload. */
export interface Vxlan {
  readonly vni: number;
}

/** An option of Geneve: `critical` is the top bit of its type, `type` the 7 bits below it, `data` up to 124 bytes in whole words. */
export interface GeneveOption {
  readonly class: number;
  readonly type: number;
  readonly critical: boolean;
  readonly data: Uint8Array;
}

/** A Geneve header. The inner frame (of EtherType `protocol`) is the packet's payload; the header's C bit follows from the options. */
export interface Geneve {
  readonly vni: number;
  readonly protocol: number;
  readonly oam: boolean;
  readonly options: readonly GeneveOption[];
}

/** What a caller must say of a Geneve header: the protocol is transparent Ethernet, all else unset unless said. */
export type GeneveSpec = Pick<Geneve, "vni"> & Partial<Geneve>;

export function readVxlan(reader: Reader): Vxlan {
  const at = reader.at;
  const flags = reader.u8();
  reader.skip(3);
  const vni = reader.u24();
  reader.skip(1);
  // Without the I bit the identifier is not valid; all other bits are ignored on receipt.
  if ((flags & 0x08) === 0) reader.fail("value", at);
  return { vni };
}

export function writeVxlan(writer: Writer, vxlan: Vxlan): void {
  writer.u8(0x08, "vxlan.flags");
  writer.u24(0, "vxlan.reserved");
  writer.u24(vxlan.vni, "vxlan.vni");
  writer.u8(0, "vxlan.reserved");
}

export function readGeneve(reader: Reader): Geneve {
  const at = reader.at;
  const first = reader.u8();
  if (first >>> 6 !== 0) reader.fail("version", at);
  const flags = reader.u8();
  const protocol = reader.u16();
  const vni = reader.u24();
  reader.skip(1);
  const part = reader.part((first & 0x3f) * 4);
  const options: GeneveOption[] = [];
  while (part.left > 0) {
    const optionClass = part.u16();
    const type = part.u8();
    const length = (part.u8() & 0x1f) * 4;
    // An option that runs over the end of the options makes the packet one to drop (RFC 8926 section 3.5).
    if (length > part.left) part.fail("length", part.at - 1);
    options.push({ class: optionClass, type: type & 0x7f, critical: type >= 0x80, data: part.take(length) });
  }
  const critical = options.some((option) => option.critical);
  if (critical && (flags & 0x40) === 0) reader.fail("value", at + 1);
  return { vni, protocol, oam: (flags & 0x80) !== 0, options };
}

export function writeGeneve(writer: Writer, geneve: GeneveSpec): void {
  const { protocol = EtherType.transparentEthernet, oam = false, options = [] } = geneve;
  const at = writer.reserve(2);
  writer.u16(protocol, "geneve.protocol");
  writer.u24(geneve.vni, "geneve.vni");
  writer.u8(0, "geneve.reserved");
  for (const option of options) {
    if (option.data.length > 124 || option.data.length % 4 !== 0)
      throw new EncodeError("geneve.option.data", `${option.data.length} bytes are not 0 to 31 words`);
    checkWidth(option.type, 7, "geneve.option.type");
    writer.u16(option.class, "geneve.option.class");
    writer.u8((option.critical ? 0x80 : 0) | option.type, "geneve.option.type");
    writer.u8(option.data.length / 4, "geneve.option.length");
    writer.put(option.data);
  }
  const words = (writer.at - at - 8) / 4;
  checkWidth(words, 6, "geneve.options");
  writer.patchU8(at, words, "geneve.options");
  const critical = options.some((option) => option.critical);
  writer.patchU8(at + 1, (oam ? 0x80 : 0) | (critical ? 0x40 : 0), "geneve.flags");
}
