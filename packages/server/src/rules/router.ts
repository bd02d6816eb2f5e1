/**
 * Routers, their interfaces and extra routes (Networking v2.0, `/v2.0/routers`; extensions `router`, `extraroute`, `extraroute-atomic`). An interface is a port
 * with `router_id`: it holds one IPv4 subnet, or any number of IPv6 subnets of its network.
 */
import { fail } from "@selvage/base";
import {
  cidrOf,
  cidrsOverlap,
  compareIp,
  type FixedIp,
  FloatingIp,
  type GatewayInfo,
  type HostRoute,
  InvalidValue,
  ipOf,
  isPhysical,
  keyOf,
  Network,
  Port,
  PortForwarding,
  type Port as PortObject,
  Router,
  type Router as RouterObject,
  Segment,
  Subnet,
  type Subnet as SubnetObject,
  show,
  type View,
} from "@selvage/model";
import { pickMac, pickRouterKey } from "../allocate.ts";
import { invalidValue } from "../api/body.ts";
import { anyOf, type Caller, isAdmin, member, reader } from "../api/policy.ts";
import { clearGateway, gatewayInfo, gatewayOf, nobodys, setGateway, unmanned, wantsSnat } from "./gateway.ts";
import { settleRouter, settleWays } from "./nat-leases.ts";
import { checkSpeaks, checkStillSpeaks, checkUnspoken } from "./ndp-proxy.ts";
import { seesNetwork } from "./network.ts";
import {
  checkedRoutes,
  checkStillReached,
  contains,
  interfacesOf,
  portsOf,
  sameRoute,
  subnetsOf,
} from "./router-routes.ts";
import { routersFrom } from "./router-ways.ts";
import { type ActionReply, type ResourceRules, taggedOf, type Values, type Writing } from "./rules.ts";
import { putPort, removePort } from "./security-group-sets.ts";
import { sharedTargets } from "./sharing.ts";
import { checkedZones, zonesOf } from "./zones.ts";

/** What a port of a router says of itself. */
export const routerInterface = "network:router_interface";

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
    attributes: {
      external_gateway_info: {
        create: owner,
        update: owner,
        members: {
          network_id: { create: owner, update: owner },
          enable_snat: { create: isAdmin, update: isAdmin },
          external_fixed_ips: { create: isAdmin, update: isAdmin },
        },
      },
    },
  },
  target: (_view, object) => ({ projectId: String(object.project_id) }),
  computed: {
    status: () => "ACTIVE",
    external_gateway_info: (router, { view }) => gatewayInfo(router, view),
    availability_zones: ({ id }, { view }) =>
      zonesOf(view, new Set(interfacesOf(view, id).map((port) => port.network_id))),
  },
  create: (writing, values) => {
    const info = (values.external_gateway_info ?? null) as GatewayInfo | null;
    const router = writing.transaction.put(Router, {
      ...taggedOf(writing, values, 0),
      admin_state_up: values.admin_state_up === true,
      routes: [],
      enable_snat: wantsSnat(info),
      enable_ndp_proxy: false,
      availability_zone_hints: checkedZones(writing.transaction.view, values.availability_zone_hints),
      key: pickRouterKey(writing.transaction),
    });
    setGateway(writing, router, info, () => undefined);
    if (values.enable_ndp_proxy !== true) return router;
    checkSpeaks(writing.transaction.view, router.id);
    return writing.transaction.put(Router, { ...router, enable_ndp_proxy: true });
  },
  update: (writing, before, values) => {
    const { view } = writing.transaction;
    const { external_gateway_info, ...rest } = values;
    const isSet = external_gateway_info !== undefined;
    // Its type is the field's own.
    const info = external_gateway_info as GatewayInfo | null;
    if (isSet) setGateway(writing, before, info, (subnets) => checkSubnets(view, before, subnets));
    const routes = values.routes as readonly HostRoute[] | undefined;
    const ways = routersFrom(view, before.id);
    if (routes === undefined && isSet) checkStillReached(view, before);
    const router = writing.transaction.put(Router, {
      ...before,
      ...rest,
      enable_snat: isSet ? wantsSnat(info) : before.enable_snat,
      routes: routes === undefined ? before.routes : checkedRoutes(view, before, routes),
    });
    if (values.enable_ndp_proxy === true) checkSpeaks(view, router.id);
    checkStillSpeaks(view, before, router);
    if (router.enable_snat !== before.enable_snat) settleRouter(writing.transaction, router.id);
    if (router.routes !== before.routes) settleWays(writing.transaction, router.id, ways);
    return router;
  },
  remove: (writing, router, precondition) => {
    const { view } = writing.transaction;
    const ports = interfacesOf(view, router.id).map((port) => port.id);
    if (ports.length > 0)
      throw fail("RouterInUse", { router_id: router.id, reason: `has ports still attached: ${ports.join(", ")}` });
    const gateway = gatewayOf(view, router.id);
    if (gateway !== undefined) clearGateway(writing, gateway);
    precondition();
    writing.transaction.remove(Router, router.id);
  },
  actions: [
    {
      name: "add_router_interface",
      method: "PUT",
      allowed: owner,
      read: readInterface,
      run: (writing, router, values) => {
        const { subnet_id, port_id } = values as InterfaceBody;
        if (subnet_id !== undefined && port_id !== undefined) throw bad("Cannot specify both subnet-id and port-id");
        if (subnet_id === undefined && port_id === undefined)
          throw bad("Either subnet_id or port_id must be specified");
        const added =
          port_id === undefined
            ? addSubnet(writing, router, subnetOf(writing, String(subnet_id)))
            : addPort(writing, router, portOf(writing, port_id));
        touch(writing, router);
        return interfaceReply(router, added.port, added.subnets);
      },
    },
    {
      name: "remove_router_interface",
      method: "PUT",
      allowed: owner,
      read: readInterface,
      run: (writing, router, values) => {
        const { subnet_id, port_id } = values as InterfaceBody;
        if (subnet_id === undefined && port_id === undefined)
          throw bad("Either subnet_id or port_id must be specified");
        const removed = removeInterface(writing, router, subnet_id, port_id);
        touch(writing, router);
        return interfaceReply(router, removed.port, removed.subnets);
      },
    },
    {
      name: "add_extraroutes",
      method: "PUT",
      allowed: owner,
      read: readRoutes,
      run: (writing, router, values) => {
        const added = values.routes as readonly HostRoute[];
        const fresh = added.filter((route) => !router.routes.some((other) => sameRoute(route, other)));
        const routes = checkedRoutes(writing.transaction.view, router, [...router.routes, ...fresh]);
        return { shows: withRoutes(writing, router, routes) };
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
        return { shows: withRoutes(writing, router, routes) };
      },
    },
  ],
};

