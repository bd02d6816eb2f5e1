/** Bytes to actions, the counterpart of `action-encode.ts`; what is unknown stays raw (OpenFlow 1.5.1, section 7.2.6). */
import {
  type Action,
  type Controller,
  type Ct,
  type Learn,
  LearnFlag,
  type LearnSource,
  type LearnSpec,
  type LearnTarget,
  type Nat,
  PacketInReason,
  wholePacket,
} from "./action.ts";
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
import { decodeField, decodeFieldHeader, type Subfield } from "./field.ts";
import { DecodeError, type Reader } from "./wire.ts";

/** Reads actions until the reader is empty. Throws DecodeError on an impossible length. */
export function decodeActions(r: Reader): readonly Action[] {
  const actions: Action[] = [];
  while (r.left > 0) {
    const length = r.peekU16(2);
    if (length < 8 || length % 8 !== 0 || length > r.left)
      throw new DecodeError(`action of ${length} bytes, ${r.left} left`);
    actions.push(decodeAction(r, length));
  }
  return actions;
}

/** Reads one action; one that names a field or a property which this codec lacks is kept whole. */
function decodeAction(r: Reader, length: number): Action {
  const body = r.sub(length);
  const type = body.u16();
  body.skip(2);
  const action = type === ActionType.experimenter ? vendorAction(body) : standardAction(body, type);
  return action ?? { kind: "raw", bytes: body.whole() };
}

function standardAction(r: Reader, type: number): Action | undefined {
  switch (type) {
    case ActionType.output:
      return { kind: "output", port: r.u32(), maxLength: r.u16() };
    case ActionType.group:
      return { kind: "group", group: r.u32() };
    case ActionType.meter:
      return { kind: "meter", meter: r.u32() };
    case ActionType.setQueue:
      return { kind: "setQueue", queue: r.u32() };
    case ActionType.pushVlan:
      return { kind: "pushVlan", etherType: r.u16() };
    case ActionType.popVlan:
      return { kind: "popVlan" };
    case ActionType.setTtl:
      return { kind: "setTtl", ttl: r.u8() };
    case ActionType.decTtl:
      return { kind: "decTtl" };
    case ActionType.setField:
      return { kind: "setField", set: decodeField(r) };
    case ActionType.copyField:
      return copyField(r);
    default:
      return undefined;
  }
}

function vendorAction(r: Reader): Action | undefined {
  if (r.u32() !== niciraVendor) return undefined;
  const subtype = r.u16();
  switch (subtype) {
    case NiciraAction.resubmit:
      return { kind: "resubmit", inPort: r.u16(), table: 0xff, tuple: "packet" };
    case NiciraAction.resubmitTable:
      return { kind: "resubmit", inPort: r.u16(), table: r.u8(), tuple: "packet" };
    case NiciraAction.resubmitTableCt:
      return { kind: "resubmit", inPort: r.u16(), table: r.u8(), tuple: "original" };
    case NiciraAction.popQueue:
      return { kind: "popQueue" };
    case NiciraAction.exit:
      return { kind: "exit" };
    case NiciraAction.ctClear:
      return { kind: "ctClear" };
    case NiciraAction.note:
      return { kind: "note", note: r.bytes(r.left) };
    case NiciraAction.controller:
      return controller(r.u16(), r.u16(), r.u8());
    case NiciraAction.controller2:
      r.skip(6);
      return controller2(r);
    case NiciraAction.stackPush:
    case NiciraAction.stackPop: {
      const offset = r.u16();
      const known = decodeFieldHeader(r);
      if (known === undefined) return undefined;
      const kind = subtype === NiciraAction.stackPush ? "stackPush" : "stackPop";
      return { kind, subfield: { field: known.name, offset, bits: r.u16() } };
    }
    case NiciraAction.outputField: {
      const run = r.u16();
      const maxLength = r.u16();
      const known = decodeFieldHeader(r);
      return known && { kind: "outputField", source: fromOffsetAndBits(known.name, run), maxLength };
    }
    case NiciraAction.outputTruncated:
      return { kind: "outputTruncated", port: r.u16(), maxLength: r.u32() };
    case NiciraAction.conjunction: {
      const clause = r.u8();
      const of = r.u8();
      return { kind: "conjunction", id: r.u32(), clause, of };
    }
    case NiciraAction.ct:
      return ct(r);
    case NiciraAction.nat:
      r.skip(2);
      return nat(r);
    case NiciraAction.clone:
      r.skip(6);
      return { kind: "clone", actions: decodeActions(r.sub(r.left)) };
    case NiciraAction.checkPacketLarger: {
      const length = r.u16();
      const offset = r.u16();
      const known = decodeFieldHeader(r);
      return known && { kind: "checkPacketLarger", length, destination: { field: known.name, offset, bits: 1 } };
    }
    case NiciraAction.learn:
    case NiciraAction.learn2:
      return learn(r, subtype);
    default:
      return undefined;
  }
}

function copyField(r: Reader): Action | undefined {
  const bits = r.u16();
  const sourceOffset = r.u16();
  const destinationOffset = r.u16();
  r.skip(2);
  const source = decodeFieldHeader(r);
  const destination = decodeFieldHeader(r);
  if (source === undefined || destination === undefined) return undefined;
  return {
    kind: "copyField",
    source: { field: source.name, offset: sourceOffset, bits },
    destination: { field: destination.name, offset: destinationOffset, bits },
  };
}

/** The older form of `controller`, which a switch may still send back. */
function controller(maxLength: number, controllerId: number, reason: number): Controller {
  return {
    kind: "controller",
    userdata: new Uint8Array(0),
    maxLength,
    reason,
    controllerId,
    meter: 0,
    flow: "continue",
  };
}

