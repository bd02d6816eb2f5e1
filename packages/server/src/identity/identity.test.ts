import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { ManualClock } from "@selvage/base";
import { openMemory } from "@selvage/store";
import {
  type Answer,
  errorOf,
  type Json,
  passwordAuth,
  startTestServer,
  TestClient,
  testPassword,
} from "../testing/mod.ts";

const v3 = "/identity/v3";
const tokenOf = (answer: Answer): string => answer.headers.get("x-subject-token") ?? "";

test("discovery: choices at the root, one version below, to anybody", async () => {
  await using server = await startTestServer();
  const root = await server.nobody.get("/identity/");
  assert.equal(root.status, 300);
  const [version] = (root.body.versions as { values: readonly Json[] }).values;
  assert.deepEqual(Object.keys(version ?? {}).sort(), ["id", "links", "media-types", "status", "updated"]);
  assert.deepEqual((await server.nobody.get(`${v3}/`)).body, { version });
  assert.deepEqual(version?.links, [{ rel: "self", href: `${server.url}/identity/v3/` }]);
});

test("a login answers as the captured Keystone does: same members, same forms", async () => {
  await using server = await startTestServer();
  const red = await server.project("red");
  const answer = await server.nobody.post(`${v3}/auth/tokens`, passwordAuth("red-member", testPassword, "red"));
  assert.equal(answer.status, 201);
  const token = answer.body.token as Json;
  assert.deepEqual(Object.keys(token).sort(), [
    "audit_ids",
    "catalog",
    "expires_at",
    "is_domain",
    "issued_at",
    "methods",
    "project",
    "roles",
    "user",
  ]);
  const domain = { id: "default", name: "Default" };
  assert.deepEqual(token.project, { domain, id: red.id, name: "red" });
  assert.deepEqual(
    (token.roles as readonly Json[]).map((role) => role.name),
    ["member", "reader"],
    "member implies reader",
  );
  assert.deepEqual((token.user as Json).domain, domain);
  assert.equal((token.user as Json).password_expires_at, null);
  assert.match(String(token.expires_at), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000000Z$/);
  assert.match(String((token.audit_ids as readonly string[])[0]), /^[\w-]{22}$/);
  assert.equal(Date.parse(String(token.expires_at)) - Date.parse(String(token.issued_at)), 3_600_000);
  const services = new Map(
    (token.catalog as readonly Json[]).map((service) => [service.type, service.endpoints as readonly Json[]]),
  );
  assert.deepEqual([...services.keys()].sort(), ["identity", "network"]);
  for (const endpoints of services.values()) {
    assert.deepEqual(endpoints.map((each) => each.interface).toSorted(), ["admin", "internal", "public"]);
  }
  assert.equal(services.get("network")?.[0]?.url, server.url);
});

test("whatever is wrong with a login, the answer is the same 401", async () => {
  await using server = await startTestServer();
  const red = await server.project("red");
  await server.project("blue");
  const disabled = await server.user("gone", red.id, "member");
  await server.admin.request("PATCH", `${v3}/users/${disabled}`, { user: { enabled: false } });
  const domain = { id: "other" };
  const texts = new Set<string>();
  for (const body of [
    passwordAuth("red-member", "wrong", "red"),
    passwordAuth("nobody-at-all", testPassword, "red"),
    passwordAuth("gone", testPassword, "red"),
    passwordAuth("red-member", testPassword, "blue"),
    passwordAuth("red-member", testPassword, "no-such-project"),
    passwordAuth("red-member", "", "red"),
    {
      auth: {
        identity: { methods: ["password"], password: { user: { name: "red-member", domain, password: testPassword } } },
      },
    },
    { auth: { identity: { methods: ["password", "totp"], password: {} } } },
    { auth: { identity: { methods: ["token"], token: { id: "forged" } } } },
    { auth: { identity: { methods: [] } } },
  ]) {
    const answer = await server.nobody.post(`${v3}/auth/tokens`, body);
    assert.equal(answer.status, 401, JSON.stringify(body));
    assert.match(answer.headers.get("www-authenticate") ?? "", /^Keystone uri="http.*\/identity\/v3"$/);
    texts.add(answer.text);
  }
  assert.deepEqual(
    [...texts].map((text) => JSON.parse(text) as unknown),
    [{ error: { code: 401, title: "Unauthorized", message: "The request you have made requires authentication." } }],
  );
  for (const body of ["{", "[]", "{}", '{"auth":{}}', '{"auth":1}']) {
    assert.equal((await server.nobody.post(`${v3}/auth/tokens`, body)).status, 400, body);
  }
});

