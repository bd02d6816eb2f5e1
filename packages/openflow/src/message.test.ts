/** Messages: bytes known from elsewhere, decode after encode, and no harm from hostile bytes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { act } from "./action.ts";
import { errorName } from "./error-names.ts";
import { flowMod } from "./flow.ts";
import { groupMod, bucket as makeBucket } from "./group.ts";
import { decodeMessage, encodeMessage, type Message } from "./message.ts";
import { message, xid } from "./testing/arbitrary-messages.ts";
import { DecodeError, EncodeError, Writer } from "./wire.ts";

const encode = (value: Message, id = 1) => {
  const w = new Writer(16);
  encodeMessage(w, value, id);
  return w.take();
};
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const unhex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ""), "hex"));

test("decode gives back every message that encode wrote", () => {
  fc.assert(
    fc.property(message, xid, (value, id) => {
      const bytes = encode(value, id);
      assert.deepEqual(decodeMessage(bytes), { xid: id, message: value });
      assert.deepEqual(hex(encode(decodeMessage(bytes).message, id)), hex(bytes));
    }),
    { numRuns: 1500 },
  );
});

test("the bytes are those of the specification", () => {
  assert.equal(hex(encode({ kind: "hello", versions: [1, 4, 6] })), "0600001000000001" + "0001000800000052");
  assert.equal(hex(encode({ kind: "barrierRequest" }, 0xabc)), "0614000800000abc");
  const flow = flowMod({
    table: 3,
    priority: 7,
    cookie: 0x0102_0304_0506_0708n,
    match: [
      { field: "in_port", value: 1 },
      { field: "metadata", value: 2n, mask: 0xffn },
    ],
    instructions: [
      { kind: "apply", actions: [act.output(2, 0)] },
      { kind: "gotoTable", table: 4 },
    ],
  });
  const expected = `
    060e0070 00000001 0102030405060708 0000000000000000 03 00 0000 0000 0007 ffffffff ffffffff ffffffff 0000 0000
    0001 0020 80000004 00000001 80000510 0000000000000002 00000000000000ff
    0004 0018 00000000 0000 0010 00000002 0000 000000000000
    0001 0008 04 000000`;
  assert.equal(hex(encode(flow)), hex(unhex(expected)));
});

test("a hello without a bitmap speaks its header's version and those below", () => {
  const { message: hello } = decodeMessage(unhex("0400000800000001"));
  assert.deepEqual(hello, { kind: "hello", versions: [1, 2, 3, 4] });
});

test("what is decoded does not share memory with the socket's buffer", () => {
  const buffer = Buffer.from(encode({ kind: "echoRequest", data: new Uint8Array([1, 2]) }));
  const decoded = decodeMessage(buffer);
  buffer.fill(0xff);
  assert.deepEqual(decoded.message, { kind: "echoRequest", data: new Uint8Array([1, 2]) });
});

test("random bytes and damaged messages give DecodeError or a message, nothing else", () => {
  const harmless = (bytes: Uint8Array) => {
    try {
      decodeMessage(bytes);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
    }
  };
  const random = fc.tuple(fc.nat({ max: 36 }), fc.uint8Array({ maxLength: 200 })).map(([type, body]) => {
    const bytes = new Uint8Array([6, type, 0, 8 + body.length, 0, 0, 0, 1, ...body]);
    return bytes;
  });
  fc.assert(fc.property(random, harmless), { numRuns: 2000 });
  const damaged = fc
    .tuple(message, fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 4 }))
    .map(([value, changes]) => {
      const bytes = encode(value);
      for (const [at, byte] of changes) if (at % bytes.length >= 8) bytes[at % bytes.length] = byte;
      return bytes;
    });
  fc.assert(fc.property(damaged, harmless), { numRuns: 2000 });
});

test("actions nested without end are refused, not followed", () => {
  const nested = (depth: number) => {
    let one = act.clone([]);
    for (let i = 0; i < depth; i += 1) one = act.clone([one]);
    return encode(flowMod({ instructions: [{ kind: "apply", actions: [one] }] }));
  };
  assert.equal(decodeMessage(nested(10)).message.kind, "flowMod");
  assert.throws(() => decodeMessage(nested(3000)), DecodeError);
});

test("another version, a length beyond the bytes and a short header are refused", () => {
  assert.throws(() => decodeMessage(unhex("0414000800000001")), DecodeError);
  assert.throws(() => decodeMessage(unhex("0614000900000001")), DecodeError);
  assert.throws(() => decodeMessage(unhex("0614000700000001")), DecodeError);
});

test("a message above 65535 bytes and values that do not fit are refused", () => {
  const buckets = Array.from({ length: 3000 }, (_, id) => makeBucket(id, [act.output(1)]));
  assert.throws(() => encode(groupMod({ group: 1, buckets })), EncodeError);
  assert.throws(() => encode(flowMod({ priority: 65536 })), EncodeError);
  assert.throws(() => encode(flowMod({ table: -1 })), EncodeError);
  assert.throws(() => encode(flowMod({ match: [{ field: "in_port", value: Number.NaN }] })), EncodeError);
  assert.throws(() => encode(flowMod({ match: [{ field: "metadata", value: 1n << 64n }] })), EncodeError);
  assert.throws(() => encode(flowMod({ match: [{ field: "ipv6_src", value: -1n }] })), EncodeError);
  assert.equal(decodeMessage(encode(flowMod({ priority: 65535 }))).message.kind, "flowMod");
});

test("a port's name may have any byte but zero: what is read is what is written, and it always ends", () => {
  const named = (name: string): Message => ({
    kind: "portStatus",
    reason: "added",
    port: { port: 1, mac: 2, name, config: 0, state: 0, speed: null },
  });
  const bytes = encode(named("\u00ff\u00fdx"));
  assert.deepEqual(decodeMessage(bytes).message, named("\u00ff\u00fdx"));
  // All 16 bytes of the field filled: the last is taken for the end.
  const at = Buffer.from(bytes).indexOf(Uint8Array.of(0xff, 0xfd));
  const full = Uint8Array.from(bytes).fill(0x61, at, at + 16);
  assert.deepEqual(decodeMessage(full).message, named("a".repeat(15)));
  assert.throws(() => encode(named("\u0100")), EncodeError);
  assert.throws(() => encode(named("a\u0000b")), EncodeError);
});

test("times are told again as they were told, also with more than a second of nanoseconds, up to the last that there is", () => {
  const counters = (seconds: number): Message => {
    const meters = [{ meter: 1, flows: 0, packets: 0n, bytes: 0n, seconds, bands: [] }];
    return { kind: "multipartReply", more: false, answer: { of: "meterCounters", meters } };
  };
  const told = encode(counters(4.5));
  const at = Buffer.from(told).indexOf(Uint8Array.of(0, 0, 0, 4, 0x1d, 0xcd, 0x65, 0));
  for (const [whole, nanoseconds, expected] of [
    [0, 0, 0],
    [4, 0x3f00_0000, 5.056964608],
    [0xffff_ffff, 0xffff_ffff, 4_294_967_295.294967],
    [0xffff_ffff, 999_999_999, 4_294_967_296],
  ] as const) {
    const bytes = Uint8Array.from(told);
    new DataView(bytes.buffer).setUint32(at, whole);
    new DataView(bytes.buffer).setUint32(at + 4, nanoseconds);
    const { message } = decodeMessage(bytes);
    assert.deepEqual(message, counters(expected));
    assert.deepEqual(decodeMessage(encode(message)).message, message);
  }
  for (const seconds of [-1, Number.NaN, 2 ** 32 + 1]) assert.throws(() => encode(counters(seconds)), EncodeError);
});

test("errors bear the names of the specification and of Open vSwitch", () => {
  assert.equal(errorName(5, 1), "OFPFMFC_TABLE_FULL");
  assert.equal(errorName(0, 0), "OFPHFC_INCOMPATIBLE");
  assert.equal(errorName(13, 5), "OFPTFFC_EPERM");
  assert.equal(errorName(0xffff, 20, 0x2320), "NXTTMFC_ALREADY_MAPPED");
  assert.match(errorName(13, 3), /unknown error \(13,3\)/);
  assert.match(errorName(0xffff, 1, 0x99), /unknown error 1 of 0x99/);
});
