/** The operations of a transaction, as typed frozen nodes and their JSON (RFC 7047 §5.2). */

import { ValueError } from "./errors.ts";
import type { Json, JsonObject } from "./json.ts";
import type {
  AtomInput,
  AtomValue,
  Column,
  ColumnInput,
  ColumnName,
  MapOf,
  NamedUuid,
  Optional,
  Row,
  RowInput,
  Scalar,
  SetOf,
  Table,
  Uuid,
} from "./table.ts";
import { named } from "./table.ts";
import type { AnyInput } from "./values.ts";
import { encodeAtom, encodeItems, encodeValue, isCarriable } from "./values.ts";

/** The functions of a `<condition>` (RFC 7047 §5.1). */
export type Comparison = "<" | "<=" | "==" | "!=" | ">=" | ">" | "includes" | "excludes";

/** A condition on a row; all conditions of a `where` must hold, and an empty one holds for every row. */
export type Condition<T extends Table = Table> =
  | { readonly [N in ColumnName<T>]: readonly [N, Comparison, ColumnInput<T["columns"][N]>] }[ColumnName<T>]
  | readonly ["_uuid", "==" | "!=", Uuid | NamedUuid];

type ColumnMutation<C extends Column, N extends string> =
  C extends MapOf<infer K, infer V>
    ? readonly [N, "insert", ColumnInput<MapOf<K, V>>] | readonly [N, "delete", ColumnInput<SetOf<K>>]
    : C extends SetOf<infer A>
      ? readonly [N, "insert" | "delete", ColumnInput<SetOf<A>>]
      : C extends Scalar<infer A> | Optional<infer A>
        ? A extends "integer" | "real" | "bigInteger"
          ? readonly [N, "+=" | "-=" | "*=" | "/=" | "%=", AtomInput<A>]
          : never
        : never;

/** A `<mutation>` (RFC 7047 §5.1): arithmetic on numbers, `insert` and `delete` on sets and maps (a map's `delete` names keys). */
export type Mutation<T extends Table = Table> = {
  readonly [N in ColumnName<T>]: ColumnMutation<T["columns"][N], N>;
}[ColumnName<T>];

/** Adds a row. The result is its identity. */
export type Insert = {
  readonly op: "insert";
  readonly table: Table;
  readonly row: JsonObject;
  readonly as: string | null;
};
/** Reads rows. */
export type Select<T extends Table = Table> = {
  readonly op: "select";
  readonly table: T;
  readonly where: readonly Json[];
};
/** Writes columns of the rows that match. */
export type Update = {
  readonly op: "update";
  readonly table: Table;
  readonly where: readonly Json[];
  readonly row: JsonObject;
};
/** Changes columns of the rows that match relative to what they hold. */
export type Mutate = {
  readonly op: "mutate";
  readonly table: Table;
  readonly where: readonly Json[];
  readonly mutations: readonly Json[];
};
/** Deletes the rows that match. */
export type Delete = { readonly op: "delete"; readonly table: Table; readonly where: readonly Json[] };
/** Holds the transaction until the rows that match are, or are not, those given; at most `timeoutMs`. */
export type Wait = {
  readonly op: "wait";
  readonly table: Table;
  readonly where: readonly Json[];
  readonly columns: readonly string[];
  readonly until: "==" | "!=";
  readonly rows: readonly JsonObject[];
  readonly timeoutMs: number | null;
};
/** Text for the server's log of changes. */
export type Comment = { readonly op: "comment"; readonly comment: string };
/** Undoes the transaction. */
export type Abort = { readonly op: "abort" };

/** One operation of a transaction. */
export type Operation = Insert | Select | Update | Mutate | Delete | Wait | Comment | Abort;

/** What an operation gives when it succeeds. */
export type ResultOf<O extends Operation> = O extends Insert
  ? { readonly uuid: Uuid }
  : O extends Select<infer T>
    ? { readonly rows: readonly Row<T>[] }
    : O extends Update | Mutate | Delete
      ? { readonly count: number }
      : Readonly<Record<never, never>>;

/** The results of a list of operations, each in its place. */
export type ResultsOf<Ops extends readonly Operation[]> = { readonly [I in keyof Ops]: ResultOf<Ops[I]> };

/** Inserts a row; columns left out take their default. `as` names it for `named(as)` in the same transaction. Throws ValueError. */
export function insert<T extends Table>(table: T, row: RowInput<T>, as?: string): Insert {
  if (as !== undefined) named(as);
  return Object.freeze({ op: "insert", table, row: encodeRow(table, row), as: as ?? null });
}

/** Reads the declared columns of the rows that match `where`. Throws ValueError. */
export function select<T extends Table>(table: T, where: readonly Condition<T>[]): Select<T> {
  return Object.freeze({ op: "select", table, where: encodeWhere(table, where) });
}

/** Writes the given columns of the rows that match. Throws ValueError. */
export function update<T extends Table>(table: T, where: readonly Condition<T>[], row: RowInput<T>): Update {
  return Object.freeze({ op: "update", table, where: encodeWhere(table, where), row: encodeRow(table, row) });
}

