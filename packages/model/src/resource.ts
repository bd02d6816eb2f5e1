/**
 * One declaration a resource: fields, types, defaults, who may read and write each, references, indexes and limits.
 * Routes, validation, filters, sorting, store keys, indexes, host projections and the TypeScript type derive from it
 * (architecture, idea 1). Attribute semantics are Neutron's: allow_post, allow_put, is_visible, is_filter, is_sort_key.
 */
import type { FieldType } from "./types.ts";

/** What happens to an object when the object it refers to is deleted. */
export type OnDelete = "refuse" | "cascade" | "clear";

export interface Reference {
  /** Kind of the object referred to, by name: declarations may refer to each other in a circle. */
  readonly kind: string;
  readonly onDelete: OnDelete;
}

/** Who may read a field (`hidden`: nobody, on any wire) or write it. */
export type Readers = "all" | "admin" | "hidden";
export type Writers = "owner" | "admin";

/** To which hosts a field is projected: none, every host that needs the object, or only the host it is bound to. */
export type ProjectedTo = "none" | "all" | "local";

export interface Field<T = unknown, Mode extends FieldMode = FieldMode> {
  readonly type: FieldType<T>;
  readonly mode: Mode;
  /** POST: may it be given, must it, or is it refused ("Attribute 'x' not allowed in POST"). */
  readonly create: "optional" | "required" | "refused";
  /** PUT: may it be changed, or is it refused ("Cannot update read-only attribute x"). */
  readonly update: "allowed" | "refused";
  /** Value when POST leaves it out. Absent: the resource's rules decide (an address, a gateway). */
  readonly default?: T;
  /** Of objects that were stored before it was declared, where that is not the default. */
  readonly earlier?: T;
  readonly readers: Readers;
  readonly writers: Writers;
  readonly filter: boolean;
  readonly sort: boolean;
  readonly references?: Reference;
  readonly projected: ProjectedTo;
  /** Name of the field that this one is another name for (`tenant_id` → `project_id`): never stored. */
  readonly aliasOf?: string;
}

/** `stored` lives in the log; `computed` is made when read; `alias` is a stored field's other name; `input` is said in a POST and never shown. */
export type FieldMode = "stored" | "computed" | "alias" | "input";

// biome-ignore lint/suspicious/noExplicitAny: variance: a record of fields of different types has no narrower common type
export type Fields = Readonly<Record<string, Field<any, FieldMode>>>;

type StoredKeys<F extends Fields> = { [K in keyof F]: F[K] extends Field<infer _T, "stored"> ? K : never }[keyof F];

/** The object as the store, the log and every test see it: stored fields under their wire names. */
export type StoredOf<F extends Fields> = {
  readonly [K in StoredKeys<F>]: F[K] extends Field<infer T, FieldMode> ? T : never;
};

/** An exact index: the keys under which an object is found. Composite keys are joined by `keyOf`. */
export interface Index<O extends StoredObject = StoredObject> {
  readonly resource: string;
  readonly name: string;
  /** Unique over the whole model: `port.network_id`. */
  readonly id: string;
  readonly keys: (object: O) => readonly string[];
  /** At most one object may stand under a key; the transaction checks it. */
  readonly unique: boolean;
}

/** What every stored object has. */
export interface StoredObject {
  readonly id: string;
}

export interface Resource<F extends Fields = Fields, O extends StoredObject = StoredObject, N extends string = string> {
  /** Singular, as in a JSON body: `network`. It is the kind in the store and on every stream. */
  readonly kind: string;
  /** As in a URL and a list body: `networks`. */
  readonly plural: string;
  readonly fields: F;
  readonly index: { readonly [K in N]: Index<O> };
  /** Reported by a host or made by the agent for itself; never appended to the log by the api. */
  readonly fact: boolean;
}

/** The object type of a declaration: `type Port = ObjectOf<typeof Port>`. */
export type ObjectOf<R> = R extends Resource<infer _F, infer O, infer _N> ? O : never;

// biome-ignore lint/suspicious/noExplicitAny: variance, as above: used only where the object type is taken by inference
export type AnyResource = Resource<any, any, any>;

type KeysFunction<O> = (object: O) => readonly string[];

export interface Declaration<F extends Fields, N extends string, U extends string> {
  readonly kind: string;
  readonly plural: string;
  readonly fields: F;
  readonly fact?: boolean;
  /** Each reference field gets an index of its own name without being named here. */
  readonly indexes?: { readonly [K in N]: KeysFunction<StoredOf<F> & StoredObject> };
  readonly unique?: { readonly [K in U]: KeysFunction<StoredOf<F> & StoredObject> };
}

type ReferenceNames<F extends Fields> = {
  [K in keyof F]: F[K] extends { readonly references: Reference } ? K : never;
}[keyof F] &
  string;

/**
 * Declares a resource. Gives the frozen declaration with its typed indexes under `.index`.
 * Throws when an index name is declared twice.
 */
export function resource<const F extends Fields, N extends string = never, U extends string = never>(
  declaration: Declaration<F, N, U>,
): Resource<F, StoredOf<F> & StoredObject, ReferenceNames<F> | N | U> {
  type O = StoredOf<F> & StoredObject;
  const index: Record<string, Index<O>> = {};
  const add = (name: string, keys: KeysFunction<O>, unique: boolean) => {
    if (index[name] !== undefined) throw new Error(`${declaration.kind}: index ${name} is declared twice`);
    index[name] = Object.freeze({
      resource: declaration.kind,
      name,
      id: `${declaration.kind}.${name}`,
      keys,
      unique,
    });
  };
  for (const [name, field] of Object.entries(declaration.fields)) {
    if (field.references === undefined) continue;
    add(name, (object) => referenceKeys((object as Readonly<Record<string, unknown>>)[name]), false);
  }
  for (const [name, keys] of Object.entries<KeysFunction<O>>(declaration.indexes ?? {})) add(name, keys, false);
  for (const [name, keys] of Object.entries<KeysFunction<O>>(declaration.unique ?? {})) add(name, keys, true);
  return Object.freeze({
    kind: declaration.kind,
    plural: declaration.plural,
    fields: declaration.fields,
    fact: declaration.fact ?? false,
    // The record holds exactly the names that the type lists: references, indexes, unique.
    index: Object.freeze(index) as { readonly [K in ReferenceNames<F> | N | U]: Index<O> },
  });
}

/** A reference is one id, a list of ids, or nothing (null or the empty string, as Neutron writes an unset host). */
function referenceKeys(value: unknown): readonly string[] {
  if (typeof value === "string") return value === "" ? [] : [value];
  if (Array.isArray(value)) return value.filter((item): item is string => typeof item === "string");
  return [];
}

/** Joins the parts of a composite index key. No part may hold the separator; ids, addresses and numbers never do. */
export function keyOf(...parts: readonly (string | number)[]): string {
  return parts.join("|");
}
