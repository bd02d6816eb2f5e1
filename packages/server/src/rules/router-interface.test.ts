/** A router's interface as a port: its address within a subnet may be changed, its subnets only by the router. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { errorOf, type Json, startTestServer } from "../testing/mod.ts";

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
    `Cannot have multiple router ports with the same network id if both contain IPv6 subnets. Existing port ${both.id} has IPv6 subnet(s) and network id ${network.id}`,
  );
  const joined = await add({ subnet_id: another.id });
  assert.deepEqual([joined.status, joined.body.port_id], [200, both.id], "it joins the interface that has IPv6");

  const told = await subnet("2001:db8:2::/64", { ipv6_address_mode: "slaac" });
  await refused(
    { subnet_id: told.id },
    `IPv6 subnet ${told.id} configured to receive RAs from an external router cannot be added to Neutron Router.`,
  );
  for (const [id, shown] of [
    ["nope", "'nope'"],
    [null, "'None'"],
    [3, "'3'"],
  ] as const)
    await refused({ subnet_id: id }, `${shown} is not a valid UUID`);
});
