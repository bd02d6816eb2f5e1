/** What a project must have is made when it is first needed: once, whoever asks at the same time, and for nobody who may not. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Network, type View } from "@selvage/model";
import { Retries } from "../history/retries.ts";
import type { Exchange } from "../http/exchange.ts";
import { parseQuery } from "../http/query.ts";
import { networkRules } from "../rules/network.ts";
import type { Preparation } from "../rules/rules.ts";
import { startTestServer, type TestProject, type TestServer } from "../testing/mod.ts";
import type { Asked } from "./asked.ts";
import type { Caller } from "./policy.ts";
import { prepareCreate, prepareRead } from "./prepare.ts";

let server: TestServer;
let red: TestProject;
let blue: TestProject;
before(async () => {
  server = await startTestServer();
  [red, blue] = await Promise.all([server.project("red"), server.project("blue")]);
});
after(() => server?.[Symbol.asyncDispose]());

const firsts = (view: View, projectId: string) =>
  view.by(Network.index.project_id, projectId).filter(({ name }) => name === "first");
const prepare: Preparation = {
  missing: (view, projectId) => firsts(view, projectId).length === 0,
  make: (writing, projectId) => {
    networkRules.create(writing, {
      project_id: projectId,
      name: "first",
      description: "",
      "provider:network_type": "geneve",
    });
  },
};

function asked(projectId: string | undefined, search = "", ...roles: readonly ("admin" | "reader")[]): Asked {
  const caller: Caller = { userId: "u", userName: "u", projectId, roles: new Set(roles) };
  const exchange: Exchange = {
    method: "GET",
    path: "/v2.0/things",
    search,
    query: parseQuery(search),
    headers: {},
    body: undefined,
    baseUrl: "http://localhost",
    requestId: "req-1",
    source: "local",
  };
  const { writer, hosts, settings, store } = server.running.core;
  const api = { writer, hosts, settings, retries: new Retries(store), authenticate: async () => caller };
  return { api, exchange, caller };
}

const made = (project: TestProject) => firsts(server.running.core.writer.replica, project.id).length;
const head = () => server.running.core.writer.replica.revision;

test("a GET makes it once, however many ask at a time, and then writes nothing", async () => {
  await Promise.all(Array.from({ length: 8 }, () => prepareRead(asked(red.id, "", "reader"), { prepare })));
  assert.equal(made(red), 1);
  const revision = head();
  await prepareRead(asked(red.id, "", "reader"), { prepare });
  await prepareRead(asked(red.id, "", "reader"), {});
  assert.equal(head(), revision);
});

test("only an admin has it made for a project that it names; none is made for no project, or one that there is not", async () => {
  const revision = head();
  await prepareRead(asked(red.id, `project_id=${blue.id}`, "reader"), { prepare });
  await prepareRead(asked(undefined, "", "reader"), { prepare });
  await prepareRead(asked(red.id, "tenant_id=nobody", "admin"), { prepare });
  assert.equal(head(), revision);
  await prepareRead(asked(red.id, `tenant_id=${blue.id}`, "admin"), { prepare });
  assert.deepEqual([made(blue), head()], [1, revision + 1]);
});

test("a create makes it in its own entry", async () => {
  const green = await server.project("green");
  const { api, caller } = asked(green.id);
  const author = { kind: "user", id: "u", request_id: "req-2" } as const;
  const revision = head();
  await api.writer.transact(author, (transaction) => {
    const writing = { transaction, caller, settings: api.settings };
    prepareCreate(writing, { prepare }, green.id);
    prepareCreate(writing, { prepare }, green.id);
    prepareCreate(writing, {}, green.id);
  });
  assert.deepEqual([made(green), head()], [1, revision + 1]);
});
