/** The errors of what a write must not leave behind: what the model finds (unique keys, references), in the words of the APIs. */
import { fail, type SelvageError } from "@selvage/base";
import {
  type AnyResource,
  type Change,
  type DeletionPlan,
  deletionPlan,
  resources,
  type StoredObject,
  type View,
  type Violation,
  violationsOf,
} from "@selvage/model";

type Attributes = Readonly<Record<string, unknown>>;

const byKind: ReadonlyMap<string, AnyResource> = new Map(resources.map((resource) => [resource.kind, resource]));

/** Throws the error of the first thing that the changes (already in the view) break. */
export function checkIntegrity(view: View, changes: readonly Change[]): void {
  const [violation] = violationsOf(view, changes);
  if (violation !== undefined) throw errorOf(view, violation);
}

/** What goes when an object goes. Throws the error of the first reference that stands in the way. */
export function deletionOf(view: View, resource: AnyResource, id: string): readonly Change[] {
  const plan = deletionPlan(view, resource, id);
  switch (plan.outcome) {
    case "planned":
      return plan.changes;
    case "refused":
      throw inUse(resource.kind, id, plan);
  }
}

function errorOf(view: View, violation: Violation): SelvageError {
  const { kind, id } = violation.object;
  switch (violation.violation) {
    case "dangling":
      return missing(violation.target.kind, violation.target.id);
    case "taken": {
      const resource = byKind.get(kind);
      const object: StoredObject | undefined = resource === undefined ? undefined : view.get(resource, id);
      return notUnique(`${kind}.${violation.index}`, violation.key, (object ?? { id }) as StoredObject & Attributes);
    }
  }
}

function missing(kind: string, id: string): SelvageError {
  switch (kind) {
    case "network":
      return fail("NetworkNotFound", { id });
    case "subnet":
      return fail("SubnetNotFound", { id });
    case "segment":
      return fail("SegmentNotFound", { segment_id: id });
    case "port":
      return fail("PortNotFound", { id });
    case "host":
      return fail("HostNotFound", { id });
    case "subnetpool":
      return fail("SubnetPoolNotFound", { subnetpool_id: id });
    case "address_scope":
      return fail("AddressScopeNotFound", { address_scope_id: id });
    case "security_group":
      return fail("SecurityGroupNotFound", { id });
    case "address_group":
      return fail("AddressGroupNotFound", { address_group_id: id });
    default:
      return fail("IdentityNotFound", { kind, id });
  }
}

function inUse(kind: string, id: string, { refusedBy }: Extract<DeletionPlan, { outcome: "refused" }>): SelvageError {
  const holders = [...new Set(refusedBy.map(({ holder }) => holder.id))].sort();
  const kinds = [...new Set(refusedBy.map(({ holder }) => byKind.get(holder.kind)?.plural ?? holder.kind))]
    .sort()
    .join(", ");
  switch (kind) {
    case "network":
      return fail("NetworkInUse", { net_id: id, ports: holders.join(",") });
    case "subnet":
      return fail("SubnetInUse", { subnet_id: id, reason: `${holders.length} ${kinds} refer to it.` });
    case "subnetpool":
      return fail("SubnetPoolDeleteError", { reason: "Subnet pool has existing allocations" });
    case "address_scope":
      return fail("AddressScopeInUse", { address_scope_id: id });
    case "security_group":
      return fail("SecurityGroupInUse", { id });
    case "address_group":
      return fail("AddressGroupInUse", { address_group_id: id });
    default:
      return fail("IdentityConflict", { kind, details: `it still has ${holders.length} ${kinds}` });
  }
}

/** The error of each declared unique key; the object's wire fields name what clashed. */
function notUnique(index: string, key: string, object: Attributes): SelvageError {
  switch (index) {
    case "port.networkMac":
      return fail("MacAddressInUse", { net_id: String(object.network_id), mac: String(object.mac_address) });
    case "port.address": {
      const [subnet_id = "", ip = ""] = key.split("|");
      return fail("IpAddressAlreadyAllocated", { ip, subnet_id });
    }
    case "rbac_policy.grant":
      return fail("DuplicateRbacPolicy");
    case "segment.place": {
      const [type = "", physical_network, vlan_id = ""] = key.split("|");
      if (physical_network === undefined) return fail("TunnelIdInUse", { tunnel_id: key });
      return type === "vlan"
        ? fail("VlanIdInUse", { vlan_id, physical_network })
        : fail("FlatNetworkInUse", { physical_network });
    }
    case "host.name":
    case "host.tunnelIp":
      return fail("HostExists", { host: key });
    case "project.name":
      return fail("IdentityConflict", { kind: "project", details: `Duplicate entry found with name ${key}` });
    case "user.name":
      return fail("IdentityConflict", { kind: "user", details: `Duplicate entry found with name ${key}` });
    default:
      // A key that the server allocates: the allocator reads it through the view, so two holders are a fault of ours.
      return fail("Internal", {}, { cause: new Error(`${index} holds ${key} twice`) });
  }
}
