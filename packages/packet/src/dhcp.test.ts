/** DHCPv4: the examples of RFC 3442 and RFC 3397, overload, split options, what is refused, and tcpdump's reading of an offer. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { EncodeError, fromHex, Reader, Writer } from "./bytes.ts";
import { type Dhcp, type DhcpSpec, readDhcp, writeDhcp } from "./dhcp.ts";
import { type DhcpOptions, dhcpMessageTypes, withDhcpOptions, writeDhcpOptions } from "./dhcp-options.ts";
import { readNames } from "./names.ts";
import { decode, encode } from "./packet.ts";
import { summary } from "./summary.ts";
import { tcpdump } from "./testing/pcap.ts";

const bytesOf = (hex: string): Uint8Array => fromHex(hex.replaceAll(/\s/g, ""), "hex");

/** A message of bytes laid out by hand after RFC 2131 figure 1: a discover of 00:11:22:33:44:55. */
function message(options: string, fields: { readonly file?: string; readonly sname?: string } = {}): Uint8Array {
  const fixed = bytesOf(
    "01 01 06 00 3903f326 0000 8000 00000000 00000000 00000000 00000000 001122334455 00000000000000000000",
  );
  const field = (hex: string, size: number): Uint8Array => {
    const bytes = new Uint8Array(size);
    bytes.set(bytesOf(hex));
    return bytes;
  };
  return Uint8Array.of(
    ...fixed,
    ...field(fields.sname ?? "", 64),
    ...field(fields.file ?? "", 128),
    ...bytesOf(`63825363 ${options}`),
  );
}

const read = (bytes: Uint8Array): Dhcp => readDhcp(new Reader(bytes, "dhcp"));
const optionsOf = (hex: string): DhcpOptions => read(message(hex)).options;

function written(options: DhcpOptions): string {
  const writer = new Writer();
  writeDhcpOptions(writer, options);
  return Buffer.from(writer.done()).toString("hex");
}

test("a discover laid out by hand is read", () => {
  const dhcp = read(
    message("35 01 01 3d 07 01 001122334455 32 04 0a00000a 37 04 01 03 06 79 39 02 05dc 0c 02 766d ff 0000"),
  );
  assert.deepEqual(dhcp, {
    op: "request",
    htype: 1,
    hops: 0,
    xid: 0x3903f326,
    secs: 0,
    broadcast: true,
    ciaddr: "0.0.0.0",
    yiaddr: "0.0.0.0",
    siaddr: "0.0.0.0",
    giaddr: "0.0.0.0",
    chaddr: "00:11:22:33:44:55",
    sname: "",
    file: "",
    options: {
      messageType: "discover",
      clientId: "01001122334455",
      requestedAddress: "10.0.0.10",
      parameterRequest: [1, 3, 6, 121],
      maxMessageSize: 1500,
      hostName: "vm",
    },
  });
});

test("the destination descriptors of RFC 3442", () => {
  const table: readonly (readonly [string, string])[] = [
    ["0.0.0.0/0", "00"],
    ["10.0.0.0/8", "080a"],
    ["10.0.0.0/24", "180a0000"],
    ["10.17.0.0/16", "100a11"],
    ["10.27.129.0/24", "180a1b81"],
    ["10.229.0.128/25", "190ae50080"],
    ["10.198.122.47/32", "200ac67a2f"],
  ];
  for (const [destination, descriptor] of table) {
    const hex = `${descriptor}0a000001`;
    const option = `79${(hex.length / 2).toString(16).padStart(2, "0")}${hex}ff`;
    assert.equal(written({ classlessRoutes: [{ destination, gateway: "10.0.0.1" }] }), option);
    assert.deepEqual(optionsOf(option).classlessRoutes, [{ destination, gateway: "10.0.0.1" }]);
  }
  // Bits behind the mask are cleared, and 0.0.0.0 as the gateway means on the link.
  assert.deepEqual(optionsOf("79 08 11 0affff 00000000 ff").classlessRoutes, [
    { destination: "10.255.128.0/17", gateway: "0.0.0.0" },
  ]);
});

test("the search list of RFC 3397, split in two and with its pointer", () => {
  const options = optionsOf("77 09 03656e67056170706c 77 12 6503636f6d00 096d61726b6574696e67 c004 ff");
  assert.deepEqual(options.domainSearch, ["eng.apple.com", "marketing.apple.com"]);
});

