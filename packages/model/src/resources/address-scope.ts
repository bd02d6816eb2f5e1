/** A space in which addresses are unique (Networking v2.0, `/v2.0/address-scopes`; extension `address-scope`). */
import { alias, computed, field, reference } from "../fields.ts";
import { type ObjectOf, resource } from "../resource.ts";
import { boolean, integer, oneOf, text, uuid } from "../types.ts";

/** Scopes' numbers take 24 bits of a packet's memory; 0 is no scope. */
export const scopeKeys = { first: 1, last: 0xffffff } as const;

export const AddressScope = resource({
  kind: "address_scope",
  plural: "address_scopes",
  fields: {
    id: field(uuid(), { filter: true, sort: true, projected: "all" }),
    project_id: reference(text(255), "project", "refuse", { create: "optional", filter: true, sort: true }),
    tenant_id: alias(text(255), "project_id", { create: "optional", filter: true, sort: true }),
    name: field(text(255), { create: "optional", update: "allowed", default: "", filter: true, sort: true }),
    ip_version: field(oneOf([4, 6]), { create: "required", filter: true, sort: true }),
    /** Whether an RBAC policy lets the project that asks use it. */
    shared: computed(boolean(), {
      create: "optional",
      update: "allowed",
      writers: "admin",
      default: false,
      filter: true,
      sort: true,
    }),
    key: field(integer(scopeKeys.first, scopeKeys.last), { readers: "hidden", projected: "all" }),
  },
  unique: { key: (scope) => [String(scope.key)] },
});
export type AddressScope = ObjectOf<typeof AddressScope>;
