/** Ports: addresses, MAC, binding, and who may name which of them (Networking v2.0, `/v2.0/ports`; binding and port-security extensions). */
import { fail } from "@selvage/base";
import {
  type AskedDhcpOption,
  dnsAssignment,
  type ExtraDhcpOption,
  type FixedIp,
  Host,
  type Host as HostObject,
  InvalidValue,
  isMulticastMac,
  longestDnsName,
  macOf,
  mergedDhcpOptions,
  Network,
  type Network as NetworkObject,
  Port,
  type Port as PortObject,
  type View,
  zoneOf,
} from "@selvage/model";
import { pickMac, pickPortKey } from "../allocate.ts";
import {
  anybody,
  anyOf,
  isAdmin,
  member,
  networkOwner,
  networkReader,
  notNetworkDevice,
  reader,
  shared,
} from "../api/policy.ts";
import { withAutomatic } from "./automatic-addresses.ts";
import { addresses, defaultAddresses, type WantedIp } from "./fixed-ips.ts";
import { floatingIpOwner, leaveOutside } from "./floating-ip.ts";
import { hostGatewayOwner } from "./host-gateways.ts";
import { checkReach, visibleNetwork } from "./network.ts";
import { addressesGiven, allocationOf, automaticSubnets, checkFits, segmentsAt, subnetsAt } from "./placement.ts";
import { checkedPairs, checkSecured, groupsOf, securedUpdate } from "./port-security.ts";
import { type ResourceRules, taggedOf, type Values, type World } from "./rules.ts";
import { isPlatforms, putPort, removePort } from "./security-group-sets.ts";
import { sharingOf } from "./sharing.ts";

const ownerOfNetwork = anyOf(isAdmin, networkOwner);
const ownerOrSharer = anyOf(isAdmin, networkOwner, shared);

