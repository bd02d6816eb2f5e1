/**
 * The replica: all objects of the kinds it holds at one revision, with their exact indexes; a View that remembers
 * nothing of who reads it. A change costs O(keys of the object), whatever the size of the buckets it is in.
 */
import { NodeTable } from "./nodes.ts";
import { grown, Relation } from "./relation.ts";
import type { AnyResource, Index, ObjectOf, StoredObject } from "./resource.ts";
import { resources as allResources } from "./resources/all.ts";
import { sameJson } from "./same.ts";
import type { Change, Revision, View } from "./view.ts";

/** An object of a snapshot: its kind, and the revision that wrote it last. */
export interface ReplicaObject {
  readonly kind: string;
  readonly id: string;
  readonly revision: Revision;
  readonly object: StoredObject;
}

export interface ReplicaOptions {
  /** Kinds to hold; changes of others are passed over. Absent: every declared one. */
  readonly resources?: readonly AnyResource[];
  /** Indexes to keep; reading another throws. Absent: every index of those kinds. */
  readonly indexes?: readonly Pick<Index, "id">[];
}

/** A kind that the replica holds, with its class of nodes. */
export interface KindSlot {
  readonly resource: AnyResource;
  readonly objects: number;
  readonly indexes: readonly IndexSlot[];
}

/** An index that the replica keeps, with its class of nodes. */
export interface IndexSlot {
  readonly index: Index;
  readonly buckets: number;
}

/** Told of each node that a swap is about to change, before it changes. */
export interface SwapObserver {
  object(node: number, presentBefore: boolean): void;
  bucket(node: number, sizeBefore: number): void;
}

const membership = 0;

export class Replica implements View {
  readonly #nodes: NodeTable;
  readonly #kinds = new Map<string, KindSlot>();
  readonly #indexes = new Map<string, IndexSlot>();
  /** Where a node's object lies, 0 for none: most nodes are of buckets, so that objects and revisions lie in columns of their own. */
  #places = new Int32Array(64);
  readonly #objects: (StoredObject | undefined)[] = [undefined];
  readonly #revisions: Revision[] = [0];
  readonly #free: number[] = [];
  readonly #members = new Relation();
  #revision: Revision = 0;

  /** `nodes`: shared with an engine, so that a thing read and a thing held are one node. */
  constructor(options: ReplicaOptions = {}, nodes: NodeTable = new NodeTable()) {
    this.#nodes = nodes;
    const kept = options.indexes === undefined ? undefined : new Set(options.indexes.map((index) => index.id));
    for (const resource of options.resources ?? allResources) {
      const indexes = Object.values<Index>(resource.index)
        .filter((index) => kept === undefined || kept.has(index.id))
        .map((index) => ({ index, buckets: nodes.addClass() }));
      for (const slot of indexes) this.#indexes.set(slot.index.id, slot);
      this.#kinds.set(resource.kind, { resource, objects: nodes.addClass(), indexes });
    }
  }

  /** Revision of the last change applied or snapshot loaded. */
  get revision(): Revision {
    return this.#revision;
  }

  /** Kinds held, with their indexes. */
  get kinds(): Iterable<KindSlot> {
    return this.#kinds.values();
  }

  /** Index entries held: one for each object and key. */
  get entries(): number {
    return this.#members.size;
  }

  /**
   * Applies changes in order and moves on to `revision`. Applying the same again changes nothing.
   * Throws RangeError when `revision` is older than the replica's, and TypeError for an object whose keys cannot be made.
   */
  apply(changes: Iterable<Change>, revision: Revision): void {
    this.advance(revision);
    for (const change of changes) this.swap(change, revision);
  }

