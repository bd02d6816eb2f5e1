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
import { makeOutside } from "../support/outside.ts";

/** What stands for the braces of a path, and what is sent: of the first project, to which the strangers do not belong. */
interface Case {
  readonly path: string;
  readonly body?: Json;
}

let server: TestServer;
let red: TestProject;
let blue: TestProject;
let redUser: string;
/** Of the first project's object of each collection, by the collection's name in a URL. */
const ids = new Map<string, string>();
let joinToken: string;
let memberRole: string;
let third: string;

const userOf = async (name: string): Promise<string> => {
  const { users } = (await server.admin.get(`/identity/v3/users?name=${name}`)).body as { users: readonly Json[] };
  return String(users[0]?.id);
};

before(async () => {
  server = await startTestServer({ on: "sqlite" });
  [red, blue] = await Promise.all([server.project("red"), server.project("blue")]);
  third = (await server.project("third")).id;
  redUser = await userOf(red.memberName);
  const { body } = await server.admin.post("/v1/hosts", { name: "h1" });
  joinToken = String(body.token);
  const { roles } = (await server.admin.get("/identity/v3/roles?name=member")).body as { roles: readonly Json[] };
  memberRole = String(roles[0]?.id);
  for (const [path, { kind, made }] of Object.entries(collections)) {
    if (made === undefined) continue;
    const { status, body: reply, text } = await red.member.post(`/v2.0/${path}`, { [kind]: made() });
    assert.equal(status, 201, `${path}: ${text}`);
    ids.set(path, String((reply[kind] as Json).id));
  }
  for (const [path, id] of await makeOutside(server.admin, red.member)) ids.set(path, id);
  ids.set("auto-allocated-topology", red.id);
  const [segment] = await server.admin.list("segments", `network_id=${idOf("networks")}`);
  ids.set("segments", String(segment?.id));
  // A project's default security group is made when it first looks at its groups: here, and not by what is tried.
  for (const client of [server.admin, red.member, blue.member]) await client.get("/v2.0/security-groups");
  ids.set("agents", String((body.host as Json).id));
  ids.set("network-ip-availabilities", idOf("networks"));
  for (const { method, path } of plainRoutes.filter(({ path }) => path.endsWith("/{tag}"))) {
    const owner = path.includes("network_segment_ranges") ? server.admin : red.member;
    const { status, text } = await owner.put(caseOf({ method, path, access: "policy" }).path, undefined);
    assert.ok(status === 201 || method !== "PUT", text);
  }
});
after(() => server?.[Symbol.asyncDispose]());

const idOf = (path: string): string => ids.get(path) ?? "{id}";

/** A collection of the Networking API: what the first project has of it, what a stranger tries. */
interface Tried {
  readonly kind: string;
  /** Absent: nobody makes any. */
  readonly made?: () => Json;
  /** What a POST tries, where what was made stands in its way. */
  readonly another?: () => Json;
  readonly changed?: Json;
  /** It stands on nothing of another's: a member of any project may make one. */
  readonly alone?: true;
  /** Bodies of its actions, by name. */
  readonly actions?: Readonly<Record<string, () => Json>>;
}

