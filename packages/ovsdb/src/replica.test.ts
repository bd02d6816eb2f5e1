/** The replica against a played server: fill, differences, resumption, older servers, faults. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { OvsdbClient } from "./client.ts";
import { ConnectionClosedError, OvsdbError, ProtocolError, SchemaMismatchError, ValueError } from "./errors.ts";
import type { Json, JsonObject } from "./json.ts";
import type { Change } from "./replica.ts";
import { changesOf, only, Replica } from "./replica.ts";
import { integer, map, optional, parseUuid, pick, set, string, table, ZERO_UUID } from "./table.ts";
import { scriptedPeer } from "./testing/peer.ts";

const T = table({
  name: "T",
  columns: {
    name: string(),
    n: integer(),
    tag: optional(integer()),
    items: set(integer()),
    ids: map(string(), string()),
  },
});
const a = parseUuid("00000000-0000-4000-8000-00000000000a");
const b = parseUuid("00000000-0000-4000-8000-00000000000b");
const txn = parseUuid("00000000-0000-4000-8000-0000000000ff");

const SCHEMA = {
  name: "db",
  version: "1.0.0",
  tables: {
    T: {
      columns: {
        name: { type: "string" },
        n: { type: "integer" },
        tag: { type: { key: "integer", min: 0, max: 1 } },
        items: { type: { key: "integer", min: 0, max: "unlimited" } },
        ids: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
      },
    },
  },
} as const;

/** A client whose replica follows a played server from `initial` (update3 form). */
async function following(initial: JsonObject, replica = new Replica("db", [T])) {
  const peer = scriptedPeer();
  const client = new OvsdbClient(peer.transport, { probeMs: 0 });
  const running = client.monitor(replica);
  await peer.answer("get_schema", SCHEMA);
  const request = await peer.answer("monitor_cond_since", [false, txn, initial]);
  await running;
  const name = (request.params as readonly Json[])[1]!;
  const batches: (readonly Change[])[] = [];
  replica.onChange((changes) => batches.push(changes));
  const update = (updates: Json) => peer.say({ method: "update3", params: [name, txn, updates], id: null });
  return { peer, client, replica, request, update, batches };
}

test("the first answer fills the copy, and columns that were left out have their defaults", async () => {
  const { replica, request } = await following({ T: { [a]: { initial: { name: "x", items: 3 } } } });
  assert.deepEqual(request.params, [
    "db",
    "monitor-1",
    { T: [{ columns: ["name", "n", "tag", "items", "ids"] }] },
    ZERO_UUID,
  ]);
  assert.deepEqual(replica.table(T).get(a), {
    _uuid: a,
    name: "x",
    n: 0,
    tag: null,
    items: new Set([3]),
    ids: new Map(),
  });
  assert.deepEqual(replica.state, { kind: "live" });
  assert.equal(replica.lastTransaction, txn);
});

test("inserts, differences and deletions of one transaction come as one list, after all are in the copy", async () => {
  const { replica, update } = await following({
    T: { [a]: { initial: { name: "x", tag: 0, items: ["set", [1, 2]] } } },
  });
  const seen: unknown[] = [];
  replica.onChange((changes) => {
    seen.push([changes.map(({ kind, uuid }) => [kind, uuid]), replica.table(T).size]);
  });
  const old = replica.table(T).get(a);
  update({
    T: {
      [a]: { modify: { tag: ["set", []], items: ["set", [2, 3]], ids: ["map", [["k", "v"]]] } },
      [b]: { insert: { name: "y" } },
    },
  });
  const row = replica.table(T).get(a);
  assert.deepEqual([row?.name, row?.tag, row?.items, row?.ids], ["x", null, new Set([1, 3]), new Map([["k", "v"]])]);
  assert.deepEqual([old?.tag, old?.items], [0, new Set([1, 2])], "the old row is what it was");
  update({ T: { [a]: { delete: null }, [b]: { modify: { n: 0 } } } });
  assert.deepEqual(seen, [
    [
      [
        ["modify", a],
        ["insert", b],
      ],
      2,
    ],
    [[["delete", a]], 1],
  ]);
});

