/** DHCPv6: a message laid out by hand, names with and without an end, what is refused, and tcpdump's reading of a reply. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { EncodeError, fromHex, Reader, Writer } from "./bytes.ts";
import { type Dhcpv6, readDhcpv6, writeDhcpv6 } from "./dhcpv6.ts";
import { encode } from "./packet.ts";
import { tcpdump } from "./testing/pcap.ts";

const read = (hex: string): Dhcpv6 => readDhcpv6(new Reader(fromHex(hex.replaceAll(/\s/g, ""), "hex"), "dhcpv6"));

test("a solicit laid out by hand is read", () => {
  const dhcpv6 = read(
    "01 102030 0001 000a 00030001fa163e000001 0006 0004 00170018 0008 0002 0000 000e 0000 0003 000c 00000001 00000000 00000000",
  );
  assert.deepEqual(dhcpv6, {
    type: "solicit",
    transactionId: 0x102030,
    options: {
      clientId: "00030001fa163e000001",
      requested: [23, 24],
      elapsed: 0,
      rapidCommit: true,
      iaNa: [{ iaid: 1, t1: 0, t2: 0, addresses: [] }],
    },
  });
});

test("a client's name may be whole, a part or nothing (RFC 4704 section 4.2)", () => {
  const nameOf = (hex: string): string | undefined => read(`01 000000 0027 ${hex}`).options.clientFqdn?.name;
  assert.equal(nameOf("0004 00 02766d"), "vm");
  assert.equal(nameOf("0005 00 02766d00"), "vm.");
  assert.equal(nameOf("0001 00"), "");
  assert.equal(nameOf("0002 00 00"), ".");
  assert.throws(() => nameOf("0006 00 02766d0000"), { name: "Fault" });
  assert.throws(() => nameOf("0003 00 0276"), { name: "Fault" });
});

test("an address option stands in an IA option and nowhere else (RFC 8415 section 21.6)", () => {
  const address = "0005 0018 20010db8000000000000000000000005 00000000 00000000";
  assert.throws(() => read(`01 000000 ${address}`), { name: "Fault", reason: "value" });
  assert.equal(
    read(`01 000000 0003 0028 00000001 00000000 00000000 ${address}`).options.iaNa?.[0]?.addresses.length,
    1,
  );
});

test("what contradicts itself is refused", () => {
  for (const hex of [
    "00 000000",
    "0e 000000",
    "01 0000",
    "01 000000 0001 0005 00",
    "01 000000 0007 0002 0000",
    "01 000000 0006 0003 000000",
    "01 000000 0017 0000",
    "01 000000 0017 0011 0000000000000000000000000000000000",
    "01 000000 0007 0001 00 0007 0001 00",
    "01 000000 000e 0001 00",
    "01 000000 0003 000b 0000000000000000000000",
    "01 000000 0018 0002 c000",
    "0c 00 0000",
  ]) {
    assert.throws(() => read(hex), { name: "Fault", layer: "dhcpv6" }, hex);
  }
});

test("codes that have a field do not pass as others, and numbers must fit", () => {
  const write = (dhcpv6: Dhcpv6): void => writeDhcpv6(new Writer(), dhcpv6);
  assert.throws(() => write({ type: "reply", transactionId: 1 << 24, options: {} }), EncodeError);
  assert.throws(
    () => write({ type: "reply", transactionId: 0, options: { other: [{ code: 1, data: new Uint8Array(0) }] } }),
    EncodeError,
  );
  assert.throws(() => write({ type: "reply", transactionId: 0, options: { dnsServers: [] } }), EncodeError);
});

test("a reply is what tcpdump says it is", () => {
  const bytes = encode({
    eth: { src: "fa:16:3e:00:00:02", dst: "fa:16:3e:00:00:01" },
    ipv6: { src: "fe80::2", dst: "fe80::1" },
    udp: { src: 547, dst: 546 },
    dhcpv6: {
      type: "reply",
      transactionId: 0x0a0b0c,
      options: {
        clientId: "00030001fa163e000001",
        serverId: "00030001fa163e000002",
        iaNa: [{ iaid: 7, t1: 1800, t2: 2880, addresses: [{ address: "2001:db8::5", preferred: 3600, valid: 7200 }] }],
        preference: 255,
        status: { code: 0, message: "" },
        dnsServers: ["2001:db8::53"],
        domainSearch: ["example.org"],
      },
    },
  });
  const [line = ""] = tcpdump([bytes]);
  for (const text of [
    "[udp sum ok]",
    "dhcp6 reply",
    "xid=a0b0c",
    "(client-ID hwaddr type 1 fa163e000001)",
    "(server-ID hwaddr type 1 fa163e000002)",
    "(IA_NA IAID:7 T1:1800 T2:2880 (IA_ADDR 2001:db8::5 pltime:3600 vltime:7200))",
    "(preference 255)",
    "(status-code Success)",
    "(DNS-server 2001:db8::53)",
    "(DNS-search-list example.org.)",
  ]) {
    assert.ok(line.includes(text), `${text} in ${line}`);
  }
});
