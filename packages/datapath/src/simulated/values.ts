/** Row values as numbers: canonical text of the row on one side, what a field holds on the other. */
import { type Ip, parseIp, parseMac, textOfIp, valueOfIp } from "@selvage/model";
import type { Column, Field, RowValue } from "@selvage/pipeline";

/** What a field holds: a number of its width; the name of an ingress; or an outer address as text, for its header tells its family. */
export type FieldValue = bigint | string;

const ones = (bits: number): bigint => (1n << BigInt(bits)) - 1n;

/** Reads one value of a row. Throws TypeError on what is not of the field's kind or wider than the field. */
export function valueFrom(field: Field, value: RowValue): FieldValue {
  if (field.kind === "name") return String(value);
  if (field.kind === "ip" && field.home === "tunnel") return textOfIp(addressFrom(field, value));
  const read = numberFrom(field, value);
  if (read < 0n || read > ones(field.bits))
    throw new TypeError(`${field.name}: ${value} does not fit into ${field.bits} bits`);
  return read;
}

function numberFrom(field: Field, value: RowValue): bigint {
  switch (field.kind) {
    case "int":
      return wholeFrom(field, value);
    case "mac":
      return BigInt(macFrom(field, value));
    case "ip4":
    case "ip6":
    case "ip":
      return valueOfIp(addressFrom(field, value));
    case "name":
      throw new TypeError(`${field.name}: the name ${value} is no number`);
  }
}

function addressFrom(field: Field, value: RowValue): Ip {
  const ip = parseIp(String(value));
  if (ip === undefined) throw new TypeError(`${field.name}: ${value} is not an address`);
  return ip;
}

function macFrom(field: Field, value: RowValue): number {
  const mac = parseMac(String(value));
  if (mac === undefined) throw new TypeError(`${field.name}: ${value} is not a MAC address`);
  return mac;
}

function wholeFrom(field: Field, value: RowValue): bigint {
  if (typeof value === "number" ? Number.isSafeInteger(value) : /^(0x[0-9a-f]+|\d+)$/.test(value)) return BigInt(value);
  throw new TypeError(`${field.name}: ${value} is not a whole number`);
}

/** A column's value with its mask: all ones for an exact match, undefined for a column left out. Names have no mask. */
export interface MaskedValue {
  readonly value: FieldValue;
  readonly mask: bigint;
  /** How many bits a prefix has; 0 for other matches. */
  readonly length: number;
}

/** What a column of a row asks of its field; undefined where the row leaves it out. Throws TypeError on what it cannot ask. */
export function maskedFrom(column: Column, value: RowValue | undefined): MaskedValue | undefined {
  const { field, match } = column;
  if (value === undefined) {
    if (match === "exact") throw new TypeError(`${field.name}: an exact column is missing`);
    return undefined;
  }
  const all = ones(field.bits);
  if (match === "exact" || match === "optional") return { value: valueFrom(field, value), mask: all, length: 0 };
  const [text = "", after = ""] = String(value).split("/");
  const parsed = valueFrom(field, text);
  if (typeof parsed === "string") throw new TypeError(`${field.name}: names have no ${match}`);
  if (match === "masked") {
    const mask = valueFrom(field, after);
    if (typeof mask === "string") throw new TypeError(`${field.name}: ${after} is not a mask`);
    return { value: parsed & mask, mask, length: 0 };
  }
  const length = Number(wholeFrom(field, after));
  if (length > field.bits) throw new TypeError(`${field.name}: ${value} is not a prefix`);
  const mask = all ^ ones(field.bits - length);
  return { value: parsed & mask, mask, length };
}

/** The low bits of a value that a field can hold. */
export const fitted = (field: Field, value: FieldValue): FieldValue =>
  typeof value === "string" ? value : value & ones(field.bits);
