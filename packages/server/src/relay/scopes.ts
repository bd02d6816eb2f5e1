/**
 * What each host needs, derived: a *scope* is a network with everything that belongs to it, and a host is a member of the scopes of
 * the networks on which it has a bound port, of those that routers join to them, of the sets of security groups of its ports, and of its own. Never a pair of host and object; cost O(what a change touches).
 */
import {
  AddressGroup,
  AddressScope,
  type Change,
  type Derivation,
  derive,
  deriveKey,
  Engine,
  Host,
  Network,
  Port,
  query,
  type ReplicaObject,
  type Revision,
  Router,
  routingDomain,
  SecurityGroup,
  SecurityGroupRule,
  SecurityGroupSet,
  type StoredObject,
  Subnet,
  Subnetpool,
} from "@selvage/model";
import { project } from "@selvage/sync";
import { bgpDerivations, bgpResources } from "./bgp-scopes.ts";
import { outsideDerivations, outsideIndexes, outsideResources } from "./outside-scopes.ts";
import { content, type ObjectKey, ownScope, type ScopeRow, scopeRow } from "./scope-rows.ts";

export { type ObjectKey, objectKey, partsOf } from "./scope-rows.ts";

/** Of the pool that a subnet is of: itself and its address scope, as hosts see them; nothing where it has none, for all such pools are alike. */
const scopeOfPool = query(
  "scope of pool",
  (view, id): readonly { readonly kind: string; readonly object: StoredObject }[] => {
    const pool = view.get(Subnetpool, id);
    const scope = pool?.address_scope_id == null ? undefined : view.get(AddressScope, pool.address_scope_id);
    if (pool === undefined || scope === undefined) return [];
    return [
      { kind: Subnetpool.kind, object: project(Subnetpool.kind, pool, "near") },
      { kind: AddressScope.kind, object: project(AddressScope.kind, scope, "near") },
    ];
  },
  (one, other) => JSON.stringify(one) === JSON.stringify(other),
);

const derivations: readonly Derivation<ScopeRow>[] = [
  derive("own host", Host, (host) => [
    scopeRow("member", ownScope(host.id), host.id, ""),
    content(ownScope(host.id), Host.kind, host),
  ]),
  derive("network", Network, (network) => [content(network.id, Network.kind, network)]),
  derive("subnet", Subnet, (subnet, view) => [
    content(subnet.network_id, Subnet.kind, subnet),
    ...view
      .ask(scopeOfPool, subnet.subnetpool_id ?? "")
      .map(({ kind, object }) => content(subnet.network_id, kind, object)),
  ]),
  derive("bound port", Port, (port) =>
    port["binding:host_id"] === "" && port.router_id === null ? [] : [content(port.network_id, Port.kind, port)],
  ),
  /** A router is known wherever one of its networks is. */
  derive("router", Router, (router, view) =>
    [...new Set(view.by(Port.index.router_id, router.id).map((port) => port.network_id))].map((network) =>
      content(network, Router.kind, router),
    ),
  ),
  deriveKey("host on network", Port.index.networkHost, (pair, view) => {
    const at = pair.indexOf("|");
    const network = pair.slice(0, at);
    const [host] = view.by(Host.index.name, pair.slice(at + 1));
    if (host === undefined) return [];
    const reached = view.ask(routingDomain, network).map((each) => scopeRow("member", each, host.id, ""));
    return [...reached, content(network, Host.kind, host)];
  }),
];

/** A set of security groups, and one of the groups in it, as scopes: hosts with a port of the set are in both. */
const setScope = (set: number): string => `set:${set}`;
const groupScope = (groupId: string): string => `group:${groupId}`;

/**
 * What security groups add. A port that joins a set is said to nobody anew but its host, and only when it is the set's first there; a set that is new in the
 * deployment, to the hosts whose rules name one of its groups. Of a group that is only named, hosts are told no more than its id, in those sets.
 */
const policyDerivations: readonly Derivation<ScopeRow>[] = [
  deriveKey("host with set", Port.index.hostSet, (pair, view) => {
    const at = pair.lastIndexOf("|");
    const number = pair.slice(at + 1);
    const [host] = view.by(Host.index.name, pair.slice(0, at));
    if (host === undefined) return [];
    const groups = view.by(SecurityGroupSet.index.key, number)[0]?.groups ?? [];
    return [setScope(Number(number)), ...groups.map(groupScope)].map((scope) => scopeRow("member", scope, host.id, ""));
  }),
  derive("security group", SecurityGroup, (group) => [content(groupScope(group.id), SecurityGroup.kind, group)]),
  derive("security group rule", SecurityGroupRule, (rule) => [
    content(groupScope(rule.security_group_id), SecurityGroupRule.kind, rule),
  ]),
  derive("address group", AddressGroup, (group, view) =>
    [
      ...new Set(
        view.by(SecurityGroupRule.index.remote_address_group_id, group.id).map((rule) => rule.security_group_id),
      ),
    ].map((naming) => content(groupScope(naming), AddressGroup.kind, group)),
  ),
  derive("security group set", SecurityGroupSet, (set, view) => {
    const naming = set.groups.flatMap((group) => view.by(SecurityGroupRule.index.remote_group_id, group));
    const scopes = new Set([setScope(set.key), ...naming.map((rule) => groupScope(rule.security_group_id))]);
    return [...scopes].map((scope) => content(scope, SecurityGroupSet.kind, set));
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
    derivations: [...derivations, ...policyDerivations, ...outsideDerivations, ...bgpDerivations],
    resources: [
      Host,
      Network,
      AddressScope,
      Subnetpool,
      Subnet,
      Router,
      Port,
      SecurityGroup,
      SecurityGroupRule,
      AddressGroup,
      SecurityGroupSet,
      ...outsideResources,
      ...bgpResources,
    ],
    indexes: [
      Host.index.name,
      Port.index.networkHost,
      Port.index.hostSet,
      Port.index.router_id,
      Port.index.routedNetwork,
      SecurityGroupSet.index.key,
      SecurityGroupRule.index.remote_group_id,
      SecurityGroupRule.index.remote_address_group_id,
      ...outsideIndexes,
    ],
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
