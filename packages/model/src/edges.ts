/**
 * Edges from readers to what they read. A reader is (node, tag): a derivation of an object or of an index key, or a query
 * of a key. It reads nodes: objects and their absence, buckets, presences, existences, queries (ENGINE.md, section 2).
 */
import type { NodeTable } from "./nodes.ts";
import { Relation } from "./relation.ts";

export class Edges {
  readonly #nodes: NodeTable;
  readonly #relation = new Relation();
  readonly #unread: (node: number) => void;

  /** `unread` is told of each node that lost a reader. */
  constructor(nodes: NodeTable, unread: (node: number) => void) {
    this.#nodes = nodes;
    this.#unread = unread;
  }

  get size(): number {
    return this.#relation.size;
  }

  /** The reader now reads these and nothing else. Each read comes held, and that hold passes to the edge. */
  replace(reader: number, tag: number, reads: ReadonlySet<number>): void {
    const former = this.#relation.rightsOf(reader, tag);
    this.#relation.unlink(reader, tag);
    // A left's entries are walked last linked first: linked from the last read, they are walked from the first.
    for (const read of [...reads].reverse()) this.#relation.link(reader, tag, read);
    for (const read of former) {
      this.#nodes.release(read);
      this.#unread(read);
    }
  }

  /** What the reader read, in the order in which it first read each. */
  readsOf(reader: number, tag: number): readonly number[] {
    return this.#relation.rightsOf(reader, tag);
  }

  /** Walks the readers of a node. */
  eachReader(node: number, visit: (reader: number, tag: number) => void): void {
    this.#relation.eachOfRight(node, visit);
  }

  isRead(node: number): boolean {
    return this.#relation.degreeOfRight(node) > 0;
  }
}
