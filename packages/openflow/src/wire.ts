/** Bytes in network order: a growing writer, a bounded reader, and the two errors of the codec (OpenFlow 1.5.1, section 7.1: all fields big-endian). */

/** OpenFlow wire version of OpenFlow 1.5, the only one spoken here. */
export const openFlowVersion = 6;

/** The length field of an OpenFlow header has 16 bits, so no message is longer than this. */
export const maxMessageLength = 0xffff;

/** Thrown when a value does not fit its place on the wire (a number out of range, a message above 65535 bytes). */
export class EncodeError extends Error {
  override readonly name = "EncodeError";
}

/** Thrown when bytes are not what the protocol allows (truncated, impossible length, wrong version). */
export class DecodeError extends Error {
  override readonly name = "DecodeError";
}

/** A 64-bit quantity: a bigint, or a safe integer, which is cheaper to write. Decoding always gives a bigint. */
export type U64 = bigint | number;

/** Appends big-endian values to a buffer that doubles when it is full. Every write checks its range. */
export class Writer {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(capacity = 4096) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** Forgets what was written and keeps the memory. */
  clear(): void {
    this.#length = 0;
  }

  /** Forgets what was written after `length`, as when a message turned out not to be encodable. */
  truncate(length: number): void {
    if (length < this.#length) this.#length = length;
  }

  /** A copy of what was written: safe to hand to a socket while the writer goes on. */
  take(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  u8(value: number): void {
    if (!(value >= 0 && value <= 0xff)) throw outOfRange(value, 8);
    const at = this.#grow(1);
    this.#view.setUint8(at, value);
  }

  u16(value: number): void {
    if (!(value >= 0 && value <= 0xffff)) throw outOfRange(value, 16);
    const at = this.#grow(2);
    this.#view.setUint16(at, value);
  }

  u32(value: number): void {
    if (!(value >= 0 && value <= 0xffff_ffff)) throw outOfRange(value, 32);
    const at = this.#grow(4);
    this.#view.setUint32(at, value);
  }

  /** 48 bits from a safe integer: a MAC address. */
  u48(value: number): void {
    if (!(value >= 0 && value <= 0xffff_ffff_ffff)) throw outOfRange(value, 48);
    const at = this.#grow(6);
    this.#view.setUint16(at, Math.floor(value / 0x1_0000_0000));
    this.#view.setUint32(at + 2, value % 0x1_0000_0000);
  }

  u64(value: U64): void {
    if (typeof value === "bigint") {
      if (value < 0n || value > 0xffff_ffff_ffff_ffffn) throw outOfRange(value, 64);
      const at = this.#grow(8);
      this.#view.setBigUint64(at, value);
      return;
    }
    if (!(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) throw outOfRange(value, 64);
    const at = this.#grow(8);
    this.#view.setUint32(at, Math.floor(value / 0x1_0000_0000));
    this.#view.setUint32(at + 4, value % 0x1_0000_0000);
  }

  u128(value: U64): void {
    const wide = BigInt(value);
    if (wide < 0n || wide >> 128n !== 0n) throw outOfRange(value, 128);
    const at = this.#grow(16);
    this.#view.setBigUint64(at, wide >> 64n);
    this.#view.setBigUint64(at + 8, wide & 0xffff_ffff_ffff_ffffn);
  }

  /** `count` zero bytes. */
  zeros(count: number): void {
    const at = this.#grow(count);
    this.#bytes.fill(0, at, at + count);
  }

  bytes(value: Uint8Array): void {
    const at = this.#grow(value.length);
    this.#bytes.set(value, at);
  }

  /** Text of one byte a character (as `Reader.text` gives it) in a fixed field, zero-filled; at least one zero byte ends it. */
  text(value: string, size: number): void {
    if (value.length >= size) throw new EncodeError(`"${value}" does not fit ${size} bytes with its final zero`);
    const at = this.#grow(size);
    this.#bytes.fill(0, at, at + size);
    for (let i = 0; i < value.length; i += 1) {
      const code = value.charCodeAt(i);
      if (code === 0 || code > 0xff) throw new EncodeError(`"${value}" has a character that is no byte`);
      this.#bytes[at + i] = code;
    }
  }

  /** Seconds as 32 bits of whole ones and 32 of nanoseconds. */
  seconds(value: number): void {
    if (!(value >= 0 && value <= 2 ** 32)) throw outOfRange(value, 32);
    // A double next to 2^32 has no nanoseconds left: it stands for the last that there are.
    const whole = Math.min(Math.floor(value), 0xffff_ffff);
    this.u32(whole);
    this.u32(Math.min(Math.round((value - whole) * 1e9), 999_999_999));
  }

  /** Zeros until what began at `start` is a multiple of 8 bytes long. */
  pad8(start: number): void {
    const rest = (this.#length - start) & 7;
    if (rest !== 0) this.zeros(8 - rest);
  }

  /** Zeros until what began at `start` is `size` bytes long. */
  padTo(start: number, size: number): void {
    const missing = start + size - this.#length;
    if (missing > 0) this.zeros(missing);
  }

  /** Overwrites 16 bits at `at`: a length known only afterwards. */
  setU16(at: number, value: number): void {
    if (!(value >= 0 && value <= 0xffff))
      throw new EncodeError(`length ${value} does not fit 16 bits: split the message`);
    this.#view.setUint16(at, value);
  }

  /** Makes room and gives its offset. Read `#view` only afterwards: growing replaces it. */
  #grow(count: number): number {
    const at = this.#length;
    const needed = at + count;
    if (needed > this.#bytes.length) {
      const bytes = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      bytes.set(this.#bytes);
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer);
    }
    this.#length = needed;
    return at;
  }
}

/** How deep actions may hold actions (and bundles messages) before decoding refuses: a hostile peer must not exhaust the stack. */
const maxDepth = 64;

/** Reads big-endian values from a slice of bytes; reading past its end throws a DecodeError. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #start: number;
  readonly #end: number;
  readonly #depth: number;
  #at: number;

  /** A reader of all of `bytes`, or of a part of what another one reads. */
  constructor(bytes: Uint8Array, part?: { readonly of: Reader; readonly start: number; readonly end: number }) {
    const depth = part === undefined ? 0 : part.of.#depth + 1;
    if (depth > maxDepth) throw new DecodeError(`nested deeper than ${maxDepth}`);
    // A Buffer's `slice` does not copy, and what is decoded must not change with the socket's buffer.
    this.#bytes =
      bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#view = part === undefined ? new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) : part.of.#view;
    this.#start = part?.start ?? 0;
    this.#at = this.#start;
    this.#end = part?.end ?? bytes.length;
    this.#depth = depth;
  }

  /** Bytes not yet read. */
  get left(): number {
    return this.#end - this.#at;
  }

  u8(): number {
    return this.#view.getUint8(this.#skip(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#skip(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#skip(4));
  }

  u48(): number {
    const at = this.#skip(6);
    return this.#view.getUint16(at) * 0x1_0000_0000 + this.#view.getUint32(at + 2);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#skip(8));
  }

  /** Seconds, as `Writer.seconds` writes them; nanoseconds that make up a second or more are counted as such. */
  seconds(): number {
    const whole = this.u32();
    const nanoseconds = this.u32();
    return Math.min(whole + Math.floor(nanoseconds / 1e9), 0xffff_ffff) + (nanoseconds % 1e9) / 1e9;
  }

  u128(): bigint {
    const at = this.#skip(16);
    return (this.#view.getBigUint64(at) << 64n) | this.#view.getBigUint64(at + 8);
  }

  /** A copy of the next `count` bytes. */
  bytes(count: number): Uint8Array {
    const at = this.#skip(count);
    return this.#bytes.slice(at, at + count);
  }

  /** A copy of all the bytes of this reader, read or not: for what must be kept raw. */
  whole(): Uint8Array {
    return this.#bytes.slice(this.#start, this.#end);
  }

  /** Text up to the first zero byte of a fixed field, one character a byte. The last byte is taken for the zero that must be there, as Open vSwitch does. */
  text(size: number): string {
    const at = this.#skip(size);
    let text = "";
    for (let i = at; i < at + size - 1; i += 1) {
      const code = this.#view.getUint8(i);
      if (code === 0) break;
      text += String.fromCharCode(code);
    }
    return text;
  }

  skip(count: number): void {
    this.#skip(count);
  }

  /** Skips padding after an object of `length` bytes to a multiple of 8, as far as the slice goes. */
  skipPad8(length: number): void {
    this.#skip(Math.min((8 - (length & 7)) & 7, this.left));
  }

  /** The next `count` bytes as a reader of their own, one level deeper; this one moves past them. */
  sub(count: number): Reader {
    const at = this.#skip(count);
    return new Reader(this.#bytes, { of: this, start: at, end: at + count });
  }

  /** 16 bits `ahead` bytes from here, without moving. */
  peekU16(ahead: number): number {
    if (ahead + 2 > this.left) throw new DecodeError(`needs ${ahead + 2} bytes, has ${this.left}`);
    return this.#view.getUint16(this.#at + ahead);
  }

  #skip(count: number): number {
    if (count < 0 || count > this.left) throw new DecodeError(`needs ${count} bytes, has ${this.left}`);
    const at = this.#at;
    this.#at = at + count;
    return at;
  }
}

function outOfRange(value: U64, bits: number): EncodeError {
  return new EncodeError(`${value} does not fit ${bits} bits`);
}
