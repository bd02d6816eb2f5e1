/**
 * Rules of security groups: what one may say, and which groups it may name (Networking v2.0, `/v2.0/security-group-rules`; extensions `security-group`,
 * `security-groups-normalized-cidr`, `security-groups-remote-address-group`; neutron `SecurityGroupDbMixin`, in its order of checks).
 */
import { fail } from "@selvage/base";
import {
  ipOf,
  networkOf,
  protocolNumbers,
  protocolOf,
  type RuleSaying,
  SecurityGroup,
  type SecurityGroup as SecurityGroupObject,
  SecurityGroupRule,
  type SecurityGroupRule as SecurityGroupRuleObject,
  sayingOf,
  textOfCidr,
} from "@selvage/model";
import { pickRuleKey } from "../allocate.ts";
import { anyOf, isAdmin, member, type Rule, reader, shared } from "../api/policy.ts";
import { visibleAddressGroup } from "./address-group.ts";
import { ownerOf, type ResourceRules, type Values, type Writing } from "./rules.ts";
import { preparedGroup, visibleGroup } from "./security-group.ts";

/** Protocols of which a switch can tell the ports. Of Neutron's, DCCP and UDP-Lite are missing: nothing could enforce such a rule. */
const withPorts: ReadonlyMap<unknown, string> = new Map(
  ["sctp", "tcp", "udp"].map((name) => [protocolNumbers[name], name.toUpperCase()]),
);
const icmp: ReadonlySet<unknown> = new Set([protocolNumbers.icmp, protocolNumbers.icmpv6]);
/** What a rule for IPv6 says for what it was given (Neutron's `_make_canonical_ipv6_icmp_protocol`). */
const icmpWords: ReadonlyMap<string | null, string> = new Map([
  ["icmp", "ipv6-icmp"],
  ["icmpv6", "ipv6-icmp"],
  ["1", "58"],
]);
/** Protocols that stand behind an IPv6 header alone. */
const ofIpv6: ReadonlySet<unknown> = new Set(
  ["ipv6-encap", "ipv6-frag", "ipv6-icmp", "ipv6-nonxt", "ipv6-opts", "ipv6-route"].map(
    (name) => protocolNumbers[name],
  ),
);
const allPorts = { first: 1, last: 65_535 } as const;

/** A member of the project that owns the rule's group. */
const memberOfGroups: Rule = (caller, target) =>
  caller.roles.has("member") && target.sharedWith?.(caller.projectId) === true;
const owner = anyOf(isAdmin, member);
const ownerOrGroups = anyOf(isAdmin, member, memberOfGroups);

type Said = Pick<
  SecurityGroupRuleObject,
  Extract<keyof RuleSaying, keyof SecurityGroupRuleObject> | "remote_ip_prefix"
>;

export const securityGroupRuleRules: ResourceRules<typeof SecurityGroupRule> = {
  resource: SecurityGroupRule,
  path: "security-group-rules",
  notFound: (id) => fail("SecurityGroupRuleNotFound", { id }),
  policy: {
    get: anyOf(isAdmin, reader, shared),
    create: owner,
    update: ownerOrGroups,
    delete: ownerOrGroups,
    attributes: {},
  },
  target: (view, object) => ({
    projectId: String(object.project_id),
    // An administrator's rule in a project's group is that project's to see, too.
    sharedWith: (projectId) => {
      const group = view.get(SecurityGroup, String(object.security_group_id));
      return group !== undefined && group.project_id === projectId;
    },
  }),
  alsoVisible: function* (view, caller) {
    if (caller.projectId === undefined) return;
    for (const group of view.by(SecurityGroup.index.project_id, caller.projectId))
      yield* view.by(SecurityGroupRule.index.security_group_id, group.id);
  },
  prepare: preparedGroup(),
  computed: {},
  together: (values) => {
    if (new Set(values.map((each) => each.security_group_id)).size > 1) throw fail("SecurityGroupNotSingleGroupRules");
    if (new Set(values.map((each) => each.project_id)).size > 1) throw fail("SecurityGroupRulesNotSingleTenant");
    const said = values.map((each) => sayingOf(saidIn(each)));
    if (new Set(said).size < said.length) throw fail("DuplicateSecurityGroupRuleInPost");
  },
  create: (writing, values) => {
    const { transaction, caller } = writing;
    const { view } = transaction;
    const said = saidIn(values);
    checkPorts(said);
    checkPrefix(said);
    checkProtocol(said);
    checkRemotes(said);
    if (said.remote_group_id !== null) visibleGroup(view, caller, said.remote_group_id);
    if (said.remote_address_group_id !== null) visibleAddressGroup(view, caller, said.remote_address_group_id);
    const group = writableGroup(writing, said.security_group_id);
    const rule: SecurityGroupRuleObject = {
      id: transaction.newId(),
      project_id: ownerOf(writing, values),
      description: String(values.description),
      revision_number: 0,
      created_at: transaction.now,
      updated_at: transaction.now,
      ...said,
      key: pickRuleKey(transaction),
    };
    const [same] = view.by(SecurityGroupRule.index.saying, sayingOf(rule));
    if (same !== undefined) throw fail("SecurityGroupRuleExists", { rule_id: same.id });
    touch(writing, group);
    return transaction.put(SecurityGroupRule, rule);
  },
  update: ({ transaction }, before, values) => transaction.put(SecurityGroupRule, { ...before, ...values }),
  remove: (writing, rule, precondition) => {
    precondition();
    const group = writing.transaction.view.get(SecurityGroup, rule.security_group_id);
    if (group !== undefined) touch(writing, group);
    writing.transaction.remove(SecurityGroupRule, rule.id);
  },
};

