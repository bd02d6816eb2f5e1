/** IPv6 subnets on which machines make their addresses: what ports get, keep and lose there. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { cidrOf, eui64Of, macOf, textOfIp } from "@selvage/model";
import { type Answer, errorOf, type Json, startTestServer, type TestProject, type TestServer } from "../testing/mod.ts";

let server: TestServer;
let red: TestProject;
before(async () => {
  server = await startTestServer({ on: "memory" });
  red = await server.project("red");
});
after(() => server[Symbol.asyncDispose]());

const slaac = { ip_version: 6, ipv6_ra_mode: "slaac", ipv6_address_mode: "slaac" } as const;
const stateless = { ip_version: 6, ipv6_ra_mode: "dhcpv6-stateless", ipv6_address_mode: "dhcpv6-stateless" } as const;
const stateful = { ip_version: 6, ipv6_ra_mode: "dhcpv6-stateful", ipv6_address_mode: "dhcpv6-stateful" } as const;
const network = async (): Promise<string> => (await red.member.create("network", { name: "n" })).id;
const subnet = (network_id: string, values: Json) => red.member.create("subnet", { network_id, ...values });
const portOf = (answer: Answer): Json => answer.body.port as Json;
const addressesOf = (port: Json): readonly unknown[] =>
  (port.fixed_ips as readonly Json[]).map(({ ip_address }) => ip_address);
const made = (prefix: string, port: Json): string => textOfIp(eui64Of(cidrOf(prefix), macOf(String(port.mac_address))));

test("the gateway is the routers' own address by SLAAC, the first host's otherwise; modes are for IPv6, DHCP, /64 and agree", async () => {
  const id = await network();
  const s = await subnet(id, { ...slaac, cidr: "2001:db8:50::/64" });
  assert.deepEqual(
    [s.gateway_ip, s.ipv6_ra_mode, s.ipv6_address_mode, s.allocation_pools],
    ["2001:db8:50::", "slaac", "slaac", [{ start: "2001:db8:50::1", end: "2001:db8:50:0:ffff:ffff:ffff:ffff" }]],
  );
  assert.equal((await subnet(id, { ...stateless, cidr: "2001:db8:51::/64" })).gateway_ip, "2001:db8:51::1");
  const only = await subnet(id, { ip_version: 6, ipv6_address_mode: "slaac", cidr: "2001:db8:52::/64" });
  assert.deepEqual([only.ipv6_ra_mode, only.ipv6_address_mode], [null, "slaac"]);
  for (const [values, message] of [
    [{ ip_version: 4, cidr: "10.1.0.0/24", ipv6_ra_mode: "slaac" }, /ipv6_ra_mode is not valid when ip_version is 4/],
    [{ ip_version: 4, cidr: "10.1.0.0/24", ipv6_address_mode: "slaac" }, /ipv6_address_mode is not valid when/],
    [{ ...slaac, ipv6_address_mode: "dhcpv6-stateless" }, /must be the same value/],
    [{ ...slaac, enable_dhcp: false }, /cannot be set when enable_dhcp is set to False/],
    [{ ...slaac, cidr: "2001:db8:60::/65" }, /requires the prefix to be \/64/],
    [{ ...stateful, enable_dhcp: false }, /cannot be set when enable_dhcp is set to False/],
    [{ ...stateful, ipv6_ra_mode: "slaac" }, /must be the same value/],
    [{ ip_version: 6, ipv6_ra_mode: "ra" }, /'ra' is not in \['dhcpv6-stateful', 'dhcpv6-stateless', 'slaac'\]/],
  ] as const) {
    const body = { subnet: { network_id: id, cidr: "2001:db8:60::/64", ...values } };
    const answer = await red.member.post("/v2.0/subnets", body);
    assert.equal(answer.status, 400, JSON.stringify(values));
    assert.match(errorOf(answer).message, message);
  }
  const put = (values: Json) => red.member.put(`/v2.0/subnets/${s.id}`, { subnet: values });
  assert.match(errorOf(await put({ ipv6_ra_mode: "slaac" })).message, /Cannot update read-only attribute ipv6_ra_mode/);
  assert.match(errorOf(await put({ enable_dhcp: false })).message, /Cannot disable enable_dhcp with ipv6 attributes/);
});

test("a port has, besides what it is given, the address that its MAC makes on each such subnet", async () => {
  const id = await network();
  const v4 = await subnet(id, { ip_version: 4, cidr: "10.2.0.0/24" });
  const plain = await subnet(id, { ip_version: 6, cidr: "2001:db8:1::/64" });
  const a = await subnet(id, { ...slaac, cidr: "2001:db8:2::/64" });
  const b = await subnet(id, { ...stateless, cidr: "2001:db8:3::/64" });
  const create = async (values: Json = {}) =>
    portOf(await red.member.post("/v2.0/ports", { port: { network_id: id, ...values } }));
  const own = (port: Json) => [made("2001:db8:2::/64", port), made("2001:db8:3::/64", port)].toSorted();
  const port = await create();
  const subnets = (port.fixed_ips as readonly Json[]).map(({ subnet_id }) => subnet_id);
  assert.deepEqual(subnets.slice(0, 2), [v4.id, plain.id]);
  assert.deepEqual(addressesOf(port).slice(2).toSorted(), own(port));
  // Whatever was asked for, as a Neutron does.
  const none = await create({ fixed_ips: [] });
  assert.deepEqual(addressesOf(none).toSorted(), own(none));
  const one = await create({ fixed_ips: [{ ip_address: "10.2.0.9" }, { subnet_id: a.id }] });
  assert.deepEqual([addressesOf(one)[0], addressesOf(one).slice(1).toSorted()], ["10.2.0.9", own(one)]);
  for (const wanted of [{ ip_address: "2001:db8:2::5" }, { subnet_id: b.id, ip_address: "2001:db8:3::5" }]) {
    const answer = await red.member.post("/v2.0/ports", { port: { network_id: id, fixed_ips: [wanted] } });
    assert.deepEqual([answer.status, errorOf(answer).type], [400, "AllocationOnAutoAddressSubnet"]);
  }
  const put = (values: Json, client = red.member) => client.put(`/v2.0/ports/${port.id}`, { port: values });
  assert.deepEqual(
    portOf(await put({ fixed_ips: port.fixed_ips })).fixed_ips,
    port.fixed_ips,
    "what it has, said again",
  );
  assert.deepEqual(addressesOf(portOf(await put({ fixed_ips: [] }))).toSorted(), own(port));
  const moved = portOf(await put({ mac_address: "fa:16:3e:00:00:77" }, server.admin));
  assert.deepEqual(addressesOf(moved).toSorted(), own(moved));
  assert.deepEqual(own(moved)[0], "2001:db8:2:0:f816:3eff:fe00:77");
});

test("where DHCPv6 gives addresses a port has one of the pools, or the one that it asks for, and the prefix may be of any length", async () => {
  const id = await network();
  const pools = [{ start: "2001:db8:9::10", end: "2001:db8:9::1f" }];
  const s = await subnet(id, { ...stateful, cidr: "2001:db8:9::/112", allocation_pools: pools });
  assert.deepEqual([s.gateway_ip, s.ipv6_ra_mode, s.enable_dhcp], ["2001:db8:9::1", "dhcpv6-stateful", true]);
  const port = await red.member.create("port", { network_id: id });
  assert.match(String(addressesOf(port)[0]), /^2001:db8:9::1[0-9a-f]$/);
  const asked = await red.member.create("port", { network_id: id, fixed_ips: [{ ip_address: "2001:db8:9::abc" }] });
  assert.deepEqual(addressesOf(asked), ["2001:db8:9::abc"]);
  const none = await red.member.create("port", { network_id: id, fixed_ips: [] });
  assert.deepEqual(addressesOf(none), []);
  assert.equal(
    (await red.member.delete(`/v2.0/subnets/${s.id}`)).status,
    409,
    "such an address is not taken back by itself",
  );
});

test("a new such subnet reaches the ports that are there, and takes its addresses with it when it goes", async () => {
  const id = await network();
  const v4 = await subnet(id, { ip_version: 4, cidr: "10.3.0.0/24" });
  const port = await red.member.create("port", { network_id: id });
  const interfaceOf = await server.admin.post("/v2.0/ports", {
    port: { network_id: id, device_owner: "network:router_interface", project_id: red.id },
  });
  const s = await subnet(id, { ...slaac, cidr: "2001:db8:4::/64" });
  const now = await red.member.show("port", port.id);
  assert.deepEqual(addressesOf(now), [...addressesOf(port), made("2001:db8:4::/64", port)]);
  const router = await server.admin.show("port", String(portOf(interfaceOf).id));
  assert.equal(addressesOf(router).length, 1, "a router's port has what it is given");
  assert.equal((await red.member.delete(`/v2.0/subnets/${v4.id}`)).status, 409);
  assert.equal((await red.member.delete(`/v2.0/subnets/${s.id}`)).status, 204);
  assert.deepEqual((await red.member.show("port", port.id)).fixed_ips, port.fixed_ips);
  const again = await subnet(id, { ...slaac, cidr: "2001:db8:4::/64" });
  const put = await server.admin.put(`/v2.0/ports/${router.id}`, {
    port: { fixed_ips: [{ subnet_id: again.id, ip_address: "2001:db8:4::" }] },
  });
  assert.equal(put.status, 400, "the routers' address is nobody's by name alone");
  const held = await server.admin.put(`/v2.0/ports/${router.id}`, {
    port: { fixed_ips: [{ subnet_id: again.id, ip_address: "2001:db8:4::1" }] },
  });
  assert.deepEqual([held.status, addressesOf(portOf(held))], [200, ["2001:db8:4::1"]]);
  assert.equal((await red.member.delete(`/v2.0/subnets/${again.id}`)).status, 409);
});

test("ports made together on such a subnet have an address each", async () => {
  const id = await network();
  await subnet(id, { ...slaac, cidr: "2001:db8:5::/64" });
  const bulk = await red.member.post("/v2.0/ports", { ports: [1, 2, 3].map(() => ({ network_id: id })) });
  assert.equal(bulk.status, 201);
  for (const port of bulk.body.ports as readonly Json[])
    assert.deepEqual(addressesOf(port), [made("2001:db8:5::/64", port)]);
});
