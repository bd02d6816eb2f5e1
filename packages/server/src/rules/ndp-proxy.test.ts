/** NDP proxies by the API: what a router must have to speak for addresses, which it may speak for, and what they hold. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Answer, errorOf, type Json, startTestServer } from "../testing/mod.ts";

const told = (answer: Answer): readonly unknown[] => [answer.status, errorOf(answer).type];

test("a router with an IPv6 gateway in a scope speaks for its machines' addresses of that scope, while they are there", async () => {
  await using server = await startTestServer({ on: "memory" });
  const { admin } = server;
  const red = await server.project("red");
  const blue = await server.project("blue");
  const made = async (path: string, body: Json, by = admin): Promise<Json & { readonly id: string }> => {
    const answer = await by.post(`/v2.0/${path}`, body);
    assert.equal(answer.status, 201, answer.text);
    return Object.values(answer.body)[0] as Json & { readonly id: string };
  };
  const six = await made("address-scopes", { address_scope: { name: "six", ip_version: 6, shared: true } });
  const pool = await made("subnetpools", {
    subnetpool: {
      name: "p",
      prefixes: ["2001:db8::/32"],
      default_prefixlen: 64,
      address_scope_id: six.id,
      shared: true,
    },
  });
  const external = await made("networks", { network: { "router:external": true } });
  const pooled = (network_id: string) => ({ network_id, ip_version: 6, subnetpool_id: pool.id });
  await made("subnets", { subnet: pooled(external.id) });
  const network = await made("networks", { network: {} }, red.member);
  const subnet = await made("subnets", { subnet: pooled(network.id) }, red.member);
  const port = await made("ports", { port: { network_id: network.id } }, red.member);
  const [{ ip_address } = {}] = port.fixed_ips as readonly Json[];
  const router = await made("routers", { router: {} }, red.member);
  const path = `/v2.0/routers/${router.id}`;
  const change = (values: Json) => red.member.put(path, { router: values });
  const proxy = (values: Json = {}, by = red.member) =>
    by.post("/v2.0/ndp_proxies", { ndp_proxy: { router_id: router.id, port_id: port.id, ...values } });

  assert.deepEqual(told(await proxy()), [409, "RouterNDPProxyNotEnable"]);
  const early = await change({ enable_ndp_proxy: true });
  assert.deepEqual(told(early), [409, "RouterGatewayNotValid"]);
  assert.match(
    errorOf(early).message,
    /The router has no external gateway or the external gateway port has no IPv6 address/,
  );
  assert.equal((await change({ external_gateway_info: { network_id: external.id } })).status, 200);
  const enabled = await change({ enable_ndp_proxy: true });
  assert.deepEqual([enabled.status, (enabled.body.router as Json).enable_ndp_proxy], [200, true]);
  assert.deepEqual(told(await proxy()), [409, "PortUnreachableRouter"]);
  assert.equal((await red.member.put(`${path}/add_router_interface`, { subnet_id: subnet.id })).status, 200);
  assert.deepEqual(told(await proxy({ ip_address: "2001:db8:ffff::1" })), [400, "InvalidAddress"]);
  assert.deepEqual(told(await proxy({}, blue.member)), [404, "RouterNotFound"]);
  assert.deepEqual(told(await proxy({ port_id: router.id })), [404, "PortNotFound"]);
  const answer = await proxy({ name: "n" });
  assert.equal(answer.status, 201, answer.text);
  const { id, ...said } = answer.body.ndp_proxy as Json;
  assert.deepEqual([said.name, said.ip_address, said.port_id, said.project_id], ["n", ip_address, port.id, red.id]);
  assert.deepEqual(told(await proxy()), [400, "InvalidAddress"]);
  assert.equal((await blue.member.get(`/v2.0/ndp_proxies/${id}`)).status, 404);

  assert.deepEqual(told(await change({ enable_ndp_proxy: false })), [409, "RouterNDPProxyInUse"]);
  assert.deepEqual(told(await change({ external_gateway_info: null })), [409, "RouterIPv6GatewayInUse"]);
  const removed = await red.member.put(`${path}/remove_router_interface`, { subnet_id: subnet.id });
  assert.deepEqual(told(removed), [409, "RouterInterfaceInUseByNDPProxy"]);
  const renamed = await red.member.put(`/v2.0/ndp_proxies/${id}`, { ndp_proxy: { description: "d" } });
  assert.equal((renamed.body.ndp_proxy as Json).description, "d");
  assert.equal((await red.member.delete(`/v2.0/ports/${port.id}`)).status, 204);
  assert.deepEqual(told(await red.member.get(`/v2.0/ndp_proxies/${id}`)), [404, "NDPProxyNotFound"]);
  const gateway = { external_gateway_info: { network_id: external.id } };
  const gone = { enable_ndp_proxy: true, external_gateway_info: null };
  assert.deepEqual(told(await change(gone)), [409, "RouterGatewayNotValid"]);
  assert.equal((await change({ external_gateway_info: null })).status, 200);
  assert.deepEqual(told(await change({ enable_ndp_proxy: true })), [409, "RouterGatewayNotValid"]);
  assert.equal((await change(gateway)).status, 200);
  assert.equal((await change({ enable_ndp_proxy: false })).status, 200);

  const free = await made("networks", { network: {} }, red.member);
  const other = await made(
    "subnets",
    { subnet: { network_id: free.id, ip_version: 6, cidr: "2001:db9::/64" } },
    red.member,
  );
  const elsewhere = await made("ports", { port: { network_id: free.id } }, red.member);
  assert.equal((await red.member.put(`${path}/add_router_interface`, { subnet_id: other.id })).status, 200);
  assert.equal((await change({ enable_ndp_proxy: true })).status, 200);
  assert.deepEqual(told(await proxy({ port_id: elsewhere.id })), [409, "AddressScopeConflict"]);
});
