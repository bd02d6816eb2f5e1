/** Random topologies: networks whose addresses clash or that routers join, ports in every state and of every group, interfaces that are where they should be and where they should not. */
import {
  type AddressPair,
  type HeldAddress,
  type Host,
  linkLocalOf,
  macOf,
  type Network,
  networkKeyOf,
  type Port,
  type ReplicaObject,
  type Subnet,
  textOfIp,
} from "@selvage/model";
import { makeHeldAddress, makeHost, makeNetwork, makePort, makeSubnet, testId, testMac } from "@selvage/model/testing";
import type { Encapsulation } from "@selvage/pipeline";
import fc from "fast-check";
import { mostly } from "./draw.ts";
import { type Facts, noFacts, type Outside, type OutsidePlan, outsideOf, outsides } from "./outside.ts";
import { groupIds, type PolicyPlan, policies, policyOf, setsOf } from "./policy.ts";
import { addressIn, poolId, prefixOf, type RouterPlan, routers, routingOf, scopes } from "./routing.ts";
import { bySegment, isServedOn, onWires, wiresOf } from "./wires.ts";

/** As many hosts as a topology can have; wires of one host that machines can be on. */
export const hostCount = 3;
export const wireCount = 8;
/** That at which a host's services are. */
export const serviceWire: number = wireCount + 1;

/** What a network may carry; the least lets hardly anything pass. */
export const mtus = [1442, 1280, 68] as const;

interface NetworkPlan {
  readonly up: boolean;
  readonly families: "both" | "4" | "6";
  readonly type: Encapsulation;
  readonly mtu: (typeof mtus)[number];
  readonly dhcp: boolean;
  /** Whether its subnet of IPv4 names a gateway, at whose address the DHCP server then is. */
  readonly gateway: boolean;
  /** Whether routers advertise its prefix of IPv6. */
  readonly advertised: boolean;
  /** The address scope that its addresses are of; 0: none. */
  readonly scope: 0 | 1 | 2;
}

interface PortPlan {
  readonly network: number;
  /** Place of its host; `hostCount` for a port that is bound nowhere. */
  readonly host: number;
  readonly up: boolean;
  readonly security: boolean;
  readonly addresses: "one" | "two" | "none" | "gateway";
  /** Places of its groups; null: it is not policed. */
  readonly groups: readonly number[] | null;
  /** What else it may speak for: an address with its own MAC, one with a MAC that several have, a prefix, or all of it. */
  readonly pairs: "none" | "address" | "mac" | "prefix" | "all";
  /** On its own host, nowhere, on the host after it only, on both, or twice on its own. */
  readonly plug: "own" | "none" | "stolen" | "both" | "twice";
}

export interface TopologyPlan {
  /** Hosts that intent knows. */
  readonly hosts: 2 | 3;
  /** Whether the last of them has not said where its tunnels end. */
  readonly silent: boolean;
  readonly networks: readonly NetworkPlan[];
  readonly ports: readonly PortPlan[];
  /** Whether networks have prefixes of their own. */
  readonly apart: boolean;
  readonly routers: readonly RouterPlan[];
  readonly policy: PolicyPlan;
  /** What is beyond routers; null: nothing is. */
  readonly outside: OutsidePlan | null;
  /** Where an interface is that names a port nobody knows. */
  readonly unknown: number;
  /** How the switches come to it from what they held before. */
  readonly change: "adopt" | "apply";
}

