/** Prefixes against node:net's BlockList and against plain sets of addresses. */
import assert from "node:assert/strict";
import { BlockList } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { anyCidrOf, anyIp, crowdedCidr } from "./arbitraries.ts";
import {
  anyCidr,
  type Cidr,
  canonicalCidr,
  cidrContains,
  cidrCovers,
  cidrOf,
  cidrsOfRange,
  cidrsOverlap,
  compareCidr,
  firstIpOf,
  lastIpOf,
  mergeCidrs,
  netmaskOf,
  networkOf,
  parseCidr,
  parseCidrLoose,
  sizeOfCidr,
  subtractCidr,
  textOfCidr,
} from "./cidr.ts";
import { AddressError } from "./error.ts";
import { type Ip, ipFrom, ipOf, textOfIp, versionOf } from "./ip.ts";

test("host bits are masked loosely and refused strictly", () => {
  assert.equal(canonicalCidr("10.52.0.5/24"), "10.52.0.0/24");
  assert.equal(canonicalCidr("2001:DB8::5/64"), "2001:db8::/64");
  assert.equal(canonicalCidr("255.255.255.255/0"), "0.0.0.0/0");
  assert.equal(parseCidr("10.52.0.5/24"), undefined);
  assert.deepEqual(parseCidr("10.52.0.5/32"), { version: 4, address: ipOf("10.52.0.5"), length: 32 });
  assert.throws(() => cidrOf("10.52.0.5/24"), /the network is 10\.52\.0\.0\/24/);
  assert.throws(
    () => cidrOf("bogus"),
    (error) => error instanceof AddressError && error.kind === "cidr" && error.text === "bogus",
  );
});

test("what is no prefix is refused", () => {
  const refused = [
    "",
    "bogus",
    "10.0.0.0",
    "10.0.0.0/",
    "/24",
    "10.0.0.0/33",
    "10.0.0.0/08",
    "10.0.0.0/-1",
    "10.0.0.0/+8",
    "10.0.0.0/8 ",
    "10.0.0.0/8/8",
    "10.0.0.0/1e1",
    "10.0.0/8",
    "::/129",
    "::/",
    "::",
    "fe80::%1/64",
    "10.0.0.0/255.0.0.0",
  ];
  for (const text of refused) assert.equal(parseCidrLoose(text), undefined, text);
  for (const length of [-1, 33, 1.5]) assert.throws(() => networkOf(ipOf("10.0.0.0"), length), AddressError);
});

test("text comes back as it was; ends, size and netmask belong together", () => {
  fc.assert(
    fc.property(anyCidrOf(anyIp), (cidr) => {
      assert.deepEqual(cidrOf(textOfCidr(cidr)), cidr);
      const [first, last] = [firstIpOf(cidr), lastIpOf(cidr)];
      assert.equal(BigInt(last) - BigInt(first) + 1n, sizeOfCidr(cidr));
      assert.ok(cidrContains(cidr, first) && cidrContains(cidr, last));
      assert.deepEqual(cidrsOfRange(first, last), [cidr]);
      assert.equal(BigInt(ipOf(netmaskOf(cidr))) & BigInt(last), BigInt(first));
    }),
  );
  assert.equal(netmaskOf(cidrOf("10.0.0.0/24")), "255.255.255.0");
  assert.equal(netmaskOf(cidrOf("0.0.0.0/0")), "0.0.0.0");
  assert.equal(netmaskOf(cidrOf("10.0.0.1/32")), "255.255.255.255");
  assert.equal(netmaskOf(cidrOf("2001:db8::/64")), "ffff:ffff:ffff:ffff::");
  assert.equal(sizeOfCidr(anyCidr(6)), 1n << 128n);
});

