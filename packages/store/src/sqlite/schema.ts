/** The file: whose it is, its tables and their versions, and the settings that make a commit durable (sqlite.org/pragma.html, /wal.html). */
import { chmodSync, closeSync, constants, fsyncSync, openSync, readSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { StoreFailure } from "../store.ts";
import { failureOf } from "./failures.ts";

/** "SLVG": in the header of each of our files (bytes 68 to 71). */
export const applicationId = 0x534c5647;

const magic = "SQLite format 3\0";
const headerBytes = 100;
/** How long opening waits for another process that opens the same file, milliseconds. */
const openWait = 5_000;

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly sql: string;
}

/**
 * Each is applied once, in order, each in its own transaction. Never edit one that was released: add another. One that changes no table says that objects of kinds are
 * stored which a program before does not know: it would let what hangs together come apart (a network goes, its segments stay), and is to refuse the file.
 */
export const migrations: readonly Migration[] = [
  {
    version: 1,
    name: "log, objects, state",
    sql: `
      CREATE TABLE log (revision INTEGER PRIMARY KEY, entry_id TEXT NOT NULL UNIQUE, body TEXT NOT NULL) STRICT;
      CREATE TABLE object (kind TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (kind, id)) STRICT;
      CREATE TABLE lease (host TEXT PRIMARY KEY, expires REAL NOT NULL) STRICT;
      CREATE INDEX lease_expires ON lease (expires);
      CREATE TABLE state (host TEXT NOT NULL REFERENCES lease ON DELETE CASCADE, key TEXT NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (host, key)) STRICT;
      CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
      INSERT INTO meta VALUES ('compacted', 0);`,
  },
  {
    version: 2,
    name: "log id",
    // A UUID of version 4 and variant 1 (RFC 9562, section 5.4), of SQLite's own random numbers.
    sql: `
      CREATE TABLE identity (log_id TEXT NOT NULL) STRICT;
      INSERT INTO identity SELECT substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-4' || substr(h, 14, 3) || '-8' || substr(h, 18, 3)
        || '-' || substr(h, 21, 12) FROM (SELECT lower(hex(randomblob(16))) AS h);`,
  },
  { version: 3, name: "segments of networks", sql: "" },
];

const refuse = (path: string, why: string): StoreFailure =>
  new StoreFailure(`${path} is not a store of ours: ${why}; it was left alone`, "failed");

/** Reads a file's header without SQLite, so that a stranger's file is not touched. Gives whether it is new (empty). */
function inspect(path: string): "new" | "ours" | "unclaimed" {
  if (!statSync(path).isFile()) throw refuse(path, "it is not a file");
  const file = openSync(path, constants.O_RDONLY);
  try {
    const header = Buffer.alloc(headerBytes);
    const length = readSync(file, header, 0, headerBytes, 0);
    if (length === 0) return "new";
    if (length < headerBytes || header.toString("latin1", 0, magic.length) !== magic)
      throw refuse(path, "it is no SQLite database");
    const owner = header.readUInt32BE(68);
    if (owner === applicationId) return "ours";
    if (owner !== 0) throw refuse(path, `it belongs to the application 0x${owner.toString(16)}`);
    return "unclaimed";
  } finally {
    closeSync(file);
  }
}

/** Makes the file, empty and for its owner alone, where there is none, and its name durable. */
function create(path: string): void {
  try {
    closeSync(openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_RDWR, 0o600));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return;
    throw error;
  }
  syncFile(dirname(path));
}

/** A pragma's one value, or the first column of any query's first row. */
export function scalar(db: DatabaseSync, sql: string): unknown {
  const row = db.prepare(sql).get();
  return row === undefined ? undefined : Object.values(row)[0];
}

/** Names the log in a file of the newest schema. */
export const logIdOf = (db: DatabaseSync): string => String(scalar(db, "SELECT log_id FROM identity"));

function transaction(db: DatabaseSync, work: () => void): void {
  db.exec("BEGIN IMMEDIATE");
  try {
    work();
    db.exec("COMMIT");
  } catch (error) {
    if (db.isTransaction) db.exec("ROLLBACK");
    throw error;
  }
}

