/** Arbitrary packets of every layer for fast-check: full trees, as `decode` gives them, with every field free in its width. */

import fc from "fast-check";
import {
  type Dhcp,
  type Dhcpv6,
  type Ethernet,
  EtherType,
  type Geneve,
  type Icmp,
  type Icmpv6,
  IpProtocol,
  type Ipv4,
  type Ipv6,
  type Ipv6Extension,
  isNeighborDiscovery,
  type NdOption,
  type Packet,
  type PacketSpec,
  readIpv6,
  type Tcp,
  type Udp,
  UdpPort,
  type Vxlan,
} from "../mod.ts";
import { dhcp, dhcpv6 } from "./dhcp.ts";
import { bits, bytes, domain, ipv4, ipv6, list, mac, none, payload, rarely, words } from "./values.ts";

const link: fc.Arbitrary<Omit<Ethernet, "type">> = fc.record(
  { src: mac, dst: mac, vlan: fc.record({ id: bits(12), priority: bits(3), dropEligible: fc.boolean() }) },
  { requiredKeys: ["src", "dst"] },
);

const ipv4Header: fc.Arbitrary<Omit<Ipv4, "protocol">> = fc.record({
  src: ipv4,
  dst: ipv4,
  ttl: bits(8),
  dscp: bits(6),
  ecn: bits(2),
  id: bits(16),
  dontFragment: fc.boolean(),
  moreFragments: fc.constant(false),
  fragmentOffset: fc.constant(0),
  options: rarely(words(10), none),
});

const extension: fc.Arbitrary<Ipv6Extension> = fc.oneof(
  fc.record({ kind: fc.constant("destination" as const), data: words(3, 8, 6) }),
  fc.record({ kind: fc.constant("routing" as const), data: words(3, 8, 6) }).map(({ kind, data }) => {
    data[1] = 0;
    return { kind, data };
  }),
  fc.record({ kind: fc.constant("authentication" as const), data: words(3, 4, 6) }),
  fc.record({ kind: fc.constant("fragment" as const), offset: fc.constant(0), more: fc.constant(false), id: bits(32) }),
);

const ipv6Header: fc.Arbitrary<Omit<Ipv6, "protocol">> = fc
  .record({
    src: ipv6,
    dst: ipv6,
    hopLimit: bits(8),
    dscp: bits(6),
    ecn: bits(2),
    flowLabel: bits(20),
    hops: rarely<Uint8Array | undefined>(words(2, 8, 6), undefined),
    rest: rarely(fc.array(extension, { maxLength: 3 }), []),
  })
  .map(({ hops, rest, ...header }) => ({
    ...header,
    extensions: hops === undefined ? rest : [{ kind: "hop-by-hop" as const, data: hops }, ...rest],
  }));

const icmp: fc.Arbitrary<Icmp> = fc.oneof(
  fc.record({
    kind: fc.constantFrom("echo-request" as const, "echo-reply" as const),
    id: bits(16),
    sequence: bits(16),
  }),
  fc.record({ kind: fc.constant("unreachable" as const), code: bits(8), length: bits(8), mtu: bits(16) }),
  fc.record({ kind: fc.constant("time-exceeded" as const), code: bits(8), length: bits(8) }),
  fc.record({
    kind: fc.constant("other" as const),
    type: fc.constantFrom(4, 5, 9, 13, 255),
    code: bits(8),
    rest: bits(32),
  }),
);

const ndOption: fc.Arbitrary<NdOption> = fc.oneof(
  fc.record({ kind: fc.constantFrom("source-link-layer" as const, "target-link-layer" as const), mac }),
  fc.record({
    kind: fc.constant("prefix" as const),
    prefix: ipv6,
    length: fc.integer({ min: 0, max: 128 }),
    onLink: fc.boolean(),
    autonomous: fc.boolean(),
    validLifetime: bits(32),
    preferredLifetime: bits(32),
  }),
  fc.record({ kind: fc.constant("mtu" as const), mtu: bits(32) }),
  fc
    .record({
      length: fc.integer({ min: 0, max: 128 }),
      raw: bytes(16),
      preference: fc.constantFrom("low" as const, "medium" as const, "high" as const),
      lifetime: bits(32),
    })
    .map(({ length, raw, ...rest }) => {
      raw.fill(0, Math.ceil(length / 64) * 8);
      return { kind: "route" as const, prefix: readIpv6(raw, 0), length, ...rest };
    }),
  fc.record({ kind: fc.constant("dns-servers" as const), servers: list(ipv6), lifetime: bits(32) }),
  fc.record({ kind: fc.constant("dns-search" as const), domains: list(domain), lifetime: bits(32) }),
  fc.record({ kind: fc.constant("other" as const), type: fc.constantFrom(0, 4, 14, 255), data: words(4, 8, 6) }),
);

