/** How routers lead to each other: the extra routes of one have addresses of another as next hops, and so what is behind the one goes out by the other. */
import { keyOf, Port, Router, type Router as RouterObject, type View } from "@selvage/model";

/** Routers that a packet passes at most (pipeline, table `hops`). */
const most = 4;

/** Routers that a router's IPv4 routes lead to. An extra route whose next hop is no router's is a machine's business. */
function* nextOf(view: View, { id, routes }: Pick<RouterObject, "id" | "routes">): Iterable<string> {
  const subnets = new Set(
    view.by(Port.index.router_id, id).flatMap(({ fixed_ips }) => fixed_ips.map(({ subnet_id }) => subnet_id)),
  );
  for (const { nexthop } of routes) {
    if (nexthop.includes(":")) continue;
    for (const subnet of subnets) {
      const [port] = view.by(Port.index.address, keyOf(subnet, nexthop));
      if (port?.router_id != null) yield port.router_id;
    }
  }
}

/** A router's neighbours that have a route to it. */
function* formerOf(view: View, routerId: string): Iterable<string> {
  const networks = new Set(view.by(Port.index.router_id, routerId).map(({ network_id }) => network_id));
  for (const network of networks) {
    for (const { router_id } of view.by(Port.index.routedNetwork, network)) {
      const router = router_id === null ? undefined : view.get(Router, router_id);
      if (router === undefined || router.id === routerId || router.routes.length === 0) continue;
      if ([...nextOf(view, router)].includes(routerId)) yield router.id;
    }
  }
}

function reached(first: string, step: (routerId: string) => Iterable<string>): ReadonlySet<string> {
  const all = new Set([first]);
  let last: readonly string[] = [first];
  for (let passed = 1; passed < most && last.length > 0; passed += 1) {
    last = [...new Set(last.flatMap((each) => [...step(each)]))].filter((each) => !all.has(each));
    for (const each of last) all.add(each);
  }
  return all;
}

/** The router, and all that its routes lead to. */
export const routersFrom = (view: View, routerId: string): ReadonlySet<string> =>
  reached(routerId, (id) => {
    const router = view.get(Router, id);
    return router === undefined ? [] : nextOf(view, router);
  });

/** The networks of a router, and those behind routers whose routes lead to it. */
export function networksTo(view: View, routerId: string): readonly string[] {
  const routers = reached(routerId, (id) => formerOf(view, id));
  return [
    ...new Set([...routers].flatMap((id) => view.by(Port.index.router_id, id).map(({ network_id }) => network_id))),
  ];
}
