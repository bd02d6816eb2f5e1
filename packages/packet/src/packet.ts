/** A packet as a tree of layers, between bytes and readable values: the codecs of all layers put together, lengths and checksums included. */

import { type Arp, readArp, writeArp } from "./arp.ts";
import { EncodeError, Fault, type Layer, type MalformedReason, noBytes, Reader, Writer } from "./bytes.ts";
import { finish, pseudoIpv4, pseudoIpv6, sumWords } from "./checksum.ts";
import { type Dhcp, type DhcpSpec, readDhcp, writeDhcp } from "./dhcp.ts";
import { type Dhcpv6, readDhcpv6, writeDhcpv6 } from "./dhcpv6.ts";
import { type Ethernet, type EthernetSpec, EtherType, readEthernet, writeEthernet } from "./ethernet.ts";
import { type Icmp, readIcmp, writeIcmpHeader } from "./icmp.ts";
import { type Icmpv6, isNeighborDiscovery, readIcmpv6, writeIcmpv6 } from "./icmpv6.ts";
import {
  closeIpv4Header,
  IpProtocol,
  type Ipv4,
  type Ipv4Spec,
  isFragment,
  readIpv4Header,
  writeIpv4Header,
} from "./ipv4.ts";
import { closeIpv6Header, type Ipv6, type Ipv6Spec, isWhole, readIpv6Header, writeIpv6Header } from "./ipv6.ts";
import { type Geneve, type GeneveSpec, readGeneve, readVxlan, type Vxlan, writeGeneve, writeVxlan } from "./overlay.ts";
import {
  readTcp,
  readUdpHeader,
  type Tcp,
  type TcpSpec,
  type Udp,
  UdpPort,
  writeTcpHeader,
  writeUdpHeader,
} from "./transport.ts";

interface Layers {
  readonly arp: Arp;
  readonly ipv4: Ipv4;
  readonly ipv6: Ipv6;
  readonly icmp: Icmp;
  readonly icmpv6: Icmpv6;
  readonly tcp: Tcp;
  readonly udp: Udp;
  readonly dhcp: Dhcp;
  readonly dhcpv6: Dhcpv6;
  readonly vxlan: Vxlan;
  readonly geneve: Geneve;
}

interface LayerSpecs extends Omit<Layers, "ipv4" | "ipv6" | "tcp" | "dhcp" | "geneve"> {
  readonly ipv4: Ipv4Spec;
  readonly ipv6: Ipv6Spec;
  readonly tcp: TcpSpec;
  readonly dhcp: DhcpSpec;
  readonly geneve: GeneveSpec;
}

type Name = keyof Layers;

/** The layers named, and no other: so that the presence of one tells which of the others are there. */
type Only<L extends Record<Name, unknown>, Present extends Name> = { readonly [N in Present]: L[N] } & {
  readonly [N in Exclude<Name, Present>]?: never;
};

/** Which layers stand on which: the whole vocabulary of this package. */
type Stacks<L extends Record<Name, unknown>> =
  | Only<L, never>
  | Only<L, "arp">
  | Only<L, "ipv4">
  | Only<L, "ipv6">
  | Only<L, "ipv4" | "icmp">
  | Only<L, "ipv6" | "icmpv6">
  | Only<L, "ipv4" | "tcp">
  | Only<L, "ipv6" | "tcp">
  | Only<L, "ipv4" | "udp">
  | Only<L, "ipv6" | "udp">
  | Only<L, "ipv4" | "udp" | "dhcp">
  | Only<L, "ipv6" | "udp" | "dhcpv6">
  | Only<L, "ipv4" | "udp" | "vxlan">
  | Only<L, "ipv6" | "udp" | "vxlan">
  | Only<L, "ipv4" | "udp" | "geneve">
  | Only<L, "ipv6" | "udp" | "geneve">;

/**
 * A packet. `payload` is what lies behind the innermost layer taken apart (a window on the bytes decoded): the datagram of a UDP packet
 * of no known port, the inner frame of a tunnel, the part that a fragment carries. `if (packet.dhcp)` tells that `ipv4` and `udp` are there.
 */
export type Packet = { readonly eth: Ethernet; readonly payload: Uint8Array } & Stacks<Layers>;

