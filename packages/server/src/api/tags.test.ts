/** Tags: on every resource that is declared with them, by who may change the object; the filters; what each write leaves behind. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { type Answer, errorOf, type Json, startTestServer, type TestProject, type TestServer } from "../testing/mod.ts";
import { tagFilters } from "./tags.ts";

let server: TestServer;
let red: TestProject;
let blue: TestProject;
before(async () => {
  server = await startTestServer();
  [red, blue] = await Promise.all([server.project("red"), server.project("blue")]);
});
after(() => server?.[Symbol.asyncDispose]());

const refusal = (answer: Answer) => [answer.status, errorOf(answer).type, errorOf(answer).message];

test("every tagged resource is made without tags, is given some, shows them sorted, and loses them; each write is a revision", async () => {
  const network = await red.member.create("network", { name: "n" });
  const subnet = await red.member.create("subnet", { network_id: network.id, ip_version: 4, cidr: "10.0.0.0/24" });
  const port = await red.member.create("port", { network_id: network.id });
  const router = await red.member.create("router", { name: "r" });
  const pool = await red.member.create("subnetpool", { name: "p", prefixes: ["10.9.0.0/16"] });
  for (const [kind, made] of Object.entries({ network, subnet, port, router, subnetpool: pool })) {
    assert.deepEqual(made.tags, [], kind);
    const { revision_number: revision } = await red.member.show(kind, made.id);
    const path = `/v2.0/${kind}s/${made.id}/tags`;
    const put = await red.member.put(path, { tags: ["red", "blue"] });
    assert.deepEqual([put.status, put.body], [200, { tags: ["red", "blue"] }], kind);
    assert.equal((await red.member.put(`${path}/green`, undefined)).status, 201);
    assert.equal((await red.member.put(`${path}/green`, undefined)).status, 201, "a second time changes nothing");
    const shown = await red.reader.show(kind, made.id);
    assert.deepEqual([shown.tags, shown.revision_number], [["blue", "green", "red"], Number(revision) + 2]);
    assert.deepEqual((await red.reader.get(path)).body, { tags: ["blue", "green", "red"] });
    assert.equal((await red.reader.get(`${path}/green`)).status, 204);
    assert.equal((await red.member.delete(`${path}/green`)).status, 204);
    assert.deepEqual(refusal(await red.member.delete(`${path}/green`)), [
      404,
      "TagNotFound",
      "Tag green could not be found.",
    ]);
    assert.equal((await red.reader.get(`${path}/green`)).status, 404);
    assert.equal((await red.member.delete(path)).status, 204);
    assert.deepEqual((await red.member.show(kind, made.id)).tags, []);
  }
});

test("a tag may hold any text, percent-encoded; one that is no text, too long or twice is refused, and so is a body of another form", async () => {
  const { id } = await red.member.create("network", { name: "n" });
  const path = `/v2.0/networks/${id}/tags`;
  for (const tag of ["a b", "ü/ß", "x".repeat(255), "100%"]) {
    const own = `${path}/${encodeURIComponent(tag)}`;
    assert.equal((await red.member.put(own, undefined)).status, 201, tag);
    assert.equal((await red.member.get(own)).status, 204, tag);
  }
  const kept = (await red.member.get(path)).body;
  assert.equal((await red.member.put(`${path}/${"x".repeat(256)}`, undefined)).status, 400);
  assert.equal((await red.member.put(`${path}/%zz`, undefined)).status, 400);
  for (const body of [{}, { tags: "x" }, { tags: ["a", "a"] }, { tags: [1] }, { tags: null }, { tags: [], more: 1 }]) {
    assert.equal(refusal(await red.member.put(path, body))[1], "InvalidInput", JSON.stringify(body));
  }
  const many = { tags: Array.from({ length: 257 }, (_, n) => `t${n}`) };
  assert.equal((await red.member.put(path, many)).status, 400);
  assert.deepEqual((await red.member.get(path)).body, kept);
  const post = await red.member.post("/v2.0/networks", { network: { tags: ["a"] } });
  assert.deepEqual(refusal(post), [400, "HTTPBadRequest", "Attribute 'tags' not allowed in POST"]);
  const changed = await red.member.put(`/v2.0/networks/${id}`, { network: { tags: ["a"] } });
  assert.deepEqual(refusal(changed), [400, "HTTPBadRequest", "Cannot update read-only attribute tags"]);
});

test("ports are made with tags, each of a bulk with its own", async () => {
  const { id } = await red.member.create("network", { name: "n" });
  const made = await red.member.post("/v2.0/ports", {
    ports: [{ network_id: id, tags: ["b", "a"] }, { network_id: id }],
  });
  assert.deepEqual(
    (made.body.ports as readonly Json[]).map((port) => port.tags),
    [["a", "b"], []],
  );
  const wrong = { network_id: id, tags: ["x", "x"] };
  assert.equal((await red.member.post("/v2.0/ports", { ports: [{ network_id: id }, wrong] })).status, 400);
  assert.equal((await red.member.list("ports", `network_id=${id}`)).length, 2);
});

test("another project's object and none are one answer; who may only see it may not tag it", async () => {
  const { id } = await red.member.create("network", { name: "shared" });
  await red.member.put(`/v2.0/networks/${id}/tags`, { tags: ["t"] });
  const absent = "00000000-0000-0000-0000-000000000000";
  for (const [method, name, body] of [
    ["GET", ""],
    ["GET", "/t"],
    ["PUT", "", { tags: [] }],
    ["PUT", "/u"],
    ["DELETE", "/t"],
    ["DELETE", ""],
  ] as const) {
    const own = await blue.member.request(method, `/v2.0/networks/${id}/tags${name}`, body);
    const none = await blue.member.request(method, `/v2.0/networks/${absent}/tags${name}`, body);
    assert.deepEqual(refusal(own), [404, "TagResourceNotFound", `Resource networks ${id} could not be found.`]);
    assert.equal(own.text.replaceAll(id, absent), none.text);
  }
  await server.admin.put(`/v2.0/networks/${id}`, { network: { shared: true } });
  assert.deepEqual((await blue.member.get(`/v2.0/networks/${id}/tags`)).body, { tags: ["t"] });
  for (const client of [blue.member, red.reader]) {
    const put = await client.put(`/v2.0/networks/${id}/tags/u`, undefined);
    assert.deepEqual(refusal(put), [403, "PolicyNotAuthorized", "rule:update_networks_tags is disallowed by policy"]);
    const removed = await client.delete(`/v2.0/networks/${id}/tags`);
    assert.match(String(refusal(removed)[2]), /^rule:delete_networks_tags /);
  }
  assert.equal((await server.admin.put(`/v2.0/networks/${id}/tags/u`, undefined)).status, 201);
});

test("a named write of tags is done once", async () => {
  const { id } = await red.member.create("network", { name: "n" });
  const put = () => red.member.put(`/v2.0/networks/${id}/tags`, { tags: ["z", "a"] }, { "idempotency-key": "tags" });
  const first = await put();
  await red.member.delete(`/v2.0/networks/${id}/tags`);
  const again = await put();
  assert.deepEqual([again.status, again.body], [first.status, { tags: ["z", "a"] }]);
  assert.deepEqual((await red.member.show("network", id)).tags, []);
});

test("the filters of lists are what sets are: all, any, not all, not any; values by comma or repeated", async () => {
  const words = ["a", "b", "c", "d"];
  const ids = new Map<string, readonly string[]>();
  for (let mask = 0; mask < 16; mask++) {
    const tags = words.filter((_, bit) => (mask & (1 << bit)) !== 0);
    const { id } = await red.member.create("network", { name: "filtered" });
    await red.member.put(`/v2.0/networks/${id}/tags`, { tags });
    ids.set(id, tags);
  }
  const subset = fc.subarray([...words, "none"], { minLength: 1 });
  const queries = fc.uniqueArray(fc.tuple(fc.constantFrom(...tagFilters.keys()), subset, fc.boolean()), {
    minLength: 1,
    maxLength: 3,
    selector: ([name]) => name,
  });
  const expected = (name: string, tags: readonly string[], wanted: readonly string[]): boolean => {
    const all = wanted.filter((tag) => !tags.includes(tag)).length === 0;
    const any = wanted.filter((tag) => tags.includes(tag)).length > 0;
    return { tags: all, "tags-any": any, "not-tags": !all, "not-tags-any": !any }[name] ?? false;
  };
  await fc.assert(
    fc.asyncProperty(queries, async (filters) => {
      const query = filters.map(([name, tags, repeated]) =>
        repeated ? tags.map((tag) => `${name}=${tag}`).join("&") : `${name}=${tags.join(",")}`,
      );
      const found = await red.member.list("networks", `name=filtered&fields=id&${query.join("&")}`);
      const wanted = [...ids].filter(([, tags]) => filters.every(([name, values]) => expected(name, tags, values)));
      assert.deepEqual(found.map(({ id }) => id).sort(), wanted.map(([id]) => id).sort());
    }),
    { numRuns: 60 },
  );
  assert.equal((await red.member.get("/v2.0/address-scopes?tags=a")).status, 400, "there are no tags to filter by");
});
