/** DHCPv4 options (RFC 2132; relay agent RFC 3046, domain search RFC 3397, classless routes RFC 3442), one codec an option. */

import { ipv4Bytes, readIpv4, writeIpv4 } from "./address.ts";
import { EncodeError, fromHex, fromLatin1, Reader, toHex, toLatin1, Writer } from "./bytes.ts";
import { readNames, writeNames } from "./names.ts";

/** The message types of RFC 2132 section 9.6, in the order of their numbers from 1. */
export const dhcpMessageTypes = ["discover", "offer", "request", "decline", "ack", "nak", "release", "inform"] as const;
export type DhcpMessageType = (typeof dhcpMessageTypes)[number];

/** An option as code and bytes: what has no field of its own, and the sub-options of a relay agent. */
export interface DhcpOption {
  readonly code: number;
  readonly data: Uint8Array;
}

/** A route of option 121: `destination` is a CIDR, `gateway` an address (`0.0.0.0`: the destination is on the link). */
export interface ClasslessRoute {
  readonly destination: string;
  readonly gateway: string;
}

/** The options that have a meaning here, by their code in the comment. Times are in seconds, sizes in bytes. */
interface TypedOptions {
  /** 1 */ readonly subnetMask: string;
  /** 3 */ readonly routers: readonly string[];
  /** 6 */ readonly dnsServers: readonly string[];
  /** 12 */ readonly hostName: string;
  /** 15 */ readonly domainName: string;
  /** 26 */ readonly mtu: number;
  /** 28 */ readonly broadcastAddress: string;
  /** 42 */ readonly ntpServers: readonly string[];
  /** 50 */ readonly requestedAddress: string;
  /** 51 */ readonly leaseTime: number;
  /** 53 */ readonly messageType: DhcpMessageType;
  /** 54 */ readonly serverId: string;
  /** 55 */ readonly parameterRequest: readonly number[];
  /** 56 */ readonly message: string;
  /** 57 */ readonly maxMessageSize: number;
  /** 58 */ readonly renewalTime: number;
  /** 59 */ readonly rebindingTime: number;
  /** 60 */ readonly vendorClass: string;
  /** 61: hex, the type byte first */ readonly clientId: string;
  /** 82 */ readonly relayAgent: readonly DhcpOption[];
  /** 119 */ readonly domainSearch: readonly string[];
  /** 121 */ readonly classlessRoutes: readonly ClasslessRoute[];
}

/** All options of a message: named ones, and `other` by code, for their order on the wire means nothing. */
export type DhcpOptions = Partial<TypedOptions> & { readonly other?: readonly DhcpOption[] };

type Name = keyof TypedOptions;

interface Codec<T> {
  readonly code: number;
  readonly read: (reader: Reader) => T;
  readonly write: (writer: Writer, value: T, field: string) => void;
}

const ipv4 = (code: number): Codec<string> => ({
  code,
  read: (reader) => readIpv4(reader.bytes, reader.skip(4)),
  write: (writer, value, field) => {
    const at = writer.reserve(4);
    writeIpv4(writer.buffer, at, value, field);
  },
});

const ipv4List = (code: number): Codec<readonly string[]> => ({
  code,
  read: (reader) => {
    if (reader.left === 0 || reader.left % 4 !== 0) reader.fail("length");
    return Array.from({ length: reader.left / 4 }, () => readIpv4(reader.bytes, reader.skip(4)));
  },
  write: (writer, value, field) => {
    if (value.length === 0) throw new EncodeError(field, "at least one address");
    for (const address of value) ipv4(code).write(writer, address, field);
  },
});

const text = (code: number): Codec<string> => ({
  code,
  read: (reader) => toLatin1(reader.rest()),
  write: (writer, value, field) => writer.put(fromLatin1(value, field)),
});

const u16 = (code: number): Codec<number> => ({
  code,
  read: (reader) => reader.u16(),
  write: (writer, value, field) => writer.u16(value, field),
});

const u32 = (code: number): Codec<number> => ({
  code,
  read: (reader) => reader.u32(),
  write: (writer, value, field) => writer.u32(value, field),
});

