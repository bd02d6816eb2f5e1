import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { emptyOutcomes, figuresLine, judgeOutcome, type Outcome, parseAllowed, parseLine } from "./outcomes.ts";

const ended = (name: string, outcome: Outcome["outcome"]): Outcome => ({ test: name, outcome, where: "", why: "so" });

test("what an extension would make run is allowed to be skipped or to fail only while it is not listed", () => {
  const allowed = parseAllowed('[{"tests": "Metering", "needs": "metering", "reason": "there is none"}]');
  for (const [listed, unexpected] of [
    [[], 1],
    [["metering"], 3],
  ] as const) {
    const outcomes = emptyOutcomes();
    judgeOutcome(outcomes, ended("MeteringTest.a", "skipped"), allowed, listed);
    judgeOutcome(outcomes, ended("MeteringTest.b", "failed"), allowed, listed);
    judgeOutcome(outcomes, ended("PortsTest.a", "skipped"), allowed, listed);
    judgeOutcome(outcomes, ended("PortsTest.b", "passed"), allowed, listed);
    assert.deepEqual([outcomes.passed, outcomes.failed, outcomes.skipped, outcomes.unexpected], [1, 1, 2, unexpected]);
    assert.match(figuresLine(outcomes, 2.4), /^tempest\.api\.network: 1 passed, 1 failed, 2 skipped of 4 in 2 s/);
  }
});

test("a line that a test printed itself is no outcome", () => {
  for (const line of ["", "hello", "3", "null", '{"test": "a"}', '{"test": "a", "outcome": "odd"}'])
    assert.equal(parseLine(line), undefined, line);
  assert.deepEqual(parseLine('{"listed": 0}'), { kind: "listed", count: 0 });
  assert.deepEqual(parseLine('{"test": "a", "outcome": "failed", "where": "f:1", "why": "no"}'), {
    kind: "outcome",
    outcome: { test: "a", outcome: "failed", where: "f:1", why: "no" },
  });
});

test("each allowed test has its reason", () => {
  const text = readFileSync(new URL("allowed.json", import.meta.url), "utf8");
  assert.ok(parseAllowed(text).length > 0);
  assert.throws(() => parseAllowed('[{"tests": "a"}]'), /needs "tests" and "reason"/);
  assert.throws(() => parseAllowed('[{"tests": "a", "reason": ""}]'), /needs "tests" and "reason"/);
  assert.throws(() => parseAllowed("{}"), /no list/);
});
