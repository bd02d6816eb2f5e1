/** Every message, to and from bytes: header, type, body (OpenFlow 1.5.1, section 7.1.1 and table of types in 7.1). */
import { niciraVendor } from "./action-numbers.ts";
import { type BundleControl, decodeBundleControl, encodeBundleControl } from "./bundle.ts";
import { decodeError, type ErrorMessage, encodeError } from "./error-message.ts";
import {
  decodeFlowMod,
  decodeFlowRemoved,
  encodeFlowMod,
  encodeFlowRemoved,
  type FlowMod,
  type FlowRemoved,
} from "./flow.ts";
import { decodeGroupMod, encodeGroupMod, type GroupMod } from "./group.ts";
import { decodeMeterMod, encodeMeterMod, type MeterMod } from "./meter.ts";
import {
  decodeMultipartReply,
  decodeMultipartRequest,
  encodeMultipartReply,
  encodeMultipartRequest,
  type MultipartReply,
  type MultipartRequest,
} from "./multipart.ts";
import {
  type CtFlushZone,
  decodeTlvTable,
  decodeTlvTableMod,
  encodeTlvTable,
  encodeTlvTableMod,
  NiciraMessage,
  type TlvTable,
  type TlvTableMod,
} from "./nicira.ts";
import {
  decodePacketOut,
  decodePuntedPacket,
  encodePacketOut,
  encodePuntedPacket,
  type PacketIn,
  type PacketOut,
  type Resume,
} from "./packet.ts";
import { decodePortStatus, encodePortStatus, type PortStatus } from "./port.ts";
import {
  decodeConfig,
  decodeFeatures,
  decodeHello,
  decodeSetAsync,
  encodeConfig,
  encodeFeatures,
  encodeHello,
  encodeSetAsync,
  type Features,
  type Hello,
  type SetAsync,
  type SwitchConfig,
} from "./session.ts";
import { DecodeError, maxMessageLength, openFlowVersion, Reader, type Writer } from "./wire.ts";

/** Asks whether the other side is there; the reply carries the same bytes. */
export interface Echo {
  readonly kind: "echoRequest" | "echoReply";
  readonly data: Uint8Array;
}

/** Messages without a body. */
export interface Bare {
  readonly kind: "featuresRequest" | "getConfigRequest" | "barrierRequest" | "barrierReply" | "tlvTableRequest";
}

export interface ConfigMessage extends SwitchConfig {
  readonly kind: "setConfig" | "getConfigReply";
}

/** Puts a message into a bundle. Its transaction id is that of the message inside. */
export interface BundleAdd {
  readonly kind: "bundleAdd";
  readonly bundle: number;
  readonly flags: number;
  readonly message: Message;
}

/** Chooses how packets come to this controller: `PacketInFormat`. */
export interface SetPacketInFormat {
  readonly kind: "setPacketInFormat";
  readonly format: number;
}

/** A message of a type that this codec does not know. */
export interface RawMessage {
  readonly kind: "raw";
  readonly type: number;
  readonly body: Uint8Array;
}

export type Message =
  | Hello
  | ErrorMessage
  | Echo
  | Bare
  | Features
  | ConfigMessage
  | PacketIn
  | FlowRemoved
  | PortStatus
  | PacketOut
  | FlowMod
  | GroupMod
  | MeterMod
  | MultipartRequest
  | MultipartReply
  | SetAsync
  | BundleControl
  | BundleAdd
  | TlvTableMod
  | TlvTable
  | Resume
  | CtFlushZone
  | SetPacketInFormat
  | RawMessage;

/** A message with its transaction id, which the reply repeats. */
export interface Envelope {
  readonly xid: number;
  readonly message: Message;
}

const headerLength = 8;