/** Routes of a router may lead to others, by which it goes out. */
function withRoutes({ transaction }: Writing, router: RouterObject, routes: readonly HostRoute[]): RouterObject {
  const before = routersFrom(transaction.view, router.id);
  const changed = transaction.put(Router, { ...router, routes });
  settleWays(transaction, router.id, before);
  return changed;
}

interface InterfaceBody {
  readonly subnet_id?: string;
  readonly port_id?: string;
}

function readInterface(body: Values): Values {
  const unknown = Object.keys(body).filter((name) => name !== "subnet_id" && name !== "port_id");
  if (unknown.length > 0) throw fail("AttributesUnrecognized", { attributes: unknown.join(", ") });
  for (const name of ["subnet_id", "port_id"] as const) {
    const value = body[name];
    if (
      value !== undefined &&
      (typeof value !== "string" || !/^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i.test(value))
    )
      throw bad(`'${show(value)}' is not a valid UUID`);
  }
  return body;
}

/** `{"router": {"routes": […]}}`. */
function readRoutes(body: Values): Values {
  const router = body.router;
  const routes = typeof router === "object" && router !== null ? (router as Values).routes : undefined;
  if (routes === undefined) throw fail("BodyKeyMissing", { resource: "router" });
  try {
    return { routes: Router.fields.routes.type.parse(routes) };
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error;
    throw invalidValue("routes", Router.fields.routes.type.name, routes, error);
  }
}

const hasVersion = (view: View, port: PortObject, version: 4 | 6): boolean =>
  subnetsOf(view, port).some((subnet) => subnet.ip_version === version);

function subnetOf({ transaction, caller }: Writing, id: string): SubnetObject {
  const subnet = transaction.view.get(Subnet, id);
  if (subnet === undefined || !seesNetwork(transaction.view, caller, subnet.network_id))
    throw fail("SubnetNotFound", { id });
  return subnet;
}

function portOf({ transaction, caller }: Writing, id: string): PortObject {
  const port = transaction.view.get(Port, id);
  if (port === undefined || !ownsPort(caller, port)) throw fail("PortNotFound", { id });
  return port;
}

const ownsPort = (caller: Caller, port: PortObject): boolean =>
  caller.roles.has("admin") || port.project_id === caller.projectId;

interface Changed {
  readonly port: PortObject;
  readonly subnets: readonly string[];
}

