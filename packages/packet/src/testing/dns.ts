/** Arbitrary DNS messages for fast-check: full trees, as `decodeDns` gives them. */

import fc from "fast-check";
import { type Dns, DnsClass, type DnsRecord, DnsType } from "../mod.ts";
import { bits, bytes, ipv4, ipv6 } from "./values.ts";

/** Objects as literals make them. */
const plainRecord = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true });

/** Labels of any bytes, in the form in which they are read. */
const label = fc
  .oneof(
    bytes(1, 12),
    fc.stringMatching(/^[a-z0-9-]{1,20}$/).map((text) => Uint8Array.from(Buffer.from(text))),
  )
  .map((raw) =>
    Array.from(raw, (byte) => {
      if (byte <= 0x20 || byte >= 0x7f) return `\\${String(byte).padStart(3, "0")}`;
      return byte === 0x2e || byte === 0x5c ? `\\${String.fromCharCode(byte)}` : String.fromCharCode(byte);
    }).join(""),
  );
/** Few suffixes, so that names are compressed. */
const suffixes = ["", "example.", "a.example.", "ip6.arpa."] as const;
const name = fc
  .tuple(fc.array(label, { maxLength: 3 }), fc.constantFrom(...suffixes))
  .map(([labels, suffix]) => `${labels.map((each) => `${each}.`).join("")}${suffix}` || ".");

const record = (type: number, data: fc.Arbitrary<DnsRecord["data"]>): fc.Arbitrary<DnsRecord> =>
  plainRecord({ name, type: fc.constant(type), class: fc.constant(DnsClass.internet), ttl: bits(32), data });

const named = new Set<number>(Object.values(DnsType));
const records: fc.Arbitrary<DnsRecord> = fc.oneof(
  record(
    DnsType.a,
    ipv4.map((address) => ({ kind: "address", address })),
  ),
  record(
    DnsType.aaaa,
    ipv6.map((address) => ({ kind: "address", address })),
  ),
  ...[DnsType.ns, DnsType.cname, DnsType.ptr].map((type) =>
    record(
      type,
      name.map((each) => ({ kind: "name", name: each })),
    ),
  ),
  record(
    DnsType.soa,
    plainRecord({
      kind: fc.constant("authority"),
      primary: name,
      mailbox: name,
      serial: bits(32),
      refresh: bits(32),
      retry: bits(32),
      expire: bits(32),
      minimum: bits(32),
    }),
  ),
  plainRecord({
    name,
    type: bits(16).filter((type) => !named.has(type)),
    class: bits(16),
    ttl: bits(32),
    data: bytes(0, 40).map((raw) => ({ kind: "raw", bytes: raw }) as const),
  }),
  plainRecord({
    name,
    type: fc.constantFrom(DnsType.a, DnsType.aaaa),
    class: bits(16).filter((each) => each !== DnsClass.internet),
    ttl: bits(32),
    data: bytes(0, 20).map((raw) => ({ kind: "raw", bytes: raw }) as const),
  }),
);

/** Every field free in its width. */
export const dnsMessages: fc.Arbitrary<Dns> = fc.record(
  {
    id: bits(16),
    response: fc.boolean(),
    opcode: bits(4),
    authoritative: fc.boolean(),
    truncated: fc.boolean(),
    recursionDesired: fc.boolean(),
    recursionAvailable: fc.boolean(),
    reserved: bits(3),
    rcode: bits(4),
    questions: fc.array(plainRecord({ name, type: bits(16), class: bits(16) }), { maxLength: 2 }),
    answers: fc.array(records, { maxLength: 4 }),
    authorities: fc.array(records, { maxLength: 2 }),
    additionals: fc.array(records, { maxLength: 2 }),
    extension: plainRecord({
      size: bits(16),
      version: bits(8),
      rcode: bits(8),
      flags: bits(16),
      options: bytes(0, 20),
    }),
  },
  {
    noNullPrototype: true,
    requiredKeys: [
      "id",
      "response",
      "opcode",
      "authoritative",
      "truncated",
      "recursionDesired",
      "recursionAvailable",
      "reserved",
      "rcode",
      "questions",
      "answers",
      "authorities",
      "additionals",
    ],
  },
);
