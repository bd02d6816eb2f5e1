/** Flows: changing them, reading them back, hearing that one went (OpenFlow 1.5.1, sections 7.3.4.2, 7.3.5.2 and 7.4.2). */
import { decodeMatch, encodeMatch, type Match } from "./field.ts";
import { decodeInstructions, encodeInstructions, type Instruction } from "./instruction.ts";
import { decodeStatistics, encodeStatistics, type Statistics } from "./statistics.ts";
import { DecodeError, type Reader, type U64, type Writer } from "./wire.ts";

/** What a flow-mod does; "strict" ones touch the flow with exactly this match and priority. */
export type FlowCommand = "add" | "modify" | "modifyStrict" | "delete" | "deleteStrict";

/** Bits of `FlowMod.flags`. */
export const FlowFlag = {
  sendRemoved: 1,
  checkOverlap: 2,
  resetCounts: 4,
  noPacketCounts: 8,
  noByteCounts: 16,
} as const;

/** Every table, for deletes and questions. */
export const allTables = 0xff;
/** No restriction by output port, output group, or buffered packet. */
export const anyPort = 0xffff_ffff;
export const anyGroup = 0xffff_ffff;
export const noBuffer = 0xffff_ffff;

export interface FlowMod {
  readonly kind: "flowMod";
  readonly command: FlowCommand;
  readonly table: number;
  /** 16 bits; the highest match wins. */
  readonly priority: number;
  readonly match: Match;
  readonly instructions: readonly Instruction[];
  readonly cookie: U64;
  /** Restricts modify and delete to flows whose cookie agrees in these bits. */
  readonly cookieMask: U64;
  /** Seconds, 0 for never. */
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  readonly flags: number;
  readonly importance: number;
  readonly outPort: number;
  readonly outGroup: number;
  readonly buffer: number;
}

/** A flow as the switch tells it. */
export interface Flow {
  readonly table: number;
  readonly priority: number;
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  readonly flags: number;
  readonly importance: number;
  readonly cookie: bigint;
  readonly match: Match;
  readonly statistics: Statistics;
  readonly instructions: readonly Instruction[];
}

/** Which flows to tell. */
export interface FlowFilter {
  readonly table: number;
  readonly outPort: number;
  readonly outGroup: number;
  readonly cookie: U64;
  readonly cookieMask: U64;
  readonly match: Match;
}

/** A flow went, and had asked to be missed (`FlowFlag.sendRemoved`). */
export interface FlowRemoved {
  readonly kind: "flowRemoved";
  readonly table: number;
  readonly reason: number;
  readonly priority: number;
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  readonly cookie: bigint;
  readonly match: Match;
  readonly statistics: Statistics;
}

/** Why a flow went. */
export const FlowRemovedReason = {
  idleTimeout: 0,
  hardTimeout: 1,
  delete: 2,
  groupDelete: 3,
  meterDelete: 4,
  eviction: 5,
} as const;

const commands: readonly FlowCommand[] = ["add", "modify", "modifyStrict", "delete", "deleteStrict"];
const commandNumber = { add: 0, modify: 1, modifyStrict: 2, delete: 3, deleteStrict: 4 } as const satisfies Record<
  FlowCommand,
  number
>;

/** A complete flow-mod from the parts that differ from nothing: command "add", table 0, priority 0, empty match, drop. */
export function flowMod(parts: Partial<Omit<FlowMod, "kind">>): FlowMod {
  return {
    kind: "flowMod",
    command: parts.command ?? "add",
    table: parts.table ?? 0,
    priority: parts.priority ?? 0,
    match: parts.match ?? [],
    instructions: parts.instructions ?? [],
    cookie: parts.cookie ?? 0n,
    cookieMask: parts.cookieMask ?? 0n,
    idleTimeout: parts.idleTimeout ?? 0,
    hardTimeout: parts.hardTimeout ?? 0,
    flags: parts.flags ?? 0,
    importance: parts.importance ?? 0,
    outPort: parts.outPort ?? anyPort,
    outGroup: parts.outGroup ?? anyGroup,
    buffer: parts.buffer ?? noBuffer,
  };
}

/** A complete filter; without parts it lets every flow through. */
export function flowFilter(parts: Partial<FlowFilter> = {}): FlowFilter {
  return { table: allTables, outPort: anyPort, outGroup: anyGroup, cookie: 0n, cookieMask: 0n, match: [], ...parts };
}

