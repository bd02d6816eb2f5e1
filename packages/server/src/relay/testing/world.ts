/** A log in memory with a replica behind it, and what each host needs of it by the definition: for tests of everything behind the relay. */
import {
  AddressGroup,
  AddressScope,
  type Change,
  Host,
  Network,
  Port,
  Replica,
  Router,
  SecurityGroup,
  SecurityGroupRule,
  SecurityGroupSet,
  type StoredObject,
  Subnet,
  Subnetpool,
} from "@selvage/model";
import type { Author, LoggedEntry } from "@selvage/store";
import { isLocal, project } from "@selvage/sync";
import { Transaction } from "../../transaction.ts";
import type { Committed, Rules } from "../../writer.ts";
import type { Feed } from "../relay.ts";

export class Log implements Feed {
  readonly replica = new Replica();
  readonly #listeners = new Set<(entry: LoggedEntry) => void>();

  onCommitted(listener: (entry: LoggedEntry) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  append(changes: readonly Change[]): void {
    const revision = this.replica.revision + 1;
    this.replica.apply(changes, revision);
    const entry: LoggedEntry = {
      id: `entry-${revision}`,
      at: "2026-11-21T00:00:00.000Z",
      author: { kind: "system", id: "test", request_id: "req-test" },
      changes,
      revision,
    };
    for (const listener of this.#listeners) listener(entry);
  }

  /** As the writer does it, without a store: at once. */
  async transact<T>(author: Author, rules: Rules<T>): Promise<Committed<T>> {
    const transaction = new Transaction(this.replica, author, 0);
    const result = rules(transaction);
    const changes = transaction.changes();
    if (changes.length > 0) this.append(changes);
    return { revision: this.replica.revision, result };
  }
}

/** Networks, and those that routers join to them, and to these in turn. */
function reached(ports: readonly Port[], from: Iterable<string>): ReadonlySet<string> {
  const networks = new Set(from);
  for (let size = -1; size !== networks.size; ) {
    size = networks.size;
    const routers = new Set(ports.filter((port) => networks.has(port.network_id)).map((port) => port.router_id));
    for (const port of ports) if (port.router_id !== null && routers.has(port.router_id)) networks.add(port.network_id);
  }
  return networks;
}

/**
 * What a host needs, by the definition: everything of the networks on which it has a bound port and of those that can be reached from there through routers,
 * with the routers, pools and address scopes of these; the groups and rules of its ports' sets with what these name; and itself; by `kind|id`.
 */
export function needBySpecification(replica: Replica, host: Host): ReadonlyMap<string, StoredObject> {
  const need = new Map<string, StoredObject>();
  const put = (kind: string, object: StoredObject) =>
    need.set(`${kind}|${object.id}`, project(kind, object, isLocal(kind, object, host.name) ? "near" : "far"));
  put(Host.kind, host);
  const ports = [...replica.objects(Port)].filter((port) => port["binding:host_id"] !== "" || port.router_id !== null);
  const here = ports.filter((port) => port["binding:host_id"] === host.name);
  const networks = reached(
    ports,
    here.map((port) => port.network_id),
  );
  for (const network of replica.objects(Network)) if (networks.has(network.id)) put(Network.kind, network);
  for (const subnet of replica.objects(Subnet)) {
    if (!networks.has(subnet.network_id)) continue;
    put(Subnet.kind, subnet);
    const pool = subnet.subnetpool_id === null ? undefined : replica.get(Subnetpool, subnet.subnetpool_id);
    const scope = replica.get(AddressScope, pool?.address_scope_id ?? "");
    if (pool === undefined || scope === undefined) continue;
    put(Subnetpool.kind, pool);
    put(AddressScope.kind, scope);
  }
  for (const port of ports) {
    if (!networks.has(port.network_id)) continue;
    put(Port.kind, port);
    const router = replica.get(Router, port.router_id ?? "");
    if (router !== undefined) put(Router.kind, router);
    const other = [...replica.objects(Host)].find((each) => each.name === port["binding:host_id"]);
    if (other !== undefined) put(Host.kind, other);
  }
  const sets = [...replica.objects(SecurityGroupSet)];
  const own = sets.filter((set) => here.some((port) => port.security_group_set === set.key));
  const groups = new Set(own.flatMap((set) => set.groups));
  const rules = [...replica.objects(SecurityGroupRule)].filter((rule) => groups.has(rule.security_group_id));
  const named = new Set(rules.flatMap((rule) => [rule.remote_group_id, rule.remote_address_group_id]));
  for (const group of replica.objects(SecurityGroup)) if (groups.has(group.id)) put(SecurityGroup.kind, group);
  for (const rule of rules) put(SecurityGroupRule.kind, rule);
  for (const group of replica.objects(AddressGroup)) if (named.has(group.id)) put(AddressGroup.kind, group);
  for (const set of sets)
    if (own.includes(set) || set.groups.some((group) => named.has(group))) put(SecurityGroupSet.kind, set);
  return need;
}
