/** `/v3/auth`: tokens for a password or another token, their validation and their end (Identity v3, "Authentication and token management"). */
import { fail } from "@selvage/base";
import { Assignment, Project, RevokedToken, type RoleName, User, type View } from "@selvage/model";
import { isAdmin } from "../api/policy.ts";
import { type Exchange, headerOf, type Reply } from "../http/exchange.ts";
import { secondsText } from "../transaction.ts";
import { type Attributes, isAttributes, objectIn, readObject } from "./body.ts";
import { catalogue } from "./catalogue.ts";
import { domain, isDefaultDomain, roles as knownRoles, rolesIn } from "./directory.ts";
import { projectWire } from "./projects.ts";
import { callerOf, type IdentityService, identityAuthor, refuseHeldUp } from "./service.ts";
import type { Claims } from "./tokens.ts";

/** Who has shown who it is, and how long that holds (seconds since the epoch). */
interface Proven {
  readonly user: User;
  readonly methods: readonly string[];
  readonly expiresAt?: number;
}

/** Longest password that is hashed at all. */
const longestPassword = 4096;

/** POST /v3/auth/tokens. Throws Unauthorized for whatever is wrong with who it claims to be. */
export async function createToken(service: IdentityService, exchange: Exchange): Promise<Reply> {
  const auth = objectIn(readObject(exchange.body), "auth");
  const identity = objectIn(auth, "identity", "auth");
  const methods: readonly unknown[] = Array.isArray(identity.methods) ? identity.methods : [];
  const proven = await prove(service, exchange, methods, identity);
  const view = service.writer.replica;
  const { projectId, roles } = scopeOf(view, auth.scope, proven.user);
  const { token, claims } = await service.tokens.issue(proven.user, projectId, roles, proven.methods, proven.expiresAt);
  return {
    status: 201,
    body: tokenBody(service, exchange, claims),
    headers: { "x-subject-token": token, vary: "X-Auth-Token" },
  };
}

/** GET and HEAD /v3/auth/tokens. */
export async function showToken(service: IdentityService, exchange: Exchange): Promise<Reply> {
  const { token, claims } = await subject(service, exchange, "identity:validate_token");
  const headers = { "x-subject-token": token, vary: "X-Auth-Token" };
  return { status: 200, body: tokenBody(service, exchange, claims), headers };
}

/** DELETE /v3/auth/tokens: the token holds nowhere any more. */
export async function revokeToken(service: IdentityService, exchange: Exchange): Promise<Reply> {
  const { claims, caller } = await subject(service, exchange, "identity:revoke_token");
  const now = service.now();
  await service.writer.transact(identityAuthor(caller, exchange), (transaction) => {
    transaction.put(RevokedToken, { id: claims.id, expires_at: secondsText(claims.expiresAt * 1000) });
    // Those that have ended anyway need no keeping: a token lives for hours, so the last days hold them all.
    for (let day = 1; day <= 3; day++) {
      const key = secondsText(now - day * 86_400_000).slice(0, 10);
      for (const old of transaction.view.by(RevokedToken.index.day, key)) {
        if (Date.parse(old.expires_at) < now) transaction.remove(RevokedToken, old.id);
      }
    }
  });
  return { status: 204 };
}

/** GET /v3/auth/projects: where the caller may do something. */
export async function authProjects(service: IdentityService, exchange: Exchange): Promise<Reply> {
  const caller = await callerOf(service, exchange);
  const { replica } = service.writer;
  const projects = replica
    .by(Assignment.index.user_id, caller.userId)
    .flatMap((assignment) => replica.get(Project, assignment.project_id) ?? [])
    .filter((project) => project.enabled);
  return {
    status: 200,
    body: {
      projects: projects.map((project) => projectWire(project, exchange.baseUrl)),
      links: { self: `${exchange.baseUrl}/identity/v3/auth/projects`, previous: null, next: null },
    },
  };
}

/** GET /v3/auth/catalog. */
export async function authCatalogue(service: IdentityService, exchange: Exchange): Promise<Reply> {
  await callerOf(service, exchange);
  return { status: 200, body: { catalog: catalogue(exchange.baseUrl, service.settings.region), links: {} } };
}

