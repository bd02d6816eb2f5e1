/** What tracking keeps, for how long, and what it forgets; what it says of packets is compared with a real switch's in `tracking.test.ts`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TcpFlag } from "@selvage/packet";
import { fragmentsOf, icmpError, ping, sctp, tcp, udpBetween } from "../testing/ip-frames.ts";
import { type ConnectionState, Connections, type Tracked } from "./connections.ts";
import { datagramOf } from "./datagram.ts";

const one = { mac: "02:00:00:00:00:01", ip4: "10.0.0.1", ip6: "2001:db8::1" };
const two = { mac: "02:00:00:00:00:02", ip4: "10.0.0.2", ip6: "2001:db8::2" };
const { syn, ack, fin, rst } = TcpFlag;

class Tracker {
  now = 0;
  readonly connections = new Connections<number>(() => this.now);
  #items = 0;

  track(frame: Uint8Array, zone = "z"): { readonly tracked: Tracked; readonly items: readonly number[] } {
    this.#items += 1;
    return this.connections.track(zone, datagramOf(frame), this.#items);
  }

  /** The names of what a packet is. */
  says(frame: Uint8Array, zone = "z"): string {
    return textOf(this.track(frame, zone).tracked.state);
  }

  keeps(frame: Uint8Array, value: bigint, zone = "z"): void {
    this.connections.commit(this.track(frame, zone).tracked, new Map([["ctRule", value]]));
  }

  kept(frame: Uint8Array, zone = "z"): bigint | undefined {
    return this.track(frame, zone).tracked.kept.get("ctRule");
  }
}

const textOf = (state: ConnectionState): string =>
  Object.entries(state)
    .flatMap(([name, holds]) => (holds ? [name] : []))
    .join(" ");

const there = (version: 4 | 6 = 4, src = 40_000) => udpBetween(version, one, two, { src, dst: 53 });
const back = (version: 4 | 6 = 4, dst = 40_000) => udpBetween(version, two, one, { src: 53, dst });

test("only what is kept is known again, in its own zone and both directions", () => {
  for (const version of [4, 6] as const) {
    const tracker = new Tracker();
    assert.equal(tracker.says(there(version)), "isNew");
    assert.equal(tracker.says(back(version)), "isNew", "nothing was kept");
    tracker.keeps(there(version), 7n);
    assert.equal(tracker.says(there(version)), "isNew", "nobody has answered");
    assert.equal(tracker.kept(there(version)), 7n);
    assert.equal(tracker.says(back(version), "other"), "isNew", "another zone knows nothing");
    assert.equal(tracker.says(back(version)), "established reply");
    assert.equal(tracker.says(there(version)), "established");
    assert.equal(tracker.kept(back(version)), 7n);
    assert.equal(tracker.connections.count("z"), 1);
    assert.equal(tracker.connections.count("other"), 0);
  }
});

test("what is kept can be changed, and the rest of it stays", () => {
  const tracker = new Tracker();
  const first = tracker.track(there()).tracked;
  tracker.connections.commit(
    first,
    new Map([
      ["ctRule", 7n],
      ["ctRemote", 3n],
    ]),
  );
  const again = tracker.track(back()).tracked;
  tracker.connections.commit(again, new Map([["ctRule", 8n]]));
  assert.deepEqual(
    [...tracker.track(there()).tracked.kept],
    [
      ["ctRule", 8n],
      ["ctRemote", 3n],
    ],
  );
  assert.deepEqual(
    [...again.kept],
    [
      ["ctRule", 7n],
      ["ctRemote", 3n],
    ],
    "a packet knows what was kept when it was tracked",
  );
  assert.equal(tracker.connections.count("z"), 1);
});

test("a zone that is full keeps no other, lets go of none that it has, and has room again when one is over", () => {
  let now = 0;
  const connections = new Connections<number>(() => now, 2);
  const keep = (src: number, zone = "z"): bigint | undefined => {
    const { tracked } = connections.track(zone, datagramOf(there(4, src)), 0);
    return connections.commit(tracked, new Map([["ctRule", BigInt(src)]])).kept.get("ctRule");
  };
  assert.deepEqual([keep(1), keep(2), keep(3), keep(1)], [1n, 2n, undefined, 1n]);
  assert.deepEqual([connections.count("z"), keep(3, "other")], [2, 3n]);
  now += 30_000;
  assert.equal(keep(2), 2n);
  now += 30_000;
  assert.deepEqual([keep(3), keep(1), connections.count("z")], [3n, undefined, 2]);
});

