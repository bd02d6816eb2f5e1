/**
 * Edges from readers to what they read. A reader is (node, tag): a derivation of an object or of an index key, or a query
 * of a key. It reads nodes: objects and their absence, buckets, presences, existences, queries (ENGINE.md, section 2).
 * Many readers read the same (all ports of one network that are on one host): what they read is one set, and each has one entry.
 */
import type { NodeTable } from "./nodes.ts";
import { Relation } from "./relation.ts";

/** Sets are not tagged. */
const untagged = 0;

export class Edges {
  readonly #nodes: NodeTable;
  readonly #unread: (node: number) => void;
  /** From readers to their sets: one, or none where nothing is read. */
  readonly #readers = new Relation();
  /** From sets to nodes; each is held once by the set. */
  readonly #reads = new Relation();
  /** Sets by the nodes that they are of, in the order in which these were read. */
  readonly #sets = new Map<string, number>();
  readonly #free: number[] = [];
  #next = 0;
  #size = 0;

  /** `unread` is told of each node that may have lost its last reader. */
  constructor(nodes: NodeTable, unread: (node: number) => void) {
    this.#nodes = nodes;
    this.#unread = unread;
  }

  /** Pairs of a reader and a node. */
  get size(): number {
    return this.#size;
  }

  /** The reader now reads these and nothing else. Each read comes held, and that hold passes to the edges. */
  replace(reader: number, tag: number, reads: ReadonlySet<number>): void {
    const former = this.#setOf(reader, tag);
    const set = reads.size === 0 ? undefined : this.#setFor(reads);
    if (set === former) return;
    if (former !== undefined) {
      this.#readers.unlink(reader, tag);
      this.#size -= this.#reads.rightsOf(former, untagged).length;
    }
    if (set !== undefined) {
      this.#readers.link(reader, tag, set);
      this.#size += reads.size;
    }
    if (former !== undefined && this.#readers.degreeOfRight(former) === 0) this.#forget(former);
  }

  /** What the reader read, in the order in which it first read each. */
  readsOf(reader: number, tag: number): readonly number[] {
    const set = this.#setOf(reader, tag);
    return set === undefined ? [] : this.#reads.rightsOf(set, untagged);
  }

  /** Walks the readers of a node. */
  eachReader(node: number, visit: (reader: number, tag: number) => void): void {
    this.#reads.eachOfRight(node, (set) => this.#readers.eachOfRight(set, visit));
  }

  isRead(node: number): boolean {
    return this.#reads.degreeOfRight(node) > 0;
  }

  #setOf(reader: number, tag: number): number | undefined {
    return this.#readers.rightsOf(reader, tag)[0];
  }

  /** The set of these nodes, made if need be; their holds pass to it. */
  #setFor(reads: ReadonlySet<number>): number {
    const nodes = [...reads];
    const name = nodes.join();
    const known = this.#sets.get(name);
    if (known !== undefined) {
      for (const node of nodes) this.#nodes.release(node);
      return known;
    }
    const set = this.#free.pop() ?? this.#next;
    if (set === this.#next) this.#next += 1;
    this.#sets.set(name, set);
    // A left's entries are walked last linked first: linked from the last read, they are walked from the first.
    for (const node of nodes.reverse()) this.#reads.link(set, untagged, node);
    return set;
  }

  #forget(set: number): void {
    const nodes = this.#reads.rightsOf(set, untagged);
    this.#sets.delete(nodes.join());
    this.#reads.unlink(set, untagged);
    this.#free.push(set);
    for (const node of nodes) {
      this.#nodes.release(node);
      this.#unread(node);
    }
  }
}
