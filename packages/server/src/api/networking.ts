/** Networking API v2.0: versions, extensions, and list, show, create, update and delete of every declared collection. */
import { errorBody, fail, type SelvageError } from "@selvage/base";
import type { StoredObject } from "@selvage/model";
import { acceptsJson, type Exchange, type Reply } from "../http/exchange.ts";
import { type RouteShape, routeFor } from "../http/route.ts";
import { childRules, networkingRules, rulesOf } from "../rules/all.ts";
import { checkStanding, visibleNetwork } from "../rules/network.ts";
import { checkQuota } from "../rules/quotas.ts";
import { hasVerb, pathOf, type ResourceRules, type Values, type Verb, type Writing } from "../rules/rules.ts";
import { act, actionOf } from "./actions.ts";
import { type Asked, checkIfMatch, found, foundIn, type NetworkingApi, shownOf, worldOf, write } from "./asked.ts";
import { createValues, elementOf, elementsOf, type ParsedBody, parseJson, updateValues } from "./body.ts";
import { extensions } from "./extensions.ts";
import { freeRoutes } from "./free.ts";
import { listReply } from "./list.ts";
import { checkDelete, checkWrite } from "./policy.ts";
import { prepareCreate, prepareRead } from "./prepare.ts";
import { render, renderer } from "./render.ts";
import { under } from "./under.ts";

/** How each verb is asked for. */
const ways: readonly (readonly [verb: Verb, method: string, one: "" | "/{id}"])[] = [
  ["list", "GET", ""],
  ["create", "POST", ""],
  ["show", "GET", "/{id}"],
  ["update", "PUT", "/{id}"],
  ["delete", "DELETE", "/{id}"],
];

