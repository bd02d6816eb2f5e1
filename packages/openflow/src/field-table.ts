/** The match and action fields by name, with their OXM or NXM numbers (OpenFlow 1.5.1, table 12; Open vSwitch's ovs-fields(7)). */

/** ONF's class of standard fields. */
const basic = 0x8000;
/** ONF's class of packet registers, our `xregN`. */
const packetRegister = 0x8001;
/** Nicira's two classes: what OpenFlow 1.0 matched, and what was added since. */
const nxmOld = 0x0000;
const nxm = 0x0001;
/** Ericsson's class, which Open vSwitch uses for two neighbour discovery fields. */
const ericsson = 0x1000;
/** The class of fields that bear an experimenter number after their header. */
const experimenterClass = 0xffff;
const nicira = 0x0000_2320;
const onf = 0x4f4e_4600;

type Digit = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9;
type To15 = Digit | 10 | 11 | 12 | 13 | 14 | 15;
type To63 = Digit | `${1 | 2 | 3 | 4 | 5}${Digit}` | 60 | 61 | 62 | 63;

/** name: [class, number, significant bits, bytes on the wire]. */
const plain = {
  in_port: [basic, 0, 32, 4],
  /** The 16-bit form of `in_port`, which learn and move use as source and destination. */
  nxm_in_port: [nxmOld, 0, 16, 2],
  metadata: [basic, 2, 64, 8],
  eth_dst: [basic, 3, 48, 6],
  eth_src: [basic, 4, 48, 6],
  eth_type: [basic, 5, 16, 2],
  /** VLAN id with 0x1000 set where a tag is present. */
  vlan_vid: [basic, 6, 13, 2],
  vlan_pcp: [basic, 7, 3, 1],
  vlan_tci: [nxmOld, 4, 16, 2],
  ip_dscp: [basic, 8, 6, 1],
  ip_ecn: [basic, 9, 2, 1],
  ip_proto: [basic, 10, 8, 1],
  nw_tos: [nxmOld, 5, 8, 1],
  nw_ttl: [nxm, 29, 8, 1],
  /** Bit 0: any fragment; bit 1: not the first. */
  nw_frag: [nxm, 26, 2, 1],
  ipv4_src: [basic, 11, 32, 4],
  ipv4_dst: [basic, 12, 32, 4],
  ipv6_src: [basic, 26, 128, 16],
  ipv6_dst: [basic, 27, 128, 16],
  ipv6_flabel: [basic, 28, 20, 4],
  tcp_src: [basic, 13, 16, 2],
  tcp_dst: [basic, 14, 16, 2],
  tcp_flags: [basic, 42, 12, 2],
  udp_src: [basic, 15, 16, 2],
  udp_dst: [basic, 16, 16, 2],
  sctp_src: [basic, 17, 16, 2],
  sctp_dst: [basic, 18, 16, 2],
  icmp_type: [basic, 19, 8, 1],
  icmp_code: [basic, 20, 8, 1],
  icmpv6_type: [basic, 29, 8, 1],
  icmpv6_code: [basic, 30, 8, 1],
  arp_op: [basic, 21, 16, 2],
  arp_spa: [basic, 22, 32, 4],
  arp_tpa: [basic, 23, 32, 4],
  arp_sha: [basic, 24, 48, 6],
  arp_tha: [basic, 25, 48, 6],
  nd_target: [basic, 31, 128, 16],
  nd_sll: [basic, 32, 48, 6],
  nd_tll: [basic, 33, 48, 6],
  nd_reserved: [ericsson, 1, 32, 4],
  nd_options_type: [ericsson, 2, 8, 1],
  mpls_label: [basic, 34, 20, 4],
  mpls_tc: [basic, 35, 3, 1],
  mpls_bos: [basic, 36, 1, 1],
  mpls_ttl: [nxm, 30, 8, 1],
  actset_output: [basic, 43, 32, 4],
  packet_type: [basic, 44, 32, 4],
  tunnel_id: [basic, 38, 64, 8],
  tun_src: [nxm, 31, 32, 4],
  tun_dst: [nxm, 32, 32, 4],
  tun_ipv6_src: [nxm, 109, 128, 16],
  tun_ipv6_dst: [nxm, 110, 128, 16],
  tun_flags: [nxm, 104, 1, 2],
  tun_gbp_id: [nxm, 38, 16, 2],
  tun_gbp_flags: [nxm, 39, 8, 1],
  pkt_mark: [nxm, 33, 32, 4],
  recirc_id: [nxm, 36, 32, 4],
  conj_id: [nxm, 37, 32, 4],
  ct_state: [nxm, 105, 32, 4],
  ct_zone: [nxm, 106, 16, 2],
  ct_mark: [nxm, 107, 32, 4],
  ct_label: [nxm, 108, 128, 16],
  ct_nw_proto: [nxm, 119, 8, 1],
  ct_nw_src: [nxm, 120, 32, 4],
  ct_nw_dst: [nxm, 121, 32, 4],
  ct_ipv6_src: [nxm, 122, 128, 16],
  ct_ipv6_dst: [nxm, 123, 128, 16],
  ct_tp_src: [nxm, 124, 16, 2],
  ct_tp_dst: [nxm, 125, 16, 2],
} as const satisfies Record<string, readonly [number, number, number, number]>;

