/**
 * One host's stream. It keeps only which objects may differ from what the host was told; what is sent is decided when it is sent, from the
 * need and the intent of that moment. So a slow host gets fewer, newer messages, and memory is bounded by what it needs.
 */
import type { Revision } from "@selvage/model";
import { type Changes, chunkSize, type FromServer, type Hello } from "@selvage/sync";
import { type ObjectKey, objectKey, partsOf } from "./scopes.ts";

/** The way to the host; `backlog` is what it has not taken yet, in bytes. */
export interface Channel {
  send(text: string): void;
  readonly backlog: number;
  close(): void;
}

/** What a session asks of its relay. */
export interface Source {
  readonly revision: Revision;
  needs(hostId: string, key: ObjectKey): boolean;
  needOf(hostId: string): ReadonlySet<ObjectKey>;
  revisionOf(kind: string, id: string): Revision | undefined;
  /** The object as this host may see it, in JSON, or undefined when it is gone. */
  cut(hostId: string, kind: string, id: string): string | undefined;
}

/** Above this backlog nothing more is sent until the host has caught up. Bytes. */
export const backlogLimit = 8 * 1024 * 1024;

export class Session {
  readonly hostId: string;
  readonly #channel: Channel;
  readonly #source: Source;
  readonly #dirty = new Set<ObjectKey>();
  #reset: boolean;
  #greeted = false;
  /** The revision of the last whole difference that was sent. */
  #sent: Revision = -1;
  #acknowledged: Revision = -1;

  constructor(hostId: string, channel: Channel, source: Source, hello: Pick<Hello, "held">, heldCounts: boolean) {
    this.hostId = hostId;
    this.#channel = channel;
    this.#source = source;
    this.#reset = !heldCounts;
    const missing = new Set(source.needOf(hostId));
    if (heldCounts) {
      for (const [kind, id, revision] of hello.held) {
        const key = objectKey(kind, id);
        if (!missing.delete(key) || source.revisionOf(kind, id) !== revision) this.#dirty.add(key);
      }
    }
    for (const key of missing) this.#dirty.add(key);
  }

  /** Notes that what the host was told of an object may no longer be so. */
  touch(key: ObjectKey): void {
    this.#dirty.add(key);
  }

  /**
   * Sends what differs, in chunks; at first also when nothing does, so that the host learns the revision. While the host has not taken
   * what it was sent, nothing more: what differs waits, newest value first. The host takes the whole after the last chunk, when nothing
   * differs any more: what changed again since it was sent is sent again before that.
   */
  flush(): void {
    if (this.#greeted && this.#dirty.size === 0) return;
    do {
      if (this.#channel.backlog > backlogLimit) return;
      const keys: ObjectKey[] = [];
      for (const key of this.#dirty) {
        if (keys.length === chunkSize) break;
        keys.push(key);
        this.#dirty.delete(key);
      }
      const revision = this.#source.revision;
      const more = this.#dirty.size > 0;
      this.#channel.send(this.#changes(revision, keys, more));
      this.#reset = false;
      this.#greeted = true;
      if (!more) this.#sent = revision;
    } while (this.#dirty.size > 0);
  }

  /** The host says that a revision is in force on its switch. One that it was never sent is refused: gives false. */
  acknowledge(revision: Revision): boolean {
    if (revision > this.#sent) return false;
    this.#acknowledged = Math.max(this.#acknowledged, revision);
    return true;
  }

  /** The revision in force there: the present one when the host owes nothing, or what it acknowledged last; undefined before the first. */
  get inForce(): Revision | undefined {
    if (this.#acknowledged < 0) return undefined;
    return this.#dirty.size === 0 && this.#acknowledged >= this.#sent ? this.#source.revision : this.#acknowledged;
  }

  /** Ends the stream, saying why. */
  refuse(refusal: Omit<Extract<FromServer, { type: "refused" }>, "type">): void {
    this.#channel.send(JSON.stringify({ type: "refused", ...refusal }));
    this.#channel.close();
  }

  /** Built as text: an object is put into JSON once for all hosts that see the same of it. */
  #changes(revision: Revision, keys: readonly ObjectKey[], more: boolean): string {
    const puts: string[] = [];
    const removes: Changes["removes"] = [];
    for (const key of keys) {
      const { kind, id } = partsOf(key);
      const text = this.#source.needs(this.hostId, key) ? this.#source.cut(this.hostId, kind, id) : undefined;
      if (text === undefined) removes.push({ kind, id });
      else
        puts.push(
          `{"kind":${JSON.stringify(kind)},"revision":${this.#source.revisionOf(kind, id) ?? 0},"object":${text}}`,
        );
    }
    return `{"type":"changes","revision":${revision},"reset":${this.#reset},"more":${more},"puts":[${puts.join(",")}],"removes":${JSON.stringify(removes)}}`;
  }
}
