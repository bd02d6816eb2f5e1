/** What a run leaves behind for the checker: what clients asked and were told, what followers saw, and the store afterwards. */
import type { Revision } from "@selvage/model";
import type { LoggedEntry, Snapshot } from "@selvage/store";

export type Resource = "network" | "subnet" | "port";

/** What a client wants done. Names are unique in a run, so that each value of an object tells who wrote it. */
export type Ask =
  /** One object a name; more than one is a bulk: all or nothing. */
  | { readonly verb: "create"; readonly resource: Resource; readonly names: readonly string[] }
  | { readonly verb: "rename"; readonly resource: Resource; readonly id: string; readonly name: string }
  | { readonly verb: "delete"; readonly resource: Resource; readonly id: string };

/** How a write ended for its client. Times are milliseconds on one clock. */
export type Outcome =
  | {
      readonly kind: "acknowledged";
      readonly at: number;
      readonly revision: Revision;
      /** Of the reply's objects, in its order. */
      readonly ids: readonly string[];
    }
  /** One of its tries, begun at `began`, was told that it was not done (4xx). `alone`: no other try was left unanswered, to be done late. */
  | {
      readonly kind: "refused";
      readonly at: number;
      readonly status: number;
      readonly began: number;
      readonly alone: boolean;
    }
  /** The client went away before it was told: both are right. */
  | { readonly kind: "unknown" };

export interface Write {
  readonly client: number;
  /** The request's Idempotency-Key, the same in each of its tries. */
  readonly key: string;
  readonly ask: Ask;
  /** When the first try began. */
  readonly invoked: number;
  readonly outcome: Outcome;
}

/** One object as a client saw it. */
export interface Read {
  readonly client: number;
  readonly resource: Resource;
  readonly id: string;
  readonly invoked: number;
  readonly at: number;
  /** Null: it was not there. */
  readonly name: string | null;
}

/** What one follower of the log saw, in its order, over all of its cuts. It began behind `from`. */
export interface Followed {
  readonly follower: string;
  readonly from: Revision;
  readonly entries: readonly { readonly revision: Revision; readonly id: string }[];
}

/** The log's head as it was read in another process: everything up to it was durable at that time. */
export interface HeadSeen {
  readonly at: number;
  readonly revision: Revision;
}

export interface Evidence {
  readonly heads: readonly HeadSeen[];
  readonly writes: readonly Write[];
  readonly reads: readonly Read[];
  readonly followers: readonly Followed[];
  /** The whole log when all was over. */
  readonly log: readonly LoggedEntry[];
  readonly snapshot: Snapshot;
}
