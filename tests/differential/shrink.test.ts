/** A scenario that diverges is made as small as what makes it diverge, whatever stood around it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Scenario, scenarios } from "./comparison.ts";
import type { Shot } from "./shots.ts";
import { least } from "./shrink.ts";

const kindOf = (shot: Shot): string =>
  "frame" in shot ? shot.frame.kind : "turn" in shot ? shot.turn.kind : shot.kind;
const isCause = ({ plan, shots }: Scenario): boolean =>
  plan.ports.some(({ security }) => !security) && shots.some((shot) => kindOf(shot) === "redirect");

test("all goes but the port and the packet that it needs", async () => {
  const found = fc.sample(scenarios, { seed: 3, numRuns: 200 }).find((each) => isCause(each) && each.shots.length > 50);
  assert.ok(found);
  const diverges = async (scenario: Scenario) => (isCause(scenario) ? "it differs" : null);
  const { scenario, text } = await least({ scenario: found, text: "at first" }, diverges, 1_000);
  assert.equal(text, "it differs");
  assert.deepEqual(scenario.shots.map(kindOf), ["redirect"]);
  assert.deepEqual(
    scenario.plan.ports.map(({ security, plug, up }) => ({ security, plug, up })),
    [{ security: false, plug: "own", up: true }],
  );
  assert.equal(scenario.plan.networks.length, 1);
});

test("what differs at first is kept where nothing less does, and where none is tried", async () => {
  const [scenario] = fc.sample(scenarios, { seed: 4, numRuns: 1 });
  assert.ok(scenario);
  const found = { scenario, text: "at first" };
  assert.equal(await least(found, async () => null, 1_000), found);
  assert.equal(await least(found, async () => "less", 0), found);
});