export function encodeFlowMod(w: Writer, flow: FlowMod): void {
  w.u64(flow.cookie);
  w.u64(flow.cookieMask);
  w.u8(flow.table);
  w.u8(commandNumber[flow.command]);
  w.u16(flow.idleTimeout);
  w.u16(flow.hardTimeout);
  w.u16(flow.priority);
  w.u32(flow.buffer);
  w.u32(flow.outPort);
  w.u32(flow.outGroup);
  w.u16(flow.flags);
  w.u16(flow.importance);
  encodeMatch(w, flow.match);
  encodeInstructions(w, flow.instructions);
}

export function decodeFlowMod(r: Reader): FlowMod {
  const cookie = r.u64();
  const cookieMask = r.u64();
  const table = r.u8();
  const number = r.u8();
  const command = commands[number];
  if (command === undefined) throw new DecodeError(`flow-mod command ${number}`);
  const idleTimeout = r.u16();
  const hardTimeout = r.u16();
  const priority = r.u16();
  const buffer = r.u32();
  const outPort = r.u32();
  const outGroup = r.u32();
  const flags = r.u16();
  const importance = r.u16();
  const match = decodeMatch(r);
  const instructions = decodeInstructions(r);
  return {
    kind: "flowMod",
    command,
    table,
    priority,
    match,
    instructions,
    cookie,
    cookieMask,
    idleTimeout,
    hardTimeout,
    flags,
    importance,
    outPort,
    outGroup,
    buffer,
  };
}

export function encodeFlowFilter(w: Writer, filter: FlowFilter): void {
  w.u8(filter.table);
  w.zeros(3);
  w.u32(filter.outPort);
  w.u32(filter.outGroup);
  w.zeros(4);
  w.u64(filter.cookie);
  w.u64(filter.cookieMask);
  encodeMatch(w, filter.match);
}

export function decodeFlowFilter(r: Reader): FlowFilter {
  const table = r.u8();
  r.skip(3);
  const outPort = r.u32();
  const outGroup = r.u32();
  r.skip(4);
  return { table, outPort, outGroup, cookie: r.u64(), cookieMask: r.u64(), match: decodeMatch(r) };
}

/** Writes one entry of the reply to a question for flows (OFPMP_FLOW_DESC). */
export function encodeFlow(w: Writer, flow: Flow): void {
  const start = w.length;
  w.u16(0);
  w.zeros(2);
  w.u8(flow.table);
  w.zeros(1);
  w.u16(flow.priority);
  w.u16(flow.idleTimeout);
  w.u16(flow.hardTimeout);
  w.u16(flow.flags);
  w.u16(flow.importance);
  w.u64(flow.cookie);
  encodeMatch(w, flow.match);
  encodeStatistics(w, flow.statistics);
  encodeInstructions(w, flow.instructions);
  w.setU16(start, w.length - start);
}

/** Reads one entry and moves past it. */
export function decodeFlow(outer: Reader): Flow {
  const r = outer.sub(outer.peekU16(0));
  r.skip(4);
  const table = r.u8();
  r.skip(1);
  const priority = r.u16();
  const idleTimeout = r.u16();
  const hardTimeout = r.u16();
  const flags = r.u16();
  const importance = r.u16();
  const cookie = r.u64();
  const match = decodeMatch(r);
  const statistics = decodeStatistics(r);
  const instructions = decodeInstructions(r);
  return { table, priority, idleTimeout, hardTimeout, flags, importance, cookie, match, statistics, instructions };
}

export function encodeFlowRemoved(w: Writer, flow: FlowRemoved): void {
  w.u8(flow.table);
  w.u8(flow.reason);
  w.u16(flow.priority);
  w.u16(flow.idleTimeout);
  w.u16(flow.hardTimeout);
  w.u64(flow.cookie);
  encodeMatch(w, flow.match);
  encodeStatistics(w, flow.statistics);
}

export function decodeFlowRemoved(r: Reader): FlowRemoved {
  return {
    kind: "flowRemoved",
    table: r.u8(),
    reason: r.u8(),
    priority: r.u16(),
    idleTimeout: r.u16(),
    hardTimeout: r.u16(),
    cookie: r.u64(),
    match: decodeMatch(r),
    statistics: decodeStatistics(r),
  };
}
