/** Groups: sets of buckets of actions (OpenFlow 1.5.1, sections 7.3.4.3 and 7.3.5.9; selection method as Open vSwitch's group-method extension). */
import type { Action } from "./action.ts";
import { decodeActions } from "./action-decode.ts";
import { encodeActions } from "./action-encode.ts";
import { decodeFields, encodeFields, type Match } from "./field.ts";
import { DecodeError, type Reader, type U64, type Writer } from "./wire.ts";

/** What a group does with its buckets: all of them, one chosen, its only one, or the first that is alive. */
export type GroupType = "all" | "select" | "indirect" | "fastFailover";

export type GroupCommand = "add" | "modify" | "delete" | "insertBucket" | "removeBucket" | "addOrModify";

/** Group numbers with a meaning of their own. */
export const GroupId = { max: 0xffff_ff00, all: 0xffff_fffc, any: 0xffff_ffff } as const;

/** Bucket numbers with a meaning of their own in `insertBucket` and `removeBucket`. */
export const BucketId = { max: 0xffff_ff00, first: 0xffff_fffd, last: 0xffff_fffe, all: 0xffff_ffff } as const;

export interface Bucket {
  readonly id: number;
  readonly actions: readonly Action[];
  /** Share of the traffic in a select group; null where it says nothing (the switch then takes 1, and tells 1). */
  readonly weight: number | null;
  /** The bucket is alive while this port is. */
  readonly watchPort: number | null;
  readonly watchGroup: number | null;
}

/** How a select group chooses: "hash" over fields, "dp_hash", or the default with an empty name. */
export interface Selection {
  readonly method: string;
  readonly parameter: U64;
  /** Fields to hash; each value is the mask of the bits that count. */
  readonly fields: Match;
}

export interface GroupMod {
  readonly kind: "groupMod";
  readonly command: GroupCommand;
  readonly type: GroupType;
  readonly group: number;
  /** For `insertBucket` where to insert (after this one), for `removeBucket` which. */
  readonly bucket: number;
  readonly buckets: readonly Bucket[];
  readonly selection: Selection | null;
}

/** A group as the switch tells it. */
export interface GroupDescription {
  readonly group: number;
  readonly type: GroupType;
  readonly buckets: readonly Bucket[];
  readonly selection: Selection | null;
}

const types: readonly GroupType[] = ["all", "select", "indirect", "fastFailover"];
const typeNumber = { all: 0, select: 1, indirect: 2, fastFailover: 3 } as const satisfies Record<GroupType, number>;
const commandNumber = {
  add: 0,
  modify: 1,
  delete: 2,
  insertBucket: 3,
  removeBucket: 5,
  addOrModify: 0x8000,
} as const satisfies Record<GroupCommand, number>;
const commandByNumber: ReadonlyMap<number, GroupCommand> = new Map([
  [0, "add"],
  [1, "modify"],
  [2, "delete"],
  [3, "insertBucket"],
  [5, "removeBucket"],
  [0x8000, "addOrModify"],
]);

const BucketProperty = { weight: 0, watchPort: 1, watchGroup: 2 } as const;
const experimenterProperty = 0xffff;
const netronome = 0x0000_154d;
const selectionMethod = 1;

/** A complete group-mod. */
export function groupMod(parts: Partial<Omit<GroupMod, "kind">> & { readonly group: number }): GroupMod {
  return {
    kind: "groupMod",
    command: "add",
    type: "all",
    bucket: BucketId.all,
    buckets: [],
    selection: null,
    ...parts,
  };
}

/** A complete bucket. */
export function bucket(
  id: number,
  actions: readonly Action[],
  parts: Partial<Omit<Bucket, "id" | "actions">> = {},
): Bucket {
  return { id, actions, weight: null, watchPort: null, watchGroup: null, ...parts };
}

export function encodeGroupMod(w: Writer, mod: GroupMod): void {
  w.u16(commandNumber[mod.command]);
  w.u8(typeNumber[mod.type]);
  w.zeros(1);
  w.u32(mod.group);
  const lengthAt = w.length;
  w.u16(0);
  w.zeros(2);
  w.u32(mod.bucket);
  const start = w.length;
  for (const one of mod.buckets) encodeBucket(w, one);
  w.setU16(lengthAt, w.length - start);
  if (mod.selection !== null) encodeSelection(w, mod.selection);
}

