/** Mutations: they leave their input alone, stay within bounds, repeat, change JSON into JSON, and each kind of them happens. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { foundText, inputOf } from "./found.ts";
import { type Material, mutate } from "./mutate.ts";
import { mutateJson } from "./mutate-json.ts";
import { Random } from "./random.ts";

const bytes = fc.uint8Array({ maxLength: 80 });
const material = fc.record({ other: bytes, dictionary: fc.array(bytes, { maxLength: 3 }), maxLength: fc.nat(100) });
const shape = fc.constantFrom("bytes" as const, "lines");

test("a mutation leaves its input alone, is no longer than it may be, and is the same for the same seed", () => {
  fc.assert(
    fc.property(fc.nat(), bytes, shape, material, (seed, input, kind, given: Material) => {
      const before = input.slice();
      const other = given.other.slice();
      const result = mutate(new Random(seed), input, kind, given);
      assert.deepEqual([input, given.other], [before, other]);
      assert.ok(result.length <= given.maxLength);
      assert.deepEqual(mutate(new Random(seed), input, kind, given), result);
    }),
    { numRuns: 2_000 },
  );
});

test("a changed JSON text is JSON, and text that is no object or list is left to others", () => {
  const json = fc.oneof(fc.array(fc.jsonValue()), fc.dictionary(fc.string(), fc.jsonValue()));
  fc.assert(
    fc.property(fc.nat(), json, (seed, value) => {
      const text = JSON.stringify(value);
      const changed = mutateJson(new Random(seed), text, { dictionary: [] });
      assert.ok(changed !== undefined);
      JSON.parse(changed);
    }),
    { numRuns: 1_000 },
  );
  for (const text of ["", "7", '"a"', "null", "{", "[1,"]) {
    assert.equal(mutateJson(new Random(1), text, { dictionary: [] }), undefined);
  }
});

test("values change kind, names become those of every object, members come twice, lists grow and nest", () => {
  const seen = Array.from(
    { length: 3_000 },
    (_, seed) => mutateJson(new Random(seed), '{"a":[1,{"b":"c"}]}', { dictionary: [] }) ?? "",
  );
  for (const part of [
    '"a":null',
    '"__proto__":',
    '"constructor":',
    '"b":"c","b":"c"',
    "1,1,1,1",
    "[[[[1",
    '"a":[]',
    "1e999",
    '"x"',
  ]) {
    assert.ok(
      seen.some((text) => text.includes(part)),
      part,
    );
  }
});

test("numbers are spread evenly, and a limit below one gives zero", () => {
  const random = new Random(7);
  const counts = new Array<number>(10).fill(0);
  for (let n = 0; n < 10_000; n++) {
    const drawn = random.below(10);
    counts[drawn] = (counts[drawn] ?? 0) + 1;
  }
  assert.ok(
    counts.every((count) => count > 850 && count < 1_150),
    counts.join(" "),
  );
  assert.equal(random.below(0), 0);
  assert.throws(() => random.pick([]), RangeError);
});

test("a kept input is read as it was, whatever its note says", () => {
  fc.assert(fc.property(bytes, fc.string(), (input, note) => assert.deepEqual(inputOf(foundText(input, note)), input)));
});
