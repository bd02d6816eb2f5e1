/** Actions beside the text by which ovs-ofctl(8) prints them: what the switch must understand of our bytes (ovs-actions(7)). */
import { type Action, act, PacketInReason } from "../action.ts";
import { type Match, subfield } from "../field.ts";

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
