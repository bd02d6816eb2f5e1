/** IP addresses against node:net, Python's ipaddress and the vectors of RFC 5952. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { isIPv4, isIPv6 } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { anyIp, anyIp4, anyIp6, nearMiss } from "./arbitraries.ts";
import { AddressError } from "./error.ts";
import {
  addToIp,
  bytesOfIp,
  canonicalIp,
  compareIp,
  ip4,
  ip6,
  ipFrom,
  ipOf,
  ipOfBytes,
  ipOfWords,
  isLinkLocalIp,
  isLoopbackIp,
  isMulticastIp,
  isUnspecifiedIp,
  parseIp,
  parseIp4,
  parseIp6,
  scopeOfIp,
  textOfIp,
  valueOfIp,
  versionOf,
  wordsOfIp,
} from "./ip.ts";

test("what other parsers let through is refused", () => {
  const refused = [
    "",
    "010.0.0.1",
    "10.0.0.01",
    "00.0.0.0",
    "10.1",
    "0x7f.1",
    "0x7f.0.0.1",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "1.2.3.4 ",
    " 1.2.3.4",
    "1..2.3",
    ".1.2.3",
    "1.2.3.",
    "+1.2.3.4",
    "1.2.3.-4",
    "4294967295",
    "１.2.3.4",
    "1.2.3.4\n",
    "fe80::1%eth0",
    "[::1]",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "::1:2:3:4:5:6:7:8",
    "12345::",
    "g::",
    "::1.2.3",
    "::1.2.3.04",
    "1:2:3:4:5:6:7:1.2.3.4",
    "1.2.3.4::",
    "::1.2.3.4:5",
    "1:",
    ":1",
    "::1:",
    "::/0",
  ];
  for (const text of refused) assert.equal(parseIp(text), undefined, text);
  assert.throws(
    () => ipOf("10.1"),
    (error) => error instanceof AddressError && error.kind === "ip" && error.text === "10.1",
  );
});

test("canonical text follows RFC 5952", () => {
  const canonical: readonly (readonly [string, string])[] = [
    ["0.0.0.0", "0.0.0.0"],
    ["255.255.255.255", "255.255.255.255"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["2001:0DB8::0001", "2001:db8::1"],
    ["2001:db8:0:0:0:0:2:1", "2001:db8::2:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["1:0:0:0:0:0:0:0", "1::"],
    ["::FFFF:192.0.2.1", "::ffff:192.0.2.1"],
    ["::ffff:c000:201", "::ffff:192.0.2.1"],
    ["::ffff:0:0", "::ffff:0.0.0.0"],
    ["::1.2.3.4", "::102:304"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ];
  for (const [text, expected] of canonical) assert.equal(canonicalIp(text), expected, text);
  assert.equal(canonicalIp("10.0.0"), undefined);
});

test("parsing agrees with node:net on addresses and near misses", () => {
  const texts = nearMiss(anyIp.map(textOfIp));
  fc.assert(
    fc.property(texts, (text) => {
      assert.equal(parseIp4(text) !== undefined, isIPv4(text));
      // node:net lets a zone id through; an address of intent has none.
      assert.equal(parseIp6(text) !== undefined, isIPv6(text) && !text.includes("%"));
    }),
    { numRuns: 2000 },
  );
});

test("text, bytes, words and values come back as they were", () => {
  fc.assert(
    fc.property(anyIp, (ip) => {
      assert.equal(ipOf(textOfIp(ip)), ip);
      assert.equal(ipOfBytes(bytesOfIp(ip)), ip);
      assert.equal(ipOfWords(versionOf(ip), wordsOfIp(ip)), ip);
      assert.equal(ipFrom(versionOf(ip), valueOfIp(ip)), ip);
    }),
  );
  assert.deepEqual([...bytesOfIp(ipOf("1.2.3.4"))], [1, 2, 3, 4]);
  assert.deepEqual(wordsOfIp(ipOf("1.2.3.4")), [0, 0, 0, 0x01020304]);
  assert.deepEqual(wordsOfIp(ipOf("ffff:fffe::8000:1")), [0xfffffffe, 0, 0, 0x80000001]);
  assert.equal(ipOfBytes(new Uint8Array([9, 10, 0, 0, 1, 9]).subarray(1, 5)), ipOf("10.0.0.1"));
  assert.throws(() => ipOfBytes(new Uint8Array(5)), AddressError);
  assert.throws(() => ipOfWords(4, [0, 0, 1, 0]), AddressError);
});

test("python's ipaddress reads and writes the same", { skip: hasPython() ? false : "python3 is not installed" }, () => {
  const ips = fc.sample(fc.oneof(anyIp4, anyIp6), { numRuns: 500, seed: 7 });
  const script = [
    "import ipaddress, json, sys",
    "out = []",
    "for t in json.load(sys.stdin):",
    "    a = ipaddress.ip_address(t)",
    "    out.append([str(int(a)), a.compressed if a.version == 4 or a.ipv4_mapped is None else '::ffff:' + str(a.ipv4_mapped), a.is_multicast, a.is_link_local, a.is_loopback, a.is_unspecified])",
    "json.dump(out, sys.stdout)",
  ].join("\n");
  const run = spawnSync("python3", ["-c", script], { input: JSON.stringify(ips.map(textOfIp)), encoding: "utf8" });
  assert.equal(run.status, 0, run.stderr);
  const ours = ips.map((ip) => [
    String(ip),
    textOfIp(ip),
    isMulticastIp(ip),
    isLinkLocalIp(ip),
    isLoopbackIp(ip),
    isUnspecifiedIp(ip),
  ]);
  const answers: readonly (readonly unknown[])[] = JSON.parse(run.stdout);
  for (const [at, ip] of ips.entries()) {
    // Newer versions of Python look through a mapped address for its scope: ours is that of the IPv6 address itself.
    const fields = typeof ip === "bigint" && ip >> 32n === 0xffffn ? 2 : 6;
    assert.deepEqual(ours[at]?.slice(0, fields), answers[at]?.slice(0, fields));
  }
});

test("order is by version and then by value, and adding stays inside the version's space", () => {
  const sorted = ["0.0.0.0", "9.255.255.255", "10.0.0.0", "255.255.255.255", "::", "::1", "ffff::"].map(ipOf);
  assert.deepEqual([...sorted].reverse().sort(compareIp), sorted);
  assert.equal(compareIp(ip4(5), ip4(5)), 0);
  assert.equal(addToIp(ipOf("10.0.0.255"), 1), ipOf("10.0.1.0"));
  assert.equal(addToIp(ipOf("2001:db8::"), -1), ipOf("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff"));
  assert.equal(addToIp(ipOf("10.0.0.7"), 0), ipOf("10.0.0.7"));
  assert.throws(() => addToIp(ipOf("255.255.255.255"), 1), AddressError);
  assert.throws(() => addToIp(ipOf("0.0.0.0"), -1), AddressError);
  assert.throws(() => addToIp(ipOf("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 1n), AddressError);
});

test("a value outside of the version's space gets no brand", () => {
  for (const value of [-1, 2 ** 32, 1.5, Number.NaN]) assert.throws(() => ip4(value), AddressError);
  for (const value of [-1n, 1n << 128n]) assert.throws(() => ip6(value), AddressError);
  assert.equal(textOfIp(ip4(0)), "0.0.0.0");
});

test("scopes at their edges", () => {
  const scopes: Readonly<Record<string, readonly string[]>> = {
    unspecified: ["0.0.0.0", "::"],
    loopback: ["127.0.0.0", "127.255.255.255", "::1"],
    "link-local": ["169.254.0.0", "169.254.255.255", "fe80::", "febf:ffff::1"],
    multicast: ["224.0.0.0", "239.255.255.255", "ff00::", "ff02::1"],
    broadcast: ["255.255.255.255"],
    unicast: [
      "0.0.0.1",
      "10.0.0.1",
      "126.255.255.255",
      "128.0.0.0",
      "169.253.255.255",
      "223.255.255.255",
      "240.0.0.0",
      "::2",
      "fec0::",
      "fe7f::",
    ],
  };
  for (const [scope, texts] of Object.entries(scopes))
    for (const text of texts) assert.equal(scopeOfIp(ipOf(text)), scope, text);
});

function hasPython(): boolean {
  return spawnSync("python3", ["--version"]).status === 0;
}
