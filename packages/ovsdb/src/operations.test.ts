/** The JSON of each operation and the reading of replies (RFC 7047 §5.2, §4.1.3); types tested as code. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { OvsdbClient } from "./client.ts";
import { OvsdbError, ProtocolError, ValueError } from "./errors.ts";
import type { Json } from "./json.ts";
import { abort, byUuid, comment, encodeOperation, insert, mutate, remove, select, update, wait } from "./operations.ts";
import { boolean, integer, map, named, optional, parseUuid, pick, set, string, table, uuid } from "./table.ts";
import { scriptedPeer } from "./testing/peer.ts";

const T = table({
  name: "T",
  columns: {
    name: string(),
    count: integer(),
    tag: optional(integer()),
    up: boolean(),
    refs: set(uuid()),
    ids: map(string(), string()),
  },
});
const id = parseUuid("550e8400-e29b-41d4-a716-446655440000");

test("each operation has the JSON of RFC 7047 §5.2", () => {
  const cases: readonly (readonly [Parameters<typeof encodeOperation>[0], Json])[] = [
    [
      insert(T, { name: "a", count: 0, tag: null, up: false, refs: [id, named("b")], ids: { k: "v" } }, "a1"),
      {
        op: "insert",
        table: "T",
        row: {
          name: "a",
          count: 0,
          tag: ["set", []],
          up: false,
          refs: [
            "set",
            [
              ["uuid", id],
              ["named-uuid", "b"],
            ],
          ],
          ids: ["map", [["k", "v"]]],
        },
        "uuid-name": "a1",
      },
    ],
    [insert(T, {}), { op: "insert", table: "T", row: {} }],
    [
      select(pick(T, ["name"]), [["name", "==", "a"]]),
      { op: "select", table: "T", where: [["name", "==", "a"]], columns: ["_uuid", "name"] },
    ],
    [
      update(T, byUuid(id), { tag: 0 }),
      { op: "update", table: "T", where: [["_uuid", "==", ["uuid", id]]], row: { tag: 0 } },
    ],
    [
      mutate(
        T,
        [["refs", "includes", [id]]],
        [
          ["count", "+=", 1],
          ["tag", "-=", 0],
          ["refs", "insert", [named("b")]],
          ["refs", "delete", new Set([id])],
          ["ids", "insert", new Map([["k", "v"]])],
          ["ids", "delete", ["k"]],
        ],
      ),
      {
        op: "mutate",
        table: "T",
        where: [["refs", "includes", ["set", [["uuid", id]]]]],
        mutations: [
          ["count", "+=", 1],
          ["tag", "-=", 0],
          ["refs", "insert", ["set", [["named-uuid", "b"]]]],
          ["refs", "delete", ["set", [["uuid", id]]]],
          ["ids", "insert", ["map", [["k", "v"]]]],
          ["ids", "delete", ["set", ["k"]]],
        ],
      },
    ],
    [remove(T, [["tag", "==", null]]), { op: "delete", table: "T", where: [["tag", "==", ["set", []]]] }],
    [
      wait(T, [], { columns: ["count"], until: "!=", rows: [{ count: 0 }], timeoutMs: 0 }),
      { op: "wait", table: "T", where: [], columns: ["count"], until: "!=", rows: [{ count: 0 }], timeout: 0 },
    ],
    [
      wait(T, [], { columns: [], until: "==", rows: [] }),
      { op: "wait", table: "T", where: [], columns: [], until: "==", rows: [] },
    ],
    [comment("why"), { op: "comment", comment: "why" }],
    [abort(), { op: "abort" }],
  ];
  for (const [operation, json] of cases) assert.deepEqual(encodeOperation(operation), json);
});

test("a bad value is refused before anything is sent, by table and column", () => {
  const at = (column: string) => (error: unknown) => error instanceof ValueError && error.column === column;
  assert.throws(() => insert(T, { name: "a\u0000" }), at("T.name"));
  assert.throws(() => update(T, [], { count: 0.5 }), at("T.count"));
  assert.throws(() => remove(T, [["count", "==", Number.NaN]]), at("T.count"));
  assert.throws(() => mutate(T, [], [["count", "+=", 0.5]]), at("T.count"));
  assert.throws(() => comment("\ud800"), at("comment"));
  assert.throws(() => insert(T, {}, "not an id"), TypeError);
  // A caller without types can name a column that is not there, or none of Object's own.
  assert.throws(() => insert(T, JSON.parse('{"nope":1}')), at("T.nope"));
  assert.throws(() => insert(T, JSON.parse('{"constructor":1}')), at("T.constructor"));
});

test("the types of rows, writes and results follow the declaration", () => {
  // Each of these is an error to the compiler, and would no longer be one if the types went slack.
  // @ts-expect-error a string is not a number
  assert.throws(() => insert(T, { count: "1" }), ValueError);
  // @ts-expect-error the column is not declared
  assert.throws(() => update(T, [], { colour: "red" }), ValueError);
  // @ts-expect-error arithmetic is not for text
  assert.throws(() => mutate(T, [], [["name", "+=", 1]]), ValueError);
  // @ts-expect-error null is only for optional columns
  assert.throws(() => insert(T, { name: null }), ValueError);
  // @ts-expect-error any text is not a uuid
  assert.throws(() => byUuid("x").map(() => remove(T, byUuid("x"))), ValueError);
});

function server() {
  const peer = scriptedPeer();
  return { peer, client: new OvsdbClient(peer.transport, { probeMs: 0 }) };
}

test("results stand in their places with their types", async () => {
  const { peer, client } = server();
  const running = client.transact("db", [
    insert(T, { name: "a" }),
    select(pick(T, ["name", "tag"]), []),
    mutate(T, [], [["count", "+=", 1]]),
    comment("x"),
  ]);
  const sent = await peer.answer("transact", [
    { uuid: ["uuid", id] },
    { rows: [{ _uuid: ["uuid", id], name: "a", tag: ["set", []] }] },
    { count: 0 },
    {},
  ]);
  assert.equal((sent.params as readonly Json[])[0], "db");
  const [inserted, selected, mutated] = await running;
  assert.equal(inserted.uuid, id);
  const [row] = selected.rows;
  assert.deepEqual({ ...row }, { _uuid: id, name: "a", tag: null });
  const tag: number | null | undefined = row?.tag;
  assert.equal(tag, null);
  assert.equal(mutated.count, 0);
});

test("the operation at fault is named by index and table; what fails at commit has no index", async () => {
  const operations = [comment("x"), insert(T, {}), comment("y")] as const;
  const failing = async (reply: Json) => {
    const { peer, client } = server();
    const running = client.transact("db", operations);
    await peer.answer("transact", reply);
    return running.then(
      () => assert.fail("it should have failed"),
      (error: unknown) => error,
    );
  };
  const fault = { error: "constraint violation", details: "why" };
  const second = await failing([{}, fault, null]);
  assert.ok(second instanceof OvsdbError);
  assert.deepEqual(second.operation, { index: 1, op: "insert", table: "T" });
  assert.equal(second.message, "operation 1 (insert T): constraint violation: why");
  const first = await failing([fault, null, null]);
  assert.ok(first instanceof OvsdbError);
  assert.deepEqual(first.operation, { index: 0, op: "comment", table: null });
  const commit = await failing([{}, { uuid: ["uuid", id] }, {}, { error: "timed out" }]);
  assert.ok(commit instanceof OvsdbError);
  assert.deepEqual(commit.operation, { index: null, op: null, table: null });
  assert.deepEqual([commit.error, commit.details], ["timed out", null]);
  assert.ok((await failing([{}, {}])) instanceof ProtocolError);
  assert.ok((await failing([{}, { uuid: "x" }, {}])) instanceof ValueError);
  assert.ok((await failing({})) instanceof ProtocolError);
});
