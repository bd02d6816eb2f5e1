/** `/v3/users`: accounts and their passwords (Identity v3). A change of either ends every token of the user. */
import { fail } from "@selvage/base";
import { User } from "@selvage/model";
import type { Exchange, Reply } from "../http/exchange.ts";
import { secondsText } from "../transaction.ts";
import { booleanIn, domainIn, objectIn, readObject, requiredText, textIn } from "./body.ts";
import { identityId } from "./bootstrap.ts";
import { domain } from "./directory.ts";
import { isTrue, listReply } from "./projects.ts";
import {
  callerOf,
  type IdentityService,
  identityAuthor,
  refuseHeldUp,
  requireAdmin,
  requireSelfOrAdmin,
} from "./service.ts";

const longestPassword = 4096;

function userWire(user: User, baseUrl: string) {
  return {
    id: user.id,
    name: user.name,
    domain_id: domain.id,
    enabled: user.enabled,
    password_expires_at: null,
    options: {},
    links: { self: `${baseUrl}/identity/v3/users/${user.id}` },
  };
}

/** GET /v3/users, with the filters that clients use: name, domain_id, enabled. */
export async function listUsers(service: IdentityService, exchange: Exchange): Promise<Reply> {
  requireAdmin(await callerOf(service, exchange), "identity:list_users");
  const { query } = exchange;
  const [name, enabled, domainId] = [query.last("name"), query.last("enabled"), query.last("domain_id")];
  const users = [...service.writer.replica.objects(User)]
    .filter((user) => name === undefined || user.name === name)
    .filter((user) => enabled === undefined || user.enabled === isTrue(enabled))
    .filter(() => domainId === undefined || domainId === domain.id)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return listReply(
    exchange,
    "users",
    users.map((user) => userWire(user, exchange.baseUrl)),
  );
}

export async function showUser(service: IdentityService, exchange: Exchange, id: string): Promise<Reply> {
  requireSelfOrAdmin(await callerOf(service, exchange), id, "identity:get_user");
  return { status: 200, body: { user: userWire(userOf(service, id), exchange.baseUrl) } };
}

/** POST /v3/users. A user without a password cannot log in until it is given one. */
export async function createUser(service: IdentityService, exchange: Exchange): Promise<Reply> {
  const caller = await callerOf(service, exchange);
  requireAdmin(caller, "identity:create_user");
  const body = objectIn(readObject(exchange.body), "user");
  const name = requiredText(body, "name");
  const password = textIn(body, "password", longestPassword) ?? identityId();
  const enabled = booleanIn(body, "enabled") ?? true;
  domainIn(body);
  const password_hash = await service.passwords.hash(password);
  const { result } = await service.writer.transact(identityAuthor(caller, exchange), (transaction) =>
    transaction.put(User, {
      id: identityId(),
      name,
      enabled,
      password_hash,
      credential_version: 1,
      created_at: secondsText(service.now()),
    }),
  );
  return { status: 201, body: { user: userWire(result, exchange.baseUrl) } };
}

/** PATCH /v3/users/{id}: name, enablement, a password set by an admin. */
export async function updateUser(service: IdentityService, exchange: Exchange, id: string): Promise<Reply> {
  const caller = await callerOf(service, exchange);
  requireAdmin(caller, "identity:update_user");
  const body = objectIn(readObject(exchange.body), "user");
  const [name, password, enabled] = [
    textIn(body, "name"),
    textIn(body, "password", longestPassword),
    booleanIn(body, "enabled"),
  ];
  const hash = password === undefined ? undefined : await service.passwords.hash(password);
  const { result } = await service.writer.transact(identityAuthor(caller, exchange), (transaction) => {
    const before = transaction.view.get(User, id);
    if (before === undefined) throw fail("IdentityNotFound", { kind: "user", id });
    const ends = hash !== undefined || (enabled !== undefined && enabled !== before.enabled);
    return transaction.put(User, {
      ...before,
      name: name ?? before.name,
      enabled: enabled ?? before.enabled,
      password_hash: hash ?? before.password_hash,
      credential_version: before.credential_version + (ends ? 1 : 0),
    });
  });
  return { status: 200, body: { user: userWire(result, exchange.baseUrl) } };
}

/** POST /v3/users/{id}/password: one's own, with the one that held until now. */
export async function changePassword(service: IdentityService, exchange: Exchange, id: string): Promise<Reply> {
  const caller = await callerOf(service, exchange);
  if (caller.userId !== id) throw fail("Forbidden", { action: "identity:change_password" });
  const body = objectIn(readObject(exchange.body), "user");
  const original = requiredText(body, "original_password", longestPassword);
  const password = requiredText(body, "password", longestPassword);
  const user = userOf(service, id);
  refuseHeldUp([service.accounts, id]);
  const isRight = await service.passwords.verify(original, user.password_hash);
  refuseHeldUp([service.accounts, id]);
  if (!isRight) {
    service.accounts.failed(id);
    throw fail("Unauthorized");
  }
  const password_hash = await service.passwords.hash(password);
  await service.writer.transact(identityAuthor(caller, exchange), (transaction) => {
    const before = transaction.view.get(User, id);
    // Someone else changed it while we looked: the original that was shown is not the one that holds.
    if (before === undefined || before.credential_version !== user.credential_version) throw fail("Unauthorized");
    transaction.put(User, { ...before, password_hash, credential_version: before.credential_version + 1 });
  });
  return { status: 204 };
}

export async function deleteUser(service: IdentityService, exchange: Exchange, id: string): Promise<Reply> {
  const caller = await callerOf(service, exchange);
  requireAdmin(caller, "identity:delete_user");
  await service.writer.transact(identityAuthor(caller, exchange), (transaction) => {
    if (!transaction.view.has(User, id)) throw fail("IdentityNotFound", { kind: "user", id });
    transaction.remove(User, id);
  });
  return { status: 204 };
}

function userOf(service: IdentityService, id: string): User {
  const user = service.writer.replica.get(User, id);
  if (user === undefined) throw fail("IdentityNotFound", { kind: "user", id });
  return user;
}
