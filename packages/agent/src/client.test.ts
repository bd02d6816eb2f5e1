/** Tests of when the agent comes again: pauses grow to their bound, chance spreads them, a refusal for good waits a minute. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock, silentLog } from "@selvage/base";
import { Client, type LinkEvents } from "./client.ts";

/** A client whose dials are noted with their times; chance always takes the longest pause. */
function rig(longestPause: number, random = () => 1) {
  const clock = new ManualClock();
  const dials: { readonly at: number; readonly events: LinkEvents }[] = [];
  const client = new Client({
    dial: (events) => {
      dials.push({ at: clock.monotonic(), events });
      return { send: () => undefined, close: () => undefined };
    },
    clock,
    log: silentLog,
    agent: "test",
    tunnelIp: "192.0.2.1",
    random,
    longestPause,
    held: () => [],
    heldLog: () => undefined,
    welcomed: () => undefined,
    changes: () => undefined,
    ended: () => undefined,
  });
  client.start();
  const last = () => dials.at(-1)?.events;
  /** Ends the connection that is open and gives the pause before the next one, ms; undefined when none came within two minutes. */
  const pauseAfter = (end: (events: LinkEvents) => void): number | undefined => {
    const [count, from, events] = [dials.length, clock.monotonic(), last()];
    assert.ok(events !== undefined);
    end(events);
    clock.advance(120_000);
    const next = dials[count];
    return next === undefined ? undefined : next.at - from;
  };
  return { client, pauseAfter };
}

const broken = (events: LinkEvents): void => events.closed(new Error("it broke"));

test("pauses double up to their bound, and no further however long the server is away", () => {
  const { pauseAfter } = rig(2_000);
  const pauses = Array.from({ length: 7 }, () => pauseAfter(broken));
  assert.deepEqual(pauses, [250, 500, 1_000, 2_000, 2_000, 2_000, 2_000]);
  const far = rig(10_000);
  assert.deepEqual(
    Array.from({ length: 8 }, () => far.pauseAfter(broken)),
    [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000],
  );
});

test("pauses are spread between nothing and their bound", () => {
  const { pauseAfter } = rig(2_000, () => 0.25);
  assert.deepEqual(
    Array.from({ length: 5 }, () => pauseAfter(broken)),
    [62.5, 125, 250, 500, 500],
  );
});

test("a server that refuses for good is asked once a minute; one that says later, as often as one that is away", () => {
  const refusal = (retry: boolean) => (events: LinkEvents) => {
    events.open();
    events.message(JSON.stringify({ type: "refused", code: "HostRevoked", message: "no", retry }));
    broken(events);
  };
  const { pauseAfter } = rig(2_000);
  assert.equal(pauseAfter(refusal(false)), 60_000);
  assert.equal(rig(2_000).pauseAfter(refusal(true)), 250);
});

test("a client that is closed does not come again", () => {
  const { client, pauseAfter } = rig(2_000);
  client.close();
  assert.equal(pauseAfter(broken), undefined);
});
