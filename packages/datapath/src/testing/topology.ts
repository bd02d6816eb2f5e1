/**
 * Rows written by hand for a few machines on a few hosts: what the compiler makes of such intent (its tests compare the two), said here
 * again so that a datapath can be tested with nothing above it.
 */
import {
  Arp,
  Carriage,
  Classify,
  CopyCarriage,
  Deliver,
  Dhcp,
  Dhcp6,
  EthType,
  encapsulations,
  FabricIn,
  FabricVni,
  FloodLocal,
  FloodRemote,
  fabricIngress,
  GuardIp,
  GuardMac,
  IpProto,
  type KeyOf,
  L2,
  Mcast,
  Nd,
  Neighbour,
  type Row,
  row,
  TunnelOut,
  TunnelSource,
  vxlanIngress,
} from "@selvage/pipeline";
import type { Speaker } from "./frames.ts";

/** A machine's port: where it is, and what it may say. */
export interface TestPort extends Speaker {
  /** The port's id, which its interface names. */
  readonly id: string;
  readonly key: number;
  readonly net: number;
  /** Place of its host in the fabric. */
  readonly host: number;
}

/** The n-th port: every number of it follows from n. */
export function testPort(n: number, net: number, host: number): TestPort {
  const hex = n.toString(16);
  return {
    id: `0000000${net.toString(16)}-0000-4000-8000-${hex.padStart(12, "0")}`,
    key: 100 + n,
    net,
    host,
    mac: `fa:16:3e:00:${net.toString(16).padStart(2, "0")}:${hex.padStart(2, "0")}`,
    ip4: `10.0.${net}.${10 + n}`,
    ip6: `2001:db8:${net}::${hex}`,
  };
}

/** The one network of the tests that crosses the underlay by VXLAN. */
export const vxlanNet = 4;

/** MTU of the networks that the ports are on. */
export const testMtu = 1442;

/** Keys of hosts by their place. */
export const hostKeyOf = (place: number): number => place + 1;

/** Every row that host `here` needs for the ports, given where each host's tunnels end. */
export function rowsFor(here: number, ports: readonly TestPort[], addresses: readonly string[]): readonly Row[] {
  const nets = new Set(ports.filter((port) => port.host === here).map((port) => port.net));
  const near = ports.filter((port) => nets.has(port.net));
  const local = near.filter((port) => port.host === here);
  const pairs = new Map(near.map(({ net, host }) => [`${net}|${host}`, { net, host }]));
  const rows = [
    ...addresses.flatMap((to, host) =>
      host === here ? [] : [row(TunnelOut, { host: hostKeyOf(host), encapsulation: 0 }, "geneve", { to })],
    ),
    ...local.flatMap(ownRows),
    ...near.flatMap((port) => [
      l2Row(port, here),
      row(Neighbour, { net: port.net, nh: port.ip4 }, "known", { mac: port.mac }),
      row(Neighbour, { net: port.net, nh: port.ip6 }, "known", { mac: port.mac }),
    ]),
    ...[...nets].flatMap((net) => [
      ...carriageRows(net),
      row(Mcast, { net }, "flood"),
      row(TunnelSource, { tunKey: net }, "stranger", {}, "network"),
      ...(net === vxlanNet ? [] : [row(FabricIn, { net, port: 0 }, "flood")]),
      row(Dhcp, { net }, "serve"),
      row(Dhcp6, { net }, "serve"),
    ]),
    ...[...pairs.values()].flatMap(({ net, host }) => {
      const tunSrc = addresses[host];
      if (host === here || tunSrc === undefined) return [];
      const there = hostKeyOf(host);
      return [
        row(FloodRemote, { net, host: there }, "copy", { host: there }),
        ...(net === vxlanNet
          ? [
              row(TunnelOut, { host: there, encapsulation: 1 }, "vxlan", { to: tunSrc }),
              row(TunnelSource, { ingress: vxlanIngress, tunKey: net, tunSrc }, "acceptVni", {}, "host"),
              row(Classify, { ingress: vxlanIngress }, "fabric"),
            ]
          : [row(TunnelSource, { ingress: fabricIngress, tunKey: net, tunSrc }, "accept", {}, "host")]),
      ];
    }),
  ];
  // Hosts and networks say some things more than once.
  return [...new Map(rows.map((each) => [each.id, each])).values()];
}

/** Where a port's MAC is, as host `here` sees it. */
export function l2Row(port: TestPort, here: number): Row {
  const key = { net: port.net, ethDst: `${port.mac}/ff:ff:ff:ff:ff:ff` };
  return port.host === here
    ? row(L2, key, "local", { port: port.key }, "port")
    : row(L2, key, "remote", { port: port.key, host: hostKeyOf(port.host) }, "port");
}

/** What a network carries, and how. */
export function carriageRows(net: number): readonly Row[] {
  const encapsulation = encapsulations[net === vxlanNet ? "vxlan" : "geneve"];
  const ethDst = "01:00:00:00:00:00/01:00:00:00:00:00";
  return [
    row(Carriage, { net }, "carry", { largest: testMtu + 14, encapsulation }, "network"),
    row(Carriage, { net, ethDst }, "flood", { encapsulation }, "group"),
    row(CopyCarriage, { net }, "carry", { largest: testMtu + 14 }),
  ];
}

/** What a port has on its own host. */
function ownRows(port: TestPort): readonly Row[] {
  const { key: srcPort, net } = port;
  const allow = (key: Omit<KeyOf<typeof GuardIp.columns>, "srcPort">): Row =>
    row(GuardIp, { srcPort, ...key }, "pass", {}, "allowed");
  return [
    row(Classify, { ingress: port.id }, "machine", { port: srcPort, net }),
    row(Deliver, { port: srcPort }, "output", { port: port.id }),
    net === vxlanNet
      ? row(FabricVni, { net, ethDst: `${port.mac}/ff:ff:ff:ff:ff:ff` }, "local", { port: srcPort }, "port")
      : row(FabricIn, { net, port: srcPort }, "local", { port: srcPort }),
    row(FloodLocal, { net, port: srcPort }, "copy", { port: srcPort }),
    row(GuardMac, { srcPort, ethSrc: port.mac }, "pass", {}, "mac"),
    allow({ ethType: EthType.ipv4, ip4Src: "0.0.0.0/32", ipProto: IpProto.udp, udpSrc: 68, udpDst: 67 }),
    allow({ ethType: EthType.ipv4, ip4Src: `${port.ip4}/32` }),
    allow({ ethType: EthType.arp, arpSpa: `${port.ip4}/32`, arpSha: port.mac }),
    allow({ ethType: EthType.ipv6, ip6Src: `${port.ip6}/128` }),
    row(Arp, { srcPort, arpTpa: port.ip4 }, "own", {}, "own"),
    row(Nd, { srcPort, ndTarget: port.ip6 }, "own", {}, "own"),
  ];
}
