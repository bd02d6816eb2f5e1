/** Rows of security groups written by hand, as the compiler makes them of such rules: for tests of datapaths with nothing above them. */
import {
  DstId,
  EthType,
  IpProto,
  type KeyOf,
  LiveIn,
  LiveOut,
  PolicyIn,
  PolicyOut,
  Receiver,
  RemoteId,
  type Row,
  row,
  Sender,
} from "@selvage/pipeline";
import type { TestPort } from "./topology.ts";

/** A port with a set of security groups. */
export interface TestMember {
  readonly port: TestPort;
  readonly set: number;
  /** Stateful unless told. */
  readonly stateless?: true;
}

/** What a rule says of packets: all of a family, a protocol, some of its ports (`value/mask`), or an ICMP type and code. */
export type TestService =
  | "any"
  | {
      readonly protocol: number;
      readonly ports?: readonly string[];
      readonly icmp?: readonly [type: number, code?: number];
    };

export interface TestRule {
  readonly number: number;
  readonly direction: "ingress" | "egress";
  readonly version: 4 | 6;
  /** Sets that have it. */
  readonly own: readonly number[];
  readonly service: TestService;
  /** Who is at the other side; anybody unless told. */
  readonly remote?: { readonly sets: readonly number[] } | { readonly prefixes: readonly string[] };
  readonly generation?: number;
}

/** A port with all bits of it asked for. */
export const onePort = (port: number): string => `${port}/0xffff`;

type Part = "own" | "service" | "remote";
type Clause = Omit<
  KeyOf<typeof PolicyIn.columns>,
  "rule" | "srcSet" | "dstSet" | "ip4Src" | "ip6Src" | "dstStateless"
> & {
  readonly own?: number;
  readonly other?: number;
  readonly prefix?: string;
  readonly untracked?: true;
};

function clauseRow(rule: TestRule, part: Part, { own, other, prefix, untracked, ...service }: Clause): Row {
  const of = { of: rule.remote === undefined ? 2 : 3 };
  const isV6 = rule.version === 6;
  if (rule.direction === "egress") {
    const key: KeyOf<typeof PolicyOut.columns> = {
      rule: rule.number,
      ...service,
      ...(own === undefined ? {} : { srcSet: own }),
      ...(other === undefined ? {} : { dstSet: other }),
      ...(prefix === undefined ? {} : isV6 ? { ip6Dst: prefix } : { ip4Dst: prefix }),
      ...(untracked ? { srcStateless: 1 } : {}),
    };
    return row(PolicyOut, key, "clause", of, part);
  }
  const key: KeyOf<typeof PolicyIn.columns> = {
    rule: rule.number,
    ...service,
    ...(own === undefined ? {} : { dstSet: own }),
    ...(other === undefined ? {} : { srcSet: other }),
    ...(prefix === undefined ? {} : isV6 ? { ip6Src: prefix } : { ip4Src: prefix }),
    ...(untracked ? { dstStateless: 1 } : {}),
  };
  return row(PolicyIn, key, "clause", of, part);
}

const portColumns: Readonly<Record<number, "tcpDst" | "udpDst" | "sctpDst">> = {
  [IpProto.tcp]: "tcpDst",
  [IpProto.udp]: "udpDst",
  [IpProto.sctp]: "sctpDst",
};

/** The number of the protocol that a later IPv6 fragment bears: that of the fragment header, behind which nobody looks. */
const laterProtocol = 44;

function serviceClauses({ version, service }: TestRule): readonly Clause[] {
  const ethType = version === 6 ? EthType.ipv6 : EthType.ipv4;
  if (service === "any") return [{ ethType }];
  const { protocol, ports, icmp } = service;
  const untracked = { ethType, ipProto: version === 6 ? laterProtocol : protocol, later: 1, untracked: true } as const;
  const later = { ethType, later: 1, ctProto: protocol };
  if (icmp !== undefined) {
    const [type, code] = icmp;
    const kind = version === 6 ? { icmp6Type: type } : { icmpType: type };
    const more = code === undefined ? {} : version === 6 ? { icmp6Code: code } : { icmpCode: code };
    return [{ ethType, ipProto: protocol, later: 0, ...kind, ...more }, untracked];
  }
  const column = portColumns[protocol];
  if (ports === undefined || column === undefined)
    return [{ ethType, ipProto: protocol }, ...(version === 6 ? [later, untracked] : [])];
  return [
    ...ports.map((each) => ({ ethType, ipProto: protocol, later: 0, [column]: each })),
    ...ports.map((ctDst) => ({ ...later, ctDst })),
    untracked,
  ];
}

