/** DHCP options of a port's own (`extra_dhcp_opts`) as they stand on the wire (RFC 2132, RFC 3397, RFC 3442; RFC 8415, RFC 5908, RFC 5970). */
import {
  bytesOfIp,
  cidrOf,
  type DhcpOptionValue,
  dhcpOptionOf,
  type ExtraDhcpOption,
  InvalidValue,
  ipOf,
  type Port,
} from "@selvage/model";
import type { DhcpChange } from "@selvage/packet";

/** DHCPv6's option 56, whose addresses are each an option in it. */
const ntpServer6 = 56;

/** What a port's options say of one version, by code; addresses of the other version are left out, as of `dns_nameservers`. */
export function extraOptions(port: Port, version: 4 | 6): readonly DhcpChange[] {
  const changes = new Map<number, DhcpChange>();
  // A port from a server that knows of no such options has none.
  for (const option of port.extra_dhcp_opts ?? []) {
    if (option.ip_version !== version) continue;
    const asked = read(option);
    if (asked === undefined) continue;
    const { code, value } = asked;
    if (value.form === "none") {
      changes.set(code, { code, data: undefined });
      continue;
    }
    const data = bytesOf(code, value, version);
    if (data.length > 0) changes.set(code, { code, data });
  }
  return [...changes.values()];
}

/** What an option asks for; undefined: it is of a newer server, and not known here. */
function read(option: ExtraDhcpOption) {
  try {
    return dhcpOptionOf(option);
  } catch (error) {
    if (error instanceof InvalidValue) return undefined;
    throw error;
  }
}

const utf8 = new TextEncoder();

function bytesOf(code: number, value: Exclude<DhcpOptionValue, { form: "none" }>, version: 4 | 6): Uint8Array {
  switch (value.form) {
    case "addresses": {
      const own = value.addresses.filter((address) => address.includes(":") === (version === 6));
      const isNtp = version === 6 && code === ntpServer6;
      return joined(own.map((address) => (isNtp ? sized([0, 1], bytesOfIp(ipOf(address))) : bytesOfIp(ipOf(address)))));
    }
    case "number":
      return Uint8Array.from({ length: value.width }, (_, at) => value.value >>> (8 * (value.width - 1 - at)));
    case "text":
      return utf8.encode(value.text);
    case "texts":
      return joined(value.texts.map((text) => sized([], utf8.encode(text))));
    case "names":
      return joined(value.names.map(wireName));
    case "routes":
      return joined(value.routes.map(wireRoute));
    case "bytes":
      return value.bytes;
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** Bytes with their number before them, in two bytes. */
const sized = (before: readonly number[], bytes: Uint8Array): Uint8Array =>
  Uint8Array.from([...before, bytes.length >>> 8, bytes.length & 0xff, ...bytes]);

const wireName = (name: string): Uint8Array =>
  Uint8Array.from([...name.split(".").flatMap((label) => [label.length, ...utf8.encode(label)]), 0]);

function wireRoute({ destination, gateway }: { readonly destination: string; readonly gateway: string }): Uint8Array {
  const { length, address } = cidrOf(destination);
  return Uint8Array.from([
    length,
    ...bytesOfIp(address).subarray(0, Math.ceil(length / 8)),
    ...bytesOfIp(ipOf(gateway)),
  ]);
}

/**
 * The frame with as many of the options as there is room for: the last ones are left out, and what the client asked for comes first.
 * `most` is in bytes of the frame.
 */
export function fitting(
  extras: readonly DhcpChange[],
  asked: readonly number[] | undefined,
  most: number,
  build: (extras: readonly DhcpChange[]) => Uint8Array,
): Uint8Array {
  const isAsked = ({ code }: DhcpChange): boolean => asked?.includes(code) === true;
  const ranked = [...extras.filter(isAsked), ...extras.filter((extra) => !isAsked(extra))];
  for (let count = ranked.length; ; count--) {
    const frame = build(ranked.slice(0, count));
    if (frame.length <= most || count === 0) return frame;
  }
}
