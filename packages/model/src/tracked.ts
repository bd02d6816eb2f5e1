/**
 * A View that remembers what was read through it, so that a transaction knows whether later changes touch what its rules
 * relied on (architecture, idea 2: every write is serializable because only untouched reads are appended on).
 */
import { Overlay } from "./overlay.ts";
import { distinctKeys } from "./replica.ts";
import type { AnyResource, Index, ObjectOf, StoredObject } from "./resource.ts";
import { resources as allResources } from "./resources/all.ts";
import type { Change, View } from "./view.ts";

interface KindReads {
  readonly resource: AnyResource;
  /** Ids whose object was read, or whose absence was. */
  readonly objects: Set<string>;
  /** Ids of which only the presence was read. */
  readonly presences: Set<string>;
}

interface IndexReads {
  readonly index: Index;
  /** Keys whose members were read or counted. */
  readonly buckets: Set<string>;
  /** Keys of which only the emptiness was read. */
  readonly existences: Set<string>;
}

/** What a computation read: keys, absent keys and index buckets. Grows while the tracked view is read. */
export class Reads {
  readonly #kinds = new Map<string, KindReads>();
  readonly #indexes = new Map<string, Map<string, IndexReads>>();

  /** How many different things were read. */
  get size(): number {
    let size = 0;
    for (const { objects, presences } of this.#kinds.values()) size += objects.size + presences.size;
    for (const indexes of this.#indexes.values()) {
      for (const { buckets, existences } of indexes.values()) size += buckets.size + existences.size;
    }
    return size;
  }

  ofKind(resource: AnyResource): KindReads {
    let reads = this.#kinds.get(resource.kind);
    if (reads === undefined) {
      reads = { resource, objects: new Set(), presences: new Set() };
      this.#kinds.set(resource.kind, reads);
    }
    return reads;
  }

  ofIndex(index: Index): IndexReads {
    let indexes = this.#indexes.get(index.resource);
    if (indexes === undefined) {
      indexes = new Map();
      this.#indexes.set(index.resource, indexes);
    }
    let reads = indexes.get(index.id);
    if (reads === undefined) {
      reads = { index, buckets: new Set(), existences: new Set() };
      indexes.set(index.id, reads);
    }
    return reads;
  }

  /**
   * Whether the changes alter anything that was read. `before` is a view without the changes: the one that was read, or
   * that with changes on top which did not touch these reads. A bucket is touched when an object enters it, leaves it or
   * changes in it; a presence or an existence only when it flips. Errs on the safe side, never on the other.
   */
  touchedBy(changes: readonly Change[], before: View, resources: readonly AnyResource[] = allResources): boolean {
    const declared = new Map(resources.map((resource) => [resource.kind, resource]));
    const doubtful = new Map<Index, Set<string>>();
    for (const change of changes) {
      const kind = this.#kinds.get(change.kind);
      if (kind?.objects.has(change.id)) return true;
      if (kind?.presences.has(change.id) && before.has(kind.resource, change.id) !== (change.object !== null))
        return true;
      const resource = declared.get(change.kind);
      for (const { index, buckets, existences } of this.#indexes.get(change.kind)?.values() ?? []) {
        const former: StoredObject | undefined = resource === undefined ? undefined : before.get(resource, change.id);
        for (const object of [former, change.object]) {
          if (object === undefined || object === null) continue;
          for (const key of distinctKeys(index, object)) {
            if (buckets.has(key)) return true;
            if (existences.has(key)) doubtful.set(index, (doubtful.get(index) ?? new Set()).add(key));
          }
        }
      }
    }
    if (doubtful.size === 0) return false;
    const after = new Overlay(before, resources);
    after.apply(changes.filter((change) => this.#indexes.has(change.kind)));
    for (const [index, keys] of doubtful) {
      for (const key of keys) if (before.exists(index, key) !== after.exists(index, key)) return true;
    }
    return false;
  }
}

/** A view of the same content that remembers in `reads` all that is read through it. */
export function track(view: View): { readonly view: View; readonly reads: Reads } {
  const reads = new Reads();
  return { view: new Tracked(view, reads), reads };
}

class Tracked implements View {
  readonly #view: View;
  readonly #reads: Reads;

  constructor(view: View, reads: Reads) {
    this.#view = view;
    this.#reads = reads;
  }

  get<R extends AnyResource>(resource: R, id: string): ObjectOf<R> | undefined {
    this.#reads.ofKind(resource).objects.add(id);
    return this.#view.get(resource, id);
  }

  has(resource: AnyResource, id: string): boolean {
    this.#reads.ofKind(resource).presences.add(id);
    return this.#view.has(resource, id);
  }

  by<O extends StoredObject>(index: Index<O>, key: string): readonly O[] {
    this.#reads.ofIndex(untyped(index)).buckets.add(key);
    return this.#view.by(index, key);
  }

  exists<O extends StoredObject>(index: Index<O>, key: string): boolean {
    this.#reads.ofIndex(untyped(index)).existences.add(key);
    return this.#view.exists(index, key);
  }

  count<O extends StoredObject>(index: Index<O>, key: string): number {
    this.#reads.ofIndex(untyped(index)).buckets.add(key);
    return this.#view.count(index, key);
  }
}

/** An index is given objects of its own kind alone, by whoever looks its kind up; so the object type may be forgotten. */
function untyped<O extends StoredObject>(index: Index<O>): Index {
  return index as unknown as Index;
}
