/**
 * The tables of Selvage's pipeline, in a packet's order. Numbers are those of the design and never reused; gaps are for growth.
 * Source side: classify → guard → services → the sender's security groups → routers → l2 → tunnel or receiver. Receiving side: classify → tunnel_source →
 * fabric_in → the receiver's security groups → deliver. Neighbours, security groups and routers have files of their own.
 */
import { EthType, F, fabricIngress, IpProto, probeKey } from "./fields.ts";
import {
  absorb,
  action,
  constant,
  contentsOf,
  drop,
  exact,
  goto,
  limit,
  masked,
  measure,
  optional,
  output,
  param,
  prefix,
  punt,
  replicate,
  reply,
  report,
  set,
  table,
  tunnel,
} from "./table.ts";
import { serviceAddresses } from "./tables-services.ts";

export const Classify = table({
  number: 0,
  name: "classify",
  text: "Where a packet came in decides whose it is and on which network.",
  scheme: "exact",
  columns: { ingress: exact(F.ingress) },
  actions: {
    machine: action({ port: "int", net: "int" }, [
      set(F.srcPort, param("port")),
      set(F.net, param("net")),
      goto("guard_mac"),
    ]),
    portDown: action([drop("port-admin-down")]),
    networkDown: action([drop("network-admin-down")]),
    fabric: action([goto("tunnel_source")]),
    service: action([goto("service_in")]),
    physical: action([goto("wire_fragments")]),
    /** The switches' own signs of life to each other. */
    watch: action([absorb()]),
  },
  miss: [drop("port-not-bound")],
  constants: [{ key: { ingress: fabricIngress }, action: "fabric" }],
});

export const GuardMac = table({
  number: 1,
  name: "guard_mac",
  text: "A port sends only from its own MACs, its address pairs' among them; a port without port security from any.",
  scheme: "ranked",
  ranks: { mac: 2, any: 1 },
  columns: { srcPort: exact(F.srcPort), ethSrc: optional(F.ethSrc) },
  actions: { pass: action([goto("guard_ip")]), unguarded: action([goto("fragments")]) },
  miss: [drop("anti-spoof-mac")],
});

export const GuardIp = table({
  number: 2,
  name: "guard_ip",
  text: "A port speaks only for its own addresses and those of its address pairs, in IP, ARP and neighbour discovery, and plays neither router nor DHCP server.",
  scheme: "ranked",
  ranks: { own: 4, never: 3, allowed: 2, why: 1 },
  columns: {
    srcPort: optional(F.srcPort),
    ethType: exact(F.ethType),
    ip4Src: prefix(F.ip4Src),
    ip6Src: prefix(F.ip6Src),
    arpSpa: prefix(F.arpSpa),
    arpSha: optional(F.arpSha),
    ipProto: optional(F.ipProto),
    udpSrc: optional(F.udpSrc),
    udpDst: optional(F.udpDst),
    icmp6Type: optional(F.icmp6Type),
    ndTarget: prefix(F.ndTarget),
  },
  actions: {
    pass: action([goto("fragments")]),
    dhcpServer: action([drop("dhcp-server-from-tenant")]),
    routerAdvertisement: action([drop("ra-from-tenant")]),
    foreignTarget: action([drop("nd-spoof")]),
    foreignArp: action([drop("arp-spoof")]),
    foreignIp: action([drop("anti-spoof-ip")]),
  },
  miss: [drop("ethertype-denied")],
  constants: [
    { rank: "never", key: { ethType: EthType.ipv4, ipProto: IpProto.udp, udpSrc: 67 }, action: "dhcpServer" },
    { rank: "never", key: { ethType: EthType.ipv6, ipProto: IpProto.udp, udpSrc: 547 }, action: "dhcpServer" },
    {
      rank: "never",
      key: { ethType: EthType.ipv6, ipProto: IpProto.icmp6, icmp6Type: 134 },
      action: "routerAdvertisement",
    },
    {
      rank: "never",
      key: { ethType: EthType.ipv6, ipProto: IpProto.icmp6, icmp6Type: 137 },
      action: "routerAdvertisement",
    },
    { rank: "never", key: { ethType: EthType.ipv6, ipProto: IpProto.icmp6, icmp6Type: 136 }, action: "foreignTarget" },
    { rank: "why", key: { ethType: EthType.arp }, action: "foreignArp" },
    { rank: "why", key: { ethType: EthType.ipv4 }, action: "foreignIp" },
    { rank: "why", key: { ethType: EthType.ipv6 }, action: "foreignIp" },
  ],
});

