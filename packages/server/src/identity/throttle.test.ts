import assert from "node:assert/strict";
import { test } from "node:test";
import { Throttle } from "./throttle.ts";

function throttle(capacity = 100) {
  let time = 1_000_000;
  const made = new Throttle({ now: () => time, free: 3, first: 1000, longest: 60_000, forget: 900_000, capacity });
  const advance = (ms: number): void => {
    time += ms;
  };
  return { made, advance };
}

test("the first failures cost nothing, then the delay doubles up to its longest", () => {
  const { made } = throttle();
  const waits = Array.from({ length: 12 }, () => {
    made.failed("a");
    return made.wait("a");
  });
  assert.deepEqual(waits, [0, 0, 0, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  assert.equal(made.wait("b"), 0, "another key is not held up");
});

test("a delay passes with time, a success and a long silence clear it", () => {
  const { made, advance } = throttle();
  for (let n = 0; n < 5; n++) made.failed("a");
  advance(1500);
  assert.equal(made.wait("a"), 500);
  advance(500);
  assert.equal(made.wait("a"), 0);
  made.failed("a");
  assert.equal(made.wait("a"), 4000, "what was failed before still counts");
  made.succeeded("a");
  assert.equal(made.wait("a"), 0);
  for (let n = 0; n < 9; n++) made.failed("a");
  advance(900_000);
  assert.equal(made.wait("a"), 0);
  made.failed("a");
  assert.equal(made.wait("a"), 0, "a long silence starts anew");
});

test("a flood of keys is bounded, and pushes out those that have been quiet longest", () => {
  const { made } = throttle(10);
  for (let n = 0; n < 9; n++) made.failed("kept");
  for (let n = 0; n < 1000; n++) {
    made.failed(`flood-${n}`);
    if (n % 5 === 0) made.failed("kept");
  }
  assert.equal(made.size, 10);
  assert.equal(made.wait("kept"), 60_000);
});
