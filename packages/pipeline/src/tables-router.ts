/**
 * Routers, whole on every host that has a machine behind one: the sender's host routes, and the receiver's knows no router (design, section 5; RFC 1812).
 * A packet may pass several routers on its way, four at most.
 */
import { pingAnswer } from "./answers.ts";
import { EthType, F, IpProto } from "./fields.ts";
import {
  action,
  back,
  call,
  constant,
  contentsOf,
  decrementTtl,
  drop,
  exact,
  goto,
  measure,
  type Operand,
  optional,
  param,
  prefix,
  reply,
  report,
  type Step,
  select,
  set,
  table,
} from "./table.ts";
import { noMac } from "./tables-neighbour.ts";

export const ToRouter = table({
  number: 27,
  name: "to_router",
  text: "What is for the MAC of a router's interface is the router's; all else stays on its network.",
  scheme: "exact",
  columns: { net: exact(F.net), ethDst: exact(F.ethDst) },
  actions: {
    router: action({ vrf: "int" }, [set(F.vrf, param("vrf")), goto("router_in")]),
    routerDown: action([drop("router-admin-down")]),
    /** On an external network, for what this host has of it. */
    outside: action([set(F.round, constant(1)), goto("ext_in")]),
    /** Who learned on the wire which host speaks for a router. */
    wired: action([goto("interface_in")]),
  },
  miss: [goto("carriage")],
});

export const RouterIn = table({
  number: 40,
  name: "router_in",
  text: "A router answers pings to its own addresses, says that nothing else is there, and sends on what may take one hop more and whose source means something beyond its link.",
  scheme: "ranked",
  ranks: { echo: 6, own: 5, expired: 4, never: 3, source: 2, scope: 1 },
  columns: {
    vrf: optional(F.vrf),
    net: optional(F.net),
    ethType: optional(F.ethType),
    ip4Src: prefix(F.ip4Src),
    ip6Src: prefix(F.ip6Src),
    ip4Dst: prefix(F.ip4Dst),
    ip6Dst: prefix(F.ip6Dst),
    ipProto: optional(F.ipProto),
    icmpType: optional(F.icmpType),
    icmp6Type: optional(F.icmp6Type),
    ttl: optional(F.ttl),
  },
  actions: {
    /** To an address of its own: the answer goes back by the interface that the question came in by. */
    echo4: action([...pingAnswer[4], goto("echo_back")]),
    echo6: action([...pingAnswer[6], goto("echo_back")]),
    closed: action([report("port-unreachable"), drop("router-port-closed")]),
    expired: action([report("ttl-expired"), drop("ttl-expired")]),
    never: action([drop("no-route")]),
    linkLocal: action([drop("source-link-local")]),
    from: action({ scope: "int" }, [set(F.scope, param("scope")), goto("route")]),
  },
  miss: [set(F.scope, constant(0)), goto("route")],
  constants: [
    ...[0, 1].flatMap((ttl) => [
      { rank: "expired", key: { ethType: EthType.ipv4, ttl }, action: "expired" },
      { rank: "expired", key: { ethType: EthType.ipv6, ttl }, action: "expired" },
    ]),
    { rank: "never", key: { ethType: EthType.arp }, action: "never" },
    ...["169.254.0.0/16", "224.0.0.0/3", "127.0.0.0/8", "0.0.0.0/8"].map((ip4Dst) => ({
      rank: "never",
      key: { ethType: EthType.ipv4, ip4Dst },
      action: "never",
    })),
    ...["fe80::/10", "ff00::/8", "::/127"].map((ip6Dst) => ({
      rank: "never",
      key: { ethType: EthType.ipv6, ip6Dst },
      action: "never",
    })),
    { rank: "source", key: { ethType: EthType.ipv4, ip4Src: "169.254.0.0/16" }, action: "linkLocal" },
    { rank: "source", key: { ethType: EthType.ipv6, ip6Src: "fe80::/10" }, action: "linkLocal" },
  ],
});

