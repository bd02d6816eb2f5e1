/** Tests of bringing events to Nova: gathering, batches, trying again, what is newest wins, and the end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMetrics, ManualClock, silentLog } from "@selvage/base";
import { ComputeFailure, type Verdict } from "./compute.ts";
import { Courier } from "./courier.ts";
import type { NovaEvent, NovaEventName } from "./watch.ts";

const event = (tag: string, name: NovaEventName = "network-vif-plugged"): NovaEvent => ({
  name,
  server_uuid: "s",
  tag,
});

type Answer = (events: readonly NovaEvent[]) => readonly Verdict[];
const take: Answer = (events) => events.map((each) => ({ event: each, code: 200 }));
const fail =
  (passing: boolean): Answer =>
  () => {
    throw new ComputeFailure("no", passing);
  };

/** A courier whose requests are answered in turn; the last answer goes on. */
async function courier(...answers: readonly Answer[]) {
  const clock = new ManualClock();
  const metrics = await createMetrics();
  const sent: (readonly NovaEvent[])[] = [];
  let told: (() => void) | undefined;
  const made = new Courier({
    send: async (events) => {
      const answer = answers[Math.min(sent.length, answers.length - 1)] ?? take;
      sent.push(events);
      told?.();
      return answer(events);
    },
    clock,
    log: silentLog,
    metrics,
    gather: 100,
    batch: 3,
    random: () => 1,
  });
  return {
    clock,
    metrics,
    sent,
    courier: made,
    /** Moves time until `count` requests were sent. */
    until: async (count: number) => {
      while (sent.length < count) {
        await clock.whenPending();
        const next = new Promise<void>((resolve) => {
          told = resolve;
        });
        clock.advanceToNext();
        await next;
      }
      // What follows a reply runs in microtasks.
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

test("events gather for a moment, then go in batches, in the order of their coming", async () => {
  const { clock, courier: one, sent, until } = await courier();
  one.take([event("a"), event("b")]);
  clock.advance(99);
  assert.equal(sent.length, 0);
  one.take([event("c"), event("d")]);
  await until(2);
  assert.deepEqual(
    sent.map((events) => events.map(({ tag }) => tag)),
    [["a", "b", "c"], ["d"]],
  );
  assert.equal(one.pending, 0);
  assert.equal(clock.pending, 0, "nothing to do: no timer");
});

test("the newest event of a port takes the place of the one that waits; another sort or machine does not", async () => {
  const { courier: one, sent, until, metrics } = await courier();
  one.take([event("a"), event("a", "network-changed"), { ...event("a"), server_uuid: "t" }]);
  one.take([event("a", "network-vif-unplugged")]);
  await until(1);
  assert.deepEqual(
    sent[0]?.map(({ name, server_uuid }) => `${server_uuid} ${name}`),
    ["s network-changed", "t network-vif-plugged", "s network-vif-unplugged"],
  );
  assert.match(await metrics.text(), /selvage_nova_events_total\{name="network-vif-plugged",outcome="replaced"\} 1\n/);
});

test("a failure that passes is tried again, later and later, and nothing is lost", async () => {
  const { clock, courier: one, sent, until, metrics } = await courier(fail(true), fail(true), fail(true), take);
  one.take([event("a")]);
  const waits: number[] = [];
  for (let count = 1; count <= 4; count += 1) {
    const before = clock.monotonic();
    await until(count);
    waits.push(clock.monotonic() - before);
  }
  assert.deepEqual(waits, [100, 500, 1000, 2000]);
  assert.equal(sent.length, 4);
  assert.equal(one.pending, 0);
  const text = await metrics.text();
  assert.match(text, /selvage_nova_request_failures_total 3\n/);
  assert.match(text, /selvage_nova_events_total\{name="network-vif-plugged",outcome="delivered"\} 1\n/);
});

test("events that Nova refuses are given up and counted; the others of the request are taken", async () => {
  const refuse: Answer = (events) => events.map((each) => ({ event: each, code: each.tag === "a" ? 404 : 200 }));
  const { courier: one, until, metrics } = await courier(refuse);
  one.take([event("a"), event("b")]);
  await until(1);
  assert.equal(one.pending, 0);
  const text = await metrics.text();
  assert.match(text, /outcome="refused"\} 1\n/);
  assert.match(text, /outcome="delivered"\} 1\n/);
});

test("a request that can never be taken is given up, and what comes after it is sent", async () => {
  const { courier: one, sent, until } = await courier(fail(false), take);
  one.take(["a", "b", "c", "d"].map((tag) => event(tag)));
  await until(2);
  assert.deepEqual(
    sent[1]?.map(({ tag }) => tag),
    ["d"],
  );
  assert.equal(one.pending, 0);
});

test("an event that comes while the same port's older one is on its way is sent too", async () => {
  let during: (() => void) | undefined;
  const {
    courier: one,
    sent,
    until,
  } = await courier((events) => {
    during?.();
    during = undefined;
    return take(events);
  });
  during = () => one.take([event("a", "network-vif-unplugged")]);
  one.take([event("a")]);
  await until(2);
  assert.deepEqual(
    sent.map((events) => events.map(({ name }) => name)),
    [["network-vif-plugged"], ["network-vif-unplugged"]],
  );
});

test("closing sends what waits once, and then nothing more", async () => {
  const { courier: one, sent, clock } = await courier();
  one.take([event("a")]);
  await one.close(1000);
  assert.equal(sent.length, 1);
  one.take([event("b")]);
  clock.advance(100_000);
  assert.equal(sent.length, 1);
});

test("closing does not wait for ever for a Nova that is away", async () => {
  const { courier: one, sent } = await courier(fail(true));
  one.take([event("a")]);
  await one.close(1000);
  assert.equal(sent.length, 1);
  assert.equal(one.pending, 1);
});
