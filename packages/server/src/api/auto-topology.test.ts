/** What a project gets without naming anything: one network behind one router, of the deployment's defaults, made once and taken away whole. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Answer, errorOf, type Json, startTestServer } from "../testing/mod.ts";

const told = (answer: Answer): readonly unknown[] => [answer.status, errorOf(answer).type];

test("a project's first asking makes its network, and every later one gives it", async () => {
  await using server = await startTestServer({ on: "memory" });
  const { admin } = server;
  const red = await server.project("red");
  const blue = await server.project("blue");
  const path = `/v2.0/auto-allocated-topology/${red.id}`;
  const made = async (where: string, body: Json): Promise<Json> => {
    const answer = await admin.post(`/v2.0/${where}`, body);
    assert.equal(answer.status, 201, answer.text);
    return Object.values(answer.body)[0] as Json;
  };
  const none = await red.member.get(`${path}?fields=dry-run`);
  assert.deepEqual(told(none), [409, "AutoAllocationFailure"]);
  assert.equal(errorOf(none).message, "Deployment error: No default router:external network.");
  const external = await made("networks", { network: { "router:external": true, is_default: true } });
  const cidr = "203.0.113.0/24";
  const outer = await made("subnets", { subnet: { network_id: external.id, ip_version: 4, cidr, name: "out" } });
  assert.match(errorOf(await red.member.get(path)).message, /No default subnetpools defined/);
  for (const [prefix, length] of [
    ["10.0.0.0/8", 24],
    ["2001:db8::/32", 64],
  ] as const) {
    const pool = { name: "p", prefixes: [prefix], default_prefixlen: length, is_default: true, shared: true };
    await made("subnetpools", { subnetpool: pool });
  }
  const dry = await red.member.get(`${path}?fields=dry-run`);
  const passed = { id: "dry-run=pass", tenant_id: red.id };
  assert.deepEqual([dry.status, dry.body.auto_allocated_topology], [200, passed]);
  assert.deepEqual(await red.member.list("networks", `project_id=${red.id}`), []);
  assert.equal((await red.reader.get(path)).status, 403, "a reader makes nothing");
  assert.equal((await blue.member.get(path)).status, 404);

  const first = await red.member.get(path);
  assert.equal(first.status, 200, first.text);
  const { id } = first.body.auto_allocated_topology as Json;
  const [network, ...more] = await red.member.list("networks", `project_id=${red.id}`);
  assert.deepEqual([network?.id, network?.name, more], [id, "auto_allocated_network", []]);
  const subnets = await red.member.list("subnets", `network_id=${id}`);
  assert.deepEqual(subnets.map((each) => each.name).sort(), ["auto_allocated_subnet_v4", "auto_allocated_subnet_v6"]);
  const [router] = await red.member.list("routers");
  const info = router?.external_gateway_info as Json | undefined;
  assert.equal(info?.network_id, external.id);
  const interfaces = await red.member.list("ports", `device_id=${router?.id}`);
  assert.deepEqual(
    interfaces.flatMap((port) => (port.fixed_ips as readonly Json[]).map((fixed) => fixed.subnet_id)).sort(),
    subnets.map((each) => each.id).sort(),
  );
  for (const by of [red.member, red.reader, admin])
    assert.deepEqual((await by.get(path)).body.auto_allocated_topology, { id, tenant_id: red.id });

  const unnamed = await red.member.get("/v2.0/auto-allocated-topology/None");
  assert.deepEqual(unnamed.body.auto_allocated_topology, { id, tenant_id: red.id });
  assert.equal((await server.nobody.get("/v2.0/auto-allocated-topology/None")).status, 401);

  const pools = (await blue.reader.get("/v2.0/floatingip_pools")).body.floatingip_pools;
  const said = { subnet_id: outer.id, subnet_name: "out", network_id: external.id, cidr };
  assert.deepEqual(pools, [{ ...said, tenant_id: blue.id, project_id: blue.id }]);

  assert.equal((await red.reader.delete(path)).status, 403);
  assert.equal((await red.member.delete(path)).status, 204);
  assert.deepEqual(await red.member.list("networks", `project_id=${red.id}`), []);
  assert.deepEqual(await red.member.list("routers"), []);
  const again = await red.member.get(path);
  assert.notEqual((again.body.auto_allocated_topology as Json).id, id);
});

test("a quota stands against it, and then nothing of it is there", async () => {
  await using server = await startTestServer({ on: "memory", settings: { quotaRouter: 0 } });
  const red = await server.project("red");
  const external = await server.admin.create("network", { "router:external": true, is_default: true });
  await server.admin.create("subnet", { network_id: external.id, ip_version: 4, cidr: "203.0.113.0/24" });
  const pool = { name: "p", prefixes: ["10.0.0.0/8"], default_prefixlen: 24, is_default: true, shared: true };
  await server.admin.create("subnetpool", pool);
  assert.deepEqual(told(await red.member.get(`/v2.0/auto-allocated-topology/${red.id}`)), [409, "OverQuota"]);
  assert.deepEqual(await red.member.list("networks", `project_id=${red.id}`), []);
});
