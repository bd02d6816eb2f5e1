/** What the store and its worker thread say to each other: numbered requests, their replies, and news of the head. */
import type { Revision } from "@selvage/model";
import type { LogRow, PreparedEntry } from "../body.ts";
import type { Appended, Bounds } from "../store.ts";
import type { LogPage } from "../tail.ts";
import type { Fact } from "./leases.ts";
import type { FileOptions } from "./schema.ts";

export interface SqliteOptions extends FileOptions {
  /** How long a write waits for another process's lock, milliseconds. Absent: 5,000. */
  readonly lockWait?: number;
  /** Objects a page of a snapshot. Absent: 2,000. Writes go on between pages. */
  readonly snapshotPage?: number;
}

/** Asks that change the file; the waiting ones are taken together in one transaction. */
export type Write =
  | { readonly op: "append"; readonly head: Revision; readonly entries: readonly PreparedEntry[] }
  | { readonly op: "compact"; readonly through: Revision }
  | {
      readonly op: "put";
      readonly host: string;
      readonly key: string;
      readonly value: string;
      readonly now: number;
      readonly ttl: number;
    }
  | { readonly op: "renew"; readonly host: string; readonly now: number; readonly ttl: number }
  | { readonly op: "remove"; readonly host: string; readonly key: string };

/** Asks that are answered at once. */
export type Read =
  | { readonly op: "bounds" }
  | { readonly op: "page"; readonly after: Revision }
  | { readonly op: "find"; readonly id: string }
  | { readonly op: "list"; readonly host: string | null; readonly now: number }
  | { readonly op: "snapshot" }
  | { readonly op: "snapshotNext"; readonly cursor: number };

export type Ask = Write | Read | { readonly op: "close" };

export interface ObjectRow {
  readonly kind: string;
  readonly id: string;
  readonly revision: Revision;
  readonly body: string;
}

/** What each ask is answered with. */
export interface Answers {
  readonly append: Appended;
  readonly compact: null;
  readonly put: null;
  readonly renew: null;
  readonly remove: null;
  readonly bounds: Bounds;
  readonly page: LogPage;
  readonly find: LogRow | null;
  readonly list: readonly Fact[];
  readonly snapshot: { readonly cursor: number; readonly revision: Revision };
  readonly snapshotNext: { readonly rows: readonly ObjectRow[]; readonly done: boolean };
  readonly close: null;
}

export type Answer = Answers[keyof Answers];

export interface Request {
  readonly number: number;
  readonly ask: Ask;
}

export interface Failure {
  readonly outcome: "failed" | "unknown";
  readonly message: string;
}

export type Message =
  | { readonly kind: "opened"; readonly logId: string }
  | { readonly kind: "refused"; readonly failure: Failure }
  | { readonly kind: "answer"; readonly number: number; readonly answer: Answer }
  | { readonly kind: "failure"; readonly number: number; readonly failure: Failure }
  | { readonly kind: "head"; readonly head: Revision };

/** Whether an ask changes the file. */
export function isWrite(ask: Ask): ask is Write {
  switch (ask.op) {
    case "append":
    case "compact":
    case "put":
    case "renew":
    case "remove":
      return true;
    case "bounds":
    case "page":
    case "find":
    case "list":
    case "snapshot":
    case "snapshotNext":
    case "close":
      return false;
  }
}
