/** The statements on the log and on the objects that it made. Each function runs inside a transaction of its caller's connection. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Revision } from "@selvage/model";
import type { LogRow, PreparedEntry } from "../body.ts";
import type { Appended, Bounds } from "../store.ts";
import type { LogPage } from "../tail.ts";

const bounds = `
  SELECT max(compacted.value, coalesce((SELECT max(revision) FROM log), 0)) AS head, compacted.value + 1 AS oldest
  FROM meta AS compacted WHERE compacted.key = 'compacted'`;

function boundsBy(statement: StatementSync): Bounds {
  const row = statement.get();
  return { oldest: Number(row?.oldest), head: Number(row?.head) };
}

/** Rows forgotten in one go: a compaction of a million entries must not hold up the writers. */
const sweepRows = 2_000;

/** The writer's half. */
export class LogWriter {
  readonly #bounds: StatementSync;
  readonly #known: StatementSync;
  readonly #insert: StatementSync;
  readonly #put: StatementSync;
  readonly #remove: StatementSync;
  readonly #compact: StatementSync;
  readonly #sweep: StatementSync;

  constructor(db: DatabaseSync) {
    this.#bounds = db.prepare(bounds);
    this.#known = db.prepare(
      "SELECT 1 FROM log WHERE entry_id = ? AND revision > (SELECT value FROM meta WHERE key = 'compacted')",
    );
    // A swept-late row of the compacted part makes way for a new entry of the same id.
    this.#insert = db.prepare("INSERT OR REPLACE INTO log (revision, entry_id, body) VALUES (?, ?, ?)");
    this.#put = db.prepare(`INSERT INTO object (kind, id, revision, body) VALUES (?, ?, ?, ?)
      ON CONFLICT (kind, id) DO UPDATE SET revision = excluded.revision, body = excluded.body`);
    this.#remove = db.prepare("DELETE FROM object WHERE kind = ? AND id = ?");
    this.#compact = db.prepare("UPDATE meta SET value = ? WHERE key = 'compacted' AND value < ?");
    this.#sweep = db.prepare(`DELETE FROM log WHERE revision IN (SELECT revision FROM log
      WHERE revision <= (SELECT value FROM meta WHERE key = 'compacted') ORDER BY revision LIMIT ${sweepRows})`);
  }

  bounds(): Bounds {
    return boundsBy(this.#bounds);
  }

  append(head: Revision, entries: readonly PreparedEntry[]): Appended {
    let last = this.bounds().head;
    if (head !== last || entries.some(({ id }) => this.#known.get(id) !== undefined))
      return { outcome: "moved", head: last };
    for (const entry of entries) {
      last += 1;
      this.#insert.run(last, entry.id, entry.body);
      for (const { kind, id, body } of entry.changes) {
        if (body === null) this.#remove.run(kind, id);
        else this.#put.run(kind, id, last, body);
      }
    }
    return { outcome: "appended", revision: last };
  }

  /** Marks entries up to `through` as gone; `sweep` takes them away. */
  compact(through: Revision): void {
    const limit = Math.min(through, this.bounds().head);
    this.#compact.run(limit, limit);
  }

  /** Takes some of the gone entries away; false when there was nothing left to take. */
  sweep(): boolean {
    return Number(this.#sweep.run().changes) > 0;
  }
}

/** A page ends after this many entries, or after the entry that takes it over this many characters. */
const pageRows = 256;
const pageCharacters = 4_000_000;

/** The reader's half. */
export class LogReader {
  readonly #db: DatabaseSync;
  readonly #bounds: StatementSync;
  readonly #rows: StatementSync;
  readonly #find: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#bounds = db.prepare(bounds);
    this.#rows = db.prepare("SELECT revision, body FROM log WHERE revision > ? ORDER BY revision LIMIT ?");
    this.#find = db.prepare(
      "SELECT revision, body FROM log WHERE entry_id = ? AND revision > (SELECT value FROM meta WHERE key = 'compacted')",
    );
  }

  bounds(): Bounds {
    return boundsBy(this.#bounds);
  }

  /** The kept entry of an id. */
  find(id: string): LogRow | null {
    const row = this.#find.get(id);
    return row === undefined ? null : { revision: Number(row.revision), body: String(row.body) };
  }

  /** The entries after `after` and the bounds, of one moment. */
  page(after: Revision): LogPage {
    this.#db.exec("BEGIN");
    try {
      const at = this.bounds();
      const rows: LogRow[] = [];
      if (after + 1 >= at.oldest) {
        let characters = 0;
        for (const row of this.#rows.iterate(after, pageRows)) {
          const body = String(row.body);
          rows.push({ revision: Number(row.revision), body });
          characters += body.length;
          if (characters > pageCharacters) break;
        }
      }
      return { ...at, rows };
    } finally {
      this.#db.exec("COMMIT");
    }
  }
}
