/**
 * Copies of a store's file: taken while servers write (sqlite.org/backup.html), and put back in its place when none runs.
 * A copy is one file of mode 0600 with everything in it: intent, its log, the certificate authority and password hashes.
 */
import { randomUUID } from "node:crypto";
import {
  chownSync,
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname } from "node:path";
import { backup, DatabaseSync } from "node:sqlite";
import type { Revision } from "@selvage/model";
import { StoreFailure } from "../store.ts";
import { failureOf, isLocked } from "./failures.ts";
import { applicationId, migrations, openReader, scalar } from "./schema.ts";

/** What a copy holds. */
export interface CopyFigures {
  readonly revision: Revision;
  readonly objects: number;
  readonly bytes: number;
}

/** What putting a copy back did. */
export interface RestoreFigures extends CopyFigures {
  /** The head that the restored log goes on from. */
  readonly head: Revision;
}

/** All pages in one step: a copy of one moment, however busy the writers are. */
const allPages = 0x7fffffff;

/**
 * A restored log goes on this far beyond anything known. Hosts hold objects by their revision: none of the time that is
 * lost must be taken for one that is written later.
 */
const leap = 1_000_000;

const headSql =
  "SELECT max(value, coalesce((SELECT max(revision) FROM log), 0)) AS head FROM meta WHERE key = 'compacted'";

/**
 * Copies the store's file to `target` while it is in use; the target appears whole or not at all and replaces what was there.
 * Gives what the copy holds, after a check of every page of it. Throws StoreFailure.
 */
export async function copySqlite(path: string, target: string): Promise<CopyFigures> {
  const next = `${target}.${process.pid}.new`;
  try {
    // Before the first byte: nobody else may read it at any time.
    closeSync(openSync(next, "wx", 0o600));
    const source = reader(path);
    try {
      await backup(source, next, { rate: allPages });
    } finally {
      source.close();
    }
    standAlone(next);
    const figures = inspectCopy(next);
    sync(next);
    renameSync(next, target);
    sync(dirname(target));
    return figures;
  } catch (error) {
    throw failureOf(error, "work");
  } finally {
    removeFile(next);
  }
}

/**
 * Puts a copy in the place of a store's file, or where none is. What was there is kept beside it as `PATH.before-restore`.
 * The log goes on beyond every revision that a host may hold, so its history begins anew, unless the copy is as new as what it replaces.
 * It is another log (`Store.logId`): hosts are sent all that they need.
 * Throws StoreFailure: the copy is damaged, not ours or of a newer program; a server has the file open.
 */
export function restoreSqlite(copy: string, path: string): RestoreFigures {
  const next = `${path}.${process.pid}.new`;
  try {
    const figures = inspectCopy(copy);
    const present = existsSync(path) ? headOfUnused(path) : undefined;
    closeSync(openSync(next, "wx", 0o600));
    copyFileSync(copy, next);
    const head = present === figures.revision ? present : Math.max(figures.revision, present ?? 0) + leap;
    beginLog(next, head === figures.revision ? undefined : head);
    const { uid, gid } = statSync(dirname(path));
    chownSync(next, uid, gid);
    sync(next);
    if (present !== undefined) setAside(path);
    renameSync(next, path);
    sync(dirname(path));
    return { ...figures, head };
  } catch (error) {
    throw failureOf(error, "work");
  } finally {
    removeFile(next);
  }
}

function reader(path: string): DatabaseSync {
  if (!existsSync(path)) throw new StoreFailure(`there is no store at ${path}`, "failed");
  return openReader(path);
}

/** Checks a copy through and through. Throws StoreFailure. */
function inspectCopy(path: string): CopyFigures {
  const db = reader(path);
  try {
    if (scalar(db, "PRAGMA application_id") !== applicationId)
      throw new StoreFailure(`${path} is no copy of a store of ours`, "failed");
    const state = scalar(db, "PRAGMA integrity_check");
    if (state !== "ok") throw new StoreFailure(`${path} is damaged: ${String(state)}`, "failed");
    const version = Number(scalar(db, "SELECT max(version) FROM schema"));
    const newest = migrations.at(-1)?.version ?? 0;
    if (version > newest) {
      const text = `${path} has schema version ${version}, this program knows up to ${newest}: use a newer Selvage`;
      throw new StoreFailure(text, "failed");
    }
    return {
      revision: Number(scalar(db, headSql)),
      objects: Number(scalar(db, "SELECT count(*) FROM object")),
      bytes: statSync(path).size,
    };
  } finally {
    db.close();
  }
}

/** The head of a file that nobody has open; its write-ahead log is taken into it. Throws StoreFailure when somebody has. */
function headOfUnused(path: string): Revision | undefined {
  const db = new DatabaseSync(path, { timeout: 0 });
  try {
    // In WAL mode every connection holds a shared lock for as long as it is open: this one is had only alone.
    db.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT; PRAGMA journal_mode = DELETE");
    return Number(scalar(db, headSql));
  } catch (error) {
    if (isLocked(error))
      throw new StoreFailure(`${path} is in use: end the servers on it first`, "failed", { cause: error });
    // What is there cannot be read at all: that may be why it is replaced.
    return 0;
  } finally {
    db.close();
  }
}

/** A copy of a file with a write-ahead log is marked as having one; this one is whole by itself. */
function standAlone(path: string): void {
  const db = new DatabaseSync(path);
  try {
    db.exec("PRAGMA journal_mode = DELETE");
  } finally {
    db.close();
  }
}

/** A write-ahead log that stayed behind would be taken for the new file's own; its index is made anew from it. */
function setAside(path: string): void {
  const aside = `${path}.before-restore`;
  removeFile(aside);
  renameSync(path, aside);
  if (existsSync(`${path}-wal`)) renameSync(`${path}-wal`, `${aside}-wal`);
  rmSync(`${path}-shm`, { force: true });
}

/** Makes a copy another log than the one it was taken of, which goes on from `head` where one is given. */
function beginLog(path: string, head: Revision | undefined): void {
  const db = new DatabaseSync(path);
  try {
    db.exec("PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL; BEGIN");
    if (head !== undefined) {
      db.prepare("UPDATE meta SET value = ? WHERE key = 'compacted'").run(head);
      db.exec("DELETE FROM log");
    }
    // A copy of a schema before log ids gets its own with the schema.
    if (scalar(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'identity'") !== 0) {
      db.prepare("UPDATE identity SET log_id = ?").run(randomUUID());
    }
    db.exec("COMMIT");
  } finally {
    db.close();
  }
}

function sync(path: string): void {
  const file = openSync(path, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function removeFile(path: string): void {
  for (const suffix of ["", "-wal", "-shm", "-journal"]) rmSync(path + suffix, { force: true });
}
