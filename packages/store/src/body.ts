/** Entries as text: what drivers keep in their engines. An object is turned into JSON once, and read back as JSON (RFC 8259). */
import type { Revision, StoredObject } from "@selvage/model";
import type { Entry, LoggedEntry } from "./store.ts";
import { StoreFailure } from "./store.ts";

export interface PreparedChange {
  readonly kind: string;
  readonly id: string;
  /** The object's JSON, or null where it is removed. */
  readonly body: string | null;
}

export interface PreparedEntry {
  readonly id: string;
  /** The whole entry's JSON. */
  readonly body: string;
  readonly changes: readonly PreparedChange[];
}

/** One row of a log as an engine keeps it. */
export interface LogRow {
  readonly revision: Revision;
  readonly body: string;
}

const text = (value: string): string => JSON.stringify(value);

/** Takes an entry, gives its texts. Throws TypeError for what JSON cannot hold (a cycle, a bigint). */
export function prepareEntry(entry: Entry): PreparedEntry {
  const changes = entry.changes.map(({ kind, id, object }): PreparedChange => {
    return { kind, id, body: object === null ? null : JSON.stringify(object) };
  });
  const list = changes.map(({ kind, id, body }) => `{"kind":${text(kind)},"id":${text(id)},"object":${body}}`);
  const request = entry.request === undefined ? "" : `"request":${JSON.stringify(entry.request)},`;
  const body = `{"id":${text(entry.id)},"at":${text(entry.at)},"author":${JSON.stringify(entry.author)},${request}"changes":[${list.join(",")}]}`;
  return { id: entry.id, body, changes };
}

/** The entries of one append. Throws StoreFailure when an id stands in it twice: no retry could ever write it. */
export function prepareEntries(entries: readonly Entry[]): readonly PreparedEntry[] {
  const ids = new Set(entries.map((entry) => entry.id));
  if (ids.size !== entries.length) throw new StoreFailure("an entry id stands twice in one append", "failed");
  return entries.map(prepareEntry);
}

/** What a text of ours says. Throws StoreFailure where it is no JSON: the engine's data is damaged. */
function parsed(body: string, what: string): unknown {
  try {
    return JSON.parse(body);
  } catch (cause) {
    throw new StoreFailure(`${what} in the store is damaged`, "failed", { cause });
  }
}

/** The entry of a row that `prepareEntry` wrote. Throws StoreFailure when it is damaged. */
export function loggedEntry(row: LogRow): LoggedEntry {
  // Only bodies made by prepareEntry are ever in a log: the engine's file is ours (its opening checks that).
  const entry = parsed(row.body, `revision ${row.revision}`) as Entry;
  return { revision: row.revision, ...entry };
}

/**
 * The object of a text that `prepareEntry` wrote. `texts`: those of the objects read before it, so that what many objects say (ids of the
 * same network, times) is held once. Throws StoreFailure when it is damaged.
 */
export function storedObject(body: string, texts?: Map<string, string>): StoredObject {
  // As above: written from a StoredObject by prepareEntry.
  const object = parsed(body, "an object") as StoredObject;
  if (texts !== undefined) shareTexts(object, texts);
  return object;
}

/** Fields whose texts stand in many objects, by their names: references, moments, owners. */
const isShared = (name: string): boolean => name.endsWith("_id") || name.endsWith("_at") || name.endsWith("_owner");

/** Puts texts that were seen before in the place of equal ones. The value was just parsed: it is nobody's yet. */
function shareTexts(value: object, texts: Map<string, string>): void {
  const record = value as Record<string, unknown>;
  for (const name in record) {
    const field = record[name];
    if (typeof field === "string") {
      if (!isShared(name)) continue;
      const known = texts.get(field);
      if (known === undefined) texts.set(field, field);
      else record[name] = known;
    } else if (Array.isArray(field)) {
      for (const each of field) if (typeof each === "object" && each !== null) shareTexts(each, texts);
    }
  }
}