const inside: fc.Arbitrary<Omit<TopologyPlan, "outside">> = fc.record({
  hosts: fc.constantFrom<2 | 3>(2, 3),
  silent: mostly(false, true),
  networks: fc.array(
    fc.record({
      up: mostly(true, false),
      families: mostly<NetworkPlan["families"]>("both", "4", "6"),
      type: fc.constantFrom<Encapsulation[]>("geneve", "vxlan"),
      mtu: mostly<NetworkPlan["mtu"]>(...mtus),
      dhcp: mostly(true, false),
      gateway: mostly(true, false),
      advertised: fc.boolean(),
      scope: fc.constantFrom<NetworkPlan["scope"][]>(0, 0, 0, 1, 2),
    }),
    { minLength: 1, maxLength: 3, size: "max" },
  ),
  ports: fc.array(
    fc.record({
      network: fc.nat(2),
      host: fc.nat(hostCount),
      up: mostly(true, false),
      security: fc.constantFrom(true, true, false),
      addresses: mostly<PortPlan["addresses"]>("one", "two", "none", "gateway"),
      groups: fc.oneof(
        { weight: 2, arbitrary: fc.constant(null) },
        { weight: 6, arbitrary: fc.array(fc.nat(3), { minLength: 1, maxLength: 3 }) },
        { weight: 1, arbitrary: fc.constant([]) },
      ),
      pairs: fc.constantFrom<PortPlan["pairs"][]>("none", "none", "address", "mac", "mac", "mac", "prefix", "all"),
      plug: mostly<PortPlan["plug"]>("own", "own", "none", "stolen", "both", "twice"),
    }),
    { minLength: 3, maxLength: 10, size: "max" },
  ),
  apart: mostly(true, false),
  routers: fc.oneof({ weight: 1, arbitrary: fc.constant([]) }, { weight: 4, arbitrary: routers }),
  policy: policies,
  unknown: fc.nat(hostCount - 1),
  change: fc.constantFrom<TopologyPlan["change"]>("apply", "adopt"),
});

/** Topologies from which nothing leads out. */
export const topologies: fc.Arbitrary<TopologyPlan> = inside.map((plan) => ({ ...plan, outside: null }));

/** Topologies with an outside; in most of them what is inside is as it should be, so that something comes out. */
export const outerTopologies: fc.Arbitrary<TopologyPlan> = fc
  .tuple(inside, routers, outsides)
  .map(([plan, routers, drawn]) => {
    const outside = { ...drawn, standing: drawn.standing === 3 ? 3 : drawn.standing % plan.networks.length };
    if (!outside.calm) return { ...plan, outside };
    const ports = plan.ports.map(
      (port, place): PortPlan => ({
        ...port,
        ...{ up: true, plug: "own", host: port.host === hostCount ? place % hostCount : port.host },
        addresses: port.addresses === "none" ? "one" : port.addresses,
        groups: place % 2 === 0 ? null : port.groups,
      }),
    );
    const networks = plan.networks.map((network): NetworkPlan => ({ ...network, up: true, mtu: 1442 }));
    const all = routers.map(
      (router, place): RouterPlan => ({
        ...router,
        ...{
          up: true,
          on: place === 0 ? [0, 1, 2] : router.on,
          routes: router.routes.filter(({ towards }) => towards !== "all"),
        },
      }),
    );
    return { ...plan, ports, networks, routers: all, outside };
  });

/** An interface of a host's switch. */
export interface Interface {
  readonly host: number;
  readonly wire: number;
  /** The port that it names; null where it names none. */
  readonly names: string | null;
  /** What a packet from it comes in by, as the program sees it: the port, or a name that is no port's. */
  readonly ingress: string;
  /** Whether it is the one by which a port bound here is in force. */
  readonly isBound: boolean;
}

/** What a machine's frames bear. */
export interface Speaker {
  readonly mac: string;
  readonly ip4: string;
  readonly ip6: string;
  readonly linkLocal: string;
}

/** A plan carried out: intent as objects, and what is plugged where. */
export interface Topology {
  readonly objects: readonly { readonly kind: string; readonly object: ReplicaObject["object"] }[];
  readonly ports: readonly Port[];
  readonly interfaces: readonly Interface[];
  /** Routers' interfaces. */
  readonly routed: readonly Port[];
  /** Keys that tunnelled packets may name: of networks, of ports, and some that nobody has. */
  readonly networkKeys: readonly number[];
  readonly setKeys: readonly number[];
  readonly portKeys: readonly number[];
  /** Keys of networks by those of their ports. */
  readonly networkOf: ReadonlyMap<number, number>;
  readonly outside: Outside | null;
  /** What each host alone knows: of what is outside, and which of its ports have addresses that move. */
  readonly facts: readonly (Facts & { readonly held: readonly HeldAddress[] })[];
}

