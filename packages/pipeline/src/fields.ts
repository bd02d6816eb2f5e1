/**
 * The fields that tables match and actions set: what a packet carries, what its tunnel carried, and what the program
 * remembers about it on its way. Values in rows are numbers or canonical text; how a switch holds them is its driver's business.
 */

/** How a value is written in a row: `int` a number; `mac`, `ip4`, `ip6`, `ip` canonical text; `name` an object's id. */
export type ValueKind = "int" | "mac" | "ip4" | "ip6" | "ip" | "name";

/**
 * Where the value lives: in the frame, in the tunnel header that was around it, in the program's memory, at the ingress, or in what connection tracking
 * said of the packet (nothing before a `track` step) and keeps with the connection.
 */
export type FieldHome = "frame" | "tunnel" | "memory" | "ingress" | "connection";

export interface Field<K extends ValueKind = ValueKind> {
  readonly name: string;
  readonly kind: K;
  readonly bits: number;
  readonly home: FieldHome;
  /** What must be true of the packet for the field to exist: matching it implies these. */
  readonly requires: Readonly<Record<string, number>>;
  readonly text: string;
}

const define = <const K extends ValueKind>(
  name: string,
  kind: K,
  bits: number,
  home: FieldHome,
  text: string,
  requires: Readonly<Record<string, number>> = {},
): Field<K> => Object.freeze({ name, kind, bits, home, requires, text });

export const EthType = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;
export const IpProto = { icmp: 1, tcp: 6, udp: 17, icmp6: 58, sctp: 132 } as const;

const arp = { ethType: EthType.arp };
const ipv4 = { ethType: EthType.ipv4 };
const ipv6 = { ethType: EthType.ipv6 };
const icmp4 = { ethType: EthType.ipv4, ipProto: IpProto.icmp };
const icmp6 = { ethType: EthType.ipv6, ipProto: IpProto.icmp6 };
const tcp = { ipProto: IpProto.tcp };
const udp = { ipProto: IpProto.udp };
const sctp = { ipProto: IpProto.sctp };

