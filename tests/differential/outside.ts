/** What a topology has of an outside: an external network on the hosts' wires, routers' ways out by it, the addresses that stand for machines, and who is met there. */
import { hostMac } from "@selvage/compiler";
import {
  type Host,
  type Network,
  networkKeyOf,
  type Port,
  physicalKeys,
  type ReplicaObject,
  type Router,
  type Subnet,
} from "@selvage/model";
import { makeExternalNetwork, makeHostGateway, makeLearnedNeighbour, makeSubnet, testId } from "@selvage/model/testing";
import { physicalName } from "@selvage/pipeline";
import fc from "fast-check";
import { mostly, usually } from "./draw.ts";
import { gatewaysOf, type LeasePlan, leasesOf, type StandIn, standInsOf } from "./outside-addresses.ts";
import { addressIn, poolId } from "./routing.ts";
import type { Speaker } from "./topology.ts";

/** The physical network, and how packets of it come in. */
export const wireName = "public";
export const wireIngress: string = physicalName(wireName);

export interface GatewayPlan {
  readonly snat: boolean;
  readonly families: "both" | "4" | "6";
}

export interface ForwardingPlan {
  /** Of which of two addresses. */
  readonly of: 0 | 1;
  readonly port: number;
  readonly protocol: "tcp" | "udp";
  readonly outer: (typeof forwardedPorts)[number];
  readonly inner: (typeof innerPorts)[number];
  readonly span: 1 | 3;
}

export interface OutsidePlan {
  /** The tag of the external network; 0: it is flat. */
  readonly vlan: 0 | 1 | 42 | 4094;
  readonly families: "both" | "4" | "6";
  readonly mtu: 1500 | 1280 | 1442;
  readonly scope: 0 | 1 | 2;
  /** Whether its subnets name a next router. */
  readonly gateway: boolean;
  /** Place of the host without the wire; 3: all have it. */
  readonly unwired: number;
  /** Place of the network of machines that stands on the wire too; 3: none does. */
  readonly standing: number;
  /** Of each router; null: it has no way out. */
  readonly gateways: readonly (GatewayPlan | null)[];
  /** Of each host, for each of its routers. */
  readonly leases: readonly LeasePlan[];
  /** Ports that have floating addresses, by their places. */
  readonly floating: readonly number[];
  readonly forwarded: readonly ForwardingPlan[];
  /** Ports whose IPv6 address is spoken for. */
  readonly proxies: readonly number[];
  /** Whether hosts have addresses of their own out there. */
  readonly hostGateways: boolean;
  /** Places of hosts that have met nobody; and of the host that the others take for lost. */
  readonly strange: readonly number[];
  readonly lost: number;
  /** Whether all else is mostly as it should be: then more comes out. */
  readonly calm: boolean;
}

/** Ports are those of conversations and single packets, and from both ends. */
export const forwardedPorts = [80, 8080, 1, 40_001, 40_000, 65_533] as const;
export const innerPorts = [80, 80, 81, 40_000, 1, 65_533] as const;

export const outsides: fc.Arbitrary<OutsidePlan> = fc.record({
  vlan: fc.constantFrom<OutsidePlan["vlan"][]>(0, 0, 1, 42, 4094),
  families: usually<OutsidePlan["families"]>("both", "4", "6"),
  mtu: usually<OutsidePlan["mtu"]>(1500, 1280, 1442),
  scope: mostly<OutsidePlan["scope"]>(0, 1, 2),
  gateway: usually(true, false),
  unwired: usually(3, 0, 1),
  standing: fc.constantFrom(3, 3, 1, 2, 0),
  gateways: fc.array(
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          snat: mostly(true, false),
          families: usually<GatewayPlan["families"]>("both", "4", "6"),
        }),
      },
      { weight: 1, arbitrary: fc.constant(null) },
    ),
    { minLength: 3, maxLength: 3 },
  ),
  leases: fc.array(
    fc.record({
      kind: usually<LeasePlan["kind"]>("block", "none", "several", "least"),
      size: fc.constantFrom<LeasePlan["size"][]>(64, 1024, 16_384),
      isLast: fc.boolean(),
    }),
    { minLength: 3, maxLength: 3 },
  ),
  floating: fc.array(fc.nat(9), { maxLength: 3, size: "max" }),
  forwarded: fc.array(
    fc.record({
      of: fc.constantFrom<0 | 1>(0, 0, 1),
      port: fc.nat(9),
      protocol: fc.constantFrom<ForwardingPlan["protocol"]>("tcp", "udp"),
      outer: fc.constantFrom(...forwardedPorts),
      inner: fc.constantFrom(...innerPorts),
      span: fc.constantFrom<1 | 3>(1, 1, 3),
    }),
    { minLength: 1, maxLength: 6, size: "max" },
  ),
  proxies: fc.array(fc.nat(9), { maxLength: 2, size: "max" }),
  hostGateways: fc.boolean(),
  strange: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.array(fc.nat(2)) }),
  lost: mostly(3, 1, 0),
  calm: mostly(true, false),
});

