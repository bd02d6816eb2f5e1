/** Networking API v2.0: versions, extensions, and list, show, create, update and delete of every declared collection. */
import { errorBody, fail, type SelvageError } from "@selvage/base";
import type { StoredObject } from "@selvage/model";
import { clientRequestId, namedAs, nameOf, type RequestName } from "../history/named.ts";
import { type Retries, repliedWith } from "../history/retries.ts";
import type { HostStates } from "../host-states.ts";
import { acceptsJson, type Exchange, headerOf, type Reply } from "../http/exchange.ts";
import type { RouteShape } from "../http/route.ts";
import { networkingRules, rulesOf } from "../rules/all.ts";
import { visibleNetwork } from "../rules/network.ts";
import type { ResourceRules, Values, Writing } from "../rules/rules.ts";
import type { ServerSettings } from "../settings.ts";
import type { Transaction } from "../transaction.ts";
import type { Writer } from "../writer.ts";
import { createValues, elementOf, elementsOf, parseJson, updateValues } from "./body.ts";
import { extensions } from "./extensions.ts";
import { type ListWorld, listReply } from "./list.ts";
import { type Caller, checkDelete, checkWrite } from "./policy.ts";
import { render } from "./render.ts";

export interface NetworkingApi {
  readonly writer: Writer;
  readonly retries: Retries;
  readonly hosts: HostStates;
  readonly settings: ServerSettings;
  /** Who bears the request's token. Throws Unauthorized. */
  readonly authenticate: (exchange: Exchange) => Promise<Caller>;
}

/** Every route under `/v2.0`: of the declared collections, and what any bearer of a token may read. OPTIONS answers as GET does. */
export const networkingRoutes: readonly RouteShape[] = Object.freeze([
  ...["/v2.0", "/v2.0/extensions", "/v2.0/extensions/{alias}"].map(
    (path) => ({ method: "GET", path, access: "bearer" }) as const,
  ),
  ...networkingRules.flatMap(({ resource: { plural } }) =>
    [
      ["GET", ""],
      ["POST", ""],
      ["GET", "/{id}"],
      ["PUT", "/{id}"],
      ["DELETE", "/{id}"],
    ].map(([method = "", one = ""]) => ({ method, path: `/v2.0/${plural}${one}`, access: "policy" }) as const),
  ),
]);

/** Answers `GET /`: the versions, to anybody. */
export function versions(exchange: Exchange): Reply {
  return {
    status: 200,
    body: {
      versions: [{ id: "v2.0", status: "CURRENT", links: [{ rel: "self", href: `${exchange.baseUrl}/v2.0/` }] }],
    },
  };
}

/** Answers everything under `/v2.0`. Throws the error to answer with. */
export async function networking(api: NetworkingApi, exchange: Exchange): Promise<Reply> {
  const caller = await api.authenticate(exchange);
  const parts = exchange.path.split("/").filter((part) => part !== "");
  const [collection, id, ...deeper] = parts
    .slice(1)
    .map((part, index, all) => (index === all.length - 1 ? part.replace(/\.json$/, "") : part));
  if (collection === undefined) return onlyGet(exchange, () => root(exchange));
  if (collection === "extensions" && deeper.length === 0) return onlyGet(exchange, () => extensionsReply(id));
  const rules = rulesOf(collection);
  if (rules === undefined || deeper.length > 0) throw fail("HTTPNotFound");
  if (!acceptsJson(exchange)) throw fail("HTTPNotAcceptable");
  const world: ListWorld = { view: api.writer.replica, hosts: api.hosts, settings: api.settings };
  switch (exchange.method) {
    // OPTIONS answers as GET does: the real service's routing falls through to it.
    case "GET":
    case "OPTIONS":
      if (id === undefined) return listReply(rules, exchange, caller, world);
      return { status: 200, body: show(rules, id, exchange, caller, world) };
    case "POST":
      if (id !== undefined) throw fail("HTTPNotFound");
      return once(api, rules, exchange, caller, (name) => create(api, rules, exchange, caller, world, name));
    case "PUT":
      if (id === undefined) throw rules.notFound("None");
      return once(api, rules, exchange, caller, (name) => update(api, rules, id, exchange, caller, world, name));
    case "DELETE":
      if (id === undefined) throw rules.notFound("None");
      return once(api, rules, exchange, caller, (name) => remove(api, rules, id, exchange, caller, name));
    default:
      throw fail("HTTPMethodNotAllowed");
  }
}

