/** Random packets, biased to what the program tells apart: every kind of every protocol, from whom it should come and from whom not, whole and damaged. */
import type { Port } from "@selvage/model";
import { encode, type Icmpv6, multicastMac, type Packet, type PacketSpec, solicitedNode } from "@selvage/packet";
import { packets } from "@selvage/packet/testing";
import { type Encapsulation, serviceAddresses } from "@selvage/pipeline";
import fc from "fast-check";
import { type Damage, damaged, damages } from "./damage.ts";
import { mostly, usually } from "./draw.ts";
import { far, nowhere } from "./routing.ts";
import { routersOf, seenFrom, type TurnShot, talks } from "./talk.ts";
import { hostCount, mtus, pairSpeakerOf, type Speaker, sharedMac, speakerOf, type Topology } from "./topology.ts";

const kinds = [
  "udp",
  "tcp",
  "ping",
  "everyone",
  "arp-request",
  "arp-reply",
  "arp-announcement",
  "arp-probe",
  "arp-other",
  "solicitation",
  "solicitation-unicast",
  "duplicate-detection",
  "advertisement",
  "redirect",
  "router-solicitation",
  "router-advertisement",
  "listener-report",
  "dhcp-request",
  "dhcp-renewal",
  "dhcp-reply",
  "dhcpv6-request",
  "dhcpv6-reply",
  "service",
  "service-question",
  "drawn",
] as const;
type Kind = (typeof kinds)[number];

/** A frame as it was found once. */
interface GivenFrame {
  readonly kind: "given";
  readonly hex: string;
}

export type FramePlan = MadeFrame | GivenFrame;

interface MadeFrame {
  readonly kind: Kind;
  readonly version: 4 | 6;
  /** The port whose words the frame bears, unless sent by a bound port's machine; and the port that it is for. */
  readonly from: number;
  readonly to: number;
  /** Which address it is for: the port's, one of its pairs, a router's, one that extra routes may lead to, one that nothing leads to. */
  readonly where: "machine" | "pair" | "router" | "far" | "nowhere";
  /** Which of the routers of the sender's network it is given to where it is for another network. */
  readonly via: number;
  /** Whose words it bears: the sender's, its pair's, another's MAC or addresses, those of nobody, none yet, or the link-local one. */
  readonly claim: "own" | "pair" | "mac" | "addresses" | "nobody" | "unspecified" | "link-local";
  /** Where the frame goes: to whom its kind says, or to a MAC that is not of the address. */
  readonly towards: "usual" | "broadcast" | "multicast" | "nobody" | "itself" | "zero" | "router" | "shared";
  /** Hops that IP may still take. */
  readonly hops: 64 | 2 | 1 | 0 | 255;
  /** Bytes of payload, or as many as make an IP packet of so many more than an MTU. */
  readonly size: "small" | { readonly mtu: (typeof mtus)[number]; readonly more: -1 | 0 | 1 };
  /** Bytes of a drawn packet count as they are, or with the addresses of the machines in them. */
  readonly drawn: Packet;
  readonly placed: boolean;
  readonly damage: readonly Damage[];
}

/** How a packet enters: by an interface, in a conversation, or out of a tunnel that anyone may have forged. */
export type Shot =
  | TurnShot
  | {
      readonly enters: "interface";
      /** Whether by one of the interfaces of bound ports only. */
      readonly bound: boolean;
      readonly interface: number;
      readonly frame: FramePlan;
    }
  | {
      readonly enters: "tunnel";
      readonly by: Encapsulation;
      /** Place of the host that it claims to come from; `hostCount` for an address of nobody's. */
      readonly from: number;
      readonly to: number;
      /** Whether the key is that of the receiving port's network. */
      readonly fitting: boolean;
      readonly net: number;
      readonly srcPort: number;
      readonly dstPort: number;
      readonly srcSet: number;
      readonly frame: FramePlan;
    };

