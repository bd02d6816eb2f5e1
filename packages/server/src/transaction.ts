/** One request's transaction: the view that its rules read, and the changes that they make (architecture, idea 2). */
import { randomUUID } from "node:crypto";
import {
  type AnyResource,
  type Change,
  type ObjectOf,
  Overlay,
  type Reads,
  type StoredObject,
  track,
  type View,
} from "@selvage/model";
import type { Author } from "@selvage/store";
import { type Choosing, type Random, secureRandom } from "./allocate.ts";
import { checkIntegrity, deletionOf } from "./integrity.ts";

/** What a rule function gets: it reads `view` (its own writes included) and puts and removes objects. Synchronous by law. */
export class Transaction implements Choosing {
  /** Reads leave a trace: later changes to what was read run the rules again. */
  readonly view: View;
  /** The same without a trace: for hints only, never for a decision. */
  readonly hints: View;
  readonly author: Author;
  readonly random: Random;
  /** The time of the transaction, `YYYY-MM-DDTHH:MM:SSZ`. */
  readonly now: string;
  readonly reads: Reads;
  readonly #view: Overlay;
  readonly #hints: Overlay;
  readonly #base: View;

  constructor(base: View, author: Author, now: number, random: Random = secureRandom) {
    const tracked = track(base);
    this.#base = base;
    this.#view = new Overlay(tracked.view);
    this.#hints = new Overlay(base);
    this.view = this.#view;
    this.hints = this.#hints;
    this.reads = tracked.reads;
    this.author = author;
    this.random = random;
    this.now = secondsText(now);
  }

  newId(): string {
    return randomUUID();
  }

  /** Puts an object's whole new value. The revision number and the times of what was there before are the transaction's business. */
  put<R extends AnyResource>(resource: R, object: ObjectOf<R>): ObjectOf<R> {
    const before = this.view.get(resource, object.id);
    const stored =
      before === undefined ? object : stamped(resource, object, before, this.#base.get(resource, object.id), this.now);
    this.apply([{ kind: resource.kind, id: object.id, object: stored }]);
    // `stamped` gives an object of the same type.
    return stored as ObjectOf<R>;
  }

  /** Removes an object with all that goes with it (cascade, clear). Throws the error of what stands in the way (refuse). */
  remove(resource: AnyResource, id: string): void {
    this.apply(deletionOf(this.view, resource, id));
  }

  apply(changes: readonly Change[]): void {
    this.#view.apply(changes);
    this.#hints.apply(changes);
  }

  /** What was changed, the last value of each object. Throws the error of what it breaks: a key taken, a reference to nothing. */
  changes(): readonly Change[] {
    const changes = this.#view.changes();
    checkIntegrity(this.view, changes);
    return changes;
  }
}

/** `YYYY-MM-DDTHH:MM:SSZ` of milliseconds since the epoch. */
export function secondsText(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
}

/** The standard attributes of a changed object: one revision further than what stands in the log, however often it is put in between. */
function stamped(
  resource: AnyResource,
  object: StoredObject,
  before: StoredObject,
  base: StoredObject | undefined,
  now: string,
): StoredObject {
  const fields = resource.fields as Readonly<Record<string, unknown>>;
  if (!("revision_number" in fields)) return object;
  const revisionOf = (each: StoredObject): number =>
    Number((each as StoredObject & { readonly revision_number: number }).revision_number);
  const revision = base === undefined ? revisionOf(before) : revisionOf(base) + 1;
  return { ...object, revision_number: revision, updated_at: now } as StoredObject;
}