/** Every route under `/v2.0`: of the declared collections, their objects' actions, and what is none of either. OPTIONS answers as GET does. */
export const networkingRoutes: readonly RouteShape[] = Object.freeze([
  ...["/v2.0", "/v2.0/extensions", "/v2.0/extensions/{alias}"].map(
    (path) => ({ method: "GET", path, access: "bearer" }) as const,
  ),
  ...freeRoutes.map(({ method, path, access }) => ({ method, path, access })),
  ...childRules.flatMap(({ parent, rules }) =>
    ways
      .filter(([verb]) => hasVerb(rules, verb))
      .map(([, method, one]) => {
        const path = `/v2.0/${pathOf(parent)}/{${parent.resource.kind}}/${pathOf(rules)}${one}`;
        return { method, path, access: "policy" } as const;
      }),
  ),
  ...networkingRules.flatMap((rules) => {
    const routes = [
      ...ways.filter(([verb]) => hasVerb(rules, verb)).map(([, method, one]) => [method, one] as const),
      ...(rules.actions ?? []).map(({ method, name }) => [method, `/{id}/${name}`] as const),
    ];
    return routes.map(([method, one]) => ({ method, path: `/v2.0/${pathOf(rules)}${one}`, access: "policy" }) as const);
  }),
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
  const asked: Asked = { api, exchange, caller };
  const parts = exchange.path.split("/").filter((part) => part !== "");
  const [collection, id, action, ...deeper] = parts
    .slice(1)
    .map((part, index, all) => (index === all.length - 1 ? part.replace(/\.json$/, "") : part));
  if (collection === undefined) return onlyGet(exchange, () => root(exchange));
  if (collection === "extensions" && action === undefined) return onlyGet(exchange, () => extensionsReply(id));
  const method = exchange.method === "OPTIONS" ? "GET" : exchange.method;
  const free =
    routeFor(freeRoutes, method, exchange.path) ?? routeFor(freeRoutes, method, withoutSuffix(exchange.path));
  if (free !== undefined) {
    if (!acceptsJson(exchange)) throw fail("HTTPNotAcceptable");
    return free.route.answer(asked, ...free.parts.map(decoded));
  }
  const child =
    action === undefined
      ? undefined
      : childRules.find((each) => pathOf(each.parent) === collection && pathOf(each.rules) === action);
  if (child !== undefined && id !== undefined && deeper.length <= 1) {
    if (!acceptsJson(exchange)) throw fail("HTTPNotAcceptable");
    found(child.parent, id, caller, worldOf(api));
    return answer(asked, under(child, id), deeper[0]);
  }
  const rules = rulesOf(collection);
  if (rules === undefined || deeper.length > 0)
    throw fail(isFreePath(exchange.path) ? "HTTPMethodNotAllowed" : "HTTPNotFound");
  if (!acceptsJson(exchange)) throw fail("HTTPNotAcceptable");
  if (id !== undefined && action !== undefined) {
    if (isFreePath(exchange.path)) throw fail("HTTPMethodNotAllowed");
    return act(asked, rules, id, actionOf(rules, action, exchange.method));
  }
  return answer(asked, rules, id);
}

/** Answers one of the five verbs of a collection. */
async function answer(asked: Asked, rules: ResourceRules, id: string | undefined): Promise<Reply> {
  const { method } = asked.exchange;
  switch (method === "OPTIONS" ? "GET" : method) {
    // OPTIONS answers as GET does: the real service's routing falls through to it.
    case "GET":
      requireVerb(rules, id === undefined ? "list" : "show");
      await prepareRead(asked, rules);
      return id === undefined ? list(asked, rules) : { status: 200, body: show(asked, rules, id) };
    case "POST":
      if (id !== undefined) throw fail("HTTPNotFound");
      requireVerb(rules, "create");
      return create(asked, rules);
    case "PUT":
      if (id === undefined) throw rules.notFound("None");
      requireVerb(rules, "update");
      return update(asked, rules, id);
    case "DELETE":
      if (id === undefined) throw rules.notFound("None");
      requireVerb(rules, "delete");
      return remove(asked, rules, id);
    default:
      throw fail("HTTPMethodNotAllowed");
  }
}

const withoutSuffix = (path: string): string => path.replace(/\.json$/, "");

/** Whether another method than the one asked with has a free route there. */
function isFreePath(path: string): boolean {
  return freeRoutes.some((route) => routeFor([route], route.method, withoutSuffix(path)) !== undefined);
}

/** One part of a path as it was meant. Throws the 400 of an escape that is none. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw fail("HTTPBadRequest", { message: `The path part '${part}' is not percent-encoded UTF-8` });
  }
}

function requireVerb(rules: ResourceRules, verb: Verb): void {
  if (!hasVerb(rules, verb)) throw fail("HTTPMethodNotAllowed");
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
  const resources = networkingRules.map((rules) => ({
    name: rules.resource.kind,
    collection: pathOf(rules),
    links: [{ rel: "self", href: `${exchange.baseUrl}/v2.0/${pathOf(rules)}` }],
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

function list({ api, exchange, caller }: Asked, rules: ResourceRules): Reply | Promise<Reply> {
  return listReply(rules, exchange, caller, worldOf(api));
}

function show({ api, exchange, caller }: Asked, rules: ResourceRules, id: string): Values {
  const world = worldOf(api);
  const object = found(rules, id, caller, world);
  return { [rules.resource.kind]: render(rules, object, caller, world, exchange.query.all("fields")) };
}

function create(asked: Asked, rules: ResourceRules): Promise<Reply> {
  const { api, exchange, caller } = asked;
  const { resource } = rules;
  const { bulk, items } = elementsOf(resource, parseJson(exchange.body));
  const parsed = items.map((item) => createValues(resource, item, caller));
  if (bulk) rules.together?.(parsed.map(({ values }) => values));
  const replyOf = (objects: readonly StoredObject[]): Reply => {
    const shown = objects.map(renderer(rules, caller, worldOf(api)));
    return { status: 201, body: bulk ? { [resource.plural]: shown } : { [resource.kind]: shown[0] } };
  };
  return write(asked, {
    run: (writing) => parsed.map((each) => createOne(rules, writing, each)),
    ids: (created) => created.map((object) => object.id),
    reply: replyOf,
    repeat: (entry) => replyOf(shownOf(entry, rules)),
  });
}

function createOne(rules: ResourceRules, writing: Writing, { values, given }: ParsedBody): StoredObject {
  const { transaction, caller } = writing;
  const { view } = transaction;
  // Whether a network is there is not told to who may not see it, whatever else is wrong.
  if (typeof values.network_id === "string") {
    const network = visibleNetwork(view, caller, values.network_id);
    if (rules.standsOnNetwork === true) checkStanding(view, caller, network, rules.resource.kind);
  }
  const refused = checkWrite(rules.policy, policyName(rules), "create", caller, rules.target(view, values), given);
  if (refused !== undefined) throw refused;
  const projectId = String(values.project_id);
  prepareCreate(writing, rules, projectId);
  checkQuota(writing, rules, projectId);
  return rules.create(writing, values);
}

const policyName = (rules: ResourceRules): string => rules.policyName ?? rules.resource.kind;

function update(asked: Asked, rules: ResourceRules, id: string): Promise<Reply> {
  const { api, exchange, caller } = asked;
  const { resource } = rules;
  const { values, given } = updateValues(resource, elementOf(resource, parseJson(exchange.body)));
  const replyOf = (object: StoredObject | undefined): Reply => {
    const shown = object === undefined ? undefined : render(rules, object, caller, worldOf(api));
    return { status: 200, body: { [resource.kind]: shown } };
  };
  return write(asked, {
    run: (writing): StoredObject => {
      const { view } = writing.transaction;
      const before = foundIn(asked, rules, id, writing);
      // What it is about to become: `device_owner`, `target_tenant` are asked about as they would be.
      const target = rules.target(view, { ...before, ...values });
      const refused = checkWrite(rules.policy, policyName(rules), "update", caller, target, given);
      if (refused !== undefined) throw refused;
      const after: StoredObject = rules.update(writing, before, values);
      checkIfMatch(exchange, before);
      return after;
    },
    ids: (updated) => [updated.id],
    reply: replyOf,
    // What is made of other objects is not in the log: it is shown as it is now.
    repeat: (entry) => replyOf(shownOf(entry, rules)[0] ?? rules.made?.one(worldOf(api), id, caller)),
  });
}

function remove(asked: Asked, rules: ResourceRules, id: string): Promise<Reply> {
  const { exchange, caller } = asked;
  return write(asked, {
    run: (writing) => {
      const object = foundIn(asked, rules, id, writing);
      const target = rules.target(writing.transaction.view, object as StoredObject & Values);
      const refused = checkDelete(rules.policy, policyName(rules), caller, target);
      if (refused !== undefined) throw refused;
      rules.remove(writing, object, () => checkIfMatch(exchange, object));
    },
    ids: () => [],
    reply: () => ({ status: 204 }),
    repeat: () => ({ status: 204 }),
  });
}
