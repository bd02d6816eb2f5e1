/** Actions to bytes (OpenFlow 1.5.1, section 7.2.6; Nicira extension actions as Open vSwitch 3.1 reads them). */
import type { Action, Controller, Ct, Learn, LearnSpec, Nat } from "./action.ts";
import {
  ActionType,
  ControllerProperty,
  CtFlag,
  LearnHeader,
  NatFlag,
  NatRange,
  NiciraAction,
  niciraVendor,
  noRecirculation,
} from "./action-numbers.ts";
import { encodeField, encodeFieldHeader, type Subfield } from "./field.ts";
import { EncodeError, type Writer } from "./wire.ts";

/** Writes actions one after the other. Throws EncodeError when a value does not fit its place. */
export function encodeActions(w: Writer, actions: readonly Action[]): void {
  for (const action of actions) encodeAction(w, action);
}

/** Writes one action. */
export function encodeAction(w: Writer, action: Action): void {
  const start = w.length;
  switch (action.kind) {
    case "output":
      header(w, ActionType.output, 16);
      w.u32(action.port);
      w.u16(action.maxLength);
      w.zeros(6);
      break;
    case "group":
      header(w, ActionType.group, 8);
      w.u32(action.group);
      break;
    case "meter":
      header(w, ActionType.meter, 8);
      w.u32(action.meter);
      break;
    case "setQueue":
      header(w, ActionType.setQueue, 8);
      w.u32(action.queue);
      break;
    case "pushVlan":
      header(w, ActionType.pushVlan, 8);
      w.u16(action.etherType);
      w.zeros(2);
      break;
    case "setTtl":
      header(w, ActionType.setTtl, 8);
      w.u8(action.ttl);
      w.zeros(3);
      break;
    case "popVlan":
      header(w, ActionType.popVlan, 8);
      w.zeros(4);
      break;
    case "decTtl":
      header(w, ActionType.decTtl, 8);
      w.zeros(4);
      break;
    case "popQueue":
      bare(w, NiciraAction.popQueue);
      break;
    case "exit":
      bare(w, NiciraAction.exit);
      break;
    case "ctClear":
      bare(w, NiciraAction.ctClear);
      break;
    case "setField":
      header(w, ActionType.setField, 0);
      encodeField(w, action.set);
      finish(w, start);
      break;
    case "copyField":
      header(w, ActionType.copyField, 0);
      if (action.source.bits !== action.destination.bits) throw new EncodeError("copyField: runs of unequal length");
      w.u16(action.source.bits);
      w.u16(action.source.offset);
      w.u16(action.destination.offset);
      w.zeros(2);
      encodeFieldHeader(w, action.source.field);
      encodeFieldHeader(w, action.destination.field);
      finish(w, start);
      break;
    case "resubmit":
      vendor(w, action.tuple === "original" ? NiciraAction.resubmitTableCt : NiciraAction.resubmitTable, 16);
      w.u16(action.inPort);
      w.u8(action.table);
      w.zeros(3);
      break;
    case "controller":
      encodeController(w, action, start);
      break;
    case "conjunction":
      vendor(w, NiciraAction.conjunction, 16);
      w.u8(action.clause);
      w.u8(action.of);
      w.u32(action.id);
      break;
    case "ct":
      encodeCt(w, action, start);
      break;
    case "nat":
      encodeNat(w, action, start);
      break;
    case "clone":
      bare(w, NiciraAction.clone);
      encodeActions(w, action.actions);
      finish(w, start);
      break;
    case "outputField":
      vendor(w, NiciraAction.outputField, 24);
      w.u16(offsetAndBits(action.source));
      w.u16(action.maxLength);
      encodeFieldHeader(w, action.source.field);
      w.padTo(start, 24);
      break;
    case "outputTruncated":
      vendor(w, NiciraAction.outputTruncated, 16);
      w.u16(action.port);
      w.u32(action.maxLength);
      break;
    case "checkPacketLarger":
      vendor(w, NiciraAction.checkPacketLarger, 24);
      w.u16(action.length);
      w.u16(action.destination.offset);
      encodeFieldHeader(w, action.destination.field);
      w.padTo(start, 24);
      break;
    case "stackPush":
    case "stackPop":
      vendor(w, action.kind === "stackPush" ? NiciraAction.stackPush : NiciraAction.stackPop, 24);
      w.u16(action.subfield.offset);
      encodeFieldHeader(w, action.subfield.field);
      w.u16(action.subfield.bits);
      w.padTo(start, 24);
      break;
    case "note":
      vendor(w, NiciraAction.note, 0);
      w.bytes(action.note);
      w.padTo(start, 16);
      finish(w, start);
      break;
    case "learn":
      encodeLearn(w, action, start);
      break;
    case "raw":
      w.bytes(action.bytes);
      break;
  }
}

function encodeController(w: Writer, action: Controller, start: number): void {
  bare(w, NiciraAction.controller2);
  propertyU16(w, ControllerProperty.maxLength, action.maxLength);
  if (action.controllerId !== 0) propertyU16(w, ControllerProperty.controllerId, action.controllerId);
  w.u16(ControllerProperty.reason);
  w.u16(5);
  w.u8(action.reason);
  w.zeros(3);
  if (action.userdata.length > 0) {
    const property = w.length;
    w.u16(ControllerProperty.userdata);
    w.u16(4 + action.userdata.length);
    w.bytes(action.userdata);
    w.pad8(property);
  }
  if (action.flow === "pause") {
    w.u16(ControllerProperty.pause);
    w.u16(4);
    w.zeros(4);
  }
  if (action.meter !== 0) {
    w.u16(ControllerProperty.meter);
    w.u16(8);
    w.u32(action.meter);
  }
  finish(w, start);
}

