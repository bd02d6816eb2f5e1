/** IP prefixes (RFC 4632, RFC 4291 section 2.3): parsing, containment, netmasks, and the algebra of sets of prefixes. */
import { AddressError } from "./error.ts";
import {
  bitsOf,
  compareIp,
  type Ip,
  type Ip4,
  type Ip6,
  type IpVersion,
  ip4,
  ipFrom,
  parseIp,
  textOfIp,
  versionOf,
} from "./ip.ts";

/** An IPv4 prefix; the bits of `address` beyond `length` are zero. */
export interface Cidr4 {
  readonly version: 4;
  readonly address: Ip4;
  readonly length: number;
}
/** An IPv6 prefix; the bits of `address` beyond `length` are zero. */
export interface Cidr6 {
  readonly version: 6;
  readonly address: Ip6;
  readonly length: number;
}
export type Cidr = Cidr4 | Cidr6;

/** The prefix of a length that an address lies in: host bits are masked. Throws AddressError for a bad length. */
export function networkOf(ip: Ip, length: number): Cidr {
  const bits = bitsOf(versionOf(ip));
  if (!Number.isInteger(length) || length < 0 || length > bits)
    throw new AddressError("cidr", `${textOfIp(ip)}/${length}`, `a prefix length is 0 to ${bits}`);
  if (typeof ip === "number") return { version: 4, address: ip4((ip & mask4(length)) >>> 0), length };
  const host = BigInt(bits - length);
  // Clearing bits of an address leaves an address.
  return { version: 6, address: ((ip >> host) << host) as Ip6, length };
}

function mask4(length: number): number {
  return length === 0 ? 0 : (-1 << (32 - length)) >>> 0;
}

/** `address/length` with a decimal length without leading zeros, host bits zero. Gives undefined for anything else. */
export function parseCidr(text: string): Cidr | undefined {
  const parts = split(text);
  if (parts === undefined) return undefined;
  const network = networkOf(parts.ip, parts.length);
  return network.address === parts.ip ? network : undefined;
}

/** As {@link parseCidr}, but host bits are masked away, as Neutron does: `10.52.0.5/24` is `10.52.0.0/24`. */
export function parseCidrLoose(text: string): Cidr | undefined {
  const parts = split(text);
  return parts === undefined ? undefined : networkOf(parts.ip, parts.length);
}

/** As {@link parseCidr}. Throws AddressError. */
export function cidrOf(text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr !== undefined) return cidr;
  const loose = parseCidrLoose(text);
  throw new AddressError(
    "cidr",
    text,
    loose === undefined
      ? "it is not an address with a prefix length"
      : `it has host bits; the network is ${textOfCidr(loose)}`,
  );
}

/** The canonical text of a prefix given as text, host bits masked; undefined where it is none. */
export function canonicalCidr(text: string): string | undefined {
  const cidr = parseCidrLoose(text);
  return cidr === undefined ? undefined : textOfCidr(cidr);
}

function split(text: string): { readonly ip: Ip; readonly length: number } | undefined {
  const slash = text.indexOf("/");
  const ip = slash < 0 ? undefined : parseIp(text.slice(0, slash));
  const digits = text.slice(slash + 1);
  if (ip === undefined || !/^(?:0|[1-9][0-9]{0,2})$/.test(digits)) return undefined;
  const length = Number(digits);
  return length > bitsOf(versionOf(ip)) ? undefined : { ip, length };
}

/** Canonical text: `10.0.0.0/24`, `2001:db8::/64`. */
export function textOfCidr(cidr: Cidr): string {
  return `${textOfIp(cidr.address)}/${cidr.length}`;
}

/** The netmask as text: `255.255.255.0`, or `ffff:ffff:ffff:ffff::` for IPv6. */
export function netmaskOf(cidr: Cidr): string {
  if (cidr.version === 4) return textOfIp(ip4(mask4(cidr.length)));
  return textOfIp(ipFrom(6, ((1n << BigInt(cidr.length)) - 1n) << BigInt(128 - cidr.length)));
}