/** The outside's own router, by which everything far is reached; somebody beside it; and somebody far. */
export const upstream: Speaker = {
  ...{ mac: "02:00:00:00:ee:01", ip4: "203.0.113.1", ip6: "2001:db8:ff::1" },
  linkLocal: "fe80::ff:fe00:ee01",
};
export const beside: Speaker = {
  ...{ mac: "02:00:00:00:ee:02", ip4: "203.0.113.2", ip6: "2001:db8:ff::2" },
  linkLocal: "fe80::ff:fe00:ee02",
};
export const distant: Speaker = { ...upstream, ip4: "192.0.2.77", ip6: "2001:db8:fa::77" };
export const outsiders: readonly Speaker[] = [upstream, beside, distant];
/** Addresses of the external network that nobody has. */
const nobodys = { ip4: "203.0.113.250", ip6: "2001:db8:ff::fa" } as const;

/** An address as who is outside asks for it. */
export interface Target {
  readonly ip4: string;
  readonly ip6: string;
  /** Place of the host that should know it; null: any. */
  readonly host: number | null;
  /** Ports of it that mean something, and those beside them. */
  readonly ports: readonly number[];
}

/** What an address may be: one that stands for a machine, a router's, a machine's own, a host's, or nobody's. */
export const targetKinds = ["standIn", "gateway", "machine", "host", "nobody"] as const;
export type TargetKind = (typeof targetKinds)[number];

/** What one host alone knows. */
export interface Facts {
  readonly isWired: boolean;
  readonly neighbours: readonly ReturnType<typeof makeLearnedNeighbour>[];
  /** Ids of hosts that it takes for lost. */
  readonly lost: readonly string[];
}

export interface Outside {
  readonly objects: readonly { readonly kind: string; readonly object: ReplicaObject["object"] }[];
  /** The external network as packets bear it, and its tag; 0: none. */
  readonly key: number;
  readonly vlan: number;
  /** The tag of the machines' own network on the wire, where there is one. */
  readonly otherVlan: number;
  /** As each host speaks on the wire. */
  readonly macs: readonly string[];
  readonly targets: Readonly<Record<TargetKind, readonly Target[]>>;
  readonly standIns: readonly StandIn[];
  /** Whether anything is translated to ports that a switch chooses. */
  readonly translates: boolean;
}

export const externalId: string = testId("external network", 1);
const subnetId = (version: 4 | 6): string => testId("external subnet", version);

/** The tag of the network of machines that stands on the wire. */
export const standingVlan = (plan: OutsidePlan): number => (plan.vlan === 0 ? 7 : plan.vlan === 42 ? 4094 : 0);

/** The network as it is on the wire, not in tunnels. */
export function onWire(network: Network, plan: OutsidePlan): Network {
  const vlan = standingVlan(plan);
  return {
    ...network,
    "provider:network_type": vlan === 0 ? "flat" : "vlan",
    "provider:physical_network": wireName,
    "provider:segmentation_id": vlan === 0 ? null : vlan,
    key: physicalKeys.last,
  };
}

function externalOf({ vlan, families, mtu, scope, gateway }: OutsidePlan): readonly [Network, readonly Subnet[]] {
  const network = makeExternalNetwork({
    mtu,
    "provider:network_type": vlan === 0 ? "flat" : "vlan",
    "provider:segmentation_id": vlan === 0 ? null : vlan,
    key: physicalKeys.first,
  });
  const subnet = (ip_version: 4 | 6, cidr: string, next: string): Subnet =>
    makeSubnet({
      ...{ id: subnetId(ip_version), network_id: network.id, ip_version, cidr, enable_dhcp: false },
      ...{ gateway_ip: gateway ? next : null, subnetpool_id: scope === 0 ? null : poolId(ip_version, scope) },
    });
  const v4 = subnet(4, "203.0.113.0/24", upstream.ip4);
  const v6 = subnet(6, "2001:db8:ff::/64", upstream.ip6);
  return [network, [...(families === "6" ? [] : [v4]), ...(families === "4" ? [] : [v6])]];
}