/** Claims an empty database: its application id is committed to the main file before anything else, so a crash leaves no orphan. */
function claim(db: DatabaseSync, path: string): void {
  transaction(db, () => {
    const owner = scalar(db, "PRAGMA application_id");
    if (owner === applicationId) return;
    if (owner !== 0 || scalar(db, "SELECT count(*) FROM sqlite_schema") !== 0)
      throw refuse(path, "it holds another application's tables");
    db.exec(`PRAGMA application_id = ${applicationId}`);
  });
}

/** Brings the tables to the newest version. Throws StoreFailure when the file's is newer than this program's. `at`: RFC 3339. */
export function migrate(db: DatabaseSync, known: readonly Migration[], at: string): void {
  transaction(db, () => {
    db.exec(
      "CREATE TABLE IF NOT EXISTS schema (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied TEXT NOT NULL) STRICT",
    );
  });
  const newest = known.at(-1)?.version ?? 0;
  for (const migration of known) {
    transaction(db, () => {
      const present = versionIn(db);
      if (present > newest) {
        const versions = `the store's file has schema version ${present}, this program knows up to ${newest}`;
        const copy = `the copy that was taken before the upgrade (beside it, .schema-${newest} or the next lower number)`;
        throw new StoreFailure(`${versions}: use a newer Selvage, or restore ${copy}`, "failed");
      }
      if (present >= migration.version) return;
      db.exec(migration.sql);
      db.prepare("INSERT INTO schema VALUES (?, ?, ?)").run(migration.version, migration.name, at);
    });
  }
}

const versionIn = (db: DatabaseSync): number => Number(scalar(db, "SELECT coalesce(max(version), 0) FROM schema"));

/** Where the copy stands that was taken of a file before its schema went beyond `version`: what a downgrade puts back. */
export const backupBefore = (path: string, version: number): string => `${path}.schema-${version}`;

/**
 * Takes a copy of a file whose schema is older than this program's, before it is changed: the way back to the program before. One that is there already was taken by a
 * try that did not come to its end, or before somebody went that way back and wrote on: what the file holds now takes its place.
 */
function keepBeforeMigration(db: DatabaseSync, path: string): void {
  if (scalar(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'schema'") === 0) return;
  const version = versionIn(db);
  const target = backupBefore(path, version);
  if (version === 0 || version >= (migrations.at(-1)?.version ?? 0)) return;
  const next = `${target}.${process.pid}.new`;
  try {
    // Before the first byte: nobody else may read it at any time.
    closeSync(openSync(next, "wx", 0o600));
    db.prepare("VACUUM INTO ?").run(next);
    const copy = new DatabaseSync(next, { readOnly: true });
    const copied = versionIn(copy);
    copy.close();
    // Another process was faster: it took the copy.
    if (copied !== version) return;
    syncFile(next);
    renameSync(next, target);
    syncFile(dirname(target));
  } finally {
    rmSync(next, { force: true });
  }
}

function syncFile(path: string): void {
  const file = openSync(path, constants.O_RDONLY);
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

export interface FileOptions {
  readonly path: string;
  /** The file's limit in bytes (the write-ahead log beside it comes on top). Absent: the disk's. */
  readonly maxBytes?: number;
}

/** The one connection that writes: made durable, waiting for nobody. */
export function openWriter(options: FileOptions): DatabaseSync {
  const { path } = options;
  let db: DatabaseSync | undefined;
  try {
    create(path);
    const found = inspect(path);
    db = new DatabaseSync(path, { timeout: openWait, enableForeignKeyConstraints: true });
    if (found !== "ours") claim(db, path);
    chmodSync(path, 0o600);
    const mode = scalar(db, "PRAGMA journal_mode = WAL");
    if (mode !== "wal")
      throw new StoreFailure(`${path}: the file system cannot hold a write-ahead log (journal mode ${mode})`, "failed");
    db.exec("PRAGMA synchronous = FULL");
    keepBeforeMigration(db, path);
    migrate(db, migrations, new Date().toISOString());
    if (options.maxBytes !== undefined) {
      db.exec(
        `PRAGMA max_page_count = ${Math.max(1, Math.floor(options.maxBytes / Number(scalar(db, "PRAGMA page_size"))))}`,
      );
    }
    db.exec("PRAGMA busy_timeout = 0");
    return db;
  } catch (error) {
    db?.close();
    throw failureOf(error, "work");
  }
}

/** A connection that only reads: it sees each commit at once, and never waits for a writer. */
export function openReader(path: string): DatabaseSync {
  return new DatabaseSync(path, { readOnly: true, timeout: openWait });
}
