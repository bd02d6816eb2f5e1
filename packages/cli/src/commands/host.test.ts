/** Tests of where `selvage host add` says that the server is: never at an address that only the server's own machine reaches. */
import assert from "node:assert/strict";
import type { NetworkInterfaceInfo } from "node:os";
import { test } from "node:test";
import { reachableUrls } from "./host.ts";

const of = (address: string, family: "IPv4" | "IPv6", internal = false): NetworkInterfaceInfo => {
  const common = { address, netmask: "", mac: "", internal, cidr: null };
  return family === "IPv4" ? { ...common, family } : { ...common, family, scopeid: 0 };
};
const interfaces = {
  lo: [of("127.0.0.1", "IPv4", true), of("::1", "IPv6", true)],
  eth0: [of("2001:db8::5", "IPv6"), of("fe80::1", "IPv6"), of("192.0.2.5", "IPv4"), of("169.254.1.1", "IPv4")],
  eth1: [of("198.51.100.7", "IPv4")],
};

test("a server that listens everywhere is told at each address that others reach, IPv4 first", () => {
  const four = ["https://192.0.2.5:9696", "https://198.51.100.7:9696"];
  assert.deepEqual(reachableUrls("0.0.0.0", 9696, interfaces), four);
  assert.deepEqual(reachableUrls("::", 9696, interfaces), [...four, "https://[2001:db8::5]:9696"]);
  assert.deepEqual(reachableUrls("::", 9696, { lo: interfaces.lo }), []);
});

test("one that listens on an address or a name is told there, one on the loopback address nowhere", () => {
  assert.deepEqual(reachableUrls("192.0.2.9", 1, interfaces), ["https://192.0.2.9:1"]);
  assert.deepEqual(reachableUrls("2001:db8::9", 1, interfaces), ["https://[2001:db8::9]:1"]);
  assert.deepEqual(reachableUrls("net.example", 1, interfaces), ["https://net.example:1"]);
  for (const loopback of ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
    assert.deepEqual(reachableUrls(loopback, 1, interfaces), [], loopback);
});
