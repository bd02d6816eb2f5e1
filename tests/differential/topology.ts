/** Random topologies: networks whose addresses clash, ports in every state, interfaces that are where they should be and where they should not. */
import {
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
import { makeHost, makeNetwork, makePort, makeSubnet, testId, testMac } from "@selvage/model/testing";
import type { Encapsulation } from "@selvage/pipeline";
import fc from "fast-check";

/** As many hosts as a topology can have; wires of one host that machines can be on. */
export const hostCount = 3;
export const wireCount = 8;

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
}

interface PortPlan {
  readonly network: number;
  /** Place of its host; `hostCount` for a port that is bound nowhere. */
  readonly host: number;
  readonly up: boolean;
  readonly security: boolean;
  readonly addresses: "one" | "two" | "none" | "gateway";
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
  /** Where an interface is that names a port nobody knows. */
  readonly unknown: number;
  /** How the switches come to it from what they held before. */
  readonly change: "adopt" | "apply";
}

const mostly = <T>(usual: T, ...others: readonly T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 2 * others.length + 1, arbitrary: fc.constant(usual) }, fc.constantFrom(usual, ...others));

export const topologies: fc.Arbitrary<TopologyPlan> = fc.record({
  hosts: fc.constantFrom<2 | 3>(2, 3),
  silent: mostly(false, true),
  networks: fc.array(
    fc.record({
      up: mostly(true, false),
      families: mostly<NetworkPlan["families"]>("both", "4", "6"),
      type: fc.constantFrom<Encapsulation[]>("geneve", "geneve", "vxlan"),
      mtu: mostly<NetworkPlan["mtu"]>(...mtus),
      dhcp: mostly(true, false),
      gateway: mostly(true, false),
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
      plug: mostly<PortPlan["plug"]>("own", "none", "stolen", "both", "twice"),
    }),
    { minLength: 1, maxLength: 10, size: "max" },
  ),
  unknown: fc.nat(hostCount - 1),
  change: fc.constantFrom<TopologyPlan["change"]>("apply", "adopt"),
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
  /** Keys that tunnelled packets may name: of networks, of ports, and some that nobody has. */
  readonly networkKeys: readonly number[];
  readonly portKeys: readonly number[];
  /** Keys of networks by those of their ports. */
  readonly networkOf: ReadonlyMap<number, number>;
}

/** Numbers of 24 bits, from the ends and from where bytes meet: nobody may take part of one for the whole. */
const networkKeys = [1, 0xffffff, 0x010100] as const;
const portKeys = [0xffffff, 1, 0x100, 0x10000, 0x800000, 0x7fffff, 0x00ff00, 0xff0001, 0x123456, 0x654321] as const;
const hostKeys = [0xffffff, 1, 0x010001] as const;
const at = <T>(list: readonly T[], place: number): T => list[place % list.length] as T;

export const hostName = (place: number): string => `h${place + 1}`;

/** Carries a plan out; `addresses` are those of the hosts on the underlay. */
export function topologyOf(plan: TopologyPlan, addresses: readonly string[]): Topology {
  const hosts = addresses.slice(0, plan.hosts).map(
    (tunnel_ip, place): Host =>
      makeHost({
        id: testId("host", place + 1),
        name: hostName(place),
        key: at(hostKeys, place),
        tunnel_ip: plan.silent && place === plan.hosts - 1 ? null : tunnel_ip,
      }),
  );
  const networks = plan.networks.map(
    ({ up, mtu, type }, place): Network =>
      makeNetwork({
        id: testId("network", place + 1),
        admin_state_up: up,
        mtu,
        "provider:network_type": type,
        "provider:segmentation_id": at(networkKeys, place),
      }),
  );
  const subnets = plan.networks.flatMap((each, place) => subnetsOf(each, place));
  const members = new Map<number, number>();
  const ports = plan.ports.map((port, place): Port => {
    const network = port.network % networks.length;
    const member = (members.get(network) ?? 0) + 1;
    members.set(network, member);
    return portOf(port, place, network, member, subnets);
  });
  return {
    objects: [
      ...hosts.map((object) => ({ kind: "host", object })),
      ...networks.map((object) => ({ kind: "network", object })),
      ...subnets.map((object) => ({ kind: "subnet", object })),
      ...ports.map((object) => ({ kind: "port", object })),
    ],
    ports,
    interfaces: interfacesOf(plan, ports),
    networkKeys: [...networks.map(networkKeyOf), 2, 0],
    portKeys: [...ports.map(({ key }) => key), 0, 0xfffffe],
    networkOf: new Map(
      ports.map(({ key, network_id }) => {
        const network = networks.find(({ id }) => id === network_id);
        return [key, network === undefined ? 0 : networkKeyOf(network)];
      }),
    ),
  };
}

/** The same prefixes in each network, as projects have that know nothing of one another. */
function subnetsOf({ families, dhcp, gateway }: NetworkPlan, place: number): readonly Subnet[] {
  const network_id = testId("network", place + 1);
  const v4 = makeSubnet({
    id: testId("subnet", 2 * place + 1),
    network_id,
    enable_dhcp: dhcp,
    gateway_ip: gateway ? "10.0.0.1" : null,
  });
  const v6 = makeSubnet({
    id: testId("subnet", 2 * place + 2),
    network_id,
    ip_version: 6,
    cidr: "2001:db8::/64",
    gateway_ip: "2001:db8::1",
    enable_dhcp: dhcp,
  });
  return [...(families === "6" ? [] : [v4]), ...(families === "4" ? [] : [v6])];
}

/** MACs and addresses count from 1 in each network: another network has them too. */
function portOf(plan: PortPlan, place: number, network: number, member: number, subnets: readonly Subnet[]): Port {
  const network_id = testId("network", network + 1);
  const numbers = {
    one: [member + 10],
    two: [member + 10, member + 100],
    none: [],
    gateway: [member === 1 ? 1 : member + 10],
  };
  return makePort({
    id: testId("port", place + 1),
    network_id,
    mac_address: testMac(member),
    key: at(portKeys, place),
    admin_state_up: plan.up,
    port_security_enabled: plan.security,
    "binding:host_id": plan.host === hostCount ? "" : hostName(plan.host),
    fixed_ips: subnets
      .filter((subnet) => subnet.network_id === network_id)
      .flatMap(({ id, ip_version }) =>
        numbers[plan.addresses].map((number) => ({
          subnet_id: id,
          ip_address: ip_version === 4 ? `10.0.0.${number}` : `2001:db8::${number.toString(16)}`,
        })),
      ),
  });
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

/** What a port's machine says of itself; of addresses that it has none of, those that nobody has. */
export function speakerOf(port: Port): Speaker {
  const addresses = port.fixed_ips.map(({ ip_address }) => ip_address);
  const linkLocal = textOfIp(linkLocalOf(macOf(port.mac_address)));
  return {
    mac: port.mac_address,
    ip4: addresses.findLast((each) => !each.includes(":")) ?? "10.0.0.200",
    ip6: addresses.findLast((each) => each.includes(":")) ?? linkLocal,
    linkLocal,
  };
}