const Type = {
  hello: 0,
  error: 1,
  echoRequest: 2,
  echoReply: 3,
  experimenter: 4,
  featuresRequest: 5,
  featuresReply: 6,
  getConfigRequest: 7,
  getConfigReply: 8,
  setConfig: 9,
  flowRemoved: 11,
  portStatus: 12,
  packetOut: 13,
  flowMod: 14,
  groupMod: 15,
  multipartRequest: 18,
  multipartReply: 19,
  barrierRequest: 20,
  barrierReply: 21,
  setAsync: 28,
  meterMod: 29,
  bundleControl: 33,
  bundleAdd: 34,
} as const;

/** Messages that go under Nicira's experimenter number, with their subtypes. */
const niciraSubtype = {
  setPacketInFormat: NiciraMessage.setPacketInFormat,
  tlvTableMod: NiciraMessage.tlvTableMod,
  tlvTableRequest: NiciraMessage.tlvTableRequest,
  tlvTableReply: NiciraMessage.tlvTableReply,
  resume: NiciraMessage.resume,
  ctFlushZone: NiciraMessage.ctFlushZone,
  packetIn: NiciraMessage.packetIn2,
} as const;

/**
 * Appends a message to a writer.
 * Throws EncodeError when a value does not fit or the message has more than 65535 bytes; the writer then holds half a message: `truncate` it.
 */
export function encodeMessage(w: Writer, message: Message, xid: number): void {
  const start = w.length;
  w.u8(openFlowVersion);
  w.u8(typeOf(message));
  w.u16(0);
  w.u32(xid);
  encodeBody(w, message, xid);
  w.setU16(start + 2, w.length - start);
}

/**
 * Reads one whole message, header included.
 * Throws DecodeError when it is not what the protocol allows; a message, action, instruction or field of an unknown kind is not an error but comes back raw.
 */
export function decodeMessage(bytes: Uint8Array): Envelope {
  return decodeEnvelope(new Reader(bytes), bytes.length);
}

/** Every kind stands in one of the two tables of numbers, which `in` cannot tell the compiler: hence the casts here and below. */
function typeOf(message: Message): number {
  if (message.kind === "raw") return message.type;
  return message.kind in niciraSubtype ? Type.experimenter : Type[message.kind as keyof typeof Type];
}

function encodeBody(w: Writer, message: Message, xid: number): void {
  if (message.kind in niciraSubtype) {
    w.u32(niciraVendor);
    w.u32(niciraSubtype[message.kind as keyof typeof niciraSubtype]);
  }
  switch (message.kind) {
    case "flowMod":
      encodeFlowMod(w, message);
      break;
    case "groupMod":
      encodeGroupMod(w, message);
      break;
    case "meterMod":
      encodeMeterMod(w, message);
      break;
    case "packetOut":
      encodePacketOut(w, message);
      break;
    case "hello":
      encodeHello(w, message);
      break;
    case "error":
      encodeError(w, message);
      break;
    case "echoRequest":
    case "echoReply":
      w.bytes(message.data);
      break;
    case "featuresReply":
      encodeFeatures(w, message);
      break;
    case "setConfig":
    case "getConfigReply":
      encodeConfig(w, message);
      break;
    case "flowRemoved":
      encodeFlowRemoved(w, message);
      break;
    case "portStatus":
      encodePortStatus(w, message);
      break;
    case "multipartRequest":
      encodeMultipartRequest(w, message);
      break;
    case "multipartReply":
      encodeMultipartReply(w, message);
      break;
    case "setAsync":
      encodeSetAsync(w, message);
      break;
    case "bundleControl":
      encodeBundleControl(w, message);
      break;
    case "bundleAdd":
      w.u32(message.bundle);
      w.zeros(2);
      w.u16(message.flags);
      encodeMessage(w, message.message, xid);
      break;
    case "tlvTableMod":
      encodeTlvTableMod(w, message);
      break;
    case "tlvTableReply":
      encodeTlvTable(w, message);
      break;
    case "packetIn":
    case "resume":
      encodePuntedPacket(w, message);
      break;
    case "ctFlushZone":
      w.zeros(6);
      w.u16(message.zone);
      break;
    case "setPacketInFormat":
      w.u32(message.format);
      break;
    case "raw":
      w.bytes(message.body);
      break;
    case "featuresRequest":
    case "getConfigRequest":
    case "barrierRequest":
    case "barrierReply":
    case "tlvTableRequest":
      return;
  }
}

