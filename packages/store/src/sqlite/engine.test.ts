/** The engine alone, without its thread: groups, full disks, locks, compaction in pieces; and what SQLite's errors mean. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import type { Change } from "@selvage/model";
import { prepareEntry } from "../body.ts";
import { StoreFailure } from "../store.ts";
import { entry, put } from "../testing/entries.ts";
import { type Committed, Engine } from "./engine.ts";
import { failureOf, isLocked, resultCode } from "./failures.ts";
import type { Write } from "./protocol.ts";

const folder = mkdtempSync(join(tmpdir(), "selvage-engine-"));
after(() => rmSync(folder, { recursive: true }));
const file = (name: string): string => join(folder, name);

function append(head: number, ...changes: readonly Change[]): Extract<Write, { readonly op: "append" }> {
  return { op: "append", head, entries: [prepareEntry(entry(...changes))] };
}

/** What each write of a group came to, in short. */
function told(committed: Committed): readonly string[] {
  if (committed.kind === "locked") return ["locked"];
  return committed.settled.map((settled) => {
    if (settled.kind === "failure") return settled.failure.outcome;
    if (settled.answer === null) return "done";
    return settled.answer.outcome === "appended"
      ? `appended ${settled.answer.revision}`
      : `moved ${settled.answer.head}`;
  });
}

test("writes that wait are one transaction, each judged on what those before it left", () => {
  const engine = new Engine({ path: file("group.db") });
  const writes: readonly Write[] = [
    append(0),
    append(1),
    append(1),
    { op: "put", host: "h1", key: "a", value: "0", now: 0, ttl: 1 },
    append(2),
    append(9),
    { op: "compact", through: 2 },
  ];
  assert.deepEqual(told(engine.commit(writes)), [
    "appended 1",
    "appended 2",
    "moved 2",
    "done",
    "appended 3",
    "moved 3",
    "done",
  ]);
  assert.equal(engine.commits, 1);
  assert.deepEqual(engine.bounds(), { oldest: 3, head: 3 });
  engine.close();
});

test("a chain of 200 appends is one transaction", () => {
  const engine = new Engine({ path: file("chain.db") });
  const answers = told(engine.commit(Array.from({ length: 200 }, (_, head) => append(head))));
  assert.deepEqual(
    answers,
    answers.map((_, head) => `appended ${head + 1}`),
  );
  assert.equal(engine.commits, 1);
  engine.close();
});

test("when the file is full the write that does not fit fails alone, reads go on, and room made by compaction is used", () => {
  const engine = new Engine({ path: file("full.db"), maxBytes: 256 * 1024 });
  const big = "x".repeat(60_000);
  assert.deepEqual(told(engine.commit([append(0, put("n", "a", { big }))])), ["appended 1"]);
  const tooBig = append(2, put("n", "b", { big: "x".repeat(400_000) }));
  assert.deepEqual(told(engine.commit([append(1), tooBig, append(2)])), ["appended 2", "failed", "appended 3"]);
  assert.deepEqual(told(engine.commit([{ ...tooBig, head: 3 }])), ["failed"]);
  assert.deepEqual(engine.page(0).rows.length, 3);

  const fill = (): number => {
    let head = engine.bounds().head;
    while (told(engine.commit([append(head, put("n", "a", { big: "y".repeat(20_000) }))]))[0] !== "failed") head += 1;
    return head;
  };
  const full = fill();
  assert.deepEqual(engine.bounds(), { oldest: 1, head: full });
  assert.deepEqual(told(engine.commit([{ op: "compact", through: full }])), ["done"]);
  while (engine.sweep());
  assert.ok(fill() > full);
  engine.close();
});

test("a lock of another connection is told as such, and nothing is done; reads go on", () => {
  const path = file("locked.db");
  const engine = new Engine({ path });
  engine.commit([append(0)]);
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");
  assert.deepEqual(told(engine.commit([append(1)])), ["locked"]);
  assert.deepEqual(engine.bounds(), { oldest: 1, head: 1 });
  assert.equal(engine.page(0).rows.length, 1);
  other.exec("ROLLBACK");
  other.close();
  assert.deepEqual(told(engine.commit([append(1)])), ["appended 2"]);
  engine.close();
});

