/** A packet on its way through the program: its frame, what its tunnel carried, where it came in and what is remembered of it. */
import { Fragment, type Frame, type FieldName as FrameField } from "@selvage/packet";
import { type Encapsulation, EthType, F, type Field } from "@selvage/pipeline";
import type { Tracked } from "./connections.ts";
import { type Datagram, datagramOf } from "./datagram.ts";
import { type Rewrite, rewritten } from "./translation.ts";
import { type FieldValue, fitted } from "./values.ts";

/** What came around a frame out of a tunnel. */
export interface TunnelHeader {
  readonly key: number;
  /** Underlay address of the sender: canonical text. */
  readonly source: string;
  readonly srcPort: number;
  readonly dstPort: number;
  /** The sender's set of security groups; 0 unless told. VXLAN bears none. */
  readonly srcSet?: number;
  /** Geneve unless told. */
  readonly by?: Encapsulation;
}

/** Fields of a frame by the codec's names. `tagged` is the presence of a tag, `later` and `fragment` what the codec says of fragments. */
const frameFields: Readonly<Record<string, FrameField>> = {
  ethSrc: "eth_src",
  ethDst: "eth_dst",
  ethType: "eth_type",
  ttl: "ip_ttl",
  ipProto: "ip_proto",
  ip4Src: "ip_src",
  ip4Dst: "ip_dst",
  ip6Src: "ipv6_src",
  ip6Dst: "ipv6_dst",
  arpOp: "arp_op",
  arpSpa: "arp_spa",
  arpTpa: "arp_tpa",
  arpSha: "arp_sha",
  arpTha: "arp_tha",
  tcpSrc: "tcp_src",
  tcpDst: "tcp_dst",
  sctpSrc: "sctp_src",
  sctpDst: "sctp_dst",
  udpSrc: "udp_src",
  udpDst: "udp_dst",
  icmpType: "icmp_type",
  icmpCode: "icmp_code",
  icmp6Type: "icmpv6_type",
  icmp6Code: "icmpv6_code",
  ndTarget: "nd_target",
};

export class Packet {
  readonly ingress: string;
  #frame: Frame;
  readonly #tunnel: TunnelHeader | undefined;
  readonly #memory: Map<string, FieldValue>;
  #end: number | undefined;
  /** What connection tracking said last. */
  tracked: Tracked | undefined;

  constructor(
    ingress: string,
    frame: Frame,
    tunnel?: TunnelHeader,
    memory: ReadonlyMap<string, FieldValue> = new Map(),
  ) {
    this.ingress = ingress;
    this.#frame = frame;
    this.#tunnel = tunnel;
    this.#memory = new Map(memory);
    this.#end = datagramEnd(frame);
  }

