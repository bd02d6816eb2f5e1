import assert from "node:assert/strict";
import { test } from "node:test";
import { protocolNumber, protocolNumbers, protocolOf } from "./protocols.ts";

test("a protocol is a name in any case, or a number of one byte", () => {
  for (const [text, number] of [
    ["tcp", 6],
    ["UDP", 17],
    ["0", 0],
    ["255", 255],
    ["256", undefined],
    ["-1", undefined],
    ["", undefined],
    ["constructor", undefined],
    ["bogus", undefined],
  ] as const)
    assert.equal(protocolNumber(text), number, text);
  for (const number of Object.values(protocolNumbers))
    assert.ok(Number.isInteger(number) && number >= 0 && number < 256);
});

test("ICMP in a rule for IPv6 is ICMPv6, and no protocol is any", () => {
  assert.equal(protocolOf({ protocol: "icmp", ethertype: "IPv4" }), 1);
  assert.equal(protocolOf({ protocol: "icmp", ethertype: "IPv6" }), 58);
  assert.equal(protocolOf({ protocol: "1", ethertype: "IPv6" }), 58);
  assert.equal(protocolOf({ protocol: null, ethertype: "IPv6" }), "any");
  assert.equal(protocolOf({ protocol: "0", ethertype: "IPv4" }), 0);
});
