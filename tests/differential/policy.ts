/** Random security groups: rules of every kind of service and of every other side, stateful and stateless, and the sets that ports have of them. */
import type { AddressGroup, SecurityGroup, SecurityGroupRule, SecurityGroupSet } from "@selvage/model";
import {
  makeAddressGroup,
  makeSecurityGroup,
  makeSecurityGroupRule,
  makeSecurityGroupSet,
  testId,
} from "@selvage/model/testing";
import fc from "fast-check";

/** Ports 80, 81, 40000 and 40001 are those of conversations. */
const services = [
  { protocol: null, min: null, max: null },
  { protocol: "tcp", min: null, max: null },
  { protocol: "tcp", min: 80, max: 80 },
  { protocol: "tcp", min: 79, max: 8_000 },
  { protocol: "tcp", min: 40_000, max: 40_001 },
  { protocol: "udp", min: null, max: null },
  { protocol: "udp", min: 0, max: 80 },
  { protocol: "udp", min: 40_001, max: 40_001 },
  { protocol: "udp", min: 0, max: 65_535 },
  { protocol: "icmp", min: null, max: null },
  { protocol: "icmp", min: "request", max: 0 },
  { protocol: "icmp", min: "reply", max: null },
  { protocol: "icmp", min: "unreachable", max: null },
  { protocol: "sctp", min: null, max: null },
  { protocol: "sctp", min: 81, max: 81 },
  { protocol: "112", min: null, max: null },
] as const;

/** ICMP types by what they are for (RFC 792, RFC 4443). */
const types = {
  4: { request: 8, reply: 0, unreachable: 3 },
  6: { request: 128, reply: 129, unreachable: 1 },
} as const;

/** The other side, by prefix: of several networks, of one, of a machine or two, and of all. */
const prefixes = {
  4: ["10.0.0.0/8", "10.0.0.0/24", "10.0.1.0/24", "10.0.0.8/29", "10.0.1.12/32", "10.0.0.11/32", "0.0.0.0/0"],
  6: ["2001:db8::/32", "2001:db8::/64", "2001:db8:1::/64", "fe80::/10", "2001:db8:1::c/128", "2001:db8::b/128", "::/0"],
} as const;

interface RulePlan {
  readonly direction: "ingress" | "egress";
  readonly version: 4 | 6;
  readonly service: number;
  readonly remote: "any" | "group" | "prefix" | "addresses";
  /** Which of them. */
  readonly which: number;
}

export interface GroupPlan {
  readonly stateful: boolean;
  readonly rules: readonly RulePlan[];
}

export interface PolicyPlan {
  readonly groups: readonly GroupPlan[];
  /** Places of prefixes in the two address groups. */
  readonly addresses: readonly [readonly number[], readonly number[]];
  /**
   * What becomes of all rules when half of the packets are sent: they stay, they go, or others that say the same take their places. Of several rules that admit
   * a packet it is not said which one does, so that of one alone nothing follows for a connection.
   */
  readonly later: "same" | "none" | "renumbered";
}

const rules: fc.Arbitrary<RulePlan> = fc.record({
  direction: fc.constantFrom<RulePlan["direction"]>("ingress", "egress"),
  version: fc.constantFrom<4 | 6>(4, 6),
  service: fc.oneof(fc.constant(0), fc.nat(services.length - 1)),
  remote: fc.constantFrom<RulePlan["remote"][]>("any", "any", "group", "group", "prefix", "addresses"),
  which: fc.nat(6),
});
const places = fc.array(fc.nat(6), { maxLength: 3 });

/** Everything one way, to or from anybody: what a new group lets out, as Neutron has it. */
const all = (direction: RulePlan["direction"]): readonly RulePlan[] =>
  ([4, 6] as const).map((version) => ({ direction, version, service: 0, remote: "any", which: 0 }));

/** Such groups keep the rest of the program in sight. */
const open: GroupPlan = { stateful: true, rules: [...all("ingress"), ...all("egress")] };

