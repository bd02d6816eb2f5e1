/** DHCPv6 messages and options (RFC 8415 sections 7, 8, 9 and 21; DNS RFC 3646, client's name RFC 4704). */

import { readIpv6, writeIpv6 } from "./address.ts";
import { checkWidth, EncodeError, fromHex, fromLatin1, Reader, toHex, toLatin1, Writer } from "./bytes.ts";
import { readNames, writeNames } from "./names.ts";

/** The messages between clients and servers (RFC 8415 section 7.3), in the order of their numbers from 1. */
export const dhcpv6MessageTypes = [
  "solicit",
  "advertise",
  "request",
  "confirm",
  "renew",
  "rebind",
  "reply",
  "release",
  "decline",
  "reconfigure",
  "information-request",
] as const;
export type Dhcpv6MessageType = (typeof dhcpv6MessageTypes)[number];

/** Option codes that have a meaning here (IANA). */
export const Dhcpv6OptionCode = {
  clientId: 1,
  serverId: 2,
  iaNa: 3,
  iaAddress: 5,
  requested: 6,
  preference: 7,
  elapsed: 8,
  relayMessage: 9,
  status: 13,
  rapidCommit: 14,
  dnsServers: 23,
  domainSearch: 24,
  clientFqdn: 39,
} as const;

/** Status codes of RFC 8415 section 21.13. */
export const Dhcpv6Status = {
  success: 0,
  unspecFail: 1,
  noAddrsAvail: 2,
  noBinding: 3,
  notOnLink: 4,
  useMulticast: 5,
} as const;

/** An option as it came, if it has no field of its own. */
export interface Dhcpv6RawOption {
  readonly code: number;
  readonly data: Uint8Array;
}

/** Option 13: a code and a text for people. */
export interface Dhcpv6StatusOption {
  readonly code: number;
  readonly message: string;
}

/** Option 5, an address of an association; lifetimes in seconds. */
export interface IaAddress {
  readonly address: string;
  readonly preferred: number;
  readonly valid: number;
  readonly status?: Dhcpv6StatusOption;
}

/** Option 3, an association for non-temporary addresses; `t1` and `t2` in seconds. */
export interface IaNa {
  readonly iaid: number;
  readonly t1: number;
  readonly t2: number;
  readonly addresses: readonly IaAddress[];
  readonly status?: Dhcpv6StatusOption;
}

/** The options of a message. DUIDs are hex; `elapsed` counts hundredths of a second; `clientFqdn.name` ends in a dot if it is complete. */
export interface Dhcpv6Options {
  readonly clientId?: string;
  readonly serverId?: string;
  readonly iaNa?: readonly IaNa[];
  readonly requested?: readonly number[];
  readonly preference?: number;
  readonly elapsed?: number;
  readonly relayMessage?: Uint8Array;
  readonly status?: Dhcpv6StatusOption;
  readonly rapidCommit?: true;
  readonly dnsServers?: readonly string[];
  readonly domainSearch?: readonly string[];
  readonly clientFqdn?: { readonly flags: number; readonly name: string };
  readonly other?: readonly Dhcpv6RawOption[];
}

/** A message: between client and server, or between relays (RFC 8415 section 9), which carry one in `options.relayMessage`. */
export type Dhcpv6 =
  | { readonly type: Dhcpv6MessageType; readonly transactionId: number; readonly options: Dhcpv6Options }
  | {
      readonly type: "relay-forward" | "relay-reply";
      readonly hopCount: number;
      readonly link: string;
      readonly peer: string;
      readonly options: Dhcpv6Options;
    };

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Reads a message up to the end of the datagram. */
export function readDhcpv6(reader: Reader): Dhcpv6 {
  const at = reader.at;
  const number = reader.u8();
  if (number === 12 || number === 13) {
    const hopCount = reader.u8();
    const link = readIpv6(reader.bytes, reader.skip(16));
    const peer = readIpv6(reader.bytes, reader.skip(16));
    return {
      type: number === 12 ? "relay-forward" : "relay-reply",
      hopCount,
      link,
      peer,
      options: readOptions(reader),
    };
  }
  const type = dhcpv6MessageTypes[number - 1] ?? reader.fail("value", at);
  const transactionId = reader.u24();
  return { type, transactionId, options: readOptions(reader) };
}

/** Walks options one behind the other; a code that `repeats` does not allow may come once. */
function eachOption(
  reader: Reader,
  repeats: (code: number) => boolean,
  visit: (code: number, part: Reader) => void,
): void {
  const seen = new Set<number>();
  while (reader.left > 0) {
    const at = reader.at;
    const code = reader.u16();
    const part = reader.part(reader.u16());
    if (seen.has(code) && !repeats(code)) reader.fail("value", at);
    seen.add(code);
    visit(code, part);
  }
}

const typedCodes: ReadonlySet<number> = new Set(Object.values(Dhcpv6OptionCode));

