/**
 * Floating IPs: their address, the machine that each stands for, and the router by which it is reached (Networking v2.0, `/v2.0/floatingips`; Neutron's `l3_db`).
 * The address is kept by a port on the external network that belongs to no project.
 */
import { fail } from "@selvage/base";
import {
  type FixedIp,
  FloatingIp,
  type FloatingIp as FloatingIpObject,
  Host,
  keyOf,
  Network,
  type Network as NetworkObject,
  Port,
  PortForwarding,
  type Port as PortObject,
  Subnet,
  type Subnet as SubnetObject,
  type View,
} from "@selvage/model";
import { pickMac } from "../allocate.ts";
import { anyOf, isAdmin, member, reader } from "../api/policy.ts";
import { addresses, anyAddress, type WantedIp } from "./fixed-ips.ts";
import { nobodys } from "./gateway.ts";
import { unspoken } from "./ndp-proxy.ts";
import { visibleNetwork } from "./network.ts";
import { segmentOf } from "./placement.ts";
import { forwardingsOf, shownIn } from "./port-forwarding.ts";
import { type ResourceRules, taggedOf, type Values, type World, type Writing } from "./rules.ts";
import { putPort, removePort } from "./security-group-sets.ts";

/** What a port that keeps a floating IP's address says of itself. */
export const floatingIpOwner = "network:floatingip";

const owner = anyOf(isAdmin, member);
const bad = (msg: string) => fail("BadRequest", { resource: "floatingip", msg });
const isV4 = ({ ip_address }: FixedIp): boolean => !ip_address.includes(":");

export const floatingIpRules: ResourceRules<typeof FloatingIp> = {
  resource: FloatingIp,
  notFound: (floatingip_id) => fail("FloatingIPNotFound", { floatingip_id }),
  policy: {
    get: anyOf(isAdmin, reader),
    create: owner,
    update: owner,
    delete: owner,
    attributes: { floating_ip_address: { create: isAdmin } },
  },
  target: (_view, object) => ({ projectId: String(object.project_id) }),
  computed: {
    status: (floating, world) =>
      servedPorts(floating, world.view).some((port) => isUp(port, world)) ? "ACTIVE" : "DOWN",
    port_details: (floating, world) => {
      const port = floating.port_id === null ? undefined : world.view.get(Port, floating.port_id);
      return port === undefined ? null : detailsOf(port, world);
    },
    port_forwardings: (floating, { view }) => forwardingsOf(view, floating.id).map(shownIn),
  },
  create: (writing, values) => {
    const { transaction, caller, settings } = writing;
    const { view } = transaction;
    const network = visibleNetwork(view, caller, String(values.floating_network_id));
    if (!network["router:external"]) throw bad(`Network ${network.id} is not a valid external network`);
    const fixed = addressFor(writing, network, values);
    const [dns_name, dns_domain] = [String(values.dns_name), String(values.dns_domain)];
    const isNamed = dns_name !== "" && (dns_domain !== "" || dns_name.endsWith("."));
    // Neither its name nor its dns_name: those are a port's.
    const { name: _none, ...standard } = taggedOf(writing, { ...values, name: "" }, 0);
    const naming = { dns_name, dns_domain, dns_project: isNamed ? standard.project_id : "" };
    const port = putPort(transaction, {
      ...nobodys(writing, network, pickMac(transaction, network.id, settings.macPrefix)),
      fixed_ips: [fixed],
      device_id: standard.id,
      device_owner: floatingIpOwner,
    });
    const floating: FloatingIpObject = {
      ...standard,
      ...naming,
      floating_network_id: network.id,
      floating_ip_address: fixed.ip_address,
      floating_port_id: port.id,
      router_id: null,
      port_id: null,
      fixed_ip_address: null,
    };
    return transaction.put(FloatingIp, { ...floating, ...associated(writing, floating, values) });
  },
  update: (writing, before, values) => {
    const description = String(values.description ?? before.description);
    // To say nothing is to let go: once there was nothing else to say (Neutron's `_update_fip_assoc`).
    const said = Object.keys(values).length === 0 ? { port_id: null } : values;
    return writing.transaction.put(FloatingIp, { ...before, ...associated(writing, before, said), description });
  },
  remove: ({ transaction }, floating, precondition) => {
    if (transaction.view.exists(PortForwarding.index.floatingip_id, floating.id))
      throw fail("FipInUseByPortForwarding", { id: floating.id });
    precondition();
    transaction.remove(FloatingIp, floating.id);
    const port = transaction.view.get(Port, floating.floating_port_id);
    if (port !== undefined) removePort(transaction, port);
  },
};

