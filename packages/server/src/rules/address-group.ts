/**
 * Address groups: prefixes that rules of security groups name together (Networking v2.0, `/v2.0/address-groups`; extensions `address-group`,
 * `rbac-address-group`; neutron `AddressGroupDbMixin`).
 */
import { fail, pythonList, type SelvageError } from "@selvage/base";
import {
  AddressGroup,
  type AddressGroup as AddressGroupObject,
  accessAsShared,
  canonicalIp,
  InvalidValue,
  SecurityGroupRule,
  type View,
} from "@selvage/model";
import { invalidValue } from "../api/body.ts";
import { anyOf, type Caller, isAdmin, member, reader, shared } from "../api/policy.ts";
import { type ResourceRules, standardOf, type Values, type WriteAction, type Writing } from "./rules.ts";
import { isSharedWith, sharedObjects, sharingOf } from "./sharing.ts";

const owner = anyOf(isAdmin, member);

export const addressGroupRules: ResourceRules<typeof AddressGroup> = {
  resource: AddressGroup,
  path: "address-groups",
  notFound: (address_group_id) => fail("AddressGroupNotFound", { address_group_id }),
  policy: { get: anyOf(isAdmin, reader, shared), create: owner, update: owner, delete: owner, attributes: {} },
  target: (view, object) => ({
    projectId: String(object.project_id),
    sharedWith: sharingOf(view, "address_group", String(object.id)),
  }),
  alsoVisible: (view, caller) => sharedObjects(view, AddressGroup, "address_group", caller.projectId),
  sharing: {
    actions: [accessAsShared],
    users: (view, group) =>
      view.by(SecurityGroupRule.index.remote_address_group_id, group.id).map((rule) => rule.project_id),
    needed: (_group, target) => `project_id=${target}`,
  },
  computed: {},
  create: (writing, values) =>
    writing.transaction.put(AddressGroup, {
      ...standardOf(writing, values, 1),
      addresses: [...(values.addresses as readonly string[])].sort(),
      generation: 0,
    }),
  update: (writing, before, values) => writing.transaction.put(AddressGroup, { ...before, ...values }),
  remove: (writing, group, precondition) => {
    if (writing.transaction.view.exists(SecurityGroupRule.index.remote_address_group_id, group.id))
      throw fail("AddressGroupInUse", { address_group_id: group.id });
    precondition();
    writing.transaction.remove(AddressGroup, group.id);
  },
  actions: [
    addressAction("add_addresses", (group, given) => {
      const there = given.filter((each) => group.addresses.includes(each));
      if (there.length > 0)
        throw fail("AddressesAlreadyExist", { addresses: pythonList(there), address_group_id: group.id });
      return { ...group, addresses: checked([...group.addresses, ...given].sort()) };
    }),
    addressAction("remove_addresses", (group, given) => {
      const missing = given.filter((each) => !group.addresses.includes(each));
      if (missing.length > 0)
        throw fail("AddressesNotFound", { addresses: pythonList(missing), address_group_id: group.id });
      const addresses = group.addresses.filter((each) => !given.includes(each));
      // What was let in for an address that is gone is asked again: connections bear the generation that let them in.
      const generation = given.length === 0 ? group.generation : (group.generation + 1) & 0xffff;
      return { ...group, addresses, generation };
    }),
  ],
};

/** The group if the caller may see it. Throws AddressGroupNotFound, also for one that is another project's. */
export function visibleAddressGroup(view: View, caller: Caller, id: string): AddressGroupObject {
  const group = view.get(AddressGroup, id);
  if (group === undefined || !addressGroupRules.policy.get(caller, addressGroupRules.target(view, { ...group })))
    throw fail("AddressGroupNotFound", { address_group_id: id });
  return group;
}

/** `{"addresses": […]}` in; out the whole group, with what its other replies leave out. */
function addressAction(
  name: string,
  change: (group: AddressGroupObject, given: readonly string[]) => AddressGroupObject,
): WriteAction<AddressGroupObject> {
  return {
    name,
    method: "PUT",
    allowed: owner,
    read: (body) => {
      if (!("addresses" in body)) throw fail("BodyKeyMissing", { resource: "addresses" });
      const unknown = Object.keys(body).filter((key) => key !== "addresses");
      if (unknown.length > 0) throw fail("AttributesUnrecognized", { attributes: unknown.join(", ") });
      return { addresses: checked(prefixesOf(body.addresses)) };
    },
    run: (writing, group, values) => {
      const after = change(group, values.addresses as readonly string[]);
      return { body: { address_group: whole(writing, writing.transaction.put(AddressGroup, after)) } };
    },
  };
}

/** Addresses that are no prefixes stand for themselves; creation takes prefixes alone. */
const prefixesOf = (addresses: unknown): unknown =>
  Array.isArray(addresses)
    ? addresses.map((each: unknown) => {
        const address = typeof each === "string" ? canonicalIp(each) : undefined;
        return address === undefined ? each : `${address}/${address.includes(":") ? 128 : 32}`;
      })
    : addresses;

/** A list of prefixes in canonical form. Throws the 400 of what is none. */
function checked(addresses: unknown): readonly string[] {
  const { type } = AddressGroup.fields.addresses;
  try {
    return type.parse(addresses);
  } catch (error) {
    if (error instanceof InvalidValue) throw refused(addresses, error);
    throw error;
  }
}

const refused = (addresses: unknown, error: InvalidValue): SelvageError =>
  invalidValue("addresses", AddressGroup.fields.addresses.type.name, addresses, error);

function whole({ transaction, caller }: Writing, group: AddressGroupObject): Values {
  const { generation: _hidden, ...shown } = group;
  const isShared = isSharedWith(transaction.view, "address_group", group.id, caller.projectId);
  return { ...shown, tenant_id: group.project_id, shared: isShared };
}
