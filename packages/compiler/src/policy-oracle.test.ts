/** Random groups, rules and packets: what gets through is what a plain reading of the rules says, and so it is after each change of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ping, sctp, tcp, udpBetween } from "@selvage/datapath/testing";
import { cidrContains, cidrOf, ipOf } from "@selvage/model";
import fc from "fast-check";
import { fabric, type TestFabric } from "./testing/fabric.ts";
import { type Machine, type MachinePlan, net } from "./testing/intent.ts";
import type { RulePlan } from "./testing/policy.ts";

const groupNames = ["g0", "g1", "g2"] as const;
const machineNames = ["m0", "m1", "m2", "m3", "m4"] as const;
const offices = ["10.0.0.10/31", "10.0.0.14/32", "2001:db8::12/127"] as const;

interface World {
  readonly stateful: readonly boolean[];
  readonly rules: readonly (readonly [group: number, rule: RulePlan])[];
  /** Groups of each machine, or undefined where it is not policed, and its host. */
  readonly machines: readonly { readonly groups: readonly number[] | undefined; readonly host: number }[];
  readonly vxlan: boolean;
  readonly offices: number;
}

type Protocol = "tcp" | "udp" | "icmp" | "sctp";

interface Shot {
  readonly from: number;
  readonly to: number;
  readonly version: 4 | 6;
  readonly protocol: Protocol;
  readonly port: number;
}

type Change =
  | { readonly do: "regroup"; readonly machine: number; readonly groups: readonly number[] | undefined }
  | { readonly do: "remove"; readonly rule: number }
  /** Every rule by which the packet was let out, or in. */
  | { readonly do: "revoke"; readonly direction: RulePlan["direction"] }
  | { readonly do: "add"; readonly group: number; readonly rule: RulePlan }
  | { readonly do: "offices"; readonly count: number };

const ranges = [
  [0, 65_535],
  [1, 65_535],
  [80, 80],
  [79, 81],
  [1000, 1999],
  [0, 0],
] as const;
const rule: fc.Arbitrary<RulePlan> = fc
  .record({
    direction: fc.constantFrom("ingress" as const, "egress" as const),
    version: fc.constantFrom<4 | 6>(4, 6),
    protocol: fc.constantFrom(undefined, "tcp", "udp", "icmp", "sctp", "6", "17", "132"),
    range: fc.option(fc.constantFrom(...ranges), { nil: undefined }),
    icmp: fc.constantFrom([8, 0], [128, 0], [0, null], [3, 3], [null, null]),
    other: fc.constantFrom("any", "any", "g0", "g1", "g2", "offices", "10.0.0.8/29", "10.0.0.0/24", "2001:db8::/124"),
  })
  .map(({ direction, version, protocol, range, icmp, other }): RulePlan => {
    const isIcmp = protocol === "icmp";
    const ports = isIcmp ? (icmp as [number | null, number | null]) : protocol === undefined ? undefined : range;
    const isCidr = other.includes("/") && other.includes(":") === (version === 6);
    return {
      direction,
      version,
      ...(protocol === undefined ? {} : { protocol }),
      ...(ports === undefined ? {} : { ports }),
      ...(other.startsWith("g") ? { group: other } : {}),
      ...(other === "offices" ? { addressGroup: other } : {}),
      ...(isCidr ? { cidr: other } : {}),
    };
  });
const groups = fc.option(fc.uniqueArray(fc.nat(2), { maxLength: 3 }), { nil: undefined, freq: 6 });
const mostly = (value: boolean) => fc.nat(4).map((roll) => (roll === 0 ? !value : value));

const worlds: fc.Arbitrary<World> = fc.record({
  stateful: fc.tuple(mostly(true), mostly(true), mostly(true)),
  rules: fc.array(fc.tuple(fc.nat(2), rule), { minLength: 4, maxLength: 14, size: "max" }),
  machines: fc.tuple(...machineNames.map(() => fc.record({ groups, host: fc.integer({ min: 1, max: 2 }) }))),
  vxlan: fc.boolean(),
  offices: fc.nat(3),
});
const shot: fc.Arbitrary<Shot> = fc.record({
  from: fc.nat(4),
  to: fc.nat(4),
  version: fc.constantFrom<4 | 6>(4, 6),
  protocol: fc.constantFrom("tcp", "udp", "udp", "icmp", "sctp"),
  port: fc.constantFrom(1, 79, 80, 82, 1000, 1024, 1999, 2000, 65_535),
});
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ do: fc.constant("regroup" as const), machine: fc.nat(4), groups }),
  fc.record({ do: fc.constant("remove" as const), rule: fc.nat(20) }),
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("revoke" as const), direction: fc.constantFrom("ingress", "egress") }),
  },
  fc.record({ do: fc.constant("add" as const), group: fc.nat(2), rule }),
  fc.record({ do: fc.constant("offices" as const), count: fc.nat(3) }),
);

/** Everything as it is now, by the plain reading. */
class Model {
  readonly stateful: readonly boolean[];
  readonly rules: { readonly group: number; readonly rule: RulePlan }[];
  readonly machines: { groups: readonly number[] | undefined }[];
  offices: readonly string[];