test("a token is validated by its bearer and by an admin, given back once, and then holds nowhere", async () => {
  const store = openMemory();
  await using server = await startTestServer({ store });
  await using other = await startTestServer({ store, dataDir: server.dataDir });
  const red = await server.project("red");
  await other.running.core.writer.reached(server.running.core.writer.replica.revision);
  const elsewhere = new TestClient(other.url, red.member.token);
  assert.equal((await elsewhere.get("/v2.0/networks")).status, 200, "a token holds on every server of the store");
  const subject = { "x-subject-token": red.member.token ?? "" };
  for (const asker of [red.member, server.admin]) {
    const shown = await asker.get(`${v3}/auth/tokens`, subject);
    assert.equal(shown.status, 200);
    assert.equal(((shown.body.token as Json).user as Json).name, "red-member");
    assert.equal(tokenOf(shown), red.member.token);
  }
  const head = await red.member.request("HEAD", `${v3}/auth/tokens`, undefined, subject);
  assert.deepEqual([head.status, head.text], [200, ""]);
  assert.equal((await red.reader.get(`${v3}/auth/tokens`, subject)).status, 403, "another's token is not shown");
  assert.equal((await red.member.get(`${v3}/auth/tokens`, { "x-subject-token": "forged" })).status, 404);
  const revision = server.running.core.writer.replica.revision + 1;
  assert.equal((await red.member.delete(`${v3}/auth/tokens`, subject)).status, 204);
  assert.equal((await red.member.get("/v2.0/networks")).status, 401);
  await other.running.core.writer.reached(revision);
  assert.equal((await elsewhere.get("/v2.0/networks")).status, 401);
});

test("a change of password, roles or enablement ends a user's tokens at once, on every server", async () => {
  const store = openMemory();
  await using server = await startTestServer({ store });
  await using other = await startTestServer({ store, dataDir: server.dataDir });
  const red = await server.project("red");
  const reader = String(
    (((await server.admin.get(`${v3}/roles?name=reader`)).body.roles as readonly Json[])[0] as Json).id,
  );
  const id = await server.user("eve", red.id, "member");
  const ends = async (what: string, change: () => Promise<Answer>, password = testPassword): Promise<void> => {
    const eve = await server.login("eve", password, "red");
    assert.equal((await eve.get("/v2.0/networks")).status, 200);
    const answer = await change();
    assert.ok(answer.status < 300, `${what}: ${answer.status} ${answer.text}`);
    assert.equal((await eve.get("/v2.0/networks")).status, 401, what);
    await other.running.core.writer.reached(server.running.core.writer.replica.revision);
    assert.equal((await new TestClient(other.url, eve.token).get("/v2.0/networks")).status, 401, `${what}, elsewhere`);
  };
  const user = (values: Json) => server.admin.request("PATCH", `${v3}/users/${id}`, { user: values });
  const grant = `${v3}/projects/${red.id}/users/${id}/roles/${reader}`;
  await ends("another role", () => server.admin.put(grant, undefined));
  await ends("one role less", () => server.admin.delete(grant));
  await ends("a password set by an admin", () => user({ password: "second" }));
  await ends("disabled", () => user({ enabled: false }), "second");
  await user({ enabled: true });
  await ends(
    "the project disabled",
    () => server.admin.request("PATCH", `${v3}/projects/${red.id}`, { project: { enabled: false } }),
    "second",
  );
  await server.admin.request("PATCH", `${v3}/projects/${red.id}`, { project: { enabled: true } });
  await ends("deleted", () => server.admin.delete(`${v3}/users/${id}`), "second");
});

test("a user changes its own password with the one it has, and nobody else's", async () => {
  await using server = await startTestServer();
  const red = await server.project("red");
  const shown = await red.member.get(`${v3}/auth/tokens`, { "x-subject-token": red.member.token ?? "" });
  const id = String(((shown.body.token as Json).user as Json).id);
  const change = (client: TestClient, original_password: string, password: string) =>
    client.post(`${v3}/users/${id}/password`, { user: { original_password, password } });
  assert.equal((await change(red.reader, testPassword, "x")).status, 403);
  assert.equal((await change(server.admin, testPassword, "x")).status, 403);
  assert.equal((await change(red.member, "wrong", "x")).status, 401);
  assert.equal((await change(red.member, testPassword, "another")).status, 204);
  await assert.rejects(server.login("red-member", testPassword, "red"), /401/);
  assert.ok((await server.login("red-member", "another", "red")).token);
});

