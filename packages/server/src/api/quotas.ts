/** `/v2.0/quotas`: what each project may have and has (`quotas`, `quota_details`, `quota-check-limit`). */
import { fail } from "@selvage/base";
import { InvalidValue, integer, Project, Quota, type View } from "@selvage/model";
import { type Counted, countedKinds, limitOf } from "../rules/quotas.ts";
import type { Writing } from "../rules/rules.ts";
import { type Asked, worldOf, writeOwn } from "./asked.ts";
import { invalidValue, parseJson, type Values } from "./body.ts";
import type { FreeRoute } from "./free.ts";
import { isAdmin } from "./policy.ts";

const limit = integer(-1, 2 ** 31 - 1);

export const quotaRoutes: readonly FreeRoute[] = Object.freeze([
  { method: "GET", path: "/v2.0/quotas", access: "admin", answer: list },
  // Before `{project}`: the name of no project.
  {
    method: "GET",
    path: "/v2.0/quotas/tenant",
    access: "bearer",
    answer: (asked) => own(asked, "tenant", "tenant_id"),
  },
  {
    method: "GET",
    path: "/v2.0/quotas/project",
    access: "bearer",
    answer: (asked) => own(asked, "project", "project_id"),
  },
  { method: "GET", path: "/v2.0/quotas/{project}", access: "project", answer: show },
  { method: "PUT", path: "/v2.0/quotas/{project}", access: "admin", answer: update },
  { method: "DELETE", path: "/v2.0/quotas/{project}", access: "admin", answer: reset },
  { method: "GET", path: "/v2.0/quotas/{project}/default", access: "project", answer: defaults },
  { method: "GET", path: "/v2.0/quotas/{project}/details", access: "project", answer: details },
  { method: "GET", path: "/v2.0/quotas/{project}/details.json", access: "project", answer: details },
] as const satisfies readonly FreeRoute[]);

function list(asked: Asked) {
  requireAdmin(asked, "get");
  const { view } = worldOf(asked.api);
  const quotas = [...view.objects(Quota)]
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .map(({ id }) => ({ ...limitsOf(asked, view, id), project_id: id, tenant_id: id }));
  return { status: 200, body: { quotas } };
}

function own({ caller }: Asked, key: string, name: string) {
  return { status: 200, body: { [key]: { [name]: caller.projectId ?? null } } };
}

function show(asked: Asked, projectId = "") {
  requireOwner(asked, projectId);
  return { status: 200, body: { quota: limitsOf(asked, worldOf(asked.api).view, projectId) } };
}

function defaults(asked: Asked, projectId = "") {
  requireOwner(asked, projectId);
  return { status: 200, body: { quota: eachKind((counted) => counted.default(asked.api.settings)) } };
}

function details(asked: Asked, projectId = "") {
  requireOwner(asked, projectId);
  const { view, settings } = worldOf(asked.api);
  const quota = eachKind((counted) => ({
    limit: limitOf(view, settings, projectId, counted),
    used: counted.used(view, projectId),
    reserved: 0,
  }));
  return { status: 200, body: { quota } };
}

/** Changes the limits that the body names; `check_limit` asks that none be below what is in use. */
function update(asked: Asked, projectId = "") {
  requireAdmin(asked, "update");
  const { limits, check } = wantedOf(parseJson(asked.exchange.body));
  return writeOwn(asked, 200, (writing) => {
    const { transaction, settings } = writing;
    const { view } = transaction;
    if (!view.has(Project, projectId)) {
      throw fail("HTTPBadRequest", { message: `Project ${projectId} could not be found.` });
    }
    if (check) checkUsed(writing, projectId, limits);
    const before = view.get(Quota, projectId)?.limits ?? {};
    transaction.put(Quota, { id: projectId, project_id: projectId, limits: { ...before, ...limits } });
    return { quota: eachKind((counted) => limitOf(view, settings, projectId, counted)) };
  });
}

/** Back to the defaults. Throws TenantQuotaNotFound for a project that has them already. */
function reset(asked: Asked, projectId = "") {
  requireAdmin(asked, "delete");
  return writeOwn(asked, 204, ({ transaction }) => {
    if (!transaction.view.has(Quota, projectId)) throw fail("TenantQuotaNotFound", { tenant_id: projectId });
    transaction.remove(Quota, projectId);
  });
}

function limitsOf({ api }: Asked, view: View, projectId: string) {
  return eachKind((counted) => limitOf(view, api.settings, projectId, counted));
}

function eachKind<T>(value: (counted: Counted) => T): Readonly<Record<string, T>> {
  return Object.fromEntries(countedKinds.map((counted) => [counted.kind, value(counted)]));
}

interface Wanted {
  readonly limits: Readonly<Record<string, number>>;
  readonly check: boolean;
}

/** The body of a PUT. Throws the 400 of what is wrong with it. */
function wantedOf(body: Values): Wanted {
  const { quota } = body;
  if (typeof quota !== "object" || quota === null || Array.isArray(quota)) {
    throw fail("BodyKeyMissing", { resource: "quota" });
  }
  const { check_limit: check = false, tenant_id: _tenant, project_id: _project, ...given } = quota as Values;
  const kinds = new Set(countedKinds.map(({ kind }) => kind));
  const unknown = Object.keys(given).filter((name) => !kinds.has(name));
  if (unknown.length > 0) throw fail("AttributesUnrecognized", { attributes: unknown.join(", ") });
  const limits = Object.entries(given).map(([kind, value]) => [kind, limitIn(kind, value)] as const);
  return { limits: Object.fromEntries(limits), check: check === true || String(check).toLowerCase() === "true" };
}

function limitIn(kind: string, value: unknown): number {
  try {
    return limit.parse(value);
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error;
    if (!error.reason.endsWith("is not an integer.")) throw invalidValue(kind, limit.name, value, error);
    throw fail("InvalidInput", { error_message: error.reason.replace(/\.$/, "") }, { field: kind });
  }
}

function checkUsed({ transaction }: Writing, projectId: string, limits: Readonly<Record<string, number>>): void {
  for (const counted of countedKinds) {
    const wanted = limits[counted.kind];
    if (wanted === undefined || wanted < 0) continue;
    const used = counted.used(transaction.view, projectId);
    if (used > wanted) throw fail("QuotaBelowUsage", { limit: wanted, resource: counted.kind, used });
  }
}

function requireAdmin({ caller }: Asked, action: string): void {
  if (!isAdmin(caller, { projectId: "" })) throw fail("PolicyNotAuthorized", { rule: `rule:${action}_quota` });
}

/** A project's own quota is for whoever has a role in it, and for an admin. */
function requireOwner(asked: Asked, projectId: string): void {
  if (asked.caller.projectId !== projectId) requireAdmin(asked, "get");
}