  constructor(world: World) {
    this.stateful = world.stateful;
    this.rules = world.rules.map(([group, each]) => ({ group, rule: each }));
    this.machines = world.machines.map((each) => ({ groups: each.groups }));
    this.offices = offices.slice(0, world.offices);
  }

  /** Whether a machine's own rules let a packet out, or in. */
  admits(direction: RulePlan["direction"], own: number, other: number, address: string, packet: Packet): boolean {
    if (this.machines[own]?.groups === undefined) return true;
    return this.admitting(direction, own, other, address, packet).length > 0;
  }

  /** Places of the rules that let it. */
  admitting(
    direction: RulePlan["direction"],
    own: number,
    other: number,
    address: string,
    packet: Packet,
  ): readonly number[] {
    const mine = this.machines[own]?.groups ?? [];
    const lets = ({ group, rule: each }: { readonly group: number; readonly rule: RulePlan }): boolean =>
      mine.includes(group) &&
      each.direction === direction &&
      each.version === packet.version &&
      isService(each, packet) &&
      this.#isOther(each, other, address);
    return this.rules.flatMap((each, at) => (lets(each) ? [at] : []));
  }

  #isOther({ group, addressGroup, cidr }: RulePlan, other: number, address: string): boolean {
    if (group !== undefined) return this.machines[other]?.groups?.includes(Number(group.slice(1))) ?? false;
    const within = (prefix: string): boolean => {
      const [one, ip] = [cidrOf(prefix), ipOf(address)];
      return (one.version === 6) === address.includes(":") && cidrContains(one, ip);
    };
    if (addressGroup !== undefined) return this.offices.some(within);
    return cidr === undefined || within(cidr);
  }

  /** Whether what a machine sends and gets belongs to connections that are known. */
  isTracked(machine: number): boolean {
    const mine = this.machines[machine]?.groups;
    return mine !== undefined && (mine.length === 0 || mine.some((group) => this.stateful[group] === true));
  }
}

interface Packet {
  readonly version: 4 | 6;
  readonly protocol: Protocol;
  /** The destination port, or the type of ICMP; its code is 0. */
  readonly to: number;
}

const numbers: Readonly<Record<string, Protocol>> = { "6": "tcp", "17": "udp", "132": "sctp" };

function isService({ protocol, ports }: RulePlan, packet: Packet): boolean {
  if (protocol === undefined) return true;
  if ((numbers[protocol] ?? protocol) !== packet.protocol) return false;
  const [min, max] = ports ?? [null, null];
  if (packet.protocol === "icmp") return (min === null || min === packet.to) && (max === null || max === 0);
  return (min ?? 0) <= packet.to && packet.to <= (max ?? 65_535);
}

/** A packet that opens, and one that answers it. */
function frames(shotOf: Shot, from: Machine, to: Machine, serial: number): readonly [Uint8Array, Uint8Array] {
  const { version, protocol, port } = shotOf;
  const there = { src: 20_000 + serial, dst: port };
  const back = { src: port, dst: 20_000 + serial };
  switch (protocol) {
    case "udp":
      return [udpBetween(version, from, to, there), udpBetween(version, to, from, back)];
    case "tcp":
      return [
        tcp(version, from, to, { ...there, seq: 1 }),
        tcp(version, to, from, { ...back, flags: 0x12, seq: 9, ack: 2 }),
      ];
    case "sctp":
      return [sctp(version, from, to, there), sctp(version, to, from, back)];
    case "icmp":
      return [ping(version, "request", from, to, { id: serial }), ping(version, "reply", to, from, { id: serial })];
  }
}

function packetsOf({ version, protocol, port }: Shot, serial: number): readonly [Packet, Packet] {
  const [asked, answered] = version === 4 ? [8, 0] : [128, 129];
  return protocol === "icmp"
    ? [
        { version, protocol, to: asked },
        { version, protocol, to: answered },
      ]
    : [
        { version, protocol, to: port },
        { version, protocol, to: 20_000 + serial },
      ];
}

const named = (all: readonly number[] | undefined) => all?.map((group) => groupNames[group] ?? "");

function build(world: World): Promise<TestFabric> {
  const machines = Object.fromEntries(
    world.machines.map(({ groups: each, host }, at): [string, MachinePlan] => {
      const grouped = named(each);
      return [`m${at}`, { host: `h${host}`, ...(grouped === undefined ? {} : { groups: grouped }) }];
    }),
  );
  const plan = {
    addressGroups: { offices: offices.slice(0, world.offices) },
    groups: Object.fromEntries(
      groupNames.map((name, at) => [name, { stateful: world.stateful[at] ?? true, rules: [] }]),
    ),
  };
  const type = world.vxlan ? "vxlan" : "geneve";
  return fabric({ hosts: 2, policy: plan }, net("blue", machines, { network: { "provider:network_type": type } }));
}

/** The rules in force, by id, in the model's order. */
class Rules {
  readonly #ids: string[] = [];
  readonly #on: TestFabric;
  constructor(on: TestFabric) {
    this.#on = on;
  }

