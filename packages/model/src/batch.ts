/** One batch of changes: of several changes of an object the last holds; what it touches is remembered as it was before. */
import type { NodeTable } from "./nodes.ts";
import type { SwapObserver } from "./replica.ts";
import type { Change } from "./view.ts";

/** An object's name in a batch, unique over kinds. */
export function nameOf(kind: string, id: string): string {
  return `${kind} ${id}`;
}

/** Of several changes of one object the last, at the place of the first. */
export function lastOfEach(changes: Iterable<Change>): Iterable<Change> {
  const last = new Map<string, Change>();
  for (const change of changes) last.set(nameOf(change.kind, change.id), change);
  return last.values();
}

/** The nodes that a batch touches, each held until the batch is done, with what they were before it. */
export class Touched implements SwapObserver {
  readonly objects = new Map<number, boolean>();
  readonly buckets = new Map<number, number>();
  readonly #nodes: NodeTable;

  constructor(nodes: NodeTable) {
    this.#nodes = nodes;
  }

  object(node: number, presentBefore: boolean): void {
    if (this.objects.has(node)) return;
    this.#nodes.retain(node);
    this.objects.set(node, presentBefore);
  }

  bucket(node: number, sizeBefore: number): void {
    if (this.buckets.has(node)) return;
    this.#nodes.retain(node);
    this.buckets.set(node, sizeBefore);
  }

  release(): void {
    for (const node of this.objects.keys()) this.#nodes.release(node);
    for (const node of this.buckets.keys()) this.#nodes.release(node);
  }
}
