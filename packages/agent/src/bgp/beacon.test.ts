/** The sockets by which peers are answered: one that cannot be had is asked for again, while its peer is one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@selvage/base";
import { Beacon } from "./beacon.ts";

const peer = "127.0.0.1";
const other = "127.0.0.2";

/** A beacon without ears, whose own address is not here (RFC 5737) until it comes. */
function started() {
  const clock = new ManualClock();
  const warned: unknown[] = [];
  let isHere = false;
  let tries = 0;
  const beacon = new Beacon({
    ...{ interval: 300, clock, ports: [] },
    get source() {
      tries += 1;
      return isHere ? "127.0.0.1" : "192.0.2.1";
    },
    log: { debug: () => undefined, warn: (_, { address }) => warned.push(address) },
  });
  return {
    ...{ beacon, clock },
    warned: () => warned.splice(0),
    tries: () => tries,
    comes: () => {
      isHere = true;
    },
  };
}

test("a socket that could not be had is asked for again until it is there", async () => {
  const { beacon, clock, warned, tries, comes } = started();
  beacon.tell([peer]);
  await clock.whenPending();
  assert.deepEqual([warned(), tries()], [[peer], 1]);
  clock.advance(9_999);
  beacon.tell([peer]);
  assert.equal(tries(), 1);
  clock.advance(1);
  await clock.whenPending();
  assert.deepEqual([warned(), tries()], [[peer], 2]);
  comes();
  clock.advance(10_000);
  assert.equal(tries(), 3);
  await beacon.close();
  assert.deepEqual([warned(), clock.pending], [[], 0]);
});

test("nothing is asked for any more for who is no peer, and at the end", async () => {
  const { beacon, clock, warned, tries } = started();
  beacon.tell([peer, other]);
  await clock.whenPending(2);
  assert.deepEqual(warned().sort(), [peer, other]);
  beacon.tell([other]);
  assert.equal(clock.pending, 1);
  await beacon.close();
  assert.equal(clock.pending, 0);
  clock.advance(60_000);
  assert.deepEqual([warned(), tries()], [[], 2]);
});

test("a peer that goes while its socket is asked for leaves nothing behind", async () => {
  const { beacon, clock, warned } = started();
  beacon.tell([peer]);
  beacon.tell([]);
  beacon.tell([peer]);
  await clock.whenPending();
  await beacon.close();
  assert.deepEqual([warned(), clock.pending], [[peer], 0]);
});