/** Every field of the program. `ingress` is a port's id, or `fabric` for whatever came out of a tunnel. */
export const F = {
  ingress: define("ingress", "name", 0, "ingress", "where the packet came in: a port's id, or `fabric`"),

  net: define("net", "int", 24, "memory", "tunnel key of the network the packet is on"),
  srcPort: define("srcPort", "int", 24, "memory", "key of the port that sent it"),
  dstPort: define("dstPort", "int", 24, "memory", "key of the port it goes to; 0: a flooded copy"),
  host: define("host", "int", 24, "memory", "key of the host it goes to"),
  nh: define("nh", "ip", 128, "memory", "the address asked for, or the next hop; IPv4 in the low 32 bits"),
  nhMac: define("nhMac", "mac", 48, "memory", "the link-layer address of `nh`; zero: not known"),
  srcSet: define(
    "srcSet",
    "int",
    24,
    "memory",
    "the sender's set of security groups; 0: none that we know, or it is not policed",
  ),
  dstSet: define(
    "dstSet",
    "int",
    24,
    "memory",
    "the receiver's set of security groups; 0: not known, or it is not policed",
  ),
  srcZone: define(
    "srcZone",
    "name",
    16,
    "memory",
    "connection tracking of the sender: a zone of the port that it names",
  ),
  dstZone: define(
    "dstZone",
    "name",
    16,
    "memory",
    "connection tracking of the receiver: a zone of the port that it names",
  ),
  natZone: define(
    "natZone",
    "name",
    16,
    "memory",
    "connection tracking that translates: a zone of the router that it names",
  ),
  srcStateless: define("srcStateless", "int", 1, "memory", "1: the sender's rules are asked of every packet"),
  dstStateless: define("dstStateless", "int", 1, "memory", "1: the receiver's rules are asked of every packet"),
  rule: define("rule", "int", 32, "memory", "number of the security group rule that admits the packet"),
  generation: define("generation", "int", 16, "memory", "which state of that rule's address group admits it"),
  vrf: define("vrf", "int", 24, "memory", "number of the router that has the packet; 0: none"),
  scope: define("scope", "int", 24, "memory", "number of the address scope that it came from; 0: none"),
  route: define("route", "int", 32, "memory", "number of the route, among its router's, that has several next hops"),
  routed: define("routed", "int", 1, "memory", "1: a router has sent it on"),
  located: define("located", "int", 1, "memory", "1: the host and the port of the next hop are known already"),
  hop: define("hop", "int", 3, "memory", "routers that have sent it on"),
  round: define(
    "round",
    "int",
    1,
    "memory",
    "1: it left a router for an address outside that this host has, and so may go back to where it came in",
  ),
  domain: define(
    "domain",
    "int",
    24,
    "memory",
    "of a tunnelled packet: the least tunnel key of the networks that routers join to its own",
  ),
  encapsulation: define(
    "encapsulation",
    "int",
    2,
    "memory",
    "how the network goes to other hosts: 0 Geneve, 1 VXLAN, 2 a physical network",
  ),
  oversize: define("oversize", "int", 1, "memory", "1: the frame is larger than its network carries"),

  ethSrc: define("ethSrc", "mac", 48, "frame", "source MAC"),
  ethDst: define("ethDst", "mac", 48, "frame", "destination MAC"),
  ethType: define("ethType", "int", 16, "frame", "Ethernet type, behind a VLAN tag if there is one"),
  tagged: define("tagged", "int", 1, "frame", "1: the frame bears a VLAN tag"),
  vlan: define("vlan", "int", 12, "frame", "the tag's VLAN; 0 without a tag"),
  ttl: define("ttl", "int", 8, "frame", "IPv4 time to live or IPv6 hop limit"),
  fragment: define("fragment", "int", 1, "frame", "1: a fragment of a datagram, the first or a later one"),
  later: define("later", "int", 1, "frame", "1: a fragment that is not the first, and so bears no ports"),
  ipProto: define("ipProto", "int", 8, "frame", "IP protocol or IPv6 next header"),
  ip4Src: define("ip4Src", "ip4", 32, "frame", "IPv4 source", ipv4),
  ip4Dst: define("ip4Dst", "ip4", 32, "frame", "IPv4 destination", ipv4),
  ip6Src: define("ip6Src", "ip6", 128, "frame", "IPv6 source", ipv6),
  ip6Dst: define("ip6Dst", "ip6", 128, "frame", "IPv6 destination", ipv6),
  arpOp: define("arpOp", "int", 16, "frame", "ARP operation (RFC 826): 1 request, 2 reply", arp),
  arpSpa: define("arpSpa", "ip4", 32, "frame", "ARP sender address", arp),
  arpTpa: define("arpTpa", "ip4", 32, "frame", "ARP target address", arp),
  arpSha: define("arpSha", "mac", 48, "frame", "ARP sender MAC", arp),
  arpTha: define("arpTha", "mac", 48, "frame", "ARP target MAC", arp),
  tcpSrc: define("tcpSrc", "int", 16, "frame", "TCP source port", tcp),
  tcpDst: define("tcpDst", "int", 16, "frame", "TCP destination port", tcp),
  sctpSrc: define("sctpSrc", "int", 16, "frame", "SCTP source port", sctp),
  sctpDst: define("sctpDst", "int", 16, "frame", "SCTP destination port", sctp),
  udpSrc: define("udpSrc", "int", 16, "frame", "UDP source port", udp),
  udpDst: define("udpDst", "int", 16, "frame", "UDP destination port", udp),
  icmpType: define("icmpType", "int", 8, "frame", "ICMP type (RFC 792)", icmp4),
  icmpCode: define("icmpCode", "int", 8, "frame", "ICMP code", icmp4),
  icmp6Type: define("icmp6Type", "int", 8, "frame", "ICMPv6 type (RFC 4443, 4861)", icmp6),
  icmp6Code: define("icmp6Code", "int", 8, "frame", "ICMPv6 code", icmp6),
  ndTarget: define("ndTarget", "ip6", 128, "frame", "neighbour discovery target (RFC 4861)", icmp6),

  tunKey: define("tunKey", "int", 24, "tunnel", "tunnel key (VNI) that the packet came with"),
  tunSrc: define("tunSrc", "ip", 128, "tunnel", "underlay address it came from"),
  tunSrcPort: define("tunSrcPort", "int", 24, "tunnel", "option: key of the sending port"),
  tunDstPort: define("tunDstPort", "int", 24, "tunnel", "option: key of the receiving port; 0: a flooded copy"),
  tunSrcSet: define("tunSrcSet", "int", 24, "tunnel", "option: the sender's set of security groups"),

  ctNew: define("ctNew", "int", 1, "connection", "1: no connection is known that it belongs to"),
  ctEstablished: define("ctEstablished", "int", 1, "connection", "1: of a connection that both sides have spoken on"),
  ctRelated: define("ctRelated", "int", 1, "connection", "1: an ICMP error about a known connection"),
  ctReply: define("ctReply", "int", 1, "connection", "1: against the direction in which the connection was opened"),
  ctInvalid: define("ctInvalid", "int", 1, "connection", "1: cannot be of any connection"),
  ctSourced: define("ctSourced", "int", 1, "connection", "1: its source address has been translated"),
  ctProto: define("ctProto", "int", 8, "connection", "IP protocol of the connection as it was opened"),
  ctDst: define("ctDst", "int", 16, "connection", "destination port of the connection as it was opened"),
  ctType: define(
    "ctType",
    "int",
    8,
    "connection",
    "of a connection of ICMP, the type of the question that opened it (its code is 0)",
  ),
  ctRule: define("ctRule", "int", 32, "connection", "kept with it: number of the rule that admitted it"),
  ctGeneration: define("ctGeneration", "int", 16, "connection", "kept with it: `generation` when it was admitted"),
  ctRemote: define("ctRemote", "int", 24, "connection", "kept with it: the other side's set when it was admitted"),
} as const;

