/**
 * Requests that bear a name of the client's: a retry after a lost reply is the same request, and gets the first's reply
 * (the Idempotency-Key header, draft-ietf-httpapi-idempotency-key-header; X-Openstack-Request-Id of oslo.middleware).
 */
import { createHash } from "node:crypto";
import { fail } from "@selvage/base";
import type { Author, LoggedEntry, RequestMark } from "@selvage/store";
import type { Caller } from "../api/policy.ts";
import { type Exchange, headerOf } from "../http/exchange.ts";

/** What the writer needs of a named request: the id of its entry, and what the entry says of it. */
export interface NamedRequest<T> {
  readonly entryId: string;
  mark(result: T): RequestMark;
}

/** The request stands in the log already: as `entry`. */
export class AlreadyLogged extends Error {
  readonly entry: LoggedEntry;
  constructor(entry: LoggedEntry) {
    super(`the request stands in the log as revision ${entry.revision}`);
    this.name = "AlreadyLogged";
    this.entry = entry;
  }
}

/** Whether an entry of the log is the one meant, and not another server's of the same name: two may be told one request at a time. */
export function isSame(id: string, { request_id }: Author, entry: LoggedEntry): boolean {
  return entry.id === id && entry.author.request_id === request_id;
}

/** A request's name, before anything is known of its result. */
export interface RequestName {
  /** As the client gave it. */
  readonly key: string;
  /** UUID made of who asks and the name: no other project or user can meet it. */
  readonly entryId: string;
  /** SHA-256 of what is asked, hex. */
  readonly digest: string;
}

/** What the writer is told of a write. `ids`: of the objects that the reply shows; `reply`: its body, where that is none of theirs. */
export function namedAs<T>(
  name: RequestName | undefined,
  ids: (result: T) => readonly string[],
  reply: (result: T) => unknown = () => undefined,
): NamedRequest<T> | undefined {
  if (name === undefined) return undefined;
  const { entryId, key, digest } = name;
  return {
    entryId,
    mark: (result) => {
      const body = reply(result);
      return { key, digest, ids: ids(result), ...(body === undefined ? {} : { reply: body }) };
    },
  };
}

const longestKey = 255;
const openstackId = /^req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * The name of a write, if it bears one. `Idempotency-Key` names one request. `X-Openstack-Request-Id` names an operation that
 * may be many requests (Nova sends one id with everything that it does for a machine), so it names a request only together
 * with what is asked, and only a POST: the same PUT twice in an operation may be meant, there and back. Nor a POST for
 * a device: a machine may have two ports alike. Throws FieldInvalid for a key that is empty or too long.
 */
export function nameOf(exchange: Exchange, caller: Caller): RequestName | undefined {
  const given = headerOf(exchange, "idempotency-key");
  if (given !== undefined) {
    const key = given.trim();
    if (key === "" || key.length > longestKey) {
      throw fail("FieldInvalid", {
        field: "Idempotency-Key",
        reason: `it must be a text of 1 to ${longestKey} characters`,
      });
    }
    return { key, entryId: entryIdOf(caller, "key", key), digest: digestOf(exchange) };
  }
  const key = clientRequestId(exchange);
  if (key === undefined || exchange.method !== "POST" || isForDevice(exchange)) return undefined;
  const digest = digestOf(exchange);
  return { key, entryId: entryIdOf(caller, "openstack", key, digest), digest };
}

/** What the client calls its request or operation, in OpenStack's form (`req-UUID`): for the history. Anything else is not repeated. */
export function clientRequestId(exchange: Exchange): string | undefined {
  const given = headerOf(exchange, "x-openstack-request-id") ?? headerOf(exchange, "openstack-request-id");
  return given !== undefined && openstackId.test(given) ? given.toLowerCase() : undefined;
}

/** A UUID (RFC 9562, version 8) of the parts, in the order given. */
function entryIdOf(caller: Caller, ...parts: readonly string[]): string {
  const hash = createHash("sha256").update(JSON.stringify([caller.projectId ?? null, caller.userId, ...parts]));
  const hex = hash.digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** What is asked: method, path, condition and body, in which the order of members and white space mean nothing. */
function digestOf(exchange: Exchange): string {
  const { method, path, search } = exchange;
  const asked = [method, path, search, headerOf(exchange, "if-match") ?? null, canonical(bodyOf(exchange))];
  return createHash("sha256").update(JSON.stringify(asked)).digest("hex");
}

/** The body's JSON; the text itself where it is none: the request will be refused for it. */
function bodyOf({ body }: Exchange): unknown {
  const text = new TextDecoder().decode(body);
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON: a text is as good a measure of sameness.
    return text;
  }
}

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, each]) => [name, canonical(each)]),
  );
}

/** Whether a body names a device anywhere: what is made for one may be made twice alike. */
function isForDevice(exchange: Exchange): boolean {
  const names = (value: unknown): boolean =>
    typeof value === "object" &&
    value !== null &&
    Object.entries(value).some(([name, each]) => (name === "device_id" && each !== "") || names(each));
  return names(bodyOf(exchange));
}
