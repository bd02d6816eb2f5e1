/** Packets between switch and controller (OpenFlow 1.5.1, section 7.3.6; Nicira's packet-in 2 with userdata, and resume). */
import type { Action } from "./action.ts";
import { decodeActions } from "./action-decode.ts";
import { encodeActions } from "./action-encode.ts";
import { decodeFields, decodeMatch, encodeFields, encodeMatch, type Match } from "./field.ts";
import { noBuffer } from "./flow.ts";
import { DecodeError, type Reader, type U64, type Writer } from "./wire.ts";

/** A packet for the switch to run actions on. */
export interface PacketOut {
  readonly kind: "packetOut";
  /** Pipeline fields, `in_port` among them (`Port.controller` is right where there is none). */
  readonly match: Match;
  readonly actions: readonly Action[];
  readonly data: Uint8Array;
}

/** What a packet-in carries; what the switch did not send is null. */
export interface PuntedPacket {
  readonly packet: Uint8Array;
  /** Length of the whole packet, if `packet` is only its beginning. */
  readonly fullLength: number | null;
  readonly table: number | null;
  readonly cookie: bigint | null;
  /** `PacketInReason`. */
  readonly reason: number | null;
  /** `in_port`, registers, tunnel and connection fields as they were; zero ones are not sent. */
  readonly metadata: Match;
  /** From the `controller` action. */
  readonly userdata: Uint8Array;
  /** To be sent back by `resume`; opaque. */
  readonly continuation: Uint8Array | null;
}

/** A packet that the pipeline sent to the controller (after `setPacketInFormat` with the format `nxt2`). */
export interface PacketIn extends PuntedPacket {
  readonly kind: "packetIn";
}

/** Lets a packet that was paused go on, perhaps changed. */
export interface Resume extends PuntedPacket {
  readonly kind: "resume";
}

/** Format numbers of NXT_SET_PACKET_IN_FORMAT. */
export const PacketInFormat = { standard: 0, nxt: 1, nxt2: 2 } as const;

const Property = {
  packet: 0,
  fullLength: 1,
  buffer: 2,
  table: 3,
  cookie: 4,
  reason: 5,
  metadata: 6,
  userdata: 7,
  continuation: 8,
} as const;

/** A complete packet-out; `match` must hold `in_port`. */
export function packetOut(data: Uint8Array, actions: readonly Action[], match: Match): PacketOut {
  return { kind: "packetOut", match, actions, data };
}

export function encodePacketOut(w: Writer, out: PacketOut): void {
  w.u32(noBuffer);
  const lengthAt = w.length;
  w.u16(0);
  w.zeros(2);
  encodeMatch(w, out.match);
  const start = w.length;
  encodeActions(w, out.actions);
  w.setU16(lengthAt, w.length - start);
  w.bytes(out.data);
}

export function decodePacketOut(r: Reader): PacketOut {
  r.skip(4);
  const length = r.u16();
  r.skip(2);
  const match = decodeMatch(r);
  const actions = decodeActions(r.sub(length));
  return { kind: "packetOut", match, actions, data: r.bytes(r.left) };
}

export function encodePuntedPacket(w: Writer, packet: PuntedPacket): void {
  bytesProperty(w, Property.packet, packet.packet);
  if (packet.fullLength !== null) {
    w.u16(Property.fullLength);
    w.u16(8);
    w.u32(packet.fullLength);
  }
  if (packet.table !== null) byteProperty(w, Property.table, packet.table);
  if (packet.cookie !== null) wideProperty(w, Property.cookie, packet.cookie);
  if (packet.reason !== null) byteProperty(w, Property.reason, packet.reason);
  const start = w.length;
  w.u16(Property.metadata);
  w.u16(0);
  encodeFields(w, packet.metadata);
  w.setU16(start + 2, w.length - start);
  w.pad8(start);
  if (packet.userdata.length > 0) bytesProperty(w, Property.userdata, packet.userdata);
  if (packet.continuation !== null) bytesProperty(w, Property.continuation, packet.continuation);
}

export function decodePuntedPacket(r: Reader): PuntedPacket {
  let packet: Uint8Array = new Uint8Array(0);
  let userdata: Uint8Array = new Uint8Array(0);
  let continuation: Uint8Array | null = null;
  let fullLength: number | null = null;
  let table: number | null = null;
  let cookie: bigint | null = null;
  let reason: number | null = null;
  let metadata: Match = [];
  while (r.left > 0) {
    const type = r.u16();
    const length = r.u16();
    if (length < 4) throw new DecodeError(`packet-in property of ${length} bytes`);
    const value = r.sub(length - 4);
    r.skipPad8(length);
    switch (type) {
      case Property.packet:
        packet = value.bytes(value.left);
        break;
      case Property.fullLength:
        fullLength = value.u32();
        break;
      case Property.table:
        table = value.u8();
        break;
      case Property.cookie:
        value.skip(4);
        cookie = value.u64();
        break;
      case Property.reason:
        reason = value.u8();
        break;
      case Property.metadata:
        metadata = decodeFields(value);
        break;
      case Property.userdata:
        userdata = value.bytes(value.left);
        break;
      case Property.continuation:
        continuation = value.bytes(value.left);
        break;
      default:
        break;
    }
  }
  return { packet, fullLength, table, cookie, reason, metadata, userdata, continuation };
}

function bytesProperty(w: Writer, type: number, value: Uint8Array): void {
  const start = w.length;
  w.u16(type);
  w.u16(4 + value.length);
  w.bytes(value);
  w.pad8(start);
}

function byteProperty(w: Writer, type: number, value: number): void {
  w.u16(type);
  w.u16(5);
  w.u8(value);
  w.zeros(3);
}

/** 64 bits stand aligned: 4 bytes of padding come before them. */
function wideProperty(w: Writer, type: number, value: U64): void {
  w.u16(type);
  w.u16(16);
  w.zeros(4);
  w.u64(value);
}
