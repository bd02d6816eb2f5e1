/** The resources of the Networking API, in the order in which `/v2.0/` lists them. */
import { addressGroupRules } from "./address-group.ts";
import { addressScopeRules } from "./address-scope.ts";
import { agentRules } from "./agent.ts";
import { bgpPeerRules } from "./bgp-peer.ts";
import { bgpSpeakerRules } from "./bgp-speaker.ts";
import { floatingIpRules } from "./floating-ip.ts";
import { floatingIpPoolRules } from "./floating-ip-pool.ts";
import { ipAvailabilityRules } from "./ip-availability.ts";
import { ndpProxyRules } from "./ndp-proxy.ts";
import { networkRules } from "./network.ts";
import { portRules } from "./port.ts";
import { portForwardingRules } from "./port-forwarding.ts";
import { rbacPolicyRules } from "./rbac-policy.ts";
import { routerRules } from "./router.ts";
import { pathOf, type ResourceRules } from "./rules.ts";
import { securityGroupRules } from "./security-group.ts";
import { securityGroupRuleRules } from "./security-group-rule.ts";
import { segmentRules } from "./segment.ts";
import { segmentRangeRules } from "./segment-range.ts";
import { serviceProviderRules } from "./service-provider.ts";
import { subnetRules } from "./subnet.ts";
import { subnetpoolRules } from "./subnetpool.ts";
import { availabilityZoneRules } from "./zones.ts";

/** A resource of which only the common part matters: its own object type is known to its own rules alone. */
export type AnyRules = ResourceRules;

// Each rules object is handed only objects of its own resource, by whoever looks it up here.
const ownRules = [
  networkRules,
  subnetRules,
  addressScopeRules,
  subnetpoolRules,
  portRules,
  securityGroupRules,
  securityGroupRuleRules,
  addressGroupRules,
  routerRules,
  floatingIpRules,
  ndpProxyRules,
  floatingIpPoolRules,
  bgpSpeakerRules,
  bgpPeerRules,
  agentRules,
  availabilityZoneRules,
  ipAvailabilityRules,
  segmentRangeRules,
  segmentRules,
  serviceProviderRules,
] as unknown as readonly AnyRules[];

export const networkingRules: readonly AnyRules[] = [...ownRules, rbacPolicyRules(ownRules) as unknown as AnyRules];

/** A collection under each object of another: `/v2.0/{parent}/{id}/{collection}`. */
export interface ChildRules {
  readonly parent: AnyRules;
  readonly rules: AnyRules;
  /** The field that names the parent; the index of its own name finds a parent's children. */
  readonly field: string;
}

export const childRules: readonly ChildRules[] = [
  {
    parent: floatingIpRules as unknown as AnyRules,
    rules: portForwardingRules as unknown as AnyRules,
    field: "floatingip_id",
  },
];

const underscored = (path: string): string => path.replaceAll("-", "_");

const byPath: ReadonlyMap<string, AnyRules> = new Map(
  networkingRules.map((rules) => [underscored(pathOf(rules)), rules]),
);

/** The rules of a collection as a URL names it (`networks`, `security-groups`, `security_groups`), if it is one of ours. Clients write either. */
export function rulesOf(path: string): AnyRules | undefined {
  return byPath.get(underscored(path));
}
