/** What the comparison has found, each as a test of its own: on simulated and real switches alike. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { delta, OvsHosts, ovsTestFabric, testPort, udp, World } from "@selvage/datapath/testing";
import { encode, type PacketSpec } from "@selvage/packet";
import { Deliver, GuardMac, row } from "@selvage/pipeline";
import { compare } from "./comparison.ts";
import { damaged } from "./damage.ts";
import { RealSide } from "./real-side.ts";
import type { SimulatedEnd } from "./simulated-side.ts";
import { hostName, speakerOf, type TopologyPlan, topologyOf } from "./topology.ts";

const timeout = 60_000;
const port = {
  network: 0,
  host: 0,
  up: true,
  security: true,
  addresses: "one",
  groups: null,
  pairs: "none",
  plug: "own",
} as const;
const plan: TopologyPlan = {
  hosts: 2,
  silent: false,
  networks: [
    ...[
      { up: true, families: "both", type: "geneve", mtu: 1280, dhcp: true, gateway: true, advertised: false, scope: 0 },
    ],
  ] as const,
  ports: [port, port, { ...port, host: 1 }],
  apart: true,
  routers: [],
  policy: { groups: [{ stateful: true, rules: [] }], addresses: [[], []], later: "same" },
  outside: null,
  unknown: 2,
  change: "adopt",
};

describe("found by the comparison", () => {
  let real: RealSide;
  before(async () => {
    real = await RealSide.start(4);
  });
  after(() => real?.dispose());

  const topology = topologyOf(plan, ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
  const speaker = (place: number) => speakerOf(topology.ports[place] ?? assert.fail());
  const [a, b] = [speaker(0), speaker(1)];
  const eth = { src: a.mac, dst: b.mac };
  const ipv4 = { src: a.ip4, dst: b.ip4 };
  const ipv6 = { src: a.ip6, dst: b.ip6 };
  const ports = { src: 1, dst: 2 };
  const behind = (frame: Uint8Array, header: readonly number[]): Uint8Array =>
    Buffer.concat([frame.subarray(0, 12), Uint8Array.from(header), frame.subarray(12)]);
  const padded = (frame: Uint8Array, bytes: number): Uint8Array =>
    Buffer.concat([frame, new Uint8Array(bytes - frame.length)]);

  /** Sends frames from the first port on both sides; gives how each ended, the same on both. */
  async function ends(...frames: readonly Uint8Array[]): Promise<readonly string[]> {
    const all: string[] = [];
    const shots = frames.map((frame) => ({
      enters: "interface" as const,
      bound: true,
      interface: 0,
      frame: { kind: "given" as const, hex: Buffer.from(frame).toString("hex") },
    }));
    await compare(real, { plan, shots }, (entries: SimulatedEnd["entries"]) => {
      const outcomes = entries.flatMap(({ trace }) => trace.outcomes);
      all.push(outcomes.map((each) => (each.kind === "drop" ? each.reason : each.kind)).join());
    });
    return all;
  }

  for (const version of [4, 6] as const) {
    const made = (spec: Pick<PacketSpec, "payload"> = {}): Uint8Array =>
      version === 4 ? encode({ eth, ipv4, udp: ports, ...spec }) : encode({ eth, ipv6, udp: ports, ...spec });

    test(`IPv${version}: padding behind a datagram is not measured`, { timeout }, async () => {
      const largest = 14 + 1280;
      const headers = version === 4 ? 42 : 62;
      const full = made({ payload: new Uint8Array(largest - headers) });
      const larger = made({ payload: new Uint8Array(largest + 1 - headers) });
      assert.deepEqual(await ends(full, larger, padded(made(), largest), padded(made(), largest + 1)), [
        "output",
        "mtu-exceeded",
        "output",
        "output",
      ]);
    });

    test(`IPv${version}: a frame with a length and a SNAP header is what the type in that header says`, {
      timeout,
    }, async () => {
      const frame = made();
      const length = frame.length - 14 + 8;
      const snap = [length >> 8, length & 255, 0xaa, 0xaa, 3, 0, 0];
      const foreign = Uint8Array.from(frame);
      foreign[version === 4 ? 29 : 37] = 0x77;
      assert.deepEqual(
        await ends(behind(frame, [...snap, 0]), behind(foreign, [...snap, 0]), behind(frame, [...snap, 1])),
        ["output", "anti-spoof-ip", "ethertype-denied"],
      );
    });

    test(`IPv${version}: a provider's tag is a tag, and what stands behind it is guarded first`, {
      timeout,
    }, async () => {
      const foreign = made();
      foreign[version === 4 ? 29 : 37] = 0x77;
      const tag = [0x88, 0xa8, 0, 7];
      assert.deepEqual(await ends(behind(made(), tag), behind(foreign, tag)), ["vlan-denied", "anti-spoof-ip"]);
    });

    test(`IPv${version}: the version is that of the EtherType, whatever the header says`, { timeout }, async () => {
      const frame = made();
      frame[14] = ((frame[14] ?? 0) & 15) | 0xf0;
      assert.deepEqual(await ends(frame), ["output"]);
    });
  }

  test("nothing stands behind a mobility header, not even an advertisement of a router", { timeout }, async () => {
    const advertisement = encode({
      eth: { ...eth, dst: "33:33:00:00:00:01" },
      ipv6: { ...ipv6, dst: "ff02::1" },
      icmpv6: { kind: "other", type: 134, code: 0, rest: 0 },
      payload: new Uint8Array(8),
    });
    const behindHeader = (header: number) => damaged(advertisement, { do: "extend", header, word: 0 });
    assert.deepEqual(await ends(advertisement, behindHeader(60), behindHeader(135)), [
      "ra-from-tenant",
      "ra-from-tenant",
      "output,output,suppressed,tunnel",
    ]);
  });

  test("an advertisement on its way through a routing header is one of a router's too", { timeout }, async () => {
    const advertisement = encode({
      eth: { ...eth, dst: "33:33:00:00:00:01" },
      ipv6: { ...ipv6, dst: "ff02::1" },
      icmpv6: { kind: "other", type: 134, code: 0, rest: 0 },
      payload: new Uint8Array(8),
    });
    const through = (word: number) => damaged(advertisement, { do: "extend", header: 43, word });
    assert.deepEqual(await ends(through(0), through(1), through(0xffff)), [
      "ra-from-tenant",
      "ra-from-tenant",
      "ra-from-tenant",
    ]);
  });

  /** Open vSwitch 3.1.0: unless told to look into fragments, it takes all of them for packets without ports or types. */
  test("what no machine may send is not let through in fragments either", { timeout }, async () => {
    const offer = encode({ eth, ipv4, udp: { src: 67, dst: 68 }, payload: new Uint8Array(48) });
    const offer6 = encode({ eth, ipv6, udp: { src: 547, dst: 546 }, payload: new Uint8Array(8) });
    /** Flags and offset of IPv4 (RFC 791, section 3.1). */
    const part = (word: number): Uint8Array =>
      Uint8Array.from(offer)
        .fill(word >> 8, 20, 21)
        .fill(word & 255, 21, 22);
    const made = (type: number) =>
      encode({
        eth: { ...eth, dst: "33:33:00:00:00:01" },
        ipv6: { ...ipv6, dst: "ff02::1", hopLimit: 255 },
        icmpv6: { kind: "other", type, code: 0, rest: 0 },
        payload: new Uint8Array(16),
      });
    const fragment = (frame: Uint8Array, word: number) => damaged(frame, { do: "extend", header: 44, word });
    assert.deepEqual(
      await ends(
        part(0x2000),
        part(8),
        fragment(offer6, 1),
        fragment(offer6, 8),
        fragment(made(134), 1),
        fragment(made(137), 1),
        fragment(made(136), 1),
      ),
      [
        "dhcp-server-from-tenant",
        "output",
        "dhcp-server-from-tenant",
        "output",
        "ra-from-tenant",
        "ra-from-tenant",
        "nd-spoof",
      ],
    );
  });

  /** Open vSwitch 3.1.0, userspace datapath: the cached flow of the first said nothing of the target, and the second went the same way. */
  test("an advertisement whose code is not 0 does not decide what becomes of a sound one", { timeout }, async () => {
    const advertisement = (code: number) => {
      const made = encode({
        eth: { ...eth, dst: "33:33:00:00:00:01" },
        ipv6: { ...ipv6, dst: "ff02::1", hopLimit: 255 },
        icmpv6: {
          kind: "neighbor-advertisement",
          router: false,
          solicited: false,
          override: true,
          target: a.ip6,
          options: [{ kind: "target-link-layer", mac: a.mac }],
        },
      });
      made[55] = code;
      return made;
    };
    assert.deepEqual(await ends(advertisement(255), advertisement(0), advertisement(1)), [
      "nd-spoof",
      "output,output,suppressed,tunnel",
      "nd-spoof",
    ]);
  });

  test("ARP in a SNAP header is answered in one", { timeout }, async () => {
    const asked = encode({
      eth: { src: a.mac, dst: "ff:ff:ff:ff:ff:ff" },
      arp: { op: 1, sha: a.mac, spa: a.ip4, tha: "00:00:00:00:00:00", tpa: b.ip4 },
    });
    assert.deepEqual(await ends(behind(asked, [0, 36, 0xaa, 0xaa, 3, 0, 0, 0])), ["output"]);
  });

  test("whose interfaces name a port twice, or on another host, is the same on both sides", { timeout }, async () => {
    const shots = Array.from({ length: 12 }, (_, place) => ({
      enters: "interface" as const,
      bound: false,
      interface: place,
      frame: { kind: "given" as const, hex: Buffer.from(encode({ eth, ipv4, udp: ports })).toString("hex") },
    }));
    const ports2 = [port, { ...port, plug: "twice" }, { ...port, plug: "stolen" }, { ...port, plug: "both" }] as const;
    let hosts: readonly string[] = [];
    await compare(real, { plan: { ...plan, ports: ports2 }, shots }, (entries) => {
      hosts = [...hosts, ...entries.map(({ host }) => hostName(host))];
    });
    assert.deepEqual([...new Set(hosts)].sort(), ["h1", "h2", "h3"]);
  });
});

