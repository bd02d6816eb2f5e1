/** Framing: the same messages come out whatever pieces the stream arrives in, and garbage ends in one typed error. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Framer } from "./framing.ts";
import { decodeMessage, encodeMessage, type Message } from "./message.ts";
import { message } from "./testing/arbitrary-messages.ts";
import { DecodeError, Writer } from "./wire.ts";

const encode = (messages: readonly Message[]) => {
  const w = new Writer();
  for (const [index, one] of messages.entries()) encodeMessage(w, one, index);
  return w.take();
};

/** What a framer makes of pieces. The bytes are copied, as they are valid only during the call. */
const frame = (pieces: Iterable<Uint8Array>) => {
  const framer = new Framer();
  const out: Uint8Array[] = [];
  for (const piece of pieces) framer.push(piece, (bytes) => out.push(bytes.slice()));
  return out;
};
const single = (bytes: Uint8Array) => Array.from(bytes, (byte) => new Uint8Array([byte]));

test("one byte at a time", () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 4 }), (messages) => {
      assert.deepEqual(
        frame(single(encode(messages))).map((bytes) => decodeMessage(bytes).message),
        messages,
      );
    }),
    { numRuns: 60 },
  );
});

test("pieces of any size, empty ones too", () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 6 }), fc.array(fc.nat({ max: 90 })), (messages, sizes) => {
      const bytes = encode(messages);
      const pieces: Uint8Array[] = [];
      let at = 0;
      for (const size of sizes) {
        pieces.push(bytes.subarray(at, at + size));
        at = Math.min(at + size, bytes.length);
      }
      pieces.push(bytes.subarray(at));
      assert.deepEqual(
        frame(pieces).map((one) => decodeMessage(one).message),
        messages,
      );
    }),
    { numRuns: 200 },
  );
});

test("the longest message passes in two pieces", () => {
  const bytes = new Uint8Array(65535);
  bytes.set([6, 2, 0xff, 0xff]);
  assert.deepEqual(
    frame([bytes.subarray(0, 40_000), bytes.subarray(40_000)]).map(({ length }) => length),
    [65535],
  );
});

test("a length shorter than the header is an error, at once and ever after", () => {
  for (const pieces of [[new Uint8Array([6, 0, 0, 7, 0, 0, 0, 0])], single(new Uint8Array([6, 0, 0, 0, 0, 0, 0, 0]))]) {
    const framer = new Framer();
    const refuse = () => assert.fail("delivered a message without a whole header");
    assert.throws(() => {
      for (const piece of pieces) framer.push(piece, refuse);
    }, DecodeError);
    assert.throws(() => framer.push(encode([{ kind: "barrierReply" }]), refuse), DecodeError);
  }
});

test("garbage is cut or refused, never anything else, and no byte is invented", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }), (pieces) => {
      const framer = new Framer();
      let delivered = 0;
      try {
        for (const piece of pieces) framer.push(piece, ({ length }) => (delivered += length));
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
      assert.ok(delivered <= pieces.reduce((sum, { length }) => sum + length, 0));
    }),
    { numRuns: 500 },
  );
});
