/** The face of the OVSDB client (RFC 7047). */

export type { CallOptions } from "./client.ts";
export { connect, OvsdbClient } from "./client.ts";
export type { After, ConnectionOptions, NotificationHandler } from "./connection.ts";
export { Connection } from "./connection.ts";
export type { CloseCause, FaultyOperation, FramingReason } from "./errors.ts";
export {
  ConnectionClosedError,
  describeClose,
  FramingError,
  OvsdbError,
  ProtocolError,
  SchemaMismatchError,
  ValueError,
} from "./errors.ts";
export { DEFAULT_MAX_MESSAGE_BYTES, MessageFramer } from "./framing.ts";
export type { Json, JsonObject } from "./json.ts";
export {
  Bridge,
  Configuration,
  Controller,
  CtTimeoutPolicy,
  CtZone,
  Datapath,
  Interface,
  Manager,
  OPEN_VSWITCH,
  OpenVSwitch,
  Port,
  transactApplied,
  untilApplied,
} from "./open-vswitch.ts";
export type {
  Abort,
  Comment,
  Comparison,
  Condition,
  Delete,
  Insert,
  Mutate,
  Mutation,
  Operation,
  ResultOf,
  ResultsOf,
  Select,
  Update,
  Wait,
} from "./operations.ts";
export { abort, byUuid, comment, insert, mutate, remove, select, update, wait } from "./operations.ts";
export type { Change, ChangeListener, ReplicaState, UpdateForm, Watched } from "./replica.ts";
export { changesOf, only, Replica } from "./replica.ts";
export type { ColumnSchema, DatabaseSchema } from "./schema.ts";
export { checkTables } from "./schema.ts";
export type {
  Atom,
  AtomInput,
  AtomValue,
  Column,
  ColumnInput,
  ColumnName,
  Columns,
  ColumnValue,
  MapOf,
  NamedUuid,
  Optional,
  Row,
  RowInput,
  Scalar,
  SetOf,
  Table,
  Uuid,
} from "./table.ts";
export {
  bigInteger,
  boolean,
  integer,
  isUuid,
  map,
  named,
  optional,
  parseUuid,
  pick,
  real,
  set,
  string,
  table,
  uuid,
  ZERO_UUID,
} from "./table.ts";
export type { Endpoint, Transport, TransportSink } from "./transport.ts";
export { dial, OVSDB_PORT, overSocket, parseEndpoint } from "./transport.ts";
