/** Which networks routers join: through any number of them, and never through an external one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Replica } from "./replica.ts";
import { Network } from "./resources/network.ts";
import { Port } from "./resources/port.ts";
import { networksReached } from "./routing-domain.ts";
import { makeExternalNetwork, makeGateway, makeNetwork, makePort, put, testMac } from "./testing/objects.ts";

/** Networks by name, those that begin with `x` external, and interfaces as `router network`. */
function world(networks: readonly string[], interfaces: readonly string[], gateways: readonly string[] = []): Replica {
  const replica = new Replica();
  const ports = [...interfaces, ...gateways].map((each, at) => {
    const [router = "", network_id = ""] = each.split(" ");
    const own = { id: `port-${at}`, network_id, key: at + 1, mac_address: testMac(at), fixed_ips: [] };
    return put(
      Port,
      at < interfaces.length ? makePort({ ...own, router_id: router }) : makeGateway({ ...own, gateway_of: router }),
    );
  });
  const changes = networks.map((id, at) => {
    const own = { id, "provider:segmentation_id": at + 1 };
    const external = { id, "provider:physical_network": id, key: 0xf00000 + at };
    return put(Network, id.startsWith("x") ? makeExternalNetwork(external) : makeNetwork(own));
  });
  replica.apply([...changes, ...ports], 1);
  return replica;
}

test("networks are joined through several routers, and those that nothing joins stay apart", () => {
  const view = world(["a", "b", "c", "d"], ["1 a", "1 b", "2 b", "2 c"]);
  assert.deepEqual(
    ["a", "c", "d"].map((id) => [...networksReached(view, id)].sort()),
    [["a", "b", "c"], ["a", "b", "c"], ["d"]],
  );
});

test("an external network joins nobody: neither by gateways nor by interfaces on it", () => {
  const view = world(["a", "b", "x"], ["1 a", "2 b"], ["1 x", "2 x"]);
  assert.deepEqual([networksReached(view, "a"), networksReached(view, "x")], [["a"], ["x"]]);
  const standing = world(["a", "b", "x"], ["1 a", "1 x", "2 b", "2 x"]);
  assert.deepEqual([networksReached(standing, "a"), networksReached(standing, "x")], [["a", "x"], ["x"]]);
});
