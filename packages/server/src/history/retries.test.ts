/** Retries over HTTP: one object a named request, whatever was lost in between, and the first's reply for each of its repetitions. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fail } from "@selvage/base";
import { type Change, Network, Project } from "@selvage/model";
import { makeNetwork, makeProject, testId } from "@selvage/model/testing";
import { type Author, type Entry, type LoggedEntry, openMemory, type Store, StoreFailure } from "@selvage/store";
import type { Reply } from "../http/exchange.ts";
import {
  type Answer,
  errorOf,
  type Json,
  startTestServer,
  TestClient,
  type TestProject,
  type TestServer,
} from "../testing/mod.ts";
import { Writer } from "../writer.ts";
import { AlreadyLogged } from "./named.ts";
import { Retries } from "./retries.ts";

let server: TestServer;
let red: TestProject;
let blue: TestProject;

before(async () => {
  server = await startTestServer();
  [red, blue] = await Promise.all([server.project("red"), server.project("blue")]);
});
after(() => server[Symbol.asyncDispose]());

let keys = 0;
const newKey = (): { readonly "idempotency-key": string } => {
  keys += 1;
  return { "idempotency-key": `key ${keys}` };
};
const newRequestId = () => ({ "x-openstack-request-id": `req-${crypto.randomUUID()}` });

const named = (name: string): Json => ({ network: { name } });
const networkOf = (answer: Answer): Json => answer.body.network as Json;
const countOf = async (name: string): Promise<number> => (await red.member.list("networks", `name=${name}`)).length;

/** What a client is told, but for the request's own id. */
const told = ({ status, body, headers }: Answer) => ({ status, body, revision: headers.get("x-selvage-revision") });

test("a create that is repeated gets the first's reply, and there is one object", async () => {
  const headers = newKey();
  const first = await red.member.post("/v2.0/networks", named("once"), headers);
  const second = await red.member.post("/v2.0/networks", named("once"), headers);
  assert.equal(first.status, 201);
  assert.deepEqual(told(second), told(first));
  assert.deepEqual(
    [first.headers.get("idempotency-replayed"), second.headers.get("idempotency-replayed")],
    [null, "true"],
  );
  assert.equal(await countOf("once"), 1);
});

test("without a name the same body is another object each time", async () => {
  const answers = [
    await red.member.post("/v2.0/networks", named("twice")),
    await red.member.post("/v2.0/networks", named("twice")),
  ];
  assert.equal(new Set(answers.map((answer) => networkOf(answer).id)).size, 2);
});

test("the reply is the first's also when the object was changed and deleted since", async () => {
  const headers = newKey();
  const first = await red.member.post("/v2.0/networks", named("as it was"), headers);
  const path = `/v2.0/networks/${String(networkOf(first).id)}`;
  await red.member.put(path, named("changed"));
  assert.deepEqual(told(await red.member.post("/v2.0/networks", named("as it was"), headers)), told(first));
  assert.equal((await red.member.delete(path)).status, 204);
  assert.deepEqual(told(await red.member.post("/v2.0/networks", named("as it was"), headers)), told(first));
  assert.equal((await red.member.get(path)).status, 404);
});

test("a bulk that is repeated gives its objects in the order in which they were asked", async () => {
  const headers = newKey();
  const body = { networks: Array.from({ length: 20 }, (_, at) => ({ name: `bulk ${at}` })) };
  const first = await red.member.post("/v2.0/networks", body, headers);
  const second = await red.member.post("/v2.0/networks", body, headers);
  assert.deepEqual(
    (first.body.networks as Json[]).map((each) => each.name),
    body.networks.map((each) => each.name),
  );
  assert.deepEqual(told(second), told(first));
});

test("sixteen at a time under one key are one write, and all get its reply", async () => {
  const headers = newKey();
  const answers = await Promise.all(
    Array.from({ length: 16 }, () => red.member.post("/v2.0/networks", named("crowd"), headers)),
  );
  for (const answer of answers) assert.deepEqual(told(answer), told(answers[0]!));
  assert.equal(answers[0]?.status, 201);
  assert.equal(await countOf("crowd"), 1);
});

