/** What the Identity handlers share: the writer, tokens, passwords, throttles, and who may do what. */
import { fail } from "@selvage/base";
import type { Author } from "@selvage/store";
import { type Caller, isAdmin } from "../api/policy.ts";
import { type Exchange, headerOf } from "../http/exchange.ts";
import type { ServerSettings } from "../settings.ts";
import type { Writer } from "../writer.ts";
import { Passwords } from "./password.ts";
import { Throttle } from "./throttle.ts";
import { Tokens } from "./tokens.ts";

export interface IdentityService {
  readonly writer: Writer;
  readonly settings: ServerSettings;
  readonly tokens: Tokens;
  readonly passwords: Passwords;
  /** By account name. */
  readonly accounts: Throttle;
  /** By source address: many accounts may stand behind one, so it bears more. */
  readonly sources: Throttle;
  readonly now: () => number;
}

const minute = 60_000;

export function createIdentity(writer: Writer, settings: ServerSettings, now: () => number): IdentityService {
  const throttle = (free: number): Throttle =>
    new Throttle({ now, free, first: 1000, longest: minute, forget: 15 * minute, capacity: 10_000 });
  return {
    writer,
    settings,
    now,
    tokens: new Tokens({ view: writer.replica, now, lifetime: settings.tokenLifetime }),
    passwords: new Passwords(settings),
    accounts: throttle(5),
    sources: throttle(20),
  };
}

/** Throws TooManyAttempts where a key is held up in its throttle. */
export function refuseHeldUp(...keys: readonly (readonly [throttle: Throttle, key: string])[]): void {
  const wait = Math.max(...keys.map(([throttle, key]) => throttle.wait(key)));
  if (wait > 0) throw fail("TooManyAttempts", {}, { retryAfter: Math.ceil(wait / 1000) });
}

/** Who bears the request's token. Throws Unauthorized. */
export function callerOf(service: IdentityService, exchange: Exchange): Promise<Caller> {
  return service.tokens.caller(headerOf(exchange, "x-auth-token"));
}

/** Throws Forbidden unless the caller is an admin. `action`: Keystone's name of it, `identity:list_users`. */
export function requireAdmin(caller: Caller, action: string): void {
  if (!isAdmin(caller, { projectId: "" })) throw fail("Forbidden", { action });
}

export function requireSelfOrAdmin(caller: Caller, userId: string, action: string): void {
  if (caller.userId !== userId) requireAdmin(caller, action);
}

export function identityAuthor(caller: Caller, exchange: Exchange): Author {
  return {
    kind: "user",
    id: caller.userId,
    request_id: exchange.requestId,
    ...(caller.projectId === undefined ? {} : { project_id: caller.projectId }),
  };
}
