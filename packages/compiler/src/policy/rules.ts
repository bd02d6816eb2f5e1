/**
 * Rules of the groups that ports here have, as clauses: own sets, service, and the other side; and for each the connections that it keeps alive. A connection
 * bears the number of the rule that let it in, its generation and the other side's set, and goes on while all three are still rows (pipeline design, 3.3 and 4.2).
 */
import { AddressGroup, cidrOf, type QueryingView, SecurityGroupRule, type SecurityGroupSet } from "@selvage/model";
import { type KeyOf, LiveIn, LiveOut, PolicyIn, PolicyOut, type Row, row } from "@selvage/pipeline";
import { type ServiceClause, serviceClauses } from "./service.ts";
import { isStateful, setsHere } from "./sets.ts";

type Part = "own" | "service" | "remote";
/** A clause's columns, whichever the direction: `own` and `other` are sets. */
type Clause = Partial<ServiceClause> & { readonly own?: number; readonly other?: number; readonly prefix?: string };

/** Parts that a packet must meet: with no other side named, two. */
type Parts = 2 | 3;

/** A prefix that holds every address. As a clause it would ask no more than the service does, and of a rule a switch wants clauses that differ. */
const isAll = (prefix: string): boolean => prefix.endsWith("/0");

function clause(rule: SecurityGroupRule, parts: Parts, part: Part, columns: Clause): Row {
  const { own, other, prefix, untracked, ...service } = columns;
  const of = { of: parts };
  const isV6 = rule.ethertype === "IPv6";
  if (rule.direction === "egress") {
    const key: KeyOf<typeof PolicyOut.columns> = {
      rule: rule.key,
      ...service,
      ...(own === undefined ? {} : { srcSet: own }),
      ...(other === undefined ? {} : { dstSet: other }),
      ...(prefix === undefined ? {} : isV6 ? { ip6Dst: prefix } : { ip4Dst: prefix }),
      ...(untracked ? { srcStateless: 1 } : {}),
    };
    return row(PolicyOut, key, "clause", of, part);
  }
  const key: KeyOf<typeof PolicyIn.columns> = {
    rule: rule.key,
    ...service,
    ...(own === undefined ? {} : { dstSet: own }),
    ...(other === undefined ? {} : { srcSet: other }),
    ...(prefix === undefined ? {} : isV6 ? { ip6Src: prefix } : { ip4Src: prefix }),
    ...(untracked ? { dstStateless: 1 } : {}),
  };
  return row(PolicyIn, key, "clause", of, part);
}

function verdict(rule: SecurityGroupRule, generation: number): Row {
  const args = { rule: rule.key, generation };
  return rule.direction === "egress"
    ? row(PolicyOut, { rule: rule.key }, "allow", args, "verdict")
    : row(PolicyIn, { rule: rule.key }, "allow", args, "verdict");
}

/** Connections of a set that go on whoever is at the other side. */
function live(rule: SecurityGroupRule, own: number, ctGeneration: number): readonly Row[] {
  const label = { ctRule: rule.key, ctGeneration };
  return [
    row(LiveOut, { srcSet: own, ...label }, "pass", {}, "live"),
    row(LiveIn, { dstSet: own, ...label }, "pass", {}, "live"),
  ];
}

/** An ICMP error about a connection may come from any router on its way: the rule alone must be there still. */
const liveErrors = (rule: SecurityGroupRule, own: number): Row =>
  row(LiveIn, { ctRelated: 1, dstSet: own, ctRule: rule.key, ctGeneration: 0 }, "pass", {}, "live");

/**
 * Connections of a set that go on while the other side is of a certain set. An ingress rule labels only those opened inward, so that what leaves is always an
 * answer: of it nobody looks up whom it is for, and the set that the connection was let in with holds.
 */
function liveWith(rule: SecurityGroupRule, own: number, other: number): readonly Row[] {
  const label = { ctRule: rule.key, ctGeneration: 0 };
  const out = rule.direction === "egress" ? { dstSet: other } : { ctRemote: other };
  return [
    row(LiveOut, { srcSet: own, ...label, ...out }, "pass", {}, "live"),
    row(LiveIn, { ctRelated: 0, dstSet: own, ...label, srcSet: other }, "pass", {}, "live"),
  ];
}

/** The prefixes that a rule names, by itself or by an address group, none where they hold every address, and the group's state; undefined while the group is not known here. */
function prefixesOf(
  view: QueryingView,
  rule: SecurityGroupRule,
): { readonly prefixes: readonly string[]; readonly generation: number; readonly parts: Parts } | undefined {
  const { remote_group_id, remote_address_group_id, normalized_cidr } = rule;
  if (remote_group_id !== null) return { prefixes: [], generation: 0, parts: 3 };
  if (remote_address_group_id === null) {
    const isAny = normalized_cidr === null || isAll(normalized_cidr);
    return isAny ? { prefixes: [], generation: 0, parts: 2 } : { prefixes: [normalized_cidr], generation: 0, parts: 3 };
  }
  const group = view.get(AddressGroup, remote_address_group_id);
  if (group === undefined) return undefined;
  const { generation } = group;
  const version = rule.ethertype === "IPv6" ? 6 : 4;
  const prefixes = new Set(group.addresses.filter((each) => cidrOf(each).version === version));
  return [...prefixes].some(isAll)
    ? { prefixes: [], generation, parts: 2 }
    : { prefixes: [...prefixes], generation, parts: 3 };
}

/** Of these sets those whose connections are tracked. */
const tracked = (view: QueryingView, sets: readonly number[]): readonly number[] =>
  sets.filter((set) => isStateful(view, set));

/** Everything of a rule but the sets of a group that it names: nothing where no port here has its group, or it admits nothing. */
export function ruleRows(rule: SecurityGroupRule, view: QueryingView, hostName: string): readonly Row[] {
  const own = setsHere(view, rule.security_group_id, hostName);
  if (own.length === 0) return [];
  const services = serviceClauses(rule);
  const remote = prefixesOf(view, rule);
  if (services.length === 0 || remote === undefined) return [];
  const { prefixes, generation, parts } = remote;
  return [
    verdict(rule, generation),
    ...own.map((set) => clause(rule, parts, "own", { own: set })),
    ...services.map((service) => clause(rule, parts, "service", service)),
    ...prefixes.map((prefix) => clause(rule, parts, "remote", { prefix })),
    ...tracked(view, own).flatMap((set) =>
      rule.remote_group_id === null ? live(rule, set, generation) : [liveErrors(rule, set)],
    ),
  ];
}

/** A set as the other side: of each rule here that names one of its groups. */
export function remoteSetRows(set: SecurityGroupSet, view: QueryingView, hostName: string): readonly Row[] {
  return set.groups
    .flatMap((group) => view.by(SecurityGroupRule.index.remote_group_id, group))
    .flatMap((rule) => {
      const own = setsHere(view, rule.security_group_id, hostName);
      if (own.length === 0 || serviceClauses(rule).length === 0) return [];
      return [
        clause(rule, 3, "remote", { other: set.key }),
        ...tracked(view, own).flatMap((each) => liveWith(rule, each, set.key)),
      ];
    });
}