async function prove(
  service: IdentityService,
  exchange: Exchange,
  methods: readonly unknown[],
  identity: Attributes,
): Promise<Proven> {
  switch (methods.length === 1 ? methods[0] : undefined) {
    case "password":
      return provePassword(service, exchange, objectIn(objectIn(identity, "password", "identity"), "user", "password"));
    case "token": {
      const token = objectIn(identity, "token", "identity").id;
      const claims = await service.tokens.verify(typeof token === "string" ? token : undefined);
      const user = claims === undefined ? undefined : service.writer.replica.get(User, claims.userId);
      if (claims === undefined || user === undefined) throw fail("Unauthorized");
      return { user, methods: [...new Set([...claims.methods, "token"])], expiresAt: claims.expiresAt };
    }
    default:
      throw fail("Unauthorized");
  }
}

async function provePassword(service: IdentityService, exchange: Exchange, given: Attributes): Promise<Proven> {
  const { id, name, password } = given;
  if (typeof password !== "string" || (typeof id !== "string" && typeof name !== "string")) throw fail("Unauthorized");
  const view = service.writer.replica;
  const named =
    typeof id === "string"
      ? view.get(User, id)
      : isDefaultDomain(given.domain)
        ? view.by(User.index.name, String(name))[0]
        : undefined;
  // One account is one key, by whichever name it was called; unknown ones count under what they were called.
  const account = named?.id ?? `?${String(id ?? name).slice(0, 255)}`;
  const notHeldUp = (): void => refuseHeldUp([service.accounts, account], [service.sources, exchange.source]);
  notHeldUp();
  const usable = named?.enabled === true && password.length <= longestPassword ? named.password_hash : undefined;
  const isRight = await service.passwords.verify(password.slice(0, longestPassword), usable);
  // Many guesses sent at once all began before the first had failed: what is held up meanwhile is not told whether it was right.
  notHeldUp();
  if (!isRight || named === undefined) {
    service.accounts.failed(account);
    service.sources.failed(exchange.source);
    throw fail("Unauthorized");
  }
  service.accounts.succeeded(account);
  // Read again: the hash took its time, and the user may have changed meanwhile.
  const user = view.get(User, named.id);
  if (user === undefined || user.credential_version !== named.credential_version) throw fail("Unauthorized");
  return { user, methods: ["password"] };
}

/** The project that a token is for, and what its user may do there. Throws Unauthorized where that is nothing. */
function scopeOf(
  view: View,
  scope: unknown,
  user: User,
): { readonly projectId: string | undefined; readonly roles: readonly RoleName[] } {
  if (scope === undefined || scope === "unscoped" || (isAttributes(scope) && "unscoped" in scope)) {
    return { projectId: undefined, roles: [] };
  }
  if (!isAttributes(scope)) throw fail("Unauthorized");
  const named = objectIn(scope, "project", "scope");
  const { id, name } = named;
  const project =
    typeof id === "string"
      ? view.get(Project, id)
      : typeof name === "string" && isDefaultDomain(named.domain)
        ? view.by(Project.index.name, name)[0]
        : undefined;
  const roles = project === undefined || !project.enabled ? [] : rolesIn(view, user.id, project.id);
  if (project === undefined || roles.length === 0) throw fail("Unauthorized");
  return { projectId: project.id, roles };
}

/** The token that the request is about, if its bearer may ask: it is its own, or it is an admin. */
async function subject(service: IdentityService, exchange: Exchange, action: string) {
  const caller = await callerOf(service, exchange);
  const token = headerOf(exchange, "x-subject-token");
  const claims = await service.tokens.verify(token);
  if (token === undefined || claims === undefined) throw fail("TokenNotFound", { id: "the subject token" });
  if (claims.userId !== caller.userId && !isAdmin(caller, { projectId: "" })) throw fail("Forbidden", { action });
  return { token, claims, caller };
}

function tokenBody(service: IdentityService, exchange: Exchange, claims: Claims): unknown {
  const view = service.writer.replica;
  const user = view.get(User, claims.userId);
  const project = claims.projectId === undefined ? undefined : view.get(Project, claims.projectId);
  const scoped = project !== undefined && {
    project: { domain, id: project.id, name: project.name },
    is_domain: false,
    roles: knownRoles.filter((role) => claims.roles.includes(role.name)),
    catalog: catalogue(exchange.baseUrl, service.settings.region),
  };
  return {
    token: {
      methods: claims.methods,
      user: { domain, id: claims.userId, name: user?.name, password_expires_at: null },
      audit_ids: [Buffer.from(claims.id.replaceAll("-", ""), "hex").toString("base64url")],
      expires_at: microseconds(claims.expiresAt),
      issued_at: microseconds(claims.issuedAt),
      ...scoped,
    },
  };
}

/** Keystone's form of a time: with six digits of fraction. */
function microseconds(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}.000000Z`;
}
