/** Who has an address: questions of ARP (RFC 826) and neighbour discovery (RFC 4861) are answered where they are asked, from what intent knows. */
import { arpAnswer } from "./answers.ts";
import { F } from "./fields.ts";
import {
  action,
  call,
  constant,
  contentsOf,
  drop,
  exact,
  goto,
  optional,
  param,
  prefix,
  punt,
  reply,
  report,
  set,
  table,
} from "./table.ts";
import { serviceAddresses, serviceMac } from "./tables-services.ts";

/** A question for a service of the host is answered on every network, whatever intent knows of it. */
const forService = [set(F.nhMac, constant(serviceMac))];
const services = Object.values(serviceAddresses);

/** What `nhMac` holds where no neighbour was found. */
export const noMac = "00:00:00:00:00:00";

export const Arp = table({
  number: 10,
  name: "arp",
  text: "A question for an address that intent knows is answered here and now (RFC 826); what a port says of its own address goes on. Of one that moves between ports the agent hears who has it.",
  scheme: "ranked",
  ranks: { answer: 5, heard: 4, own: 3, service: 2, question: 1 },
  columns: {
    srcPort: optional(F.srcPort),
    ethDst: optional(F.ethDst),
    arpSpa: optional(F.arpSpa),
    arpTpa: optional(F.arpTpa),
    arpOp: optional(F.arpOp),
  },
  actions: {
    /** The agent asked. */
    answer: action([punt("neighbour")]),
    heard: action([report("neighbour"), goto("carriage")]),
    own: action([goto("carriage")]),
    ask: action([
      set(F.nh, contentsOf(F.arpTpa)),
      set(F.nhMac, constant(noMac)),
      call("neighbour"),
      goto("arp_answer"),
    ]),
    service: action([set(F.nh, contentsOf(F.arpTpa)), ...forService, goto("arp_answer")]),
  },
  miss: [goto("carriage")],
  constants: [
    { rank: "answer", key: { arpOp: 2, ethDst: serviceMac }, action: "answer" },
    { rank: "question", key: { arpOp: 1 }, action: "ask" },
    ...services.map((each) => ({ rank: "service", key: { arpOp: 1, arpTpa: each[4] }, action: "service" })),
  ],
});

export const ArpAnswer = table({
  number: 16,
  name: "arp_answer",
  text: "Turns the question round into its answer, when the neighbour was found; one for an address that ports may take, by a pair or for want of port security, is asked around.",
  scheme: "ranked",
  ranks: { around: 3, anybody: 2, unknown: 1 },
  columns: { nhMac: exact(F.nhMac), net: optional(F.net), arpTpa: prefix(F.arpTpa) },
  actions: { around: action([goto("carriage")]), unknown: action([drop("neighbour-unresolved")]) },
  miss: [...arpAnswer, reply()],
  constants: [{ rank: "unknown", key: { nhMac: noMac }, action: "unknown" }],
});

export const Nd = table({
  number: 11,
  name: "nd",
  text: "Neighbour solicitations for known addresses are answered on the asking host (RFC 4861); duplicate detection goes on, and so do advertisements, as in arp.",
  scheme: "ranked",
  ranks: { answer: 6, heard: 5, own: 4, duplicate: 3, service: 2, question: 1 },
  columns: {
    srcPort: optional(F.srcPort),
    ethDst: optional(F.ethDst),
    ndTarget: optional(F.ndTarget),
    ip6Src: optional(F.ip6Src),
    icmp6Type: optional(F.icmp6Type),
  },
  actions: {
    answer: action([punt("neighbour")]),
    heard: action([report("neighbour"), goto("carriage")]),
    own: action([goto("carriage")]),
    duplicate: action([goto("carriage")]),
    ask: action([
      set(F.nh, contentsOf(F.ndTarget)),
      set(F.nhMac, constant(noMac)),
      call("neighbour"),
      goto("nd_answer"),
    ]),
    service: action([set(F.nh, contentsOf(F.ndTarget)), ...forService, goto("nd_answer")]),
  },
  miss: [goto("carriage")],
  constants: [
    { rank: "answer", key: { icmp6Type: 136, ethDst: serviceMac }, action: "answer" },
    { rank: "duplicate", key: { icmp6Type: 135, ip6Src: "::" }, action: "duplicate" },
    { rank: "question", key: { icmp6Type: 135 }, action: "ask" },
    ...services.map((each) => ({ rank: "service", key: { icmp6Type: 135, ndTarget: each[6] }, action: "service" })),
  ],
});

export const NdAnswer = table({
  number: 17,
  name: "nd_answer",
  text: "Has the agent answer a solicitation whose target was found, for the switch cannot build every advertisement itself; what is asked around is as in arp_answer.",
  scheme: "ranked",
  ranks: { around: 3, anybody: 2, unknown: 1 },
  columns: { nhMac: exact(F.nhMac), net: optional(F.net), ndTarget: prefix(F.ndTarget) },
  actions: { around: action([goto("carriage")]), unknown: action([drop("neighbour-unresolved")]) },
  miss: [punt("nd")],
  constants: [{ rank: "unknown", key: { nhMac: noMac }, action: "unknown" }],
});

export const RouterSolicitation = table({
  number: 9,
  name: "router_solicitation",
  text: "A network with a router for IPv6 has its solicitations answered by the agent of the asking host (RFC 4861, section 6.2.6).",
  scheme: "exact",
  columns: { net: exact(F.net) },
  actions: { answer: action([punt("rs")]) },
  miss: [goto("carriage")],
});

export const Neighbour = table({
  number: 46,
  name: "neighbour",
  text: "The MAC of every address that intent knows on a network; on one that is reached through routers alone also where it is, so that nothing else need be known of it.",
  role: "subroutine",
  scheme: "exact",
  columns: { net: exact(F.net), nh: exact(F.nh) },
  actions: {
    known: action({ mac: "mac" }, [set(F.nhMac, param("mac")), set(F.located, constant(0))]),
    /** Of an address that moves between ports: a MAC that stands for whoever has it, and that no machine is told. */
    moving: action({ mac: "mac" }, [set(F.nhMac, param("mac")), set(F.located, constant(0))]),
    there: action({ mac: "mac", port: "int", host: "int" }, [
      set(F.nhMac, param("mac")),
      set(F.located, constant(1)),
      set(F.dstPort, param("port")),
      set(F.host, param("host")),
    ]),
  },
});

export const HoldersHere = table({
  number: 31,
  name: "holders_here",
  text: "The ports of this host that have an address pair with a MAC that is no port's own; and the one that has an address which moves, as it said last.",
  role: "members",
  scheme: "exact",
  columns: { net: exact(F.net), mac: exact(F.ethDst), port: exact(F.dstPort) },
  actions: {
    copy: action({ port: "int" }, [set(F.dstPort, param("port")), goto("receiver")]),
    held: action({ port: "int", mac: "mac" }, [
      set(F.ethDst, param("mac")),
      set(F.dstPort, param("port")),
      goto("receiver"),
    ]),
  },
});

export const HoldersThere = table({
  number: 33,
  name: "holders_there",
  text: "The other hosts that have such ports; each finds them by the MAC.",
  role: "members",
  scheme: "exact",
  columns: { net: exact(F.net), mac: exact(F.ethDst), host: exact(F.host) },
  actions: {
    copy: action({ host: "int" }, [set(F.dstPort, constant(0)), set(F.host, param("host")), goto("tunnel_out")]),
  },
});
