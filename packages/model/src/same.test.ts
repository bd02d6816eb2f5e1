import assert from "node:assert/strict";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { sameJson } from "./same.ts";

/** Few values, so that two drawn apart are often the same. */
const { json } = fc.letrec((tie) => ({
  json: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(0, 1, null, "", "0", false, true),
    fc.array(tie("json"), { maxLength: 2 }),
    fc.dictionary(fc.constantFrom("a", "b"), tie("json"), { maxKeys: 2, noNullPrototype: true }),
  ),
}));

test("two JSON values are the same exactly when node's own deep comparison says so", () => {
  fc.assert(
    fc.property(json, json, (a, b) => {
      assert.equal(sameJson(a, b), isDeepStrictEqual(a, b));
      assert.equal(sameJson(a, structuredClone(a)), true);
    }),
    { numRuns: 2000 },
  );
});

test("a member that is undefined is one that is absent; 0, false, null and nothing differ", () => {
  assert.ok(sameJson({ a: 1, b: undefined }, { a: 1 }));
  assert.ok(sameJson({ a: 1 }, { b: undefined, a: 1 }));
  const different = [0, false, null, "", [], {}, { 0: 1 }, [1]];
  for (const [i, a] of different.entries()) {
    for (const [j, b] of different.entries()) assert.equal(sameJson(a, b), i === j);
  }
});
