/**
 * Which addresses a port may have where: subnets that are of a segment are only for hosts that stand there, so that a port gets its addresses when it gets its host
 * (routed provider networks, extension `ip_allocation`; Neutron's `find_candidate_subnets`).
 */
import { fail } from "@selvage/base";
import {
  type FixedIp,
  Host,
  isRouted,
  Network,
  type Network as NetworkObject,
  type Port as PortObject,
  type Standing,
  Subnet,
  type Subnet as SubnetObject,
  segmentsOf,
  type View,
} from "@selvage/model";

/** The segments of a network that a host has, in order: it stands on the first. All of a tunnelled network. */
export function segmentsAt(view: View, network: NetworkObject, hostName: string): readonly Standing[] {
  const [host] = view.by(Host.index.name, hostName);
  return segmentsOf(view, network).filter(
    ({ physical_network }) => physical_network === null || host?.physical_networks.includes(physical_network) === true,
  );
}

/**
 * The subnets that a port on a host (empty: on none) may have addresses of. Of a network with subnets by segment: none without a host.
 * Throws HostConnectedToMultipleSegments, HostNotConnectedToAnySegment.
 */
export function subnetsAt(view: View, network: NetworkObject, host: string): readonly SubnetObject[] {
  const all = view.by(Subnet.index.network_id, network.id);
  if (all.every(({ segment_id }) => segment_id === null)) return all;
  const anywhere = all.filter(({ segment_id }) => segment_id === null);
  if (host === "") return anywhere;
  const here = new Set(segmentsAt(view, network, host).map(({ id }) => id));
  const found = all.filter(({ segment_id }) => segment_id !== null && here.has(segment_id));
  const said = { host, network_id: network.id };
  if (new Set(found.map(({ segment_id }) => segment_id)).size > 1) throw fail("HostConnectedToMultipleSegments", said);
  if (found.length === 0 && anywhere.length === 0) throw fail("HostNotConnectedToAnySegment", said);
  return [...anywhere, ...found];
}

/** Of a network's subnets, those of no segment and of that on which a host stands. */
export function subnetsWhere(view: View, network: NetworkObject, host: string): readonly SubnetObject[] {
  const [here] = segmentsAt(view, network, host);
  return view
    .by(Subnet.index.network_id, network.id)
    .filter(({ segment_id }) => segment_id === null || segment_id === here?.id);
}

/** The subnets of which a request may name addresses for a port on a host: all while it has none. Throws as `subnetsAt`. */
export const addressesGiven = (view: View, network: NetworkObject, host: string): readonly SubnetObject[] =>
  host === "" ? view.by(Subnet.index.network_id, network.id) : subnetsAt(view, network, host);

/** The subnets on which a port on a host that was given addresses may make some itself. Throws as `subnetsAt` and `segmentOf`. */
export const automaticSubnets = (
  view: View,
  network: NetworkObject,
  host: string,
  given: readonly FixedIp[],
): readonly SubnetObject[] => (host === "" ? subnetsBeside(view, network, given) : subnetsAt(view, network, host));

/** Whether a port stands where a subnet is: everywhere, for one of no segment. */
export function standsAt(view: View, port: PortObject, { segment_id }: SubnetObject): boolean {
  if (segment_id === null) return true;
  if (port.fixed_ips.length > 0) return segmentOf(view, port.fixed_ips) === segment_id;
  const network = view.get(Network, port.network_id);
  return network !== undefined && segmentsAt(view, network, port["binding:host_id"])[0]?.id === segment_id;
}

/** The segment that addresses are of; null: of none. Throws FixedIpsSubnetsNotOnSameSegment. */
export function segmentOf(view: View, fixed: readonly FixedIp[]): string | null {
  const segments = new Set(fixed.flatMap(({ subnet_id }) => view.get(Subnet, subnet_id)?.segment_id ?? []));
  if (segments.size > 1) throw fail("FixedIpsSubnetsNotOnSameSegment");
  return [...segments][0] ?? null;
}

/** The subnets beside which addresses that a port has can be: all but those of other segments. */
export function subnetsBeside(view: View, network: NetworkObject, fixed: readonly FixedIp[]): readonly SubnetObject[] {
  const own = segmentOf(view, fixed);
  return view
    .by(Subnet.index.network_id, network.id)
    .filter(({ segment_id }) => segment_id === null || segment_id === own);
}

/** When a new port gets its addresses, by what it was given. */
export function allocationOf(
  view: View,
  network: NetworkObject,
  fixed: readonly FixedIp[],
  asked: readonly unknown[] | undefined,
): PortObject["ip_allocation"] {
  if (asked?.length === 0) return "none";
  if (fixed.length > 0) return "immediate";
  return isRouted(view, network.id) ? "deferred" : "immediate";
}

/** Throws HostNotCompatibleWithFixedIps where a port's addresses are not of a host's segment. */
export function checkFits(view: View, network: NetworkObject, port: PortObject, host: string): void {
  if (!isRouted(view, network.id)) return;
  const fitting = new Set(subnetsAt(view, network, host).map(({ id }) => id));
  if (port.fixed_ips.every(({ subnet_id }) => fitting.has(subnet_id))) return;
  throw fail("HostNotCompatibleWithFixedIps", { host, port_id: port.id });
}
