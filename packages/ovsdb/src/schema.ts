/** Reads a server's `<database-schema>` (RFC 7047 §3.2) and holds declared tables against it, so that a mistake is found at connecting and not in a row. */

import { ProtocolError, SchemaMismatchError } from "./errors.ts";
import type { Json, JsonObject } from "./json.ts";
import { isArray, isObject } from "./json.ts";
import type { Atom, Column, Table } from "./table.ts";

/** A column's type as the server has it. */
export type ColumnSchema = {
  readonly key: string;
  /** Set for maps only. */
  readonly value: string | null;
  readonly min: number;
  /** `Infinity` for "unlimited". */
  readonly max: number;
};

/** A database's schema: what this client uses of it. */
export type DatabaseSchema = {
  readonly name: string;
  readonly version: string;
  readonly tables: ReadonlyMap<string, ReadonlyMap<string, ColumnSchema>>;
};

/** Reads the result of `get_schema`. Throws ProtocolError. */
export function parseSchema(json: Json): DatabaseSchema {
  const schema = object(json, "schema");
  const tables = new Map<string, ReadonlyMap<string, ColumnSchema>>();
  for (const [tableName, tableJson] of Object.entries(object(schema.tables, "tables"))) {
    const columns = new Map<string, ColumnSchema>();
    for (const [name, column] of Object.entries(object(object(tableJson, tableName).columns, tableName))) {
      const path = `${tableName}.${name}`;
      columns.set(name, parseType(object(column, path).type, path));
    }
    tables.set(tableName, columns);
  }
  return { name: text(schema.name, "name"), version: text(schema.version, "version"), tables };
}

/** Throws SchemaMismatchError with every difference when a declared table cannot be read from, or written to, this schema. */
export function checkTables(schema: DatabaseSchema, tables: readonly Table[]): void {
  const mismatches: string[] = [];
  for (const table of tables) {
    const columns = schema.tables.get(table.name);
    if (columns === undefined) {
      mismatches.push(`${table.name} does not exist`);
      continue;
    }
    for (const [name, declared] of Object.entries(table.columns)) {
      const actual = columns.get(name);
      if (actual === undefined) mismatches.push(`${table.name}.${name} does not exist`);
      else if (!agrees(declared, actual)) {
        mismatches.push(`${table.name}.${name} is ${describeActual(actual)}, declared ${describeDeclared(declared)}`);
      }
    }
  }
  if (mismatches.length > 0) throw new SchemaMismatchError(schema.name, mismatches);
}

function agrees(declared: Column, actual: ColumnSchema): boolean {
  switch (declared.kind) {
    case "scalar":
      return actual.value === null && actual.min === 1 && actual.max === 1 && actual.key === wireAtom(declared.atom);
    case "optional":
      return actual.value === null && actual.min === 0 && actual.max === 1 && actual.key === wireAtom(declared.atom);
    case "set":
      return actual.value === null && actual.max > 1 && actual.key === wireAtom(declared.atom);
    case "map":
      // A map of at most one pair travels whole in update2, unlike any other: refused, since no schema of ours has one.
      return actual.max > 1 && actual.key === wireAtom(declared.key) && actual.value === wireAtom(declared.value);
  }
}

function wireAtom(atom: Atom): string {
  return atom === "bigInteger" ? "integer" : atom;
}

function parseType(json: Json | undefined, path: string): ColumnSchema {
  if (typeof json === "string") return { key: json, value: null, min: 1, max: 1 };
  const type = object(json, path);
  const max = type.max ?? 1;
  return {
    key: baseType(type.key, path),
    value: type.value === undefined ? null : baseType(type.value, path),
    min: count(type.min ?? 1, path),
    max: max === "unlimited" ? Number.POSITIVE_INFINITY : count(max, path),
  };
}

function baseType(json: Json | undefined, path: string): string {
  return typeof json === "string" ? json : text(object(json, path).type, path);
}

function describeActual(actual: ColumnSchema): string {
  const { key, value, min, max } = actual;
  if (value !== null) return max === 1 ? `a map of at most one ${key} to ${value}` : `a map of ${key} to ${value}`;
  if (max > 1) return `a set of ${key}`;
  return min === 0 ? `an optional ${key}` : `one ${key}`;
}

function describeDeclared(declared: Column): string {
  switch (declared.kind) {
    case "scalar":
      return `one ${wireAtom(declared.atom)}`;
    case "optional":
      return `an optional ${wireAtom(declared.atom)}`;
    case "set":
      return `a set of ${wireAtom(declared.atom)}`;
    case "map":
      return `a map of ${wireAtom(declared.key)} to ${wireAtom(declared.value)}`;
  }
}

function object(json: Json | undefined, what: string): JsonObject {
  if (isObject(json)) return json;
  throw new ProtocolError(`the schema's ${what} is not an object`);
}

function text(json: Json | undefined, what: string): string {
  if (typeof json === "string") return json;
  throw new ProtocolError(`the schema's ${what} is not text`);
}

function count(json: Json, what: string): number {
  if (typeof json === "number" && Number.isInteger(json) && json >= 0) return json;
  throw new ProtocolError(
    `the schema's ${what} has a bound that is not a count: ${isArray(json) ? "array" : String(json)}`,
  );
}