/** What `encode` takes: a `Packet`, of which all that has a default or follows from something else may be left out. */
export type PacketSpec = { readonly eth: EthernetSpec; readonly payload?: Uint8Array } & Stacks<LayerSpecs>;

/** What is wrong with a packet: in which layer, why, and at which byte of the packet. */
export interface Malformed {
  readonly layer: Layer;
  readonly reason: MalformedReason;
  readonly offset: number;
}

/** A packet, or what is wrong with it and what was understood before that: the outer layers, the bad one among the payload. */
export type Decoded =
  | { readonly ok: true; readonly packet: Packet }
  | { readonly ok: false; readonly malformed: Malformed; readonly before: Packet | undefined };

/** `checksums`: "ignore" for bytes whose checksums a network card was to fill in (offload) and has not yet. */
export interface DecodeOptions {
  readonly checksums?: "verify" | "ignore";
}

/**
 * Takes a frame apart. Never throws, whatever the bytes; work is linear in them. Tunnels are not entered: decode their `payload`. Of a
 * fragment, or of a packet on its way through a routing header, the upper layer stays payload. Ethernet padding behind the network
 * layer's own length is dropped. A UDP checksum of 0 is none in IPv4, and in IPv6 for the tunnels alone (RFC 6935).
 */
export function decode(bytes: Uint8Array, options: DecodeOptions = {}): Decoded {
  let before: Packet | undefined;
  try {
    // A Buffer is narrowed to a plain array, for its windows would be Buffers too.
    const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (const packet of layersOf(plain, options.checksums !== "ignore")) before = packet;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return { ok: false, malformed: { layer: error.layer, reason: error.reason, offset: error.offset }, before };
  }
  if (before === undefined) throw new Error("a frame that has no fault has a header");
  return { ok: true, packet: before };
}

/** Yields the packet anew with each layer understood. */
function* layersOf(bytes: Uint8Array, verify: boolean): Generator<Packet> {
  const reader = new Reader(bytes, "ethernet");
  const eth = readEthernet(reader);
  yield { eth, payload: bytes.subarray(reader.at) };
  const { at } = reader;
  switch (eth.type) {
    case EtherType.arp:
      yield { eth, arp: readArp(reader.inner("arp")), payload: noBytes };
      return;
    case EtherType.ipv4: {
      const inner = reader.inner("ipv4");
      const { ipv4, payloadLength } = readIpv4Header(inner, verify);
      const end = inner.at + payloadLength;
      yield { eth, ipv4, payload: bytes.subarray(inner.at, end) };
      const pseudo = (length: number): number => pseudoIpv4(bytes, at, ipv4.protocol, length);
      if (!isFragment(ipv4))
        yield* upperLayers({ eth, ipv4 }, new Reader(bytes, "ipv4", inner.at, end), verify, pseudo);
      return;
    }
    case EtherType.ipv6: {
      const inner = reader.inner("ipv6");
      const { ipv6, payloadLength } = readIpv6Header(inner);
      const end = inner.at + payloadLength;
      yield { eth, ipv6, payload: bytes.subarray(inner.at, end) };
      const pseudo = (length: number): number => pseudoIpv6(bytes, at, ipv6.protocol, length);
      if (isWhole(ipv6)) yield* upperLayers({ eth, ipv6 }, new Reader(bytes, "ipv6", inner.at, end), verify, pseudo);
      return;
    }
  }
}

/** The layers up to the network, which stay as they are while what stands on them is read. */
type Network =
  | { readonly eth: Ethernet; readonly ipv4: Ipv4; readonly ipv6?: never }
  | { readonly eth: Ethernet; readonly ipv6: Ipv6; readonly ipv4?: never };

type Pseudo = (length: number) => number;

