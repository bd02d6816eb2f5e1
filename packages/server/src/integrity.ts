/** What the declarations demand of every write: unique keys, references that exist, and what follows from a deletion. */
import { fail, type SelvageError } from "@selvage/base";
import {
  type AnyResource,
  type Change,
  type Index,
  keyOf,
  type Reference,
  resources,
  type StoredObject,
  type View,
} from "@selvage/model";
import type { Transaction } from "./transaction.ts";

type Attributes = Readonly<Record<string, unknown>>;

interface Referrer {
  readonly resource: AnyResource;
  readonly field: string;
  readonly reference: Reference;
}

const byKind: ReadonlyMap<string, AnyResource> = new Map(resources.map((resource) => [resource.kind, resource]));

/** Which fields refer to a kind. */
const referrers: ReadonlyMap<string, readonly Referrer[]> = new Map(
  resources.map((target) => [
    target.kind,
    resources.flatMap((resource) =>
      referencesOf(resource).flatMap(([field, reference]) => (reference.kind === target.kind ? [{ resource, field, reference }] : [])),
    ),
  ]),
);

/**
 * Checks what a transaction has written against the declarations, after adding what its deletions carry with them
 * (cascade, clear). Gives the whole list of changes; throws the error of the first violation.
 */
export function checkIntegrity(transaction: Transaction): readonly Change[] {
  const seen = new Set<string>();
  for (let open = deletions(transaction, seen); open.length > 0; open = deletions(transaction, seen)) {
    for (const { kind, id } of open) followDeletion(transaction, kind, id);
  }
  const changes = transaction.changes();
  for (const { kind, object } of changes) {
    const resource = byKind.get(kind);
    if (object === null || resource === undefined) continue;
    checkReferences(transaction.view, resource, object);
    checkUnique(transaction.view, resource, object);
  }
  return changes;
}

function deletions(transaction: Transaction, seen: Set<string>): readonly Change[] {
  return transaction.changes().filter(({ kind, id, object }) => {
    const key = keyOf(kind, id);
    if (object !== null || seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function followDeletion(transaction: Transaction, kind: string, id: string): void {
  for (const { resource, field, reference } of referrers.get(kind) ?? []) {
    const index = (resource.index as Readonly<Record<string, Index>>)[field];
    if (index === undefined || !transaction.view.exists(index, id)) continue;
    const held = transaction.view.by(index, id);
    switch (reference.onDelete) {
      case "refuse":
        throw inUse(kind, id, resource, held);
      case "cascade":
        for (const object of held) transaction.remove(resource, object.id);
        break;
      case "clear":
        for (const object of held) transaction.put(resource, cleared(object, field, id));
    }
  }
}

function cleared(object: StoredObject, field: string, id: string): StoredObject {
  const value = (object as StoredObject & Attributes)[field];
  const without = Array.isArray(value) ? value.filter((each) => each !== id) : "";
  return { ...object, [field]: without } as StoredObject;
}

function checkReferences(view: View, resource: AnyResource, object: StoredObject): void {
  for (const [field, reference] of referencesOf(resource)) {
    const target = byKind.get(reference.kind);
    if (target === undefined) continue;
    for (const id of idsOf((object as StoredObject & Attributes)[field])) {
      if (!view.has(target, id)) throw missing(reference.kind, id);
    }
  }
}

function checkUnique(view: View, resource: AnyResource, object: StoredObject): void {
  for (const index of Object.values(resource.index as Readonly<Record<string, Index>>)) {
    if (!index.unique) continue;
    for (const key of index.keys(object)) {
      const other = view.by(index, key).find((each) => each.id !== object.id);
      if (other !== undefined) throw notUnique(index.id, key, object);
    }
  }
}

function referencesOf(resource: AnyResource): readonly (readonly [string, Reference])[] {
  const fields = resource.fields as Readonly<Record<string, { readonly references?: Reference }>>;
  return Object.entries(fields).flatMap(([name, { references }]) => (references === undefined ? [] : [[name, references] as const]));
}

function idsOf(value: unknown): readonly string[] {
  if (typeof value === "string") return value === "" ? [] : [value];
  return Array.isArray(value) ? value.filter((each): each is string => typeof each === "string") : [];
}

function missing(kind: string, id: string): SelvageError {
  switch (kind) {
    case "network":
      return fail("NetworkNotFound", { id: id });
    case "subnet":
      return fail("SubnetNotFound", { id: id });
    case "port":
      return fail("PortNotFound", { id: id });
    case "host":
      return fail("HostNotFound", { id });
    default:
      return fail("IdentityNotFound", { kind, id });
  }
}

function inUse(kind: string, id: string, resource: AnyResource, held: readonly StoredObject[]): SelvageError {
  const ids = held.map((object) => object.id).join(",");
  switch (kind) {
    case "network":
      return fail("NetworkInUse", { net_id: id, ports: ids });
    case "subnet":
      return fail("SubnetInUse", { subnet_id: id, reason: `One or more ${resource.plural} refer to it.` });
    case "project":
      return fail("IdentityConflict", { kind: "project", details: `it still owns ${held.length} ${resource.plural}` });
    default:
      return fail("IdentityConflict", { kind, details: `${resource.plural} ${ids} refer to it` });
  }
}

/** The error of each declared unique key; an object's wire fields name what clashed. */
function notUnique(indexId: string, key: string, object: StoredObject): SelvageError {
  const fields = object as StoredObject & Attributes;
  switch (indexId) {
    case "port.networkMac":
      return fail("MacAddressInUse", { net_id: String(fields["network_id"]), mac: String(fields["mac_address"]) });
    case "port.address": {
      const [subnet_id = "", ip = ""] = key.split("|");
      return fail("IpAddressAlreadyAllocated", { ip, subnet_id });
    }
    case "network.segment":
      return fail("TunnelIdInUse", { tunnel_id: key });
    case "host.name":
    case "host.tunnelIp":
      return fail("HostExists", { host: key });
    case "project.name":
      return fail("IdentityConflict", { kind: "project", details: `Duplicate entry found with name ${key}` });
    case "user.name":
      return fail("IdentityConflict", { kind: "user", details: `Duplicate entry found with name ${key}` });
    default:
      // A key that the server allocates: the allocator reads it through the view, so two holders are a fault of ours.
      return fail("Internal", {}, { cause: new Error(`${indexId} holds ${key} twice`) });
  }
}
