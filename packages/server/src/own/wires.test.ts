/** GET /v1/status tells of networks that stand on a physical network which no host has: they are accepted, as Neutron accepts them, and lead nowhere. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startTestServer } from "../testing/mod.ts";
import { writeWorld } from "./testing/traced-world.ts";

test("a physical network that no host has is told with the networks that stand on it, until a host has it", async () => {
  await using server = await startTestServer();
  const { admin } = server;
  const told = async (): Promise<unknown> => (await admin.get("/v1/status")).body.problems;
  const make = (name: string, physical: string, type = "flat", id: number | null = null) =>
    admin.create("network", {
      ...{ name, "provider:network_type": type, "provider:physical_network": physical },
      ...(id === null ? {} : { "provider:segmentation_id": id }),
    });
  await writeWorld(server.running.core.writer, (world) => world.host("h1", 1, ["public"]));
  await make("way-out", "public");
  await admin.create("network", { name: "inside" });
  assert.deepEqual(await told(), []);
  await make("dmz", "publik");
  assert.deepEqual(await told(), ["network dmz stands on physical network publik, which no host has"]);
  for (const id of [11, 12, 13, 14]) await make(`v${id}`, "left", "vlan", id);
  const [left, publik] = (await told()) as readonly string[];
  assert.match(left ?? "", /^networks (v\d\d, ){2}v\d\d and 1 more stand on physical network left, which no host has$/);
  assert.match(publik ?? "", /dmz .*publik/);
  await writeWorld(server.running.core.writer, (world) => world.host("h2", 2, ["left", "publik"]));
  assert.deepEqual(await told(), []);
});
