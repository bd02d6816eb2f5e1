/**
 * One way to write each match, so that what was sent and what the switch tells can be compared: Open vSwitch answers in OpenFlow 1.5
 * with `xregN` where it was given `regN`, `vlan_vid` for `vlan_tci`, `ip_dscp` for `nw_tos`, and in an order of its own (ovs-fields(7)).
 */
import type { FieldMatch, FieldValue, Match, RawField } from "./field.ts";
import { type Field, type FieldName, fields } from "./field-table.ts";

/** The 32-bit registers in which a wide register lies, the most significant first. */
const registers: ReadonlyMap<FieldName, readonly FieldName[]> = wideRegisters();

/**
 * The same match in canonical form: wide registers as `regN`, no masks of all ones, no conditions without bits, no value bits outside
 * the mask, wide values as bigint, ordered by name.
 */
export function canonicalMatch(match: Match): Match {
  const canonical: (FieldMatch | RawField)[] = [];
  for (const item of match) {
    if (item.field === "raw") canonical.push(item);
    else for (const part of split(item)) push(canonical, part);
  }
  return canonical.sort((a, b) => (a.field < b.field ? -1 : a.field > b.field ? 1 : 0));
}

/** The value of a field in a match, looked for in wider registers and in its narrower ones too; undefined where it is not matched. A packet-in leaves out what is zero. */
export function fieldValue(match: Match, name: FieldName): FieldValue | undefined {
  const found = match.find((item): item is FieldMatch => item.field === name);
  if (found !== undefined) return found.value;
  const canonical = canonicalMatch(match);
  const at = (field: FieldName): FieldValue | undefined =>
    canonical.find((item): item is FieldMatch => item.field === field)?.value;
  const words = registers.get(name)?.map(at);
  if (words === undefined || words.every((word) => word === undefined)) return at(name);
  return words.reduce<bigint>((all, word) => (all << 32n) | BigInt(typeof word === "number" ? word : 0), 0n);
}

function split(item: FieldMatch): readonly FieldMatch[] {
  const parts = registers.get(item.field);
  if (parts !== undefined) return splitRegister(item, parts);
  if (item.field === "vlan_tci") return splitVlan(item);
  if (item.field === "nw_tos") {
    const mask = item.mask === undefined ? 0x3f : Number(item.mask) >> 2;
    return [{ field: "ip_dscp", value: Number(item.value) >> 2, mask }];
  }
  return [item];
}

function splitRegister(item: FieldMatch, parts: readonly FieldName[]): readonly FieldMatch[] {
  const word = (value: FieldValue | undefined, index: number) =>
    value === undefined || value instanceof Uint8Array
      ? 0xffff_ffff
      : Number((BigInt(value) >> BigInt(32 * (parts.length - 1 - index))) & 0xffff_ffffn);
  return parts.map((field, index) => ({ field, value: word(item.value, index), mask: word(item.mask, index) }));
}

/** A tag control word without a tag, or with only some priority bits, has no other form. */
function splitVlan(item: FieldMatch): readonly FieldMatch[] {
  const value = Number(item.value);
  const mask = item.mask === undefined ? 0xffff : Number(item.mask);
  const priority = mask >> 13;
  if (priority !== 0 && (priority !== 7 || (value & mask & 0x1000) === 0)) return [item];
  const vid: FieldMatch = { field: "vlan_vid", value: value & 0x1fff, mask: mask & 0x1fff };
  return priority === 0 ? [vid] : [vid, { field: "vlan_pcp", value: value >> 13 }];
}

function push(canonical: (FieldMatch | RawField)[], { field, value, mask }: FieldMatch): void {
  const known = fields[field];
  if (value instanceof Uint8Array || mask instanceof Uint8Array) {
    canonical.push(bytesMatch(field, value, mask));
    return;
  }
  const full = (1n << BigInt(known.bits)) - 1n;
  const bits = mask === undefined ? full : BigInt(mask) & full;
  if (bits === 0n) return;
  const kept = shape(known, BigInt(value) & bits);
  canonical.push(bits === full ? { field, value: kept } : { field, value: kept, mask: shape(known, bits) });
}

function bytesMatch(field: FieldName, value: FieldValue, mask: FieldValue | undefined): FieldMatch {
  const exact = mask instanceof Uint8Array && mask.every((byte) => byte === 0xff);
  return mask === undefined || exact ? { field, value } : { field, value, mask };
}

function shape(known: Field, value: bigint): FieldValue {
  return known.form === "bigint" ? value : Number(value);
}

/** The casts say that the bounds of the loops keep to the literal numbers in the names. */
function wideRegisters(): ReadonlyMap<FieldName, readonly FieldName[]> {
  const reg = (index: number) => `reg${index as 0}` as const;
  const wide = new Map<FieldName, readonly FieldName[]>();
  for (let i = 0; i < 8; i += 1) wide.set(`xreg${i as 0}`, [reg(2 * i), reg(2 * i + 1)]);
  for (let i = 0; i < 4; i += 1)
    wide.set(
      `xxreg${i as 0}`,
      [0, 1, 2, 3].map((word) => reg(4 * i + word)),
    );
  return wide;
}