/** The reply to an error on this API: 401 is the token middleware's, everything else a NeutronError. */
export function networkingError(error: SelvageError, exchange: Exchange): Reply {
  const headers: Record<string, string> = {};
  if (error.retryAfter !== undefined) headers["retry-after"] = String(error.retryAfter);
  if (error.status === 401) headers["www-authenticate"] = `Keystone uri="${exchange.baseUrl}/identity/v3"`;
  const foreign = error.status !== 401 && !("NeutronError" in errorBody(error));
  const body = foreign ? { NeutronError: { type: error.type, message: error.message, detail: "" } } : errorBody(error);
  return { status: error.status, body, headers };
}

function onlyGet(exchange: Exchange, reply: () => Reply): Reply {
  if (exchange.method !== "GET" && exchange.method !== "OPTIONS") throw fail("HTTPMethodNotAllowed");
  return reply();
}

function root(exchange: Exchange): Reply {
  const resources = networkingRules.map(({ resource }) => ({
    name: resource.kind,
    collection: resource.plural,
    links: [{ rel: "self", href: `${exchange.baseUrl}/v2.0/${resource.plural}` }],
  }));
  return { status: 200, body: { resources } };
}

function extensionsReply(alias: string | undefined): Reply {
  if (alias === undefined) return { status: 200, body: { extensions } };
  const extension = extensions.find((each) => each.alias === alias);
  if (extension !== undefined) return { status: 200, body: { extension } };
  // The one answer of the real service in this third shape.
  const message = `The resource could not be found.<br /><br />\nExtension with alias ${alias} does not exist\n\n`;
  return { status: 404, body: { message, code: "404 Not Found", title: "Not Found" } };
}

function show(rules: ResourceRules, id: string, exchange: Exchange, caller: Caller, world: ListWorld): Values {
  const object: StoredObject | undefined = world.view.get(rules.resource, id);
  if (object === undefined || !rules.policy.get(caller, rules.target(world.view, object as StoredObject & Values))) {
    throw rules.notFound(id);
  }
  return { [rules.resource.kind]: render(rules, object, caller, world, exchange.query.all("fields")) };
}

/** Runs a write; one that the log holds already, by its name, gets the first's reply: what it wrote, shown as it was written. */
function once(
  api: NetworkingApi,
  rules: ResourceRules,
  exchange: Exchange,
  caller: Caller,
  run: (name: RequestName | undefined) => Promise<Reply>,
): Promise<Reply> {
  const { kind, plural } = rules.resource;
  const world: ListWorld = { view: api.writer.replica, hosts: api.hosts, settings: api.settings };
  const name = nameOf(exchange, caller);
  return api.retries.once(
    name,
    () => run(name),
    (entry) => {
      const headers = at(entry.revision);
      const shown = repliedWith(entry, kind).map((object) => render(rules, object, caller, world));
      if (exchange.method === "DELETE") return { status: 204, headers };
      if (exchange.method === "PUT") return { status: 200, body: { [kind]: shown[0] }, headers };
      const { bulk } = elementsOf(rules.resource, parseJson(exchange.body));
      return { status: 201, body: bulk ? { [plural]: shown } : { [kind]: shown[0] }, headers };
    },
  );
}

async function create(
  api: NetworkingApi,
  rules: ResourceRules,
  exchange: Exchange,
  caller: Caller,
  world: ListWorld,
  name: RequestName | undefined,
): Promise<Reply> {
  const { resource } = rules;
  const { bulk, items } = elementsOf(resource, parseJson(exchange.body));
  const parsed = items.map((item) => createValues(resource, item, caller));
  const named = namedAs(name, (created: readonly StoredObject[]) => created.map((object) => object.id));
  const rulesRun = (transaction: Transaction): readonly StoredObject[] => {
    const writing = writingOf(api, caller, transaction);
    return parsed.map(({ values, given }) => {
      // Whether a network is there is not told to who may not see it, whatever else is wrong.
      if (typeof values.network_id === "string") visibleNetwork(transaction.view, caller, values.network_id);
      const refused = checkWrite(
        rules.policy,
        resource.kind,
        "create",
        caller,
        rules.target(transaction.view, values),
        given,
      );
      if (refused !== undefined) throw refused;
      return rules.create(writing, values);
    });
  };
  const { result, revision } = await api.writer.transact(authorOf(caller, exchange), rulesRun, named);
  const rendered = result.map((object) => render(rules, object, caller, world));
  return {
    status: 201,
    body: bulk ? { [resource.plural]: rendered } : { [resource.kind]: rendered[0] },
    headers: at(revision),
  };
}

