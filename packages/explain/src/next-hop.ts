/** To whom a machine sends a packet first: the destination itself, or the next hop of its routes, as its subnets taught them (RFC 1122, 3.3.1; RFC 4861). */
import { cidrContains, cidrOf, ipOf, isLinkLocalIp, keyOf, Port, Subnet, type View } from "@selvage/model";

export type NextHop =
  | { readonly kind: "hop"; readonly address: string }
  /** It has no way there; `text` is a clause that says why. */
  | { readonly kind: "none"; readonly text: string };

const versionOfText = (address: string): 4 | 6 => (address.includes(":") ? 6 : 4);

/** A port's own addresses of one family, in order. */
export const addressesOf = (port: Port, version: 4 | 6): readonly string[] =>
  port.fixed_ips.map((each) => each.ip_address).filter((address) => versionOfText(address) === version);

/** The subnets of a port's addresses of one family. */
function subnetsOf(view: View, port: Port, version: 4 | 6): readonly Subnet[] {
  const ids = new Set(port.fixed_ips.map((each) => each.subnet_id));
  return [...ids].flatMap((id) => view.get(Subnet, id) ?? []).filter((subnet) => subnet.ip_version === version);
}

/** The address that a machine sends from: one of the destination's own subnet, or its first. Undefined: it has none of that family. */
export function sourceFor(view: View, port: Port, destination: string): string | undefined {
  const version = versionOfText(destination);
  const near = subnetsOf(view, port, version).filter(({ cidr }) => cidrContains(cidrOf(cidr), ipOf(destination)));
  const ids = new Set(near.map(({ id }) => id));
  const own = port.fixed_ips.filter(({ ip_address }) => versionOfText(ip_address) === version);
  return (own.find(({ subnet_id }) => ids.has(subnet_id)) ?? own[0])?.ip_address;
}

/** Ports that have an address of a network as their own. */
export const holdersOf = (view: View, networkId: string, address: string): readonly Port[] =>
  view
    .by(Subnet.index.network_id, networkId)
    .flatMap((subnet) => view.by(Port.index.address, keyOf(subnet.id, address)));

/** Where a machine sends a packet for an address first. */
export function nextHop(view: View, port: Port, destination: string): NextHop {
  const version = versionOfText(destination);
  const target = ipOf(destination);
  const subnets = subnetsOf(view, port, version);
  if (subnets.length === 0) return { kind: "none", text: `it has no IPv${version} address` };
  if (isLinkLocalIp(target) || subnets.some(({ cidr }) => cidrContains(cidrOf(cidr), target)))
    return { kind: "hop", address: destination };
  const routes = subnets
    .flatMap(({ host_routes }) => host_routes)
    .filter((route) => cidrContains(cidrOf(route.destination), target))
    .sort((one, other) => cidrOf(other.destination).length - cidrOf(one.destination).length);
  const [best] = routes;
  if (best !== undefined) return { kind: "hop", address: best.nexthop };
  const gateways = subnets.flatMap(({ gateway_ip }) => gateway_ip ?? []);
  const [gateway] = gateways.filter((address) => holdersOf(view, port.network_id, address).length > 0);
  if (gateway !== undefined) return { kind: "hop", address: gateway };
  return {
    kind: "none",
    text:
      gateways.length === 0
        ? `${destination} is on another network, and its subnets have no gateway`
        : `${destination} is on another network, and no router has the address of its gateway, ${gateways.join(" or ")}`,
  };
}