test("what is invalid is not kept", () => {
  const tracker = new Tracker();
  const answer = ping(4, "reply", two, one, { id: 1 });
  tracker.keeps(answer, 7n);
  assert.equal(tracker.connections.count("z"), 0);
  assert.equal(tracker.says(answer), "invalid");
  const { tracked } = tracker.connections.track("z", undefined, 0);
  assert.equal(textOf(tracked.state), "invalid");
});

test("a zone that is flushed knows nothing, nor has it fragments that wait", () => {
  const tracker = new Tracker();
  tracker.keeps(there(), 7n);
  const [first = there(), last = there()] = fragmentsOf(
    udpBetween(4, one, two, { src: 1, dst: 2 }, new Uint8Array(2_000)),
    1_280,
    9,
  );
  assert.deepEqual(tracker.track(first).items, []);
  tracker.connections.flush("z");
  assert.equal(tracker.says(back()), "isNew");
  assert.deepEqual(tracker.track(last).items, []);
  assert.equal(tracker.track(first).items.length, 2);
});

/** Seconds for which a connection is kept after its last packet, by what it is. */
const lifetimes: readonly (readonly [string, number, readonly Uint8Array[]])[] = [
  ["one-way UDP", 60, [there()]],
  ["answered UDP", 30, [there(), back()]],
  ["a question of ICMP", 60, [ping(6, "request", one, two, { id: 1 })]],
  [
    "an answered question of ICMP",
    30,
    [ping(4, "request", one, two, { id: 1 }), ping(4, "reply", two, one, { id: 1 })],
  ],
  ["SCTP, of which no ports are known", 60, [sctp(4, one, two, { src: 1, dst: 2 })]],
  ["a SYN", 30, [tcp(4, one, two, { src: 1, dst: 2, seq: 5 })]],
  [
    "a handshake",
    86_400,
    [
      tcp(4, one, two, { src: 1, dst: 2, seq: 5 }),
      tcp(4, two, one, { src: 2, dst: 1, seq: 8, ack: 6, flags: syn | ack }),
      tcp(4, one, two, { src: 1, dst: 2, seq: 6, ack: 9, flags: ack }),
    ],
  ],
  [
    "a reset",
    30,
    [
      tcp(4, one, two, { src: 1, dst: 2, seq: 5 }),
      tcp(4, two, one, { src: 2, dst: 1, seq: 0, ack: 6, flags: rst | ack }),
    ],
  ],
];

for (const [what, seconds, frames] of lifetimes) {
  test(`${what} is kept for ${seconds} seconds after its last packet`, () => {
    for (const [after, isKnown] of [
      [seconds * 1_000 - 1, true],
      [seconds * 1_000, false],
    ] as const) {
      const tracker = new Tracker();
      tracker.keeps(frames[0] ?? there(), 7n);
      for (const frame of frames.slice(1)) {
        tracker.now += 1_000;
        tracker.track(frame);
      }
      tracker.now += after;
      assert.equal(tracker.kept(frames.at(-1) ?? there()), isKnown ? 7n : undefined);
    }
  });
}

test("a zone does not grow with connections that are over", () => {
  const tracker = new Tracker();
  for (let n = 0; n < 5_000; n += 1) {
    tracker.now += 1_000;
    tracker.keeps(there(4, 1 + n), 7n);
  }
  assert.ok(tracker.connections.count("z") < 600, `${tracker.connections.count("z")}`);
  assert.equal(tracker.kept(there(4, 5_000)), 7n, "the last is there");
});

