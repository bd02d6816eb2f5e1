/**
 * The fields that tables match and actions set: what a packet carries, what its tunnel carried, and what the program
 * remembers about it on its way. Values in rows are numbers or canonical text; how a switch holds them is its driver's business.
 */

/** How a value is written in a row: `int` a number; `mac`, `ip4`, `ip6`, `ip` canonical text; `name` an object's id. */
export type ValueKind = "int" | "mac" | "ip4" | "ip6" | "ip" | "name";

/** Where the value lives: in the frame, in the tunnel header that was around it, in the program's memory, or at the ingress. */
export type FieldHome = "frame" | "tunnel" | "memory" | "ingress";

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
export const IpProto = { icmp: 1, tcp: 6, udp: 17, icmp6: 58 } as const;

const arp = { ethType: EthType.arp };
const ipv4 = { ethType: EthType.ipv4 };
const ipv6 = { ethType: EthType.ipv6 };
const icmp6 = { ethType: EthType.ipv6, ipProto: IpProto.icmp6 };
const udp = { ipProto: IpProto.udp };

/** Every field of the program. `ingress` is a port's id, or `fabric` for whatever came out of a tunnel. */
export const F = {
  ingress: define("ingress", "name", 0, "ingress", "where the packet came in: a port's id, or `fabric`"),

  net: define("net", "int", 24, "memory", "tunnel key of the network the packet is on"),
  srcPort: define("srcPort", "int", 24, "memory", "key of the port that sent it"),
  dstPort: define("dstPort", "int", 24, "memory", "key of the port it goes to; 0: a flooded copy"),
  host: define("host", "int", 24, "memory", "key of the host it goes to"),
  nh: define("nh", "ip", 128, "memory", "the address asked for, or the next hop; IPv4 in the low 32 bits"),
  nhMac: define("nhMac", "mac", 48, "memory", "the link-layer address of `nh`; zero: not known"),
  encapsulation: define("encapsulation", "int", 2, "memory", "how the network crosses the underlay: 0 Geneve, 1 VXLAN"),
  oversize: define("oversize", "int", 1, "memory", "1: the frame is larger than its network carries"),

  ethSrc: define("ethSrc", "mac", 48, "frame", "source MAC"),
  ethDst: define("ethDst", "mac", 48, "frame", "destination MAC"),
  ethType: define("ethType", "int", 16, "frame", "Ethernet type, behind a VLAN tag if there is one"),
  tagged: define("tagged", "int", 1, "frame", "1: the frame bears a VLAN tag"),
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
  udpSrc: define("udpSrc", "int", 16, "frame", "UDP source port", udp),
  udpDst: define("udpDst", "int", 16, "frame", "UDP destination port", udp),
  icmp6Type: define("icmp6Type", "int", 8, "frame", "ICMPv6 type (RFC 4443, 4861)", icmp6),
  ndTarget: define("ndTarget", "ip6", 128, "frame", "neighbour discovery target (RFC 4861)", icmp6),

  tunKey: define("tunKey", "int", 24, "tunnel", "tunnel key (VNI) that the packet came with"),
  tunSrc: define("tunSrc", "ip", 128, "tunnel", "underlay address it came from"),
  tunSrcPort: define("tunSrcPort", "int", 24, "tunnel", "option: key of the sending port"),
  tunDstPort: define("tunDstPort", "int", 24, "tunnel", "option: key of the receiving port; 0: a flooded copy"),
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

/** How a network's frames cross the underlay: Geneve (RFC 8926), whose option names both ports, or VXLAN (RFC 7348), which has the key alone. */
export type Encapsulation = "geneve" | "vxlan";

/** Encapsulations as the field holds them. */
export const encapsulations: Readonly<Record<Encapsulation, number>> = { geneve: 0, vxlan: 1 };

/** Where packets of an encapsulation come in and go out. */
export const ingressOf: Readonly<Record<Encapsulation, string>> = { geneve: fabricIngress, vxlan: vxlanIngress };