/** Numbers of 24 bits, from the ends and from where bytes meet: nobody may take part of one for the whole. */
const networkKeys = [1, 0xffffff, 0x010100] as const;
const portKeys = [0xffffff, 1, 0x100, 0x10000, 0x800000, 0x7fffff, 0x00ff00, 0xff0001, 0x123456, 0x654321] as const;
const hostKeys = [0xfffffe, 1, 0x010001] as const;
const at = <T>(list: readonly T[], place: number): T => list[place % list.length] as T;

export const hostName = (place: number): string => `h${place + 1}`;

/**
 * Carries a plan out; `addresses` are those of the hosts on the underlay. Ports of another `play` have other names, and so zones of their own: a switch holds
 * fragments for 15 seconds, whatever else is forgotten. `isLater`: with the rules that there are in the end.
 */
export function topologyOf(plan: TopologyPlan, addresses: readonly string[], play = 0, isLater = false): Topology {
  const hosts = addresses.slice(0, plan.hosts).map(
    (tunnel_ip, place): Host =>
      makeHost({
        id: testId("host", place + 1),
        name: hostName(place),
        key: at(hostKeys, place),
        tunnel_ip: plan.silent && place === plan.hosts - 1 ? null : tunnel_ip,
        physical_networks: wiresOf(plan.outside, place),
      }),
  );
  const networks = plan.networks.map(({ up, mtu, type }, place): Network => {
    const network = makeNetwork({
      id: testId("network", place + 1),
      admin_state_up: up,
      mtu,
      "provider:network_type": type,
      "provider:segmentation_id": at(networkKeys, place),
    });
    return plan.outside?.standing === place ? onWires(network, plan.outside, "standing") : network;
  });
  const subnets = plan.networks.flatMap((each, place) => {
    const own = subnetsOf(each, place, plan.apart ? place : 0);
    return plan.outside?.standing === place ? bySegment(own, plan.outside, "standing") : own;
  });
  const { groups, rules, addressGroups } = policyOf(plan.policy, isLater);
  const combinations = plan.ports.flatMap(({ security, groups }) =>
    security && groups !== null ? [groupIds(groups, plan.policy)] : [],
  );
  const { sets, of } = setsOf(combinations, groups);
  const members = new Map<number, number>();
  /** The subnets of which a port has addresses. */
  const served = (network: number, host: number): readonly Subnet[] =>
    subnets.filter(
      (subnet) =>
        subnet.network_id === networks[network]?.id &&
        (plan.outside?.standing !== network || isServedOn(subnet, plan.outside, "standing", host)),
    );
  const ports = plan.ports.map((port, place): Port => {
    const network = port.network % networks.length;
    const member = (members.get(network) ?? 0) + 1;
    members.set(network, member);
    const policed = port.security && port.groups !== null ? groupIds(port.groups, plan.policy) : null;
    return {
      ...portOf(port, place, network, member, served(network, port.host), plan.routers.length > 0),
      id: testId("port", 100 * play + place + 1),
      security_groups: policed ?? [],
      security_group_set: policed === null ? 0 : of(policed),
    };
  });
  // Where subnets are by segment, routers outside stand on them, and no tenant's.
  const routable = subnets.filter(({ segment_id }) => segment_id === null);
  const { routers: within, interfaces: routed } = routingOf(plan.routers, networks, routable, ports, play);
  const routers = within.map((router, place) => ({
    ...router,
    enable_snat: plan.outside?.gateways[place]?.snat ?? true,
  }));
  const standing = plan.outside && networks[plan.outside.standing];
  const outside =
    plan.outside &&
    outsideOf(plan.outside, {
      ...{ hosts, routers, routed, ports },
      standing: standing ? { id: standing.id, number: plan.apart ? plan.outside.standing : 0 } : null,
    });
  const all = (kind: string, objects: readonly ReplicaObject["object"][]) =>
    objects.map((object) => ({ kind, object }));
  return {
    objects: [
      ...all("host", hosts),
      ...all("network", networks),
      ...scopes.flatMap(([scope, pool]) => [...all("address_scope", [scope]), ...all("subnetpool", [pool])]),
      ...all("subnet", subnets),
      ...all("router", routers),
      ...all("security_group", groups),
      ...all("security_group_rule", rules),
      ...all("address_group", addressGroups),
      ...all("security_group_set", sets),
      ...all("port", [...ports, ...routed]),
      ...(outside?.objects ?? []),
    ],
    outside,
    facts: addresses.map((_, place) => ({ ...(outside?.facts[place] ?? noFacts), held: heldOn(ports, place) })),
    ports,
    routed,
    interfaces: interfacesOf(plan, ports),
    setKeys: [...sets.map(({ key }) => key), 0, 77],
    networkKeys: [...networks.map(networkKeyOf), ...(outside === null ? [] : [outside.key]), 2, 0],
    portKeys: [...ports.map(({ key }) => key), 0, 0xfffffe],
    networkOf: new Map(
      ports.map(({ key, network_id }) => {
        const network = networks.find(({ id }) => id === network_id);
        return [key, network === undefined ? 0 : networkKeyOf(network)];
      }),
    ),
  };
}

