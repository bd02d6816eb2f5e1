/** Bounded big-endian reading and writing ("network order", RFC 791 appendix B): every codec here stands on these two cursors. */

/** The layer in which a packet was found to be malformed. */
export type Layer =
  | "ethernet"
  | "arp"
  | "ipv4"
  | "ipv6"
  | "udp"
  | "tcp"
  | "icmp"
  | "icmpv6"
  | "dhcp"
  | "dhcpv6"
  | "dns"
  | "vxlan"
  | "geneve";

/**
 * Why bytes were refused.
 * - `truncated`: the bytes end before the header or the length that it states.
 * - `length`: a length field contradicts its surroundings or the fixed size of what it counts.
 * - `version`: a version field names a version that is not this protocol.
 * - `value`: a field bears a value that the protocol forbids or that has no meaning here.
 * - `checksum`: a checksum does not match.
 */
export type MalformedReason = "truncated" | "length" | "version" | "value" | "checksum";

/** Carries a refusal from the depth of a codec to `decode`, which turns it into a value. It never leaves this package. */
export class Fault extends Error {
  readonly layer: Layer;
  readonly reason: MalformedReason;
  readonly offset: number;

  constructor(layer: Layer, reason: MalformedReason, offset: number) {
    super(`${layer}: ${reason} at ${offset}`);
    this.name = "Fault";
    this.layer = layer;
    this.reason = reason;
    this.offset = offset;
  }
}

/** Thrown by `encode` and the field setters when a value cannot stand in the header it is meant for; `field` names it. */
export class EncodeError extends Error {
  readonly field: string;

  constructor(field: string, message: string) {
    super(`${field}: ${message}`);
    this.name = "EncodeError";
    this.field = field;
  }
}

/** No bytes at all: the payload of a packet whose innermost layer consumed everything. */
export const noBytes: Uint8Array = new Uint8Array(0);

/** Reads from `bytes` between `at` and `end`; offsets in faults are always those of the whole packet. */
export class Reader {
  readonly bytes: Uint8Array;
  readonly layer: Layer;
  readonly end: number;
  at: number;

  constructor(bytes: Uint8Array, layer: Layer, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.layer = layer;
    this.at = at;
    this.end = end;
  }

  get left(): number {
    return this.end - this.at;
  }

  /** Refuses the packet at `offset` (the cursor, if none is given). */
  fail(reason: MalformedReason, offset: number = this.at): never {
    throw new Fault(this.layer, reason, offset);
  }

  /** Takes note that `n` bytes follow, or refuses the packet. Gives the offset of the first, and moves behind the last. */
  skip(n: number): number {
    const at = this.at;
    if (n > this.end - at) this.fail("truncated", at);
    this.at = at + n;
    return at;
  }

  u8(): number {
    return this.bytes[this.skip(1)]!;
  }

  u16(): number {
    return readU16(this.bytes, this.skip(2));
  }

  u24(): number {
    const at = this.skip(3);
    return (this.bytes[at]! << 16) | readU16(this.bytes, at + 1);
  }

  u32(): number {
    return readU32(this.bytes, this.skip(4));
  }

  /** The next `n` bytes, as a window on the packet (not a copy). */
  take(n: number): Uint8Array {
    const at = this.skip(n);
    return this.bytes.subarray(at, at + n);
  }

  /** All that is left, as a window on the packet. */
  rest(): Uint8Array {
    return this.take(this.left);
  }

  /** A reader over the next `n` bytes, which this reader then has behind it. */
  part(n: number): Reader {
    const at = this.skip(n);
    return new Reader(this.bytes, this.layer, at, at + n);
  }

  /** A reader of another layer over what is left, or over its first `n` bytes. */
  inner(layer: Layer, n: number = this.left): Reader {
    return new Reader(this.bytes, layer, this.at, this.at + n);
  }
}

/** Writes into a buffer that grows; each number is checked against its width and named in the error. */
export class Writer {
  #bytes: Uint8Array;
  at = 0;

  constructor(capacity = 512) {
    this.#bytes = new Uint8Array(capacity);
  }

  /** The buffer behind what was written so far: valid until the next write, for checksums and back-patching. */
  get buffer(): Uint8Array {
    return this.#bytes;
  }

  /** Makes room for `n` zero bytes and gives the offset of the first. */
  reserve(n: number): number {
    const at = this.at;
    const end = at + n;
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(end, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
    }
    this.at = end;
    return at;
  }

  u8(value: number, field: string): void {
    checkWidth(value, 8, field);
    // The offset first: making room may replace the buffer.
    const at = this.reserve(1);
    this.#bytes[at] = value;
  }

  u16(value: number, field: string): void {
    checkWidth(value, 16, field);
    const at = this.reserve(2);
    writeU16(this.#bytes, at, value);
  }

  u24(value: number, field: string): void {
    checkWidth(value, 24, field);
    const at = this.reserve(3);
    this.#bytes[at] = value >>> 16;
    writeU16(this.#bytes, at + 1, value & 0xffff);
  }

  u32(value: number, field: string): void {
    checkWidth(value, 32, field);
    const at = this.reserve(4);
    writeU16(this.#bytes, at, value >>> 16);
    writeU16(this.#bytes, at + 2, value & 0xffff);
  }

  put(bytes: Uint8Array): void {
    const at = this.reserve(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** Sets a 16-bit number that an earlier `reserve` or write left open: a length or a checksum. */
  patchU16(at: number, value: number, field: string): void {
    checkWidth(value, 16, field);
    writeU16(this.#bytes, at, value);
  }

  patchU8(at: number, value: number, field: string): void {
    checkWidth(value, 8, field);
    this.#bytes[at] = value;
  }

  /** What was written, as bytes of its own. */
  done(): Uint8Array {
    return this.#bytes.slice(0, this.at);
  }
}

/** Refuses a number that is not a whole number of `bits` bits. Throws `EncodeError`. */
export function checkWidth(value: number, bits: number, field: string): void {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** bits) {
    throw new EncodeError(field, `${value} does not fit into ${bits} bits`);
  }
}

export function readU16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

export function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value & 0xff;
}

const hexDigits = Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, "0"));

/** Lower-case hex of bytes, with `between` between two of them: opaque identities (client ids, DUIDs) are held so. */
export function toHex(bytes: Uint8Array, between = ""): string {
  return Array.from(bytes, (byte) => hexDigits[byte]).join(between);
}

/** The bytes of hex digits; `between` as in `toHex`. Throws `EncodeError` on anything else. */
export function fromHex(text: string, field: string, between = ""): Uint8Array {
  const digits = between === "" ? text : text.replaceAll(between, "");
  if (digits.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(digits))
    throw new EncodeError(field, `${JSON.stringify(text)} is not hex`);
  return Uint8Array.from({ length: digits.length / 2 }, (_, n) => Number.parseInt(digits.slice(2 * n, 2 * n + 2), 16));
}

/** Text of bytes, one character a byte (ISO 8859-1), so that no byte is lost; a trailing run of NULs is dropped (RFC 2132 section 2). */
export function toLatin1(bytes: Uint8Array): string {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return String.fromCharCode(...bytes.subarray(0, end));
}

/** Bytes of a text of characters up to U+00FF. Throws `EncodeError` on others. */
export function fromLatin1(text: string, field: string): Uint8Array {
  return Uint8Array.from(text, (character) => {
    const code = character.charCodeAt(0);
    if (code > 0xff || character.length > 1)
      throw new EncodeError(field, `${JSON.stringify(character)} is not one byte`);
    return code;
  });
}
