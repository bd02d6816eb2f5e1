/** Broadcast and multicast: once to each other machine of the network, and to nobody else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { gratuitousArp, udpToAll } from "@selvage/datapath/testing";
import { fabric } from "../testing/fabric.ts";
import { net } from "../testing/intent.ts";

const plans = [
  net("blue", { a: "h1", b: "h1", c: "h2", d: "h2", e: "h3" }),
  net("red", { x: "h1", y: "h2", z: "h3" }),
] as const;

for (const version of [4, 6] as const) {
  test(`IPv${version} to all reaches every machine of the network once, crossing once for each other host`, async () => {
    const world = await fabric({ hosts: 4 }, ...plans);
    for (const name of ["a", "b", "c", "d", "e"]) {
      const journey = world.send(name, udpToAll(version, world.machine(name), 1));
      assert.deepEqual(
        [...journey.delivered].sort(),
        ["a", "b", "c", "d", "e"].filter((each) => each !== name),
      );
      assert.equal(journey.crossed, 2);
      assert.deepEqual(journey.drops, []);
    }
  });
}

test("a host without a machine of the network gets no copy, and one that loses its last gets none any more", async () => {
  const world = await fabric({ hosts: 3 }, net("blue", { a: "h1", b: "h2", c: "h3" }));
  const frame = gratuitousArp(world.machine("a"));
  assert.equal(world.send("a", frame).crossed, 2);
  world.set("c", { "binding:host_id": "" });
  const journey = world.send("a", frame);
  assert.equal(journey.crossed, 1);
  assert.deepEqual(journey.delivered, ["b"]);
});

test("a flooded copy for a machine that is down ends with its reason", async () => {
  const world = await fabric(
    { hosts: 1 },
    net("blue", { a: "h1", b: { host: "h1", port: { admin_state_up: false } } }),
  );
  const journey = world.send("a", udpToAll(4, world.machine("a"), 1));
  assert.deepEqual(journey.delivered, []);
  assert.deepEqual(journey.drops, ["port-admin-down"]);
});

test("a tunnelled flooded packet goes to the machines here and to no other host", async () => {
  const world = await fabric({ hosts: 3 }, ...plans);
  const frame = udpToAll(4, world.machine("c"), 1);
  const at = { from: "192.0.2.2", to: "192.0.2.1", srcPort: 3, dstPort: 0, frame };
  const blue = world.inject({ ...at, key: 1 });
  assert.deepEqual([...blue.delivered].sort(), ["a", "b"]);
  assert.equal(blue.crossed, 0);
  assert.deepEqual(world.inject({ ...at, key: 2 }).delivered, ["x"]);
});
