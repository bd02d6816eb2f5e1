/** Shared work: each who asks gets a run that began afterwards, and there are no more runs than that takes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { shared } from "./share.ts";

/** All that is due now is done. */
const turn = (): Promise<void> => new Promise((next) => setImmediate(next));

/** Work that ends when it is told to. */
function made() {
  const runs: PromiseWithResolvers<void>[] = [];
  const ask = shared(() => {
    const run = Promise.withResolvers<void>();
    runs.push(run);
    return run.promise;
  });
  return { runs, ask };
}

test("who asks while a run is under way gets the next, with all who do", async () => {
  const { runs, ask } = made();
  const told: string[] = [];
  const asks = (name: string): void => void ask().then(() => told.push(name));
  asks("first");
  await turn();
  asks("second");
  asks("third");
  await turn();
  assert.equal(runs.length, 1);
  runs[0]?.resolve();
  await turn();
  assert.deepEqual([told, runs.length], [["first"], 2]);
  asks("fourth");
  runs[1]?.resolve();
  await turn();
  assert.deepEqual([told, runs.length], [["first", "second", "third"], 3]);
  runs[2]?.resolve();
  await turn();
  assert.deepEqual(told, ["first", "second", "third", "fourth"]);
});

test("a run that fails fails for those whose it is, and the next goes on", async () => {
  const { runs, ask } = made();
  const first = ask();
  await turn();
  const [second, third] = [ask(), ask()];
  runs[0]?.reject(new Error("one"));
  await assert.rejects(first, /one/);
  await turn();
  runs[1]?.reject(new Error("two"));
  await assert.rejects(second, /two/);
  await assert.rejects(third, /two/);
  const last = ask();
  await turn();
  runs[2]?.resolve();
  await last;
});
