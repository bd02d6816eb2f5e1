/** Looking at the switch from time to time: one look after another, never longer than is due, and none where there is nothing to ask. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock, silentLog } from "@selvage/base";
import { Looks } from "./looks.ts";

/** Whatever was begun without waiting has come to its end. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function looking(take: (clock: ManualClock) => Promise<void>) {
  const clock = new ManualClock();
  const state = { here: true, asked: 0 };
  const looks = new Looks({
    clock,
    log: silentLog,
    what: "a test",
    isHere: () => state.here,
    take: () => {
      state.asked += 1;
      return take(clock);
    },
  });
  return { clock, state, looks };
}

test("a switch that is away is not asked, one that fails is asked again later, and after the end none is", async () => {
  const away = looking(async () => undefined);
  away.looks.start();
  away.state.here = false;
  away.clock.advance(10_000);
  await turn();
  await away.looks.close();
  assert.equal(away.state.asked, 0);

  const { clock, state, looks } = looking(() => Promise.reject(new Error("it went away")));
  looks.start();
  for (const times of [1, 2, 3]) {
    clock.advance(10_000);
    await turn();
    assert.equal(state.asked, times, "each look at its time");
  }
  await looks.close();
  clock.advance(600_000);
  await turn();
  assert.equal(state.asked, 3);
  assert.equal(clock.pending, 0);
});

test("where a look takes long the next waits longer: a fiftieth of the time is spent at most", async () => {
  const { clock, state, looks } = looking(async (its) => its.advance(1_000));
  await looks.look();
  assert.equal(state.asked, 1);
  clock.advance(48_999);
  await turn();
  assert.equal(state.asked, 1);
  clock.advance(1);
  await turn();
  assert.equal(state.asked, 2);
  await looks.close();
});

test("looks that are asked for meanwhile come one after another, and the end waits for what was begun", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let running = 0;
  const { state, looks } = looking(async () => {
    running += 1;
    assert.equal(running, 1);
    await promise;
    running -= 1;
  });
  const [one, other] = [looks.look(), looks.look()];
  await turn();
  assert.equal(state.asked, 1);
  resolve();
  await Promise.all([one, other]);
  assert.deepEqual([state.asked, running], [2, 0]);
  await looks.close();
});
