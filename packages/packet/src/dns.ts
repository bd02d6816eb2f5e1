/** DNS messages (RFC 1035 section 4, RFC 3596 AAAA, RFC 6891 EDNS): read whole and written with compression, for a resolver and its clients. */
import { readIpv4, readIpv6, writeIpv4, writeIpv6 } from "./address.ts";
import { checkWidth, EncodeError, Fault, type MalformedReason, Reader, Writer } from "./bytes.ts";

/** Types of records that have a meaning here (IANA). */
export const DnsType = { a: 1, ns: 2, cname: 5, soa: 6, ptr: 12, aaaa: 28, opt: 41, any: 255 } as const;
export const DnsClass = { internet: 1, any: 255 } as const;
/** What an answer says of its question (RFC 1035 section 4.1.1; RFC 6891 section 9 for `badVersion`). */
export const DnsRcode = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  nameError: 3,
  notImplemented: 4,
  refused: 5,
  badVersion: 16,
} as const;

/** Names are as in RFC 1035 section 5.1: labels with a dot behind each, `\.` and `\007` for bytes that would not show; the root is `.`. */
export interface DnsQuestion {
  readonly name: string;
  readonly type: number;
  readonly class: number;
}

/** What a record holds: of types that have no field of their own, the bytes. */
export type DnsData =
  | { readonly kind: "address"; readonly address: string }
  | { readonly kind: "name"; readonly name: string }
  | {
      readonly kind: "authority";
      readonly primary: string;
      readonly mailbox: string;
      readonly serial: number;
      readonly refresh: number;
      readonly retry: number;
      readonly expire: number;
      readonly minimum: number;
    }
  | { readonly kind: "raw"; readonly bytes: Uint8Array };

export interface DnsRecord {
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** Seconds. */
  readonly ttl: number;
  readonly data: DnsData;
}

/** The one record of the message itself (RFC 6891 section 6.1.2). `options` are its bytes. */
export interface DnsExtension {
  /** Bytes of a datagram that its sender takes. */
  readonly size: number;
  readonly version: number;
  /** The bits above the four of the header. */
  readonly rcode: number;
  readonly flags: number;
  readonly options: Uint8Array;
}

export interface Dns {
  readonly id: number;
  readonly response: boolean;
  readonly opcode: number;
  readonly authoritative: boolean;
  readonly truncated: boolean;
  readonly recursionDesired: boolean;
  readonly recursionAvailable: boolean;
  /** The three bits of which two are DNSSEC's (RFC 4035 section 3). */
  readonly reserved: number;
  /** The four bits of the header. */
  readonly rcode: number;
  readonly questions: readonly DnsQuestion[];
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
  readonly extension?: DnsExtension;
}

/** A message, or where and why it is none. */
export type DecodedDns =
  | { readonly ok: true; readonly message: Dns }
  | { readonly ok: false; readonly reason: MalformedReason; readonly offset: number };

/** A longer chain of pointers is an attempt to make us work; each must point further back, too. */
const maxJumps = 16;
const longestName = 255;
const longestLabel = 63;

/** Reads a message. Never throws. */
export function decodeDns(bytes: Uint8Array): DecodedDns {
  try {
    return { ok: true, message: readMessage(new Reader(bytes, "dns")) };
  } catch (error) {
    if (error instanceof Fault) return { ok: false, reason: error.reason, offset: error.offset };
    throw error;
  }
}

function readMessage(reader: Reader): Dns {
  const id = reader.u16();
  const flags = reader.u16();
  const [asked, answered, authority, additional] = [reader.u16(), reader.u16(), reader.u16(), reader.u16()];
  const questions = Array.from({ length: asked }, () => ({
    name: readName(reader),
    type: reader.u16(),
    class: reader.u16(),
  }));
  const extensions: DnsExtension[] = [];
  const records = (count: number, mayExtend: boolean): readonly DnsRecord[] => {
    const found: DnsRecord[] = [];
    for (let n = 0; n < count; n += 1) {
      const at = reader.at;
      const name = readName(reader);
      const type = reader.u16();
      if (type !== DnsType.opt) {
        found.push(readRecord(reader, name, type));
        continue;
      }
      if (!mayExtend || name !== "." || extensions.length > 0) reader.fail("value", at);
      extensions.push(readExtension(reader));
    }
    return found;
  };
  const [answers, authorities] = [records(answered, false), records(authority, false)];
  const additionals = records(additional, true);
  if (reader.left > 0) reader.fail("length");
  const [extension] = extensions;
  return {
    id,
    response: (flags & 0x8000) !== 0,
    opcode: (flags >> 11) & 15,
    authoritative: (flags & 0x400) !== 0,
    truncated: (flags & 0x200) !== 0,
    recursionDesired: (flags & 0x100) !== 0,
    recursionAvailable: (flags & 0x80) !== 0,
    reserved: (flags >> 4) & 7,
    rcode: flags & 15,
    questions,
    answers,
    authorities,
    additionals,
    ...(extension === undefined ? {} : { extension }),
  };
}

