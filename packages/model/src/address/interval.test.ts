/** Interval sets against a plain Set, and at the size of an IPv6 subnet. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bigintArithmetic, IntervalSet, numberArithmetic } from "./interval.ts";

const span = fc.tuple(fc.nat(40), fc.nat(8)).map(([first, length]) => ({ first, last: first + length }));
const change = fc.record({ take: fc.boolean(), span });

test("after any changes it holds what a plain set holds, in the fewest intervals", () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 20 }), (changes) => {
      const set = new IntervalSet(numberArithmetic);
      const wide = new IntervalSet(bigintArithmetic);
      const model = new Set<number>();
      for (const { take, span } of changes) {
        for (let n = span.first; n <= span.last; n++) take ? model.delete(n) : model.add(n);
        if (take) set.remove(span.first, span.last);
        else set.add(span.first, span.last);
        if (take) wide.remove(BigInt(span.first), BigInt(span.last));
        else wide.add(BigInt(span.first), BigInt(span.last));
        const sorted = [...model].sort((a, b) => a - b);
        assert.deepEqual([...set], sorted);
        assert.deepEqual([...wide], sorted.map(BigInt));
        assert.equal(set.count, model.size);
        assert.equal(wide.count, BigInt(model.size));
        assert.equal(set.intervalCount, sorted.filter((n) => !model.has(n - 1)).length);
        assert.equal(set.lowest(), sorted[0]);
        for (let n = -1; n < 50; n++) assert.equal(set.has(n), model.has(n));
        const all = (first: number, last: number) =>
          Array.from({ length: last - first + 1 }, (_, i) => model.has(first + i));
        assert.equal(set.covers(span.first, span.last + 1), all(span.first, span.last + 1).every(Boolean));
        for (const [rank, n] of sorted.entries()) assert.equal(set.nth(rank), n);
      }
    }),
    { numRuns: 200 },
  );
});

test("0 is a number like the others, and an empty set says so", () => {
  const set = new IntervalSet(numberArithmetic, [{ first: 0, last: 0 }]);
  assert.equal(
    set.pick(() => 0),
    0,
  );
  assert.equal(set.has(0), true);
  set.remove(0);
  assert.equal(
    set.pick(() => assert.fail("nothing to draw from")),
    undefined,
  );
  assert.equal(set.nth(0), undefined);
  assert.equal(set.nth(-1), undefined);
  assert.equal(set.lowest(), undefined);
  assert.throws(() => set.add(2, 1), RangeError);
  assert.throws(() => set.remove(2, 1), RangeError);
});

test("every free number is picked by exactly one draw, and a clone changes on its own", () => {
  const set = new IntervalSet(numberArithmetic, [
    { first: 2, last: 4 },
    { first: 10, last: 11 },
  ]);
  const draws = Array.from({ length: set.count }, (_, rank) => set.pick(() => rank));
  assert.deepEqual(draws, [2, 3, 4, 10, 11]);
  const copy = set.clone();
  copy.remove(2, 11);
  assert.equal(copy.count, 0);
  assert.equal(set.count, 5);
});

test("a pool of 2^64 addresses is as cheap as a small one", () => {
  const first = 0x20010db8n << 96n;
  const set = new IntervalSet(bigintArithmetic, [{ first, last: first + (1n << 64n) - 1n }]);
  set.remove(first + 1n);
  assert.equal(set.count, (1n << 64n) - 1n);
  assert.equal(set.nth(1n), first + 2n);
  assert.equal(
    set.pick((limit) => limit - 1n),
    first + (1n << 64n) - 1n,
  );
  assert.equal(set.intervalCount, 2);
});
