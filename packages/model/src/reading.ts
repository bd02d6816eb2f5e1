/** The view that derivations and queries get: it notes every read of the computation that is running, absences too. */
import type { Query, QueryingView } from "./derivation.ts";
import type { NodeTable } from "./nodes.ts";
import type { Replica } from "./replica.ts";
import type { AnyResource, Index, ObjectOf, StoredObject } from "./resource.ts";

/** What a computation came to. */
export type Outcome<T> =
  | { readonly kind: "value"; readonly value: T }
  | { readonly kind: "failed"; readonly error: Error };

/** What is read of queries: their node (held for the caller), and their answer. */
export interface Answers {
  hold(query: Query<unknown>, key: string): number;
  /** Throws what the query threw. */
  answer(node: number): unknown;
}

interface Computation {
  readonly own: number;
  readonly reads: Set<number>;
}

export class Reading implements QueryingView {
  readonly #replica: Replica;
  readonly #nodes: NodeTable;
  readonly #answers: () => Answers;
  /** By the class of objects (or buckets) the class of their presences (or existences). */
  readonly #shadows = new Map<number, number>();
  #running: Computation | undefined;

  /** `answers`: who answers queries, asked for late because it reads through this view itself. */
  constructor(replica: Replica, nodes: NodeTable, answers: () => Answers) {
    this.#replica = replica;
    this.#nodes = nodes;
    this.#answers = answers;
    for (const { objects, indexes } of replica.kinds) {
      this.#shadows.set(objects, nodes.addClass());
      for (const { buckets } of indexes) this.#shadows.set(buckets, nodes.addClass());
    }
  }

  /** Runs a computation, gives what it came to, and the nodes that it read, each held for the caller. */
  run<T>(
    own: number,
    compute: (view: QueryingView) => T,
  ): { readonly outcome: Outcome<T>; readonly reads: Set<number> } {
    const outer = this.#running;
    const reads = new Set<number>();
    this.#running = { own, reads };
    try {
      return { outcome: { kind: "value", value: compute(this) }, reads };
    } catch (thrown) {
      return {
        outcome: { kind: "failed", error: thrown instanceof Error ? thrown : new Error(String(thrown)) },
        reads,
      };
    } finally {
      this.#running = outer;
    }
  }

  /** The node of an object's presence, or of a bucket's existence, by the object's or the bucket's; -1 when nobody reads it. */
  shadowOf(node: number): number {
    const shadow = this.#shadows.get(this.#nodes.classOf(node));
    return shadow === undefined ? -1 : this.#nodes.find(shadow, this.#nodes.keyOf(node));
  }

  get<R extends AnyResource>(resource: R, id: string): ObjectOf<R> | undefined {
    this.#read(this.#replica.slot(resource).objects, id);
    return this.#replica.get(resource, id);
  }

  has(resource: AnyResource, id: string): boolean {
    this.#read(this.#shadowClass(this.#replica.slot(resource).objects), id);
    return this.#replica.has(resource, id);
  }

  by<O extends StoredObject>(index: Index<O>, key: string): readonly O[] {
    this.#read(this.#replica.indexSlot(index).buckets, key);
    return this.#replica.by(index, key);
  }

  exists<O extends StoredObject>(index: Index<O>, key: string): boolean {
    this.#read(this.#shadowClass(this.#replica.indexSlot(index).buckets), key);
    return this.#replica.exists(index, key);
  }

  count<O extends StoredObject>(index: Index<O>, key: string): number {
    this.#read(this.#replica.indexSlot(index).buckets, key);
    return this.#replica.count(index, key);
  }

  ask<T>(query: Query<T>, key: string): T {
    const computation = this.#computation();
    const answers = this.#answers();
    // Answers are kept by query, so what comes back is what this very query gave.
    const node = answers.hold(query as unknown as Query<unknown>, key);
    this.#note(computation, node);
    return answers.answer(node) as T;
  }

  #read(nodeClass: number, key: string): void {
    const computation = this.#computation();
    this.#note(computation, this.#nodes.hold(nodeClass, key));
  }

  /** Takes over a held node. What is read again, or is the object itself, which reruns its units anyway, needs no edge. */
  #note({ own, reads }: Computation, node: number): void {
    if (node === own && this.#isObject(node)) this.#nodes.release(node);
    else if (reads.has(node)) this.#nodes.release(node);
    else reads.add(node);
  }

  #isObject(node: number): boolean {
    return this.#replica.objectAt(node) !== undefined;
  }

  #computation(): Computation {
    if (this.#running === undefined) throw new Error("a view was read after its computation had ended");
    return this.#running;
  }

  #shadowClass(nodeClass: number): number {
    const shadow = this.#shadows.get(nodeClass);
    if (shadow === undefined) throw new Error(`class ${nodeClass} is neither of objects nor of buckets`);
    return shadow;
  }
}
