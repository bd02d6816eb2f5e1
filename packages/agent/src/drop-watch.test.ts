/** Tests of the counts of drops: differences, a switch that begins anew, and that nothing is told where nothing changed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMetrics, ManualClock, type ReasonCode, silentLog } from "@selvage/base";
import { DropWatch } from "./drop-watch.ts";

async function watch(drops: () => Promise<ReadonlyMap<ReasonCode, number>>) {
  const clock = new ManualClock();
  const metrics = await createMetrics();
  const state = { here: true, told: 0 };
  const made = new DropWatch({
    datapath: { drops },
    clock,
    log: silentLog,
    metrics,
    isHere: () => state.here,
    changed: () => {
      state.told += 1;
    },
  });
  const counted = async (reason: ReasonCode): Promise<string | undefined> =>
    new RegExp(`^selvage_drops_total\\{reason="${reason}"\\} (\\d+)$`, "m").exec(await metrics.text())?.[1];
  return { state, watch: made, counted };
}

test("drops are counted by reason, most first, and told only when they changed", async () => {
  let now: ReadonlyMap<ReasonCode, number> = new Map<ReasonCode, number>([
    ["no-fdb-entry", 2],
    ["port-not-bound", 7],
    ["mtu-exceeded", 0],
  ]);
  const { watch: one, state, counted } = await watch(async () => now);
  await one.look();
  assert.deepEqual(one.counts, [
    { reason: "port-not-bound", packets: 7 },
    { reason: "no-fdb-entry", packets: 2 },
  ]);
  assert.deepEqual([await counted("port-not-bound"), await counted("no-fdb-entry"), state.told], ["7", "2", 1]);
  await one.look();
  assert.equal(state.told, 1, "nothing has changed");
  now = new Map([...now, ["port-not-bound", 9]]);
  await one.look();
  assert.deepEqual([await counted("port-not-bound"), state.told], ["9", 2]);
  await one.close();
});

test("a switch that began anew counts on: the metric never goes back, what is told is the switch's own", async () => {
  let now: ReadonlyMap<ReasonCode, number> = new Map<ReasonCode, number>([["port-not-bound", 9]]);
  const { watch: one, state, counted } = await watch(async () => now);
  await one.look();
  now = new Map([["port-not-bound", 4]]);
  await one.look();
  assert.deepEqual([await counted("port-not-bound"), one.counts[0]?.packets], ["13", 4]);
  now = new Map();
  await one.look();
  assert.deepEqual([await counted("port-not-bound"), one.counts, state.told], ["13", [], 3]);
  await one.close();
});
