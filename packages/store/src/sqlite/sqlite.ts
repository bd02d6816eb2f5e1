/** The durable driver for one machine: a SQLite file in a worker thread. Several servers may open the same file; not over NFS. */
import { resolve } from "node:path";
import { Worker } from "node:worker_threads";
import type { Revision } from "@selvage/model";
import { loggedEntry, prepareEntries, storedObject } from "../body.ts";
import type {
  Appended,
  Bounds,
  Entry,
  LoggedEntry,
  Snapshot,
  SnapshotObject,
  StateRecord,
  StateSpace,
  Store,
} from "../store.ts";
import { StoreFailure } from "../store.ts";
import { Bell, follow } from "../tail.ts";
import { Link } from "./link.ts";
import type { SqliteOptions } from "./protocol.ts";

export interface OpenSqliteOptions extends SqliteOptions {
  /** The clock of the leases, milliseconds since the epoch; all servers on one file must agree. Absent: the system's. */
  readonly now?: () => number;
  /** Starts the worker thread. Absent: the one of this package. */
  readonly spawn?: () => Worker;
}

/** Opens the file, making it (mode 0600) where there is none. Throws StoreFailure: not ours, newer than this program, cannot be opened. */
export async function openSqlite(options: OpenSqliteOptions): Promise<Store> {
  const { now = Date.now, spawn, ...rest } = options;
  const workerData: SqliteOptions = { ...rest, path: resolve(rest.path) };
  const bell = new Bell();
  const link = new Link(spawn ?? (() => new Worker(new URL("./worker.ts", import.meta.url), { workerData })), {
    head: (head) => bell.ring(head),
    lost: (error) => bell.fail(error),
  });
  try {
    return new SqliteStore({ link, bell, now, logId: await link.open() });
  } catch (error) {
    // Who opens is told which file; who asks later, perhaps over the network, is not.
    if (!(error instanceof StoreFailure) || error.message.includes(workerData.path)) throw error;
    throw new StoreFailure(`${workerData.path}: ${error.message}`, error.outcome, { cause: error });
  }
}

interface SqliteParts {
  readonly link: Link;
  readonly bell: Bell;
  readonly now: () => number;
  readonly logId: string;
}

class SqliteStore implements Store {
  readonly driver = "sqlite";
  readonly durable = true;
  readonly state: StateSpace;
  readonly logId: string;
  readonly #bell: Bell;
  readonly #link: Link;

  constructor({ link, bell, now, logId }: SqliteParts) {
    this.#link = link;
    this.#bell = bell;
    this.logId = logId;
    this.state = new SqliteState(link, now);
  }

  async snapshot(): Promise<Snapshot> {
    const { cursor, revision } = await this.#link.ask({ op: "snapshot" });
    const objects: SnapshotObject[] = [];
    const texts = new Map<string, string>();
    for (;;) {
      const { rows, done } = await this.#link.ask({ op: "snapshotNext", cursor });
      for (const { kind, id, revision: written, body } of rows) {
        const object = storedObject(body, texts);
        // The id of most objects is their own: then it is one text and not two.
        objects.push({ kind, id: object.id === id ? object.id : id, revision: written, object });
      }
      if (done) return { revision, objects };
    }
  }

  async append(head: Revision, entries: readonly Entry[]): Promise<Appended> {
    return this.#link.ask({ op: "append", head, entries: prepareEntries(entries) });
  }

  tail(from: Revision, signal: AbortSignal): AsyncIterable<LoggedEntry> {
    return follow(from, signal, { read: (after) => this.#link.ask({ op: "page", after }), bell: this.#bell });
  }

  async find(id: string): Promise<LoggedEntry | undefined> {
    const row = await this.#link.ask({ op: "find", id });
    return row === null ? undefined : loggedEntry(row);
  }

  bounds(): Promise<Bounds> {
    return this.#link.ask({ op: "bounds" });
  }

  async compact(through: Revision): Promise<void> {
    await this.#link.ask({ op: "compact", through });
  }

  close(): Promise<void> {
    return this.#link.close();
  }
}

class SqliteState implements StateSpace {
  readonly #link: Link;
  readonly #now: () => number;

  constructor(link: Link, now: () => number) {
    this.#link = link;
    this.#now = now;
  }

  async put(host: string, key: string, value: unknown, ttl: number): Promise<void> {
    await this.#link.ask({ op: "put", host, key, value: JSON.stringify(value ?? null), now: this.#now(), ttl });
  }

  async renew(host: string, ttl: number): Promise<void> {
    await this.#link.ask({ op: "renew", host, now: this.#now(), ttl });
  }

  async remove(host: string, key: string): Promise<void> {
    await this.#link.ask({ op: "remove", host, key });
  }

  async list(host?: string): Promise<readonly StateRecord[]> {
    const facts = await this.#link.ask({ op: "list", host: host ?? null, now: this.#now() });
    return facts.map(({ value, ...fact }) => ({ ...fact, value: JSON.parse(value) }));
  }
}