  /** A packet of its own with the same frame and memory: what a replicated copy starts from. */
  copy(): Packet {
    const copy = new Packet(this.ingress, this.frame.clone(), this.#tunnel, this.#memory);
    copy.tracked = this.tracked;
    return copy;
  }

  get frame(): Frame {
    return this.#frame;
  }

  /** Writes what a connection's translation says. */
  translate(rewrite: Rewrite): void {
    this.#frame = rewritten(this.#frame, rewrite);
  }

  /** Puts a tag before what has none. */
  pushTag(vlan: number): void {
    this.#frame.pushVlan(vlan);
    this.#end = datagramEnd(this.#frame);
  }

  popTag(): void {
    this.#frame.popVlan();
    this.#end = datagramEnd(this.#frame);
  }

  /** The IP datagram in it, as it is now. */
  datagram(): Datagram | undefined {
    return datagramOf(this.frame.toBytes());
  }

  readonly read = (field: Field): FieldValue | undefined => {
    switch (field.home) {
      case "ingress":
        return this.ingress;
      case "memory":
        return this.#memory.get(field.name) ?? 0n;
      case "tunnel":
        return this.#readTunnel(field);
      case "connection":
        return readConnection(field, this.tracked);
      case "frame":
        return this.#readFrame(field);
    }
  };

  #readFrame(field: Field): bigint | undefined {
    const { frame } = this;
    if (field.name === "tagged") return frame.has("vlan_vid") ? 1n : 0n;
    if (field.name === "vlan") return frame.getBits("vlan_vid") ?? 0n;
    if (isBehindIp(field) && this.#end === undefined) return this.#readUnsound(field);
    switch (field.name) {
      case "fragment":
        return frame.has("ip_frag") ? BigInt(frame.get("ip_frag") !== Fragment.none) : undefined;
      case "later":
        return frame.has("ip_frag") ? BigInt(frame.get("ip_frag") === Fragment.later) : undefined;
      case "ipProto":
        // A switch does not look for the protocol behind an IPv6 fragment header that is not the first's.
        if (frame.get("ip_frag") === Fragment.later && frame.has("ipv6_src")) return 44n;
        break;
      case "ndTarget":
        // A message whose code is not 0 is none of neighbour discovery's (RFC 4861, section 7.1.1).
        if (frame.get("icmpv6_code") !== 0) return undefined;
        break;
    }
    const value = frame.getBits(frameFieldOf(field));
    if (value !== undefined || field.name === "ndTarget") return value;
    // Of a header that is cut short, or that a later fragment does not bear, a switch reads zeros.
    const { ipProto, ethType } = field.requires;
    const isThere =
      ipProto !== undefined &&
      this.#readFrame(F.ipProto) === BigInt(ipProto) &&
      (ethType === undefined || this.#readFrame(F.ethType) === BigInt(ethType));
    return isThere ? 0n : undefined;
  }

  /** Of an IP header that cannot be a switch reads zeros, and of nothing behind it anything. Found by the comparison with a real one. */
  #readUnsound(field: Field): bigint | undefined {
    const { ethType, ipProto } = field.requires;
    const isThere = ethType === undefined || this.#readFrame(F.ethType) === BigInt(ethType);
    return isThere && ipProto === undefined ? 0n : undefined;
  }

  /** Bytes of the frame as a switch measures it: what pads an IP datagram does not count. Found by the comparison with a real one. */
  get length(): number {
    return this.#end ?? this.frame.length;
  }

  /** Writes a field; a value that is too wide loses its high bits, as in a switch. Throws TypeError on a field that cannot be written. */
  write(field: Field, value: FieldValue): void {
    const held = fitted(field, value);
    if (field.home === "memory") {
      this.#memory.set(field.name, held);
      return;
    }
    if (field.home !== "frame" || typeof held === "string") throw new TypeError(`${field.name} cannot be written`);
    const name = frameFieldOf(field);
    switch (name) {
      case "eth_type":
      case "ip_proto":
      case "ip_frag":
      case "sctp_src":
      case "sctp_dst":
        throw new TypeError(`${field.name} cannot be written`);
      default:
        this.frame.setBits(name, held);
    }
  }

  #readTunnel(field: Field): FieldValue | undefined {
    if (this.#tunnel === undefined) return undefined;
    switch (field.name) {
      case "tunKey":
        return BigInt(this.#tunnel.key);
      case "tunSrc":
        return this.#tunnel.source;
      case "tunSrcPort":
        return this.#option(this.#tunnel.srcPort);
      case "tunDstPort":
        return this.#option(this.#tunnel.dstPort);
      case "tunSrcSet":
        return this.#option(this.#tunnel.srcSet ?? 0);
      default:
        throw new TypeError(`no tunnel field ${field.name}`);
    }
  }

  /** There is no option in VXLAN, and nothing that stands for one. */
  #option(value: number): bigint | undefined {
    return this.#tunnel?.by === "vxlan" ? undefined : BigInt(value);
  }
}

/** What tracking said of a packet; all is 0 before it. */
function readConnection(field: Field, tracked: Tracked | undefined): bigint {
  const opened = tracked?.opened;
  switch (field.name) {
    case "ctNew":
      return BigInt(tracked?.state.isNew === true);
    case "ctEstablished":
      return BigInt(tracked?.state.established === true);
    case "ctRelated":
      return BigInt(tracked?.state.related === true);
    case "ctReply":
      return BigInt(tracked?.state.reply === true);
    case "ctInvalid":
      return BigInt(tracked?.state.invalid === true);
    case "ctSourced":
      return BigInt(tracked?.sourced === true);
    case "ctProto":
      return BigInt(opened?.protocol ?? 0);
    case "ctDst":
      // ICMP has no port: its number is not the destination's, and its code is 0 in whatever begins a connection.
      return opened === undefined || opened.to.type !== opened.from.type ? 0n : BigInt(opened.to.port);
    case "ctType":
      return BigInt(opened?.from.type ?? 0);
    default:
      return tracked?.kept.get(field.name) ?? 0n;
  }
}

const linkFields: ReadonlySet<string> = new Set([
  "ethSrc",
  "ethDst",
  "ethType",
  "arpOp",
  "arpSpa",
  "arpTpa",
  "arpSha",
  "arpTha",
]);
const isBehindIp = (field: Field): boolean => !linkFields.has(field.name);

/**
 * Where a datagram ends in a frame whose IP header's lengths are those of a packet that is there in full (RFC 791, RFC 8200); undefined for any other
 * IP frame, of whose header a switch reads zeros; the frame's own end where it bears no IP. Found by the comparison with a real one.
 */
function datagramEnd(frame: Frame): number | undefined {
  const bytes = frame.toBytes();
  const at = frame.networkOffset;
  const left = bytes.length - at;
  const word = (offset: number): number => (bytes[at + offset] ?? 0) * 256 + (bytes[at + offset + 1] ?? 0);
  switch (frame.get("eth_type")) {
    case EthType.ipv4: {
      const header = ((bytes[at] ?? 0) & 15) * 4;
      const isSound = left >= 20 && header >= 20 && word(2) >= header && word(2) <= left;
      return isSound ? at + word(2) : undefined;
    }
    case EthType.ipv6: {
      const isSound = left >= 40 && word(4) + 40 <= left;
      return isSound ? at + 40 + word(4) : undefined;
    }
    default:
      return bytes.length;
  }
}

function frameFieldOf(field: Field): FrameField {
  const name = frameFields[field.name];
  if (name === undefined) throw new TypeError(`no frame field ${field.name}`);
  return name;
}
