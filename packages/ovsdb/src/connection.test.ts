/** JSON-RPC against a played server: answers, echo, probing and every way to end (RFC 7047 §4). */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Connection } from "./connection.ts";
import { ConnectionClosedError, FramingError, OvsdbError, ProtocolError } from "./errors.ts";
import { scriptedPeer } from "./testing/peer.ts";

const encoder = new TextEncoder();

/** A timer that fires when the test says so. */
function manualTimer() {
  const tasks: { readonly ms: number; readonly task: () => void }[] = [];
  return {
    after: (ms: number, task: () => void) => {
      const entry = { ms, task };
      tasks.push(entry);
      return () => {
        if (tasks.includes(entry)) tasks.splice(tasks.indexOf(entry), 1);
      };
    },
    fire: () => tasks.shift()?.task(),
    due: () => tasks.map(({ ms }) => ms),
  };
}

test("answers find their requests in whatever order they come, and null is a result", async () => {
  const peer = scriptedPeer();
  const connection = new Connection(peer.transport, { probeMs: 0 });
  const [a, b] = [connection.request("one", [1]), connection.request("two", [])];
  const [first, second] = [await peer.next(), await peer.next()];
  assert.deepEqual([first.method, first.params], ["one", [1]]);
  assert.equal(connection.outstanding, 2);
  peer.say({ id: second.id!, result: ["second"], error: null });
  peer.say({ id: first.id!, result: null });
  assert.deepEqual([await a, await b], [null, ["second"]]);
  assert.equal(connection.outstanding, 0);
});

test("an error answer is an OvsdbError, as an object and as the bare text that ovsdb-server uses", async () => {
  const peer = scriptedPeer();
  const connection = new Connection(peer.transport, { probeMs: 0 });
  const asked = connection.request("get_schema", ["x"]);
  await peer.refuse("get_schema", { error: "unknown database", details: "x" });
  await assert.rejects(asked, (error: unknown) => {
    assert.ok(error instanceof OvsdbError);
    assert.deepEqual(
      [error.error, error.details, error.method, error.operation],
      ["unknown database", "x", "get_schema", null],
    );
    return true;
  });
  const bogus = connection.request("bogus", []);
  await peer.refuse("bogus", "unknown method");
  await assert.rejects(bogus, { name: "OvsdbError", error: "unknown method", details: null });
});

test("an answer that cannot be read ends the connection, and who asked is told", async () => {
  for (const answer of [{ result: null, error: [null] }, { error: null }, { result: 1, error: { error: 5 } }]) {
    const peer = scriptedPeer();
    const connection = new Connection(peer.transport, { probeMs: 0 });
    const outcome: unknown[] = [];
    connection.request("get_schema", ["x"]).catch((error: unknown) => outcome.push(error));
    peer.say({ id: (await peer.next()).id!, ...answer });
    const cause = await connection.closed;
    assert.ok(cause.kind === "failed" && cause.error instanceof ProtocolError);
    assert.equal(connection.outstanding, 0);
    assert.ok(outcome.length === 1 && outcome[0] instanceof ConnectionClosedError, "the caller does not wait for ever");
  }
});

test("an echo is answered at once with its parameters and id; another request from the server is refused", async () => {
  const peer = scriptedPeer();
  new Connection(peer.transport, { probeMs: 0 });
  peer.say({ method: "echo", params: ["x", 0], id: "echo" });
  assert.deepEqual(await peer.next(), { id: "echo", result: ["x", 0], error: null });
  peer.say({ method: "mutiny", params: [], id: 0 });
  assert.deepEqual(await peer.next(), { id: 0, result: null, error: "unknown method" });
});

test("notifications reach their handlers in order and not after these are removed", () => {
  const peer = scriptedPeer();
  const connection = new Connection(peer.transport, { probeMs: 0 });
  const heard: unknown[] = [];
  const stop = connection.onNotification("update", (params) => heard.push(params[0]));
  peer.bytes(encoder.encode('{"method":"update","params":[0],"id":null}{"method":"update","params":[1]}'));
  peer.say({ method: "locked", params: ["other"], id: null });
  stop();
  peer.say({ method: "update", params: [2], id: null });
  assert.deepEqual(heard, [0, 1]);
});