test("a pointer that does not go back, or names that never end, are refused", () => {
  for (const hex of [
    "77 02 c000 ff",
    "77 04 0161c000 ff",
    "77 03 0161c0 ff",
    "77 02 0161 ff",
    "77 01 40 ff",
    "77 03 012e00 ff",
    "77 05 c002016100 ff",
    "77 02 c001 ff",
  ]) {
    assert.throws(() => optionsOf(hex), { name: "Fault", layer: "dhcp" }, hex);
  }
});

test("the work that pointers can ask for is bounded", () => {
  const names = (bytes: Uint8Array): readonly string[] => readNames(bytes, "dhcp", 0, "allowed");
  // A name, then pointers each to the one before: sixteen are followed and no more.
  const chain = (length: number): Uint8Array =>
    Uint8Array.of(1, 97, 0, ...Array.from({ length }, (_, n) => [0xc0, n === 0 ? 0 : 2 * n + 1]).flat());
  assert.equal(names(chain(16)).length, 17);
  assert.throws(() => names(chain(17)), { name: "Fault", reason: "value" });
  // A long name, repeated by pointers of two bytes.
  const bomb = new Uint8Array(2001).fill(97, 0, 180);
  for (const at of [0, 60, 120]) bomb[at] = 59;
  for (let at = 181; at < bomb.length; at += 2) bomb[at] = 0xc0;
  assert.throws(() => names(bomb), { name: "Fault", reason: "length" });
  assert.equal(names(bomb.subarray(0, 201)).length, 11);
});

test("overloaded fields are read after the options, file first", () => {
  const both = read(
    message("34 01 03 35 01 03 ff", { file: "0c 02 6162 ff", sname: "0c 02 6364 00 06 04 01020304 ff" }),
  );
  assert.deepEqual(both.options, { messageType: "request", hostName: "abcd", dnsServers: ["1.2.3.4"] });
  assert.deepEqual([both.file, both.sname], ["", ""]);
  const file = read(message("34 01 01 ff", { file: "0f 01 61 ff", sname: "7376" }));
  assert.deepEqual([file.options, file.sname], [{ domainName: "a" }, "sv"]);
  const sname = read(message("34 01 02 ff", { file: "626f6f74", sname: "0f 01 62 ff" }));
  assert.deepEqual([sname.options, sname.file], [{ domainName: "b" }, "boot"]);
  for (const hex of ["34 01 00 ff", "34 01 04 ff", "34 02 0101 ff"])
    assert.throws(() => optionsOf(hex), { name: "Fault" }, hex);
  assert.throws(() => read(message("34 01 01 ff", { file: "34 01 01 ff" })), { name: "Fault", reason: "value" });
});

test("options over 255 bytes are split and joined (RFC 3396)", () => {
  const routes = Array.from({ length: 60 }, (_, n) => ({ destination: `10.0.${n}.0/24`, gateway: "10.0.0.1" }));
  const hex = written({ classlessRoutes: routes });
  assert.ok(hex.startsWith("79ff"));
  assert.equal(hex.slice(2 * 257, 2 * 259), "79e1");
  assert.deepEqual(optionsOf(hex).classlessRoutes, routes);
});

test("the message type goes first, the relay agent's words last, the rest by code", () => {
  const hex = written({
    relayAgent: [{ code: 1, data: Uint8Array.of(7) }],
    routers: ["10.0.0.1"],
    messageType: "ack",
    other: [{ code: 252, data: Uint8Array.of(0) }],
    leaseTime: 0,
  });
  assert.equal(hex, "350105 03040a000001 330400000000 fc0100 5203010107 ff".replaceAll(" ", ""));
});

test("every message type has its number, and 0 and 9 have none", () => {
  for (const [n, messageType] of dhcpMessageTypes.entries())
    assert.equal(written({ messageType }), `3501${(n + 1).toString(16).padStart(2, "0")}ff`);
  assert.throws(() => optionsOf("35 01 00 ff"), { name: "Fault", reason: "value" });
  assert.throws(() => optionsOf("35 01 09 ff"), { name: "Fault", reason: "value" });
});

test("lengths that are wrong for their option are refused at its place", () => {
  for (const hex of [
    "01 03 ffffff ff",
    "03 00 ff",
    "03 05 0a00000100 ff",
    "1a 01 05 ff",
    "33 05 0000000000 ff",
    "35 02 0101 ff",
    "79 00 ff",
    "79 04 180a0000 ff",
  ]) {
    assert.throws(() => optionsOf(hex), { name: "Fault", layer: "dhcp", reason: "length" }, hex);
  }
  assert.throws(() => optionsOf("79 01 21 ff"), { name: "Fault", reason: "value" });
  assert.throws(() => optionsOf("33 04 0000"), { name: "Fault", reason: "truncated", offset: 242 });
  assert.throws(() => read(message("ff").subarray(0, 200)), { name: "Fault", reason: "truncated" });
  const long = message("ff");
  long[2] = 17;
  assert.throws(() => read(long), { name: "Fault", reason: "length", offset: 2 });
  long[2] = 16;
  assert.equal(read(long).chaddr, "00:11:22:33:44:55:00:00:00:00:00:00:00:00:00:00");
  const other = message("ff");
  other[236] = 0;
  assert.throws(() => read(other), { name: "Fault", reason: "value", offset: 236 });
});

