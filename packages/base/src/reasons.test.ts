/** The registry of drop reasons: numbers that fit, never move and are never given twice. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { dropReasons, isReasonCode, reasonByCode, reasonByNumber } from "./reasons.ts";

test("numbers never move: a switch may still hold flows that bear them", () => {
  const given = [
    "anti-spoof-mac",
    "anti-spoof-ip",
    "arp-spoof",
    "dhcp-server-from-tenant",
    "ra-from-tenant",
    "port-not-bound",
    "port-admin-down",
    "network-admin-down",
    "tunnel-key-unknown",
    "tunnel-source",
    "no-fdb-entry",
    "neighbour-unresolved",
    "tunnel-missing",
    "ethertype-denied",
    "vlan-denied",
    "nd-spoof",
    "table-miss",
    "punt-rate",
    "mtu-exceeded",
    "source-multicast",
  ];
  const codes: readonly string[] = dropReasons.map(({ code }) => code);
  assert.deepEqual(codes.slice(0, given.length), given);
  const numbers = dropReasons.map(({ number }): number => number);
  const last = numbers.at(-1) ?? 0;
  const gone = [21];
  assert.deepEqual(
    numbers,
    Array.from({ length: last }, (_, at) => at + 1).filter((number) => !gone.includes(number)),
  );
  assert.ok(last <= 255);
});

test("each is found by code and by number, and 0 is no reason", () => {
  for (const reason of dropReasons) {
    assert.equal(reasonByCode(reason.code), reason);
    assert.equal(reasonByNumber(reason.number), reason);
    assert.ok(isReasonCode(reason.code));
    assert.match(reason.code, /^[a-z]+(-[a-z]+)*$/);
    assert.match(reason.hint, /\.$/);
  }
  assert.equal(reasonByNumber(0), undefined);
  assert.equal(reasonByNumber(256), undefined);
  assert.equal(isReasonCode("no-such"), false);
});
