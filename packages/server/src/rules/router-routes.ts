/** Extra routes of a router, and the subnets that it stands on and so can send to (extension `extraroute`; Neutron's `extraroute_db`). */
import { fail, pythonString } from "@selvage/base";
import {
  cidrContains,
  cidrOf,
  type HostRoute,
  ipOf,
  Port,
  type Port as PortObject,
  type Router as RouterObject,
  Subnet,
  type Subnet as SubnetObject,
  type View,
  versionOf,
} from "@selvage/model";

/** Neutron's `max_routes`. */
const routeLimit = 30;

export const interfacesOf = (view: View, routerId: string): readonly PortObject[] =>
  view.by(Port.index.router_id, routerId);

/** Its interfaces, and its gateway. */
export const portsOf = (view: View, routerId: string): readonly PortObject[] => [
  ...interfacesOf(view, routerId),
  ...view.by(Port.index.gateway_of, routerId),
];

export const subnetsOf = (view: View, port: PortObject): readonly SubnetObject[] =>
  port.fixed_ips.flatMap((fixed) => view.get(Subnet, fixed.subnet_id) ?? []);

export const contains = (subnet: SubnetObject, address: string): boolean =>
  versionOf(ipOf(address)) === subnet.ip_version && cidrContains(cidrOf(subnet.cidr), ipOf(address));

export const sameRoute = (one: HostRoute, other: HostRoute): boolean =>
  one.destination === other.destination && one.nexthop === other.nexthop;

/** Routes whose next hops the router can reach. Throws InvalidRoutes and RoutesExhausted. */
export function checkedRoutes(view: View, router: RouterObject, routes: readonly HostRoute[]): readonly HostRoute[] {
  if (routes.length > routeLimit) throw fail("RoutesExhausted", { router_id: router.id, quota: routeLimit });
  const ports = portsOf(view, router.id);
  const own = new Set(ports.flatMap((port) => port.fixed_ips.map((fixed) => fixed.ip_address)));
  const subnets = ports.flatMap((port) => subnetsOf(view, port));
  const invalid = (reason: string) => fail("InvalidRoutes", { routes: printed(routes), reason });
  for (const { destination, nexthop } of routes) {
    if (destination.includes(":") !== nexthop.includes(":"))
      throw invalid("the nexthop and the destination are of different IP versions");
    if (!subnets.some((subnet) => contains(subnet, nexthop))) throw invalid("the nexthop is not connected with router");
    if (own.has(nexthop)) throw invalid("the nexthop is used by router");
  }
  return routes.filter((route, at) => routes.findIndex((other) => sameRoute(route, other)) === at);
}

/** Throws RouterInterfaceInUseByRoute when a route's next hop was reached by the gateway and is not any more. */
export function checkStillReached(view: View, router: RouterObject): void {
  const subnets = portsOf(view, router.id).flatMap((port) => subnetsOf(view, port));
  const lost = router.routes.find(({ nexthop }) => !subnets.some((subnet) => contains(subnet, nexthop)));
  if (lost !== undefined)
    throw fail("RouterExternalGatewayInUseByRoute", { router_id: router.id, nexthop: lost.nexthop });
}

/** As Python prints a list of dictionaries. */
const printed = (routes: readonly HostRoute[]): string =>
  `[${routes.map(({ destination, nexthop }) => `{'destination': ${pythonString(destination)}, 'nexthop': ${pythonString(nexthop)}}`).join(", ")}]`;
