/** The file: whose it is, who may read it, which versions are understood, how durable a commit is. */
import assert from "node:assert/strict";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { StoreFailure } from "../store.ts";
import {
  applicationId,
  backupBefore,
  logIdOf,
  type Migration,
  migrate,
  migrations,
  openReader,
  openWriter,
  scalar,
} from "./schema.ts";

const folder = mkdtempSync(join(tmpdir(), "selvage-schema-"));
after(() => rmSync(folder, { recursive: true }));

const failed =
  (text: RegExp) =>
  (error: unknown): boolean =>
    error instanceof StoreFailure && error.outcome === "failed" && text.test(error.message);

/** Makes a database of some other application. */
function strangers(name: string, sql: string): string {
  const path = join(folder, name);
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
  return path;
}

const mode = (path: string): number => statSync(path).mode & 0o777;

test("a new file is ours, for its owner alone, and each commit is synced", () => {
  const path = join(folder, "new.db");
  const db = openWriter({ path });
  assert.equal(scalar(db, "PRAGMA application_id"), applicationId);
  assert.equal(scalar(db, "PRAGMA journal_mode"), "wal");
  assert.equal(scalar(db, "PRAGMA synchronous"), 2);
  assert.equal(scalar(db, "SELECT max(version) FROM schema"), migrations.at(-1)?.version);
  for (const suffix of ["", "-wal", "-shm"]) assert.equal(mode(path + suffix), 0o600, suffix);
  db.close();
});

test("a file of ours that others could read is closed to them", () => {
  const path = join(folder, "loose.db");
  openWriter({ path }).close();
  chmodSync(path, 0o644);
  openWriter({ path }).close();
  assert.equal(mode(path), 0o600);
});

test("an empty file is taken as a new one", () => {
  const path = join(folder, "empty.db");
  writeFileSync(path, "");
  openWriter({ path }).close();
  openWriter({ path }).close();
  assert.equal(mode(path), 0o600);
});

test("a file that is not ours is refused and left byte for byte as it was", () => {
  const text = join(folder, "notes.txt");
  writeFileSync(text, "not a database, ".repeat(50));
  const short = join(folder, "short.txt");
  writeFileSync(short, "x");
  const cases = [
    [text, /no SQLite database/],
    [short, /no SQLite database/],
    [strangers("other.db", "PRAGMA application_id = 1; CREATE TABLE t (x)"), /belongs to the application 0x1/],
    [strangers("tables.db", "CREATE TABLE mine (x); INSERT INTO mine VALUES (1)"), /another application's tables/],
  ] as const;
  for (const [path, why] of cases) {
    const [before, beforeMode] = [readFileSync(path), mode(path)];
    assert.throws(() => openWriter({ path }), failed(why), path);
    assert.deepEqual([readFileSync(path).equals(before), mode(path)], [true, beforeMode], path);
  }
});

test("a folder, a missing folder and a link to nowhere are refused", () => {
  symlinkSync(join(folder, "nowhere", "x"), join(folder, "link.db"));
  for (const path of [folder, join(folder, "none", "x.db"), join(folder, "link.db")]) {
    assert.throws(() => openWriter({ path }), failed(/./), path);
  }
});

test("a file of a newer schema is refused, and says what to do", () => {
  const path = join(folder, "future.db");
  const db = openWriter({ path });
  db.exec("INSERT INTO schema VALUES (1000, 'of the future', '2030-01-01T00:00:00.000Z')");
  db.close();
  assert.throws(() => openWriter({ path }), failed(/schema version 1000.*newer Selvage/));
});

test("a file of this schema is refused by a program that knows one less, and stays as it is", () => {
  const path = join(folder, "present.db");
  openWriter({ path }).close();
  const before = readFileSync(path);
  const db = new DatabaseSync(path);
  const known = migrations.slice(0, -1);
  assert.throws(
    () => migrate(db, known, "2030-01-01T00:00:00.000Z"),
    failed(new RegExp(`knows up to ${known.length}: use a newer Selvage.*\\.schema-${known.length} `)),
  );
  db.close();
  assert.equal(readFileSync(path).equals(before), true);
});

test("migrations are applied once each, in order; a broken one leaves the version before it whole", () => {
  const db = new DatabaseSync(":memory:");
  const steps: readonly Migration[] = [
    { version: 1, name: "one", sql: "CREATE TABLE a (x)" },
    { version: 2, name: "two", sql: "INSERT INTO a VALUES (0)" },
    { version: 3, name: "three", sql: "INSERT INTO a VALUES (1); INSERT INTO absent VALUES (1)" },
  ];
  const at = "2026-01-01T00:00:00.000Z";
  migrate(db, steps.slice(0, 1), at);
  migrate(db, steps.slice(0, 2), at);
  migrate(db, steps.slice(0, 2), at);
  assert.equal(scalar(db, "SELECT count(*) FROM a"), 1);
  assert.throws(() => migrate(db, steps, at), /absent/);
  assert.deepEqual([scalar(db, "SELECT count(*) FROM a"), scalar(db, "SELECT max(version) FROM schema")], [1, 2]);
  db.close();
});

test("a file of an older schema is copied beside itself before it is changed, each time anew, and no copy is taken of a new one", () => {
  const path = join(folder, "older.db");
  const older = new DatabaseSync(path);
  older.exec(`PRAGMA application_id = ${applicationId}`);
  migrate(older, migrations.slice(0, 1), "2026-01-01T00:00:00.000Z");
  older.exec("INSERT INTO log VALUES (1, 'e', '{}')");
  older.close();
  const aside = backupBefore(path, 1);
  openWriter({ path }).close();
  assert.equal(mode(aside), 0o600);
  const copy = openReader(aside);
  assert.deepEqual(
    [
      scalar(copy, "PRAGMA application_id"),
      scalar(copy, "SELECT max(version) FROM schema"),
      scalar(copy, "SELECT entry_id FROM log"),
    ],
    [applicationId, 1, "e"],
  );
  copy.close();
  const before = readFileSync(aside);
  const db = openWriter({ path });
  const logId = logIdOf(db);
  db.close();
  const again = openWriter({ path });
  assert.equal(logIdOf(again), logId, "a migration is applied once");
  again.close();
  assert.deepEqual(readFileSync(aside), before);
  // The way back, something more is written, and the newer program again.
  for (const suffix of ["-wal", "-shm"]) rmSync(path + suffix, { force: true });
  copyFileSync(aside, path);
  const back = new DatabaseSync(path);
  back.exec("INSERT INTO log VALUES (2, 'f', '{}')");
  back.close();
  openWriter({ path }).close();
  const next = openReader(aside);
  assert.deepEqual(
    [scalar(next, "SELECT max(version) FROM schema"), scalar(next, "SELECT count(*) FROM log")],
    [1, 2],
    "the copy has what was written since",
  );
  next.close();
  const fresh = join(folder, "fresh.db");
  openWriter({ path: fresh }).close();
  const newest = migrations.at(-1)?.version ?? 0;
  for (let version = 0; version <= newest; version += 1) assert.equal(existsSync(backupBefore(fresh, version)), false);
});

test("a reader cannot write", () => {
  const path = join(folder, "read.db");
  const writer = openWriter({ path });
  const reader = openReader(path);
  assert.throws(() => reader.exec("DELETE FROM log"), /readonly/);
  reader.close();
  writer.close();
});
