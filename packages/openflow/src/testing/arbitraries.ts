/** Random fields, actions and messages in the form that decoding gives, for properties of the codec (fast-check). */
import fc from "fast-check";
import type { Action, LearnSpec } from "../action.ts";
import type { FieldMatch, Match, RawField, Subfield } from "../field.ts";
import { type Field, fields } from "../field-table.ts";
import type { Flow, FlowFilter, FlowMod } from "../flow.ts";
import type { Bucket, GroupMod, Selection } from "../group.ts";
import type { Instruction } from "../instruction.ts";
import type { Message } from "../message.ts";
import type { MeterBand } from "../meter.ts";
import type { Answer, Question } from "../multipart.ts";
import type { PuntedPacket } from "../packet.ts";
import type { PortDescription } from "../port.ts";
import type { Statistics } from "../statistics.ts";

/** Records with the prototype that object literals have. */
function record<T extends object>(model: { readonly [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>({ ...model }, { noNullPrototype: true });
}

const uint = (bits: number) => fc.nat({ max: 2 ** bits - 1 });
const u8 = uint(8);
const u16 = uint(16);
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const u128 = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n });
const bytes = (minLength: number, maxLength: number) => fc.uint8Array({ minLength, maxLength });
const plainFields = Object.values(fields);
const numbered = plainFields.filter(({ form }) => form !== "bytes");

function value(known: Field): fc.Arbitrary<number | bigint> {
  if (known.bytes === 16) return u128;
  if (known.bytes === 8) return u64;
  return fc.maxSafeNat().map((wide) => wide % 256 ** known.bytes);
}

export const fieldMatch: fc.Arbitrary<FieldMatch> = fc.oneof(
  fc
    .constantFrom(...numbered)
    .chain((known) =>
      fc.oneof(
        record({ field: fc.constant(known.name), value: value(known) }),
        record({ field: fc.constant(known.name), value: value(known), mask: value(known) }),
      ),
    ),
  fc
    .tuple(fc.constantFrom(...plainFields.filter(({ form }) => form === "bytes")), bytes(1, 124), fc.boolean())
    .map(([known, data, masked]) =>
      masked ? { field: known.name, value: data, mask: data } : { field: known.name, value: data },
    ),
);

/** A field of a class that nobody has given out. */
const rawField: fc.Arbitrary<RawField> = bytes(0, 20).map((data) => ({
  field: "raw",
  oxm: new Uint8Array([0x7f, 0xff, 0x02, data.length, ...data]),
}));

export const match: fc.Arbitrary<Match> = fc.array(
  fc.oneof({ weight: 9, arbitrary: fieldMatch }, { weight: 1, arbitrary: rawField }),
  {
    maxLength: 6,
  },
);

const run = (bits?: number): fc.Arbitrary<Subfield> =>
  fc
    .constantFrom(...numbered.filter((known) => known.bits >= (bits ?? 1) && known.experimenter === 0))
    .chain((known) =>
      fc
        .integer({ min: bits ?? 1, max: bits ?? Math.min(known.bits, 64) })
        .chain((length) =>
          fc.nat({ max: known.bits - length }).map((offset) => ({ field: known.name, offset, bits: length })),
        ),
    );

const learnSpec: fc.Arbitrary<LearnSpec> = fc.integer({ min: 1, max: 48 }).chain((bits) =>
  record({
    from: fc.oneof(
      run(bits).map((source) => ({ kind: "field", source }) as const),
      fc
        .bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n })
        .map((fixed) => ({ kind: "immediate", value: fixed, bits }) as const),
    ),
    to: fc.oneof(
      run(bits).map((destination) => ({ kind: "match", destination }) as const),
      run(bits).map((destination) => ({ kind: "load", destination }) as const),
      fc.constant({ kind: "output" } as const),
    ),
  }),
);

const natAddress = fc.oneof(
  record({ version: fc.constant(4 as const), min: u32, max: fc.option(u32) }),
  record({ version: fc.constant(6 as const), min: u128, max: fc.option(u128) }),
);

