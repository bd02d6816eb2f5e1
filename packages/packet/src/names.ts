/** Lists of domain names in options: RFC 1035 section 3.1 labels, with the pointers of section 4.1.4 where RFC 3397 allows them. */

import { EncodeError, fromLatin1, type Layer, Reader, toLatin1, type Writer } from "./bytes.ts";

/** Whether a list may hold compression pointers: DHCPv4's may (RFC 3397), DHCPv6's and Router Advertisements' may not (RFC 8415 section 10). */
export type Pointers = "allowed" | "forbidden";

/** No real list points on more often in one name; a longer chain is an attempt to make us work. */
const maxJumps = 16;

/** With pointers a few bytes can stand for many; no list of this length is meant to be searched. */
const maxTotal = 16_384;

/**
 * Reads names until the end of `bytes`, which stand at `offset` of the packet: `["example.com", "a.example"]`, no final dots. Zero
 * padding behind a name is skipped (RFC 8106 section 5.2). Refuses labels that are not printable or that hold a dot, and lists of over 16,384 bytes.
 */
export function readNames(bytes: Uint8Array, layer: Layer, offset: number, pointers: Pointers): readonly string[] {
  const reader = new Reader(bytes, layer);
  const fail = (reason: "truncated" | "length" | "value", at: number): never => reader.fail(reason, offset + at);
  const names: string[] = [];
  let listed = 0;
  while (reader.left > 0) {
    const start = reader.at;
    const labels: string[] = [];
    let at = start;
    let resume: number | undefined;
    let lowest = start;
    let jumps = 0;
    let total = 0;
    for (;;) {
      const length = bytes[at];
      if (length === undefined) return fail("truncated", at);
      if (length === 0) break;
      if (length >= 0xc0) {
        const low = bytes[at + 1];
        if (low === undefined) return fail("truncated", at);
        const target = ((length & 0x3f) << 8) | low;
        jumps++;
        if (pointers === "forbidden" || target >= lowest || jumps > maxJumps) return fail("value", at);
        resume ??= at + 2;
        lowest = target;
        at = target;
        continue;
      }
      if (length > 63) return fail("value", at);
      if (at + 1 + length > bytes.length) return fail("truncated", at);
      total += length + 1;
      if (total > 254) return fail("length", at);
      const label = toLatin1(bytes.subarray(at + 1, at + 1 + length));
      if (!labelPattern.test(label)) return fail("value", at);
      labels.push(label);
      at += 1 + length;
    }
    reader.at = resume ?? at + 1;
    listed += total + 1;
    if (listed > maxTotal) return fail("length", start);
    if (labels.length > 0) names.push(labels.join("."));
  }
  return names;
}

/** Writes names one behind the other, uncompressed; a final dot is optional. Throws `EncodeError` on a label of no or over 63 bytes. */
export function writeNames(writer: Writer, names: readonly string[], field: string): void {
  for (const name of names) {
    const labels = name.replace(/\.$/, "").split(".");
    let total = 0;
    for (const label of labels) {
      const bytes = fromLatin1(label, field);
      if (bytes.length === 0 || bytes.length > 63 || !labelPattern.test(label))
        throw new EncodeError(field, `${JSON.stringify(name)} is not a domain name`);
      total += bytes.length + 1;
      if (total > 254) throw new EncodeError(field, `${JSON.stringify(name)} is longer than 255 bytes`);
      writer.u8(bytes.length, field);
      writer.put(bytes);
    }
    writer.u8(0, field);
  }
}

/** Printable ASCII but the dot, which could not be told from the one between labels. */
const labelPattern = /^[!-\-/-~]+$/;
