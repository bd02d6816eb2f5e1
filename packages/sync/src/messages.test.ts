/** Messages: what is right is read as it is, what is not is refused by name and in few words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BadMessage, readFromAgent, readFromServer } from "./messages.ts";

test("revision 0 and empty lists are values", () => {
  assert.deepEqual(readFromAgent('{"type":"ack","revision":0}'), { type: "ack", revision: 0 });
  const empty = { type: "changes", revision: 0, reset: false, more: false, puts: [], removes: [] };
  assert.deepEqual(readFromServer(JSON.stringify(empty)), empty);
});

test("a message of another side, of a property of every object, or with too much in it is refused by name", () => {
  assert.throws(() => readFromAgent('{"type":"welcome"}'), { name: "BadMessage", message: /unknown type "welcome"/ });
  assert.throws(() => readFromAgent('{"type":"constructor"}'), { name: "BadMessage", message: /unknown type/ });
  assert.throws(() => readFromAgent('{"type":"ack","revision":-1}'), { name: "BadMessage", message: /ack\/revision/ });
  assert.throws(() => readFromAgent('{"type":"ack","revision":1,"x":1}'), BadMessage);
  for (const text of ["", "null", "[]", "7", '{"type":{}}', "{"]) assert.throws(() => readFromServer(text), BadMessage);
});

test("a refusal stays short, however long what it quotes", () => {
  const long = "a".repeat(100_000);
  for (const text of [`{"type":"${long}"}`, `{"type":"ack","revision":1,"${long}":1}`, long]) {
    assert.throws(
      () => readFromAgent(text),
      (error) => error instanceof BadMessage && error.message.length < 300,
    );
  }
});