/** Carries the plan out for routers, their interfaces, and machines' ports. */
export function outsideOf(
  plan: OutsidePlan,
  {
    hosts,
    routers,
    routed,
    ports,
  }: {
    readonly hosts: readonly Host[];
    readonly routers: readonly Router[];
    readonly routed: readonly Port[];
    readonly ports: readonly Port[];
  },
): Outside {
  const [network, subnets] = externalOf(plan);
  const gateways = gatewaysOf(plan, routers, subnets);
  const leases = leasesOf(plan, { gateways, hosts, routers, routed, ports });
  const standIns = standInsOf(plan, { hosts, gateways, routed, ports });
  const hostGateways =
    plan.hostGateways && subnets.length > 0
      ? hosts.map(({ id }, place) =>
          makeHostGateway({
            ...{ id: testId("host gateway", place + 1), network_id: network.id, host_id: id },
            port_id: testId("host gateway port", place + 1),
            addresses: subnets.map(({ cidr }) => addressIn(cidr, 200 + place)),
          }),
        )
      : [];
  const all = (kind: string, objects: readonly ReplicaObject["object"][]) =>
    objects.map((object) => ({ kind, object }));
  const placeOf = (name: string): number => hosts.findIndex((host) => host.name === name);
  const address = (of: readonly string[], isV6: boolean): string | undefined =>
    of.find((each) => each.includes(":") === isV6);
  const targetOf = (
    addresses: readonly string[],
    name: string | null,
    ports: readonly number[] = [80, 40_000],
  ): Target => {
    const host = name === null ? -1 : placeOf(name);
    const [ip4, ip6] = [address(addresses, false) ?? nobodys.ip4, address(addresses, true) ?? nobodys.ip6];
    return { ip4, ip6, host: host === -1 ? null : host, ports };
  };
  const leased = leases.flatMap(({ first, size }) => [first, first + size - 1, first - 1, first + size]);
  return {
    objects: [
      ...all("network", [network]),
      ...all("subnet", subnets),
      ...all("port", gateways),
      ...standIns.objects,
      ...all("nat_lease", leases),
      ...all("host_gateway", hostGateways),
    ],
    key: networkKeyOf(network),
    vlan: plan.vlan,
    otherVlan: standingVlan(plan),
    macs: hosts.map(({ key }) => hostMac(key)),
    targets: {
      standIn: standIns.all.map(({ address: outer, inner6, host, forwarded }) =>
        targetOf([outer, ...inner6], host, forwarded === null ? undefined : [...forwarded.values(), 79]),
      ),
      gateway: gateways.map(({ fixed_ips }) =>
        targetOf(
          fixed_ips.map(({ ip_address }) => ip_address),
          null,
          [...leased.filter((port) => port < 65_536), 80],
        ),
      ),
      machine: ports.map((port) =>
        targetOf(
          port.fixed_ips.map(({ ip_address }) => ip_address),
          port["binding:host_id"],
        ),
      ),
      host: hostGateways.map(({ addresses }, place) => targetOf(addresses, hosts[place]?.name ?? null)),
      nobody: [targetOf([], null)],
    },
    standIns: standIns.all,
    translates: leases.length > 0,
  };
}

/** What a host knows beside intent. */
export function factsOf(plan: OutsidePlan | null, place: number, hostIds: readonly string[]): Facts {
  if (plan === null) return { isWired: false, neighbours: [], lost: [] };
  const lost = hostIds[plan.lost];
  return {
    isWired: plan.unwired !== place,
    neighbours: plan.strange.includes(place)
      ? []
      : [upstream, beside].flatMap(({ mac, ip4, ip6 }) =>
          [ip4, ip6].map((address) => makeLearnedNeighbour({ network_id: externalId, address, mac })),
        ),
    lost: lost === undefined || plan.lost === place ? [] : [lost],
  };
}
