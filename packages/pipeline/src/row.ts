/** A row: what an app says in a table's own terms. Frozen data with a canonical text, so that equal rows are equal strings. */
import type { EngineRow } from "@selvage/model";
import type { Field, ValueKind } from "./fields.ts";
import type { Action, Actions, AnyTable, Column, Columns, Table } from "./table.ts";

type ValueOf<K extends ValueKind> = K extends "int" ? number : string;

type ColumnValue<C> =
  C extends Column<Field<infer K>, infer M> ? (M extends "prefix" | "masked" ? string : ValueOf<K>) : never;

type RequiredColumns<C extends Columns> = { [K in keyof C]: C[K] extends Column<Field, "exact"> ? K : never }[keyof C];

/** The key that a table's row takes: exact columns always, the others when they matter. */
export type KeyOf<C extends Columns> = { readonly [K in RequiredColumns<C>]: ColumnValue<C[K]> } & {
  readonly [K in Exclude<keyof C, RequiredColumns<C>>]?: ColumnValue<C[K]>;
};

export type ArgsOf<A extends Actions, N extends keyof A> = {
  readonly [K in keyof A[N]["params"]]: ValueOf<A[N]["params"][K]>;
};

export type RowValue = number | string;

export interface Row extends EngineRow {
  readonly table: string;
  /** Name of one of the table's ranks, where it has them. */
  readonly rank?: string;
  readonly key: Readonly<Record<string, RowValue>>;
  readonly action: string;
  readonly args: Readonly<Record<string, RowValue>>;
}

/** A table's row, or a ranked table's row with its rank. Throws TypeError on a value that is missing, undefined or not a number where one belongs. */
export function row<C extends Columns, A extends Actions, R extends string, N extends keyof A & string>(
  table: Table<C, A, R>,
  key: KeyOf<C> & ([R] extends [never] ? unknown : { readonly rank?: never }),
  action: N,
  ...rest: keyof A[N]["params"] extends never ? [args?: Record<never, never>, rank?: R] : [args: ArgsOf<A, N>, rank?: R]
): Row {
  return makeRow(
    table,
    key as Readonly<Record<string, RowValue | undefined>>,
    action,
    (rest[0] ?? {}) as Readonly<Record<string, RowValue>>,
    rest[1],
  );
}

/** As `row`, from untyped parts: constants of the program and rows read from elsewhere. Checks names, kinds and widths. Throws TypeError. */
export function makeRow(
  table: AnyTable,
  key: Readonly<Record<string, RowValue | undefined>>,
  action: string,
  args: Readonly<Record<string, RowValue>>,
  rank?: string,
): Row {
  const declared: Action | undefined = Object.hasOwn(table.actions, action) ? table.actions[action] : undefined;
  if (declared === undefined) throw new TypeError(`${table.name}: no action ${action}`);
  const hasRanks = table.scheme === "ranked" || table.scheme === "clauses";
  if (!hasRanks ? rank !== undefined : rank === undefined || !Object.hasOwn(table.ranks, rank)) {
    const ranks = Object.keys(table.ranks).join(", ");
    throw new TypeError(`${table.name}: ${ranks === "" ? "it has no ranks" : `a row needs one of the ranks ${ranks}`}`);
  }
  const cleanKey: Record<string, RowValue> = {};
  for (const [name, column] of Object.entries<Column>(table.columns)) {
    const value = key[name];
    if (value === undefined) {
      if (column.match === "exact") throw new TypeError(`${table.name}: column ${name} is missing`);
      continue;
    }
    const kind = column.match === "prefix" || column.match === "masked" ? "name" : column.field.kind;
    checkValue(`${table.name}.${name}`, kind, value);
    checkWidth(`${table.name}.${name}`, column.field, value);
    cleanKey[name] = value;
  }
  for (const name of Object.keys(key)) {
    if (table.columns[name] === undefined) throw new TypeError(`${table.name}: no column ${name}`);
  }
  const cleanArgs: Record<string, RowValue> = {};
  for (const [name, kind] of Object.entries<ValueKind>(declared.params)) {
    const value = args[name];
    if (value === undefined) throw new TypeError(`${table.name}: action ${action} needs ${name}`);
    checkValue(`${table.name}.${action}.${name}`, kind, value);
    for (const step of declared.steps) {
      if (step.do === "set" && step.to.from === "param" && step.to.name === name)
        checkWidth(`${table.name}.${action}.${name}`, step.field, value);
    }
    cleanArgs[name] = value;
  }
  for (const name of Object.keys(args)) {
    if (declared.params[name] === undefined) throw new TypeError(`${table.name}: ${action} has no parameter ${name}`);
  }
  if (table.scheme === "clauses") checkClause(table, rank, declared, cleanKey, cleanArgs);
  return rowOf(table, cleanKey, action, cleanArgs, rank);
}

/** A row of values that are known to be right, in the order of the declaration. */
export function rowOf(
  table: AnyTable,
  key: Readonly<Record<string, RowValue>>,
  action: string,
  args: Readonly<Record<string, RowValue>>,
  rank: string | undefined,
): Row {
  const id = `${table.name}(${rank === undefined ? "" : `${rank}: `}${textOf(key)})`;
  const body = `${action}(${textOf(args)})`;
  Object.freeze(key);
  Object.freeze(args);
  return Object.freeze(
    rank === undefined
      ? { table: table.name, key, action, args, id, body }
      : { table: table.name, rank, key, action, args, id, body },
  );
}

/** A clause counts its rule's parts, and is one of them; a verdict is of the rule alone. */
function checkClause(
  table: AnyTable,
  rank: string | undefined,
  action: Action,
  key: Readonly<Record<string, RowValue>>,
  args: Readonly<Record<string, RowValue>>,
): void {
  const ranks: Readonly<Record<string, number>> = table.ranks;
  const part = ranks[rank ?? ""] ?? 0;
  if (part === 0 && action.steps.length === 0) throw new TypeError(`${table.name}: a clause is no verdict`);
  if (part === 0 && Object.keys(key).length !== 1) throw new TypeError(`${table.name}: a verdict is of the rule alone`);
  if (part > 0 && !(Number(args.of) >= 2 && part <= Number(args.of)))
    throw new TypeError(`${table.name}: part ${part} of a rule that has ${args.of}`);
}

function checkValue(where: string, kind: ValueKind, value: RowValue): void {
  if (
    kind === "int" ? !Number.isSafeInteger(value) || (value as number) < 0 : typeof value !== "string" || value === ""
  ) {
    throw new TypeError(`${where}: ${String(value)} is not a value of kind ${kind}`);
  }
}

function checkWidth(where: string, field: Field, value: RowValue): void {
  if (typeof value === "number" && value >= 2 ** field.bits)
    throw new TypeError(`${where}: ${value} does not fit into ${field.bits} bits`);
}

function textOf(values: Readonly<Record<string, RowValue>>): string {
  let text = "";
  for (const name in values) text += `${text === "" ? "" : ", "}${name}=${values[name]}`;
  return text;
}

/** `classify(ingress=…) → machine(net=5, port=7)`: one line of golden text. */
export const rowText = (row: Row): string => `${row.id} → ${row.body}`;
