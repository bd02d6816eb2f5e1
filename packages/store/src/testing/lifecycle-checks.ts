/** Checks of closing, and of what a durable store keeps over it. */
import assert from "node:assert/strict";
import { type Store, StoreFailure } from "../store.ts";
import { appendAt, appendEach, entry, logFrom, numbered, objectsOf, put, take } from "./entries.ts";
import type { Check } from "./harness.ts";

const failed = (error: unknown): boolean => error instanceof StoreFailure && error.outcome === "failed";

const never = new AbortController().signal;

function nextOf(store: Store, from: number): Promise<unknown> {
  return store.tail(from, never)[Symbol.asyncIterator]().next();
}

export const lifecycleChecks: readonly Check[] = [
  {
    name: "a log is named by a UUID",
    run: async ({ store }) => {
      assert.match(store.logId, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    },
  },
  {
    name: "a closed store refuses every call",
    run: async ({ store }) => {
      await appendAt(store, 0, entry());
      await store.close();
      await store.close();
      const calls = [
        () => store.append(1, [entry()]),
        () => store.snapshot(),
        () => store.find("any"),
        () => store.bounds(),
        () => store.compact(1),
        () => nextOf(store, 0),
        () => store.state.put("h1", "a", 1, 1_000),
        () => store.state.renew("h1", 1_000),
        () => store.state.remove("h1", "a"),
        () => store.state.list(),
      ];
      for (const call of calls) await assert.rejects(call, failed, String(call));
    },
  },
  {
    name: "closing ends the tails that wait",
    run: async ({ store }) => {
      const waiting = nextOf(store, 0);
      const told = assert.rejects(waiting, failed);
      await store.close();
      await told;
    },
  },
  {
    name: "appends that were sent before closing are finished",
    run: async ({ store }) => {
      const sent = Array.from({ length: 20 }, (_, head) => store.append(head, [entry()]));
      const closing = store.close();
      const answers = await Promise.all(sent);
      await closing;
      assert.deepEqual(
        answers.map((answer) => answer.outcome),
        answers.map(() => "appended"),
      );
    },
  },
  {
    name: "opened again, a durable store has its log, objects, bounds, entry ids and live facts",
    needs: "reopen",
    run: async ({ store, reopen, clock }) => {
      assert.equal(store.durable, true);
      const entries = Array.from({ length: 12 }, (_, at) => entry(put("port", `p${at % 5}`, { at })));
      await appendEach(store, 0, entries);
      await store.compact(3);
      await store.state.put("h1", "a", { up: true }, 10_000);
      await store.state.put("h2", "a", 0, 5);
      const before = objectsOf(await store.snapshot());
      clock.advance(5);
      const again = await reopen();
      assert.equal(again.logId, store.logId);
      assert.deepEqual({ ...(await again.bounds()) }, { oldest: 4, head: 12 });
      assert.deepEqual(objectsOf(await again.snapshot()), before);
      assert.deepEqual({ ...(await again.append(12, [entries[11]!])) }, { outcome: "moved", head: 12 });
      assert.deepEqual(
        (await again.state.list()).map(({ host, key, value }) => ({ host, key, value })),
        [{ host: "h1", key: "a", value: { up: true } }],
      );
      assert.deepEqual(await logFrom(again, 3), numbered(4, entries.slice(3)));
    },
  },
  {
    name: "opened again, a log compacted to its head goes on from there",
    needs: "reopen",
    run: async ({ store, reopen }) => {
      await appendAt(store, 0, entry(), entry());
      await store.compact(2);
      const again = await reopen();
      assert.deepEqual({ ...(await again.bounds()) }, { oldest: 3, head: 2 });
      const next = entry();
      await appendAt(again, 2, next);
      assert.deepEqual(await take(again, 2, 1), numbered(3, [next]));
    },
  },
];
