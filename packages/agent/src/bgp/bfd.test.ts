/** Signs of life as a peer meets them: a session that it begins, keeps and ends, and what it must not take for one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type BfdPacket, BfdSession, BfdState, decodeBfd, encodeBfd } from "./bfd.ts";

const { adminDown, down, init, up } = BfdState;
const mine = 7;
const plan = { mine, interval: 300, multiplier: 3, random: () => 1 };

/** What a peer says that is FRR's by its times. */
const said = (state: BfdState, more: Partial<BfdPacket> = {}): BfdPacket => ({
  ...{ diagnostic: 0, state, poll: false, final: false, multiplier: 3 },
  ...{ mine: 99, yours: mine, desiredMinTx: 300_000, requiredMinRx: 300_000 },
  ...more,
});

/** A session that is up since the moment 0. */
function established(): BfdSession {
  const session = new BfdSession(plan);
  session.take(said(down, { yours: 0 }), 0);
  session.take(said(init), 0);
  assert.equal(session.state, up);
  return session;
}

test("a packet is read as it was written; what is none, or not for this version, is not read", () => {
  const bits = (count: number) => fc.integer({ min: 0, max: 2 ** count - 1 });
  fc.assert(
    fc.property(
      fc.record({
        ...{ diagnostic: bits(5), poll: fc.boolean(), final: fc.boolean() },
        state: fc.constantFrom(adminDown, down, init, up),
        multiplier: fc.integer({ min: 1, max: 255 }),
        mine: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
        yours: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
        ...{ desiredMinTx: bits(32), requiredMinRx: bits(32) },
      }),
      (packet) => {
        assert.deepEqual({ ...decodeBfd(encodeBfd(packet)) }, { ...packet });
      },
    ),
  );
  const whole = encodeBfd(said(up));
  const wrong = (at: number, value: number): Uint8Array => {
    const bytes = Uint8Array.from(whole);
    bytes[at] = value;
    return bytes;
  };
  for (const bytes of [
    whole.subarray(0, 23),
    ...[wrong(0, 0x40), wrong(1, 0xc4), wrong(1, 0xc1), wrong(2, 0), wrong(3, 23), wrong(3, 25)],
    encodeBfd(said(up, { mine: 0 })),
    encodeBfd(said(up, { yours: 0 })),
  ])
    assert.equal(decodeBfd(bytes), undefined);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (noise) => void decodeBfd(noise)));
});

test("nothing is said before the peer has spoken; then both come up, and what this end wants is said until the peer knows it", () => {
  const session = new BfdSession(plan);
  assert.equal(session.due(1_000), undefined);
  assert.equal(session.next, undefined);
  session.take(said(down, { yours: 0, desiredMinTx: 1_000_000 }), 1_000);
  const first = session.due(1_000);
  assert.deepEqual([first?.state, first?.yours, first?.desiredMinTx], [init, 99, 1_000_000]);
  assert.equal(session.due(1_500), undefined, "one that is not up is slow");
  session.take(said(up), 1_600);
  const second = session.due(1_600);
  assert.deepEqual([second?.state, second?.poll, second?.desiredMinTx], [up, true, 300_000]);
  assert.equal(session.due(1_899), undefined);
  assert.equal(session.due(1_900)?.poll, true);
  session.take(said(up, { final: true }), 1_950);
  assert.equal(session.due(2_200)?.poll, false);
});

test("what the peer asks to be confirmed is confirmed at once, and it is not told more often than it wants", () => {
  const session = established();
  assert.equal(
    session.take(said(up, { poll: true, requiredMinRx: 1_000_000, desiredMinTx: 1_000_000 }), 100)?.final,
    true,
  );
  session.due(100);
  assert.equal(session.due(1_099), undefined);
  assert.notEqual(session.due(1_100), undefined);
});

test("a peer that is silent for three of its signs is gone: it is told so once, and may begin anew", () => {
  const session = established();
  session.due(0);
  session.due(600);
  assert.equal(session.due(899)?.state, undefined);
  const last = session.due(900);
  assert.deepEqual([last?.state, last?.diagnostic], [down, 1]);
  assert.equal(session.next, undefined);
  session.take(said(down, { yours: 0, mine: 100 }), 5_000);
  assert.deepEqual([session.state, session.due(5_000)?.yours], [init, 100]);
});

test("who does not know this end's number ends nothing while the peer is heard", () => {
  const session = established();
  session.take(said(down, { yours: 0, mine: 666 }), 500);
  session.take(said(down, { yours: 8 }), 500);
  session.take(said(adminDown, { yours: 0 }), 500);
  assert.equal(session.state, up);
  session.take(said(down), 500);
  assert.deepEqual([session.state, session.due(500)?.diagnostic], [down, 3]);
});

test("this end tells when it ends of its own will, and follows when the peer does", () => {
  assert.deepEqual([established().farewell()?.state, new BfdSession(plan).farewell()], [adminDown, undefined]);
  const session = established();
  session.take(said(adminDown), 10);
  assert.equal(session.state, down);
});
