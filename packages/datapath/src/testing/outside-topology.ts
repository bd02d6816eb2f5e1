/** Rows of physical networks and of ways out of routers, written by hand as the compiler makes them of such intent. */
import {
  Carriage,
  Classify,
  CopyCarriage,
  EthType,
  ExtIn,
  echoRequest,
  encapsulations,
  FabricIn,
  FabricVni,
  FloodRemote,
  FromPhysical,
  fabricIngress,
  IpProto,
  icmpErrorTypes,
  L2,
  LeaseHosts,
  Mcast,
  NatAsk,
  NatOut,
  Neighbour,
  noMac,
  OwnLease,
  PhysicalReply,
  ProviderIn,
  ProviderOut,
  physicalHost,
  physicalName,
  Quotation,
  Route,
  Routed,
  type Row,
  row,
  Scopes,
  SnatNew,
  ToRouter,
  TunnelOut,
  TunnelSource,
  Turn,
} from "@selvage/pipeline";
import type { Speaker } from "./frames.ts";
import { hostKeyOf, type TestPort, testMtu } from "./topology.ts";

/** The physical network that the hosts of the tests have, and their interface to it. */
export const physicalNetwork = "public";
export const physicalPort = physicalName(physicalNetwork);

/** The MAC of a host on a physical network, by its place. */
export const hostMacOf = (place: number): string => `06:53:00:00:00:0${hostKeyOf(place)}`;

/** A network that stands on the physical one, untagged unless told. */
export interface PhysicalPlan {
  readonly net: number;
  readonly vlan?: number;
}

/** A block of ports of a router's address, which a host has. */
export interface TestLease {
  /** Place of the host. */
  readonly host: number;
  readonly first: number;
  /** A power of two. */
  readonly size: number;
}

/** A way out of a router to an external network. */
export interface GatewayPlan extends PhysicalPlan {
  readonly vrf: number;
  /** The router's id, which has the zone. */
  readonly router: string;
  /** The router's own address there. */
  readonly address: { readonly ip4: string; readonly ip6: string };
  /** The next hop outside. */
  readonly outside: Speaker;
  readonly leases?: readonly TestLease[];
  /** Addresses of machines' own. */
  readonly floating?: readonly { readonly port: TestPort; readonly address: string }[];
  readonly forwarded?: readonly {
    readonly port: TestPort;
    readonly protocol: "tcp" | "udp";
    readonly address: string;
    readonly outer: number;
    readonly inner: number;
  }[];
  /** Place of the host that answers for the router's own address. */
  readonly owner: number;
}

/** The prefixes of the external network of the tests. */
export const outsidePrefixes = { 4: "203.0.113.0/24", 6: "2001:db8:ff::/64" } as const;

const v4 = EthType.ipv4;
const alone = (address: string): string => `${address}/${address.includes(":") ? 128 : 32}`;
const family = (address: string) => (address.includes(":") ? 6 : 4);
const anyMac = "ff:ff:ff:ff:ff:ff";

/** A network on the physical one, with the machines of ours that stand on it. */
export function physicalRows(here: number, { net, vlan }: PhysicalPlan, ports: readonly TestPort[]): readonly Row[] {
  const tag = vlan === undefined ? { tagged: 0, vlan: 0 } : { tagged: 1, vlan };
  const local = ports.filter((port) => port.net === net && port.host === here);
  const group = "01:00:00:00:00:00/01:00:00:00:00:00";
  const encapsulation = encapsulations.physical;
  const beyond = { port: 0, host: physicalHost };
  const mac = hostMacOf(here);
  return [
    row(Classify, { ingress: physicalPort }, "physical"),
    row(ProviderIn, { ingress: physicalPort, ...tag }, vlan === undefined ? "untagged" : "tagged", { net }),
    vlan === undefined
      ? row(ProviderOut, { net }, "untagged", { port: physicalPort })
      : row(ProviderOut, { net }, "tagged", { port: physicalPort, vlan }),
    vlan === undefined
      ? row(PhysicalReply, { ingress: physicalPort, net }, "untagged")
      : row(PhysicalReply, { ingress: physicalPort, net }, "tagged", { vlan }),
    row(TunnelOut, { host: physicalHost, encapsulation }, "physical"),
    row(Carriage, { net }, "carry", { largest: testMtu + 14, encapsulation }, "network"),
    row(Carriage, { net, ethDst: group }, "flood", { encapsulation }, "group"),
    row(Mcast, { net }, "flood"),
    row(FloodRemote, { net, host: physicalHost }, "copy", { host: physicalHost }),
    row(CopyCarriage, { net }, "carry", { largest: testMtu + 14 }),
    row(L2, { net }, "remote", beyond, "physical"),
    row(FromPhysical, { ethSrc: mac }, "loop", {}, "loop"),
    ...local.map((port) =>
      row(FabricVni, { net, ethDst: `${port.mac}/${anyMac}` }, "local", { port: port.key }, "port"),
    ),
  ];
}

