/**
 * What each host needs, derived: a *scope* is a network with everything that belongs to it, and a host is a member of the scopes of
 * the networks on which it has a bound port (and of its own). Never a pair of host and object; cost O(what a change touches).
 */
import { createHash } from "node:crypto";
import {
  type Change,
  type Derivation,
  derive,
  deriveKey,
  Engine,
  type EngineRow,
  Host,
  keyOf,
  Network,
  Port,
  type ReplicaObject,
  type Revision,
  type StoredObject,
  Subnet,
} from "@selvage/model";
import { project } from "@selvage/sync";

/** An object as scopes name it. */
export type ObjectKey = string;

export const objectKey = (kind: string, id: string): ObjectKey => `${kind}|${id}`;

export function partsOf(key: ObjectKey): { readonly kind: string; readonly id: string } {
  const at = key.indexOf("|");
  return { kind: key.slice(0, at), id: key.slice(at + 1) };
}

/** How the keys of hosts begin: the only objects that belong to several scopes. */
const inManyScopes = objectKey(Host.kind, "");

/** `member`: a host is in a scope. `content`: an object belongs to one, with a digest of all that any host may see of it. */
interface ScopeRow extends EngineRow {
  readonly what: "member" | "content";
  readonly scope: string;
  /** The member host's id, or the object's key. */
  readonly subject: string;
}

const scopeRow = (what: ScopeRow["what"], scope: string, subject: string, body: string): ScopeRow => ({
  what,
  scope,
  subject,
  body,
  // What is in one scope only needs no other name than its own, and there are many of them. Its digest tells a change of scope, too.
  id: what === "content" && !subject.startsWith(inManyScopes) ? subject : keyOf(what, scope, subject),
});

function content(scope: string, kind: string, object: StoredObject): ScopeRow {
  const digest = createHash("sha1")
    .update(JSON.stringify(project(kind, object, "near")))
    .digest("base64");
  return scopeRow("content", scope, objectKey(kind, object.id), digest);
}

/** A host's own scope, which holds the host itself. */
const ownScope = (hostId: string): string => `host:${hostId}`;

const derivations: readonly Derivation<ScopeRow>[] = [
  derive("own host", Host, (host) => [
    scopeRow("member", ownScope(host.id), host.id, ""),
    content(ownScope(host.id), Host.kind, host),
  ]),
  derive("network", Network, (network) => [content(network.id, Network.kind, network)]),
  derive("subnet", Subnet, (subnet) => [content(subnet.network_id, Subnet.kind, subnet)]),
  derive("bound port", Port, (port) =>
    port["binding:host_id"] === "" ? [] : [content(port.network_id, Port.kind, port)],
  ),
  deriveKey("host on network", Port.index.networkHost, (pair, view) => {
    const at = pair.indexOf("|");
    const network = pair.slice(0, at);
    const [host] = view.by(Host.index.name, pair.slice(at + 1));
    return host === undefined ? [] : [scopeRow("member", network, host.id, ""), content(network, Host.kind, host)];
  }),
];

/** The scopes of an object: nearly always one, and then no set is made for it. */
type ScopesOf = string | Set<string>;

const eachScope = (scopes: ScopesOf | undefined): Iterable<string> =>
  typeof scopes === "string" ? [scopes] : (scopes ?? []);

function addScope(map: Map<ObjectKey, ScopesOf>, key: ObjectKey, scope: string): void {
  const found = map.get(key);
  if (found === undefined) map.set(key, scope);
  else if (typeof found !== "string") found.add(scope);
  else if (found !== scope) map.set(key, new Set([found, scope]));
}

function removeScope(map: Map<ObjectKey, ScopesOf>, key: ObjectKey, scope: string): void {
  const found = map.get(key);
  if (found === scope) map.delete(key);
  else if (typeof found === "object" && found.delete(scope) && found.size === 0) map.delete(key);
}

const touch = (map: Map<string, Set<string>>, key: string): Set<string> => {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = new Set<string>();
  map.set(key, made);
  return made;
};

function untouch(map: Map<string, Set<string>>, key: string, member: string): void {
  const found = map.get(key);
  if (found?.delete(member) === true && found.size === 0) map.delete(key);
}

/** Told that what a host needs of an object may be other than before. */
export type Touched = (hostId: string, key: ObjectKey) => void;

export class Scopes {
  /** What scopes are derived from and nothing more: this engine stands beside the server's own replica. */
  readonly #engine = new Engine<ScopeRow>({
    derivations,
    resources: [Host, Network, Subnet, Port],
    indexes: [Host.index.name, Port.index.networkHost],
  });
  readonly #members = new Map<string, Set<string>>();
  readonly #scopesOfHost = new Map<string, Set<string>>();
  readonly #contents = new Map<string, Set<ObjectKey>>();
  readonly #scopesOfObject = new Map<ObjectKey, ScopesOf>();

  /** Begins from the whole of intent at one revision, or takes a part of it: the last makes it whole. */
  load(objects: Iterable<ReplicaObject>, revision: Revision): void {
    const changes: Change[] = [];
    for (const { kind, id, object } of objects) changes.push({ kind, id, object });
    this.apply(changes, revision, () => undefined);
  }

  /** Takes one entry's changes; `touched` is called for each host and object whose need may differ (more than once is harmless). */
  apply(changes: Iterable<Change>, revision: Revision, touched: Touched): void {
    const { added, removed, modified } = this.#engine.apply(changes, revision);
    const moved = modified.filter(({ before, after }) => before.scope !== after.scope);
    const gone = [...removed, ...moved.map(({ before }) => before)];
    const come = [...added, ...moved.map(({ after }) => after)];
    for (const row of gone) {
      if (row.what === "member") {
        untouch(this.#members, row.scope, row.subject);
        untouch(this.#scopesOfHost, row.subject, row.scope);
      } else {
        untouch(this.#contents, row.scope, row.subject);
        removeScope(this.#scopesOfObject, row.subject, row.scope);
      }
    }
    for (const row of come) {
      if (row.what === "member") {
        touch(this.#members, row.scope).add(row.subject);
        touch(this.#scopesOfHost, row.subject).add(row.scope);
      } else {
        touch(this.#contents, row.scope).add(row.subject);
        addScope(this.#scopesOfObject, row.subject, row.scope);
      }
    }
    for (const row of [...come, ...gone, ...modified.map(({ after }) => after)]) {
      if (row.what === "member") {
        for (const key of this.#contents.get(row.scope) ?? []) touched(row.subject, key);
        // Removed together with the membership, and so no longer among the contents.
        for (const each of gone)
          if (each.what === "content" && each.scope === row.scope) touched(row.subject, each.subject);
      } else {
        for (const hostId of this.#members.get(row.scope) ?? []) touched(hostId, row.subject);
      }
    }
  }

  /** Whether a host needs an object now. */
  needs(hostId: string, key: ObjectKey): boolean {
    for (const scope of eachScope(this.#scopesOfObject.get(key)))
      if (this.#members.get(scope)?.has(hostId) === true) return true;
    return false;
  }

  /** Every object that a host needs now, each once. */
  needOf(hostId: string): ReadonlySet<ObjectKey> {
    const need = new Set<ObjectKey>();
    for (const scope of this.#scopesOfHost.get(hostId) ?? [])
      for (const key of this.#contents.get(scope) ?? []) need.add(key);
    return need;
  }

  get counters() {
    return this.#engine.counters;
  }
}
