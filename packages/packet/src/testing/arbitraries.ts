/** Arbitrary packets of every layer for fast-check: full trees, as `decode` gives them, with every field free in its width. */

import fc from "fast-check";
import {
  type Dhcp,
  type DhcpOptions,
  type Dhcpv6,
  type Dhcpv6Options,
  dhcpMessageTypes,
  dhcpv6MessageTypes,
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
  readIpv4,
  readIpv6,
  readMac,
  type Tcp,
  type Udp,
  UdpPort,
  type Vxlan,
} from "../mod.ts";

const bits = (n: number) => fc.integer({ min: 0, max: 2 ** n - 1 });
const bytes = (min: number, max = min) => fc.uint8Array({ minLength: min, maxLength: max });
const words = (max: number, unit = 4, extra = 0) => fc.integer({ min: 0, max }).chain((n) => bytes(n * unit + extra));
const mac = bytes(6).map((raw) => readMac(raw, 0));
const ipv4 = bytes(4).map((raw) => readIpv4(raw, 0));
/** Zero groups are frequent, for `::` is where IPv6 text goes wrong. */
const ipv6 = fc
  .array(fc.oneof(fc.constant(0), bits(16)), { minLength: 8, maxLength: 8 })
  .map((groups) => readIpv6(Uint8Array.from(groups.flatMap((group) => [group >>> 8, group & 0xff])), 0));
const payload = bytes(0, 64);
const text = fc.string({
  unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)),
  maxLength: 40,
});
const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
const domain = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join("."));
const hex = (min: number, max: number) => bytes(min, max).map((raw) => Buffer.from(raw).toString("hex"));
const list = <T>(item: fc.Arbitrary<T>, maxLength = 4) => fc.array(item, { minLength: 1, maxLength });

const none: Uint8Array = new Uint8Array(0);
/** As in the wild: mostly absent. */
const rarely = <T>(item: fc.Arbitrary<T>, absent: T): fc.Arbitrary<T> =>
  fc.oneof({ weight: 2, arbitrary: fc.constant(absent) }, { weight: 1, arbitrary: item });

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
  fc.record({ kind: fc.constantFrom("destination" as const, "mobility" as const), data: words(3, 8, 6) }),
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
    hops: fc.option(words(2, 8, 6), { nil: undefined, freq: 4 }),
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

const cidr = fc.tuple(bits(32), fc.integer({ min: 0, max: 32 })).map(([address, width]) => {
  const kept = width === 0 ? 0 : (address & (-1 << (32 - width))) >>> 0;
  return `${readIpv4(Uint8Array.of(kept >>> 24, (kept >>> 16) & 255, (kept >>> 8) & 255, kept & 255), 0)}/${width}`;
});

/** Some options are longer than 255 bytes, so that they are split and joined. */
const dhcpOptions: fc.Arbitrary<DhcpOptions> = fc
  .record(
    {
      subnetMask: ipv4,
      routers: list(ipv4),
      dnsServers: list(ipv4, 80),
      hostName: text,
      domainName: text,
      mtu: bits(16),
      broadcastAddress: ipv4,
      ntpServers: list(ipv4),
      requestedAddress: ipv4,
      leaseTime: bits(32),
      messageType: fc.constantFrom(...dhcpMessageTypes),
      serverId: ipv4,
      parameterRequest: fc.array(bits(8), { maxLength: 20 }),
      message: text,
      maxMessageSize: bits(16),
      renewalTime: bits(32),
      rebindingTime: bits(32),
      vendorClass: text,
      clientId: hex(0, 20),
      relayAgent: fc.array(fc.record({ code: bits(8), data: bytes(0, 10) }), { maxLength: 3 }),
      domainSearch: list(domain, 12),
      classlessRoutes: list(fc.record({ destination: cidr, gateway: ipv4 }), 60),
      other: fc.uniqueArray(
        fc.record({ code: fc.constantFrom(2, 43, 66, 67, 125, 224, 252, 254), data: bytes(0, 300) }),
        {
          selector: ({ code }) => code,
          minLength: 1,
          maxLength: 3,
        },
      ),
    },
    { requiredKeys: [] },
  )
  .map(({ other, ...rest }) =>
    other === undefined ? rest : { ...rest, other: other.toSorted((a, b) => a.code - b.code) },
  );

const fixedText = (max: number) =>
  fc.string({ unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: max });
const dhcp: fc.Arbitrary<Dhcp> = fc.record({
  op: fc.constantFrom("request" as const, "reply" as const),
  htype: bits(8),
  hops: bits(8),
  xid: bits(32),
  secs: bits(16),
  broadcast: fc.boolean(),
  ciaddr: ipv4,
  yiaddr: ipv4,
  siaddr: ipv4,
  giaddr: ipv4,
  chaddr: fc.oneof(
    mac,
    bytes(0, 16).map((raw) =>
      Buffer.from(raw)
        .toString("hex")
        .replace(/..(?=.)/g, "$&:"),
    ),
  ),
  sname: fixedText(64),
  file: fixedText(128),
  options: dhcpOptions,
});

const status = fc.record({ code: bits(16), message: text });
const iaAddress = fc.record(
  { address: ipv6, preferred: bits(32), valid: bits(32), status },
  { requiredKeys: ["address", "preferred", "valid"] },
);
const iaNa = fc.record(
  { iaid: bits(32), t1: bits(32), t2: bits(32), addresses: fc.array(iaAddress, { maxLength: 3 }), status },
  { requiredKeys: ["iaid", "t1", "t2", "addresses"] },
);
const dhcpv6Options: fc.Arbitrary<Dhcpv6Options> = fc.record(
  {
    clientId: hex(3, 20),
    serverId: hex(3, 20),
    iaNa: list(iaNa, 3),
    requested: fc.array(bits(16), { maxLength: 10 }),
    preference: bits(8),
    elapsed: bits(16),
    relayMessage: bytes(0, 40),
    status,
    rapidCommit: fc.constant(true as const),
    dnsServers: list(ipv6),
    domainSearch: list(domain),
    clientFqdn: fc.record({
      flags: bits(8),
      name: fc.oneof(
        fc.constantFrom("", "."),
        domain,
        domain.map((name) => `${name}.`),
      ),
    }),
    other: list(fc.record({ code: fc.constantFrom(16, 18, 25, 31, 56, 65535), data: bytes(0, 20) }), 3),
  },
  { requiredKeys: [] },
);
const dhcpv6: fc.Arbitrary<Dhcpv6> = fc.oneof(
  fc.record({ type: fc.constantFrom(...dhcpv6MessageTypes), transactionId: bits(24), options: dhcpv6Options }),
  fc.record({
    type: fc.constantFrom("relay-forward" as const, "relay-reply" as const),
    hopCount: bits(8),
    link: ipv6,
    peer: ipv6,
    options: dhcpv6Options,
  }),
);

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
