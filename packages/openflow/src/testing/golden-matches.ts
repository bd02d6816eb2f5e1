/** Matches and instructions beside the text by which ovs-ofctl(8) prints them (ovs-fields(7)). */
import { act } from "../action.ts";
import type { Match } from "../field.ts";
import type { Instruction } from "../instruction.ts";

const ipv4: Match = [{ field: "eth_type", value: 0x0800 }];
const ipv6: Match = [{ field: "eth_type", value: 0x86dd }];
const tcp: Match = [...ipv4, { field: "ip_proto", value: 6 }];
const nd: Match = [
  ...ipv6,
  { field: "ip_proto", value: 58 },
  { field: "icmpv6_type", value: 136 },
  { field: "icmpv6_code", value: 0 },
];
const bytes = (...values: readonly number[]) => new Uint8Array(values);
const ip6 = (low: bigint) => (0xfd00n << 112n) | low;

/** One match and its text; prerequisites stand first. */
export interface MatchCase {
  readonly match: Match;
  readonly text: string;
}

const arp: Match = [{ field: "eth_type", value: 0x0806 }];

export const matchCases: readonly MatchCase[] = [
  { match: [], text: "" },
  { match: [{ field: "in_port", value: 3 }], text: "in_port=3" },
  { match: [{ field: "metadata", value: 0n }], text: "metadata=0" },
  {
    match: [{ field: "metadata", value: 0x12_0000_0000n, mask: 0xff_0000_0000n }],
    text: "metadata=0x1200000000/0xff00000000",
  },
  {
    match: [
      { field: "eth_dst", value: 0x0100_0000_0000, mask: 0x0100_0000_0000 },
      { field: "eth_src", value: 0xfa16_3e00_0001 },
    ],
    text: "dl_src=fa:16:3e:00:00:01,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00",
  },
  { match: [{ field: "vlan_vid", value: 0 }], text: "vlan_tci=0x0000/0x1fff" },
  { match: [{ field: "vlan_vid", value: 0x1000, mask: 0x1000 }], text: "vlan_tci=0x1000/0x1000" },
  {
    match: [
      { field: "vlan_vid", value: 0x1064 },
      { field: "vlan_pcp", value: 3 },
    ],
    text: "dl_vlan=100,dl_vlan_pcp=3",
  },
  {
    match: [{ field: "vlan_tci", value: 0x1064, mask: 0x1fff }],
    text: "dl_vlan=100",
  },
  {
    match: [
      { field: "reg0", value: 0 },
      { field: "reg15", value: 0x30, mask: 0xf0 },
    ],
    text: "reg0=0,reg15=0x30/0xf0",
  },
  {
    match: [
      { field: "xreg4", value: 0x5_0000_0006n },
      { field: "xxreg0", value: 0n, mask: 1n },
    ],
    text: "reg3=0/0x1,reg8=0x5,reg9=0x6",
  },
  {
    match: [
      { field: "pkt_mark", value: 0 },
      { field: "conj_id", value: 7 },
    ],
    text: "pkt_mark=0,conj_id=7",
  },
  {
    match: [
      { field: "tunnel_id", value: 0xfffn },
      { field: "tun_src", value: 0x0a00_0001 },
      { field: "tun_dst", value: 0x0a00_0000, mask: 0xffff_ff00 },
    ],
    text: "tun_id=0xfff,tun_src=10.0.0.1,tun_dst=10.0.0.0/24",
  },
  {
    match: [
      { field: "tun_ipv6_src", value: ip6(1n) },
      { field: "tun_ipv6_dst", value: ip6(2n) },
      { field: "tun_flags", value: 1, mask: 1 },
    ],
    text: "tun_ipv6_src=fd00::1,tun_ipv6_dst=fd00::2,tun_flags=+oam",
  },
  { match: [{ field: "tun_metadata0", value: bytes(0, 0, 0, 7) }], text: "tun_metadata0=0x7" },
  {
    match: [{ field: "tun_metadata0", value: bytes(0, 5, 0, 0), mask: bytes(0, 0xff, 0, 0) }],
    text: "tun_metadata0=0x50000/0xff0000",
  },
  { match: [{ field: "actset_output", value: 2 }], text: "actset_output=2" },
  {
    match: [
      ...ipv4,
      { field: "ct_state", value: 0x21, mask: 0x21 },
      { field: "ct_zone", value: 0 },
      { field: "ct_mark", value: 1, mask: 1 },
      { field: "ct_label", value: 2n, mask: 2n },
    ],
    text: "ct_state=+new+trk,ct_zone=0,ct_mark=0x1/0x1,ct_label=0x2/0x2,ip",
  },
  {
    match: [
      ...ipv4,
      { field: "ct_state", value: 0x22, mask: 0x22 },
      { field: "ct_nw_proto", value: 6 },
      { field: "ct_nw_src", value: 0x0a00_0001 },
      { field: "ct_nw_dst", value: 0x0a00_0002, mask: 0xffff_fffe },
      { field: "ct_tp_src", value: 1 },
      { field: "ct_tp_dst", value: 80, mask: 0xfff0 },
    ],
    text: "ct_state=+est+trk,ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2/31,ct_nw_proto=6,ct_tp_src=1,ct_tp_dst=0x50/0xfff0,ip",
  },
  {
    match: [
      ...ipv6,
      { field: "ct_state", value: 0x22, mask: 0x22 },
      { field: "ct_nw_proto", value: 17 },
      { field: "ct_ipv6_src", value: ip6(1n) },
      { field: "ct_ipv6_dst", value: ip6(0n), mask: ((1n << 64n) - 1n) << 64n },
    ],
    text: "ct_state=+est+trk,ct_ipv6_src=fd00::1,ct_ipv6_dst=fd00::/64,ct_nw_proto=17,ipv6",
  },
  {
    match: [
      ...ipv4,
      { field: "ip_proto", value: 0 },
      { field: "ip_dscp", value: 46 },
      { field: "ip_ecn", value: 1 },
      { field: "nw_ttl", value: 0 },
    ],
    text: "ip,nw_proto=0,nw_tos=184,nw_ecn=1,nw_ttl=0",
  },
  {
    match: [
      ...ipv4,
      { field: "nw_frag", value: 0, mask: 3 },
      { field: "ipv4_src", value: 0x0a00_0000, mask: 0xff00_0000 },
      { field: "ipv4_dst", value: 0 },
    ],
    text: "ip,nw_src=10.0.0.0/8,nw_dst=0.0.0.0,nw_frag=no",
  },
  { match: [...ipv4, { field: "nw_frag", value: 1, mask: 1 }], text: "ip,nw_frag=yes" },
  {
    match: [
      ...ipv6,
      { field: "ipv6_src", value: ip6(1n) },
      { field: "ipv6_dst", value: 0xff02n << 112n, mask: 0xffffn << 112n },
      { field: "ipv6_flabel", value: 5 },
    ],
    text: "ipv6,ipv6_src=fd00::1,ipv6_dst=ff02::/16,ipv6_label=0x00005",
  },
  {
    match: [
      ...tcp,
      { field: "tcp_src", value: 0 },
      { field: "tcp_dst", value: 80, mask: 0xfff0 },
      { field: "tcp_flags", value: 2, mask: 0x12 },
    ],
    text: "tcp,tp_src=0,tp_dst=0x50/0xfff0,tcp_flags=+syn-ack",
  },
  {
    match: [
      ...ipv6,
      { field: "ip_proto", value: 17 },
      { field: "udp_src", value: 53 },
      { field: "udp_dst", value: 67 },
    ],
    text: "udp6,tp_src=53,tp_dst=67",
  },
  {
    match: [
      ...ipv4,
      { field: "ip_proto", value: 132 },
      { field: "sctp_src", value: 1 },
      { field: "sctp_dst", value: 2 },
    ],
    text: "sctp,tp_src=1,tp_dst=2",
  },
  {
    match: [
      ...ipv4,
      { field: "ip_proto", value: 1 },
      { field: "icmp_type", value: 0 },
      { field: "icmp_code", value: 0 },
    ],
    text: "icmp,icmp_type=0,icmp_code=0",
  },
  {
    match: [
      ...ipv6,
      { field: "ip_proto", value: 58 },
      { field: "icmpv6_type", value: 0 },
      { field: "icmpv6_code", value: 0 },
    ],
    text: "icmp6,icmp_type=0,icmp_code=0",
  },
  {
    match: [
      ...nd,
      { field: "nd_target", value: ip6(3n) },
      { field: "nd_tll", value: 1 },
      { field: "nd_reserved", value: 0 },
      { field: "nd_options_type", value: 2 },
    ],
    text: "icmp6,icmp_type=136,icmp_code=0,nd_target=fd00::3,nd_tll=00:00:00:00:00:01,nd_reserved=0,nd_options_type=2",
  },
  {
    match: [
      ...ipv6,
      { field: "ip_proto", value: 58 },
      { field: "icmpv6_type", value: 135 },
      { field: "icmpv6_code", value: 0 },
      { field: "nd_target", value: ip6(0n), mask: 0xffffn << 112n },
      { field: "nd_sll", value: 1 },
    ],
    text: "icmp6,icmp_type=135,icmp_code=0,nd_target=fd00::/16,nd_sll=00:00:00:00:00:01",
  },
  {
    match: [
      ...arp,
      { field: "arp_op", value: 1 },
      { field: "arp_spa", value: 0 },
      { field: "arp_tpa", value: 0x0a00_0000, mask: 0xff00_0000 },
      { field: "arp_sha", value: 1 },
      { field: "arp_tha", value: 0 },
    ],
    text: "arp,arp_spa=0.0.0.0,arp_tpa=10.0.0.0/8,arp_op=1,arp_sha=00:00:00:00:00:01,arp_tha=00:00:00:00:00:00",
  },
];

/** Instruction lists and their text. */
export const instructionCases: readonly { readonly instructions: readonly Instruction[]; readonly text: string }[] = [
  { instructions: [{ kind: "gotoTable", table: 200 }], text: "goto_table:200" },
  {
    instructions: [
      { kind: "apply", actions: [act.output(1)] },
      { kind: "clear" },
      { kind: "write", actions: [act.output(2)] },
      { kind: "writeMetadata", metadata: 0x5_0000_0000n, mask: 0xff_ffff_ffffn },
      { kind: "gotoTable", table: 1 },
    ],
    text: "output:1,clear_actions,write_actions(output:2),write_metadata:0x500000000/0xffffffffff,goto_table:1",
  },
  { instructions: [{ kind: "apply", actions: [act.meter(5), act.group(9)] }], text: "meter:5,group:9" },
];
