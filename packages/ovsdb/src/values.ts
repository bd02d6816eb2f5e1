/** The codec between column values and their JSON notation: atoms, sets, maps, uuids (RFC 7047 §3.1 `<value>`), and differences of values (ovsdb-server(7) §4.1.14 "Update2"). */

import { ValueError } from "./errors.ts";
import type { Json, JsonObject } from "./json.ts";
import { isArray, isObject } from "./json.ts";
import type { Atom, AtomInput, AtomValue, Column, ColumnInput, ColumnValue, NamedUuid, Row, Table } from "./table.ts";
import { isUuid, ZERO_UUID } from "./table.ts";

/** Any atom as read. */
export type AnyAtom = AtomValue<Atom>;
/** Any column's value as read. */
export type AnyValue = ColumnValue<Column>;
/** Any column's value as it may be written. */
export type AnyInput = ColumnInput<Column>;

const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);

/** Reads an atom. `path` is `Table.column`, for the error. Throws ValueError. */
export function decodeAtom(atom: Atom, json: Json, path: string): AnyAtom {
  switch (atom) {
    case "integer":
      if (typeof json === "number" && Number.isSafeInteger(json)) return json;
      break;
    case "bigInteger":
      if (typeof json === "number" && Number.isSafeInteger(json)) return BigInt(json);
      if (typeof json === "bigint" && json >= INT64_MIN && json <= INT64_MAX) return json;
      break;
    case "real":
      if (typeof json === "number" && Number.isFinite(json)) return json;
      if (typeof json === "bigint") return Number(json);
      break;
    case "boolean":
      if (typeof json === "boolean") return json;
      break;
    case "string":
      if (typeof json === "string") return json;
      break;
    case "uuid":
      if (isArray(json) && json.length === 2 && json[0] === "uuid") {
        const text = json[1];
        if (typeof text === "string" && isUuid(text)) return text;
      }
      break;
  }
  throw new ValueError(path, `${show(json)} is not ${describeAtom(atom)}`);
}

/** Writes an atom. Throws ValueError for what OVSDB cannot carry: unsafe integers, NaN, infinities, text with U+0000 or a lone surrogate (on which the server would end the session). */
export function encodeAtom(atom: Atom, value: AtomInput<Atom>, path: string): Json {
  switch (atom) {
    case "integer":
      if (typeof value === "number" && Number.isSafeInteger(value)) return value;
      break;
    case "bigInteger":
      if (typeof value === "bigint" && value >= INT64_MIN && value <= INT64_MAX) return value;
      break;
    case "real":
      if (typeof value === "number" && Number.isFinite(value)) return value;
      break;
    case "boolean":
      if (typeof value === "boolean") return value;
      break;
    case "string":
      if (typeof value === "string" && isCarriable(value)) return value;
      break;
    case "uuid":
      if (typeof value === "string" && isUuid(value)) return ["uuid", value];
      if (isNamed(value)) return ["named-uuid", value.namedUuid];
      break;
  }
  throw new ValueError(path, `${show(value)} is not ${describeAtom(atom)}`);
}

/** Whether the server's JSON parser takes this text: no U+0000, no lone surrogate. */
export function isCarriable(text: string): boolean {
  return !text.includes("\u0000") && text.isWellFormed();
}

/** Reads a column's value. Throws ValueError; a set with an atom twice, or a map with a key twice, is one. */
export function decodeValue(column: Column, json: Json, path: string): AnyValue {
  switch (column.kind) {
    case "scalar":
      return decodeAtom(column.atom, json, path);
    case "optional": {
      const items = setItems(json, path);
      if (items.length > 1) throw new ValueError(path, `has ${items.length} values where at most one may be`);
      return items.length === 0 ? null : decodeAtom(column.atom, items[0]!, path);
    }
    case "set": {
      const result = new Set<AnyAtom>();
      for (const item of setItems(json, path)) {
        const atom = decodeAtom(column.atom, item, path);
        if (result.has(atom)) throw new ValueError(path, `has ${show(atom)} twice`);
        result.add(atom);
      }
      return result;
    }
    case "map": {
      const pairs = isArray(json) && json.length === 2 && json[0] === "map" ? json[1] : undefined;
      if (!isArray(pairs)) throw new ValueError(path, `${show(json)} is not a map`);
      const result = new Map<AnyAtom, AnyAtom>();
      for (const pair of pairs) {
        if (!isArray(pair) || pair.length !== 2) throw new ValueError(path, `${show(pair)} is not a pair`);
        const key = decodeAtom(column.key, pair[0]!, path);
        if (result.has(key)) throw new ValueError(path, `has the key ${show(key)} twice`);
        result.set(key, decodeAtom(column.value, pair[1]!, path));
      }
      return result;
    }
  }
}

/** Writes a column's value. Throws ValueError. */
export function encodeValue(column: Column, value: AnyInput, path: string): Json {
  switch (column.kind) {
    case "scalar":
      if (value !== null && (typeof value !== "object" || isNamed(value))) return encodeAtom(column.atom, value, path);
      throw new ValueError(path, `${show(value)} is not ${describeAtom(column.atom)}`);
    case "optional":
      if (value === null) return ["set", []];
      if (typeof value !== "object" || isNamed(value)) return encodeAtom(column.atom, value, path);
      throw new ValueError(path, `${show(value)} is neither null nor ${describeAtom(column.atom)}`);
    case "set":
      return ["set", encodeItems(column.atom, value, path)];
    case "map": {
      const entries = mapEntries(value);
      if (entries === null) throw new ValueError(path, `${show(value)} is not a map`);
      return ["map", entries.map(([k, v]) => [encodeAtom(column.key, k, path), encodeAtom(column.value, v, path)])];
    }
  }
}

