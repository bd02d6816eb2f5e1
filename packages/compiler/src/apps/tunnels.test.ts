/** The underlay is no one's friend: a tunnelled packet counts only from a host that has a machine on its network. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { udp } from "@selvage/datapath/testing";
import { Host } from "@selvage/model";
import { put } from "@selvage/model/testing";
import { fabric } from "../testing/fabric.ts";
import { hostsOf, net, routedNet } from "../testing/intent.ts";

const plans = [net("blue", { a: "h1", b: "h2" }), net("red", { x: "h1", z: "h3" })] as const;

test("a packet is taken from the host that has a machine of the network, and from no other", async () => {
  const world = await fabric({ hosts: 3 }, ...plans);
  const frame = udp(4, world.machine("b"), world.machine("a"), 1);
  const packet = { to: "192.0.2.1", key: 1, srcPort: 2, dstPort: 1, frame };
  assert.deepEqual(world.inject({ ...packet, from: "192.0.2.2" }).delivered, ["a"]);
  for (const from of ["192.0.2.3", "192.0.2.99", "192.0.2.1", "2001:db8::1", "::c000:202"]) {
    const journey = world.inject({ ...packet, from });
    assert.deepEqual(journey.delivered, [], from);
    assert.deepEqual(journey.drops, ["tunnel-source"], from);
  }
});

test("a key of another network does not carry a packet across, nor does a port of another network", async () => {
  const world = await fabric({ hosts: 3 }, ...plans);
  const frame = udp(4, world.machine("b"), world.machine("x"), 1);
  const at = { from: "192.0.2.2", to: "192.0.2.1", srcPort: 2, frame };
  const x = world.machine("x").port.key;
  for (const [key, dstPort, reason] of [
    [2, x, "tunnel-source"],
    [1, x, "port-not-bound"],
    [0xffffff, 1, "tunnel-key-unknown"],
    [1, 2, "port-not-bound"],
    [1, 0xffffff, "port-not-bound"],
  ] as const) {
    const journey = world.inject({ ...at, key, dstPort });
    assert.deepEqual(journey.delivered, [], `key ${key}, port ${dstPort}`);
    assert.deepEqual(journey.drops, [reason], `key ${key}, port ${dstPort}`);
  }
  // No network has the key 0: it is the switches' own, and what bears it is taken in silence, whatever it says.
  const journey = world.inject({ ...at, key: 0, dstPort: 1 });
  assert.deepEqual([journey.delivered, journey.drops], [[], []]);
});

test("of networks that routers join each host with a machine is one row, and no other is heard", async () => {
  const world = await fabric(
    { hosts: 3 },
    net("blue", { a: "h1", b: "h2" }),
    routedNet(2, "green", { c: "h1", d: "h2" }),
    routedNet(3, "lab", { e: "h1", f: "h3" }),
    net("far", { z: "h3" }),
  );
  world.route({ number: 1, on: { green: 1, lab: 1 } });
  const bodies = (table: string) => world.rows("h1").filter((row) => row.table === table);
  assert.deepEqual(
    bodies("tunnel_domain").map(({ key, body }) => [key.domain, key.tunSrc, body]),
    [
      [2, "192.0.2.2", "accept()"],
      [2, "192.0.2.3", "accept()"],
    ],
  );
  const { a, c, e } = { a: world.machine("a"), c: world.machine("c"), e: world.machine("e") };
  for (const [key, to, from, expected] of [
    [2, c, "192.0.2.2", []],
    [2, c, "192.0.2.3", []],
    [3, e, "192.0.2.2", []],
    [3, e, "192.0.2.99", ["tunnel-source"]],
    [1, a, "192.0.2.2", []],
    [1, a, "192.0.2.3", ["tunnel-source"]],
    [4, a, "192.0.2.3", ["tunnel-key-unknown"]],
  ] as const) {
    const frame = udp(4, world.machine("d"), to, 1);
    const packet = { from, to: "192.0.2.1", key, srcPort: 1, dstPort: to.port.key, frame };
    const journey = world.inject(packet);
    assert.deepEqual(journey.drops, expected, `key ${key} from ${from}`);
    assert.deepEqual(journey.delivered, expected.length > 0 ? [] : [to.name]);
  }
  // Without its last machine there a host is heard no more.
  world.set("f", { "binding:host_id": "h2" });
  const late = { from: "192.0.2.3", to: "192.0.2.1", key: 2, srcPort: 1, dstPort: c.port.key };
  assert.deepEqual(world.inject({ ...late, frame: udp(4, world.machine("d"), c, 1) }).drops, ["tunnel-source"]);
});

test("a host that loses its last machine of a network is no longer heard on it", async () => {
  const world = await fabric({ hosts: 3 }, ...plans);
  const frame = udp(4, world.machine("b"), world.machine("a"), 1);
  world.set("b", { "binding:host_id": "h3" });
  const packet = { to: "192.0.2.1", key: 1, srcPort: 2, dstPort: 1, frame };
  assert.deepEqual(world.inject({ ...packet, from: "192.0.2.2" }).drops, ["tunnel-source"]);
  assert.deepEqual(world.inject({ ...packet, from: "192.0.2.3" }).delivered, ["a"]);
});

test("a host that has not said where its tunnels end is not reached, and reached once it says", async () => {
  const world = await fabric({ hosts: 2 }, net("blue", { a: "h1", b: "h2" }));
  const frame = udp(4, world.machine("a"), world.machine("b"), 1);
  const there = hostsOf(2).find(({ name }) => name === "h2");
  assert.ok(there !== undefined);
  world.change([put(Host, { ...there, tunnel_ip: null })]);
  const journey = world.send("a", frame);
  assert.deepEqual(journey.drops, ["tunnel-missing"]);
  assert.equal(journey.crossed, 0);
  world.change([put(Host, there)]);
  assert.deepEqual(world.send("a", frame).delivered, ["b"]);
});

test("tunnels over IPv6 carry as those over IPv4", async () => {
  const world = await fabric({ hosts: 2 }, net("blue", { a: "h1", b: "h2" }));
  world.change(hostsOf(2).map((host) => put(Host, { ...host, tunnel_ip: `2001:db8:ffff::${host.key}` })));
  assert.deepEqual(
    world
      .rows("h1")
      .filter(({ table }) => table.startsWith("tunnel"))
      .map(({ body }) => body),
    ["geneve(to=2001:db8:ffff::2)", "accept()", "stranger()"],
  );
  assert.deepEqual(
    world.inject({
      from: "2001:db8:ffff::2",
      to: "192.0.2.1",
      key: 1,
      srcPort: 2,
      dstPort: 1,
      frame: udp(6, world.machine("b"), world.machine("a"), 1),
    }).delivered,
    ["a"],
  );
});
