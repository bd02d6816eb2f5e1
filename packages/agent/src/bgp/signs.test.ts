/** The thread that gives signs of life: one at a time, and none where there are no peers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock, silentLog } from "@selvage/base";
import { Signs } from "./signs.ts";

/** Says which thread heard what, and fails when it is told to. */
const thread = new URL(
  `data:text/javascript,${encodeURIComponent(`
  import { parentPort, threadId } from "node:worker_threads";
  parentPort.on("message", ({ kind, addresses = [] }) => {
    parentPort.postMessage({ kind: "log", level: "debug", text: [kind, ...addresses].join(" "), fields: { threadId } });
    if (kind === "end") parentPort.close();
    if (addresses.includes("fail")) throw new Error("as it was told to");
  });
`)}`,
);

function started() {
  const clock = new ManualClock();
  const heard: { readonly text: string; readonly thread: unknown }[] = [];
  let wake = (): void => undefined;
  const log = {
    ...silentLog,
    debug: (text: string, fields?: Readonly<Record<string, unknown>>) => {
      heard.push({ text, thread: fields?.threadId });
      wake();
    },
  };
  const signs = new Signs({ data: { interval: 300, source: "" }, clock, log, thread });
  // Threads do not keep a process alive.
  const stay = setInterval(() => undefined, 60_000);
  return {
    ...{ clock, signs },
    next: async () => {
      if (heard.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      const [first] = heard.splice(0, 1);
      assert.ok(first !== undefined);
      return first;
    },
    heard: () => heard.splice(0),
    end: async () => {
      await signs.close();
      clearInterval(stay);
    },
  };
}

test("a thread that failed is started again once, by the clock or by new peers, whichever is first", async () => {
  const { signs, clock, next, heard, end } = started();
  signs.tell(["fail"]);
  const failed = await next();
  await clock.whenPending();
  signs.tell(["192.0.2.1"]);
  assert.equal(clock.pending, 0);
  const first = await next();
  assert.equal(first.text, "peers 192.0.2.1");
  assert.notEqual(first.thread, failed.thread);
  clock.advance(60_000);
  signs.tell(["192.0.2.2"]);
  assert.deepEqual(await next(), { text: "peers 192.0.2.2", thread: first.thread });
  await end();
  assert.deepEqual(heard(), [{ text: "end", thread: first.thread }]);
  assert.equal(clock.pending, 0);
});

test("without peers there is no thread, and none comes back", async () => {
  const { signs, clock, next, heard, end } = started();
  signs.tell(["fail"]);
  await next();
  await clock.whenPending();
  signs.tell([]);
  assert.equal(clock.pending, 0);
  signs.tell(["192.0.2.1"]);
  const first = await next();
  signs.tell([]);
  assert.deepEqual(await next(), { text: "end", thread: first.thread });
  await end();
  assert.deepEqual([heard(), clock.pending], [[], 0]);
});

test("peers that come while the thread takes leave have another", async () => {
  const { signs, next, end } = started();
  signs.tell(["192.0.2.1"]);
  const first = await next();
  signs.tell([]);
  signs.tell(["192.0.2.2"]);
  assert.deepEqual(await next(), { text: "end", thread: first.thread });
  let second = await next();
  if (second.thread === first.thread) second = await next();
  assert.equal(second.text, "peers 192.0.2.2");
  assert.notEqual(second.thread, first.thread);
  await end();
});
