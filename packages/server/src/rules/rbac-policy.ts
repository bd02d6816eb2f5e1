/** RBAC policies: who gives what to whom, and when it can be taken back (Networking v2.0, `/v2.0/rbac-policies`; neutron `rbac_db_mixin`). */
import { fail, pythonString, type SelvageError } from "@selvage/base";
import {
  aboutOf,
  everyProject,
  RbacPolicy,
  type RbacPolicy as RbacPolicyObject,
  type ShareableKind,
  type StoredObject,
  type View,
} from "@selvage/model";
import { anybody, anyOf, isAdmin, member, type Rule, reader } from "../api/policy.ts";
import { ownerOf, type ResourceRules, type Values, type Writing } from "./rules.ts";
import { aboutNothing, isNeeded } from "./sharing.ts";

type Owned = StoredObject & { readonly project_id: string } & Values;

const owner = anyOf(isAdmin, member);
const notEverybody: Rule = (_caller, target) => target.sharee !== everyProject;
/** Only an admin gives to every project. */
const restrictWildcard = anyOf(isAdmin, notEverybody);

/** `shareable`: the resources among which those are that declare how they are shared. */
export function rbacPolicyRules(shareable: readonly ResourceRules[]): ResourceRules<typeof RbacPolicy> {
  const byKind = new Map(
    shareable.flatMap((rules) => (rules.sharing === undefined ? [] : [[rules.resource.kind, rules] as const])),
  );

  /** What a stored policy is about, with the rules of its kind. */
  const subjectOf = (view: View, policy: RbacPolicyObject) => {
    const [about] = aboutOf(policy);
    const rules = about === undefined ? undefined : byKind.get(about.kind);
    const object: StoredObject | undefined =
      rules === undefined ? undefined : view.get(rules.resource, about?.id ?? "");
    if (about === undefined || rules?.sharing === undefined || object === undefined)
      throw new Error(`RBAC policy ${policy.id} is about nothing`);
    return { kind: about.kind, sharing: rules.sharing, object: object as Owned };
  };

  /** Throws when a project would lose what it uses. `instead`: whom the object is given to in its place; who has it then does not lose it. */
  const checkUnneeded = (view: View, policy: RbacPolicyObject, instead?: string): void => {
    const { kind, sharing, object } = subjectOf(view, policy);
    const { action, target_tenant } = policy;
    const kept = sharing.kept?.(object, target_tenant, action);
    if (kept !== undefined) throw fail("RbacPolicyInUse", { object_id: object.id, details: kept });
    if (instead === everyProject) return;
    const users = [...sharing.users(view, object, action)].filter((user) => user !== instead);
    if (!isNeeded(view, kind, object, target_tenant, users, action)) return;
    const details = sharing.needed(object, target_tenant, action);
    throw fail("RbacPolicyInUse", { object_id: object.id, details });
  };

  return {
    resource: RbacPolicy,
    path: "rbac-policies",
    notFound: (policy_id) => fail("RbacPolicyNotFound", { object_type: "unknown", policy_id }),
    policy: {
      get: anyOf(isAdmin, reader),
      create: owner,
      update: owner,
      delete: owner,
      attributes: {
        object_type: { create: anybody },
        object_id: { create: anybody },
        target_tenant: { create: restrictWildcard, update: restrictWildcard },
        action: { create: anybody },
      },
    },
    target: (_view, object) => ({ projectId: String(object.project_id), sharee: String(object.target_tenant) }),
    computed: {
      object_type: (policy) => aboutOf(policy)[0]?.kind,
      object_id: (policy) => aboutOf(policy)[0]?.id,
    },
    create: (writing, values) => {
      const type = String(values.object_type);
      const rules = byKind.get(type);
      if (rules?.sharing === undefined)
        throw fail("InvalidInput", { error_message: `${pythonString(type)} is not a valid RBAC object type` });
      const target_tenant = String(values.target_tenant);
      const action = checkedAction(type, rules.sharing.actions, String(values.action));
      const object = sharedBy(writing, rules, String(values.object_id));
      rules.sharing.check?.(writing.transaction.view, object, target_tenant);
      touch(writing, rules, object);
      const policy = writing.transaction.put(RbacPolicy, {
        ...aboutNothing,
        id: writing.transaction.newId(),
        project_id: ownerOf(writing, values),
        // Only shareable kinds declare how they are shared.
        [`${type as ShareableKind}_id`]: object.id,
        action,
        target_tenant,
      });
      rules.sharing.settle?.(writing, object);
      return policy;
    },
    update: (writing, before, values) => {
      const { view } = writing.transaction;
      const target_tenant = String(values.target_tenant ?? before.target_tenant);
      if (target_tenant !== before.target_tenant) {
        checkUnneeded(view, before, target_tenant);
        const { sharing, object } = subjectOf(view, before);
        sharing.check?.(view, object, target_tenant);
      }
      return writing.transaction.put(RbacPolicy, { ...before, target_tenant });
    },
    remove: (writing, policy, precondition) => {
      checkUnneeded(writing.transaction.view, policy);
      precondition();
      const { sharing, object } = subjectOf(writing.transaction.view, policy);
      writing.transaction.remove(RbacPolicy, policy.id);
      sharing.settle?.(writing, object);
    },
  };
}

/** Throws InvalidActionForType for one that a kind has not. */
function checkedAction(type: string, actions: readonly string[], action: string): string {
  if (actions.includes(action)) return action;
  const names = actions.map(pythonString);
  const valid_actions = names.length === 1 ? `(${names[0]},)` : `(${names.join(", ")})`;
  throw fail("InvalidActionForType", { action, object_type: type, valid_actions });
}

/** The object if the caller may give it away. What it may not see is not there for it. */
function sharedBy({ transaction, caller }: Writing, rules: ResourceRules, id: string): Owned {
  const object: StoredObject | undefined = transaction.view.get(rules.resource, id);
  const { kind } = rules.resource;
  const refused = (error_message: string): SelvageError => fail("InvalidInput", { error_message });
  const target = object === undefined ? undefined : rules.target(transaction.view, object as Owned);
  if (object === undefined || target === undefined || !rules.policy.get(caller, target))
    throw refused(rules.notFound(id).message.replace(/\.$/, ""));
  if (!isAdmin(caller, target) && target.projectId !== caller.projectId) {
    const what = kind === "network" ? "networks" : "objects";
    throw refused(`Only admins can manipulate policies on ${what} they do not own`);
  }
  return object as Owned;
}

/** A change of who may use an object is a change of the object, where it counts its changes. */
function touch({ transaction }: Writing, { resource }: ResourceRules, object: StoredObject): void {
  if ("revision_number" in object) transaction.put(resource, object);
}