function readOptions(reader: Reader): Dhcpv6Options {
  const options: Mutable<Dhcpv6Options> = {};
  const other: Dhcpv6RawOption[] = [];
  const iaNa: IaNa[] = [];
  const code = Dhcpv6OptionCode;
  eachOption(
    reader,
    (number) => number === code.iaNa || !typedCodes.has(number),
    (number, part) => {
      switch (number) {
        case code.clientId:
          options.clientId = toHex(part.rest());
          break;
        case code.serverId:
          options.serverId = toHex(part.rest());
          break;
        case code.iaNa:
          iaNa.push(readIaNa(part));
          break;
        case code.requested:
          if (part.left % 2 !== 0) part.fail("length");
          options.requested = Array.from({ length: part.left / 2 }, () => part.u16());
          break;
        case code.preference:
          options.preference = part.u8();
          break;
        case code.elapsed:
          options.elapsed = part.u16();
          break;
        case code.relayMessage:
          options.relayMessage = part.rest();
          break;
        case code.status:
          options.status = readStatus(part);
          break;
        case code.rapidCommit:
          options.rapidCommit = true;
          break;
        case code.dnsServers:
          if (part.left === 0 || part.left % 16 !== 0) part.fail("length");
          options.dnsServers = Array.from({ length: part.left / 16 }, () => readIpv6(part.bytes, part.skip(16)));
          break;
        case code.domainSearch: {
          const offset = part.at;
          options.domainSearch = readNames(part.rest(), "dhcpv6", offset, "forbidden");
          break;
        }
        case code.clientFqdn:
          options.clientFqdn = readFqdn(part);
          break;
        case code.iaAddress:
          // It belongs inside an IA option (RFC 8415 section 21.6).
          part.fail("value");
          break;
        default:
          other.push({ code: number, data: part.rest() });
      }
      if (part.left > 0) part.fail("length");
    },
  );
  if (iaNa.length > 0) options.iaNa = iaNa;
  if (other.length > 0) options.other = other;
  return options;
}

function readStatus(reader: Reader): Dhcpv6StatusOption {
  return { code: reader.u16(), message: toLatin1(reader.rest()) };
}

function readIaNa(reader: Reader): IaNa {
  const iaid = reader.u32();
  const t1 = reader.u32();
  const t2 = reader.u32();
  const addresses: IaAddress[] = [];
  let status: Dhcpv6StatusOption | undefined;
  eachOption(
    reader,
    (code) => code !== Dhcpv6OptionCode.status,
    (code, part) => {
      if (code === Dhcpv6OptionCode.iaAddress) addresses.push(readIaAddress(part));
      else if (code === Dhcpv6OptionCode.status) status = readStatus(part);
    },
  );
  return status === undefined ? { iaid, t1, t2, addresses } : { iaid, t1, t2, addresses, status };
}

function readIaAddress(reader: Reader): IaAddress {
  const address = readIpv6(reader.bytes, reader.skip(16));
  const preferred = reader.u32();
  const valid = reader.u32();
  let status: Dhcpv6StatusOption | undefined;
  eachOption(
    reader,
    (code) => code !== Dhcpv6OptionCode.status,
    (code, part) => {
      if (code === Dhcpv6OptionCode.status) status = readStatus(part);
    },
  );
  return status === undefined ? { address, preferred, valid } : { address, preferred, valid, status };
}

/** A client's name may be a part only, and then has no root label at its end (RFC 4704 section 4.2). */
function readFqdn(reader: Reader): { readonly flags: number; readonly name: string } {
  const flags = reader.u8();
  const offset = reader.at;
  const bytes = reader.rest();
  let at = 0;
  while (at < bytes.length && bytes[at] !== 0) at += 1 + bytes[at]!;
  const complete = bytes[at] === 0;
  if (complete && at !== bytes.length - 1) reader.fail("length", offset + at);
  const [name = ""] = readNames(complete ? bytes : Uint8Array.of(...bytes, 0), "dhcpv6", offset, "forbidden");
  return { flags, name: complete ? `${name}.` : name };
}

/** Writes a message. Throws `EncodeError` on values that do not fit and on an `other` code that has a field. */
export function writeDhcpv6(writer: Writer, dhcpv6: Dhcpv6): void {
  switch (dhcpv6.type) {
    case "relay-forward":
    case "relay-reply": {
      writer.u8(dhcpv6.type === "relay-forward" ? 12 : 13, "dhcpv6.type");
      writer.u8(dhcpv6.hopCount, "dhcpv6.hopCount");
      writeAddress(writer, dhcpv6.link, "dhcpv6.link");
      writeAddress(writer, dhcpv6.peer, "dhcpv6.peer");
      break;
    }
    default:
      writer.u8(dhcpv6MessageTypes.indexOf(dhcpv6.type) + 1, "dhcpv6.type");
      writer.u24(dhcpv6.transactionId, "dhcpv6.transactionId");
  }
  writeOptions(writer, dhcpv6.options);
}

function writeAddress(writer: Writer, address: string, field: string): void {
  const at = writer.reserve(16);
  writeIpv6(writer.buffer, at, address, field);
}

