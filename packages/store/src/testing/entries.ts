/** Material and measures of the checks: entries, reading a stretch of the log, replaying it, random choices that repeat. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { Change, Revision, StoredObject } from "@selvage/model";
import type { Entry, LoggedEntry, Snapshot, SnapshotObject, Store } from "../store.ts";

/** An object with any fields besides its id. */
export function object(id: string, fields: Readonly<Record<string, unknown>> = {}): StoredObject {
  return { id, ...fields };
}

export function put(kind: string, id: string, fields: Readonly<Record<string, unknown>> = {}): Change {
  return { kind, id, object: object(id, fields) };
}

export function remove(kind: string, id: string): Change {
  return { kind, id, object: null };
}

/** A new entry by a user. No changes given: it puts one network. */
export function entry(...changes: readonly Change[]): Entry {
  const id = randomUUID();
  return {
    id,
    at: "2026-01-02T03:04:05.678Z",
    author: { kind: "user", id: "user-1", project_id: "project-1", request_id: `req-${id}` },
    changes: changes.length === 0 ? [put("network", id, { name: "blue" })] : changes,
  };
}

/** Appends on the condition of `head` and insists that it was taken. Gives the new head. */
export async function appendAt(store: Store, head: Revision, ...entries: readonly Entry[]): Promise<Revision> {
  const answer = await store.append(head, entries);
  assert.deepEqual({ ...answer }, { outcome: "appended", revision: head + entries.length });
  return head + entries.length;
}

/** Appends entries one by one from `head` on, each acknowledged before the next. */
export async function appendEach(store: Store, head: Revision, entries: readonly Entry[]): Promise<Revision> {
  let at = head;
  for (const each of entries) at = await appendAt(store, at, each);
  return at;
}

/** Waits for the next `count` entries after `from`. */
export async function take(store: Store, from: Revision, count: number): Promise<readonly LoggedEntry[]> {
  const found: LoggedEntry[] = [];
  if (count <= 0) return found;
  const abort = new AbortController();
  for await (const each of store.tail(from, abort.signal)) {
    found.push(each);
    if (found.length === count) break;
  }
  abort.abort();
  return found;
}

/** The log from `from` to its head: what a marker appended behind it proves to be all. */
export async function logFrom(store: Store, from: Revision): Promise<readonly LoggedEntry[]> {
  const { head } = await store.bounds();
  await appendAt(store, head, entry());
  return (await take(store, from, head + 1 - from)).slice(0, -1);
}

/** The entries as the log has to give them, the first at `first`. */
export function numbered(first: Revision, entries: readonly Entry[]): readonly LoggedEntry[] {
  return entries.map((each, at) => ({ revision: first + at, ...each }));
}

export type Objects = ReadonlyMap<string, SnapshotObject>;

const keyOf = (kind: string, id: string): string => JSON.stringify([kind, id]);

/** The snapshot's objects by kind and id; throws when one stands in it twice. */
export function objectsOf(snapshot: Snapshot): Objects {
  const objects = new Map(snapshot.objects.map((each) => [keyOf(each.kind, each.id), each]));
  assert.equal(objects.size, snapshot.objects.length, "an object stands twice in a snapshot");
  return objects;
}

/** What the entries make of the objects. */
export function replay(objects: Objects, entries: readonly LoggedEntry[]): Objects {
  const result = new Map(objects);
  for (const { revision, changes } of entries) {
    for (const change of changes) {
      const key = keyOf(change.kind, change.id);
      if (change.object === null) result.delete(key);
      else result.set(key, { kind: change.kind, id: change.id, revision, object: change.object });
    }
  }
  return result;
}

/** Whole numbers from 0 to `below` - 1, the same ones for the same seed (xorshift32). */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}
