/** Values of rows as numbers: canonical text or a number in the row, the bits of a field in the switch. */
import { macOf, parseIp, valueOfIp, versionOf } from "@selvage/model";
import type { Column, Field, RowValue } from "@selvage/pipeline";

/** The bits that a column asks for, and which of them count. */
export interface MaskedBits {
  readonly value: bigint;
  readonly mask: bigint;
  /** How many bits a prefix has; 0 for the other kinds of match. */
  readonly length: number;
}

/** Reads a value of a row, which is a number or canonical text of an address. Throws TypeError on what a field of that kind cannot hold. */
export function bitsFrom(field: Field, value: RowValue): bigint {
  const read = parsed(field, value);
  if (read >> BigInt(field.bits) !== 0n)
    throw new TypeError(`${field.name}: ${value} has more than ${field.bits} bits`);
  return read;
}

function parsed(field: Field, value: RowValue): bigint {
  switch (field.kind) {
    case "int":
      return BigInt(value);
    case "mac":
      return BigInt(macOf(String(value)));
    case "ip4":
    case "ip6":
    case "ip":
      return valueOfIp(address(field, value));
    case "name":
      throw new TypeError(`${field.name}: the name ${value} has no bits`);
  }
}

/** The family of an address in a row: 4 or 6. Throws TypeError on what is no address. */
export const familyOf = (field: Field, value: RowValue): 4 | 6 => versionOf(address(field, value));

function address(field: Field, value: RowValue) {
  const ip = parseIp(String(value));
  if (ip === undefined) throw new TypeError(`${field.name}: ${value} is not an address`);
  return ip;
}

/** Reads a column's value with its mask: all ones unless the column is a prefix or masked. Throws TypeError. */
export function maskedBits({ field, match }: Column, value: RowValue): MaskedBits {
  const all = (1n << BigInt(field.bits)) - 1n;
  switch (match) {
    case "exact":
    case "optional":
      return { value: bitsFrom(field, value), mask: all, length: 0 };
    case "prefix": {
      const [text = "", after = ""] = String(value).split("/");
      const length = Number(after);
      if (after === "" || !Number.isInteger(length) || length < 0 || length > field.bits) {
        throw new TypeError(`${field.name}: ${value} is not a prefix`);
      }
      const mask = all ^ ((1n << BigInt(field.bits - length)) - 1n);
      return { value: bitsFrom(field, text) & mask, mask, length };
    }
    case "masked": {
      const [text = "", after] = String(value).split("/");
      if (after === undefined) throw new TypeError(`${field.name}: ${value} has no mask`);
      const mask = bitsFrom(field, field.kind === "int" ? Number(after) : after);
      return { value: bitsFrom(field, field.kind === "int" ? Number(text) : text) & mask, mask, length: 0 };
    }
  }
}