function* upperLayers(net: Network, ip: Reader, verify: boolean, pseudo: Pseudo): Generator<Packet> {
  const protocol = net.ipv4?.protocol ?? net.ipv6?.protocol;
  const check = (reader: Reader, checksumAt: number, sum: number): void => {
    if (verify && finish(sumWords(ip.bytes, ip.at, reader.end, sum)) !== 0) reader.fail("checksum", ip.at + checksumAt);
  };
  if (protocol === IpProtocol.udp) yield* udpLayers(net, ip, verify, pseudo);
  if (protocol === IpProtocol.tcp) {
    const reader = ip.inner("tcp");
    const tcp = readTcp(reader);
    check(reader, 16, pseudo(ip.left));
    yield { ...net, tcp, payload: reader.rest() };
  }
  if (protocol === IpProtocol.icmp && net.ipv4 !== undefined) {
    const reader = ip.inner("icmp");
    const icmp = readIcmp(reader);
    check(reader, 2, 0);
    yield { ...net, icmp, payload: reader.rest() };
  }
  if (protocol === IpProtocol.icmpv6 && net.ipv6 !== undefined) {
    const reader = ip.inner("icmpv6");
    // The checksum comes first: what it does not cover is not worth the name of a fault in an option.
    if (reader.left >= 4) check(reader, 2, pseudo(ip.left));
    const icmpv6 = readIcmpv6(reader);
    yield { ...net, icmpv6, payload: reader.rest() };
  }
}

function* udpLayers(net: Network, ip: Reader, verify: boolean, pseudo: Pseudo): Generator<Packet> {
  const header = ip.inner("udp");
  const { udp, length, checksum } = readUdpHeader(header);
  const end = ip.at + length;
  const tunnel = udp.dst === UdpPort.vxlan || udp.dst === UdpPort.geneve;
  const summed = checksum !== 0 || (net.ipv6 !== undefined && !tunnel);
  if (verify && summed && (checksum === 0 || finish(sumWords(ip.bytes, ip.at, end, pseudo(length))) !== 0))
    header.fail("checksum", ip.at + 6);
  yield { ...net, udp, payload: ip.bytes.subarray(header.at, end) };
  const inner = (layer: Layer): Reader => new Reader(ip.bytes, layer, header.at, end);
  switch (udp.dst) {
    case UdpPort.dhcpServer:
    case UdpPort.dhcpClient:
      if (net.ipv4 !== undefined) yield { ...net, udp, dhcp: readDhcp(inner("dhcp")), payload: noBytes };
      return;
    case UdpPort.dhcpv6Server:
    case UdpPort.dhcpv6Client:
      if (net.ipv6 !== undefined) yield { ...net, udp, dhcpv6: readDhcpv6(inner("dhcpv6")), payload: noBytes };
      return;
    case UdpPort.vxlan: {
      const reader = inner("vxlan");
      yield { ...net, udp, vxlan: readVxlan(reader), payload: reader.rest() };
      return;
    }
    case UdpPort.geneve: {
      const reader = inner("geneve");
      yield { ...net, udp, geneve: readGeneve(reader), payload: reader.rest() };
      return;
    }
  }
}

/**
 * The bytes of a packet, lengths and checksums filled in; EtherType and protocol follow from the layers. Throws `EncodeError`, naming
 * the field, if a value does not fit, contradicts another layer, or says what `decode` would not read back.
 */
export function encode(spec: PacketSpec): Uint8Array {
  const writer = new Writer(128 + (spec.payload?.length ?? 0) + (spec.dhcp === undefined ? 0 : 400));
  if (spec.arp !== undefined) {
    writeEthernet(writer, spec.eth, implied("eth.type", spec.eth.type, EtherType.arp));
    writeArp(writer, spec.arp);
    noPayload(spec);
  } else if (spec.ipv4 !== undefined) {
    const right = upperProtocol(spec);
    if (right !== undefined && isFragment(spec.ipv4))
      throw new EncodeError("ipv4.fragmentOffset", "a fragment carries bytes, not layers");
    const protocol = implied("ipv4.protocol", spec.ipv4.protocol, right);
    writeEthernet(writer, spec.eth, implied("eth.type", spec.eth.type, EtherType.ipv4));
    const at = writeIpv4Header(writer, spec.ipv4, protocol);
    writeUpper(writer, spec, (length) => pseudoIpv4(writer.buffer, at, protocol, length));
    closeIpv4Header(writer, at);
  } else if (spec.ipv6 !== undefined) {
    const right = upperProtocol(spec);
    if (right !== undefined && !isWhole(spec.ipv6))
      throw new EncodeError("ipv6.extensions", "a fragment or routed packet carries bytes, not layers");
    const protocol = implied("ipv6.protocol", spec.ipv6.protocol, right);
    writeEthernet(writer, spec.eth, implied("eth.type", spec.eth.type, EtherType.ipv6));
    const hopLimit = spec.icmpv6 !== undefined && isNeighborDiscovery(spec.icmpv6) ? 255 : 64;
    const at = writeIpv6Header(writer, spec.ipv6, protocol, hopLimit);
    writeUpper(writer, spec, (length) => pseudoIpv6(writer.buffer, at, protocol, length));
    closeIpv6Header(writer, at, spec.ipv6);
  } else {
    writeEthernet(writer, spec.eth, implied("eth.type", spec.eth.type, undefined));
    writer.put(spec.payload ?? noBytes);
  }
  return writer.done();
}

