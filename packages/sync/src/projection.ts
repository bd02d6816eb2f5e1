/**
 * What of an object a host gets to see: the fields that its declaration projects, more of them for a port bound to that host, and nothing
 * else (no names, descriptions or device ids of anybody's ports). Derived from the declarations alone.
 */
import { createHash } from "node:crypto";
import {
  AddressGroup,
  AddressScope,
  type AnyResource,
  BgpPeer,
  BgpSpeaker,
  type Field,
  FloatingIp,
  Host,
  HostGateway,
  NatLease,
  NdpProxy,
  Network,
  Port,
  PortForwarding,
  Router,
  SecurityGroup,
  SecurityGroupRule,
  SecurityGroupSet,
  Segment,
  type StoredObject,
  Subnet,
  Subnetpool,
} from "@selvage/model";

/** The kinds that hosts get, in the order in which a view is best loaded. */
export const projectedResources: readonly AnyResource[] = Object.freeze([
  Host,
  Network,
  Segment,
  AddressScope,
  Subnetpool,
  Subnet,
  Router,
  SecurityGroup,
  SecurityGroupRule,
  AddressGroup,
  SecurityGroupSet,
  Port,
  FloatingIp,
  PortForwarding,
  NdpProxy,
  NatLease,
  BgpPeer,
  BgpSpeaker,
  HostGateway,
]);

const fieldsOf = (resource: AnyResource, includeLocal: boolean): readonly string[] =>
  Object.entries<Field>(resource.fields)
    .filter(([, field]) => field.projected === "all" || (includeLocal && field.projected === "local"))
    .map(([name]) => name);

const plans = new Map(
  projectedResources.map((resource) => [
    resource.kind,
    { near: fieldsOf(resource, true), far: fieldsOf(resource, false) },
  ]),
);

/** Whether two hosts may get different projections of objects of this kind. */
export const dependsOnHost = (kind: string): boolean => plans.get(kind)?.near.length !== plans.get(kind)?.far.length;

/** Whether an object is the host's own, which shows it more of it. */
export const isLocal = (kind: string, object: StoredObject, hostName: string): boolean =>
  kind === Port.kind && (object as Port)["binding:host_id"] === hostName;

/** Cuts an object down to what `near` (its own) or `far` hosts see. Throws on a kind that is not projected. */
export function project(kind: string, object: StoredObject, distance: "near" | "far"): StoredObject {
  const plan = plans.get(kind);
  if (plan === undefined) throw new TypeError(`objects of kind ${kind} are not projected to hosts`);
  const source = object as unknown as Readonly<Record<string, unknown>>;
  const cut: Record<string, unknown> = {};
  for (const name of plan[distance]) if (source[name] !== undefined) cut[name] = source[name];
  // `id` is projected in every plan: a test holds it.
  return cut as unknown as StoredObject;
}

/** Changes whenever a projection's fields do: objects that were cut by another one are not held. */
export const projectionFingerprint: string = createHash("sha256")
  .update(JSON.stringify([...plans]))
  .digest("hex")
  .slice(0, 16);
