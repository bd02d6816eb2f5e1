/**
 * Interfaces of routers (Networking v2.0, `add_router_interface` and `remove_router_interface`; neutron `L3_NAT_dbonly_mixin`). An interface is a port with
 * `router_id`: it holds one IPv4 subnet, or any number of IPv6 subnets of its network.
 */
import { fail, pythonString } from "@selvage/base";
import {
  cidrContains,
  cidrOf,
  cidrsOverlap,
  compareIp,
  type FixedIp,
  ipOf,
  keyOf,
  Network,
  Port,
  type Port as PortObject,
  Router,
  type Router as RouterObject,
  Subnet,
  type Subnet as SubnetObject,
  type View,
  versionOf,
} from "@selvage/model";
import { pickMac, pickPortKey } from "../allocate.ts";
import { anyOf, type Caller, isAdmin, member } from "../api/policy.ts";
import { seesNetwork } from "./network.ts";
import { type ActionReply, taggedOf, type Values, type WriteAction, type Writing } from "./rules.ts";
import { putPort, removePort } from "./security-group-sets.ts";
import { sharedTargets } from "./sharing.ts";

/** What a port of a router says of itself. */
export const routerInterface = "network:router_interface";

const bad = (msg: string) => fail("BadRouterRequest", { msg });
const owner = anyOf(isAdmin, member);

/** The actions of a router that give and take its interfaces. */
export const interfaceActions: readonly WriteAction<RouterObject>[] = [
  {
    name: "add_router_interface",
    method: "PUT",
    allowed: owner,
    read: readInterface,
    run: (writing, router, values) => {
      const { subnet_id, port_id } = values as InterfaceBody;
      if (subnet_id !== undefined && port_id !== undefined) throw bad("Cannot specify both subnet-id and port-id");
      if (subnet_id === undefined && port_id === undefined) throw bad("Either subnet_id or port_id must be specified");
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
      if (subnet_id === undefined && port_id === undefined) throw bad("Either subnet_id or port_id must be specified");
      const removed = removeInterface(writing, router, subnet_id, port_id);
      touch(writing, router);
      return interfaceReply(router, removed.port, removed.subnets);
    },
  },
];

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
      throw bad(`${value === null ? "'None'" : pythonString(String(value))} is not a valid UUID`);
  }
  return body;
}

/** The ports of a router. */
export const interfacesOf = (view: View, routerId: string): readonly PortObject[] =>
  view.by(Port.index.router_id, routerId);

/** The subnets that a port has addresses of, once for each address. */
export const subnetsOf = (view: View, port: PortObject): readonly SubnetObject[] =>
  port.fixed_ips.flatMap((fixed) => view.get(Subnet, fixed.subnet_id) ?? []);

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
    ...taggedOf(writing, { project_id: router.project_id, name: "", description: "" }, 1),
    network_id: network.id,
    admin_state_up: true,
    mac_address: pickMac(transaction, network.id, writing.settings.macPrefix),
    fixed_ips: [fixed],
    security_groups: [],
    allowed_address_pairs: [],
    router_id: router.id,
    device_id: router.id,
    device_owner: routerInterface,
    port_security_enabled: false,
    "binding:host_id": "",
    failed_host: "",
    "binding:profile": {},
    "binding:vnic_type": "normal",
    key: pickPortKey(transaction),
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
  const taken = putPort(transaction, {
    ...port,
    router_id: router.id,
    device_id: router.id,
    device_owner: routerInterface,
    "binding:host_id": "",
    failed_host: "",
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
  const there = interfacesOf(view, router.id).flatMap((port) => subnetsOf(view, port));
  for (const subnet of added) {
    if (there.some((other) => other.id === subnet.id)) throw bad(`Router already has a port on subnet ${subnet.id}`);
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
    const needed = router.routes.some((route) => contains(subnet, route.nexthop));
    if (needed) throw fail("RouterInterfaceInUseByRoute", { router_id: router.id, subnet_id: subnet.id });
  }
  const left = port.fixed_ips.filter((fixed) => !going.some((subnet) => subnet.id === fixed.subnet_id));
  if (left.length > 0) putPort(transaction, { ...port, fixed_ips: left });
  else removePort(transaction, port);
  return { port, subnets: going.map((subnet) => subnet.id) };
}

/** Whether the address is one of the subnet's. */
export const contains = (subnet: SubnetObject, address: string): boolean =>
  versionOf(ipOf(address)) === subnet.ip_version && cidrContains(cidrOf(subnet.cidr), ipOf(address));

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
