/** Single header fields of a frame, read and rewritten in its bytes: what a switch matches on and sets (field names after ovs-fields(7)). */

import { EncodeError, readU16, readU32, writeU16 } from "./bytes.ts";
import { sumWords, updateChecksum } from "./checksum.ts";
import { EtherType } from "./ethernet.ts";
import { Icmpv6Type } from "./icmpv6.ts";
import { IpProtocol } from "./ipv4.ts";
import { extensionLength, isExtension } from "./ipv6.ts";
import { NdOptionType } from "./nd.ts";

/** The width of each field in bits. Those over 32 bits wide are `bigint`s, the others `number`s. */
export const fieldBits = {
  eth_src: 48,
  eth_dst: 48,
  eth_type: 16,
  vlan_vid: 12,
  vlan_pcp: 3,
  arp_op: 16,
  arp_spa: 32,
  arp_tpa: 32,
  arp_sha: 48,
  arp_tha: 48,
  ip_proto: 8,
  ip_src: 32,
  ip_dst: 32,
  ip_ttl: 8,
  ip_dscp: 6,
  ip_ecn: 2,
  ip_frag: 2,
  ipv6_src: 128,
  ipv6_dst: 128,
  ipv6_label: 20,
  tcp_src: 16,
  tcp_dst: 16,
  tcp_flags: 12,
  udp_src: 16,
  udp_dst: 16,
  sctp_src: 16,
  sctp_dst: 16,
  icmp_type: 8,
  icmp_code: 8,
  icmpv6_type: 8,
  icmpv6_code: 8,
  nd_target: 128,
  nd_sll: 48,
  nd_tll: 48,
  nd_options_type: 8,
  nd_router: 1,
  nd_solicited: 1,
  nd_override: 1,
} as const;

export type FieldName = keyof typeof fieldBits;
type Wide = { [N in FieldName]: (typeof fieldBits)[N] extends 48 | 128 ? N : never }[FieldName];
/** SCTP's are read only: its checksum is no sum of words but a CRC over all of a packet, of which only a part may be here (RFC 9260, section 6.8). */
type ReadOnlyField = "eth_type" | "ip_proto" | "ip_frag" | "sctp_src" | "sctp_dst";

/** What a field's value is in JavaScript. */
export type FieldValue<N extends FieldName> = N extends Wide ? bigint : number;

function isFieldName(name: string): name is FieldName {
  return Object.hasOwn(fieldBits, name);
}

/** All names, in the order of the headers. */
export const fieldNames: readonly FieldName[] = Object.keys(fieldBits).filter(isFieldName);

/** Values of `ip_frag`: a whole datagram, the first fragment (which has the ports) or a later one (which has not). */
export const Fragment = { none: 0, first: 1, later: 3 } as const;

/** Where a field lies: `size` bytes at `at`, of which it is the `bits` bits above the lowest `shift`. */
interface Place {
  readonly at: number;
  readonly size: number;
  readonly shift: number;
}

type UpperKind = "tcp" | "udp" | "sctp" | "icmp" | "icmpv6";

/** What was found in the bytes: the offsets of headers that are there in full. */
interface Layout {
  readonly typeAt: number;
  readonly tagAt?: number;
  readonly arpAt?: number;
  readonly ipv4At?: number;
  readonly ipv6At?: number;
  readonly protocolAt?: number;
  readonly fragment?: number;
  /**
   * On its way to another hop of a routing header: the sum is that of its last one's address (RFC 8200, section 8.1). Of either address it is left as it is, as by
   * Open vSwitch, which does not look what is behind such a header (lib/packets.c, `packet_rh_present`).
   */
  readonly isRouted?: true;
  readonly upper?: UpperKind;
  readonly upperAt?: number;
  readonly checksumAt?: number;
  readonly targetAt?: number;
  readonly advertisementAt?: number;
  readonly optionAt?: number;
  readonly sllAt?: number;
  readonly tllAt?: number;
}

const checksumOffset = { tcp: 16, udp: 6, icmp: 2, icmpv6: 2 } as const;
const upperHeader = { tcp: 20, udp: 8, sctp: 12, icmp: 8, icmpv6: 8 } as const;