function decodeEnvelope(outer: Reader, size: number): Envelope {
  const version = outer.u8();
  const type = outer.u8();
  const length = outer.u16();
  const xid = outer.u32();
  if (length < headerLength || length > size || length > maxMessageLength) {
    throw new DecodeError(`message of ${length} bytes in ${size}`);
  }
  const r = outer.sub(length - headerLength);
  // Hello comes in the speaker's highest version, and a refusal of it in any; all else must be in the negotiated one.
  if (type === Type.hello) return { xid, message: decodeHello(r, version) };
  if (version !== openFlowVersion && type !== Type.error) throw new DecodeError(`OpenFlow version ${version}`);
  return { xid, message: decodeBody(r, type, xid) };
}

function decodeBody(r: Reader, type: number, xid: number): Message {
  switch (type) {
    case Type.error:
      return decodeError(r);
    case Type.echoRequest:
      return { kind: "echoRequest", data: r.bytes(r.left) };
    case Type.echoReply:
      return { kind: "echoReply", data: r.bytes(r.left) };
    case Type.experimenter:
      return decodeExperimenter(r);
    case Type.featuresRequest:
      return { kind: "featuresRequest" };
    case Type.featuresReply:
      return decodeFeatures(r);
    case Type.getConfigRequest:
      return { kind: "getConfigRequest" };
    case Type.getConfigReply:
      return { kind: "getConfigReply", ...decodeConfig(r) };
    case Type.setConfig:
      return { kind: "setConfig", ...decodeConfig(r) };
    case Type.flowRemoved:
      return decodeFlowRemoved(r);
    case Type.portStatus:
      return decodePortStatus(r);
    case Type.packetOut:
      return decodePacketOut(r);
    case Type.flowMod:
      return decodeFlowMod(r);
    case Type.groupMod:
      return decodeGroupMod(r);
    case Type.meterMod:
      return decodeMeterMod(r);
    case Type.multipartRequest:
      return decodeMultipartRequest(r);
    case Type.multipartReply:
      return decodeMultipartReply(r);
    case Type.barrierRequest:
      return { kind: "barrierRequest" };
    case Type.barrierReply:
      return { kind: "barrierReply" };
    case Type.setAsync:
      return decodeSetAsync(r);
    case Type.bundleControl:
      return decodeBundleControl(r);
    case Type.bundleAdd:
      return decodeBundleAdd(r, xid);
    default:
      return { kind: "raw", type, body: r.whole() };
  }
}

function decodeBundleAdd(r: Reader, xid: number): BundleAdd {
  const bundle = r.u32();
  r.skip(2);
  const flags = r.u16();
  const inner = decodeEnvelope(r, r.left);
  if (inner.xid !== xid) throw new DecodeError(`bundle message ${inner.xid} in an envelope ${xid}`);
  return { kind: "bundleAdd", bundle, flags, message: inner.message };
}

function decodeExperimenter(r: Reader): Message {
  const raw: RawMessage = { kind: "raw", type: Type.experimenter, body: r.whole() };
  if (r.left < 8 || r.u32() !== niciraVendor) return raw;
  switch (r.u32()) {
    case NiciraMessage.setPacketInFormat:
      return { kind: "setPacketInFormat", format: r.u32() };
    case NiciraMessage.tlvTableMod:
      return decodeTlvTableMod(r);
    case NiciraMessage.tlvTableRequest:
      return { kind: "tlvTableRequest" };
    case NiciraMessage.tlvTableReply:
      return decodeTlvTable(r);
    case NiciraMessage.resume:
      return { kind: "resume", ...decodePuntedPacket(r) };
    case NiciraMessage.packetIn2:
      return { kind: "packetIn", ...decodePuntedPacket(r) };
    case NiciraMessage.ctFlushZone:
      r.skip(6);
      return { kind: "ctFlushZone", zone: r.u16() };
    default:
      return raw;
  }
}
