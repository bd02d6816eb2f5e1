/** Packets between machines: each goes to one port, here or on another host, and networks never meet. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sameBytes, udp } from "@selvage/datapath/testing";
import { fabric } from "../testing/fabric.ts";
import { net } from "../testing/intent.ts";

for (const version of [4, 6] as const) {
  test(`an IPv${version} packet goes to its machine alone, over the underlay only between hosts`, async () => {
    const world = await fabric({ hosts: 3 }, net("blue", { a: "h1", b: "h1", c: "h2", d: "h3" }));
    for (const [from, to, crossed] of [
      ["a", "b", 0],
      ["a", "c", 1],
      ["c", "a", 1],
      ["d", "c", 1],
    ] as const) {
      const frame = udp(version, world.machine(from), world.machine(to), 1);
      const journey = world.send(from, frame);
      assert.deepEqual(journey.delivered, [to], `${from} to ${to}`);
      assert.ok(
        journey.frames.every((each) => sameBytes(each, frame)),
        "unchanged",
      );
      assert.equal(journey.crossed, crossed);
      assert.deepEqual(journey.drops, []);
    }
  });

  test(`two projects use the same IPv${version} addresses and never meet`, async () => {
    const world = await fabric({ hosts: 2 }, net("blue", { a: "h1", b: "h2" }), net("red", { x: "h1", y: "h2" }));
    const [a, b] = [world.machine("a"), world.machine("b")];
    for (const name of ["x", "y"]) world.set(name, { fixed_ips: (name === "x" ? a : b).port.fixed_ips });
    assert.deepEqual(world.send("a", udp(version, a, b, 1)).delivered, ["b"]);
    assert.deepEqual(world.send("x", udp(version, world.machine("x"), world.machine("y"), 2)).delivered, ["y"]);
    // The right address, and the other network's MAC behind it.
    const across = world.send("a", udp(version, a, world.machine("y"), 3));
    assert.deepEqual(across.delivered, []);
    assert.deepEqual(across.drops, ["no-fdb-entry"]);
  });
}

test("the same MAC may stand in two networks", async () => {
  const world = await fabric({ hosts: 2 }, net("blue", { a: "h1", b: "h2" }), net("red", { x: "h1", y: "h2" }));
  world.set("y", { mac_address: world.machine("b").mac });
  assert.deepEqual(world.send("a", udp(4, world.machine("a"), world.machine("b"), 1)).delivered, ["b"]);
  assert.deepEqual(world.send("x", udp(4, world.machine("x"), world.machine("y"), 2)).delivered, ["y"]);
});

test("a machine that moves is reached where it is", async () => {
  const world = await fabric({ hosts: 3 }, net("blue", { a: "h1", b: "h2" }));
  const frame = udp(4, world.machine("a"), world.machine("b"), 1);
  assert.deepEqual(world.send("a", frame).delivered, ["b"]);
  world.unplug("b");
  world.set("b", { "binding:host_id": "h3" });
  world.plug("b", "h3");
  assert.deepEqual(world.send("a", frame).delivered, ["b"]);
  assert.deepEqual(
    world
      .rows("h2")
      .map(({ table }) => table)
      .filter((table) => table !== "tunnel_out"),
    [],
  );
});

test("a MAC that no port has, or one that is not plugged here, goes nowhere", async () => {
  const world = await fabric({ hosts: 1 }, net("blue", { a: "h1", b: { host: "h1", plugged: false } }));
  const a = world.machine("a");
  for (const to of [{ ...a, mac: "fa:16:3e:ff:ff:ff" }, world.machine("b")]) {
    const journey = world.send("a", udp(4, a, to, 1));
    assert.deepEqual(journey.delivered, []);
    assert.deepEqual(journey.drops, ["no-fdb-entry"]);
  }
});

test("a frame for its own sender does not return", async () => {
  const world = await fabric({ hosts: 1 }, net("blue", { a: "h1" }));
  const a = world.machine("a");
  assert.deepEqual(world.send("a", udp(4, a, a, 1)).delivered, []);
});
