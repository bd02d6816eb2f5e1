/** The actions that a flow, bucket or packet-out may hold, and constructors for them (OpenFlow 1.5.1, section 7.2.6; ovs-actions(7)). */
import type { FieldMatch, RawField, Subfield } from "./field.ts";
import type { U64 } from "./wire.ts";

/** Ports with a meaning of their own (OpenFlow 1.5.1, section 7.2.1). */
export const Port = {
  max: 0xffff_ff00,
  inPort: 0xffff_fff8,
  normal: 0xffff_fffa,
  flood: 0xffff_fffb,
  all: 0xffff_fffc,
  controller: 0xffff_fffd,
  local: 0xffff_fffe,
  any: 0xffff_ffff,
} as const;

/** The 16-bit `in_port` of resubmit by which the packet's own port is kept. */
export const resubmitInPort = 0xfff8;

/** The greatest length to ask for when a packet goes to the controller: all of it, unbuffered. */
export const wholePacket = 0xffff;

/** Why a packet came to the controller (OpenFlow 1.5.1, section 7.4.1). */
export const PacketInReason = { tableMiss: 0, action: 1, invalidTtl: 2, actionSet: 3, group: 4, packetOut: 5 } as const;

export interface Output {
  readonly kind: "output";
  readonly port: number;
  /** Bytes of the packet to send, if the port is the controller. */
  readonly maxLength: number;
}

/** Sends at most `maxLength` bytes of the packet to a port (16-bit number). */
export interface OutputTruncated {
  readonly kind: "outputTruncated";
  readonly port: number;
  readonly maxLength: number;
}

/** Sends to the port whose number stands in a field. */
export interface OutputField {
  readonly kind: "outputField";
  readonly source: Subfield;
  readonly maxLength: number;
}

export interface Group {
  readonly kind: "group";
  readonly group: number;
}

export interface MeterAction {
  readonly kind: "meter";
  readonly meter: number;
}

export interface SetQueue {
  readonly kind: "setQueue";
  readonly queue: number;
}

export interface PushVlan {
  readonly kind: "pushVlan";
  readonly etherType: number;
}

export interface SetTtl {
  readonly kind: "setTtl";
  readonly ttl: number;
}

/** Actions without arguments. */
export interface Plain {
  readonly kind: "popVlan" | "decTtl" | "popQueue" | "exit" | "ctClear";
}

/** Sets a field, or with a mask the bits that are 1 in it. */
export interface SetField {
  readonly kind: "setField";
  readonly set: FieldMatch | RawField;
}

/** Copies bits from one field to another; both runs are equally long. */
export interface CopyField {
  readonly kind: "copyField";
  readonly source: Subfield;
  readonly destination: Subfield;
}

/** Looks the packet up in another table and returns; `tuple: "original"` looks up with the connection's original 5-tuple. */
export interface Resubmit {
  readonly kind: "resubmit";
  readonly table: number;
  /** 16-bit port number to look up with, `resubmitInPort` for the packet's own. */
  readonly inPort: number;
  readonly tuple: "packet" | "original";
}

/** Sends the packet to the controller, with data of ours. */
export interface Controller {
  readonly kind: "controller";
  readonly userdata: Uint8Array;
  readonly maxLength: number;
  readonly reason: number;
  /** Which of the controllers by its id. */
  readonly controllerId: number;
  /** 0 for none. */
  readonly meter: number;
  /** "pause" freezes the packet until the controller sends `resume`. */
  readonly flow: "continue" | "pause";
}

/** One dimension of a conjunctive match: flows with all `of` clauses of `id` true make `conj_id=id` match. */
export interface Conjunction {
  readonly kind: "conjunction";
  readonly id: number;
  /** From 0; the manual counts from 1. */
  readonly clause: number;
  readonly of: number;
}

/** Sends the packet through connection tracking. */
export interface Ct {
  readonly kind: "ct";
  readonly mode: "track" | "commit" | "commitForce";
  readonly zone:
    | { readonly kind: "immediate"; readonly zone: number }
    | { readonly kind: "field"; readonly source: Subfield };
  /** The table where the tracked packet goes on; null to only commit. */
  readonly recircTable: number | null;
  /** 21 for FTP, 69 for TFTP, 0 for no helper. */
  readonly helper: number;
  /** `nat`, and with commit `setField` of `ct_mark` or `ct_label`. */
  readonly actions: readonly Action[];
}

/** Inside `ct`: translates addresses; direction "none" translates as the connection already does. */
export interface Nat {
  readonly kind: "nat";
  readonly direction: "none" | "source" | "destination";
  readonly persistent: boolean;
  readonly choice: "default" | "hash" | "random";
  readonly address:
    | { readonly version: 4; readonly min: number; readonly max: number | null }
    | { readonly version: 6; readonly min: bigint; readonly max: bigint | null }
    | null;
  readonly ports: { readonly min: number; readonly max: number | null } | null;
}

/** Runs actions on a copy of the packet and its state. */
export interface Clone {
  readonly kind: "clone";
  readonly actions: readonly Action[];
}

/** Writes 1 to one bit of a field if the packet is longer than `length` bytes (its Ethernet header included), else 0. */
export interface CheckPacketLarger {
  readonly kind: "checkPacketLarger";
  readonly length: number;
  readonly destination: Subfield;
}

export interface Stack {
  readonly kind: "stackPush" | "stackPop";
  readonly subfield: Subfield;
}

/** Arbitrary bytes of ours on a flow; padded with zeros to 6 plus a multiple of 8. */
export interface Note {
  readonly kind: "note";
  readonly note: Uint8Array;
}

/** Where a value of a learned flow comes from: a field of the packet or a constant of `bits` bits. */
export type LearnSource =
  | { readonly kind: "field"; readonly source: Subfield }
  | { readonly kind: "immediate"; readonly value: U64; readonly bits: number };