const options = fc.array(ndOption, { maxLength: 4 });
const icmpv6: fc.Arbitrary<Icmpv6> = fc.oneof(
  fc.record({
    kind: fc.constantFrom("echo-request" as const, "echo-reply" as const),
    id: bits(16),
    sequence: bits(16),
  }),
  fc.record({
    kind: fc.constantFrom("unreachable" as const, "time-exceeded" as const),
    code: bits(8),
    length: bits(8),
  }),
  fc.record({ kind: fc.constant("packet-too-big" as const), mtu: bits(32) }),
  fc.record({ kind: fc.constant("parameter-problem" as const), code: bits(8), pointer: bits(32) }),
  fc.record({ kind: fc.constant("router-solicitation" as const), options }),
  fc.record({
    kind: fc.constant("router-advertisement" as const),
    hopLimit: bits(8),
    managed: fc.boolean(),
    otherConfig: fc.boolean(),
    preference: fc.constantFrom("low" as const, "medium" as const, "high" as const),
    lifetime: bits(16),
    reachableTime: bits(32),
    retransTimer: bits(32),
    options,
  }),
  fc.record({ kind: fc.constant("neighbor-solicitation" as const), target: ipv6, options }),
  fc.record({
    kind: fc.constant("neighbor-advertisement" as const),
    router: fc.boolean(),
    solicited: fc.boolean(),
    override: fc.boolean(),
    target: ipv6,
    options,
  }),
  fc.record({
    kind: fc.constant("other" as const),
    type: fc.constantFrom(0, 130, 137, 143, 255),
    code: bits(8),
    rest: bits(32),
  }),
);

const tcp: fc.Arbitrary<Tcp> = fc.record({
  src: bits(16),
  dst: bits(16),
  seq: bits(32),
  ack: bits(32),
  flags: bits(8),
  window: bits(16),
  urgent: bits(16),
  options: rarely(words(10), none),
});

const known: ReadonlySet<number> = new Set(Object.values(UdpPort));
const plainPort = bits(16).filter((port) => !known.has(port));

const geneve = fc.record({
  vni: bits(24),
  protocol: bits(16),
  oam: fc.boolean(),
  options: fc.array(fc.record({ class: bits(16), type: bits(7), critical: fc.boolean(), data: words(8) }), {
    maxLength: 6,
  }),
});

const arp = fc.record({ op: bits(16), sha: mac, spa: ipv4, tha: mac, tpa: ipv4 });
const bareType = bits(16).filter(
  (type) => type !== EtherType.arp && type !== EtherType.ipv4 && type !== EtherType.ipv6 && type !== EtherType.vlan,
);
/** Neither a protocol with a layer of its own nor an extension header. */
const bareProtocol = fc.constantFrom(2, 4, 41, 47, 50, 59, 89, 132, 255);

interface Carrying {
  readonly payload: Uint8Array;
}
interface IcmpUpper extends Carrying {
  readonly icmp: Icmp;
}
interface Icmpv6Upper extends Carrying {
  readonly icmpv6: Icmpv6;
}
interface TcpUpper extends Carrying {
  readonly tcp: Tcp;
}
interface UdpUpper extends Carrying {
  readonly udp: Udp;
}
interface DhcpUpper extends UdpUpper {
  readonly dhcp: Dhcp;
}
interface Dhcpv6Upper extends UdpUpper {
  readonly dhcpv6: Dhcpv6;
}
interface VxlanUpper extends UdpUpper {
  readonly vxlan: Vxlan;
}
interface GeneveUpper extends UdpUpper {
  readonly geneve: Geneve;
}

/** What stands on a network header: the layers of one kind of packet, and the protocol number that they imply. */
interface Upper<L> {
  readonly protocol: number;
  readonly layers: L;
}
type OverEither = Upper<TcpUpper> | Upper<UdpUpper> | Upper<VxlanUpper> | Upper<GeneveUpper> | Upper<Carrying>;
type OverIpv4 = Upper<IcmpUpper> | Upper<DhcpUpper>;
type OverIpv6 = Upper<Icmpv6Upper> | Upper<Dhcpv6Upper>;

