/**
 * The volatile driver: the whole log in this process's memory. For tests, trials and simulations; it loses everything at its end and says
 * so (`durable: false`). Faults can be put in its way, for tests of what stands above the store.
 */
import { randomUUID } from "node:crypto";
import type { Revision } from "@selvage/model";
import { loggedEntry, type PreparedEntry, prepareEntries, storedObject } from "./body.ts";
import { Faults } from "./faults.ts";
import type { Appended, Bounds, Entry, LoggedEntry, Snapshot, StateRecord, StateSpace, Store } from "./store.ts";
import { StoreFailure } from "./store.ts";
import { Bell, follow, type LogPage } from "./tail.ts";

export interface MemoryOptions {
  /** The clock of the leases, milliseconds since the epoch. Absent: the system's. */
  readonly now?: () => number;
}

export interface MemoryStore extends Store {
  readonly faults: Faults;
}

interface KeptObject {
  readonly kind: string;
  readonly id: string;
  readonly revision: Revision;
  readonly body: string;
}

interface Lease {
  readonly expires: number;
  /** Facts by key, as JSON. */
  readonly facts: ReadonlyMap<string, string>;
}

const pageRows = 256;

/** A new, empty store in memory. */
export function openMemory(options: MemoryOptions = {}): MemoryStore {
  return new VolatileStore(options.now ?? Date.now);
}

class VolatileStore implements MemoryStore {
  readonly driver = "memory";
  readonly durable = false;
  readonly logId = randomUUID();
  readonly faults: Faults;
  readonly state: StateSpace;
  /** Bodies of the kept entries; the first has the revision `#compacted + 1`. */
  #log: string[] = [];
  #compacted: Revision = 0;
  readonly #ids = new Map<string, Revision>();
  readonly #objects = new Map<string, KeptObject>();
  readonly #bell = new Bell();
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(now: () => number) {
    this.faults = new Faults((error) => this.#bell.fail(error));
    this.state = new VolatileState(now, () => this.#check());
  }

  get #head(): Revision {
    return this.#compacted + this.#log.length;
  }

  #check(): void {
    if (this.#closed) throw new StoreFailure("the store is closed", "failed");
    this.faults.check();
  }

  async snapshot(): Promise<Snapshot> {
    this.#check();
    const objects = [...this.#objects.values()].map(({ kind, id, revision, body }) => ({
      kind,
      id,
      revision,
      object: storedObject(body),
    }));
    return { revision: this.#head, objects };
  }

  async append(head: Revision, entries: readonly Entry[]): Promise<Appended> {
    this.#check();
    const prepared = prepareEntries(entries);
    const turn = this.#turn.then(() => this.#judge(head, prepared));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #judge(head: Revision, entries: readonly PreparedEntry[]): Promise<Appended> {
    const fault = this.faults.take();
    switch (fault?.kind) {
      case undefined:
        break;
      case "fail-before":
        throw new StoreFailure("a fault before the append", "failed");
      case "fail-after":
        this.#write(head, entries);
        throw new StoreFailure("a fault after the append", "unknown");
      case "delay":
        await fault.until;
        break;
      case "compact":
        this.#forget(this.#head);
        break;
    }
    this.faults.check();
    return this.#write(head, entries);
  }

  #write(head: Revision, entries: readonly PreparedEntry[]): Appended {
    if (head !== this.#head || entries.some(({ id }) => this.#ids.has(id)))
      return { outcome: "moved", head: this.#head };
    for (const entry of entries) {
      this.#log.push(entry.body);
      const revision = this.#head;
      this.#ids.set(entry.id, revision);
      for (const { kind, id, body } of entry.changes) {
        const key = JSON.stringify([kind, id]);
        if (body === null) this.#objects.delete(key);
        else this.#objects.set(key, { kind, id, revision, body });
      }
    }
    this.#bell.ring(this.#head);
    return { outcome: "appended", revision: this.#head };
  }

  tail(from: Revision, signal: AbortSignal): AsyncIterable<LoggedEntry> {
    return follow(from, signal, { read: (after) => this.#read(after), bell: this.#bell });
  }

  async #read(after: Revision): Promise<LogPage> {
    this.#check();
    const start = Math.max(0, after - this.#compacted);
    const rows = this.#log
      .slice(start, start + pageRows)
      .map((body, at) => ({ revision: this.#compacted + start + at + 1, body }));
    return { oldest: this.#compacted + 1, head: this.#head, rows };
  }

  async find(id: string): Promise<LoggedEntry | undefined> {
    this.#check();
    const revision = this.#ids.get(id);
    const body = revision === undefined ? undefined : this.#log[revision - this.#compacted - 1];
    return revision === undefined || body === undefined ? undefined : loggedEntry({ revision, body });
  }

  async bounds(): Promise<Bounds> {
    this.#check();
    return { oldest: this.#compacted + 1, head: this.#head };
  }

  async compact(through: Revision): Promise<void> {
    this.#check();
    this.#forget(Math.min(through, this.#head));
  }

  #forget(through: Revision): void {
    if (through <= this.#compacted) return;
    this.#log = this.#log.slice(through - this.#compacted);
    this.#compacted = through;
    for (const [id, revision] of this.#ids) if (revision <= through) this.#ids.delete(id);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#turn;
    this.#bell.fail(new StoreFailure("the store is closed", "failed"));
  }
}

class VolatileState implements StateSpace {
  readonly #now: () => number;
  readonly #check: () => void;
  readonly #hosts = new Map<string, Lease>();

  constructor(now: () => number, check: () => void) {
    this.#now = now;
    this.#check = check;
  }

  #facts(host: string): ReadonlyMap<string, string> {
    const lease = this.#hosts.get(host);
    return lease !== undefined && lease.expires > this.#now() ? lease.facts : new Map();
  }

  async put(host: string, key: string, value: unknown, ttl: number): Promise<void> {
    this.#check();
    const facts = new Map(this.#facts(host)).set(key, JSON.stringify(value ?? null));
    this.#hosts.set(host, { expires: this.#now() + ttl, facts });
  }

  async renew(host: string, ttl: number): Promise<void> {
    this.#check();
    this.#hosts.set(host, { expires: this.#now() + ttl, facts: this.#facts(host) });
  }

  async remove(host: string, key: string): Promise<void> {
    this.#check();
    const lease = this.#hosts.get(host);
    if (lease === undefined) return;
    const facts = new Map(lease.facts);
    facts.delete(key);
    this.#hosts.set(host, { expires: lease.expires, facts });
  }

  async list(host?: string): Promise<readonly StateRecord[]> {
    this.#check();
    const now = this.#now();
    const found: StateRecord[] = [];
    for (const [name, { expires, facts }] of this.#hosts) {
      if ((host !== undefined && host !== name) || expires <= now) continue;
      for (const [key, body] of facts) found.push({ host: name, key, value: JSON.parse(body), expires });
    }
    return found;
  }
}
