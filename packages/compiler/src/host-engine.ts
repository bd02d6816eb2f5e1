/** The engine of one host: every app's derivations over the projected kinds, what is plugged in, and the indexes that a projection can fill. */
import {
  type AnyResource,
  Attachment,
  Engine,
  FloatingIp,
  HeldAddress,
  Host,
  type Index,
  LearnedNeighbour,
  NatLease,
  Network,
  PeerDown,
  Port,
  PortForwarding,
  Router,
  SecurityGroupRule,
  SecurityGroupSet,
  Segment,
  Subnet,
} from "@selvage/model";
import { PackedRows, type Row, selvageProgram } from "@selvage/pipeline";
import { projectedResources } from "@selvage/sync";
import type { Here } from "./app.ts";
import { derivationsFor } from "./derivations.ts";

/** The kinds in a host's view: intent as projected, and its own facts. */
export const viewResources: readonly AnyResource[] = Object.freeze([
  ...projectedResources,
  Attachment,
  LearnedNeighbour,
  HeldAddress,
  PeerDown,
]);

/**
 * The indexes that apps and services read, each made of projected fields alone. No others: each costs every port of the view memory, and
 * reading one that is not here throws.
 */
export const viewIndexes: readonly Index[] = Object.freeze([
  Host.index.name,
  Host.index.physical,
  Network.index.key,
  Network.index.physical,
  Segment.index.physical,
  Segment.index.network_id,
  Subnet.index.network_id,
  Router.index.key,
  Port.index.networkHost,
  Port.index.networkMac,
  Port.index.address,
  Port.index.hostSet,
  Port.index.pairAddress,
  Port.index.router_id,
  Port.index.routedNetwork,
  Port.index.gateway_of,
  Port.index.dnsName,
  FloatingIp.index.address,
  FloatingIp.index.port_id,
  FloatingIp.index.dnsName,
  PortForwarding.index.floatingip_id,
  PortForwarding.index.internal_port_id,
  NatLease.index.router_id,
  NatLease.index.holder,
  SecurityGroupSet.index.key,
  SecurityGroupSet.index.groups,
  SecurityGroupRule.index.remote_group_id,
] as unknown as Index[]);

/** A new engine without objects, for the host of this name. */
export const hostEngine = (here: Here): Engine<Row> =>
  new Engine<Row>({
    derivations: derivationsFor(here),
    resources: viewResources,
    indexes: viewIndexes,
    shelf: () => new PackedRows(selvageProgram),
  });
