/**
 * Security groups: who may use which, each project's default one, and when they may change or go (Networking v2.0, `/v2.0/security-groups`; extensions
 * `security-group`, `stateful-security-group`, `rbac-security-groups`; neutron `SecurityGroupDbMixin`).
 */
import { fail } from "@selvage/base";
import {
  accessAsShared,
  Port,
  SecurityGroup,
  type SecurityGroup as SecurityGroupObject,
  SecurityGroupRule,
  type SecurityGroupRule as SecurityGroupRuleObject,
  type View,
} from "@selvage/model";
import { pickRuleKey } from "../allocate.ts";
import { anyOf, type Caller, isAdmin, member, reader, shared } from "../api/policy.ts";
import { ownerOf, type Preparation, type ResourceRules, taggedOf, type Values, type Writing } from "./rules.ts";
import { sharedField, sharedObjects, sharingOf } from "./sharing.ts";

const owner = anyOf(isAdmin, member);
const defaultName = "default";
/** Of which a new group lets everything be sent. */
const ownFamilies = ["IPv4", "IPv6"] as const;

export const securityGroupRules: ResourceRules<typeof SecurityGroup> = {
  resource: SecurityGroup,
  path: "security-groups",
  notFound: (id) => fail("SecurityGroupNotFound", { id }),
  policy: { get: anyOf(isAdmin, reader, shared), create: owner, update: owner, delete: owner, attributes: {} },
  target: (view, object) => ({
    projectId: String(object.project_id),
    sharedWith: sharingOf(view, "security_group", String(object.id)),
  }),
  alsoVisible: (view, caller) => sharedObjects(view, SecurityGroup, "security_group", caller.projectId),
  sharing: {
    actions: [accessAsShared],
    users: (view, group) => view.by(Port.index.security_groups, group.id).map((port) => port.project_id),
    needed: (_group, target) => `project_id=${target}`,
  },
  prepare: preparedGroup(),
  brings: { kind: "security_group_rule", count: ownFamilies.length },
  computed: {
    shared: sharedField("security_group"),
    security_group_rules: (group, { view }) =>
      view.by(SecurityGroupRule.index.security_group_id, group.id).map(shownIn),
  },
  create: (writing, values) => {
    checkName(values);
    const group = writing.transaction.put(SecurityGroup, {
      ...taggedOf(writing, values, 1),
      stateful: values.stateful === true,
    });
    for (const ethertype of ownFamilies)
      ownRule(writing, group, { direction: "egress", ethertype, remote_group_id: null });
    return group;
  },
  update: (writing, before, values) => {
    checkName(values);
    if (before.name === defaultName && "name" in values) throw fail("SecurityGroupCannotUpdateDefault");
    const after: SecurityGroupObject = { ...before, ...values };
    // Connections are tracked, or not, as long as a port has the group: no port changes over.
    if (after.stateful !== before.stateful) checkUnused(writing.transaction.view, before);
    return writing.transaction.put(SecurityGroup, after);
  },
  remove: (writing, group, precondition) => {
    checkUnused(writing.transaction.view, group);
    if (group.name === defaultName && !isAdmin(writing.caller, { projectId: group.project_id }))
      throw fail("SecurityGroupCannotRemoveDefault");
    precondition();
    writing.transaction.remove(SecurityGroup, group.id);
  },
};

/** The group if the caller may use it. Throws SecurityGroupNotFound, also for one that is another project's. */
export function visibleGroup(view: View, caller: Caller, id: string): SecurityGroupObject {
  const group = view.get(SecurityGroup, id);
  if (group === undefined || !securityGroupRules.policy.get(caller, securityGroupRules.target(view, { ...group })))
    throw fail("SecurityGroupNotFound", { id });
  return group;
}

/** The project's default group, which is made where there is none. Throws when there is no such project. */
export function defaultGroup(writing: Writing, projectId: string): SecurityGroupObject {
  const [group] = writing.transaction.view.by(SecurityGroup.index.default, projectId);
  return group ?? makeDefault(writing, projectId);
}

/** What a project must have before its groups or their rules are looked at. */
export function preparedGroup(): Preparation {
  return {
    missing: (view, projectId) => !view.exists(SecurityGroup.index.default, projectId),
    make: (writing, projectId) => {
      makeDefault(writing, projectId);
    },
  };
}

/** Everything may be sent, and what others with the group send may come. */
function makeDefault(writing: Writing, projectId: string): SecurityGroupObject {
  const { transaction } = writing;
  const group = transaction.put(SecurityGroup, {
    ...taggedOf(writing, { project_id: projectId, name: defaultName, description: "Default security group" }, 1),
    stateful: true,
  });
  for (const ethertype of ["IPv4", "IPv6"] as const) {
    ownRule(writing, group, { direction: "egress", ethertype, remote_group_id: null });
    ownRule(writing, group, { direction: "ingress", ethertype, remote_group_id: group.id });
  }
  return group;
}

/** A rule that a group is made with. */
function ownRule(
  writing: Writing,
  group: SecurityGroupObject,
  said: Pick<SecurityGroupRuleObject, "direction" | "ethertype" | "remote_group_id">,
): void {
  const { transaction } = writing;
  transaction.put(SecurityGroupRule, {
    id: transaction.newId(),
    project_id: ownerOf(writing, { ...group }),
    description: null,
    revision_number: 0,
    created_at: transaction.now,
    updated_at: transaction.now,
    security_group_id: group.id,
    ...said,
    protocol: null,
    port_range_min: null,
    port_range_max: null,
    remote_address_group_id: null,
    remote_ip_prefix: null,
    normalized_cidr: null,
    key: pickRuleKey(transaction),
  });
}

/** There is one default group a project, and it is made by the server (neutron-lib `type:name_not_default`). */
function checkName(values: Values): void {
  if (String(values.name ?? "").toLowerCase() === defaultName) throw fail("SecurityGroupDefaultAlreadyExists");
}

function checkUnused(view: View, group: SecurityGroupObject): void {
  if (view.exists(Port.index.security_groups, group.id)) throw fail("SecurityGroupInUse", { id: group.id });
}

/** A rule as its group shows it. */
function shownIn(rule: SecurityGroupRuleObject): Values {
  const { key: _hidden, ...shown } = rule;
  return { ...shown, tenant_id: rule.project_id, tags: [] };
}
