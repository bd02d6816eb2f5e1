/**
 * What a project may see of what others own: RBAC policies that say `access_as_shared`, looked up by exact keys (Neutron's `rbac_db`). `shared` of every
 * resource, who may use it, and what lists show beside a project's own all come from here.
 */
import {
  type AnyResource,
  aboutOf,
  accessAsShared,
  everyProject,
  grantKey,
  keyOf,
  type ObjectOf,
  RbacPolicy,
  type ShareableKind,
  type View,
} from "@selvage/model";
import type { Caller } from "../api/policy.ts";
import type { Writing } from "./rules.ts";

/** Whether a project was given the object: by a policy for it, or by one for every project. No project (an unscoped token) has what every project has. */
export function isSharedWith(
  view: View,
  kind: ShareableKind,
  id: string,
  projectId: string | undefined,
  action: string = accessAsShared,
): boolean {
  return (
    view.exists(RbacPolicy.index.grant, grantKey(kind, id, everyProject, action)) ||
    (projectId !== undefined && view.exists(RbacPolicy.index.grant, grantKey(kind, id, projectId, action)))
  );
}

/** What a policy's target asks of an object: with whom it is shared. */
export function sharingOf(
  view: View,
  kind: ShareableKind,
  id: string,
  action: string = accessAsShared,
): (projectId: string | undefined) => boolean {
  return (projectId) => isSharedWith(view, kind, id, projectId, action);
}

/** `shared`, as the caller sees it: true for whom it was given to; its owner sees true only when everybody, or it itself, is among them. */
export function sharedField(kind: ShareableKind) {
  return (object: { readonly id: string }, { view }: { readonly view: View }, caller: Caller): boolean =>
    isSharedWith(view, kind, object.id, caller.projectId);
}

/** The objects of a kind that a project was given, each once. */
export function* sharedObjects<R extends AnyResource>(
  view: View,
  resource: R,
  kind: ShareableKind,
  projectId: string | undefined,
  actions: readonly string[] = [accessAsShared],
): Iterable<ObjectOf<R>> {
  const seen = new Set<string>();
  const targets = projectId === undefined ? [everyProject] : [everyProject, projectId];
  for (const policy of targets.flatMap((target) => view.by(RbacPolicy.index.given, keyOf(kind, target)))) {
    if (!actions.includes(policy.action)) continue;
    for (const { id } of aboutOf(policy)) {
      if (seen.has(id)) continue;
      seen.add(id);
      const object = view.get(resource, id);
      if (object !== undefined) yield object;
    }
  }
}

/** Whom an object was given to: project ids, and `*`. */
export function sharedTargets(
  view: View,
  kind: ShareableKind,
  id: string,
  action: string = accessAsShared,
): ReadonlySet<string> {
  const policies = view.by(RbacPolicy.index[`${kind}_id`], id);
  return new Set(policies.filter((policy) => policy.action === action).map(({ target_tenant }) => target_tenant));
}

/**
 * Whether one of the projects that use the object would lose it with the policy for `target`. Its owner never does, nor does who has it by another policy.
 */
export function isNeeded(
  view: View,
  kind: ShareableKind,
  object: { readonly id: string; readonly project_id: string },
  target: string,
  users: Iterable<string>,
  action: string = accessAsShared,
): boolean {
  const rest = new Set(sharedTargets(view, kind, object.id, action));
  rest.delete(target);
  rest.add(object.project_id);
  if (rest.has(everyProject)) return false;
  for (const user of users) if ((target === everyProject || target === user) && !rest.has(user)) return true;
  return false;
}

/** Gives an object to a target, with `access_as_shared` unless told, as the owner of the policy says. */
export function share(
  { transaction }: Pick<Writing, "transaction">,
  kind: ShareableKind,
  object: { readonly id: string; readonly project_id: string },
  target: string = everyProject,
  action: string = accessAsShared,
): RbacPolicy {
  return transaction.put(RbacPolicy, {
    ...aboutNothing,
    id: transaction.newId(),
    project_id: object.project_id,
    [`${kind}_id`]: object.id,
    action,
    target_tenant: target,
  });
}

/** A policy's references, before one of them is set. */
export const aboutNothing = {
  network_id: null,
  security_group_id: null,
  address_scope_id: null,
  subnetpool_id: null,
  address_group_id: null,
} as const satisfies Readonly<Record<`${ShareableKind}_id`, null>>;

/** Takes back what every project was given. */
export function unshare({ transaction }: Pick<Writing, "transaction">, kind: ShareableKind, id: string): void {
  for (const policy of transaction.view.by(RbacPolicy.index.grant, grantKey(kind, id, everyProject)))
    transaction.remove(RbacPolicy, policy.id);
}