/** How many addresses a prefix has. */
export function sizeOfCidr(cidr: Cidr): bigint {
  return 1n << BigInt(bitsOf(cidr.version) - cidr.length);
}

/** The lowest address: the network's own. */
export function firstIpOf(cidr: Cidr): Ip {
  return cidr.address;
}

/** The highest address: in IPv4 the directed broadcast. */
export function lastIpOf(cidr: Cidr): Ip {
  return ipFrom(cidr.version, BigInt(cidr.address) + sizeOfCidr(cidr) - 1n);
}

/** Whether an address lies in a prefix; never across versions. */
export function cidrContains(cidr: Cidr, ip: Ip): boolean {
  if (cidr.version === 4) return typeof ip === "number" && (ip & mask4(cidr.length)) >>> 0 === cidr.address;
  if (typeof ip === "number") return false;
  const host = BigInt(128 - cidr.length);
  return ip >> host === cidr.address >> host;
}

/** Whether every address of `inner` lies in `outer` (equal ones included). */
export function cidrCovers(outer: Cidr, inner: Cidr): boolean {
  return outer.length <= inner.length && cidrContains(outer, inner.address);
}

/** Whether two prefixes share an address. */
export function cidrsOverlap(a: Cidr, b: Cidr): boolean {
  return cidrCovers(a, b) || cidrCovers(b, a);
}

/** Order by version, address, then the shorter prefix first. */
export function compareCidr(a: Cidr, b: Cidr): number {
  return compareIp(a.address, b.address) || a.length - b.length;
}

/** The fewest prefixes that are exactly the addresses `first` to `last`, in order; none where `first` is above `last`. */
export function cidrsOfRange(first: Ip, last: Ip): readonly Cidr[] {
  const version = versionOf(first);
  if (version !== versionOf(last))
    throw new AddressError("cidr", `${textOfIp(first)}-${textOfIp(last)}`, "a range has one IP version");
  const end = BigInt(last);
  const found: Cidr[] = [];
  for (let at = BigInt(first); at <= end; ) {
    let host = 0;
    while (host < bitsOf(version) && ((at >> BigInt(host)) & 1n) === 0n && at + (1n << BigInt(host + 1)) - 1n <= end)
      host++;
    found.push(networkOf(ipFrom(version, at), bitsOf(version) - host));
    at += 1n << BigInt(host);
  }
  return found;
}

/** The fewest prefixes with the addresses of `from` that are not in `taken`, in order. */
export function subtractCidr(from: Cidr, taken: Cidr): readonly Cidr[] {
  if (cidrCovers(taken, from)) return [];
  if (!cidrCovers(from, taken)) return [from];
  const pieces: Cidr[] = [];
  for (let length = from.length + 1; length <= taken.length; length++) {
    const step = 1n << BigInt(bitsOf(from.version) - length);
    const path = BigInt(networkOf(taken.address, length).address);
    pieces.push(networkOf(ipFrom(from.version, path ^ step), length));
  }
  return pieces.sort(compareCidr);
}

/** The fewest prefixes with the same addresses as all the given ones together, in order, versions side by side. */
export function mergeCidrs(cidrs: readonly Cidr[]): readonly Cidr[] {
  const merged: Cidr[] = [];
  for (const cidr of [...cidrs].sort(compareCidr)) {
    const last = merged.at(-1);
    if (last !== undefined && cidrCovers(last, cidr)) continue;
    merged.push(cidr);
    for (let joined = joinTail(merged); joined; joined = joinTail(merged)) merged.splice(-2, 2, joined);
  }
  return merged;
}

/** The parent of the last two prefixes where they are its two halves. */
function joinTail(cidrs: readonly Cidr[]): Cidr | undefined {
  const [low, high] = cidrs.slice(-2);
  if (low === undefined || high === undefined || low.length !== high.length || low.length === 0) return undefined;
  const parent = networkOf(low.address, low.length - 1);
  return cidrContains(parent, high.address) ? parent : undefined;
}

/** The all-covering prefix of a version: `0.0.0.0/0` or `::/0`. */
export function anyCidr(version: IpVersion): Cidr {
  return networkOf(ipFrom(version, 0n), 0);
}
