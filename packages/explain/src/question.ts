/** What is asked: which packet, from which port, to whom; and the frames of it and of the answer that a machine would give. */

import type { Network, Port } from "@selvage/model";
import { encode, IpProtocol, type PacketSpec, TcpFlag } from "@selvage/packet";

/** The packet that opens the conversation. */
export interface Probe {
  readonly version: 4 | 6;
  /** IP protocol number. */
  readonly protocol: number;
  /** Of TCP, UDP and SCTP. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Of ICMP. */
  readonly icmpType: number;
  readonly icmpCode: number;
  /** Bytes of the IP packet; absent: as few as it takes. */
  readonly size?: number;
  /** TTL or hop limit. */
  readonly ttl: number;
}

/** Who sends: the machine of a port, or somebody out on the wire of an external network. */
export type Sender =
  | { readonly kind: "port"; readonly port: Port }
  | { readonly kind: "outside"; readonly network: Network };

export interface Question {
  readonly from: Sender;
  /** The port, where one was named; absent: whoever has the address. */
  readonly to?: Port;
  /** Addresses in canonical text. */
  readonly source: string;
  readonly destination: string;
  readonly probe: Probe;
}

/** The ends of one frame. */
export interface Ends {
  readonly sourceMac: string;
  readonly destinationMac: string;
  /** The tag that it bears; absent: none. */
  readonly vlan?: number;
  readonly source: string;
  readonly destination: string;
}

/** Types of ICMP that ask for an answer, by family. */
export const echo = { 4: { request: 8, reply: 0 }, 6: { request: 128, reply: 129 } } as const;

const isIcmp = ({ protocol, version }: Probe): boolean =>
  protocol === (version === 4 ? IpProtocol.icmp : IpProtocol.icmpv6);

const ipHeader = { 4: 20, 6: 40 } as const;
const sctpHeader = 12;

function upperHeader(probe: Probe): number {
  if (isIcmp(probe)) return 8;
  switch (probe.protocol) {
    case IpProtocol.tcp:
      return 20;
    case IpProtocol.udp:
      return 8;
    case IpProtocol.sctp:
      return sctpHeader;
    default:
      return 0;
  }
}

/** Bytes that the smallest packet of this kind has. */
export const smallest = (probe: Probe): number => ipHeader[probe.version] + upperHeader(probe);

/** The layers above IP. `flags`: of TCP. */
function upperOf(probe: Probe, flags: number, rest: Uint8Array): Omit<PacketSpec, "eth"> {
  const { protocol, sourcePort: src, destinationPort: dst, icmpType, icmpCode } = probe;
  if (isIcmp(probe)) {
    const isAsked = icmpCode === 0 && icmpType === echo[probe.version].request;
    const isAnswer = icmpCode === 0 && icmpType === echo[probe.version].reply;
    const told = isAsked ? "echo-request" : "echo-reply";
    const message =
      isAsked || isAnswer
        ? ({ kind: told, id: 1, sequence: 1 } as const)
        : ({ kind: "other", type: icmpType, code: icmpCode, rest: 0 } as const);
    return probe.version === 4 ? { icmp: message, payload: rest } : { icmpv6: message, payload: rest };
  }
  switch (protocol) {
    case IpProtocol.tcp:
      return {
        tcp: { src, dst, flags, seq: 1, ack: (flags & TcpFlag.ack) === 0 ? 0 : 2, window: 65_535 },
        payload: rest,
      };
    case IpProtocol.udp:
      return { udp: { src, dst }, payload: rest };
    case IpProtocol.sctp: {
      const payload = new Uint8Array(sctpHeader + rest.length);
      new DataView(payload.buffer).setUint32(0, src * 0x1_0000 + dst);
      return { payload };
    }
    default:
      return { payload: rest };
  }
}

function frameOf(probe: Probe, flags: number, ends: Ends): Uint8Array {
  const { version, protocol, ttl } = probe;
  const rest = new Uint8Array(Math.max(0, (probe.size ?? 0) - smallest(probe)));
  const { sourceMac, destinationMac, vlan } = ends;
  const eth = { src: sourceMac, dst: destinationMac, ...(vlan === undefined ? {} : { vlan: { id: vlan } }) };
  const { source: src, destination: dst } = ends;
  const upper = upperOf(probe, flags, rest);
  // Which layers stand on which is what `upperOf` decides: its parts fit the family that is said here.
  const spec =
    version === 4
      ? { eth, ipv4: { src, dst, ttl, protocol, dontFragment: true }, ...upper }
      : { eth, ipv6: { src, dst, hopLimit: ttl, protocol }, ...upper };
  return encode(spec as PacketSpec);
}

/** The first packet. */
export const opening = (probe: Probe, ends: Ends): Uint8Array => frameOf(probe, TcpFlag.syn, ends);

/** What a machine that is asked would answer; undefined where it would not: an ICMP message that is no question, a group's address. */
export function answerTo(probe: Probe): Probe | undefined {
  const { version, sourcePort, destinationPort, size: _, ...rest } = probe;
  const turned: Probe = { ...rest, version, sourcePort: destinationPort, destinationPort: sourcePort, ttl: 64 };
  if (!isIcmp(probe)) return turned;
  const isAsked = probe.icmpCode === 0 && probe.icmpType === echo[version].request;
  return isAsked ? { ...turned, icmpType: echo[version].reply } : undefined;
}

/** The answer's frame: of TCP, SYN and ACK. */
export const answering = (answer: Probe, ends: Ends): Uint8Array => frameOf(answer, TcpFlag.syn | TcpFlag.ack, ends);

const protocolNames: ReadonlyMap<number, string> = new Map([
  [IpProtocol.icmp, "icmp"],
  [IpProtocol.tcp, "tcp"],
  [IpProtocol.udp, "udp"],
  [IpProtocol.icmpv6, "icmpv6"],
  [IpProtocol.sctp, "sctp"],
]);

/** `tcp to port 443`, `icmp type 8 code 0`, `protocol 47`. */
export function probeText(probe: Probe): string {
  const name = protocolNames.get(probe.protocol) ?? `protocol ${probe.protocol}`;
  if (isIcmp(probe)) return `${name} type ${probe.icmpType} code ${probe.icmpCode}`;
  return upperHeader(probe) === 0 ? name : `${name} to port ${probe.destinationPort}`;
}
