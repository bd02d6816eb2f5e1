/** Segments as hosts are told of them, also by servers that know none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Replica } from "./replica.ts";
import { isRouted } from "./resources/segment.ts";
import { Subnet } from "./resources/subnet.ts";
import { makeSubnet, put, testId } from "./testing/mod.ts";

test("a network is routed where its subnets are of segments; a subnet of a server from before segments is of none", () => {
  const network_id = testId("network", 1);
  const subnet = makeSubnet({ network_id });
  const { segment_id: _, ...older } = subnet;
  const told = (object: unknown): Replica => {
    const view = new Replica();
    view.apply([put(Subnet, object as typeof subnet)], 1);
    return view;
  };
  assert.equal(isRouted(told({ ...subnet, segment_id: testId("segment", 1) }), network_id), true);
  assert.equal(isRouted(told(subnet), network_id), false);
  assert.equal(isRouted(told(older), network_id), false);
});
