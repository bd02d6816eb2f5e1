/**
 * ICMP errors of IPv4 as bytes, with the packet that they quote (RFC 792): what is written into the quotation corrects the checksums that cover it, and the
 * message's own is made anew at the end (RFC 1624).
 */
import { checksum, updateChecksum } from "@selvage/packet";
import { IpProto, icmpErrorTypes } from "@selvage/pipeline";

const ethernetHeader = 14;
const errorTypes: ReadonlySet<number> = new Set(icmpErrorTypes);

/** Where the parts of an error are in a frame without a tag: the header, the message, the quoted packet and its upper layer. */
export interface Parts {
  readonly bytes: Uint8Array;
  readonly outer: number;
  readonly message: number;
  readonly quoted: number;
  readonly upper: number;
  readonly end: number;
}

export const word = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;

export function setWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value & 0xff;
}

/** Takes an error apart; undefined where it is none, or does not quote a whole IPv4 header and eight bytes (RFC 792). */
export function partsOf(frame: Uint8Array): Parts | undefined {
  const bytes = Uint8Array.from(frame);
  const outer = ethernetHeader;
  if (bytes.length < outer + 20 || word(bytes, 12) !== 0x0800 || bytes[outer]! >> 4 !== 4) return undefined;
  const message = outer + (bytes[outer]! & 0xf) * 4;
  const end = outer + word(bytes, outer + 2);
  const quoted = message + 8;
  if (end > bytes.length || bytes[outer + 9] !== 1 || quoted + 28 > end) return undefined;
  if ((word(bytes, outer + 6) & 0x3fff) !== 0 || !errorTypes.has(bytes[message]!)) return undefined;
  const upper = quoted + (bytes[quoted]! & 0xf) * 4;
  if (bytes[quoted]! >> 4 !== 4 || upper < quoted + 20 || upper + 8 > end) return undefined;
  return { bytes, outer, message, quoted, upper, end };
}

/** Changes a run of 16-bit words that a checksum covers, and the checksum with it (RFC 1624); one of UDP that says nothing stays. */
export function change(bytes: Uint8Array, at: number, to: Uint8Array, sums: readonly number[]): void {
  for (let n = 0; n < to.length; n += 2) {
    const before = word(bytes, at + n);
    const after = (to[n]! << 8) | to[n + 1]!;
    setWord(bytes, at + n, after);
    for (const sum of sums) updateChecksum(bytes, sum, before, after);
  }
}

/** The checksum of the quoted upper layer, where it was quoted as far and says something. */
export function upperSum({ bytes, quoted, upper, end }: Parts): readonly number[] {
  const protocol = bytes[quoted + 9];
  if (protocol === IpProto.tcp) return upper + 18 <= end ? [upper + 16] : [];
  if (protocol === IpProto.udp) return word(bytes, upper + 6) === 0 ? [] : [upper + 6];
  return [];
}

/** Both ports' words, by protocol with ports. */
export const hasPorts = ({ bytes, quoted }: Parts): boolean =>
  bytes[quoted + 9] === IpProto.tcp || bytes[quoted + 9] === IpProto.udp;

export const portBytes = (port: number): Uint8Array => Uint8Array.of(port >> 8, port & 0xff);

export function finish({ bytes, message, end }: Parts): Uint8Array {
  setWord(bytes, message + 2, 0);
  setWord(bytes, message + 2, checksum(bytes, message, end));
  return bytes;
}
