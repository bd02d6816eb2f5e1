/** Checks of following the log: from anywhere, live, ended by its reader, and honest about what was compacted. */
import assert from "node:assert/strict";
import type { Revision } from "@selvage/model";
import { Compacted, type Entry, type LoggedEntry, type Store, StoreFailure } from "../store.ts";
import { appendAt, appendEach, entry, logFrom, numbered, objectsOf, put, take } from "./entries.ts";
import type { Check } from "./harness.ts";

const many = (count: number): readonly Entry[] => Array.from({ length: count }, () => entry());

/** A tail that is read by hand, one entry at a time. */
function reader(
  store: Store,
  from: Revision,
): { readonly next: () => Promise<IteratorResult<LoggedEntry>>; readonly abort: () => void } {
  const abort = new AbortController();
  const iterator = store.tail(from, abort.signal)[Symbol.asyncIterator]();
  return { next: () => iterator.next(), abort: () => abort.abort() };
}

async function compactedAt(store: Store, from: Revision): Promise<Revision> {
  try {
    await reader(store, from).next();
  } catch (error) {
    if (error instanceof Compacted) return error.oldest;
    throw error;
  }
  return assert.fail(`a tail from ${from} hid that the log is compacted`);
}

export const tailChecks: readonly Check[] = [
  {
    name: "a tail begins behind any revision, 0 and the head too",
    run: async ({ store }) => {
      const entries = many(6);
      await appendEach(store, 0, entries);
      for (let from = 0; from <= 6; from += 1) {
        const tail = reader(store, from);
        const rest = numbered(1, entries).slice(from);
        for (const each of rest) assert.deepEqual(await tail.next(), { done: false, value: each });
        tail.abort();
        assert.equal((await tail.next()).done, true);
      }
    },
  },
  {
    name: "a waiting tail gets what is appended then, entry by entry",
    run: async ({ store }) => {
      const entries = many(8);
      const tail = reader(store, 0);
      for (const [head, each] of entries.entries()) {
        const waiting = tail.next();
        await appendAt(store, head, each);
        assert.deepEqual(await waiting, { done: false, value: { revision: head + 1, ...each } });
      }
      tail.abort();
    },
  },
  {
    name: "a tail from the head gives the next entry and none before it",
    run: async ({ store }) => {
      await appendAt(store, 0, ...many(5));
      const tail = reader(store, 5);
      const waiting = tail.next();
      const next = entry();
      await appendAt(store, 5, next);
      assert.deepEqual(await waiting, { done: false, value: { revision: 6, ...next } });
      tail.abort();
    },
  },
  {
    name: "a tail longer than any page comes whole",
    run: async ({ store }) => {
      const entries = many(1_500);
      await appendAt(store, 0, ...entries);
      assert.deepEqual(await logFrom(store, 0), numbered(1, entries));
    },
  },
  {
    name: "readers at different paces see the same log while it grows",
    run: async ({ store }) => {
      const entries = many(60);
      const early = take(store, 0, 60);
      const late = reader(store, 0);
      const seen: IteratorResult<LoggedEntry>[] = [];
      for (const [head, each] of entries.entries()) {
        await appendAt(store, head, each);
        if (head % 5 === 0) seen.push(await late.next());
      }
      while (seen.length < 60) seen.push(await late.next());
      late.abort();
      assert.deepEqual(await early, numbered(1, entries));
      assert.deepEqual(
        seen.map(({ value }) => value),
        numbered(1, entries),
      );
    },
  },
  {
    name: "a tail resumed where it was broken off neither misses nor repeats",
    run: async ({ store }) => {
      const entries = many(30);
      const seen: LoggedEntry[] = [];
      for (const [head, each] of entries.entries()) {
        await appendAt(store, head, each);
        if (head % 3 === 2) seen.push(...(await take(store, seen.length, head % 2 === 0 ? 3 : 2)));
      }
      seen.push(...(await take(store, seen.length, 30 - seen.length)));
      assert.deepEqual(seen, numbered(1, entries));
    },
  },
  {
    name: "a tail on one handle sees what another appends, in order",
    needs: "peer",
    run: async ({ store, peer }) => {
      const other = await peer();
      const entries = many(40);
      const [here, there] = [take(store, 0, 40), take(other, 0, 40)];
      for (const [head, each] of entries.entries()) await appendAt(head % 2 === 0 ? store : other, head, each);
      assert.deepEqual(await here, numbered(1, entries));
      assert.deepEqual(await there, numbered(1, entries));
    },
  },
  {
    name: "an aborted tail ends without an error: before it began, while it waits, while entries are ready",
    run: async ({ store }) => {
      await appendAt(store, 0, ...many(10));
      const before = reader(store, 0);
      before.abort();
      assert.equal((await before.next()).done, true);

      const waits = reader(store, 10);
      const waiting = waits.next();
      waits.abort();
      assert.equal((await waiting).done, true);
      assert.equal((await waits.next()).done, true);

      const ready = reader(store, 0);
      assert.equal((await ready.next()).value?.revision, 1);
      ready.abort();
      assert.equal((await ready.next()).done, true);
    },
  },
  {
    name: "aborting one tail leaves the others",
    run: async ({ store }) => {
      const [one, two] = [reader(store, 0), reader(store, 0)];
      const [first, second] = [one.next(), two.next()];
      one.abort();
      assert.equal((await first).done, true);
      const each = entry();
      await appendAt(store, 0, each);
      assert.deepEqual(await second, { done: false, value: { revision: 1, ...each } });
      two.abort();
    },
  },
  {
    name: "a tail from beyond the head is refused: it was read from another log",
    run: async ({ store }) => {
      await appendAt(store, 0, ...many(2));
      await assert.rejects(
        reader(store, 3).next(),
        (error) => error instanceof StoreFailure && error.outcome === "failed",
      );
    },
  },
  {
    name: "compaction takes entries, never objects, and says so to who asks for them",
    run: async ({ store }) => {
      const entries = many(10);
      await appendEach(store, 0, entries);
      const before = objectsOf(await store.snapshot());
      await store.compact(4);
      assert.deepEqual({ ...(await store.bounds()) }, { oldest: 5, head: 10 });
      assert.deepEqual(objectsOf(await store.snapshot()), before);
      for (const from of [0, 1, 3]) assert.equal(await compactedAt(store, from), 5);
      assert.deepEqual(await take(store, 4, 6), numbered(5, entries.slice(4)));
      assert.deepEqual(await take(store, 9, 1), numbered(10, entries.slice(9)));
    },
  },
  {
    name: "compacting less than before, or nothing, changes nothing",
    run: async ({ store }) => {
      await appendAt(store, 0, ...many(6));
      await store.compact(0);
      assert.deepEqual({ ...(await store.bounds()) }, { oldest: 1, head: 6 });
      await store.compact(3);
      await store.compact(2);
      await store.compact(3);
      assert.deepEqual({ ...(await store.bounds()) }, { oldest: 4, head: 6 });
    },
  },
  {
    name: "a log compacted to its head and beyond goes on from there",
    run: async ({ store }) => {
      await appendAt(store, 0, ...many(5));
      await store.compact(1_000);
      assert.deepEqual({ ...(await store.bounds()) }, { oldest: 6, head: 5 });
      assert.equal(await compactedAt(store, 0), 6);
      assert.deepEqual({ ...(await store.append(0, [entry()])) }, { outcome: "moved", head: 5 });
      const tail = reader(store, 5);
      const waiting = tail.next();
      const next = entry();
      await appendAt(store, 5, next);
      assert.deepEqual(await waiting, { done: false, value: { revision: 6, ...next } });
      tail.abort();
      assert.equal((await store.snapshot()).revision, 6);
    },
  },
  {
    name: "a large log is compacted, and appending goes on meanwhile",
    run: async ({ store }) => {
      await appendAt(store, 0, ...Array.from({ length: 5_000 }, () => entry(put("port", "p", {}))));
      const compacting = store.compact(4_990);
      const head = await appendEach(store, 5_000, many(5));
      await compacting;
      assert.deepEqual({ ...(await store.bounds()) }, { oldest: 4_991, head });
      assert.equal(await compactedAt(store, 4_989), 4_991);
      assert.equal((await take(store, 4_990, 15)).length, 15);
    },
  },
  {
    name: "a reader that falls behind a compaction gets the next entry or Compacted, never a gap",
    run: async ({ store }) => {
      const entries = Array.from({ length: 1_000 }, () => entry(put("port", "p", {})));
      await appendAt(store, 0, ...entries);
      const tail = reader(store, 0);
      assert.equal((await tail.next()).value?.revision, 1);
      let position = 1;
      await store.compact(900);
      const outcome = await (async (): Promise<Revision | "all"> => {
        try {
          for (; position < 1_000; position += 1) assert.equal((await tail.next()).value?.revision, position + 1);
          return "all";
        } catch (error) {
          if (error instanceof Compacted) return error.oldest;
          throw error;
        }
      })();
      tail.abort();
      assert.ok(outcome === "all" || outcome === 901);
      assert.equal(await compactedAt(store, 1), 901);
    },
  },
];