/** The same prefixes in each network, as projects have that know nothing of one another, or those of its number. */
function subnetsOf(
  { families, dhcp, gateway, advertised, scope }: NetworkPlan,
  place: number,
  number: number,
): readonly Subnet[] {
  const network_id = testId("network", place + 1);
  const [cidr4, cidr6] = [prefixOf(4, number), prefixOf(6, number)];
  const v4 = makeSubnet({
    id: testId("subnet", 2 * place + 1),
    network_id,
    cidr: cidr4,
    enable_dhcp: dhcp,
    gateway_ip: gateway ? addressIn(cidr4, 1) : null,
    subnetpool_id: scope === 0 ? null : poolId(4, scope),
  });
  const v6 = makeSubnet({
    id: testId("subnet", 2 * place + 2),
    network_id,
    ip_version: 6,
    cidr: cidr6,
    gateway_ip: addressIn(cidr6, 1),
    enable_dhcp: dhcp,
    subnetpool_id: scope === 0 ? null : poolId(6, scope),
    ...(advertised ? { ipv6_ra_mode: "slaac", ipv6_address_mode: "slaac" } : {}),
  });
  return [...(families === "6" ? [] : [v4]), ...(families === "4" ? [] : [v6])];
}

/** The MAC that routers of VRRP speak with (RFC 9568, section 7.3). */
export const sharedMac = "00:00:5e:00:01:07";

/** MACs and addresses count from 1 in each network: another network has them too. A gateway's address is a router's where there are any. */
function portOf(
  plan: PortPlan,
  place: number,
  network: number,
  member: number,
  subnets: readonly Subnet[],
  hasRouters: boolean,
): Port {
  const network_id = testId("network", network + 1);
  const numbers = {
    one: [member + 10],
    two: [member + 10, member + 100],
    none: [],
    gateway: [member === 1 && !hasRouters ? 1 : member + 10],
  };
  const mac_address = testMac(member);
  return makePort({
    network_id,
    mac_address,
    key: at(portKeys, place),
    admin_state_up: plan.up,
    port_security_enabled: plan.security,
    "binding:host_id": plan.host === hostCount ? "" : hostName(plan.host),
    fixed_ips: subnets.flatMap(({ id, cidr }) =>
      numbers[plan.addresses].map((number) => ({ subnet_id: id, ip_address: addressIn(cidr, number) })),
    ),
    allowed_address_pairs: plan.security ? subnets.flatMap(({ cidr }) => pairsOf(plan.pairs, cidr, mac_address)) : [],
  });
}

