/**
 * The overlay: a View with uncommitted changes on top of another, as a request's rules see what they have written so
 * far. The view below must not change while the overlay is in use.
 */

import { byId, distinctKeys } from "./replica.ts";
import type { AnyResource, Index, ObjectOf, StoredObject } from "./resource.ts";
import { resources as allResources } from "./resources/all.ts";
import type { Change, View } from "./view.ts";

/** What the overlay did to one bucket: which of the base's members it covers, and who stands there now instead. */
interface BucketPatch {
  readonly covered: Set<string>;
  readonly members: Map<string, StoredObject>;
}

export class Overlay implements View {
  readonly #base: View;
  readonly #resources: ReadonlyMap<string, AnyResource>;
  readonly #objects = new Map<string, Map<string, StoredObject | null>>();
  readonly #patches = new Map<string, Map<string, BucketPatch>>();

  constructor(base: View, resources: readonly AnyResource[] = allResources) {
    this.#base = base;
    this.#resources = new Map(resources.map((resource) => [resource.kind, resource]));
  }

  /** Puts and removes on top, in order. Throws for a kind that is not declared, and TypeError as `Replica.swap` does. */
  apply(changes: Iterable<Change>): void {
    for (const change of changes) this.#apply(change);
  }

  /** What is on top, the last change of each object, by kind and then id. */
  changes(): readonly Change[] {
    const changes: Change[] = [];
    for (const kind of [...this.#objects.keys()].sort()) {
      const objects = [...(this.#objects.get(kind) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
      for (const [id, object] of objects) changes.push({ kind, id, object });
    }
    return changes;
  }

  get<R extends AnyResource>(resource: R, id: string): ObjectOf<R> | undefined {
    const patched = this.#objects.get(resource.kind)?.get(id);
    // Objects lie under the kind that they were put as, which is the resource's.
    return patched === undefined ? this.#base.get(resource, id) : ((patched ?? undefined) as ObjectOf<R> | undefined);
  }

  has(resource: AnyResource, id: string): boolean {
    const patched = this.#objects.get(resource.kind)?.get(id);
    return patched === undefined ? this.#base.has(resource, id) : patched !== null;
  }

  by<O extends StoredObject>(index: Index<O>, key: string): readonly O[] {
    const below = this.#base.by(index, key);
    const patch = this.#patches.get(index.id)?.get(key);
    if (patch === undefined) return below;
    // A patch of an index holds objects of its kind only.
    const members = [...patch.members.values()] as unknown as O[];
    return [...below.filter((object) => !patch.covered.has(object.id)), ...members].sort(byId);
  }

  exists<O extends StoredObject>(index: Index<O>, key: string): boolean {
    const patch = this.#patches.get(index.id)?.get(key);
    if (patch === undefined) return this.#base.exists(index, key);
    return (
      patch.members.size > 0 || (patch.covered.size === 0 ? this.#base.exists(index, key) : this.count(index, key) > 0)
    );
  }

  count<O extends StoredObject>(index: Index<O>, key: string): number {
    const patch = this.#patches.get(index.id)?.get(key);
    return this.#base.count(index, key) + (patch === undefined ? 0 : patch.members.size - patch.covered.size);
  }

  #apply({ kind, id, object }: Change): void {
    const resource = this.#resources.get(kind);
    if (resource === undefined) throw new Error(`no resource of kind ${kind} is declared`);
    const indexes = Object.values<Index>(resource.index);
    const after = indexes.map((index) => (object === null ? [] : distinctKeys(index, object)));
    let objects = this.#objects.get(kind);
    if (objects === undefined) {
      objects = new Map();
      this.#objects.set(kind, objects);
    }
    const before = objects.get(id);
    for (const [position, index] of indexes.entries()) {
      if (before === undefined) {
        const below: StoredObject | undefined = this.#base.get(resource, id);
        if (below !== undefined) {
          for (const key of distinctKeys(index, below)) this.#patch(index, key).covered.add(id);
        }
      } else if (before !== null) {
        for (const key of distinctKeys(index, before)) this.#patch(index, key).members.delete(id);
      }
      if (object === null) continue;
      for (const key of after[position] ?? []) this.#patch(index, key).members.set(id, object);
    }
    objects.set(id, object);
  }

  #patch(index: Index, key: string): BucketPatch {
    let patches = this.#patches.get(index.id);
    if (patches === undefined) {
      patches = new Map();
      this.#patches.set(index.id, patches);
    }
    let patch = patches.get(key);
    if (patch === undefined) {
      patch = { covered: new Set(), members: new Map() };
      patches.set(key, patch);
    }
    return patch;
  }
}
