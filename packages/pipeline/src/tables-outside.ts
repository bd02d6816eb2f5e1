/**
 * Networks that stand on physical ones, and what leaves a router by them: floating addresses and forwarded ports are translated without state, the rest shares
 * its router's address in blocks of ports that are leased to hosts, so that every host translates its own machines and steering answers needs no state
 * (design, section 6; RFC 3022, 4787, 5508). All that Selvage itself says there bears the MAC of the host, so that no MAC is ever on two.
 */
import { arpAnswer, pingAnswer } from "./answers.ts";
import { anyScope, EthType, F, fabricIngress, IpProto } from "./fields.ts";
import {
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
  popTag,
  prefix,
  punt,
  pushTag,
  replicate,
  reply,
  report,
  type Step,
  set,
  table,
  translate,
  translateSource,
} from "./table.ts";

export const WireFragments = table({
  number: 53,
  name: "wire_fragments",
  text: "So many fragments a second come in by a physical network, of which all senders are one: as of a port, they are held in memory that a host's ports share.",
  scheme: "exact",
  columns: { fragment: exact(F.fragment) },
  actions: { limited: action([limit("fragments"), goto("provider_in")]) },
  miss: [goto("provider_in")],
  constants: [{ key: { fragment: 1 }, action: "limited" }],
});

export const ProviderIn = table({
  number: 56,
  name: "provider_in",
  text: "Which network a frame from a physical one is of: the untagged, or that of its VLAN.",
  scheme: "exact",
  columns: { ingress: exact(F.ingress), tagged: exact(F.tagged), vlan: exact(F.vlan) },
  actions: {
    untagged: action({ net: "int" }, [set(F.net, param("net")), goto("from_physical")]),
    tagged: action({ net: "int" }, [popTag(), set(F.net, param("net")), goto("from_physical")]),
  },
  miss: [drop("vlan-unknown")],
});

export const FromPhysical = table({
  number: 55,
  name: "from_physical",
  text: "What this host owns of a physical network it answers for and takes; all else is for the machines here that stand on it.",
  scheme: "ranked",
  ranks: { loop: 4, question: 3, news: 2, here: 1 },
  columns: {
    net: optional(F.net),
    ethSrc: optional(F.ethSrc),
    ethDst: optional(F.ethDst),
    ethType: optional(F.ethType),
    arpOp: optional(F.arpOp),
    arpTpa: optional(F.arpTpa),
    ipProto: optional(F.ipProto),
    icmp6Type: optional(F.icmp6Type),
    ndTarget: optional(F.ndTarget),
  },
  actions: {
    loop: action([drop("loop-detected")]),
    arp: action({ mac: "mac" }, [
      set(F.nh, contentsOf(F.arpTpa)),
      set(F.nhMac, param("mac")),
      ...arpAnswer,
      goto("physical_reply"),
    ]),
    nd: action([punt("nd")]),
    learn: action([punt("neighbour")]),
    take: action([goto("ext_in")]),
    /** Of a network that tenants' routers stand on. */
    routed: action([goto("interface_in")]),
  },
  miss: [goto("remote_id")],
});

export const InterfaceIn = table({
  number: 68,
  name: "interface_in",
  text: "Who on a physical network sends to a router's interface knows the host by its MAC alone: of the routers there the packet is for that which leads to its destination.",
  scheme: "longest",
  columns: { net: exact(F.net), ethType: exact(F.ethType), ip4Dst: prefix(F.ip4Dst), ip6Dst: prefix(F.ip6Dst) },
  actions: { router: action({ vrf: "int" }, [set(F.vrf, param("vrf")), goto("router_in")]) },
  miss: [drop("outside-unknown")],
});

export const PhysicalReply = table({
  number: 62,
  name: "physical_reply",
  text: "An answer goes back by the physical network that the question came by, tagged as it was; one to a machine here goes its way.",
  scheme: "exact",
  columns: { ingress: exact(F.ingress), net: exact(F.net) },
  actions: { untagged: action([reply()]), tagged: action({ vlan: "int" }, [pushTag(param("vlan")), reply()]) },
  miss: [goto("hops")],
});

