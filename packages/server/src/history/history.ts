/** `GET /v1/history`: who changed what, when, by which request: the log itself, newest first. For admins. */
import { fail } from "@selvage/base";
import { type Change, Host, type Replica, type Revision, User } from "@selvage/model";
import { Compacted, type LoggedEntry, type Store, StoreFailure } from "@selvage/store";
import type { Caller } from "../api/policy.ts";
import type { Exchange, Reply } from "../http/exchange.ts";
import type { Query } from "../http/query.ts";
import { requireOwnAdmin } from "../own/request.ts";

export interface HistoryApi {
  readonly writer: { readonly replica: Replica };
  readonly store: Pick<Store, "bounds" | "tail">;
}

/** What is asked for. Times in milliseconds since the epoch. */
interface Wanted {
  readonly since: number;
  readonly until: number;
  readonly before: Revision;
  readonly limit: number;
  readonly matches: (entry: LoggedEntry) => boolean;
}

const names = ["since", "until", "before", "limit", "project", "kind", "id", "author", "request"] as const;
const defaultLimit = 100;
const mostLimit = 1_000;
/** Entries read from the store at a time, and looked at for one reply at most: a rare find is gone on for in the next page. */
const stretch = 256;
const looked = 8_192;
/** Servers' clocks differ by this much at most, ms: entries are in the order of revisions, not quite in that of their times. */
const clockSpread = 60_000;

/**
 * Answers with entries, newest first: `revision`, `at`, `author`, `project_id`, `request_id`, what the client called it, and the kind
 * and id of each object written or removed (never its content). `next`: give it as `before` for the page behind; null at the end of
 * what is kept. Filters: `since` (inclusive) and `until` (exclusive), RFC 3339; `project` (asked in it, or object of it), `kind`,
 * `id` (of an object), `author` (id or name), `request` (the server's id or the client's). Throws FieldInvalid, AdminRequired, StoreUnavailable.
 */
export async function history(api: HistoryApi, exchange: Exchange, caller: Caller): Promise<Reply> {
  requireOwnAdmin(caller, "Reading the history");
  const wanted = wantedOf(exchange.query, api.writer.replica);
  try {
    const { oldest, head } = await api.store.bounds();
    const { entries, next } = await search(api.store, wanted, oldest, head);
    const wire = entries.map((entry) => wireOf(entry, api.writer.replica));
    return { status: 200, body: { history: wire, next, oldest, head } };
  } catch (error) {
    if (!(error instanceof StoreFailure)) throw error;
    throw fail("StoreUnavailable", { reason: error.message }, { retryAfter: 1, cause: error });
  }
}

/** Goes back through the log, stretch by stretch, until the page is full, the log ends, or enough was looked at. */
async function search(store: HistoryApi["store"], wanted: Wanted, oldest: Revision, head: Revision) {
  const entries: LoggedEntry[] = [];
  let behind = Math.min(wanted.before, head + 1);
  const least = Math.max(oldest, behind - looked);
  while (behind > least) {
    const first = Math.max(least, behind - stretch);
    const read = await stretchOf(store, first, behind - 1);
    for (const entry of read.toReversed()) {
      const at = Date.parse(entry.at);
      if (at < wanted.since - clockSpread) return { entries, next: null };
      behind = entry.revision;
      if (at < wanted.since || at >= wanted.until || !wanted.matches(entry)) continue;
      entries.push(entry);
      if (entries.length === wanted.limit) return { entries, next: behind > oldest ? behind : null };
    }
    // Compacted under us: there is nothing further back.
    if (read[0]?.revision !== first) return { entries, next: null };
  }
  return { entries, next: behind > oldest ? behind : null };
}

