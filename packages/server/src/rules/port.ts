/** Ports: addresses, MAC, binding, and who may name which of them (Networking v2.0, `/v2.0/ports`; binding and port-security extensions). */
import { fail } from "@selvage/base";
import {
  cidrContains,
  cidrOf,
  type FixedIp,
  Host,
  type Host as HostObject,
  ipOf,
  isMulticastMac,
  keyOf,
  macOf,
  Network,
  type Network as NetworkObject,
  Port,
  type Port as PortObject,
  Subnet,
  type Subnet as SubnetObject,
  type View,
} from "@selvage/model";
import { pickAddress, pickMac, pickPortKey } from "../allocate.ts";
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
import { automaticAddress, isAutomatic, makesAddresses, withAutomatic } from "./automatic-addresses.ts";
import { checkReach, seesNetwork, visibleNetwork } from "./network.ts";
import { checkedPairs, checkSecured, groupsOf, securedUpdate } from "./port-security.ts";
import { type ResourceRules, taggedOf, type Values, type World, type Writing } from "./rules.ts";
import { isPlatforms, putPort, removePort } from "./security-group-sets.ts";
import { sharingOf } from "./sharing.ts";
import { isHostAddress } from "./subnet.ts";

const fixedIpLimit = 5;

/** What a caller may say of one address: a subnet, an address, or both. */
type WantedIp = Partial<FixedIp>;

const ownerOfNetwork = anyOf(isAdmin, networkOwner);
const ownerOrSharer = anyOf(isAdmin, networkOwner, shared);

export const portRules: ResourceRules<typeof Port> = {
  resource: Port,
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
      // A router is wherever it is needed.
      if (port.router_id !== null) return "ACTIVE";
      const host = hostOf(port, world.view);
      return host !== undefined && world.hosts.portUp(host.id, port.id) ? "ACTIVE" : "DOWN";
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
    const wanted = values.fixed_ips as readonly WantedIp[] | undefined;
    const given = values.mac_address;
    const owner = String(values.device_owner);
    const mac = typeof given === "string" ? unicast(given) : pickMac(transaction, network.id, settings.macPrefix);
    const fixed =
      wanted === undefined
        ? defaultAddresses(writing, network, owner)
        : addresses(writing, network, wanted, { held: [], mac, owner });
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
      fixed_ips: withAutomatic(transaction.view, network.id, mac, owner, fixed),
      security_groups: groupsOf(writing, { ...standard, device_owner: owner, port_security_enabled }, values),
      allowed_address_pairs: pairs,
      router_id: null,
      device_id: String(values.device_id),
      device_owner: owner,
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
    const wanted = values.fixed_ips as readonly WantedIp[] | undefined;
    const mac = typeof values.mac_address === "string" ? unicast(values.mac_address) : before.mac_address;
    const owner = String(values.device_owner ?? before.device_owner);
    const { view } = writing.transaction;
    const { fixed_ips: held } = before;
    const given = wanted === undefined ? held : addresses(writing, network, wanted, { held, mac, owner });
    if (before.router_id !== null) checkRouterPort(before, { ...values, fixed_ips: given });
    const moved = wanted !== undefined || mac !== before.mac_address;
    const host = values["binding:host_id"];
    const again = host === before["binding:host_id"] && before.failed_host === "";
    const binding = typeof host === "string" && !again ? bindingOf(view, host) : undefined;
    if (binding !== undefined) checkReach(view, network, binding["binding:host_id"]);
    const secured = securedUpdate(writing, before, values, mac);
    return putPort(writing.transaction, {
      ...before,
      ...values,
      ...binding,
      ...secured,
      mac_address: mac,
      fixed_ips: moved ? withAutomatic(view, network.id, mac, owner, given) : held,
    });
  },
  remove: (writing, port, precondition) => {
    if (port.router_id !== null)
      throw fail("ServicePortInUse", { port_id: port.id, reason: `has device owner ${port.device_owner}` });
    precondition();
    removePort(writing.transaction, port);
  },
};

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

/** `unbound` names no host, `binding_failed` one that is not known, not alive, or was shut when it was named. */
function vifType(port: PortObject, world: World): "unbound" | "binding_failed" | "ovs" {
  if (port.failed_host !== "") return "binding_failed";
  if (port["binding:host_id"] === "") return "unbound";
  const host = hostOf(port, world.view);
  return host !== undefined && world.hosts.alive(host.id) ? "ovs" : "binding_failed";
}

/** A machine has one address of its own: a group's cannot be it (IEEE 802.3, the lowest bit of the first byte). */
function unicast(mac: string): string {
  if (isMulticastMac(macOf(mac)) || mac === "00:00:00:00:00:00") {
    throw fail("AttributeInvalid", { attribute: "mac_address", reason: `'${mac}' is not a valid MAC address` });
  }
  return mac;
}

/** One address of each family that the network has, of subnets on which it does not make its own. Throws IpAddressGenerationFailure when a family has none left. */
function defaultAddresses(writing: Writing, network: NetworkObject, owner: string): readonly FixedIp[] {
  const all = writing.transaction.view.by(Subnet.index.network_id, network.id);
  const subnets = makesAddresses(owner) ? all.filter((subnet) => !isAutomatic(subnet)) : all;
  const chosen: FixedIp[] = [];
  for (const version of [4, 6] as const) {
    const family = subnets.filter((subnet) => subnet.ip_version === version);
    if (family.length === 0) continue;
    const found = firstFree(writing, family, new Set());
    if (found === undefined) throw fail("IpAddressGenerationFailure", { net_id: network.id });
    chosen.push(found);
  }
  return chosen;
}

