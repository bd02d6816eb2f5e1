/** Match fields and references to them as OXM TLVs (OpenFlow 1.5.1, section 7.2.3; experimenter fields 7.2.3.12). */
import { type Field, type FieldName, fieldByNumber, fields } from "./field-table.ts";
import { DecodeError, EncodeError, type Reader, type U64, type Writer } from "./wire.ts";

/** A field's value: a number up to 48 bits, a bigint above (a safe integer is taken too), bytes for `tun_metadataN`. */
export type FieldValue = U64 | Uint8Array;

/** One condition of a match, or one value to set. Without a mask all bits count. */
export interface FieldMatch {
  readonly field: FieldName;
  readonly value: FieldValue;
  readonly mask?: FieldValue;
}

/** A field that this codec does not know, kept whole: header, value and mask. */
export interface RawField {
  readonly field: "raw";
  readonly oxm: Uint8Array;
}

/** A match is the conjunction of its conditions; none matches everything. The switch wants prerequisites first (`eth_type` before `ipv4_src`). */
export type Match = readonly (FieldMatch | RawField)[];

/** A run of bits in a field: bit 0 is the least significant. */
export interface Subfield {
  readonly field: FieldName;
  readonly offset: number;
  readonly bits: number;
}

const experimenterClass = 0xffff;
const matchTypeOxm = 1;

/** A run of bits of a field; all of its significant bits without more. Throws EncodeError if the run leaves the field. */
export function subfield(name: FieldName, offset = 0, bits = fields[name].bits - offset): Subfield {
  if (offset < 0 || bits < 1 || offset + bits > fields[name].bits) {
    throw new EncodeError(`${name}[${offset}..${offset + bits - 1}] is outside its ${fields[name].bits} bits`);
  }
  return { field: name, offset, bits };
}

/** Writes a match with its own header and padding. */
export function encodeMatch(w: Writer, match: Match): void {
  const start = w.length;
  w.u16(matchTypeOxm);
  w.u16(0);
  encodeFields(w, match);
  w.setU16(start + 2, w.length - start);
  w.pad8(start);
}

/** Reads a match and its padding. */
export function decodeMatch(r: Reader): Match {
  const type = r.u16();
  if (type !== matchTypeOxm) throw new DecodeError(`match type ${type} is not OXM`);
  const length = r.u16();
  if (length < 4) throw new DecodeError(`match length ${length} is shorter than its header`);
  const match = decodeFields(r.sub(length - 4));
  r.skipPad8(length);
  return match;
}

/** Writes fields one after the other, without header or padding. */
export function encodeFields(w: Writer, match: Match): void {
  for (const item of match) encodeField(w, item);
}

/** Reads fields until the reader is empty. */
export function decodeFields(r: Reader): Match {
  const match: (FieldMatch | RawField)[] = [];
  while (r.left > 0) match.push(decodeField(r));
  return match;
}

/** Writes one field with its value and, if it has one, its mask. */
export function encodeField(w: Writer, item: FieldMatch | RawField): void {
  if (item.field === "raw") {
    w.bytes(item.oxm);
    return;
  }
  const known = fields[item.field];
  const size = item.value instanceof Uint8Array ? item.value.length : known.bytes;
  const masked = item.mask !== undefined;
  encodeHeader(w, known, masked ? size * 2 : size, masked ? 1 : 0);
  encodeValue(w, known, item.value, size);
  if (item.mask !== undefined) encodeValue(w, known, item.mask, size);
}

/** Reads one field; one that is unknown, or has an unexpected length, comes back raw. A switch tells a `tun_metadataN` of zero without any byte. */
export function decodeField(r: Reader): FieldMatch | RawField {
  const header = r.peekU16(2);
  const length = header & 0xff;
  const masked = (header & 0x100) !== 0;
  const oxmClass = r.peekU16(0);
  const oxmNumber = header >> 9;
  const experimental = oxmClass === experimenterClass;
  if (experimental && length < 4) throw new DecodeError("experimenter field without its experimenter");
  const experimenter = experimental ? r.peekU16(4) * 0x1_0000 + r.peekU16(6) : 0;
  const known = fieldByNumber(oxmClass, oxmNumber, experimenter);
  const payload = experimental ? length - 4 : length;
  const size = masked ? payload / 2 : payload;
  const fits = known !== undefined && (known.form === "bytes" ? Number.isInteger(size) : size === known.bytes);
  if (!fits) return { field: "raw", oxm: r.bytes(4 + length) };
  r.skip(experimental ? 8 : 4);
  const value = decodeValue(r, known, size);
  return masked ? { field: known.name, value, mask: decodeValue(r, known, size) } : { field: known.name, value };
}

/** Writes only the header of a field, as actions do that name one. `bytes` is for fields of variable length. */
export function encodeFieldHeader(w: Writer, name: FieldName, bytes?: number): void {
  const known = fields[name];
  encodeHeader(w, known, bytes ?? known.bytes, 0);
}

/** Reads a header that stands alone; undefined for an unknown field (the caller then keeps its whole action raw). */
export function decodeFieldHeader(r: Reader): Field | undefined {
  const oxmClass = r.u16();
  const rest = r.u16();
  const experimenter = oxmClass === experimenterClass ? r.u32() : 0;
  return fieldByNumber(oxmClass, rest >> 9, experimenter);
}

/** Writes a value of any width from 1 to 16 bytes, big-endian; bytes of variable length are written as they are. */
export function encodeValue(w: Writer, known: Field, value: FieldValue, size: number): void {
  if (value instanceof Uint8Array) {
    if (known.form !== "bytes" || value.length > known.bytes || value.length !== size) {
      throw new EncodeError(`${known.name} takes ${known.form}, not ${value.length} bytes`);
    }
    w.bytes(value);
    return;
  }
  if (known.form === "bytes") throw new EncodeError(`${known.name} takes bytes, whose length its option has`);
  switch (size) {
    case 1:
      w.u8(Number(value));
      break;
    case 2:
      w.u16(Number(value));
      break;
    case 4:
      w.u32(Number(value));
      break;
    case 6:
      w.u48(Number(value));
      break;
    case 8:
      w.u64(value);
      break;
    default:
      w.u128(value);
      break;
  }
}

function decodeValue(r: Reader, known: Field, size: number): FieldValue {
  if (known.form === "bytes") return r.bytes(size);
  switch (size) {
    case 1:
      return r.u8();
    case 2:
      return r.u16();
    case 4:
      return r.u32();
    case 6:
      return r.u48();
    case 8:
      return r.u64();
    default:
      return r.u128();
  }
}

function encodeHeader(w: Writer, known: Field, payload: number, hasMask: 0 | 1): void {
  const length = known.experimenter === 0 ? payload : payload + 4;
  w.u16(known.oxmClass);
  w.u16((known.number << 9) | (hasMask << 8) | length);
  if (known.experimenter !== 0) w.u32(known.experimenter);
}
