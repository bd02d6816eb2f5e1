/** What a topology has of an outside: an external network on the hosts' wires, routers' ways out by it, the addresses that stand for machines, and who is met there. */
import { hostMac } from "@selvage/compiler";
import {
  type Host,
  type LearnedNeighbour,
  type Network,
  networkKeyOf,
  type Port,
  type ReplicaObject,
  type Router,
  type Subnet,
} from "@selvage/model";
import { makeExternalNetwork, makeHostGateway, makeSubnet, testId } from "@selvage/model/testing";
import fc from "fast-check";
import { mostly, usually } from "./draw.ts";
import { gatewaysOf, type LeasePlan, leasesOf, type StandIn, standInsOf } from "./outside-addresses.ts";
import { addressIn, poolId, prefixOf } from "./routing.ts";
import { type Targets, targetsOf } from "./targets.ts";
import {
  bySegment,
  isServedOn,
  joinedPlaces,
  metBy,
  neighboursOf,
  type Outsider,
  onWires,
  outsidersOf,
  type Place,
  placeOf,
  segmentsOf,
  upstream,
  usedWires,
  type WiredNetwork,
  type WireName,
  type WiresPlan,
  wirePlans,
  wiresOf,
} from "./wires.ts";

export interface GatewayPlan {
  readonly snat: boolean;
  readonly families: "both" | "4" | "6";
  /** On which segment of the external network, where each has subnets of its own. */
  readonly segment: 0 | 1;
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

export interface OutsidePlan extends WiresPlan {
  readonly families: "both" | "4" | "6";
  readonly mtu: 1500 | 1280 | 1442;
  readonly scope: 0 | 1 | 2;
  /** Whether its subnets name a next router. */
  readonly gateway: boolean;
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
  /** Place of the host that the others take for lost. */
  readonly lost: number;
  /** Whether all else is mostly as it should be: then more comes out. */
  readonly calm: boolean;
}

/** Ports are those of conversations and single packets, and from both ends. */
export const forwardedPorts = [80, 8080, 1, 40_001, 40_000, 65_533] as const;
export const innerPorts = [80, 80, 81, 40_000, 1, 65_533] as const;

export const outsides: fc.Arbitrary<OutsidePlan> = fc.record({
  ...wirePlans,
  families: usually<OutsidePlan["families"]>("both", "4", "6"),
  mtu: usually<OutsidePlan["mtu"]>(1500, 1280, 1442),
  scope: mostly<OutsidePlan["scope"]>(0, 1, 2),
  gateway: usually(true, false),
  gateways: fc.array(
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          snat: mostly(true, false),
          families: usually<GatewayPlan["families"]>("both", "4", "6"),
          segment: fc.constantFrom<0 | 1>(0, 1),
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
  lost: mostly(3, 1, 0),
  calm: mostly(true, false),
});

/** What one host alone knows. */
export interface Facts {
  readonly wires: readonly WireName[];
  readonly neighbours: readonly LearnedNeighbour[];
  /** Ids of hosts that it takes for lost. */
  readonly lost: readonly string[];
}

export interface Outside {
  readonly objects: readonly { readonly kind: string; readonly object: ReplicaObject["object"] }[];
  /** The external network as packets bear it. */
  readonly key: number;
  /** Where each wired network is for each host. */
  readonly places: Readonly<Record<WiredNetwork, readonly Place[]>>;
  /** The wires on which any of them stands. */
  readonly wires: readonly WireName[];
  /** Places that are one to who is on a wire. */
  readonly joined: readonly (readonly Place[])[];
  /** Id of the network of machines that stands on wires; null: none does. */
  readonly standingId: string | null;
  /** Who is met on wires, on all, and on each network by each host. */
  readonly outsiders: readonly Outsider[];
  readonly met: Readonly<Record<WiredNetwork, readonly (readonly Outsider[])[]>>;
  /** As each host speaks on the wire. */
  readonly macs: readonly string[];
  readonly targets: Targets;
  readonly standIns: readonly StandIn[];
  /** Whether anything is translated to ports that a switch chooses. */
  readonly translates: boolean;
  /** What each host alone knows. */
  readonly facts: readonly Facts[];
}

export const externalId: string = testId("external network", 1);
const subnetId = (version: 4 | 6): string => testId("external subnet", version);

function externalOf(plan: OutsidePlan): readonly [Network, readonly Subnet[]] {
  const { families, mtu, scope, gateway } = plan;
  const network = onWires(makeExternalNetwork({ mtu }), plan, "external");
  const subnet = (ip_version: 4 | 6, cidr: string, next: string): Subnet =>
    makeSubnet({
      ...{ id: subnetId(ip_version), network_id: network.id, ip_version, cidr, enable_dhcp: false },
      ...{ gateway_ip: gateway ? next : null, subnetpool_id: scope === 0 ? null : poolId(ip_version, scope) },
    });
  const v4 = subnet(4, "203.0.113.0/24", upstream.ip4);
  const v6 = subnet(6, "2001:db8:ff::/64", upstream.ip6);
  return [network, bySegment([...(families === "6" ? [] : [v4]), ...(families === "4" ? [] : [v6])], plan, "external")];
}

export interface Within {
  readonly hosts: readonly Host[];
  readonly routers: readonly Router[];
  readonly routed: readonly Port[];
  readonly ports: readonly Port[];
  /** The network of machines that stands on wires, and the number of its prefixes; null: there is none. */
  readonly standing: { readonly id: string; readonly number: number } | null;
}

/** Carries the plan out for routers, their interfaces, and machines' ports. */
export function outsideOf(plan: OutsidePlan, { hosts, routers, routed, ports, standing }: Within): Outside {
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
            addresses: subnets
              .filter((subnet) => isServedOn(subnet, plan, "external", place))
              .map(({ cidr }) => addressIn(cidr, 200 + place)),
          }),
        )
      : [];
  const outsiders = outsidersOf(plan, standing?.number ?? null);
  const byHost = <T>(of: (network: WiredNetwork, host: number) => T): Readonly<Record<WiredNetwork, readonly T[]>> => {
    const all = (each: WiredNetwork) => plan.wires.map((_, host) => of(each, host));
    return { external: all("external"), standing: all("standing") };
  };
  const all = (kind: string, objects: readonly ReplicaObject["object"][]) =>
    objects.map((object) => ({ kind, object }));
  return {
    objects: [
      ...all("network", [network]),
      ...all("segment", segmentsOf(plan, "external", network.id)),
      ...all("segment", standing === null ? [] : segmentsOf(plan, "standing", standing.id)),
      ...all("subnet", subnets),
      ...all("port", gateways),
      ...standIns.objects,
      ...all("nat_lease", leases),
      ...all("host_gateway", hostGateways),
    ],
    key: networkKeyOf(network),
    places: byHost((each, host) => placeOf(plan, each, host)),
    wires: usedWires(plan),
    joined: joinedPlaces(plan),
    standingId: standing?.id ?? null,
    outsiders,
    met: byHost((each, host) => metBy(outsiders, plan, each, host)),
    macs: hosts.map(({ key }) => hostMac(key)),
    targets: targetsOf({
      ...{ hosts, routed, ports, gateways, leases, hostGateways, standIns: standIns.all },
      standing:
        standing === null
          ? null
          : { id: standing.id, prefixes: { 4: prefixOf(4, standing.number), 6: prefixOf(6, standing.number) } },
    }),
    standIns: standIns.all,
    translates: leases.length > 0,
    facts: plan.wires.map((_, place) => {
      const lost = hosts[plan.lost]?.id;
      return {
        wires: wiresOf(plan, place),
        neighbours: neighboursOf(outsiders, plan, place, { external: network.id, standing: standing?.id ?? null }),
        lost: lost === undefined || plan.lost === place ? [] : [lost],
      };
    }),
  };
}

/** What a host knows where nothing is outside. */
export const noFacts: Facts = { wires: [], neighbours: [], lost: [] };
