/** Gateways of routers by the API: whose they are, which addresses they get, what stands against them and what keeps them. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Router } from "@selvage/model";
import { type Answer, errorOf, type Json, startTestServer, type TestProject, type TestServer } from "../testing/mod.ts";
import { type Made, outside } from "../testing/outside.ts";

let server: TestServer;
let red: TestProject;
let blue: TestProject;
before(async () => {
  server = await startTestServer({ on: "memory" });
  red = await server.project("red");
  blue = await server.project("blue");
});
after(() => server[Symbol.asyncDispose]());

const told = (answer: Answer): readonly unknown[] => [answer.status, errorOf(answer).type];
const putRouter = (id: unknown, values: Json, by = red.member) => by.put(`/v2.0/routers/${id}`, { router: values });
const routerIn = ({ body }: Answer): Made => body.router as Made;
const infoOf = (answer: Answer): Json => {
  assert.ok(answer.status < 300, answer.text);
  return routerIn(answer).external_gateway_info as Json;
};
const addressesOf = (answer: Answer): readonly unknown[] =>
  (infoOf(answer).external_fixed_ips as readonly Json[]).map((fixed) => fixed.ip_address);
const router = (values: Json = {}): Promise<Made> => red.member.create("router", values);

/** A subnet of red's on a network of its own. */
async function inside(cidr: string): Promise<Made> {
  const network = await red.member.create("network", {});
  return red.member.create("subnet", { network_id: network.id, ip_version: cidr.includes(":") ? 6 : 4, cidr });
}

test("a member's router goes out by an external network with an address of each family, which belongs to nobody", async () => {
  const out = await outside(server, { six: "2001:db8:ff::/64" });
  const { id } = await router();
  const set = await putRouter(id, { external_gateway_info: { network_id: out.network.id } });
  const info = infoOf(set);
  assert.deepEqual([info.network_id, info.enable_snat], [out.network.id, true]);
  assert.deepEqual(
    (info.external_fixed_ips as readonly Json[]).map((fixed) => fixed.subnet_id),
    [out.subnet.id, out.subnet6?.id],
  );
  assert.deepEqual(routerIn(await red.member.get(`/v2.0/routers/${id}`)).external_gateway_info, info);
  const [port] = await server.admin.list("ports", `device_id=${id}`);
  assert.deepEqual(
    [port?.device_owner, port?.project_id, port?.status, port?.fixed_ips, port?.security_groups],
    ["network:router_gateway", "", "ACTIVE", info.external_fixed_ips, []],
  );
  assert.deepEqual(await red.member.list("ports", `device_id=${id}`), []);
  assert.equal((await red.member.get(`/v2.0/ports/${port?.id}`)).status, 404);
  const gone = await server.admin.delete(`/v2.0/ports/${port?.id}`);
  assert.deepEqual(told(gone), [409, "ServicePortInUse"]);
  assert.match(errorOf(gone).message, /has device owner network:router_gateway/);
  for (const values of [{ fixed_ips: [] }, { device_id: "x" }, { device_owner: "" }])
    assert.deepEqual(told(await server.admin.put(`/v2.0/ports/${port?.id}`, { port: values })), [400, "InvalidInput"]);
  const unset = await putRouter(id, { external_gateway_info: {} });
  assert.equal(routerIn(unset).external_gateway_info, null);
  assert.deepEqual(await server.admin.list("ports", `device_id=${id}`), []);
  assert.equal((await red.member.delete(`/v2.0/routers/${id}`)).status, 204);
});

test("a router may be made with a gateway, and takes it with it", async () => {
  const out = await outside(server);
  const made = await router({ external_gateway_info: { network_id: out.network.id } });
  assert.equal((await server.admin.list("ports", `device_id=${made.id}`)).length, 1);
  const used = await server.admin.delete(`/v2.0/networks/${out.network.id}`);
  assert.deepEqual(told(used), [409, "NetworkInUse"]);
  const inner = await server.admin.put(`/v2.0/networks/${out.network.id}`, { network: { "router:external": false } });
  assert.deepEqual(told(inner), [409, "ExternalNetworkInUse"]);
  assert.equal((await red.member.delete(`/v2.0/routers/${made.id}`)).status, 204);
  assert.deepEqual(await server.admin.list("ports", `device_id=${made.id}`), []);
  assert.equal((await server.admin.delete(`/v2.0/networks/${out.network.id}`)).status, 204);
});

