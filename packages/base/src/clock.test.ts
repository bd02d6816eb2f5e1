/** The clocks: the manual one runs what falls due, in order; the real one waits and is aborted. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock, realClock } from "./clock.ts";

test("timers run in the order of their moments, those set meanwhile included", () => {
  const clock = new ManualClock(1000);
  const told: string[] = [];
  const tell = (name: string) => () => told.push(`${name}@${clock.monotonic()}`);
  clock.after(20, tell("b"));
  clock.after(10, () => {
    tell("a")();
    clock.after(0, tell("a2"));
    clock.after(15, tell("c"));
  });
  clock.after(20, tell("b2"));
  clock.after(100, tell("late"));
  const cancelled = clock.after(5, tell("cancelled"));
  cancelled.cancel();
  clock.advance(30);
  assert.deepEqual(told, ["a@10", "a2@10", "b@20", "b2@20", "c@25"]);
  assert.equal(clock.now(), 1030);
  assert.equal(clock.advanceToNext(), 70);
  assert.equal(told.at(-1), "late@100");
  assert.equal(clock.advanceToNext(), undefined);
  assert.equal(clock.pending, 0);
});

test("a period repeats until it is cancelled, from within too", () => {
  const clock = new ManualClock();
  let ticks = 0;
  const timer = clock.every(10, () => {
    ticks++;
    if (ticks === 3) timer.cancel();
  });
  clock.advance(100);
  assert.equal(ticks, 3);
  assert.equal(clock.pending, 0);
  for (const each of [clock, realClock]) assert.throws(() => each.every(0, () => undefined), RangeError);
});

test("sleep ends with its time or with its signal, and leaves no timer behind", async () => {
  const clock = new ManualClock();
  const slept = clock.sleep(5);
  await clock.whenPending();
  clock.advance(5);
  await slept;
  const abort = new AbortController();
  const broken = clock.sleep(5, abort.signal);
  abort.abort(new Error("enough"));
  await assert.rejects(broken, /enough/);
  assert.equal(clock.pending, 0);
  await assert.rejects(clock.sleep(5, abort.signal), /enough/);
  await assert.rejects(realClock.sleep(60_000, abort.signal), /enough/);
});

test("the wait for timers is over as soon as enough are set", async () => {
  const clock = new ManualClock();
  const two = clock.whenPending(2);
  clock.after(1, () => undefined);
  clock.after(1, () => undefined);
  await two;
  await clock.whenPending(2);
});

test("the real clock fires and does not go back", async () => {
  const before = realClock.monotonic();
  await realClock.sleep(0);
  assert.ok(realClock.monotonic() >= before);
  const [earliest, now, latest] = [Date.now(), realClock.now(), Date.now()];
  assert.ok(earliest <= now && now <= latest);
  const fired = Promise.withResolvers<void>();
  const timer = realClock.after(0, fired.resolve);
  const ticked = Promise.withResolvers<void>();
  const ticks = realClock.every(1, ticked.resolve);
  const enough = new AbortController();
  // Timers do not keep the process alive: this sleep does, until both have fired.
  const awake = realClock.sleep(60_000, enough.signal);
  await Promise.all([fired.promise, ticked.promise]);
  timer.cancel();
  ticks.cancel();
  enough.abort(new Error("both fired"));
  await assert.rejects(awake, /both fired/);
});
