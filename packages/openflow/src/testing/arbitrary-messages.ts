/** Random messages in the form that decoding gives, for properties of the codec (fast-check). */
import fc from "fast-check";
import type { Flow, FlowFilter, FlowMod } from "../flow.ts";
import type { Bucket, GroupMod, Selection } from "../group.ts";
import type { Message } from "../message.ts";
import type { MeterBand } from "../meter.ts";
import type { Answer, Question } from "../multipart.ts";
import type { PuntedPacket } from "../packet.ts";
import type { PortDescription } from "../port.ts";
import type { Statistics } from "../statistics.ts";
import { actions, bytes, instructions, match, record, u8, u16, u32, u64, uint } from "./arbitrary-actions.ts";

const seconds = fc.tuple(u32, fc.nat({ max: 999_999_999 })).map(([whole, nano]) => whole + nano / 1e9);
const statistics: fc.Arbitrary<Statistics> = record({
  seconds: fc.option(fc.nat({ max: 1_000_000 })),
  idleSeconds: fc.option(fc.nat({ max: 1_000_000 })),
  flows: fc.option(u32),
  packets: fc.option(u64),
  bytes: fc.option(u64),
});

const flowMod: fc.Arbitrary<FlowMod> = record({
  kind: fc.constant("flowMod" as const),
  command: fc.constantFrom("add" as const, "modify", "modifyStrict", "delete", "deleteStrict"),
  table: u8,
  priority: u16,
  match,
  instructions,
  cookie: u64,
  cookieMask: u64,
  idleTimeout: u16,
  hardTimeout: u16,
  flags: u16,
  importance: u16,
  outPort: u32,
  outGroup: u32,
  buffer: u32,
});

const bucket: fc.Arbitrary<Bucket> = record({
  id: u32,
  actions,
  weight: fc.option(u16),
  watchPort: fc.option(u32),
  watchGroup: fc.option(u32),
});
const groupType = fc.constantFrom("all" as const, "select", "indirect", "fastFailover");
const selection: fc.Arbitrary<Selection> = record({
  method: fc.constantFrom("", "hash", "dp_hash"),
  parameter: u64,
  fields: match,
});
const groupMod: fc.Arbitrary<GroupMod> = record({
  kind: fc.constant("groupMod" as const),
  command: fc.constantFrom("add" as const, "modify", "delete", "insertBucket", "removeBucket", "addOrModify"),
  type: groupType,
  group: u32,
  bucket: u32,
  buckets: fc.array(bucket, { maxLength: 3 }),
  selection: fc.option(selection),
});

const band: fc.Arbitrary<MeterBand> = fc.oneof(
  record({ kind: fc.constant("drop" as const), rate: u32, burst: u32 }),
  record({ kind: fc.constant("dscpRemark" as const), rate: u32, burst: u32, precedence: u8 }),
);
const bands = fc.array(band, { maxLength: 3 });

const port: fc.Arbitrary<PortDescription> = record({
  port: u32,
  mac: uint(48),
  name: fc.string({ unit: fc.constantFrom(..."abz019-_"), maxLength: 15 }),
  config: u32,
  state: u32,
  speed: fc.option(record({ current: u32, max: u32 })),
});

const punted: fc.Arbitrary<PuntedPacket> = record({
  packet: bytes(0, 40),
  fullLength: fc.option(u32),
  table: fc.option(u8),
  cookie: fc.option(u64),
  reason: fc.option(u8),
  metadata: match,
  userdata: bytes(0, 20),
  continuation: fc.option(bytes(0, 20)),
});

const filter: fc.Arbitrary<FlowFilter> = record({
  table: u8,
  outPort: u32,
  outGroup: u32,
  cookie: u64,
  cookieMask: u64,
  match,
});
const question: fc.Arbitrary<Question> = fc.oneof(
  record({ of: fc.constantFrom("flows" as const, "aggregate"), filter }),
  record({ of: fc.constant("groups" as const), group: u32 }),
  record({ of: fc.constantFrom("meters" as const, "meterCounters"), meter: u32 }),
  record({ of: fc.constant("ports" as const), port: u32 }),
  record({ of: fc.constant("raw" as const), type: fc.constantFrom(0, 3, 0xffff), body: bytes(0, 20) }),
);
const flow: fc.Arbitrary<Flow> = record({
  table: u8,
  priority: u16,
  idleTimeout: u16,
  hardTimeout: u16,
  flags: u16,
  importance: u16,
  cookie: u64,
  match,
  statistics,
  instructions,
});
const description = record({
  group: u32,
  type: groupType,
  buckets: fc.array(bucket, { maxLength: 2 }),
  selection: fc.option(selection),
});
const counters = record({
  meter: u32,
  flows: u32,
  packets: u64,
  bytes: u64,
  seconds,
  bands: fc.array(record({ packets: u64, bytes: u64 }), { maxLength: 2 }),
});
const answer: fc.Arbitrary<Answer> = fc.oneof(
  record({ of: fc.constant("flows" as const), flows: fc.array(flow, { maxLength: 3 }) }),
  record({ of: fc.constant("aggregate" as const), statistics }),
  record({ of: fc.constant("groups" as const), groups: fc.array(description, { maxLength: 3 }) }),
  record({
    of: fc.constant("meters" as const),
    meters: fc.array(record({ meter: u32, flags: u16, bands }), { maxLength: 3 }),
  }),
  record({ of: fc.constant("meterCounters" as const), meters: fc.array(counters, { maxLength: 3 }) }),
  record({ of: fc.constant("ports" as const), ports: fc.array(port, { maxLength: 3 }) }),
  record({ of: fc.constant("raw" as const), type: fc.constantFrom(0, 3, 0xffff), body: bytes(0, 20) }),
);

