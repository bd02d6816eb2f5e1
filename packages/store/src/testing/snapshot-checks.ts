/** Checks of snapshots: each is the log replayed to its revision, also while the log grows. */
import assert from "node:assert/strict";
import type { Change } from "@selvage/model";
import type { Entry, Snapshot } from "../store.ts";
import { appendAt, entry, logFrom, objectsOf, put, randomNumbers, remove, replay, take } from "./entries.ts";
import type { Check } from "./harness.ts";

/** Entries of puts and removals that often meet the same few objects. */
function history(seed: number, count: number): readonly Entry[] {
  const random = randomNumbers(seed);
  const change = (at: number): Change => {
    const [kind, id] = [["network", "port", "subnet"][random(3)]!, `o${random(12)}`];
    return random(3) === 0 ? remove(kind, id) : put(kind, id, { at });
  };
  return Array.from({ length: count }, (_, at) => entry(...Array.from({ length: 1 + random(4) }, () => change(at))));
}

export const snapshotChecks: readonly Check[] = [
  {
    name: "a snapshot is the log replayed to its revision, with the revision of each object",
    run: async ({ store }) => {
      const entries = history(7, 80);
      const snapshots: Snapshot[] = [];
      for (const [head, each] of entries.entries()) {
        await appendAt(store, head, each);
        if (head % 9 === 0) snapshots.push(await store.snapshot());
      }
      const log = await logFrom(store, 0);
      for (const snapshot of snapshots) {
        assert.deepEqual(objectsOf(snapshot), replay(new Map(), log.slice(0, snapshot.revision)));
      }
      assert.deepEqual(
        snapshots.map(({ revision }) => revision),
        snapshots.map((_, at) => at * 9 + 1),
      );
    },
  },
  {
    name: "a snapshot taken while the log grows, and the tail behind it, give what the whole log gives",
    run: async ({ store }) => {
      await appendAt(store, 0, entry(...Array.from({ length: 300 }, (_, at) => put("port", `base${at}`, { at }))));
      const entries = history(11, 120);
      const appending = entries.map((each, at) => store.append(at + 1, [each]));
      const snapshots = await Promise.all([
        store.snapshot(),
        appending[20],
        store.snapshot(),
        appending[70],
        store.snapshot(),
      ]);
      await Promise.all(appending);
      const log = await take(store, 0, 121);
      const whole = replay(new Map(), log);
      for (const each of snapshots) {
        if (each === undefined || !("objects" in each)) continue;
        const rest = await take(store, each.revision, 121 - each.revision);
        assert.deepEqual(objectsOf(each), replay(new Map(), log.slice(0, each.revision)));
        assert.deepEqual(replay(objectsOf(each), rest), whole);
      }
      assert.deepEqual(objectsOf(await store.snapshot()), whole);
    },
  },
  {
    name: "a snapshot is no older than what was acknowledged before it was asked for",
    run: async ({ store }) => {
      for (let head = 0; head < 25; head += 1) {
        await appendAt(store, head, entry(put("port", "p", { head })));
        const snapshot = await store.snapshot();
        assert.equal(snapshot.revision, head + 1);
        assert.deepEqual(
          snapshot.objects.map((each) => ({ ...each })),
          [{ kind: "port", id: "p", revision: head + 1, object: { id: "p", head } }],
        );
      }
    },
  },
  {
    name: "snapshots asked for together are each whole",
    run: async ({ store }) => {
      await appendAt(store, 0, entry(...Array.from({ length: 500 }, (_, at) => put("port", `p${at}`, { at }))));
      const snapshots = await Promise.all(Array.from({ length: 4 }, () => store.snapshot()));
      for (const snapshot of snapshots) assert.equal(objectsOf(snapshot).size, 500);
    },
  },
  {
    name: "a snapshot and the log do not change when compacted to the snapshot's revision",
    run: async ({ store }) => {
      for (const [head, each] of history(13, 40).entries()) await appendAt(store, head, each);
      const snapshot = await store.snapshot();
      await store.compact(snapshot.revision);
      assert.deepEqual(objectsOf(await store.snapshot()), objectsOf(snapshot));
      await appendAt(store, 40, entry(put("port", "after", {})));
      const rest = await take(store, snapshot.revision, 1);
      assert.deepEqual(replay(objectsOf(snapshot), rest), objectsOf(await store.snapshot()));
    },
  },
];
