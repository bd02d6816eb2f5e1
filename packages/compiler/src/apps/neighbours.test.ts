/** ARP (RFC 826, 5227) and neighbour discovery (RFC 4861, 4862): answered where they are asked, and announcements pass. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  arpProbe,
  arpReply,
  arpRequest,
  duplicateDetection,
  gratuitousArp,
  neighbourAdvertisement,
  neighbourSolicitation,
  sameBytes,
} from "@selvage/datapath/testing";
import { dhcpMac } from "../dhcp.ts";
import { fabric } from "../testing/fabric.ts";
import { net } from "../testing/intent.ts";

const blue = net("blue", { a: "h1", b: "h2", c: "h1" });

test("a neighbour's address is answered on the asking host, and nothing crosses the underlay", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  const [a, b] = [world.machine("a"), world.machine("b")];
  const journey = world.send("a", arpRequest(a, b.ip4));
  assert.deepEqual(journey.delivered, ["a"]);
  assert.ok(journey.frames.every((each) => sameBytes(each, arpReply(b, a))));
  assert.equal(journey.crossed, 0);
});

test("a question sent by unicast is answered just so", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  const [a, b] = [world.machine("a"), world.machine("b")];
  const frame = arpRequest(a, b.ip4);
  frame.set(Buffer.from(b.mac.replaceAll(":", ""), "hex"), 0);
  assert.deepEqual(world.send("a", frame).delivered, ["a"]);
});

test("the DHCP server's address is answered with its MAC, unless a port has the address", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  const a = world.machine("a");
  const answer = (mac: string) => arpReply({ mac, ip4: "10.0.0.1" }, a);
  const [first] = world.send("a", arpRequest(a, "10.0.0.1")).frames;
  assert.deepEqual(first, answer(dhcpMac));
  const c = world.machine("c");
  world.set("c", {
    fixed_ips: c.port.fixed_ips.map((each) => (each.ip_address === c.ip4 ? { ...each, ip_address: "10.0.0.1" } : each)),
  });
  const [second] = world.send("a", arpRequest(a, "10.0.0.1")).frames;
  assert.deepEqual(second, answer(c.mac));
});

test("an address that nobody has is not asked around", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  const journey = world.send("a", arpRequest(world.machine("a"), "10.0.0.99"));
  assert.deepEqual(journey.delivered, []);
  assert.deepEqual(journey.drops, ["neighbour-unresolved"]);
});

test("an address that nobody is known to have is asked around where a port may have any", async () => {
  const open = net("blue", { a: "h1", b: "h2", c: { host: "h2", port: { port_security_enabled: false } } });
  const world = await fabric({ hosts: 2 }, open);
  const a = world.machine("a");
  for (const frame of [arpRequest(a, "10.0.0.99"), neighbourSolicitation(a, "2001:db8::99")]) {
    const journey = world.send("a", frame);
    assert.deepEqual([...journey.delivered].sort(), ["b", "c"]);
    assert.ok(journey.frames.every((each) => sameBytes(each, frame)));
  }
  assert.deepEqual(world.send("a", arpRequest(a, world.machine("b").ip4)).delivered, ["a"], "what is known is not");
  world.set("c", { port_security_enabled: true });
  assert.deepEqual(world.send("a", arpRequest(a, "10.0.0.99")).drops, ["neighbour-unresolved"]);
});

test("a question for an address of another network is not answered, though it is known there", async () => {
  const world = await fabric({ hosts: 2 }, blue, net("red", { x: "h1" }, { cidr4: "10.7.0.0/24" }));
  const journey = world.send("a", arpRequest(world.machine("a"), world.machine("x").ip4));
  assert.deepEqual(journey.drops, ["neighbour-unresolved"]);
});

test("an announcement of one's own address passes to all (RFC 5227), and a probe of it", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  const a = world.machine("a");
  for (const frame of [gratuitousArp(a), arpProbe(a, a.ip4)]) {
    const journey = world.send("a", frame);
    assert.deepEqual([...journey.delivered].sort(), ["b", "c"]);
    assert.ok(journey.frames.every((each) => sameBytes(each, frame)));
  }
});

test("a probe for an address that another has is answered, so that the prober sees the conflict (RFC 5227)", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  const [a, b] = [world.machine("a"), world.machine("b")];
  const journey = world.send("a", arpProbe(a, b.ip4));
  assert.deepEqual(journey.delivered, ["a"]);
  assert.ok(journey.frames.every((each) => sameBytes(each, arpReply(b, { ...a, ip4: "0.0.0.0" }))));
});

test("a reply of a machine goes to whom it is sent", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  assert.deepEqual(world.send("a", arpReply(world.machine("a"), world.machine("b"))).delivered, ["b"]);
});

test("a solicitation for a known address is punted on the asking host, and nothing crosses the underlay", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  const [a, b] = [world.machine("a"), world.machine("b")];
  const linkLocal = "fe80::f816:3eff:fe00:2";
  for (const target of [b.ip6, linkLocal]) {
    const frame = neighbourSolicitation(a, target);
    const journey = world.send("a", frame);
    assert.deepEqual(journey.punts, [
      { kind: "nd", attachment: a.port.id, net: 1, srcPort: a.port.key, vrf: 0, frame },
    ]);
    assert.deepEqual(journey.delivered, []);
    assert.equal(journey.crossed, 0);
  }
  assert.deepEqual(world.send("a", neighbourSolicitation(a, "2001:db8::99")).drops, ["neighbour-unresolved"]);
});

test("a solicitation with an ICMP code asks for nothing that is known (RFC 4861, section 7.1.1)", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  const frame = neighbourSolicitation(world.machine("a"), world.machine("b").ip6);
  frame[55] = 1;
  const journey = world.send("a", frame);
  assert.deepEqual(journey.punts, []);
  assert.deepEqual(journey.drops, ["neighbour-unresolved"]);
});

test("duplicate detection passes to all, and so does the defence (RFC 4862)", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  const [a, b] = [world.machine("a"), world.machine("b")];
  for (const target of [a.ip6, b.ip6]) {
    const journey = world.send("a", duplicateDetection(a, target));
    assert.deepEqual([...journey.delivered].sort(), ["b", "c"]);
    assert.deepEqual(journey.punts, []);
  }
  assert.deepEqual([...world.send("b", neighbourAdvertisement(b, b.ip6)).delivered].sort(), ["a", "c"]);
});

test("an address that leaves its port is answered no more", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  const [a, b] = [world.machine("a"), world.machine("b")];
  assert.deepEqual(world.send("a", arpRequest(a, b.ip4)).delivered, ["a"]);
  world.set("b", { fixed_ips: [] });
  assert.deepEqual(world.send("a", arpRequest(a, b.ip4)).drops, ["neighbour-unresolved"]);
});
