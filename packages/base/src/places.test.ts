/** Places for connections: whoever opens many takes none from those who open few. */
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { Places, sourceOf } from "./places.ts";

/** What places know of a socket. */
class Opened extends EventEmitter {
  readonly remoteAddress: string | undefined;
  bytesRead = 0;
  destroyed = false;

  constructor(from: string | undefined) {
    super();
    this.remoteAddress = from;
  }

  destroy(): void {
    this.destroyed = true;
    this.emit("close");
  }
}

function open(places: Places, from: string | undefined, said = 0): Opened {
  const opened = new Opened(from);
  const stays = places.take(opened as unknown as Socket);
  assert.equal(stays, !opened.destroyed);
  opened.bytesRead = said;
  return opened;
}

test("a source is an address of IPv4, a link of IPv6, or this machine", () => {
  for (const [address, source] of [
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["2001:db8::1", "2001:db8:0:0"],
    ["2001:db8:0:1:2:3:4:5", "2001:db8:0:1"],
    ["2001:db8:0:1::5", "2001:db8:0:1"],
    ["fe80::1%eth0", "fe80:0:0:0"],
    ["::1", "0:0:0:0"],
    [undefined, "local"],
  ] as const)
    assert.equal(sourceOf(address), source);
});

test("where all places are taken, who has most gives up what has waited longest without a word", () => {
  const places = new Places(4);
  const good = open(places, "192.0.2.1");
  const many = [open(places, "192.0.2.9", 5), open(places, "192.0.2.9"), open(places, "192.0.2.9")];
  const late = open(places, "2001:db8::1");
  assert.deepEqual(
    [good, ...many, late].map(({ destroyed }) => destroyed),
    [false, false, true, false, false],
  );
  assert.deepEqual([places.taken, places.ended], [4, 1]);
  good.destroy();
  assert.equal(places.taken, 3);
  assert.equal(open(places, undefined).destroyed, false, "a place that was left is there again");
});

test("where all have spoken the newest of the greediest goes, and a greedy one gets nothing more", () => {
  const places = new Places(3);
  const [first, second] = [open(places, "192.0.2.9", 1), open(places, "192.0.2.9", 1)];
  const good = open(places, "192.0.2.1", 1);
  assert.equal(open(places, "192.0.2.9").destroyed, true);
  assert.deepEqual([first?.destroyed, second?.destroyed, good.destroyed], [false, false, false]);
  assert.equal(open(places, "192.0.2.2", 1).destroyed, false);
  assert.deepEqual([first?.destroyed, second?.destroyed, good.destroyed], [false, true, false]);
  assert.equal(open(places, "192.0.2.3").destroyed, true, "nobody has more than it would");
});

test("whatever comes and goes, no more have places than there are, and no source loses one to a source that has as many", () => {
  const step = fc.record({ from: fc.nat(5), said: fc.nat(1), leave: fc.nat(9), leaves: fc.boolean() });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), fc.array(step, { maxLength: 80 }), (most, steps) => {
      const places = new Places(most);
      let all: Opened[] = [];
      const of = (from: string | undefined) => all.filter((each) => each.remoteAddress === from).length;
      for (const { from, said, leave, leaves } of steps) {
        if (leaves) all[leave % all.length]?.destroy();
        all = all.filter(({ destroyed }) => !destroyed);
        const opened = open(places, `192.0.2.${from}`, said);
        all.push(opened);
        const [lost] = all.filter(({ destroyed }) => destroyed);
        if (lost !== undefined && lost !== opened)
          assert.ok(of(lost.remoteAddress) >= of(opened.remoteAddress), "the greedier one loses");
        all = all.filter(({ destroyed }) => !destroyed);
        assert.equal(places.taken, all.length);
        assert.ok(all.length <= most);
      }
    }),
  );
});
