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
  Subnet,
  type View,
} from "@selvage/model";
import { type Block, blockUpTo, firstSize, freeBlock, freePorts, wantedSize } from "../nat-blocks.ts";
import { secondsText, type Transaction } from "../transaction.ts";
import { type Reached, Ways } from "./router-ways.ts";

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

/**
 * Called when a port changed its host, came or went. The first and the last of a network on a host cost what routers the network has; an interface, what is behind its
 * router and those that its routes lead, or led, to.
 */
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
  const ways = new Ways(transaction.view);
  const routers = new Set<string>();
  for (const port of [before, after]) {
    if (port?.gateway_of != null) routers.add(port.gateway_of);
    if (port?.router_id == null) continue;
    // What came by it from routers beside it went on by its own ways: no others can have lost or won any.
    const subnets = before?.router_id === port.router_id ? before.fixed_ips.map(({ subnet_id }) => subnet_id) : [];
    for (const each of ways.from(port.router_id, subnets).keys()) routers.add(each);
  }
  for (const each of routers) settleOne(transaction, each, ways);
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
  const ways = new Ways(view);
  const stand = new Set(view.by(Port.index.routedNetwork, networkId).map((port) => port.router_id ?? ""));
  const routers = new Set([...stand].flatMap((routerId) => [...ways.from(routerId).keys()]));
  const isOn = (network: string): boolean => view.exists(Port.index.networkHost, keyOf(network, host.name));
  const isHere = isOn(networkId);
  for (const routerId of routers) {
    if (isHere) settle(transaction, routerId, host.id, addressesOf(view, routerId));
    else if (leasesOf(view, routerId, host.id).length > 0 && ![...ways.networksTo(routerId)].some(isOn))
      settle(transaction, routerId, host.id, []);
  }
}

/** Called when what a router translates changed. Costs the ports behind it, and behind those whose routes lead to it. */
export function settleRouter(transaction: Transaction, routerId: string): void {
  settleOne(transaction, routerId, new Ways(transaction.view));
}

/** Called when a router's routes changed: `before` are those that these led to. */
export function settleWays(transaction: Transaction, routerId: string, before: Reached): void {
  const ways = new Ways(transaction.view);
  const after = ways.from(routerId);
  // Further or nearer counts as well: a packet passes so many routers and no more.
  for (const each of new Set([...before.keys(), ...after.keys()]))
    if (before.get(each) !== after.get(each)) settleOne(transaction, each, ways);
}

function settleOne(transaction: Transaction, routerId: string, ways: Ways): void {
  const { view } = transaction;
  const addresses = addressesOf(view, routerId);
  const needing = addresses.length === 0 ? new Set<string>() : hostsOn(view, ways.networksTo(routerId));
  const holding = view.by(NatLease.index.router_id, routerId).map((each) => each.host_id);
  for (const hostId of new Set([...holding, ...needing]))
    settle(transaction, routerId, hostId, needing.has(hostId) ? addresses : []);
}

/** The ids of the hosts that have ports on any of the networks. Costs these ports. */
function hostsOn(view: View, networks: Iterable<string>): ReadonlySet<string> {
  const names = new Set<string>();
  for (const network of networks)
    for (const port of view.by(Port.index.network_id, network)) names.add(port["binding:host_id"]);
  names.delete("");
  return new Set([...names].flatMap((name) => hostNamed(view, name)?.id ?? []));
}

/** One host and one router: it has a block of one of the addresses, and none of any other. Without addresses it needs none. */
function settle(transaction: Transaction, routerId: string, hostId: string, addresses: readonly Address[]): void {
  const kept = leasesOf(transaction.view, routerId, hostId).filter((lease) => {
    const stays = addresses.some((each) => isOf(lease, each));
    if (!stays) release(transaction, lease);
    return stays;
  });
  if (kept.some((lease) => lease.current)) return;
  const taken = addresses.map((address) => ({ address, blocks: takenOf(transaction, address) }));
  const [roomiest] = taken.sort((one, other) => freePorts(other.blocks) - freePorts(one.blocks));
  const block = roomiest && blockUpTo(roomiest.blocks, firstSize(roomiest.blocks));
  // None is left: what the host sends out drops with a reason of its own, until blocks have rested (`settleRested`).
  if (roomiest === undefined || block === undefined) return;
  lease(transaction, routerId, hostId, roomiest.address, block);
}

const leasesOf = (view: View, routerId: string, hostId: string): readonly NatLeaseObject[] =>
  view.by(NatLease.index.holder, keyOf(routerId, hostId));

const isOf = (lease: NatLeaseObject, { network_id, address }: Address): boolean =>
  lease.network_id === network_id && lease.address === address;

/** The blocks of an address that are held or rest. Those that have rested are free; they stand until `settleRested`, which looks by them for the hosts that wait. */
function takenOf({ view, now }: Transaction, { network_id, address }: Address): readonly Block[] {
  const key = keyOf(network_id, address);
  const resting = view.by(NatRest.index.address, key).filter(({ until }) => until > now);
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
    // The second in which it was given back is not over.
    until: secondsText(Date.parse(transaction.now) + (leaseRest + 1) * 1_000),
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
  const routers = new Set<string>();
  for (const { network_id, address } of addresses.values()) {
    for (const { id } of view.by(Subnet.index.network_id, network_id)) {
      const [port] = view.by(Port.index.address, keyOf(id, address));
      if (port?.gateway_of != null) routers.add(port.gateway_of);
    }
  }
  const ways = new Ways(view);
  for (const each of routers) settleWaiting(transaction, each, ways);
}

/** Hosts that need a block of a router's and have none to begin in. */
function settleWaiting(transaction: Transaction, routerId: string, ways: Ways): void {
  const { view } = transaction;
  const addresses = addressesOf(view, routerId);
  if (addresses.length === 0) return;
  const leases = view.by(NatLease.index.router_id, routerId).filter((each) => each.current);
  const served = new Set(leases.map((each) => each.host_id));
  for (const hostId of hostsOn(view, ways.networksTo(routerId)))
    if (!served.has(hostId)) settle(transaction, routerId, hostId, addresses);
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
  const again = new Set<string>();
  for (const { lease: old, size } of resize) {
    const own = ownOf(transaction.view, old, size);
    const block = own ?? freeBlock(takenOf(transaction, old), size);
    if (block === undefined) continue;
    transaction.put(NatLease, { ...old, current: false });
    if (own === undefined) lease(transaction, old.router_id, hostId, old, block);
    else again.add(transaction.put(NatLease, { ...own, current: true }).id);
  }
  for (const each of drained) if (!again.has(each.id)) release(transaction, each);
}

/**
 * A block of that size which the host has beside its current one: it begins there again, rather than in one more. For what is left in a block is not known until its
 * router's last connection on the host has ended, which on a busy host is never.
 */
const ownOf = (view: View, { id, router_id, host_id, network_id, address }: NatLeaseObject, size: number) =>
  leasesOf(view, router_id, host_id).find(
    (each) => each.id !== id && each.size === size && isOf(each, { network_id, address }),
  );