test("fragments wait for fifteen seconds, in any order, and for nobody else's", () => {
  for (const version of [4, 6] as const) {
    const pieces = (id: number) =>
      fragmentsOf(udpBetween(version, one, two, { src: 40_000, dst: 53 }, new Uint8Array(4_000)), 1_304, id);
    const tracker = new Tracker();
    const [first = there(), second = there(), third = there(), fourth = there()] = pieces(1);
    for (const piece of [fourth, second, first]) assert.deepEqual(tracker.track(piece).items, []);
    assert.deepEqual(tracker.track(pieces(2)[2] ?? there()).items, [], "of another datagram");
    tracker.now = 14_999;
    const { items, tracked } = tracker.track(third);
    assert.deepEqual(items, [3, 2, 5, 1], "they go on in order");
    assert.equal(textOf(tracked.state), "isNew");
    assert.equal(tracked.opened?.to.port, 53);
    const late = new Tracker();
    for (const piece of [first, second, third]) late.track(piece);
    late.now = 15_000;
    assert.deepEqual(late.track(fourth).items, [], "the others are gone");
  }
});

test("a fragment that overlaps, or that is too small and not the last, is of no datagram", () => {
  const tracker = new Tracker();
  const frame = udpBetween(4, one, two, { src: 40_000, dst: 53 }, new Uint8Array(2_600));
  const [first = frame] = fragmentsOf(frame, 1_304, 1);
  assert.deepEqual(tracker.track(first).items, []);
  for (const wrong of [first, fragmentsOf(frame, 8, 1)[1] ?? frame]) {
    const { items, tracked } = tracker.track(wrong);
    assert.equal(items.length, 1, "it goes on by itself");
    assert.equal(textOf(tracked.state), "invalid");
  }
});

test("an error is related to the connection of the packet in it, in whichever direction, as far as RFC 792 promises of that", () => {
  const tracker = new Tracker();
  tracker.keeps(there(), 7n);
  const about = (bytes: number) => icmpError(4, two, one, { type: 3, code: 3, about: there(), bytes });
  assert.equal(tracker.says(about(28)), "related reply");
  assert.equal(tracker.says(about(27)), "invalid");
  assert.equal(tracker.kept(about(28)), 7n);
  const forth = icmpError(4, one, two, { type: 3, code: 3, about: back() });
  assert.equal(tracker.says(forth), "related");
  assert.equal(tracker.says(icmpError(4, one, two, { type: 3, code: 3, about: there() })), "invalid", "it is its own");
  tracker.keeps(about(28), 9n);
  assert.equal(tracker.kept(there()), 9n, "what is kept by an error is the connection's");
});

test("a connection leaves with the port that is chosen for it, if it is of its block and free", () => {
  const chosen = new Map([
    [40_000, 2_001],
    [40_001, 2_001],
    [40_002, 3_000],
    [40_003, null],
  ]);
  const connections = new Connections<number>(
    () => 0,
    10,
    ({ from }) => chosen.get(from.port),
  );
  const [none, ...ports] = [40_003, 40_000, 40_001, 40_002].map((src) => {
    const { tracked } = connections.track("z", datagramOf(there(4, src)), 0);
    const translated = connections.translateSource(tracked, {
      address: "cb00710a",
      ports: { first: 2_000, last: 2_003 },
    });
    return connections.rewriteOf(translated)?.source?.port ?? 0;
  });
  assert.equal(none, 0);
  assert.equal(ports[0], 2_001);
  assert.equal(new Set(ports).size, 3);
  assert.ok(
    ports.every((port) => port >= 2_000 && port <= 2_003),
    ports.join(),
  );
});

test("who begins again from outside on a translated connection that is over is neither new nor invalid", () => {
  const { connections } = new Tracker();
  const outer = { ...one, ip4: "203.0.113.10" };
  const leaves = (flags: number) => tcp(4, one, two, { src: 40_000, dst: 80, flags });
  const comes = (flags: number) => tcp(4, two, outer, { src: 80, dst: 2_000, flags });
  const track = (frame: Uint8Array) => connections.track("z", datagramOf(frame), 0).tracked;
  const plan = { address: "cb00710a", ports: { first: 2_000, last: 2_000 } };
  connections.translateSource(track(leaves(ack)), plan);
  const states = [comes(fin | ack), leaves(fin | ack), comes(ack), comes(syn)].map((each) => textOf(track(each).state));
  assert.deepEqual(states, ["established reply", "established", "established reply", ""]);
  assert.equal(connections.count("z"), 0);
});
