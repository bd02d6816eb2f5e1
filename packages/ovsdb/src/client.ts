/** The client: databases, schemas, transactions and monitors over one connection (RFC 7047 §4.1, ovsdb-server(7) §4.1.12–4.1.15). */

import type { ConnectionOptions } from "./connection.ts";
import { Connection, parseFault } from "./connection.ts";
import type { CloseCause } from "./errors.ts";
import { OvsdbError, ProtocolError } from "./errors.ts";
import type { Json, JsonObject } from "./json.ts";
import { isArray, isObject } from "./json.ts";
import type { Operation, ResultOf, ResultsOf } from "./operations.ts";
import { encodeOperation } from "./operations.ts";
import type { Replica, UpdateForm } from "./replica.ts";
import { readNotification, readTransaction } from "./replica.ts";
import type { DatabaseSchema } from "./schema.ts";
import { checkTables, parseSchema } from "./schema.ts";
import type { Row, Table, Uuid } from "./table.ts";
import { ZERO_UUID } from "./table.ts";
import type { Endpoint, Transport } from "./transport.ts";
import { dial, parseEndpoint } from "./transport.ts";
import { asRowObject, decodeAtom, decodeColumns, defaultValue, makeRow } from "./values.ts";

/** Lets a call be given up. */
export type CallOptions = { readonly signal?: AbortSignal };

const METHODS: readonly { readonly method: string; readonly form: UpdateForm }[] = [
  { method: "monitor_cond_since", form: "update3" },
  { method: "monitor_cond", form: "update2" },
  { method: "monitor", form: "update" },
];

/** Connects to a server, `unix:PATH` or `tcp:ADDRESS[:PORT]`. Rejects with TypeError, the system's error, or the signal's reason. */
export async function connect(
  endpoint: string | Endpoint,
  options: ConnectionOptions & CallOptions = {},
): Promise<OvsdbClient> {
  const { signal, ...connectionOptions } = options;
  const where = typeof endpoint === "string" ? parseEndpoint(endpoint) : endpoint;
  return new OvsdbClient(await dial(where, signal === undefined ? {} : { signal }), connectionOptions);
}

/** One server, for as long as one connection lasts. Connecting again is the caller's decision: `closed` says when and why. */
export class OvsdbClient {
  /** The JSON-RPC connection, for methods that have no function here. */
  readonly connection: Connection;
  readonly #schemas = new Map<string, Promise<DatabaseSchema>>();
  readonly #monitors = new Map<Replica, { readonly id: string; readonly stop: () => void }>();
  #monitorCount = 0;

  /** Takes a connected transport. */
  constructor(transport: Transport, options: ConnectionOptions = {}) {
    this.connection = new Connection(transport, options);
  }

  /** Settles, with the cause, when the connection is over; never rejects. */
  get closed(): Promise<CloseCause> {
    return this.connection.closed;
  }

