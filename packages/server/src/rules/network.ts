/** Networks: who may do what, their MTU and tunnel key, and when they may go (Networking v2.0, `/v2.0/networks`). */
import { fail } from "@selvage/base";
import {
  accessAsExternal,
  accessAsShared,
  everyProject,
  isRouted,
  Network,
  type Network as NetworkObject,
  Port,
  Segment,
  Subnet,
  segmentsOf,
  type View,
} from "@selvage/model";
import { anyOf, type Caller, external, isAdmin, member, reader, shared } from "../api/policy.ts";
import { leaveSpeakers } from "./bgp-speaker.ts";
import {
  checkOnlyDefault,
  externalUsers,
  keptDefault,
  leaveUnused,
  neededOutside,
  setExternal,
  settleExternal,
} from "./external.ts";
import { settleHostGateways } from "./host-gateways.ts";
import { addressScopeOf, giveBack } from "./pool-space.ts";
import { askedPlaces, mtuOf, pickKeyOf, placeOf, providerNames, providerOf, putSegment, unsaid } from "./provider.ts";
import { type ResourceRules, taggedOf, type World, type Writing } from "./rules.ts";
import { isNeeded, isSharedWith, share, sharedField, sharedObjects, sharingOf, unshare } from "./sharing.ts";
import { checkedZones, zonesOf } from "./zones.ts";

/** Hosts on which a VXLAN network may have ports: a flooded frame goes to each of them, and no host passes it on. */
export const vxlanHosts = 256;

export const networkRules: ResourceRules<typeof Network> = {
  resource: Network,
  notFound: (id) => fail("NetworkNotFound", { id }),
  policy: {
    get: anyOf(isAdmin, reader, shared, external),
    create: anyOf(isAdmin, member),
    update: anyOf(isAdmin, member),
    delete: anyOf(isAdmin, member),
    attributes: {
      shared: { create: isAdmin, update: isAdmin },
      "router:external": { create: isAdmin, update: isAdmin },
      is_default: { create: isAdmin, update: isAdmin },
      "provider:network_type": { create: isAdmin, update: isAdmin },
      "provider:physical_network": { create: isAdmin, update: isAdmin },
      "provider:segmentation_id": { create: isAdmin, update: isAdmin },
      segments: { create: isAdmin, update: isAdmin },
    },
  },
  target: (view, object) => ({
    projectId: String(object.project_id),
    // A stored network, or the values of one to be: its owner is all that the policy reads of it.
    network: object as unknown as NetworkObject,
    sharedWith: sharingOf(view, "network", String(object.id)),
    externalTo: sharingOf(view, "network", String(object.id), accessAsExternal),
  }),
  alsoVisible: (view, caller) =>
    sharedObjects(view, Network, "network", caller.projectId, [accessAsShared, accessAsExternal]),
  sharing: {
    actions: [accessAsShared, accessAsExternal],
    users: (view, network, action) =>
      action === accessAsExternal ? externalUsers(view, network.id) : usersOf(view, network.id),
    needed: (network, _target, action) =>
      action === accessAsExternal ? neededOutside : fail("InvalidSharedSetting", { network: network.id }).message,
    kept: (network, target, action) =>
      action === accessAsExternal && target === everyProject && network.is_default ? keptDefault : undefined,
    settle: (writing, network) => settleExternal(writing, network.id),
  },
  computed: {
    status: () => "ACTIVE",
    shared: sharedField("network"),
    segments: (network, { view }) =>
      hasSeveral(view, network) ? segmentsOf(view, network).map(providerOf) : undefined,
    l2_adjacency: ({ id }, { view }) => !isRouted(view, id),
    ipv4_address_scope: (network, { view }) => addressScopeOf(view, network.id, 4) ?? null,
    ipv6_address_scope: (network, { view }) => addressScopeOf(view, network.id, 6) ?? null,
    availability_zones: (network, { view }) => zonesOf(view, [network.id]),
    subnets: (network, { view }) => view.by(Subnet.index.network_id, network.id).map((subnet) => subnet.id),
  },
  shown: Object.fromEntries(providerNames.map((name) => [name, ofOne(name)])),
  filters: Object.fromEntries(providerNames.map((name) => [name, bySegment(name)])),
  create: (writing, values) => {
    const { transaction, settings } = writing;
    const project_id = String(values.project_id);
    const [asked, ...more] = askedPlaces(values);
    const place = placeOf(writing, asked, project_id);
    const isExternal = values["router:external"] === true;
    const network = transaction.put(Network, {
      ...taggedOf(writing, values, 1),
      admin_state_up: values.admin_state_up === true,
      mtu: mtuOf(values.mtu, place.network_type, settings),
      port_security_enabled: values.port_security_enabled === true,
      availability_zone_hints: checkedZones(transaction.view, values.availability_zone_hints),
      "router:external": isExternal,
      is_default: isExternal && values.is_default === true,
      dns_domain: String(values.dns_domain),
      dns_zone: settings.dnsDomain,
      ...providerOf(place),
      key: pickKeyOf(writing, place),
    });
    putSegment(writing, network.id, place, unsaid);
    for (const each of more) putSegment(writing, network.id, placeOf(writing, each, project_id), unsaid);
    if (network.is_default) checkOnlyDefault(transaction.view, network.id);
    if (values.shared === true) share(writing, "network", network);
    if (isExternal) setExternal(writing, network, true);
    return network;
  },
  update: (writing, before, values) => {
    const fixed = Object.keys(values).filter((name) => fixedNames.includes(name));
    if (fixed.length > 0) {
      throw fail("InvalidInput", {
        error_message: `Plugin does not support updating the following provider network attributes: ${fixed.join(", ")}`,
      });
    }
    const { shared: wanted, ...rest } = values;
    setShared(writing, before, wanted);
    const mtu = "mtu" in values ? mtuOf(values.mtu, before["provider:network_type"], writing.settings) : before.mtu;
    const isExternal = (values["router:external"] ?? before["router:external"]) === true;
    if (isExternal !== before["router:external"]) {
      setExternal(writing, before, isExternal);
      settleHostGateways(writing, before.id);
    }
    const is_default = isExternal && (values.is_default ?? before.is_default) === true;
    if (is_default) checkOnlyDefault(writing.transaction.view, before.id);
    return writing.transaction.put(Network, { ...before, ...rest, mtu, is_default });
  },
  remove: (writing, network, precondition) => {
    const { view } = writing.transaction;
    leaveSpeakers(writing, network.id);
    leaveUnused(writing, network.id);
    if (view.exists(Port.index.network_id, network.id)) {
      const ports = view.by(Port.index.network_id, network.id).map((port) => port.id);
      throw fail("NetworkInUse", { net_id: network.id, ports: ports.join(",") });
    }
    precondition();
    for (const subnet of view.by(Subnet.index.network_id, network.id)) giveBack(writing.transaction, subnet);
    writing.transaction.remove(Network, network.id);
  },
};

