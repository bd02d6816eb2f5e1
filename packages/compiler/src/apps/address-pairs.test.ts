/** Allowed address pairs: what a port may then say, and an address that moves between ports by VRRP (RFC 9568) or by gratuitous ARP (RFC 5227). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  arpProbe,
  arpReply,
  arpRequest,
  gratuitousArp,
  neighbourAdvertisement,
  neighbourSolicitation,
  type Speaker,
  udp,
} from "@selvage/datapath/testing";
import type { AddressPair } from "@selvage/model";
import { fabric, type TestFabric } from "../testing/fabric.ts";
import { net } from "../testing/intent.ts";

const vip = "10.0.0.200";
const vip6 = "2001:db8::c8";
/** The virtual MACs of VRRP's router 7, by family. */
const virtualMac = "00:00:5e:00:01:07";
const virtualMac6 = "00:00:5e:00:02:07";
const virtual: readonly AddressPair[] = [
  { ip_address: vip, mac_address: virtualMac },
  { ip_address: vip6, mac_address: virtualMac6 },
];

/** `a` and `b` on two hosts may both hold the address, `c` beside `a` and `d` beside `b` ask. */
const shared = (pairs: (mac: string) => readonly AddressPair[], type = "geneve"): Promise<TestFabric> => {
  const holder = (host: string, key: number) => ({
    host,
    port: { allowed_address_pairs: pairs(`fa:16:3e:00:00:0${key}`) },
  });
  const machines = { a: holder("h1", 1), b: holder("h2", 2), c: "h1", d: "h2" };
  return fabric({ hosts: 3 }, net("blue", machines, { network: { "provider:network_type": type } }));
};
const withVirtualMac = () => virtual;
/** As Neutron fills in a pair without a MAC. */
const withOwnMac = (mac: string) => [vip, vip6].map((ip_address) => ({ ip_address, mac_address: mac }));
const passes = (world: TestFabric, name: string, frame: Uint8Array): readonly string[] =>
  [...world.send(name, frame).delivered].sort();

for (const type of ["geneve", "vxlan"]) {
  describe(`an address that two ports may hold, on ${type}`, () => {
    test("by gratuitous ARP it is announced to all, by either, and questions for it reach whoever may answer", async () => {
      const world = await shared(withOwnMac, type);
      const [a, b, c] = [world.machine("a"), world.machine("b"), world.machine("c")];
      for (const [name, others] of [
        ["a", ["b", "c", "d"]],
        ["b", ["a", "c", "d"]],
      ] as const) {
        assert.deepEqual(passes(world, name, gratuitousArp({ ...world.machine(name), ip4: vip })), others);
        assert.deepEqual(passes(world, name, neighbourAdvertisement(world.machine(name), vip6)), others);
      }
      assert.deepEqual(passes(world, "c", arpRequest(c, vip)), ["a", "b", "d"]);
      assert.deepEqual(passes(world, "c", neighbourSolicitation(c, vip6)), ["a", "b", "d"]);
      assert.deepEqual(passes(world, "b", arpReply({ mac: b.mac, ip4: vip }, c)), ["c"]);
      for (const [name, holder] of [
        ["a", a],
        ["b", b],
      ] as const) {
        assert.deepEqual(passes(world, "c", udp(4, c, { ...holder, ip4: vip }, 1)), [name]);
        assert.deepEqual(passes(world, name, udp(6, { ...holder, ip6: vip6 }, c, 2)), ["c"]);
      }
    });

    test("by VRRP it is announced from its virtual MAC, and frames for that reach each port that may have it, once", async () => {
      const world = await shared(withVirtualMac, type);
      const [a, c, d] = [world.machine("a"), world.machine("c"), world.machine("d")];
      const master: Speaker = { mac: virtualMac, ip4: vip, ip6: vip6 };
      const master6: Speaker = { ...master, mac: virtualMac6 };
      // Advertisements come from the master's own address, with the virtual MAC.
      const advertised = { mac: "01:00:5e:00:00:12", ip4: "224.0.0.18", ip6: "ff02::12" };
      assert.deepEqual(passes(world, "a", udp(4, { ...a, mac: virtualMac }, advertised, 1)), ["b", "c", "d"]);
      assert.deepEqual(passes(world, "a", gratuitousArp(master)), ["b", "c", "d"]);
      assert.deepEqual(passes(world, "a", neighbourAdvertisement(master6, vip6)), ["b", "c", "d"]);
      assert.deepEqual(passes(world, "c", arpRequest(c, vip)), ["a", "b", "d"]);
      assert.deepEqual(passes(world, "a", arpReply(master, c)), ["c"]);
      assert.deepEqual(passes(world, "c", udp(4, c, master, 2)), ["a", "b"]);
      assert.deepEqual(passes(world, "d", udp(6, d, master6, 3)), ["a", "b"]);
      assert.deepEqual(passes(world, "b", udp(4, master, c, 4)), ["c"]);
      assert.equal(world.send("c", udp(4, c, master, 5)).crossed, 1);
    });

    test("several of one host get a copy each, of one that crossed once", async () => {
      const holder = { host: "h2", port: { allowed_address_pairs: virtual } };
      const world = await fabric(
        { hosts: 2 },
        net("blue", { a: holder, b: holder, c: "h1", d: "h2" }, { network: { "provider:network_type": type } }),
      );
      const journey = world.send("c", udp(4, world.machine("c"), { mac: virtualMac, ip4: vip, ip6: vip6 }, 1));
      assert.deepEqual([...journey.delivered].sort(), ["a", "b"]);
      assert.equal(journey.crossed, 1);
    });
  });
}

