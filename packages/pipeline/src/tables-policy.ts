/**
 * Security groups: what a port may send and what may reach it. A port's groups are one *set*, a number that travels with its packets; rules are asked of a
 * connection's first packet, and what goes on later passes only while the rule that let it in is still there for both sets (design, sections 3 and 4).
 * Connections are tracked in a zone of each port's own, in both directions: what it sends where it is, what it gets where it is.
 */
import { EthType, F, type Field, IpProto } from "./fields.ts";
import {
  action,
  commit,
  constant,
  contentsOf,
  drop,
  exact,
  goto,
  masked,
  optional,
  param,
  prefix,
  set,
  table,
  track,
} from "./table.ts";

/** The bit of a MAC address that makes it a group's (IEEE 802.3, clause 3.2.3). */
const group = "01:00:00:00:00:00/01:00:00:00:00:00";

export const Sender = table({
  number: 19,
  name: "sender",
  text: "The security groups of the port that sent it; one without a row is not policed.",
  scheme: "exact",
  columns: { srcPort: exact(F.srcPort) },
  actions: {
    policed: action({ set: "int", zone: "name" }, [
      set(F.srcSet, param("set")),
      set(F.srcZone, param("zone")),
      goto("dst_id"),
    ]),
    stateless: action({ set: "int" }, [set(F.srcSet, param("set")), set(F.srcStateless, constant(1)), goto("dst_id")]),
  },
  miss: [goto("to_router")],
});

export const DstId = table({
  number: 18,
  name: "dst_id",
  text: "Where a rule of the sender names a group of receivers: the set of the port that has the address.",
  scheme: "ranked",
  ranks: { address: 1 },
  columns: { net: exact(F.net), ip4Dst: optional(F.ip4Dst), ip6Dst: optional(F.ip6Dst) },
  actions: { known: action({ set: "int" }, [set(F.dstSet, param("set")), goto("track_out")]) },
  miss: [goto("track_out")],
});

export const TrackOut = table({
  number: 20,
  name: "track_out",
  text: "IP is tracked in the sender's zone; what goes to many, and what a stateless port sends, has its rules asked packet by packet.",
  scheme: "ranked",
  ranks: { group: 3, stateless: 2, ip: 1 },
  columns: { ethDst: masked(F.ethDst), srcStateless: optional(F.srcStateless), ethType: optional(F.ethType) },
  actions: {
    untracked: action([set(F.srcStateless, constant(1)), goto("policy_out")]),
    track: action([track(F.srcZone, "live_out")]),
  },
  miss: [goto("to_router")],
  constants: [
    { rank: "group", key: { ethDst: group, ethType: EthType.ipv4 }, action: "untracked" },
    { rank: "group", key: { ethDst: group, ethType: EthType.ipv6 }, action: "untracked" },
    { rank: "stateless", key: { srcStateless: 1, ethType: EthType.ipv4 }, action: "untracked" },
    { rank: "stateless", key: { srcStateless: 1, ethType: EthType.ipv6 }, action: "untracked" },
    { rank: "ip", key: { ethType: EthType.ipv4 }, action: "track" },
    { rank: "ip", key: { ethType: EthType.ipv6 }, action: "track" },
  ],
});

/** What connection tracking says, whichever way: rows of both `live` tables. */
const verdicts = [
  { rank: "invalid", key: { ctInvalid: 1 }, action: "invalid" },
  { rank: "first", key: { ctNew: 1 }, action: "ask" },
  { rank: "gone", key: { ctReply: 1 }, action: "revoked" },
  { rank: "gone", key: { ctRelated: 1, ctReply: 0 }, action: "revoked" },
] as const;
const ranks = { invalid: 4, first: 3, live: 2, gone: 1 } as const;

export const LiveOut = table({
  number: 21,
  name: "live_out",
  text: "A known connection goes on while the rule that let it in is still there for this sender and the other side's set; else its opener's rules are asked again.",
  scheme: "ranked",
  ranks,
  columns: {
    ctInvalid: optional(F.ctInvalid),
    ctNew: optional(F.ctNew),
    ctReply: optional(F.ctReply),
    ctRelated: optional(F.ctRelated),
    srcSet: optional(F.srcSet),
    ctRule: optional(F.ctRule),
    ctGeneration: optional(F.ctGeneration),
    dstSet: optional(F.dstSet),
    ctRemote: optional(F.ctRemote),
  },
  actions: {
    pass: action([goto("to_router")]),
    ask: action([goto("policy_out")]),
    invalid: action([drop("ct-invalid")]),
    revoked: action([drop("ct-rule-revoked")]),
  },
  miss: [goto("policy_out")],
  constants: verdicts,
});