/** The entries from `first` to `last`; those that are gone by now are left out. */
async function stretchOf(store: HistoryApi["store"], first: Revision, last: Revision): Promise<readonly LoggedEntry[]> {
  const entries: LoggedEntry[] = [];
  const stop = new AbortController();
  try {
    for await (const entry of store.tail(first - 1, stop.signal)) {
      entries.push(entry);
      if (entry.revision >= last) break;
    }
  } catch (error) {
    if (!(error instanceof Compacted)) throw error;
    return error.oldest <= last ? stretchOf(store, error.oldest, last) : [];
  } finally {
    stop.abort();
  }
  return entries;
}

function wantedOf(query: Query, replica: Replica): Wanted {
  for (const name of query.names) {
    if (!names.some((each) => each === name)) {
      throw invalid(name, `no such filter; there are ${names.join(", ")}`);
    }
  }
  const [project, kind, id, request] = [
    query.last("project"),
    query.last("kind"),
    query.last("id"),
    query.last("request"),
  ];
  const author = query.last("author");
  const authors = new Set(author === undefined ? [] : [author, ...idsOfName(replica, author)]);
  const objectMatches = (change: Change): boolean =>
    (kind === undefined || change.kind === kind) && (id === undefined || change.id === id);
  return {
    since: timeOf(query, "since") ?? Number.NEGATIVE_INFINITY,
    until: timeOf(query, "until") ?? Number.POSITIVE_INFINITY,
    before: numberOf(query, "before", Number.MAX_SAFE_INTEGER) ?? Number.MAX_SAFE_INTEGER,
    limit: numberOf(query, "limit", mostLimit) ?? defaultLimit,
    matches: (entry) =>
      (author === undefined || authors.has(entry.author.id)) &&
      (request === undefined || requestNamesOf(entry).includes(request)) &&
      (project === undefined || isOfProject(entry, project)) &&
      ((kind === undefined && id === undefined) || entry.changes.some(objectMatches)),
  };
}

function idsOfName(replica: Replica, name: string): readonly string[] {
  return [...replica.by(User.index.name, name), ...replica.by(Host.index.name, name)].map(({ id }) => id);
}

function requestNamesOf({ author, request }: LoggedEntry): readonly string[] {
  return [author.request_id, author.client_request_id, request?.key].flatMap((each) => each ?? []);
}

/** Whether it was asked in a project, or wrote something that belongs to it. Of what is removed the log does not say whose it was. */
function isOfProject({ author, changes }: LoggedEntry, project: string): boolean {
  return author.project_id === project || changes.some(({ object }) => textAt(object, "project_id") === project);
}

function wireOf({ revision, at, author, request, changes }: LoggedEntry, replica: Replica) {
  const { kind, id, project_id, request_id, client_request_id } = author;
  const name = kind === "host" ? replica.get(Host, id)?.name : replica.get(User, id)?.name;
  return {
    revision,
    at,
    author: { kind, id, name: name ?? null },
    project_id: project_id ?? null,
    request_id,
    client_request_id: client_request_id ?? request?.key ?? null,
    changes: changes.map((change) => ({
      kind: change.kind,
      id: change.id,
      action: change.object === null ? "removed" : "written",
      name: textAt(change.object, "name") ?? null,
    })),
  };
}

function textAt(object: unknown, name: string): string | undefined {
  const value: unknown = typeof object === "object" && object !== null ? Reflect.get(object, name) : undefined;
  return typeof value === "string" ? value : undefined;
}

function timeOf(query: Query, name: string): number | undefined {
  const text = query.last(name);
  if (text === undefined) return undefined;
  const time = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/i.test(text)
    ? Date.parse(text)
    : Number.NaN;
  if (Number.isNaN(time))
    throw invalid(name, "it must be a time such as 2026-01-31T14:00:00Z or a day such as 2026-01-31");
  return time;
}

function numberOf(query: Query, name: string, most: number): number | undefined {
  const text = query.last(name);
  if (text === undefined) return undefined;
  const value = /^\d+$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > most) throw invalid(name, `it must be a whole number from 1 to ${most}`);
  return value;
}

const invalid = (field: string, reason: string) => fail("FieldInvalid", { field, reason }, { field });
