/** Checks of security groups with packets: connections that live, answer and are cut, errors about them, fragments, and zones that are forgotten. */
import assert from "node:assert/strict";
import { TcpFlag } from "@selvage/packet";
import { IpProto, type Row } from "@selvage/pipeline";
import type { Check } from "./check.ts";
import { fragmentsOf, icmpError, ping, tcp, udpBetween } from "./ip-frames.ts";
import { memberRows, onePort, policyRows, ruleRows, type TestMember, type TestRule } from "./policy-topology.ts";
import { type TestPort, testPort } from "./topology.ts";
import { delta, type World } from "./world.ts";

const a = testPort(1, 1, 0);
const b = testPort(2, 1, 0);
const c = testPort(3, 1, 1);
const all = [a, b, c] as const;
const client = 7;
const server = 8;
/** `a` and `b` ask, on one host; `c` and, where it is told, `b` answer. */
const members: readonly TestMember[] = [
  { port: a, set: client },
  { port: c, set: server },
];
const { syn, ack, fin, rst } = TcpFlag;

/** Whoever asks may send everything. */
const asks = (version: 4 | 6): TestRule => ({
  number: 100 + version,
  direction: "egress",
  version,
  own: [client],
  service: "any",
});

const serves = (version: 4 | 6, number: number, part: Partial<TestRule>): TestRule => ({
  number,
  direction: "ingress",
  version,
  own: [server],
  service: "any",
  ...part,
});

const web = (version: 4 | 6, number = 200): TestRule =>
  serves(version, number + version, { service: { protocol: IpProto.tcp, ports: [onePort(80)] } });
const both = [asks(4), asks(6), web(4), web(6)] as const;

/** Builds the ports and puts the rules into force on every host. */
export async function police(
  world: World,
  ports: readonly TestPort[],
  policed: readonly TestMember[],
  rules: readonly TestRule[],
): Promise<void> {
  await world.build(ports);
  for (const place of world.placesOf(ports))
    await world.datapath(place).adopt([...world.rows(place, ports), ...policyRows(place, policed, rules)]);
}

/** A TCP connection between two ports, with the numbers that are right next. */
class Talk {
  readonly #world: World;
  readonly #version: 4 | 6;
  readonly #ends: readonly [TestPort, TestPort];
  readonly #ports: readonly [number, number];
  readonly #next: [number, number] = [1_000, 5_000];

  constructor(world: World, version: 4 | 6, from: TestPort, to: TestPort, source: number, port = 80) {
    this.#world = world;
    this.#version = version;
    this.#ends = [from, to];
    this.#ports = [source, port];
  }

