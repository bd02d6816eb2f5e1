/** `GET /v1/history` over HTTP: who, when, which request, what; every filter; pages that join; nothing secret, and for admins only. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Entry, openMemory } from "@selvage/store";
import { type Answer, errorOf, type Json, startTestServer, type TestProject, type TestServer } from "../testing/mod.ts";

let server: TestServer;
let red: TestProject;
let network: Json & { readonly id: string };
const clientId = "req-11111111-2222-4333-8444-555555555555";

const begun = Date.now();
before(async () => {
  server = await startTestServer();
  red = await server.project("red");
  network = await red.member.create("network", { name: "n1" });
  await red.member.put(
    `/v2.0/networks/${network.id}`,
    { network: { name: "n2" } },
    { "x-openstack-request-id": clientId },
  );
  await server.admin.create("network", { name: "theirs", project_id: red.id });
  await red.member.post(
    "/v2.0/networks",
    { networks: [{ name: "b1" }, { name: "b2" }] },
    { "idempotency-key": "bulk" },
  );
  await red.member.delete(`/v2.0/networks/${network.id}`);
});
after(() => server[Symbol.asyncDispose]());

const ask = async (query: string): Promise<Answer> => server.admin.get(`/v1/history${query}`);
const entriesOf = (answer: Answer): readonly Json[] => answer.body.history as readonly Json[];
const found = async (query: string): Promise<readonly Json[]> => {
  const answer = await ask(`?${query}`);
  assert.equal(answer.status, 200, answer.text);
  return entriesOf(answer);
};
const authorOf = (entry: Json | undefined): Json => (entry?.author ?? {}) as Json;
/** Of networks: their segments come and go with them. */
const changesOf = (entry: Json | undefined): readonly Json[] =>
  ((entry?.changes ?? []) as readonly Json[]).filter(({ kind }) => kind !== "segment");

test("an object's life: written, written, removed; by whom, by which request, newest first", async () => {
  const life = await found(`kind=network&id=${network.id}`);
  assert.deepEqual(
    life.map((entry) => changesOf(entry).map(({ kind, id, action, name }) => [kind, id, action, name])),
    [
      [["network", network.id, "removed", null]],
      [["network", network.id, "written", "n2"]],
      [["network", network.id, "written", "n1"]],
    ],
  );
  for (const entry of life) {
    assert.deepEqual([authorOf(entry).kind, authorOf(entry).name], ["user", red.memberName]);
    assert.equal(entry.project_id, red.id);
    assert.match(String(entry.request_id), /^req-/);
    const at = Date.parse(String(entry.at));
    // Times are told in whole seconds.
    assert.ok(at > begun - 1_000 && at <= Date.now(), String(entry.at));
  }
  const revisions = life.map((entry) => Number(entry.revision));
  assert.deepEqual(
    revisions,
    revisions.toSorted((a, b) => b - a),
  );
  assert.deepEqual(
    life.map((entry) => entry.client_request_id),
    [null, clientId, null],
  );
});

test("a request is found by the server's id, by the client's, and by its key; its reply's id is the one in the history", async () => {
  const answer = await red.member.post("/v2.0/networks", { network: { name: "traced" } });
  const id = answer.headers.get("x-openstack-request-id") ?? "";
  const [entry, ...others] = await found(`request=${id}`);
  assert.deepEqual([entry?.revision, others], [Number(answer.headers.get("x-selvage-revision")), []]);
  assert.equal((await found(`request=${clientId}`)).length, 1);
  const [bulk] = await found("request=bulk");
  assert.deepEqual(
    changesOf(bulk)
      .map(({ name }) => name)
      .toSorted(),
    ["b1", "b2"],
  );
});

test("filters: author by name and by id, project by who asked and by what was written, kind", async () => {
  const byName = await found(`author=${red.memberName}`);
  const id = String(authorOf(byName[0]).id);
  assert.deepEqual(await found(`author=${id}`), byName);
  assert.ok(byName.length >= 4 && byName.every((entry) => authorOf(entry).id === id));
  const ofRed = await found(`project=${red.id}&kind=network`);
  assert.ok(ofRed.some((entry) => changesOf(entry).some(({ name }) => name === "theirs")));
  assert.deepEqual(await found("project=nobody"), []);
  assert.ok((await found("kind=user")).every((entry) => changesOf(entry).some(({ kind }) => kind === "user")));
  assert.deepEqual(await found("kind=nothing"), []);
});

