/** Tests of the counts of drops: differences, a switch that begins anew, one that is away or slow, and that nothing is told where nothing changed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMetrics, ManualClock, type ReasonCode, silentLog } from "@selvage/base";
import { DropWatch } from "./drop-watch.ts";

/** Whatever was begun without waiting has come to its end. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

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
  return { clock, state, watch: made, counted };
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

test("a switch that is away is not asked, one that fails is asked again later, and after the end none is", async () => {
  let asked = 0;
  const {
    watch: one,
    clock,
    state,
  } = await watch(async () => {
    asked += 1;
    throw new Error("it went away");
  });
  one.start();
  state.here = false;
  clock.advance(10_000);
  await turn();
  await one.close();
  assert.equal(asked, 0);

  const failing = await watch(async () => {
    asked += 1;
    throw new Error("it went away");
  });
  failing.watch.start();
  for (const times of [1, 2, 3]) {
    failing.clock.advance(10_000);
    await turn();
    assert.equal(asked, times, "each look at its time");
  }
  await failing.watch.close();
  failing.clock.advance(600_000);
  await turn();
  assert.equal(asked, 3);
  assert.equal(failing.state.told, 0);
});

test("where a look takes long the next waits longer: a fiftieth of the time is spent at most", async () => {
  let asked = 0;
  const { watch: one, clock } = await watch(async () => {
    asked += 1;
    clock.advance(1_000);
    return new Map();
  });
  await one.look();
  assert.equal(asked, 1);
  clock.advance(48_999);
  await turn();
  assert.equal(asked, 1);
  clock.advance(1);
  await turn();
  assert.equal(asked, 2);
  await one.close();
});
