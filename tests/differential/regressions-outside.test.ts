/** What the comparison has found of the outside, each as a test of its own: on simulated and real switches alike. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { tcp, udpBetween } from "@selvage/datapath/testing";
import { TcpFlag } from "@selvage/packet";
import { compare } from "./comparison.ts";
import type { OuterTurnShot } from "./outer-talk.ts";
import type { OutsidePlan } from "./outside.ts";
import { RealSide } from "./real-side.ts";
import { far } from "./routing.ts";
import type { Shot } from "./shots.ts";
import type { SimulatedEnd } from "./simulated-side.ts";
import { speakerOf, type TopologyPlan, topologyOf } from "./topology.ts";
import { distant } from "./wires.ts";

const timeout = 60_000;
const { syn, ack, fin } = TcpFlag;
const port: TopologyPlan["ports"][number] = {
  ...{ network: 0, host: 0, up: true, security: false, groups: null },
  ...({ addresses: "one", pairs: "none", plug: "own" } as const),
};
const block = { kind: "block", size: 1024, isLast: false } as const;
const outside: OutsidePlan = {
  ...({ vlan: 42, families: "both", mtu: 1500, scope: 0, gateway: true, unwired: 3, standing: 3 } as const),
  ...({ segments: { external: "unsaid", standing: "unsaid" }, isTurned: false } as const),
  wires: ["public", "public", "public"],
  gateways: [{ snat: true, families: "both", segment: 0 }, null, null],
  leases: [block, block, block],
  ...{ floating: [], forwarded: [], proxies: [], hostGateways: false, strange: [], lost: 3, calm: true },
};
const plan: TopologyPlan = {
  hosts: 3,
  silent: false,
  networks: [
    {
      ...{ up: true, dhcp: true, gateway: true, advertised: false },
      ...({ families: "both", type: "geneve", mtu: 1442, scope: 0 } as const),
    },
  ],
  ports: [port],
  apart: true,
  routers: [{ up: true, on: [0], families: "both", split: false, routes: [] }],
  policy: { groups: [{ stateful: true, rules: [] }], addresses: [[], []], later: "same" },
  outside,
  unknown: 2,
  change: "adopt",
};

const wire = {
  ...({ enters: "wire", version: 6, from: 2, claim: "own", target: "machine", to: 0, port: 0 } as const),
  ...({ isRight: false, isAstray: false, isBeside: false, towards: "host", tag: "right", hops: 64, size: 8 } as const),
  ...({ error: 0, quoted: 80, id: 1, damage: [] } as const),
};

const given = (frame: Uint8Array) => ({ kind: "given", hex: Buffer.from(frame).toString("hex") }) as const;

describe("found by the comparison", () => {
  let real: RealSide;
  before(async () => {
    real = await RealSide.start(4);
  });
  after(() => real?.dispose());

  /** Sends on both sides; gives how each packet ended, the same on both. */
  async function ends(of: TopologyPlan, shots: readonly Shot[]): Promise<readonly string[]> {
    const all: string[] = [];
    await compare(real, { plan: of, shots }, (entries: SimulatedEnd["entries"]) => {
      const outcomes = entries.flatMap(({ trace }) => trace.outcomes);
      all.push(outcomes.map((each) => (each.kind === "drop" ? each.reason : each.kind)).join());
    });
    return all;
  }

  /** A segment of the conversation that a machine began with somebody far. */
  const turn = (back: boolean, flags: number): OuterTurnShot => ({
    ...{ enters: "outer-turn", machine: 0, outsider: 2, isCalled: false, aside: 0 },
    turn: {
      ...{ kind: "tcp", version: 4, back, flow: 0, flags, skew: [0, 0], length: 0, window: 8_000, scale: undefined },
      ...{ answers: false, errorType: 0, errorBytes: 28, twist: "none", pieces: "whole" },
    },
  });

  /** Open vSwitch 3.1 says of such a segment that it was tracked, and nothing else: it is neither new nor invalid, and is not translated (lib/conntrack.c, `process_one`). */
  test("who begins again from outside on a connection that is over does not come in by a router's address", {
    timeout,
  }, async () => {
    const closing = [turn(false, ack), turn(true, fin | ack), turn(false, fin | ack), turn(true, ack)];
    assert.deepEqual(await ends(plan, [...closing, turn(true, syn)]), [
      ...["output", "output", "output", "output"],
      "nat-no-connection",
    ]);
  });

  /** A switch sends nothing out of the interface by which it came, and all tunnels are one interface. */
  test("what comes for a machine by two hosts that it is not on goes through two tunnels", { timeout }, async () => {
    // The third host has a machine and is chosen for the prefix, so that what comes to the second is sent on to it; who is asked for is on the first.
    const three = { ...plan, ports: [port, { ...port, host: 2 }] };
    const found = await ends(three, [{ ...wire, kind: "tcp", host: 1 }]);
    assert.deepEqual(found, ["output,tunnel,tunnel"]);
  });

  /** Open vSwitch 3.1 keeps the tuple of an answer until it next looks for what is over, so that a block of one port is taken meanwhile. */
  test("a connection that is begun again may find no port", { timeout }, async () => {
    const least = { ...plan, outside: { ...outside, leases: [{ ...block, kind: "least" as const }, block, block] } };
    const closing = [turn(false, ack), turn(true, fin | ack), turn(false, fin | ack), turn(true, ack)];
    const found = await ends(least, [...closing, turn(false, syn)]);
    assert.match(found.at(-1) ?? "", /^(output|nat-exhausted)$/);
  });

  /** With an address Open vSwitch 3.1 corrects a checksum that only a first fragment has: two bytes of payload are not compared (`ending.ts`). */
  test("fragments leave by a floating address", { timeout }, async () => {
    const floating = { ...plan, outside: { ...outside, floating: [0] } };
    const datagram = turn(false, ack);
    const fragments = { ...datagram, turn: { ...datagram.turn, kind: "udp", pieces: "inOrder" } } as const;
    assert.deepEqual(await ends(floating, [fragments]), ["output", "output"]);
  });

  test("a machine's segment leaves with the port that was chosen there", { timeout }, async () => {
    const [machine] = topologyOf(plan, real.addresses).ports;
    assert.ok(machine);
    const { routed } = topologyOf(plan, real.addresses);
    const frame = tcp(
      4,
      speakerOf(machine),
      { ...distant, mac: routed[0]?.mac_address ?? "" },
      { src: 40_000, dst: 80, flags: syn },
    );
    const shot = { enters: "interface" as const, bound: true, interface: 0, frame: given(frame) };
    assert.deepEqual(await ends(plan, [shot, shot]), ["output", "output"]);
  });

  /** The network of the plan, on the wire. */
  const wired: TopologyPlan = { ...plan, outside: { ...outside, standing: 0 } };

  /** Interfaces of dummy switches carry 1,500 bytes unless told. */
  test("what is larger than a network's packets comes from the wire to a machine there", { timeout }, async () => {
    const found = await ends(wired, [{ ...wire, kind: "udp", target: "behind", host: 0, isRight: true, size: 1473 }]);
    assert.deepEqual(found, ["output"]);
  });

  /** By which it went is seen by what the switch tells the agent, as where it refuses. */
  test("of several next hops on a wire one is asked for that nobody knows", { timeout }, async () => {
    const hops = [
      { kind: "nobody", which: 0 },
      { kind: "port", which: 0 },
    ] as const;
    const routes = [{ towards: "far", network: 0, version: 4, hops }] as const;
    const several = { ...wired, routers: [{ up: true, on: [0], families: "both", split: false, routes } as const] };
    const { ports, routed } = topologyOf(several, real.addresses);
    const [machine] = ports;
    assert.ok(machine);
    const there = { mac: routed[0]?.mac_address ?? "", ip4: far[4], ip6: far[6] };
    const shots = Array.from({ length: 12 }, (_, at): Shot => {
      const frame = udpBetween(4, speakerOf(machine), there, { src: 1_000 + at, dst: 80 });
      return { enters: "interface", bound: true, interface: 0, frame: given(frame) };
    });
    const found = await ends(several, shots);
    assert.deepEqual([...new Set(found)].sort(), ["punt,neighbour-unresolved", "suppressed"]);
  });
});