test("a key that belongs to another request is refused, and nothing is done", async () => {
  const headers = newKey();
  const { id } = networkOf(await red.member.post("/v2.0/networks", named("mine"), headers));
  for (const answer of [
    await red.member.post("/v2.0/networks", named("not mine"), headers),
    await red.member.post("/v2.0/networks", { network: { name: "mine", admin_state_up: false } }, headers),
    await red.member.put(`/v2.0/networks/${String(id)}`, named("mine"), headers),
    await red.member.delete(`/v2.0/networks/${String(id)}`, headers),
  ]) {
    assert.equal(answer.status, 409);
    assert.equal(errorOf(answer).type, "IdempotencyKeyReused");
    assert.match(errorOf(answer).message, /^The Idempotency-Key 'key \d+' belongs to another request, of \d{4}-/);
  }
  assert.equal(await countOf("not mine"), 0);
  assert.equal(await countOf("mine"), 1);
});

test("white space and the order of members do not make another request", async () => {
  const headers = newKey();
  const first = await red.member.post("/v2.0/networks", '{"network":{"name":"same","mtu":1400}}', headers);
  const second = await red.member.post("/v2.0/networks", '{ "network": {"mtu": 1400, "name": "same"} }', headers);
  assert.equal(first.status, 201);
  assert.deepEqual(told(second), told(first));
});

test("a key of another project, or of another user of the project, never matches", async () => {
  const headers = newKey();
  const [mine, theirs, colleague] = [
    await red.member.post("/v2.0/networks", named("shared key"), headers),
    await blue.member.post("/v2.0/networks", named("shared key"), headers),
    await server.admin.post("/v2.0/networks", { network: { name: "shared key", project_id: red.id } }, headers),
  ];
  assert.deepEqual([mine.status, theirs.status, colleague.status], [201, 201, 201]);
  assert.equal(new Set([mine, theirs, colleague].map((answer) => networkOf(answer).id)).size, 3);
  assert.equal(networkOf(theirs).project_id, blue.id);
});

test("updates and deletes that are repeated are done once", async () => {
  const { id } = await red.member.create("network", { name: "before" });
  const [change, removal] = [newKey(), newKey()];
  const first = await red.member.put(`/v2.0/networks/${id}`, named("after"), change);
  await red.member.put(`/v2.0/networks/${id}`, named("later"));
  assert.deepEqual(told(await red.member.put(`/v2.0/networks/${id}`, named("after"), change)), told(first));
  assert.equal((await red.member.show("network", id)).name, "later", "the repetition wrote nothing");
  const gone = await red.member.delete(`/v2.0/networks/${id}`, removal);
  assert.deepEqual([gone.status, told(await red.member.delete(`/v2.0/networks/${id}`, removal))], [204, told(gone)]);
  assert.equal((await red.member.delete(`/v2.0/networks/${id}`)).status, 404);
});

test("a request that was refused left no trace: its repetition is tried", async () => {
  const headers = newKey();
  const { id } = await red.member.create("network", { name: "full" });
  const body = { subnet: { network_id: id, ip_version: 4, cidr: "10.9.0.0/30" } };
  const other = await red.member.create("subnet", { network_id: id, ip_version: 4, cidr: "10.9.0.0/24" });
  assert.equal((await red.member.post("/v2.0/subnets", body, headers)).status, 400);
  await red.member.delete(`/v2.0/subnets/${other.id}`);
  assert.equal((await red.member.post("/v2.0/subnets", body, headers)).status, 201);
});

test("a key must be 1 to 255 characters", async () => {
  for (const key of ["", "  ", "x".repeat(256)]) {
    const answer = await red.member.post("/v2.0/networks", named("bad key"), { "idempotency-key": key });
    assert.deepEqual([answer.status, /1 to 255/.test(errorOf(answer).message)], [400, true]);
  }
  const longest = { "idempotency-key": "x".repeat(255) };
  assert.equal((await red.member.post("/v2.0/networks", named("long key"), longest)).status, 201);
});

test("a POST is known by OpenStack's request id too, under either of its names", async () => {
  const headers = newRequestId();
  const first = await red.member.post("/v2.0/networks", named("by id"), headers);
  assert.deepEqual(told(await red.member.post("/v2.0/networks", named("by id"), headers)), told(first));
  const alias = { "openstack-request-id": headers["x-openstack-request-id"].toUpperCase().replace("REQ", "req") };
  assert.deepEqual(told(await red.member.post("/v2.0/networks", named("by id"), alias)), told(first));
  assert.equal(await countOf("by id"), 1);
});