test("the first start stands in the history, and no secret, hash or token in any of it", async () => {
  const all = await ask("?limit=1000");
  assert.ok(entriesOf(all).some((entry) => authorOf(entry).id === "bootstrap"));
  assert.ok(entriesOf(all).some((entry) => changesOf(entry).some(({ kind }) => kind === "secret")));
  assert.doesNotMatch(all.text, /password_hash|argon2|PRIVATE KEY|"value"/);
});

test("pages of every size join to the whole, without a gap or a repetition", async () => {
  const whole = entriesOf(await ask("?limit=1000"));
  for (const limit of [1, 2, 3, whole.length, whole.length + 1]) {
    const pages: Json[] = [];
    let before = "";
    for (;;) {
      const answer = await ask(`?limit=${limit}${before}`);
      pages.push(...entriesOf(answer));
      if (answer.body.next === null) break;
      before = `&before=${String(answer.body.next)}`;
    }
    assert.deepEqual(pages, whole);
  }
});

test("for admins only, and what is asked wrongly is told", async () => {
  assert.equal((await red.member.get("/v1/history")).status, 403);
  assert.equal((await server.nobody.get("/v1/history")).status, 401);
  for (const [query, says] of [
    ["since=yesterday", /since: it must be a time/],
    ["until=2026-13-45", /until: it must be a time/],
    ["limit=0", /limit: .* 1 to 1000/],
    ["limit=1001", /limit: .* 1 to 1000/],
    ["before=-1", /before:/],
    ["user=x", /user: no such filter/],
  ] as const) {
    const answer = await ask(`?${query}`);
    assert.equal(answer.status, 400, query);
    assert.match(errorOf(answer).message, says);
  }
});

test("a store that is gone is told with a time to come back", async () => {
  const store = openMemory();
  const other = await startTestServer({ store });
  store.faults.takeDown();
  const answer = await other.admin.get("/v1/history");
  assert.deepEqual([answer.status, answer.headers.get("retry-after")], [503, "1"]);
  store.faults.restore();
  await other[Symbol.asyncDispose]();
});

/** A log of 20,000 entries, one each minute: time, long searches, and forgetting. */
test("time bounds; a rare find behind many pages; what was forgotten ends the history", async () => {
  const store = openMemory();
  const other = await startTestServer({ store });
  const { head } = await store.bounds();
  const begin = Date.parse("2025-01-01T00:00:00Z");
  const count = 20_000;
  const entries = Array.from(
    { length: count },
    (_, at): Entry => ({
      id: crypto.randomUUID(),
      at: new Date(begin + at * 60_000).toISOString(),
      author: { kind: "system", id: at === 5 ? "rare" : "often", request_id: `r${at}` },
      changes: [],
    }),
  );
  await store.append(head, entries);
  const get = async (query: string) => (await other.admin.get(`/v1/history?${query}`)).body as Json;
  const times = async (query: string): Promise<readonly unknown[]> =>
    ((await get(query)).history as readonly Json[]).map((entry) => entry.at);
  assert.deepEqual(await times("since=2025-01-14T21:18:00Z&limit=1000&author=often"), [
    "2025-01-14T21:19:00.000Z",
    "2025-01-14T21:18:00.000Z",
  ]);
  assert.deepEqual(
    (await times("since=2025-01-14T00:00:00Z&until=2025-01-14T00:03:00%2B00:00")).length,
    3,
    "from the first on, not the second itself",
  );
  let before = "";
  let pages = 0;
  let rare: readonly Json[] = [];
  while (rare.length === 0) {
    const page = await get(`author=rare${before}`);
    pages += 1;
    rare = page.history as readonly Json[];
    if (rare.length === 0) assert.notEqual(page.next, null, "not the end yet");
    before = `&before=${String(page.next)}`;
  }
  assert.deepEqual([rare.length, rare[0]?.at, pages], [1, "2025-01-01T00:05:00.000Z", 3]);
  await store.compact(head + count - 2);
  const left = await get("limit=1000");
  assert.deepEqual(
    [(left.history as readonly Json[]).length, left.next, left.oldest, left.head],
    [2, null, head + count - 1, head + count],
  );
  await store.compact(head + count);
  assert.deepEqual((await get("limit=5")).history, []);
  await other[Symbol.asyncDispose]();
});
