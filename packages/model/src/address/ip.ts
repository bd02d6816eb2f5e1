/** IP addresses: strict parsing, canonical text (RFC 5952), bytes and words; an IPv4 is a 32-bit number, an IPv6 a bigint. */
import { AddressError } from "./error.ts";

declare const ip4Brand: unique symbol;
declare const ip6Brand: unique symbol;

/** An IPv4 address: an unsigned 32-bit number, so `===`, Map keys and `<` just work. */
export type Ip4 = number & { readonly [ip4Brand]: true };
/** An IPv6 address: an unsigned 128-bit bigint. */
export type Ip6 = bigint & { readonly [ip6Brand]: true };
/** Either version; `typeof` (or {@link versionOf}) tells them apart. */
export type Ip = Ip4 | Ip6;
export type IpVersion = 4 | 6;

const max4 = 0xffff_ffff;
const max6 = (1n << 128n) - 1n;
const dot = 46;
const colon = 58;

/** Brands a number of 0 to 2^32-1 as an IPv4 address. Throws AddressError. */
export function ip4(value: number): Ip4 {
  if (!Number.isInteger(value) || value < 0 || value > max4)
    throw new AddressError("ip", String(value), "an IPv4 address is a whole number of 0 to 2^32-1");
  // The brand is given here and nowhere else, behind the check. -0 would not print as 0.
  return (value + 0) as Ip4;
}

/** Brands a bigint of 0 to 2^128-1 as an IPv6 address. Throws AddressError. */
export function ip6(value: bigint): Ip6 {
  if (value < 0n || value > max6)
    throw new AddressError("ip", String(value), "an IPv6 address is a whole number of 0 to 2^128-1");
  // The brand is given here and nowhere else, behind the check.
  return value as Ip6;
}

/** An address of a version from its value. Throws AddressError when the value does not fit. */
export function ipFrom(version: IpVersion, value: bigint): Ip {
  if (version === 6) return ip6(value);
  if (value < 0n || value > BigInt(max4)) throw new AddressError("ip", String(value), "it does not fit into 32 bits");
  return ip4(Number(value));
}

/** 4 or 6. */
export function versionOf(ip: Ip): IpVersion {
  return typeof ip === "number" ? 4 : 6;
}

/** 32 or 128. */
export function bitsOf(version: IpVersion): 32 | 128 {
  return version === 4 ? 32 : 128;
}

/** The address as a whole number. */
export function valueOfIp(ip: Ip): bigint {
  return BigInt(ip);
}

/** Strict dotted quad: four decimal numbers of 0 to 255 without leading zeros. Gives undefined for anything else. */
export function parseIp4(text: string): Ip4 | undefined {
  return quad(text, 0);
}

/** Reads a dotted quad from `start` to the end of the text. */
function quad(text: string, start: number): Ip4 | undefined {
  const end = text.length;
  if (end - start < 7 || end - start > 15) return undefined;
  let value = 0;
  let octet = 0;
  let digits = 0;
  let octets = 1;
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code === dot) {
      if (digits === 0 || octets === 4) return undefined;
      value = value * 256 + octet;
      octet = 0;
      digits = 0;
      octets++;
      continue;
    }
    if (code < 48 || code > 57 || (digits > 0 && octet === 0)) return undefined;
    octet = octet * 10 + code - 48;
    digits++;
    if (octet > 255) return undefined;
  }
  return octets === 4 && digits > 0 ? ip4(value * 256 + octet) : undefined;
}

/** Strict IPv6 text of RFC 4291 section 2.2, the mixed form included; no zone id, no brackets. Gives undefined else. */
export function parseIp6(text: string): Ip6 | undefined {
  const end = text.length;
  if (end < 2 || end > 45) return undefined;
  const groups: number[] = [];
  let gap = -1;
  let at = 0;
  if (text.startsWith("::")) {
    gap = 0;
    at = 2;
  }
  while (at < end) {
    if (groups.length === 8) return undefined;
    const start = at;
    let group = 0;
    for (; at < end && at - start < 4; at++) {
      const digit = hexDigit(text.charCodeAt(at));
      if (digit < 0) break;
      group = group * 16 + digit;
    }
    if (at === start) return undefined;
    if (text.charCodeAt(at) === dot) {
      const tail = groups.length > 6 ? undefined : quad(text, start);
      if (tail === undefined) return undefined;
      groups.push(Math.floor(tail / 65536), tail % 65536);
      break;
    }
    groups.push(group);
    if (at === end) break;
    if (text.charCodeAt(at) !== colon) return undefined;
    at++;
    if (at === end) return undefined;
    if (text.charCodeAt(at) === colon) {
      if (gap >= 0) return undefined;
      gap = groups.length;
      at++;
    }
  }
  if (gap < 0 ? groups.length !== 8 : groups.length === 8) return undefined;
  const missing = 8 - groups.length;
  const full = missing === 0 ? groups : [...groups.slice(0, gap), ...zeros(missing), ...groups.slice(gap)];
  const word = (index: number): number => (full[index * 2] ?? 0) * 65536 + (full[index * 2 + 1] ?? 0);
  return ip6OfWords(word(0), word(1), word(2), word(3));
}

function zeros(count: number): readonly number[] {
  return new Array<number>(count).fill(0);
}

/** The value of a hexadecimal digit's character code, or -1. */
export function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const lower = code | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

