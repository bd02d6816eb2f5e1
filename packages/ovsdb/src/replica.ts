/** A live copy of some tables: rows by identity, changes as they come (RFC 7047 §4.1.5–4.1.6; ovsdb-server(7) §4.1.12–4.1.15). */

import type { CloseCause } from "./errors.ts";
import { ConnectionClosedError, ProtocolError, ValueError } from "./errors.ts";
import type { Json, JsonObject } from "./json.ts";
import { isArray, isObject } from "./json.ts";
import type { Condition } from "./operations.ts";
import { encodeWhere } from "./operations.ts";
import type { Column, Row, Table, Uuid } from "./table.ts";
import { isUuid } from "./table.ts";
import type { AnyValue } from "./values.ts";
import { applyDifference, asRowObject, decodeColumns, defaultValue, makeRow, sameValue } from "./values.ts";

/** One row's change. `modify` always differs in at least one declared column. */
export type Change<T extends Table = Table> =
  | { readonly kind: "insert"; readonly table: string; readonly uuid: Uuid; readonly row: Row<T> }
  | { readonly kind: "modify"; readonly table: string; readonly uuid: Uuid; readonly old: Row<T>; readonly row: Row<T> }
  | { readonly kind: "delete"; readonly table: string; readonly uuid: Uuid; readonly old: Row<T> };

/** Receives the changes of one transaction, after all of them are in the copy. */
export type ChangeListener = (changes: readonly Change[]) => void;

/** A table to watch, whole or only the rows that match (which needs a server with `monitor_cond`). */
export type Watched = {
  readonly table: Table;
  readonly where: readonly Json[] | null;
};

/** Watches only the rows that match any one of the conditions (ovsdb-server(7) §4.1.12: here they are alternatives). Throws ValueError. */
export function only<T extends Table>(table: T, where: readonly Condition<T>[]): Watched {
  return Object.freeze({ table, where: encodeWhere(table, where) });
}

/** How fresh the copy is: never filled, following a server, or as it was when the connection ended. */
export type ReplicaState =
  | { readonly kind: "empty" }
  | { readonly kind: "live" }
  | { readonly kind: "stale"; readonly cause: CloseCause };

/** The forms in which a server tells of changes: full rows, differences, differences with a transaction's id. */
export type UpdateForm = "update" | "update2" | "update3";

type Waiter = { readonly check: () => void; readonly fail: (cause: CloseCause) => void };
type AnyRow = Row<Table>;

/**
 * The copy outlives connections: handing it to the next client's `monitor` brings it up to date, with the differences delivered as one
 * list of changes. Rows are frozen; an unchanged row stays the same object.
 */
export class Replica {
  readonly database: string;
  readonly watched: readonly Watched[];
  readonly #tables = new Map<string, { readonly table: Table; readonly rows: Map<Uuid, AnyRow> }>();
  readonly #listeners = new Set<ChangeListener>();
  readonly #waiters = new Set<Waiter>();
  #state: ReplicaState = { kind: "empty" };
  #lastTransaction: Uuid | null = null;

