import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  emptyOutcomes,
  figuresLine,
  judgeOutcome,
  newlyPossible,
  type Outcome,
  type Outcomes,
  parseAllowed,
  parseLine,
  waiting,
} from "./outcomes.ts";
import { neutronSuite, tempestSuite } from "./suites.ts";

const list = parseAllowed(
  JSON.stringify([
    { tests: "Metering", needs: "metering", reason: "there is none" },
    { tests: "Gateway", needs: ["external-net", "/v2.0/floatingips"], reason: "nothing outside" },
    { tests: "", needs: "trunk", skipped: "trunk.*not enabled", reason: "no trunks" },
    { tests: "Stateful", refused: "'stateful' is not supported", reason: "it is refused" },
  ]),
);

const judged = (ended: readonly (readonly [string, Outcome["outcome"], string?])[], ...offered: string[]): Outcomes => {
  const outcomes = emptyOutcomes();
  for (const [name, outcome, why = "so"] of ended) {
    judgeOutcome(outcomes, { test: name, outcome, where: "", why }, list, new Set(offered));
  }
  return outcomes;
};

const figures = ({ passed, failed, skipped, unexpected }: Outcomes) => [passed, failed, skipped, unexpected];

test("what needs something is allowed to be skipped as long as not all of it is there, and never to fail", () => {
  const ended = [
    ["Metering.a", "skipped"],
    ["Metering.b", "failed"],
    ["Ports.a", "skipped"],
    ["Ports.b", "passed"],
    ["Gateway.a", "skipped"],
  ] as const;
  assert.deepEqual(figures(judged(ended)), [1, 1, 3, 2]);
  assert.deepEqual(figures(judged(ended, "metering", "external-net")), [1, 1, 3, 3]);
  assert.deepEqual(figures(judged(ended, "metering", "external-net", "/v2.0/floatingips")), [1, 1, 3, 4]);
  assert.match(
    figuresLine({ name: "tempest.api.network", peer: "all" }, judged(ended), 2.4),
    /^tempest\.api\.network: 1 passed, 1 failed, 3 skipped of 5 in 2 s \(2 not allowed/,
  );
});

test("a suite that says why it skips is believed, for what is not there", () => {
  const ended = [
    ["Any.a", "skipped", "trunk extension not enabled."],
    ["Any.b", "skipped", "because of something else"],
    ["Any.c", "failed", "trunk extension not enabled."],
  ] as const;
  assert.deepEqual(figures(judged(ended)), [0, 1, 2, 2]);
  assert.deepEqual(figures(judged(ended, "trunk")), [0, 1, 2, 3]);
});

test("a test that fails by the server's own refusal counts as skipped, and as failed by any other words", () => {
  const outcomes = judged([
    ["Stateful.a", "failed", "InvalidInput: 'stateful' is not supported"],
    ["Stateful.b", "failed", "500"],
    ["Ports.a", "failed", "InvalidInput: 'stateful' is not supported"],
  ]);
  assert.deepEqual(figures(outcomes), [0, 2, 1, 2]);
  assert.deepEqual(
    waiting(outcomes).map(({ allowed, tests }) => [allowed.reason, tests]),
    [["it is refused", 1]],
  );
});

test("an entry is named once all that it waits for is there, or each of its tests passes", () => {
  const named = (ended: Parameters<typeof judged>[0], ...offered: string[]) =>
    newlyPossible(judged(ended, ...offered), list, new Set(offered)).map(({ reason }) => reason);
  const held = [
    ["Metering.a", "skipped"],
    ["Gateway.a", "skipped"],
    ["Stateful.a", "failed", "'stateful' is not supported"],
    ["Any.a", "skipped", "trunk extension not enabled"],
  ] as const;
  assert.deepEqual(named(held), []);
  assert.deepEqual(named(held, "metering", "external-net"), ["there is none"]);
  assert.deepEqual(named([held[0], held[1], held[3], ["Stateful.a", "passed"]]), ["it is refused"]);
  assert.deepEqual(named([...held, ["Stateful.b", "passed"]]), []);
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
  for (const { allowed } of [tempestSuite, neutronSuite])
    assert.ok(parseAllowed(readFileSync(allowed, "utf8")).length > 0);
  assert.throws(() => parseAllowed('[{"tests": "a"}]'), /needs "tests" and "reason"/);
  assert.throws(() => parseAllowed('[{"tests": "a", "reason": ""}]'), /needs "tests" and "reason"/);
  assert.throws(() => parseAllowed("[1]"), /is none/);
  assert.throws(() => parseAllowed("{}"), /no list/);
});