/** ICMP messages about a packet that they quote (RFC 792): unreachable, time exceeded, parameter problem. */
export const icmpErrorTypes = [3, 11, 12] as const;
/** Others that quote one: quench, which nobody heeds (RFC 6633), and redirect, which is of one link. */
const otherQuotingTypes = [4, 5] as const;
const quoting = [...icmpErrorTypes, ...otherQuotingTypes];
const errorConstants = (action: string, types: readonly number[]) =>
  types.map((icmpType) => ({
    rank: "error",
    key: { ethType: EthType.ipv4, ipProto: IpProto.icmp, icmpType },
    action,
  }));

/**
 * Bytes of a frame that surely quotes a TCP header in full: with an Ethernet header, two IPv4 headers with all their options, and an ICMP header before it.
 * Open vSwitch 3.1 corrects a quoted checksum that is not there, and so writes behind the packet (lib/conntrack.c, `reverse_pat_packet`).
 */
export const quotationNeed = 14 + 60 + 8 + 60 + 20;

/** To an address of a router, from whom it may reach. */
const inward = (): readonly Step[] => [set(F.vrf, param("vrf")), set(F.scope, constant(anyScope)), goto("route")];

/** Another host, which has what is outside on this network: the sender names no port. */
const steer = (): readonly Step[] => [
  set(F.srcPort, constant(0)),
  set(F.dstPort, constant(0)),
  set(F.host, param("host")),
  set(F.encapsulation, constant(0)),
  goto("tunnel_out"),
];

export const ExtIn = table({
  number: 64,
  name: "ext_in",
  text: "What comes in from an external network: to a floating address, a forwarded port, a tenant's own prefix, or to an address of a router, whose leased ports say which host knows the connection.",
  scheme: "ranked",
  ranks: {
    ...{ echo: 12, expired: 11, inner: 10, forwarded: 9, floating: 8, passing: 7, plain: 6 },
    ...{ lease: 5, error: 4, own: 3, steer: 2, spread: 1 },
  },
  columns: {
    ingress: optional(F.ingress),
    net: optional(F.net),
    ethType: optional(F.ethType),
    ip4Dst: prefix(F.ip4Dst),
    ip6Dst: prefix(F.ip6Dst),
    ipProto: optional(F.ipProto),
    tcpDst: masked(F.tcpDst),
    udpDst: masked(F.udpDst),
    icmpType: optional(F.icmpType),
    icmp6Type: optional(F.icmp6Type),
    ttl: optional(F.ttl),
  },
  actions: {
    echo4: action([...pingAnswer[4], goto("physical_reply")]),
    echo6: action([...pingAnswer[6], goto("physical_reply")]),
    /** Said before the destination is another, so that the sender understands what the error quotes. */
    expired: action([report("expired-outside"), drop("ttl-expired")]),
    /** An ICMP error quotes a packet with the outer address, which no switch can rewrite. */
    inner: action([punt("icmp-inner")]),
    forwardedTcp: action({ vrf: "int", address: "ip4", port: "int" }, [
      set(F.ip4Dst, param("address")),
      set(F.tcpDst, param("port")),
      ...inward(),
    ]),
    forwardedUdp: action({ vrf: "int", address: "ip4", port: "int" }, [
      set(F.ip4Dst, param("address")),
      set(F.udpDst, param("port")),
      ...inward(),
    ]),
    floating: action({ vrf: "int", address: "ip4" }, [set(F.ip4Dst, param("address")), ...inward()]),
    /** Of a block that is leased to this host. */
    own: action([goto("own_lease")]),
    steer: action({ host: "int" }, steer()),
    error: action([measure(F.oversize, constant(quotationNeed - 1)), goto("quotation")]),
    /** Bears no port, so that each host with a lease of the address is asked: who knows the connection takes it. */
    spread: action([replicate("lease_hosts")]),
    plain: action({ vrf: "int" }, inward()),
  },
  miss: [drop("outside-unknown")],
  constants: [
    ...[0, 1].flatMap((ttl) => [
      { rank: "expired", key: { ethType: EthType.ipv4, ttl }, action: "expired" },
      { rank: "expired", key: { ethType: EthType.ipv6, ttl }, action: "expired" },
    ]),
    ...errorConstants("error", quoting),
    // What another host sent on is sent on no further: it is of a connection that is known here, or of none.
    { rank: "own", key: { ingress: fabricIngress }, action: "own" },
  ],
});