const routes = () => ({ router: { routes: [{ destination: "10.8.0.0/16", nexthop: "fd00:ed::9" }] } });
const addresses = () => ({ addresses: ["10.202.0.0/16"] });
const prefixes = () => ({ prefixes: ["10.201.0.0/16"] });
const machine = () => ({ internal_ip_address: "10.204.0.9", internal_port_id: idOf("proxied") });
const collections: Readonly<Record<string, Tried>> = {
  networks: { kind: "network", made: () => ({ name: "hidden-red" }), changed: { name: "taken" }, alone: true },
  subnets: {
    kind: "subnet",
    made: () => ({ network_id: idOf("networks"), ip_version: 6, cidr: "fd00:ed::/64", name: "hidden-red" }),
    another: () => ({ network_id: idOf("networks"), ip_version: 4, cidr: "10.9.0.0/24" }),
    changed: { name: "taken" },
  },
  ports: {
    kind: "port",
    made: () => ({ network_id: idOf("networks"), name: "hidden-red" }),
    changed: { name: "taken" },
  },
  routers: {
    kind: "router",
    made: () => ({ name: "hidden-red" }),
    changed: { name: "taken" },
    alone: true,
    actions: {
      add_router_interface: () => ({ subnet_id: idOf("subnets") }),
      remove_router_interface: () => ({ subnet_id: idOf("subnets") }),
      add_extraroutes: routes,
      remove_extraroutes: routes,
    },
  },
  "security-groups": {
    kind: "security_group",
    made: () => ({ name: "hidden-red" }),
    changed: { name: "taken" },
    alone: true,
  },
  "security-group-rules": {
    kind: "security_group_rule",
    made: () => ({ security_group_id: idOf("security-groups"), direction: "ingress", description: "hidden-red" }),
    another: () => ({ security_group_id: idOf("security-groups"), direction: "ingress", protocol: "tcp" }),
    changed: { description: "taken" },
  },
  "address-groups": {
    kind: "address_group",
    made: () => ({ name: "hidden-red", addresses: ["fd00:ed::/32"] }),
    changed: { name: "taken" },
    alone: true,
    actions: { add_addresses: addresses, remove_addresses: addresses },
  },
  "address-scopes": {
    kind: "address_scope",
    made: () => ({ name: "hidden-red", ip_version: 4 }),
    changed: { name: "taken" },
    alone: true,
  },
  subnetpools: {
    kind: "subnetpool",
    made: () => ({ name: "hidden-red", prefixes: ["10.200.0.0/16"] }),
    changed: { name: "taken" },
    alone: true,
    actions: { add_prefixes: prefixes, remove_prefixes: prefixes },
  },
  "rbac-policies": {
    kind: "rbac_policy",
    made: () => ({
      object_type: "network",
      object_id: idOf("networks"),
      action: "access_as_shared",
      target_tenant: third,
    }),
    changed: { target_tenant: "taken" },
  },
  floatingips: {
    kind: "floatingip",
    another: () => ({ floating_network_id: idOf("external") }),
    changed: { description: "taken" },
    alone: true,
    actions: {
      port_forwardings: () => ({
        port_forwarding: { protocol: "tcp", internal_port: 81, external_port: 81, ...machine() },
      }),
    },
  },
  ndp_proxies: {
    kind: "ndp_proxy",
    another: () => ({ router_id: idOf("proxying"), port_id: idOf("proxied") }),
    changed: { name: "taken" },
  },
  network_segment_ranges: {
    kind: "network_segment_range",
    another: () => ({ network_type: "vlan", physical_network: "q", minimum: 1, maximum: 2 }),
    changed: { name: "taken" },
  },
  segments: {
    kind: "segment",
    another: () => ({ network_id: idOf("networks"), network_type: "flat", physical_network: "q" }),
    changed: { name: "taken" },
  },
  "bgp-peers": {
    kind: "bgp_peer",
    another: () => ({ peer_ip: "192.0.2.2", remote_as: 65_001, auth_type: "none" }),
    changed: { name: "taken" },
  },
  "bgp-speakers": {
    kind: "bgp_speaker",
    another: () => ({ local_as: 65_000, ip_version: 4 }),
    changed: { name: "taken" },
    actions: {
      add_bgp_peer: () => ({ bgp_peer_id: idOf("bgp-peers") }),
      remove_bgp_peer: () => ({ bgp_peer_id: idOf("bgp-peers") }),
      add_gateway_network: () => ({ network_id: idOf("external") }),
      remove_gateway_network: () => ({ network_id: idOf("external") }),
    },
  },
  agents: { kind: "agent", changed: { admin_state_up: false } },
};

/** The body of a route of the Networking API; undefined: it has none, or nobody has thought of it. */
function networkingBody(method: string, path: string): Json | undefined {
  const [, , collection = "", id, action, tag] = path.split("/");
  if (method === "PUT" && action === "tags") return tag === undefined ? { tags: ["taken"] } : {};
  if (method === "PUT" && collection === "quotas") return { quota: { port: -1 } };
  const tried = collections[collection];
  if (tried === undefined) return undefined;
  if (action !== undefined) return tried.actions?.[action]?.();
  const values = id === undefined ? (tried.another ?? tried.made)?.() : tried.changed;
  return values === undefined ? undefined : { [tried.kind]: values };
}

