/** The routes of Identity v3 under `/identity`: discovery, and which handler answers what. */
import { errorBody, fail, type SelvageError } from "@selvage/base";
import type { Exchange, Reply } from "../http/exchange.ts";
import { type Access, type Route, routeFor } from "../http/route.ts";
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

type Handle = Route<IdentityService>["answer"];

const on = (method: string, path: string, access: Access, answer: Handle): Route<IdentityService> => ({
  method,
  path: `/identity/v3/${path}`,
  access,
  answer,
});
const aRole: Handle = (service, exchange, project = "", user = "", role) =>
  assignment(service, exchange, project, user, role);

/** Every route under `/identity` but the discovery of versions. */
export const identityRoutes: readonly Route<IdentityService>[] = Object.freeze([
  on("POST", "auth/tokens", "anybody", createToken),
  on("GET", "auth/tokens", "bearer", showToken),
  on("HEAD", "auth/tokens", "bearer", showToken),
  on("DELETE", "auth/tokens", "bearer", revokeToken),
  on("GET", "auth/projects", "bearer", authProjects),
  on("GET", "auth/catalog", "bearer", authCatalogue),
  on("GET", "projects", "admin", listProjects),
  on("POST", "projects", "admin", createProject),
  on("GET", "projects/{project}", "self", (service, exchange, project = "") => showProject(service, exchange, project)),
  on("PATCH", "projects/{project}", "admin", (service, exchange, project = "") =>
    updateProject(service, exchange, project),
  ),
  on("DELETE", "projects/{project}", "admin", (service, exchange, project = "") =>
    deleteProject(service, exchange, project),
  ),
  on("GET", "projects/{project}/users/{user}/roles", "admin", aRole),
  ...["GET", "HEAD", "PUT", "DELETE"].map((method) =>
    on(method, "projects/{project}/users/{user}/roles/{role}", "admin", aRole),
  ),
  on("GET", "users", "admin", listUsers),
  on("POST", "users", "admin", createUser),
  on("GET", "users/{user}", "self", (service, exchange, user = "") => showUser(service, exchange, user)),
  on("PATCH", "users/{user}", "admin", (service, exchange, user = "") => updateUser(service, exchange, user)),
  on("DELETE", "users/{user}", "admin", (service, exchange, user = "") => deleteUser(service, exchange, user)),
  on("POST", "users/{user}/password", "self", (service, exchange, user = "") =>
    changePassword(service, exchange, user),
  ),
  on("GET", "users/{user}/projects", "self", (service, exchange, user = "") => projectsOfUser(service, exchange, user)),
  on("GET", "domains", "bearer", (service, exchange) => domains(service, exchange, undefined)),
  on("GET", "domains/{domain}", "bearer", domains),
  on("GET", "roles", "bearer", (service, exchange) => showRoles(service, exchange, undefined)),
  on("GET", "roles/{role}", "bearer", showRoles),
  on("POST", "roles", "admin", createRole),
  on("GET", "role_assignments", "self", listAssignments),
  ...(["regions", "services", "endpoints"] as const).map((what) =>
    on("GET", what, "bearer", (service, exchange) => catalogueList(service, exchange, what)),
  ),
]);

async function route(service: IdentityService, exchange: Exchange, parts: readonly string[]): Promise<Reply> {
  const found = routeFor(identityRoutes, exchange.method, exchange.path);
  if (found !== undefined) return found.route.answer(service, exchange, ...found.parts);
  // Whoever comes for a token has none to show yet.
  if (parts[0] === "auth" && parts.length === 2) throw fail("IdentityRouteNotFound");
  // The real service asks for a token before it says that a path is not there.
  await callerOf(service, exchange);
  throw fail("IdentityRouteNotFound");
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
