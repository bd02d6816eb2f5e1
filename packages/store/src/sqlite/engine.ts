/** The SQLite file, opened: takes writes in groups (one transaction and one sync for all that wait), answers reads beside them. */
import type { DatabaseSync } from "node:sqlite";
import type { Revision } from "@selvage/model";
import type { LogRow } from "../body.ts";
import type { Bounds } from "../store.ts";
import { StoreFailure } from "../store.ts";
import type { LogPage } from "../tail.ts";
import { failureOf, isLocked } from "./failures.ts";
import { type Fact, LeaseReader, LeaseWriter } from "./leases.ts";
import { LogReader, LogWriter } from "./log.ts";
import type { Answers, ObjectRow, SqliteOptions, Write } from "./protocol.ts";
import { logIdOf, openReader, openWriter } from "./schema.ts";

export type WriteAnswer = Answers[Write["op"]];

/** Of one write in a group. */
export type Settled =
  | { readonly kind: "answer"; readonly answer: WriteAnswer }
  | { readonly kind: "failure"; readonly failure: StoreFailure };

/** `locked`: another process writes right now; nothing was done, ask again. */
export type Committed =
  | { readonly kind: "locked" }
  | { readonly kind: "settled"; readonly settled: readonly Settled[] };

interface Cursor {
  readonly db: DatabaseSync;
  readonly rows: NodeJS.Iterator<Record<string, unknown>>;
}

export class Engine {
  readonly #path: string;
  readonly #snapshotPage: number;
  readonly #writer: DatabaseSync;
  readonly #reader: DatabaseSync;
  readonly #logWriter: LogWriter;
  readonly #leaseWriter: LeaseWriter;
  readonly #logReader: LogReader;
  readonly #leaseReader: LeaseReader;
  readonly #cursors = new Map<number, Cursor>();
  /** Names the log that the file holds. */
  readonly logId: string;
  #lastCursor = 0;
  #commits = 0;

  /** Opens the file, making it where there is none. Throws StoreFailure: it cannot be opened, or is not ours. */
  constructor(options: SqliteOptions) {
    this.#path = options.path;
    this.#snapshotPage = options.snapshotPage ?? 2_000;
    this.#writer = openWriter(options);
    try {
      this.#reader = openReader(options.path);
      this.#logWriter = new LogWriter(this.#writer);
      this.#leaseWriter = new LeaseWriter(this.#writer);
      this.#logReader = new LogReader(this.#reader);
      this.#leaseReader = new LeaseReader(this.#reader);
      this.logId = logIdOf(this.#reader);
    } catch (error) {
      this.#writer.close();
      throw failureOf(error, "work");
    }
  }

  /** How many transactions were made durable. */
  get commits(): number {
    return this.#commits;
  }

  /**
   * Takes all of the writes in one transaction, each judged in order on what those before it left. When one of them breaks the
   * transaction (the disk is full), each is tried alone, so that it alone fails.
   */
  commit(writes: readonly Write[]): Committed {
    try {
      this.#writer.exec("BEGIN IMMEDIATE");
    } catch (error) {
      if (isLocked(error)) return { kind: "locked" };
      return failAll(writes, failureOf(error, "work"));
    }
    let answers: readonly WriteAnswer[];
    try {
      answers = writes.map((write) => this.#apply(write));
    } catch (error) {
      const undone = this.#rollback();
      if (undone !== undefined) return failAll(writes, undone);
      if (writes.length === 1) return failAll(writes, failureOf(error, "work"));
      return { kind: "settled", settled: writes.flatMap((write) => this.#alone(write)) };
    }
    try {
      this.#writer.exec("COMMIT");
      this.#commits += 1;
    } catch (error) {
      this.#rollback();
      return failAll(writes, failureOf(error, "commit"));
    }
    return { kind: "settled", settled: answers.map((answer) => ({ kind: "answer", answer })) };
  }

  #alone(write: Write): readonly Settled[] {
    const committed = this.commit([write]);
    if (committed.kind === "settled") return committed.settled;
    return [{ kind: "failure", failure: new StoreFailure("the store's file is locked by another process", "failed") }];
  }

  #apply(write: Write): WriteAnswer {
    switch (write.op) {
      case "append":
        return this.#logWriter.append(write.head, write.entries);
      case "compact":
        this.#logWriter.compact(write.through);
        return null;
      case "put":
        this.#leaseWriter.put(write.host, write.key, write.value, write.now, write.ttl);
        return null;
      case "renew":
        this.#leaseWriter.renew(write.host, write.now, write.ttl);
        return null;
      case "remove":
        this.#leaseWriter.remove(write.host, write.key);
        return null;
    }
  }

  /** Undoes the open transaction; gives the failure when even that fails. SQLite may have undone it by itself. */
  #rollback(): StoreFailure | undefined {
    if (!this.#writer.isTransaction) return undefined;
    try {
      this.#writer.exec("ROLLBACK");
      return undefined;
    } catch (error) {
      return failureOf(error, "work");
    }
  }

  /** Takes some compacted entries out of the file; false when none are left, or now is not the time. */
  sweep(): boolean {
    try {
      return this.#logWriter.sweep();
    } catch (error) {
      // Nothing depends on it: what is left is taken by the next compaction or opening. A real fault shows at the next write.
      if (error instanceof Error) return false;
      throw error;
    }
  }

  bounds(): Bounds {
    return this.#logReader.bounds();
  }

  page(after: Revision): LogPage {
    return this.#logReader.page(after);
  }

  find(id: string): LogRow | null {
    return this.#logReader.find(id);
  }

  list(host: string | null, now: number): readonly Fact[] {
    return this.#leaseReader.list(host, now);
  }

  /** Begins a snapshot on a connection of its own: what it reads stands still while the log goes on. */
  beginSnapshot(): Answers["snapshot"] {
    const db = openReader(this.#path);
    try {
      db.exec("BEGIN");
      const { head } = new LogReader(db).bounds();
      const rows = db.prepare("SELECT kind, id, revision, body FROM object").iterate();
      this.#lastCursor += 1;
      this.#cursors.set(this.#lastCursor, { db, rows });
      return { cursor: this.#lastCursor, revision: head };
    } catch (error) {
      db.close();
      throw error;
    }
  }

  /** The next objects of a snapshot; the last page ends it. */
  nextOfSnapshot(number: number): Answers["snapshotNext"] {
    const cursor = this.#cursors.get(number);
    if (cursor === undefined) throw new StoreFailure("the snapshot was broken off", "failed");
    const rows: ObjectRow[] = [];
    while (rows.length < this.#snapshotPage) {
      const next = cursor.rows.next();
      if (next.done === true) {
        this.#cursors.delete(number);
        cursor.db.close();
        return { rows, done: true };
      }
      const { kind, id, revision, body } = next.value;
      rows.push({ kind: String(kind), id: String(id), revision: Number(revision), body: String(body) });
    }
    return { rows, done: false };
  }

  close(): void {
    for (const { db } of this.#cursors.values()) db.close();
    this.#cursors.clear();
    this.#reader.close();
    this.#writer.close();
  }
}

function failAll(writes: readonly Write[], failure: StoreFailure): Committed {
  return { kind: "settled", settled: writes.map(() => ({ kind: "failure", failure })) };
}
