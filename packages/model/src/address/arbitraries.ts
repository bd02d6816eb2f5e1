/** Random addresses for the tests of this folder, weighted to the edges where parsers break. */
import fc from "fast-check";
import { type Cidr, networkOf } from "./cidr.ts";
import { type Ip, type Ip4, type Ip6, ip4, ip6 } from "./ip.ts";
import { type Mac, macFrom } from "./mac.ts";

export const anyIp4: fc.Arbitrary<Ip4> = fc.nat(0xffff_ffff).map(ip4);

/** Groups are often zero, so that the cutting of zeros is exercised. */
export const anyIp6: fc.Arbitrary<Ip6> = fc
  .array(fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.nat(15), fc.nat(0xffff), fc.constant(0xffff)), {
    minLength: 8,
    maxLength: 8,
  })
  .map((groups) => ip6(groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n)));

export const anyIp: fc.Arbitrary<Ip> = fc.oneof(anyIp4, anyIp6);

export const anyMac: fc.Arbitrary<Mac> = fc.nat(2 ** 48 - 1).map(macFrom);

/** Any prefix around the given addresses. */
export function anyCidrOf(ips: fc.Arbitrary<Ip>): fc.Arbitrary<Cidr> {
  return fc.tuple(ips, fc.nat(128)).map(([ip, length]) => networkOf(ip, typeof ip === "number" ? length % 33 : length));
}

/** Prefixes among the last 64 addresses of either version, where overlap and adjacency are common. */
export const crowdedCidr: fc.Arbitrary<Cidr> = fc
  .tuple(fc.boolean(), fc.nat(63), fc.nat(6))
  .map(([four, host, hostBits]) =>
    four
      ? networkOf(ip4(0xffff_ffc0 + host), 32 - hostBits)
      : networkOf(ip6((1n << 128n) - 64n + BigInt(host)), 128 - hostBits),
  );

/** Texts that look like addresses: mutations of real ones, so that parsers meet near misses. */
export function nearMiss(texts: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc
    .tuple(
      texts,
      fc.array(fc.tuple(fc.nat(45), fc.nat(2), fc.constantFrom(..."0123456789abcdefxg:./%- ")), { maxLength: 3 }),
    )
    .map(([text, edits]) =>
      edits.reduce((now, [at, cut, insert]) => {
        const place = at % (now.length + 1);
        return now.slice(0, place) + (cut === 2 ? "" : insert) + now.slice(place + (cut === 0 ? 0 : 1));
      }, text),
    );
}
