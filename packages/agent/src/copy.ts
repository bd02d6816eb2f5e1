/** The host's own copy of what it needs: parts of a difference are gathered until the last, and then the whole is taken. */
import type { Change, ReplicaObject, Revision } from "@selvage/model";
import { type Changes, chunkSize, projectedResources } from "@selvage/sync";
import { SharedTexts } from "./shared-texts.ts";

/** A whole difference: what it does to the view, and the messages that it came in. */
export interface Difference {
  readonly revision: Revision;
  /** Forget everything held before. */
  readonly reset: boolean;
  readonly changes: readonly Change[];
  readonly texts: readonly string[];
}

/** Kind, id and the revision that wrote it last, as `hello` lists them. */
export type Held = [kind: string, id: string, revision: Revision];

interface Part {
  readonly message: Changes;
  readonly text: string;
}

/** A server never makes facts of this host: kinds that are not projected are passed over. */
const kinds: ReadonlySet<string> = new Set(projectedResources.map(({ kind }) => kind));

/** An object and the revision that wrote it. */
type Kept = Pick<ReplicaObject, "revision" | "object">;

export class Copy {
  /** By kind and id, so that no key is made for what has an id already. */
  readonly #objects = new Map([...kinds].map((kind) => [kind, new Map<string, Kept>()]));
  readonly #shared = new SharedTexts();
  #parts: Part[] = [];
  #revision: Revision | undefined;
  #log: string | undefined;

  /** The revision of the last whole difference; undefined before the first: there is no view. */
  get revision(): Revision | undefined {
    return this.#revision;
  }

  /** The log that the revisions are of; undefined: it was not told. */
  get log(): string | undefined {
    return this.#log;
  }

  get size(): number {
    let size = 0;
    for (const held of this.#objects.values()) size += held.size;
    return size;
  }

  /** Takes a message, whose objects are its own from then on; gives the difference when it was its last part. `text` is the message as it came, `log` what its stream named. */
  take(message: Changes, text: string, log?: string): Difference | undefined {
    this.#parts.push({ message, text });
    if (message.more) return undefined;
    const parts = this.#parts;
    this.#parts = [];
    const reset = parts.some((part) => part.message.reset);
    if (reset) for (const held of this.#objects.values()) held.clear();
    const changes: Change[] = [];
    for (const { puts, removes } of parts.map((part) => part.message)) {
      for (const { kind, id } of removes) {
        if (this.#objects.get(kind)?.delete(id) === true) changes.push({ kind, id, object: null });
      }
      for (const { kind, revision, object: read } of puts) {
        const held = this.#objects.get(kind);
        if (held === undefined) continue;
        const object = this.#shared.share(read);
        held.set(object.id, { revision, object });
        changes.push({ kind, id: object.id, object });
      }
    }
    this.#revision = message.revision;
    this.#log = log;
    return { revision: message.revision, reset, changes, texts: parts.map((part) => part.text) };
  }

  /** Forgets the parts of a difference whose last will not come: the stream was cut. */
  dropParts(): void {
    this.#parts = [];
  }

  *objects(): Iterable<ReplicaObject> {
    for (const [kind, held] of this.#objects) {
      for (const [id, { revision, object }] of held) yield { kind, id, revision, object };
    }
  }

  /** What `hello` says is held. */
  held(): Held[] {
    return [...this.objects()].map(({ kind, id, revision }) => [kind, id, revision]);
  }

  /** The copy as messages that a new copy would take to become equal to this one as it is now. */
  texts(): Iterable<string> {
    return textsOf([...this.objects()], this.#revision ?? 0);
  }
}

function* textsOf(objects: readonly ReplicaObject[], revision: Revision): Iterable<string> {
  let at = 0;
  do {
    const puts = objects
      .slice(at, at + chunkSize)
      .map(({ kind, revision: written, object }) => ({ kind, revision: written, object }));
    const first = at === 0;
    at += chunkSize;
    const message: Changes = { type: "changes", revision, reset: first, more: at < objects.length, puts, removes: [] };
    yield JSON.stringify(message);
  } while (at < objects.length);
}
