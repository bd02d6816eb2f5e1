/** A port's packets of a kind are let through in bursts and at a rate, and no port counts for another. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { limits, physicalName, wireLimits } from "@selvage/pipeline";
import { Rates } from "./rates.ts";

const { rate, burst } = limits.fragments;

test("a burst is let through, then as many as the rate says, and after a rest a burst again, no larger", () => {
  let now = 0;
  const rates = new Rates(() => now);
  const admitted = (tries: number, ingress = "a"): number =>
    Array.from({ length: tries }, () => rates.admits(ingress, "fragments")).filter(Boolean).length;
  assert.equal(admitted(10 * burst), burst);
  assert.equal(admitted(1), 0);
  assert.equal(admitted(10 * burst, "b"), burst, "another port has its own");
  const wire = physicalName("public");
  assert.equal(admitted(10 * burst, wire), wireLimits.fragments.burst);
  now += 1_000;
  assert.equal(admitted(10 * burst, wire), wireLimits.fragments.rate, "a physical network has another");
  assert.equal(admitted(10 * burst), rate);
  now += 1_000_000;
  assert.equal(admitted(10 * burst), burst);
  for (let step = 0, sum = 0; step <= 100; step += 1) {
    if (step === 100) assert.ok(Math.abs(sum - rate) <= 1, `${sum} in a second of small steps`);
    now += 10;
    sum += admitted(10);
  }
});