export const EchoBack = table({
  number: 41,
  name: "echo_back",
  text: "A router's answer to a ping goes back to the machine that sent it, or by the wire, tagged as it came.",
  scheme: "exact",
  columns: { ingress: exact(F.ingress) },
  actions: { wire: action([goto("physical_reply")]) },
  miss: [reply()],
});

/** Out of an interface with this MAC on this network, to the next hop. */
const sendOn = (hop: Operand): readonly Step[] => [
  set(F.net, param("net")),
  set(F.ethSrc, param("mac")),
  set(F.nh, hop),
  decrementTtl(),
  set(F.nhMac, constant(noMac)),
  call("neighbour"),
  goto("routed"),
];

export const Route = table({
  number: 44,
  name: "route",
  text: "The router's table: the longest prefix wins.",
  scheme: "longest",
  columns: { vrf: exact(F.vrf), ethType: exact(F.ethType), ip4Dst: prefix(F.ip4Dst), ip6Dst: prefix(F.ip6Dst) },
  actions: {
    connected4: action({ net: "int", mac: "mac" }, sendOn(contentsOf(F.ip4Dst))),
    connected6: action({ net: "int", mac: "mac" }, sendOn(contentsOf(F.ip6Dst))),
    via: action({ net: "int", mac: "mac", nh: "ip" }, sendOn(param("nh"))),
    several: action({ route: "int" }, [set(F.route, param("route")), select("next_hops")]),
  },
  miss: [report("no-route"), drop("no-route")],
});

export const NextHops = table({
  number: 45,
  name: "next_hops",
  text: "The next hops of a route that has several; packets of one flow take one of them.",
  role: "members",
  scheme: "exact",
  columns: { vrf: exact(F.vrf), route: exact(F.route), hop: exact(F.host) },
  actions: { via: action({ net: "int", mac: "mac", nh: "ip" }, sendOn(param("nh"))) },
});

export const Routed = table({
  number: 47,
  name: "routed",
  text: "What a router sends on bears the next hop's MAC, if that is known. On a physical network the agent asks for it.",
  scheme: "ranked",
  ranks: { asked: 2, unknown: 1 },
  columns: { nhMac: exact(F.nhMac), net: optional(F.net) },
  actions: {
    unknown: action([report("host-unreachable"), drop("neighbour-unresolved")]),
    ask: action([report("neighbour"), drop("neighbour-unresolved")]),
  },
  miss: [set(F.ethDst, contentsOf(F.nhMac)), set(F.routed, constant(1)), goto("scopes")],
  constants: [{ rank: "unknown", key: { nhMac: noMac }, action: "unknown" }],
});

export const Scopes = table({
  number: 48,
  name: "scopes",
  text: "Networks of different address scopes, whose addresses may clash, are not routed to each other. What goes to an external network is translated first, or may leave as it is.",
  scheme: "ranked",
  ranks: { outside: 2, other: 1 },
  columns: { vrf: exact(F.vrf), scope: optional(F.scope), net: exact(F.net), ethType: exact(F.ethType) },
  actions: {
    other: action([drop("address-scope")]),
    outside: action({ largest: "int" }, [measure(F.oversize, param("largest")), goto("nat_out")]),
  },
  miss: [goto("hops")],
});

export const Hops = table({
  number: 49,
  name: "hops",
  text: "The next hop may be another router; after four, a packet goes round in circles.",
  scheme: "exact",
  columns: { hop: exact(F.hop) },
  actions: { next: action({ next: "int" }, [set(F.hop, param("next")), back("to_router")]) },
  miss: [drop("loop-detected")],
  constants: [0, 1, 2, 3].map((hop) => ({ key: { hop }, action: "next", args: { next: hop + 1 } })),
});

export const routerTables = [ToRouter, RouterIn, EchoBack, Route, NextHops, Routed, Scopes, Hops] as const;

/** The IP protocols of a ping, by family, as `router_in` matches them. */
export const echoRequest = {
  4: { ethType: EthType.ipv4, ipProto: IpProto.icmp, icmpType: 8 },
  6: { ethType: EthType.ipv6, ipProto: IpProto.icmp6, icmp6Type: 128 },
} as const;