export const Quotation = table({
  number: 63,
  name: "quotation",
  text: "An ICMP error to a router's address: one that may quote less than a whole TCP header is completed by the agent, for a switch that translates the quotation writes all of it.",
  scheme: "ranked",
  ranks: { short: 3, own: 2, spread: 1 },
  columns: {
    oversize: optional(F.oversize),
    ingress: optional(F.ingress),
    net: optional(F.net),
    ip4Dst: optional(F.ip4Dst),
  },
  actions: {
    complete: action([punt("icmp-inner")]),
    spread: action([replicate("lease_hosts")]),
    own: action([goto("own_lease")]),
  },
  miss: [drop("outside-unknown")],
  constants: [{ rank: "short", key: { oversize: 0 }, action: "complete" }],
});

export const LeaseHosts = table({
  number: 67,
  name: "lease_hosts",
  text: "The hosts that hold leases of a router's external address, this one perhaps among them.",
  role: "members",
  scheme: "exact",
  columns: { net: exact(F.net), address: exact(F.ip4Dst), host: exact(F.host) },
  actions: { here: action([goto("own_lease")]), copy: action({ host: "int" }, steer()) },
});

export const OwnLease = table({
  number: 66,
  name: "own_lease",
  text: "A router's external address, of which this host holds a lease: the connection says which machine it is for.",
  scheme: "exact",
  columns: { net: exact(F.net), address: exact(F.ip4Dst) },
  actions: {
    translate: action({ vrf: "int", zone: "name" }, [
      set(F.vrf, param("vrf")),
      set(F.natZone, param("zone")),
      translate(F.natZone, "ext_in_state"),
    ]),
  },
  miss: [drop("nat-no-connection")],
});

export const ExtInState = table({
  number: 65,
  name: "ext_in_state",
  text: "Only what belongs to a connection from inside comes in by a router's address.",
  scheme: "ranked",
  ranks: { established: 4, related: 3, later: 2, ports: 1 },
  columns: {
    ctEstablished: optional(F.ctEstablished),
    ctRelated: optional(F.ctRelated),
    later: optional(F.later),
    ethType: optional(F.ethType),
    ipProto: optional(F.ipProto),
  },
  actions: {
    pass: action([set(F.scope, constant(anyScope)), goto("route")]),
    // Who begins again from outside on a connection that is over is told by Open vSwitch to be neither new nor invalid, and is not translated.
    uncalled: action([drop("nat-no-connection")]),
    elsewhere: action([drop("nat-not-here")]),
  },
  // What bears no port is given to every host that may know it.
  miss: [drop("nat-not-here")],
  constants: [
    { rank: "later", key: { later: 1 }, action: "elsewhere" },
    ...[IpProto.tcp, IpProto.udp].map((ipProto) => ({
      rank: "ports",
      key: { ethType: EthType.ipv4, ipProto },
      action: "uncalled",
    })),
    { rank: "established", key: { ctEstablished: 1 }, action: "pass" },
    { rank: "related", key: { ctRelated: 1 }, action: "pass" },
  ],
});

export const NatOut = table({
  number: 70,
  name: "nat_out",
  text: "With which address a packet leaves by an external network; without one that means something there it does not.",
  scheme: "ranked",
  ranks: { size: 8, own: 7, inner: 6, forwarded: 5, floating: 4, plain: 3, error: 2, source: 1 },
  columns: {
    oversize: optional(F.oversize),
    vrf: optional(F.vrf),
    srcPort: optional(F.srcPort),
    scope: optional(F.scope),
    ethType: optional(F.ethType),
    ip4Src: prefix(F.ip4Src),
    ip6Src: prefix(F.ip6Src),
    ipProto: optional(F.ipProto),
    tcpSrc: optional(F.tcpSrc),
    udpSrc: optional(F.udpSrc),
    icmpType: optional(F.icmpType),
  },
  actions: {
    /** Said before the source is another, so that the sender understands what the error quotes. */
    tooLarge: action([report("mtu-exceeded"), drop("mtu-exceeded")]),
    /** An error quotes a packet with the machine's own address, which no switch rewrites on this way. */
    inner: action([punt("icmp-inner")]),
    forwardedTcp: action({ address: "ip4", port: "int" }, [
      set(F.ip4Src, param("address")),
      set(F.tcpSrc, param("port")),
      goto("hops"),
    ]),
    forwardedUdp: action({ address: "ip4", port: "int" }, [
      set(F.ip4Src, param("address")),
      set(F.udpSrc, param("port")),
      goto("hops"),
    ]),
    floating: action({ address: "ip4" }, [set(F.ip4Src, param("address")), goto("hops")]),
    plain: action([goto("hops")]),
    error: action([drop("nat-no-translation")]),
    source: action({ zone: "name" }, [set(F.natZone, param("zone")), translate(F.natZone, "snat_state")]),
  },
  miss: [drop("nat-no-translation")],
  constants: [
    { rank: "size", key: { oversize: 1 }, action: "tooLarge" },
    ...errorConstants("inner", icmpErrorTypes),
    ...errorConstants("error", otherQuotingTypes),
  ],
});