const udpOf = (dst: fc.Arbitrary<number>) => fc.record({ src: bits(16), dst });
const overIpv4: fc.Arbitrary<OverIpv4> = fc.oneof(
  fc.record({ icmp, payload }).map((layers) => ({ protocol: IpProtocol.icmp, layers })),
  fc
    .record({ udp: udpOf(fc.constantFrom(UdpPort.dhcpServer, UdpPort.dhcpClient)), dhcp, payload: fc.constant(none) })
    .map((layers) => ({ protocol: IpProtocol.udp, layers })),
);
const overIpv6: fc.Arbitrary<OverIpv6> = fc.oneof(
  fc.record({ icmpv6, payload }).map(({ icmpv6: message, payload: data }) => ({
    protocol: IpProtocol.icmpv6,
    layers: { icmpv6: message, payload: isNeighborDiscovery(message) ? none : data },
  })),
  fc
    .record({
      udp: udpOf(fc.constantFrom(UdpPort.dhcpv6Server, UdpPort.dhcpv6Client)),
      dhcpv6,
      payload: fc.constant(none),
    })
    .map((layers) => ({ protocol: IpProtocol.udp, layers })),
);
const overEither: fc.Arbitrary<OverEither> = fc.oneof(
  fc.record({ tcp, payload }).map((layers) => ({ protocol: IpProtocol.tcp, layers })),
  fc.record({ udp: udpOf(plainPort), payload }).map((layers) => ({ protocol: IpProtocol.udp, layers })),
  fc
    .record({ udp: udpOf(fc.constant(UdpPort.vxlan)), vxlan: fc.record({ vni: bits(24) }), payload })
    .map((layers) => ({ protocol: IpProtocol.udp, layers })),
  fc
    .record({ udp: udpOf(fc.constant(UdpPort.geneve)), geneve, payload })
    .map((layers) => ({ protocol: IpProtocol.udp, layers })),
  fc.record({ protocol: bareProtocol, layers: fc.record({ payload }) }),
);
const uponIpv4: fc.Arbitrary<OverIpv4 | OverEither> = fc.oneof(overIpv4, overEither);
const uponIpv6: fc.Arbitrary<OverIpv6 | OverEither> = fc.oneof(overIpv6, overEither);

/** Parts of datagrams, which carry bytes of any protocol. */
const fragment = fc
  .record({ offset: fc.integer({ min: 0, max: 8000 }).map((n) => n * 8), more: fc.boolean() })
  .filter(({ offset, more }) => offset > 0 || more);

function onIpv4(eth: Omit<Ethernet, "type">, ip: Omit<Ipv4, "protocol">, upper: OverIpv4 | OverEither): Packet {
  const { protocol, layers } = upper;
  return { eth: { ...eth, type: EtherType.ipv4 }, ipv4: { ...ip, protocol }, ...layers };
}

function onIpv6(eth: Omit<Ethernet, "type">, ip: Omit<Ipv6, "protocol">, upper: OverIpv6 | OverEither): Packet {
  const { protocol, layers } = upper;
  return { eth: { ...eth, type: EtherType.ipv6 }, ipv6: { ...ip, protocol }, ...layers };
}

const anyPacket: fc.Arbitrary<Packet> = fc.oneof(
  fc
    .record({ link, type: bareType, payload })
    .map(({ link: eth, type, payload: data }): Packet => ({ eth: { ...eth, type }, payload: data })),
  fc
    .record({ link, arp })
    .map(
      ({ link: eth, arp: message }): Packet => ({ eth: { ...eth, type: EtherType.arp }, arp: message, payload: none }),
    ),
  {
    weight: 3,
    arbitrary: fc
      .record({ link, ip: ipv4Header, upper: uponIpv4 })
      .map(({ link: eth, ip, upper }) => onIpv4(eth, ip, upper)),
  },
  {
    weight: 4,
    arbitrary: fc
      .record({ link, ip: ipv6Header, upper: uponIpv6 })
      .map(({ link: eth, ip, upper }) => onIpv6(eth, ip, upper)),
  },
  fc.record({ link, ip: ipv4Header, fragment, protocol: bits(8), payload }).map(
    ({ link: eth, ip, fragment: part, protocol, payload: data }): Packet => ({
      eth: { ...eth, type: EtherType.ipv4 },
      ipv4: { ...ip, protocol, moreFragments: part.more, fragmentOffset: part.offset },
      payload: data,
    }),
  ),
  fc.record({ link, ip: ipv6Header, fragment, id: bits(32), protocol: fc.constantFrom(6, 17, 58, 59), payload }).map(
    ({ link: eth, ip, fragment: { offset, more }, id, protocol, payload: data }): Packet => ({
      eth: { ...eth, type: EtherType.ipv6 },
      ipv6: {
        ...ip,
        protocol,
        extensions: [
          ...ip.extensions.filter(({ kind }) => kind !== "fragment"),
          { kind: "fragment", offset, more, id },
        ],
      },
      payload: data,
    }),
  ),
);

/** Packets as `decode` gives them: `encode` and `decode` bring each back unchanged. */
// The clone gives records the prototype that object literals have, for deepEqual compares prototypes.
export const packets: fc.Arbitrary<Packet> = anyPacket.map((packet) => structuredClone(packet));

/** The same packets, said in the fewest words: types and protocols that layers imply are left out. */
export const specs: fc.Arbitrary<{ readonly spec: PacketSpec; readonly packet: Packet }> = packets.map((packet) => {
  const { src, dst, vlan, type } = packet.eth;
  const network = packet.arp ?? packet.ipv4 ?? packet.ipv6;
  const eth = { src, dst, ...(vlan === undefined ? {} : { vlan }), ...(network === undefined ? { type } : {}) };
  const spec: PacketSpec = { ...packet, eth };
  return { spec, packet };
});