/** The value of a field that a layer implies, which may be stated too but not otherwise; if none implies it, it must be stated. */
function implied(field: string, stated: number | undefined, right: number | undefined): number {
  const value = right ?? stated;
  if (value === undefined) throw new EncodeError(field, "must be said, for no layer implies it");
  if (stated !== undefined && stated !== value)
    throw new EncodeError(field, `${stated} contradicts the next layer, which makes it ${value}`);
  return value;
}

function upperProtocol(spec: PacketSpec): number | undefined {
  if (spec.udp !== undefined) return IpProtocol.udp;
  if (spec.tcp !== undefined) return IpProtocol.tcp;
  if (spec.icmp !== undefined) return IpProtocol.icmp;
  return spec.icmpv6 === undefined ? undefined : IpProtocol.icmpv6;
}

function noPayload(spec: PacketSpec): void {
  if ((spec.payload?.length ?? 0) > 0) throw new EncodeError("payload", "the innermost layer leaves no place for one");
}

function writeUpper(writer: Writer, spec: PacketSpec, pseudo: Pseudo): void {
  const payload = spec.payload ?? noBytes;
  const close = (at: number, checksumAt: number, sum: number): void =>
    writer.patchU16(at + checksumAt, finish(sumWords(writer.buffer, at, writer.at, sum)), "checksum");
  if (spec.udp !== undefined) {
    const at = writeUdpHeader(writer, spec.udp);
    writeApplication(writer, spec, spec.udp.dst);
    const length = writer.at - at;
    writer.patchU16(at + 4, length, "udp.length");
    const sum = finish(sumWords(writer.buffer, at, writer.at, pseudo(length)));
    // A sum of 0 goes out as all ones, its equal, for 0 says that there is none (RFC 768).
    writer.patchU16(at + 6, sum === 0 ? 0xffff : sum, "udp.checksum");
  } else if (spec.tcp !== undefined) {
    const at = writeTcpHeader(writer, spec.tcp);
    writer.put(payload);
    close(at, 16, pseudo(writer.at - at));
  } else if (spec.icmp !== undefined) {
    const at = writeIcmpHeader(writer, spec.icmp);
    writer.put(payload);
    close(at, 2, 0);
  } else if (spec.icmpv6 !== undefined) {
    const at = writeIcmpv6(writer, spec.icmpv6);
    if (isNeighborDiscovery(spec.icmpv6)) noPayload(spec);
    writer.put(payload);
    close(at, 2, pseudo(writer.at - at));
  } else {
    writer.put(payload);
  }
}

function writeApplication(writer: Writer, spec: PacketSpec, port: number): void {
  const expect = (...ports: readonly number[]): void => {
    if (!ports.includes(port))
      throw new EncodeError("udp.dst", `${port} is not the port of the layer above, which is ${ports.join(" or ")}`);
  };
  if (spec.dhcp !== undefined) {
    expect(UdpPort.dhcpServer, UdpPort.dhcpClient);
    noPayload(spec);
    writeDhcp(writer, spec.dhcp);
  } else if (spec.dhcpv6 !== undefined) {
    expect(UdpPort.dhcpv6Server, UdpPort.dhcpv6Client);
    noPayload(spec);
    writeDhcpv6(writer, spec.dhcpv6);
  } else {
    if (spec.vxlan !== undefined) {
      expect(UdpPort.vxlan);
      writeVxlan(writer, spec.vxlan);
    } else if (spec.geneve !== undefined) {
      expect(UdpPort.geneve);
      writeGeneve(writer, spec.geneve);
    }
    writer.put(spec.payload ?? noBytes);
  }
}