test("whether addresses are translated, and which they are outside, is for an admin to say", async () => {
  const out = await outside(server);
  const { id } = await router();
  const of = (values: Json): Json => ({ external_gateway_info: { network_id: out.network.id, ...values } });
  const rule = "rule:update_router:external_gateway_info";
  for (const [values, part] of [
    [{ enable_snat: false }, "enable_snat"],
    [{ external_fixed_ips: [{ ip_address: "203.0.113.77" }] }, "external_fixed_ips"],
  ] as const) {
    const refused = await putRouter(id, of(values));
    assert.deepEqual(told(refused), [403, "PolicyNotAuthorized"]);
    const wanted = `(rule:update_router and (${rule} and (${rule}:network_id and ${rule}:${part}))) is disallowed by policy`;
    assert.equal(errorOf(refused).message, wanted);
  }
  const set = await putRouter(
    id,
    of({ enable_snat: false, external_fixed_ips: [{ ip_address: "203.0.113.77" }] }),
    server.admin,
  );
  assert.deepEqual([infoOf(set).enable_snat, addressesOf(set)], [false, ["203.0.113.77"]]);
  assert.equal(server.running.core.writer.replica.get(Router, String(id))?.enable_snat, false);
  const two = await putRouter(
    id,
    of({
      external_fixed_ips: [{ ip_address: "203.0.113.77" }, { subnet_id: out.subnet.id, ip_address: "203.0.113.78" }],
    }),
    server.admin,
  );
  assert.deepEqual([infoOf(two).enable_snat, addressesOf(two)], [true, ["203.0.113.77", "203.0.113.78"]]);
  assert.deepEqual(addressesOf(await putRouter(id, of({}))), ["203.0.113.77", "203.0.113.78"], "what is there stays");
  const other = await router();
  const taken = await putRouter(other.id, of({ external_fixed_ips: [{ ip_address: "203.0.113.77" }] }), server.admin);
  assert.deepEqual(told(taken), [409, "IpAddressAlreadyAllocated"]);
  const same = await putRouter(other.id, of({ external_fixed_ips: [{ ip_address: "203.0.113.1" }] }), server.admin);
  assert.deepEqual(told(same), [400, "BadRequest"]);
  assert.match(errorOf(same).message, /External IP 203.0.113.1 is the same as the gateway IP/);
  const elsewhere = await putRouter(
    other.id,
    of({ external_fixed_ips: [{ ip_address: "198.51.100.7" }] }),
    server.admin,
  );
  assert.deepEqual(told(elsewhere), [400, "InvalidIpForNetwork"]);
});

test("only an external network that the caller may use leads out, and never into what is inside", async () => {
  const { id } = await router();
  const own = await red.member.create("network", {});
  const internal = await putRouter(id, { external_gateway_info: { network_id: own.id } });
  assert.deepEqual(told(internal), [400, "BadRequest"]);
  assert.match(errorOf(internal).message, /Network .* is not an external network\.$/);
  const out = await outside(server);
  const found = await server.admin.get(`/v2.0/rbac-policies?object_id=${out.network.id}`);
  const [policy] = found.body.rbac_policies as readonly Json[];
  const narrowed = await server.admin.put(`/v2.0/rbac-policies/${policy?.id}`, {
    rbac_policy: { target_tenant: blue.id },
  });
  assert.equal(narrowed.status, 200);
  const unseen = await putRouter(id, { external_gateway_info: { network_id: out.network.id } });
  assert.deepEqual(told(unseen), [404, "NetworkNotFound"]);
  const blues = await blue.member.create("router", { external_gateway_info: { network_id: out.network.id } });
  const needed = await server.admin.delete(`/v2.0/rbac-policies/${policy?.id}`);
  assert.deepEqual(told(needed), [409, "RbacPolicyInUse"]);
  assert.match(errorOf(needed).message, /There are routers attached to this network that depend on this policy/);
  assert.equal((await blue.member.delete(`/v2.0/routers/${blues.id}`)).status, 204);
  assert.equal((await server.admin.delete(`/v2.0/rbac-policies/${policy?.id}`)).status, 204);

  const clash = await outside(server, { cidr: "10.7.0.0/16" });
  const subnet = await inside("10.7.8.0/24");
  const add = () => red.member.put(`/v2.0/routers/${id}/add_router_interface`, { subnet_id: subnet.id });
  assert.equal((await add()).status, 200);
  const overlapping = await putRouter(id, { external_gateway_info: { network_id: clash.network.id } });
  assert.deepEqual(told(overlapping), [400, "BadRequest"]);
  assert.match(errorOf(overlapping).message, /Cidr 10.7.0.0\/16 of subnet .* overlaps with cidr 10.7.8.0\/24/);
  await red.member.put(`/v2.0/routers/${id}/remove_router_interface`, { subnet_id: subnet.id });
  assert.equal((await putRouter(id, { external_gateway_info: { network_id: clash.network.id } })).status, 200);
  assert.deepEqual(told(await add()), [400, "BadRequest"]);
});

