/** Which interface is whose: intent binds, an interface alone does not; and what is down is silent both ways. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { arpRequest, dhcpDiscover, udp, udpToAll } from "@selvage/datapath/testing";
import { Network } from "@selvage/model";
import { makeNetwork, put, testId } from "@selvage/model/testing";
import { fabric } from "../testing/fabric.ts";
import { net } from "../testing/intent.ts";

const blue = net("blue", { a: "h1", b: "h1", c: "h2" });

test("an interface that names a port of another host, or of none, gets no row and speaks to nobody", async () => {
  const world = await fabric({ hosts: 3 }, blue, net("red", { x: "h2", y: { host: "", plugged: false } }));
  const before = world.rows("h1");
  world.plug("x", "h1");
  world.plug("y", "h1");
  assert.deepEqual(world.rows("h1"), before);
  for (const name of ["x", "y"]) {
    for (const frame of [dhcpDiscover(world.machine(name).mac, 1), udpToAll(4, world.machine(name), 1)]) {
      const journey = world.send(name, frame, "h1");
      assert.deepEqual(journey.drops, ["port-not-bound"]);
      assert.deepEqual([...journey.delivered, ...journey.punts], []);
    }
  }
});

test("an interface that names a port of its network's neighbour does not take its packets", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  world.plug("c", "h1");
  const journey = world.send("a", udp(4, world.machine("a"), world.machine("c"), 1));
  assert.equal(journey.crossed, 1, "they go where intent says");
  assert.deepEqual(journey.delivered, ["c"]);
});

test("a port comes into force when it is bound and plugged, in either order, and goes with either", async () => {
  const world = await fabric({ hosts: 2 }, net("blue", { a: "h1", b: { host: "", plugged: false } }));
  const frame = () => udp(4, world.machine("a"), world.machine("b"), 1);
  const reached = () => world.send("a", frame()).delivered.length === 1;
  world.plug("b", "h2");
  assert.ok(!reached());
  world.set("b", { "binding:host_id": "h2" });
  assert.ok(reached());
  world.unplug("b", "h2");
  assert.ok(!reached());
  world.plug("b", "h2");
  assert.ok(reached());
  world.set("b", { "binding:host_id": "" });
  assert.ok(!reached());
  assert.deepEqual(
    world.rows("h2").map(({ table }) => table),
    ["tunnel_out"],
  );
});

test("a port that is down neither sends nor gets, and says why", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  const [a, b, c] = [world.machine("a"), world.machine("b"), world.machine("c")];
  world.set("b", { admin_state_up: false });
  assert.deepEqual(world.send("b", udp(4, b, a, 1)).drops, ["port-admin-down"]);
  assert.deepEqual(world.send("b", dhcpDiscover(b.mac, 1)).punts, []);
  for (const from of [a, c]) {
    const journey = world.send(from.name, udp(4, from, b, 1));
    assert.deepEqual(journey.delivered, []);
    assert.deepEqual(journey.drops, ["port-admin-down"]);
  }
  world.set("b", { admin_state_up: true });
  assert.deepEqual(world.send("c", udp(4, c, b, 1)).delivered, ["b"]);
});

test("a network that is down is silent on every host", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  const [a, b, c] = [world.machine("a"), world.machine("b"), world.machine("c")];
  const network = makeNetwork({ id: testId("network", 1), "provider:segmentation_id": 1 });
  world.change([put(Network, { ...network, admin_state_up: false })]);
  for (const frame of [udp(4, a, b, 1), udp(6, a, c, 1), arpRequest(a, b.ip4), dhcpDiscover(a.mac, 1)]) {
    const journey = world.send("a", frame);
    assert.deepEqual(journey.drops, ["network-admin-down"]);
    assert.deepEqual([...journey.delivered, ...journey.punts], []);
  }
  const late = world.inject({
    from: "192.0.2.2",
    to: "192.0.2.1",
    key: 1,
    srcPort: 3,
    dstPort: 1,
    frame: udp(4, c, a, 1),
  });
  assert.deepEqual(late.drops, ["network-admin-down"]);
  world.change([put(Network, network)]);
  assert.deepEqual(world.send("a", udp(4, a, c, 2)).delivered, ["c"]);
});

test("a tagged frame is dropped, also one with VLAN 0", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  const frame = udp(4, world.machine("a"), world.machine("b"), 1);
  for (const vid of [0, 5]) {
    const tagged = Buffer.concat([frame.subarray(0, 12), Uint8Array.of(0x81, 0, 0, vid), frame.subarray(12)]);
    const journey = world.send("a", tagged);
    assert.deepEqual(journey.drops, ["vlan-denied"]);
    assert.deepEqual(journey.delivered, []);
  }
});
