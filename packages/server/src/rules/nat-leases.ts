/**
 * Who has which ports of a router's address outside (pipeline design, section 6): a block is made in the transaction that gives a host its first port behind a
 * router, and given back, to rest, in the one that takes the last. Whatever changes that calls here.
 */
import {
  Host,
  keyOf,
  leaseRest,
  NatLease,
  type NatLease as NatLeaseObject,
  NatRest,
  type NatRest as NatRestObject,
  Port,
  type Port as PortObject,
  type Replica,
  Router,
  type View,
} from "@selvage/model";
import { type Block, blockUpTo, firstSize, freeBlock, freePorts, wantedSize } from "../nat-blocks.ts";
import { secondsText, type Transaction } from "../transaction.ts";
import { networksTo, routersFrom } from "./router-ways.ts";

/** An address outside that is a router's. */
interface Address {
  readonly network_id: string;
  readonly address: string;
}

/** The IPv4 addresses of a router's gateway; none where nothing is translated. */
function addressesOf(view: View, routerId: string): readonly Address[] {
  if (view.get(Router, routerId)?.enable_snat !== true) return [];
  return view
    .by(Port.index.gateway_of, routerId)
    .flatMap(({ network_id, fixed_ips }) =>
      fixed_ips
        .filter((fixed) => !fixed.ip_address.includes(":"))
        .map((fixed) => ({ network_id, address: fixed.ip_address })),
    );
}

const hostNamed = (view: View, name: string): Host | undefined => view.by(Host.index.name, name)[0];

/** Called when a port changed its host, came or went. The first and the last of a network on a host cost what the network's routers have of interfaces. */
export function settlePort(
  transaction: Transaction,
  before: PortObject | undefined,
  after: PortObject | undefined,
): void {
  const [from, to] = [before?.["binding:host_id"] ?? "", after?.["binding:host_id"] ?? ""];
  const networkId = (after ?? before)?.network_id ?? "";
  const here = (name: string): number => transaction.view.count(Port.index.networkHost, keyOf(networkId, name));
  if (from !== to) {
    if (from !== "" && here(from) === 0) settleHost(transaction, networkId, from);
    if (to !== "" && here(to) === 1) settleHost(transaction, networkId, to);
  }
  if (before !== undefined && after !== undefined && sameStanding(before, after)) return;
  const routers = new Set([before, after].flatMap((port) => [port?.router_id ?? [], port?.gateway_of ?? []].flat()));
  if (routers.size === 0) return;
  for (const routerId of routers) settleRouter(transaction, routerId);
  // Its address may have been the way of routers beside it.
  for (const { router_id } of transaction.view.by(Port.index.routedNetwork, networkId))
    if (router_id !== null && !routers.has(router_id)) settleOne(transaction, router_id);
}

/** Whether a port is as much of a router as before, at the same addresses. */
const sameStanding = (before: PortObject, after: PortObject): boolean =>
  before.router_id === after.router_id &&
  before.gateway_of === after.gateway_of &&
  ((after.router_id === null && after.gateway_of === null) || before.fixed_ips === after.fixed_ips);

/** Called when the first port of a network may have come to a host, or the last gone, or the host itself come. */
export function settleHost(transaction: Transaction, networkId: string, hostName: string): void {
  const { view } = transaction;
  const host = hostNamed(view, hostName);
  if (host === undefined) return;
  const stand = new Set(view.by(Port.index.routedNetwork, networkId).map((port) => port.router_id ?? ""));
  const routers = new Set([...stand].flatMap((routerId) => [...routersFrom(view, routerId)]));
  for (const routerId of routers) settle(transaction, routerId, host);
}

/** Called when a router's interfaces, its gateway or what it translates changed. Costs the ports behind it, and behind what its routes lead to. */
export function settleRouter(transaction: Transaction, routerId: string): void {
  for (const each of routersFrom(transaction.view, routerId)) settleOne(transaction, each);
}

/** Called when a router's routes changed: `before` are those that these led to. */
export function settleWays(transaction: Transaction, routerId: string, before: ReadonlySet<string>): void {
  const after = routersFrom(transaction.view, routerId);
  for (const each of new Set([...before, ...after]))
    if (!before.has(each) || !after.has(each)) settleOne(transaction, each);
}

function settleOne(transaction: Transaction, routerId: string): void {
  const { view } = transaction;
  const hosts = new Map<string, Host>();
  for (const { host_id } of view.by(NatLease.index.router_id, routerId)) {
    const host = view.get(Host, host_id);
    if (host !== undefined) hosts.set(host.id, host);
  }
  if (addressesOf(view, routerId).length > 0) {
    const names = networksTo(view, routerId).flatMap((network) =>
      view.by(Port.index.network_id, network).map((port) => port["binding:host_id"]),
    );
    for (const name of new Set(names)) {
      const host = name === "" ? undefined : hostNamed(view, name);
      if (host !== undefined) hosts.set(host.id, host);
    }
  }
  for (const host of hosts.values()) settle(transaction, routerId, host);
}

