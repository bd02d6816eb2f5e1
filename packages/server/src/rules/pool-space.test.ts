import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bitsOf,
  type Cidr,
  cidrCovers,
  cidrOf,
  compareCidr,
  FreePrefix,
  ipFrom,
  keyOf,
  mergeCidrs,
  networkOf,
  Replica,
  textOfCidr,
  valueOfIp,
} from "@selvage/model";
import fc from "fast-check";
import { Transaction } from "../transaction.ts";
import { addFree, quotaUnits, takeAny, takeFree, without } from "./pool-space.ts";

const pool = "00000000-0000-4000-8000-000000000001";
const other = "00000000-0000-4000-8000-000000000002";
const author = { kind: "system", id: "test", request_id: "test" } as const;
const begin = (): Transaction => new Transaction(new Replica(), author, 0);

/** What stands as free, in order. */
function freeOf({ view }: Transaction, version: 4 | 6, poolId = pool): readonly Cidr[] {
  const lengths = Array.from({ length: bitsOf(version) + 1 }, (_, length) => length);
  return lengths
    .flatMap((length) => view.by(FreePrefix.index.size, keyOf(poolId, length)))
    .map((free) => cidrOf(free.cidr))
    .sort(compareCidr);
}

const texts = (cidrs: readonly Cidr[]): readonly string[] => cidrs.map(textOfCidr);

test("the smallest block that fits is taken from, the lowest first, and what comes back is joined", () => {
  const transaction = begin();
  addFree(transaction, pool, cidrOf("10.70.0.0/16"));
  addFree(transaction, other, cidrOf("10.70.0.0/16"));
  const take = (length: number): string | undefined => {
    const taken = takeAny(transaction, pool, length);
    return taken === undefined ? undefined : textOfCidr(taken);
  };
  // As a Neutron was captured to give them.
  assert.deepEqual([take(26), take(27), take(24)], ["10.70.0.0/26", "10.70.0.64/27", "10.70.1.0/24"]);
  assert.equal(take(27), "10.70.0.96/27", "the smallest that fits, not the first");
  assert.equal(takeFree(transaction, pool, cidrOf("10.70.1.128/25")), false, "no part of what is taken");
  assert.equal(takeFree(transaction, pool, cidrOf("10.71.0.0/24")), false, "nothing from outside");
  assert.equal(takeFree(transaction, pool, cidrOf("10.70.255.0/24")), true);
  for (const back of ["10.70.0.0/26", "10.70.0.64/27", "10.70.1.0/24", "10.70.255.0/24", "10.70.0.96/27"])
    addFree(transaction, pool, cidrOf(back));
  assert.deepEqual(texts(freeOf(transaction, 4)), ["10.70.0.0/16"]);
  assert.deepEqual(texts(freeOf(transaction, 4, other)), ["10.70.0.0/16"], "each pool has its own");
  assert.equal(take(15), undefined);
  assert.equal(take(16), "10.70.0.0/16");
  assert.equal(take(32), undefined);
});

test("a subnet costs as many objects as an address has bits at most, however many there are", () => {
  const transaction = begin();
  addFree(transaction, pool, cidrOf("2001:db8::/32"));
  for (let n = 0; n < 3_000; n++) assert.ok(takeAny(transaction, pool, 64));
  assert.ok(freeOf(transaction, 6).length <= 32);
  const before = transaction.reads.size;
  takeAny(transaction, pool, 64);
  assert.ok(transaction.reads.size - before <= 2 * 64, String(transaction.reads.size - before));
});

test("quotas count addresses of IPv4 and /64s of IPv6", () => {
  assert.deepEqual(
    [quotaUnits(4, 32), quotaUnits(4, 24), quotaUnits(6, 64), quotaUnits(6, 48), quotaUnits(6, 65)],
    [1, 256, 1, 65_536, 0.5],
  );
});

type Step =
  | { readonly do: "grow" | "shrink" | "exactly"; readonly at: number; readonly length: number }
  | { readonly do: "any"; readonly length: number }
  | { readonly do: "back"; readonly which: number };

/** Blocks of a space of 256 addresses. */
const length = fc.integer({ min: 0, max: 8 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constantFrom("grow" as const, "shrink" as const, "exactly" as const),
    at: fc.integer({ min: 0, max: 255 }),
    length,
  }),
  fc.record({ do: fc.constant("any" as const), length }),
  fc.record({ do: fc.constant("any" as const), length: fc.integer({ min: 4, max: 8 }) }),
  fc.record({ do: fc.constant("back" as const), which: fc.nat(1_000) }),
);

for (const version of [4, 6] as const) {
  test(`IPv${version}: free space is always the prefixes less what was taken, and nothing is given twice`, () => {
    const base = networkOf(
      ipFrom(version, valueOfIp(cidrOf(version === 4 ? "10.9.8.0/24" : "fd09::700/120").address)),
      bitsOf(version) - 8,
    );
    const block = (at: number, extra: number): Cidr =>
      networkOf(ipFrom(version, valueOfIp(base.address) + BigInt(at)), base.length + extra);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const transaction = begin();
        let prefixes: readonly Cidr[] = [];
        let taken: readonly Cidr[] = [];
        const free = (): readonly Cidr[] => mergeCidrs(prefixes.flatMap((prefix) => without(prefix, taken)));
        for (const each of steps) {
          const before = free();
          switch (each.do) {
            case "grow": {
              const wanted = block(each.at, each.length);
              for (const part of without(wanted, prefixes)) addFree(transaction, pool, part);
              prefixes = mergeCidrs([...prefixes, wanted]);
              break;
            }
            case "shrink": {
              const gone = block(each.at, each.length);
              const rest = prefixes.flatMap((prefix) => without(prefix, [gone]));
              const parts = prefixes.flatMap((prefix) => without(prefix, rest));
              const can = parts.every((part) => before.some((each) => cidrCovers(each, part)));
              if (!can) break;
              for (const part of parts) assert.equal(takeFree(transaction, pool, part), true);
              prefixes = mergeCidrs(rest);
              break;
            }
            case "exactly": {
              const wanted = block(each.at, each.length);
              const fits = before.some((each) => cidrCovers(each, wanted));
              assert.equal(takeFree(transaction, pool, wanted), fits);
              if (fits) taken = [...taken, wanted];
              break;
            }
            case "any": {
              const wanted = base.length + each.length;
              const [best] = before
                .filter((each) => each.length <= wanted)
                .toSorted((a, b) => b.length - a.length || compareCidr(a, b));
              const got = takeAny(transaction, pool, wanted);
              assert.deepEqual(got, best === undefined ? undefined : networkOf(best.address, wanted));
              if (got !== undefined) taken = [...taken, got];
              break;
            }
            case "back": {
              const back = taken[each.which % Math.max(1, taken.length)];
              if (back === undefined) break;
              addFree(transaction, pool, back);
              taken = taken.filter((other) => other !== back);
              break;
            }
          }
          assert.deepEqual(texts(freeOf(transaction, version)), texts(free()));
        }
      }),
      { numRuns: 150 },
    );
  });
}
