/** What the comparison has found of security groups, connections and routers, each as a test of its own: on simulated and real switches alike. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { encode } from "@selvage/packet";
import { compare } from "./comparison.ts";
import { damaged } from "./damage.ts";
import { RealSide } from "./real-side.ts";
import type { SimulatedEnd } from "./simulated-side.ts";
import { speakerOf, type TopologyPlan, topologyOf } from "./topology.ts";

const timeout = 60_000;
const port: TopologyPlan["ports"][number] = {
  ...{ network: 0, host: 0, up: true, security: true, groups: null },
  ...({ addresses: "one", pairs: "none", plug: "own" } as const),
};
const network: TopologyPlan["networks"][number] = {
  ...{ up: true, dhcp: true, gateway: true, advertised: false },
  ...({ families: "both", type: "geneve", mtu: 1442, scope: 0 } as const),
};
const plan: TopologyPlan = {
  hosts: 2,
  silent: false,
  networks: [network],
  ports: [port, port],
  apart: true,
  routers: [],
  policy: { groups: [{ stateful: true, rules: [] }], addresses: [[], []], later: "same" },
  outside: null,
  unknown: 2,
  change: "adopt",
};
const any = { version: 6, service: 0, which: 0 } as const;
/** A group whose members may send anything of IPv6. */
const out = { stateful: true, rules: [{ ...any, direction: "egress", remote: "any" }] } as const;

describe("found by the comparison", () => {
  let real: RealSide;
  before(async () => {
    real = await RealSide.start(4);
  });
  after(() => real?.dispose());

  /** Sends frames from the first port on both sides; gives how each ended, the same on both. */
  async function ends(of: TopologyPlan, ...frames: readonly Uint8Array[]): Promise<readonly string[]> {
    const all: string[] = [];
    const shots = frames.map((frame) => ({
      enters: "interface" as const,
      bound: true,
      interface: 0,
      frame: { kind: "given" as const, hex: Buffer.from(frame).toString("hex") },
    }));
    await compare(real, { plan: of, shots }, (entries: SimulatedEnd["entries"]) => {
      const outcomes = entries.flatMap(({ trace }) => trace.outcomes);
      all.push(outcomes.map((each) => (each.kind === "drop" ? each.reason : each.kind)).join());
    });
    return all;
  }

  const topology = topologyOf(plan, ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
  const [a, b] = topology.ports.map(speakerOf);
  assert.ok(a && b);
  const eth = { src: a.mac, dst: b.mac };
  const ipv6 = { src: a.ip6, dst: b.ip6 };

  /** Open vSwitch asks of a rule as many flows as it has parts: two parts that match the same are one flow, and were never met (lib/classifier.c). */
  test("an address group with every address lets all in and out", { timeout }, async () => {
    const groups = [
      { stateful: true, rules: [{ ...any, direction: "egress", remote: "addresses" }] },
      { stateful: true, rules: [{ ...any, direction: "ingress", remote: "addresses" }] },
    ] as const;
    const everyone: TopologyPlan = {
      ...plan,
      ports: [
        { ...port, groups: [0] },
        { ...port, groups: [1] },
      ],
      // The seventh prefixes are those of all addresses.
      policy: { groups, addresses: [[6], []], later: "same" },
    };
    const frame = encode({ eth, ipv6, udp: { src: 1, dst: 2 } });
    assert.deepEqual(await ends(everyone, frame), ["output"]);
    assert.deepEqual(await ends({ ...everyone, policy: { groups, addresses: [[3], []], later: "same" } }, frame), [
      "sg-default-deny-egress",
    ]);
  });

  test("a packet in a SNAP header is tracked as any other", { timeout }, async () => {
    const frame = encode({ eth, ipv6, udp: { src: 1, dst: 2 } });
    const length = frame.length - 14 + 8;
    const header = Uint8Array.of(length >> 8, length & 255, 0xaa, 0xaa, 3, 0, 0, 0);
    const behind = Buffer.concat([frame.subarray(0, 12), header, frame.subarray(12)]);
    const guarded = { ...plan, ports: [{ ...port, groups: [0] }, port], policy: { ...plan.policy, groups: [out] } };
    assert.deepEqual(await ends(guarded, behind), ["output"]);
  });

  /** What leaves and arrives by one port is tracked in one zone, each time anew: what its own rules let out has a connection when it comes in. */
  test("what a machine sends to its own MAC goes nowhere, whatever its rules say", { timeout }, async () => {
    const guarded = { ...plan, ports: [{ ...port, groups: [0] }, port], policy: { ...plan.policy, groups: [out] } };
    const self = { eth: { ...eth, dst: eth.src }, ipv6 };
    const frames = [{ tcp: { src: 1, dst: 2, flags: 16 } }, { udp: { src: 3, dst: 4 } }].map((upper) =>
      encode({ ...self, ...upper }),
    );
    assert.deepEqual(await ends(guarded, ...frames), ["suppressed", "sg-default-deny-ingress"]);
  });

  test("a ping to a router on its way through a routing header is answered with the sum that the switch leaves", {
    timeout,
  }, async () => {
    const router = { up: true, on: [0], families: "both", split: false, routes: [] } as const;
    const routed = { ...plan, ports: [{ ...port, security: false }, port], routers: [router] };
    const [own] = topologyOf(routed, ["192.0.2.1"]).routed;
    assert.ok(own);
    const ping = encode({
      eth: { ...eth, dst: own.mac_address },
      ipv6: { ...ipv6, dst: speakerOf(own).ip6 },
      icmpv6: { kind: "echo-request", id: 1, sequence: 1 },
      payload: new Uint8Array(8),
    });
    const through = (word: number) => damaged(ping, { do: "extend", header: 43, word });
    assert.deepEqual(await ends(routed, ping, through(0), through(8)), ["output", "output", "output"]);
  });

  test("of an IP header that is cut short a router reads no hops", { timeout }, async () => {
    const router = { up: true, on: [0], families: "both", split: false, routes: [] } as const;
    const routed = { ...plan, ports: [{ ...port, security: false }, port], routers: [router] };
    const [mac] = topologyOf(routed, ["192.0.2.1"]).routed.map(({ mac_address }) => mac_address);
    const whole = encode({
      eth: { ...eth, dst: mac ?? "" },
      ipv6: { ...ipv6, dst: "2001:db8:9::1" },
      udp: { src: 1, dst: 2 },
    });
    assert.deepEqual(await ends(routed, whole, whole.subarray(0, 50)), ["punt,no-route", "punt,ttl-expired"]);
  });
});
