/** Entries as text: what goes in comes out, whatever JSON can hold; what is not ours is told as damage. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { loggedEntry, prepareEntries, prepareEntry, storedObject } from "./body.ts";
import { StoreFailure } from "./store.ts";
import { entry } from "./testing/entries.ts";

const change = fc.record({
  kind: fc.string({ unit: "binary" }),
  id: fc.string({ unit: "binary" }),
  object: fc.option(fc.record({ id: fc.string({ unit: "binary" }), value: fc.jsonValue({ stringUnit: "binary" }) })),
});

/** As JSON has it: -0 is 0. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

test("objects that are read with shared texts are the same objects", () => {
  const id = fc.constantFrom("a", "b", "");
  const object = fc.record({
    id,
    network_id: id,
    created_at: fc.constantFrom("then", null),
    name_id: fc.jsonValue(),
    list: fc.array(fc.oneof(fc.record({ subnet_id: id, __proto__: fc.constant(null) }), fc.jsonValue())),
  });
  fc.assert(
    fc.property(fc.array(object), (objects) => {
      const texts = new Map<string, string>();
      for (const each of objects) {
        const body = JSON.stringify(each);
        assert.deepEqual(storedObject(body, texts), JSON.parse(body));
      }
    }),
    { numRuns: 200 },
  );
});

test("a text that two objects bear is noted once", () => {
  const texts = new Map<string, string>();
  storedObject('{"id":"1","network_id":"n","fixed_ips":[{"subnet_id":"s"}],"name":"x"}', texts);
  storedObject('{"id":"2","network_id":"n","fixed_ips":[{"subnet_id":"s"}],"name":"y"}', texts);
  assert.deepEqual([...texts.keys()], ["n", "s"]);
});

test("an entry's text says the same as JSON.stringify would, and each change's text is its object's", () => {
  fc.assert(
    fc.property(fc.array(change), fc.nat(), (changes, revision) => {
      const given = { ...entry(), changes };
      const prepared = prepareEntry(given);
      assert.deepEqual(loggedEntry({ revision, body: prepared.body }), { revision, ...(plain(given) as typeof given) });
      for (const [at, { body }] of prepared.changes.entries()) {
        assert.deepEqual(body === null ? null : storedObject(body), plain(changes[at]?.object));
      }
    }),
    { numRuns: 200 },
  );
});

test("one id twice is refused, and a text that is no JSON is damage", () => {
  const one = entry();
  assert.throws(() => prepareEntries([one, entry(), one]), StoreFailure);
  assert.equal(prepareEntries([one, entry()]).length, 2);
  assert.throws(() => loggedEntry({ revision: 7, body: '{"id":' }), /revision 7 in the store is damaged/);
  assert.throws(() => storedObject(""), StoreFailure);
});