function pairsOf(pairs: PortPlan["pairs"], cidr: string, mac: string): readonly AddressPair[] {
  const address = { ip_address: addressIn(cidr, 200), mac_address: mac };
  const shared = { ip_address: addressIn(cidr, 201), mac_address: sharedMac };
  const prefix = { ip_address: `${addressIn(cidr, 208)}/${cidr.includes(":") ? 124 : 28}`, mac_address: mac };
  return { none: [], address: [address], mac: [shared], prefix: [prefix], all: [shared, address, prefix] }[pairs];
}

/** Every other port of a host has said of the addresses of its pairs that it has them; of two the first has. */
function heldOn(ports: readonly Port[], host: number): readonly HeldAddress[] {
  const held = new Map<string, HeldAddress>();
  for (const [place, { id: port_id, network_id, allowed_address_pairs, ...port }] of ports.entries()) {
    if (place % 2 === 1 || port["binding:host_id"] !== hostName(host)) continue;
    for (const { ip_address: address, mac_address: mac } of allowed_address_pairs) {
      const each = makeHeldAddress({ network_id, address, port_id, mac });
      if (!address.includes("/") && !held.has(each.id)) held.set(each.id, each);
    }
  }
  return [...held.values()];
}

function interfacesOf(plan: TopologyPlan, ports: readonly Port[]): readonly Interface[] {
  const wanted = ports.flatMap(({ id }, place) => {
    const { host, plug } = plan.ports[place] as PortPlan;
    const own = host % hostCount;
    const other = (host + 1) % hostCount;
    const hosts = { own: [own], none: [], stolen: [other], both: [own, other], twice: [own, own] }[plug];
    return hosts.map((each) => ({ host: each, names: id }));
  });
  const all: readonly { readonly host: number; readonly names: string | null }[] = [
    ...wanted,
    { host: plan.unknown, names: testId("unknown", 1) },
    ...Array.from({ length: hostCount }, (_, host) => ({ host, names: null })),
  ];
  const interfaces: Interface[] = [];
  for (const { host, names } of all) {
    const here = interfaces.filter((each) => each.host === host);
    const wire = here.length + 1;
    if (wire > wireCount) continue;
    // Of two interfaces that name one port the first counts, and the other is nobody's.
    const counts = names !== null && here.every((each) => each.names !== names);
    const isBound = counts && ports.some((port) => port.id === names && port["binding:host_id"] === hostName(host));
    interfaces.push({ host, wire, names, ingress: counts ? names : `wire${wire}`, isBound });
  }
  return interfaces;
}

/** The ports whose interfaces are on a host, each with the wire that counts, ordered as a driver tells them. */
export const pluggedOn = (
  topology: Topology,
  host: number,
): readonly { readonly port: string; readonly name: string }[] =>
  topology.interfaces
    .filter((each) => each.host === host && each.ingress === each.names)
    .map(({ ingress, wire }) => ({ port: ingress, name: `wire${wire}` }))
    .sort((a, b) => (a.port < b.port ? -1 : 1));

/** What a port's machine says of itself by its first pair, if it has one. */
export function pairSpeakerOf(port: Port): Speaker {
  const own = speakerOf(port);
  const [pair] = port.allowed_address_pairs;
  if (pair === undefined) return own;
  const of = (isV6: boolean): string | undefined =>
    port.allowed_address_pairs
      .find(({ ip_address, mac_address }) => ip_address.includes(":") === isV6 && mac_address === pair.mac_address)
      ?.ip_address.replace(/\/.*/, "");
  const linkLocal = textOfIp(linkLocalOf(macOf(pair.mac_address)));
  return { mac: pair.mac_address, ip4: of(false) ?? own.ip4, ip6: of(true) ?? own.ip6, linkLocal };
}

/** What a port's machine says of itself; of addresses that it has none of, those that nobody has. */
export function speakerOf(port: Port): Speaker {
  const addresses = port.fixed_ips.map(({ ip_address }) => ip_address);
  const linkLocal = textOfIp(linkLocalOf(macOf(port.mac_address)));
  return {
    mac: port.mac_address,
    ip4: addresses.findLast((each) => !each.includes(":")) ?? "10.0.0.199",
    ip6: addresses.findLast((each) => each.includes(":")) ?? linkLocal,
    linkLocal,
  };
}