export const portRules: ResourceRules<typeof Port> = {
  resource: Port,
  standsOnNetwork: true,
  notFound: (id) => fail("PortNotFound", { id }),
  policy: {
    get: anyOf(isAdmin, reader, networkReader),
    create: anyOf(isAdmin, member),
    update: anyOf(isAdmin, member),
    delete: anyOf(isAdmin, member, networkOwner),
    attributes: {
      mac_address: { create: ownerOfNetwork, update: isAdmin },
      fixed_ips: {
        create: ownerOrSharer,
        update: ownerOfNetwork,
        members: {
          ip_address: { create: ownerOfNetwork, update: ownerOfNetwork },
          subnet_id: { create: ownerOrSharer, update: ownerOrSharer },
        },
      },
      device_owner: {
        create: anyOf(notNetworkDevice, isAdmin, networkOwner),
        update: anyOf(notNetworkDevice, isAdmin, networkOwner),
      },
      port_security_enabled: { create: ownerOfNetwork, update: ownerOfNetwork },
      allowed_address_pairs: {
        create: ownerOfNetwork,
        update: ownerOfNetwork,
        members: {
          mac_address: { create: ownerOfNetwork, update: ownerOfNetwork },
          ip_address: { create: ownerOfNetwork, update: ownerOfNetwork },
        },
      },
      "binding:host_id": { create: isAdmin, update: isAdmin },
      "binding:profile": { create: isAdmin, update: isAdmin },
      "binding:vnic_type": { create: anybody, update: anybody },
    },
  },
  target: (view, object) => ({
    projectId: String(object.project_id),
    network: view.get(Network, String(object.network_id)),
    sharedWith: sharingOf(view, "network", String(object.network_id)),
    deviceOwner: String(object.device_owner ?? ""),
  }),
  alsoVisible: function* (view, caller) {
    if (caller.projectId === undefined) return;
    for (const network of view.by(Network.index.project_id, caller.projectId)) {
      yield* view.by(Port.index.network_id, network.id);
    }
  },
  computed: {
    status: (port, world) => {
      // A router is wherever it is needed, and a floating IP's port is no machine's.
      if (port.router_id !== null || port.gateway_of !== null) return "ACTIVE";
      if (port.device_owner === floatingIpOwner) return "N/A";
      const host = hostOf(port, world.view);
      return host !== undefined && world.hosts.portUp(host.id, port.id) ? "ACTIVE" : "DOWN";
    },
    dns_assignment: (port, { view }) => {
      const network = view.get(Network, port.network_id);
      return network === undefined ? [] : dnsAssignment(port, zoneOf(network));
    },
    "binding:vif_type": vifType,
    "binding:vif_details": (port, world) => (vifType(port, world) === "ovs" ? vifDetails(port, world) : {}),
  },
  shown: { "binding:host_id": (port) => (port.failed_host === "" ? port["binding:host_id"] : port.failed_host) },
  filters: {
    fixed_ips: fixedIpsFilter,
    security_groups: (ids) => (port) => port.security_groups.some((id) => ids.includes(id)),
  },
  create: (writing, values) => {
    const { transaction, caller, settings } = writing;
    const network = visibleNetwork(transaction.view, caller, String(values.network_id));
    const binding = bindingOf(transaction.view, String(values["binding:host_id"]));
    checkReach(transaction.view, network, binding["binding:host_id"]);
    const naming = { dns_name: String(values.dns_name), dns_domain: String(values.dns_domain) };
    checkName(naming, network);
    const wanted = values.fixed_ips as readonly WantedIp[] | undefined;
    const given = values.mac_address;
    const owner = String(values.device_owner);
    const mac = typeof given === "string" ? unicast(given) : pickMac(transaction, network.id, settings.macPrefix);
    const { view } = transaction;
    const host = binding["binding:host_id"];
    const fixed =
      wanted === undefined
        ? defaultAddresses(writing, network, owner, subnetsAt(view, network, host))
        : addresses(writing, network, wanted, { held: [], mac, owner, among: addressesGiven(view, network, host) });
    const fixed_ips = withAutomatic(automaticSubnets(view, network, host, fixed), mac, owner, fixed);
    const standard = taggedOf(writing, values, 1);
    // The platform's own ports are trusted, whatever is said (Neutron's `is_port_trusted`).
    const port_security_enabled =
      !isPlatforms(owner) && ((values.port_security_enabled as boolean | undefined) ?? network.port_security_enabled);
    const pairs = checkedPairs(values.allowed_address_pairs, mac);
    checkSecured({ ...values, allowed_address_pairs: pairs, port_security_enabled });
    return putPort(transaction, {
      ...standard,
      network_id: network.id,
      admin_state_up: values.admin_state_up === true,
      mac_address: mac,
      fixed_ips,
      ip_allocation: allocationOf(view, network, fixed_ips, wanted),
      security_groups: groupsOf(writing, { ...standard, device_owner: owner, port_security_enabled }, values),
      allowed_address_pairs: pairs,
      router_id: null,
      gateway_of: null,
      device_id: String(values.device_id),
      device_owner: owner,
      ...naming,
      user_data: "",
      extra_dhcp_opts: dhcpOptionsOf([], values),
      port_security_enabled,
      ...binding,
      "binding:profile": values["binding:profile"] as PortObject["binding:profile"],
      "binding:vnic_type": "normal",
      key: pickPortKey(transaction),
    });
  },
  update: (writing, before, values) => {
    const network = writing.transaction.view.get(Network, before.network_id);
    if (network === undefined) throw fail("NetworkNotFound", { id: before.network_id });
    if ("dns_name" in values || "dns_domain" in values) checkName({ ...before, ...values }, network);
    const wanted = values.fixed_ips as readonly WantedIp[] | undefined;
    const mac = typeof values.mac_address === "string" ? unicast(values.mac_address) : before.mac_address;
    const owner = String(values.device_owner ?? before.device_owner);
    const { view } = writing.transaction;
    const { fixed_ips: held } = before;
    const host = values["binding:host_id"];
    const again = host === before["binding:host_id"] && before.failed_host === "";
    const binding = typeof host === "string" && !again ? bindingOf(view, host) : undefined;
    const at = binding?.["binding:host_id"] ?? before["binding:host_id"];
    const isPlaced = wanted === undefined && binding !== undefined && at !== "";
    const isLate = isPlaced && before.ip_allocation === "deferred";
    if (isPlaced && !isLate) checkFits(view, network, before, at);
    const given =
      wanted !== undefined
        ? addresses(writing, network, wanted, { held, mac, owner, among: addressesGiven(view, network, at) })
        : isLate
          ? defaultAddresses(writing, network, owner, subnetsAt(view, network, at))
          : held;
    if (before.router_id !== null) checkRouterPort(before, { ...values, fixed_ips: given });
    if (isOutside(before)) checkOutsidePort(before, values);
    const moved = wanted !== undefined || isLate || mac !== before.mac_address;
    if (binding !== undefined) checkReach(view, network, binding["binding:host_id"]);
    const secured = securedUpdate(writing, before, values, mac);
    const fixed_ips = moved ? withAutomatic(automaticSubnets(view, network, at, given), mac, owner, given) : held;
    if (moved) leaveOutside(writing, before, new Set(fixed_ips.map(({ ip_address }) => ip_address)));
    return putPort(writing.transaction, {
      ...before,
      ...values,
      ...binding,
      ...secured,
      extra_dhcp_opts: dhcpOptionsOf(before.extra_dhcp_opts, values),
      mac_address: mac,
      fixed_ips,
      ip_allocation:
        wanted === undefined && !isLate ? before.ip_allocation : allocationOf(view, network, fixed_ips, wanted),
    });
  },
  remove: (writing, port, precondition) => {
    if (port.router_id !== null || isOutside(port))
      throw fail("ServicePortInUse", { port_id: port.id, reason: `has device owner ${port.device_owner}` });
    precondition();
    leaveOutside(writing, port, new Set());
    removePort(writing.transaction, port);
  },
};

