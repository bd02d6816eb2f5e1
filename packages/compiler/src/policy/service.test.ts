/** A rule's service as clauses: ranges of ports cut into masks, protocols by name and number, ICMP, later fragments. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { protocolOf, type SecurityGroupRule } from "@selvage/model";
import { makeSecurityGroupRule } from "@selvage/model/testing";
import fc from "fast-check";
import { portMasks, serviceClauses } from "./service.ts";

const meets = (mask: string, port: number): boolean => {
  const [value = Number.NaN, bits = Number.NaN] = mask.split("/").map(Number);
  return (port & bits) === value;
};

test("masks hold the ports of a range and no other, each once, and are 30 at most", () => {
  const port = fc.oneof(fc.nat(65_535), fc.constantFrom(0, 1, 65_534, 65_535));
  fc.assert(
    fc.property(port, port, fc.array(port, { minLength: 20 }), (one, other, probes) => {
      const [first, last] = [Math.min(one, other), Math.max(one, other)];
      const masks = portMasks(first, last);
      assert.ok(masks.length <= 30);
      for (const probe of [first, last, first - 1, last + 1, ...probes]) {
        if (probe < 0 || probe > 65_535) continue;
        const count = masks.filter((mask) => meets(mask, probe)).length;
        assert.equal(count, first <= probe && probe <= last ? 1 : 0, String(probe));
      }
    }),
  );
  assert.deepEqual(portMasks(0, 65_535), ["0/0x0000"]);
  assert.equal(portMasks(1, 65_534).length, 30);
  assert.equal(portMasks(1000, 1999).length, 7);
  assert.deepEqual(portMasks(0, 0), ["0/0xffff"]);
  assert.deepEqual(portMasks(2, 1), []);
});

const rule = (part: Partial<SecurityGroupRule>): SecurityGroupRule => makeSecurityGroupRule(part);

test("protocols are numbers or names; ICMP over IPv6 is ICMPv6", () => {
  const cases: readonly (readonly [string | null, "IPv4" | "IPv6", number | "any" | undefined])[] = [
    [null, "IPv4", "any"],
    ["any", "IPv6", "any"],
    ["tcp", "IPv4", 6],
    ["TCP", "IPv4", 6],
    ["0", "IPv4", 0],
    ["255", "IPv4", 255],
    ["256", "IPv4", undefined],
    ["-1", "IPv4", undefined],
    ["icmp", "IPv4", 1],
    ["icmp", "IPv6", 58],
    ["1", "IPv6", 58],
    ["icmpv6", "IPv6", 58],
    ["ipv6-icmp", "IPv6", 58],
    ["58", "IPv6", 58],
    ["vrrp", "IPv4", 112],
    ["no such", "IPv4", undefined],
  ];
  for (const [protocol, ethertype, wanted] of cases)
    assert.equal(protocolOf(rule({ protocol, ethertype })), wanted, `${protocol} ${ethertype}`);
});

test("what a switch cannot tell admits nothing", () => {
  assert.deepEqual(serviceClauses(rule({ protocol: "no such" })), []);
  assert.deepEqual(serviceClauses(rule({ protocol: "udplite", port_range_min: 1, port_range_max: 2 })), []);
});

test("0 is a port, a type and a code", () => {
  const [port] = serviceClauses(rule({ protocol: "udp", port_range_min: 0, port_range_max: 0 }));
  assert.deepEqual(port, { ethType: 0x0800, ipProto: 17, later: 0, udpDst: "0/0xffff" });
  const [icmp, later] = serviceClauses(rule({ protocol: "icmp", port_range_min: 0, port_range_max: 0 }));
  assert.deepEqual(icmp, { ethType: 0x0800, ipProto: 1, later: 0, icmpType: 0, icmpCode: 0 });
  assert.deepEqual(later, { ethType: 0x0800, later: 1, ctProto: 1, ctType: 0 });
});

test("a type with a code that opens no connection has no later fragments of one", () => {
  const clauses = serviceClauses(rule({ protocol: "icmp", port_range_min: 3, port_range_max: 1 }));
  assert.deepEqual(
    clauses.filter(({ ctProto }) => ctProto !== undefined),
    [],
  );
});

test("all ports are the protocol, and IPv6 fragments bear none", () => {
  assert.deepEqual(serviceClauses(rule({ protocol: "tcp", port_range_min: 0, port_range_max: 65_535 })), [
    { ethType: 0x0800, ipProto: 6 },
  ]);
  assert.deepEqual(serviceClauses(rule({ protocol: "tcp", ethertype: "IPv6" })), [
    { ethType: 0x86dd, ipProto: 6 },
    { ethType: 0x86dd, later: 1, ctProto: 6 },
    { ethType: 0x86dd, later: 1, untracked: true },
  ]);
});