export const SnatState = table({
  number: 72,
  name: "snat_state",
  text: "A connection that is known has been translated; a new one takes a port.",
  scheme: "ranked",
  ranks: { invalid: 2, fresh: 1 },
  columns: { ctInvalid: optional(F.ctInvalid), ctNew: optional(F.ctNew) },
  actions: { invalid: action([drop("ct-invalid")]), fresh: action([goto("snat_new")]) },
  miss: [goto("snat_check")],
  constants: [
    { rank: "invalid", key: { ctInvalid: 1 }, action: "invalid" },
    { rank: "fresh", key: { ctNew: 1 }, action: "fresh" },
  ],
});

export const SnatNew = table({
  number: 73,
  name: "snat_new",
  text: "The block of ports that this host leases of the router's address; protocols without ports have the address alone.",
  scheme: "ranked",
  ranks: { ports: 2, alone: 1 },
  columns: { vrf: exact(F.vrf), ipProto: optional(F.ipProto) },
  actions: {
    lease: action({ address: "ip4", first: "int", last: "int" }, [
      translateSource(F.natZone, param("address"), { first: param("first"), last: param("last") }, "snat_check"),
    ]),
    alone: action({ address: "ip4" }, [translateSource(F.natZone, param("address"), null, "snat_check")]),
  },
  miss: [drop("nat-no-port-block")],
});

export const SnatCheck = table({
  number: 74,
  name: "snat_check",
  text: "Nothing leaves untranslated that was to be translated: where ports or room ran out, a switch lets a packet go on as it is.",
  scheme: "exact",
  columns: { ctSourced: exact(F.ctSourced) },
  actions: { translated: action([goto("hops")]) },
  miss: [drop("nat-exhausted")],
  constants: [{ key: { ctSourced: 1 }, action: "translated" }],
});

export const NatAsk = table({
  number: 75,
  name: "nat_ask",
  text: "The agent asks which address and port stand for a machine's in a connection, with a packet as the machine might send it, that goes no further.",
  scheme: "exact",
  columns: { vrf: exact(F.vrf) },
  actions: { ask: action({ zone: "name" }, [set(F.natZone, param("zone")), translate(F.natZone, "nat_asked")]) },
  miss: [drop("nat-no-connection")],
});

export const NatAsked = table({
  number: 76,
  name: "nat_asked",
  text: "The answer is the packet as it would have left; of a connection that is not known there is none.",
  scheme: "exact",
  columns: { ctSourced: exact(F.ctSourced) },
  actions: { tell: action([punt("translated")]) },
  miss: [drop("nat-no-connection")],
  constants: [{ key: { ctSourced: 1 }, action: "tell" }],
});

export const ProviderOut = table({
  number: 82,
  name: "provider_out",
  text: "The interface to the physical network that a network stands on, and its VLAN.",
  scheme: "exact",
  columns: { net: exact(F.net) },
  actions: {
    untagged: action({ port: "name" }, [output(param("port"))]),
    tagged: action({ port: "name", vlan: "int" }, [pushTag(param("vlan")), output(param("port"))]),
  },
  miss: [drop("physical-missing")],
});

export const outsideTables = [
  WireFragments,
  ProviderIn,
  FromPhysical,
  InterfaceIn,
  PhysicalReply,
  ExtIn,
  Quotation,
  LeaseHosts,
  OwnLease,
  ExtInState,
  NatOut,
  SnatState,
  SnatNew,
  SnatCheck,
  NatAsk,
  NatAsked,
  ProviderOut,
] as const;

/** Protocols whose ports this program translates. SCTP's are not translated by every switch, so that it has the address alone. */
export const translatedProtocols = [IpProto.tcp, IpProto.udp] as const;
