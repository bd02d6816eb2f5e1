/** Backoff with full jitter, on a clock that the test moves. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ManualClock } from "./clock.ts";
import { fail, isError } from "./errors.ts";
import { backoffDelay, retry } from "./retry.ts";

test("a wait lies between 0 and the bound, which doubles up to the cap", () => {
  const bound = (attempt: number) => backoffDelay({ base: 100, cap: 1000, random: () => 1 }, attempt);
  assert.deepEqual([0, 1, 2, 3, 4, 5000].map(bound), [100, 200, 400, 800, 1000, 1000]);
  fc.assert(
    fc.property(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.nat(2000), (drawn, attempt) => {
      const delay = backoffDelay({ base: 100, cap: 1000, random: () => drawn }, attempt);
      assert.ok(delay >= 0 && delay <= 1000 && delay === drawn * bound(attempt));
    }),
  );
});

test("it tries until it succeeds, waiting as backoff says, longer where the failure asks", async () => {
  const clock = new ManualClock();
  const waits: number[] = [];
  const run = retry(
    async (attempt) => {
      if (attempt === 0) throw new Error("first");
      if (attempt === 1) throw fail("StoreUnavailable", { reason: "down" }, { retryAfter: 3 });
      return `done at ${clock.monotonic()}`;
    },
    { base: 100, cap: 1000, random: () => 0.5, clock, onRetry: (_error, delay) => waits.push(delay) },
  );
  await clock.whenPending();
  clock.advance(50);
  await clock.whenPending();
  clock.advance(3100);
  assert.equal(await run, "done at 3150");
  assert.deepEqual(waits, [50, 3100]);
});

test("it gives up after its attempts, at once where the failure will not pass, and when told to stop", async () => {
  const clock = new ManualClock();
  const options = { base: 10, cap: 10, random: () => 1, clock };
  let tries = 0;
  const failing = async (): Promise<never> => {
    tries++;
    throw fail("HostNotFound", { id: "h1" });
  };
  const limited = retry(failing, { ...options, attempts: 2 });
  await clock.whenPending();
  clock.advance(10);
  await assert.rejects(limited, (error) => isError(error, "HostNotFound"));
  assert.equal(tries, 2);
  await assert.rejects(retry(failing, { ...options, retryIf: (error) => !isError(error, "HostNotFound") }), /h1/);
  assert.equal(tries, 3);
  const abort = new AbortController();
  const stopped = retry(failing, { ...options, signal: abort.signal });
  await clock.whenPending();
  abort.abort(new Error("stopped"));
  await assert.rejects(stopped, /stopped/);
  assert.equal(tries, 4);
  await assert.rejects(retry(failing, { ...options, signal: abort.signal }), /stopped/);
  assert.equal(tries, 4);
});