/** What a port has of DHCP options after a request. Throws AttributeInvalid for too many. */
function dhcpOptionsOf(before: readonly ExtraDhcpOption[], { extra_dhcp_opts = [] }: Values) {
  try {
    return mergedDhcpOptions(before, extra_dhcp_opts as readonly AskedDhcpOption[]);
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error;
    throw fail("AttributeInvalid", { attribute: "extra_dhcp_opts", reason: error.reason });
  }
}

/** A name that is complete is of the port's zone, and one that is not is no longer than a name may be with its zone. Throws HTTPBadRequest. */
function checkName(port: Pick<PortObject, "dns_name" | "dns_domain">, network: NetworkObject): void {
  const { dns_name, dns_domain } = port;
  const zone = dns_domain === "" ? zoneOf(network) : dns_domain;
  const refuse = (reason: string): never => {
    throw fail("HTTPBadRequest", {
      message: `Invalid input for dns_name. Reason: '${dns_name}' not a valid PQDN or FQDN. Reason: ${reason}.`,
    });
  };
  if (dns_name.endsWith(".")) {
    if (!dns_name.endsWith(`.${zone}`))
      refuse(
        `The dns_name passed is a FQDN. Its higher level labels must be equal to the dns_domain, that has been set to '${zone}'. It must also include one or more valid DNS labels to the left of '${zone}'`,
      );
  } else if (dns_name !== "" && `${dns_name}.${zone}`.length > longestDnsName)
    refuse(
      `The dns_name passed is a PQDN and its size is '${dns_name.length}'. The dns_domain is ${zone}, with a length of '${zone.length}'. When the two are concatenated to form a FQDN (with a '.' at the end), the resulting length exceeds the maximum size of '${longestDnsName}'`,
    );
}

/**
 * What makes a port a router's interface is changed by the router's own actions: to which subnets it belongs, that is, not which of
 * their addresses it has. Throws InvalidInput.
 */
function checkRouterPort(port: PortObject, values: Values & Pick<PortObject, "fixed_ips">): void {
  for (const name of ["fixed_ips", "device_id", "device_owner", "binding:host_id"] as const) {
    const value = name === "fixed_ips" ? subnetsIn(values.fixed_ips) : values[name];
    const held = name === "fixed_ips" ? subnetsIn(port.fixed_ips) : port[name];
    if (value === undefined || value === held) continue;
    throw fail("InvalidInput", {
      error_message: `${name} of a router's interface cannot be changed: remove the interface from router ${port.router_id} and add it again`,
    });
  }
}

