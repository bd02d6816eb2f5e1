/** `/v3/projects` and `/v3/domains`: the tenants, in the one domain (Identity v3). */
import { fail } from "@selvage/base";
import { Assignment, Project, SecurityGroup } from "@selvage/model";
import type { Exchange, Reply } from "../http/exchange.ts";
import { secondsText } from "../transaction.ts";
import { booleanIn, domainIn, objectIn, readObject, requiredText, textIn } from "./body.ts";
import { identityId } from "./bootstrap.ts";
import { domain } from "./directory.ts";
import { callerOf, type IdentityService, identityAuthor, requireAdmin, requireSelfOrAdmin } from "./service.ts";

export function projectWire(project: Project, baseUrl: string) {
  return {
    id: project.id,
    name: project.name,
    description: project.description,
    enabled: project.enabled,
    domain_id: domain.id,
    parent_id: domain.id,
    is_domain: false,
    tags: [],
    options: {},
    links: { self: `${baseUrl}/identity/v3/projects/${project.id}` },
  };
}

/** GET /v3/projects, with the filters that clients use: name, domain_id, enabled. */
export async function listProjects(service: IdentityService, exchange: Exchange): Promise<Reply> {
  requireAdmin(await callerOf(service, exchange), "identity:list_projects");
  const { query, baseUrl } = exchange;
  const [name, enabled, domainId] = [query.last("name"), query.last("enabled"), query.last("domain_id")];
  const projects = [...service.writer.replica.objects(Project)]
    .filter((project) => name === undefined || project.name === name)
    .filter((project) => enabled === undefined || project.enabled === isTrue(enabled))
    .filter(() => domainId === undefined || domainId === domain.id)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return listReply(
    exchange,
    "projects",
    projects.map((project) => projectWire(project, baseUrl)),
  );
}

/** GET /v3/projects/{id}: an admin's, or of one's own. */
export async function showProject(service: IdentityService, exchange: Exchange, id: string): Promise<Reply> {
  const caller = await callerOf(service, exchange);
  const view = service.writer.replica;
  const own = view.by(Assignment.index.user_id, caller.userId).some((assignment) => assignment.project_id === id);
  if (!own) requireAdmin(caller, "identity:get_project");
  const project = view.get(Project, id);
  if (project === undefined) throw fail("IdentityNotFound", { kind: "project", id });
  return { status: 200, body: { project: projectWire(project, exchange.baseUrl) } };
}

export async function createProject(service: IdentityService, exchange: Exchange): Promise<Reply> {
  const caller = await callerOf(service, exchange);
  requireAdmin(caller, "identity:create_project");
  const body = objectIn(readObject(exchange.body), "project");
  const name = requiredText(body, "name", 64);
  const description = textIn(body, "description") ?? "";
  const enabled = booleanIn(body, "enabled") ?? true;
  domainIn(body);
  const { result } = await service.writer.transact(identityAuthor(caller, exchange), (transaction) =>
    transaction.put(Project, { id: identityId(), name, description, enabled, created_at: secondsText(service.now()) }),
  );
  return { status: 201, body: { project: projectWire(result, exchange.baseUrl) } };
}

export async function updateProject(service: IdentityService, exchange: Exchange, id: string): Promise<Reply> {
  const caller = await callerOf(service, exchange);
  requireAdmin(caller, "identity:update_project");
  const body = objectIn(readObject(exchange.body), "project");
  const [name, description, enabled] = [
    textIn(body, "name", 64),
    textIn(body, "description"),
    booleanIn(body, "enabled"),
  ];
  const { result } = await service.writer.transact(identityAuthor(caller, exchange), (transaction) => {
    const before = transaction.view.get(Project, id);
    if (before === undefined) throw fail("IdentityNotFound", { kind: "project", id });
    return transaction.put(Project, {
      ...before,
      name: name ?? before.name,
      description: description ?? before.description,
      enabled: enabled ?? before.enabled,
    });
  });
  return { status: 200, body: { project: projectWire(result, exchange.baseUrl) } };
}

/**
 * DELETE /v3/projects/{id}: refused while the project owns anything, unlike Keystone, which would leave it ownerless. Its default security group, which it never
 * asked for, goes with it.
 */
export async function deleteProject(service: IdentityService, exchange: Exchange, id: string): Promise<Reply> {
  const caller = await callerOf(service, exchange);
  requireAdmin(caller, "identity:delete_project");
  await service.writer.transact(identityAuthor(caller, exchange), (transaction) => {
    if (!transaction.view.has(Project, id)) throw fail("IdentityNotFound", { kind: "project", id });
    for (const group of transaction.view.by(SecurityGroup.index.default, id))
      transaction.remove(SecurityGroup, group.id);
    transaction.remove(Project, id);
  });
  return { status: 204 };
}

/** GET /v3/users/{id}/projects. */
export async function projectsOfUser(service: IdentityService, exchange: Exchange, userId: string): Promise<Reply> {
  requireSelfOrAdmin(await callerOf(service, exchange), userId, "identity:list_user_projects");
  const { replica } = service.writer;
  const projects = replica
    .by(Assignment.index.user_id, userId)
    .flatMap((assignment) => replica.get(Project, assignment.project_id) ?? []);
  return listReply(
    exchange,
    "projects",
    projects.map((project) => projectWire(project, exchange.baseUrl)),
  );
}

/** GET /v3/domains and /v3/domains/{id}. */
export async function domains(service: IdentityService, exchange: Exchange, id: string | undefined): Promise<Reply> {
  await callerOf(service, exchange);
  const wire = {
    ...domain,
    description: "The default domain",
    enabled: true,
    tags: [],
    options: {},
    links: { self: `${exchange.baseUrl}/identity/v3/domains/${domain.id}` },
  };
  if (id !== undefined) {
    if (id !== domain.id) throw fail("IdentityNotFound", { kind: "domain", id });
    return { status: 200, body: { domain: wire } };
  }
  const name = exchange.query.last("name");
  const named = name === undefined || name.toLowerCase() === domain.name.toLowerCase();
  return listReply(exchange, "domains", named ? [wire] : []);
}

/** A list in Keystone's envelope. */
export function listReply(exchange: Exchange, plural: string, items: readonly unknown[]): Reply {
  const self = `${exchange.baseUrl}${exchange.path}${exchange.search === "" ? "" : `?${exchange.search}`}`;
  return { status: 200, body: { [plural]: items, links: { next: null, self, previous: null } } };
}

export function isTrue(text: string): boolean {
  return !["0", "false"].includes(text.toLowerCase());
}