/** What a POST says, in Neutron's canonical words: all ports of a protocol are no ports, and ICMP over IPv6 has its own name and number. */
function saidIn(values: Values): Said {
  // Converted by the declaration.
  const given = values as Values & Said;
  const { ethertype, port_range_min: min, port_range_max: max } = given;
  const number = protocolOf(given);
  const all = min === allPorts.first && max === allPorts.last && withPorts.has(number);
  return {
    security_group_id: given.security_group_id,
    direction: given.direction,
    ethertype,
    protocol: ethertype === "IPv6" ? (icmpWords.get(given.protocol) ?? given.protocol) : given.protocol,
    port_range_min: all ? null : min,
    port_range_max: all ? null : max,
    remote_group_id: given.remote_group_id,
    remote_address_group_id: given.remote_address_group_id,
    remote_ip_prefix: given.remote_ip_prefix,
    normalized_cidr: normalized(given),
  };
}

function checkPorts(said: Said): void {
  const { port_range_min: min, port_range_max: max, protocol } = said;
  if (min === null && max === null) return;
  if (protocol === null) throw fail("SecurityGroupProtocolRequiredWithPorts");
  const number = protocolOf(said);
  if (withPorts.has(number)) {
    if (min === 0 || max === 0) throw fail("SecurityGroupInvalidPortValue", { port: 0 });
    if (min === null || max === null || min > max) throw fail("SecurityGroupInvalidPortRange");
    return;
  }
  if (!icmp.has(number)) {
    const valid_port_protocols = [...withPorts.values()].join(", ");
    throw fail("SecurityGroupInvalidProtocolForPort", { protocol: number ?? protocol, valid_port_protocols });
  }
  for (const [attr, field, value] of [
    ["port_range_min", "type", min],
    ["port_range_max", "code", max],
  ] as const)
    if (value !== null && value > 255) throw fail("SecurityGroupInvalidIcmpValue", { field, attr, value });
  if (min === null && max !== null) throw fail("SecurityGroupMissingIcmpType", { value: max });
}

function checkPrefix({ remote_ip_prefix: cidr, ethertype }: Said): void {
  if (cidr === null || cidr.includes(":") === (ethertype === "IPv6")) return;
  throw fail("SecurityGroupRuleParameterConflict", { ethertype, cidr });
}

function checkProtocol(said: Said): void {
  const { ethertype, protocol } = said;
  if (protocol === null || ethertype === "IPv6" || !ofIpv6.has(protocolOf(said))) return;
  throw fail("SecurityGroupEthertypeConflictWithProtocol", { ethertype, protocol });
}

function checkRemotes({ remote_group_id, remote_address_group_id, remote_ip_prefix }: Said): void {
  const named = [remote_group_id, remote_address_group_id, remote_ip_prefix].filter((each) => each !== null);
  if (named.length > 1) throw fail("SecurityGroupMultipleRemoteEntites");
}

/** The group if the caller may add to it: who it was only shared with would open the owner's ports. */
function writableGroup({ transaction, caller }: Writing, id: string): SecurityGroupObject {
  const group = visibleGroup(transaction.view, caller, id);
  if (owner(caller, { projectId: group.project_id })) return group;
  throw fail("PolicyNotAuthorized", { rule: "rule:create_security_group_rule" });
}

function normalized({ remote_ip_prefix: prefix }: Pick<Said, "remote_ip_prefix">): string | null {
  if (prefix === null) return null;
  const [address = "", length] = prefix.split("/");
  return textOfCidr(networkOf(ipOf(address), Number(length)));
}

/** A rule that comes or goes is a change of its group. */
function touch({ transaction }: Writing, group: SecurityGroupObject): void {
  transaction.put(SecurityGroup, group);
}