  /** Declares what to copy; nothing is asked yet. Throws TypeError when a table stands twice. */
  constructor(database: string, tables: readonly (Table | Watched)[]) {
    this.database = database;
    this.watched = tables.map((given) => ("table" in given ? given : { table: given, where: null }));
    for (const { table } of this.watched) {
      if (this.#tables.has(table.name)) throw new TypeError(`${table.name} is watched twice`);
      this.#tables.set(table.name, { table, rows: new Map() });
    }
  }

  /** How fresh the copy is. */
  get state(): ReplicaState {
    return this.#state;
  }

  /** The last transaction in the copy, where the server names them: from here the next `monitor` may go on. */
  get lastTransaction(): Uuid | null {
    return this.#lastTransaction;
  }

  /** The rows of a table, by identity: a live view, to read only. `table` may declare fewer columns than are watched. Throws TypeError when it is not watched so. */
  table<T extends Table>(table: T): ReadonlyMap<Uuid, Row<T>> {
    const held = this.#tables.get(table.name);
    if (held === undefined) throw new TypeError(`${table.name} is not watched`);
    for (const [name, column] of Object.entries(table.columns)) {
      const watched = held.table.columns[name];
      if (watched === undefined || !sameColumn(watched, column)) {
        throw new TypeError(`${table.name}.${name} is not watched as declared`);
      }
    }
    // Every column of T was just found among those that rows of this table are decoded by.
    return held.rows as ReadonlyMap<Uuid, AnyRow> as ReadonlyMap<Uuid, Row<T>>;
  }

  /** Calls `listener` with the changes of each transaction. Gives the function that stops it. A listener that throws ends the connection. */
  onChange(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /**
   * Settles with the first value that `probe` finds (anything but `null`), now or after some later change; nothing is polled. Rejects with
   * ConnectionClosedError when the copy goes stale, with the signal's reason, or with what `probe` throws.
   */
  until<R>(probe: (replica: Replica) => R | null, options: { readonly signal?: AbortSignal } = {}): Promise<R> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.#state.kind === "stale") throw new ConnectionClosedError(this.#state.cause);
      const settle = (action: () => void): void => {
        this.#waiters.delete(waiter);
        signal?.removeEventListener("abort", onAbort);
        action();
      };
      const onAbort = (): void => settle(() => reject(signal?.reason));
      const waiter: Waiter = {
        check: () => {
          try {
            const found = probe(this);
            if (found !== null) settle(() => resolve(found));
          } catch (error) {
            settle(() => reject(error));
          }
        },
        fail: (cause) => settle(() => reject(new ConnectionClosedError(cause))),
      };
      this.#waiters.add(waiter);
      signal?.addEventListener("abort", onAbort, { once: true });
      if (this.#state.kind === "live") waiter.check();
    });
  }