function controller2(r: Reader): Controller | undefined {
  let { userdata, maxLength, reason, controllerId, meter, flow } = controller(wholePacket, 0, PacketInReason.action);
  while (r.left > 0) {
    const type = r.u16();
    const length = r.u16();
    if (length < 4) throw new DecodeError(`controller property of ${length} bytes`);
    const value = r.sub(length - 4);
    r.skipPad8(length);
    switch (type) {
      case ControllerProperty.maxLength:
        maxLength = value.u16();
        break;
      case ControllerProperty.controllerId:
        controllerId = value.u16();
        break;
      case ControllerProperty.reason:
        reason = value.u8();
        break;
      case ControllerProperty.userdata:
        userdata = value.bytes(value.left);
        break;
      case ControllerProperty.pause:
        flow = "pause";
        break;
      case ControllerProperty.meter:
        meter = value.u32();
        break;
      default:
        return undefined;
    }
  }
  return { kind: "controller", userdata, maxLength, reason, controllerId, meter, flow };
}

function ct(r: Reader): Ct | undefined {
  const flags = r.u16();
  const fromField = r.peekU16(0) !== 0 || r.peekU16(2) !== 0;
  let zone: Ct["zone"];
  if (fromField) {
    const known = decodeFieldHeader(r);
    if (known === undefined) return undefined;
    zone = { kind: "field", source: fromOffsetAndBits(known.name, r.u16()) };
  } else {
    r.skip(4);
    zone = { kind: "immediate", zone: r.u16() };
  }
  const table = r.u8();
  r.skip(3);
  const helper = r.u16();
  const mode = (flags & CtFlag.commit) === 0 ? "track" : (flags & CtFlag.force) === 0 ? "commit" : "commitForce";
  const recircTable = table === noRecirculation ? null : table;
  return { kind: "ct", mode, zone, recircTable, helper, actions: decodeActions(r.sub(r.left)) };
}

function nat(r: Reader): Nat {
  const flags = r.u16();
  const range = r.u16();
  let address: Nat["address"] = null;
  if ((range & NatRange.ipv4Min) !== 0) {
    address = { version: 4, min: r.u32(), max: (range & NatRange.ipv4Max) === 0 ? null : r.u32() };
  } else if ((range & NatRange.ipv6Min) !== 0) {
    address = { version: 6, min: r.u128(), max: (range & NatRange.ipv6Max) === 0 ? null : r.u128() };
  }
  const ports =
    (range & NatRange.portMin) === 0 ? null : { min: r.u16(), max: (range & NatRange.portMax) === 0 ? null : r.u16() };
  return {
    kind: "nat",
    direction: (flags & NatFlag.source) !== 0 ? "source" : (flags & NatFlag.destination) !== 0 ? "destination" : "none",
    persistent: (flags & NatFlag.persistent) !== 0,
    choice: (flags & NatFlag.hash) !== 0 ? "hash" : (flags & NatFlag.random) !== 0 ? "random" : "default",
    address,
    ports,
  };
}

function learn(r: Reader, subtype: number): Learn | undefined {
  const idleTimeout = r.u16();
  const hardTimeout = r.u16();
  const priority = r.u16();
  const cookie = r.u64();
  const flags = r.u16();
  const table = r.u8();
  r.skip(1);
  const finIdleTimeout = r.u16();
  const finHardTimeout = r.u16();
  let limit = 0;
  let result: Subfield | null = null;
  if (subtype === NiciraAction.learn2) {
    limit = r.u32();
    const offset = r.u16();
    r.skip(2);
    if ((flags & LearnFlag.writeResult) !== 0) {
      const known = decodeFieldHeader(r);
      if (known === undefined) return undefined;
      result = { field: known.name, offset, bits: 1 };
    }
  }
  const specs: LearnSpec[] = [];
  while (r.left >= 2) {
    const header = r.u16();
    if (header === 0) break;
    const spec = learnSpec(r, header);
    if (spec === undefined) return undefined;
    specs.push(spec);
  }
  return {
    kind: "learn",
    table,
    priority,
    cookie,
    idleTimeout,
    hardTimeout,
    finIdleTimeout,
    finHardTimeout,
    flags: flags & ~LearnFlag.writeResult,
    limit,
    result,
    specs,
  };
}

function learnSpec(r: Reader, header: number): LearnSpec | undefined {
  const bits = header & LearnHeader.bits;
  let from: LearnSource;
  if ((header & LearnHeader.immediate) === 0) {
    const source = learnField(r, bits);
    if (source === undefined) return undefined;
    from = { kind: "field", source };
  } else {
    let value = 0n;
    for (let words = Math.ceil(bits / 16); words > 0; words -= 1) value = (value << 16n) | BigInt(r.u16());
    from = { kind: "immediate", value, bits };
  }
  const target = header & LearnHeader.target;
  let to: LearnTarget;
  if (target === LearnHeader.output) {
    to = { kind: "output" };
  } else if (target === LearnHeader.match || target === LearnHeader.load) {
    const destination = learnField(r, bits);
    if (destination === undefined) return undefined;
    to = { kind: target === LearnHeader.match ? "match" : "load", destination };
  } else {
    return undefined;
  }
  return { from, to };
}

function learnField(r: Reader, bits: number): Subfield | undefined {
  const known = decodeFieldHeader(r);
  const offset = r.u16();
  return known && { field: known.name, offset, bits };
}

function fromOffsetAndBits(field: Subfield["field"], run: number): Subfield {
  return { field, offset: run >> 6, bits: (run & 0x3f) + 1 };
}
