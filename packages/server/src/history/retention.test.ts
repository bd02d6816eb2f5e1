/** How long the log is kept: by age, by number, never the last minute; several servers at once; and what the objects say of it (nothing). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock, silentLog } from "@selvage/base";
import { makeNetwork, testId } from "@selvage/model/testing";
import { type Entry, type MemoryStore, openMemory } from "@selvage/store";
import fc from "fast-check";
import { startTestServer } from "../testing/mod.ts";
import { forget, keepHistory } from "./retention.ts";

const begin = Date.parse("2026-01-01T00:00:00Z");
const never = new AbortController().signal;

const entryAt = (seconds: number, n: number): Entry => ({
  id: crypto.randomUUID(),
  at: new Date(begin + seconds * 1000).toISOString(),
  author: { kind: "user", id: "u", request_id: "r" },
  changes: [{ kind: "network", id: testId("network", n), object: makeNetwork({ id: testId("network", n) }) }],
});

/** A store with an entry at each of the given seconds. */
async function storeWith(seconds: readonly number[]): Promise<MemoryStore> {
  const store = openMemory();
  await store.append(0, seconds.map(entryAt));
  return store;
}

const keeping = (store: MemoryStore, nowSeconds: number, historySeconds: number, historyEntries: number) => ({
  store,
  settings: { historySeconds, historyEntries },
  clock: new ManualClock(begin + nowSeconds * 1000),
  log: silentLog,
});

const boundsAfter = async (seconds: readonly number[], now: number, age: number, count: number) => {
  const store = await storeWith(seconds);
  await forget(keeping(store, now, age, count), never);
  const bounds = await store.bounds();
  assert.equal((await store.snapshot()).objects.length, seconds.length, "objects stay");
  await store.close();
  return { ...bounds };
};

test("entries older than the set time go, those of that very age stay", async () => {
  assert.deepEqual(await boundsAfter([0, 100, 200, 300], 1_200, 1_000, 100), { oldest: 3, head: 4 });
  assert.deepEqual(await boundsAfter([0, 100, 200, 300], 1_000, 1_000, 100), { oldest: 1, head: 4 });
  assert.deepEqual(await boundsAfter([0, 100, 200, 300], 9_000, 1_000, 100), { oldest: 5, head: 4 });
});

test("more than the set number of entries go, the newest stay; 0 is a number", async () => {
  assert.deepEqual(await boundsAfter([0, 100, 200, 300], 1_000, 1e9, 2), { oldest: 3, head: 4 });
  assert.deepEqual(await boundsAfter([0, 100, 200, 300], 1_000, 1e9, 4), { oldest: 1, head: 4 });
  assert.deepEqual(await boundsAfter([0, 100, 200, 300], 1_000, 1e9, 0), { oldest: 5, head: 4 });
});

test("an entry of the last minute is kept, whatever is set", async () => {
  assert.deepEqual(await boundsAfter([0, 100, 941, 1_000], 1_000, 0, 0), { oldest: 3, head: 4 });
});

test("an empty log and one that was forgotten already are left alone", async () => {
  const store = openMemory();
  assert.equal(await forget(keeping(store, 1e6, 1, 1), never), 0);
  await store.append(0, [entryAt(0, 1)]);
  assert.equal(await forget(keeping(store, 1e6, 1, 1), never), 1);
  assert.equal(await forget(keeping(store, 1e6, 1, 1), never), 0);
  assert.deepEqual({ ...(await store.bounds()) }, { oldest: 2, head: 1 });
});

test("what stays is what the rule says, for every log, and again changes nothing", async () => {
  const gaps = fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(gaps, fc.nat(2_000), fc.nat(3_000), fc.nat(40), async (steps, later, age, count) => {
      let at = 0;
      const seconds = steps.map((step) => {
        at += step;
        return at;
      });
      const now = at + later;
      const gone = seconds.filter(
        (each, index) => now - each >= 60 && (now - each > age || index < seconds.length - count),
      ).length;
      const store = await storeWith(seconds);
      for (let round = 0; round < 2; round += 1) {
        await forget(keeping(store, now, age, count), never);
        assert.deepEqual({ ...(await store.bounds()) }, { oldest: gone + 1, head: seconds.length });
      }
      await store.close();
    }),
    { numRuns: 200 },
  );
});

test("several servers forget at once, none minds, and none forgets more", async () => {
  const store = await storeWith(Array.from({ length: 1_000 }, (_, at) => at));
  await Promise.all(Array.from({ length: 5 }, () => forget(keeping(store, 5_000, 1e9, 300), never)));
  assert.deepEqual({ ...(await store.bounds()) }, { oldest: 701, head: 1_000 });
});

test("a server looks a minute after its start and then every ten to fifteen minutes, until it is stopped", async () => {
  const looks: number[] = [];
  const store = openMemory();
  const clock = new ManualClock(begin);
  const counted = {
    bounds: () => {
      looks.push((clock.now() - begin) / 60_000);
      return store.bounds();
    },
    tail: store.tail.bind(store),
    compact: (through: number) => store.compact(through),
  };
  const settings = { historySeconds: 1, historyEntries: 1 };
  const stop = keepHistory({ store: counted, settings, clock, log: silentLog }, () => 0.5);
  clock.advance(30 * 60_000);
  await stop();
  clock.advance(60 * 60_000);
  assert.deepEqual(looks, [1, 13.5, 26]);
});

test("a store that is gone is no end: it is looked at again", async () => {
  const store = await storeWith([0, 1, 2]);
  const clock = new ManualClock(begin + 1e7);
  const settings = { historySeconds: 1, historyEntries: 100 };
  const compacted = Promise.withResolvers<number>();
  const watched = {
    bounds: () => store.bounds(),
    tail: store.tail.bind(store),
    compact: async (through: number) => {
      await store.compact(through);
      compacted.resolve(through);
    },
  };
  store.faults.takeDown();
  const stop = keepHistory({ store: watched, settings, clock, log: silentLog }, () => 0);
  clock.advance(60_000);
  store.faults.restore();
  clock.advance(10 * 60_000);
  assert.equal(await compacted.promise, 3);
  await stop();
});

test("two servers of one store go on when the log is forgotten behind both", async () => {
  const store = openMemory();
  const one = await startTestServer({ store });
  const two = await startTestServer({ store, dataDir: one.dataDir });
  const { id } = await one.admin.create("network", { name: "a" });
  await forget(keeping(store, 1e9, 1, 1), never);
  assert.deepEqual((await store.bounds()).oldest, (await store.bounds()).head + 1);
  const { core } = two.running;
  await two.admin.put(`/v2.0/networks/${id}`, { network: { name: "b" } });
  await one.running.core.writer.reached(core.writer.replica.revision);
  assert.equal((await one.admin.show("network", id)).name, "b");
  await two[Symbol.asyncDispose]();
  await one[Symbol.asyncDispose]();
});
