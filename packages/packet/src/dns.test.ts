/** DNS messages: vectors of RFC 1035 and of real programs, round trips of every field, and bytes that are no message. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Dns, type DnsRecord, decodeDns, EncodeError, encodeDns } from "./mod.ts";
import { dnsMessages } from "./testing/mod.ts";

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ""), "hex"));
const read = (bytes: Uint8Array): Dns => {
  const decoded = decodeDns(bytes);
  assert.ok(decoded.ok, JSON.stringify(decoded));
  return decoded.message;
};
const plain: Dns = {
  id: 1,
  response: false,
  opcode: 0,
  authoritative: false,
  truncated: false,
  recursionDesired: false,
  recursionAvailable: false,
  reserved: 0,
  rcode: 0,
  questions: [],
  answers: [],
  authorities: [],
  additionals: [],
};
const address = (name: string, text: string): DnsRecord => ({
  name,
  type: text.includes(":") ? 28 : 1,
  class: 1,
  ttl: 60,
  data: { kind: "address", address: text },
});

test("what dig asks is read: a name, recursion, and an extension with a cookie", () => {
  const asked = read(
    hex(`1a2b 0120 0001 0000 0000 0001  03 777777 07 6578616d706c65 03 6f7267 00 001c 0001
         00 0029 04d0 00 00 8000 000c 000a 0008 0123456789abcdef`),
  );
  assert.deepEqual(asked, {
    ...plain,
    id: 0x1a2b,
    recursionDesired: true,
    reserved: 2,
    questions: [{ name: "www.example.org.", type: 28, class: 1 }],
    extension: { size: 1232, version: 0, rcode: 0, flags: 0x8000, options: hex("000a00080123456789abcdef") },
  });
});

test("names of RFC 1035, section 4.1.4, are read through their pointers, and written with the same", () => {
  // F.ISI.ARPA at 20, FOO.F.ISI.ARPA, ARPA, and the root: here behind a header, as questions.
  const bytes = hex(`0000 0000 0004 0000 0000 0000
    01 46 03 495349 04 41525041 00 0001 0001   03 464f4f c00c 0001 0001   c012 0001 0001   00 0001 0001`);
  const message = read(bytes);
  assert.deepEqual(
    message.questions.map(({ name }) => name),
    ["F.ISI.ARPA.", "FOO.F.ISI.ARPA.", "ARPA.", "."],
  );
  assert.deepEqual(encodeDns(message), bytes);
});

test("what is said is read as it was said, every field and every record", () => {
  fc.assert(
    fc.property(dnsMessages, (message) => {
      assert.deepEqual(read(encodeDns(message)), message);
    }),
    { numRuns: 500 },
  );
});

test("answers share the name of the question", () => {
  const name = "a-name-of-some-length.example.org.";
  const bytes = encodeDns({
    ...plain,
    questions: [{ name, type: 1, class: 1 }],
    answers: ["10.0.0.1", "10.0.0.2", "0.0.0.0"].map((each) => address(name, each)),
  });
  assert.equal(bytes.length, 12 + name.length + 1 + 4 + 3 * 16);
});

test("whatever bytes come, they are a message or there is a place where they are none", () => {
  fc.assert(
    fc.property(
      dnsMessages,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
      fc.nat(),
      (message, edits, cut) => {
        const bytes = encodeDns(message);
        for (const [at, value] of edits) bytes[at % bytes.length] = value;
        const part = bytes.subarray(0, bytes.length - (cut % 3 === 0 ? cut % bytes.length : 0));
        const decoded = decodeDns(part);
        if (decoded.ok) assert.deepEqual(read(encodeDns(decoded.message)), decoded.message);
        else assert.ok(decoded.offset >= 0 && decoded.offset <= part.length);
      },
    ),
    { numRuns: 1_000 },
  );
});

test("what cannot be a message is refused: loops, long names, lengths that lie, an extension out of place", () => {
  const question = (name: string): Uint8Array => hex(`0000 0000 0001 0000 0000 0000 ${name} 0001 0001`);
  const record = (text: string): Uint8Array => hex(`0000 0000 0000 0001 0000 0000 ${text}`);
  for (const [bytes, reason] of [
    [hex("0000"), "truncated"],
    [question("c00c"), "value"],
    [question("01 61 c00c"), "value"],
    [question("c00e 00"), "value"],
    [question("40"), "value"],
    [question("05 61"), "truncated"],
    [question(`${"3f".concat("61".repeat(63)).repeat(4)} 00`), "length"],
    [record("00 0001 0001 00000000 0003 01020304"), "length"],
    [record("00 0001 0001 00000000 0009 01020304"), "truncated"],
    [record("00 0029 0200 00000000 0000"), "value"],
    [hex("0000 0000 0000 0000 0000 0002 00 0029 0200 00000000 0000 00 0029 0200 00000000 0000"), "value"],
    [hex("0000 0000 0000 0000 0000 0001 01 61 00 0029 0200 00000000 0000"), "value"],
    [hex("0000 0000 0000 0000 0000 0000 00"), "length"],
  ] as const) {
    const decoded = decodeDns(bytes);
    assert.equal(decoded.ok, false, Buffer.from(bytes).toString("hex"));
    assert.equal(decoded.ok ? "" : decoded.reason, reason, Buffer.from(bytes).toString("hex"));
  }
});

test("a name that is none is not written", () => {
  const write = (name: string) => encodeDns({ ...plain, questions: [{ name, type: 1, class: 1 }] });
  for (const name of ["", "a..b", ".a", "a".repeat(64), "a.".repeat(128), "\\256.", "ä€"])
    assert.throws(() => write(name), EncodeError, name);
  assert.equal(write("a.".repeat(127)).length, 12 + 255 + 4);
  assert.deepEqual(write("a.example"), write("a.example."));
});
