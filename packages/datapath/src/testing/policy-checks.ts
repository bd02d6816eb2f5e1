/** Checks of what security group rules say of packets: whose, from and to whom, which service; and of packets whose connection is not asked for. */
import { TcpFlag } from "@selvage/packet";
import { GuardMac, IpProto, row } from "@selvage/pipeline";
import type { Check } from "./check.ts";
import { police } from "./connection-checks.ts";
import { arpReply, arpRequest, dhcpDiscover, neighbourAdvertisement, type Speaker, udpToAll } from "./frames.ts";
import { fragmentsOf, ping, sctp, tcp, udpBetween } from "./ip-frames.ts";
import { onePort, policyRows, ruleRows, type TestMember, type TestRule, type TestService } from "./policy-topology.ts";
import { type TestPort, testPort, vxlanNet } from "./topology.ts";
import { delta, sameBytes, type World } from "./world.ts";

const a = testPort(1, 1, 0);
const b = testPort(2, 1, 0);
const c = testPort(3, 1, 1);
const d = testPort(4, 1, 1);
const all = [a, b, c, d] as const;
const u = testPort(8, vxlanNet, 0);
const v = testPort(9, vxlanNet, 1);
const w = testPort(10, vxlanNet, 1);

const rule = (number: number, direction: TestRule["direction"], part: Partial<TestRule> = {}): TestRule => ({
  number,
  direction,
  version: 4,
  own: [1],
  service: "any",
  ...part,
});
const ofTcp = (...ports: readonly string[]): TestService => ({ protocol: IpProto.tcp, ports });

/** A new connection's first segment passes or is dropped where its receiver is. */
async function asks(
  world: World,
  from: TestPort,
  to: TestPort,
  dst: number,
  admitted: boolean,
  sent?: Speaker,
): Promise<void> {
  const frame = tcp(4, sent ?? from, to, { src: 30_000 + world.mark(), dst });
  if (admitted) await world.passes(frame, from, to);
  else await world.isDropped(frame, from, to, "sg-default-deny-ingress", to.host);
}