/** The address that is asked for, or a free one of IPv4. Throws what stands against it. */
function addressFor(writing: Writing, network: NetworkObject, values: Values): FixedIp {
  const subnets = writing.transaction.view.by(Subnet.index.network_id, network.id);
  const fours = subnets.filter((subnet) => subnet.ip_version === 4);
  if (fours.length === 0) throw bad(`Network ${network.id} does not contain any IPv4 subnet`);
  const { floating_ip_address, subnet_id } = values;
  const wanted: WantedIp = {
    ...(typeof floating_ip_address === "string" ? { ip_address: floating_ip_address } : {}),
    ...(typeof subnet_id === "string" ? { subnet_id } : {}),
  };
  const [given] =
    Object.keys(wanted).length === 0
      ? []
      : addresses(writing, network, [wanted], { held: [], mac: "", owner: floatingIpOwner, among: subnets });
  const chosen =
    given ?? anyAddress(writing, network, reachable(writing.transaction.view, network, fours, values.port_id));
  if (!isV4(chosen)) throw fail("ExternalIpAddressExhausted", { net_id: network.id });
  return chosen;
}

/** Of a network with subnets by segment, those of the segment by which the machine's routers go out; all, where nothing says which. */
function reachable(
  view: View,
  network: NetworkObject,
  subnets: readonly SubnetObject[],
  portId: unknown,
): readonly SubnetObject[] {
  const port = typeof portId === "string" ? view.get(Port, portId) : undefined;
  const routers = (port?.fixed_ips ?? [])
    .flatMap(({ subnet_id }) => view.by(Port.index.subnet, subnet_id))
    .flatMap(({ router_id }) => router_id ?? []);
  const segments = new Set(
    routers
      .flatMap((id) => view.by(Port.index.gateway_of, id))
      .filter(({ network_id }) => network_id === network.id)
      .map(({ fixed_ips }) => segmentOf(view, fixed_ips)),
  );
  const found = subnets.filter(({ segment_id }) => segments.has(segment_id));
  return found.length === 0 ? subnets : found;
}

/** A router goes out by one segment, and nobody on another looks for its machines there. Throws BadRequest. */
export function checkSegment(view: View, floating: FloatingIpObject, routerId: string): void {
  const own = view.get(Port, floating.floating_port_id);
  const [gateway] = view.by(Port.index.gateway_of, routerId);
  if (own === undefined || gateway === undefined) return;
  if (segmentOf(view, own.fixed_ips) === segmentOf(view, gateway.fixed_ips)) return;
  throw bad(`Floating IP ${floating.floating_ip_address} is of another segment than the gateway of router ${routerId}`);
}

/** Where a floating IP leads. */
type Association = Pick<FloatingIpObject, "port_id" | "fixed_ip_address" | "router_id">;

/** What a request makes of where a floating IP leads; what it does not name stays (Neutron's `_check_and_get_fip_assoc`). */
function associated(writing: Writing, floating: FloatingIpObject, values: Values): Association {
  const { view } = writing.transaction;
  const { port_id, fixed_ip_address } = values;
  if (typeof fixed_ip_address === "string" && typeof port_id !== "string")
    throw bad("fixed_ip_address cannot be specified without a port_id");
  if (port_id === undefined) {
    const { port_id: port, fixed_ip_address: fixed, router_id } = floating;
    return { port_id: port, fixed_ip_address: fixed, router_id };
  }
  const hasForwardings = view.exists(PortForwarding.index.floatingip_id, floating.id);
  if (port_id === null) {
    // One whose ports are forwarded is its router's though it stands for no machine.
    const router_id = hasForwardings ? floating.router_id : null;
    return { port_id: null, fixed_ip_address: null, router_id };
  }
  if (hasForwardings) throw fail("FipInUseByPortForwarding", { id: floating.id });
  const port = machinePort(writing, String(port_id), floating.project_id);
  const fixed = fixedIpOf(port, typeof fixed_ip_address === "string" ? fixed_ip_address : undefined);
  const router_id = routerFor(view, port, fixed, floating.floating_network_id);
  checkAlone(view, floating, port, fixed);
  checkSegment(view, floating, router_id);
  return { port_id: port.id, fixed_ip_address: fixed.ip_address, router_id };
}

/** A port that the caller may put behind a floating IP. Throws PortNotFound, BadRequest. */
function machinePort({ transaction, caller }: Writing, id: string, projectId: string): PortObject {
  const port = transaction.view.get(Port, id);
  const isAdmins = caller.roles.has("admin");
  const isSeen = (seen: PortObject): boolean =>
    isAdmins ||
    [seen.project_id, transaction.view.get(Network, seen.network_id)?.project_id].includes(caller.projectId ?? "");
  if (port === undefined || !isSeen(port)) throw fail("PortNotFound", { id });
  if (port.project_id !== projectId && !isAdmins)
    throw bad(
      `Cannot process floating IP association with Port ${id}, since that port is owned by a different project`,
    );
  return port;
}

