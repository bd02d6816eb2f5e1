/** Bodies that no client should send: each is refused in words that its sender understands, and nothing of the server's own workings is in them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { networkingRules } from "../rules/all.ts";
import { hasVerb, pathOf } from "../rules/rules.ts";
import { type Answer, type Json, startTestServer } from "../testing/mod.ts";
import { fieldsOf } from "./body.ts";

const odd: readonly unknown[] = [
  ...[null, {}, [], "", "x", 0, -1, 1.5, true, 2 ** 70, [null], [{}], [[]], ["x"], { a: 1 }, "é\u0000"],
  ...["00000000-0000-4000-8000-000000000000", "10.0.0.0/8", "fd00::/64", [{ ip_address: 1 }], { network_id: 1 }],
  ...[[{ start: "x", end: null }], [{ destination: null, nexthop: 1 }], [{ destination: "10.0.0.0/8" }]],
];

/** Words that say how the server is made, and not what is wrong. */
const workings = /\bundefined\b|\[object|\bNaN\b|TypeError|Cannot read|\.\.$/;

const check = (answer: Answer, what: string): void => {
  assert.ok(answer.status < 500, `${what}: ${answer.status} ${answer.text}`);
  const { NeutronError } = answer.body;
  const message = typeof NeutronError === "object" && NeutronError !== null ? (NeutronError as Json).message : "";
  assert.doesNotMatch(String(message), workings, `${what}: ${answer.text}`);
};

test("whatever a field, an action or a body holds, the answer says what is wrong with it", async () => {
  await using server = await startTestServer();
  const { admin } = server;
  const made = async (path: string, body: Json): Promise<Json> => {
    const answer = await admin.post(`/v2.0/${path}`, body);
    assert.equal(answer.status, 201, answer.text);
    return Object.values(answer.body)[0] as Json;
  };
  const network = await made("networks", { network: {} });
  const flat = { "provider:network_type": "flat", "provider:physical_network": "odd" };
  const wired = await made("networks", { network: flat });
  const group = await made("security-groups", { security_group: { name: "g" } });
  const external = await made("networks", { network: { "router:external": true } });
  await made("subnets", { subnet: { network_id: external.id, ip_version: 4, cidr: "203.0.113.0/24" } });
  const six = await made("address-scopes", { address_scope: { name: "six", ip_version: 6 } });
  const pool = await made("subnetpools", {
    subnetpool: { name: "six", prefixes: ["2001:db8::/32"], default_prefixlen: 64, address_scope_id: six.id },
  });
  const pooled = (network_id: unknown) => ({ subnet: { network_id, ip_version: 6, subnetpool_id: pool.id } });
  await made("subnets", pooled(external.id));
  const inside = await made("networks", { network: {} });
  const subnet = await made("subnets", pooled(inside.id));
  const machine = await made("ports", { port: { network_id: inside.id } });
  const gateway = { external_gateway_info: { network_id: external.id }, enable_ndp_proxy: true };
  const speaking = await made("routers", { router: gateway });
  await admin.put(`/v2.0/routers/${speaking.id}/add_router_interface`, { subnet_id: subnet.id });
  const bases: Readonly<Record<string, Json>> = {
    network: {},
    subnet: { network_id: network.id, ip_version: 4, cidr: "10.0.0.0/24" },
    port: { network_id: network.id, fixed_ips: [] },
    router: {},
    ndp_proxy: { router_id: speaking.id, port_id: machine.id },
    segment: { network_id: wired.id, network_type: "vlan", physical_network: "odd", segmentation_id: 3 },
    network_segment_range: { network_type: "vlan", physical_network: "odd", minimum: 1, maximum: 2 },
    bgp_peer: { peer_ip: "192.0.2.1", remote_as: 65_001, auth_type: "none" },
    bgp_speaker: { local_as: 65_000, ip_version: 4 },
    floatingip: { floating_network_id: external.id },
    security_group: { name: "g" },
    security_group_rule: { security_group_id: group.id, direction: "ingress", protocol: "47" },
    address_group: { name: "a" },
    address_scope: { name: "s", ip_version: 4 },
    subnetpool: { name: "p", prefixes: ["10.0.0.0/8"] },
    rbac_policy: { object_type: "network", object_id: network.id, target_tenant: "t", action: "access_as_shared" },
  };
  const tried = networkingRules.filter((rules) => hasVerb(rules, "create"));
  assert.deepEqual(tried.map(({ resource }) => resource.kind).sort(), Object.keys(bases).sort());
  for (const rules of tried) {
    const { kind } = rules.resource;
    const path = pathOf(rules);
    const base = bases[kind] ?? {};
    const post = async (body: unknown): Promise<void> => {
      const answer = await admin.request("POST", `/v2.0/${path}`, body);
      check(answer, `POST ${path} ${JSON.stringify(body)}`);
      if (answer.status === 201) await admin.delete(`/v2.0/${path}/${(answer.body[kind] as Json).id}`);
    };
    // Of which another is there may be one only: an address, a default.
    const { id } = await made(path, { [kind]: base });
    const put = async (body: unknown, action = ""): Promise<void> =>
      check(
        await admin.request("PUT", `/v2.0/${path}/${id}${action}`, body),
        `PUT ${path}${action} ${JSON.stringify(body)}`,
      );
    const actions = (rules.actions ?? []).filter(({ method }) => method === "PUT").map(({ name }) => `/${name}`);
    for (const value of odd) {
      for (const body of [value, { [kind]: value }]) {
        await post(body);
        for (const action of ["", ...actions]) if (hasVerb(rules, "update") || action !== "") await put(body, action);
      }
      for (const action of actions)
        for (const name of ["subnet_id", "port_id", "addresses", "prefixes", "router"])
          for (const body of [{ [name]: value }, { [name]: { routes: value } }]) await put(body, action);
      for (const [name, field] of fieldsOf(rules.resource)) {
        if (field.create !== "refused") await post({ [kind]: { ...base, [name]: value } });
        if (field.update === "allowed" && hasVerb(rules, "update")) await put({ [kind]: { [name]: value } });
      }
    }
  }
});
