/** Segments and subnets by segment by the stock client, unchanged. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Json, startTestServer } from "./testing/mod.ts";
import { client, json } from "./testing/openstack.ts";

const asJson = ["-f", "json"] as const;

test("the stock openstack client makes a routed provider network: segments, subnets of them, a port that waits for its host", async () => {
  await using server = await startTestServer();
  const admin = client(server, "admin", server.adminPassword, "admin");
  const place = ["--provider-network-type", "vlan", "--provider-physical-network", "left", "--provider-segment", "101"];
  await admin("network", "create", ...place, "wide");
  const segment = (...words: readonly string[]) => admin("network", "segment", ...words);
  const right = ["--network-type", "vlan", "--physical-network", "right", "--segment", "202"];
  const made = await json(segment("create", "--network", "wide", ...right, "in-right", ...asJson));
  assert.deepEqual([made.name, made.physical_network, made.segmentation_id], ["in-right", "right", 202]);
  const listed = (await json(segment("list", "--network", "wide", "--long", ...asJson))) as unknown as readonly Json[];
  assert.deepEqual(listed.map((each) => [each.Name, each["Network Type"], each.Segment]).sort(), [
    [null, "vlan", 101],
    ["in-right", "vlan", 202],
  ]);
  const first = String(listed.find(({ Segment }) => Segment === 101)?.ID);
  await segment("set", "--name", "in-left", "--description", "the left one", first);
  const shown = await json(segment("show", "in-left", ...asJson));
  assert.deepEqual([shown.id, shown.description], [first, "the left one"]);
  const subnet = (name: string, range: string) =>
    admin("subnet", "create", "--network", "wide", "--network-segment", name, "--subnet-range", range, `of-${name}`);
  await subnet("in-left", "10.1.0.0/24");
  await subnet("in-right", "10.2.0.0/24");
  const routes = await json(admin("subnet", "show", "of-in-left", ...asJson));
  assert.deepEqual(routes.host_routes, [{ destination: "10.2.0.0/24", nexthop: "10.1.0.1" }]);
  assert.equal(routes.segment_id, first);
  const port = await json(admin("port", "create", "--network", "wide", "p", ...asJson));
  assert.deepEqual([port.ip_allocation, port.fixed_ips], ["deferred", []]);
  await assert.rejects(segment("delete", "in-left"), /1 of 1 network segments failed to delete/);
  const common = ["--subnet-range", "10.3.0.0/24", "common"];
  await assert.rejects(
    admin("subnet", "create", "--network", "wide", ...common),
    /must either all be associated with segments or all not/,
  );
  await admin("port", "delete", "p");
  await admin("subnet", "delete", "of-in-right");
  await segment("delete", "in-right");
  const network = await json(admin("network", "show", "wide", ...asJson));
  assert.equal(network["provider:segmentation_id"], 101);
});