function fixedIpOf(port: PortObject, wanted: string | undefined): FixedIp {
  if (wanted !== undefined) {
    if (wanted.includes(":"))
      throw bad(`Cannot create floating IP and bind it to ${wanted}, since that is not an IPv4 address`);
    const found = port.fixed_ips.find((fixed) => fixed.ip_address === wanted);
    if (found === undefined) throw bad(`Port ${port.id} does not have fixed ip ${wanted}`);
    return found;
  }
  const [fixed, ...more] = port.fixed_ips.filter(isV4);
  if (fixed === undefined) throw bad(`Cannot add floating IP to port ${port.id} that has no fixed IPv4 addresses`);
  if (more.length > 0)
    throw bad(
      `Port ${port.id} has multiple fixed IPv4 addresses.  Must provide a specific IPv4 address when assigning a floating IP`,
    );
  return fixed;
}

/**
 * The router that joins the address's subnet to the external network; of several, the one that the subnet's machines go by.
 * Throws ExternalGatewayForFloatingIPNotFound.
 */
export function routerFor(view: View, port: PortObject, { subnet_id }: FixedIp, external_network_id: string): string {
  const gateway = view.get(Subnet, subnet_id)?.gateway_ip;
  const joined = view
    .by(Port.index.subnet, subnet_id)
    .filter(({ router_id }) => router_id !== null)
    .filter(({ router_id }) =>
      view.by(Port.index.gateway_of, router_id ?? "").some(({ network_id }) => network_id === external_network_id),
    );
  const best = joined.find(({ fixed_ips }) => fixed_ips.some(({ ip_address }) => ip_address === gateway)) ?? joined[0];
  if (best?.router_id == null)
    throw fail("ExternalGatewayForFloatingIPNotFound", { external_network_id, subnet_id, port_id: port.id });
  return best.router_id;
}

/** Throws when something else stands for the machine's address there already. */
function checkAlone(view: View, floating: FloatingIpObject, port: PortObject, { ip_address: fixed_ip }: FixedIp): void {
  const { id: fip_id, floating_ip_address, floating_network_id: net_id } = floating;
  const said = { floating_ip_address, fip_id, port_id: port.id, fixed_ip };
  const others = view.by(FloatingIp.index.fixed, keyOf(net_id, port.id, fixed_ip));
  if (others.some(({ id }) => id !== fip_id)) throw fail("FloatingIPPortAlreadyAssociated", { ...said, net_id });
  const forwarded = view.by(PortForwarding.index.internal_port_id, port.id);
  if (forwarded.some(({ internal_ip_address }) => internal_ip_address === fixed_ip))
    throw fail("PortHasPortForwarding", said);
}

/** The machines' ports that a floating IP leads to. */
function servedPorts(floating: FloatingIpObject, view: View): readonly PortObject[] {
  const ids = [floating.port_id, ...forwardingsOf(view, floating.id).map(({ internal_port_id }) => internal_port_id)];
  return ids.flatMap((id) => (id === null ? [] : (view.get(Port, id) ?? [])));
}

function isUp(port: PortObject, { view, hosts }: World): boolean {
  const [host] = view.by(Host.index.name, port["binding:host_id"]);
  return host !== undefined && hosts.portUp(host.id, port.id);
}

function detailsOf(port: PortObject, world: World): Values {
  const { name, network_id, mac_address, admin_state_up, device_id, device_owner } = port;
  const status = isUp(port, world) ? "ACTIVE" : "DOWN";
  return { name, network_id, mac_address, admin_state_up, status, device_id, device_owner };
}

/** A port that goes, or loses addresses, is stood for no more. `left`: the addresses that it keeps. */
export function leaveOutside(
  { transaction }: Pick<Writing, "transaction">,
  port: PortObject,
  left: ReadonlySet<string>,
): void {
  const { view } = transaction;
  unspoken({ transaction }, port, left);
  for (const floating of view.by(FloatingIp.index.port_id, port.id)) {
    if (floating.fixed_ip_address !== null && left.has(floating.fixed_ip_address)) continue;
    transaction.put(FloatingIp, { ...floating, router_id: null, port_id: null, fixed_ip_address: null });
  }
  for (const forwarding of view.by(PortForwarding.index.internal_port_id, port.id)) {
    if (left.has(forwarding.internal_ip_address)) continue;
    transaction.remove(PortForwarding, forwarding.id);
    settleForwarded(transaction, forwarding.floatingip_id);
  }
}

/** A floating IP whose last forwarded port went is no router's any more. */
export function settleForwarded(transaction: Writing["transaction"], floatingIpId: string): void {
  const { view } = transaction;
  const floating = view.get(FloatingIp, floatingIpId);
  if (floating === undefined || floating.port_id !== null || floating.router_id === null) return;
  if (view.exists(PortForwarding.index.floatingip_id, floatingIpId)) return;
  transaction.put(FloatingIp, { ...floating, router_id: null });
}
