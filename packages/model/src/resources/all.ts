/** Every declared resource. Whoever walks the model (store, api, relay, laws) walks this list. */
import type { AnyResource } from "../resource.ts";
import { AddressScope } from "./address-scope.ts";
import { AutoTopology } from "./auto-topology.ts";
import { BgpPeer, BgpSpeaker, HostGateway } from "./bgp.ts";
import { Attachment, HeldAddress, LearnedNeighbour, PeerDown } from "./facts.ts";
import { FloatingIp, NdpProxy, PortForwarding } from "./floating-ip.ts";
import { Host, JoinToken } from "./host.ts";
import { Assignment, Project, RevokedToken, Secret, User } from "./identity.ts";
import { NatLease, NatRest } from "./nat-lease.ts";
import { Network } from "./network.ts";
import { Port } from "./port.ts";
import { Quota } from "./quota.ts";
import { RbacPolicy } from "./rbac-policy.ts";
import { Router } from "./router.ts";
import { AddressGroup, SecurityGroup, SecurityGroupRule, SecurityGroupSet } from "./security-group.ts";
import { Segment } from "./segment.ts";
import { NetworkSegmentRange } from "./segment-range.ts";
import { Subnet } from "./subnet.ts";
import { FreePrefix, Subnetpool } from "./subnetpool.ts";

export const resources: readonly AnyResource[] = Object.freeze([
  Project,
  User,
  Assignment,
  Secret,
  RevokedToken,
  Host,
  JoinToken,
  Network,
  Segment,
  NetworkSegmentRange,
  AddressScope,
  Subnetpool,
  FreePrefix,
  Subnet,
  SecurityGroup,
  SecurityGroupRule,
  AddressGroup,
  SecurityGroupSet,
  Router,
  Quota,
  Port,
  FloatingIp,
  PortForwarding,
  NdpProxy,
  NatLease,
  NatRest,
  BgpPeer,
  BgpSpeaker,
  HostGateway,
  AutoTopology,
  RbacPolicy,
  Attachment,
  LearnedNeighbour,
  HeldAddress,
  PeerDown,
]);
