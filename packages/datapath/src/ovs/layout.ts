/**
 * Where each field of the program lives in this switch: registers, tunnel metadata, or the packet's own fields, with what must be matched
 * before each (ovs-fields(7), "Evolution of OpenFlow Fields" and its prerequisites).
 */
import { type FieldName, type FieldValue, fields, type Subfield, type TlvMapping } from "@selvage/openflow";
import { EthType, F, type Field, type FieldName as Name } from "@selvage/pipeline";

/** A run of bits in a field of the switch. `alone`: the field's other bits are always zero, so that it is written and matched whole. */
export interface BitsPlace {
  readonly kind: "bits";
  readonly subfield: Subfield;
  readonly alone: boolean;
  readonly writable: boolean;
}

/** Fields that stand in one place, since no packet has a use for both at once: who reads one of them comes behind who has written it whole. */
export const shared: readonly (readonly [Field, Field])[] = [
  [F.rule, F.route],
  [F.srcZone, F.natZone],
  [F.scope, F.domain],
];

/** Where a field is: bits; the port that a packet came in by; or one of two fields, by the family of the address. */
export type Place =
  | BitsPlace
  | { readonly kind: "ingress" }
  | { readonly kind: "family"; readonly ip4: BitsPlace; readonly ip6: BitsPlace };

const bits = (field: FieldName, offset: number, count: number, alone: boolean, writable = true): BitsPlace => ({
  kind: "bits",
  subfield: { field, offset, bits: count },
  alone,
  writable,
});
const memory = (field: FieldName, count: number): BitsPlace => bits(field, 0, count, true);
const frame = (field: FieldName): BitsPlace => bits(field, 0, fields[field].bits, true);
const fixed = (field: FieldName): BitsPlace => ({ ...frame(field), writable: false });
/** A bit of what connection tracking said of the packet (ovs-fields(7), `ct_state`). */
const state = (offset: number): BitsPlace => bits("ct_state", offset, 1, false, false);

/**
 * The one Geneve option: receiving port 24 | flags 8, sending port 24 | hops 8, sender's security identity 24 | reserved 8. The class is of the
 * experimental range (RFC 8926, section 7); the critical bit makes a receiver that cannot read it drop.
 */
export const tunnelOption: TlvMapping = { optionClass: 0xff53, optionType: 0x81, optionLength: 12, index: 0 };
const option: FieldName = "tun_metadata0";

const places: Readonly<Record<Name, Place>> = {
  ingress: { kind: "ingress" },
  net: bits("metadata", 0, 24, false),
  srcPort: memory("reg0", 24),
  dstPort: memory("reg1", 24),
  host: memory("reg6", 24),
  nh: memory("xxreg2", 128),
  nhMac: memory("xreg6", 48),
  srcSet: memory("reg2", 24),
  dstSet: memory("reg3", 24),
  dstZone: bits("reg4", 0, 16, false),
  srcZone: bits("reg4", 16, 16, false),
  natZone: bits("reg4", 16, 16, false),
  srcStateless: bits("metadata", 48, 1, false),
  dstStateless: bits("metadata", 49, 1, false),
  rule: memory("reg5", 32),
  route: memory("reg5", 32),
  generation: bits("reg15", 0, 16, false),
  vrf: bits("metadata", 24, 24, false),
  scope: memory("reg7", 24),
  domain: memory("reg7", 24),
  routed: bits("metadata", 50, 1, false),
  hop: bits("metadata", 51, 3, false),
  round: bits("metadata", 54, 1, false),
  encapsulation: bits("reg15", 25, 2, false),
  oversize: bits("reg15", 24, 1, false),
  located: bits("reg15", 27, 1, false),
  ethSrc: frame("eth_src"),
  ethDst: frame("eth_dst"),
  ethType: fixed("eth_type"),
  tagged: bits("vlan_vid", 12, 1, false, false),
  vlan: bits("vlan_vid", 0, 12, false, false),
  ttl: frame("nw_ttl"),
  fragment: bits("nw_frag", 0, 1, false, false),
  later: bits("nw_frag", 1, 1, false, false),
  ipProto: fixed("ip_proto"),
  ip4Src: frame("ipv4_src"),
  ip4Dst: frame("ipv4_dst"),
  ip6Src: frame("ipv6_src"),
  ip6Dst: frame("ipv6_dst"),
  arpOp: frame("arp_op"),
  arpSpa: frame("arp_spa"),
  arpTpa: frame("arp_tpa"),
  arpSha: frame("arp_sha"),
  arpTha: frame("arp_tha"),
  tcpSrc: frame("tcp_src"),
  tcpDst: frame("tcp_dst"),
  sctpSrc: frame("sctp_src"),
  sctpDst: frame("sctp_dst"),
  udpSrc: frame("udp_src"),
  udpDst: frame("udp_dst"),
  icmpType: frame("icmp_type"),
  icmpCode: frame("icmp_code"),
  icmp6Type: frame("icmpv6_type"),
  icmp6Code: frame("icmpv6_code"),
  ndTarget: frame("nd_target"),
  tunKey: { ...memory("tunnel_id", 24), writable: false },
  tunSrc: { kind: "family", ip4: fixed("tun_src"), ip6: fixed("tun_ipv6_src") },
  tunSrcPort: bits(option, 40, 24, false, false),
  tunDstPort: bits(option, 72, 24, false, false),
  tunSrcSet: bits(option, 8, 24, false, false),
  ctNew: state(0),
  ctEstablished: state(1),
  ctRelated: state(2),
  ctReply: state(3),
  ctInvalid: state(4),
  ctSourced: state(6),
  ctProto: fixed("ct_nw_proto"),
  ctDst: fixed("ct_tp_dst"),
  ctType: bits("ct_tp_src", 0, 8, false, false),
  ctRule: bits("ct_label", 0, 32, false),
  ctRemote: bits("ct_label", 64, 24, false),
  ctGeneration: bits("ct_label", 88, 16, false),
};

