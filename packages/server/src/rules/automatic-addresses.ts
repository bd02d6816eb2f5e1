/** Addresses that machines make themselves: EUI-64 on IPv6 subnets with `slaac` or `dhcpv6-stateless` (RFC 4862; RFC 4291 appendix A; neutron `ipv6_utils`). */
import { fail } from "@selvage/base";
import {
  cidrOf,
  eui64Of,
  type FixedIp,
  macOf,
  Port,
  type Port as PortObject,
  type Subnet as SubnetObject,
  textOfIp,
} from "@selvage/model";
import type { Transaction } from "../transaction.ts";
import { standsAt } from "./placement.ts";

const automaticModes: ReadonlySet<string | null> = new Set(["slaac", "dhcpv6-stateless"]);

/** Ports of routers hold the addresses that they are given: they are who advertises. */
const routerOwners: ReadonlySet<string> = new Set([
  "network:router_interface",
  "network:router_interface_distributed",
  "network:ha_router_replicated_interface",
  "network:router_centralized_snat",
]);

/** Whether machines make their addresses on a subnet. */
export function isAutomatic({ ipv6_ra_mode, ipv6_address_mode }: SubnetObject): boolean {
  return automaticModes.has(ipv6_ra_mode) || automaticModes.has(ipv6_address_mode);
}

/** Whether a port's device makes its addresses: every device but a router. */
export function makesAddresses(deviceOwner: string): boolean {
  return !routerOwners.has(deviceOwner);
}

/** The address that the machine with this MAC address makes on a subnet. */
export function automaticAddress(subnet: SubnetObject, mac: string): FixedIp {
  return { subnet_id: subnet.id, ip_address: textOfIp(eui64Of(cidrOf(subnet.cidr), macOf(mac))) };
}

/** A port's addresses with those that it makes: on each such subnet of those where it stands, behind those that it was given. */
export function withAutomatic(
  among: readonly SubnetObject[],
  mac: string,
  deviceOwner: string,
  given: readonly FixedIp[],
): readonly FixedIp[] {
  if (!makesAddresses(deviceOwner)) return given;
  const subnets = among.filter(isAutomatic);
  const made = new Set(subnets.map((subnet) => subnet.id));
  return [
    ...given.filter((fixed) => !made.has(fixed.subnet_id)),
    ...subnets.map((subnet) => automaticAddress(subnet, mac)),
  ];
}

/** Gives the ports that stand on the network already their addresses on a new subnet. */
export function addAutomatic(transaction: Transaction, subnet: SubnetObject): void {
  if (!isAutomatic(subnet)) return;
  for (const port of transaction.view.by(Port.index.network_id, subnet.network_id)) {
    if (!makesAddresses(port.device_owner) || !standsAt(transaction.view, port, subnet)) continue;
    const fixed_ips = [...port.fixed_ips, automaticAddress(subnet, port.mac_address)];
    transaction.put(Port, { ...port, fixed_ips, ip_allocation: "immediate" });
  }
}

/** Takes the addresses that machines made on a subnet from their ports, so that it can go. Throws SubnetInUse for any other address there. */
export function releaseSubnet(transaction: Transaction, subnet: SubnetObject): void {
  const ports = transaction.view.by(Port.index.subnet, subnet.id);
  const stays = (port: PortObject): boolean => !isAutomatic(subnet) || !makesAddresses(port.device_owner);
  if (ports.some(stays)) {
    throw fail("SubnetInUse", {
      subnet_id: subnet.id,
      reason: "One or more ports have an IP allocation from this subnet.",
    });
  }
  for (const port of ports) {
    const fixed_ips = port.fixed_ips.filter((fixed) => fixed.subnet_id !== subnet.id);
    transaction.put(Port, { ...port, fixed_ips });
  }
}