test("a compaction holds at once, is swept in pieces, and goes on when the file is opened again", () => {
  const path = file("sweep.db");
  const engine = new Engine({ path });
  engine.commit(Array.from({ length: 5_000 }, (_, head) => append(head, put("n", "a"))));
  engine.commit([{ op: "compact", through: 4_999 }]);
  assert.deepEqual([engine.bounds(), engine.page(10).rows], [{ oldest: 5_000, head: 5_000 }, []]);
  assert.equal(engine.sweep(), true);
  engine.close();
  const again = new Engine({ path });
  let pieces = 1;
  while (again.sweep()) pieces += 1;
  assert.equal(pieces, 3);
  assert.deepEqual(again.bounds(), { oldest: 5_000, head: 5_000 });
  again.close();
});

test("an entry id of the compacted part is free, whether swept or not", () => {
  const engine = new Engine({ path: file("again.db") });
  const known = append(0);
  engine.commit([known, append(1), { op: "compact", through: 1 }]);
  assert.deepEqual(told(engine.commit([{ ...known, head: 2 }])), ["appended 3"]);
  assert.equal(engine.page(1).rows.length, 2);
  engine.close();
});

test("a snapshot stands still between its pages while the log goes on; one that was broken off is a failure", () => {
  const engine = new Engine({ path: file("snapshot.db"), snapshotPage: 2 });
  engine.commit([append(0, ...["a", "b", "c"].map((id) => put("n", id, { v: 1 })))]);
  const { cursor, revision } = engine.beginSnapshot();
  const first = engine.nextOfSnapshot(cursor);
  engine.commit([append(1, ...["a", "b", "c", "d"].map((id) => put("n", id, { v: 2 })))]);
  const second = engine.nextOfSnapshot(cursor);
  assert.deepEqual([revision, first.done, second.done], [1, false, true]);
  assert.deepEqual(
    [...first.rows, ...second.rows].map(({ id, revision, body }) => [id, revision, JSON.parse(body).v]),
    ["a", "b", "c"].map((id) => [id, 1, 1]),
  );
  assert.throws(() => engine.nextOfSnapshot(cursor), StoreFailure);
  engine.close();
});

/** An error of SQLite's, provoked. */
function provoked(work: () => void): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return assert.fail("nothing was thrown");
}

test("SQLite's own errors are told apart: full, read-only, locked, not a database", () => {
  const path = file("errors.db");
  const [db, other] = [new DatabaseSync(path), new DatabaseSync(path)];
  db.exec("CREATE TABLE t (x); PRAGMA max_page_count = 3");
  const full = provoked(() => db.prepare("INSERT INTO t VALUES (?)").run("x".repeat(100_000)));
  db.exec("PRAGMA query_only = ON");
  const readOnly = provoked(() => db.exec("INSERT INTO t VALUES (1)"));
  other.exec("BEGIN EXCLUSIVE");
  const locked = provoked(() => db.exec("SELECT * FROM t"));
  db.close();
  other.close();
  const texts = [full, readOnly, locked].map((error) => [
    resultCode(error),
    failureOf(error, "commit").message,
    failureOf(error, "commit").outcome,
  ]);
  assert.deepEqual(
    texts.map(([code, text, outcome]) => [code, String(text).replace(/ \(.*/, ""), outcome]),
    [
      [13, "the store's disk or its size limit is full", "failed"],
      [8, "the store's file is read-only", "failed"],
      [5, "the store's file is locked by another process", "failed"],
    ],
  );
  assert.equal(isLocked(locked), true);
  assert.equal(isLocked(full), false);
});

test("errors of the file system are told in the store's words, without the path", () => {
  for (const [code, says] of [
    ["EROFS", "the store's file is read-only (EROFS)"],
    ["ENOSPC", "the store's disk or its size limit is full (ENOSPC)"],
    ["EACCES", "the store's file cannot be opened (EACCES)"],
  ] as const) {
    const error = Object.assign(new Error(`${code}: some words, chmod '/var/lib/x/store.db'`), { code });
    assert.equal(failureOf(error, "work").message, says);
  }
});

test("an error at commit that may have reached the disk is unknown, the same before it is failed", () => {
  const ioerr = Object.assign(new Error("disk I/O error"), { errcode: 1034 });
  assert.equal(failureOf(ioerr, "commit").outcome, "unknown");
  assert.equal(failureOf(ioerr, "work").outcome, "failed");
  assert.equal(failureOf(new Error("anything"), "commit").outcome, "unknown");
  const given = new StoreFailure("as it is", "failed");
  assert.equal(failureOf(given, "commit"), given);
});