const frames: fc.Arbitrary<MadeFrame> = fc.record({
  kind: fc.constantFrom(...kinds, "udp", "udp", "tcp", "tcp", "ping", "ping", "drawn", "drawn", "drawn"),
  version: fc.constantFrom<4 | 6>(4, 6),
  from: fc.nat(9),
  to: fc.nat(9),
  where: fc.oneof(
    { weight: 6, arbitrary: fc.constant("machine" as const) },
    { weight: 3, arbitrary: fc.constant("far" as const) },
    { weight: 2, arbitrary: fc.constant("router" as const) },
    { weight: 2, arbitrary: fc.constantFrom("pair" as const, "pair" as const, "nowhere" as const) },
  ),
  via: fc.nat(3),
  claim: usually<MadeFrame["claim"]>("own", "pair", "mac", "addresses", "nobody", "unspecified", "link-local"),
  towards: usually<MadeFrame["towards"]>(
    "usual",
    "broadcast",
    "multicast",
    "nobody",
    "itself",
    "zero",
    "router",
    "shared",
    "shared",
  ),
  hops: usually<MadeFrame["hops"]>(64, 2, 1, 0, 255),
  size: usually<MadeFrame["size"]>(
    "small",
    ...mtus.slice(0, 2).flatMap((mtu) => ([-1, 0, 1] as const).map((more) => ({ mtu, more }))),
  ),
  drawn: packets,
  placed: fc.constantFrom(true, true, true, false),
  damage: fc.oneof(
    { weight: 4, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(damages, { maxLength: 2 }) },
  ),
});

const single: fc.Arbitrary<Shot> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      enters: fc.constant("interface" as const),
      bound: mostly(true, false),
      interface: fc.nat(hostCount * 8),
      frame: frames,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      enters: fc.constant("tunnel" as const),
      by: mostly<Encapsulation>("geneve", "vxlan"),
      from: fc.nat(hostCount),
      to: fc.nat(hostCount - 1),
      fitting: mostly(true, false),
      net: fc.nat(4),
      srcPort: fc.nat(11),
      dstPort: fc.nat(11),
      srcSet: fc.nat(12),
      frame: frames,
    }),
  },
);

/** Shots, so many at least: what belongs to a conversation comes in its order, and nothing between. */
export const manyShots = (most: number): fc.Arbitrary<readonly Shot[]> =>
  fc
    .array(fc.oneof({ weight: 9, arbitrary: single.map((each) => [each]) }, { weight: 2, arbitrary: talks }), {
      minLength: 1,
      maxLength: most,
      size: "max",
    })
    .map((all) => all.flat());

const nobody: Speaker = { mac: "02:00:00:00:00:77", ip4: "10.0.0.250", ip6: "2001:db8::fa", linkLocal: "fe80::77:77" };
const noMac = "00:00:00:00:00:00";
const broadcast = "ff:ff:ff:ff:ff:ff";
/** Widens a literal: of the messages only some have options. */
const said = (message: Icmpv6): Icmpv6 => message;
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));

/** The frame of a plan, in bytes. `sender` is the port whose machine sends it, where one does. */
export function frameOf(plan: FramePlan, topology: Topology, sender: string | null): Uint8Array {
  if (plan.kind === "given") return Uint8Array.from(Buffer.from(plan.hex, "hex"));
  const { ports } = topology;
  const at = (place: number): Port | undefined => ports[place % Math.max(1, ports.length)];
  const port = ports.find(({ id }) => id === sender) ?? at(plan.from);
  const own = port === undefined ? nobody : speakerOf(port);
  const to = plan.towards === "nobody" ? nobody : addressed(plan, port, at(plan.to), topology);
  const from = plan.claim === "pair" && port !== undefined ? pairSpeakerOf(port) : claimed(plan.claim, own, to);
  const spec = specOf(plan, from, to);
  const [router] = routersOf(port, topology);
  const eth = { ...spec.eth, dst: destination(plan.towards, spec.eth.dst, own, router?.mac_address) };
  return plan.damage.reduce(damaged, encode({ ...spec, eth } as PacketSpec));
}

/** Whom a frame is for, with the MAC by which the sender reaches it. */
function addressed(
  { where, via }: MadeFrame,
  sender: Port | undefined,
  to: Port | undefined,
  topology: Topology,
): Speaker {
  if (to === undefined) return nobody;
  const routers = routersOf(sender, topology);
  const router = routers[via % Math.max(1, routers.length)];
  const machine = seenFrom(to, sender, topology, via);
  switch (where) {
    case "machine":
      return machine;
    case "pair":
      return { ...pairSpeakerOf(to), ...(sender?.network_id === to.network_id ? {} : { mac: machine.mac }) };
    case "router":
      return router === undefined ? machine : speakerOf(router);
    case "far":
      return { ...machine, mac: router?.mac_address ?? machine.mac, ip4: far[4], ip6: far[6] };
    case "nowhere":
      return { ...machine, mac: router?.mac_address ?? machine.mac, ip4: nowhere[4], ip6: nowhere[6] };
  }
}

