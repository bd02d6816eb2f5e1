/** Port security: every way to speak for another is stopped with its own reason, and what a machine must say passes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ReasonCode } from "@selvage/base";
import {
  arpProbe,
  arpReply,
  duplicateDetection,
  gratuitousArp,
  neighbourAdvertisement,
  neighbourSolicitation,
  type Speaker,
  udp,
} from "@selvage/datapath/testing";
import { encode } from "@selvage/packet";
import { fabric, type TestFabric } from "../testing/fabric.ts";
import { net } from "../testing/intent.ts";

const blue = net("blue", { a: "h1", b: "h1", c: "h2" });

/** Frames by which `a` speaks for `b`, and the reason that each must end with. */
const lies: readonly (readonly [string, (a: Speaker, b: Speaker) => Uint8Array, ReasonCode])[] = [
  ["another's MAC", (a, b) => udp(4, { ...a, mac: b.mac }, b, 1), "anti-spoof-mac"],
  ["another's IPv4 address", (a, b) => udp(4, { ...a, ip4: b.ip4 }, b, 1), "anti-spoof-ip"],
  ["another's IPv6 address", (a, b) => udp(6, { ...a, ip6: b.ip6 }, b, 1), "anti-spoof-ip"],
  ["no IPv4 address", (a, b) => udp(4, { ...a, ip4: "0.0.0.0" }, b, 1), "anti-spoof-ip"],
  ["no IPv6 address", (a, b) => udp(6, { ...a, ip6: "::" }, b, 1), "anti-spoof-ip"],
  ["an announcement of another's address", (a, b) => gratuitousArp({ ...a, ip4: b.ip4 }), "arp-spoof"],
  ["a reply for another's address", (a, b) => arpReply({ mac: a.mac, ip4: b.ip4 }, b), "arp-spoof"],
  ["another's MAC in ARP alone", (a, b) => arpWith(a, { sha: b.mac, spa: a.ip4 }), "arp-spoof"],
  ["another's MAC in a probe", (a, b) => arpWith(a, { sha: b.mac, spa: "0.0.0.0" }), "arp-spoof"],
  ["an advertisement of another's address", (a, b) => neighbourAdvertisement(a, b.ip6), "nd-spoof"],
  [
    "an own advertisement from another's address",
    (a, b) => neighbourAdvertisement({ ...a, ip6: b.ip6 }, a.ip6),
    "nd-spoof",
  ],
  [
    "a solicitation from another's address",
    (a, b) => neighbourSolicitation({ ...a, ip6: b.ip6 }, b.ip6),
    "anti-spoof-ip",
  ],
];

const arpWith = (from: Speaker, { sha, spa }: { readonly sha: string; readonly spa: string }): Uint8Array =>
  encode({
    eth: { src: from.mac, dst: "ff:ff:ff:ff:ff:ff" },
    arp: { op: 1, sha, spa, tha: "00:00:00:00:00:00", tpa: "10.0.0.99" },
  });

const serverReply = (from: Speaker): Uint8Array =>
  encode({
    eth: { src: from.mac, dst: "ff:ff:ff:ff:ff:ff" },
    ipv4: { src: from.ip4, dst: "255.255.255.255" },
    udp: { src: 67, dst: 68 },
    dhcp: { op: "reply", xid: 1, chaddr: from.mac, options: { messageType: "offer" } },
  });

const server6Reply = (from: Speaker): Uint8Array =>
  encode({
    eth: { src: from.mac, dst: "33:33:00:00:00:01" },
    ipv6: { src: from.ip6, dst: "ff02::1" },
    udp: { src: 547, dst: 40_000 },
    payload: new Uint8Array(20),
  });

const icmp6 = (from: Speaker, type: number, source = from.ip6): Uint8Array =>
  encode({
    eth: { src: from.mac, dst: "33:33:00:00:00:16" },
    ipv6: { src: source, dst: "ff02::16" },
    icmpv6: { kind: "other", type, code: 0, rest: 0 },
  });

const routerAdvertisement = (from: Speaker): Uint8Array =>
  encode({
    eth: { src: from.mac, dst: "33:33:00:00:00:01" },
    ipv6: { src: from.ip6, dst: "ff02::1" },
    icmpv6: {
      kind: "router-advertisement",
      hopLimit: 64,
      managed: false,
      otherConfig: false,
      preference: "medium",
      lifetime: 1800,
      reachableTime: 0,
      retransTimer: 0,
      options: [],
    },
  });