/** Every kind of action but those that hold others. */
const leaf: fc.Arbitrary<Action> = fc.oneof(
  record({ kind: fc.constant("output" as const), port: u32, maxLength: u16 }),
  record({ kind: fc.constant("outputTruncated" as const), port: u16, maxLength: u32 }),
  record({ kind: fc.constant("outputField" as const), source: run(), maxLength: u16 }),
  record({ kind: fc.constant("group" as const), group: u32 }),
  record({ kind: fc.constant("meter" as const), meter: u32 }),
  record({ kind: fc.constant("setQueue" as const), queue: u32 }),
  record({ kind: fc.constant("pushVlan" as const), etherType: u16 }),
  record({ kind: fc.constant("setTtl" as const), ttl: u8 }),
  record({ kind: fc.constantFrom("popVlan" as const, "decTtl", "popQueue", "exit", "ctClear") }),
  record({ kind: fc.constant("setField" as const), set: fieldMatch }),
  run().chain((source) => run(source.bits).map((destination) => ({ kind: "copyField", source, destination }) as const)),
  record({
    kind: fc.constant("resubmit" as const),
    table: u8,
    inPort: u16,
    tuple: fc.constantFrom("packet" as const, "original"),
  }),
  record({
    kind: fc.constant("controller" as const),
    userdata: bytes(0, 30),
    maxLength: u16,
    reason: u8,
    controllerId: u16,
    meter: u32,
    flow: fc.constantFrom("continue" as const, "pause"),
  }),
  record({ kind: fc.constant("conjunction" as const), id: u32, clause: u8, of: u8 }),
  record({
    kind: fc.constant("nat" as const),
    direction: fc.constantFrom("none" as const, "source", "destination"),
    persistent: fc.boolean(),
    choice: fc.constantFrom("default" as const, "hash", "random"),
    address: fc.option(natAddress),
    ports: fc.option(record({ min: u16, max: fc.option(u16) })),
  }),
  record({ kind: fc.constant("checkPacketLarger" as const), length: u16, destination: run(1) }),
  record({ kind: fc.constantFrom("stackPush" as const, "stackPop"), subfield: run() }),
  fc
    .nat({ max: 3 })
    .chain((words) => bytes(6 + 8 * words, 6 + 8 * words).map((note) => ({ kind: "note", note }) as const)),
  record({
    kind: fc.constant("learn" as const),
    table: u8,
    priority: u16,
    cookie: u64,
    idleTimeout: u16,
    hardTimeout: u16,
    finIdleTimeout: u16,
    finHardTimeout: u16,
    flags: uint(2),
    limit: u32,
    result: fc.option(run(1)),
    specs: fc.array(learnSpec, { maxLength: 5 }),
  }),
  bytes(4, 4).map((data) => ({ kind: "raw", bytes: new Uint8Array([0, 99, 0, 8, ...data]) }) as const),
);

const { action } = fc.letrec<{ action: Action }>((tie) => ({
  action: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    { weight: 8, arbitrary: leaf },
    record({ kind: fc.constant("clone" as const), actions: fc.array(tie("action"), { maxLength: 3 }) }),
    record({
      kind: fc.constant("ct" as const),
      mode: fc.constantFrom("track" as const, "commit", "commitForce"),
      zone: fc.oneof(
        u16.map((zone) => ({ kind: "immediate", zone }) as const),
        run(16).map((source) => ({ kind: "field", source }) as const),
      ),
      recircTable: fc.option(fc.nat({ max: 254 })),
      helper: u16,
      actions: fc.array(tie("action"), { maxLength: 3 }),
    }),
  ),
}));

export const actions: fc.Arbitrary<readonly Action[]> = fc.array(action, { maxLength: 4 });

export const instructions: fc.Arbitrary<readonly Instruction[]> = fc.array(
  fc.oneof(
    record({ kind: fc.constantFrom("apply" as const, "write"), actions }),
    record({ kind: fc.constant("clear" as const) }),
    record({ kind: fc.constant("gotoTable" as const), table: u8 }),
    record({ kind: fc.constant("writeMetadata" as const), metadata: u64, mask: u64 }),
    bytes(4, 4).map((data) => ({ kind: "raw", bytes: new Uint8Array([0, 77, 0, 8, ...data]) }) as const),
  ),
  { maxLength: 3 },
);

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
