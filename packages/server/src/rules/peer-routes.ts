/**
 * Routes between subnets of different segments: each subnet's machines are told that the others' addresses are behind its own gateway
 * (extension `segments-peer-subnet-host-routes`; Neutron's `SegmentHostRoutes`).
 */
import { cidrCovers, cidrOf, type HostRoute, Subnet, type Subnet as SubnetObject, type View } from "@selvage/model";
import type { Transaction } from "../transaction.ts";

/** What of a subnet says which peers it has, and how it reaches them. */
export type Peer = Pick<SubnetObject, "id" | "network_id" | "segment_id" | "ip_version" | "gateway_ip">;

/** The subnets of the same family on other segments of a subnet's network. */
function peersOf(view: View, { id, network_id, segment_id, ip_version }: Peer): readonly SubnetObject[] {
  if (segment_id === null) return [];
  return view
    .by(Subnet.index.network_id, network_id)
    .filter(
      (other) =>
        other.id !== id &&
        other.segment_id !== null &&
        other.segment_id !== segment_id &&
        other.ip_version === ip_version,
    );
}

const without = (routes: readonly HostRoute[], destination: string, nexthop: string | null): readonly HostRoute[] =>
  routes.filter((route) => route.destination !== destination || route.nexthop !== nexthop);

/** How many of a subnet's routes are its own: all but one to each of its peers. */
export function countOwn(view: View, subnet: Peer, routes: readonly HostRoute[]): number {
  const destinations = new Set(routes.map(({ destination }) => destination));
  return routes.length - peersOf(view, subnet).filter(({ cidr }) => destinations.has(cidr)).length;
}

/** A subnet's routes with those to its peers that no route of it covers. `earlier`: the gateway by which they were reached before. */
export function withPeers(
  view: View,
  subnet: Peer,
  routes: readonly HostRoute[],
  earlier: string | null = null,
): readonly HostRoute[] {
  const peers = peersOf(view, subnet);
  const { gateway_ip } = subnet;
  const kept = earlier === null ? routes : peers.reduce((left, { cidr }) => without(left, cidr, earlier), routes);
  if (gateway_ip === null) return kept;
  const covered = kept.map(({ destination }) => cidrOf(destination));
  const missing = peers.filter(({ cidr }) => !covered.some((range) => cidrCovers(range, cidrOf(cidr))));
  return [...kept, ...missing.map(({ cidr }) => ({ destination: cidr, nexthop: gateway_ip }))];
}

/** Tells a subnet's peers of it, when it came. */
export function tellPeers(transaction: Transaction, subnet: SubnetObject): void {
  for (const peer of peersOf(transaction.view, subnet)) {
    const host_routes = withPeers(transaction.view, peer, peer.host_routes);
    if (host_routes.length !== peer.host_routes.length) transaction.put(Subnet, { ...peer, host_routes });
  }
}

/** Takes the routes to a subnet from its peers, when it went. */
export function leavePeers(transaction: Transaction, subnet: SubnetObject): void {
  for (const peer of peersOf(transaction.view, subnet)) {
    const host_routes = without(peer.host_routes, subnet.cidr, peer.gateway_ip);
    if (host_routes.length !== peer.host_routes.length) transaction.put(Subnet, { ...peer, host_routes });
  }
}
