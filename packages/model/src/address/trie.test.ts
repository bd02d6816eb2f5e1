/** The longest-prefix trie against a plain list of prefixes; removal gives everything back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { anyCidrOf, anyIp, crowdedCidr } from "./arbitraries.ts";
import { anyCidr, type Cidr, cidrContains, cidrOf, lastIpOf, textOfCidr } from "./cidr.ts";
import { ipOf } from "./ip.ts";
import { PrefixTrie } from "./trie.ts";

const prefix = fc.oneof(crowdedCidr, anyCidrOf(anyIp), fc.constantFrom(anyCidr(4), anyCidr(6)));
const step = fc.record({ remove: fc.boolean(), cidr: prefix });

test("after any changes it answers as a plain list of prefixes does, and emptied it is as small as new", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.array(anyIp, { maxLength: 5 }), (steps, ips) => {
      const trie = new PrefixTrie<number>();
      const model = new Map<string, { readonly cidr: Cidr; readonly value: number }>();
      for (const [value, { remove, cidr }] of steps.entries()) {
        if (remove) assert.equal(trie.remove(cidr), model.delete(textOfCidr(cidr)));
        else {
          trie.insert(cidr, value);
          model.set(textOfCidr(cidr), { cidr, value });
        }
      }
      assert.equal(trie.size, model.size);
      const asked = [...ips, ...steps.flatMap(({ cidr }) => [cidr.address, lastIpOf(cidr)])];
      for (const ip of asked) {
        const containing = [...model.values()]
          .filter(({ cidr }) => cidrContains(cidr, ip))
          .sort((a, b) => a.cidr.length - b.cidr.length);
        assert.deepEqual(trie.matches(ip), containing);
        assert.deepEqual(trie.match(ip), containing.at(-1));
        assert.equal(trie.lookup(ip), containing.at(-1)?.value);
      }
      for (const { cidr } of steps) assert.equal(trie.get(cidr), model.get(textOfCidr(cidr))?.value);
      for (const { cidr } of model.values()) assert.equal(trie.remove(cidr), true);
      assert.equal(trie.size, 0);
      assert.equal(trie.nodeCount, 2);
    }),
    { numRuns: 300 },
  );
});

test("the default route holds what nothing else does, and a false value is a value", () => {
  const trie = new PrefixTrie<string | number>();
  trie.insert(cidrOf("0.0.0.0/0"), 0);
  trie.insert(cidrOf("10.0.0.0/8"), "ten");
  trie.insert(cidrOf("10.0.0.1/32"), "");
  assert.equal(trie.lookup(ipOf("255.255.255.255")), 0);
  assert.equal(trie.lookup(ipOf("10.255.255.255")), "ten");
  assert.equal(trie.lookup(ipOf("10.0.0.1")), "");
  assert.equal(trie.lookup(ipOf("::1")), undefined);
  trie.insert(cidrOf("10.0.0.0/8"), "again");
  assert.equal(trie.lookup(ipOf("10.0.0.2")), "again");
  assert.equal(trie.size, 3);
});

test("nodes and slots are used again: churn does not grow it", () => {
  const trie = new PrefixTrie<number>();
  for (let round = 0; round < 50; round++) {
    for (let n = 0; n < 100; n++) trie.insert(cidrOf(`10.${round}.${n}.0/24`), n);
    assert.equal(trie.size, 100);
    assert.ok(trie.nodeCount < 100 * 24);
    for (let n = 0; n < 100; n++) assert.equal(trie.remove(cidrOf(`10.${round}.${n}.0/24`)), true);
  }
  assert.equal(trie.nodeCount, 2);
});