  /** The next segment from the end that opened (0) or the other (1). */
  says(end: 0 | 1, flags: number, length = 0): Uint8Array {
    const other = end === 0 ? 1 : 0;
    const [src, dst] = [this.#ports[end], this.#ports[other]];
    const [seq, answer] = [this.#next[end], (flags & ack) === 0 ? 0 : this.#next[other]];
    this.#next[end] += length + ((flags & (syn | fin)) === 0 ? 0 : 1);
    const payload = new Uint8Array(length).fill(this.#world.mark() & 0xff);
    return tcp(this.#version, this.#ends[end], this.#ends[other], { src, dst, seq, ack: answer, flags }, payload);
  }

  async passes(end: 0 | 1, flags: number, length = 0): Promise<void> {
    const [from, to] = end === 0 ? this.#ends : this.#ends.toReversed();
    const what = `TCP of flags ${flags} from ${from?.id}`;
    await this.#world.passes(this.says(end, flags, length), from!, to!, undefined, what);
  }

  /** From the first segment to some data in both directions. */
  async begins(): Promise<void> {
    await this.passes(0, syn);
    await this.passes(1, syn | ack);
    await this.passes(0, ack);
    await this.passes(0, ack, 10);
    await this.passes(1, ack, 20);
  }
}

const without = (place: number, rules: readonly TestRule[], policed = members): readonly Row[] =>
  rules.flatMap((rule) => ruleRows(place, policed, rule));

export const connectionChecks: readonly Check[] = [
  {
    name: "a connection that the rules admit lives, here and to another host, until it ends; its answers need no rule",
    run: async (world) => {
      const here: readonly TestMember[] = [...members, { port: b, set: server }];
      await police(world, all, here, both);
      for (const version of [4, 6] as const) {
        for (const [to, source] of [
          [b, 40_000],
          [c, 40_001],
        ] as const) {
          const talk = new Talk(world, version, a, to, source);
          await talk.begins();
          await talk.passes(0, fin | ack);
          await talk.passes(1, ack);
          await talk.passes(1, fin | ack);
          await talk.passes(0, ack);
          await world.isDropped(
            tcp(version, a, to, { src: source, dst: 81 }),
            a,
            to,
            "sg-default-deny-ingress",
            to.host,
          );
          await world.isDropped(tcp(version, to, a, { src: 40_100, dst: 80 }), to, a, "sg-default-deny-egress");
        }
      }
    },
  },
  {
    name: "a connection is cut in both directions as soon as the rule that let it in is gone",
    run: async (world) => {
      await police(world, all, members, both);
      const talk = new Talk(world, 4, a, c, 40_000);
      const other = new Talk(world, 6, a, c, 40_000);
      await talk.begins();
      await other.begins();
      await world.datapath(1).apply(delta({ removed: without(1, [web(4)]) }));
      await world.isDropped(talk.says(1, ack, 5), c, a, "ct-rule-revoked");
      await world.isDropped(talk.says(0, ack, 5), a, c, "sg-default-deny-ingress", 1);
      await other.passes(0, ack, 5);
      await other.passes(1, ack, 5);
      // The sender's own rule cuts as well, where it is.
      await world.datapath(0).apply(delta({ removed: without(0, [asks(6)]) }));
      await world.isDropped(other.says(0, ack, 5), a, c, "sg-default-deny-egress");
      await world.isDropped(other.says(1, ack, 5), c, a, "ct-rule-revoked", 0);
    },
  },
  {
    name: "a connection goes on under another rule that admits it, once its opener has spoken",
    run: async (world) => {
      const wide = serves(4, 300, { service: { protocol: IpProto.tcp, ports: ["64/0xffc0"] } });
      // The lower number is the one that lets it in.
      await police(world, all, members, [...both, wide]);
      const talk = new Talk(world, 4, a, c, 40_000);
      await talk.begins();
      await world.datapath(1).apply(delta({ removed: without(1, [web(4)]) }));
      await world.isDropped(talk.says(1, ack, 5), c, a, "ct-rule-revoked");
      await talk.passes(0, ack, 5);
      await talk.passes(1, ack, 5);
      await world.datapath(1).apply(delta({ removed: without(1, [wide]) }));
      await world.isDropped(talk.says(1, ack, 5), c, a, "ct-rule-revoked");
      await world.isDropped(talk.says(0, ack, 5), a, c, "sg-default-deny-ingress", 1);
      await world.datapath(1).apply(delta({ added: without(1, [web(4)]) }));
      await talk.passes(0, ack, 5);
      await talk.passes(1, ack, 5);
    },
  },
  {
    name: "a rule's other state is another rule for the connections that it let in",
    run: async (world) => {
      const before = serves(4, 300, { remote: { prefixes: [`${a.ip4}/32`, "10.9.0.0/16"] }, generation: 1 });
      await police(world, all, members, [asks(4), before]);
      const talk = new Talk(world, 4, a, c, 40_000);
      await talk.begins();
      // The group that the rule names loses an address, though not this one.
      const after: TestRule = { ...before, remote: { prefixes: [`${a.ip4}/32`] }, generation: 2 };
      const rows = policyRows(1, members, [asks(4), after]);
      await world.datapath(1).adopt([...world.rows(1, all), ...rows]);
      await world.isDropped(talk.says(1, ack, 5), c, a, "ct-rule-revoked");
      await talk.passes(0, ack, 5);
      await talk.passes(1, ack, 5);
      const none: TestRule = { ...before, remote: { prefixes: ["10.9.0.0/16"] }, generation: 3 };
      await world.datapath(1).adopt([...world.rows(1, all), ...policyRows(1, members, [asks(4), none])]);
      await world.isDropped(talk.says(0, ack, 5), a, c, "sg-default-deny-ingress", 1);
    },
  },
  {
    name: "an answer to nothing is of no connection, and a connection's answers pass only where its question came from",
    run: async (world) => {
      await police(world, all, members, both);
      for (const version of [4, 6] as const) {
        const stray = tcp(version, c, a, { src: 80, dst: 40_000, flags: syn | ack, ack: 1 });
        await world.isDropped(stray, c, a, "ct-invalid");
        await world.isDropped(ping(version, "reply", c, a, { id: 9 }), c, a, "ct-invalid");
        const broken = tcp(version, a, c, { src: 40_000, dst: 80 });
        broken[broken.length - 4] = (broken.at(-4) ?? 0) ^ 0x11;
        await world.isDropped(broken, a, c, "ct-invalid");
        await world.isDropped(tcp(version, a, c, { src: 40_000, dst: 80, flags: syn | fin }), a, c, "ct-invalid");
        const talk = new Talk(world, version, a, c, 40_000);
        await talk.begins();
        // To a port that was never asked from.
        await world.isDropped(
          tcp(version, c, a, { src: 80, dst: 40_009, flags: ack, ack: 1 }),
          c,
          a,
          "sg-default-deny-egress",
        );
        await world.isDropped(
          tcp(version, a, c, { src: 40_000, dst: 80, flags: rst, seq: 0x7000_0000 }),
          a,
          c,
          "ct-invalid",
        );
        await talk.passes(1, ack, 5);
      }
    },
  },
  {
    name: "datagrams and pings are answered, and one-way traffic asks its rules again and again",
    run: async (world) => {
      const dns = (version: 4 | 6) =>
        serves(version, 300 + version, { service: { protocol: IpProto.udp, ports: [onePort(53)] } });
      const echo = (version: 4 | 6) => {
        const service = version === 4 ? { protocol: 1, icmp: [8, 0] as const } : { protocol: 58, icmp: [128] as const };
        return serves(version, 400 + version, { service });
      };
      await police(world, all, members, [...both, dns(4), dns(6), echo(4), echo(6)]);
      for (const version of [4, 6] as const) {
        const asked = (mark: number) =>
          udpBetween(version, a, c, { src: 40_000, dst: 53 }, Uint8Array.of(mark, 0, 0, 0, 0, 0, 0, 0));
        const answer = udpBetween(version, c, a, { src: 53, dst: 40_000 });
        await world.isDropped(answer, c, a, "sg-default-deny-egress");
        for (const mark of [1, 2, 3]) await world.passes(asked(mark), a, c);
        await world.passes(answer, c, a);
        const question = ping(version, "request", a, c, { id: 9 });
        await world.isDropped(ping(version, "reply", c, a, { id: 9 }), c, a, "ct-invalid");
        await world.passes(question, a, c);
        await world.isDropped(ping(version, "reply", c, a, { id: 10 }), c, a, "ct-invalid");
        await world.passes(ping(version, "reply", c, a, { id: 9 }), c, a);
        const alone = (mark: number) => udpBetween(version, a, c, { src: 40_001, dst: 53 }, Uint8Array.of(mark, 1));
        await world.passes(alone(1), a, c);
        await world.datapath(1).apply(delta({ removed: without(1, [dns(version)]) }));
        await world.isDropped(alone(2), a, c, "sg-default-deny-ingress", 1);
        await world.isDropped(udpBetween(version, c, a, { src: 53, dst: 40_000 }), c, a, "ct-rule-revoked");
        await world.passes(ping(version, "request", a, c, { id: 9, sequence: 2 }), a, c);
      }
    },
  },
  {
    name: "an ICMP error passes when it is about a living connection, and no other",
    run: async (world) => {
      const dns = (version: 4 | 6) =>
        serves(version, 300 + version, { service: { protocol: IpProto.udp, ports: [onePort(53)] } });
      await police(world, all, members, [...both, dns(4), dns(6)]);
      for (const version of [4, 6] as const) {
        const asked = udpBetween(version, a, c, { src: 40_000, dst: 53 });
        const unreachable = version === 4 ? { type: 3, code: 3 } : { type: 1, code: 4 };
        const error = icmpError(version, c, a, { ...unreachable, about: asked });
        await world.isDropped(error, c, a, "ct-invalid");
        await world.passes(asked, a, c);
        await world.passes(error, c, a);
        const another = udpBetween(version, a, c, { src: 40_007, dst: 53 });
        await world.isDropped(icmpError(version, c, a, { ...unreachable, about: another }), c, a, "ct-invalid");
        // About one's own packet that the other sent, to somebody else: its inner source is not whom the error is for.
        const foreign = udpBetween(version, b, c, { src: 40_000, dst: 53 });
        await world.isDropped(icmpError(version, c, a, { ...unreachable, about: foreign }), c, a, "ct-invalid");
        await world.datapath(1).apply(delta({ removed: without(1, [dns(version)]) }));
        await world.isDropped(error, c, a, "ct-rule-revoked");
      }
    },
  },
  {
    name: "fragments are admitted by the ports of their datagram, in whatever order they come, and arrive as they were",
    run: async (world) => {
      const dns = (version: 4 | 6) =>
        serves(version, 300 + version, { service: { protocol: IpProto.udp, ports: [onePort(53)] } });
      await police(world, all, members, [...both, dns(4), dns(6)]);
      for (const version of [4, 6] as const) {
        const pieces = (dst: number, id: number) =>
          fragmentsOf(udpBetween(version, a, c, { src: 40_000, dst }, new Uint8Array(2_600).fill(id)), 1_280, id);
        const inOrder = pieces(53, 1);
        assert.equal(inOrder.length, 3);
        for (const piece of inOrder) await world.send(a, piece);
        for (const piece of inOrder) await world.arrives(c, piece, `a fragment of IPv${version} arrives`);
        const reversed = pieces(53, 2).toReversed();
        for (const piece of reversed.slice(0, 2)) await world.send(a, piece);
        // Nothing goes on before the last is there.
        await world.passes(udpBetween(version, a, c, { src: 40_001, dst: 53 }), a, c);
        for (const piece of reversed) assert.equal(world.count(c, piece), 0);
        await world.send(a, reversed[2] ?? new Uint8Array());
        for (const piece of reversed) await world.arrives(c, piece, `a fragment of IPv${version} arrives`);
        // A switch that knows the connection's port of the first fragment alone drops that one, and the others wait for it in vain.
        const before = await world.dropped(1, "sg-default-deny-ingress");
        for (const piece of pieces(54, 3)) await world.send(a, piece);
        const isDropped = async () => (await world.dropped(1, "sg-default-deny-ingress")) > before;
        await world.until("the first fragment is dropped", isDropped);
        await world.passes(udpBetween(version, a, c, { src: 40_002, dst: 53 }), a, c);
        for (const piece of pieces(54, 3)) assert.equal(world.count(c, piece), 0);
        const answer = udpBetween(version, c, a, { src: 53, dst: 40_000 }, new Uint8Array(2_000).fill(4));
        for (const piece of fragmentsOf(answer, 1_280, 4)) await world.send(c, piece);
        for (const piece of fragmentsOf(answer, 1_280, 4))
          await world.arrives(a, piece, "the answer's fragments arrive");
      }
    },
  },
  {
    name: "connections of a port that was policed no more for a while are forgotten",
    run: async (world) => {
      await police(world, all, members, both);
      const rows = memberRows(1, { port: c, set: server });
      const talk = new Talk(world, 4, a, c, 40_000);
      await talk.begins();
      await world.datapath(1).apply(delta({ removed: rows }));
      await talk.passes(0, ack, 5);
      await world.datapath(1).apply(delta({ added: rows }));
      // What goes on from the middle is taken for a beginning: the server may not begin.
      await world.isDropped(talk.says(1, ack, 5), c, a, "sg-default-deny-egress");
      await world.isDropped(ping(4, "reply", c, a, { id: 9 }), c, a, "ct-invalid");
      await talk.passes(0, ack, 5);
      await talk.passes(1, ack, 5);
    },
  },
  {
    name: "rows that change leave the connections alone that they do not speak of",
    run: async (world) => {
      await police(world, all, members, both);
      const talk = new Talk(world, 4, a, c, 40_000);
      await talk.begins();
      for (const place of [0, 1])
        await world.datapath(place).adopt([...world.rows(place, all), ...policyRows(place, members, both)]);
      await talk.passes(1, ack, 5);
      const more: TestRule = serves(4, 1, { service: { protocol: IpProto.tcp } });
      await world.datapath(1).apply(delta({ added: without(1, [more]) }));
      await talk.passes(1, ack, 5);
      await talk.passes(0, ack, 5);
      await world.datapath(1).apply(delta({ removed: without(1, [more]) }));
      await talk.passes(1, ack, 5);
      // The port moves to another set, of the same rules.
      const moved: readonly TestMember[] = [
        { port: a, set: client },
        { port: c, set: 9 },
      ];
      const rules = both.map((rule) => (rule.own.includes(server) ? { ...rule, own: [9] } : rule));
      await world.datapath(1).adopt([...world.rows(1, all), ...policyRows(1, moved, rules)]);
      await talk.passes(1, ack, 5);
      await talk.passes(0, ack, 5);
    },
  },
];
