/** OVSDB: what a server may send to a client that follows a database, from the schema to updates in all three forms (RFC 7047, ovsdb-server(7)). */
import { isDeepStrictEqual } from "node:util";
import type { Json, JsonObject, Transport, TransportSink } from "@selvage/ovsdb";
import { hold, type Subject, type Target, words } from "../target.ts";

export const ovsdb: Target = {
  name: "ovsdb",
  about: "OVSDB stream: framing, JSON-RPC, schema, values, monitor replies and updates 1 to 3",
  code: ["/packages/ovsdb/src/"],
  shape: "lines",
  maxLength: 8192,
  batch: 32,
  testRuns: 1_500,
  load,
};

const database = "D";
const row = "36bef046-7da7-43a5-905a-c17899216fcb";
const other = "aaaaaaaa-7da7-43a5-905a-c17899216fcb";

async function load(): Promise<Subject> {
  const lib = await import("@selvage/ovsdb");
  const { bigInteger, boolean, integer, map, optional, real, set, string, uuid } = lib;
  const table = lib.table({
    name: "T",
    columns: {
      name: string(),
      count: integer(),
      big: bigInteger(),
      ratio: real(),
      up: boolean(),
      next: uuid(),
      tag: optional(integer()),
      bigs: set(bigInteger()),
      refs: set(uuid()),
      ids: map(string(), string()),
      numbers: map(integer(), real()),
    },
  });
  const expected = [
    lib.FramingError,
    lib.ProtocolError,
    lib.ValueError,
    lib.OvsdbError,
    lib.SchemaMismatchError,
    lib.ConnectionClosedError,
  ];
  /** An error of the client's own is how bad bytes are meant to be told of; any other is a fault. */
  const allow = (error: unknown): void => {
    if (!expected.some((kind) => error instanceof kind)) throw error;
  };
  const cut = (bytes: Uint8Array, piece: number): readonly unknown[] => {
    const framer = new lib.MessageFramer(4096);
    const got: unknown[] = [];
    try {
      for (let at = 0; at < bytes.length; at += piece)
        framer.push(bytes.slice(at, at + piece), (message) => got.push(message));
    } catch (error) {
      allow(error);
      got.push(error instanceof lib.FramingError ? error.reason : "");
    }
    return got;
  };
  return {
    seeds: conversations().map(
      (lines) => words(lines.map((line) => JSON.stringify(line)).join("\n"))[0] ?? new Uint8Array(),
    ),
    dictionary: words(
      ...["method", "params", "result", "error", "update", "update2", "update3", "monitor-1", "new", "old", "initial"],
      ...[
        "insert",
        "modify",
        "delete",
        "set",
        "map",
        "uuid",
        "named-uuid",
        "unknown method",
        "echo",
        "T",
        "D",
        row,
        other,
      ],
      ...["min", "max", "unlimited", "key", "value", "type", "columns", "tables", "integer", "9223372036854775807"],
    ),
    async run(input) {
      hold(
        isDeepStrictEqual(cut(input, Math.max(1, input.length)), cut(input, 1 + (input.length % 13))),
        "pieces do not change what is cut",
      );
      let sink: TransportSink | undefined;
      const transport: Transport = {
        start: (given) => {
          sink = given;
        },
        write: (text) => void JSON.parse(text),
        close: () => undefined,
      };
      const client = new lib.OvsdbClient(transport, { probeMs: 0, maxMessageBytes: 4096 });
      const replica = new lib.Replica(database, [table]);
      const calls = [
        client.monitor(replica),
        client.transact(database, [lib.select(table, []), lib.insert(table, { name: "x" }), lib.remove(table, [])]),
        client.listDatabases(),
      ].map((call) => call.then(() => undefined, allow));
      for (let at = 0; at < input.length; ) {
        const newline = input.indexOf(10, at);
        const end = newline < 0 ? input.length : newline + 1;
        sink?.bytes(input.subarray(at, end));
        at = end;
        // An answer moves the client on to its next question before more comes.
        for (let turn = 0; turn < 8; turn++) await Promise.resolve();
      }
      sink?.ended(null);
      await Promise.all(calls);
      const cause = await client.closed;
      if (cause.kind === "failed") allow(cause.error);
      for (const held of replica.table(table).values()) {
        for (const [name, { kind }] of Object.entries(table.columns)) {
          const value = Reflect.get(held, name);
          const is =
            value instanceof Map ? "map" : value instanceof Set ? "set" : value === null ? "optional" : "scalar";
          hold(is === kind || (kind === "optional" && is === "scalar"), `a ${kind} is read as one`);
        }
      }
    },
  };
}

