/** Subnet pools and address scopes by the API: what they give, to whom, and what they refuse. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Answer, errorOf, type Json, startTestServer, type TestProject, type TestServer } from "../testing/mod.ts";

let server: TestServer;
let red: TestProject;
let blue: TestProject;
before(async () => {
  server = await startTestServer({ on: "memory" });
  [red, blue] = await Promise.all([server.project("red"), server.project("blue")]);
});
after(() => server[Symbol.asyncDispose]());

const told = (answer: Answer): readonly [number, string] => [answer.status, errorOf(answer).type];
const pool = (values: Json, owner = red) => owner.member.create("subnetpool", { name: "p", ...values });
const postPool = (values: Json, owner = red) =>
  owner.member.post("/v2.0/subnetpools", { subnetpool: { name: "p", ...values } });
const putPool = (id: unknown, values: Json, client = red.member) =>
  client.put(`/v2.0/subnetpools/${String(id)}`, { subnetpool: values });
const scope = async (values: Json = {}, owner = red): Promise<Json> =>
  (await owner.member.post("/v2.0/address-scopes", { address_scope: { ip_version: 4, ...values } })).body
    .address_scope as Json;
const network = async (owner = red): Promise<string> => (await owner.member.create("network", { name: "n" })).id;
const postSubnet = (network_id: string, values: Json, owner = red) =>
  owner.member.post("/v2.0/subnets", { subnet: { network_id, ip_version: 4, ...values } });
const subnetOf = (answer: Answer): Json => answer.body.subnet as Json;

test("a pool of IPv6 gives /64s, and takes back those of a subnet and of a network that went", async () => {
  const made = await pool({ prefixes: ["2001:db8:1::/62"] });
  assert.deepEqual(
    [made.ip_version, made.min_prefixlen, made.max_prefixlen, made.default_prefixlen, made.default_quota],
    [6, "64", "128", "64", null],
  );
  const id = await network();
  const take = () => postSubnet(id, { ip_version: 6, subnetpool_id: made.id });
  const four = [await take(), await take(), await take(), await take()].map(subnetOf);
  assert.deepEqual(
    four.map((subnet) => subnet.cidr),
    ["2001:db8:1::/64", "2001:db8:1:1::/64", "2001:db8:1:2::/64", "2001:db8:1:3::/64"],
  );
  const full = await take();
  assert.deepEqual(told(full), [500, "SubnetAllocationError"]);
  assert.match(errorOf(full).message, /Insufficient prefix space to allocate subnet size \/64/);
  assert.equal((await red.member.delete(`/v2.0/subnets/${four[2]?.id}`)).status, 204);
  assert.equal(subnetOf(await take()).cidr, "2001:db8:1:2::/64");
  assert.deepEqual(told(await red.member.delete(`/v2.0/subnetpools/${made.id}`)), [400, "SubnetPoolDeleteError"]);
  assert.equal((await red.member.delete(`/v2.0/networks/${id}`)).status, 204);
  const whole = { ip_version: 6, subnetpool_id: made.id, cidr: "2001:db8:1:3::/64" };
  assert.equal(subnetOf(await postSubnet(await network(), whole)).cidr, whole.cidr);
});

test("what is asked of a pool: sizes, families, its own blocks, and no two ways at once", async () => {
  const { id } = await pool({
    prefixes: ["10.80.0.0/16"],
    min_prefixlen: 20,
    max_prefixlen: 28,
    default_prefixlen: 26,
  });
  const here = await network();
  for (const [values, status, type] of [
    [{ prefixlen: 29 }, 400, "MaxPrefixSubnetAllocationError"],
    [{ prefixlen: 19 }, 400, "MinPrefixSubnetAllocationError"],
    [{ cidr: "10.81.0.0/24" }, 500, "SubnetAllocationError"],
    [{ cidr: "10.80.0.0/24", prefixlen: 24 }, 400, "BadRequest"],
    [{ ip_version: 6 }, 400, "BadRequest"],
    [{ allocation_pools: [{ start: "10.80.0.9", end: "10.80.0.10" }] }, 400, "BadRequest"],
    [{ use_default_subnetpool: true }, 400, "BadRequest"],
    [{ prefixlen: -1 }, 400, "HTTPBadRequest"],
  ] as const) {
    assert.deepEqual(
      told(await postSubnet(here, { subnetpool_id: id, ...values })),
      [status, type],
      JSON.stringify(values),
    );
  }
  const own = await postSubnet(here, { subnetpool_id: id, cidr: "10.80.16.0/24", gateway_ip: null });
  assert.deepEqual(
    [subnetOf(own).cidr, subnetOf(own).gateway_ip, subnetOf(own).subnetpool_id, "prefixlen" in subnetOf(own)],
    ["10.80.16.0/24", null, id, false],
  );
  assert.equal((await postSubnet(here, { subnetpool_id: id, cidr: "10.80.16.128/25" })).status, 500, "not twice");
  assert.equal(
    subnetOf(await postSubnet(here, { subnetpool_id: id })).cidr,
    "10.80.17.0/26",
    "of the smallest that fits",
  );
  const plain = await postSubnet(here, { cidr: "10.99.0.0/24" });
  assert.deepEqual(told(plain), [400, "NetworkSubnetPoolAffinityError"]);
  const second = await pool({ prefixes: ["10.82.0.0/16"] });
  assert.equal(
    errorOf(await postSubnet(here, { subnetpool_id: second.id, prefixlen: 24 })).type,
    "NetworkSubnetPoolAffinityError",
  );
  const bulk = await red.member.post("/v2.0/subnets", {
    subnets: [1, 2, 3].map(() => ({ network_id: here, ip_version: 4, subnetpool_id: id, prefixlen: 28 })),
  });
  const blocks = (bulk.body.subnets as readonly Json[]).map((subnet) => subnet.cidr);
  assert.deepEqual(blocks, ["10.80.17.64/28", "10.80.17.80/28", "10.80.17.96/28"]);
});

test("many at once from one pool: no two blocks overlap", async () => {
  const { id } = await pool({ prefixes: ["10.83.0.0/18"], min_prefixlen: 24, default_prefixlen: 26 });
  const here = await network();
  const lengths = Array.from({ length: 40 }, (_, n) => 24 + (n % 5));
  const made = await Promise.all(lengths.map((prefixlen) => postSubnet(here, { subnetpool_id: id, prefixlen })));
  assert.deepEqual([...new Set(made.map((answer) => answer.status))], [201]);
  const spans = made
    .map((answer) => String(subnetOf(answer).cidr).split("/"))
    .map(([ip = "", length]) => {
      const first = ip.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
      return { first, last: first + 2 ** (32 - Number(length)) - 1 };
    })
    .toSorted((a, b) => a.first - b.first);
  for (const [n, span] of spans.entries()) assert.ok(n === 0 || span.first > (spans[n - 1]?.last ?? 0));
});

test("what a pool may be: prefixes merged, of one family, lengths in order", async () => {
  const merged = await pool({ prefixes: ["10.90.1.0/24", "10.90.0.0/24", "10.90.0.128/25"] });
  assert.deepEqual(
    [merged.prefixes, merged.min_prefixlen, merged.max_prefixlen, merged.default_prefixlen],
    [["10.90.0.0/23"], "8", "32", "8"],
  );
  for (const [values, type] of [
    [{ prefixes: [] }, "EmptySubnetPoolPrefixList"],
    [{ prefixes: ["10.0.0.0/8", "fd00::/8"] }, "PrefixVersionMismatch"],
    [{ prefixes: ["10.0.0.0/8"], min_prefixlen: 25, max_prefixlen: 24 }, "IllegalSubnetPoolPrefixBounds"],
    [{ prefixes: ["10.0.0.0/8"], max_prefixlen: 33 }, "IllegalSubnetPoolPrefixBounds"],
    [{ prefixes: ["10.0.0.0/8"], default_prefixlen: 7 }, "IllegalSubnetPoolPrefixBounds"],
    [{ prefixes: ["::/64"] }, "BadRequest"],
    [{ prefixes: ["10.0.0.0/8"], name: " " }, "HTTPBadRequest"],
    [{ prefixes: ["ten"] }, "HTTPBadRequest"],
    [{}, "HTTPBadRequest"],
    [{ prefixes: ["10.0.0.0/8"], address_scope_id: merged.id }, "AddressScopeNotFound"],
  ] as const) {
    assert.equal(errorOf(await postPool(values)).type, type, JSON.stringify(values));
  }
  assert.equal(errorOf(await putPool(merged.id, { prefixes: ["10.90.0.0/24"] })).type, "IllegalSubnetPoolPrefixUpdate");
  const grown = await putPool(merged.id, { prefixes: ["10.90.0.0/22"], default_prefixlen: 24 });
  assert.deepEqual((grown.body.subnetpool as Json).prefixes, ["10.90.0.0/22"]);
  assert.equal(errorOf(await putPool(merged.id, { max_prefixlen: 23 })).type, "IllegalSubnetPoolPrefixBounds");
  assert.equal((await putPool(merged.id, { shared: true }, server.admin)).status, 400, "not by PUT");
  const here = await network();
  const wanted = ["10.90.0.0/24", "10.90.1.0/24", "10.90.2.0/24", "10.90.3.0/24"];
  for (const cidr of wanted) assert.equal(subnetOf(await postSubnet(here, { subnetpool_id: merged.id })).cidr, cidr);
});

test("add_prefixes and remove_prefixes: merged, and never what a subnet has", async () => {
  const { id } = await pool({ prefixes: ["10.70.0.0/16"], default_prefixlen: 24 });
  const change = (name: string, prefixes: unknown, client = red.member) =>
    client.put(`/v2.0/subnetpools/${id}/${name}`, { prefixes });
  const prefixesOf = (answer: Answer): unknown => answer.body.prefixes;
  // As a Neutron with its other driver was captured.
  assert.deepEqual(prefixesOf(await change("add_prefixes", ["10.71.0.0/16"])), ["10.70.0.0/15"]);
  assert.deepEqual(prefixesOf(await change("remove_prefixes", ["10.71.0.0/16"])), ["10.70.0.0/16"]);
  const here = await network();
  assert.equal(subnetOf(await postSubnet(here, { subnetpool_id: id })).cidr, "10.70.0.0/24");
  assert.deepEqual(told(await change("remove_prefixes", ["10.70.0.0/20"])), [400, "IllegalSubnetPoolPrefixUpdate"]);
  assert.deepEqual(prefixesOf(await change("remove_prefixes", ["10.70.1.0/24", "10.99.0.0/16"])), [
    "10.70.0.0/24",
    "10.70.2.0/23",
    "10.70.4.0/22",
    "10.70.8.0/21",
    "10.70.16.0/20",
    "10.70.32.0/19",
    "10.70.64.0/18",
    "10.70.128.0/17",
  ]);
  assert.equal(subnetOf(await postSubnet(here, { subnetpool_id: id })).cidr, "10.70.2.0/24");
  assert.equal((await change("add_prefixes", undefined)).status, 400);
  assert.deepEqual(told(await change("add_prefixes", ["fd00::/48"])), [400, "PrefixVersionMismatch"]);
  assert.deepEqual(told(await change("add_prefixes", ["10.1.0.0/16"], red.reader)), [403, "PolicyNotAuthorized"]);
  assert.deepEqual(told(await change("add_prefixes", ["10.1.0.0/16"], blue.member)), [404, "SubnetPoolNotFound"]);
});

test("a default pool: one for each family, and only an admin's to make; used by whom it was given to", async () => {
  assert.equal((await postPool({ prefixes: ["10.60.0.0/16"], is_default: true })).status, 403);
  const create = (values: Json) =>
    server.admin.post("/v2.0/subnetpools", { subnetpool: { name: "d", is_default: true, ...values } });
  const v4 = (await create({ prefixes: ["10.60.0.0/16"], default_prefixlen: 24 })).body.subnetpool as Json;
  assert.deepEqual(told(await create({ prefixes: ["10.61.0.0/16"] })), [400, "InvalidInput"]);
  assert.equal((await create({ prefixes: ["fd60::/48"], shared: true })).status, 201);
  const here = await network();
  const v4Default = { use_default_subnetpool: true };
  assert.match(errorOf(await postSubnet(here, v4Default)).message, /No default subnetpool found for IPv4/);
  const shares = await server.admin.post("/v2.0/rbac-policies", {
    rbac_policy: { object_type: "subnetpool", object_id: v4.id, action: "access_as_shared", target_tenant: red.id },
  });
  assert.equal(shares.status, 201);
  assert.equal(subnetOf(await postSubnet(here, v4Default)).cidr, "10.60.0.0/24");
  assert.equal(subnetOf(await postSubnet(here, { ...v4Default, ip_version: 6 })).cidr, "fd60::/64");
  const unset = await putPool(v4.id, { is_default: false }, server.admin);
  assert.equal(unset.status, 200);
  assert.equal((await create({ prefixes: ["10.61.0.0/16"] })).status, 201);
});

test("a quota holds for each project on its own", async () => {
  const { id } = await pool({ prefixes: ["10.62.0.0/16"], default_prefixlen: 25, default_quota: 256 });
  const give = await server.admin.post("/v2.0/rbac-policies", {
    rbac_policy: { object_type: "subnetpool", object_id: id, action: "access_as_shared", target_tenant: blue.id },
  });
  assert.equal(give.status, 201);
  for (const owner of [red, blue]) {
    const here = await network(owner);
    const take = (prefixlen: number) => postSubnet(here, { subnetpool_id: id, prefixlen }, owner);
    assert.equal((await take(25)).status, 201);
    assert.deepEqual(told(await take(24)), [409, "SubnetPoolQuotaExceeded"]);
    const last = await take(25);
    assert.equal(last.status, 201);
    assert.deepEqual(told(await take(32)), [409, "SubnetPoolQuotaExceeded"]);
    await owner.member.delete(`/v2.0/subnets/${subnetOf(last).id}`);
    assert.equal((await take(26)).status, 201);
  }
  assert.equal((await putPool(id, { default_quota: 10 })).status, 200, "what was taken stays");
});

test("address scopes: of one family, each address in one pool, and a network in one scope", async () => {
  const [a, b] = [await scope({ name: "a" }), await scope({ name: "b" })];
  const first = await pool({ prefixes: ["10.64.0.0/16"], address_scope_id: a.id, default_prefixlen: 24 });
  assert.deepEqual(told(await postPool({ prefixes: ["10.64.9.0/24"], address_scope_id: a.id })), [
    409,
    "AddressScopePrefixConflict",
  ]);
  const second = await pool({ prefixes: ["10.65.0.0/16"], address_scope_id: a.id, default_prefixlen: 24 });
  const same = await pool({ prefixes: ["10.64.9.0/24"], address_scope_id: b.id, default_prefixlen: 24 });
  assert.deepEqual(told(await putPool(same.id, { address_scope_id: a.id })), [409, "AddressScopePrefixConflict"]);
  const grown = await red.member.put(`/v2.0/subnetpools/${second.id}/add_prefixes`, { prefixes: ["10.64.0.0/24"] });
  assert.deepEqual(told(grown), [409, "AddressScopePrefixConflict"]);
  assert.deepEqual(told(await postPool({ prefixes: ["fd00::/48"], address_scope_id: a.id })), [
    400,
    "IllegalSubnetPoolIpVersionAssociation",
  ]);
  const here = await network();
  const scopes = async (): Promise<readonly unknown[]> => {
    const { ipv4_address_scope, ipv6_address_scope } = await red.member.show("network", here);
    return [ipv4_address_scope, ipv6_address_scope];
  };
  assert.deepEqual(await scopes(), [null, null]);
  assert.equal((await postSubnet(here, { subnetpool_id: first.id })).status, 201);
  assert.deepEqual(await scopes(), [a.id, null]);
  assert.equal((await postSubnet(here, { subnetpool_id: second.id })).status, 201, "another pool of the scope");
  for (const values of [{ subnetpool_id: same.id }, { cidr: "10.1.0.0/24" }])
    assert.deepEqual(told(await postSubnet(here, values)), [400, "NetworkAddressScopeAffinityError"]);
  assert.equal((await postSubnet(here, { ip_version: 6, cidr: "fd01::/64" })).status, 201, "the other family is free");
  assert.deepEqual(told(await putPool(first.id, { address_scope_id: b.id })), [
    400,
    "NetworkAddressScopeAffinityError",
  ]);
  const alone = await network();
  const moving = await pool({ prefixes: ["10.66.0.0/16"], default_prefixlen: 24 });
  assert.equal((await postSubnet(alone, { subnetpool_id: moving.id })).status, 201);
  for (const to of [a.id, b.id, null]) {
    assert.equal((await putPool(moving.id, { address_scope_id: to })).status, 200);
    assert.equal((await red.member.show("network", alone)).ipv4_address_scope, to, "moves with the pool");
  }
  assert.deepEqual(told(await red.member.delete(`/v2.0/address-scopes/${a.id}`)), [409, "AddressScopeInUse"]);
  const empty = await scope();
  assert.equal((await red.member.delete(`/v2.0/address-scopes/${empty.id}`)).status, 204);
});

test("another project sees neither scope nor pool, and takes nothing from them, until they are shared with it", async () => {
  const mine = await scope({ name: "mine" });
  const { id } = await pool({ prefixes: ["10.67.0.0/16"], address_scope_id: mine.id, default_prefixlen: 24 });
  const here = await network(blue);
  const seen = async (): Promise<readonly number[]> => {
    const statuses = [];
    for (const path of [`subnetpools/${id}`, `address-scopes/${mine.id}`])
      statuses.push((await blue.reader.get(`/v2.0/${path}`)).status);
    const listed = [...(await blue.reader.list("subnetpools")), ...(await listScopes())];
    return [...statuses, listed.filter((each) => each.id === id || each.id === mine.id).length];
  };
  const listScopes = async () => (await blue.reader.get("/v2.0/address-scopes")).body.address_scopes as readonly Json[];
  assert.deepEqual(await seen(), [404, 404, 0]);
  assert.deepEqual(told(await postSubnet(here, { subnetpool_id: id }, blue)), [404, "SubnetPoolNotFound"]);
  assert.deepEqual(told(await postPool({ prefixes: ["10.1.0.0/16"], address_scope_id: mine.id }, blue)), [
    404,
    "AddressScopeNotFound",
  ]);
  assert.equal((await putPool(id, { name: "x" }, blue.member)).status, 404);
  const share = (object_type: string, object_id: unknown) =>
    red.member.post("/v2.0/rbac-policies", {
      rbac_policy: { object_type, object_id, action: "access_as_shared", target_tenant: blue.id },
    });
  assert.equal((await share("subnetpool", id)).status, 400, "its scope is not shared yet");
  assert.equal((await share("address_scope", mine.id)).status, 201);
  assert.equal((await share("subnetpool", id)).status, 201);
  assert.deepEqual(await seen(), [200, 200, 2]);
  assert.equal((await postSubnet(here, { subnetpool_id: id }, blue)).status, 201);
  assert.deepEqual(told(await putPool(id, { name: "x" }, blue.member)), [403, "PolicyNotAuthorized"]);
  const theirs = await pool({ prefixes: ["10.1.0.0/16"], address_scope_id: mine.id }, blue);
  assert.deepEqual(told(await putPool(theirs.id, { name: "x" }, blue.member)), [400, "IllegalSubnetPoolUpdate"]);
  const policies = (await red.member.get("/v2.0/rbac-policies")).body.rbac_policies as readonly Json[];
  const ours = policies.filter((policy) => policy.object_id === id || policy.object_id === mine.id);
  assert.equal(ours.length, 2);
  for (const policy of ours)
    assert.deepEqual(told(await red.member.delete(`/v2.0/rbac-policies/${policy.id}`)), [409, "RbacPolicyInUse"]);
});