export const policyChecks: readonly Check[] = [
  {
    name: "a policed port without rules sends and gets nothing but what a network cannot be without",
    run: async (world) => {
      await police(
        world,
        all,
        [
          { port: a, set: 1 },
          { port: c, set: 2 },
        ],
        [],
      );
      for (const version of [4, 6] as const) {
        await world.isDropped(tcp(version, a, b, { src: 1, dst: 2 }), a, b, "sg-default-deny-egress");
        await world.isDropped(udpToAll(version, a, world.mark()), a, b, "sg-default-deny-egress");
        await world.isDropped(tcp(version, b, a, { src: 1, dst: 2 }), b, a, "sg-default-deny-ingress");
        await world.isDropped(ping(version, "request", d, c, { id: 1 }), d, c, "sg-default-deny-ingress");
      }
      await world.send(a, arpRequest(a, c.ip4));
      await world.arrives(a, arpReply(c, a), "a question is answered");
      const discover = dhcpDiscover(a.mac, world.mark());
      await world.send(a, discover);
      const { punts } = world.heard(0);
      await punts.first((each) => sameBytes(each.frame, discover), "the question for a lease", world.deadline);
      const open = row(GuardMac, { srcPort: a.key }, "unguarded", {}, "any");
      const guard = row(GuardMac, { srcPort: a.key, ethSrc: a.mac }, "pass", {}, "mac");
      await world.datapath(0).apply(delta({ added: [open], removed: [guard] }));
      for (const from of [a, { ...a, ip6: b.ip6 }]) {
        const announced = neighbourAdvertisement(from, from.ip6);
        await world.send(a, announced);
        await world.arrives(c, announced, `an advertisement of ${from.ip6} arrives`);
      }
    },
  },
  {
    name: "a rule is met only by a packet that meets each of its parts: prefixes and ports of several rules do not mix",
    run: async (world) => {
      await police(
        world,
        all,
        [{ port: c, set: 1 }],
        [
          rule(11, "ingress", { service: ofTcp(onePort(80)), remote: { prefixes: [`${a.ip4}/32`] } }),
          rule(12, "ingress", { service: ofTcp("8192/0xf000"), remote: { prefixes: ["10.0.1.8/29", "10.0.1.64/26"] } }),
          rule(13, "ingress", { service: ofTcp(onePort(443), "8448/0xffff"), remote: { prefixes: ["10.0.1.0/24"] } }),
          // The same service and prefix in other rules, of sets that nobody here has and that somebody else has.
          rule(14, "ingress", { own: [2], service: ofTcp(onePort(22)), remote: { prefixes: ["10.0.1.0/24"] } }),
          rule(15, "ingress", { version: 6, service: ofTcp(onePort(25)) }),
        ],
      );
      // a is 10.0.1.11, b 10.0.1.12, d 10.0.1.14; all lie in 10.0.1.8/29.
      for (const [from, port, admitted] of [
        [a, 80, true],
        [b, 80, false],
        [d, 80, false],
        [b, 8_192, true],
        [a, 12_287, true],
        [a, 12_288, false],
        [a, 8_191, false],
        [b, 443, true],
        [d, 8_448, true],
        [a, 22, false],
        [a, 25, false],
      ] as const)
        await asks(world, from, c, port, admitted);
      const six = tcp(6, a, c, { src: 40_000, dst: 25 });
      await world.passes(six, a, c);
      await world.isDropped(tcp(6, a, c, { src: 40_000, dst: 80 }), a, c, "sg-default-deny-ingress", 1);
    },
  },
  {
    name: "prefixes of rules overlap: the rule of one does not hide that of another, and its last going away leaves the other",
    run: async (world) => {
      const narrow = rule(21, "ingress", { service: ofTcp(onePort(80)), remote: { prefixes: [`${a.ip4}/32`] } });
      const wide = rule(22, "ingress", { service: ofTcp(onePort(81)), remote: { prefixes: ["10.0.0.0/8"] } });
      const widest = rule(23, "ingress", { service: ofTcp(onePort(80)), remote: { prefixes: ["0.0.0.0/1"] } });
      const members: readonly TestMember[] = [{ port: c, set: 1 }];
      await police(world, all, members, [narrow, wide, widest]);
      for (const port of [80, 81]) for (const from of [a, b]) await asks(world, from, c, port, true);
      await world.datapath(1).apply(delta({ removed: ruleRows(1, members, widest) }));
      for (const [from, port, admitted] of [
        [a, 80, true],
        [b, 80, false],
        [a, 81, true],
        [b, 81, true],
      ] as const)
        await asks(world, from, c, port, admitted);
      await world.datapath(1).apply(delta({ removed: ruleRows(1, members, narrow) }));
      await asks(world, a, c, 80, false);
      await asks(world, a, c, 81, true);
    },
  },
  {
    name: "services are told apart: protocol, port, and ICMP type and code, of which 0 is one",
    run: async (world) => {
      await police(
        world,
        all,
        [{ port: c, set: 1 }],
        [
          rule(31, "ingress", { service: { protocol: IpProto.udp, ports: [onePort(80)] } }),
          rule(32, "ingress", { service: { protocol: IpProto.sctp, ports: [onePort(81)] } }),
          rule(33, "ingress", { service: { protocol: IpProto.icmp, icmp: [8, 0] } }),
          rule(34, "ingress", { service: { protocol: 47 } }),
          rule(35, "ingress", { version: 6, service: { protocol: IpProto.icmp6, icmp: [128, 0] } }),
        ],
      );
      await asks(world, a, c, 80, false);
      for (const [dst, admitted] of [
        [80, true],
        [81, false],
      ] as const) {
        const frame = udpBetween(4, a, c, { src: 40_000, dst });
        if (admitted) await world.passes(frame, a, c);
        else await world.isDropped(frame, a, c, "sg-default-deny-ingress", 1);
      }
      // The whole of SCTP between two machines is one connection to some switches: the one that is refused comes first.
      await world.isDropped(sctp(4, a, c, { src: 40_000, dst: 80 }), a, c, "sg-default-deny-ingress", 1);
      await world.passes(sctp(4, a, c, { src: 40_000, dst: 81 }), a, c);
      await world.passes(ping(4, "request", a, c, { id: 1 }), a, c);
      await world.passes(ping(6, "request", a, c, { id: 1 }), a, c);
      const tunnelled = udpBetween(4, a, c, { src: 0, dst: 0x0800 });
      tunnelled[23] = 47;
      tunnelled[25] = (tunnelled[25] ?? 0) - 30;
      await world.passes(tunnelled, a, c);
      await world.isDropped(tcp(6, a, c, { src: 1, dst: 80 }), a, c, "sg-default-deny-ingress", 1);
    },
  },
  {
    name: "a rule that names a set admits its members on this host and on others, by what the packet bears and not by its address",
    run: async (world) => {
      const members: readonly TestMember[] = [
        { port: a, set: 2 },
        { port: b, set: 3 },
        { port: c, set: 1 },
        { port: d, set: 2 },
      ];
      const out = rule(40, "egress", { own: [2, 3] });
      const named = rule(41, "ingress", { remote: { sets: [2, 5] } });
      await police(world, all, members, [out, named]);
      await asks(world, a, c, 80, true);
      await asks(world, d, c, 80, true);
      await asks(world, b, c, 80, false);
      // Who is not policed is of no set.
      const open = members.filter(({ port }) => port !== a);
      await world.datapath(0).adopt([...world.rows(0, all), ...policyRows(0, open, [out, named])]);
      await asks(world, a, c, 80, false);
      // The other joins: one row, on its own host.
      const joined: readonly TestMember[] = [...open.filter(({ port }) => port !== b), { port: b, set: 5 }];
      const wider = { ...out, own: [2, 3, 5] };
      await world.datapath(0).adopt([...world.rows(0, all), ...policyRows(0, joined, [wider, named])]);
      await asks(world, b, c, 80, true);
    },
  },
  {
    name: "a connection ends when the other side leaves the set that the rule names",
    run: async (world) => {
      const members: readonly TestMember[] = [
        { port: a, set: 2 },
        { port: c, set: 1 },
      ];
      const rules = [rule(40, "egress", { own: [2, 3] }), rule(41, "ingress", { remote: { sets: [2] } })];
      await police(world, all, members, rules);
      const frame = (flags: number, back: boolean, seq: number, answer: number) =>
        back
          ? tcp(4, c, a, { src: 80, dst: 40_000, flags, seq, ack: answer })
          : tcp(4, a, c, { src: 40_000, dst: 80, flags, seq, ack: answer });
      const { syn, ack, psh } = TcpFlag;
      await world.passes(frame(syn, false, 1, 0), a, c);
      await world.passes(frame(syn | ack, true, 9, 2), c, a);
      await world.passes(frame(ack, false, 2, 10), a, c);
      const moved: readonly TestMember[] = [
        { port: a, set: 3 },
        { port: c, set: 1 },
      ];
      await world.datapath(0).adopt([...world.rows(0, all), ...policyRows(0, moved, rules)]);
      await world.isDropped(frame(ack | psh, false, 2, 10), a, c, "sg-default-deny-ingress", 1);
    },
  },
  {
    name: "where the tunnel bears no set, a rule that names one is met by the sender's address",
    run: async (world) => {
      const ports = [u, v, w] as const;
      const members: readonly TestMember[] = [
        { port: u, set: 2 },
        { port: v, set: 1 },
      ];
      const rules = [rule(40, "egress", { own: [2] }), rule(41, "ingress", { remote: { sets: [2] } })];
      await police(world, ports, members, rules);
      await asks(world, u, v, 80, true);
      await asks(world, w, v, 80, false);
      // Without the row that says whose the address is, it is nobody's.
      const rows = policyRows(1, members, rules).filter(({ table }) => table !== "remote_id");
      await world.datapath(1).adopt([...world.rows(1, ports), ...rows]);
      await asks(world, u, v, 80, false);
    },
  },
  {
    name: "a rule that names a set of receivers is met by the address that a packet is for",
    run: async (world) => {
      const members: readonly TestMember[] = [
        { port: a, set: 1 },
        { port: c, set: 2 },
        { port: d, set: 3 },
      ];
      const into = rule(50, "ingress", { own: [2, 3] });
      await police(world, all, members, [into, rule(51, "egress", { remote: { sets: [2] } })]);
      await asks(world, a, c, 80, true);
      await world.isDropped(tcp(4, a, d, { src: 1, dst: 80 }), a, d, "sg-default-deny-egress");
      await world.isDropped(tcp(4, a, b, { src: 1, dst: 80 }), a, b, "sg-default-deny-egress");
    },
  },
  {
    name: "a stateless port's packets are asked for one by one, in both directions, and its fragments pass by their protocol",
    run: async (world) => {
      const members: readonly TestMember[] = [
        { port: a, set: 1, stateless: true },
        { port: c, set: 2, stateless: true },
      ];
      const out = rule(61, "egress", { service: ofTcp(onePort(80)) });
      const into = rule(62, "ingress", { own: [2], service: ofTcp(onePort(80)) });
      const six = [
        rule(63, "egress", { version: 6, service: { protocol: IpProto.udp, ports: [onePort(53)] } }),
        rule(64, "ingress", { version: 6, own: [2], service: { protocol: IpProto.udp, ports: [onePort(53)] } }),
      ];
      await police(world, all, members, [out, into, ...six]);
      const { syn, ack } = TcpFlag;
      await world.passes(tcp(4, a, c, { src: 40_000, dst: 80 }), a, c);
      const answer = tcp(4, c, a, { src: 80, dst: 40_000, flags: syn | ack, ack: 1 });
      await world.isDropped(answer, c, a, "sg-default-deny-egress");
      // What no connection could begin with is none of a stateless port's concern.
      await world.passes(tcp(4, a, c, { src: 40_000, dst: 80, flags: syn | ack, ack: 7 }), a, c);
      const back = [
        rule(65, "egress", { own: [2], service: { protocol: IpProto.tcp } }),
        rule(66, "ingress", { service: { protocol: IpProto.tcp } }),
      ];
      await world.datapath(1).adopt([...world.rows(1, all), ...policyRows(1, members, [out, into, ...six, ...back])]);
      await world.isDropped(answer, c, a, "sg-default-deny-ingress", 0);
      await world.datapath(0).adopt([...world.rows(0, all), ...policyRows(0, members, [out, into, ...six, ...back])]);
      await world.passes(answer, c, a);
      for (const version of [4, 6] as const) {
        const whole =
          version === 4
            ? tcp(4, a, c, { src: 40_000, dst: 80, flags: ack }, new Uint8Array(2_000))
            : udpBetween(6, a, c, { src: 40_000, dst: 53 }, new Uint8Array(2_000));
        // One by one: the later ones first, and the last never.
        for (const piece of fragmentsOf(whole, 800, version).toReversed()) await world.passes(piece, a, c);
        const refused =
          version === 4
            ? tcp(4, a, c, { src: 40_000, dst: 82, flags: ack }, new Uint8Array(2_000))
            : udpBetween(6, a, c, { src: 40_000, dst: 54 }, new Uint8Array(2_000));
        const [first = refused] = fragmentsOf(refused, 800, 10 + version);
        await world.isDropped(first, a, c, "sg-default-deny-egress");
      }
      await world.datapath(0).apply(delta({ removed: ruleRows(0, members, out) }));
      await world.isDropped(tcp(4, a, c, { src: 40_000, dst: 80 }), a, c, "sg-default-deny-egress");
    },
  },
  {
    name: "what goes to many is asked for packet by packet, at its sender and at each receiver, and opens no connection",
    run: async (world) => {
      const members: readonly TestMember[] = [
        { port: a, set: 1 },
        { port: c, set: 2 },
        { port: d, set: 3 },
      ];
      const service: TestService = { protocol: IpProto.udp, ports: [onePort(40_001)] };
      const rules = ([4, 6] as const).flatMap((version) => [
        rule(70 + version, "egress", { version, service }),
        rule(80 + version, "ingress", { version, own: [2], service }),
      ]);
      await police(world, all, members, rules);
      for (const version of [4, 6] as const) {
        const frame = udpToAll(version, a, world.mark());
        await world.drops(1, 1, "sg-default-deny-ingress", () => world.send(a, frame));
        await world.arrives(b, frame, "who is not policed gets it");
        await world.arrives(c, frame, "whose rule admits it gets it");
        await world.isDropped(udpBetween(version, c, a, { src: 40_001, dst: 40_000 }), c, a, "sg-default-deny-egress");
        await world
          .datapath(0)
          .apply(delta({ removed: rules.slice(0, 4).flatMap((each) => ruleRows(0, members, each)) }));
        await world.isDropped(udpToAll(version, a, world.mark()), a, b, "sg-default-deny-egress");
        await world.datapath(0).adopt([...world.rows(0, all), ...policyRows(0, members, rules)]);
      }
    },
  },
];