/** What a rule says of a packet besides whose it is: protocol, ports, type and code; of a later fragment, those of its connection. */
const service = {
  ethType: optional(F.ethType),
  ipProto: optional(F.ipProto),
  tcpDst: masked(F.tcpDst),
  udpDst: masked(F.udpDst),
  sctpDst: masked(F.sctpDst),
  icmpType: optional(F.icmpType),
  icmpCode: optional(F.icmpCode),
  icmp6Type: optional(F.icmp6Type),
  icmp6Code: optional(F.icmp6Code),
  later: optional(F.later),
  ctProto: optional(F.ctProto),
  ctDst: masked(F.ctDst),
  ctType: optional(F.ctType),
} as const;
const parts = { verdict: 0, own: 1, service: 2, remote: 3 } as const;

export const PolicyOut = table({
  number: 22,
  name: "policy_out",
  text: "Egress rules of the sender's groups: one that says yes is enough.",
  scheme: "clauses",
  ranks: parts,
  columns: {
    rule: exact(F.rule),
    srcSet: optional(F.srcSet),
    dstSet: optional(F.dstSet),
    ip4Dst: prefix(F.ip4Dst),
    ip6Dst: prefix(F.ip6Dst),
    srcStateless: optional(F.srcStateless),
    ...service,
  },
  actions: {
    clause: action({ of: "int" }, []),
    allow: action({ rule: "int", generation: "int" }, [
      set(F.rule, param("rule")),
      set(F.generation, param("generation")),
      goto("commit_out"),
    ]),
  },
  miss: [drop("sg-default-deny-egress")],
});

const kept = (remote: Field) => [
  { field: F.ctRule, to: contentsOf(F.rule) },
  { field: F.ctGeneration, to: contentsOf(F.generation) },
  { field: F.ctRemote, to: contentsOf(remote) },
];

export const CommitOut = table({
  number: 25,
  name: "commit_out",
  text: "The connection is kept with the rule that let it in; what is not tracked is not kept.",
  scheme: "ranked",
  ranks: { untracked: 1 },
  columns: { srcStateless: optional(F.srcStateless) },
  actions: { untracked: action([goto("to_router")]) },
  miss: [commit(F.srcZone, kept(F.dstSet)), goto("kept_out")],
  constants: [{ rank: "untracked", key: { srcStateless: 1 }, action: "untracked" }],
});

/** What has no rule behind `commit` was not kept: one that could be, since its zone is full; and what the switch let go on with it, of which it knows no connection. */
const unkept = {
  scheme: "ranked",
  ranks: { full: 2, none: 1 },
  columns: { ctRule: optional(F.ctRule), ctNew: optional(F.ctNew) },
  actions: { full: action([drop("connection-limit")]), none: action([drop("ct-invalid")]) },
  constants: [
    { rank: "full", key: { ctRule: 0, ctNew: 1 }, action: "full" },
    { rank: "none", key: { ctRule: 0 }, action: "none" },
  ],
} as const;

export const KeptOut = table({
  number: 24,
  name: "kept_out",
  text: "A connection that could not be kept, since its port has as many as it may, is not let in: its answers would be of no connection.",
  ...unkept,
  miss: [goto("to_router")],
});

export const RemoteId = table({
  number: 57,
  name: "remote_id",
  text: "VXLAN and physical networks do not carry the sender's set: where a rule here names a group, it is looked up by the address.",
  scheme: "ranked",
  ranks: { address: 1 },
  columns: { net: exact(F.net), ip4Src: optional(F.ip4Src), ip6Src: optional(F.ip6Src) },
  actions: { known: action({ set: "int" }, [set(F.srcSet, param("set")), goto("fabric_vni")]) },
  miss: [goto("fabric_vni")],
});

export const Receiver = table({
  number: 83,
  name: "receiver",
  text: "The security groups of the port that it is for; one without a row is not policed.",
  scheme: "exact",
  columns: { dstPort: exact(F.dstPort) },
  actions: {
    policed: action({ set: "int", zone: "name" }, [
      set(F.dstSet, param("set")),
      set(F.dstZone, param("zone")),
      set(F.dstStateless, constant(0)),
      goto("track_in"),
    ]),
    stateless: action({ set: "int" }, [
      set(F.dstSet, param("set")),
      set(F.dstStateless, constant(1)),
      goto("track_in"),
    ]),
  },
  miss: [goto("turn")],
});

const icmp6 = (icmp6Type: number) => ({ ethType: EthType.ipv6, ipProto: IpProto.icmp6, icmp6Type });