/** An address of either version, strictly read; undefined for anything else. */
export function parseIp(text: string): Ip | undefined {
  return text.includes(":") ? parseIp6(text) : parseIp4(text);
}

/** As {@link parseIp}. Throws AddressError. */
export function ipOf(text: string): Ip {
  const ip = parseIp(text);
  if (ip === undefined) throw new AddressError("ip", text, "it is not an IP address");
  return ip;
}

/** The canonical text of an address given as text, or undefined where it is none. */
export function canonicalIp(text: string): string | undefined {
  const ip = parseIp(text);
  return ip === undefined ? undefined : textOfIp(ip);
}

/** Canonical text: dotted quad, or RFC 5952 (lower case, the first longest run of zeros cut, mapped IPv4 dotted). */
export function textOfIp(ip: Ip): string {
  if (typeof ip === "number") return `${ip >>> 24}.${(ip >>> 16) & 255}.${(ip >>> 8) & 255}.${ip & 255}`;
  if (ip >> 32n === 0xffffn) return `::ffff:${textOfIp(ip4(Number(ip & 0xffff_ffffn)))}`;
  const groups: number[] = [];
  for (const word of wordsOfIp(ip)) groups.push(word >>> 16, word & 0xffff);
  const { start, length } = longestZeros(groups);
  const hex = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(":");
  if (length < 2) return hex(groups);
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

function longestZeros(groups: readonly number[]): { readonly start: number; readonly length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (let at = 0; at <= groups.length; at++) {
    if (groups[at] === 0) continue;
    if (at - start > best.length) best = { start, length: at - start };
    start = at + 1;
  }
  return best;
}

/** Order by version (IPv4 first), then by value: negative, 0 or positive. */
export function compareIp(a: Ip, b: Ip): number {
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The address `distance` further (may be negative). Throws AddressError beyond either end of the version's space. */
export function addToIp(ip: Ip, distance: number | bigint): Ip {
  return ipFrom(versionOf(ip), BigInt(ip) + BigInt(distance));
}

/** 4 or 16 bytes in network order. */
export function bytesOfIp(ip: Ip): Uint8Array {
  const bytes = new Uint8Array(typeof ip === "number" ? 4 : 16);
  const view = new DataView(bytes.buffer);
  if (typeof ip === "number") view.setUint32(0, ip);
  else for (const [index, word] of wordsOfIp(ip).entries()) view.setUint32(index * 4, word);
  return bytes;
}

/** An address from 4 or 16 bytes in network order. Throws AddressError for another length. */
export function ipOfBytes(bytes: Uint8Array): Ip {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length === 4) return ip4(view.getUint32(0));
  if (bytes.length === 16)
    return ip6OfWords(view.getUint32(0), view.getUint32(4), view.getUint32(8), view.getUint32(12));
  throw new AddressError("ip", Buffer.from(bytes).toString("hex"), "an address has 4 or 16 bytes");
}

/** Four 32-bit words, most significant first. */
export type Words = readonly [number, number, number, number];

/** The address as a 128-bit field; an IPv4 stands in the low word with zeros above. */
export function wordsOfIp(ip: Ip): Words {
  if (typeof ip === "number") return [0, 0, 0, ip];
  const high = ip >> 64n;
  const low = ip & 0xffff_ffff_ffff_ffffn;
  return [Number(high >> 32n), Number(high & 0xffff_ffffn), Number(low >> 32n), Number(low & 0xffff_ffffn)];
}

/** An address from a 128-bit field, as {@link wordsOfIp} gives it. Throws AddressError for an IPv4 with bits above. */
export function ipOfWords(version: IpVersion, words: Words): Ip {
  const [a, b, c, d] = words;
  if (version === 6) return ip6OfWords(a, b, c, d);
  if (a !== 0 || b !== 0 || c !== 0) throw new AddressError("ip", words.join(" "), "an IPv4 address has 32 bits");
  return ip4(d);
}

function ip6OfWords(a: number, b: number, c: number, d: number): Ip6 {
  return ip6((BigInt(a) << 96n) | (BigInt(b) << 64n) | (BigInt(c) << 32n) | BigInt(d));
}

/** What an address is for. */
export type IpScope = "unspecified" | "loopback" | "link-local" | "multicast" | "broadcast" | "unicast";

/** The scope of an address: RFC 6890 for IPv4, RFC 4291 section 2.4 for IPv6. Private and global are both `unicast`. */
export function scopeOfIp(ip: Ip): IpScope {
  if (typeof ip === "number") {
    if (ip === 0) return "unspecified";
    if (ip === max4) return "broadcast";
    if (ip >>> 24 === 127) return "loopback";
    if (ip >>> 16 === 0xa9fe) return "link-local";
    return ip >>> 28 === 0xe ? "multicast" : "unicast";
  }
  if (ip === 0n) return "unspecified";
  if (ip === 1n) return "loopback";
  if (ip >> 118n === 0x3fan) return "link-local";
  return ip >> 120n === 0xffn ? "multicast" : "unicast";
}

export function isMulticastIp(ip: Ip): boolean {
  return scopeOfIp(ip) === "multicast";
}
export function isLinkLocalIp(ip: Ip): boolean {
  return scopeOfIp(ip) === "link-local";
}
export function isLoopbackIp(ip: Ip): boolean {
  return scopeOfIp(ip) === "loopback";
}
export function isUnspecifiedIp(ip: Ip): boolean {
  return scopeOfIp(ip) === "unspecified";
}