function claimed(claim: MadeFrame["claim"], own: Speaker, other: Speaker): Speaker {
  switch (claim) {
    case "own":
    case "pair":
      return own;
    case "mac":
      return { ...own, mac: other.mac };
    case "addresses":
      return { ...other, mac: own.mac };
    case "nobody":
      return { ...nobody, mac: own.mac };
    case "unspecified":
      return { ...own, ip4: "0.0.0.0", ip6: "::" };
    case "link-local":
      return { ...own, ip4: "169.254.1.1", ip6: own.linkLocal };
  }
}

function destination(towards: MadeFrame["towards"], usual: string, own: Speaker, router: string | undefined): string {
  switch (towards) {
    case "usual":
      return usual;
    case "broadcast":
      return broadcast;
    case "multicast":
      return "01:00:5e:00:00:fb";
    case "nobody":
      return nobody.mac;
    case "itself":
      return own.mac;
    case "zero":
      return noMac;
    case "router":
      return router ?? usual;
    case "shared":
      return sharedMac;
  }
}

/** Bytes of payload that fill an IP packet, with so many bytes of the other headers in it. */
function payloadOf({ size, version }: MadeFrame, headers: number): Uint8Array {
  if (size === "small") return bytes("payload");
  return new Uint8Array(Math.max(0, size.mtu + size.more - headers - (version === 4 ? 20 : 40)));
}