  /** Makes the replica hold exactly the snapshot's objects. */
  load(objects: Iterable<ReplicaObject>, revision: Revision): void {
    const given = new Set<number>();
    for (const { kind, id, object, revision: written } of objects) {
      this.swap({ kind, id, object }, written);
      const slot = this.#kinds.get(kind);
      if (slot !== undefined) given.add(this.#nodes.find(slot.objects, id));
    }
    for (const { resource, objects: nodeClass } of this.#kinds.values()) {
      for (const node of [...this.#nodes.nodesOf(nodeClass)]) {
        if (given.has(node) || this.objectAt(node) === undefined) continue;
        this.swap({ kind: resource.kind, id: this.#nodes.keyOf(node), object: null }, revision);
      }
    }
    this.rewind(revision);
  }

  /** Takes a revision that may be older: a snapshot's, which replaces all that there was. */
  rewind(revision: Revision): void {
    this.#revision = revision;
  }

  /** Moves on to a revision. Throws RangeError when it is older than the replica's. */
  advance(revision: Revision): void {
    if (!(revision >= this.#revision)) {
      throw new RangeError(`revision ${revision} is older than the replica's ${this.#revision}`);
    }
    this.#revision = revision;
  }

  /**
   * Puts or removes one object, whole or not at all. Gives whether anything differs now: the same object again does not.
   * Throws TypeError, having changed nothing, when an index makes a key that is no string of the object.
   */
  swap(change: Change, revision: Revision, observer?: SwapObserver): boolean {
    const slot = this.#kinds.get(change.kind);
    if (slot === undefined) return false;
    const known = this.#nodes.find(slot.objects, change.id);
    const before = this.objectAt(known);
    if (change.object === null) {
      if (before === undefined) return false;
      observer?.object(known, true);
      this.#relink(known, [], observer);
      this.#vacate(known);
      this.#nodes.release(known);
      return true;
    }
    if (before !== undefined && sameJson(before, change.object)) {
      this.#revisions[this.#placeOf(known)] = revision;
      return false;
    }
    const keys = keysOf(slot, change.object);
    const node = before === undefined ? this.#nodes.hold(slot.objects, change.id) : known;
    observer?.object(node, before !== undefined);
    const place = before === undefined ? this.#occupy(node) : this.#placeOf(node);
    this.#objects[place] = change.object;
    this.#revisions[place] = revision;
    const buckets = keys.map(({ buckets, key }) => this.#nodes.hold(buckets, key));
    this.#relink(node, buckets, observer);
    return true;
  }

  get<R extends AnyResource>(resource: R, id: string): ObjectOf<R> | undefined {
    // Objects are held under the kind that they were put as, which is the resource's.
    return this.objectAt(this.objectNode(resource, id)) as ObjectOf<R> | undefined;
  }

  has(resource: AnyResource, id: string): boolean {
    return this.objectAt(this.objectNode(resource, id)) !== undefined;
  }

  by<O extends StoredObject>(index: Index<O>, key: string): readonly O[] {
    const bucket = this.bucketNode(index, key);
    if (bucket < 0) return [];
    // A bucket holds objects of its index's kind only.
    const members: O[] = [];
    this.#members.eachOfRight(bucket, (node) => members.push(this.objectAt(node) as O));
    return members.length < 2 ? members : this.ordered(members);
  }

  exists<O extends StoredObject>(index: Index<O>, key: string): boolean {
    return this.count(index, key) > 0;
  }

  count<O extends StoredObject>(index: Index<O>, key: string): number {
    return this.sizeOf(this.bucketNode(index, key));
  }

  /** Every object of a kind, in no particular order: for lists. Not part of View, since nothing can depend on it finely. */
  *objects<R extends AnyResource>(resource: R): Iterable<ObjectOf<R>> {
    for (const node of this.#nodes.nodesOf(this.slot(resource).objects)) {
      const object = this.objectAt(node);
      if (object !== undefined) yield object as ObjectOf<R>;
    }
  }

  /** Everything held, as a snapshot holds it. */
  *snapshot(): Iterable<ReplicaObject> {
    for (const { resource, objects } of this.#kinds.values()) {
      for (const node of this.#nodes.nodesOf(objects)) {
        const place = this.#placeOf(node);
        const object = this.#objects[place];
        if (object === undefined) continue;
        yield { kind: resource.kind, id: this.#nodes.keyOf(node), revision: this.#revisions[place] ?? 0, object };
      }
    }
  }

  /** Revision of the last change of an object that is there. */
  revisionOf(kind: string, id: string): Revision | undefined {
    const slot = this.#kinds.get(kind);
    if (slot === undefined) return undefined;
    const place = this.#placeOf(this.#nodes.find(slot.objects, id));
    return this.#objects[place] === undefined ? undefined : this.#revisions[place];
  }

  /** The object at a node, for the engine; none at a bucket's, nor at -1. */
  objectAt(node: number): StoredObject | undefined {
    return this.#objects[this.#placeOf(node)];
  }

  /** How many members a bucket's node has, for the engine; none at -1. */
  sizeOf(bucket: number): number {
    return bucket < 0 ? 0 : this.#members.degreeOfRight(bucket);
  }

  /** Throws when the kind is not held. */
  slot(resource: AnyResource): KindSlot {
    const slot = this.#kinds.get(resource.kind);
    if (slot === undefined) throw new Error(`this replica does not hold objects of kind ${resource.kind}`);
    return slot;
  }

  /** Throws when the index is not kept. */
  indexSlot(index: Pick<Index, "id">): IndexSlot {
    const slot = this.#indexes.get(index.id);
    if (slot === undefined) throw new Error(`this replica does not keep the index ${index.id}`);
    return slot;
  }

  protected objectNode(resource: AnyResource, id: string): number {
    return this.#nodes.find(this.slot(resource).objects, id);
  }

  protected bucketNode(index: Pick<Index, "id">, key: string): number {
    return this.#nodes.find(this.indexSlot(index).buckets, key);
  }

  /** Id order is a law: the order of a bucket's list is its history's, which no result may depend on. */
  protected ordered<O extends StoredObject>(members: O[]): readonly O[] {
    return members.sort(byId);
  }

  #placeOf(node: number): number {
    return this.#places[node] ?? 0;
  }

  #occupy(node: number): number {
    if (node >= this.#places.length) this.#places = grown(this.#places, node + 1);
    const place = this.#free.pop() ?? this.#objects.length;
    this.#places[node] = place;
    return place;
  }

  #vacate(node: number): void {
    const place = this.#placeOf(node);
    this.#objects[place] = undefined;
    this.#places[node] = 0;
    this.#free.push(place);
  }

  /** Takes the object's new buckets, each held once; those that it was in already give that hold back. */
  #relink(node: number, buckets: readonly number[], observer: SwapObserver | undefined): void {
    const former = this.#members.rightsOf(node, membership);
    for (const bucket of former) observer?.bucket(bucket, this.sizeOf(bucket));
    for (const bucket of buckets) if (!former.includes(bucket)) observer?.bucket(bucket, this.sizeOf(bucket));
    this.#members.unlink(node, membership, (bucket) => !buckets.includes(bucket));
    for (const bucket of buckets) {
      if (former.includes(bucket)) this.#nodes.release(bucket);
      else this.#members.link(node, membership, bucket);
    }
    for (const bucket of former) if (!buckets.includes(bucket)) this.#nodes.release(bucket);
  }
}

/** Ids compare by their UTF-16 code units, the same on every machine and in every locale. */
export function byId(a: StoredObject, b: StoredObject): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

interface Keyed {
  readonly buckets: number;
  readonly key: string;
}

function keysOf(slot: KindSlot, object: StoredObject): readonly Keyed[] {
  const keyed: Keyed[] = [];
  for (const { index, buckets } of slot.indexes) {
    for (const key of distinctKeys(index, object)) keyed.push({ buckets, key });
  }
  return keyed;
}

/**
 * The keys of an object in an index, each once. A key that is undefined is of a field that a host's projection leaves out:
 * there is no such key. Throws TypeError when the index's function fails, or gives what is no string.
 */
export function distinctKeys(index: Index, object: StoredObject): readonly string[] {
  let keys: readonly (string | undefined)[];
  try {
    keys = index.keys(object);
  } catch (cause) {
    throw new TypeError(`index ${index.id} cannot make the keys of ${object.id}`, { cause });
  }
  const known: string[] = [];
  for (const key of keys) {
    if (key === undefined) continue;
    if (typeof key !== "string") throw new TypeError(`index ${index.id} makes a key of ${object.id} that is no string`);
    known.push(key);
  }
  // Nearly all have one key or none, and a set costs more than both.
  return known.length < 2 ? known : [...new Set(known)];
}
