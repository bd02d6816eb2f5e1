/** A router's interface as a port: its address within a subnet may be changed, its subnets only by the router. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { errorOf, type Json, startTestServer, type TestClient } from "../testing/mod.ts";

for (const [version, cidr, gateway, other] of [
  [4, "10.0.0.0/24", "10.0.0.1", "10.0.0.9"],
  [6, "2001:db8::/64", "2001:db8::1", "2001:db8::9"],
] as const) {
  test(`IPv${version}: an interface keeps its subnets through PUT of its port, and takes another address of theirs`, async () => {
    await using server = await startTestServer();
    const { member } = await server.project("green");
    const made = async (path: string, body: Json): Promise<Json> => {
      const { status, body: reply, text } = await member.post(path, body);
      assert.equal(status, 201, text);
      return Object.values(reply)[0] as Json;
    };
    const network = await made("/v2.0/networks", { network: { name: "n" } });
    const of = (prefix: string): Json => ({ network_id: network.id, ip_version: version, cidr: prefix });
    const subnet = await made("/v2.0/subnets", { subnet: of(cidr) });
    const second = await made("/v2.0/subnets", { subnet: of(version === 4 ? "10.9.0.0/24" : "2001:db8:9::/64") });
    const router = await made("/v2.0/routers", { router: { name: "r" } });
    const added = await member.put(`/v2.0/routers/${router.id}/add_router_interface`, { subnet_id: subnet.id });
    assert.equal(added.status, 200, added.text);
    const path = `/v2.0/ports/${added.body.port_id}`;
    const put = (fixed: readonly Json[]) => member.put(path, { port: { fixed_ips: fixed } });
    const held = [{ subnet_id: subnet.id, ip_address: gateway }];

    const same = await put([{ subnet_id: subnet.id }]);
    assert.deepEqual([same.status, (same.body.port as Json).fixed_ips], [200, held]);

    const refused = await put([{ subnet_id: second.id }]);
    assert.deepEqual([refused.status, errorOf(refused).type], [400, "InvalidInput"]);
    const both = await put([{ subnet_id: subnet.id }, { subnet_id: second.id }]);
    assert.deepEqual([both.status, errorOf(both).type], [400, "InvalidInput"]);
    assert.deepEqual(((await member.get(path)).body.port as Json).fixed_ips, held);

    const moved = await put([{ subnet_id: subnet.id, ip_address: other }]);
    assert.deepEqual(
      [moved.status, (moved.body.port as Json).fixed_ips],
      [200, [{ subnet_id: subnet.id, ip_address: other }]],
    );
  });
}

test("a rule's remote that names nobody is not found, whatever it looks like", async () => {
  await using server = await startTestServer();
  const { member } = await server.project("green");
  const group = await member.post("/v2.0/security-groups", { security_group: { name: "g" } });
  for (const [name, type] of [
    ["remote_group_id", "SecurityGroupNotFound"],
    ["remote_address_group_id", "AddressGroupNotFound"],
  ] as const) {
    for (const id of ["bad_id", "6d9c8f3e-0000-4000-8000-000000000000"]) {
      const rule = { security_group_id: (group.body.security_group as Json).id, direction: "ingress", [name]: id };
      const answer = await member.post("/v2.0/security-group-rules", { security_group_rule: rule });
      assert.deepEqual([answer.status, errorOf(answer).type], [404, type], `${name} ${id}`);
    }
  }
});

test("a router has one interface with IPv6 a network, and none where another router tells the machines", async () => {
  await using server = await startTestServer();
  const { member } = await server.project("green");
  const made = async (path: string, body: Json): Promise<Json> => {
    const { status, body: reply, text } = await member.post(path, body);
    assert.equal(status, 201, text);
    return Object.values(reply)[0] as Json;
  };
  const network = await made("/v2.0/networks", { network: {} });
  const subnet = (cidr: string, more: Json = {}): Promise<Json> =>
    made("/v2.0/subnets", {
      subnet: { network_id: network.id, ip_version: cidr.includes(":") ? 6 : 4, cidr, ...more },
    });
  const port = (...subnets: readonly Json[]): Promise<Json> =>
    made("/v2.0/ports", {
      port: { network_id: network.id, fixed_ips: subnets.map(({ id }) => ({ subnet_id: id })) },
    });
  const router = await made("/v2.0/routers", { router: {} });
  const add = (body: Json) => member.put(`/v2.0/routers/${router.id}/add_router_interface`, body);
  const refused = async (body: Json, message: string): Promise<void> => {
    const answer = await add(body);
    assert.deepEqual(
      [answer.status, errorOf(answer).type, errorOf(answer).message],
      [400, "BadRequest", `Bad router request: ${message}.`],
    );
  };
  const [four, six] = [await subnet("10.0.0.0/24"), await subnet("2001:db8::/64")];
  const both = await port(four, six);
  assert.equal((await add({ port_id: both.id })).status, 200);

  const another = await subnet("2001:db8:1::/64");
  await refused(
    { port_id: (await port(another)).id },
    `Router already contains IPv6 port ${both.id} belonging to network id ${network.id}. Only one IPv6 port from the same network subnet can be connected to a router.`,
  );
  const joined = await add({ subnet_id: another.id });
  assert.deepEqual([joined.status, joined.body.port_id], [200, both.id], "it joins the interface that has IPv6");

  const told = await subnet("2001:db8:2::/64", { ipv6_address_mode: "slaac" });
  await refused(
    { subnet_id: told.id },
    `IPv6 subnet ${told.id} configured to receive RAs from an external router cannot be added to Neutron Router.`,
  );
  await refused(
    { port_id: (await port(told)).id },
    `IPv6 subnet ${told.id} configured to receive RAs from an external router cannot be added to Neutron Router.`,
  );
  for (const [id, shown] of [
    ["nope", "'nope'"],
    [null, "'None'"],
    [3, "'3'"],
  ] as const)
    await refused({ subnet_id: id }, `${shown} is not a valid UUID`);
});

test("the gateway's address of a network that everybody shares is its owner's; of one that was given by name, the sharer's too", async () => {
  await using server = await startTestServer();
  const [owner, guest] = await Promise.all([server.project("owner"), server.project("guest")]);
  const made = async (client: TestClient, path: string, body: Json): Promise<Json> => {
    const { status, body: reply, text } = await client.post(path, body);
    assert.equal(status, 201, text);
    return Object.values(reply)[0] as Json;
  };
  const network = await made(owner.member, "/v2.0/networks", { network: {} });
  const add = async (client: TestClient, router: Json, body: Json): Promise<readonly unknown[]> => {
    const answer = await client.put(`/v2.0/routers/${router.id}/add_router_interface`, body);
    return answer.status === 200 ? [200] : [answer.status, errorOf(answer).type, errorOf(answer).message];
  };
  const router = await made(guest.member, "/v2.0/routers", { router: {} });
  const of = (cidr: string) =>
    made(owner.member, "/v2.0/subnets", {
      subnet: { network_id: network.id, ip_version: cidr.includes(":") ? 6 : 4, cidr },
    });
  const subnets = [await of("10.0.0.0/24"), await of("2001:db8::/64")];
  const everybody = { object_type: "network", object_id: network.id, action: "access_as_shared" };
  await made(server.admin, "/v2.0/rbac-policies", { rbac_policy: { ...everybody, target_tenant: "*" } });
  for (const subnet of subnets) {
    assert.deepEqual(await add(guest.member, router, { subnet_id: subnet.id }), [
      400,
      "BadRequest",
      `Bad router request: Cannot add interface to router because subnet ${subnet.id} is not owned by project making the request.`,
    ]);
    const given = await made(server.admin, "/v2.0/ports", {
      port: {
        network_id: network.id,
        project_id: guest.id,
        fixed_ips: [{ subnet_id: subnet.id, ip_address: subnet.gateway_ip }],
      },
    });
    assert.deepEqual(await add(guest.member, router, { port_id: given.id }), [
      400,
      "BadRequest",
      `Bad router request: Cannot add interface to router because specified port ${given.id} has an IP address out of the allocation pool of subnet ${subnet.id}, which is not owned by the project making the request.`,
    ]);
    assert.equal((await server.admin.delete(`/v2.0/ports/${given.id}`)).status, 204);
    const own = await made(guest.member, "/v2.0/ports", {
      port: { network_id: network.id, fixed_ips: [{ subnet_id: subnet.id }] },
    });
    assert.deepEqual(await add(guest.member, router, { port_id: own.id }), [200], "by an address of the machines'");
  }
  const another = await made(guest.member, "/v2.0/routers", { router: {} });
  await made(owner.member, "/v2.0/rbac-policies", { rbac_policy: { ...everybody, target_tenant: guest.id } });
  for (const subnet of subnets) assert.deepEqual(await add(guest.member, another, { subnet_id: subnet.id }), [200]);
});

test("on another project's physical network only an admin adds interfaces, by subnet or by port; one's own wire is one's own", async () => {
  await using server = await startTestServer();
  const [wire, green] = await Promise.all([server.project("wire"), server.project("green")]);
  const network = await server.admin.create("network", {
    ...{ name: "hall", project_id: wire.id, shared: true },
    ...{ "provider:network_type": "flat", "provider:physical_network": "hall" },
  });
  const of = { network_id: network.id, project_id: wire.id };
  const subnet = await server.admin.create("subnet", { ...of, ip_version: 4, cidr: "10.0.0.0/24" });
  const router = await green.member.create("router", { name: "r" });
  const port = await green.member.create("port", { network_id: network.id });
  const add = (client: TestClient, id: unknown, by: Json) => client.put(`/v2.0/routers/${id}/add_router_interface`, by);
  const given = { object_type: "network", object_id: network.id, action: "access_as_shared", target_tenant: green.id };
  assert.equal((await server.admin.post("/v2.0/rbac-policies", { rbac_policy: given })).status, 201);
  for (const by of [{ subnet_id: subnet.id }, { port_id: port.id }]) {
    const answer = await add(green.member, router.id, by);
    assert.deepEqual([answer.status, errorOf(answer).type], [400, "BadRequest"], answer.text);
    assert.match(String(errorOf(answer).message), /stands on a physical network and is another project's/);
  }
  assert.equal((await add(server.admin, router.id, { port_id: port.id })).status, 200);
  const own = await wire.member.create("router", { name: "own" });
  assert.equal((await add(wire.member, own.id, { subnet_id: subnet.id })).status, 200);
});
