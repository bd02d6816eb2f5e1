/**
 * The View: how all intent is read. A replica at one revision with exact lookups and index buckets; no scans, no
 * predicates. The same interface serves the api's rules, the compiler's derivations and the relay (idea 2).
 */
import type { AnyResource, Index, ObjectOf, StoredObject } from "./resource.ts";

/** A position in the log. 0 is the empty store; each entry takes the next one. */
export type Revision = number;

export interface View {
  /** The object, or undefined: an absence is remembered like a presence. */
  get<R extends AnyResource>(resource: R, id: string): ObjectOf<R> | undefined;
  has(resource: AnyResource, id: string): boolean;
  /** The objects under an exact key, ALWAYS in id order. */
  by<O extends StoredObject>(index: Index<O>, key: string): readonly O[];
  /** Whether anything stands under the key: wakes a derivation only when that changes. */
  exists<O extends StoredObject>(index: Index<O>, key: string): boolean;
  /** How many stand under the key. Wakes on every change: prefer `exists`. */
  count<O extends StoredObject>(index: Index<O>, key: string): number;
}

/** One object put (its whole new value) or removed (`object` null). */
export interface Change {
  readonly kind: string;
  readonly id: string;
  readonly object: StoredObject | null;
}