/** A router's gateway, or what keeps a floating IP's address or a host's. */
const isOutside = ({ gateway_of, project_id, device_owner }: PortObject): boolean =>
  gateway_of !== null || (project_id === "" && [floatingIpOwner, hostGatewayOwner].includes(device_owner));

/** What a gateway and a floating IP's port are is said of the router and of the floating IP. Throws InvalidInput. */
function checkOutsidePort(port: PortObject, values: Values): void {
  for (const name of ["fixed_ips", "mac_address", "device_id", "device_owner", "binding:host_id"] as const) {
    if (values[name] === undefined || values[name] === port[name]) continue;
    throw fail("InvalidInput", {
      error_message: `${name} of a port with device owner ${port.device_owner} cannot be changed: change what it is of, ${port.device_id}`,
    });
  }
}

const subnetsIn = (fixed: readonly FixedIp[]): string =>
  fixed
    .map((each) => each.subnet_id)
    .sort()
    .join();

/** What Nova plugs a machine's interface by (Neutron, `mech_openvswitch`): the type of the datapath is the host's, as its agent is told it. */
function vifDetails(port: PortObject, world: World) {
  const host = hostOf(port, world.view);
  const said = host === undefined ? undefined : world.hosts.of(host.id).datapathType;
  return {
    connectivity: "l2",
    port_filter: true,
    ovs_hybrid_plug: false,
    datapath_type: said ?? "system",
    bridge_name: "br-int",
  };
}

function hostOf(port: PortObject, view: View): HostObject | undefined {
  const name = port["binding:host_id"];
  return name === "" ? undefined : view.by(Host.index.name, name)[0];
}

/** Where a port that is to be on a host is: nowhere, when the host is shut for new ports. */
function bindingOf(view: View, host: string): Pick<PortObject, "binding:host_id" | "failed_host"> {
  const shut = host !== "" && view.by(Host.index.name, host)[0]?.admin_state_up === false;
  return shut ? { "binding:host_id": "", failed_host: host } : { "binding:host_id": host, failed_host: "" };
}

/** `unbound` names no host, `binding_failed` one that is not known, not alive, without the physical network, or was shut when it was named. */
function vifType(port: PortObject, world: World): "unbound" | "binding_failed" | "ovs" {
  if (port.failed_host !== "") return "binding_failed";
  if (port["binding:host_id"] === "") return "unbound";
  const host = hostOf(port, world.view);
  if (host === undefined || !world.hosts.alive(host.id)) return "binding_failed";
  const network = world.view.get(Network, port.network_id);
  return network === undefined || segmentsAt(world.view, network, host.name).length > 0 ? "ovs" : "binding_failed";
}

/** A machine has one address of its own: a group's cannot be it (IEEE 802.3, the lowest bit of the first byte). */
function unicast(mac: string): string {
  if (isMulticastMac(macOf(mac)) || mac === "00:00:00:00:00:00") {
    throw fail("AttributeInvalid", { attribute: "mac_address", reason: `'${mac}' is not a valid MAC address` });
  }
  return mac;
}

/** `fixed_ips=ip_address=A&fixed_ips=subnet_id=S`: one address of the port meets every named key; values of one key are alternatives. */
function fixedIpsFilter(values: readonly string[]): (port: PortObject) => boolean {
  const wanted = new Map<(typeof meetings)[number][1], string[]>();
  for (const value of values) {
    const [name = "", text = ""] = value.split(/=(.*)/s);
    const meets = meetings.find(([key]) => key === name)?.[1];
    if (meets === undefined) {
      throw fail("InvalidInput", { error_message: `'${value}' is not supported for filtering by fixed_ips` });
    }
    wanted.set(meets, [...(wanted.get(meets) ?? []), text]);
  }
  return (port) =>
    port.fixed_ips.some((fixed) => [...wanted].every(([meets, texts]) => texts.some((text) => meets(fixed, text))));
}

/** How an address meets each key; a part of its text is asked for by `ip-substring-filtering`. */
const meetings = [
  ["ip_address", (fixed: FixedIp, text: string) => fixed.ip_address === text],
  ["subnet_id", (fixed: FixedIp, text: string) => fixed.subnet_id === text],
  ["ip_address_substr", (fixed: FixedIp, text: string) => fixed.ip_address.includes(text)],
] as const;