/** The subnet's gateway address becomes the router's; another IPv6 subnet of a network joins the interface that is there. */
function addSubnet(writing: Writing, router: RouterObject, subnet: SubnetObject): Changed {
  const { transaction } = writing;
  if (subnet.gateway_ip === null) throw bad("Subnet for router interface must have a gateway IP");
  checkOwned(writing, subnet);
  checkWired(writing, router, subnet.network_id);
  checkAdvertised(subnet);
  checkSubnets(transaction.view, router, [subnet]);
  const fixed: FixedIp = { subnet_id: subnet.id, ip_address: subnet.gateway_ip };
  transaction.view.exists(Port.index.address, keyOf(subnet.id, subnet.gateway_ip));
  const there =
    subnet.ip_version === 6
      ? interfacesOf(transaction.view, router.id).find(
          (port) => port.network_id === subnet.network_id && hasVersion(transaction.view, port, 6),
        )
      : undefined;
  if (there !== undefined) {
    const port = putPort(transaction, { ...there, fixed_ips: [...there.fixed_ips, fixed] });
    return { port, subnets: [subnet.id] };
  }
  const network = transaction.view.get(Network, subnet.network_id);
  if (network === undefined) throw fail("NetworkNotFound", { id: subnet.network_id });
  const port = putPort(transaction, {
    ...nobodys(writing, network, pickMac(transaction, network.id, writing.settings.macPrefix)),
    project_id: router.project_id,
    fixed_ips: [fixed],
    router_id: router.id,
    device_id: router.id,
    device_owner: routerInterface,
  });
  return { port, subnets: [subnet.id] };
}

/** A port that is there becomes the router's, with the addresses that it has. */
function addPort(writing: Writing, router: RouterObject, port: PortObject): Changed {
  const { transaction } = writing;
  if (port.device_id !== "") {
    const { id: port_id, network_id: net_id, device_id } = port;
    throw fail("PortInUse", { port_id, net_id, device_id });
  }
  const subnets = subnetsOf(transaction.view, port);
  if (subnets.length === 0) throw bad("Router port must have at least one fixed IP");
  for (const subnet of subnets) checkAdvertised(subnet);
  const six = hasVersion(transaction.view, port, 6)
    ? interfacesOf(transaction.view, router.id).find(
        (other) => other.network_id === port.network_id && hasVersion(transaction.view, other, 6),
      )
    : undefined;
  if (six !== undefined) {
    throw bad(
      `Router already contains IPv6 port ${six.id} belonging to network id ${six.network_id}. Only one IPv6 port from the same network subnet can be connected to a router.`,
    );
  }
  checkSubnets(transaction.view, router, subnets);
  if (subnets.filter((subnet) => subnet.ip_version === 4).length > 1)
    throw bad("Cannot have multiple IPv4 subnets on router port");
  checkPools(writing, port);
  checkWired(writing, router, port.network_id);
  const taken = putPort(transaction, {
    ...port,
    router_id: router.id,
    device_id: router.id,
    device_owner: routerInterface,
    ...unmanned,
  });
  return { port: taken, subnets: subnets.map((subnet) => subnet.id) };
}

/** The gateway's address of another's subnet is for those alone to whom it was given by name: of what everybody was given, anybody could take it. */
function checkOwned({ transaction, caller }: Writing, subnet: SubnetObject): void {
  if (subnet.project_id === caller.projectId || caller.roles.has("admin")) return;
  const given = sharedTargets(transaction.view, "network", subnet.network_id);
  if (caller.projectId !== undefined && given.has(caller.projectId)) return;
  throw bad(`Cannot add interface to router because subnet ${subnet.id} is not owned by project making the request`);
}

/**
 * Routers on a wire share their host's MAC there, and what comes by it is taken by where it goes to: who leads where on another's wire is for that one, or for an
 * admin, to say.
 */
function checkWired({ transaction, caller }: Writing, router: RouterObject, networkId: string): void {
  const network = transaction.view.get(Network, networkId);
  if (network === undefined || !isPhysical(network) || network["router:external"]) return;
  if (network.project_id === router.project_id || caller.roles.has("admin")) return;
  throw bad(
    `Network ${networkId} stands on a physical network and is another project's: an admin may add an interface there to router ${router.id}`,
  );
}

/** A port that stands on another's subnet has an address that its machines may have, not the gateway's. */
function checkPools({ transaction, caller }: Writing, port: PortObject): void {
  if (caller.roles.has("admin")) return;
  for (const { subnet_id, ip_address } of port.fixed_ips) {
    const subnet = transaction.view.get(Subnet, subnet_id);
    if (subnet === undefined || subnet.project_id === caller.projectId) continue;
    const ip = ipOf(ip_address);
    const isIn = subnet.allocation_pools.some(
      ({ start, end }) => compareIp(ipOf(start), ip) <= 0 && compareIp(ip, ipOf(end)) <= 0,
    );
    if (isIn) continue;
    throw bad(
      `Cannot add interface to router because specified port ${port.id} has an IP address out of the allocation pool of subnet ${subnet_id}, which is not owned by the project making the request`,
    );
  }
}

