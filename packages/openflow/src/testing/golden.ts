/** Actions and matches beside the text by which ovs-ofctl(8) prints them: what the switch must understand of our bytes (ovs-actions(7), ovs-fields(7)). */
import { type Action, act, PacketInReason } from "../action.ts";
import { type Match, subfield } from "../field.ts";
import type { Instruction } from "../instruction.ts";

/** One action list, what the flow must match for it to be allowed, and its text. (The switch tells `tun_metadataN` here without leading zero bytes, so we write it so.) */
export interface ActionCase {
  readonly actions: readonly Action[];
  readonly match?: Match;
  readonly text: string;
}

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

export const actionCases: readonly ActionCase[] = [
  { actions: [], text: "drop" },
  {
    actions: [act.output(1), act.output(0xffff_fff8), act.output(0xffff_fffd, 128)],
    text: "output:1,IN_PORT,CONTROLLER:128",
  },
  { actions: [act.outputTruncated(2, 100)], text: "output(port=2,max_len=100)" },
  {
    actions: [act.outputField(subfield("reg0", 0, 16), 64), act.outputField(subfield("xreg1", 8, 32))],
    text: "output:NXM_NX_REG0[0..15],output:OXM_OF_PKT_REG1[8..39]",
  },
  { actions: [act.setQueue(7), act.popQueue()], text: "set_queue:7,pop_queue" },
  {
    actions: [act.pushVlan(), act.setField({ field: "vlan_vid", value: 0x1000 })],
    text: "push_vlan:0x8100,set_field:4096->vlan_vid",
  },
  { actions: [act.popVlan()], match: [{ field: "vlan_vid", value: 0x1005 }], text: "pop_vlan" },
  { actions: [act.decTtl(), act.setTtl(0)], match: ipv4, text: "dec_ttl,mod_nw_ttl:0" },
  {
    actions: [act.resubmit(12), act.resubmit(0, 3), act.resubmitOriginal(9)],
    match: [...ipv4, { field: "ct_state", value: 0x22, mask: 0x22 }],
    text: "resubmit(,12),resubmit(3,0),resubmit(,9,ct)",
  },
  { actions: [act.exit()], text: "exit" },
  { actions: [act.ctClear()], text: "ct_clear" },
  { actions: [act.note(bytes(1, 2, 3, 4, 5, 6))], text: "note:01.02.03.04.05.06" },
  {
    actions: [act.setField({ field: "reg1", value: 0 }), act.setField({ field: "reg15", value: 0x50, mask: 0xf0 })],
    text: "set_field:0->reg1,set_field:0x50/0xf0->reg15",
  },
  {
    actions: [act.setField({ field: "xreg3", value: 0x1_0000_0002n }), act.setField({ field: "metadata", value: 9n })],
    text: "set_field:0x100000002->xreg3,set_field:0x9->metadata",
  },
  {
    actions: [act.setField({ field: "xxreg1", value: ip6(1n) }), act.setField({ field: "tunnel_id", value: 77n })],
    text: "set_field:0xfd000000000000000000000000000001->xxreg1,set_field:0x4d->tun_id",
  },
  {
    actions: [
      act.setField({ field: "tun_dst", value: 0xc000_0201 }),
      act.setField({ field: "tun_ipv6_dst", value: ip6(9n) }),
    ],
    text: "set_field:192.0.2.1->tun_dst,set_field:fd00::9->tun_ipv6_dst",
  },
  {
    actions: [
      act.setField({ field: "eth_src", value: 0xfa16_3e00_0001 }),
      act.setField({ field: "pkt_mark", value: 4 }),
    ],
    text: "set_field:fa:16:3e:00:00:01->eth_src,set_field:0x4->pkt_mark",
  },
  {
    actions: [act.setField({ field: "ipv4_src", value: 0x0a00_0001 }), act.setField({ field: "ip_dscp", value: 46 })],
    match: ipv4,
    text: "set_field:10.0.0.1->ip_src,set_field:46->ip_dscp",
  },
  { actions: [act.setField({ field: "tcp_dst", value: 0 })], match: tcp, text: "set_field:0->tcp_dst" },
  {
    actions: [act.setField({ field: "nd_tll", value: 2 }), act.setField({ field: "nd_target", value: ip6(3n) })],
    match: nd,
    text: "set_field:00:00:00:00:00:02->nd_tll,set_field:fd00::3->nd_target",
  },
  {
    actions: [
      act.setField({ field: "nd_reserved", value: 0x6000_0000 }),
      act.setField({ field: "nd_options_type", value: 2 }),
    ],
    match: nd,
    text: "set_field:1610612736->nd_reserved,set_field:2->nd_options_type",
  },
  {
    actions: [act.setField({ field: "tun_metadata0", value: bytes(1, 2, 3) })],
    text: "set_field:0x10203->tun_metadata0",
  },
  {
    actions: [act.setField({ field: "tun_metadata0", value: bytes(1, 0, 0), mask: bytes(0xff, 0, 0) })],
    text: "set_field:0x10000/0xff0000->tun_metadata0",
  },
  {
    actions: [
      act.copyField(subfield("reg0", 0, 16), subfield("reg5", 16, 16)),
      act.copyField(subfield("eth_src"), subfield("eth_dst")),
    ],
    text: "move:NXM_NX_REG0[0..15]->NXM_NX_REG5[16..31],move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
  },
  {
    actions: [
      act.copyField(subfield("tun_metadata0", 0, 16), subfield("reg2", 0, 16)),
      act.copyField(subfield("dp_hash"), subfield("reg3")),
    ],
    text: "move:NXM_NX_TUN_METADATA0[0..15]->NXM_NX_REG2[0..15],move:NXM_NX_DP_HASH[]->NXM_NX_REG3[]",
  },
  {
    actions: [
      act.copyField(subfield("nxm_in_port"), subfield("reg4", 0, 16)),
      act.copyField(subfield("in_port"), subfield("reg6")),
    ],
    text: "move:NXM_OF_IN_PORT[]->NXM_NX_REG4[0..15],move:OXM_OF_IN_PORT[]->NXM_NX_REG6[]",
  },
  {
    actions: [act.stackPush(subfield("reg0")), act.stackPop(subfield("xreg2", 32, 32))],
    text: "push:NXM_NX_REG0[],pop:OXM_OF_PKT_REG2[32..63]",
  },
  { actions: [act.checkPacketLarger(1400, subfield("reg0", 3, 1))], text: "check_pkt_larger(1400)->NXM_NX_REG0[3]" },
  {
    actions: [
      act.controller({ userdata: bytes(1, 0, 255), flow: "pause" }),
      act.controller({ maxLength: 0, reason: PacketInReason.tableMiss, controllerId: 3 }),
    ],
    text: "controller(userdata=01.00.ff,pause),controller(reason=no_match,max_len=0,id=3)",
  },
  {
    actions: [act.controller({ reason: PacketInReason.invalidTtl, meter: 5 })],
    text: "controller(reason=invalid_ttl,meter_id=5)",
  },
  { actions: [act.conjunction(7, 0, 2), act.conjunction(8, 1, 3)], text: "conjunction(7,1/2),conjunction(8,2/3)" },
  { actions: [act.ct({ zone: 0 })], match: ipv4, text: "ct()" },
  { actions: [act.ct({ zone: 0xffff, recircTable: 0 })], match: ipv4, text: "ct(table=0,zone=65535)" },
  {
    actions: [
      act.ct({ zone: subfield("reg0", 0, 16), recircTable: 4, mode: "commit", helper: 21, actions: [act.nat()] }),
    ],
    match: tcp,
    text: "ct(commit,table=4,zone=NXM_NX_REG0[0..15],nat,alg=ftp)",
  },
  {
    actions: [
      act.ct({
        zone: 5,
        mode: "commitForce",
        actions: [
          act.nat({
            direction: "source",
            address: { version: 4, min: 0x0a00_0001, max: 0x0a00_0009 },
            ports: { min: 1024, max: 65535 },
            choice: "random",
          }),
          act.setField({ field: "ct_mark", value: 1, mask: 3 }),
          act.setField({ field: "ct_label", value: 1n << 127n }),
        ],
      }),
    ],
    match: ipv4,
    text: "ct(commit,force,zone=5,nat(src=10.0.0.1-10.0.0.9:1024-65535,random),exec(set_field:0x1/0x3->ct_mark,set_field:0x80000000000000000000000000000000->ct_label))",
  },
  {
    actions: [
      act.ct({
        zone: 5,
        mode: "commit",
        actions: [
          act.nat({
            direction: "destination",
            address: { version: 6, min: ip6(1n), max: null },
            ports: { min: 80, max: null },
            persistent: true,
            choice: "hash",
          }),
        ],
      }),
    ],
    match: ipv6,
    text: "ct(commit,zone=5,nat(dst=[fd00::1]:80,persistent,hash))",
  },
  {
    actions: [act.clone([act.setField({ field: "reg0", value: 1 }), act.clone([act.output(2)])]), act.output(3)],
    text: "clone(set_field:0x1->reg0,clone(output:2)),output:3",
  },
  {
    actions: [
      act.learn({
        table: 10,
        priority: 1,
        cookie: 0xabcn,
        hardTimeout: 60,
        idleTimeout: 30,
        finIdleTimeout: 2,
        finHardTimeout: 3,
        flags: 3,
        specs: [
          {
            from: { kind: "field", source: subfield("vlan_tci", 0, 12) },
            to: { kind: "match", destination: subfield("vlan_tci", 0, 12) },
          },
          {
            from: { kind: "field", source: subfield("eth_src") },
            to: { kind: "match", destination: subfield("eth_dst") },
          },
          {
            from: { kind: "immediate", value: 0x0800n, bits: 16 },
            to: { kind: "match", destination: subfield("eth_type") },
          },
          {
            from: { kind: "field", source: subfield("nxm_in_port") },
            to: { kind: "load", destination: subfield("reg1", 0, 16) },
          },
          {
            from: { kind: "immediate", value: 5n, bits: 20 },
            to: { kind: "load", destination: subfield("reg2", 0, 20) },
          },
          { from: { kind: "field", source: subfield("nxm_in_port") }, to: { kind: "output" } },
        ],
      }),
    ],
    text: "learn(table=10,idle_timeout=30,hard_timeout=60,fin_idle_timeout=2,fin_hard_timeout=3,priority=1,send_flow_rem,delete_learned,cookie=0xabc,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],eth_type=0x800,load:NXM_OF_IN_PORT[]->NXM_NX_REG1[0..15],load:0x5->NXM_NX_REG2[0..19],output:NXM_OF_IN_PORT[])",
  },
  {
    actions: [
      act.learn({
        table: 11,
        limit: 5,
        result: subfield("reg0", 4, 1),
        specs: [
          {
            from: { kind: "field", source: subfield("eth_src") },
            to: { kind: "match", destination: subfield("eth_dst") },
          },
        ],
      }),
    ],
    text: "learn(table=11,limit=5,result_dst=NXM_NX_REG0[4],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[])",
  },
];

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
