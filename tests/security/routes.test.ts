/**
 * Every route that the server has, by its own table, tried by everybody who may not call it: whatever they bear, nothing is shown, nothing is
 * written, and the answer does not say more than it must. A route that is new has no case here, and fails until it has one.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  type Answer,
  type Json,
  passwordAuth,
  plainRoutes,
  type RouteShape,
  startTestServer,
  TestClient,
  type TestProject,
  type TestServer,
  testPassword,
} from "@selvage/server/testing";

/** What stands for the braces of a path, and what is sent: of the first project, to which the strangers do not belong. */
interface Case {
  readonly path: string;
  readonly body?: Json;
}

let server: TestServer;
let red: TestProject;
let blue: TestProject;
let redUser: string;
let ids: Readonly<Record<"network" | "subnet" | "port", string>>;
let joinToken: string;
let memberRole: string;

const userOf = async (name: string): Promise<string> => {
  const { users } = (await server.admin.get(`/identity/v3/users?name=${name}`)).body as { users: readonly Json[] };
  return String(users[0]?.id);
};

before(async () => {
  server = await startTestServer({ on: "sqlite" });
  [red, blue] = await Promise.all([server.project("red"), server.project("blue")]);
  redUser = await userOf(red.memberName);
  const { body } = await server.admin.post("/v1/hosts", { name: "h1" });
  joinToken = String(body.token);
  const { roles } = (await server.admin.get("/identity/v3/roles?name=member")).body as { roles: readonly Json[] };
  memberRole = String(roles[0]?.id);
  const network = await red.member.create("network", { name: "hidden-red" });
  const subnet = await red.member.create("subnet", {
    network_id: network.id,
    ip_version: 6,
    cidr: "fd00:ed::/64",
    name: "hidden-red",
  });
  const port = await red.member.create("port", { network_id: network.id, name: "hidden-red" });
  ids = { network: network.id, subnet: subnet.id, port: port.id };
});
after(() => server?.[Symbol.asyncDispose]());

const kindOf = (path: string) => (["network", "subnet", "port"] as const).find((kind) => path.includes(`/${kind}s`));

/** The case of a route. Throws for a route that nobody has thought of. */
function caseOf({ method, path }: RouteShape): Case {
  const own = path
    .replace("{project}", red.id)
    .replace("{user}", redUser)
    .replace("{host}", "h1")
    .replace("{domain}", "default")
    .replace("{alias}", "binding")
    .replace("{role}", memberRole);
  const bodies: Readonly<Record<string, Json>> = {
    "POST /identity/v3/auth/tokens": passwordAuth(red.memberName, "wrong", "red"),
    "POST /identity/v3/projects": { project: { name: "taken" } },
    "PATCH /identity/v3/projects/{project}": { project: { enabled: false } },
    "POST /identity/v3/users": { user: { name: "taken", password: "taken" } },
    "PATCH /identity/v3/users/{user}": { user: { enabled: false } },
    "POST /identity/v3/users/{user}/password": { user: { original_password: testPassword, password: "taken" } },
    "POST /identity/v3/roles": { role: { name: "taken" } },
    "POST /v1/hosts": { name: "taken" },
    "POST /v1/keys": { key: "authority" },
    "POST /v2.0/networks": { network: { name: "taken" } },
    "POST /v2.0/subnets": { subnet: { network_id: ids.network, ip_version: 4, cidr: "10.9.0.0/24" } },
    "POST /v2.0/ports": { port: { network_id: ids.network } },
    "PUT /v2.0/networks/{id}": { network: { name: "taken" } },
    "PUT /v2.0/subnets/{id}": { subnet: { name: "taken" } },
    "PUT /v2.0/ports/{id}": { port: { name: "taken" } },
  };
  const needsBody = method === "POST" || method === "PATCH" || (method === "PUT" && path.startsWith("/v2.0"));
  const body = bodies[`${method} ${path}`];
  assert.ok(!needsBody || body !== undefined, `no case for the new route ${method} ${path}`);
  const kind = kindOf(path);
  const filled = own.replace("{id}", kind === undefined ? "{id}" : ids[kind]);
  assert.doesNotMatch(filled, /[{}]/, `no case for the new route ${method} ${path}`);
  return { path: filled, ...(body === undefined ? {} : { body }) };
}