/** The case of a route. Throws for a route that nobody has thought of. */
function caseOf({ method, path }: RouteShape): Case {
  const own = path
    .replace(/port_forwardings\/\{id\}/, `port_forwardings/${idOf("port_forwardings")}`)
    .replace("{floatingip}", idOf("floatingips"))
    .replace("{project}", red.id)
    .replace("{user}", redUser)
    .replace("{host}", "h1")
    .replace("{domain}", "default")
    .replace("{alias}", "binding")
    .replace("{tag}", "red")
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
    "POST /v1/trace": { from: idOf("ports"), to: "fd00:ed::9" },
    "POST /v1/keys": { key: "authority" },
    "PUT /v1/ports/{id}/user-data": { user_data: "dGFrZW4=" },
  };
  const needsBody = method === "POST" || method === "PATCH" || (method === "PUT" && path.startsWith("/v2.0"));
  const body = bodies[`${method} ${path}`] ?? (needsBody ? networkingBody(method, path) : undefined);
  assert.ok(!needsBody || body !== undefined, `no case for the new route ${method} ${path}`);
  const filled = own.replace("{id}", idOf(path.split("/")[2] ?? ""));
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
  skipped: readonly string[] = [],
): Promise<number> {
  const revision = head();
  const routes = plainRoutes
    .filter(({ access }) => accesses.includes(access))
    .filter((route) => !skipped.includes(named(route)));
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
const guarded = ["bearer", "self", "admin", "project", "policy"] as const;

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

test("what is a project's is refused to members of others, and told to its own", async () => {
  for (const client of [blue.member, blue.reader]) {
    await tryAll(client, ["project"], (answer, route) => assert.equal(answer.status, 403, named(route)));
  }
  for (const client of [red.member, red.reader]) {
    await tryAll(client, ["project"], (answer, route) => assert.equal(answer.status, 200, named(route)));
  }
});

test("a stranger's token shows no object of another project, changes none, and cannot tell one from none", async () => {
  for (const client of [blue.member, blue.reader]) {
    // A member makes networks and routers of its own: that is no way to another's, and the routes left out for it.
    const alone = Object.entries(collections).flatMap(([path, { alone }]) => (alone ? [`POST /v2.0/${path}`] : []));
    const skipped = client === blue.member ? alone : [];
    await tryAll(
      client,
      ["policy"],
      (answer, route) => {
        if (/\{(id|floatingip)\}/.test(route.path)) assert.equal(answer.status, 404, named(route));
        else if (route.method === "GET") assert.equal(answer.status, 200, named(route));
        else {
          // An object that a policy names and that there is not is a wrong value, as Neutron has it.
          const refusals = route.path === "/v2.0/rbac-policies" ? [400, 403, 404] : [403, 404];
          assert.ok(refusals.includes(answer.status), `${named(route)}: ${answer.status}`);
        }
      },
      skipped,
    );
  }
  assert.equal((await red.member.show("network", idOf("networks"))).name, "hidden-red");
});

/** What only admins see and change, though the Networking API's policy decides it. */
const ofAdmins = /^\/v2\.0\/(agents|bgp-|network-ip-availabilities|network_segment_ranges|segments)/;

test("a reader of the project itself is shown all of it and changes nothing", async () => {
  const tried = await tryAllOf(red.reader, (answer, { method, path }) => {
    const what = `${method} ${path}: ${answer.status}`;
    if (ofAdmins.test(path) && path.includes("{id}")) assert.equal(answer.status, 404, what);
    else if (method === "GET") assert.ok([200, 204].includes(answer.status), what);
    else assert.equal(answer.status, 403, what);
  });
  assert.ok(tried >= 100, `${tried} routes`);
});

test("a member of the project changes nothing that is an admin's", async () => {
  const tried = await tryAllOf(
    red.member,
    (answer, { method, path }) => {
      const what = `${method} ${path}: ${answer.status} ${answer.text}`;
      if (path.includes("{id}")) assert.equal(answer.status, 404, what);
      else if (method === "GET") assert.equal(answer.status, 200, what);
      else assert.equal(answer.status, 403, what);
      assert.doesNotMatch(answer.text, secrets, what);
    },
    ofAdmins,
  );
  assert.ok(tried >= 20, `${tried} routes`);
});

/** Tries every route of the Networking API whose answer the policy decides, as one of the project itself; nothing may have been written. */
async function tryAllOf(
  client: TestClient,
  judge: (answer: Answer, route: RouteShape) => void,
  among = /^\/v2\.0\//,
): Promise<number> {
  const revision = head();
  const routes = plainRoutes.filter(({ access, path }) => access === "policy" && among.test(path));
  for (const route of routes) {
    const { path, body } = caseOf(route);
    judge(await client.request(route.method, path, body), route);
    assert.equal(head(), revision, `${named(route)} wrote`);
  }
  return routes.length;
}

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
        assert.ok([400, 401, 403, 404, 405, 501].includes(status), `${method} ${where}: ${status}`);
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
