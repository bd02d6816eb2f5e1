/** `/v3/roles` and role assignments: who is admin, member or reader of which project (Identity v3). */
import { fail } from "@selvage/base";
import { Assignment, assignmentId, Project, type RoleName, User } from "@selvage/model";
import type { Exchange, Reply } from "../http/exchange.ts";
import { objectIn, readObject, requiredText } from "./body.ts";
import { domain, impliedRoles, type Role, roleById, roles } from "./directory.ts";
import { listReply } from "./projects.ts";
import { callerOf, type IdentityService, identityAuthor, requireAdmin } from "./service.ts";

function roleWire(role: Role, baseUrl: string) {
  return {
    ...role,
    domain_id: null,
    description: null,
    options: {},
    links: { self: `${baseUrl}/identity/v3/roles/${role.id}` },
  };
}

/** GET /v3/roles and /v3/roles/{id}. */
export async function showRoles(service: IdentityService, exchange: Exchange, id: string | undefined): Promise<Reply> {
  await callerOf(service, exchange);
  if (id === undefined) {
    const name = exchange.query.last("name");
    const named = roles.filter((role) => name === undefined || role.name === name);
    return listReply(
      exchange,
      "roles",
      named.map((role) => roleWire(role, exchange.baseUrl)),
    );
  }
  return { status: 200, body: { role: roleWire(knownRole(id), exchange.baseUrl) } };
}

/** POST /v3/roles: the three roles are all there are; naming one of them is the conflict that test suites expect. */
export async function createRole(service: IdentityService, exchange: Exchange): Promise<Reply> {
  requireAdmin(await callerOf(service, exchange), "identity:create_role");
  const name = requiredText(objectIn(readObject(exchange.body), "role"), "name");
  if (roles.some((role) => role.name === name)) {
    throw fail("IdentityConflict", { kind: "role", details: `Duplicate entry found with name ${name}` });
  }
  throw fail("IdentityBadRequest", { message: "The roles are admin, member and reader; no others can be made." });
}

/** `/v3/projects/{project}/users/{user}/roles[/{role}]`: GET lists, HEAD and GET check, PUT gives, DELETE takes. */
export async function assignment(
  service: IdentityService,
  exchange: Exchange,
  projectId: string,
  userId: string,
  roleId: string | undefined,
): Promise<Reply> {
  const caller = await callerOf(service, exchange);
  requireAdmin(
    caller,
    `identity:${exchange.method === "PUT" ? "create" : exchange.method === "DELETE" ? "revoke" : "list"}_grant`,
  );
  const view = service.writer.replica;
  if (!view.has(Project, projectId)) throw fail("IdentityNotFound", { kind: "project", id: projectId });
  if (!view.has(User, userId)) throw fail("IdentityNotFound", { kind: "user", id: userId });
  const held = view.get(Assignment, assignmentId(projectId, userId))?.roles ?? [];
  if (roleId === undefined) {
    if (exchange.method !== "GET") throw fail("IdentityRouteNotFound");
    const wires = roles.filter((role) => held.includes(role.name)).map((role) => roleWire(role, exchange.baseUrl));
    return listReply(exchange, "roles", wires);
  }
  const role = knownRole(roleId);
  switch (exchange.method) {
    case "GET":
    case "HEAD":
      if (!held.includes(role.name)) throw fail("IdentityNotFound", { kind: "role assignment", id: roleId });
      return { status: 204 };
    case "PUT":
      await setRoles(service, exchange, projectId, userId, (before) => [...new Set([...before, role.name])]);
      return { status: 204 };
    case "DELETE":
      if (!held.includes(role.name)) throw fail("IdentityNotFound", { kind: "role assignment", id: roleId });
      await setRoles(service, exchange, projectId, userId, (before) => before.filter((name) => name !== role.name));
      return { status: 204 };
    default:
      throw fail("IdentityRouteNotFound");
  }
}

/** GET /v3/role_assignments, with `user.id`, `scope.project.id`, `role.id`, `effective`, `include_names`. */
export async function listAssignments(service: IdentityService, exchange: Exchange): Promise<Reply> {
  const caller = await callerOf(service, exchange);
  const { query } = exchange;
  const [userId, projectId, roleId] = [query.last("user.id"), query.last("scope.project.id"), query.last("role.id")];
  if (userId !== caller.userId) requireAdmin(caller, "identity:list_role_assignments");
  const [names, effective] = ["include_names", "effective"].map(
    (name) => query.last(name) !== undefined && query.last(name) !== "0",
  );
  const { replica } = service.writer;
  const found = [...replica.objects(Assignment)]
    .filter((each) => userId === undefined || each.user_id === userId)
    .filter((each) => projectId === undefined || each.project_id === projectId)
    .flatMap((each) => {
      const held = effective === true ? impliedRoles(each.roles) : each.roles;
      return roles.filter((role) => held.includes(role.name)).map((role) => ({ each, role }));
    })
    .filter(({ role }) => roleId === undefined || role.id === roleId);
  const wires = found.map(({ each, role }) => {
    const more = (name: string | undefined, extra: object = {}) => (names === true ? { name, ...extra } : {});
    return {
      role: { id: role.id, ...more(role.name) },
      user: { id: each.user_id, ...more(replica.get(User, each.user_id)?.name, { domain }) },
      scope: { project: { id: each.project_id, ...more(replica.get(Project, each.project_id)?.name, { domain }) } },
      links: {
        assignment: `${exchange.baseUrl}/identity/v3/projects/${each.project_id}/users/${each.user_id}/roles/${role.id}`,
      },
    };
  });
  return listReply(exchange, "role_assignments", wires);
}

/** Sets what a user may do in a project; a real change ends the user's tokens. */
async function setRoles(
  service: IdentityService,
  exchange: Exchange,
  projectId: string,
  userId: string,
  change: (before: readonly RoleName[]) => readonly RoleName[],
): Promise<void> {
  const caller = await callerOf(service, exchange);
  await service.writer.transact(identityAuthor(caller, exchange), (transaction) => {
    const id = assignmentId(projectId, userId);
    const before = transaction.view.get(Assignment, id)?.roles ?? [];
    const after = change(before);
    if (after.length === before.length) return;
    const user = transaction.view.get(User, userId);
    if (user === undefined) throw fail("IdentityNotFound", { kind: "user", id: userId });
    if (after.length === 0) transaction.remove(Assignment, id);
    else transaction.put(Assignment, { id, project_id: projectId, user_id: userId, roles: after });
    transaction.put(User, { ...user, credential_version: user.credential_version + 1 });
  });
}

function knownRole(id: string): Role {
  const role = roleById(id);
  if (role === undefined) throw fail("IdentityNotFound", { kind: "role", id });
  return role;
}
