/**
 * By what a packet belongs to a connection: addresses, protocol and ports, of ICMP the kind of question and its number; of an ICMP error those of
 * the packet that it is about (RFC 792, RFC 4443). The rules are those of Open vSwitch's userspace connection tracking.
 */
import { checksum } from "@selvage/packet";
import { IpProto } from "@selvage/pipeline";
import { type Datagram, hasRightChecksum, ipv4Of, ipv6Of } from "./datagram.ts";

/** One side of a connection. */
export interface Side {
  readonly address: string;
  /** Port, or the number of an ICMP question; 0 where the protocol has none. */
  readonly port: number;
  /** What this side sends: an ICMP type; 0 for other protocols. */
  readonly type: number;
}

export interface Tuple {
  readonly version: 4 | 6;
  readonly protocol: number;
  readonly from: Side;
  readonly to: Side;
}

/** What a packet says of its connection; `related`: it is an error about one of its packets. */
export interface Belonging {
  readonly tuple: Tuple;
  readonly related: boolean;
}

export const reversed = ({ version, protocol, from, to }: Tuple): Tuple => ({ version, protocol, from: to, to: from });

const sideText = ({ address, port, type }: Side): string => `${address}.${port}.${type}`;

/** The same for packets of one direction of one connection, and for no others. */
export const tupleText = ({ version, protocol, from, to }: Tuple): string =>
  `${version}.${protocol} ${sideText(from)} ${sideText(to)}`;

/** The connection of a whole datagram, or undefined where it cannot be of any. */
export function belongingOf(datagram: Datagram): Belonging | undefined {
  if (datagram.fragment !== undefined) return undefined;
  const { version, protocol } = datagram;
  if (protocol === IpProto.tcp) return isSoundTcp(datagram) ? portsOf(datagram, 20) : undefined;
  if (protocol === IpProto.udp) return isSoundUdp(datagram) ? portsOf(datagram, 8) : undefined;
  if (version === 4 && protocol === IpProto.icmp) return isSoundIcmp(datagram) ? icmpOf(datagram) : undefined;
  if (version === 6 && protocol === IpProto.icmp6) return isSoundIcmp(datagram) ? icmp6Of(datagram) : undefined;
  return { tuple: tupleOf(datagram, 0, 0), related: false };
}

const word = (bytes: Uint8Array, at: number): number => (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);

function isSoundTcp(datagram: Datagram): boolean {
  const header = ((datagram.upper[12] ?? 0) >> 4) * 4;
  return header >= 20 && header <= datagram.upper.length && hasRightChecksum(datagram);
}

function isSoundUdp(datagram: Datagram): boolean {
  const { upper, version } = datagram;
  const length = word(upper, 4);
  if (upper.length < 8 || length < 8 || length > upper.length) return false;
  return (version === 4 && word(upper, 6) === 0) || hasRightChecksum(datagram);
}

const isSoundIcmp = (datagram: Datagram): boolean =>
  datagram.version === 4 ? checksum(datagram.upper, 0, datagram.upper.length) === 0 : hasRightChecksum(datagram);

const tupleOf = (
  { version, protocol, source, destination }: Datagram,
  fromPort: number,
  toPort: number,
  types: readonly [number, number] = [0, 0],
): Tuple => ({
  version,
  protocol,
  from: { address: source, port: fromPort, type: types[0] },
  to: { address: destination, port: toPort, type: types[1] },
});

/** Ports of TCP or UDP, whose header has so many bytes; 0 is no port. */
function portsOf(datagram: Datagram, header: number): Belonging | undefined {
  if (datagram.upper.length < header) return undefined;
  const [from, to] = [word(datagram.upper, 0), word(datagram.upper, 2)];
  return from === 0 || to === 0 ? undefined : { tuple: tupleOf(datagram, from, to), related: false };
}

/** Questions of ICMP and their answers: echo, timestamp, information. */
const answers4: ReadonlyMap<number, number> = new Map([
  [8, 0],
  [0, 8],
  [13, 14],
  [14, 13],
  [15, 16],
  [16, 15],
]);
const answers6: ReadonlyMap<number, number> = new Map([
  [128, 129],
  [129, 128],
]);
const errors4: ReadonlySet<number> = new Set([3, 4, 5, 11, 12]);
const errors6: ReadonlySet<number> = new Set([1, 2, 3, 4]);

function question(datagram: Datagram, answers: ReadonlyMap<number, number>): Belonging | undefined {
  const [type = 0, code] = datagram.upper;
  const answer = answers.get(type);
  if (answer === undefined || code !== 0) return undefined;
  const id = word(datagram.upper, 4);
  return { tuple: tupleOf(datagram, id, id, [type, answer]), related: false };
}

function icmpOf(datagram: Datagram): Belonging | undefined {
  const { upper } = datagram;
  if (upper.length < 8) return undefined;
  if (!errors4.has(upper[0] ?? 0)) return question(datagram, answers4);
  const about = ipv4Of(upper.subarray(8), { verify: false, whole: false });
  if (about === undefined || about.fragment !== undefined || about.source !== datagram.destination) return undefined;
  // What RFC 792 promises of it, eight bytes, is enough for the ports.
  return errorAbout(about, 8);
}

function icmp6Of(datagram: Datagram): Belonging | undefined {
  const { upper } = datagram;
  if (upper.length < 8) return undefined;
  if (!errors6.has(upper[0] ?? 0)) return question(datagram, answers6);
  const about = ipv6Of(upper.subarray(8), { whole: false });
  if (about === undefined || about.fragment !== undefined || about.source !== datagram.destination) return undefined;
  return errorAbout(about, 20);
}

/** The error goes against the packet that it is about. `tcpBytes`: so much of a TCP header must be there. */
function errorAbout(about: Datagram, tcpBytes: number): Belonging | undefined {
  const inner = innerOf(about, tcpBytes);
  return inner === undefined ? undefined : { tuple: reversed(inner.tuple), related: true };
}

function innerOf(about: Datagram, tcpBytes: number): Belonging | undefined {
  const { version, protocol, upper } = about;
  if (protocol === IpProto.tcp) return portsOf(about, tcpBytes);
  if (protocol === IpProto.udp) return portsOf(about, 8);
  const isIcmp = (version === 4 && protocol === IpProto.icmp) || (version === 6 && protocol === IpProto.icmp6);
  if (!isIcmp) return { tuple: tupleOf(about, 0, 0), related: false };
  return upper.length < 8 ? undefined : question(about, version === 4 ? answers4 : answers6);
}