/** What a frame is measured by: its bytes, header and tag included. No table matches it. */
export const frameLength = define("frameLength", "int", 16, "frame", "bytes of the frame");

export type FieldName = keyof typeof F;

/** The tunnel key of packets that only make a switch find the way to another host; no network has it. */
export const probeKey = 0;

/** The `ingress` of a packet that came out of a Geneve tunnel. */
export const fabricIngress = "fabric";

/** The `ingress` of a packet that came out of a VXLAN tunnel. */
export const vxlanIngress = "fabric-vxlan";

/** The `ingress` of a packet that the agent lets go on in a table. */
export const agentIngress = "agent";

const physicalPrefix = "physical:";
/** The `ingress` of a packet that came from a physical network, and the interface that leads to it. */
export const physicalName = (network: string): string => `${physicalPrefix}${network}`;
/** The physical network behind such a name; undefined for any other. */
export const physicalNetworkOf = (name: string): string | undefined =>
  name.startsWith(physicalPrefix) ? name.slice(physicalPrefix.length) : undefined;

/** The tunnel key on which switches watch each other; no network has it. */
export const watchKey = 0xffffff;

/** The `ingress` of a packet from the tunnel on which this host's switch and another's watch each other, by the other's id. */
export const peerName = (hostId: string): string => `peer:${hostId}`;

/** The key of the host that a physical network is: whoever is on it and on none of ours. */
export const physicalHost = 0xffffff;

/** The address scope of what was translated, or came to be routed to a tenant's own addresses: it may go to all of a router's networks. */
export const anyScope = 0xffffff;

/** How a network's frames cross the underlay: Geneve (RFC 8926), whose option names both ports, or VXLAN (RFC 7348), which has the key alone. */
export type Encapsulation = "geneve" | "vxlan";

/** Encapsulations as the field holds them. */
export const encapsulations: Readonly<Record<Encapsulation | "physical", number>> = {
  geneve: 0,
  vxlan: 1,
  physical: 2,
};

/** Where packets of an encapsulation come in and go out. */
export const ingressOf: Readonly<Record<Encapsulation, string>> = { geneve: fabricIngress, vxlan: vxlanIngress };
/** Whether packets come in there from other hosts, of whatever encapsulation. */
export const isFabric = (ingress: string): boolean => ingress === fabricIngress || ingress === vxlanIngress;