test("what cannot be said is not encoded", () => {
  const refused: readonly DhcpOptions[] = [
    { routers: [] },
    { classlessRoutes: [{ destination: "10.0.0.0", gateway: "10.0.0.1" }] },
    { classlessRoutes: [{ destination: "10.0.0.0/33", gateway: "10.0.0.1" }] },
    { mtu: 65536 },
    { hostName: "\u0100" },
    { clientId: "0" },
    { domainSearch: ["a..b"] },
    { domainSearch: ["a".repeat(64)] },
    { other: [{ code: 53, data: Uint8Array.of(1) }] },
    { other: [{ code: 255, data: Uint8Array.of(1) }] },
    {
      other: [
        { code: 43, data: Uint8Array.of(1) },
        { code: 43, data: Uint8Array.of(2) },
      ],
    },
  ];
  for (const options of refused) assert.throws(() => written(options), EncodeError, JSON.stringify(options));
});

test("an offer is what tcpdump says it is", () => {
  const dhcp: DhcpSpec = {
    op: "reply",
    xid: 0x3903f326,
    chaddr: "fa:16:3e:00:00:01",
    yiaddr: "10.0.0.5",
    options: {
      messageType: "offer",
      serverId: "10.0.0.2",
      leaseTime: 86400,
      renewalTime: 43200,
      rebindingTime: 75600,
      subnetMask: "255.255.255.0",
      routers: ["10.0.0.1"],
      dnsServers: ["10.0.0.2", "10.0.0.3"],
      domainName: "example.org",
      mtu: 1442,
      domainSearch: ["example.org"],
      classlessRoutes: [{ destination: "169.254.169.254/32", gateway: "10.0.0.2" }],
    },
  };
  const bytes = encode({
    eth: { src: "fa:16:3e:00:00:02", dst: "fa:16:3e:00:00:01" },
    ipv4: { src: "10.0.0.2", dst: "10.0.0.5" },
    udp: { src: 67, dst: 68 },
    dhcp,
  });
  const [line = ""] = tcpdump([bytes]);
  for (const text of [
    "[udp sum ok]",
    "BOOTP/DHCP, Reply",
    "xid 0x3903f326",
    "Your-IP 10.0.0.5",
    "Client-Ethernet-Address fa:16:3e:00:00:01",
    "length 1: Offer",
    "Subnet-Mask (1), length 4: 255.255.255.0",
    "10.0.0.2,10.0.0.3",
    "MTU (26), length 2: 1442",
    "Lease-Time (51), length 4: 86400",
    "(169.254.169.254/32:10.0.0.2)",
    "example.org",
  ]) {
    assert.ok(line.includes(text), `${text} in ${line}`);
  }
  const decoded = decode(bytes);
  assert.ok(decoded.ok && decoded.packet.dhcp !== undefined);
  assert.deepEqual(decoded.packet.dhcp.options, dhcp.options);
  assert.equal(
    summary(decoded),
    "fa:16:3e:00:00:02 > fa:16:3e:00:00:01 ip 10.0.0.2.67 > 10.0.0.5.68: dhcp offer xid 0x3903f326 client fa:16:3e:00:00:01 your 10.0.0.5",
  );
});

test("a message is at least 300 bytes long", () => {
  const writer = new Writer();
  writer.reserve(42);
  writeDhcp(writer, { op: "request", xid: 0, chaddr: "", options: {} });
  assert.equal(writer.at, 342);
});

test("options take the place of others of their code, and one without bytes goes", () => {
  const options = { mtu: 1442, routers: ["10.0.0.1"], other: [{ code: 66, data: Uint8Array.of(97) }] };
  const changes = [
    { code: 26, data: Uint8Array.of(5, 20) },
    { code: 3, data: undefined },
    { code: 66, data: Uint8Array.of(98) },
    { code: 67, data: undefined },
  ];
  assert.deepEqual(withDhcpOptions(options, changes), {
    mtu: 1300,
    other: [{ code: 66, data: Uint8Array.of(98) }],
  });
  assert.throws(() => withDhcpOptions({}, [{ code: 26, data: Uint8Array.of(5) }]));
});
