/** The face of `openflow`: codec and connection for OpenFlow 1.5 (wire version 6) with the Nicira extensions, as Open vSwitch speaks it. */
export type {
  Action,
  CheckPacketLarger,
  Clone,
  Conjunction,
  Controller,
  CopyField,
  Ct,
  Group,
  Learn,
  LearnSource,
  LearnSpec,
  LearnTarget,
  MeterAction,
  Nat,
  Note,
  Output,
  OutputField,
  OutputTruncated,
  Plain,
  PushVlan,
  RawAction,
  Resubmit,
  SetField,
  SetQueue,
  SetTtl,
  Stack,
} from "./action.ts";
export { act, LearnFlag, PacketInReason, Port, resubmitInPort, wholePacket } from "./action.ts";
export { type BundleControl, BundleFlag, type BundleStep } from "./bundle.ts";
export { canonicalMatch, fieldValue } from "./canonical.ts";
export { Connection, type ConnectionOptions, type Events, type KeepAlive } from "./connection.ts";
export type { ErrorMessage } from "./error-message.ts";
export { errorName } from "./error-names.ts";
export {
  BatchError,
  BundleError,
  type CloseCause,
  ConnectionClosedError,
  OpenFlowError,
  VersionError,
} from "./errors.ts";
export { type FieldMatch, type FieldValue, type Match, type RawField, type Subfield, subfield } from "./field.ts";
export { type Field, type FieldName, fields, isFieldName } from "./field-table.ts";
export {
  allTables,
  anyGroup,
  anyPort,
  type Flow,
  type FlowCommand,
  type FlowFilter,
  FlowFlag,
  type FlowMod,
  type FlowRemoved,
  FlowRemovedReason,
  flowFilter,
  flowMod,
} from "./flow.ts";
export { Framer } from "./framing.ts";
export {
  type Bucket,
  BucketId,
  bucket,
  type GroupCommand,
  type GroupDescription,
  GroupId,
  type GroupMod,
  type GroupType,
  groupMod,
  type Selection,
} from "./group.ts";
export type { Instruction } from "./instruction.ts";
export {
  type BundleAdd,
  decodeMessage,
  type Envelope,
  encodeMessage,
  type Message,
  type RawMessage,
} from "./message.ts";
export {
  type MeterBand,
  type MeterCommand,
  type MeterConfig,
  type MeterCounters,
  MeterFlag,
  MeterId,
  type MeterMod,
  meterMod,
} from "./meter.ts";
export type { Answer, MultipartReply, MultipartRequest, Question } from "./multipart.ts";
export type { CtFlushZone, TlvMapping, TlvTable, TlvTableMod } from "./nicira.ts";
export {
  type PacketIn,
  PacketInFormat,
  type PacketOut,
  type PuntedPacket,
  packetOut,
  type Resume,
} from "./packet.ts";
export { PortConfig, type PortDescription, PortState, type PortStatus } from "./port.ts";
export { ConfigFlag, type Features, type SetAsync, type SwitchConfig } from "./session.ts";
export type { Statistics } from "./statistics.ts";
export { type Address, connectSocket, socketTransport, type Transport, type TransportEvents } from "./transport.ts";
export { DecodeError, EncodeError, maxMessageLength, openFlowVersion, type U64, Writer } from "./wire.ts";
