import assert from "node:assert/strict";
import { test } from "node:test";
import { Overlay, Port, Replica, Subnet, track } from "@selvage/model";
import { makePort, makeSubnet, put, testId } from "@selvage/model/testing";
import fc from "fast-check";
import {
  type Choosing,
  pick,
  pickAddress,
  pickHostKey,
  pickMac,
  pickPhysicalKey,
  type Random,
  secureRandom,
} from "./allocate.ts";

const spans = fc.uniqueArray(fc.bigInt({ min: 0n, max: 400n }), { minLength: 2, maxLength: 8 }).map((ends) => {
  const sorted = ends.toSorted((a, b) => (a < b ? -1 : 1));
  const paired = [];
  for (let i = 0; i + 1 < sorted.length; i += 2) paired.push({ first: sorted[i] ?? 0n, last: sorted[i + 1] ?? 0n });
  return paired;
});

function choosing(replica: Replica, random: Random = secureRandom): Choosing {
  return { view: new Overlay(replica), hints: replica, random };
}

test("every free number can be had, each once, and then there is none", () => {
  fc.assert(
    fc.property(spans, (given) => {
      const taken = new Set<bigint>();
      const all = new Set<bigint>();
      for (const { first, last } of given) for (let n = first; n <= last; n++) all.add(n);
      for (
        let n = pick(given, secureRandom, (each) => taken.has(each));
        n !== undefined;
        n = pick(given, secureRandom, (each) => taken.has(each))
      ) {
        assert.ok(all.has(n), `${n} is outside of the spans`);
        assert.ok(!taken.has(n), `${n} was given twice`);
        taken.add(n);
      }
      assert.deepEqual(taken, all);
    }),
    { numRuns: 50 },
  );
});

test("0 is a number, one span of one number is a span, and no span is no number", () => {
  assert.equal(
    pick([{ first: 0n, last: 0n }], secureRandom, () => false),
    0n,
  );
  assert.equal(
    pick([{ first: 0n, last: 0n }], secureRandom, () => true),
    undefined,
  );
  assert.equal(
    pick([], secureRandom, () => false),
    undefined,
  );
});

test("a choice among thousands of taken numbers in a large span costs a bounded number of probes", () => {
  const taken = new Set<bigint>();
  for (let n = 0n; n < 5000n; n++) taken.add(n);
  let probes = 0;
  // A generator that always says 0: the worst there is.
  const found = pick(
    [{ first: 0n, last: (1n << 64n) - 1n }],
    () => 0n,
    (n) => {
      probes += 1;
      return taken.has(n);
    },
  );
  assert.equal(found, 5000n);
  assert.ok(probes <= 5000 + 13, `${probes} probes`);
});

test("a subnet's last address is found, IPv4 and IPv6 alike, and only the choice is a precondition", () => {
  for (const [version, cidr, start, end, last] of [
    [4, "10.0.0.0/29", "10.0.0.2", "10.0.0.6", "10.0.0.4"],
    [6, "fd00::/125", "fd00::2", "fd00::6", "fd00::4"],
  ] as const) {
    const subnet = makeSubnet({ ip_version: version, cidr, allocation_pools: [{ start, end }] });
    const replica = new Replica();
    const prefix = last.slice(0, -1);
    const held = [2, 3, 5, 6].map((n) =>
      put(
        Port,
        makePort({
          id: testId("port", n),
          key: n,
          mac_address: `fa:16:3e:00:00:0${n}`,
          fixed_ips: [{ subnet_id: subnet.id, ip_address: `${prefix}${n}` }],
        }),
      ),
    );
    replica.apply([put(Subnet, subnet), ...held], 1);
    const { view, reads } = track(replica);
    assert.equal(pickAddress({ view, hints: replica, random: secureRandom }, subnet), last);
    assert.equal(reads.size, 1);
    assert.ok(
      reads.touchedBy(
        [
          put(
            Port,
            makePort({ id: testId("port", 9), key: 9, fixed_ips: [{ subnet_id: subnet.id, ip_address: last }] }),
          ),
        ],
        replica,
      ),
    );
    assert.equal(pickAddress(choosing(replica), subnet, new Set([last])), undefined);
  }
});

test("addresses are spread over the pool, not given in order", () => {
  const subnet = makeSubnet({ cidr: "10.0.0.0/16", allocation_pools: [{ start: "10.0.0.2", end: "10.0.255.254" }] });
  const replica = new Replica();
  const seen = new Set(Array.from({ length: 50 }, () => pickAddress(choosing(replica), subnet)));
  // 50 draws of 65,000: fewer than 40 different ones has a chance below 10^-20.
  assert.ok(seen.size > 40);
});

test("a full range of keys is a clear error, and a freed key is given again", () => {
  const replica = new Replica();
  assert.equal(pickPhysicalKey(choosing(replica), { first: 0xf00000, last: 0xf00000 }), 0xf00000);
  assert.throws(() => pickHostKey(choosing(replica), { first: 1, last: 0 }), { type: "NumbersExhausted", status: 507 });
  assert.throws(() => pickPhysicalKey(choosing(replica), { first: 1, last: 0 }), {
    type: "NoNetworkAvailable",
    status: 503,
  });
});

test("a MAC has the prefix and passes over those that the network has", () => {
  const replica = new Replica();
  const port = makePort({ mac_address: "fa:16:3e:00:00:00" });
  replica.apply([put(Port, port)], 1);
  assert.equal(
    pickMac(
      choosing(replica, () => 0n),
      port.network_id,
      "fa:16:3e",
    ),
    "fa:16:3e:00:00:01",
  );
  assert.equal(
    pickMac(
      choosing(replica, () => 0xabcdefn),
      port.network_id,
      "fa:16:3e",
    ),
    "fa:16:3e:ab:cd:ef",
  );
});