/** Whether connection tracking was asked; the other bits of its word mean nothing before that. */
const ctTracked: Field = {
  name: "ctTracked",
  kind: "int",
  bits: 1,
  home: "connection",
  requires: {},
  text: "1: connection tracking was asked",
};

/** What the driver writes before it sends to another host. */
export const outgoing = {
  key: bits("tunnel_id", 0, 24, true),
  option: bits(option, 0, 8 * tunnelOption.optionLength, true),
  srcPort: bits(option, 40, 24, false),
  dstPort: bits(option, 72, 24, false),
  srcSet: bits(option, 8, 24, false),
  to4: frame("tun_dst"),
  to6: frame("tun_ipv6_dst"),
} as const;

/** The driver's own note to itself: what a punted packet is for, 0 for nothing. Dead at every table's edge. */
export const puntKind = memory("reg14", 8);

/** Another note of its, in the same place: where a packet goes on that comes back from connection tracking. */
export const resumption = memory("reg14", 16);

/** The fields that hold zones of connection tracking. */
export const zoneFields: readonly Field[] = [F.srcZone, F.dstZone, F.natZone];

/** The tag of a frame: its VLAN, and the bit that says that there is one. */
export const tag = frame("vlan_vid");
export const tagPresent = 0x1000n;

const known: ReadonlyMap<string, Place> = new Map<string, Place>([...Object.entries(places), ["ctTracked", state(5)]]);

/** Where a field is. Throws TypeError for one that has no place. */
export function placeOf(field: Field): Place {
  const place = known.get(field.name);
  if (place === undefined) throw new TypeError(`${field.name} has no place in the switch`);
  return place;
}

/** As `placeOf`, for a field whose bits can be copied and loaded whatever it holds. Throws TypeError for others. */
export function bitsOf(field: Field): BitsPlace {
  const place = placeOf(field);
  if (place.kind !== "bits") throw new TypeError(`${field.name} can be matched only`);
  return place;
}

/** A condition that must be matched before a field may be: a field of the program and its value. */
export interface Need {
  readonly field: Field;
  readonly value: number;
}