const question = (net: number, address: string, mac: string): Row =>
  family(address) === 4
    ? row(FromPhysical, { net, ethType: EthType.arp, arpOp: 1, arpTpa: address }, "arp", { mac }, "question")
    : row(
        FromPhysical,
        { net, ethType: EthType.ipv6, ipProto: IpProto.icmp6, icmp6Type: 135, ndTarget: address },
        "nd",
        {},
        "question",
      );

/** What host `here` takes of an external network for itself. */
function ownRows(here: number, net: number): readonly Row[] {
  const mac = hostMacOf(here);
  return [
    row(FromPhysical, { net, ethDst: mac, ethType: EthType.arp, arpOp: 2 }, "learn", {}, "news"),
    row(
      FromPhysical,
      { net, ethDst: mac, ethType: EthType.ipv6, ipProto: IpProto.icmp6, icmp6Type: 136 },
      "learn",
      {},
      "news",
    ),
    row(FromPhysical, { net, ethDst: mac }, "take", {}, "here"),
    row(ToRouter, { net, ethDst: mac }, "outside"),
    row(FabricIn, { net, port: 0 }, "outside"),
    row(Routed, { nhMac: noMac, net }, "ask", {}, "asked"),
  ];
}

const blocks = [
  { ipProto: IpProto.tcp, column: "tcpDst" },
  { ipProto: IpProto.udp, column: "udpDst" },
] as const;

function leaseRows(here: number, plan: GatewayPlan): readonly Row[] {
  const { net, vrf, router, leases = [], address } = plan;
  const ip4Dst = alone(address.ip4);
  const own = leases.find(({ host }) => host === here);
  const isOwn = own !== undefined;
  return [
    row(NatOut, { vrf, ethType: v4 }, "source", { zone: router }, "source"),
    row(NatOut, { vrf, ethType: EthType.ipv6 }, "plain", {}, "plain"),
    row(NatOut, { vrf, srcPort: 0, ethType: v4, ip4Src: ip4Dst }, "plain", {}, "own"),
    ...(isOwn
      ? [
          ...blocks.map(({ ipProto }) => {
            const ports = { address: address.ip4, first: own.first, last: own.first + own.size - 1 };
            return row(SnatNew, { vrf, ipProto }, "lease", ports, "ports");
          }),
          row(SnatNew, { vrf }, "alone", { address: address.ip4 }, "alone"),
          row(NatAsk, { vrf }, "ask", { zone: router }),
          row(OwnLease, { net, address: address.ip4 }, "translate", { vrf, zone: router }),
          row(Quotation, { ingress: fabricIngress, net, ip4Dst: address.ip4 }, "own", {}, "own"),
        ]
      : []),
    ...leases.flatMap(({ host, first, size }) => {
      const mask = `${first}/${0x10000 - size}`;
      return blocks.map(({ ipProto, column }) =>
        host === here
          ? row(ExtIn, { net, ethType: v4, ip4Dst, ipProto, [column]: mask }, "own", {}, "lease")
          : row(
              ExtIn,
              { net, ethType: v4, ip4Dst, ipProto, [column]: mask },
              "steer",
              { host: hostKeyOf(host) },
              "steer",
            ),
      );
    }),
    row(ExtIn, { net, ethType: v4, ip4Dst }, "spread", {}, "spread"),
    row(Quotation, { net, ip4Dst: address.ip4 }, "spread", {}, "spread"),
    ...leases.map(({ host }) => {
      const key = { net, address: address.ip4, host: hostKeyOf(host) };
      return host === here ? row(LeaseHosts, key, "here") : row(LeaseHosts, key, "copy", { host: hostKeyOf(host) });
    }),
  ];
}

const turned = ({ id, key }: TestPort): Row => row(Turn, { round: 1, ingress: id, port: key }, "back");