/** What no answer to a stranger may hold. */
const secrets = /hidden-red|fd00:ed:|PRIVATE KEY|argon2|password_hash|token_hash|token-key/;

const head = (): number => server.running.core.writer.replica.revision;

/** Tries every route of these kinds of access as `client`, and judges each answer; nothing may have been written. */
async function tryAll(
  client: TestClient,
  accesses: readonly RouteShape["access"][],
  judge: (answer: Answer, route: RouteShape) => void,
  skipped = "",
): Promise<number> {
  const revision = head();
  const routes = plainRoutes
    .filter(({ access }) => accesses.includes(access))
    .filter((route) => named(route) !== skipped);
  for (const route of routes) {
    const { path, body } = caseOf(route);
    const answer = await client.request(route.method, path, body);
    judge(answer, route);
    assert.doesNotMatch(answer.text, secrets, `${route.method} ${path}`);
  }
  assert.equal(head(), revision, "nothing was written");
  return routes.length;
}

const named = ({ method, path }: RouteShape): string => `${method} ${path}`;
const guarded = ["bearer", "self", "admin", "policy"] as const;

test("the table holds every way in: each collection, each verb, and no route twice", () => {
  const all = plainRoutes.map(named);
  assert.equal(new Set(all).size, all.length);
  assert.ok(all.length >= 50, `${all.length} routes`);
  for (const route of plainRoutes) caseOf(route);
  assert.throws(() => caseOf({ method: "GET", path: "/v1/new/{thing}", access: "admin" }), /no case for the new route/);
  assert.throws(() => caseOf({ method: "POST", path: "/v1/new", access: "admin" }), /no case for the new route/);
});

test("every GET of the list is answered to the admin: what strangers are refused is there", async () => {
  for (const route of plainRoutes.filter(({ method }) => method === "GET")) {
    const subject = { "x-subject-token": red.member.token ?? "" };
    const { status, text } = await server.admin.get(caseOf(route).path, subject);
    assert.ok([200, 204, 300].includes(status), `${named(route)}: ${status} ${text}`);
  }
});

test("without a valid token every guarded route is 401: none, forged, cut, another server's, a join token, one given back", async () => {
  await using other = await startTestServer();
  const given = await server.login(red.memberName, testPassword, "red");
  assert.equal(
    (await given.request("DELETE", "/identity/v3/auth/tokens", undefined, { "x-subject-token": given.token ?? "" }))
      .status,
    204,
  );
  const foreign = await other.login("admin", other.adminPassword, "admin");
  const good = red.member.token ?? "";
  const strangers = {
    none: undefined,
    empty: "",
    forged: "forged",
    cut: good.slice(0, -1),
    longer: `${good}A`,
    "another server's": foreign.token,
    "a join token": joinToken,
    "given back": given.token,
    "a certificate's word": "selvage://host/h1",
  };
  for (const [what, token] of Object.entries(strangers)) {
    const tried = await tryAll(new TestClient(server.url, token), guarded, (answer, route) => {
      assert.equal(answer.status, 401, `${what}: ${named(route)}`);
    });
    assert.ok(tried >= 45);
  }
});

test("what is an admin's is refused to members, readers, strangers and who has no project, and stays as it was", async () => {
  const login = await server.nobody.post("/identity/v3/auth/tokens", passwordAuth(red.memberName, testPassword));
  const unscoped = new TestClient(server.url, login.headers.get("x-subject-token") ?? "");
  for (const client of [red.member, red.reader, blue.member, blue.reader, unscoped]) {
    await tryAll(client, ["admin"], (answer, route) => assert.equal(answer.status, 403, named(route)));
  }
});

