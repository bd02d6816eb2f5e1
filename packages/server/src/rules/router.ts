/** Routers and their extra routes (Networking v2.0, `/v2.0/routers`; extensions `router`, `extraroute`, `extraroute-atomic`). */
import { fail, pythonString } from "@selvage/base";
import { type HostRoute, InvalidValue, Router, type Router as RouterObject, type View } from "@selvage/model";
import { pickRouterKey } from "../allocate.ts";
import { anyOf, isAdmin, member, reader } from "../api/policy.ts";
import { visibleNetwork } from "./network.ts";
import { contains, interfaceActions, interfacesOf, subnetsOf } from "./router-interface.ts";
import { type ResourceRules, taggedOf, type Values, type Writing } from "./rules.ts";
import { checkedZones, zonesOf } from "./zones.ts";

/** Neutron's `max_routes`. */
const routeLimit = 30;

const bad = (msg: string) => fail("BadRouterRequest", { msg });
const owner = anyOf(isAdmin, member);

export const routerRules: ResourceRules<typeof Router> = {
  resource: Router,
  notFound: (id) => fail("RouterNotFound", { router_id: id }),
  policy: {
    get: anyOf(isAdmin, reader),
    create: owner,
    update: owner,
    delete: owner,
    attributes: { external_gateway_info: { create: owner, update: owner } },
  },
  target: (_view, object) => ({ projectId: String(object.project_id) }),
  computed: {
    status: () => "ACTIVE",
    external_gateway_info: () => null,
    availability_zones: ({ id }, { view }) =>
      zonesOf(view, new Set(interfacesOf(view, id).map((port) => port.network_id))),
  },
  create: (writing, values) => {
    checkGateway(writing, values);
    return writing.transaction.put(Router, {
      ...taggedOf(writing, values, 0),
      admin_state_up: values.admin_state_up === true,
      routes: [],
      availability_zone_hints: checkedZones(writing.transaction.view, values.availability_zone_hints),
      key: pickRouterKey(writing.transaction),
    });
  },
  update: (writing, before, values) => {
    checkGateway(writing, values);
    const { external_gateway_info: _none, ...rest } = values;
    const routes = values.routes as readonly HostRoute[] | undefined;
    return writing.transaction.put(Router, {
      ...before,
      ...rest,
      routes: routes === undefined ? before.routes : checkedRoutes(writing.transaction.view, before, routes),
    });
  },
  remove: (writing, router, precondition) => {
    const ports = interfacesOf(writing.transaction.view, router.id).map((port) => port.id);
    if (ports.length > 0)
      throw fail("RouterInUse", { router_id: router.id, reason: `has ports still attached: ${ports.join(", ")}` });
    precondition();
    writing.transaction.remove(Router, router.id);
  },
  actions: [
    ...interfaceActions,
    {
      name: "add_extraroutes",
      method: "PUT",
      allowed: owner,
      read: readRoutes,
      run: (writing, router, values) => {
        const added = values.routes as readonly HostRoute[];
        const fresh = added.filter((route) => !router.routes.some((other) => sameRoute(route, other)));
        const routes = checkedRoutes(writing.transaction.view, router, [...router.routes, ...fresh]);
        return { shows: writing.transaction.put(Router, { ...router, routes }) };
      },
    },
    {
      name: "remove_extraroutes",
      method: "PUT",
      allowed: owner,
      read: readRoutes,
      run: (writing, router, values) => {
        const gone = values.routes as readonly HostRoute[];
        const routes = router.routes.filter((route) => !gone.some((other) => sameRoute(route, other)));
        return { shows: writing.transaction.put(Router, { ...router, routes }) };
      },
    },
  ],
};

/** `{"router": {"routes": […]}}`. */
function readRoutes(body: Values): Values {
  const router = body.router;
  const routes = typeof router === "object" && router !== null ? (router as Values).routes : undefined;
  if (routes === undefined) throw fail("BodyKeyMissing", { resource: "router" });
  try {
    return { routes: Router.fields.routes.type.parse(routes) };
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error;
    throw fail("AttributeInvalid", { attribute: "routes", reason: error.message });
  }
}

/** There are no external networks yet: a gateway on any other is refused as Neutron refuses it. */
function checkGateway(writing: Writing, values: Values): void {
  const gateway = values.external_gateway_info as Values | null | undefined;
  if (gateway === null || gateway === undefined || Object.keys(gateway).length === 0) return;
  const id = String(gateway.network_id);
  visibleNetwork(writing.transaction.view, writing.caller, id);
  throw bad(`Network ${id} is not an external network`);
}

const sameRoute = (one: HostRoute, other: HostRoute): boolean =>
  one.destination === other.destination && one.nexthop === other.nexthop;

/** Routes whose next hops the router can reach. Throws InvalidRoutes and RoutesExhausted. */
function checkedRoutes(view: View, router: RouterObject, routes: readonly HostRoute[]): readonly HostRoute[] {
  if (routes.length > routeLimit) throw fail("RoutesExhausted", { router_id: router.id, quota: routeLimit });
  const ports = interfacesOf(view, router.id);
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

/** As Python prints a list of dictionaries. */
const printed = (routes: readonly HostRoute[]): string =>
  `[${routes.map(({ destination, nexthop }) => `{'destination': ${pythonString(destination)}, 'nexthop': ${pythonString(nexthop)}}`).join(", ")}]`;
