/** What is said between server and agent: each message is read back as it was written, and anything else is refused by name. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Value } from "typebox/value";
import { BadMessage, FromAgent, FromServer, readFromAgent, readFromServer } from "./messages.ts";
import { chunkSize, commonVersion, heldChunk, maxMessage, protocolVersions } from "./protocol.ts";

const fromAgent: readonly FromAgent[] = [
  {
    type: "hello",
    protocols: [1],
    agent: "a",
    tunnel_ip: "2001:db8::1",
    physical_networks: ["public"],
    projection: "p",
    held: [["port", "x", 0]],
    more: true,
  },
  { type: "held", held: [["port", "y", 7]], more: false },
  { type: "ack", revision: 0 },
  {
    type: "facts",
    datapath: "none",
    ports_up: ["a"],
    unbound: ["b"],
    quarantined: [{ unit: "guard: port(a)", reason: "why" }],
    nat: [{ lease: "l", used: 0 }],
  },
];

const fromServer: readonly FromServer[] = [
  { type: "welcome", protocol: 1, host: { id: "h", name: "h1", key: 1 } },
  {
    type: "changes",
    revision: 0,
    reset: true,
    more: false,
    puts: [{ kind: "port", revision: 3, object: { id: "x" } }],
    removes: [{ kind: "subnet", id: "s" }],
  },
  { type: "refused", code: "HostUnknown", message: "no", retry: false },
];

test("every message is read as it was written", () => {
  for (const message of fromAgent) assert.deepEqual(readFromAgent(JSON.stringify(message)), message);
  for (const message of fromServer) assert.deepEqual(readFromServer(JSON.stringify(message)), message);
});

test("a message of the other side, of no type, or that is not JSON is refused", () => {
  for (const message of fromAgent) assert.throws(() => readFromServer(JSON.stringify(message)), BadMessage);
  for (const message of fromServer) assert.throws(() => readFromAgent(JSON.stringify(message)), BadMessage);
  for (const text of ["", "{", "null", "[]", "7", '{"type":"toString"}', '{"type":7}', '{"type":"__proto__"}']) {
    assert.throws(() => readFromAgent(text), BadMessage);
    assert.throws(() => readFromServer(text), BadMessage);
  }
});

test("an agent's message with a field too many, too few or of another type is refused by the field's name", () => {
  assert.throws(() => readFromAgent('{"type":"ack","revision":1,"host":"other"}'), /ack/);
  assert.throws(() => readFromAgent('{"type":"ack"}'), /ack/);
  for (const revision of ["1", -1, 1.5, null]) {
    assert.throws(() => readFromAgent(JSON.stringify({ type: "ack", revision })), /ack\/revision/);
  }
});

test("an agent takes fields that a newer server adds", () => {
  const welcome = { type: "welcome", protocol: 1, host: { id: "h", name: "h1", key: 1 }, later: true };
  assert.equal(readFromServer(JSON.stringify(welcome)).type, "welcome");
});

test("whatever text comes, reading gives a message that fits or throws BadMessage", () => {
  const text = fc.oneof(
    fc.string(),
    fc.json(),
    fc.constantFrom(...fromAgent, ...fromServer).map((each) => JSON.stringify(each)),
  );
  fc.assert(
    fc.property(text, (each) => {
      for (const [read, schema] of [
        [readFromAgent, FromAgent],
        [readFromServer, FromServer],
      ] as const) {
        try {
          assert.ok(Value.Check(schema, read(each)));
        } catch (error) {
          assert.ok(error instanceof BadMessage);
        }
      }
    }),
  );
});

test("what an agent holds fits into the messages that it comes in", () => {
  const held = Array.from({ length: heldChunk }, () => ["network", "0".repeat(36), 2 ** 40]);
  assert.ok(JSON.stringify({ type: "held", held, more: true }).length < maxMessage);
  assert.ok(chunkSize * 2_048 < maxMessage);
});

test("the highest version that both speak is used, and none is none", () => {
  assert.equal(commonVersion([1, 2, 3], [2, 3, 4]), 3);
  assert.equal(commonVersion([1], [2]), undefined);
  assert.equal(commonVersion(protocolVersions, protocolVersions), Math.max(...protocolVersions));
});
