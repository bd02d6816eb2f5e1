/** What a network carries: on hosts with a machine on it, and as its MTU changes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { udpOfSize } from "@selvage/datapath/testing";
import { Network } from "@selvage/model";
import { makeNetwork, put, testId } from "@selvage/model/testing";
import { Carriage, rowText } from "@selvage/pipeline";
import { fabric } from "../testing/fabric.ts";
import { net, routedNet } from "../testing/intent.ts";

test("a network is measured where it has a machine, by its MTU and the Ethernet header, and crosses as its type says", async () => {
  const world = await fabric(
    { hosts: 2 },
    net("blue", { a: "h1", b: "h2" }, { network: { mtu: 1280 } }),
    net("red", { c: "h2" }, { network: { mtu: 65_535, "provider:network_type": "vxlan" } }),
  );
  const texts = (host: string) =>
    world
      .rows(host, [Carriage])
      .map(rowText)
      .filter((text) => text.includes("carry"));
  assert.deepEqual(texts("h1"), ["carriage(network: net=1) → carry(largest=1294, encapsulation=0)"]);
  assert.deepEqual(texts("h2"), [
    "carriage(network: net=1) → carry(largest=1294, encapsulation=0)",
    "carriage(network: net=2) → carry(largest=65535, encapsulation=1)",
  ]);
});

test("a changed MTU changes the rows that measure by it, and holds for the next packet", async () => {
  const world = await fabric({ hosts: 2 }, net("blue", { a: "h1", b: "h2" }, { network: { mtu: 1280 } }));
  const send = (version: 4 | 6, bytes: number) =>
    world.send("a", udpOfSize(version, world.machine("a"), world.machine("b"), 1, bytes));
  for (const version of [4, 6] as const) {
    assert.deepEqual(send(version, 1280).delivered, ["b"]);
    assert.deepEqual(send(version, 1281).drops, ["mtu-exceeded"]);
  }
  const before = world.rows("h1").map(rowText);
  const network = makeNetwork({ id: testId("network", 1), name: "blue", "provider:segmentation_id": 1 });
  world.change([put(Network, { ...network, mtu: 1400 })]);
  const after = new Set(world.rows("h1").map(rowText));
  assert.deepEqual(
    before.filter((text) => !after.has(text)),
    ["carriage(network: net=1) → carry(largest=1294, encapsulation=0)", "copy_carriage(net=1) → carry(largest=1294)"],
  );
  assert.equal(after.size, before.length);
  assert.deepEqual(send(6, 1281).delivered, ["b"]);
  assert.deepEqual(send(4, 1401).drops, ["mtu-exceeded"]);
});

test("a router measures by the network that a packet leaves by, not by that which it comes from", async () => {
  const world = await fabric(
    { hosts: 2 },
    routedNet(1, "less", { a: "h1", b: "h2" }, { network: { mtu: 1400 } }),
    routedNet(2, "more", { c: "h2" }),
  );
  const { less, more } = world.route({ number: 1, on: { less: 1, more: 1 } }).interfaces;
  assert.ok(less !== undefined && more !== undefined);
  const [a, b, c] = [world.machine("a"), world.machine("b"), world.machine("c")];
  for (const version of [4, 6] as const) {
    assert.deepEqual(world.send("a", udpOfSize(version, a, { ...c, mac: less.mac }, 1, 1428)).delivered, ["c"]);
    assert.deepEqual(world.send("a", udpOfSize(version, a, b, 1, 1428)).drops, ["mtu-exceeded"]);
    const back = world.send("c", udpOfSize(version, c, { ...a, mac: more.mac }, 1, 1428));
    assert.deepEqual([back.drops, back.punts.map(({ kind }) => kind)], [["mtu-exceeded"], ["mtu-exceeded"]]);
  }
});