test("a token got for a token holds no longer than that, and a token ends with its hour", async () => {
  const clock = new ManualClock();
  await using server = await startTestServer({ clock });
  const red = await server.project("red");
  clock.advance(3_000_000);
  const body = {
    auth: { identity: { methods: ["token"], token: { id: red.member.token } }, scope: { project: { id: red.id } } },
  };
  const answer = await server.nobody.post(`${v3}/auth/tokens`, body);
  assert.equal(answer.status, 201);
  assert.deepEqual((answer.body.token as Json).methods, ["password", "token"]);
  const second = new TestClient(server.url, tokenOf(answer));
  assert.equal((await second.get("/v2.0/networks")).status, 200);
  clock.advance(599_000);
  assert.equal((await second.get("/v2.0/networks")).status, 200);
  clock.advance(1_000);
  assert.equal((await second.get("/v2.0/networks")).status, 401);
  assert.equal((await red.member.get("/v2.0/networks")).status, 401);
});

test("guessing slows down: an account is held up after a few failures, and freed when the time has passed", async () => {
  const clock = new ManualClock();
  await using server = await startTestServer({ clock });
  await server.project("red");
  const attempt = (password: string) =>
    server.nobody.post(`${v3}/auth/tokens`, passwordAuth("red-member", password, "red"));
  for (let n = 0; n < 6; n++) assert.equal((await attempt("wrong")).status, 401);
  const held = await attempt(testPassword);
  assert.deepEqual([held.status, held.headers.get("retry-after")], [429, "1"]);
  await server.login("red-reader", testPassword, "red");
  clock.advance(1000);
  assert.equal((await attempt(testPassword)).status, 201);
  assert.equal((await attempt("wrong")).status, 401, "a success clears the account");
});

test("guesses sent at once are no more than guesses one by one: behind the first failures nothing is told, not even that one was right", async () => {
  const clock = new ManualClock();
  await using server = await startTestServer({ clock, settings: { passwordMemory: 8, passwordPasses: 1 } });
  const red = await server.project("red");
  const last = 30;
  const logins = Array.from({ length: last + 1 }, (_, n) =>
    server.nobody.post(
      `${v3}/auth/tokens`,
      passwordAuth("red-member", n === last ? testPassword : `wrong ${n}`, "red"),
    ),
  );
  const statuses = (await Promise.all(logins)).map(({ status }) => status);
  const failed = statuses.filter((status) => status === 401).length;
  assert.ok(failed >= 6 && failed <= 7, `${failed} were told: two hashes are at work at a time`);
  assert.equal(statuses.filter((status) => status === 429).length, last + 1 - failed);

  clock.advance(2_000);
  assert.equal(
    (await server.nobody.post(`${v3}/auth/tokens`, passwordAuth("red-member", testPassword, "red"))).status,
    201,
  );
  const { users } = (await server.admin.get(`${v3}/users?name=red-member`)).body as { users: readonly Json[] };
  const changes = Array.from({ length: 30 }, (_, n) =>
    red.member.post(`${v3}/users/${users[0]?.id}/password`, {
      user: { original_password: `wrong ${n}`, password: "p" },
    }),
  );
  const told = (await Promise.all(changes)).filter(({ status }) => status === 401).length;
  assert.ok(told >= 6 && told <= 7, `${told} were told`);
});

test("members that are not what they should be are refused in words, also where nobody has signed in", async () => {
  await using server = await startTestServer();
  const odd: readonly unknown[] = [
    null,
    1,
    true,
    "x",
    [],
    {},
    [null],
    [[]],
    [{}],
    [{ toString: 1 }],
    { toString: 1 },
    ["\u0000"],
  ];
  for (const methods of odd) {
    const identity = { methods, password: { user: { name: "admin", password: "wrong", domain: methods } } };
    for (const auth of [{ identity, scope: methods }, { identity: methods }, methods])
      assert.ok(
        [400, 401].includes((await server.nobody.post(`${v3}/auth/tokens`, { auth })).status),
        JSON.stringify(auth),
      );
  }
  for (const domain_id of odd.filter((value) => value !== null)) {
    for (const [path, body] of [
      ["projects", { project: { name: "odd", domain_id } }],
      ["users", { user: { name: "odd", domain_id } }],
    ] as const) {
      const answer = await server.admin.post(`${v3}/${path}`, body);
      assert.equal(answer.status, domain_id === "x" ? 404 : 400, answer.text);
      assert.match(errorOf(answer).message, /domain/);
    }
  }
});