function readExtension(reader: Reader): DnsExtension {
  const size = reader.u16();
  const [rcode, version, flags] = [reader.u8(), reader.u8(), reader.u16()];
  return { size, version, rcode, flags, options: Uint8Array.from(reader.take(reader.u16())) };
}

function readRecord(reader: Reader, name: string, type: number): DnsRecord {
  const recordClass = reader.u16();
  const ttl = reader.u32();
  const length = reader.u16();
  const end = reader.at + length;
  if (length > reader.left) reader.fail("truncated");
  const data = readData(reader, type, recordClass, length);
  if (reader.at !== end) reader.fail("length", end);
  return { name, type, class: recordClass, ttl, data };
}

function readData(reader: Reader, type: number, recordClass: number, length: number): DnsData {
  const isInternet = recordClass === DnsClass.internet;
  if (isInternet && type === DnsType.a) return { kind: "address", address: readIpv4(reader.bytes, reader.skip(4)) };
  if (isInternet && type === DnsType.aaaa) return { kind: "address", address: readIpv6(reader.bytes, reader.skip(16)) };
  if (type === DnsType.ns || type === DnsType.cname || type === DnsType.ptr)
    return { kind: "name", name: readName(reader) };
  if (type === DnsType.soa) {
    const [primary, mailbox] = [readName(reader), readName(reader)];
    const [serial, refresh, retry] = [reader.u32(), reader.u32(), reader.u32()];
    return { kind: "authority", primary, mailbox, serial, refresh, retry, expire: reader.u32(), minimum: reader.u32() };
  }
  return { kind: "raw", bytes: Uint8Array.from(reader.take(length)) };
}

/** Reads a name at the cursor and moves behind it; pointers lead back into the whole message. */
function readName(reader: Reader): string {
  const { bytes } = reader;
  const fail = (reason: MalformedReason, at: number): never => reader.fail(reason, at);
  let at = reader.at;
  let lowest = at;
  let resume: number | undefined;
  let jumps = 0;
  let total = 1;
  let text = "";
  for (;;) {
    const length = bytes[at];
    if (length === undefined || at >= reader.end) return fail("truncated", at);
    if (length === 0) break;
    if (length >= 0xc0) {
      const low = at + 1 < reader.end ? bytes[at + 1] : undefined;
      if (low === undefined) return fail("truncated", at);
      const target = ((length & 0x3f) << 8) | low;
      jumps += 1;
      if (target >= lowest || jumps > maxJumps) return fail("value", at);
      resume ??= at + 2;
      lowest = target;
      at = target;
      continue;
    }
    if (length > longestLabel) return fail("value", at);
    if (at + 1 + length > reader.end) return fail("truncated", at);
    total += length + 1;
    if (total > longestName) return fail("length", at);
    text += `${labelText(bytes.subarray(at + 1, at + 1 + length))}.`;
    at += 1 + length;
  }
  reader.at = resume ?? at + 1;
  return text === "" ? "." : text;
}

const labelText = (bytes: Uint8Array): string => {
  let text = "";
  for (const byte of bytes) {
    if (byte <= 0x20 || byte >= 0x7f) text += `\\${String(byte).padStart(3, "0")}`;
    else text += byte === 0x2e || byte === 0x5c ? `\\${String.fromCharCode(byte)}` : String.fromCharCode(byte);
  }
  return text;
};

/** Labels of a name as bytes. Throws `EncodeError` on what is none; a final dot may be left out. */
function labelsOf(name: string, field: string): readonly Uint8Array[] {
  const wrong = (): never => {
    throw new EncodeError(field, `${JSON.stringify(name)} is not a domain name`);
  };
  if (name === ".") return [];
  const labels: number[][] = [[]];
  for (let at = 0; at < name.length; at += 1) {
    const code = name.charCodeAt(at);
    if (code === 0x2e) {
      labels.push([]);
      continue;
    }
    let byte = code;
    if (code === 0x5c) {
      const decimal = /^\d{3}/.exec(name.slice(at + 1, at + 4))?.[0];
      byte = decimal === undefined ? name.charCodeAt(at + 1) : Number(decimal);
      at += decimal === undefined ? 1 : 3;
    }
    if (!(byte >= 0 && byte <= 0xff)) wrong();
    labels.at(-1)?.push(byte);
  }
  if (labels.length > 1 && labels.at(-1)?.length === 0) labels.pop();
  const total = labels.reduce((sum, label) => sum + label.length + 1, 1);
  if (total > longestName || labels.some((label) => label.length === 0 || label.length > longestLabel)) wrong();
  return labels.map((label) => Uint8Array.from(label));
}