function floatingRows(here: number, { net, vrf, floating = [], forwarded = [] }: GatewayPlan): readonly Row[] {
  const mac = hostMacOf(here);
  const inner = (key: { readonly ip4Dst: string }): readonly Row[] =>
    icmpErrorTypes.map((icmpType) =>
      row(ExtIn, { net, ethType: v4, ...key, ipProto: IpProto.icmp, icmpType }, "inner", {}, "inner"),
    );
  return [
    ...floating
      .filter(({ port }) => port.host === here)
      .flatMap(({ port, address }) => [
        row(NatOut, { vrf, ethType: v4, ip4Src: alone(port.ip4) }, "floating", { address }, "floating"),
        row(ExtIn, { net, ethType: v4, ip4Dst: alone(address) }, "floating", { vrf, address: port.ip4 }, "floating"),
        ...inner({ ip4Dst: alone(address) }),
        ...icmpErrorTypes.map((icmpType) => {
          const key = { vrf, ethType: v4, ip4Src: alone(port.ip4), ipProto: IpProto.icmp, icmpType };
          return row(NatOut, key, "inner", {}, "inner");
        }),
        row(Neighbour, { net, nh: address }, "known", { mac }),
        question(net, address, mac),
        turned(port),
      ]),
    ...forwarded
      .filter(({ port }) => port.host === here)
      .flatMap(({ port, protocol, address, outer, inner: to }) => {
        const isTcp = protocol === "tcp";
        const ipProto = isTcp ? IpProto.tcp : IpProto.udp;
        const action = isTcp ? "forwardedTcp" : "forwardedUdp";
        const outward = { vrf, ethType: v4, ip4Src: alone(port.ip4), ipProto, [isTcp ? "tcpSrc" : "udpSrc"]: to };
        const inward = { net, ethType: v4, ip4Dst: alone(address), ipProto };
        return [
          row(NatOut, outward, action, { address, port: outer }, "forwarded"),
          row(
            ExtIn,
            { ...inward, [isTcp ? "tcpDst" : "udpDst"]: `${outer}/${0xffff}` },
            action,
            { vrf, address: port.ip4, port: to },
            "forwarded",
          ),
          row(Neighbour, { net, nh: address }, "known", { mac }),
          question(net, address, mac),
          turned(port),
        ];
      }),
  ];
}

/** What host `here` needs beside `routerRowsFor` where a router has a way out. */
export function gatewayRowsFor(
  here: number,
  ports: readonly TestPort[],
  addresses: readonly string[],
  plan: GatewayPlan,
): readonly Row[] {
  const { net, vrf, address, outside, owner } = plan;
  const mac = hostMacOf(here);
  const at = (prefix: string) =>
    family(prefix) === 4 ? { ethType: v4, ip4Dst: prefix } : { ethType: EthType.ipv6, ip6Dst: prefix };
  const rows = [
    ...physicalRows(here, plan, ports),
    ...ownRows(here, net),
    row(Route, { vrf, ...at(outsidePrefixes[4]) }, "connected4", { net, mac }),
    row(Route, { vrf, ...at(outsidePrefixes[6]) }, "connected6", { net, mac }),
    row(Route, { vrf, ...at("0.0.0.0/0") }, "via", { net, mac, nh: outside.ip4 }),
    row(Route, { vrf, ...at("::/0") }, "via", { net, mac, nh: outside.ip6 }),
    row(Neighbour, { net, nh: outside.ip4 }, "known", { mac: outside.mac }),
    row(Neighbour, { net, nh: outside.ip6 }, "known", { mac: outside.mac }),
    ...[v4, EthType.ipv6].map((ethType) =>
      row(Scopes, { vrf, net, ethType }, "outside", { largest: testMtu + 14 }, "outside"),
    ),
    row(ExtIn, { net, ...at(alone(address.ip4)), ...echoRequest[4] }, "echo4", {}, "echo"),
    row(ExtIn, { net, ...at(alone(address.ip6)), ...echoRequest[6] }, "echo6", {}, "echo"),
    ...(owner === here
      ? [address.ip4, address.ip6].flatMap((own) => [
          question(net, own, mac),
          row(Neighbour, { net, nh: own }, "known", { mac }),
        ])
      : []),
    ...leaseRows(here, plan),
    ...floatingRows(here, plan),
    ...ports
      .filter((port) => port.host === here)
      .map((port) => row(ExtIn, { net, ...at(alone(port.ip6)) }, "plain", { vrf }, "plain")),
    ...addresses.flatMap((tunSrc, host) =>
      host === here ? [] : [row(TunnelSource, { ingress: fabricIngress, tunKey: net, tunSrc }, "accept", {}, "host")],
    ),
  ];
  return [...new Map(rows.map((each) => [each.id, each])).values()];
}
