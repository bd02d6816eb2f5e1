/** Networks: who may do what, their MTU and tunnel key, and when they may go (Networking v2.0, `/v2.0/networks`). */
import { fail } from "@selvage/base";
import {
  accessAsShared,
  everyProject,
  Network,
  type Network as NetworkObject,
  Port,
  Subnet,
  type View,
} from "@selvage/model";
import { pickNetworkKey } from "../allocate.ts";
import { anyOf, type Caller, isAdmin, member, reader, shared } from "../api/policy.ts";
import { largestMtu, type ServerSettings } from "../settings.ts";
import { addressScopeOf, giveBack } from "./pool-space.ts";
import { type ResourceRules, taggedOf, type Values, type Writing } from "./rules.ts";
import { isNeeded, isSharedWith, share, sharedField, sharedObjects, sharingOf, unshare } from "./sharing.ts";
import { checkedZones, zonesOf } from "./zones.ts";

/** Smallest MTU that IPv4 allows (RFC 791). */
const smallestMtu = 68;

/** How a network may cross the underlay, with what its header is smaller than Geneve's with one option of 12 bytes (RFC 7348, RFC 8926): bytes. */
const types: ReadonlyMap<unknown, number> = new Map([
  ["geneve", 0],
  ["vxlan", 16],
]);

/** Hosts on which a VXLAN network may have ports: a flooded frame goes to each of them, and no host passes it on. */
export const vxlanHosts = 256;

export const networkRules: ResourceRules<typeof Network> = {
  resource: Network,
  notFound: (id) => fail("NetworkNotFound", { id }),
  policy: {
    get: anyOf(isAdmin, reader, shared),
    create: anyOf(isAdmin, member),
    update: anyOf(isAdmin, member),
    delete: anyOf(isAdmin, member),
    attributes: {
      shared: { create: isAdmin, update: isAdmin },
      "provider:network_type": { create: isAdmin, update: isAdmin },
      "provider:physical_network": { create: isAdmin, update: isAdmin },
      "provider:segmentation_id": { create: isAdmin, update: isAdmin },
    },
  },
  target: (view, object) => ({
    projectId: String(object.project_id),
    // A stored network, or the values of one to be: its owner is all that the policy reads of it.
    network: object as unknown as NetworkObject,
    sharedWith: sharingOf(view, "network", String(object.id)),
  }),
  alsoVisible: (view, caller) => sharedObjects(view, Network, "network", caller.projectId),
  sharing: {
    actions: [accessAsShared, "access_as_external"],
    users: (view, network) => view.by(Port.index.network_id, network.id).map((port) => port.project_id),
    needed: (network) => fail("InvalidSharedSetting", { network: network.id }).message,
  },
  computed: {
    status: () => "ACTIVE",
    shared: sharedField("network"),
    ipv4_address_scope: (network, { view }) => addressScopeOf(view, network.id, 4) ?? null,
    ipv6_address_scope: (network, { view }) => addressScopeOf(view, network.id, 6) ?? null,
    availability_zones: (network, { view }) => zonesOf(view, [network.id]),
    subnets: (network, { view }) => view.by(Subnet.index.network_id, network.id).map((subnet) => subnet.id),
    "provider:physical_network": () => null,
  },
  create: (writing, values) => {
    const type = checkProvider(values);
    const given = values["provider:segmentation_id"];
    const network = writing.transaction.put(Network, {
      ...taggedOf(writing, values, 1),
      admin_state_up: values.admin_state_up === true,
      mtu: mtuOf(values.mtu, type, writing.settings),
      port_security_enabled: values.port_security_enabled === true,
      availability_zone_hints: checkedZones(writing.transaction.view, values.availability_zone_hints),
      "router:external": false,
      is_default: false,
      key: null,
      "provider:physical_network": null,
      "provider:network_type": type,
      "provider:segmentation_id": typeof given === "number" ? given : pickNetworkKey(writing.transaction),
    });
    if (values.shared === true) share(writing, "network", network);
    return network;
  },
  update: (writing, before, values) => {
    const fixed = Object.keys(values).filter((name) => name.startsWith("provider:"));
    if (fixed.length > 0) {
      throw fail("InvalidInput", {
        error_message: `Plugin does not support updating the following provider network attributes: ${fixed.join(", ")}`,
      });
    }
    const { shared: wanted, ...rest } = values;
    setShared(writing, before, wanted);
    const mtu = "mtu" in values ? mtuOf(values.mtu, before["provider:network_type"], writing.settings) : before.mtu;
    return writing.transaction.put(Network, { ...before, ...rest, mtu });
  },
  remove: (writing, network, precondition) => {
    const { view } = writing.transaction;
    if (view.exists(Port.index.network_id, network.id)) {
      const ports = view.by(Port.index.network_id, network.id).map((port) => port.id);
      throw fail("NetworkInUse", { net_id: network.id, ports: ports.join(",") });
    }
    precondition();
    for (const subnet of view.by(Subnet.index.network_id, network.id)) giveBack(writing.transaction, subnet);
    writing.transaction.remove(Network, network.id);
  },
};