test("a quiet line is probed after one period and given up after another; any byte starts anew", async () => {
  const peer = scriptedPeer();
  const timer = manualTimer();
  const connection = new Connection(peer.transport, { probeMs: 700, after: timer.after });
  assert.deepEqual(timer.due(), [700]);
  timer.fire();
  await peer.answer("echo", []);
  timer.fire();
  assert.equal(peer.sent.length, 0, "what was heard lately is not probed");
  timer.fire();
  assert.equal((await peer.next()).method, "echo");
  peer.bytes(encoder.encode(" "));
  timer.fire();
  assert.equal(connection.cause, null, "a single byte is a sign of life");
  timer.fire();
  timer.fire();
  assert.deepEqual(await connection.closed, { kind: "silent", silentMs: 1400 });
  assert.deepEqual(timer.due(), []);
});

test("an answer that waits to be read when the time is over counts", async () => {
  const peer = scriptedPeer();
  const timer = manualTimer();
  const connection = new Connection(peer.transport, { probeMs: 700, after: timer.after });
  timer.fire();
  timer.fire();
  peer.bytes(encoder.encode(" "));
  await new Promise(setImmediate);
  assert.equal(connection.cause, null);
  assert.deepEqual(timer.due(), [700]);
  timer.fire();
  timer.fire();
  assert.deepEqual(await connection.closed, { kind: "silent", silentMs: 1400 });
});

test("the end rejects what is outstanding and what is asked later, with the cause", async () => {
  const cases = [
    { end: (c: Connection) => c.close(), kind: "local" },
    { end: (_: Connection, p: ReturnType<typeof scriptedPeer>) => p.hangUp(), kind: "remote" },
    { end: (_: Connection, p: ReturnType<typeof scriptedPeer>) => p.hangUp(new Error("reset")), kind: "failed" },
  ] as const;
  for (const { end, kind } of cases) {
    const peer = scriptedPeer();
    const timer = manualTimer();
    const connection = new Connection(peer.transport, { after: timer.after });
    assert.deepEqual(timer.due(), [5000]);
    const asked = connection.request("transact", ["db"]);
    end(connection, peer);
    await assert.rejects(
      asked,
      (error: unknown) => error instanceof ConnectionClosedError && error.closed.kind === kind,
    );
    await assert.rejects(connection.request("echo", []), ConnectionClosedError);
    assert.equal((await connection.closed).kind, kind);
    assert.equal(connection.outstanding, 0);
    assert.deepEqual(timer.due(), [], "no timer outlives the connection");
  }
});

test("garbage, answers to nothing and messages in no known form end the connection with a typed cause", async () => {
  const cases: readonly (readonly [string, new (...args: never[]) => Error])[] = [
    ["HTTP/1.1 400", FramingError],
    ['{"id":99,"result":[],"error":null}', ProtocolError],
    ['{"id":"1","result":[],"error":null}', ProtocolError],
    ['{"method":"update","id":null}', ProtocolError],
    ['{"method":5,"params":[],"id":null}', ProtocolError],
    ["{}", ProtocolError],
  ];
  for (const [text, kind] of cases) {
    const peer = scriptedPeer();
    const connection = new Connection(peer.transport, { probeMs: 0 });
    peer.bytes(encoder.encode(text));
    const cause = await connection.closed;
    assert.ok(cause.kind === "failed" && cause.error instanceof kind, text);
  }
});

test("a handler that throws ends the connection with its error, and later messages of the chunk are not delivered", async () => {
  const peer = scriptedPeer();
  const connection = new Connection(peer.transport, { probeMs: 0 });
  let calls = 0;
  connection.onNotification("update", () => {
    calls += 1;
    throw new RangeError("cannot use this");
  });
  peer.bytes(encoder.encode('{"method":"update","params":[0],"id":null}{"method":"update","params":[1],"id":null}'));
  const cause = await connection.closed;
  assert.ok(cause.kind === "failed" && cause.error instanceof RangeError);
  assert.equal(calls, 1);
});

test("giving up a transaction asks the server to cancel it, and its late answer disturbs nothing", async () => {
  const peer = scriptedPeer();
  const connection = new Connection(peer.transport, { probeMs: 0 });
  const controller = new AbortController();
  const asked = connection.request("transact", ["db"], { signal: controller.signal });
  const { id } = await peer.next();
  controller.abort(new Error("enough"));
  await assert.rejects(asked, /enough/);
  assert.deepEqual(await peer.next(), { method: "cancel", params: [id], id: null });
  peer.say({ id: id!, result: null, error: "canceled" });
  const after = connection.request("list_dbs", []);
  await peer.answer("list_dbs", ["db"]);
  assert.deepEqual(await after, ["db"]);
  await assert.rejects(connection.request("echo", [], { signal: controller.signal }), /enough/);
});
