/**
 * Integrity of intent, from the declarations: unique keys, references that lead somewhere, and what goes with an object
 * that is deleted (refuse, cascade, clear). Pure: what it reads of the view is what a transaction is checked by.
 */

import { lastOfEach, nameOf } from "./batch.ts";
import { distinctKeys } from "./replica.ts";
import type { AnyResource, Field, Index, OnDelete, StoredObject } from "./resource.ts";
import { resources as allResources } from "./resources/all.ts";
import type { Change, View } from "./view.ts";

/** An object by its kind and id. */
export interface ObjectName {
  readonly kind: string;
  readonly id: string;
}

/** What is wrong with intent after a set of changes. */
export type Violation =
  | {
      /** Two objects under one key of an index that is declared `unique`. */
      readonly violation: "taken";
      readonly object: ObjectName;
      readonly index: string;
      readonly key: string;
      readonly holder: ObjectName;
    }
  | {
      /** A reference to an object that is not there (any more). */
      readonly violation: "dangling";
      readonly object: ObjectName;
      readonly field: string;
      readonly target: ObjectName;
    };

/** A reference that stands in the way of a deletion. */
export interface Refusal {
  readonly holder: ObjectName;
  readonly field: string;
  readonly target: ObjectName;
}

/** `planned`: the changes that delete the object with all that goes with it, those that refer before those referred to. */
export type DeletionPlan =
  | { readonly outcome: "refused"; readonly refusedBy: readonly Refusal[] }
  | { readonly outcome: "planned"; readonly changes: readonly Change[] };

/** A declared reference field, with the index by which its holders are found. */
interface ReferenceField {
  readonly resource: AnyResource;
  readonly name: string;
  readonly field: Field;
  readonly target: string;
  readonly onDelete: OnDelete;
  readonly index: Index;
}

/**
 * What the changes break. `view` already has them on top (an Overlay). Looks only at the objects changed, and at those
 * that refer to one that was removed.
 */
export function violationsOf(
  view: View,
  changes: readonly Change[],
  resources: readonly AnyResource[] = allResources,
): readonly Violation[] {
  const byKind = new Map(resources.map((resource) => [resource.kind, resource]));
  const references = referencesOf(resources);
  const violations: Violation[] = [];
  for (const { kind, id } of lastOfEach(changes)) {
    const resource = byKind.get(kind);
    if (resource === undefined) throw new Error(`no resource of kind ${kind} is declared`);
    const object: StoredObject | undefined = view.get(resource, id);
    if (object === undefined) violations.push(...orphansOf(view, references, { kind, id }));
    else
      violations.push(...takenKeys(view, resource, object), ...danglingOf(view, byKind, references, resource, object));
  }
  return violations;
}

/**
 * What deleting an object means: refused by references declared `refuse`, except those of objects that go with it;
 * otherwise a removal of it and of all that cascades, and those that `clear` put without the reference. An object that is
 * not there needs no changes. Reads one bucket for each reference to each object that goes.
 */
export function deletionPlan(
  view: View,
  resource: AnyResource,
  id: string,
  resources: readonly AnyResource[] = allResources,
): DeletionPlan {
  if (!view.has(resource, id)) return { outcome: "planned", changes: [] };
  const references = referencesOf(resources);
  const going = new Map<string, ObjectName>([[nameOf(resource.kind, id), { kind: resource.kind, id }]]);
  const standing: { readonly holder: StoredObject; readonly reference: ReferenceField; readonly target: ObjectName }[] =
    [];
  for (const target of going.values()) {
    for (const reference of references) {
      if (reference.target !== target.kind) continue;
      for (const holder of view.by(reference.index, target.id)) {
        const { kind } = reference.resource;
        if (reference.onDelete === "cascade") going.set(nameOf(kind, holder.id), { kind, id: holder.id });
        else standing.push({ holder, reference, target });
      }
    }
  }
  const refusedBy: Refusal[] = [];
  const cleared = new Map<string, Change>();
  for (const { holder, reference, target } of standing) {
    const { kind } = reference.resource;
    const name = nameOf(kind, holder.id);
    if (going.has(name)) continue;
    if (reference.onDelete === "refuse") {
      refusedBy.push({ holder: { kind, id: holder.id }, field: reference.name, target });
      continue;
    }
    const object = cleared.get(name)?.object ?? holder;
    cleared.set(name, { kind, id: holder.id, object: withoutReference(object, reference, target.id) });
  }
  if (refusedBy.length > 0) return { outcome: "refused", refusedBy };
  const removals = [...going.values()]
    .reverse()
    .map(({ kind, id: gone }): Change => ({ kind, id: gone, object: null }));
  return { outcome: "planned", changes: [...cleared.values(), ...removals] };
}

/** The keys of the object that another holds too. */
function* takenKeys(view: View, resource: AnyResource, object: StoredObject): Iterable<Violation> {
  for (const index of Object.values<Index>(resource.index)) {
    if (!index.unique) continue;
    for (const key of distinctKeys(index, object)) {
      const holder = view.by(index, key).find((other) => other.id !== object.id);
      if (holder === undefined) continue;
      const { kind } = resource;
      yield {
        violation: "taken",
        object: { kind, id: object.id },
        index: index.name,
        key,
        holder: { kind, id: holder.id },
      };
    }
  }
}

/** References of the object to what is not there. */
function* danglingOf(
  view: View,
  byKind: ReadonlyMap<string, AnyResource>,
  references: readonly ReferenceField[],
  resource: AnyResource,
  object: StoredObject,
): Iterable<Violation> {
  for (const reference of references) {
    if (reference.resource.kind !== resource.kind) continue;
    const target = byKind.get(reference.target);
    if (target === undefined)
      throw new Error(`${resource.kind}.${reference.name} refers to the undeclared ${reference.target}`);
    for (const id of distinctKeys(reference.index, object)) {
      if (view.has(target, id)) continue;
      const holder = { kind: resource.kind, id: object.id };
      yield { violation: "dangling", object: holder, field: reference.name, target: { kind: reference.target, id } };
    }
  }
}

/** References to an object that was removed. */
function* orphansOf(view: View, references: readonly ReferenceField[], target: ObjectName): Iterable<Violation> {
  for (const reference of references) {
    if (reference.target !== target.kind) continue;
    for (const holder of view.by(reference.index, target.id)) {
      const object = { kind: reference.resource.kind, id: holder.id };
      yield { violation: "dangling", object, field: reference.name, target };
    }
  }
}

/** The object with the reference taken out of a list, or set to the field's default, or to null when it declares none. */
function withoutReference(object: StoredObject, { name, field }: ReferenceField, id: string): StoredObject {
  const value = (object as unknown as Readonly<Record<string, unknown>>)[name];
  const cleared = Array.isArray(value) ? value.filter((item) => item !== id) : (field.default ?? null);
  return { ...object, [name]: cleared };
}

function referencesOf(resources: readonly AnyResource[]): readonly ReferenceField[] {
  const found: ReferenceField[] = [];
  for (const resource of resources) {
    for (const [name, field] of Object.entries<Field>(resource.fields)) {
      if (field.references === undefined) continue;
      const index: Index | undefined = resource.index[name];
      if (index === undefined) throw new Error(`${resource.kind}.${name} is a reference without an index`);
      const { kind: target, onDelete } = field.references;
      found.push({ resource, name, field, target, onDelete, index });
    }
  }
  return found;
}
