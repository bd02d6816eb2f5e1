/** Tests of the underlay's addresses and of the refusal to hide a route of the machine. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { LabError } from "./failure.ts";
import { machineRoutes, parseUnderlay, refuseOverlap } from "./underlay.ts";

const refused = (code: string, text: RegExp) => (cause: unknown) =>
  cause instanceof LabError && cause.code === code && text.test(cause.message);

test("hosts get the addresses after the network's own, IPv4 and IPv6", () => {
  const four = parseUnderlay("198.18.0.0/15");
  assert.deepEqual([four.addressOf(1), four.addressOf(256), four.prefix], ["198.18.0.1", "198.18.1.0", 15]);
  const six = parseUnderlay("fd00:5e1::7/64");
  assert.deepEqual([six.cidr, six.addressOf(1), six.addressOf(16)], ["fd00:5e1::/64", "fd00:5e1::1", "fd00:5e1::10"]);
});

test("an address outside the range or a host number 0 is refused, never wrapped", () => {
  const small = parseUnderlay("192.0.2.0/30");
  assert.equal(small.capacity, 2);
  assert.equal(small.addressOf(2), "192.0.2.2");
  assert.throws(() => small.addressOf(3), refused("underlay-invalid", /no address for host number 3/));
  assert.throws(() => small.addressOf(0), refused("underlay-invalid", /number 0/));
});

test("what is no range is refused", () => {
  for (const text of ["", "198.18.0.0", "198.018.0.0/15", "198.18.0.0/33", "198.18.0.0/31", "hello/8", "fd00::/127"]) {
    assert.throws(() => parseUnderlay(text), refused("underlay-invalid", /./), text);
  }
});

test("an underlay that overlaps a route is refused and the route is named, whichever of the two is wider", () => {
  const routes = [
    { destination: "10.8.0.0/16", device: "tun0" },
    { destination: "fd00:5e1::/48", device: "eth1" },
  ];
  assert.throws(
    () => refuseOverlap(parseUnderlay("10.0.0.0/8"), routes),
    refused("underlay-overlap", /10\.8\.0\.0\/16 dev tun0/),
  );
  assert.throws(
    () => refuseOverlap(parseUnderlay("10.8.3.0/24"), routes),
    refused("underlay-overlap", /10\.8\.0\.0\/16 dev tun0/),
  );
  assert.throws(() => refuseOverlap(parseUnderlay("fd00:5e1:0:9::/64"), routes), refused("underlay-overlap", /eth1/));
  refuseOverlap(parseUnderlay("10.9.0.0/16"), routes);
  refuseOverlap(parseUnderlay("198.18.0.0/15"), [{ destination: "128.0.0.0/1", device: "tun0" }]);
});

test("this machine's routes are read without default, loopback and link-local ones", async () => {
  const routes = await machineRoutes();
  assert.ok(
    routes.every((route) => route.destination.includes("/") && !/^(0\.0\.0\.0|127\.|fe80|ff)/.test(route.destination)),
  );
});