  /** Ends the connection. Idempotent. */
  close(): void {
    this.connection.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The databases that the server has. */
  async listDatabases(options: CallOptions = {}): Promise<readonly string[]> {
    const result = await this.connection.request("list_dbs", [], options);
    if (!isArray(result)) throw new ProtocolError("list_dbs gave no list");
    return result.map((name) => {
      if (typeof name !== "string") throw new ProtocolError("list_dbs gave a name that is not text");
      return name;
    });
  }

  /** A database's schema; asked once a connection. Rejects with OvsdbError `unknown database`. */
  schema(database: string): Promise<DatabaseSchema> {
    const known = this.#schemas.get(database);
    if (known !== undefined) return known;
    const asked = this.connection.request("get_schema", [database]).then(parseSchema);
    this.#schemas.set(database, asked);
    // The caller is told of the failure; it is only not remembered.
    asked.catch(() => this.#schemas.delete(database));
    return asked;
  }

  /**
   * Runs the operations as one transaction, all or nothing, and gives each one's result in its place. It is sent at once: transactions may
   * be outstanding in any number and take effect in order. Rejects with OvsdbError, which names the operation at fault or the commit, or
   * with ConnectionClosedError or the signal's reason, when it is unknown whether the transaction took effect.
   */
  async transact<const Ops extends readonly Operation[]>(
    database: string,
    operations: Ops,
    options: CallOptions = {},
  ): Promise<ResultsOf<Ops>> {
    const params: readonly Json[] = [database, ...operations.map(encodeOperation)];
    const reply = await this.connection.request("transact", params, options);
    // Each result was read by the operation in its place, which is what ResultsOf says.
    return readResults(operations, reply) as ResultsOf<Ops>;
  }

  /**
   * Fills the replica and follows the server from then on, with the best of `monitor_cond_since`, `monitor_cond` and `monitor` that the
   * server has. A replica that followed another connection is brought up to date by what changed meanwhile. Settles when the copy is
   * whole. Every later change is in the copy before a transaction that made it settles. Rejects with SchemaMismatchError when a watched
   * table is not as declared, OvsdbError, ProtocolError, ValueError, ConnectionClosedError; throws TypeError when the replica is followed already.
   */
  async monitor(replica: Replica, options: CallOptions = {}): Promise<void> {
    if (replica.state.kind === "live" || this.#monitors.has(replica))
      throw new TypeError("the replica is followed already");
    this.#monitorCount += 1;
    const id = `monitor-${this.#monitorCount}`;
    const { connection } = this;
    const early: { readonly form: UpdateForm; readonly params: readonly Json[] }[] = [];
    let filled = false;
    const take = (form: UpdateForm, params: readonly Json[]): void => {
      const { updates, transaction } = readNotification(form, params);
      replica.applyUpdates(form, updates, transaction);
    };
    const stops = METHODS.map(({ form }) =>
      connection.onNotification(form, (params) => {
        if (params[0] !== id) return;
        if (filled) take(form, params);
        else early.push({ form, params });
      }),
    );
    stops.push(connection.onEnd((cause) => replica.detach(cause)));
    const stop = (): void => {
      for (const each of stops) each();
      this.#monitors.delete(replica);
    };
    this.#monitors.set(replica, { id, stop });
    try {
      checkTables(
        await this.schema(replica.database),
        replica.watched.map(({ table }) => table),
      );
      const answer = await this.#startMonitor(replica, id, options);
      if (answer.whole) replica.replaceAll(answer.form, answer.updates, answer.transaction);
      else replica.applyUpdates(answer.form, answer.updates, answer.transaction);
      for (const { form, params } of early) take(form, params);
      filled = true;
    } catch (error) {
      stop();
      replica.detach(
        connection.cause ?? { kind: "failed", error: error instanceof Error ? error : new Error(String(error)) },
      );
      // The monitor may or may not have been set up; either answer to this will do, and the end of the connection too.
      connection.request("monitor_cancel", [id]).then(
        () => undefined,
        () => undefined,
      );
      throw error;
    }
  }

  /** Stops following; the replica keeps its rows and goes stale. Does nothing for a replica that this client does not follow. */
  async unmonitor(replica: Replica): Promise<void> {
    const held = this.#monitors.get(replica);
    if (held === undefined) return;
    held.stop();
    replica.detach({ kind: "local" });
    await this.connection.request("monitor_cancel", [held.id]);
  }

  async #startMonitor(
    replica: Replica,
    id: string,
    options: CallOptions,
  ): Promise<{
    readonly form: UpdateForm;
    readonly whole: boolean;
    readonly updates: Json;
    readonly transaction: Uuid | null;
  }> {
    let refused: unknown = null;
    for (const { method, form } of METHODS) {
      const since = form === "update3" ? [replica.lastTransaction ?? ZERO_UUID] : [];
      try {
        const reply = await this.connection.request(
          method,
          [replica.database, id, monitorRequests(replica, form), ...since],
          options,
        );
        if (form !== "update3") return { form, whole: true, updates: reply, transaction: null };
        if (!isArray(reply) || typeof reply[0] !== "boolean") throw new ProtocolError(`${method} gave no known answer`);
        const [found, transaction = null, updates = null] = reply;
        return { form, whole: !found, updates, transaction: readTransaction(transaction) };
      } catch (error) {
        if (!(error instanceof OvsdbError) || error.error !== "unknown method") throw error;
        refused = error;
      }
    }
    throw refused;
  }
}

/** The `<monitor-requests>` for what the replica watches. Throws OvsdbError when rows are to be chosen and the server can only give all. */
function monitorRequests(replica: Replica, form: UpdateForm): JsonObject {
  const requests: { [table: string]: Json } = {};
  for (const { table, where } of replica.watched) {
    if (where !== null && form === "update") {
      const details = `conditions on ${table.name} need monitor_cond`;
      throw new OvsdbError({ error: "unsupported", details, method: "monitor" });
    }
    requests[table.name] = [{ columns: Object.keys(table.columns), ...(where === null ? {} : { where }) }];
  }
  return requests;
}

/** Reads the reply to `transact` (RFC 7047 §4.1.3): one result an operation, or an error in the place of the one at fault, or one more at the end when commit failed. */
function readResults(operations: readonly Operation[], reply: Json): readonly ResultOf<Operation>[] {
  if (!isArray(reply)) throw new ProtocolError("transact gave no list");
  for (const [index, result] of reply.entries()) {
    if (!isObject(result) || result.error === undefined || result.error === null) continue;
    const operation = operations[index];
    throw new OvsdbError({
      ...parseFault(result),
      method: "transact",
      operation: {
        index: operation === undefined ? null : index,
        op: operation?.op ?? null,
        table: operation !== undefined && "table" in operation ? operation.table.name : null,
      },
    });
  }
  if (reply.length !== operations.length) {
    throw new ProtocolError(`transact gave ${reply.length} results for ${operations.length} operations`);
  }
  return operations.map((operation, index) => readResult(operation, reply[index]!));
}

function readResult(operation: Operation, json: Json): ResultOf<Operation> {
  if (!isObject(json)) throw new ProtocolError(`the result of ${operation.op} is not an object`);
  switch (operation.op) {
    case "insert":
      return { uuid: readUuid(operation.table, json.uuid ?? null) };
    case "select": {
      const rows = json.rows;
      if (!isArray(rows)) throw new ProtocolError("select gave no rows");
      return { rows: rows.map((row) => readRow(operation.table, row)) };
    }
    case "update":
    case "mutate":
    case "delete":
      if (typeof json.count !== "number") throw new ProtocolError(`${operation.op} gave no count`);
      return { count: json.count };
    case "wait":
    case "comment":
    case "abort":
      return {};
  }
}

function readRow(table: Table, json: Json): Row<Table> {
  const object = asRowObject(table, json);
  const values = decodeColumns(table, object);
  return makeRow(table, readUuid(table, object._uuid ?? null), (name, column) => {
    const value = values.get(name);
    return value === undefined ? defaultValue(column) : value;
  });
}

function readUuid(table: Table, json: Json): Uuid {
  // decodeAtom gives a Uuid for the atom "uuid" and throws otherwise; its type is that of all atoms.
  return decodeAtom("uuid", json, `${table.name}._uuid`) as Uuid;
}
