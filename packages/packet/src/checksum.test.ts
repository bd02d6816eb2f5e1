/** Internet checksums: RFC 1071's example, and the incremental update against a full sum. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readU16, writeU16 } from "./bytes.ts";
import { checksum, finish, sumWords, updateChecksum } from "./checksum.ts";

test("RFC 1071 section 3: the words of its example sum to ddf2", () => {
  const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
  assert.equal(~finish(sumWords(bytes, 0, 8)) & 0xffff, 0xddf2);
  assert.equal(checksum(bytes, 0, 8), 0x220d);
});

test("an odd last byte is the high half of its word, and no bytes sum to nothing", () => {
  assert.equal(sumWords(Uint8Array.of(1, 2, 3), 0, 3), 0x0102 + 0x0300);
  assert.equal(checksum(new Uint8Array(0), 0, 0), 0xffff);
});

test("RFC 1624 section 4: the example that equation 2 got wrong", () => {
  const bytes = new Uint8Array(2);
  writeU16(bytes, 0, 0xdd2f);
  updateChecksum(bytes, 0, 0x5555, 0x3285);
  assert.equal(readU16(bytes, 0), 0x0000);
});

test("an updated checksum is right if it was right, whatever changed", () => {
  const words = fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 2, maxLength: 40 });
  fc.assert(
    fc.property(words, fc.nat(), fc.integer({ min: 0, max: 0xffff }), (values, where, value) => {
      const bytes = new Uint8Array(2 + 2 * values.length);
      for (const [n, word] of values.entries()) writeU16(bytes, 2 + 2 * n, word);
      writeU16(bytes, 0, checksum(bytes, 0, bytes.length));
      const at = 2 + 2 * (where % values.length);
      const before = sumWords(bytes, at, at + 2);
      writeU16(bytes, at, value);
      updateChecksum(bytes, 0, before, value);
      // All zeros but the checksum sum to 0 or to all ones: one value in one's complement.
      assert.ok([0, 0xffff].includes(checksum(bytes, 0, bytes.length)));
    }),
  );
});
