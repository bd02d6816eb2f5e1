/** What a host's DHCP service is to its clients: an address and a MAC of its own on each subnet, the same on every host (RFC 2131). */
import type { Subnet } from "@selvage/model";

/** Locally administered, one for all subnets: it is only ever seen on a machine's own link. */
export const dhcpMac = "02:5e:1f:00:00:43";

/**
 * The server's address and MAC on a subnet, or undefined where it serves none. The address is the gateway's, as clients have a route to it;
 * a subnet without gateway is served from a link-local address.
 */
export function dhcpServer(subnet: Subnet): { readonly address: string; readonly mac: string } | undefined {
  if (!subnet.enable_dhcp || subnet.ip_version !== 4) return undefined;
  return { address: subnet.gateway_ip ?? "169.254.169.253", mac: dhcpMac };
}