const need = (field: Field, value: number): Need => ({ field, value });
/** What an action or a field needs that only IP has. */
export const isIpv4: Need = need(F.ethType, EthType.ipv4);
export const isIp: readonly Need[] = [isIpv4, need(F.ethType, EthType.ipv6)];
/** What an action needs that takes a tag away. */
export const isTagged: Need = need(F.tagged, 1);
const either: Readonly<Record<string, readonly Need[]>> = {
  ipProto: isIp,
  ttl: isIp,
  fragment: isIp,
  later: isIp,
  ndTarget: [need(F.icmp6Type, 135), need(F.icmp6Type, 136)],
};
const tracked = [need(ctTracked, 1)];
/** The switch takes what a connection was opened with only beside what rules out that there is none. */
const opened = [need(ctTracked, 1), need(F.ctInvalid, 0)];
/** What the switch demands besides what the program's own declaration says. */
const demanded: Readonly<Record<string, readonly Need[]>> = {
  ctNew: tracked,
  ctEstablished: tracked,
  ctRelated: tracked,
  ctReply: tracked,
  ctInvalid: tracked,
  ctSourced: tracked,
  ctProto: opened,
  ctDst: opened,
  ctType: opened,
};
const byName: ReadonlyMap<string, Field> = new Map(Object.entries(F));
/** Fields of headers that later fragments do not have. The switch says 0 for them there (ovs-fields(7), "Fragments"). */
const inFirstFragment: ReadonlySet<string> = new Set(
  [
    F.tcpSrc,
    F.tcpDst,
    F.udpSrc,
    F.udpDst,
    F.sctpSrc,
    F.sctpDst,
    F.icmpType,
    F.icmpCode,
    F.icmp6Type,
    F.icmp6Code,
    F.ctDst,
    F.ctType,
  ].map(({ name }) => name),
);

/**
 * Fields of a connection that this switch does not know of a later fragment, though it should: there they are not asked. A later fragment that is let in for
 * this waits for its first one where the connection is kept, and comes out with it or not at all.
 */
export const unknownOfLater: ReadonlySet<string> = new Set([F.ctDst.name, F.ctType.name]);

/** Conditions that a field always needs: those of the program's own declaration, and the switch's. */
export function needsOf(field: Field): readonly Need[] {
  const declared = Object.entries(field.requires).map(([name, value]) => {
    const needed = byName.get(name);
    if (needed === undefined) throw new TypeError(`${field.name} requires ${name}, which is no field`);
    return need(needed, value);
  });
  return [...declared, ...(demanded[field.name] ?? [])];
}

/** Conditions that a field needs when its bits are all to be zero: a later fragment, which does not have the field, would meet that too. */
export const needsOfZero = (field: Field): readonly Need[] =>
  inFirstFragment.has(field.name) ? [need(F.later, 0)] : [];

/** Conditions of which the switch wants one; none for most fields. */
export const alternativesOf = (field: Field): readonly Need[] => either[field.name] ?? [];

const ones = (count: number): bigint => (1n << BigInt(count)) - 1n;

/** A value in the form that the codec takes for a field: bytes, bigint or number. */
export function shaped(field: FieldName, value: bigint): FieldValue {
  const declared = fields[field];
  switch (declared.form) {
    case "number":
      return Number(value);
    case "bigint":
      return value;
    case "bytes":
      return Uint8Array.from({ length: tunnelOption.optionLength }, (_, at) =>
        Number((value >> BigInt(8 * (tunnelOption.optionLength - 1 - at))) & 0xffn),
      );
  }
}

/** A value of a place's bits as the field and mask that hold it; without a mask where the whole field is meant. */
export const placed = (place: BitsPlace, value: bigint, mask: bigint = ones(place.subfield.bits)): PlacedValue =>
  together([spread(place, value, mask)]);

/** What is asked of a field of the switch: bits where they lie in it, and whether all the others are known to be zero. */
export interface Spread {
  readonly field: FieldName;
  readonly value: bigint;
  readonly mask: bigint;
  readonly whole: boolean;
}

export function spread(place: BitsPlace, value: bigint, mask: bigint): Spread {
  const { field, offset, bits: count } = place.subfield;
  const at = BigInt(offset);
  return { field, value: (value & mask) << at, mask: mask << at, whole: place.alone && mask === ones(count) };
}

/** What is asked of one field, in one condition: the switch takes no two of the same field. */
export function together(parts: readonly [Spread, ...Spread[]]): PlacedValue {
  const [{ field }] = parts;
  const value = parts.reduce((sum, part) => sum | part.value, 0n);
  if (parts.some(({ whole }) => whole)) return { field, value: shaped(field, value) };
  const mask = parts.reduce((sum, part) => sum | part.mask, 0n);
  return { field, value: shaped(field, value), mask: shaped(field, mask) };
}

export interface PlacedValue {
  readonly field: FieldName;
  readonly value: FieldValue;
  readonly mask?: FieldValue;
}
