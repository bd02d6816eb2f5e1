/** Neighbour Discovery: an advertisement as tcpdump reads it, options that lie, and the rules of receiving (RFC 4861 sections 6.1 and 7.1). */

import assert from "node:assert/strict";
import { test } from "node:test";
import { EncodeError, fromHex, Reader, Writer } from "./bytes.ts";
import type { Icmpv6 } from "./icmpv6.ts";
import type { Ipv6Spec } from "./ipv6.ts";
import { type NdFault, type NdOption, ndFault, readNdOptions, writeNdOptions } from "./nd.ts";
import { decode, encode } from "./packet.ts";
import { tcpdump } from "./testing/pcap.ts";

const eth = { src: "fa:16:3e:00:00:01", dst: "33:33:00:00:00:01" };
const options: readonly NdOption[] = [
  { kind: "source-link-layer", mac: "fa:16:3e:00:00:01" },
  { kind: "mtu", mtu: 1442 },
  {
    kind: "prefix",
    prefix: "2001:db8:1::",
    length: 64,
    onLink: true,
    autonomous: true,
    validLifetime: 86400,
    preferredLifetime: 14400,
  },
  { kind: "route", prefix: "2001:db8:2::", length: 48, preference: "high", lifetime: 1800 },
  { kind: "dns-servers", servers: ["2001:db8::53"], lifetime: 600 },
  { kind: "dns-search", domains: ["example.org"], lifetime: 600 },
];
const advertisement: Icmpv6 = {
  kind: "router-advertisement",
  hopLimit: 64,
  managed: true,
  otherConfig: false,
  preference: "medium",
  lifetime: 1800,
  reachableTime: 0,
  retransTimer: 0,
  options,
};

const read = (hex: string): readonly NdOption[] =>
  readNdOptions(new Reader(fromHex(hex.replaceAll(" ", ""), "hex"), "icmpv6"));

function written(list: readonly NdOption[]): string {
  const writer = new Writer();
  writeNdOptions(writer, list);
  return Buffer.from(writer.done()).toString("hex");
}

test("what a route's sender gives of its prefix beyond its length is ignored (RFC 4191 section 2.3)", () => {
  const [route] = read("1803 0000 00000708 20010db8000200000000000000000001");
  assert.deepEqual(route, { kind: "route", prefix: "::", length: 0, preference: "medium", lifetime: 1800 });
  assert.equal(written(route === undefined ? [] : [route]), "1801000000000708");
});

test("a router's advertisement is what tcpdump says it is", () => {
  const [line = ""] = tcpdump([encode({ eth, ipv6: { src: "fe80::1", dst: "ff02::1" }, icmpv6: advertisement })]);
  for (const text of [
    "hlim 255",
    "[icmp6 sum ok]",
    "router advertisement",
    "hop limit 64, Flags [managed], pref medium, router lifetime 1800s",
    "source link-address option (1), length 8 (1): fa:16:3e:00:00:01",
    "mtu option (5), length 8 (1):  1442",
    "prefix info option (3), length 32 (4): 2001:db8:1::/64, Flags [onlink, auto], valid time 86400s, pref. time 14400s",
    "route info option (24), length 16 (2):  2001:db8:2::/48, pref=high, lifetime=1800s",
    "rdnss option (25), length 24 (3):  lifetime 600s, addr: 2001:db8::53",
    "dnssl option (31)",
    "example.org",
  ]) {
    assert.ok(line.includes(text), `${text} in ${line}`);
  }
});

test("a route takes as many words as its length needs, and its reserved preference makes it another option (RFC 4191)", () => {
  const route = (prefix: string, length: number): NdOption => ({
    kind: "route",
    prefix,
    length,
    preference: "low",
    lifetime: 0,
  });
  assert.equal(written([route("::", 0)]), "1801001800000000");
  assert.equal(written([route("2001:db8::", 64)]), "180240180000000020010db800000000");
  assert.equal(written([route("2001:db8::", 65)]).length, 48);
  assert.deepEqual(read("18 01 00 18 00000000"), [route("::", 0)]);
  assert.equal(read("18 01 00 10 00000000")[0]?.kind, "other");
  assert.throws(() => read("18 01 01 00 00000000"), { name: "Fault", reason: "length" });
  assert.throws(() => written([route("2001:db8::1", 64)]), EncodeError);
});

test("options that lie about their length are refused", () => {
  for (const hex of [
    "0100 000000000000",
    "0400 000000000000",
    "0102 000000000000",
    "01",
    "0301 000000000000",
    "0502 0000000000000000000000000000",
    "1902 0000000000000000000000000000",
  ]) {
    assert.throws(() => read(hex), { name: "Fault", layer: "icmpv6" }, hex);
  }
});

test("what a receiver must discard is told, rule by rule", () => {
  const source: readonly NdOption[] = [{ kind: "source-link-layer", mac: eth.src }];
  const solicitation: Icmpv6 = { kind: "neighbor-solicitation", target: "2001:db8::2", options: source };
  const answer: Icmpv6 = {
    kind: "neighbor-advertisement",
    router: false,
    solicited: true,
    override: true,
    target: "2001:db8::2",
    options: [],
  };
  const from = (src: string, dst: string, more: Partial<Ipv6Spec> = {}): Ipv6Spec => ({ src, dst, ...more });
  const cases: readonly (readonly [NdFault | undefined, Ipv6Spec, Icmpv6])[] = [
    [undefined, from("2001:db8::1", "ff02::1:ff00:2"), solicitation],
    ["hop-limit", from("2001:db8::1", "ff02::1:ff00:2", { hopLimit: 254 }), solicitation],
    ["hop-limit", from("2001:db8::1", "ff02::1:ff00:2", { hopLimit: 0 }), solicitation],
    [
      "fragmented",
      from("2001:db8::1", "ff02::1:ff00:2", { extensions: [{ kind: "fragment", offset: 0, more: false, id: 0 }] }),
      solicitation,
    ],
    ["multicast-target", from("2001:db8::1", "ff02::1:ff00:2"), { ...solicitation, target: "ff02::1" }],
    ["unspecified-source", from("::", "ff02::1:ff00:2"), solicitation],
    [undefined, from("::", "ff02::1:ff00:2"), { ...solicitation, options: [] }],
    ["unspecified-source", from("::", "2001:db8::2"), { ...solicitation, options: [] }],
    [undefined, from("2001:db8::2", "2001:db8::1"), answer],
    ["solicited-multicast", from("2001:db8::2", "ff02::1"), answer],
    ["multicast-target", from("2001:db8::2", "2001:db8::1"), { ...answer, target: "ff00::" }],
    [undefined, from("fe80::1", "ff02::1"), advertisement],
    ["source-not-link-local", from("2001:db8::1", "ff02::1"), advertisement],
    [undefined, from("::", "ff02::2"), { kind: "router-solicitation", options: [] }],
    ["unspecified-source", from("::", "ff02::2"), { kind: "router-solicitation", options: source }],
    [undefined, from("::1", "::1", { hopLimit: 1 }), { kind: "echo-request", id: 0, sequence: 0 }],
  ];
  for (const [expected, ipv6, icmpv6] of cases) {
    const decoded = decode(encode({ eth, ipv6, icmpv6 }));
    assert.ok(decoded.ok && decoded.packet.icmpv6 !== undefined);
    assert.equal(ndFault(decoded.packet.ipv6, decoded.packet.icmpv6), expected, JSON.stringify([ipv6, icmpv6]));
  }
});