/** What it becomes in the learned flow: a condition, a load into a field, or the port to send to. */
export type LearnTarget =
  | { readonly kind: "match"; readonly destination: Subfield }
  | { readonly kind: "load"; readonly destination: Subfield }
  | { readonly kind: "output" };

export interface LearnSpec {
  readonly from: LearnSource;
  readonly to: LearnTarget;
}

/** Bits of `Learn.flags`. */
export const LearnFlag = { sendFlowRemoved: 1, deleteLearned: 2, writeResult: 4 } as const;

/** Adds a flow made from the packet. */
export interface Learn {
  readonly kind: "learn";
  readonly table: number;
  readonly priority: number;
  readonly cookie: U64;
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  readonly finIdleTimeout: number;
  readonly finHardTimeout: number;
  /** `LearnFlag`, without `writeResult`, which `result` implies. */
  readonly flags: number;
  /** Most flows that may be learned, 0 for no limit. */
  readonly limit: number;
  /** The bit that says whether the flow could be learned. */
  readonly result: Subfield | null;
  readonly specs: readonly LearnSpec[];
}

/** An action that this codec does not know, kept whole with its header. */
export interface RawAction {
  readonly kind: "raw";
  readonly bytes: Uint8Array;
}

/** Every action. An empty list drops the packet. */
export type Action =
  | Output
  | OutputTruncated
  | OutputField
  | Group
  | MeterAction
  | SetQueue
  | PushVlan
  | SetTtl
  | Plain
  | SetField
  | CopyField
  | Resubmit
  | Controller
  | Conjunction
  | Ct
  | Nat
  | Clone
  | CheckPacketLarger
  | Stack
  | Note
  | Learn
  | RawAction;

const empty = new Uint8Array(0);

/** Constructors with the usual defaults; each gives a complete action, as decoding does. */
export const act = {
  output: (port: number, maxLength: number = port === Port.controller ? wholePacket : 0): Output => ({
    kind: "output",
    port,
    maxLength,
  }),
  outputTruncated: (port: number, maxLength: number): OutputTruncated => ({ kind: "outputTruncated", port, maxLength }),
  outputField: (source: Subfield, maxLength: number = wholePacket): OutputField => ({
    kind: "outputField",
    source,
    maxLength,
  }),
  group: (group: number): Group => ({ kind: "group", group }),
  meter: (meter: number): MeterAction => ({ kind: "meter", meter }),
  setQueue: (queue: number): SetQueue => ({ kind: "setQueue", queue }),
  pushVlan: (etherType = 0x8100): PushVlan => ({ kind: "pushVlan", etherType }),
  popVlan: (): Plain => ({ kind: "popVlan" }),
  decTtl: (): Plain => ({ kind: "decTtl" }),
  setTtl: (ttl: number): SetTtl => ({ kind: "setTtl", ttl }),
  popQueue: (): Plain => ({ kind: "popQueue" }),
  exit: (): Plain => ({ kind: "exit" }),
  ctClear: (): Plain => ({ kind: "ctClear" }),
  setField: (set: FieldMatch): SetField => ({ kind: "setField", set }),
  copyField: (source: Subfield, destination: Subfield): CopyField => ({ kind: "copyField", source, destination }),
  resubmit: (table: number, inPort: number = resubmitInPort): Resubmit => ({
    kind: "resubmit",
    table,
    inPort,
    tuple: "packet",
  }),
  resubmitOriginal: (table: number, inPort: number = resubmitInPort): Resubmit => ({
    kind: "resubmit",
    table,
    inPort,
    tuple: "original",
  }),
  controller: (with_: Partial<Omit<Controller, "kind">> = {}): Controller => ({
    kind: "controller",
    userdata: empty,
    maxLength: wholePacket,
    reason: PacketInReason.action,
    controllerId: 0,
    meter: 0,
    flow: "continue",
    ...with_,
  }),
  conjunction: (id: number, clause: number, of: number): Conjunction => ({ kind: "conjunction", id, clause, of }),
  ct: (with_: Partial<Omit<Ct, "kind" | "zone">> & { readonly zone: number | Subfield }): Ct => ({
    kind: "ct",
    mode: with_.mode ?? "track",
    zone:
      typeof with_.zone === "number" ? { kind: "immediate", zone: with_.zone } : { kind: "field", source: with_.zone },
    recircTable: with_.recircTable ?? null,
    helper: with_.helper ?? 0,
    actions: with_.actions ?? [],
  }),
  nat: (with_: Partial<Omit<Nat, "kind">> = {}): Nat => ({
    kind: "nat",
    direction: "none",
    persistent: false,
    choice: "default",
    address: null,
    ports: null,
    ...with_,
  }),
  clone: (actions: readonly Action[]): Clone => ({ kind: "clone", actions }),
  checkPacketLarger: (length: number, destination: Subfield): CheckPacketLarger => ({
    kind: "checkPacketLarger",
    length,
    destination,
  }),
  stackPush: (pushed: Subfield): Stack => ({ kind: "stackPush", subfield: pushed }),
  stackPop: (popped: Subfield): Stack => ({ kind: "stackPop", subfield: popped }),
  note: (note: Uint8Array): Note => ({ kind: "note", note }),
  learn: (
    with_: Partial<Omit<Learn, "kind">> & { readonly table: number; readonly specs: readonly LearnSpec[] },
  ): Learn => ({
    kind: "learn",
    priority: 0x8000,
    cookie: 0n,
    idleTimeout: 0,
    hardTimeout: 0,
    finIdleTimeout: 0,
    finHardTimeout: 0,
    flags: 0,
    limit: 0,
    result: null,
    ...with_,
  }),
} as const;