function conversations(): readonly (readonly JsonObject[])[] {
  const columns = {
    name: { type: "string" },
    count: { type: { key: { type: "integer", minInteger: 0 } } },
    big: { type: "integer" },
    ratio: { type: "real" },
    up: { type: "boolean" },
    next: { type: { key: { type: "uuid", refTable: "T", refType: "weak" } } },
    tag: { type: { key: "integer", min: 0, max: 1 } },
    bigs: { type: { key: "integer", min: 0, max: "unlimited" } },
    refs: { type: { key: "uuid", min: 0, max: 10 } },
    ids: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
    numbers: { type: { key: "integer", value: { type: "real" }, min: 0, max: "unlimited" } },
  };
  const schema = answer(1, { name: database, version: "1.0.0", tables: { T: { columns } } });
  const transacted = answer(2, [
    { rows: [{ _uuid: ["uuid", row], name: "a" }] },
    { uuid: ["uuid", row] },
    { count: 1 },
  ]);
  const databases = answer(3, [database, "_Server"]);
  const full: JsonObject = {
    name: "a",
    count: 3,
    big: 9_007_199_254_740_991,
    ratio: 1.5,
    up: true,
    next: ["uuid", other],
    tag: 7,
    bigs: ["set", [1, 2]],
    refs: ["uuid", row],
    ids: ["map", [["k", "v"]]],
    numbers: ["map", [[1, 2.5]]],
  };
  const rows = (update: JsonObject): JsonObject => ({ T: { [row]: update } });
  const told = (method: string, ...params: readonly Json[]): JsonObject => ({ method, params, id: null });
  const initial = [schema, transacted, databases, answer(4, [false, row, rows({ initial: full })])];
  const unknown = (id: number): JsonObject => ({ id, result: null, error: { error: "unknown method", details: "no" } });
  return [
    [
      ...initial,
      told(
        "update3",
        "monitor-1",
        row,
        rows({
          modify: {
            name: "b",
            ids: [
              "map",
              [
                ["k", "v"],
                ["l", "w"],
              ],
            ],
          },
        }),
      ),
      told("update3", "monitor-1", other, rows({ modify: { bigs: ["set", [2, 3]], tag: ["set", []] } })),
      told("update3", "monitor-1", other, rows({ delete: null })),
      { method: "echo", params: [1], id: "echo" },
    ],
    [...initial, told("update3", "monitor-1", row, { T: { [other]: { insert: { name: "n" } } } })],
    [
      schema,
      transacted,
      databases,
      unknown(4),
      answer(5, rows({ initial: full })),
      told("update2", "monitor-1", rows({ modify: { up: false } })),
    ],
    [
      schema,
      transacted,
      databases,
      unknown(4),
      unknown(5),
      answer(6, rows({ new: full })),
      told("update", "monitor-1", rows({ old: { name: "a" }, new: { ...full, name: "z" } })),
      told("update", "monitor-1", rows({ old: full })),
    ],
    [schema, answer(2, [{ rows: [] }, { error: "constraint violation", details: "no" }, null]), databases],
    [
      { id: 1, result: null, error: "unknown database" },
      { id: 3, result: null, error: { error: "x", details: 1 } },
    ],
  ];
}

function answer(id: number, result: Json): JsonObject {
  return { id, result, error: null };
}