function writeOption(writer: Writer, code: number, body: () => void): void {
  writer.u16(code, "dhcpv6.option");
  const at = writer.reserve(2);
  body();
  writer.patchU16(at, writer.at - at - 2, "dhcpv6.option.length");
}

function writeOptions(writer: Writer, options: Dhcpv6Options): void {
  const code = Dhcpv6OptionCode;
  const { clientId, serverId, iaNa = [], requested, preference, elapsed, relayMessage, status, rapidCommit } = options;
  const { dnsServers, domainSearch, clientFqdn, other = [] } = options;
  if (clientId !== undefined)
    writeOption(writer, code.clientId, () => writer.put(fromHex(clientId, "dhcpv6.clientId")));
  if (serverId !== undefined)
    writeOption(writer, code.serverId, () => writer.put(fromHex(serverId, "dhcpv6.serverId")));
  for (const ia of iaNa) writeOption(writer, code.iaNa, () => writeIaNa(writer, ia));
  if (requested !== undefined)
    writeOption(writer, code.requested, () => {
      for (const item of requested) writer.u16(item, "dhcpv6.requested");
    });
  if (preference !== undefined) writeOption(writer, code.preference, () => writer.u8(preference, "dhcpv6.preference"));
  if (elapsed !== undefined) writeOption(writer, code.elapsed, () => writer.u16(elapsed, "dhcpv6.elapsed"));
  if (relayMessage !== undefined) writeOption(writer, code.relayMessage, () => writer.put(relayMessage));
  if (status !== undefined) writeStatus(writer, status);
  if (rapidCommit !== undefined) writeOption(writer, code.rapidCommit, () => writer.put(new Uint8Array(0)));
  if (dnsServers !== undefined) {
    if (dnsServers.length === 0) throw new EncodeError("dhcpv6.dnsServers", "at least one server");
    writeOption(writer, code.dnsServers, () => {
      for (const server of dnsServers) writeAddress(writer, server, "dhcpv6.dnsServers");
    });
  }
  if (domainSearch !== undefined)
    writeOption(writer, code.domainSearch, () => writeNames(writer, domainSearch, "dhcpv6.domainSearch"));
  if (clientFqdn !== undefined) writeOption(writer, code.clientFqdn, () => writeFqdn(writer, clientFqdn));
  for (const { code: number, data } of other) {
    if (typedCodes.has(number)) throw new EncodeError("dhcpv6.other", `option ${number} does not belong here`);
    checkWidth(number, 16, "dhcpv6.other");
    writeOption(writer, number, () => writer.put(data));
  }
}

/** Options with others in their places, as bytes by code. Throws `Fault` on bytes that are not of a named option's form. */
export function withDhcpv6Options(options: Dhcpv6Options, changes: readonly Dhcpv6RawOption[]): Dhcpv6Options {
  const writer = new Writer(64);
  for (const { code, data } of changes) writeOption(writer, code, () => writer.put(data));
  const read = readOptions(new Reader(writer.done(), "dhcpv6"));
  const codes = new Set(changes.map(({ code }) => code));
  const other = [...(options.other ?? []).filter(({ code }) => !codes.has(code)), ...(read.other ?? [])];
  return { ...options, ...read, ...(other.length === 0 ? {} : { other }) };
}

function writeStatus(writer: Writer, status: Dhcpv6StatusOption): void {
  writeOption(writer, Dhcpv6OptionCode.status, () => {
    writer.u16(status.code, "dhcpv6.status.code");
    writer.put(fromLatin1(status.message, "dhcpv6.status.message"));
  });
}

function writeIaNa(writer: Writer, ia: IaNa): void {
  writer.u32(ia.iaid, "dhcpv6.iaid");
  writer.u32(ia.t1, "dhcpv6.t1");
  writer.u32(ia.t2, "dhcpv6.t2");
  for (const { address, preferred, valid, status } of ia.addresses) {
    writeOption(writer, Dhcpv6OptionCode.iaAddress, () => {
      writeAddress(writer, address, "dhcpv6.iaAddress");
      writer.u32(preferred, "dhcpv6.iaAddress.preferred");
      writer.u32(valid, "dhcpv6.iaAddress.valid");
      if (status !== undefined) writeStatus(writer, status);
    });
  }
  if (ia.status !== undefined) writeStatus(writer, ia.status);
}

function writeFqdn(writer: Writer, fqdn: { readonly flags: number; readonly name: string }): void {
  writer.u8(fqdn.flags, "dhcpv6.clientFqdn.flags");
  if (fqdn.name === "") return;
  if (fqdn.name === ".") {
    writer.u8(0, "dhcpv6.clientFqdn");
    return;
  }
  const name = new Writer(64);
  writeNames(name, [fqdn.name], "dhcpv6.clientFqdn");
  const bytes = name.done();
  writer.put(fqdn.name.endsWith(".") ? bytes : bytes.subarray(0, -1));
}
