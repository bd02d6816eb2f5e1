/** The relay: follows the log and keeps every connected host's copy of what it needs up to date. */
import { Host, type Replica, type Revision, type StoredObject } from "@selvage/model";
import type { LoggedEntry } from "@selvage/store";
import {
  commonVersion,
  dependsOnHost,
  type Hello,
  isLocal,
  logVersion,
  project,
  projectedResources,
  projectionFingerprint,
  protocolVersions,
} from "@selvage/sync";
import { inParts, turn } from "../turns.ts";
import { type ObjectKey, objectKey, partsOf, Scopes } from "./scopes.ts";
import { type Channel, Session, type Source } from "./session.ts";

/** What the relay reads: the server's replica and its committed entries, in order. */
export interface Feed {
  readonly replica: Replica;
  onCommitted(listener: (entry: LoggedEntry) => void): () => void;
}

export interface RelayOptions {
  /** Called soon after something is to be sent. Default: setImmediate, so that a burst of entries becomes one message. */
  readonly schedule?: (flush: () => void) => void;
  /** Names the log that the feed is of (`Store.logId`); absent: what a host holds counts by its revisions alone, as in version 1. */
  readonly logId?: string;
  /** Versions of the protocol that this relay speaks. Default: all that are known. */
  readonly versions?: readonly number[];
}

export class Relay {
  readonly #feed: Feed;
  readonly #scopes: Scopes;
  readonly #sessions = new Map<string, Session>();
  readonly #waiting = new Set<Session>();
  readonly #far = new Map<ObjectKey, { readonly revision: Revision; readonly text: string }>();
  readonly #schedule: (flush: () => void) => void;
  readonly #logId: string | undefined;
  readonly #versions: readonly number[];
  readonly #source: Source;
  readonly #stop: () => void;
  #scheduled = false;

  /** `scopes`: those of the feed as it is now; absent: they are derived here and now. */
  constructor(feed: Feed, options: RelayOptions = {}, scopes?: Scopes) {
    this.#feed = feed;
    this.#schedule = options.schedule ?? ((flush) => void setImmediate(flush));
    this.#logId = options.logId;
    this.#versions = options.versions ?? protocolVersions;
    this.#scopes = scopes ?? new Scopes();
    if (scopes === undefined) this.#scopes.load(feed.replica.snapshot(), feed.replica.revision);
    this.#source = {
      get revision() {
        return feed.replica.revision;
      },
      needs: (hostId, key) => this.#scopes.needs(hostId, key),
      needOf: (hostId) => this.#scopes.needOf(hostId),
      revisionOf: (kind, id) => feed.replica.revisionOf(kind, id),
      cut: (hostId, kind, id) => this.#cut(hostId, kind, id),
    };
    this.#stop = feed.onCommitted((entry) => this.#take(entry));
  }

  /** A relay of a feed with many objects: their scopes are derived in turns, so that nobody waits for all of them. */
  static async begin(feed: Feed, options: RelayOptions = {}): Promise<Relay> {
    const scopes = new Scopes();
    const missed: LoggedEntry[] = [];
    const stop = feed.onCommitted((entry) => missed.push(entry));
    try {
      const { revision } = feed.replica;
      for (const part of inParts([...feed.replica.snapshot()])) {
        scopes.load(part, revision);
        await turn();
      }
      for (const entry of missed) scopes.apply(entry.changes, entry.revision, () => undefined);
      return new Relay(feed, options, scopes);
    } finally {
      stop();
    }
  }

  /**
   * Opens a host's stream; an older one of the same host is refused and closed. Gives the session, or undefined after a refusal
   * (no common protocol version, host unknown), which the channel was told.
   */
  connect(
    hostId: string,
    hello: Pick<Hello, "protocols" | "projection" | "held" | "log">,
    channel: Channel,
  ): Session | undefined {
    const host = this.#feed.replica.get(Host, hostId);
    const protocol = commonVersion(this.#versions, hello.protocols);
    const refuse = (code: string, message: string) => {
      channel.send(JSON.stringify({ type: "refused", code, message, retry: false }));
      channel.close();
      return undefined;
    };
    if (host === undefined) return refuse("HostUnknown", "this host is not known here: join it again");
    if (protocol === undefined) {
      return refuse(
        "ProtocolVersionUnsupported",
        `the server speaks ${this.#versions.join(", ")}, the agent ${hello.protocols.join(", ")}`,
      );
    }
    this.#sessions
      .get(hostId)
      ?.refuse({ code: "Superseded", message: "a newer stream of this host was opened", retry: true });
    const log = protocol >= logVersion ? this.#logId : undefined;
    const { id, name, key } = host;
    channel.send(
      JSON.stringify({ type: "welcome", protocol, host: { id, name, key }, ...(log === undefined ? {} : { log }) }),
    );
    const heldCounts = hello.projection === projectionFingerprint && (log === undefined || hello.log === log);
    const session = new Session(hostId, channel, this.#source, hello, heldCounts);
    this.#sessions.set(hostId, session);
    session.flush();
    return session;
  }

  /** A stream has ended; nothing happens when a newer one of the host is open. */
  disconnect(session: Session): void {
    this.#waiting.delete(session);
    if (this.#sessions.get(session.hostId) === session) this.#sessions.delete(session.hostId);
  }

  /** A stream's backlog went down: what waited for it is sent. */
  drained(session: Session): void {
    session.flush();
  }

  session(hostId: string): Session | undefined {
    return this.#sessions.get(hostId);
  }

  /** The revision in force on a connected host, or undefined. */
  inForce(hostId: string): Revision | undefined {
    return this.#sessions.get(hostId)?.inForce;
  }

  /** Every object that a host needs now, each once. */
  *needOf(hostId: string): Iterable<{ readonly kind: string; readonly id: string }> {
    for (const key of this.#scopes.needOf(hostId)) yield partsOf(key);
  }

  get counters() {
    return this.#scopes.counters;
  }

  close(): void {
    this.#stop();
    for (const session of this.#sessions.values()) {
      session.refuse({ code: "Closing", message: "the server is closing", retry: true });
    }
    this.#sessions.clear();
  }

  #take(entry: LoggedEntry): void {
    this.#scopes.apply(entry.changes, entry.revision, (hostId, key) => {
      const session = this.#sessions.get(hostId);
      if (session === undefined) return;
      session.touch(key);
      this.#waiting.add(session);
    });
    if (this.#scheduled || this.#waiting.size === 0) return;
    this.#scheduled = true;
    this.#schedule(() => {
      this.#scheduled = false;
      const sessions = [...this.#waiting];
      this.#waiting.clear();
      for (const session of sessions) session.flush();
      this.#far.clear();
    });
  }

  /** The far projection's text is made once for all hosts of one flush; the near one for its one host. */
  #cut(hostId: string, kind: string, id: string): string | undefined {
    const replica = this.#feed.replica;
    const resource = projectedResources.find((each) => each.kind === kind);
    const object: StoredObject | undefined = resource === undefined ? undefined : replica.get(resource, id);
    if (object === undefined) return undefined;
    const host = replica.get(Host, hostId);
    if (dependsOnHost(kind) && host !== undefined && isLocal(kind, object, host.name)) {
      return JSON.stringify(project(kind, object, "near"));
    }
    const key = objectKey(kind, id);
    const revision = replica.revisionOf(kind, id) ?? 0;
    const kept = this.#far.get(key);
    if (kept?.revision === revision) return kept.text;
    const text = JSON.stringify(project(kind, object, "far"));
    this.#far.set(key, { revision, text });
    return text;
  }
}
