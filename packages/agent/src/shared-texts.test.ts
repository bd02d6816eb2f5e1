import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { SharedTexts } from "./shared-texts.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

test("a value stays equal to what it was, whatever came before", () => {
  const texts = new SharedTexts();
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      assert.equal(JSON.stringify(texts.share(JSON.parse(text))), text);
    }),
  );
});

test("objects that are alike but for their ids hold no text of their own besides, though thousands of other texts come between", () => {
  const count = 20_000;
  const idOf = (number: number): string => `0f0e0d0c-0b0a-4000-8000-${String(number).padStart(12, "0")}`;
  const measure = (share: (value: unknown) => unknown): number => {
    collect();
    const before = process.memoryUsage().heapUsed;
    const held = Array.from({ length: count }, (_, at) =>
      share(JSON.parse(JSON.stringify({ id: idOf(at), of: [{ subnet_id: idOf(-1) }], project: idOf(-2), pairs: [] }))),
    );
    collect();
    const after = process.memoryUsage().heapUsed;
    assert.equal(held.length, count);
    return (after - before) / count;
  };
  const texts = new SharedTexts();
  const alone = measure((value) => value);
  const shared = measure((value) => texts.share(value));
  assert.ok(alone - shared > 100, `${alone} bytes each alone, ${shared} shared`);
});