export function decodeGroupMod(r: Reader): GroupMod {
  const number = r.u16();
  const command = commandByNumber.get(number);
  if (command === undefined) throw new DecodeError(`group-mod command ${number}`);
  const type = decodeType(r);
  r.skip(1);
  const group = r.u32();
  const length = r.u16();
  r.skip(2);
  const bucketId = r.u32();
  const buckets = decodeBuckets(r.sub(length));
  return { kind: "groupMod", command, type, group, bucket: bucketId, buckets, selection: decodeSelection(r) };
}

/** Writes one entry of the reply to a question for groups. */
export function encodeGroupDescription(w: Writer, group: GroupDescription): void {
  const start = w.length;
  w.u16(0);
  w.u8(typeNumber[group.type]);
  w.zeros(1);
  w.u32(group.group);
  w.u16(0);
  w.zeros(6);
  const bucketsAt = w.length;
  for (const one of group.buckets) encodeBucket(w, one);
  w.setU16(start + 8, w.length - bucketsAt);
  if (group.selection !== null) encodeSelection(w, group.selection);
  w.setU16(start, w.length - start);
}

export function decodeGroupDescription(outer: Reader): GroupDescription {
  const r = outer.sub(outer.peekU16(0));
  r.skip(2);
  const type = decodeType(r);
  r.skip(1);
  const group = r.u32();
  const length = r.u16();
  r.skip(6);
  return { group, type, buckets: decodeBuckets(r.sub(length)), selection: decodeSelection(r) };
}

function encodeBucket(w: Writer, one: Bucket): void {
  const start = w.length;
  w.zeros(4);
  w.u32(one.id);
  encodeActions(w, one.actions);
  w.setU16(start + 2, w.length - start - 8);
  if (one.weight !== null) {
    w.u16(BucketProperty.weight);
    w.u16(6);
    w.u16(one.weight);
    w.zeros(2);
  }
  if (one.watchPort !== null) propertyU32(w, BucketProperty.watchPort, one.watchPort);
  if (one.watchGroup !== null) propertyU32(w, BucketProperty.watchGroup, one.watchGroup);
  w.setU16(start, w.length - start);
}

function decodeBuckets(r: Reader): readonly Bucket[] {
  const buckets: Bucket[] = [];
  while (r.left > 0) {
    const length = r.peekU16(0);
    if (length < 8) throw new DecodeError(`bucket of ${length} bytes`);
    buckets.push(decodeBucket(r.sub(length)));
  }
  return buckets;
}

function decodeBucket(r: Reader): Bucket {
  r.skip(2);
  const actionsLength = r.u16();
  const id = r.u32();
  const actions = decodeActions(r.sub(actionsLength));
  let weight: number | null = null;
  let watchPort: number | null = null;
  let watchGroup: number | null = null;
  while (r.left > 0) {
    const { type, value } = decodeProperty(r);
    if (type === BucketProperty.weight) weight = value.u16();
    else if (type === BucketProperty.watchPort) watchPort = value.u32();
    else if (type === BucketProperty.watchGroup) watchGroup = value.u32();
  }
  return { id, actions, weight, watchPort, watchGroup };
}

function encodeSelection(w: Writer, selection: Selection): void {
  const start = w.length;
  w.u16(experimenterProperty);
  w.u16(0);
  w.u32(netronome);
  w.u32(selectionMethod);
  w.zeros(4);
  w.text(selection.method, 16);
  w.u64(selection.parameter);
  encodeFields(w, selection.fields);
  w.setU16(start + 2, w.length - start);
  w.pad8(start);
}

function decodeSelection(r: Reader): Selection | null {
  let selection: Selection | null = null;
  while (r.left > 0) {
    const { type, value } = decodeProperty(r);
    if (type !== experimenterProperty || value.u32() !== netronome || value.u32() !== selectionMethod) continue;
    value.skip(4);
    selection = { method: value.text(16), parameter: value.u64(), fields: decodeFields(value) };
  }
  return selection;
}

function decodeProperty(r: Reader): { readonly type: number; readonly value: Reader } {
  const type = r.u16();
  const length = r.u16();
  if (length < 4) throw new DecodeError(`property of ${length} bytes`);
  const value = r.sub(length - 4);
  r.skipPad8(length);
  return { type, value };
}

function decodeType(r: Reader): GroupType {
  const number = r.u8();
  const type = types[number];
  if (type === undefined) throw new DecodeError(`group type ${number}`);
  return type;
}

function propertyU32(w: Writer, type: number, value: number): void {
  w.u16(type);
  w.u16(8);
  w.u32(value);
}
