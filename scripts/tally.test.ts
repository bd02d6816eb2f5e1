/** Tests of the counting behind the closing line. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { emptyTally, judge, parseAllowedSkips, summaryLine, type TestEvent, tally } from "./tally.ts";

const event = (over: Partial<TestEvent>): TestEvent => ({
  name: "n",
  file: "f",
  suite: false,
  passed: true,
  skipped: false,
  skipReason: "",
  ...over,
});

test("the closing line counts passed, failed and skipped tests, not suites", () => {
  const events = [
    event({}),
    event({ passed: false }),
    event({ skipped: true }),
    event({ suite: true }),
    event({ suite: true, passed: false }),
  ];
  assert.equal(summaryLine(events.reduce(tally, emptyTally)), "1 passed, 1 failed, 1 skipped");
});

test("in CI a skip is a failure unless it is listed with file and name", () => {
  const sum = [event({}), event({ skipped: true, name: "a" }), event({ skipped: true, name: "b" })].reduce(
    tally,
    emptyTally,
  );
  const allowed = parseAllowedSkips('[{"file":"f","name":"a","reason":"needs a kernel module"}]');
  assert.equal(summaryLine(judge(sum, allowed, false).tally), "1 passed, 0 failed, 2 skipped");
  const strict = judge(sum, allowed, true);
  assert.equal(summaryLine(strict.tally), "1 passed, 1 failed, 1 skipped");
  assert.deepEqual(strict.complaints, ["f: b: skipped, and tests/allowed-skips.json does not list it"]);
});

test("a skip without a reason cannot be allowed", () => {
  assert.throws(
    () => parseAllowedSkips('[{"file":"f","name":"a","reason":" "}]'),
    /needs "file", "name" and a "reason"/,
  );
  assert.throws(() => parseAllowedSkips("{}"), /not a list/);
});