/** What says where a network stands: its segments are resources of their own, which come and go. */
const fixedNames: readonly string[] = [...providerNames, "segments"];

type ProviderName = (typeof providerNames)[number];

/** Whether a network says where it stands in `segments`, and not in provider attributes. */
function hasSeveral(view: View, { id }: NetworkObject): boolean {
  return view.count(Segment.index.network_id, id) > 1;
}

/** A provider attribute as it is shown. */
function ofOne(name: ProviderName) {
  return (network: NetworkObject, { view }: World): unknown => (hasSeveral(view, network) ? undefined : network[name]);
}

/** Whether one of a network's segments says this of itself. */
function bySegment(name: ProviderName) {
  return (values: readonly string[], { view }: World) =>
    (network: NetworkObject): boolean =>
      segmentsOf(view, network).some((segment) => values.includes(String(providerOf(segment)[name])));
}

/** The network if the caller may see it. Throws NetworkNotFound, also for one that is another project's. */
export function visibleNetwork(view: View, caller: Caller, id: string): NetworkObject {
  const network = view.get(Network, id);
  if (network === undefined || !seesNetwork(view, caller, id)) throw fail("NetworkNotFound", { id });
  return network;
}

/**
 * What a project makes stands on its own networks and on those that it was given; one that is only external to it is not for that (Neutron's `ownership_validation`).
 * Throws HTTPForbidden.
 */
export function checkStanding(view: View, caller: Caller, network: NetworkObject, kind: string): void {
  const projectId = caller.projectId ?? "";
  if (caller.roles.has("admin") || network.project_id === projectId) return;
  if (isSharedWith(view, "network", network.id, projectId)) return;
  throw fail("HTTPForbidden", { message: `Tenant ${projectId} not allowed to create ${kind} on this network` });
}

/** Whether there is such a network and the caller may see it. */
export function seesNetwork(view: View, caller: Caller, id: string): boolean {
  const network = view.get(Network, id);
  return network !== undefined && networkRules.policy.get(caller, networkRules.target(view, { ...network }));
}

/** A VXLAN network spans a limited number of hosts. Throws InvalidInput when a port on one more would be too many; takes the host's name, empty for none. */
export function checkReach(view: View, network: NetworkObject, host: string): void {
  if (network["provider:network_type"] !== "vxlan" || host === "") return;
  const hosts = new Set(view.by(Port.index.network_id, network.id).map((port) => port["binding:host_id"]));
  hosts.delete("");
  if (hosts.has(host) || hosts.size < vxlanHosts) return;
  throw fail("InvalidInput", { error_message: `A vxlan network spans ${vxlanHosts} hosts at most` });
}

/** Projects that have ports on the network. Those of gateways and floating IPs are nobody's. */
const usersOf = (view: View, networkId: string): readonly string[] =>
  view.by(Port.index.network_id, networkId).flatMap(({ project_id }) => (project_id === "" ? [] : [project_id]));

/** Gives the network to every project, or takes that back: not while one that has nothing else stands on it. */
function setShared(writing: Writing, network: NetworkObject, wanted: unknown): void {
  const { view } = writing.transaction;
  const isShared = isSharedWith(view, "network", network.id, undefined);
  if (wanted === true && !isShared) share(writing, "network", network);
  if (wanted !== false || !isShared) return;
  const users = [
    ...usersOf(view, network.id),
    ...view.by(Subnet.index.network_id, network.id).map(({ project_id }) => project_id),
  ];
  if (isNeeded(view, "network", network, everyProject, users))
    throw fail("InvalidSharedSetting", { network: network.name });
  unshare(writing, "network", network.id);
}