test("typed changes are had by table, and fewer columns can be read than are watched", async () => {
  const Names = pick(T, ["name"]);
  const { replica, update, batches } = await following({});
  update({ T: { [a]: { insert: { name: "x" } } } });
  const [change] = changesOf(Names, batches[0]!);
  assert.ok(change?.kind === "insert");
  const name: string = change.row.name;
  assert.equal(name, "x");
  assert.equal(replica.table(Names).get(a)?.name, "x");
  assert.throws(() => replica.table(table({ name: "U", columns: {} })), TypeError);
  assert.throws(() => replica.table(table({ name: "T", columns: { n: string() } })), TypeError);
  assert.throws(() => new Replica("db", [T, Names]), TypeError);
});

test("an update that cannot be used changes nothing, ends the connection, and leaves the copy readable and stale", async () => {
  const cases: readonly (readonly [Json, new (...args: never[]) => Error])[] = [
    [{ T: { [b]: { modify: { n: 1 } } } }, ProtocolError],
    [{ T: { [b]: { delete: null } } }, ProtocolError],
    [{ T: { [b]: {} } }, ProtocolError],
    [{ T: { b: { insert: {} } } }, ProtocolError],
    [{ U: {} }, ProtocolError],
    [null, ProtocolError],
    [{ T: { [b]: { insert: { name: "fits" } }, [a]: { modify: { n: "x" } } } }, ValueError],
  ];
  for (const [updates, kind] of cases) {
    const { replica, client, update, batches } = await following({ T: { [a]: { initial: { name: "x" } } } });
    update(updates);
    const cause = await client.closed;
    assert.ok(cause.kind === "failed" && cause.error instanceof kind, JSON.stringify(updates));
    assert.deepEqual([...replica.table(T).keys()], [a]);
    assert.deepEqual(batches, []);
    assert.deepEqual(replica.state, { kind: "stale", cause });
  }
});

test("until settles at once, after the change that makes it true, or with the end", async () => {
  const { replica, client, update } = await following({ T: { [a]: { initial: { n: 1 } } } });
  const reached = (n: number) => (held: Replica) => ((held.table(T).get(a)?.n ?? 0) >= n ? `n>=${n}` : null);
  assert.equal(await replica.until(reached(1)), "n>=1");
  const later = replica.until(reached(3));
  const never = replica.until(reached(9));
  const controller = new AbortController();
  const givenUp = replica.until(reached(9), { signal: controller.signal });
  const thrown = replica.until((held) => (reached(2)(held) === null ? null : assert.fail("probe threw")));
  controller.abort(new Error("enough"));
  await assert.rejects(givenUp, /enough/);
  update({ T: { [a]: { modify: { n: 2 } } } });
  await assert.rejects(thrown, /probe threw/);
  update({ T: { [a]: { modify: { n: 3 } } } });
  assert.equal(await later, "n>=3");
  client.close();
  await assert.rejects(never, ConnectionClosedError);
  await assert.rejects(replica.until(reached(1)), ConnectionClosedError);
});

test("a listener that throws ends the connection: it would go on with a wrong picture", async () => {
  const { replica, client, update } = await following({});
  replica.onChange(() => {
    throw new RangeError("mine");
  });
  update({ T: { [a]: { insert: {} } } });
  const cause = await client.closed;
  assert.ok(cause.kind === "failed" && cause.error instanceof RangeError);
});

test("after a reconnection only what differs is told, whether the server resumes or begins anew", async () => {
  const { replica, client, batches } = await following({
    T: { [a]: { initial: { name: "same" } }, [b]: { initial: { name: "gone", n: 1 } } },
  });
  const view = replica.table(T);
  const kept = view.get(a);
  client.close();
  assert.equal(replica.state.kind, "stale");
  const c = parseUuid("00000000-0000-4000-8000-00000000000c");
  const anew = await following(
    { T: { [a]: { initial: { name: "same" } }, [c]: { initial: { name: "new" } } } },
    replica,
  );
  assert.equal((anew.request.params as readonly Json[])[3], txn, "it asks for what came after the last transaction");
  assert.deepEqual(
    batches.map((batch) => batch.map(({ kind, uuid }) => [kind, uuid])),
    [
      [
        ["delete", b],
        ["insert", c],
      ],
    ],
  );
  assert.equal(view.get(a), kept, "an unchanged row stays the same object, in the same view");
  assert.deepEqual([...view.keys()].sort(), [a, c]);
  anew.client.close();

  const peer = scriptedPeer();
  const next = new OvsdbClient(peer.transport, { probeMs: 0 });
  const running = next.monitor(replica);
  await peer.answer("get_schema", SCHEMA);
  await peer.answer("monitor_cond_since", [true, txn, { T: { [a]: { modify: { n: 5 } }, [c]: { delete: null } } }]);
  await running;
  assert.deepEqual(
    batches.at(-1)?.map(({ kind, uuid }) => [kind, uuid]),
    [
      ["modify", a],
      ["delete", c],
    ],
  );
  assert.deepEqual([view.size, view.get(a)?.name, view.get(a)?.n], [1, "same", 5]);
});

