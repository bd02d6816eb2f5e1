/** MAC addresses: the forms that Neutron takes, bytes, bits, random ones, and the addresses derived from them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { anyCidrOf, anyIp6, anyMac } from "./arbitraries.ts";
import { cidrContains, cidrOf } from "./cidr.ts";
import { eui64Of, linkLocalOf, macOfEui64, multicastMacOf, solicitedNodeOf } from "./derived.ts";
import { AddressError } from "./error.ts";
import { ipOf, parseIp6, textOfIp } from "./ip.ts";
import {
  broadcastMac,
  bytesOfMac,
  canonicalMac,
  isLocalMac,
  isMulticastMac,
  macFrom,
  macOf,
  macOfBytes,
  parseMac,
  parseMacLoose,
  randomMac,
  textOfMac,
} from "./mac.ts";

test("every form that Neutron takes becomes lower case with colons", () => {
  const forms = [
    "fa:16:3e:00:01:02",
    "FA:16:3E:00:01:02",
    "fa:16:3e:0:1:2",
    "fa-16-3e-00-01-02",
    "fa16:3e00:0102",
    "fa16-3e00-102",
    "FA16.3e00.0102",
    "fa163e:000102",
    "fa163e-00102",
    "fa163e000102",
  ];
  for (const form of forms) assert.equal(canonicalMac(form), "fa:16:3e:00:01:02", form);
  assert.equal(canonicalMac("a163e000102"), "0a:16:3e:00:01:02");
});

test("what is no MAC address, and what no interface can bear, is refused", () => {
  const refused = [
    "",
    "zz",
    "fa:16:3e:00:01",
    "fa:16:3e:00:01:02:03",
    "fa:16:3e:00:01:0g",
    "fa:16-3e:00:01:02",
    "fa16.3e00:0102",
    "fa16.3e00",
    " fa:16:3e:00:01:02",
    "fa:16:3e:00:01:02\n",
    "fa163e0001",
    "fa163e0001020",
    "fa:16:3e:000:01:02",
    "0:0:0:0:0:0",
    "00:00:00:00:00:00",
    "FF:FF:FF:FF:FF:FF",
  ];
  for (const text of refused) assert.equal(canonicalMac(text), undefined, text);
  assert.equal(parseMac("fa-16-3e-00-01-02"), undefined);
  assert.equal(parseMac("ff:ff:ff:ff:ff:ff"), broadcastMac);
  assert.equal(parseMacLoose("0:0:0:0:0:0"), macFrom(0));
  assert.throws(
    () => macOf("zz"),
    (error) => error instanceof AddressError && error.kind === "mac" && error.text === "zz",
  );
});

test("text and bytes come back as they were, and the bits are those of the first byte", () => {
  fc.assert(
    fc.property(anyMac, (mac) => {
      assert.equal(macOf(textOfMac(mac)), mac);
      const bytes = bytesOfMac(mac);
      assert.equal(macOfBytes(bytes), mac);
      assert.equal(
        textOfMac(mac),
        Buffer.from(bytes)
          .toString("hex")
          .replace(/..(?=.)/g, "$&:"),
      );
      assert.equal(isMulticastMac(mac), ((bytes[0] ?? 0) & 1) === 1);
      assert.equal(isLocalMac(mac), ((bytes[0] ?? 0) & 2) === 2);
    }),
  );
  assert.throws(() => macOfBytes(new Uint8Array(5)), AddressError);
  for (const value of [-1, 2 ** 48, 0.5]) assert.throws(() => macFrom(value), AddressError);
});

test("a random address keeps its base and fills the rest", () => {
  assert.equal(textOfMac(randomMac("fa:16:3e", () => 0)), "fa:16:3e:00:00:00");
  assert.equal(textOfMac(randomMac("fa:16:3e", (limit) => limit - 1)), "fa:16:3e:ff:ff:ff");
  assert.equal(textOfMac(randomMac("fa:16:3e:00:00:00", (limit) => limit - 1)), "fa:16:3e:ff:ff:ff");
  assert.equal(textOfMac(randomMac("fa:16:3e:4f:00:00", (limit) => limit - 1)), "fa:16:3e:4f:ff:ff");
  for (const base of ["", "fa:16:3e:00:00:01", "zz:16", "fa-16-3e", "01:00:5e"])
    assert.throws(() => randomMac(base, () => 0), AddressError, base);
});

test("SLAAC addresses hold their MAC, and only IPv6 prefixes up to /64 make them", () => {
  assert.equal(textOfIp(eui64Of(cidrOf("2001:db8::/64"), macOf("fa:16:3e:00:00:01"))), "2001:db8::f816:3eff:fe00:1");
  assert.equal(textOfIp(linkLocalOf(macOf("00:00:00:00:00:00"))), "fe80::200:ff:fe00:0");
  const prefixes = anyCidrOf(anyIp6).filter((cidr) => cidr.length <= 64);
  fc.assert(
    fc.property(prefixes, anyMac, (prefix, mac) => {
      const ip = eui64Of(prefix, mac);
      assert.ok(cidrContains(prefix, ip));
      assert.equal(macOfEui64(ip), isMulticastMac(mac) ? undefined : mac);
    }),
  );
  assert.equal(macOfEui64(parseIp6("2001:db8::1") ?? assert.fail()), undefined);
  for (const text of ["10.0.0.0/24", "2001:db8::/65"])
    assert.throws(() => eui64Of(cidrOf(text), macFrom(2)), AddressError);
});

test("groups map to MAC addresses, unicast does not", () => {
  const solicited = solicitedNodeOf(parseIp6("2001:db8::fe12:3456") ?? assert.fail());
  assert.equal(textOfIp(solicited), "ff02::1:ff12:3456");
  assert.equal(textOfMac(multicastMacOf(solicited)), "33:33:ff:12:34:56");
  assert.equal(textOfMac(multicastMacOf(ipOf("ff02::1"))), "33:33:00:00:00:01");
  assert.equal(textOfMac(multicastMacOf(ipOf("224.0.0.1"))), "01:00:5e:00:00:01");
  assert.equal(textOfMac(multicastMacOf(ipOf("239.255.255.250"))), "01:00:5e:7f:ff:fa");
  for (const text of ["10.0.0.1", "255.255.255.255", "fe80::1"])
    assert.throws(() => multicastMacOf(ipOf(text)), AddressError);
});
