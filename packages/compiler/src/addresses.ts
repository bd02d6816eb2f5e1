/** Addresses of a port as the apps want them: canonical texts, by family, with the link-local one that its MAC gives it. */
import { linkLocalOf, macOf, type Port, textOfIp } from "@selvage/model";

/** Family of a canonical address text. */
export const ipVersion = (address: string): 4 | 6 => (address.includes(":") ? 6 : 4);

/** fe80::/64 with the interface id of the MAC (RFC 4291, appendix A). */
export const linkLocalOfPort = (port: Port): string => textOfIp(linkLocalOf(macOf(port.mac_address)));

/** A port's addresses of one family; for IPv6 with its link-local one. Each once. */
export function addressesOf(port: Port, version: 4 | 6): readonly string[] {
  const fixed = port.fixed_ips.map((each) => each.ip_address).filter((address) => ipVersion(address) === version);
  return [...new Set(version === 6 ? [linkLocalOfPort(port), ...fixed] : fixed)];
}