test("updates that arrive in the same bytes as the first answer are kept and applied after it", async () => {
  const peer = scriptedPeer();
  const client = new OvsdbClient(peer.transport, { probeMs: 0 });
  const replica = new Replica("db", [T]);
  const running = client.monitor(replica);
  await peer.answer("get_schema", SCHEMA);
  const { id } = await peer.next();
  const answer = JSON.stringify({ id, result: [false, txn, { T: { [a]: { initial: { n: 1 } } } }], error: null });
  const update = JSON.stringify({
    method: "update3",
    params: ["monitor-1", txn, { T: { [a]: { modify: { n: 2 } } } }],
    id: null,
  });
  peer.bytes(new TextEncoder().encode(answer + update));
  await running;
  assert.equal(replica.table(T).get(a)?.n, 2);
});

test("an older server is followed with monitor_cond, the oldest with monitor and whole rows", async () => {
  const peer = scriptedPeer();
  const client = new OvsdbClient(peer.transport, { probeMs: 0 });
  const replica = new Replica("db", [T]);
  const running = client.monitor(replica);
  await peer.answer("get_schema", SCHEMA);
  await peer.refuse("monitor_cond_since", "unknown method");
  await peer.refuse("monitor_cond", { error: "unknown method" });
  const full = { name: "x", n: 1, tag: ["set", []], items: ["set", [1]], ids: ["map", []] };
  const request = await peer.answer("monitor", { T: { [a]: { new: full } } });
  await running;
  assert.equal((request.params as readonly Json[]).length, 3);
  const say = (row: Json) => peer.say({ method: "update", params: ["monitor-1", { T: { [a]: row } }], id: null });
  say({ old: { items: ["set", [1]] }, new: { ...full, items: ["set", [2]] } });
  assert.deepEqual(replica.table(T).get(a)?.items, new Set([2]), "whole values, not differences");
  say({ old: full });
  assert.equal(replica.table(T).size, 0);

  const second = new Replica("db", [only(T, [["n", "==", 1]])]);
  const following2 = client.monitor(second);
  await peer.refuse("monitor_cond_since", "unknown method");
  const conditional = await peer.answer("monitor_cond", { T: { [b]: { initial: { n: 1 } } } });
  await following2;
  assert.deepEqual((conditional.params as readonly Json[])[2], {
    T: [{ columns: ["name", "n", "tag", "items", "ids"], where: [["n", "==", 1]] }],
  });
  peer.say({ method: "update2", params: ["monitor-2", { T: { [b]: { modify: { tag: 0 } } } }], id: null });
  assert.equal(second.table(T).get(b)?.tag, 0);
  assert.equal(second.lastTransaction, null);

  const third = client.monitor(new Replica("db", [only(T, [["n", "==", 1]])]));
  await peer.refuse("monitor_cond_since", "unknown method");
  await peer.refuse("monitor_cond", "unknown method");
  await assert.rejects(third, (error: unknown) => error instanceof OvsdbError && error.error === "unsupported");
});

test("a table that is not as declared is refused before it is watched, and who waits on the copy is told", async () => {
  const peer = scriptedPeer();
  const client = new OvsdbClient(peer.transport, { probeMs: 0 });
  const replica = new Replica("db", [table({ name: "T", columns: { tag: integer() } })]);
  const waiting = replica.until(() => null);
  const running = client.monitor(replica);
  const both = Promise.all([
    assert.rejects(running, SchemaMismatchError),
    assert.rejects(waiting, ConnectionClosedError),
  ]);
  await peer.answer("get_schema", SCHEMA);
  await both;
});

test("a replica follows one server at a time, and none after unmonitor", async () => {
  const { replica, client, peer, update, batches } = await following({});
  await assert.rejects(client.monitor(replica), TypeError);
  const stopping = client.unmonitor(replica);
  assert.deepEqual((await peer.answer("monitor_cancel", {})).params, ["monitor-1"]);
  await stopping;
  update({ T: { [a]: { insert: {} } } });
  assert.deepEqual(batches, []);
  assert.equal(replica.state.kind, "stale");
  await client.unmonitor(replica);
});