export const Fragments = table({
  number: 3,
  name: "fragments",
  text: "Each port may send so many fragments a second: where connections are tracked they are held until their datagram is whole, in memory that a host's ports share.",
  scheme: "exact",
  columns: { fragment: exact(F.fragment) },
  actions: { limited: action([limit("fragments"), goto("service_class")]) },
  miss: [goto("service_class")],
  constants: [{ key: { fragment: 1 }, action: "limited" }],
});

/** The bit of a MAC address that makes it a group's (IEEE 802.3, clause 3.2.3). */
export const groupBit = "01:00:00:00:00:00/01:00:00:00:00:00";

/** Multicast listener queries, reports and dones (RFC 2710, 3810): of the network's upkeep, as neighbour discovery is. */
const listenerTypes = [130, 131, 132, 143] as const;

export const ServiceClass = table({
  number: 4,
  name: "service_class",
  text: "What the platform itself answers, and what a network cannot be without, leaves here before any security group; frames from a group's MAC end here, and tagged ones, as no port carries VLANs yet.",
  scheme: "ranked",
  ranks: { source: 4, first: 3, service: 2, platform: 1 },
  columns: {
    ethSrc: masked(F.ethSrc),
    tagged: optional(F.tagged),
    ethType: optional(F.ethType),
    ipProto: optional(F.ipProto),
    udpSrc: optional(F.udpSrc),
    udpDst: optional(F.udpDst),
    icmp6Type: optional(F.icmp6Type),
    ip4Dst: optional(F.ip4Dst),
    ip6Dst: optional(F.ip6Dst),
  },
  actions: {
    groupSource: action([drop("source-multicast")]),
    tagged: action([drop("vlan-denied")]),
    arp: action([goto("arp")]),
    nd: action([goto("nd")]),
    rs: action([goto("router_solicitation")]),
    dhcp: action([goto("dhcp")]),
    dhcp6: action([goto("dhcp6")]),
    exempt: action([goto("carriage")]),
    metadata: action([goto("metadata")]),
  },
  miss: [goto("sender")],
  constants: [
    { rank: "source", key: { ethSrc: groupBit }, action: "groupSource" },
    { rank: "first", key: { tagged: 1 }, action: "tagged" },
    { rank: "service", key: { ethType: EthType.arp }, action: "arp" },
    ...[135, 136].map((icmp6Type) => ({
      rank: "service",
      key: { ethType: EthType.ipv6, ipProto: IpProto.icmp6, icmp6Type },
      action: "nd",
    })),
    { rank: "service", key: { ethType: EthType.ipv6, ipProto: IpProto.icmp6, icmp6Type: 133 }, action: "rs" },
    ...[134, 137, ...listenerTypes].map((icmp6Type) => ({
      rank: "service",
      key: { ethType: EthType.ipv6, ipProto: IpProto.icmp6, icmp6Type },
      action: "exempt",
    })),
    { rank: "service", key: { ethType: EthType.ipv4, ipProto: IpProto.udp, udpSrc: 68, udpDst: 67 }, action: "dhcp" },
    ...Object.values(serviceAddresses).flatMap((each) => [
      { rank: "platform", key: { ethType: EthType.ipv4, ip4Dst: each[4] }, action: "metadata" },
      { rank: "platform", key: { ethType: EthType.ipv6, ip6Dst: each[6] }, action: "metadata" },
    ]),
    {
      rank: "service",
      key: { ethType: EthType.ipv6, ipProto: IpProto.udp, udpSrc: 546, udpDst: 547 },
      action: "dhcp6",
    },
  ],
});

export const Dhcp = table({
  number: 12,
  name: "dhcp",
  text: "A network with a DHCP subnet has its questions answered by the agent of the asking host (RFC 2131).",
  scheme: "exact",
  columns: { net: exact(F.net) },
  actions: { serve: action([punt("dhcp4")]) },
  miss: [goto("carriage")],
});

export const Dhcp6 = table({
  number: 13,
  name: "dhcp6",
  text: "A network with a DHCPv6 subnet has its questions answered by the agent of the asking host (RFC 8415).",
  scheme: "exact",
  columns: { net: exact(F.net) },
  actions: { serve: action([punt("dhcp6")]) },
  miss: [goto("carriage")],
});

