/** DHCPv4 messages (RFC 2131 section 2; option overload section 4.1, minimum size RFC 1542 section 2.1). */

import { readIpv4, writeIpv4 } from "./address.ts";
import { EncodeError, fromHex, fromLatin1, type Reader, toHex, toLatin1, type Writer } from "./bytes.ts";
import { type DhcpOptions, readDhcpOptions, writeDhcpOptions } from "./dhcp-options.ts";

/**
 * A message. `chaddr` is the hardware address of 0 to 16 bytes, hex with colons: for Ethernet (`htype` 1) a MAC address. `sname` and
 * `file` are empty if they held options. An address that is not set is `0.0.0.0`.
 */
export interface Dhcp {
  readonly op: "request" | "reply";
  readonly htype: number;
  readonly hops: number;
  readonly xid: number;
  readonly secs: number;
  readonly broadcast: boolean;
  readonly ciaddr: string;
  readonly yiaddr: string;
  readonly siaddr: string;
  readonly giaddr: string;
  readonly chaddr: string;
  readonly sname: string;
  readonly file: string;
  readonly options: DhcpOptions;
}

/** What a caller must say of a message: hardware is Ethernet, addresses are `0.0.0.0`, all else is 0 or empty unless said. */
export type DhcpSpec = Pick<Dhcp, "op" | "xid" | "chaddr" | "options"> & Partial<Dhcp>;

const cookie = 0x63825363;
const minimumSize = 300;

/** Reads a message up to the end of the datagram. One without the magic cookie (bare BOOTP) is refused. */
export function readDhcp(reader: Reader): Dhcp {
  const start = reader.at;
  const op = reader.u8();
  const htype = reader.u8();
  const hlen = reader.u8();
  const hops = reader.u8();
  const xid = reader.u32();
  const secs = reader.u16();
  const flags = reader.u16();
  const at = reader.skip(16);
  const chaddr = reader.take(16);
  const sname = reader.part(64);
  const file = reader.part(128);
  if (op !== 1 && op !== 2) reader.fail("value", start);
  if (hlen > 16) reader.fail("length", start + 2);
  if (reader.u32() !== cookie) reader.fail("value", reader.at - 4);
  let overload = 0;
  const options = readDhcpOptions(reader.part(reader.left), (value) => {
    overload = value > 3 ? 0 : value;
    return [...(overload & 1 ? [file] : []), ...(overload & 2 ? [sname] : [])];
  });
  const { bytes } = reader;
  return {
    op: op === 1 ? "request" : "reply",
    htype,
    hops,
    xid,
    secs,
    broadcast: (flags & 0x8000) !== 0,
    ciaddr: readIpv4(bytes, at),
    yiaddr: readIpv4(bytes, at + 4),
    siaddr: readIpv4(bytes, at + 8),
    giaddr: readIpv4(bytes, at + 12),
    chaddr: toHex(chaddr.subarray(0, hlen), ":"),
    sname: overload & 2 ? "" : untilNul(sname.rest()),
    file: overload & 1 ? "" : untilNul(file.rest()),
    options,
  };
}

/** Writes a message, padded to the 300 bytes below which some relays and clients drop it. */
export function writeDhcp(writer: Writer, dhcp: DhcpSpec): void {
  const unset = "0.0.0.0";
  const {
    htype = 1,
    hops = 0,
    secs = 0,
    ciaddr = unset,
    yiaddr = unset,
    siaddr = unset,
    giaddr = unset,
    sname = "",
    file = "",
  } = dhcp;
  const start = writer.at;
  const chaddr = fromHex(dhcp.chaddr, "dhcp.chaddr", ":");
  if (chaddr.length > 16) throw new EncodeError("dhcp.chaddr", `${chaddr.length} bytes are more than 16`);
  writer.u8(dhcp.op === "request" ? 1 : 2, "dhcp.op");
  writer.u8(htype, "dhcp.htype");
  writer.u8(chaddr.length, "dhcp.hlen");
  writer.u8(hops, "dhcp.hops");
  writer.u32(dhcp.xid, "dhcp.xid");
  writer.u16(secs, "dhcp.secs");
  writer.u16(dhcp.broadcast === true ? 0x8000 : 0, "dhcp.flags");
  const addresses = writer.reserve(16);
  for (const [n, address] of [ciaddr, yiaddr, siaddr, giaddr].entries()) {
    writeIpv4(writer.buffer, addresses + 4 * n, address, `dhcp.${["ciaddr", "yiaddr", "siaddr", "giaddr"][n]}`);
  }
  writeFixed(writer, chaddr, 16, "dhcp.chaddr");
  writeFixed(writer, fromLatin1(sname, "dhcp.sname"), 64, "dhcp.sname");
  writeFixed(writer, fromLatin1(file, "dhcp.file"), 128, "dhcp.file");
  writer.u32(cookie, "dhcp.cookie");
  writeDhcpOptions(writer, dhcp.options);
  writer.reserve(Math.max(0, start + minimumSize - writer.at));
}

function writeFixed(writer: Writer, bytes: Uint8Array, size: number, field: string): void {
  if (bytes.length > size) throw new EncodeError(field, `${bytes.length} bytes are more than ${size}`);
  const at = writer.reserve(size);
  writer.buffer.set(bytes, at);
}

function untilNul(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return toLatin1(end < 0 ? bytes : bytes.subarray(0, end));
}
