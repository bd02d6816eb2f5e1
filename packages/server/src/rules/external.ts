/**
 * External networks: to whom one is given as such, and when that can be taken back (extension `external-net`; Neutron's `external_net_db`). A network is external
 * while some RBAC policy gives it with `access_as_external`.
 */
import { fail } from "@selvage/base";
import {
  accessAsExternal,
  everyProject,
  FloatingIp,
  Network,
  type Network as NetworkObject,
  Port,
  PortForwarding,
  RbacPolicy,
  Router,
  type View,
} from "@selvage/model";
import type { Writing } from "./rules.ts";
import { removePort } from "./security-group-sets.ts";
import { isSharedWith, share } from "./sharing.ts";

/** Whether a project may put gateways and floating IPs on the network. */
export const isExternalTo = (view: View, networkId: string, projectId: string | undefined): boolean =>
  isSharedWith(view, "network", networkId, projectId, accessAsExternal);

/** Projects that have a gateway or a floating IP on the network. */
export function externalUsers(view: View, networkId: string): readonly string[] {
  const routers = gatewaysOn(view, networkId).flatMap(({ gateway_of }) => view.get(Router, gateway_of ?? "") ?? []);
  const floating = view.by(FloatingIp.index.floating_network_id, networkId);
  return [...routers, ...floating].map(({ project_id }) => project_id);
}

const gatewaysOn = (view: View, networkId: string) => view.by(Port.index.gatewayNetwork, networkId);

/** Gives the network to every project as external, or takes that back from everybody. Throws ExternalNetworkInUse while something outside hangs on it. */
export function setExternal(writing: Writing, network: NetworkObject, wanted: boolean): void {
  const { transaction } = writing;
  const { view } = transaction;
  if (wanted) {
    if (!isExternalTo(view, network.id, undefined)) share(writing, "network", network, everyProject, accessAsExternal);
    return;
  }
  const isUsed =
    view.exists(Port.index.gatewayNetwork, network.id) || view.exists(FloatingIp.index.floating_network_id, network.id);
  if (isUsed) throw fail("ExternalNetworkInUse", { net_id: network.id });
  for (const policy of policiesOf(view, network.id)) transaction.remove(RbacPolicy, policy.id);
}

const policiesOf = (view: View, networkId: string) =>
  view.by(RbacPolicy.index.network_id, networkId).filter(({ action }) => action === accessAsExternal);

/** A network that goes takes along the floating IPs that stand for no machine (Neutron's `delete_disassociated_floatingips`). */
export function leaveUnused({ transaction }: Pick<Writing, "transaction">, networkId: string): void {
  const { view } = transaction;
  for (const floating of view.by(FloatingIp.index.floating_network_id, networkId)) {
    if (floating.port_id !== null || view.exists(PortForwarding.index.floatingip_id, floating.id)) continue;
    transaction.remove(FloatingIp, floating.id);
    const port = view.get(Port, floating.floating_port_id);
    if (port !== undefined) removePort(transaction, port);
  }
}

/** Brings `router:external` in line with the policies that there are: called when one came or went. */
export function settleExternal({ transaction }: Pick<Writing, "transaction">, networkId: string): void {
  const network = transaction.view.get(Network, networkId);
  if (network === undefined) return;
  const isExternal = policiesOf(transaction.view, networkId).length > 0;
  if (network["router:external"] === isExternal) return;
  transaction.put(Network, { ...network, "router:external": isExternal, is_default: isExternal && network.is_default });
}

/** Why a policy stays that somebody's gateway or floating IP is there by. */
export const neededOutside = "There are routers attached to this network that depend on this policy for access.";

/** Why the default external network stays everybody's. */
export const keptDefault = "Default external networks must be shared to everyone.";

/** The one external network that is taken where nobody names another. Throws DefaultExternalNetworkExists when it is another than this. */
export function checkOnlyDefault(view: View, networkId: string): void {
  const other = view
    .by(Network.index.external, "external")
    .find((network) => network.is_default && network.id !== networkId);
  if (other !== undefined) throw fail("DefaultExternalNetworkExists", { net_id: other.id });
}