export const Carriage = table({
  number: 29,
  name: "carriage",
  text: "What a network carries and how it crosses the underlay: a frame of more bytes than its largest (MTU and Ethernet header) is marked, and then dropped. A flooded one is measured copy by copy.",
  scheme: "ranked",
  ranks: { group: 2, network: 1 },
  columns: { net: exact(F.net), ethDst: masked(F.ethDst) },
  actions: {
    carry: action({ largest: "int", encapsulation: "int" }, [
      set(F.encapsulation, param("encapsulation")),
      measure(F.oversize, param("largest")),
      goto("l2"),
    ]),
    flood: action({ encapsulation: "int" }, [set(F.encapsulation, param("encapsulation")), goto("mcast")]),
  },
  miss: [drop("no-fdb-entry")],
});

export const L2 = table({
  number: 30,
  name: "l2",
  text: "Which port, here or on which host, has a MAC of this network; one that only address pairs name (VRRP) is each such port's. On a network that stands on a physical one, all others are there.",
  scheme: "ranked",
  ranks: { routedSize: 5, size: 4, located: 3, port: 2, physical: 1 },
  columns: {
    oversize: optional(F.oversize),
    located: optional(F.located),
    routed: optional(F.routed),
    net: optional(F.net),
    ethDst: masked(F.ethDst),
  },
  actions: {
    local: action({ port: "int" }, [set(F.dstPort, param("port")), goto("receiver")]),
    remote: action({ port: "int", host: "int" }, [
      set(F.dstPort, param("port")),
      set(F.host, param("host")),
      goto("tunnel_out"),
    ]),
    located: action([goto("tunnel_out")]),
    holders: action([replicate("holders_here"), replicate("holders_there")]),
    tooLarge: action([drop("mtu-exceeded")]),
    tooLargeRouted: action([report("mtu-exceeded"), drop("mtu-exceeded")]),
  },
  miss: [drop("no-fdb-entry")],
  constants: [
    { rank: "routedSize", key: { oversize: 1, routed: 1 }, action: "tooLargeRouted" },
    { rank: "size", key: { oversize: 1 }, action: "tooLarge" },
    { rank: "located", key: { located: 1 }, action: "located" },
  ],
});

export const Mcast = table({
  number: 34,
  name: "mcast",
  text: "Broadcast and multicast: a copy to each port here, and one to each host that has a machine on the network.",
  scheme: "exact",
  columns: { net: exact(F.net) },
  actions: { flood: action([replicate("flood_local"), replicate("flood_remote")]) },
  miss: [drop("no-fdb-entry")],
});

export const FloodLocal = table({
  number: 36,
  name: "flood_local",
  text: "The ports of a network on this host.",
  role: "members",
  scheme: "exact",
  columns: { net: exact(F.net), port: exact(F.dstPort) },
  actions: {
    copy: action({ port: "int" }, [set(F.dstPort, param("port")), set(F.host, constant(0)), goto("copy_carriage")]),
  },
});

export const FloodRemote = table({
  number: 37,
  name: "flood_remote",
  text: "The other hosts that have a machine on a network.",
  role: "members",
  scheme: "exact",
  columns: { net: exact(F.net), host: exact(F.host) },
  actions: {
    copy: action({ host: "int" }, [set(F.dstPort, constant(0)), set(F.host, param("host")), goto("copy_carriage")]),
  },
});

export const CopyCarriage = table({
  number: 35,
  name: "copy_carriage",
  text: "Measures one copy of a flooded frame. What follows a measurement is worked out twice, so it is kept as short as one copy; members of a set cannot measure by themselves.",
  scheme: "exact",
  columns: { net: exact(F.net) },
  actions: { carry: action({ largest: "int" }, [measure(F.oversize, param("largest")), goto("copies")]) },
  miss: [drop("no-fdb-entry")],
});

export const Copies = table({
  number: 38,
  name: "copies",
  text: "One copy of a flooded frame: dropped when it is too large, else to the port here (host 0) or to the other host.",
  scheme: "ranked",
  ranks: { size: 2, here: 1 },
  columns: { oversize: optional(F.oversize), host: optional(F.host) },
  actions: { tooLarge: action([drop("mtu-exceeded")]), local: action([goto("receiver")]) },
  miss: [goto("tunnel_out")],
  constants: [
    { rank: "size", key: { oversize: 1 }, action: "tooLarge" },
    { rank: "here", key: { host: 0 }, action: "local" },
  ],
});

