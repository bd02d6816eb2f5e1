/** The framer fed one byte at a time, cut at random and with noise; integers of 64 bits. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FramingError } from "./errors.ts";
import { MessageFramer } from "./framing.ts";
import type { Json } from "./json.ts";
import { parseJson, stringifyJson } from "./json.ts";

const encoder = new TextEncoder();

function frame(chunks: readonly Uint8Array[], maxBytes?: number): readonly Json[] {
  const framer = new MessageFramer(maxBytes);
  const messages: Json[] = [];
  for (const chunk of chunks) framer.push(chunk, (message) => messages.push(message));
  return messages;
}

const bytewise = (text: string): readonly Uint8Array[] => [...encoder.encode(text)].map((byte) => Uint8Array.of(byte));

const reasonOf = (reason: string) => (error: unknown) => error instanceof FramingError && error.reason === reason;

test("messages are found one byte at a time, with braces, brackets, quotes and backslashes inside strings", () => {
  const texts = ['{"a":"}{][\\"\\\\"}', '{"b":{"c":[{"d":"\\\\"},"é€😀"]}}', "{}"];
  assert.deepEqual(
    frame(bytewise(` ${texts.join("\r\n\t")} `)),
    texts.map((text) => JSON.parse(text)),
  );
});

test("several messages in one chunk come out in order", () => {
  assert.deepEqual(frame([encoder.encode('{"n":0}{"n":1} {"n":2}')]), [{ n: 0 }, { n: 1 }, { n: 2 }]);
});

test("any sequence of objects survives any cutting of its bytes, in UTF-8 characters too", () => {
  const objects = fc.array(fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue({ stringUnit: "binary" })), {
    maxLength: 4,
  });
  fc.assert(
    fc.property(objects, fc.array(fc.nat()), fc.constantFrom("", " ", "\n"), (given, cuts, space) => {
      const texts = given.map((object) => JSON.stringify(object));
      const bytes = encoder.encode(texts.join(space));
      const at = cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b);
      const chunks = [0, ...at].map((start, index) => bytes.subarray(start, at[index] ?? bytes.length));
      assert.deepEqual(
        frame(chunks),
        texts.map((text) => parseJson(text)),
      );
    }),
  );
});

test("what does not begin with an object is garbage", () => {
  for (const text of ["x", "[1]", '"a"', "1", '{"a":1}}', '{"a":1}null', "\ufeff{}"]) {
    assert.throws(() => frame(bytewise(text)), reasonOf("garbage"), text);
  }
});

test("a message that is braces but not JSON, or not UTF-8, is named as such", () => {
  for (const text of ["{]", '{"a":}', "{'a':1}", '{"a":01}', '{"a":"\n"}']) {
    assert.throws(() => frame(bytewise(text)), reasonOf("bad-json"), text);
  }
  const bad = [...encoder.encode('{"a":"'), 0xc3, 0x28, ...encoder.encode('"}')];
  assert.throws(() => frame([Uint8Array.from(bad)]), reasonOf("bad-utf8"));
});

test("the size limit is exact, and holds for a message that never ends", () => {
  const text = '{"a":"0123456789"}';
  assert.equal(frame(bytewise(text), text.length).length, 1);
  assert.throws(() => frame(bytewise(text), text.length - 1), reasonOf("too-long"));
  assert.throws(() => frame([encoder.encode(text)], text.length - 1), reasonOf("too-long"));
  assert.throws(() => frame([encoder.encode(`{"a":"${"x".repeat(100)}`)], 50), reasonOf("too-long"));
  assert.equal(frame([encoder.encode(text.repeat(50))], text.length).length, 50);
});

test("any bytes give messages or a FramingError, nothing else, and no more is held than the limit", () => {
  const noise = fc.oneof(
    fc.uint8Array(),
    fc.string().map((s) => encoder.encode(`{${s}`)),
  );
  fc.assert(
    fc.property(fc.array(noise, { maxLength: 8 }), (chunks) => {
      const framer = new MessageFramer(64);
      try {
        for (const chunk of chunks) framer.push(chunk, () => undefined);
      } catch (error) {
        assert.ok(error instanceof FramingError);
      }
      assert.ok(framer.pending <= 64);
    }),
  );
});

test("integers beyond 2^53 keep every digit, smaller ones stay numbers, reals stay reals", () => {
  const text =
    '{"a":9007199254740991,"b":9007199254740992,"c":-9223372036854775808,"d":1e300,"e":0.1234567890123456789,"f":"12345678901234567890"}';
  const parsed = frame(bytewise(text))[0];
  assert.deepEqual(parsed, {
    a: 9007199254740991,
    b: 9007199254740992n,
    c: -9223372036854775808n,
    d: 1e300,
    e: 0.12345678901234568,
    f: "12345678901234567890",
  });
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      const read = parseJson(stringifyJson([value]));
      assert.ok(Array.isArray(read));
      assert.equal(BigInt(read[0]), value);
    }),
  );
});
