/** Actions and collections as data: a declared action reads, writes, refuses and repeats itself as a verb does; a prepared project has what it must. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { isError } from "@selvage/base";
import { Network } from "@selvage/model";
import { Retries } from "../history/retries.ts";
import type { Exchange, Reply } from "../http/exchange.ts";
import { parseQuery } from "../http/query.ts";
import { networkRules } from "../rules/network.ts";
import { hasVerb, pathOf, type ResourceRules, type WriteAction } from "../rules/rules.ts";
import { startTestServer, type TestProject, type TestServer } from "../testing/mod.ts";
import { act, actionOf } from "./actions.ts";
import type { Asked } from "./asked.ts";
import { anyOf, type Caller, isAdmin, member } from "./policy.ts";

let server: TestServer;
let red: TestProject;
let retries: Retries;
before(async () => {
  server = await startTestServer();
  red = await server.project("red");
  retries = new Retries(server.running.core.store);
});
after(() => server?.[Symbol.asyncDispose]());

const rename: WriteAction<Network> = {
  name: "rename",
  method: "PUT",
  allowed: anyOf(isAdmin, member),
  read: (body) => ({ name: String(body.name) }),
  run: ({ transaction }, network, { name }) => ({
    shows: transaction.put(Network, { ...network, name: String(name) }),
  }),
};
const count: WriteAction<Network> = {
  ...rename,
  name: "count",
  rule: "count_networks",
  allowed: isAdmin,
  run: ({ transaction }, network) => ({
    body: { before: transaction.put(Network, { ...network, name: `${network.name}+` }).name },
  }),
};
// Each is handed networks only.
const rules = {
  ...networkRules,
  actions: [
    rename,
    count,
    { name: "owner", method: "GET", allowed: member, answer: ({ project_id }: Network) => ({ project_id }) },
  ],
} as unknown as ResourceRules;

const callerOf = (projectId: string, ...roles: readonly ("admin" | "member" | "reader")[]): Caller => ({
  userId: "u",
  userName: "u",
  projectId,
  roles: new Set(roles),
});

function ask(method: string, id: string, name: string, caller: Caller, body?: unknown, key?: string): Promise<Reply> {
  const exchange: Exchange = {
    method,
    path: `/v2.0/networks/${id}/${name}`,
    search: "",
    query: parseQuery(""),
    headers: key === undefined ? {} : { "idempotency-key": key },
    body: body === undefined ? undefined : new TextEncoder().encode(JSON.stringify(body)),
    baseUrl: "http://localhost",
    requestId: "req-1",
    source: "local",
  };
  const { writer, hosts, settings } = server.running.core;
  const api = { writer, hosts, settings, retries, authenticate: async () => caller };
  const asked: Asked = { api, exchange, caller };
  return Promise.resolve().then(() => act(asked, rules, id, actionOf(rules, name, method)));
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "no error",
    (error: unknown) => (isError(error) ? `${error.status} ${error.message}` : String(error)),
  );

test("an action changes its object in one entry, and answers it as a GET does", async () => {
  const { id } = await red.member.create("network", { name: "a" });
  const owner = callerOf(red.id, "member", "reader");
  const reply = await ask("PUT", id, "rename", owner, { name: "b" });
  assert.equal(reply.status, 200);
  assert.deepEqual((reply.body as { network: unknown }).network, await red.member.show("network", id));
  assert.equal(Number(reply.headers?.["x-selvage-revision"]), server.running.core.writer.replica.revision);
  assert.deepEqual((await ask("GET", id, "owner", owner)).body, { project_id: red.id });
});

test("who may not see the object is told its 404, who may see and not act the action's own rule", async () => {
  const { id } = await red.member.create("network", { name: "a" });
  const missing = `404 Network ${id} could not be found.`;
  assert.equal(await codeOf(ask("PUT", id, "rename", callerOf("other", "member", "reader"), { name: "x" })), missing);
  const reader = callerOf(red.id, "reader");
  const refused = "403 rule:rename is disallowed by policy";
  assert.equal(await codeOf(ask("PUT", id, "rename", reader, { name: "x" })), refused);
  const other = "403 rule:count_networks is disallowed by policy";
  assert.equal(await codeOf(ask("PUT", id, "count", callerOf(red.id, "member", "reader"), {})), other);
  assert.match(await codeOf(ask("PUT", id, "nothing", reader)), /^404 The resource could not be found/);
  assert.match(await codeOf(ask("DELETE", id, "rename", reader)), /^405/);
  assert.equal((await red.member.show("network", id)).name, "a");
});

test("a named action is done once: its repetition answers the same, an object or a body of its own", async () => {
  const { id } = await red.member.create("network", { name: "a" });
  const admin = callerOf(red.id, "admin", "member", "reader");
  for (const [name, body] of [
    ["rename", { name: "b" }],
    ["count", {}],
  ] as const) {
    const first = await ask("PUT", id, name, admin, body, `key-${name}`);
    const again = await ask("PUT", id, name, admin, body, `key-${name}`);
    assert.equal(again.headers?.["idempotency-replayed"], "true");
    assert.deepEqual([again.status, again.body], [first.status, first.body]);
  }
  assert.equal((await red.member.show("network", id)).name, "b+");
});

test("a collection bears the name that its rules give it, and the verbs that they name", () => {
  const named = { ...rules, path: "net-works", verbs: ["list"] } as const satisfies ResourceRules;
  assert.deepEqual([pathOf(rules), pathOf(named)], ["networks", "net-works"]);
  assert.deepEqual([hasVerb(named, "list"), hasVerb(named, "delete"), hasVerb(rules, "delete")], [true, false, true]);
});