const codecs: { readonly [N in Name]: Codec<TypedOptions[N]> } = {
  subnetMask: ipv4(1),
  routers: ipv4List(3),
  dnsServers: ipv4List(6),
  hostName: text(12),
  domainName: text(15),
  mtu: u16(26),
  broadcastAddress: ipv4(28),
  ntpServers: ipv4List(42),
  requestedAddress: ipv4(50),
  leaseTime: u32(51),
  messageType: {
    code: 53,
    read: (reader) => dhcpMessageTypes[reader.u8() - 1] ?? reader.fail("value", reader.at - 1),
    write: (writer, value, field) => writer.u8(dhcpMessageTypes.indexOf(value) + 1, field),
  },
  serverId: ipv4(54),
  parameterRequest: {
    code: 55,
    read: (reader) => Array.from(reader.rest()),
    write: (writer, value, field) => {
      for (const code of value) writer.u8(code, field);
    },
  },
  message: text(56),
  maxMessageSize: u16(57),
  renewalTime: u32(58),
  rebindingTime: u32(59),
  vendorClass: text(60),
  clientId: {
    code: 61,
    read: (reader) => toHex(reader.rest()),
    write: (writer, value, field) => writer.put(fromHex(value, field)),
  },
  relayAgent: { code: 82, read: readSubOptions, write: writeSubOptions },
  domainSearch: {
    code: 119,
    read: (reader) => {
      const offset = reader.at;
      return readNames(reader.rest(), "dhcp", offset, "allowed");
    },
    write: writeNames,
  },
  classlessRoutes: { code: 121, read: readRoutes, write: writeRoutes },
};

function isName(name: string): name is Name {
  return Object.hasOwn(codecs, name);
}

const names: readonly Name[] = Object.keys(codecs).filter(isName);
const nameOf: ReadonlyMap<number, Name> = new Map(names.map((name) => [codecs[name].code, name]));

function readSubOptions(reader: Reader): readonly DhcpOption[] {
  const options: DhcpOption[] = [];
  while (reader.left > 0) {
    const code = reader.u8();
    options.push({ code, data: reader.take(reader.u8()) });
  }
  return options;
}

function writeSubOptions(writer: Writer, options: readonly DhcpOption[], field: string): void {
  for (const { code, data } of options) {
    writer.u8(code, field);
    writer.u8(data.length, field);
    writer.put(data);
  }
}

/** Routes: width of the mask, then as many bytes of the destination as the mask touches, then the gateway; bits behind the mask are cleared. */
function readRoutes(reader: Reader): readonly ClasslessRoute[] {
  const routes: ClasslessRoute[] = [];
  if (reader.left === 0) reader.fail("length");
  while (reader.left > 0) {
    const width = reader.u8();
    if (width > 32) reader.fail("value", reader.at - 1);
    const destination = new Uint8Array(4);
    destination.set(reader.take(Math.ceil(width / 8)));
    maskTo(destination, width);
    routes.push({
      destination: `${readIpv4(destination, 0)}/${width}`,
      gateway: readIpv4(reader.bytes, reader.skip(4)),
    });
  }
  return routes;
}

function writeRoutes(writer: Writer, routes: readonly ClasslessRoute[], field: string): void {
  if (routes.length === 0) throw new EncodeError(field, "at least one route");
  for (const { destination, gateway } of routes) {
    const [address = "", digits = ""] = destination.split("/");
    const width = Number(digits);
    if (!/^[0-9]{1,2}$/.test(digits) || width > 32)
      throw new EncodeError(field, `${JSON.stringify(destination)} is not a CIDR`);
    const bytes = ipv4Bytes(address);
    maskTo(bytes, width);
    writer.u8(width, field);
    writer.put(bytes.subarray(0, Math.ceil(width / 8)));
    writer.put(ipv4Bytes(gateway));
  }
}

function maskTo(address: Uint8Array, width: number): void {
  for (let n = 0; n < 4; n++) {
    const kept = Math.min(8, Math.max(0, width - 8 * n));
    address[n] = address[n]! & (0xff00 >>> kept) & 0xff;
  }
}

/** The bytes of one option, put together, and where in the packet they began. */
interface Gathered {
  readonly code: number;
  readonly offset: number;
  readonly parts: Uint8Array[];
}

/**
 * Reads the options of a message from its fields in the order of RFC 3396 section 5 (options, file, sname); `openOverload` is asked
 * for the latter two once the first field has said, in option 52, that they hold options. Parts of one code are joined.
 */