const routerSolicitation = (from: Speaker, source: string): Uint8Array =>
  encode({
    eth: { src: from.mac, dst: "33:33:00:00:00:02" },
    ipv6: { src: source, dst: "ff02::2" },
    icmpv6: { kind: "router-solicitation", options: [] },
  });

const unknownType = (from: Speaker): Uint8Array =>
  encode({ eth: { src: from.mac, dst: "ff:ff:ff:ff:ff:ff", type: 0x88cc }, payload: new Uint8Array(46) });

function dropped(world: TestFabric, frame: Uint8Array, reason: ReasonCode, what: string): void {
  const journey = world.send("a", frame);
  assert.deepEqual(journey.drops, [reason], what);
  assert.deepEqual(journey.delivered, [], what);
  assert.deepEqual(journey.punts, [], what);
  assert.equal(journey.crossed, 0, what);
}

test("a port cannot speak for another, here or on another host", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  for (const victim of ["b", "c"]) {
    for (const [what, lie, reason] of lies)
      dropped(world, lie(world.machine("a"), world.machine(victim)), reason, `${what}, of ${victim}`);
  }
});

test("a port plays neither DHCP server nor router, and carries nothing but ARP and IP", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  const a = world.machine("a");
  dropped(world, serverReply(a), "dhcp-server-from-tenant", "DHCP");
  dropped(world, server6Reply(a), "dhcp-server-from-tenant", "DHCPv6");
  dropped(world, routerAdvertisement(a), "ra-from-tenant", "advertisement");
  dropped(world, icmp6(a, 137), "ra-from-tenant", "redirect");
  dropped(world, unknownType(a), "ethertype-denied", "LLDP");
});

test("what a machine says before it has an address passes", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  const a = world.machine("a");
  const frames = [
    arpProbe(a, a.ip4),
    duplicateDetection(a, a.ip6),
    icmp6(a, 143, "::"),
    icmp6(a, 131, "::"),
    routerSolicitation(a, "::"),
    routerSolicitation(a, "fe80::f816:3eff:fe00:1"),
  ];
  for (const frame of frames) assert.deepEqual([...world.send("a", frame).delivered].sort(), ["b", "c"]);
});

test("what it says of its own addresses passes: each from each", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  const a = world.machine("a");
  const own = [a.ip6, "fe80::f816:3eff:fe00:1"];
  for (const source of own) {
    for (const target of own) {
      const journey = world.send("a", neighbourAdvertisement({ ...a, ip6: source }, target));
      assert.deepEqual([...journey.delivered].sort(), ["b", "c"]);
    }
  }
});

test("a port without port security says what it wants, in its network only, and still no VLAN", async () => {
  const open = net("blue", { a: { host: "h1", port: { port_security_enabled: false } }, b: "h1", c: "h2" });
  const world = await fabric({ hosts: 2 }, open, net("red", { x: "h1", y: "h2" }));
  const [a, b] = [world.machine("a"), world.machine("b")];
  assert.deepEqual(world.send("a", udp(4, { ...a, mac: "02:00:00:00:00:01", ip4: "198.51.100.1" }, b, 1)).delivered, [
    "b",
  ]);
  for (const frame of [serverReply(a), routerAdvertisement(a), unknownType(a), neighbourAdvertisement(a, b.ip6)])
    assert.deepEqual([...world.send("a", frame).delivered].sort(), ["b", "c"]);
  assert.deepEqual(world.send("a", udp(4, a, world.machine("x"), 1)).drops, ["no-fdb-entry"]);
  const frame = udp(4, a, b, 1);
  for (const type of [0x81, 0x88]) {
    const tag = Uint8Array.of(type, type === 0x88 ? 0xa8 : 0, 0, 0);
    const tagged = Buffer.concat([frame.subarray(0, 12), tag, frame.subarray(12)]);
    assert.deepEqual(world.send("a", tagged).drops, ["vlan-denied"]);
  }
});

test("port security follows the port: turned on, off and on again", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  const lie = udp(4, { ...world.machine("a"), ip4: "10.0.0.99" }, world.machine("b"), 1);
  for (const on of [true, false, true]) {
    world.set("a", { port_security_enabled: on });
    assert.deepEqual(world.send("a", lie).delivered, on ? [] : ["b"]);
  }
});
