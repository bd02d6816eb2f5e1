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
