/** What a host's DHCP service is to its clients: an address and a MAC of its own on each subnet, the same on every host (RFC 2131, RFC 8415). */
import { linkLocalOf, macOf, type Subnet, textOfIp } from "@selvage/model";
import type { Encapsulation } from "@selvage/pipeline";

/** Locally administered, one for all subnets: it is only ever seen on a machine's own link. */
export const dhcpMac = "02:5e:1f:00:00:43";

/** From where DHCPv6 answers (RFC 8415, section 13.1: servers speak from an address of the link); nothing is sent to it. */
export const dhcp6Address = textOfIp(linkLocalOf(macOf(dhcpMac)));

/** The DHCPv6 server's DUID, in hex: by its link-layer address (RFC 8415, section 11.4). All hosts are one server, so that a machine that moves keeps its own. */
export const dhcp6Duid = `00030001${dhcpMac.replaceAll(":", "")}`;

/**
 * The server's address and MAC on a subnet, or undefined where it serves none. The address is the gateway's, as clients have a route to it;
 * a subnet without gateway, and one whose gateway is a router outside, is served from a link-local address.
 */
export function dhcpServer(
  subnet: Subnet,
  carried: Encapsulation | "physical",
): { readonly address: string; readonly mac: string } | undefined {
  if (!subnet.enable_dhcp || subnet.ip_version !== 4) return undefined;
  const gateway = carried === "physical" ? null : subnet.gateway_ip;
  return { address: gateway ?? "169.254.169.253", mac: dhcpMac };
}

/**
 * What DHCPv6 gives on a subnet: addresses and all else (`stateful`), all but addresses (`stateless`), or nothing. Routers' advertisements that a provider's own
 * router sends are no reason against it, so the mode of addresses decides; one without any mode is served as Neutron serves it, with addresses for whoever asks.
 */
export function dhcp6Mode(subnet: Subnet): "stateful" | "stateless" | undefined {
  if (!subnet.enable_dhcp || subnet.ip_version !== 6) return undefined;
  switch (subnet.ipv6_address_mode) {
    case "dhcpv6-stateful":
      return "stateful";
    case "dhcpv6-stateless":
      return "stateless";
    case "slaac":
      return undefined;
    case null:
      return subnet.ipv6_ra_mode === null ? "stateful" : undefined;
  }
}
