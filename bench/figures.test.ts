import assert from "node:assert/strict";
import { test } from "node:test";
import { isMet, numberText, percentile, spread, tableText } from "./figures.ts";

test("a percentile is a sample that was seen, by nearest rank", () => {
  const samples = [5, 1, 4, 2, 3];
  assert.equal(percentile(samples, 0), 1);
  assert.equal(percentile(samples, 0.5), 3);
  assert.equal(percentile(samples, 0.8), 4);
  assert.equal(percentile(samples, 0.81), 5);
  assert.equal(percentile(samples, 1), 5);
  assert.equal(spread(samples), "p50 3, p90 5, p99 5, worst 5 of 5");
});

test("without samples there is no percentile", () => {
  assert.throws(() => percentile([], 0.5), RangeError);
});

test("an aim is met or missed, and 0 is a value", () => {
  assert.equal(isMet({ value: 0, aim: { is: "<", value: 1 } }), true);
  assert.equal(isMet({ value: 1, aim: { is: "<", value: 1 } }), false);
  assert.equal(isMet({ value: 0, aim: { is: ">=", value: 0 } }), true);
  assert.equal(isMet({ value: 0.79, aim: { is: ">=", value: 0.8 } }), false);
  assert.equal(isMet({ value: 5 }), undefined);
});

test("numbers are short and without exponents", () => {
  assert.deepEqual([0, 0.012_345, 1.2345, 99.95, 12_345.6].map(numberText), ["0", "0.0123", "1.23", "100", "12,346"]);
});

test("a miss stands in the table", () => {
  const text = tableText([
    { bench: "api", name: "creates", value: 5, unit: "a second", aim: { is: ">=", value: 1000 } },
    { bench: "api", name: "lists", value: 5, unit: "ms" },
  ]);
  const [, , missed = "", plain = ""] = text.split("\n");
  assert.match(missed, /\| 5 a second \| >= 1,000 \| MISSED \|/);
  assert.doesNotMatch(plain, /met|MISSED/);
  assert.equal(new Set(text.split("\n").map((line) => line.length)).size, 1);
});