/** The network if the caller may see it. Throws NetworkNotFound, also for one that is another project's. */
export function visibleNetwork(view: View, caller: Caller, id: string): NetworkObject {
  const network = view.get(Network, id);
  if (network === undefined || !seesNetwork(view, caller, id)) throw fail("NetworkNotFound", { id });
  return network;
}

/** Whether there is such a network and the caller may see it. */
export function seesNetwork(view: View, caller: Caller, id: string): boolean {
  const network = view.get(Network, id);
  return network !== undefined && networkRules.policy.get(caller, networkRules.target(view, { ...network }));
}

function mtuOf(given: unknown, type: string, settings: ServerSettings): number {
  const largest = Math.min(settings.underlayMtu, largestMtu(settings) + (types.get(type) ?? 0));
  if (typeof given !== "number" || given === 0) return largest;
  if (given > largest) throw fail("InvalidInput", { error_message: `Requested MTU is too big, maximum is ${largest}` });
  if (given < smallestMtu) {
    throw fail("InvalidInput", { error_message: `Requested MTU is too small, minimum is ${smallestMtu}` });
  }
  return given;
}

/** The type that is asked for. Throws InvalidInput for one that there is not, and for what does not go with it. */
function checkProvider(values: Values): string {
  const type = values["provider:network_type"];
  if (typeof type !== "string" || !types.has(type)) {
    throw fail("InvalidInput", { error_message: `network_type value '${String(type)}' not supported` });
  }
  if ((values["provider:physical_network"] ?? null) !== null) {
    throw fail("InvalidInput", { error_message: `provider:physical_network specified for ${type} network` });
  }
  return type;
}

/** A VXLAN network spans a limited number of hosts. Throws InvalidInput when a port on one more would be too many; takes the host's name, empty for none. */
export function checkReach(view: View, network: NetworkObject, host: string): void {
  if (network["provider:network_type"] !== "vxlan" || host === "") return;
  const hosts = new Set(view.by(Port.index.network_id, network.id).map((port) => port["binding:host_id"]));
  hosts.delete("");
  if (hosts.has(host) || hosts.size < vxlanHosts) return;
  throw fail("InvalidInput", { error_message: `A vxlan network spans ${vxlanHosts} hosts at most` });
}

/** Gives the network to every project, or takes that back: not while one that has nothing else stands on it. */
function setShared(writing: Writing, network: NetworkObject, wanted: unknown): void {
  const { view } = writing.transaction;
  const isShared = isSharedWith(view, "network", network.id, undefined);
  if (wanted === true && !isShared) share(writing, "network", network);
  if (wanted !== false || !isShared) return;
  const here = [...view.by(Port.index.network_id, network.id), ...view.by(Subnet.index.network_id, network.id)];
  const users = here.map(({ project_id }) => project_id);
  if (isNeeded(view, "network", network, everyProject, users))
    throw fail("InvalidSharedSetting", { network: network.name });
  unshare(writing, "network", network.id);
}