/**
 * A frame whose fields can be read and set. It owns a copy of the bytes it was made from. Setting a field corrects the checksums over it
 * by the difference (RFC 1624), as a switch does: a wrong checksum stays wrong, a UDP checksum of 0 stays absent, and a first fragment stays right.
 */
export class Frame {
  #bytes: Uint8Array;
  #layout: Layout;

  /** Takes any bytes: fields that a truncated or unknown frame does not have are `undefined`. Throws `EncodeError` under 14 bytes. */
  constructor(bytes: Uint8Array) {
    if (bytes.length < 14) throw new EncodeError("frame", `${bytes.length} bytes are no Ethernet frame`);
    this.#bytes = Uint8Array.from(bytes);
    this.#layout = layoutOf(this.#bytes);
  }

  /** The frame as it is now, as bytes of its own. */
  toBytes(): Uint8Array {
    return this.#bytes.slice();
  }

  /** A frame of its own with the same bytes. */
  clone(): Frame {
    return new Frame(this.#bytes);
  }

  get length(): number {
    return this.#bytes.length;
  }

  /** Offset of what the EtherType names: behind a tag and a SNAP header, where there are such. */
  get networkOffset(): number {
    return this.#layout.typeAt + 2;
  }

  has(name: FieldName): boolean {
    return name === "ip_frag" ? this.#layout.fragment !== undefined : placeOf(this.#layout, name) !== undefined;
  }

  /** A field's value as an unsigned `bigint`, for code that treats all fields alike; `undefined` if the frame has no such field. */
  getBits(name: FieldName): bigint | undefined {
    if (name === "ip_frag") return this.#layout.fragment === undefined ? undefined : BigInt(this.#layout.fragment);
    const place = placeOf(this.#layout, name);
    if (place === undefined) return undefined;
    const raw = readBig(this.#bytes, place.at, place.size);
    return (raw >> BigInt(place.shift)) & ((1n << BigInt(fieldBits[name])) - 1n);
  }

  /** A field's value, `bigint` if it is over 32 bits wide and `number` if not; `undefined` if the frame has no such field. */
  get<N extends FieldName>(name: N): FieldValue<N> | undefined;
  get(name: FieldName): bigint | number | undefined {
    const value = this.getBits(name);
    return value === undefined || fieldBits[name] > 32 ? value : Number(value);
  }

  /** Sets a field. Gives whether the frame has it. Throws `EncodeError` if the value is too wide. */
  set<N extends Exclude<FieldName, ReadOnlyField>>(name: N, value: FieldValue<N>): boolean {
    return this.setBits(name, BigInt(value));
  }

  /** `set` for code that treats all fields alike. */
  setBits(name: Exclude<FieldName, ReadOnlyField>, value: bigint): boolean {
    const bits = BigInt(fieldBits[name]);
    if (value < 0n || value >> bits !== 0n) throw new EncodeError(name, `${value} does not fit into ${bits} bits`);
    const place = placeOf(this.#layout, name);
    if (place === undefined) return false;
    const mask = ((1n << bits) - 1n) << BigInt(place.shift);
    const raw = (readBig(this.#bytes, place.at, place.size) & ~mask) | (value << BigInt(place.shift));
    this.#write(place, raw);
    // What a type says of the bytes behind it decides which fields there are.
    if (name === "icmpv6_type" || name === "icmp_type" || name === "nd_options_type")
      this.#layout = layoutOf(this.#bytes);
    return true;
  }

  /** Puts an 802.1Q tag with the given VLAN and priority 0 in front of the EtherType. Throws `EncodeError` if the frame has one already. */
  pushVlan(vid: number): void {
    if (this.#layout.tagAt !== undefined) throw new EncodeError("vlan_vid", "the frame has a tag");
    if (!Number.isInteger(vid) || vid < 0 || vid > 0xfff)
      throw new EncodeError("vlan_vid", `${vid} does not fit into 12 bits`);
    const tagged = new Uint8Array(this.#bytes.length + 4);
    tagged.set(this.#bytes.subarray(0, 12));
    writeU16(tagged, 12, EtherType.vlan);
    writeU16(tagged, 14, vid);
    tagged.set(this.#bytes.subarray(12), 16);
    this.#bytes = tagged;
    this.#layout = layoutOf(tagged);
  }

  /** Takes the tag off. Gives whether there was one. */
  popVlan(): boolean {
    if (this.#layout.tagAt === undefined) return false;
    const bare = new Uint8Array(this.#bytes.length - 4);
    bare.set(this.#bytes.subarray(0, 12));
    bare.set(this.#bytes.subarray(16), 12);
    this.#bytes = bare;
    // A second tag was not looked behind, and is not now, as by Open vSwitch (`vlan-limit` 1): the frame's type stays that of a tag.
    const isTagged = ((bare[12] ?? 0) << 8) + (bare[13] ?? 0) === EtherType.vlan;
    this.#layout = isTagged ? { typeAt: 12 } : layoutOf(bare);
    return true;
  }

  /** Writes the bytes of a place and corrects the checksums that cover them. All headers begin on an even byte, so words are of the frame. */
  #write({ at, size }: Place, raw: bigint): void {
    const { ipv4At, upperAt } = this.#layout;
    const from = at - (at & 1);
    const to = at + size + ((at + size) & 1);
    const before = sumWords(this.#bytes, from, to);
    writeBig(this.#bytes, at, size, raw);
    const after = sumWords(this.#bytes, from, to);
    if (before === after) return;
    const inUpper = upperAt !== undefined && at >= upperAt;
    if (ipv4At !== undefined && at >= ipv4At && !inUpper) updateChecksum(this.#bytes, ipv4At + 10, before, after);
    if (inUpper || this.#inPseudoHeader(at)) this.#correctUpper(before, after);
  }

  #inPseudoHeader(at: number): boolean {
    const { ipv4At, ipv6At, isRouted, upper: kind } = this.#layout;
    if (ipv4At !== undefined) return at >= ipv4At + 12 && at < ipv4At + 20 && kind !== "icmp";
    return ipv6At !== undefined && at >= ipv6At + 8 && at < ipv6At + 40 && isRouted !== true;
  }

  #correctUpper(before: number, after: number): void {
    const { checksumAt, upper: kind } = this.#layout;
    if (checksumAt === undefined) return;
    if (kind === "udp" && readU16(this.#bytes, checksumAt) === 0) return;
    updateChecksum(this.#bytes, checksumAt, before, after);
    if (kind === "udp" && readU16(this.#bytes, checksumAt) === 0) writeU16(this.#bytes, checksumAt, 0xffff);
  }
}

function readBig(bytes: Uint8Array, at: number, size: number): bigint {
  if (size <= 4) {
    let small = 0;
    for (let n = 0; n < size; n++) small = small * 256 + bytes[at + n]!;
    return BigInt(small);
  }
  let value = 0n;
  for (let n = 0; n < size; n += 2) value = (value << 16n) | BigInt(readU16(bytes, at + n));
  return value;
}

function writeBig(bytes: Uint8Array, at: number, size: number, value: bigint): void {
  let rest = value;
  for (let n = size - 1; n >= 0; n--) {
    bytes[at + n] = Number(rest & 0xffn);
    rest >>= 8n;
  }
}

/** The place of a field at `offset` of the header at `base`, if that header is there. */
function place(base: number | undefined, offset: number, size: number, shift = 0): Place | undefined {
  return base === undefined ? undefined : { at: base + offset, size, shift };
}

function upper(kind: UpperKind, offset: number, size: number): (layout: Layout) => Place | undefined {
  return (layout) => place(layout.upper === kind ? layout.upperAt : undefined, offset, size);
}

function advertised(shift: number): (layout: Layout) => Place | undefined {
  return (layout) => place(layout.advertisementAt, 4, 1, shift);
}

const places: { readonly [N in Exclude<FieldName, "ip_frag">]: (layout: Layout) => Place | undefined } = {
  eth_dst: () => place(0, 0, 6),
  eth_src: () => place(0, 6, 6),
  eth_type: (layout) => place(layout.typeAt, 0, 2),
  vlan_vid: (layout) => place(layout.tagAt, 0, 2),
  vlan_pcp: (layout) => place(layout.tagAt, 0, 2, 13),
  arp_op: (layout) => place(layout.arpAt, 6, 2),
  arp_sha: (layout) => place(layout.arpAt, 8, 6),
  arp_spa: (layout) => place(layout.arpAt, 14, 4),
  arp_tha: (layout) => place(layout.arpAt, 18, 6),
  arp_tpa: (layout) => place(layout.arpAt, 24, 4),
  ip_proto: (layout) => place(layout.protocolAt, 0, 1),
  ip_src: (layout) => place(layout.ipv4At, 12, 4),
  ip_dst: (layout) => place(layout.ipv4At, 16, 4),
  ip_ttl: (layout) => place(layout.ipv4At, 8, 1) ?? place(layout.ipv6At, 7, 1),
  ip_dscp: (layout) => place(layout.ipv4At, 1, 1, 2) ?? place(layout.ipv6At, 0, 2, 6),
  ip_ecn: (layout) => place(layout.ipv4At, 1, 1) ?? place(layout.ipv6At, 0, 2, 4),
  ipv6_src: (layout) => place(layout.ipv6At, 8, 16),
  ipv6_dst: (layout) => place(layout.ipv6At, 24, 16),
  ipv6_label: (layout) => place(layout.ipv6At, 0, 4),
  tcp_src: upper("tcp", 0, 2),
  tcp_dst: upper("tcp", 2, 2),
  tcp_flags: upper("tcp", 12, 2),
  udp_src: upper("udp", 0, 2),
  udp_dst: upper("udp", 2, 2),
  sctp_src: upper("sctp", 0, 2),
  sctp_dst: upper("sctp", 2, 2),
  icmp_type: upper("icmp", 0, 1),
  icmp_code: upper("icmp", 1, 1),
  icmpv6_type: upper("icmpv6", 0, 1),
  icmpv6_code: upper("icmpv6", 1, 1),
  nd_target: (layout) => place(layout.targetAt, 0, 16),
  nd_sll: (layout) => place(layout.sllAt, 2, 6),
  nd_tll: (layout) => place(layout.tllAt, 2, 6),
  nd_options_type: (layout) => place(layout.optionAt, 0, 1),
  nd_router: advertised(7),
  nd_solicited: advertised(6),
  nd_override: advertised(5),
};

function placeOf(layout: Layout, name: Exclude<FieldName, "ip_frag">): Place | undefined {
  return places[name](layout);
}

/** Of a customer's or a provider's tag (IEEE 802.1Q, clause 9.5). */
const isTag = (type: number): boolean => type === EtherType.vlan || type === 0x88a8;

/** Where the type is: a length in its place (IEEE 802.3, under 1536) may be followed by a SNAP header that has it (RFC 1042). */
function typeAtOf(bytes: Uint8Array, at: number): number {
  const isSnap =
    readU16(bytes, at) < 0x600 &&
    bytes.length >= at + 10 &&
    readU32(bytes, at + 2) === 0xaaaa0300 &&
    readU16(bytes, at + 6) === 0 &&
    readU16(bytes, at + 8) >= 0x600;
  return isSnap ? at + 8 : at;
}

/**
 * Finds the headers. Lengths that lie are cut to what is there; a header that is not there in full has no fields. The EtherType says which version of IP
 * it is; the number in the header itself is not looked at, as by no switch.
 */
function layoutOf(bytes: Uint8Array): Layout {
  const tagged = isTag(readU16(bytes, 12)) && bytes.length >= 18;
  const link = { typeAt: typeAtOf(bytes, tagged ? 16 : 12), ...(tagged ? { tagAt: 14 } : {}) };
  const at = link.typeAt + 2;
  switch (readU16(bytes, link.typeAt)) {
    case EtherType.arp: {
      const ours = bytes.length >= at + 28 && readU32(bytes, at) === 0x00010800 && readU16(bytes, at + 4) === 0x0604;
      return ours ? { ...link, arpAt: at } : link;
    }
    case EtherType.ipv4:
      return { ...link, ...ipv4Layout(bytes, at) };
    case EtherType.ipv6:
      return { ...link, ...ipv6Layout(bytes, at) };
    default:
      return link;
  }
}

type IpLayout = Omit<Layout, "typeAt">;

function ipv4Layout(bytes: Uint8Array, at: number): IpLayout {
  if (bytes.length < at + 20) return {};
  const upperAt = at + (bytes[at]! & 0xf) * 4;
  if (upperAt < at + 20 || upperAt > bytes.length) return {};
  const word = readU16(bytes, at + 6);
  const fragment = (word & 0x1fff) !== 0 ? Fragment.later : (word & 0x2000) !== 0 ? Fragment.first : Fragment.none;
  const layout = { ipv4At: at, protocolAt: at + 9, fragment };
  const end = Math.min(bytes.length, at + readU16(bytes, at + 2));
  return fragment === Fragment.later ? layout : { ...layout, ...upperLayout(bytes, bytes[at + 9]!, upperAt, end, 4) };
}

function ipv6Layout(bytes: Uint8Array, at: number): IpLayout {
  if (bytes.length < at + 40) return {};
  const end = Math.min(bytes.length, at + 40 + readU16(bytes, at + 4));
  let protocolAt = at + 6;
  let next = at + 40;
  let fragment: number = Fragment.none;
  let routed = false;
  while (isExtension(bytes[protocolAt]!) && fragment !== Fragment.later && next + 8 <= end) {
    const kind = bytes[protocolAt]!;
    if (kind === 44) {
      const word = readU16(bytes, next + 2);
      fragment = (word & 0xfff8) !== 0 ? Fragment.later : (word & 1) !== 0 ? Fragment.first : Fragment.none;
    }
    routed ||= kind === 43 && bytes[next + 3] !== 0;
    protocolAt = next;
    next += extensionLength(kind, bytes[next + 1]!);
  }
  const layout = { ipv6At: at, protocolAt, fragment, ...(routed ? { isRouted: true as const } : {}) };
  return fragment === Fragment.later ? layout : { ...layout, ...upperLayout(bytes, bytes[protocolAt]!, next, end, 6) };
}

const upperKinds: ReadonlyMap<number, UpperKind> = new Map([
  [IpProtocol.tcp, "tcp"],
  [IpProtocol.udp, "udp"],
  [IpProtocol.sctp, "sctp"],
  [IpProtocol.icmp, "icmp"],
  [IpProtocol.icmpv6, "icmpv6"],
]);

/** The header of an upper layer and, in Neighbour Discovery, its target and options. */
function upperLayout(bytes: Uint8Array, protocol: number, upperAt: number, end: number, version: 4 | 6): IpLayout {
  const kind = upperKinds.get(protocol);
  if (kind === undefined || upperAt + upperHeader[kind] > end) return {};
  if ((kind === "icmp" && version === 6) || (kind === "icmpv6" && version === 4)) return {};
  // The addresses are not in SCTP's checksum.
  const checksumAt = kind === "sctp" ? undefined : upperAt + checksumOffset[kind];
  const layout = { upper: kind, upperAt, ...(checksumAt === undefined ? {} : { checksumAt }) };
  const type = bytes[upperAt]!;
  const advertisement = type === Icmpv6Type.neighborAdvertisement;
  const bearsTarget = advertisement || type === Icmpv6Type.neighborSolicitation;
  if (kind !== "icmpv6" || !bearsTarget || upperAt + 24 > end) return layout;
  const target = { ...layout, targetAt: upperAt + 8, ...(advertisement ? { advertisementAt: upperAt } : {}) };
  return { ...target, ...ndOptionLayout(bytes, upperAt + 24, end) };
}

function ndOptionLayout(bytes: Uint8Array, optionAt: number, end: number): IpLayout {
  if (optionAt + 8 > end) return {};
  let sllAt: number | undefined;
  let tllAt: number | undefined;
  for (let at = optionAt; at + 8 <= end && bytes[at + 1] !== 0; at += bytes[at + 1]! * 8) {
    if (bytes[at] === NdOptionType.sourceLinkLayer) sllAt ??= at;
    if (bytes[at] === NdOptionType.targetLinkLayer) tllAt ??= at;
  }
  return { optionAt, ...(sllAt === undefined ? {} : { sllAt }), ...(tllAt === undefined ? {} : { tllAt }) };
}