/** Connections that a rule keeps alive for a set that has it. */
function liveRows({ number, direction, generation = 0, remote }: TestRule, own: number): readonly Row[] {
  const label = { ctRule: number, ctGeneration: generation };
  if (remote === undefined || "prefixes" in remote) {
    return [
      row(LiveOut, { srcSet: own, ...label }, "pass", {}, "live"),
      row(LiveIn, { dstSet: own, ...label }, "pass", {}, "live"),
    ];
  }
  return [
    row(LiveIn, { ctRelated: 1, dstSet: own, ...label }, "pass", {}, "live"),
    ...remote.sets.flatMap((other) => [
      row(
        LiveOut,
        { srcSet: own, ...label, ...(direction === "egress" ? { dstSet: other } : { ctRemote: other }) },
        "pass",
        {},
        "live",
      ),
      row(LiveIn, { ctRelated: 0, dstSet: own, ...label, srcSet: other }, "pass", {}, "live"),
    ]),
  ];
}

/** All rows of one rule on host `here`, where a member has it. */
export function ruleRows(here: number, members: readonly TestMember[], rule: TestRule): readonly Row[] {
  const local = members.filter(({ port }) => port.host === here);
  const own = rule.own.filter((set) => local.some((member) => member.set === set));
  if (own.length === 0) return [];
  const args = { rule: rule.number, generation: rule.generation ?? 0 };
  const isStateful = (set: number): boolean => local.some((each) => each.set === set && each.stateless !== true);
  const remotes: readonly Clause[] =
    rule.remote === undefined
      ? []
      : "sets" in rule.remote
        ? rule.remote.sets.map((other) => ({ other }))
        : rule.remote.prefixes.map((prefix) => ({ prefix }));
  return [
    rule.direction === "egress"
      ? row(PolicyOut, { rule: rule.number }, "allow", args, "verdict")
      : row(PolicyIn, { rule: rule.number }, "allow", args, "verdict"),
    ...own.map((set) => clauseRow(rule, "own", { own: set })),
    ...serviceClauses(rule).map((each) => clauseRow(rule, "service", each)),
    ...remotes.map((each) => clauseRow(rule, "remote", each)),
    ...own.filter(isStateful).flatMap((set) => liveRows(rule, set)),
  ];
}

/** What makes a port of host `here` policed; its zone is its own. */
export function memberRows(here: number, { port, set, stateless }: TestMember): readonly Row[] {
  const [srcPort, dstPort] = [port.key, port.key];
  if (port.host !== here) return [];
  if (stateless)
    return [row(Sender, { srcPort }, "stateless", { set }), row(Receiver, { dstPort }, "stateless", { set })];
  const args = { set, zone: port.id };
  return [row(Sender, { srcPort }, "policed", args), row(Receiver, { dstPort }, "policed", args)];
}

/** Whose addresses these are: for senders whose rules name sets, and for receivers whom packets do not tell. */
export const identityRows = ({ port, set }: TestMember): readonly Row[] => [
  row(DstId, { net: port.net, ip4Dst: port.ip4 }, "known", { set }, "address"),
  row(DstId, { net: port.net, ip6Dst: port.ip6 }, "known", { set }, "address"),
  row(RemoteId, { net: port.net, ip4Src: port.ip4 }, "known", { set }, "address"),
  row(RemoteId, { net: port.net, ip6Src: port.ip6 }, "known", { set }, "address"),
];

/** All rows of security groups on host `here`. */
export const policyRows = (
  here: number,
  members: readonly TestMember[],
  rules: readonly TestRule[],
): readonly Row[] => [
  ...members.flatMap((member) => [...memberRows(here, member), ...identityRows(member)]),
  ...rules.flatMap((rule) => ruleRows(here, members, rule)),
];