/** Where another router tells the machines of itself, this one would contradict it. */
function checkAdvertised({ id, ip_version, ipv6_ra_mode, ipv6_address_mode }: SubnetObject): void {
  if (ip_version === 4 || ipv6_ra_mode !== null || ipv6_address_mode === null) return;
  throw bad(`IPv6 subnet ${id} configured to receive RAs from an external router cannot be added to Neutron Router.`);
}

/** A router has one interface a subnet, and none whose prefix holds another's: it could not tell where to send. */
function checkSubnets(view: View, router: RouterObject, added: readonly SubnetObject[]): void {
  const there = portsOf(view, router.id).flatMap((port) => subnetsOf(view, port));
  for (const subnet of added) {
    if (there.some((other) => other.id === subnet.id)) throw bad(`Router already has a port on subnet ${subnet.id}`);
    // A host on another segment would have no way to it.
    if (subnet.segment_id !== null && view.count(Segment.index.network_id, subnet.network_id) > 1)
      throw bad(`Subnet ${subnet.id} is of one segment of several: a router outside leads from there`);
    const clash = there.find((other) => cidrsOverlap(cidrOf(other.cidr), cidrOf(subnet.cidr)));
    if (clash !== undefined) {
      throw bad(`Cidr ${subnet.cidr} of subnet ${subnet.id} overlaps with cidr ${clash.cidr} of subnet ${clash.id}`);
    }
  }
}

function removeInterface(
  writing: Writing,
  router: RouterObject,
  subnetId: string | undefined,
  portId: string | undefined,
): Changed {
  const { transaction } = writing;
  const { view } = transaction;
  const ports = interfacesOf(view, router.id);
  const port =
    portId === undefined
      ? ports.find((each) => each.fixed_ips.some((fixed) => fixed.subnet_id === subnetId))
      : ports.find((each) => each.id === portId);
  if (port === undefined) {
    if (portId !== undefined) throw fail("RouterInterfaceNotFound", { router_id: router.id, port_id: portId });
    const subnet = subnetOf(writing, String(subnetId));
    throw fail("RouterInterfaceNotFoundForSubnet", { router_id: router.id, subnet_id: subnet.id });
  }
  if (subnetId !== undefined && !port.fixed_ips.some((fixed) => fixed.subnet_id === subnetId)) {
    throw fail("SubnetMismatchForPort", { port_id: port.id, subnet_id: subnetId });
  }
  const going = subnetsOf(view, port).filter((subnet) => portId !== undefined || subnet.id === subnetId);
  for (const subnet of going) {
    const isOutside = view
      .by(FloatingIp.index.router_id, router.id)
      .some((floating) => standsFor(view, floating).some((address) => contains(subnet, address)));
    if (isOutside) throw fail("RouterInterfaceInUseByFloatingIP", { router_id: router.id, subnet_id: subnet.id });
    checkUnspoken(view, router.id, subnet.id);
    const needed = router.routes.some((route) => contains(subnet, route.nexthop));
    if (needed) throw fail("RouterInterfaceInUseByRoute", { router_id: router.id, subnet_id: subnet.id });
  }
  const left = port.fixed_ips.filter((fixed) => !going.some((subnet) => subnet.id === fixed.subnet_id));
  if (left.length > 0) putPort(transaction, { ...port, fixed_ips: left });
  else removePort(transaction, port);
  return { port, subnets: going.map((subnet) => subnet.id) };
}

/** The machines' addresses that a floating IP stands for, itself or by its ports. */
const standsFor = (view: View, floating: FloatingIp): readonly string[] => [
  ...(floating.fixed_ip_address === null ? [] : [floating.fixed_ip_address]),
  ...view.by(PortForwarding.index.floatingip_id, floating.id).map((forwarding) => forwarding.internal_ip_address),
];

/** An interface that comes or goes is a change of the router. */
function touch({ transaction }: Writing, router: RouterObject): void {
  transaction.put(Router, router);
}

const interfaceReply = (router: RouterObject, port: PortObject, subnets: readonly string[]): ActionReply => ({
  body: {
    id: router.id,
    tenant_id: router.project_id,
    port_id: port.id,
    network_id: port.network_id,
    subnet_id: subnets[0],
    subnet_ids: subnets,
  },
});
