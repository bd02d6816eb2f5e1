/** Random fields, actions and instructions in the form that decoding gives, for properties of the codec (fast-check). */
import fc from "fast-check";
import type { Action, LearnSpec } from "../action.ts";
import type { FieldMatch, Match, RawField, Subfield } from "../field.ts";
import { type Field, fields } from "../field-table.ts";
import type { Instruction } from "../instruction.ts";

/** Records with the prototype that object literals have. */
export function record<T extends object>(model: { readonly [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>({ ...model }, { noNullPrototype: true });
}

export const uint = (bits: number) => fc.nat({ max: 2 ** bits - 1 });
export const u8 = uint(8);
export const u16 = uint(16);
export const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
export const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const u128 = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n });
export const bytes = (minLength: number, maxLength: number) => fc.uint8Array({ minLength, maxLength });
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
