/** The Internet checksum (RFC 1071), its pseudo-headers (RFC 768, RFC 9293, RFC 8200 section 8.1) and its incremental update (RFC 1624). */

import { readU16, writeU16 } from "./bytes.ts";

/** The sum of the 16-bit words of `bytes` from `from` to `to` (an odd last byte counts as its word's high half), added to `sum`. */
export function sumWords(bytes: Uint8Array, from: number, to: number, sum = 0): number {
  let total = sum;
  let at = from;
  for (; at + 1 < to; at += 2) total += readU16(bytes, at);
  if (at < to) total += bytes[at]! << 8;
  return total;
}

/** The checksum that a sum of words calls for: its one's complement, 16 bits. */
export function finish(sum: number): number {
  return ~fold(sum) & 0xffff;
}

/** The checksum of `bytes` from `from` to `to`: 0 if those bytes hold a right checksum, for a checksum sums to all ones. */
export function checksum(bytes: Uint8Array, from: number, to: number): number {
  return finish(sumWords(bytes, from, to));
}

/** The sum of the pseudo-header for an upper layer of `length` bytes inside the IPv4 header at `ipAt`. */
export function pseudoIpv4(bytes: Uint8Array, ipAt: number, protocol: number, length: number): number {
  return sumWords(bytes, ipAt + 12, ipAt + 20, protocol + length);
}

/** The sum of the pseudo-header for an upper layer of `length` bytes inside the IPv6 header at `ipAt`. */
export function pseudoIpv6(bytes: Uint8Array, ipAt: number, protocol: number, length: number): number {
  return sumWords(bytes, ipAt + 8, ipAt + 40, protocol + length);
}

/**
 * Corrects the checksum at `at` for words whose sum went from `before` to `after` (RFC 1624 equation 3: HC' = ~(~HC + ~m + m')).
 * A wrong checksum stays wrong, and a packet of which only the first fragment is here stays right.
 */
export function updateChecksum(bytes: Uint8Array, at: number, before: number, after: number): void {
  const sum = (~readU16(bytes, at) & 0xffff) + (~fold(before) & 0xffff) + after;
  writeU16(bytes, at, finish(sum));
}

function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  return folded;
}