test("what is a user's own is refused to any other, and an admin's grant in one project is none in another's name", async () => {
  for (const client of [blue.member, blue.reader]) {
    await tryAll(client, ["self"], (answer, route) => {
      // Whose password it is cannot be told by trying.
      assert.ok([401, 403, 404].includes(answer.status), `${named(route)}: ${answer.status}`);
    });
  }
  assert.ok(await server.login(red.memberName, testPassword, "red"), "the password is what it was");
});

test("a stranger's token shows no object of another project, changes none, and cannot tell one from none", async () => {
  for (const client of [blue.member, blue.reader]) {
    // A member makes networks of its own: that is no way to another's, and the one route left out for it.
    const skipped = client === blue.member ? "POST /v2.0/networks" : "";
    await tryAll(
      client,
      ["policy"],
      (answer, route) => {
        if (route.path.endsWith("{id}")) assert.equal(answer.status, 404, named(route));
        else if (route.method === "GET") assert.equal(answer.status, 200, named(route));
        else assert.ok([403, 404].includes(answer.status), `${named(route)}: ${answer.status}`);
      },
      skipped,
    );
  }
  assert.equal((await red.member.show("network", ids.network)).name, "hidden-red");
});

test("what anybody may ask holds no name, address or key, and no method changes anything", async () => {
  for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
    for (const { path, access } of plainRoutes.filter((route) => route.access === "anybody")) {
      if (path === "/identity/v3/auth/tokens") continue;
      const revision = head();
      const answer = await server.nobody.request(method, path, method === "GET" ? undefined : {});
      assert.ok(answer.status < 500, `${method} ${path} (${access}): ${answer.status}`);
      assert.doesNotMatch(answer.text, secrets, path);
      assert.equal(head(), revision);
    }
  }
});

test("methods that no route has are refused, with and without a token", async () => {
  const paths = [...new Set(plainRoutes.map(({ path }) => path))].filter((path) => path.startsWith("/v"));
  for (const path of paths) {
    const has = new Set(plainRoutes.filter((route) => route.path === path).map(({ method }) => method));
    for (const method of ["POST", "PUT", "PATCH", "DELETE"].filter((each) => !has.has(each))) {
      const where = caseOf({ method: "GET", path, access: "admin" }).path;
      const revision = head();
      for (const client of [server.nobody, blue.member, server.admin]) {
        const { status } = await client.request(method, where, {});
        assert.ok([400, 401, 404, 405, 501].includes(status), `${method} ${where}: ${status}`);
      }
      assert.equal(head(), revision, `${method} ${where}`);
    }
  }
});

test("a user's tokens end at once with its password, its role, its enablement and itself", async () => {
  const deeds: readonly (readonly [string, (user: string) => Promise<Answer>])[] = [
    [
      "password",
      (user) => server.admin.request("PATCH", `/identity/v3/users/${user}`, { user: { password: "another" } }),
    ],
    ["enablement", (user) => server.admin.request("PATCH", `/identity/v3/users/${user}`, { user: { enabled: false } })],
    ["removal", (user) => server.admin.delete(`/identity/v3/users/${user}`)],
  ];
  for (const [what, deed] of deeds) {
    const name = `thief-${what}`;
    const id = await server.user(name, red.id, "member");
    const stolen = await server.login(name, testPassword, "red");
    assert.equal((await stolen.get("/v2.0/networks")).status, 200);
    assert.ok((await deed(id)).status < 300, what);
    for (const route of plainRoutes.filter(({ access }) => access === "policy" || access === "bearer")) {
      const { path, body } = caseOf(route);
      assert.equal((await stolen.request(route.method, path, body)).status, 401, `${what}: ${named(route)}`);
    }
  }
});
