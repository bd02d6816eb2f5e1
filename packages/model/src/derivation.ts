/**
 * What an app is made of: derivations, functions from an object (or from a non-empty index bucket) and the view to
 * rows. A derivation never sees an event and never removes a row; it may not keep state, allocate or read a clock.
 */
import type { AnyResource, Index, ObjectOf, StoredObject } from "./resource.ts";
import type { View } from "./view.ts";

/** What the engine must know of a row: `id` names its table and key, `body` its action; both canonical texts. */
export interface EngineRow {
  readonly id: string;
  readonly body: string;
}

/** A derivation over each object of a kind. */
export interface ObjectDerivation<Row extends EngineRow> {
  readonly over: "object";
  readonly name: string;
  readonly resource: AnyResource;
  readonly run: (object: StoredObject, view: QueryingView) => Iterable<Row>;
}

/** A derivation over each distinct key of an index while its bucket is not empty ("group by"). */
export interface KeyDerivation<Row extends EngineRow> {
  readonly over: "key";
  readonly name: string;
  readonly index: Index;
  readonly run: (key: string, view: QueryingView) => Iterable<Row>;
}

export type Derivation<Row extends EngineRow> = ObjectDerivation<Row> | KeyDerivation<Row>;

/** Derives rows from every object of a kind; runs again when the object or anything it read changes. */
export function derive<R extends AnyResource, Row extends EngineRow>(
  name: string,
  resource: R,
  run: (object: ObjectOf<R>, view: QueryingView) => Iterable<Row>,
): ObjectDerivation<Row> {
  // The engine calls `run` with objects of `resource.kind` only, which are of this type by the model's validation.
  return { over: "object", name, resource, run: run as ObjectDerivation<Row>["run"] };
}

/** Derives rows from every key of an index that has at least one object. */
export function deriveKey<O extends StoredObject, Row extends EngineRow>(
  name: string,
  index: Index<O>,
  run: (key: string, view: QueryingView) => Iterable<Row>,
): KeyDerivation<Row> {
  // An index is only asked for keys here; its object type plays no part.
  return { over: "key", name, index: index as unknown as Index, run };
}

/** A pure function of the view and a key, memoized: who asks is woken only when its value changes. */
export interface Query<T> {
  readonly name: string;
  readonly run: (view: QueryingView, key: string) => T;
  readonly equal: (a: T, b: T) => boolean;
}

/**
 * Declares a query. Each query of an engine needs a name of its own, and is one constant: declare it at the top of a file,
 * never inside a derivation. `equal` says when an answer is still the old one; absent: the same value, or the same object.
 */
export function query<T>(
  name: string,
  run: (view: QueryingView, key: string) => T,
  equal: (a: T, b: T) => boolean = Object.is,
): Query<T> {
  return { name, run, equal };
}

/** The view that derivations and queries get: it can also ask queries. */
export interface QueryingView extends View {
  ask<T>(query: Query<T>, key: string): T;
}
