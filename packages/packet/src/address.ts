/** MAC, IPv4 and IPv6 addresses between bytes and canonical text (IPv6 text: RFC 4291 section 2.2 read, RFC 5952 written). */

import { EncodeError, readU16, writeU16 } from "./bytes.ts";

const octetText = Array.from({ length: 256 }, (_, n) => String(n));
const hexText = Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, "0"));

/** The MAC address in the six bytes at `at`, lower-case with colons: `fa:16:3e:00:00:01`. */
export function readMac(bytes: Uint8Array, at: number): string {
  return `${hexText[bytes[at]!]}:${hexText[bytes[at + 1]!]}:${hexText[bytes[at + 2]!]}:${hexText[bytes[at + 3]!]}:${hexText[bytes[at + 4]!]}:${hexText[bytes[at + 5]!]}`;
}

/** The IPv4 address in the four bytes at `at`: `10.0.0.1`. */
export function readIpv4(bytes: Uint8Array, at: number): string {
  return `${octetText[bytes[at]!]}.${octetText[bytes[at + 1]!]}.${octetText[bytes[at + 2]!]}.${octetText[bytes[at + 3]!]}`;
}

/**
 * The IPv6 address in the sixteen bytes at `at`, as RFC 5952 writes it: lower case, no leading zeros, the longest run of two or
 * more zero groups (the first of equals) shortened to `::`, IPv4-mapped addresses with their last 32 bits dotted (section 5).
 */
export function readIpv6(bytes: Uint8Array, at: number): string {
  let bestStart = -1;
  let bestLength = 1;
  let runStart = -1;
  for (let group = 0; group <= 8; group++) {
    const zero = group < 8 && readU16(bytes, at + 2 * group) === 0;
    if (zero && runStart < 0) runStart = group;
    if (!zero && runStart >= 0) {
      if (group - runStart > bestLength) {
        bestStart = runStart;
        bestLength = group - runStart;
      }
      runStart = -1;
    }
  }
  if (bestStart === 0 && bestLength === 5 && readU16(bytes, at + 10) === 0xffff)
    return `::ffff:${readIpv4(bytes, at + 12)}`;
  let text = "";
  for (let group = 0; group < 8; group++) {
    if (group === bestStart) {
      text += "::";
      group += bestLength - 1;
      continue;
    }
    if (text !== "" && !text.endsWith(":")) text += ":";
    text += readU16(bytes, at + 2 * group).toString(16);
  }
  return text;
}

/** Writes a MAC address (colons or hyphens, either case) to the six bytes at `at`. Throws `EncodeError` naming `field`. */
export function writeMac(bytes: Uint8Array, at: number, text: string, field: string): void {
  if (!/^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}$/.test(text))
    throw new EncodeError(field, `${JSON.stringify(text)} is not a MAC address`);
  for (let n = 0; n < 6; n++) bytes[at + n] = Number.parseInt(text.slice(3 * n, 3 * n + 2), 16);
}

/** Writes a dotted IPv4 address to the four bytes at `at`; leading zeros are refused (they are octal to some). Throws `EncodeError`. */
export function writeIpv4(bytes: Uint8Array, at: number, text: string, field: string): void {
  if (!putIpv4(bytes, at, text)) throw new EncodeError(field, `${JSON.stringify(text)} is not an IPv4 address`);
}

/** Writes an IPv6 address in any form of RFC 4291 section 2.2 (no zone) to the sixteen bytes at `at`. Throws `EncodeError`. */
export function writeIpv6(bytes: Uint8Array, at: number, text: string, field: string): void {
  if (!putIpv6(bytes, at, text)) throw new EncodeError(field, `${JSON.stringify(text)} is not an IPv6 address`);
}

function putIpv4(bytes: Uint8Array, at: number, text: string): boolean {
  const parts = text.split(".");
  if (parts.length !== 4) return false;
  for (const [n, part] of parts.entries()) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return false;
    bytes[at + n] = Number(part);
  }
  return true;
}

function putIpv6(bytes: Uint8Array, at: number, text: string): boolean {
  const halves = text.split("::");
  if (halves.length > 2) return false;
  const head = groupsOf(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? groupsOf(halves[1]!, true) : [];
  if (head === undefined || tail === undefined) return false;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return false;
  bytes.fill(0, at, at + 16);
  for (const [n, group] of head.entries()) writeU16(bytes, at + 2 * n, group);
  for (const [n, group] of tail.entries()) writeU16(bytes, at + 2 * (8 - tail.length + n), group);
  return true;
}

/** The 16-bit groups of one side of `::`; a dotted IPv4 address may stand for the last two of the whole address. */
function groupsOf(text: string, mayEndDotted: boolean): readonly number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [n, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16));
    } else if (mayEndDotted && n === parts.length - 1) {
      const dotted = new Uint8Array(4);
      if (!putIpv4(dotted, 0, part)) return undefined;
      groups.push(readU16(dotted, 0), readU16(dotted, 2));
    } else {
      return undefined;
    }
  }
  return groups;
}

/** The six bytes of a MAC address. Throws `EncodeError`. */
export function macBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(6);
  writeMac(bytes, 0, text, "mac");
  return bytes;
}

/** The four bytes of an IPv4 address. Throws `EncodeError`. */
export function ipv4Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(4);
  writeIpv4(bytes, 0, text, "ipv4");
  return bytes;
}

/** The sixteen bytes of an IPv6 address. Throws `EncodeError`. */
export function ipv6Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  writeIpv6(bytes, 0, text, "ipv6");
  return bytes;
}

/** The Ethernet group address onto which an IPv6 multicast address maps (RFC 2464 section 7): `33:33:` and its last 32 bits. */
export function multicastMac(ipv6: string): string {
  const bytes = ipv6Bytes(ipv6);
  return readMac(Uint8Array.of(0x33, 0x33, bytes[12]!, bytes[13]!, bytes[14]!, bytes[15]!), 0);
}

/** The solicited-node multicast address of an IPv6 address (RFC 4291 section 2.7.1): `ff02::1:ff` and its last 24 bits. */
export function solicitedNode(ipv6: string): string {
  const bytes = ipv6Bytes("ff02::1:ff00:0");
  bytes.set(ipv6Bytes(ipv6).subarray(13), 13);
  return readIpv6(bytes, 0);
}
