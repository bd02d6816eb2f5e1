/** The model's face: declarations, address types, the View and what derives from it. */
export * from "./address/mod.ts";
export { completed } from "./completed.ts";
export * from "./derivation.ts";
export {
  type AskedDhcpOption,
  type DhcpOptionAsked,
  type DhcpOptionValue,
  dhcpOptionOf,
  type ExtraDhcpOption,
  mergedDhcpOptions,
  mostDhcpOptions,
  nextServerCode,
} from "./dhcp-options.ts";
export {
  addressLabel,
  addressOfLabel,
  type DnsAssignment,
  defaultDomain,
  dnsAssignment,
  dnsDomain,
  dnsKey,
  fullName,
  longestDnsName,
  zoneOf,
} from "./dns.ts";
export {
  type Delta,
  Engine,
  type EngineCounters,
  type EngineOptions,
  type EngineSizes,
  type Quarantined,
} from "./engine.ts";
export { alias, computed, field, reference, tags } from "./fields.ts";
export {
  type DeletionPlan,
  deletionPlan,
  type ObjectName,
  type Refusal,
  type Violation,
  violationsOf,
} from "./integrity.ts";
export { Overlay } from "./overlay.ts";
export { protocolNumber, protocolNumbers, protocolOf } from "./protocols.ts";
export { QueryCycle } from "./queries.ts";
export { Replica, type ReplicaObject, type ReplicaOptions } from "./replica.ts";
export * from "./resource.ts";
export { AddressScope, scopeKeys } from "./resources/address-scope.ts";
export { resources } from "./resources/all.ts";
export { AutoTopology } from "./resources/auto-topology.ts";
export { BgpPeer, BgpSpeaker, HostGateway } from "./resources/bgp.ts";
export { Attachment, HeldAddress, LearnedNeighbour, neighbourId, PeerDown } from "./resources/facts.ts";
export {
  FloatingIp,
  forwardedProtocols,
  NdpProxy,
  PortForwarding,
  type PortSpan,
  spanOfRange,
} from "./resources/floating-ip.ts";
export { defaultZone, Host, hostKeys, JoinToken } from "./resources/host.ts";
export {
  Assignment,
  assignmentId,
  Project,
  RevokedToken,
  type RoleName,
  roleNames,
  Secret,
  User,
} from "./resources/identity.ts";
export { leasedPorts, leaseRest, leaseSizes, NatLease, NatRest } from "./resources/nat-lease.ts";
export {
  isPhysical,
  Network,
  networkKeyOf,
  networkKeys,
  physicalKeys,
  vlanTags,
} from "./resources/network.ts";
export { type AddressPair, type FixedIp, longestUserData, Port, portKeys } from "./resources/port.ts";
export { Quota } from "./resources/quota.ts";
export {
  aboutOf,
  accessAsExternal,
  accessAsShared,
  everyProject,
  grantKey,
  RbacPolicy,
  type ShareableKind,
  shareableKinds,
} from "./resources/rbac-policy.ts";
export { type GatewayInfo, Router, routerKeys } from "./resources/router.ts";
export {
  AddressGroup,
  type RuleSaying,
  ruleKeys,
  SecurityGroup,
  SecurityGroupRule,
  SecurityGroupSet,
  sayingOf,
  setKeys,
} from "./resources/security-group.ts";
export { isRouted, networksOn, type Place, placeKey, Segment, type Standing, segmentsOf } from "./resources/segment.ts";
export { longestRange, NetworkSegmentRange, numberedTypes } from "./resources/segment-range.ts";
export { type AllocationPool, type HostRoute, Subnet } from "./resources/subnet.ts";
export { FreePrefix, freePrefixOf, Subnetpool } from "./resources/subnetpool.ts";
export { isNear, networksReached, routingDomain } from "./routing-domain.ts";
export type { RowShelf } from "./row-shelf.ts";
export type { Contribution, Origin, RowChanges, RowConflict } from "./rows.ts";
export { TextIndex } from "./text-index.ts";
export { type Reads, track } from "./tracked.ts";
export * from "./types.ts";
export * from "./view.ts";
