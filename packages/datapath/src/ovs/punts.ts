/**
 * What a port may have of what a host's ports share: its packets go through meters of its own, so that one guest cannot starve another (OpenFlow 1.5.1,
 * section 7.3.4.5; meters drop what is above a rate of packets). Those for the agent then go through one of the whole host and to it; others go on.
 */
import type { ReasonCode } from "@selvage/base";
import {
  type Action,
  act,
  type FieldMatch,
  fieldValue,
  type Match,
  type MeterConfig,
  MeterFlag,
  type PacketIn,
  Port,
} from "@selvage/openflow";
import { agentIngress, F, fabricIngress, type LimitKind, limits, type PuntKind, wireLimits } from "@selvage/pipeline";
import { waitsOf } from "../underway.ts";
import { cookieOf } from "./cookie.ts";
import { bitsOf, placed, puntKind } from "./layout.ts";
import { countingMeters } from "./measured.ts";
import type { MeteredPort, Ports } from "./ports.ts";
import type { RenderedFlow } from "./render.ts";

/** Tables from here on are the driver's, not the program's. */
export const firstDriverTable = 250;
export const puntTable = 250;
/** No packet comes here: its one flow is written again so that the switch looks through its cache once more. */
const pulseTable = 251;

export const pulseFlow: RenderedFlow = {
  table: pulseTable,
  priority: 0,
  match: [],
  actions: [],
  cookie: cookieOf(pulseTable, "pulse", null),
  reason: null,
};

interface Rate {
  /** Packets a second. */
  readonly rate: number;
  /** Packets at once. */
  readonly burst: number;
}

/** Kinds of packets that share a limit. A host's meters bear their numbers, but the last one's is 6: 7 counts what is too large. */
const classes = {
  dhcp: { number: 1, port: { rate: 5, burst: 20 }, host: { rate: 1000, burst: 1000 } },
  nd: { number: 2, port: { rate: 20, burst: 40 }, host: { rate: 500, burst: 500 } },
  rs: { number: 3, port: { rate: 5, burst: 20 }, host: { rate: 1000, burst: 1000 } },
  /** Apart from the others: what a machine's senders learn the size of their packets from must not go under in what is refused for other reasons. */
  size: { number: 4, port: { rate: 10, burst: 20 }, host: { rate: 200, burst: 200 } },
  error: { number: 5, port: { rate: 10, burst: 20 }, host: { rate: 200, burst: 200 } },
  /** What is learnt of a physical network, and ICMP errors whose quotation is to be translated. */
  outside: { number: 7, port: { rate: 20, burst: 40 }, host: { rate: 500, burst: 500 } },
} as const satisfies Readonly<Record<string, { readonly number: number; readonly port: Rate; readonly host: Rate }>>;
type Class = keyof typeof classes;
const allClasses: readonly Class[] = ["dhcp", "nd", "rs", "size", "error", "outside"];

/** What a port sends that goes on: the number of its meter among the port's, and the note by which it comes here. */
const limited: Readonly<Record<LimitKind, { readonly number: number; readonly note: number }>> = {
  fragments: { number: 6, note: 128 },
  service: { number: 0, note: 129 },
};
const allLimits: readonly LimitKind[] = ["fragments", "service"];

interface Kind {
  /** Stable: it stands in flows; 1 to 127. */
  readonly number: number;
  readonly class: Class;
}

const kinds: Readonly<Record<PuntKind, Kind>> = {
  dhcp4: { number: 1, class: "dhcp" },
  nd: { number: 2, class: "nd" },
  rs: { number: 3, class: "rs" },
  "ttl-expired": { number: 4, class: "error" },
  "no-route": { number: 5, class: "error" },
  "host-unreachable": { number: 6, class: "error" },
  "port-unreachable": { number: 7, class: "error" },
  "mtu-exceeded": { number: 8, class: "size" },
  dhcp6: { number: 9, class: "dhcp" },
  neighbour: { number: 10, class: "outside" },
  "icmp-inner": { number: 11, class: "outside" },
  translated: { number: 12, class: "outside" },
  "expired-outside": { number: 13, class: "error" },
};
const names: readonly PuntKind[] = [
  ...([
    "dhcp4",
    "nd",
    "rs",
    "ttl-expired",
    "no-route",
    "host-unreachable",
    "port-unreachable",
    "mtu-exceeded",
    "dhcp6",
    "neighbour",
    "icmp-inner",
    "translated",
    "expired-outside",
  ] as const),
];
const format = 1;

export const puntNumber = (kind: PuntKind): number => kinds[kind].number;

/** A meter's number: the host's are 1 to 6, a port's begin at 8 times its interface's slot, which is at least 1. */
const hostMeter = (of: Class): number => (of === "outside" ? 6 : classes[of].number);
const portMeter = (slot: number, of: Class): number => 8 * slot + classes[of].number;

const limitMeter = (slot: number, of: LimitKind): number => 8 * slot + limited[of].number;

/** The slot that a port's meter belongs to; 0 for the host's own. */
export const slotOf = (meter: number): number => Math.floor(meter / 8);

/** The note that a packet bears which is limited here and goes on. */
export const limitNumber = (kind: LimitKind): number => limited[kind].note;

