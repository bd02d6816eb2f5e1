/** Quotas: of every declared kind, enforced in the transaction, told and changed by who may. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { defaultSettings, noQuotas } from "../settings.ts";
import { type Answer, errorOf, type Json, startTestServer, type TestProject, type TestServer } from "../testing/mod.ts";

let server: TestServer;
let red: TestProject;
let blue: TestProject;
before(async () => {
  server = await startTestServer({ settings: { quotaRouter: 2 } });
  [red, blue] = await Promise.all([server.project("red"), server.project("blue")]);
});
after(() => server?.[Symbol.asyncDispose]());

const set = (project: TestProject, quota: Json) => server.admin.put(`/v2.0/quotas/${project.id}`, { quota });
const quotaOf = (answer: Answer) => answer.body.quota as Readonly<Record<string, number>>;
const refusal = (answer: Answer) => [answer.status, errorOf(answer).type, errorOf(answer).message];
const over = (kind: string) => [409, "OverQuota", `Quota exceeded for resources: ['${kind}'].`];

test("a project has the defaults until an admin says otherwise, for what the admin names; reset they are back", async () => {
  const defaults = quotaOf(await red.reader.get(`/v2.0/quotas/${red.id}/default`));
  assert.deepEqual([defaults.network, defaults.port, defaults.router], [defaultSettings.quotaNetwork, 500, 2]);
  assert.deepEqual(quotaOf(await red.reader.get(`/v2.0/quotas/${red.id}`)), defaults);
  assert.deepEqual((await server.admin.get("/v2.0/quotas")).body, { quotas: [] });
  const changed = await set(red, { port: 7, network: -1 });
  assert.deepEqual([changed.status, quotaOf(changed)], [200, { ...defaults, port: 7, network: -1 }]);
  assert.equal(quotaOf(await set(red, { subnet: 3 })).port, 7, "what is not named stays");
  const row = { ...defaults, port: 7, network: -1, subnet: 3, project_id: red.id, tenant_id: red.id };
  assert.deepEqual((await server.admin.get("/v2.0/quotas")).body, { quotas: [row] });
  assert.deepEqual(quotaOf(await blue.member.get(`/v2.0/quotas/${blue.id}`)), defaults);
  assert.equal((await server.admin.delete(`/v2.0/quotas/${red.id}`)).status, 204);
  assert.deepEqual(quotaOf(await red.reader.get(`/v2.0/quotas/${red.id}`)), defaults);
  assert.deepEqual(refusal(await server.admin.delete(`/v2.0/quotas/${red.id}`)), [
    404,
    "TenantQuotaNotFound",
    `Quota for tenant ${red.id} could not be found.`,
  ]);
});

test("what is one more than the quota is refused, in a bulk the whole of it, and what goes makes room", async () => {
  await set(red, { network: 2 });
  const post = (...names: readonly string[]) =>
    red.member.post("/v2.0/networks", { networks: names.map((name) => ({ name })) });
  assert.deepEqual(refusal(await post("a", "b", "c")), over("network"));
  assert.deepEqual(await red.member.list("networks"), []);
  const made = (await post("a", "b")).body.networks as readonly Json[];
  assert.deepEqual(refusal(await red.member.post("/v2.0/networks", { network: {} })), over("network"));
  assert.equal((await blue.member.post("/v2.0/networks", { network: {} })).status, 201, "each project has its own");
  // Whoever makes it: it counts for the project that will own it.
  const foreign = await server.admin.post("/v2.0/networks", { network: { project_id: red.id } });
  assert.deepEqual(refusal(foreign), over("network"));
  assert.equal((await red.member.delete(`/v2.0/networks/${made[0]?.id}`)).status, 204);
  const raced = await Promise.all(
    Array.from({ length: 8 }, (_, n) => red.member.post("/v2.0/networks", { network: { name: `r${n}` } })),
  );
  assert.equal(raced.filter(({ status }) => status === 201).length, 1);
  await server.admin.delete(`/v2.0/quotas/${red.id}`);
});

test("subnets, ports, routers, pools and policies are counted each; the details say how many there are", async () => {
  const network = await red.member.create("network", { name: "counted" });
  await red.member.create("subnet", { network_id: network.id, ip_version: 4, cidr: "10.0.0.0/24" });
  await red.member.create("port", { network_id: network.id });
  await red.member.create("port", { network_id: network.id });
  await red.member.create("router", { name: "r" });
  const details = (await red.reader.get(`/v2.0/quotas/${red.id}/details.json`)).body.quota as Readonly<
    Record<string, Json>
  >;
  assert.deepEqual(
    [details.subnet, details.port, details.router],
    [
      { limit: 100, used: 1, reserved: 0 },
      { limit: 500, used: 2, reserved: 0 },
      { limit: 2, used: 1, reserved: 0 },
    ],
  );
  assert.deepEqual((await red.reader.get(`/v2.0/quotas/${red.id}/details`)).body.quota, details);
  assert.equal((await red.member.post("/v2.0/routers", { router: {} })).status, 201);
  assert.deepEqual(refusal(await red.member.post("/v2.0/routers", { router: {} })), over("router"));
  const used = Object.fromEntries(Object.entries(details).map(([kind, { used }]) => [kind, used]));
  const bodies: Readonly<Record<string, readonly [string, Json]>> = {
    subnet: ["subnets", { network_id: network.id, ip_version: 4, cidr: "10.1.0.0/24" }],
    port: ["ports", { network_id: network.id }],
    subnetpool: ["subnetpools", { name: "p", prefixes: ["10.3.0.0/16"] }],
    rbac_policy: [
      "rbac-policies",
      { object_type: "network", object_id: network.id, action: "access_as_shared", target_tenant: blue.id },
    ],
  };
  for (const [kind, [path, values]] of Object.entries(bodies)) {
    await set(red, { [kind]: used[kind] });
    assert.deepEqual(refusal(await red.member.post(`/v2.0/${path}`, { [kind]: values })), over(kind), kind);
    await set(red, { [kind]: Number(used[kind]) + 1 });
    assert.equal((await red.member.post(`/v2.0/${path}`, { [kind]: values })).status, 201, kind);
  }
  await server.admin.delete(`/v2.0/quotas/${red.id}`);
});

test("a quota below what is in use is taken, and lets nothing more in; check_limit refuses it", async () => {
  const { port } = (await red.member.get(`/v2.0/quotas/${red.id}/details`)).body.quota as { port: { used: number } };
  const refused = await set(red, { port: 1, check_limit: true });
  const message = `Quota limit 1 for port must be greater than or equal to already used ${port.used}`;
  assert.deepEqual(refusal(refused), [400, "HTTPBadRequest", message]);
  assert.equal((await set(red, { port: port.used, check_limit: true })).status, 200);
  assert.equal((await set(red, { port: 1 })).status, 200);
  const [network] = await red.member.list("networks");
  assert.deepEqual(refusal(await red.member.post("/v2.0/ports", { port: { network_id: network?.id } })), over("port"));
  assert.equal((await set(red, { port: -1, check_limit: true })).status, 200);
  await server.admin.delete(`/v2.0/quotas/${red.id}`);
});

test("a body that is none, a kind that there is not, a limit that is none, a project that there is not: refused, and nothing is kept", async () => {
  for (const [quota, type, message] of [
    [{ nope: 1 }, "HTTPBadRequest", "Unrecognized attribute(s) 'nope'"],
    [{ network: "x" }, "InvalidInput", "Invalid input for operation: 'x' is not an integer."],
    [
      { network: -2 },
      "HTTPBadRequest",
      "Invalid input for network. Reason: '-2' is too small - must be at least '-1'.",
    ],
    [{ network: null }, "InvalidInput", "Invalid input for operation: 'None' is not an integer."],
  ] as const) {
    assert.deepEqual(refusal(await set(red, quota)), [400, type, message]);
  }
  assert.equal((await server.admin.put(`/v2.0/quotas/${red.id}`, {})).status, 400);
  assert.equal((await server.admin.put("/v2.0/quotas/nobody", { quota: { port: 1 } })).status, 400);
  assert.deepEqual((await server.admin.get("/v2.0/quotas")).body, { quotas: [] });
});

test("a named PUT is done once; a project's quota goes with it", async () => {
  const project = await server.project("gone");
  const put = () =>
    server.admin.put(`/v2.0/quotas/${project.id}`, { quota: { port: 3 } }, { "idempotency-key": "one" });
  const first = await put();
  const again = await put();
  assert.deepEqual([again.status, again.body], [first.status, first.body]);
  assert.equal(again.headers.get("idempotency-replayed"), "true");
  assert.equal((await server.admin.delete(`/identity/v3/projects/${project.id}`)).status, 204);
  assert.deepEqual((await server.admin.get("/v2.0/quotas")).body, { quotas: [] });
});

test("who asks is told which project's quota is its own; without quotas there is no limit", async () => {
  assert.deepEqual((await red.reader.get("/v2.0/quotas/tenant")).body, { tenant: { tenant_id: red.id } });
  assert.deepEqual((await red.reader.get("/v2.0/quotas/project")).body, { project: { project_id: red.id } });
  assert.deepEqual([...new Set(Object.values(noQuotas))], [-1]);
  assert.ok(Object.keys(noQuotas).length >= 9);
});
