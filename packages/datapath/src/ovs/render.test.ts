/** Rendering as golden text: what each kind of row becomes, what is refused, and cookies that name rows. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { dropReasons } from "@selvage/base";
import {
  Arp,
  action,
  Carriage,
  Classify,
  constant,
  contentsOf,
  Deliver,
  drop,
  EthType,
  exact,
  F,
  FabricIn,
  FabricVni,
  FloodLocal,
  FloodRemote,
  GuardIp,
  goto,
  L2,
  LiveOut,
  Mcast,
  makeRow,
  Nd,
  Neighbour,
  NextHops,
  OwnLease,
  optional,
  output,
  PolicyIn,
  ProviderIn,
  ProviderOut,
  prefix,
  program,
  Route,
  type Row,
  row,
  Sender,
  SnatNew,
  selvageProgram,
  set,
  TunnelOut,
  TunnelSource,
  table,
} from "@selvage/pipeline";
import fc from "fast-check";
import { rowsFor, testPort } from "../testing/topology.ts";
import { cookieOf, nameOf, provenanceOf } from "./cookie.ts";
import { Ports } from "./ports.ts";
import { hostMeters, portLimits, portMeters } from "./punts.ts";
import { reentryFlows, zoneFlows } from "./reentry.ts";
import { Renderer } from "./render.ts";
import { bucketText, choiceText, flowText, matchText } from "./text.ts";

const renderer = new Renderer(selvageProgram);
const ports = new Ports(
  [{ port: "port-a", name: "tap0", ofport: 5 }],
  3,
  4,
  new Map([
    ["port-a", 64],
    ["nat:port-a", 65],
  ]),
);
const texts = (one: Row): readonly string[] => renderer.flows(one, ports).map(flowText);

describe("rows become flows", () => {
  const cases: (readonly [string, Row, readonly string[]])[] = [
    [
      "an ingress is the number of its interface",
      row(Classify, { ingress: "port-a" }, "machine", { port: 7, net: 9 }),
      ["table=0, priority=100,in_port=5 actions=set_field:0x7->reg0,set_field:0x9/0xffffff->metadata,resubmit(,1)"],
    ],
    [
      "prerequisites come from the field, and ranks are hundreds",
      row(
        GuardIp,
        { srcPort: 7, ethType: EthType.arp, arpSpa: "10.0.0.1/32", arpSha: "fa:16:3e:00:00:01" },
        "pass",
        {},
        "allowed",
      ),
      ["table=2, priority=200,arp_sha=fa:16:3e:00:00:01,arp_spa=10.0.0.1,eth_type=0x806,reg0=0x7 actions=resubmit(,3)"],
    ],
    [
      "a target of neighbour discovery is matched in both messages that have one",
      row(Nd, { srcPort: 7, ndTarget: "2001:db8::1" }, "own", {}, "own"),
      [135, 136].map(
        (type) =>
          `table=11, priority=400,eth_type=0x86dd,icmpv6_code=0,icmpv6_type=${type},ip_proto=58,nd_target=2001:db8::1,reg0=0x7 actions=resubmit(,29)`,
      ),
    ],
    [
      "an address narrower than its field is zero before its bits",
      row(Neighbour, { net: 1, nh: "10.0.0.2" }, "known", { mac: "fa:16:3e:00:00:02" }),
      [
        "table=46, priority=100,metadata=0x1/0xffffff,reg10=0x0,reg11=0xa000002,reg8=0x0,reg9=0x0 actions=set_field:0xfa163e000002->xreg6,set_field:0x0/0x8000000->reg15",
      ],
    ],
    [
      "zero is a value of a key",
      row(FabricIn, { net: 1, port: 0 }, "flood"),
      [
        "table=60, priority=100,metadata=0x1/0xffffff,tun_metadata0=0x0/0xffffff000000000000000000 actions=resubmit(,58)",
      ],
    ],
    [
      "a length is measured into one bit, and what follows is looked up with it",
      row(Carriage, { net: 1 }, "carry", { largest: 1456, encapsulation: 1 }, "network"),
      [
        'table=29, priority=100,metadata=0x1/0xffffff actions=set_field:0x2000000/0x6000000->reg15,checkPacketLarger{"kind":"checkPacketLarger","length":1456,"destination":{"field":"reg15","offset":24,"bits":1}},resubmit(,30)',
      ],
    ],
    [
      "what is dropped by its length goes through the meter that counts it",
      row(L2, { oversize: 1 }, "tooLarge", {}, "size"),
      ["table=30, priority=400,reg15=0x1000000/0x1000000 actions=meter:7"],
    ],
    [
      "masks are kept",
      row(FabricVni, { ethDst: "01:00:00:00:00:00/01:00:00:00:00:00" }, "group", {}, "group"),
      ["table=58, priority=300,eth_dst=01:00:00:00:00:00/01:00:00:00:00:00 actions=resubmit(,36)"],
    ],
    [
      "a tunnel over IPv4",
      row(TunnelOut, { host: 2, encapsulation: 0 }, "geneve", { to: "192.0.2.2" }),
      [
        "table=80, priority=100,reg15=0x0/0x6000000,reg6=0x2 actions=move:metadata[0..23]->tunnel_id[0..23],set_field:0x0->tun_metadata0," +
          "move:reg1[0..23]->tun_metadata0[72..95],move:reg0[0..23]->tun_metadata0[40..63],move:reg2[0..23]->tun_metadata0[8..31],set_field:192.0.2.2->tun_dst,set_field:0xffff->nxm_in_port,output:3",
      ],
    ],
    [
      "a tunnel over IPv6",
      row(TunnelOut, { host: 2, encapsulation: 0 }, "geneve", { to: "2001:db8::2" }),
      [
        "table=80, priority=100,reg15=0x0/0x6000000,reg6=0x2 actions=move:metadata[0..23]->tunnel_id[0..23],set_field:0x0->tun_metadata0," +
          "move:reg1[0..23]->tun_metadata0[72..95],move:reg0[0..23]->tun_metadata0[40..63],move:reg2[0..23]->tun_metadata0[8..31],set_field:2001:db8::2->tun_ipv6_dst,set_field:0xffff->nxm_in_port,output:3",
      ],
    ],
    [
      "a tunnel by VXLAN bears the key alone",
      row(TunnelOut, { host: 2, encapsulation: 1 }, "vxlan", { to: "192.0.2.2" }),
      [
        "table=80, priority=100,reg15=0x2000000/0x6000000,reg6=0x2 actions=move:metadata[0..23]->tunnel_id[0..23],set_field:192.0.2.2->tun_dst,set_field:0xffff->nxm_in_port,output:4",
      ],
    ],
    [
      "a network is heard on the interface of its encapsulation alone",
      row(TunnelSource, { ingress: "fabric-vxlan", tunKey: 1, tunSrc: "192.0.2.3" }, "acceptVni", {}, "host"),
      [
        "table=59, priority=300,in_port=4,tun_src=192.0.2.3,tunnel_id=0x1 actions=move:tunnel_id[0..23]->metadata[0..23],set_field:0x0->reg0,resubmit(,57)",
      ],
    ],
    [
      "what a tunnel carried goes where the program remembers it",
      row(TunnelSource, { ingress: "fabric", tunKey: 1, tunSrc: "2001:db8::3" }, "accept", {}, "host"),
      [
        "table=59, priority=300,in_port=3,tun_ipv6_src=2001:db8::3,tunnel_id=0x1 actions=move:tunnel_id[0..23]->metadata[0..23]," +
          "move:tun_metadata0[40..63]->reg0[0..23],move:tun_metadata0[8..31]->reg2[0..23],resubmit(,60)",
      ],
    ],
    [
      "replication looks the set up in the members' own table",
      row(Mcast, { net: 1 }, "flood"),
      ["table=34, priority=100,metadata=0x1/0xffffff actions=resubmit(,36),resubmit(,37)"],
    ],
    [
      "a port down drops, and only that",
      row(Deliver, { port: 7 }, "portDown"),
      ["table=92, priority=100,reg1=0x7 actions=drop"],
    ],
    ["an interface that is not there is waited for", row(Deliver, { port: 7 }, "output", { port: "port-b" }), []],
    ["as is the ingress", row(Classify, { ingress: "port-b" }, "portDown"), []],
  ];
  cases.push(
    [
      "a port that is tracked has its zone",
      row(Sender, { srcPort: 7 }, "policed", { set: 5, zone: "port-a" }),
      ["table=19, priority=100,reg0=0x7 actions=set_field:0x5->reg2,set_field:0x400000/0xffff0000->reg4,resubmit(,18)"],
    ],
    ["a zone that is not there is waited for", row(Sender, { srcPort: 7 }, "policed", { set: 5, zone: "port-b" }), []],
    [
      "conditions on one field of the switch are one, and a connection's bits say that it was tracked",
      row(
        LiveOut,
        { ctReply: 1, ctNew: 0, srcSet: 5, ctRule: 9, ctGeneration: 2, ctRemote: 6, dstSet: 6 },
        "pass",
        {},
        "live",
      ),
      [
        "table=21, priority=200,ct_label=0x20000060000000000000009/0xffffffffff00000000ffffffff,ct_state=0x28/0x29,reg2=0x5,reg3=0x6 actions=resubmit(,27)",
      ],
    ],
    [
      "a route is found by the longest prefix, and takes a hop",
      row(Route, { vrf: 3, ethType: EthType.ipv4, ip4Dst: "10.2.0.0/16" }, "connected4", {
        net: 2,
        mac: "fa:16:3e:00:00:99",
      }),
      [
        "table=44, priority=116,eth_type=0x800,ipv4_dst=10.2.0.0/255.255.0.0,metadata=0x3000000/0xffffff000000 actions=set_field:0x2/0xffffff->metadata,set_field:fa:16:3e:00:00:99->eth_src,set_field:0x0->xxreg2,move:ipv4_dst->xxreg2[0..31],dec_ttl,set_field:0x0->xreg6,resubmit(,46),resubmit(,47)",
      ],
    ],
    [
      "of several next hops one is chosen in the members' own table",
      row(Route, { vrf: 3, ethType: EthType.ipv6, ip6Dst: "::/0" }, "several", { route: 4 }),
      [
        "table=44, priority=100,eth_type=0x86dd,metadata=0x3000000/0xffffff000000 actions=set_field:0x4->reg5,resubmit(,45)",
      ],
    ],
    [
      "a verdict is met by what meets a clause of each part of its rule",
      row(PolicyIn, { rule: 9 }, "allow", { rule: 9, generation: 2 }, "verdict"),
      ["table=86, priority=100,conj_id=9 actions=set_field:0x9->reg5,set_field:0x2/0xffff->reg15,resubmit(,88)"],
    ],
  );
  cases.push(
    [
      "a VLAN is matched with the bit that says that there is a tag, which then goes",
      row(ProviderIn, { ingress: "port-a", tagged: 1, vlan: 42 }, "tagged", { net: 9 }),
      [
        "table=56, priority=100,in_port=5,vlan_vid=0x102a actions=pop_vlan,set_field:0x9/0xffffff->metadata,resubmit(,55)",
      ],
    ],
    [
      "VLAN 0 is a tag, and no tag is another thing",
      row(ProviderIn, { ingress: "port-a", tagged: 1, vlan: 0 }, "tagged", { net: 9 }),
      [
        "table=56, priority=100,in_port=5,vlan_vid=0x1000 actions=pop_vlan,set_field:0x9/0xffffff->metadata,resubmit(,55)",
      ],
    ],
    [
      "a frame without a tag has neither",
      row(ProviderIn, { ingress: "port-a", tagged: 0, vlan: 0 }, "untagged", { net: 9 }),
      ["table=56, priority=100,in_port=5,vlan_vid=0x0 actions=set_field:0x9/0xffffff->metadata,resubmit(,55)"],
    ],
    [
      "a tag is put on with its bit",
      row(ProviderOut, { net: 9 }, "tagged", { port: "port-a", vlan: 42 }),
      ["table=82, priority=100,metadata=0x9/0xffffff actions=push_vlan:0x8100,set_field:0x102a->vlan_vid,output:5"],
    ],
    [
      "a router's zone is its own, where a port of that name has another; what is known is translated on a copy",
      row(OwnLease, { net: 9, address: "203.0.113.1" }, "translate", { vrf: 3, zone: "port-a" }),
      [
        "table=66, priority=100,eth_type=0x800,ipv4_dst=203.0.113.1,metadata=0x9/0xffffff actions=set_field:0x3000000/0xffffff000000->metadata," +
          "set_field:0x410000/0xffff0000->reg4,clone(set_field:0x341->reg14,ct_clear,ct(table=252,zone=reg4[16..31],exec(nat)))",
      ],
    ],
    [
      "a new connection is translated to an address, and a port of a block",
      row(SnatNew, { vrf: 3, ipProto: 6 }, "lease", { address: "203.0.113.1", first: 1024, last: 2047 }, "ports"),
      [
        "table=73, priority=200,eth_type=0x800,ip_proto=6,metadata=0x3000000/0xffffff000000 actions=" +
          "clone(set_field:0x34a->reg14,ct(commit,table=252,zone=reg4[16..31],exec(nat(src=203.0.113.1:1024-2047))))",
      ],
    ],
  );
  for (const [name, given, expected] of cases) test(name, () => assert.deepEqual(texts(given), expected));

  test("questions are answered from fields: the program's own rows and misses", () => {
    const own = [
      ...selvageProgram.constants.filter((each) => each.table === Arp.name).flatMap(texts),
      ...renderer
        .misses()
        .filter((flow) => flow.table === 16)
        .map(flowText),
    ];
    assert.deepEqual(own, [
      "table=10, priority=500,arp_op=2,eth_dst=02:5e:1f:00:a9:fe,eth_type=0x806 actions=set_field:0xa->reg14,resubmit(,250)",
      "table=10, priority=100,arp_op=1,eth_type=0x806 actions=set_field:0x0->xxreg2,move:arp_tpa->xxreg2[0..31],set_field:0x0->xreg6,resubmit(,46),resubmit(,16)",
      ...["169.254.169.254", "169.254.169.252"].map(
        (service) =>
          `table=10, priority=200,arp_op=1,arp_tpa=${service},eth_type=0x806 actions=set_field:0x0->xxreg2,move:arp_tpa->xxreg2[0..31],set_field:0x25e1f00a9fe->xreg6,resubmit(,16)`,
      ),
      "table=16, priority=1,eth_type=0x806 actions=set_field:2->arp_op,move:arp_sha->arp_tha,move:arp_spa->arp_tpa,move:xreg6[0..47]->arp_sha," +
        "move:xxreg2[0..31]->arp_spa,move:eth_src->eth_dst,move:xreg6[0..47]->eth_src,output:IN_PORT",
      "table=16, priority=0 actions=drop",
    ]);
  });

  test("members are buckets, numbered by the member, of the group of their key", () => {
    const local = row(FloodLocal, { net: 1, port: 7 }, "copy", { port: 7 });
    const remote = row(FloodRemote, { net: 1, host: 3 }, "copy", { host: 3 });
    const text = (one: Row) => bucketText(renderer.bucket(one, ports) ?? assert.fail());
    assert.equal(text(local), "bucket=bucket_id:7,actions=set_field:0x7->reg1,set_field:0x0->reg6,resubmit(,35)");
    assert.equal(text(remote), "bucket=bucket_id:3,actions=set_field:0x0->reg1,set_field:0x3->reg6,resubmit(,35)");
    assert.equal(
      renderer.setOf(local).id,
      renderer.setOf(row(FloodLocal, { net: 1, port: 8 }, "copy", { port: 8 })).id,
    );
    assert.notEqual(
      renderer.setOf(local).id,
      renderer.setOf(row(FloodLocal, { net: 2, port: 7 }, "copy", { port: 7 })).id,
    );
    assert.equal(
      flowText(renderer.setFlow(renderer.setOf(local), 4)),
      "table=36, priority=100,metadata=0x1/0xffffff actions=group:4",
    );
  });

  test("a punt goes through the port's meter and then the host's; what goes on through the port's alone", () => {
    assert.deepEqual(portLimits({ of: "machine", ofport: 5 }, 2).map(flowText), [
      "table=250, priority=2,in_port=5,reg14=0x1 actions=meter:17,meter:1,controller(userdata=0101)",
      "table=250, priority=2,in_port=5,reg14=0x2 actions=meter:18,meter:2,controller(userdata=0102)",
      "table=250, priority=2,in_port=5,reg14=0x3 actions=meter:19,meter:3,controller(userdata=0103)",
      ...[4, 5, 6, 7].map(
        (kind) =>
          `table=250, priority=2,in_port=5,reg14=0x${kind} actions=meter:21,meter:5,controller(userdata=010${kind})`,
      ),
      "table=250, priority=2,in_port=5,reg14=0x8 actions=meter:20,meter:4,controller(userdata=0108)",
      "table=250, priority=2,in_port=5,reg14=0x9 actions=meter:17,meter:1,controller(userdata=0109)",
      "table=250, priority=2,in_port=5,reg14=0xa actions=meter:23,meter:6,controller(userdata=010a)",
      "table=250, priority=2,in_port=5,reg14=0xb actions=meter:23,meter:6,controller(userdata=010b)",
      "table=250, priority=2,in_port=5,reg14=0xc actions=meter:23,meter:6,controller(userdata=010c)",
      "table=250, priority=2,in_port=5,reg14=0xd actions=meter:21,meter:5,controller(userdata=010d)",
      "table=250, priority=2,in_port=5,reg14=0x80 actions=meter:22",
      "table=250, priority=2,in_port=5,reg14=0x81 actions=meter:16",
    ]);
  });

  test("of a physical network solicitations and fragments have a measure of its own", () => {
    assert.deepEqual(portLimits({ of: "wire", ofport: 5 }, 2).map(flowText), [
      "table=250, priority=2,in_port=5,reg14=0x2 actions=meter:18,meter:2,controller(userdata=0102)",
      "table=250, priority=2,in_port=5,reg14=0x80 actions=meter:22",
    ]);
    assert.deepEqual(
      portMeters("wire", 2).map(({ meter }) => meter),
      [18, 22],
    );
  });

  test("of what comes by tunnels who says that he has an address has a measure of its own, below the host's", () => {
    assert.deepEqual(portLimits({ of: "fabric", ofport: 5 }, 2).map(flowText), [
      "table=250, priority=2,in_port=5,reg14=0xa actions=meter:23,meter:6,controller(userdata=010a)",
    ]);
    const rates = new Map(
      [...hostMeters, ...portMeters("fabric", 2)].map(({ meter, bands }) => [meter, bands[0]?.rate]),
    );
    assert.ok(2 * (rates.get(23) ?? Number.NaN) < (rates.get(6) ?? Number.NaN), "Geneve and VXLAN together leave some");
    assert.deepEqual(
      new Ports([], 5, 6).metered,
      [5, 6].map((ofport) => ({ ofport, of: "fabric" })),
    );
  });

  test("a fragment of either family is noted, limited, and goes on, by whichever interface it comes", () => {
    for (const [name, number, next] of [
      ["fragments", 3, 4],
      ["wire_fragments", 53, 56],
    ] as const) {
      const fragments = selvageProgram.constants.filter(({ table }) => table === name).flatMap(texts);
      assert.deepEqual(
        fragments,
        ["0x800", "0x86dd"].map(
          (type) =>
            `table=${number}, priority=100,eth_type=${type},nw_frag=0x1/0x1 actions=set_field:0x80->reg14,resubmit(,250),resubmit(,${next})`,
        ),
      );
    }
  });

  test("packets are tracked, and kept, by way of what looks whether they come out as they went in", () => {
    const constant = (table: string, name: string) =>
      selvageProgram.constants.filter((each) => each.table === table && each.action === name).flatMap(texts);
    assert.deepEqual(
      constant("track_in", "track"),
      ["0x800", "0x86dd"].map(
        (type) =>
          `table=84, priority=100,eth_type=${type} actions=clone(set_field:0x255->reg14,ct_clear,ct(table=252,zone=reg4[0..15]))`,
      ),
    );
    assert.deepEqual(
      renderer
        .misses()
        .filter(({ table }) => table === 25)
        .map(flowText),
      [
        ...["0x800", "0x86dd"].map(
          (type) =>
            `table=25, priority=1,eth_type=${type} actions=set_field:0x118->reg14,ct(commit,table=252,zone=reg4[16..31],` +
            "exec(move:reg5->ct_label[0..31],move:reg15[0..15]->ct_label[88..103],move:reg3[0..23]->ct_label[64..87])),",
        ),
        "table=25, priority=0 actions=drop",
      ].map((text) => text.replace(/,$/, "")),
    );
    assert.deepEqual(zoneFlows(64).map(flowText), [
      "table=252, priority=1,ct_zone=64,reg14=0x100/0xff00,reg4=0x400000/0xffff0000 actions=resubmit(,253)",
      "table=252, priority=1,ct_zone=64,reg14=0x200/0xff00,reg4=0x40/0xffff actions=resubmit(,253)",
      "table=252, priority=1,ct_zone=64,reg14=0x300/0xff00,reg4=0x400000/0xffff0000 actions=resubmit(,253)",
    ]);
    assert.deepEqual(
      reentryFlows(selvageProgram).map((flow) => [flowText(flow), flow.reason]),
      [
        ["table=252, priority=0 actions=drop", "ct-invalid"],
        ...["115,21", "118,24", "255,85", "259,89", "341,65", "348,72", "34a,74", "34c,76"].map((way) => {
          const [note, table] = way.split(",");
          return [`table=253, priority=1,reg14=0x${note} actions=resubmit(,${table})`, null];
        }),
      ],
    );
  });

  test("clauses with one match are one flow, and each rule's part stands in it once", () => {
    const own = (rule: number) => row(PolicyIn, { rule, dstSet: 5 }, "clause", { of: 2 }, "own");
    const [one, other] = [renderer.clauses(own(9)), renderer.clauses(own(4))];
    const [{ table, match } = assert.fail()] = one;
    const merged = [...one, ...other, ...one].map(({ conjunction }) => conjunction);
    assert.equal(
      flowText(renderer.clauseFlow(table, match, merged)),
      "table=86, priority=100,reg3=0x5 actions=conjunction(4,1/2),conjunction(9,1/2)",
    );
    assert.equal(renderer.clauseFlow(table, match, merged).cookie, renderer.clauseFlow(table, match, []).cookie);
    const service = (key: Row["key"]) =>
      renderer
        .clauses(makeRow(PolicyIn, { rule: 9, ...key }, "clause", { of: 2 }, "service"))
        .map(({ match: each }) => matchText(each));
    assert.deepEqual(service({ rule: 9, ethType: EthType.ipv4, ipProto: 6, later: 0, tcpDst: "4096/0xf000" }), [
      "eth_type=0x800,ip_proto=6,nw_frag=0x0/0x2,tcp_dst=4096/61440",
    ]);
    // The switch does not know the ports of a later fragment's connection.
    assert.deepEqual(service({ rule: 9, ethType: EthType.ipv4, later: 1, ctProto: 17, ctDst: "53/0xffff" }), [
      "ct_nw_proto=0x11,ct_state=0x20/0x30,eth_type=0x800,nw_frag=0x2/0x2",
    ]);
    assert.throws(() => renderer.clauses(own(0)), /no rule has the number 0/);
    const many = Array.from({ length: 4001 }, (_, n) => renderer.clauses(own(n + 1))[0]?.conjunction ?? assert.fail());
    assert.throws(() => renderer.clauseFlow(table, match, many), /4001 rules ask the same/);
  });

  test("a choice of members is by addresses, protocol and ports", () => {
    const hop = row(NextHops, { vrf: 3, route: 4, hop: 1 }, "via", {
      net: 2,
      mac: "fa:16:3e:00:00:99",
      nh: "10.2.0.9",
    });
    assert.equal(
      choiceText(renderer.setOf(hop)),
      "type=select,selection_method=hash,fields(ip_proto,ipv4_dst,ipv4_src,ipv6_dst,ipv6_src,sctp_dst,sctp_src,tcp_dst,tcp_src,udp_dst,udp_src)",
    );
    // In a bucket only the last lookup counts.
    assert.match(
      bucketText(renderer.bucket(hop, ports) ?? assert.fail()),
      /^bucket=bucket_id:1,weight:1,actions=(?!.*resubmit.*resubmit).*dec_ttl,set_field:0x0->xreg6,set_field:0xff00->reg14,resubmit\(,253\)$/,
    );
    assert.deepEqual(renderer.tailFlows().map(flowText), [
      "table=253, priority=1,reg14=0xff00 actions=resubmit(,46),resubmit(,47)",
    ]);
    assert.equal(choiceText(renderer.setOf(row(FloodLocal, { net: 1, port: 7 }, "copy", { port: 7 }))), "type=all");
  });

  test("what a router reports is a copy, which a meter may drop, and the packet is dropped and counted by itself", () => {
    const expired = selvageProgram.constants.filter(
      ({ table, action: name }) => table === "router_in" && name === "expired",
    );
    for (const each of expired) {
      const [flow = assert.fail()] = renderer.flows(each, ports);
      assert.match(flowText(flow), /actions=clone\(set_field:0x4->reg14,resubmit\(,250\)\)$/);
      assert.equal(flow.reason, "ttl-expired");
    }
    const large = selvageProgram.constants.find(({ action: name }) => name === "tooLargeRouted") ?? assert.fail();
    assert.deepEqual(texts(large), [
      "table=30, priority=500,metadata=0x4000000000000/0x4000000000000,reg15=0x1000000/0x1000000 actions=clone(set_field:0x8->reg14,resubmit(,250)),meter:7",
    ]);
  });

  test("every miss is a flow that says why, or a declared pass", () => {
    const misses = renderer.misses();
    for (const each of selvageProgram.tables) {
      const mine = misses.filter((flow) => flow.table === each.number);
      if (each.role !== "stage") assert.deepEqual(mine, []);
      else
        assert.ok(
          mine.some((flow) => flow.priority === 0 && flow.match.length === 0),
          each.name,
        );
      // What a router reports goes to the agent as a copy, and is dropped.
      const isReported = each.miss.some((step) => step.do === "report");
      for (const flow of mine) assert.equal(flow.reason === null || isReported, flow.actions.length > 0, each.name);
    }
  });
});

describe("other programs", () => {
  const end = table({
    number: 9,
    name: "end",
    text: "",
    scheme: "exact",
    columns: { dst: exact(F.ip4Dst) },
    actions: { out: action({ port: "name" }, [output({ from: "param", name: "port" })]) },
    miss: [drop("no-fdb-entry")],
  });
  const first = (columns: Parameters<typeof table>[0]["columns"], miss: readonly ReturnType<typeof set>[] = []) =>
    table({
      number: 0,
      name: "first",
      text: "",
      scheme: "longest",
      columns,
      actions: { go: action([goto("end")]), lose: action([set(F.dstPort, constant(1)), drop("no-fdb-entry")]) },
      miss: [...miss, goto("end")],
    });
  const made = (columns: Parameters<typeof table>[0]["columns"], miss: readonly ReturnType<typeof set>[] = []) => {
    const one = first(columns, miss);
    const other = new Renderer(program("first", [one, end]));
    return {
      renderer: other,
      texts: (key: Row["key"], name = "go") => other.flows(makeRow(one, key, name, {}), ports).map(flowText),
    };
  };

  test("the longest prefix has the highest priority", () => {
    const { texts: of } = made({ net: optional(F.net), dst: prefix(F.ip4Dst) });
    assert.deepEqual(of({ net: 1, dst: "10.1.0.0/16" }), [
      "table=0, priority=116,eth_type=0x800,ipv4_dst=10.1.0.0/255.255.0.0,metadata=0x1/0xffffff actions=resubmit(,9)",
    ]);
    assert.deepEqual(of({ net: 1, dst: "0.0.0.0/0" }), [
      "table=0, priority=100,eth_type=0x800,metadata=0x1/0xffffff actions=resubmit(,9)",
    ]);
    assert.deepEqual(of({ net: 1 }), ["table=0, priority=100,metadata=0x1/0xffffff actions=resubmit(,9)"]);
  });

  test("a protocol without a family is matched in both, a port of zero not in later fragments, and what is dropped is not changed before", () => {
    const { texts: of } = made({ dst: optional(F.udpDst) });
    assert.deepEqual(of({ dst: 0 }, "lose"), [
      "table=0, priority=100,eth_type=0x800,ip_proto=17,nw_frag=0x0/0x2,udp_dst=0 actions=drop",
      "table=0, priority=100,eth_type=0x86dd,ip_proto=17,nw_frag=0x0/0x2,udp_dst=0 actions=drop",
    ]);
  });

  test("a row that no packet can match is refused", () => {
    const { texts: of } = made({ type: optional(F.ethType), dst: prefix(F.ip4Dst) });
    assert.throws(() => of({ type: EthType.arp, dst: "10.0.0.0/8" }), /no packet can match/);
    assert.throws(() => of({ dst: "10.0.0.0/33" }), TypeError);
    assert.throws(() => of({ dst: "10.0.0.0" }), TypeError);
    assert.throws(() => of({ type: 0x10000 }), TypeError);
  });

  test("a tag is its presence bit, both ways", () => {
    const { texts: of } = made({ tagged: optional(F.tagged) });
    assert.deepEqual(of({ tagged: 1 }), ["table=0, priority=100,vlan_vid=0x1000/0x1000 actions=resubmit(,9)"]);
    assert.deepEqual(of({ tagged: 0 }), ["table=0, priority=100,vlan_vid=0x0/0x1000 actions=resubmit(,9)"]);
  });

  test("a miss that touches the packet leaves the rest a reason", () => {
    const { renderer: other } = made({}, [set(F.udpDst, contentsOf(F.udpSrc))]);
    assert.deepEqual(
      other
        .misses()
        .filter((flow) => flow.table === 0)
        .map((flow) => [flowText(flow), flow.reason]),
      [
        ["table=0, priority=1,eth_type=0x800,ip_proto=17 actions=move:udp_src->udp_dst,resubmit(,9)", null],
        ["table=0, priority=1,eth_type=0x86dd,ip_proto=17 actions=move:udp_src->udp_dst,resubmit(,9)", null],
        ["table=0, priority=0 actions=drop", "table-miss"],
      ],
    );
  });

  test("a program that this switch cannot hold is refused at once", () => {
    assert.throws(() => made({}, [set(F.ethType, constant(1))]), /ethType cannot be written/);
    assert.throws(() => made({}, [set(F.tunKey, constant(1))]), /tunKey cannot be written/);
    const late = table({ ...end, number: 250, name: "late" });
    assert.throws(() => new Renderer(program("late", [late])), /the driver's/);
    const named = table({
      number: 5,
      name: "named",
      text: "",
      role: "members",
      scheme: "exact",
      columns: { mac: exact(F.ethDst) },
      actions: { copy: action([goto("end")]) },
    });
    assert.throws(() => new Renderer(program("end", [end, named])), /a number of at most 24 bits/);
  });
});

describe("cookies", () => {
  test("a cookie says the reason, the table and the row, whatever they are", () => {
    fc.assert(
      fc.property(
        fc.option(fc.constantFrom(...dropReasons)),
        fc.integer({ min: 0, max: 255 }),
        fc.string(),
        (reason, number, id) => {
          const cookie = cookieOf(number, id, reason?.code ?? null);
          assert.ok(cookie < 1n << 64n);
          assert.deepEqual(provenanceOf(cookie), { reason: reason?.code ?? null, table: number, name: nameOf(id) });
        },
      ),
    );
  });

  test("a row has the same cookie for ever", () => {
    assert.equal(cookieOf(46, "neighbour(net=1, nh=10.0.0.2)", null).toString(16), "1002ed0cf7d05137");
    assert.equal(provenanceOf(0n), undefined);
    assert.equal(provenanceOf(0x2000_0000_0000_0000n), undefined, "another format");
    assert.equal(provenanceOf(0x1ff0_0000_0000_0000n), undefined, "a reason that nobody has");
  });

  test("rows of a host have names of their own", () => {
    const many = rowsFor(
      0,
      Array.from({ length: 60 }, (_, n) => testPort(n + 1, 1, n % 3)),
      ["192.0.2.1", "192.0.2.2", "192.0.2.3"],
    );
    assert.equal(new Set(many.map(({ id }) => nameOf(id))).size, many.length);
  });
});