const mapping = record({ optionClass: u16, optionType: u8, optionLength: u8, index: u16 });
const mappings = fc.array(mapping, { maxLength: 3 });
const experimenter = record({
  kind: fc.constant("error" as const),
  type: fc.constant(0xffff),
  code: u16,
  experimenter: u32,
  data: bytes(0, 20),
});

/** Every kind of message but the bundle-add, which holds one. */
const single: fc.Arbitrary<Message> = fc.oneof(
  flowMod,
  groupMod,
  record({
    kind: fc.constant("meterMod" as const),
    command: fc.constantFrom("add" as const, "modify", "delete"),
    meter: u32,
    flags: u16,
    bands,
  }),
  record({ kind: fc.constant("packetOut" as const), match, actions, data: bytes(0, 40) }),
  record({
    kind: fc.constant("hello" as const),
    versions: fc.uniqueArray(fc.nat({ max: 70 }), { minLength: 1 }).map((all) => all.sort((a, b) => a - b)),
  }),
  record({
    kind: fc.constant("error" as const),
    type: uint(15),
    code: u16,
    experimenter: fc.constant(0),
    data: bytes(0, 20),
  }),
  experimenter,
  record({ kind: fc.constantFrom("echoRequest" as const, "echoReply"), data: bytes(0, 20) }),
  record({
    kind: fc.constantFrom(
      "featuresRequest" as const,
      "getConfigRequest",
      "barrierRequest",
      "barrierReply",
      "tlvTableRequest",
    ),
  }),
  record({
    kind: fc.constant("featuresReply" as const),
    datapathId: u64,
    buffers: u32,
    tables: u8,
    auxiliaryId: u8,
    capabilities: u32,
  }),
  record({ kind: fc.constantFrom("setConfig" as const, "getConfigReply"), flags: u16, missSendLength: u16 }),
  punted.map((packet) => ({ kind: "packetIn", ...packet }) as const),
  punted.map((packet) => ({ kind: "resume", ...packet }) as const),
  record({
    kind: fc.constant("flowRemoved" as const),
    table: u8,
    reason: u8,
    priority: u16,
    idleTimeout: u16,
    hardTimeout: u16,
    cookie: u64,
    match,
    statistics,
  }),
  record({
    kind: fc.constant("portStatus" as const),
    reason: fc.constantFrom("added" as const, "deleted", "modified"),
    port,
  }),
  record({ kind: fc.constant("multipartRequest" as const), question }),
  record({ kind: fc.constant("multipartReply" as const), more: fc.boolean(), answer }),
  record({ kind: fc.constant("setAsync" as const), packetIn: u32, portStatus: u32, flowRemoved: u32 }),
  record({
    kind: fc.constant("bundleControl" as const),
    bundle: u32,
    step: fc.constantFrom(
      "openRequest" as const,
      "openReply",
      "closeRequest",
      "closeReply",
      "commitRequest",
      "commitReply",
      "discardRequest",
      "discardReply",
    ),
    flags: u16,
  }),
  record({
    kind: fc.constant("tlvTableMod" as const),
    command: fc.constantFrom("add" as const, "delete", "clear"),
    mappings,
  }),
  record({ kind: fc.constant("tlvTableReply" as const), maxSpace: u32, maxFields: u16, mappings }),
  record({ kind: fc.constant("ctFlushZone" as const), zone: u16 }),
  record({ kind: fc.constant("setPacketInFormat" as const), format: u32 }),
  record({ kind: fc.constant("raw" as const), type: fc.constantFrom(4, 10, 24, 200), body: bytes(0, 20) }),
);

export const message: fc.Arbitrary<Message> = fc.oneof(
  { weight: 9, arbitrary: single },
  record({ kind: fc.constant("bundleAdd" as const), bundle: u32, flags: u16, message: single }),
);
export const xid: fc.Arbitrary<number> = u32;
