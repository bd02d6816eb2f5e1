/** The memory driver: the suite, and the faults that tests above the store rely on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openMemory } from "./memory.ts";
import { Compacted, StoreFailure } from "./store.ts";
import { storeConformance } from "./testing/conformance.ts";
import { appendAt, entry, numbered, take } from "./testing/entries.ts";

await storeConformance("memory", async ({ now }) => {
  const store = openMemory({ now });
  return { store, dispose: () => store.close() };
});

const failure = (outcome: "failed" | "unknown") => (error: unknown) =>
  error instanceof StoreFailure && error.outcome === outcome;

test("a fault before the append writes nothing, the next append is taken", async () => {
  const store = openMemory();
  store.faults.plan({ kind: "fail-before" });
  await assert.rejects(store.append(0, [entry()]), failure("failed"));
  await appendAt(store, 0, entry());
});

test("a fault after the append has written; the retry recognises its entry", async () => {
  const store = openMemory();
  const mine = entry();
  store.faults.plan({ kind: "fail-after" });
  await assert.rejects(store.append(0, [mine]), failure("unknown"));
  assert.deepEqual(await store.append(0, [mine]), { outcome: "moved", head: 1 });
  assert.deepEqual(await take(store, 0, 1), numbered(1, [mine]));
});

test("a delayed append holds those behind it, in order", async () => {
  const store = openMemory();
  const gate = Promise.withResolvers<void>();
  store.faults.plan({ kind: "delay", until: gate.promise });
  const [first, second] = [store.append(0, [entry()]), store.append(1, [entry()])];
  assert.deepEqual(await store.bounds(), { oldest: 1, head: 0 });
  gate.resolve();
  assert.deepEqual(await Promise.all([first, second]), [
    { outcome: "appended", revision: 1 },
    { outcome: "appended", revision: 2 },
  ]);
});

test("a planned compaction comes between a writer's read and its append", async () => {
  const store = openMemory();
  await appendAt(store, 0, entry(), entry());
  store.faults.plan({ kind: "compact" });
  await appendAt(store, 2, entry());
  assert.deepEqual(await store.bounds(), { oldest: 3, head: 3 });
  await assert.rejects(take(store, 0, 1), (error) => error instanceof Compacted && error.oldest === 3);
});

test("an engine that is down refuses everything and ends waiting tails, and comes back with its log", async () => {
  const store = openMemory();
  await appendAt(store, 0, entry());
  const waiting = assert.rejects(take(store, 1, 1), failure("failed"));
  store.faults.takeDown();
  await waiting;
  for (const call of [
    () => store.snapshot(),
    () => store.append(1, [entry()]),
    () => take(store, 0, 1),
    () => store.state.list(),
  ]) {
    await assert.rejects(call, failure("failed"));
  }
  store.faults.restore();
  await appendAt(store, 1, entry());
  assert.equal((await take(store, 0, 2)).length, 2);
});
