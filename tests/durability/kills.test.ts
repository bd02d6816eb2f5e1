/** Server and agents killed under 32 writing clients: nothing acknowledged is lost, nothing is half done, nothing is done twice, and hosts hold what the store says. `scripts/durability.ts` runs hundreds. */
import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { test } from "node:test";
import { durabilityRun, type Report } from "./run.ts";

/** What a run must have met to say anything. */
function busy({ kind, acknowledged, reads, lostReplies, repeated, entries }: Report): void {
  assert.ok(acknowledged > 30 && reads > 0 && entries > 30, `${kind}: ${acknowledged} writes, ${reads} reads`);
  assert.ok(lostReplies > 0 && repeated > 0, `${kind}: ${lostReplies} replies lost, ${repeated} repeated`);
}

test("two servers on one store, each killed in turn, retries to either", { timeout: 600_000 }, async () => {
  const report = await durabilityRun({ seed: 5, kind: "child", servers: 2, kills: 2, workerEnds: 1 });
  assert.deepEqual(report.violations, []);
  assert.ok(
    report.acknowledged > 30 && report.repeated > 0,
    `${report.acknowledged} writes, ${report.repeated} repeated`,
  );
});

for (const [kind, seed] of [
  ["cli", 1],
  ["child", 2],
] as const) {
  test(`${kind}: three kills${kind === "child" ? ", three ends of the store's thread, and agents killed all the while" : ""}, seed ${seed}`, {
    timeout: 600_000,
  }, async (context) => {
    const agents = kind === "child" ? 2 : 0;
    const report = await durabilityRun({ seed, kind, agents });
    context.diagnostic(`${report.agentKills} kills of ${agents} agents`);
    assert.deepEqual(report.violations, []);
    assert.equal(report.kills, 3);
    assert.ok(report.agentKills >= agents, `${report.agentKills} kills of ${agents} agents`);
    busy(report);
  });
}

test("a server that acknowledges before it is durable is found out", { timeout: 600_000 }, async () => {
  const report = await durabilityRun({ seed: 4, kind: "hasty", kills: 2 });
  assert.ok(
    report.violations.some((each) => /was acknowledged and is lost|stands at/.test(each)),
    `it says: ${report.violations.slice(0, 5).join("; ")}`,
  );
  const kept = /the data are kept in (.*)$/.exec(report.violations.at(-1) ?? "")?.[1];
  assert.ok(kept !== undefined, "the data of a broken run are kept");
  await rm(kept, { recursive: true });
});
