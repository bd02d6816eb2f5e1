/** Random security groups for comparing datapaths: who is of which set, and rules of which no two admit the same packet, so that it is told which one did. */
import { IpProto } from "@selvage/pipeline";
import fc from "fast-check";
import { onePort, type TestMember, type TestRule, type TestService } from "./policy-topology.ts";
import type { TestPort } from "./topology.ts";

/** What is true of every port until it changes. */
export interface Policy {
  readonly members: readonly TestMember[];
  readonly rules: readonly TestRule[];
}

const { tcp, udp, icmp, icmp6, sctp } = IpProto;
/** Services that have no packet in common, those that conversations use among them. */
const services = (version: 4 | 6): readonly TestService[] => [
  { protocol: tcp, ports: [onePort(80)] },
  { protocol: tcp, ports: [onePort(81), "8192/0xe000"] },
  { protocol: tcp, ports: ["40000/0xfffe"] },
  { protocol: udp, ports: [onePort(80)] },
  { protocol: udp, ports: [onePort(81)] },
  { protocol: udp, ports: ["40000/0xfffe", onePort(53)] },
  { protocol: sctp, ports: [onePort(80), onePort(81)] },
  version === 4 ? { protocol: icmp, icmp: [8, 0] } : { protocol: icmp6, icmp: [128, 0] },
  version === 4 ? { protocol: icmp, icmp: [0] } : { protocol: icmp6, icmp: [129] },
  version === 4 ? { protocol: icmp, icmp: [3] } : { protocol: icmp6, icmp: [1] },
];
const count = services(4).length;
const sets = [1, 2, 3] as const;
const someSets = fc.oneof(
  { weight: 2, arbitrary: fc.constant([...sets]) },
  { weight: 1, arbitrary: fc.subarray([...sets], { minLength: 1 }) },
);

type Remote = NonNullable<TestRule["remote"]>;
const remotes = (version: 4 | 6): fc.Arbitrary<Remote | undefined> =>
  fc.oneof(
    { weight: 5, arbitrary: fc.constant(undefined) },
    { weight: 2, arbitrary: someSets.map((all) => ({ sets: all })) },
    {
      weight: 2,
      arbitrary: fc
        .subarray(
          version === 4
            ? ["10.0.1.0/24", "10.0.1.8/30", "10.0.1.12/31", "10.0.2.0/25", "10.0.0.0/14", "10.0.1.11/32"]
            : ["2001:db8:1::/64", "2001:db8:1::/127", "2001:db8:1::3/128", "2001:db8::/46", "2001:db8:2::/48"],
          { minLength: 1 },
        )
        .map((prefixes) => ({ prefixes })),
    },
  );

/** Numbers of rules are the places of their services, so that a rule which changes is the same rule. */
const ruleAt = (version: 4 | 6, direction: TestRule["direction"], at: number): fc.Arbitrary<TestRule | undefined> =>
  fc.tuple(fc.nat(7), someSets, remotes(version), fc.nat(2)).map(([chance, own, remote, generation]) => {
    const service = services(version)[at] ?? "any";
    const number = 1 + at + (version === 4 ? 0 : 100) + (direction === "ingress" ? 0 : 1_000);
    if (chance === 0) return undefined;
    const isOfGroup = remote !== undefined && "prefixes" in remote;
    return {
      number,
      direction,
      version,
      own,
      service,
      ...(remote === undefined ? {} : { remote }),
      ...(isOfGroup ? { generation } : {}),
    };
  });

const places = ([4, 6] as const).flatMap((version) =>
  (["ingress", "egress"] as const).flatMap((direction) =>
    Array.from({ length: count }, (_, at) => ({ version, direction, at })),
  ),
);
const rules: fc.Arbitrary<readonly TestRule[]> = fc
  .tuple(...places.map(({ version, direction, at }) => ruleAt(version, direction, at)))
  .map((all) => all.flatMap((rule) => rule ?? []));

/** Random policies of ports. What a set is, stateful or not, is so for all of its members: the last is not. */
export const policies = (ports: readonly TestPort[]): fc.Arbitrary<Policy> =>
  fc
    .tuple(fc.array(fc.constantFrom(0, 1, 1, 2, 2, 3), { minLength: ports.length, maxLength: ports.length }), rules)
    .map(([chosen, all]) => ({
      rules: all,
      members: ports.flatMap((port, at) => {
        const set = chosen[at] ?? 0;
        return set === 0 ? [] : [{ port, set, ...(set === 3 ? { stateless: true as const } : {}) }];
      }),
    }));