function specOf(plan: MadeFrame, from: Speaker, to: Speaker): PacketSpec {
  const { kind, version, drawn, placed, hops } = plan;
  const eth = { src: from.mac, dst: to.mac };
  const ipv4 = { src: from.ip4, dst: to.ip4, ttl: hops };
  const ipv6 = { src: from.ip6, dst: to.ip6, hopLimit: hops };
  const payload = bytes("payload");
  const all = { eth: { ...eth, dst: multicastMac("ff02::1") }, ipv6: { ...ipv6, dst: "ff02::1" } };
  const routers = { eth: { ...eth, dst: multicastMac("ff02::2") }, ipv6: { ...ipv6, dst: "ff02::2", hopLimit: 255 } };
  const solicited = {
    eth: { ...eth, dst: multicastMac(solicitedNode(to.ip6)) },
    ipv6: { ...ipv6, dst: solicitedNode(to.ip6), hopLimit: 255 },
  };
  const servers = { eth: { ...eth, dst: multicastMac("ff02::1:2") }, ipv6: { ...ipv6, dst: "ff02::1:2" } };
  const source = { kind: "source-link-layer" as const, mac: from.mac };
  const arp = (op: number, part: Partial<{ spa: string; tha: string; tpa: string }>, dst = broadcast): PacketSpec => ({
    eth: { ...eth, dst },
    arp: { op, sha: from.mac, spa: from.ip4, tha: noMac, tpa: to.ip4, ...part },
  });
  const dhcp = { op: "request", xid: 7, chaddr: from.mac, options: { messageType: "discover" } } as const;
  const service = { ip4: serviceAddresses.metadata[4], ip6: serviceAddresses.metadata[6] };
  switch (kind) {
    case "service": {
      const way = { ipv4: { ...ipv4, dst: service.ip4 }, ipv6: { ...ipv6, dst: service.ip6 } };
      const udp = { src: 40_000, dst: 80 };
      return version === 4 ? { eth, ipv4: way.ipv4, udp, payload } : { eth, ipv6: way.ipv6, udp, payload };
    }
    case "service-question":
      return version === 4
        ? arp(1, { tpa: service.ip4 })
        : {
            eth: { ...eth, dst: multicastMac(solicitedNode(service.ip6)) },
            ipv6: { ...ipv6, dst: solicitedNode(service.ip6), hopLimit: 255 },
            icmpv6: said({ kind: "neighbor-solicitation", target: service.ip6, options: [source] }),
          };
    case "udp":
      return version === 4
        ? { eth, ipv4, udp: { src: 40_000, dst: 40_001 }, payload: payloadOf(plan, 8) }
        : { eth, ipv6, udp: { src: 0, dst: 0 }, payload: payloadOf(plan, 8) };
    case "tcp":
      return version === 4
        ? { eth, ipv4, tcp: { src: 1, dst: 80, flags: 2 }, payload: payloadOf(plan, 20) }
        : { eth, ipv6, tcp: { src: 1, dst: 80, flags: 2 }, payload: payloadOf(plan, 20) };
    case "ping":
      return version === 4
        ? { eth, ipv4, icmp: { kind: "echo-request", id: 0, sequence: 1 }, payload: payloadOf(plan, 8) }
        : { eth, ipv6, icmpv6: { kind: "echo-request", id: 0, sequence: 1 }, payload: payloadOf(plan, 8) };
    case "everyone":
      return version === 4
        ? {
            eth: { ...eth, dst: broadcast },
            ipv4: { ...ipv4, dst: "255.255.255.255" },
            udp: { src: 1, dst: 2 },
            payload,
          }
        : { ...all, udp: { src: 1, dst: 2 }, payload };
    case "arp-request":
      return arp(1, {});
    case "arp-reply":
      return arp(2, { tha: to.mac }, to.mac);
    case "arp-announcement":
      return arp(version === 4 ? 1 : 2, { tpa: from.ip4 });
    case "arp-probe":
      return arp(1, { spa: "0.0.0.0" });
    case "arp-other":
      return arp(version === 4 ? 0 : 3, {});
    case "solicitation":
      return { ...solicited, icmpv6: said({ kind: "neighbor-solicitation", target: to.ip6, options: [source] }) };
    case "solicitation-unicast":
      return {
        eth,
        ipv6: { ...ipv6, hopLimit: 255 },
        icmpv6: said({ kind: "neighbor-solicitation", target: to.ip6, options: [] }),
      };
    case "duplicate-detection":
      return {
        ...solicited,
        ipv6: { ...solicited.ipv6, src: "::" },
        icmpv6: said({ kind: "neighbor-solicitation", target: from.ip6, options: [] }),
      };
    case "advertisement": {
      const target = version === 4 ? from.ip6 : to.ip6;
      const options = [{ kind: "target-link-layer" as const, mac: from.mac }];
      return {
        ...all,
        icmpv6: said({
          kind: "neighbor-advertisement",
          router: false,
          solicited: false,
          override: true,
          target,
          options,
        }),
      };
    }
    case "redirect":
      return { eth, ipv6, icmpv6: said({ kind: "other", type: 137, code: 0, rest: 0 }), payload: new Uint8Array(32) };
    case "router-solicitation":
      return { ...routers, icmpv6: said({ kind: "router-solicitation", options: version === 4 ? [] : [source] }) };
    case "router-advertisement":
      return {
        ...all,
        icmpv6: said({
          kind: "router-advertisement",
          hopLimit: 64,
          managed: false,
          otherConfig: false,
          preference: "medium",
          lifetime: 0,
          reachableTime: 0,
          retransTimer: 0,
          options: [source],
        }),
      };
    case "listener-report":
      return {
        ...all,
        icmpv6: said({ kind: "other", type: version === 4 ? 131 : 143, code: 0, rest: 0 }),
        payload: new Uint8Array(20),
      };
    case "dhcp-request":
      return {
        eth: { ...eth, dst: broadcast },
        ipv4: { src: "0.0.0.0", dst: "255.255.255.255" },
        udp: { src: 68, dst: 67 },
        dhcp,
      };
    case "dhcp-renewal":
      return {
        eth,
        ipv4,
        udp: { src: 68, dst: 67 },
        dhcp: { ...dhcp, ciaddr: from.ip4, options: { messageType: "request" } },
      };
    case "dhcp-reply":
      return {
        eth,
        ipv4,
        udp: { src: 67, dst: 68 },
        dhcp: { ...dhcp, op: "reply", options: { messageType: "offer" } },
      };
    case "dhcpv6-request":
      return { ...servers, udp: { src: 546, dst: 547 }, payload: bytes("\x01abc") };
    case "dhcpv6-reply":
      return { eth, ipv6, udp: { src: 547, dst: 546 }, payload: bytes("\x02abc") };
    case "drawn":
      return placed ? withAddresses(drawn, from, to) : drawn;
  }
}

/** A drawn packet with the machines' own addresses in its headers. */
function withAddresses(drawn: Packet, from: Speaker, to: Speaker): PacketSpec {
  return {
    ...drawn,
    eth: { ...drawn.eth, src: from.mac, dst: to.mac },
    ...(drawn.ipv4 === undefined ? {} : { ipv4: { ...drawn.ipv4, src: from.ip4, dst: to.ip4 } }),
    ...(drawn.ipv6 === undefined ? {} : { ipv6: { ...drawn.ipv6, src: from.ip6, dst: to.ip6 } }),
    ...(drawn.arp === undefined ? {} : { arp: { ...drawn.arp, sha: from.mac, spa: from.ip4, tpa: to.ip4 } }),
  } as PacketSpec;
}
