import assert from "node:assert/strict";
import { test } from "node:test";
import { type Answer, errorOf, type Json, startTestServer, TestClient } from "../testing/mod.ts";

const collections = ["network", "subnet", "port"] as const;

test("every route, tried with no token, another project's, a reader's: nothing is shown, changed or told", async () => {
  await using server = await startTestServer();
  const [red, blue] = await Promise.all([server.project("red"), server.project("blue")]);
  const network = await red.member.create("network", { name: "secret" });
  const subnet = await red.member.create("subnet", {
    network_id: network.id,
    ip_version: 4,
    cidr: "10.0.0.0/24",
    name: "secret",
  });
  const port = await red.member.create("port", { network_id: network.id, name: "secret" });
  const ids = { network: network.id, subnet: subnet.id, port: port.id };
  const values: Readonly<Record<string, Json>> = {
    network: { name: "x" },
    subnet: { network_id: network.id, ip_version: 4, cidr: "10.9.0.0/24" },
    port: { network_id: network.id },
  };
  const before = server.running.core.writer.replica.revision;
  const absent = "00000000-0000-0000-0000-000000000000";

  for (const kind of collections) {
    const path = `/v2.0/${kind}s`;
    const own = `${path}/${ids[kind]}`;
    const everywhere = [
      ["GET", path],
      ["POST", path, { [kind]: values[kind] }],
      ["POST", path, { [`${kind}s`]: [values[kind]] }],
      ["GET", own],
      ["PUT", own, { [kind]: { name: "taken" } }],
      ["DELETE", own],
    ] as const;
    for (const stranger of [
      server.nobody,
      new TestClient(server.url, "forged"),
      new TestClient(server.url, `${red.member.token}x`),
    ]) {
      for (const [method, where, body] of everywhere) {
        assert.equal((await stranger.request(method, where, body)).status, 401, `${method} ${where}`);
      }
    }
    // Another project's object and one that does not exist are answered alike, to the letter.
    const same = (answer: Answer, none: Answer, what: string): void => {
      assert.equal(answer.status, 404, what);
      assert.equal(answer.text.replaceAll(ids[kind], "ID"), none.text.replaceAll(absent, "ID"), what);
    };
    for (const stranger of [blue.member, blue.reader]) {
      for (const [method, , body] of [
        ["GET", ""],
        ["PUT", "", { [kind]: { name: "taken" } }],
        ["DELETE", ""],
      ] as const) {
        same(
          await stranger.request(method, own, body),
          await stranger.request(method, `${path}/${absent}`, body),
          `${method} ${own}`,
        );
      }
      assert.deepEqual(await stranger.list(`${kind}s`), []);
      for (const probe of [`id=${ids[kind]}`, "name=secret", `project_id=${red.id}`, `tenant_id=${red.id}`]) {
        assert.deepEqual(await stranger.list(`${kind}s`, probe), [], probe);
      }
      const marker = await stranger.get(`${path}?limit=1&marker=${ids[kind]}`);
      assert.equal(marker.status, 404);
    }
    // A reader of the project itself sees, and changes nothing.
    assert.equal((await red.reader.show(kind, ids[kind])).name, "secret");
    for (const [method, where, body] of everywhere.slice(1).filter(([method]) => method !== "GET")) {
      const answer = await red.reader.request(method, where, body);
      assert.deepEqual([answer.status, errorOf(answer).type], [403, "PolicyNotAuthorized"], `${method} ${where}`);
    }
    // Nobody gives away, or takes, an object by naming its owner.
    for (const owner of ["project_id", "tenant_id"]) {
      const given = await blue.member.post(path, { [kind]: { ...values[kind], [owner]: red.id } });
      assert.equal(given.status, 400, owner);
      assert.equal((await red.member.put(own, { [kind]: { [owner]: blue.id } })).status, 400, owner);
    }
  }
  // What stands on another's network is refused as if the network were not there.
  for (const kind of ["subnet", "port"] as const) {
    for (const extra of [
      {},
      ...(kind === "port" ? [{ mac_address: "fa:16:3e:00:00:01" }, { fixed_ips: [{ subnet_id: subnet.id }] }] : []),
    ]) {
      const there = await blue.member.post(`/v2.0/${kind}s`, { [kind]: { ...values[kind], ...extra } });
      const nowhere = await blue.member.post(`/v2.0/${kind}s`, {
        [kind]: { ...values[kind], ...extra, network_id: absent },
      });
      assert.equal(there.status, 404);
      assert.equal(there.text.replaceAll(network.id, "ID"), nowhere.text.replaceAll(absent, "ID"));
    }
  }
  const elsewhere = await blue.member.create("network", {});
  const through = await blue.member.post("/v2.0/ports", {
    port: { network_id: elsewhere.id, fixed_ips: [{ subnet_id: subnet.id }] },
  });
  assert.deepEqual(
    [through.status, errorOf(through).type],
    [404, "SubnetNotFound"],
    "another's subnet is not told from none",
  );
  assert.equal(server.running.core.writer.replica.revision, before + 1, "only that one network was written");
});