export const policies: fc.Arbitrary<PolicyPlan> = fc.record({
  groups: fc.array(
    fc.oneof(
      { weight: 2, arbitrary: fc.constant(open) },
      { weight: 1, arbitrary: fc.constant({ ...open, stateful: false }) },
      {
        weight: 5,
        arbitrary: fc.record({
          stateful: fc.constantFrom(true, true, true, false),
          rules: fc
            .tuple(fc.constantFrom(true, true, false), fc.array(rules, { minLength: 1, maxLength: 8, size: "max" }))
            .map(([isUsual, drawn]) => [...(isUsual ? all("egress") : []), ...drawn]),
        }),
      },
    ),
    { minLength: 1, maxLength: 4, size: "max" },
  ),
  addresses: fc.tuple(places, places),
  later: fc.constantFrom<PolicyPlan["later"]>("same", "none", "renumbered"),
});

const at = <T>(list: readonly T[], place: number): T => list[place % list.length] as T;
const groupId = (place: number): string => testId("security group", place + 1);
const addressGroupId = (place: number): string => testId("address group", place + 1);

/** Groups, their rules and what these name. */
export interface PolicyObjects {
  readonly groups: readonly SecurityGroup[];
  readonly rules: readonly SecurityGroupRule[];
  readonly addressGroups: readonly AddressGroup[];
}

/** A policy's objects, as they are at first or later. */
export function policyOf({ groups, addresses, later }: PolicyPlan, isLater: boolean): PolicyObjects {
  const firstRule = isLater && later === "renumbered" ? 10_000 : 1;
  return {
    groups: groups.map(({ stateful }, place) =>
      makeSecurityGroup({ id: groupId(place), name: `group ${place}`, stateful }),
    ),
    rules: groups.flatMap((group, of) =>
      isLater && later === "none"
        ? []
        : group.rules.map((rule, place) => ruleOf(rule, of, firstRule + 100 * of + place, groups.length)),
    ),
    addressGroups: addresses.map((of, place) =>
      makeAddressGroup({
        id: addressGroupId(place),
        addresses: [...new Set(of.flatMap((each) => [at(prefixes[4], each), at(prefixes[6], each)]))],
        generation: place,
      }),
    ),
  };
}

function ruleOf(plan: RulePlan, group: number, number: number, groups: number): SecurityGroupRule {
  const { direction, version, remote, which } = plan;
  const { protocol, min, max } = at(services, plan.service);
  const prefix = remote === "prefix" ? at(prefixes[version], which) : null;
  return makeSecurityGroupRule({
    id: testId("rule", number),
    // Numbers of 32 bits, from both ends.
    key: number % 2 === 1 ? number : 0xffff_ffff - number,
    security_group_id: groupId(group),
    direction,
    ethertype: version === 4 ? "IPv4" : "IPv6",
    protocol,
    port_range_min: typeof min === "string" ? types[version][min] : min,
    port_range_max: max,
    remote_group_id: remote === "group" ? groupId(which % groups) : null,
    remote_address_group_id: remote === "addresses" ? addressGroupId(which % 2) : null,
    remote_ip_prefix: prefix,
    normalized_cidr: prefix,
  });
}

/** Numbers of 24 bits, from the ends and from where bytes meet. */
const setKeys = [0xffffff, 1, 0x10000, 0x00ff00, 0x123456, 2, 3, 4, 5, 6] as const;

/** The sets of ports that are of these groups each, in the order of the ports; `of` gives a port's, by the ids of its groups. */
export function setsOf(
  combinations: readonly (readonly string[])[],
  groups: readonly SecurityGroup[],
): { readonly sets: readonly SecurityGroupSet[]; readonly of: (ids: readonly string[]) => number } {
  const keys = new Map<string, SecurityGroupSet>();
  for (const ids of combinations) {
    const key = keys.size;
    if (keys.has(ids.join())) continue;
    const stateful = ids.length === 0 || groups.some(({ id, stateful }) => stateful && ids.includes(id));
    keys.set(
      ids.join(),
      makeSecurityGroupSet({ id: testId("set", key + 1), groups: ids, stateful, key: at(setKeys, key) }),
    );
  }
  return { sets: [...keys.values()], of: (ids) => keys.get(ids.join())?.key ?? 0 };
}

/** The ids of the groups at these places, in order and each once. */
export const groupIds = (places: readonly number[], { groups }: PolicyPlan): readonly string[] =>
  [...new Set(places.map((place) => groupId(place % groups.length)))].sort();
