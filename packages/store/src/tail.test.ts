/** Following a log: what the loop itself promises, over a log made of arrays. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { prepareEntry } from "./body.ts";
import { StoreFailure } from "./store.ts";
import { Bell, follow, type LogPage } from "./tail.ts";
import { entry } from "./testing/entries.ts";

const row = (revision: number) => ({ revision, body: prepareEntry(entry()).body });

const failed = (error: unknown): boolean => error instanceof StoreFailure && error.outcome === "failed";

test("a gap inside a page, or a page that stops short of the head, is an error and not a jump", async () => {
  const { signal } = new AbortController();
  const pages: readonly LogPage[] = [
    { oldest: 1, head: 3, rows: [row(1), row(3)] },
    { oldest: 1, head: 3, rows: [row(2)] },
    { oldest: 1, head: 3, rows: [] },
  ];
  for (const page of pages) {
    const drain = async (): Promise<void> => {
      for await (const each of follow(0, signal, { read: async () => page, bell: new Bell() }))
        assert.equal(each.revision, 1);
    };
    await assert.rejects(drain, failed);
  }
});

test("a ring between the read and the wait is not lost", async () => {
  const bell = new Bell();
  const abort = new AbortController();
  let reads = 0;
  const read = async (): Promise<LogPage> => {
    reads += 1;
    if (reads > 1) return { oldest: 1, head: 1, rows: [row(1)] };
    bell.ring(1);
    return { oldest: 1, head: 0, rows: [] };
  };
  const next = await follow(0, abort.signal, { read, bell }).next();
  assert.equal(next.value?.revision, 1);
});

test("a failure between the read and the wait is not lost", async () => {
  const bell = new Bell();
  const { signal } = new AbortController();
  const read = async (): Promise<LogPage> => {
    bell.fail(new StoreFailure("gone", "failed"));
    return { oldest: 1, head: 0, rows: [] };
  };
  await assert.rejects(follow(0, signal, { read, bell }).next(), failed);
});

test("an abort ends a tail whose engine does not answer, and leaves nobody waiting", async () => {
  const bell = new Bell();
  const abort = new AbortController();
  const stuck = follow(0, abort.signal, { read: () => new Promise(() => undefined), bell }).next();
  abort.abort();
  assert.equal((await stuck).done, true);
  assert.equal(bell.waiting, 0);
});

test("whoever waits is woken by a head beyond its position and by no other", async () => {
  const bell = new Bell();
  const { signal } = new AbortController();
  const woken: number[] = [];
  const waits = [3, 5].map(async (position) => {
    await bell.beyond(position, signal, bell.alarms);
    woken.push(position);
  });
  bell.ring(3);
  assert.equal(bell.waiting, 2);
  bell.ring(4);
  await waits[0];
  assert.deepEqual([woken, bell.waiting], [[3], 1]);
  bell.ring(9);
  await Promise.all(waits);
  assert.deepEqual([woken, bell.waiting], [[3, 5], 0]);
});