/** Applies mutations, in order, to the rows that match. Throws ValueError. */
export function mutate<T extends Table>(
  table: T,
  where: readonly Condition<T>[],
  mutations: readonly Mutation<T>[],
): Mutate {
  // A Mutation<T> is a [column, mutator, value] for every T; the conditional type is not resolved while T is open.
  const triples = mutations as readonly (readonly [string, string, AnyInput])[];
  return Object.freeze({
    op: "mutate",
    table,
    where: encodeWhere(table, where),
    mutations: triples.map(([name, mutator, value]) => [name, mutator, encodeMutand(table, name, mutator, value)]),
  });
}

/** Deletes the rows that match. (`delete` is a word of the language.) Throws ValueError. */
export function remove<T extends Table>(table: T, where: readonly Condition<T>[]): Delete {
  return Object.freeze({ op: "delete", table, where: encodeWhere(table, where) });
}

/**
 * Waits until the rows that match, cut to `columns`, are (`==`) or are not (`!=`) exactly `rows`. With `timeoutMs: 0` it is an assertion;
 * without it the server waits for ever. Fails the transaction with `timed out`. Throws ValueError.
 */
export function wait<T extends Table>(
  table: T,
  where: readonly Condition<T>[],
  expected: {
    readonly columns: readonly ColumnName<T>[];
    readonly until: "==" | "!=";
    readonly rows: readonly RowInput<T>[];
    readonly timeoutMs?: number;
  },
): Wait {
  return Object.freeze({
    op: "wait",
    table,
    where: encodeWhere(table, where),
    columns: expected.columns,
    until: expected.until,
    rows: expected.rows.map((row) => encodeRow(table, row)),
    timeoutMs: expected.timeoutMs ?? null,
  });
}

/** Puts text into the database's log. Throws ValueError for text that the server cannot carry. */
export function comment(text: string): Comment {
  if (!isCarriable(text)) throw new ValueError("comment", "text with U+0000 or a lone surrogate");
  return Object.freeze({ op: "comment", comment: text });
}

/** Undoes the transaction; its result is then the error `aborted`. */
export function abort(): Abort {
  return Object.freeze({ op: "abort" });
}

/** The condition that selects exactly one row. */
export function byUuid(id: Uuid | NamedUuid): readonly [readonly ["_uuid", "==", Uuid | NamedUuid]] {
  return [["_uuid", "==", id]];
}

/** The JSON of an operation, as `transact` takes it. */
export function encodeOperation(operation: Operation): JsonObject {
  switch (operation.op) {
    case "insert": {
      const { table, row, as } = operation;
      return { op: "insert", table: table.name, row, ...(as === null ? {} : { "uuid-name": as }) };
    }
    case "select": {
      const columns = ["_uuid", ...Object.keys(operation.table.columns)];
      return { op: "select", table: operation.table.name, where: operation.where, columns };
    }
    case "update":
      return { op: "update", table: operation.table.name, where: operation.where, row: operation.row };
    case "mutate":
      return { op: "mutate", table: operation.table.name, where: operation.where, mutations: operation.mutations };
    case "delete":
      return { op: "delete", table: operation.table.name, where: operation.where };
    case "wait": {
      const { table, where, columns, until, rows, timeoutMs } = operation;
      const timeout = timeoutMs === null ? {} : { timeout: timeoutMs };
      return { op: "wait", table: table.name, where, columns, until, rows, ...timeout };
    }
    case "comment":
      return { op: "comment", comment: operation.comment };
    case "abort":
      return { op: "abort" };
  }
}

/** The JSON of the columns to write. Throws ValueError, also for a column that is not declared. */
export function encodeRow<T extends Table>(table: T, row: RowInput<T>): JsonObject {
  const json: { [name: string]: Json } = {};
  for (const [name, value] of Object.entries<AnyInput | undefined>(row)) {
    if (value === undefined)
      throw new ValueError(`${table.name}.${name}`, "undefined (null clears an optional column)");
    json[name] = encodeValue(columnOf(table, name), value, `${table.name}.${name}`);
  }
  return json;
}

/** The JSON of conditions. Throws ValueError. */
export function encodeWhere<T extends Table>(table: T, where: readonly Condition<T>[]): readonly Json[] {
  // A Condition<T> is a [column, function, value] for every T; the mapped type is not resolved while T is open.
  const triples = where as readonly (readonly [string, string, AnyInput])[];
  return triples.map(([name, comparison, value]) => {
    const path = `${table.name}.${name}`;
    const column: Column = name === "_uuid" ? { kind: "scalar", atom: "uuid" } : columnOf(table, name);
    return [name, comparison, encodeValue(column, value, path)];
  });
}

function encodeMutand(table: Table, name: string, mutator: string, value: AnyInput): Json {
  const path = `${table.name}.${name}`;
  const column = columnOf(table, name);
  switch (column.kind) {
    case "scalar":
    case "optional":
      if (value === null) throw new ValueError(path, "null is no operand");
      return encodeAtom(column.atom, singleAtom(value, path), path);
    case "set":
      return encodeValue(column, value, path);
    case "map":
      return mutator === "delete" ? ["set", encodeItems(column.key, value, path)] : encodeValue(column, value, path);
  }
}

function singleAtom(value: AnyInput, path: string): AtomValue<"integer" | "real" | "bigInteger"> {
  if (typeof value === "number" || typeof value === "bigint") return value;
  throw new ValueError(path, "arithmetic needs a number");
}

function columnOf(table: Table, name: string): Column {
  const column = Object.hasOwn(table.columns, name) ? table.columns[name] : undefined;
  if (column === undefined) throw new ValueError(`${table.name}.${name}`, "is not declared");
  return column;
}