/** Why what a meter refuses is dropped; undefined where only the copy of what a router reports is: the packet itself has a reason of its own. */
export function reasonOfRefusal(meter: number): ReasonCode | undefined {
  const number = meter % 8;
  const kind = slotOf(meter) === 0 ? undefined : allLimits.find((each) => limited[each].number === number);
  if (kind !== undefined) return limits[kind].reason;
  return number === classes.size.number || number === classes.error.number ? undefined : "punt-rate";
}

const meter = (number: number, { rate, burst }: Rate): MeterConfig => ({
  meter: number,
  flags: MeterFlag.packets | MeterFlag.burst | MeterFlag.statistics,
  bands: [{ kind: "drop", rate, burst }],
});

export const hostMeters: readonly MeterConfig[] = [
  ...allClasses.map((each) => meter(hostMeter(each), classes[each].host)),
  ...countingMeters,
];

/** Solicitations from all of a physical network: machines' are answered beside them. */
const wireNd: Rate = { rate: 200, burst: 200 };

/**
 * What machines of all other hosts say of addresses that move: a network's members there could else take the host's whole measure, and nobody outside would be learnt
 * of any more.
 */
const fabricHeard: Rate = { rate: 200, burst: 200 };

/** The meters of one port, of one physical network, or of one kind of tunnels. */
export function portMeters(of: MeteredPort["of"], slot: number): readonly MeterConfig[] {
  switch (of) {
    case "machine":
      return [
        ...allClasses.map((each) => meter(portMeter(slot, each), classes[each].port)),
        ...allLimits.map((each) => meter(limitMeter(slot, each), limits[each])),
      ];
    case "wire":
      return [meter(portMeter(slot, "nd"), wireNd), meter(limitMeter(slot, "fragments"), wireLimits.fragments)];
    case "fabric":
      return [meter(portMeter(slot, kinds.neighbour.class), fabricHeard)];
  }
}

/** The flow that punts what a port sends, or whatever comes from elsewhere where no slot is given. */
function puntFlow(kind: PuntKind, port: { readonly ofport: number; readonly slot: number } | undefined): RenderedFlow {
  const isKind: FieldMatch = placed(puntKind, BigInt(kinds[kind].number));
  const match: Match = port === undefined ? [isKind] : [{ field: "in_port", value: port.ofport }, isKind];
  const own: readonly Action[] = port === undefined ? [] : [act.meter(portMeter(port.slot, kinds[kind].class))];
  const userdata = Uint8Array.from([format, kinds[kind].number]);
  return {
    table: puntTable,
    priority: port === undefined ? 1 : 2,
    match,
    actions: [...own, act.meter(hostMeter(kinds[kind].class)), act.controller({ userdata })],
    cookie: cookieOf(puntTable, `punt(${kind}${port === undefined ? "" : `, ${port.ofport}`})`, null),
    reason: null,
  };
}

export const generalPunts = (): readonly RenderedFlow[] => names.map((kind) => puntFlow(kind, undefined));

/** What is done with packets of a kind that go on, when there are not too many. */
const limitFlow = (kind: LimitKind, ofport: number, slot: number): RenderedFlow => ({
  table: puntTable,
  priority: 2,
  match: [{ field: "in_port", value: ofport }, placed(puntKind, BigInt(limited[kind].note))],
  actions: [act.meter(limitMeter(slot, kind))],
  cookie: cookieOf(puntTable, `limit(${kind}, ${ofport})`, null),
  reason: null,
});

/** What is done with the packets of which so many may come by an interface: those for the agent, and those that go on. */
export function portLimits({ of, ofport }: MeteredPort, slot: number): readonly RenderedFlow[] {
  switch (of) {
    case "machine":
      return [
        ...names.map((kind) => puntFlow(kind, { ofport, slot })),
        ...allLimits.map((kind) => limitFlow(kind, ofport, slot)),
      ];
    case "wire":
      return [puntFlow("nd", { ofport, slot }), limitFlow("fragments", ofport, slot)];
    case "fabric":
      return [puntFlow("neighbour", { ofport, slot })];
  }
}

/** What a packet that came to us was, by what the program knew of it; undefined for one that our flows did not send, or whose interface has gone. */
export function puntOf(packet: PacketIn, ports: Ports) {
  const [version, number] = packet.userdata;
  const kind = names.find((name) => kinds[name].number === number);
  const inPort = fieldValue(packet.metadata, "in_port");
  if (version !== format || packet.userdata.length !== 2 || kind === undefined || typeof inPort !== "number")
    return undefined;
  const attachment = inPort === Port.controller ? agentIngress : ports.nameOf(inPort);
  if (attachment === undefined) return undefined;
  return {
    kind,
    attachment: inPort === ports.tunnel ? fabricIngress : attachment,
    net: held(packet, bitsOf(F.net)),
    vrf: held(packet, bitsOf(F.vrf)),
    srcPort: held(packet, bitsOf(F.srcPort)),
    frame: packet.packet,
    ...waitsOf(kind, (field) => wide(packet, bitsOf(field)), packet.packet),
  };
}

/** The bits of a field in a packet-in, which leaves out what is zero. */
const held = (packet: PacketIn, place: ReturnType<typeof bitsOf>): number => Number(wide(packet, place));

function wide(packet: PacketIn, { subfield }: ReturnType<typeof bitsOf>): bigint {
  const value = fieldValue(packet.metadata, subfield.field) ?? 0;
  if (value instanceof Uint8Array) return 0n;
  return (BigInt(value) >> BigInt(subfield.offset)) & ((1n << BigInt(subfield.bits)) - 1n);
}
