/** Row values as numbers: canonical text of the row on one side, what a field holds on the other. */
import { macOf, parseIp, valueOfIp } from "@selvage/model";
import type { Column, Field, RowValue } from "@selvage/pipeline";

/** What a field holds: a number of its width, or the name of an ingress. */
export type FieldValue = bigint | string;

/** Reads one value of a row. Throws TypeError on text that is not of the field's kind. */
export function valueFrom(field: Field, value: RowValue): FieldValue {
  switch (field.kind) {
    case "int":
      return BigInt(value);
    case "mac":
      return BigInt(macOf(String(value)));
    case "ip4":
    case "ip6":
    case "ip": {
      const ip = parseIp(String(value));
      if (ip === undefined) throw new TypeError(`${field.name}: ${value} is not an address`);
      return valueOfIp(ip);
    }
    case "name":
      return String(value);
  }
}

/** A column's value with its mask: all ones for an exact match, undefined for a column left out. Names have no mask. */
export interface MaskedValue {
  readonly value: FieldValue;
  readonly mask: bigint;
}

const ones = (bits: number): bigint => (1n << BigInt(bits)) - 1n;

/** What a column of a row asks of its field; undefined where the row leaves it out. */
export function maskedFrom(column: Column, value: RowValue | undefined): MaskedValue | undefined {
  if (value === undefined) return undefined;
  const { field } = column;
  const all = ones(field.bits);
  if (column.match === "exact" || column.match === "optional") return { value: valueFrom(field, value), mask: all };
  const [text = "", after = ""] = String(value).split("/");
  const parsed = valueFrom(field, text);
  if (typeof parsed === "string") throw new TypeError(`${field.name}: names have no ${column.match}`);
  const mask = column.match === "prefix" ? all ^ ones(field.bits - Number(after)) : valueFrom(field, after);
  if (typeof mask === "string") throw new TypeError(`${field.name}: ${after} is not a mask`);
  return { value: parsed & mask, mask };
}

/** The low bits of a value that a field can hold. */
export const fitted = (field: Field, value: FieldValue): FieldValue =>
  typeof value === "string" ? value : value & ones(field.bits);