/**
 * Open vSwitch 3.1.0, userspace datapath ("dpif-netdev: Fix dpif_netdev_flow_put", in 3.1.3): of two cached flows that overlap one was changed in the other's
 * place, and kept delivering to a port that had been set down.
 */
test("a port that is set down gets nothing by a cached flow whose change went to another one", {
  timeout,
}, async () => {
  const hosts = await OvsHosts.start(4, 1);
  const fabric = await ovsTestFabric(hosts);
  try {
    const world = new World(fabric);
    const [a, b, c] = [testPort(1, 1, 0), testPort(2, 1, 0), testPort(3, 1, 0)];
    await world.build([a, b, c]);
    const { apply } = { apply: (part: Parameters<typeof delta>[0]) => world.datapath(0).apply(delta(part)) };
    const pass = async (frame: Uint8Array): Promise<void> => {
      await world.send(a, frame);
      await world.arrives(b, frame);
    };
    const stranger = { ...a, mac: "02:00:00:00:00:09" };
    const guarded = row(GuardMac, { srcPort: a.key, ethSrc: a.mac }, "pass", {}, "mac");
    const free = row(GuardMac, { srcPort: a.key, ethSrc: a.mac }, "unguarded", {}, "mac");
    // A cached flow of the shape that the second one below will have, so that it is looked up first.
    await apply({ added: [row(GuardMac, { srcPort: a.key, ethSrc: stranger.mac }, "unguarded", {}, "mac")] });
    await pass(udp(4, stranger, b, 1));
    const own = udp(4, a, b, 2);
    await pass(own);
    await apply({ modified: [{ before: guarded, after: free }] });
    await pass(udp(4, { ...a, ip4: "10.0.1.99" }, b, 3));
    const up = row(Deliver, { port: b.key }, "output", { port: b.id });
    await apply({ modified: [{ before: up, after: row(Deliver, { port: b.key }, "portDown") }] });
    await apply({ modified: [{ before: free, after: guarded }] });
    const before = world.count(b, own);
    await world.send(a, own);
    await world.reaches(a, c);
    await world.until("it is dropped", async () => (await world.dropped(0, "port-admin-down")) > 0);
    assert.equal(world.count(b, own), before);
  } finally {
    await fabric.dispose();
    await hosts.dispose();
  }
});
