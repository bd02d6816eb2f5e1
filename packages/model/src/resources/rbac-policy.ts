/** Who besides its owner may use an object (Networking v2.0, `/v2.0/rbac-policies`; extensions `rbac-policies`, `rbac-*`). */
import { alias, computed, field, reference } from "../fields.ts";
import { keyOf, type ObjectOf, resource, type StoredObject } from "../resource.ts";
import { nullable, text, uuid } from "../types.ts";

/** What a policy may be about. */
export const shareableKinds = ["network", "security_group", "address_scope", "subnetpool", "address_group"] as const;
export type ShareableKind = (typeof shareableKinds)[number];

/** The action that lets a project see an object and use it. */
export const accessAsShared = "access_as_shared";

/** The action that makes a network external, and lets a project put gateways and floating IPs on it. */
export const accessAsExternal = "access_as_external";

/** As `target_tenant`: every project. */
export const everyProject = "*";

/** The policy goes with what it is about. */
const about = <K extends ShareableKind>(kind: K) =>
  reference(nullable(uuid()), kind, "cascade", { readers: "hidden", default: null });

export const RbacPolicy = resource({
  kind: "rbac_policy",
  plural: "rbac_policies",
  fields: {
    id: field(uuid(), { filter: true }),
    project_id: reference(text(255), "project", "refuse", { create: "optional", filter: true }),
    tenant_id: alias(text(255), "project_id", { create: "optional", filter: true }),
    /** Kind and id of the one that is set below. */
    object_type: computed(text(255), { create: "required", filter: true }),
    object_id: computed(uuid(), { create: "required", filter: true }),
    network_id: about("network"),
    security_group_id: about("security_group"),
    address_scope_id: about("address_scope"),
    subnetpool_id: about("subnetpool"),
    address_group_id: about("address_group"),
    action: field(text(255), { create: "required", filter: true }),
    /** A project's id, or `*`. */
    target_tenant: field(text(255), { create: "required", update: "allowed", filter: true }),
  },
  /** kind|target: what a project was given of a kind. */
  indexes: { given: (policy) => aboutOf(policy).map(({ kind }) => keyOf(kind, policy.target_tenant)) },
  /** kind|object|action|target. */
  unique: {
    grant: (policy) => aboutOf(policy).map(({ kind, id }) => grantKey(kind, id, policy.target_tenant, policy.action)),
  },
});
export type RbacPolicy = ObjectOf<typeof RbacPolicy>;

/** Under which a grant stands. */
export function grantKey(kind: ShareableKind, id: string, target: string, action: string = accessAsShared): string {
  return keyOf(kind, id, action, target);
}

/** The one object that a policy is about, as a list of one. */
export function aboutOf(policy: StoredObject): readonly { readonly kind: ShareableKind; readonly id: string }[] {
  const fields = policy as StoredObject & { readonly [K in `${ShareableKind}_id`]?: string | null };
  return shareableKinds.flatMap((kind) => {
    const id = fields[`${kind}_id`];
    return id === undefined || id === null ? [] : [{ kind, id }];
  });
}
