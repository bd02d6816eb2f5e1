/** Address scopes: who may use which, and when they may go (Networking v2.0, `/v2.0/address-scopes`; extension `address-scope`). */
import { fail } from "@selvage/base";
import {
  AddressScope,
  type AddressScope as AddressScopeObject,
  accessAsShared,
  Subnetpool,
  type View,
} from "@selvage/model";
import { pickScopeKey } from "../allocate.ts";
import { anyOf, type Caller, isAdmin, member, reader, shared } from "../api/policy.ts";
import { ownerOf, type ResourceRules } from "./rules.ts";
import { isSharedWith, share, sharedField, sharedObjects, sharingOf } from "./sharing.ts";

export const addressScopeRules: ResourceRules<typeof AddressScope> = {
  resource: AddressScope,
  path: "address-scopes",
  notFound: (address_scope_id) => fail("AddressScopeNotFound", { address_scope_id }),
  policy: {
    get: anyOf(isAdmin, reader, shared),
    create: anyOf(isAdmin, member),
    update: anyOf(isAdmin, member),
    delete: anyOf(isAdmin, member),
    attributes: { shared: { create: isAdmin, update: isAdmin } },
  },
  target: (view, object) => ({
    projectId: String(object.project_id),
    sharedWith: sharingOf(view, "address_scope", String(object.id)),
  }),
  alsoVisible: (view, caller) => sharedObjects(view, AddressScope, "address_scope", caller.projectId),
  sharing: {
    actions: [accessAsShared],
    users: (view, scope) => view.by(Subnetpool.index.address_scope_id, scope.id).map((pool) => pool.project_id),
    needed: (_scope, target) => `project_id=${target}`,
  },
  computed: { shared: sharedField("address_scope") },
  create: (writing, values) => {
    const scope = writing.transaction.put(AddressScope, {
      id: writing.transaction.newId(),
      project_id: ownerOf(writing, values),
      name: String(values.name),
      ip_version: values.ip_version === 6 ? 6 : 4,
      key: pickScopeKey(writing.transaction),
    });
    if (values.shared === true) share(writing, "address_scope", scope);
    return scope;
  },
  update: (writing, before, values) => {
    const { shared: wanted, ...rest } = values;
    const isShared = isSharedWith(writing.transaction.view, "address_scope", before.id, undefined);
    if (isShared && wanted === false) {
      throw fail("AddressScopeUpdateError", {
        address_scope_id: before.id,
        reason: "Shared address scope can't be unshared",
      });
    }
    if (!isShared && wanted === true) share(writing, "address_scope", before);
    return writing.transaction.put(AddressScope, { ...before, ...rest });
  },
  remove: (writing, scope, precondition) => {
    if (writing.transaction.view.exists(Subnetpool.index.address_scope_id, scope.id))
      throw fail("AddressScopeInUse", { address_scope_id: scope.id });
    precondition();
    writing.transaction.remove(AddressScope, scope.id);
  },
};

/** The scope if the caller may see it. Throws AddressScopeNotFound, also for one that is another project's. */
export function visibleScope(view: View, caller: Caller, id: string): AddressScopeObject {
  const scope = view.get(AddressScope, id);
  if (scope === undefined || !addressScopeRules.policy.get(caller, addressScopeRules.target(view, { ...scope })))
    throw fail("AddressScopeNotFound", { address_scope_id: id });
  return scope;
}
