/** Packets that wait for a neighbour: the latest go on in their order, none after its second, and none at the cost of another sender's share. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@selvage/base";
import fc from "fast-check";
import { type Outcome, Waiting, type WaitingPacket, waitingLimits } from "./waiting.ts";

interface Numbered extends WaitingPacket {
  readonly number: number;
}

function room() {
  const clock = new ManualClock();
  const ended: Outcome[] = [];
  const waiting = new Waiting<Numbered>({ clock, ended: (outcome) => ended.push(outcome) });
  let number = 0;
  const keep = (sender: string, hop: string, bytes = 100): number => {
    number += 1;
    waiting.keep({ sender, hop, bytes, number });
    return number;
  };
  const take = (hop: string) => waiting.take(hop).map((each) => each.number);
  return { clock, ended, waiting, keep, take };
}

test("the latest of a sender to one next hop go on in their order, once, with others' to it", () => {
  const { keep, take, ended, waiting } = room();
  for (let sent = 1; sent <= 5; sent += 1) keep("a", "x");
  keep("b", "x");
  keep("a", "y");
  assert.deepEqual([take("x"), take("x"), take("y")], [[3, 4, 5, 6], [], [7]]);
  assert.deepEqual([waiting.size, waiting.bytes], [0, 0]);
  assert.deepEqual(ended, ["crowded", "crowded", "sent", "sent", "sent", "sent", "sent"]);
});

test("each waits for a second, and nothing is left when that is over", () => {
  const { clock, ended, keep, take, waiting } = room();
  keep("a", "x");
  clock.advance(600);
  keep("a", "x");
  clock.advance(400);
  assert.deepEqual([waiting.size, take("x"), take("x")], [1, [2], []]);
  keep("a", "x");
  clock.advance(waitingLimits.time);
  assert.deepEqual([waiting.size, waiting.bytes, clock.pending], [0, 0, 0]);
  assert.deepEqual([take("x"), ended], [[], ["late", "sent", "late"]]);
  keep("a", "x");
  waiting.close();
  assert.deepEqual([waiting.size, clock.pending], [0, 0]);
});

test("who wants to go everywhere takes his share and nobody else's, in number and in bytes", () => {
  for (const bytes of [100, 60_000]) {
    const { keep, take, waiting } = room();
    const modest = keep("modest", "x", 1_000);
    for (let guest = 0; guest < 100; guest += 1)
      for (let hop = 0; hop < 30; hop += 1) keep(`guest ${guest}`, `${guest}.${hop}`, bytes);
    assert.ok(waiting.size <= waitingLimits.packets && waiting.bytes <= waitingLimits.bytes);
    assert.deepEqual(take("x"), [modest]);
  }
  const { keep, waiting } = room();
  for (let hop = 0; hop < 100; hop += 1) keep("a", String(hop));
  assert.equal(waiting.size, waitingLimits.sender);
  keep("a", "x", waitingLimits.bytes + 1);
  assert.equal(waiting.size, waitingLimits.sender, "what fits nowhere costs nothing");
});

test("whatever is kept and taken, the bounds hold and the bytes are those of what is there", () => {
  const clock = new ManualClock();
  const name = fc.constantFrom("a", "b", "c");
  const step = fc.oneof(
    fc.record({ sender: name, hop: fc.nat(20).map(String), bytes: fc.integer({ min: 1, max: 70_000 }) }),
    fc.record({ take: fc.nat(20).map(String) }),
    fc.record({ wait: fc.nat(500) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const waiting = new Waiting<WaitingPacket>({ clock, ended: () => undefined });
      for (const each of steps) {
        if ("wait" in each) clock.advance(each.wait);
        else if ("take" in each) for (const { hop } of waiting.take(each.take)) assert.equal(hop, each.take);
        else waiting.keep(each);
        assert.ok(waiting.size <= 3 * waitingLimits.sender && waiting.bytes <= waitingLimits.bytes);
      }
      let bytes = waiting.bytes;
      for (let hop = 0; hop <= 20; hop += 1) for (const each of waiting.take(String(hop))) bytes -= each.bytes;
      assert.deepEqual([bytes, waiting.size], [0, 0]);
      waiting.close();
    }),
  );
});
