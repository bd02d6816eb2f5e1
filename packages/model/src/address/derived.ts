/** Addresses made from addresses: EUI-64 (RFC 4291 appendix A), solicited-node (section 2.7.1), multicast MACs (RFC 1112, 2464). */
import type { Cidr } from "./cidr.ts";
import { AddressError } from "./error.ts";
import { type Ip, type Ip6, ip6, textOfIp } from "./ip.ts";
import { isMulticastMac, type Mac, macFrom } from "./mac.ts";

/** The interface identifier of a MAC address: `ff:fe` in the middle, the local bit flipped. Gives 64 bits. */
export function interfaceIdOf(mac: Mac): bigint {
  const value = BigInt(mac);
  return (((value >> 24n) << 40n) | (0xfffen << 24n) | (value & 0xff_ffffn)) ^ (1n << 57n);
}

/** The SLAAC address of a MAC in a prefix. Throws AddressError where the prefix is not an IPv6 one of at most 64 bits. */
export function eui64Of(prefix: Cidr, mac: Mac): Ip6 {
  if (prefix.version !== 6 || prefix.length > 64)
    throw new AddressError(
      "cidr",
      `${textOfIp(prefix.address)}/${prefix.length}`,
      "SLAAC needs an IPv6 prefix up to /64",
    );
  return ip6(prefix.address | interfaceIdOf(mac));
}

/** The link-local address of a MAC: `fe80::` with its interface identifier. */
export function linkLocalOf(mac: Mac): Ip6 {
  return ip6((0xfe80n << 112n) | interfaceIdOf(mac));
}

/** The solicited-node multicast address: `ff02::1:ff00:0/104` with the low 24 bits of the address. */
export function solicitedNodeOf(ip: Ip6): Ip6 {
  return ip6((0xff02n << 112n) | (0x1_ff00_0000n + (ip & 0xff_ffffn)));
}

/** The MAC address that a multicast group is sent to: `01:00:5e` with 23 bits, or `33:33` with 32. Throws AddressError for unicast. */
export function multicastMacOf(group: Ip): Mac {
  if (typeof group === "number") {
    if (group >>> 28 !== 0xe) throw new AddressError("ip", textOfIp(group), "it is not a multicast address");
    return macFrom(0x01005e000000 + (group & 0x7fffff));
  }
  if (group >> 120n !== 0xffn) throw new AddressError("ip", textOfIp(group), "it is not a multicast address");
  return macFrom(0x333300000000 + Number(group & 0xffff_ffffn));
}

/** The MAC address inside an EUI-64 address, or undefined where the address was not made from one. */
export function macOfEui64(ip: Ip6): Mac | undefined {
  const id = (ip & 0xffff_ffff_ffff_ffffn) ^ (1n << 57n);
  if (((id >> 24n) & 0xffffn) !== 0xfffen) return undefined;
  const mac = macFrom(Number(((id >> 40n) << 24n) | (id & 0xff_ffffn)));
  return isMulticastMac(mac) ? undefined : mac;
}