test("a pair lets a port say what is in it, and no more", async () => {
  const pairs: readonly AddressPair[] = [
    { ip_address: "10.0.0.208/28", mac_address: "fa:16:3e:00:00:01" },
    { ip_address: vip, mac_address: virtualMac },
    { ip_address: "2001:db8:0:1::/64", mac_address: "fa:16:3e:00:00:01" },
  ];
  const world = await fabric(
    { hosts: 1 },
    net("blue", { a: { host: "h1", port: { allowed_address_pairs: pairs } }, b: "h1" }),
  );
  const [a, b] = [world.machine("a"), world.machine("b")];
  const says = (frame: Uint8Array) => {
    const { delivered, drops } = world.send("a", frame);
    return delivered.length > 0 ? "passes" : drops[0];
  };
  const cases: readonly (readonly [string, Uint8Array, ReturnType<typeof says>])[] = [
    ["the first of a prefix", udp(4, { ...a, ip4: "10.0.0.208" }, b, 1), "passes"],
    ["the last of a prefix", udp(4, { ...a, ip4: "10.0.0.223" }, b, 1), "passes"],
    ["the one before a prefix", udp(4, { ...a, ip4: "10.0.0.207" }, b, 1), "anti-spoof-ip"],
    ["the one behind a prefix", udp(4, { ...a, ip4: "10.0.0.224" }, b, 1), "anti-spoof-ip"],
    ["of an IPv6 prefix", udp(6, { ...a, ip6: "2001:db8:0:1::5" }, b, 1), "passes"],
    ["beside an IPv6 prefix", udp(6, { ...a, ip6: "2001:db8:0:2::5" }, b, 1), "anti-spoof-ip"],
    ["ARP of a prefix", gratuitousArp({ ...a, ip4: "10.0.0.210" }), "passes"],
    ["ARP with the MAC of another pair", gratuitousArp({ ...a, mac: virtualMac, ip4: "10.0.0.210" }), "arp-spoof"],
    ["ARP of a pair with another MAC", gratuitousArp({ ...a, ip4: vip }), "arp-spoof"],
    ["ARP of a pair", gratuitousArp({ ...a, mac: virtualMac, ip4: vip }), "passes"],
    ["a probe from the MAC of a pair", arpProbe({ ...a, mac: virtualMac }, "10.0.0.99"), "neighbour-unresolved"],
    ["an advertisement of a prefix", neighbourAdvertisement(a, "2001:db8:0:1::9"), "passes"],
    ["an advertisement beside it", neighbourAdvertisement(a, "2001:db8:0:2::9"), "nd-spoof"],
    ["a MAC of no pair", udp(4, { ...a, mac: "00:00:5e:00:01:08" }, b, 1), "anti-spoof-mac"],
  ];
  for (const [what, frame, wanted] of cases) assert.equal(says(frame), wanted, what);
  world.set("a", { allowed_address_pairs: [] });
  for (const [what, frame, wanted] of cases) {
    if (wanted === "passes") assert.notEqual(says(frame), "passes", `${what}, when the pairs are gone`);
  }
});

test("an address that a port has as its own is answered as ever, whoever may take it by a pair", async () => {
  const pairs = [{ ip_address: "10.0.0.0/24", mac_address: "fa:16:3e:00:00:01" }];
  const world = await fabric(
    { hosts: 1 },
    net("blue", { a: { host: "h1", port: { allowed_address_pairs: pairs } }, b: "h1", c: "h1" }),
  );
  const [b, c] = [world.machine("b"), world.machine("c")];
  assert.deepEqual(world.send("c", arpRequest(c, b.ip4)).frames, [arpReply(b, c)]);
  assert.deepEqual(passes(world, "c", arpRequest(c, "10.0.0.77")), ["a", "b"]);
});

test("a MAC of a pair that is a port's own is that port's alone", async () => {
  const pairs = [{ ip_address: vip, mac_address: "fa:16:3e:00:00:02" }];
  const world = await fabric(
    { hosts: 2 },
    net("blue", { a: { host: "h1", port: { allowed_address_pairs: pairs } }, b: "h2", c: "h1" }),
  );
  const [b, c] = [world.machine("b"), world.machine("c")];
  assert.deepEqual(passes(world, "c", udp(4, c, { ...b, ip4: vip }, 1)), ["b"]);
  assert.deepEqual(passes(world, "a", udp(4, { ...b, ip4: vip }, c, 1)), ["c"]);
});
