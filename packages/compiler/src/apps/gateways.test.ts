/** What comes in by a host whose first machine comes or whose last one goes, while hosts learn of it one after another. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { tcp } from "@selvage/datapath/testing";
import { Port } from "@selvage/model";
import { put } from "@selvage/model/testing";
import { fabric, type TestFabric } from "../testing/fabric.ts";
import { routedNet } from "../testing/intent.ts";
import { externalChanges, gatewayChanges, macOfHost, meetUpstream, stranger } from "../testing/outside.ts";

/** Two hosts with the wire, a on the first and y on the second behind a router with a gateway; and whether what is sent to a by the second arrives. */
async function passing(): Promise<{ readonly world: TestFabric; readonly passes: () => void }> {
  const world = await fabric({ hosts: 2 }, routedNet(1, "office", { a: "h1", y: "h2" }));
  world.wire("public");
  const send = world.outside("public", "out");
  world.change(externalChanges({}));
  world.change(gatewayChanges(world.route({ number: 1, on: { office: 1 } })));
  meetUpstream(world);
  const { ip6 } = world.machine("a");
  const by = { mac: macOfHost("h2"), ip4: "0.0.0.0", ip6 };
  return {
    world,
    passes: () => {
      const { delivered, drops } = send(tcp(6, stranger, by, { src: 2, dst: 1 }));
      assert.deepEqual([delivered, drops], [["a"], []]);
    },
  };
}

const bound = (world: TestFabric, host: string) => [put(Port, { ...world.machine("y").port, "binding:host_id": host })];

test("a host's last machine goes: what is under way by it passes, whoever learns of it first", async () => {
  for (const order of [
    ["h1", "h2"],
    ["h2", "h1"],
  ]) {
    const { world, passes } = await passing();
    passes();
    world.unplug("y");
    passes();
    for (const host of order) {
      world.learn(host, bound(world, ""));
      passes();
    }
  }
});

test("a host's first machine comes: what is under way by it passes, whoever learns of it first", async () => {
  for (const order of [
    ["h1", "h2"],
    ["h2", "h1"],
  ]) {
    const { world, passes } = await passing();
    world.unplug("y");
    world.change(bound(world, ""));
    passes();
    for (const host of order) {
      world.learn(host, bound(world, "h2"));
      passes();
    }
    world.plug("y");
    passes();
  }
});
