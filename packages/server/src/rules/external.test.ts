/** Provider and external networks by the API: who may make them, where they stand, who sees them and when they stop being external. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Host, Network, networkKeyOf, physicalKeys } from "@selvage/model";
import { type Answer, errorOf, type Json, startTestServer, type TestProject, type TestServer } from "../testing/mod.ts";
import { outside } from "../testing/outside.ts";

let server: TestServer;
let red: TestProject;
let blue: TestProject;
before(async () => {
  server = await startTestServer({ on: "memory" });
  red = await server.project("red");
  blue = await server.project("blue");
});
after(() => server[Symbol.asyncDispose]());

const create = (values: Json, by = server.admin) => by.post("/v2.0/networks", { network: values });
const networkIn = ({ body }: Answer): Json & { readonly id: string } => body.network as Json & { readonly id: string };
const change = (id: string, values: Json) => server.admin.put(`/v2.0/networks/${id}`, { network: values });
const told = (answer: Answer): readonly unknown[] => [answer.status, errorOf(answer).type];
const stored = (id: string) => {
  const network = server.running.core.writer.replica.get(Network, id);
  assert.ok(network);
  return network;
};
const flat = (name: string): Json => ({
  "provider:network_type": "flat",
  "provider:physical_network": name,
});
const vlan = (name: string, id?: number): Json => ({
  "provider:network_type": "vlan",
  "provider:physical_network": name,
  ...(id === undefined ? {} : { "provider:segmentation_id": id }),
});

test("a network stands on a physical one untagged or under a VLAN's tag, with a key of its own, once each", async () => {
  const untagged = networkIn(await create(flat("one")));
  assert.deepEqual(
    [untagged["provider:physical_network"], untagged["provider:segmentation_id"], untagged.mtu],
    ["one", null, 1500],
  );
  const tagged = networkIn(await create(vlan("one", 4094)));
  assert.equal(tagged["provider:segmentation_id"], 4094);
  const keys = [untagged, tagged].map(({ id }) => networkKeyOf(stored(id)));
  assert.equal(new Set(keys).size, 2);
  for (const key of keys) assert.ok(key >= physicalKeys.first && key <= physicalKeys.last);
  assert.deepEqual(told(await create(flat("one"))), [409, "FlatNetworkInUse"]);
  const again = await create(vlan("one", 4094));
  assert.deepEqual(told(again), [409, "VlanIdInUse"]);
  assert.match(errorOf(again).message, /The VLAN 4094 on physical network one is in use/);
  assert.equal((await create(vlan("two", 4094))).status, 201, "a tag is a physical network's own");
  const tunnelled = networkIn(await create({}));
  assert.equal(networkKeyOf(stored(tunnelled.id)), tunnelled["provider:segmentation_id"]);
});

test("what does not go with a type is refused in the words of its driver", async () => {
  const refused: readonly (readonly [Json, RegExp])[] = [
    [{ "provider:network_type": "flat" }, /physical_network required for flat provider network/],
    [{ ...flat("x"), "provider:segmentation_id": 5 }, /segmentation_id prohibited for flat provider network/],
    [vlan("x"), /Physical network x requires segmentation_id to be specified/],
    [vlan("x", 0), /segmentation_id out of range \(1 through 4094\)/],
    [vlan("x", 4095), /segmentation_id out of range/],
    [{ "provider:network_type": "vlan", "provider:segmentation_id": 5 }, /segmentation_id requires physical_network/],
    [{ "provider:physical_network": "x" }, /network_type required/],
    [{ ...vlan("x", 7), mtu: 1501 }, /Requested MTU is too big, maximum is 1500/],
    [{ "provider:network_type": "geneve", "provider:segmentation_id": 0xf00000 }, /segmentation_id out of range/],
  ];
  for (const [values, message] of refused) {
    const answer = await create(values);
    assert.deepEqual(told(answer), [400, "InvalidInput"], JSON.stringify(values));
    assert.match(errorOf(answer).message, message);
  }
});

test("an external network is seen by everybody, used by nobody's ports but its owner's, and hides where it stands", async () => {
  const { id } = networkIn(await create({ ...flat("out"), "router:external": true, name: "public" }));
  assert.equal(networkIn(await red.member.get(`/v2.0/networks/${id}`))["router:external"], true);
  assert.equal("provider:physical_network" in networkIn(await red.reader.get(`/v2.0/networks/${id}`)), false);
  const listed = await red.member.list("networks", "router:external=true");
  assert.ok(listed.some((network) => network.id === id));
  assert.deepEqual(
    (await red.member.list("networks", "router:external=false")).filter((network) => network.id === id),
    [],
  );
  const subnet = { network_id: id, ip_version: 4, cidr: "203.0.113.0/24" };
  await server.admin.create("subnet", subnet);
  const port = await red.member.post("/v2.0/ports", { port: { network_id: id } });
  assert.deepEqual(told(port), [403, "HTTPForbidden"]);
  assert.match(errorOf(port).message, /not allowed to create port on this network/);
  assert.equal((await red.member.post("/v2.0/subnets", { subnet: { ...subnet, cidr: "10.0.0.0/24" } })).status, 403);
  assert.equal((await server.admin.post("/v2.0/ports", { port: { network_id: id } })).status, 201);
  for (const values of [{ "router:external": true }, { is_default: true }]) {
    const refused = await create(values, red.member);
    assert.deepEqual(told(refused), [403, "PolicyNotAuthorized"]);
  }
  assert.equal((await change(id, { "router:external": false })).status, 200);
  assert.equal((await red.member.get(`/v2.0/networks/${id}`)).status, 404);
  assert.equal((await change(id, { "router:external": true })).status, 200);
  assert.equal((await red.member.get(`/v2.0/networks/${id}`)).status, 200);
});

test("a policy makes a network external to one project, and the last one that goes takes that away", async () => {
  const { id } = networkIn(await create({ ...vlan("out", 9) }));
  const give = (target_tenant: string) =>
    server.admin.post("/v2.0/rbac-policies", {
      rbac_policy: { object_type: "network", object_id: id, action: "access_as_external", target_tenant },
    });
  const given = await give(red.id);
  assert.equal(given.status, 201);
  assert.deepEqual(told(await give(red.id)), [409, "DuplicateRbacPolicy"]);
  assert.equal(networkIn(await red.member.get(`/v2.0/networks/${id}`))["router:external"], true);
  assert.equal((await blue.member.get(`/v2.0/networks/${id}`)).status, 404);
  assert.equal(networkIn(await server.admin.get(`/v2.0/networks/${id}`)).shared, false);
  const policy = given.body.rbac_policy as Json;
  assert.equal(policy.action, "access_as_external");
  assert.equal((await server.admin.delete(`/v2.0/rbac-policies/${policy.id}`)).status, 204);
  assert.equal(networkIn(await server.admin.get(`/v2.0/networks/${id}`))["router:external"], false);
  assert.equal((await red.member.get(`/v2.0/networks/${id}`)).status, 404);
});

test("one external network at most is the default, and one that is not external never is", async () => {
  const first = networkIn(await create({ ...vlan("out", 20), "router:external": true, is_default: true }));
  assert.equal(first.is_default, true);
  const second = await create({ ...vlan("out", 21), "router:external": true, is_default: true });
  assert.deepEqual(told(second), [409, "DefaultExternalNetworkExists"]);
  const other = networkIn(await create({ ...vlan("out", 22), "router:external": true }));
  assert.deepEqual(told(await change(other.id, { is_default: true })), [409, "DefaultExternalNetworkExists"]);
  assert.equal(networkIn(await create({ is_default: true })).is_default, false);
  assert.equal(networkIn(await change(first.id, { "router:external": false })).is_default, false);
  assert.equal((await change(other.id, { is_default: true })).status, 200);
});

test("an external network goes over from everybody to the one who uses it, and the default one stays everybody's", async () => {
  for (const { id } of await server.admin.list("networks", "is_default=true"))
    await change(String(id), { is_default: false });
  const { network } = await outside(server, { values: { is_default: true } });
  await red.member.create("router", { external_gateway_info: { network_id: network.id } });
  const [policy] = await server.admin.list("rbac_policies", `object_id=${network.id}`);
  const give = (target_tenant: string) =>
    server.admin.put(`/v2.0/rbac-policies/${policy?.id}`, { rbac_policy: { target_tenant } });
  for (const refused of [await give(red.id), await server.admin.delete(`/v2.0/rbac-policies/${policy?.id}`)]) {
    assert.deepEqual(told(refused), [409, "RbacPolicyInUse"]);
    assert.match(errorOf(refused).message, /Default external networks must be shared to everyone/);
  }
  assert.equal((await change(network.id, { is_default: false })).status, 200);
  assert.deepEqual(told(await give(blue.id)), [409, "RbacPolicyInUse"]);
  assert.equal((await give(red.id)).status, 200);
  assert.equal((await blue.member.get(`/v2.0/networks/${network.id}`)).status, 404);
  assert.equal((await red.member.get(`/v2.0/networks/${network.id}`)).status, 200);
  assert.equal((await give("*")).status, 200, "who had it still has it");
});

test("an external network that goes takes its unused floating IPs along, and stays while one is in use", async () => {
  const { network, subnet } = await outside(server);
  const spare = await red.member.create("floatingip", { floating_network_id: network.id });
  const { id: network_id } = await red.member.create("network", {});
  const inner = await red.member.create("subnet", { network_id, ip_version: 4, cidr: "10.7.0.0/24" });
  const router = await red.member.create("router", { external_gateway_info: { network_id: network.id } });
  await red.member.put(`/v2.0/routers/${router.id}/add_router_interface`, { subnet_id: inner.id });
  const { id: port_id } = await red.member.create("port", { network_id });
  const used = await red.member.create("floatingip", { floating_network_id: network.id, port_id });
  const remove = () => server.admin.delete(`/v2.0/networks/${network.id}`);
  assert.deepEqual(told(await remove()), [409, "NetworkInUse"]);
  assert.equal((await red.member.get(`/v2.0/floatingips/${spare.id}`)).status, 200);
  await red.member.put(`/v2.0/floatingips/${used.id}`, { floatingip: { port_id: null } });
  await red.member.put(`/v2.0/routers/${router.id}`, { router: { external_gateway_info: null } });
  assert.equal((await remove()).status, 204);
  for (const { id } of [spare, used]) assert.equal((await red.member.get(`/v2.0/floatingips/${id}`)).status, 404);
  assert.equal((await server.admin.get(`/v2.0/subnets/${subnet.id}`)).status, 404);
});

test("a port on a physical network comes up only on a host that has it", async () => {
  const { id } = networkIn(await create(vlan("lan", 30)));
  const hostId = await server.host("with");
  await server.host("without");
  const { writer } = server.running.core;
  await writer.transact({ kind: "system", id: "test", request_id: "test" }, (transaction) => {
    const host = transaction.view.get(Host, hostId);
    assert.ok(host);
    transaction.put(Host, { ...host, physical_networks: ["lan"] });
  });
  const onHost = async (name: string): Promise<unknown> => {
    const port = await server.admin.create("port", { network_id: id, "binding:host_id": name });
    return port["binding:vif_type"];
  };
  assert.deepEqual([await onHost("with"), await onHost("without")], ["ovs", "binding_failed"]);
});
