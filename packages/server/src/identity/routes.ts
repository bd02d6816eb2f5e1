/** The routes of Identity v3 under `/identity`: discovery, and which handler answers what. */
import { errorBody, fail, type SelvageError } from "@selvage/base";
import type { Exchange, Reply } from "../http/exchange.ts";
import { authCatalogue, authProjects, createToken, revokeToken, showToken } from "./auth.ts";
import { catalogue } from "./catalogue.ts";
import {
  createProject,
  deleteProject,
  domains,
  listProjects,
  listReply,
  projectsOfUser,
  showProject,
  updateProject,
} from "./projects.ts";
import { assignment, createRole, listAssignments, showRoles } from "./roles.ts";
import { callerOf, type IdentityService } from "./service.ts";
import { changePassword, createUser, deleteUser, listUsers, showUser, updateUser } from "./users.ts";

/** Answers everything under `/identity`. Throws the error to answer with. */
export async function identity(service: IdentityService, exchange: Exchange): Promise<Reply> {
  const [version, ...parts] = exchange.path
    .split("/")
    .filter((part) => part !== "")
    .slice(1);
  if (version === undefined) return { status: 300, body: { versions: { values: [versionWire(exchange)] } } };
  if (version !== "v3") throw fail("IdentityRouteNotFound");
  if (parts.length === 0) return { status: 200, body: { version: versionWire(exchange) } };
  return route(service, exchange, parts);
}

/** The reply to an error on this API. */
export function identityError(error: SelvageError, exchange: Exchange): Reply {
  const headers: Record<string, string> = {};
  if (error.retryAfter !== undefined) headers["retry-after"] = String(error.retryAfter);
  if (error.status === 401) headers["www-authenticate"] = `Keystone uri="${exchange.baseUrl}/identity/v3"`;
  const own = errorBody(error);
  const title = typeof own.NeutronError === "object" ? error.type : undefined;
  const isKeystone = title === undefined && typeof own.error === "object" && own.error !== null && "code" in own.error;
  const body = isKeystone ? own : { error: { code: error.status, title: error.type, message: error.message } };
  return { status: error.status, body, headers };
}

async function route(service: IdentityService, exchange: Exchange, parts: readonly string[]): Promise<Reply> {
  const { method } = exchange;
  const [first, second, third, fourth, fifth, sixth] = parts;
  const shape = parts.length;
  switch (first) {
    case "auth":
      if (shape === 2) return auth(service, exchange, second);
      break;
    case "projects":
      if (shape === 1 && method === "GET") return listProjects(service, exchange);
      if (shape === 1 && method === "POST") return createProject(service, exchange);
      if (shape === 2 && second !== undefined) {
        if (method === "GET") return showProject(service, exchange, second);
        if (method === "PATCH") return updateProject(service, exchange, second);
        if (method === "DELETE") return deleteProject(service, exchange, second);
      }
      if (third === "users" && fifth === "roles" && shape <= 6 && second !== undefined && fourth !== undefined) {
        return assignment(service, exchange, second, fourth, sixth);
      }
      break;
    case "users":
      if (shape === 1 && method === "GET") return listUsers(service, exchange);
      if (shape === 1 && method === "POST") return createUser(service, exchange);
      if (second === undefined) break;
      if (shape === 2 && method === "GET") return showUser(service, exchange, second);
      if (shape === 2 && method === "PATCH") return updateUser(service, exchange, second);
      if (shape === 2 && method === "DELETE") return deleteUser(service, exchange, second);
      if (shape === 3 && third === "password" && method === "POST") return changePassword(service, exchange, second);
      if (shape === 3 && third === "projects" && method === "GET") return projectsOfUser(service, exchange, second);
      break;
    case "domains":
      if (shape <= 2 && method === "GET") return domains(service, exchange, second);
      break;
    case "roles":
      if (shape <= 2 && method === "GET") return showRoles(service, exchange, second);
      if (shape === 1 && method === "POST") return createRole(service, exchange);
      break;
    case "role_assignments":
      if (shape === 1 && method === "GET") return listAssignments(service, exchange);
      break;
    case "regions":
    case "services":
    case "endpoints":
      if (shape === 1 && method === "GET") return catalogueList(service, exchange, first);
      break;
    default:
      break;
  }
  // The real service asks for a token before it says that a path is not there.
  await callerOf(service, exchange);
  throw fail("IdentityRouteNotFound");
}

function auth(service: IdentityService, exchange: Exchange, what: string | undefined): Promise<Reply> {
  switch (`${exchange.method} ${what}`) {
    case "POST tokens":
      return createToken(service, exchange);
    case "GET tokens":
    case "HEAD tokens":
      return showToken(service, exchange);
    case "DELETE tokens":
      return revokeToken(service, exchange);
    case "GET projects":
      return authProjects(service, exchange);
    case "GET catalog":
      return authCatalogue(service, exchange);
    default:
      throw fail("IdentityRouteNotFound");
  }
}

async function catalogueList(
  service: IdentityService,
  exchange: Exchange,
  what: "regions" | "services" | "endpoints",
): Promise<Reply> {
  await callerOf(service, exchange);
  const { region } = service.settings;
  const services = catalogue(exchange.baseUrl, region);
  switch (what) {
    case "regions":
      return listReply(exchange, what, [{ id: region, description: "", parent_region_id: null }]);
    case "services":
      return listReply(
        exchange,
        what,
        services.map(({ id, name, type }) => ({ id, name, type, enabled: true, description: "" })),
      );
    case "endpoints":
      return listReply(
        exchange,
        what,
        services.flatMap((each) =>
          each.endpoints.map((endpoint) => ({ ...endpoint, service_id: each.id, enabled: true })),
        ),
      );
  }
}

function versionWire(exchange: Exchange) {
  return {
    id: "v3.14",
    status: "stable",
    updated: "2020-04-07T00:00:00Z",
    links: [{ rel: "self", href: `${exchange.baseUrl}/identity/v3/` }],
    "media-types": [{ base: "application/json", type: "application/vnd.openstack.identity-v3+json" }],
  };
}