/** One host and one router: what it has becomes what it needs. */
function settle(transaction: Transaction, routerId: string, host: Host): void {
  const { view } = transaction;
  const addresses = addressesOf(view, routerId);
  const isNeeded =
    addresses.length > 0 &&
    networksTo(view, routerId).some((network) => view.exists(Port.index.networkHost, keyOf(network, host.name)));
  const kept = leasesOf(view, routerId, host.id).filter((lease) => {
    const stays = isNeeded && addresses.some((each) => isOf(lease, each));
    if (!stays) release(transaction, lease);
    return stays;
  });
  if (!isNeeded || kept.some((lease) => lease.current)) return;
  const taken = addresses.map((address) => ({ address, blocks: takenOf(transaction, address) }));
  const [roomiest] = taken.sort((one, other) => freePorts(other.blocks) - freePorts(one.blocks));
  const block = roomiest && blockUpTo(roomiest.blocks, firstSize(roomiest.blocks));
  // None is left: what the host sends out drops with a reason of its own, until blocks have rested (`settleRested`).
  if (roomiest === undefined || block === undefined) return;
  lease(transaction, routerId, host.id, roomiest.address, block);
}

const leasesOf = (view: View, routerId: string, hostId: string): readonly NatLeaseObject[] =>
  view.by(NatLease.index.holder, keyOf(routerId, hostId));

const isOf = (lease: NatLeaseObject, { network_id, address }: Address): boolean =>
  lease.network_id === network_id && lease.address === address;

/** The blocks of an address that are held or rest. Those that have rested are forgotten. */
function takenOf(transaction: Transaction, { network_id, address }: Address): readonly Block[] {
  const { view, now } = transaction;
  const key = keyOf(network_id, address);
  const resting = view.by(NatRest.index.address, key).filter((rest) => {
    if (rest.until <= now) transaction.remove(NatRest, rest.id);
    return rest.until > now;
  });
  return [...view.by(NatLease.index.address, key), ...resting];
}

function lease(
  transaction: Transaction,
  router_id: string,
  host_id: string,
  { network_id, address }: Address,
  { first, size }: Block,
) {
  transaction.put(NatLease, {
    id: transaction.newId(),
    router_id,
    host_id,
    network_id,
    address,
    first,
    size,
    current: true,
    created_at: transaction.now,
  });
}

function release(transaction: Transaction, { id, network_id, address, first, size }: NatLeaseObject): void {
  transaction.remove(NatLease, id);
  transaction.put(NatRest, {
    id: transaction.newId(),
    network_id,
    address,
    first,
    size,
    until: secondsText(Date.parse(transaction.now) + leaseRest * 1_000),
  });
}

/** The blocks that have rested at a time. */
export const restedBlocks = (view: Pick<Replica, "objects">, now: string): readonly NatRestObject[] =>
  [...view.objects(NatRest)].filter(({ until }) => until <= now);

/** Gives back blocks that have rested, and lets hosts have them that found none. */
export function settleRested(transaction: Transaction, rested: readonly NatRestObject[]): void {
  const { view } = transaction;
  const addresses = new Map<string, Address>();
  for (const { id } of rested) {
    const rest = view.get(NatRest, id);
    if (rest === undefined) continue;
    transaction.remove(NatRest, id);
    addresses.set(keyOf(rest.network_id, rest.address), rest);
  }
  for (const each of addresses.values()) {
    for (const gateway of view.by(Port.index.gatewayNetwork, each.network_id)) {
      if (gateway.gateway_of === null || !gateway.fixed_ips.some((fixed) => fixed.ip_address === each.address))
        continue;
      settleOne(transaction, gateway.gateway_of);
    }
  }
}

/** Ports in use, by the lease's id, as its host says it. */
export type LeaseUse = ReadonlyMap<string, number>;

interface Change {
  /** What begins is to begin in a block of another size. */
  readonly resize: readonly { readonly lease: NatLeaseObject; readonly size: number }[];
  /** Nothing is left in them. */
  readonly drained: readonly NatLeaseObject[];
}

/** What a host's leases should become by what it uses of them. Leases that it says nothing of stay. */
export function changeByUse(view: View, hostId: string, use: LeaseUse): Change {
  const byRouter = Map.groupBy(view.by(NatLease.index.host_id, hostId), (each) => each.router_id);
  const resize: Change["resize"][number][] = [];
  const drained: NatLeaseObject[] = [];
  for (const leases of byRouter.values()) {
    const told = leases.filter((each) => use.has(each.id));
    const size = wantedSize(told.map((each) => ({ ...each, used: use.get(each.id) ?? 0 })));
    const current = told.find((each) => each.current);
    if (current !== undefined && size !== undefined) resize.push({ lease: current, size });
    drained.push(...told.filter((each) => !each.current && use.get(each.id) === 0));
  }
  return { resize, drained };
}

/** Exchanges blocks that are full or nearly empty for others, and takes back those in which nothing is left. */
export function settleUse(transaction: Transaction, hostId: string, use: LeaseUse): void {
  const { resize, drained } = changeByUse(transaction.view, hostId, use);
  for (const { lease: old, size } of resize) {
    const block = freeBlock(takenOf(transaction, old), size);
    if (block === undefined) continue;
    transaction.put(NatLease, { ...old, current: false });
    lease(transaction, old.router_id, hostId, old, block);
  }
  for (const each of drained) release(transaction, each);
}