test("what a test suite's dynamic credentials ask for, from the domain to the cleaning up", async () => {
  await using server = await startTestServer();
  const { admin } = server;
  assert.equal(((await admin.get(`${v3}/domains?name=Default`)).body.domains as readonly Json[])[0]?.id, "default");
  const roles = (await admin.get(`${v3}/roles`)).body.roles as readonly Json[];
  assert.deepEqual(
    roles.map((role) => role.name),
    ["admin", "member", "reader"],
  );
  assert.equal((await admin.post(`${v3}/roles`, { role: { name: "member" } })).status, 409);
  const project = await admin.post(`${v3}/projects`, {
    project: { name: "t", description: "t", domain_id: "default" },
  });
  const projectId = String((project.body.project as Json).id);
  assert.match(projectId, /^[0-9a-f]{32}$/);
  assert.equal((await admin.post(`${v3}/projects`, { project: { name: "t" } })).status, 409);
  const user = await admin.post(`${v3}/users`, {
    user: { name: "t", password: "p", project_id: projectId, domain_id: "default", email: "t@example.org" },
  });
  assert.equal(user.status, 201);
  assert.equal("password_hash" in (user.body.user as Json), false);
  const userId = String((user.body.user as Json).id);
  const role = `${v3}/projects/${projectId}/users/${userId}/roles/${String(roles[1]?.id)}`;
  assert.equal((await admin.get(role)).status, 404);
  assert.equal((await admin.put(role, undefined)).status, 204);
  assert.equal((await admin.put(role, undefined)).status, 204, "given twice is given");
  assert.equal((await admin.request("HEAD", role)).status, 204);
  const listed = (await admin.get(`${v3}/role_assignments?user.id=${userId}&include_names=True`)).body
    .role_assignments as readonly Json[];
  assert.equal(JSON.stringify(listed[0]?.scope).includes(`"name":"t"`), true);
  assert.equal((await admin.get(`${v3}/projects/t`)).status, 404, "a name is not an id: clients ask again by name");
  assert.equal(((await admin.get(`${v3}/projects?name=t`)).body.projects as readonly Json[]).length, 1);
  const member = await server.login("t", "p", "t");
  const network = await member.create("network", {});
  assert.equal((await admin.delete(`${v3}/projects/${projectId}`)).status, 409, "a project that owns something stays");
  await member.delete(`/v2.0/networks/${network.id}`);
  assert.equal((await admin.delete(`${v3}/users/${userId}`)).status, 204);
  assert.equal((await admin.delete(`${v3}/projects/${projectId}`)).status, 204);
  assert.equal((await admin.get(`${v3}/nope`)).status, 404);
  assert.equal((await server.nobody.get(`${v3}/nope`)).status, 401);
});

test("the admin's password is random, in a file that only its owner reads, and outlives a restart", async () => {
  await using server = await startTestServer({ on: "sqlite" });
  const file = await stat(join(server.dataDir, "admin-password"));
  assert.equal(file.mode & 0o777, 0o600);
  assert.ok(server.adminPassword.length >= 24);
  await using second = await startTestServer();
  assert.notEqual(second.adminPassword, server.adminPassword);
  await server.running.close();
  await using again = await startTestServer({ on: "sqlite", dataDir: server.dataDir });
  assert.equal(again.adminPassword, server.adminPassword);
  assert.equal(
    errorOf(await new TestClient(again.url, server.admin.token).get("/v2.0/networks")).type,
    "",
    "a token outlives it, too",
  );
});

test("with a new key every token that is out ends at once, those that were just looked at as well; signing in again works", async () => {
  await using server = await startTestServer();
  const red = await server.project("red");
  assert.equal((await red.member.get("/v2.0/networks")).status, 200);
  for (const key of ["none", 7, undefined])
    assert.equal((await server.admin.post("/v1/keys", { key })).status, 400, String(key));
  assert.equal((await red.member.post("/v1/keys", { key: "tokens" })).status, 403);
  assert.equal((await red.member.get("/v2.0/networks")).status, 200, "what was refused changed nothing");
  assert.equal((await server.admin.post("/v1/keys", { key: "tokens" })).status, 200);
  for (const client of [red.member, red.reader, server.admin])
    assert.equal((await client.get("/v2.0/networks")).status, 401);
  const anew = await server.login(red.memberName, testPassword, "red");
  assert.equal((await anew.get("/v2.0/networks")).status, 200);
});
