/** `POST /v1/keys`: replaces the key that signs tokens (RFC 7518, section 3.2), or the certificate authority of the hosts (RFC 5280). Admin only. */
import { randomBytes } from "node:crypto";
import { createAuthority, fail, fingerprintOf } from "@selvage/base";
import { Host, JoinToken, Secret } from "@selvage/model";
import type { Caller } from "../api/policy.ts";
import type { Exchange, Reply } from "../http/exchange.ts";
import { authorityId } from "../identity/bootstrap.ts";
import { identityAuthor } from "../identity/service.ts";
import { tokenKeyId } from "../identity/tokens.ts";
import type { OwnApi } from "./own.ts";
import { readOwnBody, requireOwnAdmin, textOf } from "./request.ts";

/**
 * POST /v1/keys `{key: "tokens" | "authority"}`.
 * `tokens`: every token ends at once, on every server of the store; whoever bears one signs in again.
 * `authority`: every host's certificate, and every join token, ends at once; hosts forward on with what they hold, keep their names, ports and
 * tunnel addresses, and are joined anew, each with a token made after this. There is no time in which both authorities hold.
 * Gives what has to be done: `hosts` are those to be joined anew. Throws AdminRequired, FieldInvalid.
 */
export async function replaceKey(api: OwnApi, exchange: Exchange, caller: Caller): Promise<Reply> {
  requireOwnAdmin(caller, "Replacing a key");
  const key = textOf(readOwnBody(exchange), "key");
  switch (key) {
    case "tokens":
      return replaceTokenKey(api, exchange, caller);
    case "authority":
      return replaceAuthority(api, exchange, caller);
    default:
      throw fail("FieldInvalid", { field: "key", reason: "it must be tokens or authority" }, { field: "key" });
  }
}

async function replaceTokenKey(api: OwnApi, exchange: Exchange, caller: Caller): Promise<Reply> {
  const value = randomBytes(32).toString("base64url");
  await api.writer.transact(identityAuthor(caller, exchange), (transaction) => {
    transaction.put(Secret, { id: tokenKeyId, value, created_at: transaction.now });
  });
  return { status: 200, body: { key: "tokens", hosts: [] } };
}

async function replaceAuthority(api: OwnApi, exchange: Exchange, caller: Caller): Promise<Reply> {
  const authority = await createAuthority();
  const { result } = await api.writer.transact(identityAuthor(caller, exchange), (transaction) => {
    // Who is there is read from the log; what each is, from the write's own view of it.
    const { view } = transaction;
    const { replica } = api.writer;
    transaction.put(Secret, { id: authorityId, value: JSON.stringify(authority), created_at: transaction.now });
    const joined = [...replica.objects(Host)].flatMap(({ id }) => {
      const host = view.get(Host, id);
      return host === undefined || host.joined_at === null ? [] : [host];
    });
    for (const host of joined) transaction.put(Host, { ...host, certificate_fingerprint: null, joined_at: null });
    // A token that was made before bears the fingerprint of the old authority.
    for (const { id } of [...replica.objects(JoinToken)]) {
      const token = view.get(JoinToken, id);
      if (token !== undefined && !token.revoked && token.used_at === null)
        transaction.put(JoinToken, { ...token, revoked: true });
    }
    return joined.map(({ name }) => name).sort();
  });
  return {
    status: 200,
    body: { key: "authority", hosts: result, ca_fingerprint: fingerprintOf(authority.certificatePem) },
  };
}