function firstFree(
  writing: Writing,
  subnets: readonly SubnetObject[],
  taken: ReadonlySet<string>,
): FixedIp | undefined {
  for (const subnet of subnets) {
    const ip = pickAddress(writing.transaction, subnet, taken);
    if (ip !== undefined) return { subnet_id: subnet.id, ip_address: ip };
  }
  return undefined;
}

/** What a port has before it gets addresses. */
interface Holder {
  readonly held: readonly FixedIp[];
  readonly mac: string;
  readonly owner: string;
}

/** The addresses that a caller asked for, less those that the port makes itself; those that the port had already and that fit stay. */
function addresses(
  writing: Writing,
  network: NetworkObject,
  asked: readonly WantedIp[],
  holder: Holder,
): readonly FixedIp[] {
  if (asked.length > fixedIpLimit) {
    throw fail("InvalidInput", { error_message: "Exceeded maximum amount of fixed ips per port" });
  }
  const { held } = holder;
  const wanted = asked.filter((each) => !makes(writing, network, each, holder));
  const chosen: FixedIp[] = [];
  // What is named comes first, so that what is picked keeps clear of it; the reply keeps the order asked for.
  const named = wanted.map((each) => (each.ip_address === undefined ? undefined : exact(writing, network, each)));
  for (const each of named) if (each !== undefined) claim(writing, chosen, each);
  const free = held.filter((each) => !chosen.some((other) => other.ip_address === each.ip_address));
  return wanted.map((each, index) => {
    const exactly = named[index];
    if (exactly !== undefined) return exactly;
    const subnet = subnetOf(writing, network, each.subnet_id);
    const kept = free.findIndex((other) => other.subnet_id === subnet.id);
    const [again] = kept < 0 ? [] : free.splice(kept, 1);
    const taken = new Set(chosen.map((other) => other.ip_address));
    const picked = again ?? firstFree(writing, [subnet], taken);
    if (picked === undefined) throw fail("IpAddressGenerationFailureForSubnet", { subnet_id: subnet.id });
    chosen.push(picked);
    return picked;
  });
}

/** Whether what is asked for is an address that the port makes itself. Throws AllocationOnAutoAddressSubnet for another one there. */
function makes(writing: Writing, network: NetworkObject, wanted: WantedIp, { held, mac, owner }: Holder): boolean {
  if (!makesAddresses(owner)) return false;
  const { view } = writing.transaction;
  const { subnet_id, ip_address } = wanted;
  const subnet = view
    .by(Subnet.index.network_id, network.id)
    .find((each) =>
      subnet_id === undefined
        ? ip_address !== undefined && cidrContains(cidrOf(each.cidr), ipOf(ip_address))
        : each.id === subnet_id,
    );
  if (subnet === undefined || !isAutomatic(subnet)) return false;
  const has = (fixed: FixedIp): boolean => fixed.subnet_id === subnet.id && fixed.ip_address === ip_address;
  if (ip_address === undefined || has(automaticAddress(subnet, mac)) || held.some(has)) return true;
  throw fail("AllocationOnAutoAddressSubnet", { ip: ip_address, subnet_id: subnet.id });
}

/** Two entries of one request for one address are a conflict of the request with itself. */
function claim(writing: Writing, chosen: FixedIp[], wanted: FixedIp): void {
  const twice = chosen.some(
    (each) => keyOf(each.subnet_id, each.ip_address) === keyOf(wanted.subnet_id, wanted.ip_address),
  );
  if (twice) throw fail("IpAddressAlreadyAllocated", { ip: wanted.ip_address, subnet_id: wanted.subnet_id });
  writing.transaction.view.exists(Port.index.address, keyOf(wanted.subnet_id, wanted.ip_address));
  chosen.push(wanted);
}

function exact(writing: Writing, network: NetworkObject, wanted: WantedIp): FixedIp {
  const text = String(wanted.ip_address);
  const ip = ipOf(text);
  if (wanted.subnet_id !== undefined) {
    const subnet = subnetOf(writing, network, wanted.subnet_id);
    if (!isHostAddress(cidrOf(subnet.cidr), ip)) throw fail("InvalidIpForSubnet", { ip_address: text });
    return { subnet_id: subnet.id, ip_address: text };
  }
  const found = writing.transaction.view
    .by(Subnet.index.network_id, network.id)
    .find((subnet) => cidrContains(cidrOf(subnet.cidr), ip));
  if (found === undefined) throw fail("InvalidIpForNetwork", { ip_address: text });
  if (!isHostAddress(cidrOf(found.cidr), ip)) throw fail("InvalidIpForSubnet", { ip_address: text });
  return { subnet_id: found.id, ip_address: text };
}

function subnetOf(writing: Writing, network: NetworkObject, id: string | undefined): SubnetObject {
  if (id === undefined) {
    throw fail("InvalidInput", { error_message: "IP allocation requires subnet_id or ip_address" });
  }
  const { transaction, caller } = writing;
  const subnet = transaction.view.get(Subnet, id);
  if (subnet === undefined) throw fail("SubnetNotFound", { id });
  if (subnet.network_id !== network.id) {
    // One that the caller may not see is not there for it.
    if (!seesNetwork(transaction.view, caller, subnet.network_id)) throw fail("SubnetNotFound", { id });
    throw fail("InvalidInput", {
      error_message: `Failed to create port on network ${network.id}, because fixed_ips included invalid subnet ${id}`,
    });
  }
  return subnet;
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