/** Writes a message; names are compressed where they repeat (RFC 1035 section 4.1.4). Throws `EncodeError` on values that do not fit. */
export function encodeDns(message: Dns): Uint8Array {
  const writer = new Writer(512);
  const { extension } = message;
  checkWidth(message.opcode, 4, "dns.opcode");
  checkWidth(message.rcode, 4, "dns.rcode");
  checkWidth(message.reserved, 3, "dns.reserved");
  writer.u16(message.id, "dns.id");
  writer.u16(
    (message.response ? 0x8000 : 0) |
      (message.opcode << 11) |
      (message.authoritative ? 0x400 : 0) |
      (message.truncated ? 0x200 : 0) |
      (message.recursionDesired ? 0x100 : 0) |
      (message.recursionAvailable ? 0x80 : 0) |
      (message.reserved << 4) |
      message.rcode,
    "dns.flags",
  );
  writer.u16(message.questions.length, "dns.questions");
  writer.u16(message.answers.length, "dns.answers");
  writer.u16(message.authorities.length, "dns.authorities");
  writer.u16(message.additionals.length + (extension === undefined ? 0 : 1), "dns.additionals");
  const known = new Map<string, number>();
  for (const question of message.questions) {
    writeName(writer, question.name, known, "dns.question");
    writer.u16(question.type, "dns.question.type");
    writer.u16(question.class, "dns.question.class");
  }
  for (const record of [...message.answers, ...message.authorities, ...message.additionals])
    writeRecord(writer, record, known);
  if (extension !== undefined) {
    writer.u8(0, "dns.extension");
    writer.u16(DnsType.opt, "dns.extension");
    writer.u16(extension.size, "dns.extension.size");
    writer.u8(extension.rcode, "dns.extension.rcode");
    writer.u8(extension.version, "dns.extension.version");
    writer.u16(extension.flags, "dns.extension.flags");
    writer.u16(extension.options.length, "dns.extension.options");
    writer.put(extension.options);
  }
  return writer.done();
}

function writeRecord(writer: Writer, record: DnsRecord, known: Map<string, number>): void {
  if (record.type === DnsType.opt) throw new EncodeError("dns.record", "the extension has a field of its own");
  writeName(writer, record.name, known, "dns.record");
  writer.u16(record.type, "dns.record.type");
  writer.u16(record.class, "dns.record.class");
  writer.u32(record.ttl, "dns.record.ttl");
  const at = writer.reserve(2);
  writeData(writer, record.data, known);
  writer.patchU16(at, writer.at - at - 2, "dns.record.length");
}

function writeData(writer: Writer, data: DnsData, known: Map<string, number>): void {
  switch (data.kind) {
    case "address": {
      const isIpv6 = data.address.includes(":");
      const at = writer.reserve(isIpv6 ? 16 : 4);
      (isIpv6 ? writeIpv6 : writeIpv4)(writer.buffer, at, data.address, "dns.address");
      return;
    }
    case "name":
      writeName(writer, data.name, known, "dns.name");
      return;
    case "authority":
      writeName(writer, data.primary, known, "dns.authority.primary");
      writeName(writer, data.mailbox, known, "dns.authority.mailbox");
      for (const name of ["serial", "refresh", "retry", "expire", "minimum"] as const)
        writer.u32(data[name], `dns.authority.${name}`);
      return;
    case "raw":
      writer.put(data.bytes);
  }
}

/** `known` has where each name stands already, as bytes; a pointer's target has 14 bits. */
function writeName(writer: Writer, name: string, known: Map<string, number>, field: string): void {
  const labels = labelsOf(name, field);
  for (const [at, label] of labels.entries()) {
    const rest = labels.slice(at).map(labelText).join(".");
    const target = known.get(rest);
    if (target !== undefined) {
      writer.u16(0xc000 | target, field);
      return;
    }
    if (writer.at < 0x4000) known.set(rest, writer.at);
    writer.u8(label.length, field);
    writer.put(label);
  }
  writer.u8(0, field);
}