/** The JSON items of a set of `atom`; also the form of the keys that a mutation deletes from a map. Throws ValueError, also for an item given twice. */
export function encodeItems(atom: Atom, value: AnyInput, path: string): readonly Json[] {
  if (!(value instanceof Set) && !isInputArray(value)) throw new ValueError(path, `${show(value)} is not a set`);
  const seen = new Set<string>();
  const items: Json[] = [];
  for (const item of value) {
    const json = encodeAtom(atom, item, path);
    const key = show(json);
    if (seen.has(key)) throw new ValueError(path, `has ${key} twice`);
    seen.add(key);
    items.push(json);
  }
  return items;
}

/** What the server takes a column to hold when nothing was written (RFC 7047 §5.2.1), and leaves out of update2 rows. */
export function defaultValue(column: Column): AnyValue {
  switch (column.kind) {
    case "scalar":
      return defaultAtom(column.atom);
    case "optional":
      return null;
    case "set":
      return new Set();
    case "map":
      return new Map();
  }
}

/**
 * The value after an update2 difference. A column of at most one element is replaced; of a set, the elements named change
 * sides; of a map, a pair that is there goes, a key with another value is replaced, a new key is added. `old` is not changed.
 */
export function applyDifference(column: Column, old: AnyValue, difference: AnyValue): AnyValue {
  if (column.kind === "set" && old instanceof Set && difference instanceof Set) {
    const result = new Set(old);
    for (const item of difference) if (!result.delete(item)) result.add(item);
    return result;
  }
  if (column.kind === "map" && old instanceof Map && difference instanceof Map) {
    const result = new Map(old);
    for (const [key, value] of difference) {
      if (old.get(key) === value) result.delete(key);
      else result.set(key, value);
    }
    return result;
  }
  return difference;
}

/** Whether two values of one column are the same; order in sets and maps does not count. */
export function sameValue(a: AnyValue, b: AnyValue): boolean {
  if (a instanceof Set && b instanceof Set) {
    if (a.size !== b.size) return false;
    for (const item of a) if (!b.has(item)) return false;
    return true;
  }
  if (a instanceof Map && b instanceof Map) {
    if (a.size !== b.size) return false;
    for (const [key, value] of a) if (!b.has(key) || b.get(key) !== value) return false;
    return true;
  }
  return a === b;
}

/** A row's declared columns that are in `json`, by name; columns that are not declared are passed over. Throws ValueError. */
export function decodeColumns(table: Table, json: JsonObject): Map<string, AnyValue> {
  const values = new Map<string, AnyValue>();
  for (const [name, column] of Object.entries(table.columns)) {
    const value = Object.hasOwn(json, name) ? json[name] : undefined;
    if (value !== undefined) values.set(name, decodeValue(column, value, `${table.name}.${name}`));
  }
  return values;
}

/** A frozen row from its identity and a value for every declared column. */
export function makeRow<T extends Table>(
  table: T,
  id: string,
  pickValue: (name: string, column: Column) => AnyValue,
): Row<T> {
  const row: { [name: string]: AnyValue } = { _uuid: id };
  for (const [name, column] of Object.entries(table.columns)) row[name] = pickValue(name, column);
  // Each value was decoded by the very column that the type is derived from; the compiler cannot follow that through a loop.
  return Object.freeze(row) as Row<T>;
}

function defaultAtom(atom: Atom): AnyAtom {
  switch (atom) {
    case "integer":
    case "real":
      return 0;
    case "bigInteger":
      return 0n;
    case "boolean":
      return false;
    case "string":
      return "";
    case "uuid":
      return ZERO_UUID;
  }
}

/** A set of one element may stand without its brackets (RFC 7047 §3.1). */
function setItems(json: Json, path: string): readonly Json[] {
  if (!isArray(json) || json[0] !== "set") return [json];
  const items = json[1];
  if (json.length !== 2 || !isArray(items)) throw new ValueError(path, `${show(json)} is not a set`);
  return items;
}

function mapEntries(value: AnyInput): readonly (readonly [AtomInput<Atom>, AtomInput<Atom>])[] | null {
  if (value instanceof Map) return [...value];
  if (typeof value !== "object" || value === null || value instanceof Set || isInputArray(value) || isNamed(value)) {
    return null;
  }
  return Object.entries(value);
}

function isInputArray(value: AnyInput): value is readonly AtomInput<Atom>[] {
  return Array.isArray(value);
}

function isNamed(value: AnyInput): value is NamedUuid {
  return (
    typeof value === "object" &&
    value !== null &&
    "namedUuid" in value &&
    typeof value.namedUuid === "string" &&
    Object.keys(value).length === 1
  );
}

function describeAtom(atom: Atom): string {
  switch (atom) {
    case "integer":
      return "an integer within 2^53";
    case "bigInteger":
      return "a 64-bit integer";
    case "real":
      return "a finite number";
    case "boolean":
      return "a boolean";
    case "string":
      return "text without U+0000 or lone surrogates";
    case "uuid":
      return "a UUID";
  }
}

/** Short text of any value for an error message. */
function show(value: unknown): string {
  const text = JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item === "bigint") return `${item}n`;
    if (typeof item === "number" && !Number.isFinite(item)) return String(item);
    if (item instanceof Set || item instanceof Map) return [...item];
    return item;
  });
  if (text === undefined) return String(value);
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}

/** Reads a `<row>` object where one must stand. Throws ValueError naming the table. */
export function asRowObject(table: Table, json: Json | undefined): JsonObject {
  if (isObject(json)) return json;
  throw new ValueError(table.name, `${show(json)} is not a row`);
}