test("one OpenStack request id over many requests, as Nova sends it, hides none of them", async () => {
  const headers = newRequestId();
  const { id } = networkOf(await red.member.post("/v2.0/networks", named("operation"), headers));
  assert.equal((await red.member.post("/v2.0/networks", named("operation 2"), headers)).status, 201);
  for (const name of ["there", "back", "there"]) {
    assert.equal(networkOf(await red.member.put(`/v2.0/networks/${String(id)}`, named(name), headers)).name, name);
  }
  assert.equal((await red.member.show("network", String(id))).revision_number, 4);
  const port = { port: { network_id: id, device_id: "machine-1" } };
  const ports = [
    await red.member.post("/v2.0/ports", port, headers),
    await red.member.post("/v2.0/ports", port, headers),
  ];
  const portIds = ports.map((answer) => (answer.body.port as Json).id);
  assert.equal(new Set(portIds).size, 2, "two alike of one machine");
  assert.equal((await red.member.delete(`/v2.0/ports/${String(portIds[0])}`, headers)).status, 204);
});

test("an id of another form than OpenStack's names nothing", async () => {
  const headers = { "x-openstack-request-id": "req-1" };
  await red.member.post("/v2.0/networks", named("no id"), headers);
  await red.member.post("/v2.0/networks", named("no id"), headers);
  assert.equal(await countOf("no id"), 2);
});

test("the memory of a key goes with the log that keeps it", async () => {
  const headers = newKey();
  await red.member.post("/v2.0/networks", named("forgotten"), headers);
  const { store } = server.running.core;
  await store.compact((await store.bounds()).head);
  assert.equal((await red.member.post("/v2.0/networks", named("forgotten"), headers)).status, 201);
  assert.equal(await countOf("forgotten"), 2);
});

test("a key is known after a restart, and to a second server on the same store", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "selvage-retries-"));
  const headers = newKey();
  const post = (client: TestClient, name: string) => client.post("/v2.0/networks", named(name), headers);
  const one = await startTestServer({ on: "sqlite", dataDir });
  const first = await post(one.admin, "kept");
  await one[Symbol.asyncDispose]();
  const again = await startTestServer({ on: "sqlite", dataDir });
  assert.deepEqual(told(await post(again.admin, "kept")), told(first));
  const second = await startTestServer({ on: "sqlite", dataDir });
  const other = new TestClient(second.url, again.admin.token);
  assert.deepEqual(told(await post(other, "kept")), told(first));
  for (let round = 0; round < 10; round += 1) {
    const key = newKey();
    const answers = await Promise.all(
      [again.admin, other, again.admin, other].map((client) => client.post("/v2.0/networks", named("race"), key)),
    );
    for (const answer of answers) assert.deepEqual(told(answer), told(answers[0]!));
    assert.equal(answers[0]?.status, 201);
  }
  await second[Symbol.asyncDispose]();
  assert.equal((await again.admin.list("networks", "name=race")).length, 10);
  await again[Symbol.asyncDispose]();
  await rm(dataDir, { recursive: true });
});

const author: Author = { kind: "user", id: "tester", request_id: "req-here" };
const network = (n: number) => makeNetwork({ id: testId("network", n), "provider:segmentation_id": n });

test("a name that another server took in the same moment is told as such, and who stood on it in the batch runs again", async () => {
  const store = openMemory();
  const writer = await Writer.open(store);
  await writer.transact(author, (t) => t.put(Project, makeProject()));
  const entryId = testId("entry");
  const mark = { key: "k", digest: "d", ids: [] };
  // The other server's entry stands in the log before this server's replica knows of it.
  const theirs = { ...network(1), name: "theirs" };
  const foreign = { ...author, request_id: "req-there" };
  const taken = store.append(1, [
    {
      id: entryId,
      at: "2026-01-01T00:00:00.000Z",
      author: foreign,
      request: mark,
      changes: [{ kind: "network", id: theirs.id, object: theirs }],
    },
  ]);
  const ours = writer.transact(author, (t) => t.put(Network, { ...network(1), name: "ours" }), {
    entryId,
    mark: () => mark,
  });
  const later = writer.transact(author, (t) => {
    const seen = t.view.get(Network, network(1).id)?.name;
    t.put(Network, network(2));
    return seen;
  });
  assert.equal((await taken).outcome, "appended");
  await assert.rejects(
    ours,
    (error) => error instanceof AlreadyLogged && error.entry.author.request_id === "req-there",
  );
  assert.equal((await later).result, "theirs");
  assert.equal(writer.replica.get(Network, network(1).id)?.name, "theirs");
  await writer.close();
  await store.close();
});

