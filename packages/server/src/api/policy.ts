/** Who may do what: rules over a caller and a target, and the 403 text they give (Neutron's "new defaults", oslo.policy `AndCheck`). */
import { fail, type SelvageError } from "@selvage/base";
import type { Network, RoleName } from "@selvage/model";

/** Who asks: what the token says, made fresh for every request. */
export interface Caller {
  readonly userId: string;
  readonly userName: string;
  /** Absent: an unscoped token, which owns nothing. */
  readonly projectId: string | undefined;
  /** With the implied ones: an admin is also member and reader. */
  readonly roles: ReadonlySet<RoleName>;
}

/** What the action is about. */
export interface Target {
  readonly projectId: string;
  /** The network that the target is, or stands on. Absent: none such. */
  readonly network?: Network | undefined;
  readonly deviceOwner?: string;
  /** Whether what the policy asks about (the target, or the network it stands on) was given to a project by an RBAC policy. Absent: to nobody. */
  readonly sharedWith?: (projectId: string | undefined) => boolean;
  /** Whether the network was given to a project as external. Absent: to nobody. */
  readonly externalTo?: (projectId: string | undefined) => boolean;
  /** `target_tenant` of an RBAC policy. */
  readonly sharee?: string;
}

export type Rule = (caller: Caller, target: Target) => boolean;

export const isAdmin: Rule = (caller) => caller.roles.has("admin");
export const anybody: Rule = () => true;
/** A member of the project that owns the target. */
export const member: Rule = (caller, target) =>
  caller.roles.has("member") && caller.projectId !== undefined && caller.projectId === target.projectId;
export const reader: Rule = (caller, target) =>
  caller.roles.has("reader") && caller.projectId !== undefined && caller.projectId === target.projectId;
/** A member of the project that owns the network that the target stands on. */
export const networkOwner: Rule = (caller, target) =>
  caller.roles.has("member") && caller.projectId !== undefined && caller.projectId === target.network?.project_id;
export const networkReader: Rule = (caller, target) =>
  caller.roles.has("reader") && caller.projectId !== undefined && caller.projectId === target.network?.project_id;
/** A reader of a project that the target was given to (Neutron's `rule:shared` and its like). */
export const shared: Rule = (caller, target) =>
  caller.roles.has("reader") && target.sharedWith?.(caller.projectId) === true;
/** A reader of a project to which the network was given as external (Neutron's `rule:external`). */
export const external: Rule = (caller, target) =>
  caller.roles.has("reader") && target.externalTo?.(caller.projectId) === true;
/** `device_owner` of the platform's own ports is not for tenants. */
export const notNetworkDevice: Rule = (_caller, target) => !(target.deviceOwner ?? "").startsWith("network:");

export function anyOf(...rules: readonly Rule[]): Rule {
  return (caller, target) => rules.some((rule) => rule(caller, target));
}

export type WriteAction = "create" | "update";

export interface AttributeRule {
  readonly create?: Rule;
  readonly update?: Rule;
  /** Rules for the members of the attribute's items (`fixed_ips:ip_address`). */
  readonly members?: Readonly<Record<string, Omit<AttributeRule, "members">>>;
}

export interface Policy {
  readonly get: Rule;
  readonly create: Rule;
  readonly update: Rule;
  readonly delete: Rule;
  /** Attributes whose setting is checked besides the action, in the order in which Neutron names them. */
  readonly attributes: Readonly<Record<string, AttributeRule>>;
}

/** One rule by name, and those of its parts. */
interface Check {
  readonly text: string;
  readonly allowed: boolean;
}

/**
 * Checks a create or an update with the attributes that the caller really set (`given`: name → value).
 * Gives undefined when allowed, else the 403 whose message names every rule that was asked, as Neutron's does.
 */
export function checkWrite(
  policy: Policy,
  kind: string,
  action: WriteAction,
  caller: Caller,
  target: Target,
  given: ReadonlyMap<string, unknown>,
): SelvageError | undefined {
  const ask = (name: string, rule: Rule): Check => ({ text: `rule:${name}`, allowed: rule(caller, target) });
  let check = ask(`${action}_${kind}`, policy[action]);
  for (const [name, attribute] of Object.entries(policy.attributes)) {
    const rule = attribute[action];
    if (rule === undefined || !given.has(name)) continue;
    let own = ask(`${action}_${kind}:${name}`, rule);
    const members = membersOf(given.get(name));
    const parts = Object.entries(attribute.members ?? {}).flatMap(([part, each]) => {
      const partRule = each[action];
      return partRule === undefined || !members.has(part) ? [] : [ask(`${action}_${kind}:${name}:${part}`, partRule)];
    });
    if (parts.length > 0) own = and(own, and(...parts));
    check = and(check, own);
  }
  return check.allowed ? undefined : fail("PolicyNotAuthorized", { rule: check.text });
}

/** Checks a delete: undefined, or the 403. */
export function checkDelete(policy: Policy, kind: string, caller: Caller, target: Target): SelvageError | undefined {
  return policy.delete(caller, target) ? undefined : fail("PolicyNotAuthorized", { rule: `rule:delete_${kind}` });
}

function and(...checks: readonly Check[]): Check {
  return {
    text: `(${checks.map((check) => check.text).join(" and ")})`,
    allowed: checks.every((check) => check.allowed),
  };
}

function membersOf(value: unknown): ReadonlySet<string> {
  const items = Array.isArray(value) ? value : [value];
  return new Set(items.flatMap((item) => (typeof item === "object" && item !== null ? Object.keys(item) : [])));
}
