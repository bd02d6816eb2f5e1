/** Nicira extension messages: Geneve option mapping, connection flush, packet-in format (Open vSwitch's nicira-ext.h; ovs-fields(7), "Tunnel Fields"). */
import { DecodeError, type Reader, type Writer } from "./wire.ts";

/** Binds a Geneve option to `tun_metadata<index>`. */
export interface TlvMapping {
  readonly optionClass: number;
  readonly optionType: number;
  /** Bytes, a multiple of 4 up to 124. */
  readonly optionLength: number;
  readonly index: number;
}

export interface TlvTableMod {
  readonly kind: "tlvTableMod";
  /** "delete" goes by `index`; "clear" ignores the mappings. */
  readonly command: "add" | "delete" | "clear";
  readonly mappings: readonly TlvMapping[];
}

export interface TlvTable {
  readonly kind: "tlvTableReply";
  /** Bytes of options that the switch can hold. */
  readonly maxSpace: number;
  readonly maxFields: number;
  readonly mappings: readonly TlvMapping[];
}

/** Forgets the connections of a zone. */
export interface CtFlushZone {
  readonly kind: "ctFlushZone";
  readonly zone: number;
}

/** Subtypes of Nicira's messages. */
export const NiciraMessage = {
  setPacketInFormat: 16,
  tlvTableMod: 24,
  tlvTableRequest: 25,
  tlvTableReply: 26,
  resume: 28,
  ctFlushZone: 29,
  packetIn2: 30,
} as const;

const commands: readonly TlvTableMod["command"][] = ["add", "delete", "clear"];

export function encodeTlvTableMod(w: Writer, mod: TlvTableMod): void {
  w.u16(commands.indexOf(mod.command));
  w.zeros(6);
  encodeMappings(w, mod.mappings);
}

export function decodeTlvTableMod(r: Reader): TlvTableMod {
  const number = r.u16();
  const command = commands[number];
  if (command === undefined) throw new DecodeError(`TLV table command ${number}`);
  r.skip(6);
  return { kind: "tlvTableMod", command, mappings: decodeMappings(r) };
}

export function encodeTlvTable(w: Writer, table: TlvTable): void {
  w.u32(table.maxSpace);
  w.u16(table.maxFields);
  w.zeros(10);
  encodeMappings(w, table.mappings);
}

export function decodeTlvTable(r: Reader): TlvTable {
  const maxSpace = r.u32();
  const maxFields = r.u16();
  r.skip(10);
  return { kind: "tlvTableReply", maxSpace, maxFields, mappings: decodeMappings(r) };
}

function encodeMappings(w: Writer, mappings: readonly TlvMapping[]): void {
  for (const mapping of mappings) {
    w.u16(mapping.optionClass);
    w.u8(mapping.optionType);
    w.u8(mapping.optionLength);
    w.u16(mapping.index);
    w.zeros(2);
  }
}

function decodeMappings(r: Reader): readonly TlvMapping[] {
  const mappings: TlvMapping[] = [];
  while (r.left > 0) {
    mappings.push({ optionClass: r.u16(), optionType: r.u8(), optionLength: r.u8(), index: r.u16() });
    r.skip(2);
  }
  return mappings;
}
