/** Builders for a declaration's fields: each starts closed (not writable, not filtered, not projected) and is opened by name. */
import type { Field, OnDelete, ProjectedTo, Reference } from "./resource.ts";
import { boolean, type FieldType, integer, list, oneOf, text, timestamp, uuid } from "./types.ts";

interface Opened {
  readonly create?: "optional" | "required" | "refused";
  readonly update?: "allowed" | "refused";
  readonly readers?: "all" | "admin" | "hidden";
  readonly writers?: "owner" | "admin";
  readonly filter?: boolean;
  readonly sort?: boolean;
  readonly projected?: ProjectedTo;
}

interface StoredValues<T> {
  readonly default?: T;
  readonly earlier?: T;
}

const closed = {
  create: "refused",
  update: "refused",
  readers: "all",
  writers: "owner",
  filter: false,
  sort: false,
  projected: "none",
} as const;

/** A stored field. */
export function field<T>(type: FieldType<T>, opened: Opened & StoredValues<T> = {}): Field<T, "stored"> {
  return { ...closed, ...opened, type, mode: "stored" };
}

/** A stored field that names another object, or several (a list). Gets an index of its own name. */
export function reference<T>(
  type: FieldType<T>,
  kind: string,
  onDelete: OnDelete,
  opened: Opened & StoredValues<T> = {},
): Field<T, "stored"> & { readonly references: Reference } {
  return { ...closed, ...opened, type, mode: "stored", references: { kind, onDelete } };
}

/** A field made when the object is read (`status`, `subnets`): never stored, never written. */
export function computed<T>(type: FieldType<T>, opened: Opened & { readonly default?: T } = {}): Field<T, "computed"> {
  return { ...closed, ...opened, type, mode: "computed" };
}

/** What a POST may say to the resource's rules, and a PUT where it is opened for it, and no reply shows (`prefixlen`). */
export function input<T>(
  type: FieldType<T>,
  opened: Pick<Opened, "update"> & { readonly default?: T } = {},
): Field<T, "input"> {
  return { ...closed, create: "optional", ...opened, type, mode: "input" };
}

/** Another name for a stored field. */
export function alias<T>(type: FieldType<T>, of: string, opened: Opened = {}): Field<T, "alias"> {
  return { ...closed, ...opened, type, mode: "alias", aliasOf: of };
}

/** Id, owner, name, description, revision and times: what Neutron calls the standard attributes. */
export function standardFields() {
  return {
    id: field(uuid(), { filter: true, sort: true, projected: "all" }),
    project_id: reference(text(255), "project", "refuse", { create: "optional", filter: true, sort: true }),
    tenant_id: alias(text(255), "project_id", { create: "optional", filter: true, sort: true }),
    name: field(text(255), { create: "optional", update: "allowed", default: "", filter: true, sort: true }),
    description: field(text(255), { create: "optional", update: "allowed", default: "", filter: true }),
    revision_number: field(integer(0, Number.MAX_SAFE_INTEGER), { filter: true }),
    created_at: field(timestamp()),
    updated_at: field(timestamp()),
  } as const;
}

/** Words that its owner puts on an object, in order and each once: written by routes of their own (`standard-attr-tag`). */
export const tags = field(list(text(255)), { default: [] });

/** The standard attributes of what can be tagged. */
export function taggedFields() {
  return { ...standardFields(), tags } as const;
}

export const adminStateUp = field(boolean(), {
  create: "optional",
  update: "allowed",
  default: true,
  filter: true,
  sort: true,
  projected: "all",
});

export const status = computed(oneOf(["ACTIVE", "DOWN"]), { filter: true, sort: true });
