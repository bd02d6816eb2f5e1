/** Addresses of a port as the apps want them: canonical texts, by family, with the link-local one that its MAC gives it; and its allowed address pairs. */
import {
  type AddressPair,
  type Cidr,
  cidrCovers,
  ipOf,
  linkLocalOf,
  macOf,
  networkOf,
  type Port,
  parseCidrLoose,
  parseIp,
  textOfCidr,
  textOfIp,
} from "@selvage/model";
import { hashOf } from "./hash.ts";

/** Family of a canonical address text. */
export const ipVersion = (address: string): 4 | 6 => (address.includes(":") ? 6 : 4);

/** fe80::/64 with the interface id of the MAC (RFC 4291, appendix A). */
const linkLocalOfMac = (mac: string): string => textOfIp(linkLocalOf(macOf(mac)));

export const linkLocalOfPort = (port: Port): string => linkLocalOfMac(port.mac_address);

/** A port's addresses of one family; for IPv6 with its link-local one. Each once. */
export function addressesOf(port: Port, version: 4 | 6): readonly string[] {
  const fixed = port.fixed_ips.map((each) => each.ip_address).filter((address) => ipVersion(address) === version);
  return [...new Set(version === 6 ? [linkLocalOfPort(port), ...fixed] : fixed)];
}

/** What a port may speak for: addresses, and the MAC with which. */
export interface Claim {
  readonly prefix: Cidr;
  readonly mac: string;
}

function prefixOf(text: string): Cidr | undefined {
  const ip = parseIp(text);
  return ip === undefined ? parseCidrLoose(text) : networkOf(ip, ipVersion(text) === 4 ? 32 : 128);
}

const claim = (address: string, mac: string): readonly Claim[] => {
  const prefix = prefixOf(address);
  return prefix === undefined ? [] : [{ prefix, mac }];
};

/** What its pairs add; one for IPv6 also the link-local address of its MAC, from which neighbour discovery speaks. */
export const pairsOf = (port: Port): readonly Claim[] =>
  port.allowed_address_pairs.flatMap(({ ip_address, mac_address }: AddressPair) => [
    ...claim(ip_address, mac_address),
    ...(ipVersion(ip_address) === 6 ? claim(linkLocalOfMac(mac_address), mac_address) : []),
  ]);

/** What a port may speak for in one family: its own addresses with its own MAC, and its pairs. */
export const claimsOf = (port: Port, version: 4 | 6): readonly Claim[] => [
  ...addressesOf(port, version).flatMap((address) => claim(address, port.mac_address)),
  ...pairsOf(port).filter(({ prefix }) => prefix.version === version),
];

/** The prefixes as texts, each once, without those that lie in another. */
export function widest(prefixes: readonly Cidr[]): readonly string[] {
  const texts = new Map(prefixes.map((prefix) => [textOfCidr(prefix), prefix]));
  const covered = (inner: Cidr, text: string): boolean =>
    [...texts].some(([other, outer]) => other !== text && cidrCovers(outer, inner));
  return [...texts].filter(([text, prefix]) => !covered(prefix, text)).map(([text]) => text);
}

/** MACs that a port may send from besides its own. */
export const pairMacsOf = (port: Port): readonly string[] =>
  [...new Set(port.allowed_address_pairs.map((pair) => pair.mac_address))].filter((mac) => mac !== port.mac_address);

const octet = (number: number): string => (number & 0xff).toString(16).padStart(2, "0");
const octetsOf = (number: number): readonly string[] => [24, 16, 8, 0].map((shift) => octet(number >>> shift));

/**
 * The MAC, locally administered, that stands between hosts for whoever has an address that moves: of an IPv4 address its own 32 bits, of an IPv6 address 40 of a
 * hash. It is of one network; two addresses of one that are alike in it are one in 10¹² pairs, and each other's holder would not take what is not for it.
 */
export function movingMac(address: string): string {
  const ip = ipOf(address);
  if (typeof ip === "number") return ["0e", "53", ...octetsOf(ip)].join(":");
  // Begun with another letter: what is only appended is told by the bits that are there already.
  return ["0a", octet(hashOf(`|${address}`) >>> 24), ...octetsOf(hashOf(address))].join(":");
}
