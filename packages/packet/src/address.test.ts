/** Address text: the rules of RFC 5952 one by one, what must be refused, and agreement with the platform's own IPv6 text. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ipv4Bytes, ipv6Bytes, macBytes, multicastMac, readIpv4, readIpv6, readMac, solicitedNode } from "./address.ts";
import { EncodeError } from "./bytes.ts";

const canonical = (text: string): string => readIpv6(ipv6Bytes(text), 0);

test("IPv6 addresses are written as RFC 5952 section 4 and 5 demand", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["2001:0db8::0001", "2001:db8::1"],
    ["2001:db8:0:0:0:0:2:1", "2001:db8::2:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:DB8::AAAA", "2001:db8::aaaa"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["fe80:0:0:0:0:0:0:0", "fe80::"],
    ["::ffff:192.0.2.1", "::ffff:192.0.2.1"],
    ["::ffff:c000:201", "::ffff:192.0.2.1"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ];
  for (const [text, expected] of cases) assert.equal(canonical(text), expected, text);
});

test("IPv6 text agrees with the platform's", () => {
  const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
  fc.assert(
    fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
      const bytes = Uint8Array.from(groups.flatMap((word) => [word >>> 8, word & 0xff]));
      const text = readIpv6(bytes, 0);
      assert.deepEqual(ipv6Bytes(text), bytes);
      if (text.includes(".")) return;
      assert.equal(`[${text}]`, new URL(`http://[${groups.map((word) => word.toString(16)).join(":")}]/`).hostname);
    }),
  );
});

test("MAC and IPv4 text come back, and MACs in any case and with hyphens are taken", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (bytes) => {
      assert.deepEqual(macBytes(readMac(bytes, 0)), bytes);
      assert.deepEqual(ipv4Bytes(readIpv4(bytes, 1)), bytes.slice(1, 5));
    }),
  );
  assert.equal(readMac(macBytes("FA-16-3E-00-00-0A"), 0), "fa:16:3e:00:00:0a");
});

test("what is no address is refused", () => {
  for (const text of ["", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.-4", "1.2.3.4 ", "0x1.2.3.4"]) {
    assert.throws(() => ipv4Bytes(text), EncodeError, text);
  }
  for (const text of [
    "",
    ":",
    ":::",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1::2::3",
    "1:2:3:4:5:6:7:8::",
    "12345::",
    "g::",
    "1.2.3.4::",
    "::1.2.3",
    "fe80::1%eth0",
  ]) {
    assert.throws(() => ipv6Bytes(text), EncodeError, text);
  }
  for (const text of ["", "fa:16:3e:00:00", "fa:16:3e:00:00:0g", "fa163e000001", "fa:16:3e:00:00:01:02"]) {
    assert.throws(() => macBytes(text), EncodeError, text);
  }
});

test("the groups on which neighbours are asked are derived as RFC 4291 and RFC 2464 say", () => {
  assert.equal(solicitedNode("4037::1:800:200e:8c6c"), "ff02::1:ff0e:8c6c");
  assert.equal(multicastMac("ff02::1:ff0e:8c6c"), "33:33:ff:0e:8c:6c");
  assert.equal(solicitedNode("::"), "ff02::1:ff00:0");
});