test("a route may go by the external network, and holds the gateway as long as it is there", async () => {
  const out = await outside(server);
  const { id } = await router({ external_gateway_info: { network_id: out.network.id } });
  const routes = [{ destination: "192.0.2.0/24", nexthop: "203.0.113.9" }];
  assert.equal((await putRouter(id, { routes })).status, 200);
  const kept = await putRouter(id, { external_gateway_info: null });
  assert.deepEqual(told(kept), [409, "RouterExternalGatewayInUseByRoute"]);
  assert.equal((await putRouter(id, { external_gateway_info: null, routes: [] })).status, 200);
  assert.deepEqual(told(await putRouter(id, { routes })), [400, "InvalidRoutes"]);
});

test("a form that is none is refused, and a full network too", async () => {
  const out = await outside(server, { cidr: "203.0.113.0/30" });
  const { id } = await router();
  for (const info of ["x", { enable_snat: true }, { network_id: "x" }, { network_id: out.network.id, nope: 1 }, []]) {
    const refused = await putRouter(id, { external_gateway_info: info });
    assert.equal(refused.status, Array.isArray(info) ? 200 : 400, JSON.stringify(info));
  }
  assert.equal((await putRouter(id, { external_gateway_info: { network_id: out.network.id } })).status, 200);
  const full = await putRouter((await router()).id, { external_gateway_info: { network_id: out.network.id } });
  assert.deepEqual(told(full), [409, "IpAddressGenerationFailure"]);
});

test("a subnet of another family that comes later gives each gateway an address", async () => {
  const out = await outside(server);
  const { id } = await router({ external_gateway_info: { network_id: out.network.id } });
  const before = addressesOf(await red.member.get(`/v2.0/routers/${id}`));
  const more = (ip_version: number, cidr: string) =>
    server.admin.create("subnet", { network_id: out.network.id, ip_version, cidr });
  await more(4, "198.51.100.0/24");
  assert.deepEqual(addressesOf(await red.member.get(`/v2.0/routers/${id}`)), before);
  await more(6, "2001:db8:ff::/64");
  const after = addressesOf(await red.member.get(`/v2.0/routers/${id}`));
  assert.deepEqual([after.length, after[0]], [2, before[0]]);
  assert.match(String(after[1]), /^2001:db8:ff:/);
});

test("an admin sees which host translates with which ports, from its first port behind the router to its last", async () => {
  const out = await outside(server);
  const subnet = await inside("10.20.0.0/24");
  const made = await router({ name: "edge", external_gateway_info: { network_id: out.network.id } });
  await red.member.put(`/v2.0/routers/${made.id}/add_router_interface`, { subnet_id: subnet.id });
  const hostId = await server.host("edge-1");
  const leases = async (): Promise<readonly Json[]> => {
    const { body } = await server.admin.get("/v1/nat-leases");
    return (body.nat_leases as readonly Json[]).filter((lease) => (lease.router as Json).id === made.id);
  };
  assert.deepEqual(await leases(), []);
  const binding = { network_id: subnet.network_id, "binding:host_id": "edge-1", project_id: red.id };
  const port = await server.admin.create("port", binding);
  const [lease, ...more] = await leases();
  assert.deepEqual(more, []);
  assert.deepEqual(
    [lease?.router, lease?.host, lease?.first_port, lease?.last_port, lease?.current],
    [{ id: made.id, name: "edge" }, { id: hostId, name: "edge-1" }, 1024, 2047, true],
  );
  assert.equal(
    lease?.address,
    ((made.external_gateway_info as Json).external_fixed_ips as readonly Json[])[0]?.ip_address,
  );
  assert.equal((await red.member.get("/v1/nat-leases")).status, 403);
  assert.equal((await server.admin.put(`/v2.0/ports/${port.id}`, { port: { "binding:host_id": "" } })).status, 200);
  assert.deepEqual(await leases(), []);
  const rests = (await server.admin.get("/v1/nat-leases")).body.rests as readonly Json[];
  assert.ok(rests.some((rest) => rest.address === lease?.address && rest.first_port === 1024));
});