export const FabricVni = table({
  number: 58,
  name: "fabric_vni",
  text: "VXLAN names no receiving port, and Geneve none for a copy: the ports here are looked up by the MAC, and broadcast and multicast go to every port of the network here. The agent hears that an address has moved to another host.",
  scheme: "ranked",
  ranks: { heard: 4, group: 3, port: 2, elsewhere: 1 },
  columns: {
    net: optional(F.net),
    ethDst: masked(F.ethDst),
    arpSpa: optional(F.arpSpa),
    arpTpa: optional(F.arpTpa),
    icmp6Type: optional(F.icmp6Type),
    ndTarget: optional(F.ndTarget),
  },
  actions: {
    local: action({ port: "int" }, [set(F.dstPort, param("port")), goto("receiver")]),
    holders: action([replicate("holders_here")]),
    group: action([replicate("flood_local")]),
    heard: action([report("neighbour"), replicate("flood_local")]),
    /** A physical network brings frames for others too, as long as it has not learned where they are. */
    elsewhere: action([absorb()]),
  },
  miss: [drop("no-fdb-entry")],
  constants: [{ rank: "group", key: { ethDst: groupBit }, action: "group" }],
});

/** What comes from a host that may send it: Geneve names the sender and its set, VXLAN names nobody. */
const acceptance = {
  accept: action([
    set(F.net, contentsOf(F.tunKey)),
    set(F.srcPort, contentsOf(F.tunSrcPort)),
    set(F.srcSet, contentsOf(F.tunSrcSet)),
    goto("fabric_in"),
  ]),
  acceptVni: action([set(F.net, contentsOf(F.tunKey)), set(F.srcPort, constant(0)), goto("remote_id")]),
};

export const TunnelSource = table({
  number: 59,
  name: "tunnel_source",
  text: "A tunnelled packet counts only when it comes from a host that has a machine on that network, and when that network is here.",
  scheme: "ranked",
  ranks: { probe: 4, host: 3, joined: 2, network: 1 },
  columns: { ingress: optional(F.ingress), tunKey: exact(F.tunKey), tunSrc: optional(F.tunSrc) },
  actions: {
    probe: action([absorb()]),
    ...acceptance,
    /** One of several networks that routers join: whoever has a machine on any of them may send to it. */
    joined: action({ domain: "int" }, [set(F.domain, param("domain")), goto("tunnel_domain")]),
    stranger: action([drop("tunnel-source")]),
  },
  miss: [drop("tunnel-key-unknown")],
  constants: [{ rank: "probe", key: { tunKey: probeKey }, action: "probe" }],
});

export const TunnelDomain = table({
  number: 61,
  name: "tunnel_domain",
  text: "The hosts that have a machine on one of the networks that routers join: each once, however many those are.",
  scheme: "exact",
  columns: { ingress: exact(F.ingress), domain: exact(F.domain), tunSrc: exact(F.tunSrc) },
  actions: acceptance,
  miss: [drop("tunnel-source")],
});

export const FabricIn = table({
  number: 60,
  name: "fabric_in",
  text: "The sender named the receiving port; 0 is a copy for several.",
  scheme: "exact",
  columns: { net: exact(F.net), port: exact(F.tunDstPort) },
  actions: {
    local: action({ port: "int" }, [set(F.dstPort, param("port")), goto("receiver")]),
    flood: action([goto("fabric_vni")]),
    outside: action([goto("ext_in")]),
  },
  miss: [drop("port-not-bound")],
});

export const TunnelOut = table({
  number: 80,
  name: "tunnel_out",
  text: "How another host is reached, by the network's encapsulation.",
  scheme: "exact",
  columns: { host: exact(F.host), encapsulation: exact(F.encapsulation) },
  actions: {
    geneve: action({ to: "ip" }, [tunnel("geneve", param("to"))]),
    vxlan: action({ to: "ip" }, [tunnel("vxlan", param("to"))]),
    physical: action([goto("provider_out")]),
  },
  miss: [drop("tunnel-missing")],
});

export const Turn = table({
  number: 91,
  name: "turn",
  text: "What a machine sends to an address outside that stands for itself goes back by the interface that it came in by.",
  scheme: "exact",
  columns: { round: exact(F.round), ingress: exact(F.ingress), port: exact(F.dstPort) },
  actions: { back: action([reply()]) },
  miss: [goto("deliver")],
});

export const Deliver = table({
  number: 92,
  name: "deliver",
  text: "The interface of a port on this host.",
  scheme: "exact",
  columns: { port: exact(F.dstPort) },
  actions: {
    output: action({ port: "name" }, [output(param("port"))]),
    portDown: action([drop("port-admin-down")]),
    networkDown: action([drop("network-admin-down")]),
  },
  miss: [drop("port-not-bound")],
});