async function update(
  api: NetworkingApi,
  rules: ResourceRules,
  id: string,
  exchange: Exchange,
  caller: Caller,
  world: ListWorld,
  name: RequestName | undefined,
): Promise<Reply> {
  const { resource } = rules;
  const { values, given } = updateValues(resource, elementOf(resource, parseJson(exchange.body)));
  const constraint = constraintOf(exchange);
  const rulesRun = (transaction: Transaction): StoredObject => {
    const before = found(rules, id, caller, transaction);
    const { device_owner = (before as StoredObject & Values).device_owner } = values;
    const target = rules.target(transaction.view, { ...before, device_owner });
    const refused = checkWrite(rules.policy, resource.kind, "update", caller, target, given);
    if (refused !== undefined) throw refused;
    const after: StoredObject = rules.update(writingOf(api, caller, transaction), before, values);
    checkConstraint(constraint, before);
    return after;
  };
  const named = namedAs(name, (updated: StoredObject) => [updated.id]);
  const { result, revision } = await api.writer.transact(authorOf(caller, exchange), rulesRun, named);
  return { status: 200, body: { [resource.kind]: render(rules, result, caller, world) }, headers: at(revision) };
}

async function remove(
  api: NetworkingApi,
  rules: ResourceRules,
  id: string,
  exchange: Exchange,
  caller: Caller,
  name: RequestName | undefined,
): Promise<Reply> {
  const constraint = constraintOf(exchange);
  const rulesRun = (transaction: Transaction): void => {
    const object = found(rules, id, caller, transaction);
    const target = rules.target(transaction.view, object as StoredObject & Values);
    const refused = checkDelete(rules.policy, rules.resource.kind, caller, target);
    if (refused !== undefined) throw refused;
    rules.remove(writingOf(api, caller, transaction), object, () => checkConstraint(constraint, object));
  };
  const named = namedAs(name, () => []);
  const { revision } = await api.writer.transact(authorOf(caller, exchange), rulesRun, named);
  return { status: 204, headers: at(revision) };
}

/** The object if the caller may see it. Throws the resource's 404. */
function found(rules: ResourceRules, id: string, caller: Caller, transaction: Transaction): StoredObject {
  const object: StoredObject | undefined = transaction.view.get(rules.resource, id);
  if (
    object === undefined ||
    !rules.policy.get(caller, rules.target(transaction.view, object as StoredObject & Values))
  ) {
    throw rules.notFound(id);
  }
  return object;
}

function writingOf(api: NetworkingApi, caller: Caller, transaction: Transaction): Writing {
  return { transaction, caller, settings: api.settings };
}

/** `If-Match: revision_number=N`; anything of another form is passed over, as the real service does. */
function constraintOf(exchange: Exchange): number | undefined {
  const match = /^\s*"?revision_number=(\d+)"?\s*$/.exec(headerOf(exchange, "if-match") ?? "");
  return match === null ? undefined : Number(match[1]);
}

function checkConstraint(constraint: number | undefined, object: StoredObject): void {
  const current = Number((object as StoredObject & Values).revision_number);
  if (constraint === undefined || constraint === current) return;
  throw fail("RevisionNumberConstraintFailed", { constraint, current });
}

/** The log's revision in which a write took hold: what a client waits for on the hosts. */
function at(revision: number): Readonly<Record<string, string>> {
  return { "x-selvage-revision": String(revision) };
}

function authorOf(caller: Caller, exchange: Exchange) {
  const client = clientRequestId(exchange);
  return {
    kind: "user" as const,
    id: caller.userId,
    request_id: exchange.requestId,
    ...(client === undefined ? {} : { client_request_id: client }),
    ...(caller.projectId === undefined ? {} : { project_id: caller.projectId }),
  };
}