  /** For the monitor: takes everything that the server has, in place of what was copied. Throws ValueError, ProtocolError; the copy is then as it was. */
  replaceAll(form: UpdateForm, updates: Json, transaction: Uuid | null): void {
    const fresh = new Map([...this.#tables.keys()].map((name) => [name, new Map<Uuid, AnyRow>()]));
    for (const change of this.#read(form, updates, () => undefined)) {
      if (change.kind === "insert") fresh.get(change.table)?.set(change.uuid, change.row);
    }
    const changes = [...this.#tables].flatMap(([name, { table, rows }]) => compare(table, rows, fresh.get(name)!));
    this.#commit(changes, transaction);
  }

  /** For the monitor: takes one transaction's changes. Throws ValueError, ProtocolError; the copy is then as it was. */
  applyUpdates(form: UpdateForm, updates: Json, transaction: Uuid | null): void {
    const held = (table: string, uuid: Uuid) => this.#tables.get(table)?.rows.get(uuid);
    this.#commit(this.#read(form, updates, held), transaction);
  }

  /** For the monitor: the server is followed no longer. Rows stay readable; who waits is told. */
  detach(cause: CloseCause): void {
    this.#state = { kind: "stale", cause };
    for (const waiter of [...this.#waiters]) waiter.fail(cause);
  }

  /** Reads all of it before the first row is touched, so that a fault in it changes nothing. */
  #read(form: UpdateForm, updates: Json, held: (table: string, uuid: Uuid) => AnyRow | undefined): readonly Change[] {
    if (!isObject(updates)) throw new ProtocolError("table updates are not an object");
    const changes: Change[] = [];
    for (const [name, rows] of Object.entries(updates)) {
      const table = this.#tables.get(name)?.table;
      if (table === undefined) throw new ProtocolError(`an update of ${name}, which is not watched`);
      if (!isObject(rows)) throw new ProtocolError(`updates of ${name} are not an object`);
      for (const [uuid, update] of Object.entries(rows)) {
        if (!isUuid(uuid)) throw new ProtocolError(`${name} has a row that is called ${JSON.stringify(uuid)}`);
        if (!isObject(update)) throw new ProtocolError(`an update of ${name} row ${uuid} is not an object`);
        const change = readUpdate(form, table, uuid, held(name, uuid), update);
        if (change !== null) changes.push(change);
      }
    }
    return changes;
  }

  #commit(changes: readonly Change[], transaction: Uuid | null): void {
    for (const change of changes) {
      const rows = this.#tables.get(change.table)!.rows;
      if (change.kind === "delete") rows.delete(change.uuid);
      else rows.set(change.uuid, change.row);
    }
    this.#state = { kind: "live" };
    this.#lastTransaction = transaction;
    if (changes.length > 0) for (const listener of [...this.#listeners]) listener(changes);
    for (const waiter of [...this.#waiters]) waiter.check();
  }
}

/** Those of the changes that are of one table, with its row type. `table` may declare fewer columns than are watched. */
export function changesOf<T extends Table>(table: T, changes: readonly Change[]): readonly Change<T>[] {
  // The rows were decoded by the watched declaration of the table with this name.
  return changes.filter((change) => change.table === table.name) as readonly Change[] as readonly Change<T>[];
}

function readUpdate(
  form: UpdateForm,
  table: Table,
  uuid: Uuid,
  held: AnyRow | undefined,
  update: JsonObject,
): Change | null {
  if (form === "update") {
    const next = update.new;
    return next === undefined || next === null
      ? gone(table, uuid, held)
      : put(table, uuid, held, fullRow(table, uuid, next));
  }
  const full = update.initial ?? update.insert;
  if (full !== undefined) return put(table, uuid, held, fullRow(table, uuid, full));
  if (update.delete !== undefined) return gone(table, uuid, held);
  const difference = update.modify;
  if (difference === undefined) throw new ProtocolError(`an update of ${table.name} row ${uuid} of no known kind`);
  if (held === undefined) throw new ProtocolError(`a difference to ${table.name} row ${uuid}, which is not held`);
  const values = decodeColumns(table, asRowObject(table, difference));
  const row = makeRow(table, uuid, (name, column) => {
    const changed = values.get(name);
    const old = valueIn(held, name);
    return changed === undefined ? old : applyDifference(column, old, changed);
  });
  return put(table, uuid, held, row);
}

/** Columns that hold their default are left out by the server. */
function fullRow(table: Table, uuid: Uuid, json: Json): AnyRow {
  const values = decodeColumns(table, asRowObject(table, json));
  return makeRow(table, uuid, (name, column) => {
    const value = values.get(name);
    return value === undefined ? defaultValue(column) : value;
  });
}

function put(table: Table, uuid: Uuid, held: AnyRow | undefined, row: AnyRow): Change | null {
  if (held === undefined) return { kind: "insert", table: table.name, uuid, row };
  return sameRow(table, held, row) ? null : { kind: "modify", table: table.name, uuid, old: held, row };
}

function gone(table: Table, uuid: Uuid, held: AnyRow | undefined): Change {
  if (held === undefined) throw new ProtocolError(`a deletion of ${table.name} row ${uuid}, which is not held`);
  return { kind: "delete", table: table.name, uuid, old: held };
}

function compare(table: Table, old: ReadonlyMap<Uuid, AnyRow>, now: ReadonlyMap<Uuid, AnyRow>): readonly Change[] {
  const deleted = [...old.keys()].filter((uuid) => !now.has(uuid)).map((uuid) => gone(table, uuid, old.get(uuid)));
  const others = [...now]
    .map(([uuid, row]) => put(table, uuid, old.get(uuid), row))
    .filter((change) => change !== null);
  return [...deleted, ...others];
}

function sameRow(table: Table, a: AnyRow, b: AnyRow): boolean {
  return Object.keys(table.columns).every((name) => sameValue(valueIn(a, name), valueIn(b, name)));
}

function valueIn(row: AnyRow, name: string): AnyValue {
  const value = row[name];
  if (value === undefined) throw new ValueError(name, "is missing from a row");
  return value;
}

function sameColumn(a: Column, b: Column): boolean {
  if (a.kind === "map") return b.kind === "map" && a.key === b.key && a.value === b.value;
  return a.kind === b.kind && a.atom === b.atom;
}

/** Reads the `<table-updates>` parameters that follow a monitor's name in a notification. Throws ProtocolError. */
export function readNotification(
  form: UpdateForm,
  params: readonly Json[],
): { readonly updates: Json; readonly transaction: Uuid | null } {
  if (form !== "update3") return { updates: params[1] ?? null, transaction: null };
  return { updates: params[2] ?? null, transaction: readTransaction(params[1] ?? null) };
}

/** Reads a `<last-txn-id>`. Throws ProtocolError. */
export function readTransaction(json: Json): Uuid {
  if (typeof json === "string" && isUuid(json)) return json;
  throw new ProtocolError(`a transaction id that is not a UUID: ${isArray(json) ? "array" : String(json)}`);
}