/** Other numbers under which a switch may name the same field: [name, class, number, experimenter]. */
const aliases: readonly (readonly [FieldName, number, number, number])[] = [
  ["eth_dst", nxmOld, 1, 0],
  ["eth_src", nxmOld, 2, 0],
  ["eth_type", nxmOld, 3, 0],
  ["ip_proto", nxmOld, 6, 0],
  ["ipv4_src", nxmOld, 7, 0],
  ["ipv4_dst", nxmOld, 8, 0],
  ["tcp_src", nxmOld, 9, 0],
  ["tcp_dst", nxmOld, 10, 0],
  ["udp_src", nxmOld, 11, 0],
  ["udp_dst", nxmOld, 12, 0],
  ["icmp_type", nxmOld, 13, 0],
  ["icmp_code", nxmOld, 14, 0],
  ["arp_op", nxmOld, 15, 0],
  ["arp_spa", nxmOld, 16, 0],
  ["arp_tpa", nxmOld, 17, 0],
  ["tunnel_id", nxm, 16, 0],
  ["arp_sha", nxm, 17, 0],
  ["arp_tha", nxm, 18, 0],
  ["ipv6_src", nxm, 19, 0],
  ["ipv6_dst", nxm, 20, 0],
  ["icmpv6_type", nxm, 21, 0],
  ["icmpv6_code", nxm, 22, 0],
  ["nd_target", nxm, 23, 0],
  ["nd_sll", nxm, 24, 0],
  ["nd_tll", nxm, 25, 0],
  ["ipv6_flabel", nxm, 27, 0],
  ["ip_ecn", nxm, 28, 0],
  ["tcp_flags", nxm, 34, 0],
  ["dp_hash", nxm, 35, 0],
  ["tcp_flags", experimenterClass, 42, onf],
  ["actset_output", experimenterClass, 43, onf],
];

/** The name of a field, close to ovs-fields(7). */
export type FieldName =
  | keyof typeof plain
  | "dp_hash"
  | `reg${To15}`
  | `xreg${0 | 1 | 2 | 3 | 4 | 5 | 6 | 7}`
  | `xxreg${0 | 1 | 2 | 3}`
  | `tun_metadata${To63}`;

/** What the codec knows of a field. */
export interface Field {
  readonly name: FieldName;
  readonly oxmClass: number;
  readonly number: number;
  /** 0 where the field bears no experimenter number. */
  readonly experimenter: number;
  /** Significant bits; the wire may carry more. */
  readonly bits: number;
  /** Length of a value on the wire; the greatest one where the field is of variable length. */
  readonly bytes: number;
  /** How values are written in TypeScript: a number up to 48 bits, a bigint above, bytes where the length varies. */
  readonly form: "number" | "bigint" | "bytes";
}

/** Every field by name. */
export const fields: Readonly<Record<FieldName, Field>> = buildFields();

/** Fields by class and number (then experimenter), with the aliases. */
const byNumber: ReadonlyMap<number, Field> = buildIndex();

/**
 * The field that an OXM header names.
 * Takes the header's class (16 bits) and field number (7 bits), and the experimenter (0 for none); gives undefined for an unknown one.
 */
export function fieldByNumber(oxmClass: number, number: number, experimenter: number): Field | undefined {
  return byNumber.get(indexKey(oxmClass, number, experimenter));
}

/** Whether `name` is the name of a field, as for names that come from data. */
export function isFieldName(name: string): name is FieldName {
  return Object.hasOwn(fields, name);
}

function field(name: FieldName, spec: readonly [number, number, number, number], experimenter = 0): Field {
  const [oxmClass, number, bits, bytes] = spec;
  const form = bytes > 16 ? "bytes" : bits > 48 ? "bigint" : "number";
  return { name, oxmClass, number, experimenter, bits, bytes, form };
}

function buildFields(): Record<FieldName, Field> {
  const built: Partial<Record<FieldName, Field>> = {};
  const put = (made: Field) => {
    built[made.name] = made;
  };
  for (const [name, spec] of Object.entries(plain)) put(field(name as keyof typeof plain, spec));
  put(field("dp_hash", [experimenterClass, 0, 32, 4], nicira));
  // A counter is a number to the compiler, the names want literal ones: the casts say only that the bound of each loop keeps to them.
  for (let i = 0; i < 16; i += 1) put(field(`reg${i as To15}`, [nxm, i, 32, 4]));
  for (let i = 0; i < 8; i += 1) put(field(`xreg${i as 0}`, [packetRegister, i, 64, 8]));
  for (let i = 0; i < 4; i += 1) put(field(`xxreg${i as 0}`, [nxm, 111 + i, 128, 16]));
  for (let i = 0; i < 64; i += 1) put(field(`tun_metadata${i as 0}`, [nxm, 40 + i, 992, 124]));
  // Every member of the union was put above: `fields.test.ts` counts them.
  return built as Record<FieldName, Field>;
}

function buildIndex(): Map<number, Field> {
  const index = new Map<number, Field>();
  for (const known of Object.values(fields))
    index.set(indexKey(known.oxmClass, known.number, known.experimenter), known);
  for (const [name, oxmClass, number, experimenter] of aliases) {
    index.set(indexKey(oxmClass, number, experimenter), fields[name]);
  }
  return index;
}

/** Class and number have 23 bits, an experimenter 32: together they are not a safe integer, so the experimenter goes by its rank. */
function indexKey(oxmClass: number, number: number, experimenter: number): number {
  const rank = experimenter === 0 ? 0 : experimenter === nicira ? 1 : experimenter === onf ? 2 : 3;
  return rank * 0x80_0000 + oxmClass * 0x80 + number;
}