function encodeCt(w: Writer, action: Ct, start: number): void {
  vendor(w, NiciraAction.ct, 0);
  w.u16(action.mode === "track" ? 0 : action.mode === "commit" ? CtFlag.commit : CtFlag.commit | CtFlag.force);
  if (action.zone.kind === "immediate") {
    w.u32(0);
    w.u16(action.zone.zone);
  } else {
    encodeFieldHeader(w, action.zone.source.field);
    w.u16(offsetAndBits(action.zone.source));
  }
  if (w.length - start !== 18) throw new EncodeError("ct: the zone must come from a field without experimenter");
  if (action.recircTable === noRecirculation) throw new EncodeError("ct: table 255 means none; write null");
  w.u8(action.recircTable ?? noRecirculation);
  w.zeros(3);
  w.u16(action.helper);
  encodeActions(w, action.actions);
  finish(w, start);
}

function encodeNat(w: Writer, action: Nat, start: number): void {
  let flags = 0;
  if (action.direction !== "none") flags |= action.direction === "source" ? NatFlag.source : NatFlag.destination;
  if (action.persistent) flags |= NatFlag.persistent;
  if (action.choice !== "default") flags |= action.choice === "hash" ? NatFlag.hash : NatFlag.random;
  vendor(w, NiciraAction.nat, 0);
  w.zeros(2);
  w.u16(flags);
  const rangeAt = w.length;
  w.u16(0);
  let range = 0;
  if (action.address?.version === 4) {
    range |= NatRange.ipv4Min;
    w.u32(action.address.min);
    if (action.address.max !== null) {
      range |= NatRange.ipv4Max;
      w.u32(action.address.max);
    }
  } else if (action.address?.version === 6) {
    range |= NatRange.ipv6Min;
    w.u128(action.address.min);
    if (action.address.max !== null) {
      range |= NatRange.ipv6Max;
      w.u128(action.address.max);
    }
  }
  if (action.ports !== null) {
    range |= NatRange.portMin;
    w.u16(action.ports.min);
    if (action.ports.max !== null) {
      range |= NatRange.portMax;
      w.u16(action.ports.max);
    }
  }
  w.setU16(rangeAt, range);
  finish(w, start);
}

function encodeLearn(w: Writer, action: Learn, start: number): void {
  const extended = action.limit !== 0 || action.result !== null;
  vendor(w, extended ? NiciraAction.learn2 : NiciraAction.learn, 0);
  w.u16(action.idleTimeout);
  w.u16(action.hardTimeout);
  w.u16(action.priority);
  w.u64(action.cookie);
  w.u16(action.flags | (action.result === null ? 0 : 4));
  w.u8(action.table);
  w.zeros(1);
  w.u16(action.finIdleTimeout);
  w.u16(action.finHardTimeout);
  if (extended) {
    w.u32(action.limit);
    w.u16(action.result?.offset ?? 0);
    w.zeros(2);
    if (action.result !== null) encodeFieldHeader(w, action.result.field);
  }
  for (const spec of action.specs) encodeLearnSpec(w, spec);
  finish(w, start);
}

function encodeLearnSpec(w: Writer, { from, to }: LearnSpec): void {
  const bits = from.kind === "field" ? from.source.bits : from.bits;
  if (bits < 1 || bits > LearnHeader.bits) throw new EncodeError(`learn: ${bits} bits`);
  if (to.kind !== "output" && to.destination.bits !== bits) throw new EncodeError("learn: runs of unequal length");
  w.u16(bits | LearnHeader[to.kind] | (from.kind === "immediate" ? LearnHeader.immediate : 0));
  if (from.kind === "field") {
    encodeFieldHeader(w, from.source.field);
    w.u16(from.source.offset);
  } else {
    const value = BigInt(from.value);
    if (value < 0n || value >> BigInt(bits) !== 0n) throw new EncodeError(`learn: ${value} does not fit ${bits} bits`);
    for (let word = Math.ceil(bits / 16) - 1; word >= 0; word -= 1)
      w.u16(Number((value >> BigInt(word * 16)) & 0xffffn));
  }
  if (to.kind !== "output") {
    encodeFieldHeader(w, to.destination.field);
    w.u16(to.destination.offset);
  }
}

function offsetAndBits(source: Subfield): number {
  if (source.bits < 1 || source.bits > 64)
    throw new EncodeError(`${source.field}: ${source.bits} bits, at most 64 here`);
  return (source.offset << 6) | (source.bits - 1);
}

function propertyU16(w: Writer, type: number, value: number): void {
  w.u16(type);
  w.u16(6);
  w.u16(value);
  w.zeros(2);
}

function header(w: Writer, type: number, length: number): void {
  w.u16(type);
  w.u16(length);
}

/** A Nicira action up to its subtype: 10 bytes. */
function vendor(w: Writer, subtype: number, length: number): void {
  w.u16(ActionType.experimenter);
  w.u16(length);
  w.u32(niciraVendor);
  w.u16(subtype);
}

/** A Nicira action of 16 bytes without arguments. */
function bare(w: Writer, subtype: number): void {
  vendor(w, subtype, 16);
  w.zeros(6);
}

/** Pads an action to 8 bytes and writes its length. */
function finish(w: Writer, start: number): void {
  w.pad8(start);
  w.setU16(start + 2, w.length - start);
}
