/** The thread between the store and its file: its death, its refusal, a lock that lasts, a second process on the file. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { Worker } from "node:worker_threads";
import { StoreFailure } from "../store.ts";
import { appendAt, entry, put, take } from "../testing/entries.ts";
import { openSqlite } from "./sqlite.ts";

const folder = mkdtempSync(join(tmpdir(), "selvage-link-"));
after(() => rmSync(folder, { recursive: true }));
const file = (name: string): string => join(folder, name);

const failure =
  (outcome: "failed" | "unknown", text = /./) =>
  (error: unknown): boolean =>
    error instanceof StoreFailure && error.outcome === outcome && text.test(error.message);

const real = (path: string): Worker => new Worker(new URL("./worker.ts", import.meta.url), { workerData: { path } });

/** Opens, takes asks, and dies of the third. */
const dying = (): Worker =>
  new Worker(
    `const { parentPort } = require("node:worker_threads");
     let asks = 0;
     parentPort.postMessage({ kind: "opened" });
     parentPort.on("message", () => { asks += 1; if (asks === 3) throw new Error("out of luck"); });`,
    { eval: true },
  );

test("a worker's death fails what was asked: reads certainly, appends perhaps; the next call starts another worker", {
  timeout: 30_000,
}, async () => {
  const path = file("crash.db");
  const workers = [dying, () => real(path)];
  const store = await openSqlite({ path, spawn: () => workers.shift()!() });
  const results = await Promise.allSettled([store.bounds(), take(store, 0, 1), store.append(0, [entry()])]);
  const [bounds, tail, append] = results.map((result) => (result.status === "rejected" ? result.reason : undefined));
  assert.ok(failure("failed", /out of luck/)(bounds), String(bounds));
  assert.ok(failure("failed", /out of luck/)(tail), String(tail));
  assert.ok(failure("unknown", /out of luck/)(append), String(append));
  await appendAt(store, 0, entry());
  assert.equal((await take(store, 0, 1)).length, 1);
  await store.close();
});

test("a tail that waits when the worker dies ends in StoreFailure", { timeout: 30_000 }, async () => {
  const path = file("waiting.db");
  const started: Worker[] = [];
  const spawn = (): Worker => {
    const worker = real(path);
    started.push(worker);
    return worker;
  };
  const store = await openSqlite({ path, spawn });
  const waiting = assert.rejects(take(store, 0, 1), failure("unknown"));
  // Answered behind the tail's own read: the tail waits now.
  await store.bounds();
  await started[0]!.terminate();
  await waiting;
  assert.equal((await store.bounds()).head, 0);
  assert.equal(started.length, 2);
  await store.close();
});

test("a file that cannot be opened is told by opening, not by a hang", { timeout: 30_000 }, async () => {
  const path = file("stranger.db");
  const other = new DatabaseSync(path);
  other.exec("CREATE TABLE theirs (x)");
  other.close();
  await assert.rejects(openSqlite({ path }), failure("failed", /another application/));
  await assert.rejects(
    openSqlite({ path: file("absent/x.db") }),
    failure("failed", /absent\/x\.db: the store's file cannot be opened \(ENOENT\)/),
  );
});

test("a lock that lasts fails the append, certainly; reads go on meanwhile, and appends after it", {
  timeout: 30_000,
}, async () => {
  const path = file("lock.db");
  const store = await openSqlite({ path, lockWait: 50 });
  await appendAt(store, 0, entry(put("n", "a")));
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");
  const refused = assert.rejects(store.append(1, [entry()]), failure("failed", /locked/));
  assert.equal((await store.bounds()).head, 1);
  assert.equal((await store.snapshot()).objects.length, 1);
  assert.equal((await take(store, 0, 1)).length, 1);
  await refused;
  other.exec("ROLLBACK");
  other.close();
  await appendAt(store, 1, entry());
  await store.close();
});

test("a lock that ends in time delays the append and no more", { timeout: 30_000 }, async () => {
  const path = file("short-lock.db");
  const store = await openSqlite({ path });
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");
  const appending = store.append(0, [entry()]);
  await store.bounds();
  other.exec("ROLLBACK");
  other.close();
  assert.equal((await appending).outcome, "appended");
  await store.close();
});

test("a full file fails the append, certainly; reads go on", { timeout: 30_000 }, async () => {
  const store = await openSqlite({ path: file("full.db"), maxBytes: 128 * 1024 });
  await appendAt(store, 0, entry(put("n", "a")));
  await assert.rejects(
    store.append(1, [entry(put("n", "b", { big: "x".repeat(500_000) }))]),
    failure("failed", /full/),
  );
  assert.equal((await store.snapshot()).objects.length, 1);
  await appendAt(store, 1, entry(put("n", "c")));
  assert.equal((await take(store, 0, 2)).length, 2);
  await store.close();
});

test("what JSON cannot hold is refused before anything is written", { timeout: 30_000 }, async () => {
  const store = await openSqlite({ path: file("json.db") });
  await assert.rejects(store.append(0, [entry(put("n", "a", { big: 1n }))]), TypeError);
  assert.equal((await store.bounds()).head, 0);
  await store.close();
});
