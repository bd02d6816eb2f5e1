/**
 * The Store seam: one append-only log of revisions with snapshots, and leased host state beside it. Five verbs; whatever
 * an engine lacks is its driver's business (architecture, "Intent and state"). A notification is a doorbell, the log is the truth.
 */
import type { Change, Revision, StoredObject } from "@selvage/model";

/** Who asked for an entry, and by which request. */
export interface Author {
  readonly kind: "user" | "host" | "system";
  readonly id: string;
  readonly project_id?: string;
  readonly request_id: string;
  /** What the client called its request, or the operation that it is part of (`X-Openstack-Request-Id`). */
  readonly client_request_id?: string;
}

/** By what a client's retry of a request is known as the same request. */
export interface RequestMark {
  /** As the client named it (`Idempotency-Key`, `X-Openstack-Request-Id`). */
  readonly key: string;
  /** SHA-256 of what was asked, hex. */
  readonly digest: string;
  /** Ids of the objects that the reply shows, in its order. */
  readonly ids: readonly string[];
  /** The reply's body where it is no object's: what an action answers of its own. JSON. */
  readonly reply?: unknown;
}

/** One request's effect: all of its changes take hold together, as one revision. */
export interface Entry {
  /** UUID chosen by the writer before the append: a lost reply is recognised by it. */
  readonly id: string;
  /** RFC 3339 with milliseconds. */
  readonly at: string;
  readonly author: Author;
  /** Absent: the client gave its request no name of its own. */
  readonly request?: RequestMark;
  readonly changes: readonly Change[];
}

export interface LoggedEntry extends Entry {
  readonly revision: Revision;
}

export interface SnapshotObject {
  readonly kind: string;
  readonly id: string;
  /** Revision of the entry that wrote it last. */
  readonly revision: Revision;
  readonly object: StoredObject;
}

/** The whole of intent at one revision. */
export interface Snapshot {
  readonly revision: Revision;
  readonly objects: readonly SnapshotObject[];
}

export interface Bounds {
  readonly oldest: Revision;
  readonly head: Revision;
}

/** `moved`: the head was elsewhere and nothing at all was written. */
export type Appended =
  | { readonly outcome: "appended"; readonly revision: Revision }
  | { readonly outcome: "moved"; readonly head: Revision };

/** The asked part of the log is gone: take a snapshot and go on from there. */
export class Compacted extends Error {
  readonly oldest: Revision;
  constructor(oldest: Revision) {
    super(`the log begins at revision ${oldest}: take a snapshot`);
    this.name = "Compacted";
    this.oldest = oldest;
  }
}

/** The engine cannot be reached or written (disk full, read-only, gone). `unknown`: an append may or may not have happened. */
export class StoreFailure extends Error {
  readonly outcome: "failed" | "unknown";
  constructor(message: string, outcome: "failed" | "unknown", options?: ErrorOptions) {
    super(message, options);
    this.name = "StoreFailure";
    this.outcome = outcome;
  }
}

export interface StateRecord {
  readonly host: string;
  readonly key: string;
  readonly value: unknown;
  /** Milliseconds since the epoch when the lease ends. */
  readonly expires: number;
}

/** Facts that hosts report, outside of the log, unconditional. A host has one lease: it ends, and all of its facts are gone for good. */
export interface StateSpace {
  /** Puts a fact (any JSON value) and sets the host's lease to end `ttl` milliseconds from now. */
  put(host: string, key: string, value: unknown, ttl: number): Promise<void>;
  /** Sets the host's lease to end `ttl` milliseconds from now (0: at once); brings back nothing that has ended. */
  renew(host: string, ttl: number): Promise<void>;
  /** Takes one fact away, if it is there; the lease stays. */
  remove(host: string, key: string): Promise<void>;
  /** Live facts, of one host or of all. */
  list(host?: string): Promise<readonly StateRecord[]>;
}

export interface Store {
  readonly driver: string;
  /** False: acknowledged writes do not survive the process. */
  readonly durable: boolean;
  /**
   * Names the log (UUID): made with it, and made anew when a copy is put in its place. A revision means something within its log alone,
   * since a log that was brought back to an older state gives the same numbers to other entries.
   */
  readonly logId: string;
  /** Every object as of one revision, in no particular order; appends go on meanwhile. */
  snapshot(): Promise<Snapshot>;
  /**
   * Appends the entries, each taking the next revision after `head`, all or none, on the one condition that the log's head is `head`.
   * Resolves when they are durable, with the revision of the last. Appends of one handle are judged in the order of the calls, so a
   * chain at consecutive heads may be sent without waiting. An entry whose id is already in the (kept) log makes it `moved`; the same id
   * twice in one append is refused. No entries: an answer about the head, nothing is written. Throws StoreFailure.
   */
  append(head: Revision, entries: readonly Entry[]): Promise<Appended>;
  /**
   * Entries after `from`, ordered and gap-free, then on as they come, until `signal` aborts (which ends it without an error).
   * Throws Compacted when `from` is older than the log (also later, when the reader falls behind a compaction), StoreFailure when
   * the engine is gone, the store is closed, or `from` lies beyond the head (the log is not the one that `from` was read from).
   */
  tail(from: Revision, signal: AbortSignal): AsyncIterable<LoggedEntry>;
  /** The entry of an id, while the log keeps it: what a writer looks for after a lost reply. */
  find(id: string): Promise<LoggedEntry | undefined>;
  /** The log's head (0: empty) and its oldest kept revision; `oldest` is `head + 1` where none is kept. */
  bounds(): Promise<Bounds>;
  /** Forgets entries up to and including `through` (never the objects they made); all of them where `through` is beyond the head. */
  compact(through: Revision): Promise<void>;
  readonly state: StateSpace;
  /** Finishes the writes that were asked, then lets go of the engine; tails end in StoreFailure, as does every later call. Idempotent. */
  close(): Promise<void>;
}
