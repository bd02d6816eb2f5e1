/** A packet on its way through the program: its frame, what its tunnel carried, where it came in and what is remembered of it. */
import type { Frame, FieldName as FrameField } from "@selvage/packet";
import { type Encapsulation, EthType, type Field } from "@selvage/pipeline";
import { type FieldValue, fitted } from "./values.ts";

/** What came around a frame out of a tunnel. */
export interface TunnelHeader {
  readonly key: number;
  /** Underlay address of the sender: canonical text. */
  readonly source: string;
  readonly srcPort: number;
  readonly dstPort: number;
  /** Geneve unless told. */
  readonly by?: Encapsulation;
}

/** Fields of a frame by the codec's names. `tagged` is the presence of a tag. */
const frameFields: Readonly<Record<string, FrameField>> = {
  ethSrc: "eth_src",
  ethDst: "eth_dst",
  ethType: "eth_type",
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
  udpSrc: "udp_src",
  udpDst: "udp_dst",
  icmp6Type: "icmpv6_type",
  ndTarget: "nd_target",
};

export class Packet {
  readonly ingress: string;
  readonly frame: Frame;
  readonly #tunnel: TunnelHeader | undefined;
  readonly #memory: Map<string, FieldValue>;

  constructor(
    ingress: string,
    frame: Frame,
    tunnel?: TunnelHeader,
    memory: ReadonlyMap<string, FieldValue> = new Map(),
  ) {
    this.ingress = ingress;
    this.frame = frame;
    this.#tunnel = tunnel;
    this.#memory = new Map(memory);
  }

  /** A packet of its own with the same frame and memory: what a replicated copy starts from. */
  copy(): Packet {
    return new Packet(this.ingress, this.frame.clone(), this.#tunnel, this.#memory);
  }

  readonly read = (field: Field): FieldValue | undefined => {
    switch (field.home) {
      case "ingress":
        return this.ingress;
      case "memory":
        return this.#memory.get(field.name) ?? 0n;
      case "tunnel":
        return this.#readTunnel(field);
      case "frame": {
        if (field.name === "tagged") return this.frame.has("vlan_vid") ? 1n : 0n;
        if (isBehindIp(field) && datagramEnd(this.frame) === undefined) return undefined;
        // A message whose code is not 0 is none of neighbour discovery's (RFC 4861, section 7.1.1).
        if (field.name === "ndTarget" && this.frame.get("icmpv6_code") !== 0) return undefined;
        return this.frame.getBits(frameFieldOf(field));
      }
    }
  };

  /** Bytes of the frame as a switch measures it: what pads an IP datagram does not count. Found by the comparison with a real one. */
  get length(): number {
    return datagramEnd(this.frame) ?? this.frame.length;
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
    if (name === "eth_type" || name === "ip_proto" || name === "ip_frag")
      throw new TypeError(`${field.name} cannot be written`);
    this.frame.setBits(name, held);
  }

  #readTunnel(field: Field): FieldValue | undefined {
    if (this.#tunnel === undefined) return undefined;
    switch (field.name) {
      case "tunKey":
        return BigInt(this.#tunnel.key);
      case "tunSrc":
        return this.#tunnel.source;
      case "tunSrcPort":
      case "tunDstPort":
        // There is no option in VXLAN, and nothing that stands for one.
        if (this.#tunnel.by === "vxlan") return undefined;
        return BigInt(field.name === "tunSrcPort" ? this.#tunnel.srcPort : this.#tunnel.dstPort);
      default:
        throw new TypeError(`no tunnel field ${field.name}`);
    }
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
 * IP frame, of which a switch reads no field, and here neither; the frame's own end where it bears no IP. Found by the comparison with a real one.
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