test("what only an admin may read or write is hidden from and refused to a member", async () => {
  await using server = await startTestServer();
  const red = await server.project("red");
  const network = await red.member.create("network", {});
  const port = await red.member.create("port", { network_id: network.id });
  assert.deepEqual(
    Object.keys(network).filter((key) => key.startsWith("provider:")),
    [],
  );
  assert.deepEqual(
    Object.keys(port).filter((key) => key.startsWith("binding:")),
    ["binding:vnic_type"],
  );
  assert.equal("key" in (await server.admin.show("port", port.id)), false, "the wire's number is nobody's");
  for (const [kind, id, values] of [
    ["network", network.id, { shared: true }],
    ["port", port.id, { "binding:host_id": "h1" }],
    ["port", port.id, { "binding:profile": { a: 1 } }],
    ["port", port.id, { mac_address: "fa:16:3e:00:00:01" }],
  ] as const) {
    const answer = await red.member.put(`/v2.0/${kind}s/${id}`, { [kind]: values });
    assert.equal(answer.status, 403, JSON.stringify(values));
    assert.equal(
      (await server.admin.put(`/v2.0/${kind}s/${id}`, { [kind]: values })).status,
      200,
      JSON.stringify(values),
    );
  }
});

test("an unscoped token owns nothing and sees nothing", async () => {
  await using server = await startTestServer();
  const red = await server.project("red");
  await red.member.create("network", {});
  const body = {
    auth: {
      identity: {
        methods: ["password"],
        password: { user: { name: "red-member", domain: { id: "default" }, password: "not a secret" } },
      },
    },
  };
  const login = await server.nobody.post("/identity/v3/auth/tokens", body);
  assert.equal(login.status, 201);
  const unscoped = new TestClient(server.url, login.headers.get("x-subject-token") ?? "");
  assert.deepEqual(await unscoped.list("networks"), []);
  assert.equal((await unscoped.post("/v2.0/networks", { network: {} })).status, 403);
});

test("our own routes and the identity of others are an admin's", async () => {
  await using server = await startTestServer();
  const red = await server.project("red");
  const routes = [
    ["GET", "/v1/status"],
    ["GET", "/v1/hosts"],
    ["POST", "/v1/hosts", { name: "h1" }],
    ["GET", "/v1/hosts/h1"],
    ["DELETE", "/v1/hosts/h1"],
    ["GET", "/identity/v3/users"],
    ["POST", "/identity/v3/users", { user: { name: "x" } }],
    ["GET", "/identity/v3/projects"],
    ["POST", "/identity/v3/projects", { project: { name: "x" } }],
    ["PATCH", `/identity/v3/projects/${red.id}`, { project: { enabled: false } }],
    ["DELETE", `/identity/v3/projects/${red.id}`],
    ["POST", "/identity/v3/roles", { role: { name: "x" } }],
    ["GET", "/identity/v3/role_assignments"],
  ] as const;
  for (const [method, path, body] of routes) {
    assert.equal((await server.nobody.request(method, path, body)).status, 401, `${method} ${path}`);
    assert.equal((await red.member.request(method, path, body)).status, 403, `${method} ${path}`);
    assert.equal((await red.reader.request(method, path, body)).status, 403, `${method} ${path}`);
  }
});