export function readDhcpOptions(first: Reader, openOverload: (value: number) => readonly Reader[]): DhcpOptions {
  const gathered = new Map<number, Gathered>();
  gather(first, gathered);
  const overload = gathered.get(52);
  if (overload !== undefined) {
    const value = joined(overload.parts);
    if (value.length !== 1) first.fail("length", overload.offset);
    const fields = openOverload(value[0]!);
    if (fields.length === 0) first.fail("value", overload.offset);
    gathered.delete(52);
    for (const field of fields) gather(field, gathered);
    // Only the options field itself may speak of overloading (RFC 2131 section 4.1).
    const again = gathered.get(52);
    if (again !== undefined) first.fail("value", again.offset);
  }
  const typed: { -readonly [N in Name]?: TypedOptions[N] } = {};
  const other: DhcpOption[] = [];
  for (const { code, offset, parts } of gathered.values()) {
    const name = nameOf.get(code);
    const data = joined(parts);
    if (name === undefined) other.push({ code, data });
    else readTyped(name, data, offset, typed);
  }
  return other.length === 0 ? typed : { ...typed, other: other.toSorted((a, b) => a.code - b.code) };
}

function gather(reader: Reader, into: Map<number, Gathered>): void {
  while (reader.left > 0) {
    const code = reader.u8();
    if (code === 0) continue;
    if (code === 255) return;
    const data = reader.take(reader.u8());
    const known = into.get(code);
    if (known === undefined) into.set(code, { code, offset: reader.at - data.length, parts: [data] });
    else known.parts.push(data);
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  const writer = new Writer();
  for (const part of parts) writer.put(part);
  return writer.done();
}

function readTyped<N extends Name>(
  name: N,
  data: Uint8Array,
  offset: number,
  into: { [M in Name]?: TypedOptions[M] },
): void {
  const reader = new OptionReader(data, offset);
  into[name] = codecs[name].read(reader);
  if (reader.left > 0) reader.fail("length", 0);
}

/** A reader over an option's joined bytes, whose faults name the place in the packet. */
class OptionReader extends Reader {
  readonly #offset: number;

  constructor(bytes: Uint8Array, offset: number) {
    super(bytes, "dhcp");
    this.#offset = offset;
  }

  override fail(reason: "truncated" | "length" | "version" | "value" | "checksum", at: number = this.at): never {
    return super.fail(reason === "truncated" ? "length" : reason, this.#offset + at);
  }
}

/** An option's bytes; undefined: it is not there. */
export type DhcpChange = Omit<DhcpOption, "data"> & { readonly data: Uint8Array | undefined };

/** Options with others in their places. Throws `Fault` on bytes that are not of a named option's form. */
export function withDhcpOptions(options: DhcpOptions, changes: readonly DhcpChange[]): DhcpOptions {
  const { other = [], ...rest } = options;
  const typed: { -readonly [N in Name]?: TypedOptions[N] } = rest;
  const codes = new Set(changes.map(({ code }) => code));
  const raw = other.filter(({ code }) => !codes.has(code));
  for (const { code, data } of changes) {
    const name = nameOf.get(code);
    if (name !== undefined) delete typed[name];
    if (data === undefined) continue;
    if (name === undefined) raw.push({ code, data });
    else readTyped(name, data, 0, typed);
  }
  return raw.length === 0 ? typed : { ...typed, other: raw };
}

/**
 * Writes all options and the end mark: the message type first, the rest by code, the relay agent's last (RFC 3046 section 2.1). What
 * is longer than 255 bytes is split (RFC 3396). Throws `EncodeError` on values that do not fit and on an `other` code that has a name.
 */
export function writeDhcpOptions(writer: Writer, options: DhcpOptions): void {
  const encoded: DhcpOption[] = [];
  for (const name of names) {
    const data = encodeTyped(name, options);
    if (data !== undefined) encoded.push({ code: codecs[name].code, data });
  }
  for (const { code, data } of options.other ?? []) {
    if (code < 1 || code > 254 || code === 52 || nameOf.has(code))
      throw new EncodeError("dhcp.options.other", `option ${code} does not belong here`);
    if (encoded.some((option) => option.code === code))
      throw new EncodeError("dhcp.options.other", `option ${code} twice`);
    encoded.push({ code, data });
  }
  const rank = (code: number): number => (code === 53 ? 0 : code === 82 ? 256 : code);
  encoded.sort((a, b) => rank(a.code) - rank(b.code));
  for (const { code, data } of encoded) {
    let at = 0;
    do {
      const part = data.subarray(at, at + 255);
      writer.u8(code, "dhcp.option");
      writer.u8(part.length, "dhcp.option.length");
      writer.put(part);
      at += 255;
    } while (at < data.length);
  }
  writer.u8(255, "dhcp.option");
}

function encodeTyped<N extends Name>(name: N, options: Partial<TypedOptions>): Uint8Array | undefined {
  const value: TypedOptions[N] | undefined = options[name];
  if (value === undefined) return undefined;
  const writer = new Writer(64);
  codecs[name].write(writer, value, `dhcp.options.${name}`);
  return writer.done();
}
