/**
 * What a security group rule says of a packet besides whose it is, as clauses: protocol, ports as value and mask, ICMP type and code; and of a fragment that is
 * not the first, which bears none of these, those of its connection (pipeline design, 3.4 and 4.2).
 */
import { protocolOf, type SecurityGroupRule } from "@selvage/model";
import { EthType, IpProto } from "@selvage/pipeline";

/** A clause in the columns of both policy tables; `untracked`: only of packets whose connection is not tracked. */
export interface ServiceClause {
  readonly ethType: number;
  readonly ipProto?: number;
  readonly tcpDst?: string;
  readonly udpDst?: string;
  readonly sctpDst?: string;
  readonly icmpType?: number;
  readonly icmpCode?: number;
  readonly icmp6Type?: number;
  readonly icmp6Code?: number;
  readonly later?: number;
  readonly ctProto?: number;
  readonly ctDst?: string;
  readonly ctType?: number;
  readonly untracked?: true;
}

const lastPort = 0xffff;

/** The ports from `first` to `last`, both counted, as `value/mask`: as few as there can be, 30 at most. None when `first` is beyond `last`. */
export function portMasks(first: number, last: number): readonly string[] {
  const masks: string[] = [];
  for (let at = first; at <= last; ) {
    let size = 1;
    while (at % (size * 2) === 0 && at + size * 2 - 1 <= last && size <= lastPort) size *= 2;
    masks.push(`${at}/0x${(lastPort + 1 - size).toString(16).padStart(4, "0")}`);
    at += size;
  }
  return masks;
}

const portColumn: Readonly<Record<number, "tcpDst" | "udpDst" | "sctpDst">> = {
  [IpProto.tcp]: "tcpDst",
  [IpProto.udp]: "udpDst",
  [IpProto.sctp]: "sctpDst",
};

/** The clauses of a rule's service, alternatives of each other. None where the rule admits nothing that a switch can tell: it fails closed. */
export function serviceClauses(rule: SecurityGroupRule): readonly ServiceClause[] {
  const ethType = rule.ethertype === "IPv6" ? EthType.ipv6 : EthType.ipv4;
  const ipProto = protocolOf(rule);
  const { port_range_min: min, port_range_max: max } = rule;
  if (ipProto === undefined) return [];
  if (ipProto === "any") return [{ ethType }];
  const isV4 = ethType === EthType.ipv4;
  const later = { ethType, later: 1 } as const;
  const laterTracked = { ...later, ctProto: ipProto };
  // IPv6 says the protocol behind the fragment header, which a switch does not read there.
  const laterUntracked = { ...later, ...(isV4 ? { ipProto } : {}), untracked: true } as const;
  const whole = isV4 ? [{ ethType, ipProto }] : [{ ethType, ipProto }, laterTracked, laterUntracked];
  if (min === null && max === null) return whole;
  if (ipProto === IpProto.icmp || ipProto === IpProto.icmp6) {
    return [
      { ethType, ipProto, later: 0, ...icmpOf(isV4, min, max) },
      // What opens a connection has code 0.
      ...(max === null || max === 0 ? [{ ...laterTracked, ...(min === null ? {} : { ctType: min }) }] : []),
      laterUntracked,
    ];
  }
  const column = portColumn[ipProto];
  const [first, last] = [min ?? 0, max ?? lastPort];
  if (column === undefined) return [];
  if (first === 0 && last === lastPort) return whole;
  const masks = portMasks(first, last);
  return [
    ...masks.map((mask) => ({ ethType, ipProto, later: 0, [column]: mask })),
    ...masks.map((ctDst) => ({ ...laterTracked, ctDst })),
    laterUntracked,
  ];
}

/** Type and code of an ICMP rule; 0 is a value of both. */
function icmpOf(isV4: boolean, type: number | null, code: number | null): Partial<ServiceClause> {
  return isV4
    ? { ...(type === null ? {} : { icmpType: type }), ...(code === null ? {} : { icmpCode: code }) }
    : { ...(type === null ? {} : { icmp6Type: type }), ...(code === null ? {} : { icmp6Code: code }) };
}