/** The store with some of its verbs replaced. */
function wrapped(inner: Store, verbs: Partial<Store>): Store {
  return {
    driver: inner.driver,
    durable: inner.durable,
    logId: inner.logId,
    state: inner.state,
    snapshot: () => inner.snapshot(),
    append: (head, entries) => inner.append(head, entries),
    tail: (from, signal) => inner.tail(from, signal),
    find: (id) => inner.find(id),
    bounds: () => inner.bounds(),
    compact: (through) => inner.compact(through),
    close: () => inner.close(),
    ...verbs,
  };
}

const elsewhere = (id: string, ...changes: readonly Change[]): Entry => ({
  id,
  at: "2026-01-01T00:00:00.000Z",
  author: { ...author, request_id: "req-there" },
  changes,
});

test("another server's entry of the same name is not taken for ours when our own reply was lost", async () => {
  const inner = openMemory();
  const entryId = testId("entry");
  const mark = { key: "k", digest: "d", ids: [] };
  const theirs = { ...network(1), name: "theirs" };
  let lost = false;
  const store = wrapped(inner, {
    append: async (head, entries) => {
      const [entry] = entries;
      if (lost || entry?.id !== entryId) return inner.append(head, entries);
      lost = true;
      const changes = [{ kind: "network", id: theirs.id, object: theirs }];
      await inner.append(head, [{ ...entry, author: { ...author, request_id: "req-there" }, changes }]);
      throw new StoreFailure("the reply was lost", "unknown");
    },
  });
  const writer = await Writer.open(store);
  await writer.transact(author, (t) => t.put(Project, makeProject()));
  const ours = writer.transact(author, (t) => t.put(Network, { ...network(1), name: "ours" }), {
    entryId,
    mark: () => mark,
  });
  await assert.rejects(
    ours,
    (error) => error instanceof AlreadyLogged && error.entry.author.request_id === "req-there",
  );
  assert.equal(writer.replica.get(Network, network(1).id)?.name, "theirs");
  await writer.close();
  await store.close();
});

test("what another server writes while a lost race is looked into runs the rules again", async () => {
  const inner = openMemory();
  const renamed = (name: string): Change => ({
    kind: "network",
    id: network(1).id,
    object: Object.assign(network(1), { name }),
  });
  let raced = false;
  const store = wrapped(inner, {
    append: async (head, entries) => {
      const loses = !raced && entries.some(({ id }) => id === testId("entry"));
      if (loses) await inner.append(head, [elsewhere(testId("unrelated"))]);
      raced ||= loses;
      return inner.append(head, entries);
    },
    // While the named request is looked for, the other server changes what its rules have read.
    find: async (id) => {
      const { head } = await inner.bounds();
      if (head < 4) await inner.append(head, [elsewhere(testId("second"), renamed("second"))]);
      assert.ok(await writer.reached(4));
      return inner.find(id);
    },
  });
  const writer = await Writer.open(store);
  await writer.transact(author, (t) => t.put(Project, makeProject()));
  await writer.transact(author, (t) => t.put(Network, { ...network(1), name: "first" }));
  const copied = writer.transact(
    author,
    (t) => t.put(Network, { ...network(2), name: String(t.view.get(Network, network(1).id)?.name) }),
    { entryId: testId("entry"), mark: () => ({ key: "k", digest: "d", ids: [] }) },
  );
  assert.equal((await copied).result.name, "second");
  assert.equal(writer.figures.moved, 1, "the race was lost once, and what came in between was seen");
  await writer.close();
  await store.close();
});

test("a delete that another server did in the meantime is a repetition, not an object that is not there", async () => {
  const entry = elsewhere(testId("entry"));
  const name = { key: "k", entryId: entry.id, digest: "d" };
  let logged: LoggedEntry | undefined;
  const retries = new Retries({ find: async () => logged });
  const run = async (): Promise<Reply> => {
    logged = { ...entry, revision: 7, request: { key: "k", digest: "d", ids: [] } };
    throw fail("NetworkNotFound", { id: "x" });
  };
  const reply = await retries.once(name, run, ({ revision }) => ({ status: 204, headers: { at: String(revision) } }));
  assert.deepEqual([reply.status, reply.headers?.at], [204, "7"]);
  logged = undefined;
  const refused = retries.once(
    name,
    () => Promise.reject(fail("NetworkNotFound", { id: "x" })),
    () => ({ status: 204 }),
  );
  await assert.rejects(refused, { status: 404 });
});