export const TrackIn = table({
  number: 84,
  name: "track_in",
  text: "IP is tracked in the receiver's zone, but for what a network cannot be without: neighbour discovery, multicast listeners, DHCP's answers.",
  scheme: "ranked",
  ranks: { exempt: 4, group: 3, stateless: 2, ip: 1 },
  columns: {
    ethDst: masked(F.ethDst),
    dstStateless: optional(F.dstStateless),
    ethType: optional(F.ethType),
    ipProto: optional(F.ipProto),
    udpSrc: optional(F.udpSrc),
    udpDst: optional(F.udpDst),
    icmp6Type: optional(F.icmp6Type),
  },
  actions: {
    exempt: action([goto("turn")]),
    untracked: action([set(F.dstStateless, constant(1)), goto("policy_in")]),
    track: action([track(F.dstZone, "live_in")]),
  },
  miss: [goto("turn")],
  constants: [
    ...[130, 131, 132, 133, 134, 135, 136, 137, 143].map((type) => ({
      rank: "exempt",
      key: icmp6(type),
      action: "exempt",
    })),
    { rank: "exempt", key: { ethType: EthType.ipv4, ipProto: IpProto.udp, udpSrc: 67, udpDst: 68 }, action: "exempt" },
    {
      rank: "exempt",
      key: { ethType: EthType.ipv6, ipProto: IpProto.udp, udpSrc: 547, udpDst: 546 },
      action: "exempt",
    },
    { rank: "group", key: { ethDst: group, ethType: EthType.ipv4 }, action: "untracked" },
    { rank: "group", key: { ethDst: group, ethType: EthType.ipv6 }, action: "untracked" },
    { rank: "stateless", key: { dstStateless: 1, ethType: EthType.ipv4 }, action: "untracked" },
    { rank: "stateless", key: { dstStateless: 1, ethType: EthType.ipv6 }, action: "untracked" },
    { rank: "ip", key: { ethType: EthType.ipv4 }, action: "track" },
    { rank: "ip", key: { ethType: EthType.ipv6 }, action: "track" },
  ],
});

export const LiveIn = table({
  number: 85,
  name: "live_in",
  text: "As live_out, for the receiver.",
  scheme: "ranked",
  ranks,
  columns: {
    ctInvalid: optional(F.ctInvalid),
    ctNew: optional(F.ctNew),
    ctReply: optional(F.ctReply),
    ctRelated: optional(F.ctRelated),
    dstSet: optional(F.dstSet),
    ctRule: optional(F.ctRule),
    ctGeneration: optional(F.ctGeneration),
    srcSet: optional(F.srcSet),
  },
  actions: {
    pass: action([goto("turn")]),
    ask: action([goto("policy_in")]),
    invalid: action([drop("ct-invalid")]),
    revoked: action([drop("ct-rule-revoked")]),
  },
  miss: [goto("policy_in")],
  constants: verdicts,
});

export const PolicyIn = table({
  number: 86,
  name: "policy_in",
  text: "Ingress rules of the receiver's groups: one that says yes is enough.",
  scheme: "clauses",
  ranks: parts,
  columns: {
    rule: exact(F.rule),
    dstSet: optional(F.dstSet),
    srcSet: optional(F.srcSet),
    ip4Src: prefix(F.ip4Src),
    ip6Src: prefix(F.ip6Src),
    dstStateless: optional(F.dstStateless),
    ...service,
  },
  actions: {
    clause: action({ of: "int" }, []),
    allow: action({ rule: "int", generation: "int" }, [
      set(F.rule, param("rule")),
      set(F.generation, param("generation")),
      goto("commit_in"),
    ]),
  },
  miss: [drop("sg-default-deny-ingress")],
});

export const CommitIn = table({
  number: 88,
  name: "commit_in",
  text: "As commit_out, in the receiver's zone.",
  scheme: "ranked",
  ranks: { untracked: 1 },
  columns: { dstStateless: optional(F.dstStateless) },
  actions: { untracked: action([goto("turn")]) },
  miss: [commit(F.dstZone, kept(F.srcSet)), goto("kept_in")],
  constants: [{ rank: "untracked", key: { dstStateless: 1 }, action: "untracked" }],
});

export const KeptIn = table({
  number: 89,
  name: "kept_in",
  text: "As kept_out, of the receiver's connections.",
  ...unkept,
  miss: [goto("turn")],
});

export const policyTables = [
  Sender,
  DstId,
  TrackOut,
  LiveOut,
  PolicyOut,
  CommitOut,
  KeptOut,
  RemoteId,
  Receiver,
  TrackIn,
  LiveIn,
  PolicyIn,
  CommitIn,
  KeptIn,
] as const;
