/**
 * The addresses of hosts on external networks by which some speaker announces (Neutron's `network:floatingip_agent_gateway` of distributed routers): each host with
 * the wire has a port there while a speaker is bound to the network. Whatever changes that calls here, in its own transaction.
 */
import { fail, isError } from "@selvage/base";
import {
  BgpSpeaker,
  type FixedIp,
  Host,
  HostGateway,
  type HostGateway as HostGatewayObject,
  type Host as HostObject,
  keyOf,
  Network,
  type Network as NetworkObject,
  Port,
  Subnet,
  type Subnet as SubnetObject,
} from "@selvage/model";
import { pickAddress, pickMac } from "../allocate.ts";
import { nobodys } from "./gateway.ts";
import type { Writing } from "./rules.ts";
import { putPort, removePort } from "./security-group-sets.ts";

/** What a port that keeps a host's addresses on an external network says of itself. */
export const hostGatewayOwner = "network:floatingip_agent_gateway";

type Making = Pick<Writing, "transaction" | "settings">;

/** Hosts that are to have addresses on a network: those with its wire, while a speaker announces by it. */
function wantedHosts({ transaction: { view } }: Making, network: NetworkObject): readonly HostObject[] {
  const physical = network["provider:physical_network"];
  if (physical === null || !network["router:external"]) return [];
  if (!view.exists(BgpSpeaker.index.networks, network.id)) return [];
  return view.by(Host.index.physical, physical);
}

/** Called when a speaker, a subnet or what the network is has changed. Throws IpAddressGenerationFailure when there is no address left for a host. */
export function settleHostGateways(making: Making, networkId: string): void {
  const { view } = making.transaction;
  const network = view.get(Network, networkId);
  const wanted = network === undefined ? [] : wantedHosts(making, network);
  const staying = new Set(wanted.map(({ id }) => id));
  for (const gateway of view.by(HostGateway.index.network_id, networkId))
    if (!staying.has(gateway.host_id)) take(making, gateway);
  if (network !== undefined) for (const host of wanted) give(making, network, host);
}

/**
 * Called when a host came, or said which physical networks it has. Of networks that have no address left it gets none, and announces nothing by them: it comes
 * up all the same. Gives the names of those networks.
 */
export function settleHostOutside(making: Making, host: HostObject): readonly string[] {
  const { view } = making.transaction;
  const networks = host.physical_networks.flatMap((name) => view.by(Network.index.physical, name));
  for (const gateway of view.by(HostGateway.index.host_id, host.id))
    if (!networks.some(({ id }) => id === gateway.network_id)) take(making, gateway);
  return networks.flatMap((network) => {
    if (!wantedHosts(making, network).some(({ id }) => id === host.id)) return [];
    try {
      give(making, network, host);
      return [];
    } catch (error) {
      if (!isError(error, "IpAddressGenerationFailure")) throw error;
      return [network.name];
    }
  });
}

/** Takes a host's addresses away, before it goes. */
export function leaveOutsideAsHost(making: Making, hostId: string): void {
  for (const gateway of making.transaction.view.by(HostGateway.index.host_id, hostId)) take(making, gateway);
}

function take({ transaction }: Making, gateway: HostGatewayObject): void {
  transaction.remove(HostGateway, gateway.id);
  const port = transaction.view.get(Port, gateway.port_id);
  if (port !== undefined) removePort(transaction, port);
}

/** Gives a host an address of each family of which the network has subnets and it has none. */
function give(making: Making, network: NetworkObject, host: HostObject): void {
  const { transaction, settings } = making;
  const { view } = transaction;
  const [known] = view.by(HostGateway.index.place, keyOf(network.id, host.id));
  const port = known === undefined ? undefined : view.get(Port, known.port_id);
  const held = port?.fixed_ips ?? [];
  const added = missing(making, network, held);
  if (known !== undefined && port !== undefined) {
    if (added.length === 0) return;
    const fixed_ips = [...held, ...added];
    putPort(transaction, { ...port, fixed_ips });
    transaction.put(HostGateway, { ...known, addresses: addressesOf(fixed_ips) });
    return;
  }
  if (added.length === 0) return;
  const made = putPort(transaction, {
    ...nobodys(making, network, pickMac(transaction, network.id, settings.macPrefix)),
    fixed_ips: added,
    device_id: host.id,
    device_owner: hostGatewayOwner,
  });
  transaction.put(HostGateway, {
    id: transaction.newId(),
    network_id: network.id,
    host_id: host.id,
    port_id: made.id,
    addresses: addressesOf(added),
  });
}

const addressesOf = (fixedIps: readonly FixedIp[]): readonly string[] => fixedIps.map(({ ip_address }) => ip_address);

function missing(making: Making, network: NetworkObject, held: readonly FixedIp[]): readonly FixedIp[] {
  const { view } = making.transaction;
  const subnets = view.by(Subnet.index.network_id, network.id);
  const versionOf = ({ subnet_id }: FixedIp) => subnets.find(({ id }) => id === subnet_id)?.ip_version;
  const has = new Set(held.map(versionOf));
  return ([4, 6] as const).flatMap((version) => {
    const family = subnets.filter((subnet) => subnet.ip_version === version);
    return family.length === 0 || has.has(version) ? [] : [firstFree(making, network, family)];
  });
}

function firstFree({ transaction }: Making, network: NetworkObject, subnets: readonly SubnetObject[]): FixedIp {
  for (const subnet of subnets) {
    const ip = pickAddress(transaction, subnet, new Set());
    if (ip !== undefined) return { subnet_id: subnet.id, ip_address: ip };
  }
  throw fail("IpAddressGenerationFailure", { net_id: network.id });
}
