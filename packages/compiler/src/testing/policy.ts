/** Security groups for tests, as the api would keep them: groups with rules in one line each, and sets that come with their first port and go with their last. */
import {
  AddressGroup,
  type Change,
  cidrOf,
  type Port,
  SecurityGroup,
  SecurityGroupRule,
  SecurityGroupSet,
  textOfCidr,
} from "@selvage/model";
import {
  makeAddressGroup,
  makeSecurityGroup,
  makeSecurityGroupRule,
  makeSecurityGroupSet,
  put,
  remove,
  testId,
} from "@selvage/model/testing";

/** A rule: `ports` are the first and the last, or ICMP type and code; the other side is a group, an address group or a prefix, or anybody. */
export interface RulePlan {
  readonly direction: "ingress" | "egress";
  readonly version?: 4 | 6;
  readonly protocol?: string;
  readonly ports?: readonly [number | null, number | null];
  readonly group?: string;
  readonly addressGroup?: string;
  readonly cidr?: string;
}

export interface PolicyPlan {
  readonly groups: Readonly<Record<string, { readonly stateful?: boolean; readonly rules: readonly RulePlan[] }>>;
  readonly addressGroups?: Readonly<Record<string, readonly string[]>>;
}

/** Everything out over both families: what a new group has. */
export const anythingOut: readonly RulePlan[] = [
  { direction: "egress", version: 4 },
  { direction: "egress", version: 6 },
];

/** Everything in over both families, from a group or anybody. */
export const anythingIn = (from: Pick<RulePlan, "group" | "addressGroup"> = {}): readonly RulePlan[] => [
  { direction: "ingress", version: 4, ...from },
  { direction: "ingress", version: 6, ...from },
];

/** A port's fields that say its groups. */
export type Grouping = Pick<Port, "security_groups" | "security_group_set">;

export class Policy {
  readonly #groups = new Map<string, SecurityGroup>();
  readonly #addressGroups = new Map<string, AddressGroup>();
  readonly #rules = new Map<string, SecurityGroupRule>();
  readonly #sets = new Map<string, SecurityGroupSet>();
  /** The set of each port, by the port's id. */
  readonly #users = new Map<string, SecurityGroupSet>();
  #serial = 0;

  /** The groups of the plan, and the changes that make them. */
  static from(plan: PolicyPlan): { readonly policy: Policy; readonly changes: readonly Change[] } {
    const policy = new Policy();
    const names = Object.entries(plan.groups);
    const changes = [
      ...Object.entries(plan.addressGroups ?? {}).flatMap(([name, addresses]) => policy.putAddresses(name, addresses)),
      ...names.flatMap(([name, { stateful }]) => policy.putGroup(name, stateful ?? true)),
      ...names.flatMap(([name, { rules }]) => rules.flatMap((rule) => policy.addRule(name, rule).changes)),
    ];
    return { policy, changes };
  }

  /** Makes a group, or says of one whether it is stateful. */
  putGroup(name: string, stateful: boolean): readonly Change[] {
    const held = this.#groups.get(name);
    const group = { ...(held ?? makeSecurityGroup({ id: testId("security group", this.#next()), name })), stateful };
    this.#groups.set(name, group);
    const sets = [...this.#sets].filter(([, set]) => set.groups.includes(group.id));
    return [put(SecurityGroup, group), ...sets.map(([key, set]) => this.#putSet(key, set))];
  }

  addRule(group: string, plan: RulePlan): { readonly id: string; readonly changes: readonly Change[] } {
    const number = this.#next();
    const [min, max] = plan.ports ?? [null, null];
    const rule = makeSecurityGroupRule({
      id: testId("rule", number),
      key: number,
      security_group_id: this.#group(group).id,
      direction: plan.direction,
      ethertype: plan.version === 6 ? "IPv6" : "IPv4",
      protocol: plan.protocol ?? null,
      port_range_min: min,
      port_range_max: max,
      remote_group_id: plan.group === undefined ? null : this.#group(plan.group).id,
      remote_address_group_id: plan.addressGroup === undefined ? null : this.#addresses(plan.addressGroup).id,
      remote_ip_prefix: plan.cidr ?? null,
      normalized_cidr: plan.cidr === undefined ? null : textOfCidr(cidrOf(plan.cidr)),
    });
    this.#rules.set(rule.id, rule);
    return { id: rule.id, changes: [put(SecurityGroupRule, rule)] };
  }

  removeRule(id: string): readonly Change[] {
    this.#rules.delete(id);
    return [remove(SecurityGroupRule, id)];
  }

  /** Ids of a group's rules, in the order in which they came. */
  rulesOf(group: string): readonly string[] {
    const { id } = this.#group(group);
    return [...this.#rules.values()].filter((rule) => rule.security_group_id === id).map((rule) => rule.id);
  }

  /** Makes an address group or says its addresses; when one goes, what it let in is judged again. */
  putAddresses(name: string, addresses: readonly string[]): readonly Change[] {
    const held = this.#addressGroups.get(name);
    const isLess = held?.addresses.some((each) => !addresses.includes(each)) ?? false;
    const group = {
      ...(held ?? makeAddressGroup({ id: testId("address group", this.#next()), name })),
      addresses,
      generation: ((held?.generation ?? 0) + (isLess ? 1 : 0)) % 0x10000,
    };
    this.#addressGroups.set(name, group);
    return [put(AddressGroup, group)];
  }

  /** Gives a port a combination of groups, or none to be policed by; the changes are those of sets, the grouping is the port's. */
  assign(
    port: string,
    groups: readonly string[] | undefined,
  ): { readonly grouping: Grouping; readonly changes: readonly Change[] } {
    const before = this.#users.get(port);
    const changes: Change[] = [];
    this.#users.delete(port);
    const ids = (groups ?? []).map((name) => this.#group(name).id).sort();
    if (groups !== undefined) {
      const key = ids.join("|");
      const held = this.#sets.get(key);
      if (held === undefined) {
        const number = this.#next();
        changes.push(this.#putSet(key, makeSecurityGroupSet({ id: testId("set", number), key: number, groups: ids })));
      }
      const set = this.#sets.get(key);
      if (set !== undefined) this.#users.set(port, set);
    }
    const isUsed = [...this.#users.values()].some((set) => set.id === before?.id);
    if (before !== undefined && !isUsed) {
      this.#sets.delete(before.groups.join("|"));
      changes.push(remove(SecurityGroupSet, before.id));
    }
    return {
      grouping: { security_groups: ids, security_group_set: this.#users.get(port)?.key ?? 0 },
      changes,
    };
  }

  #putSet(key: string, set: SecurityGroupSet): Change {
    const groups = [...this.#groups.values()].filter(({ id }) => set.groups.includes(id));
    const next = { ...set, stateful: groups.length === 0 || groups.some((group) => group.stateful) };
    this.#sets.set(key, next);
    for (const [port, used] of this.#users) if (used.id === next.id) this.#users.set(port, next);
    return put(SecurityGroupSet, next);
  }

  #group(name: string): SecurityGroup {
    const group = this.#groups.get(name);
    if (group === undefined) throw new RangeError(`no security group ${name}`);
    return group;
  }

  #addresses(name: string): AddressGroup {
    const group = this.#addressGroups.get(name);
    if (group === undefined) throw new RangeError(`no address group ${name}`);
    return group;
  }

  #next(): number {
    this.#serial += 1;
    return this.#serial;
  }
}
