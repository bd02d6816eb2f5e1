/**
 * The addresses of hosts on external networks by which some speaker announces (Neutron's `network:floatingip_agent_gateway` of distributed routers): each host with
 * the wire has a port there while a speaker is bound to the network. Whatever changes that calls here, in its own transaction.
 */
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
  networksOn,
  Port,
  type Subnet as SubnetObject,
  segmentsOf,
} from "@selvage/model";
import { pickAddress, pickMac } from "../allocate.ts";
import type { Transaction } from "../transaction.ts";
import { nobodys } from "./gateway.ts";
import { subnetsWhere } from "./placement.ts";
import type { Writing } from "./rules.ts";
import { putPort, removePort } from "./security-group-sets.ts";

/** What a port that keeps a host's addresses on an external network says of itself. */
export const hostGatewayOwner = "network:floatingip_agent_gateway";

type Making = Pick<Writing, "transaction" | "settings">;

/** Hosts that are to have addresses on a network: those with its wire, while a speaker announces by it. */
function wantedHosts({ transaction: { view } }: Making, network: NetworkObject): readonly HostObject[] {
  if (!network["router:external"] || !view.exists(BgpSpeaker.index.networks, network.id)) return [];
  const wires = segmentsOf(view, network).flatMap(({ physical_network }) => physical_network ?? []);
  return [...new Set(wires.flatMap((physical) => view.by(Host.index.physical, physical)))];
}

/** Called when a speaker, a subnet or what the network is has changed. Gives the names of hosts for which an address is lacking, of one family or both: of that they announce nothing. */
export function settleHostGateways(making: Making, networkId: string): readonly string[] {
  const { view } = making.transaction;
  const network = view.get(Network, networkId);
  const wanted = network === undefined ? [] : wantedHosts(making, network);
  const staying = new Set(wanted.map(({ id }) => id));
  for (const gateway of view.by(HostGateway.index.network_id, networkId))
    if (!staying.has(gateway.host_id)) take(making, gateway);
  if (network === undefined) return [];
  return wanted.filter((host) => !give(making, network, host)).map(({ name }) => name);
}

/** Called when a host came, or said which physical networks it has. Gives the names of those networks that lack an address for it. */
export function settleHostOutside(making: Making, host: HostObject): readonly string[] {
  const { view } = making.transaction;
  const networks = new Set(host.physical_networks.flatMap((name) => networksOn(view, name)));
  for (const gateway of view.by(HostGateway.index.host_id, host.id))
    if (![...networks].some(({ id }) => id === gateway.network_id)) take(making, gateway);
  const wanted = [...networks].filter((network) => wantedHosts(making, network).some(({ id }) => id === host.id));
  return wanted.filter((network) => !give(making, network, host)).map(({ name }) => name);
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

/** Gives a host an address of each family of which the network has subnets where it stands and it has none; takes those of elsewhere. Says whether it has all now. */
function give(making: Making, network: NetworkObject, host: HostObject): boolean {
  const { transaction, settings } = making;
  const { view } = transaction;
  const [known] = view.by(HostGateway.index.place, keyOf(network.id, host.id));
  const port = known === undefined ? undefined : view.get(Port, known.port_id);
  const subnets = subnetsWhere(view, network, host.name);
  const before = port?.fixed_ips ?? [];
  const held = before.filter(({ subnet_id }) => subnets.some(({ id }) => id === subnet_id));
  const { found, isWhole } = lacking(making, subnets, held);
  const fixed_ips = [...held, ...found];
  const addresses = fixed_ips.map(({ ip_address }) => ip_address);
  if (found.length === 0 && held.length === before.length) return isWhole;
  if (known !== undefined && port !== undefined) {
    if (fixed_ips.length === 0) {
      take(making, known);
      return isWhole;
    }
    putPort(transaction, { ...port, fixed_ips });
    transaction.put(HostGateway, { ...known, addresses });
    return isWhole;
  }
  const made = putPort(transaction, {
    ...nobodys(making, network, pickMac(transaction, network.id, settings.macPrefix)),
    fixed_ips,
    device_id: host.id,
    device_owner: hostGatewayOwner,
  });
  transaction.put(HostGateway, {
    id: transaction.newId(),
    network_id: network.id,
    host_id: host.id,
    port_id: made.id,
    addresses,
  });
  return isWhole;
}

/** Free addresses of the families that are lacking, and whether there is one for each. */
function lacking({ transaction }: Making, subnets: readonly SubnetObject[], held: readonly FixedIp[]) {
  const has = new Set(held.map(({ subnet_id }) => subnets.find(({ id }) => id === subnet_id)?.ip_version));
  const families = ([4, 6] as const)
    .filter((version) => !has.has(version))
    .map((version) => subnets.filter((subnet) => subnet.ip_version === version))
    .filter((family) => family.length > 0);
  const found = families.flatMap((family) => firstFree(transaction, family));
  return { found, isWhole: found.length === families.length };
}

function firstFree(transaction: Transaction, subnets: readonly SubnetObject[]): readonly FixedIp[] {
  for (const subnet of subnets) {
    const ip = pickAddress(transaction, subnet);
    if (ip !== undefined) return [{ subnet_id: subnet.id, ip_address: ip }];
  }
  return [];
}