test("containment agrees with node:net's BlockList", () => {
  const nearby = fc.tuple(anyCidrOf(anyIp), anyIp, fc.boolean()).map(([cidr, ip, edge]): readonly [Cidr, Ip] => {
    const outside = BigInt(lastIpOf(cidr)) + 1n;
    const fits = outside < 1n << (cidr.version === 4 ? 32n : 128n);
    return [cidr, edge && fits ? ipFrom(cidr.version, outside) : ip];
  });
  fc.assert(
    fc.property(nearby, ([cidr, ip]) => {
      // BlockList treats a mapped IPv6 address as IPv4; ours never crosses versions.
      fc.pre(!(cidr.version === 6 && BigInt(cidr.address) >> 32n === 0xffffn) && !textOfIp(ip).startsWith("::ffff:"));
      const family = (version: 4 | 6) => (version === 4 ? "ipv4" : "ipv6");
      const list = new BlockList();
      list.addSubnet(textOfIp(cidr.address), cidr.length, family(cidr.version));
      fc.pre(versionOf(ip) === cidr.version);
      assert.equal(cidrContains(cidr, ip), list.check(textOfIp(ip), family(versionOf(ip))));
    }),
  );
  assert.equal(cidrContains(anyCidr(4), ipOf("::1")), false);
  assert.equal(cidrContains(anyCidr(6), ipOf("0.0.0.1")), false);
  assert.equal(cidrContains(anyCidr(4), ipOf("255.255.255.255")), true);
});

test("covering, overlap, subtraction and merging agree with plain sets of addresses", () => {
  fc.assert(
    fc.property(crowdedCidr, crowdedCidr, fc.array(crowdedCidr, { maxLength: 8 }), (a, b, many) => {
      const [inA, inB] = [addressesOf([a]), addressesOf([b])];
      assert.equal(
        cidrCovers(a, b),
        [...inB].every((ip) => inA.has(ip)),
      );
      assert.equal(
        cidrsOverlap(a, b),
        [...inA].some((ip) => inB.has(ip)),
      );
      const rest = subtractCidr(a, b);
      assert.deepEqual(addressesOf(rest), new Set([...inA].filter((ip) => !inB.has(ip))));
      assert.deepEqual(rest, mergeCidrs(rest), "in order, and the fewest");
      const merged = mergeCidrs(many);
      assert.deepEqual(addressesOf(merged), addressesOf(many));
      assert.equal(merged.length, fewest(many), "the fewest");
      assert.deepEqual([...merged].sort(compareCidr), merged);
    }),
    { numRuns: 500 },
  );
});

test("a range becomes the fewest prefixes", () => {
  const texts = (first: string, last: string) => cidrsOfRange(ipOf(first), ipOf(last)).map(textOfCidr);
  assert.deepEqual(texts("10.0.0.1", "10.0.0.6"), ["10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/31", "10.0.0.6/32"]);
  assert.deepEqual(texts("0.0.0.0", "255.255.255.255"), ["0.0.0.0/0"]);
  assert.deepEqual(texts("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), ["::/0"]);
  assert.deepEqual(texts("10.0.0.2", "10.0.0.1"), []);
  assert.throws(() => texts("10.0.0.1", "::1"), AddressError);
});

/** The addresses of crowded prefixes, each as its text. */
function addressesOf(cidrs: readonly Cidr[]): Set<string> {
  const found = new Set<string>();
  for (const cidr of [...cidrs].sort(compareCidr))
    for (let at = BigInt(cidr.address); at <= BigInt(lastIpOf(cidr)); at++)
      found.add(textOfIp(ipFrom(cidr.version, at)));
  return found;
}

/** How many prefixes the runs of consecutive addresses need. */
function fewest(cidrs: readonly Cidr[]): number {
  const ips = [...addressesOf(cidrs)].map(ipOf);
  let count = 0;
  for (let at = 0; at < ips.length; ) {
    const first = ips[at] ?? assert.fail();
    let last = first;
    for (at++; at < ips.length; at++) {
      const next = ips[at] ?? assert.fail();
      if (versionOf(next) !== versionOf(last) || BigInt(next) !== BigInt(last) + 1n) break;
      last = next;
    }
    count += cidrsOfRange(first, last).length;
  }
  return count;
}
