/** RBAC policies by the API: who sees and uses what, who may say so, and when it can be taken back. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Answer, errorOf, type Json, startTestServer, type TestProject, type TestServer } from "../testing/mod.ts";

let server: TestServer;
let red: TestProject;
let blue: TestProject;
let green: TestProject;
before(async () => {
  server = await startTestServer({ on: "memory" });
  [red, blue, green] = await Promise.all([server.project("red"), server.project("blue"), server.project("green")]);
});
after(() => server[Symbol.asyncDispose]());

const told = (answer: Answer): readonly [number, string] => [answer.status, errorOf(answer).type];
const policyOf = (answer: Answer): Json => answer.body.rbac_policy as Json;
const network = async (): Promise<string> => (await red.member.create("network", { name: "n" })).id;
const give = (object_id: unknown, target_tenant: string, client = red.member, more: Json = {}) =>
  client.post("/v2.0/rbac-policies", {
    rbac_policy: { object_type: "network", object_id, action: "access_as_shared", target_tenant, ...more },
  });
const take = (policy: Json, client = red.member) => client.delete(`/v2.0/rbac-policies/${String(policy.id)}`);
const policies = async (client = red.member, query = ""): Promise<readonly Json[]> =>
  (await client.get(`/v2.0/rbac-policies?${query}`)).body.rbac_policies as readonly Json[];

test("a network is there for its owner and for whom it was given to, and shared only to these", async () => {
  const id = await network();
  const { id: subnetId } = await red.member.create("subnet", { network_id: id, ip_version: 4, cidr: "10.0.0.0/24" });
  const revision = (await red.member.show("network", id)).revision_number;
  const seen = async (project: TestProject): Promise<unknown> => {
    const one = await project.reader.get(`/v2.0/networks/${id}`);
    const listed = (await project.reader.list("networks")).filter((each) => each.id === id);
    const filtered = (await project.reader.list("networks", "shared=True")).filter((each) => each.id === id);
    const subnets = (await project.reader.list("subnets")).filter((each) => each.id === subnetId);
    const subnet = await project.reader.get(`/v2.0/subnets/${subnetId}`);
    const { shared } = (one.body.network ?? {}) as Json;
    return [one.status, shared, listed.length, filtered.length, subnet.status, subnets.length];
  };
  assert.deepEqual(await seen(blue), [404, undefined, 0, 0, 404, 0]);
  const policy = policyOf(await give(id, blue.id));
  assert.deepEqual(policy, {
    id: policy.id,
    project_id: red.id,
    tenant_id: red.id,
    object_type: "network",
    object_id: id,
    action: "access_as_shared",
    target_tenant: blue.id,
  });
  assert.deepEqual(await seen(blue), [200, true, 1, 1, 200, 1]);
  assert.deepEqual(await seen(green), [404, undefined, 0, 0, 404, 0]);
  assert.deepEqual(await seen(red), [200, false, 1, 0, 200, 1], "its owner sees it shared with others as not shared");
  assert.ok(Number((await red.member.show("network", id)).revision_number) > Number(revision));
  const moved = await red.member.put(`/v2.0/rbac-policies/${policy.id}`, { rbac_policy: { target_tenant: green.id } });
  assert.equal(policyOf(moved).target_tenant, green.id);
  assert.deepEqual(
    [await seen(blue), await seen(green)],
    [
      [404, undefined, 0, 0, 404, 0],
      [200, true, 1, 1, 200, 1],
    ],
  );
  assert.equal((await take(policy)).status, 204);
  assert.deepEqual(await seen(green), [404, undefined, 0, 0, 404, 0]);
});

test("shared is what a policy for every project says, and that policy is what shared says", async () => {
  const id = await network();
  const set = (shared: boolean) => server.admin.put(`/v2.0/networks/${id}`, { network: { shared } });
  assert.equal(((await set(true)).body.network as Json).shared, true);
  const [policy = {}] = await policies(red.member, `object_id=${id}`);
  assert.deepEqual([policy.target_tenant, policy.project_id], ["*", red.id]);
  assert.equal((await set(true)).status, 200);
  assert.equal((await policies(red.member, `object_id=${id}`)).length, 1);
  assert.equal((await red.member.show("network", id)).shared, true);
  assert.equal((await blue.reader.show("network", id)).shared, true);
  assert.equal(((await set(false)).body.network as Json).shared, false);
  assert.deepEqual(await policies(red.member, `object_id=${id}`), []);
  const wild = policyOf(await give(id, "*", server.admin));
  assert.equal((await blue.reader.show("network", id)).shared, true);
  assert.equal((await take(wild, server.admin)).status, 204);
  assert.equal((await blue.reader.get(`/v2.0/networks/${id}`)).status, 404);
  const born = await server.admin.create("network", { name: "n", shared: true, project_id: red.id });
  assert.deepEqual(
    (await policies(red.member, `object_id=${born.id}`)).map((each) => each.target_tenant),
    ["*"],
  );
  assert.equal((await red.member.delete(`/v2.0/networks/${born.id}`)).status, 204);
  assert.deepEqual(await policies(server.admin, `object_id=${born.id}`), [], "the policies went with it");
});

test("subnets are asked for by whether their network is shared, and do not say so", async () => {
  const id = await network();
  const mine = await red.member.create("subnet", { network_id: id, ip_version: 4, cidr: "10.0.0.0/24" });
  const shared = async (query: string, client = red.member): Promise<boolean> => {
    return (await client.list("subnets", `id=${mine.id}&shared=${query}`)).length === 1;
  };
  assert.deepEqual([await shared("False"), await shared("True")], [true, false]);
  const policy = policyOf(await give(id, blue.id));
  assert.deepEqual([await shared("true", blue.member), await shared("false", blue.member)], [true, false]);
  await take(policy);
  assert.equal((await red.member.get("/v2.0/subnets?shared=maybe")).status, 400);
  assert.equal("shared" in (await red.member.show("subnet", mine.id)), false);
  const { status } = await red.member.post("/v2.0/subnets", { subnet: { network_id: id, shared: true } });
  assert.equal(status, 400);
});

test("who was given a network puts ports on it within limits, and keeps it as long as they stand there", async () => {
  const id = await network();
  await red.member.create("subnet", { network_id: id, ip_version: 4, cidr: "10.0.0.0/24" });
  const create = (values: Json, owner = blue) =>
    owner.member.post("/v2.0/ports", { port: { network_id: id, ...values } });
  assert.deepEqual(told(await create({})), [404, "NetworkNotFound"]);
  const policy = policyOf(await give(id, blue.id));
  const made = await create({});
  assert.equal(made.status, 201);
  for (const values of [
    { fixed_ips: [{ ip_address: "10.0.0.99" }] },
    { mac_address: "fa:16:3e:01:02:03" },
    { port_security_enabled: false },
    { device_owner: "network:dhcp" },
  ])
    assert.deepEqual(told(await create(values)), [403, "PolicyNotAuthorized"], JSON.stringify(values));
  const subnet = { network_id: id, ip_version: 4, cidr: "10.9.0.0/24" };
  assert.equal((await blue.member.post("/v2.0/subnets", { subnet })).status, 403);
  assert.equal((await blue.member.put(`/v2.0/networks/${id}`, { network: { name: "x" } })).status, 403);
  assert.equal((await blue.member.list("ports", `network_id=${id}`)).length, 1, "only its own");
  await create({}, red);
  assert.equal((await blue.member.list("ports", `network_id=${id}`)).length, 1);
  assert.equal((await red.member.list("ports", `network_id=${id}`)).length, 2);
  const refused = await take(policy);
  assert.deepEqual(told(refused), [409, "RbacPolicyInUse"]);
  assert.equal(
    errorOf(refused).message,
    `RBAC policy on object ${id} cannot be removed because other objects depend on it.\nDetails: Unable to reconfigure sharing settings for network ${id}. Multiple tenants are using it.`,
  );
  const away = await red.member.put(`/v2.0/rbac-policies/${policy.id}`, { rbac_policy: { target_tenant: green.id } });
  assert.deepEqual(told(away), [409, "RbacPolicyInUse"]);
  // Another policy that lets it stay is enough; then that one is what stays.
  const wild = policyOf(await give(id, "*", server.admin));
  assert.equal((await take(policy)).status, 204);
  assert.deepEqual(told(await take(wild, server.admin)), [409, "RbacPolicyInUse"]);
  const unshared = () => server.admin.put(`/v2.0/networks/${id}`, { network: { shared: false } });
  assert.deepEqual(told(await unshared()), [409, "InvalidSharedSetting"]);
  const again = policyOf(await give(id, blue.id));
  assert.equal((await unshared()).status, 200, "the port's project has it by name");
  assert.deepEqual(told(await take(again)), [409, "RbacPolicyInUse"]);
  assert.equal((await blue.member.delete(`/v2.0/ports/${(made.body.port as Json).id}`)).status, 204);
  assert.equal((await take(again)).status, 204);
});

test("who may give what: owners to single projects, admins to all; nothing that one does not own or see", async () => {
  const id = await network();
  assert.deepEqual(told(await give(id, "*")), [403, "PolicyNotAuthorized"]);
  assert.deepEqual(told(await give(id, green.id, red.reader)), [403, "PolicyNotAuthorized"]);
  const unseen = await give(id, green.id, blue.member);
  assert.deepEqual(told(unseen), [400, "InvalidInput"]);
  const nowhere = await give("00000000-0000-4000-8000-000000000000", green.id, blue.member);
  assert.equal(
    errorOf(unseen).message.replace(id, "X"),
    errorOf(nowhere).message.replace(/[0-9a-f-]{36}/, "X"),
    "what one may not see is as if it were not there",
  );
  const policy = policyOf(await give(id, blue.id));
  assert.match(
    errorOf(await give(id, green.id, blue.member)).message,
    /Only admins can manipulate policies on networks/,
  );
  assert.deepEqual(told(await give(id, blue.id)), [409, "DuplicateRbacPolicy"]);
  const other = policyOf(await give(id, green.id));
  const same = await red.member.put(`/v2.0/rbac-policies/${other.id}`, { rbac_policy: { target_tenant: blue.id } });
  assert.deepEqual(told(same), [409, "DuplicateRbacPolicy"]);
  const wild = await red.member.put(`/v2.0/rbac-policies/${other.id}`, { rbac_policy: { target_tenant: "*" } });
  assert.deepEqual(told(wild), [403, "PolicyNotAuthorized"]);
  for (const [more, type] of [
    [{ action: "nope" }, "InvalidActionForType"],
    [{ object_type: "nope" }, "InvalidInput"],
    [{ object_type: "subnetpool" }, "InvalidInput"],
  ] as const)
    assert.equal(errorOf(await give(id, blue.id, red.member, more)).type, type, JSON.stringify(more));
  for (const client of [blue.member, blue.reader]) {
    assert.equal((await client.get(`/v2.0/rbac-policies/${policy.id}`)).status, 404, "who was given it is not told so");
    assert.deepEqual(await policies(client), []);
    assert.equal((await take(policy, client)).status, 404);
  }
  assert.equal((await take(policy, red.reader)).status, 403);
  const fixed = await red.member.put(`/v2.0/rbac-policies/${policy.id}`, { rbac_policy: { object_id: id } });
  assert.match(errorOf(fixed).message, /Cannot update read-only attribute object_id/);
  const filtered = await policies(server.admin, `object_type=network&target_tenant=${green.id}&object_id=${id}`);
  assert.deepEqual(
    filtered.map((each) => each.id),
    [other.id],
  );
});

test("an address scope given to all cannot be taken back by PUT, and a policy's object takes its policies along", async () => {
  const made = await server.admin.post("/v2.0/address-scopes", {
    address_scope: { name: "s", ip_version: 6, shared: true },
  });
  const scope = made.body.address_scope as Json;
  assert.equal(scope.shared, true);
  assert.equal((await blue.reader.get(`/v2.0/address-scopes/${scope.id}`)).status, 200);
  const put = (values: Json, client = server.admin) =>
    client.put(`/v2.0/address-scopes/${scope.id}`, { address_scope: values });
  assert.deepEqual(told(await put({ shared: false })), [400, "AddressScopeUpdateError"]);
  assert.deepEqual(told(await put({ name: "x" }, blue.member)), [403, "PolicyNotAuthorized"]);
  assert.equal(((await put({ name: "t" })).body.address_scope as Json).name, "t");
  assert.equal((await policies(server.admin, `object_id=${scope.id}`)).length, 1);
  assert.equal((await server.admin.delete(`/v2.0/address-scopes/${scope.id}`)).status, 204);
  assert.deepEqual(await policies(server.admin, `object_id=${scope.id}`), []);
});