  add(group: number, each: RulePlan): void {
    this.#on.police((policy) => {
      const { id, changes } = policy.addRule(groupNames[group] ?? "", each);
      this.#ids.push(id);
      return changes;
    });
  }

  remove(at: number): void {
    const [id] = this.#ids.splice(at, 1);
    if (id !== undefined) this.#on.police((policy) => policy.removeRule(id));
  }
}

function apply(
  on: TestFabric,
  rules: Rules,
  model: Model,
  each: Change,
  lets: (direction: RulePlan["direction"]) => readonly number[],
): void {
  switch (each.do) {
    case "revoke":
      for (const at of lets(each.direction).toReversed()) {
        model.rules.splice(at, 1);
        rules.remove(at);
      }
      break;
    case "regroup": {
      const machine = model.machines[each.machine];
      if (machine !== undefined) machine.groups = each.groups;
      on.regroup(`m${each.machine}`, named(each.groups));
      break;
    }
    case "remove":
      model.rules.splice(each.rule, 1);
      rules.remove(each.rule);
      break;
    case "add":
      model.rules.push({ group: each.group, rule: each.rule });
      rules.add(each.group, each.rule);
      break;
    case "offices":
      model.offices = offices.slice(0, each.count);
      on.police((policy) => policy.putAddresses("offices", offices.slice(0, each.count)));
      break;
  }
}

test("a packet, its answer, and both again after each change pass when the rules as they are now say so", async () => {
  const seen = { passed: 0, denied: 0, answered: 0, cut: 0 };
  await fc.assert(
    fc.asyncProperty(
      worlds,
      fc.array(fc.record({ shot, change }), { minLength: 6, maxLength: 16, size: "max" }),
      async (drawn, turns) => {
        const on = await build(drawn);
        const model = new Model(drawn);
        const rules = new Rules(on);
        for (const [group, each] of drawn.rules) rules.add(group, each);
        const associated = new Set<string>();
        for (const [serial, { shot: shotOf, change: then }] of turns.entries()) {
          const { from, to, version } = shotOf;
          if (from === to) continue;
          // Tracking, as the switch has it, knows no ports of SCTP: all that two machines say by it is one connection.
          const pair = `${version} ${Math.min(from, to)} ${Math.max(from, to)}`;
          if (shotOf.protocol === "sctp" && associated.has(pair)) continue;
          if (shotOf.protocol === "sctp") associated.add(pair);
          const [sender, receiver] = [on.machine(`m${from}`), on.machine(`m${to}`)];
          const ip = (machine: Machine): string => (version === 4 ? machine.ip4 : machine.ip6);
          const [frame, answer] = frames(shotOf, sender, receiver, serial);
          const [packet, back] = packetsOf(shotOf, serial);
          const lets = (): boolean =>
            model.admits("egress", from, to, ip(receiver), packet) &&
            model.admits("ingress", to, from, ip(sender), packet);
          const what = JSON.stringify({ shotOf, then });
          const passes = (name: string, bytes: Uint8Array) => on.send(name, bytes).delivered.length > 0;

          const first = lets();
          assert.equal(passes(sender.name, frame), first, what);
          if (first) seen.passed += 1;
          else seen.denied += 1;
          // A side that is tracked knows its answer; one that is not asks its rules. One that is tracked and got nothing asks them too.
          const out = () => model.admits("egress", to, from, ip(sender), back);
          const into = () => model.admits("ingress", from, to, ip(receiver), back);
          const [ours, theirs] = [model.isTracked(from), model.isTracked(to)];
          if (first) {
            assert.equal(passes(receiver.name, answer), (theirs || out()) && (ours || into()), `the answer ${what}`);
            seen.answered += 1;
          }
          const wasPoliced = [model.machines[from]?.groups, model.machines[to]?.groups];
          apply(on, rules, model, then, (direction) =>
            direction === "egress"
              ? model.admitting("egress", from, to, ip(receiver), packet)
              : model.admitting("ingress", to, from, ip(sender), packet),
          );
          const isSame = wasPoliced[0] === model.machines[from]?.groups && wasPoliced[1] === model.machines[to]?.groups;
          // What tracking makes of a port that was not tracked before, or of TCP in the middle, is its own affair.
          if (!isSame && then.do === "regroup" && (!ours || !theirs)) continue;
          if (shotOf.protocol === "tcp" && first) continue;
          const again = lets();
          assert.equal(passes(sender.name, frame), again, `again ${what}`);
          if (first && !again) seen.cut += 1;
          if (!first || !isSame) continue;
          const answers = again ? (theirs || out()) && (ours || into()) : undefined;
          if (answers !== undefined) assert.equal(passes(receiver.name, answer), answers, `the answer again ${what}`);
          else if (ours && theirs) assert.equal(passes(receiver.name, answer), false, `no answer any more ${what}`);
        }
      },
    ),
    { numRuns: 400 },
  );
  for (const [what, count] of Object.entries(seen)) assert.ok(count > 10, `${what}: ${count}`);
});
