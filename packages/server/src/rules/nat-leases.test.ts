/** Leased blocks as ports, interfaces, gateways and hosts come and go: who needs one has one, nobody has another's, and what was given back rests. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Host, NatLease, NatRest, Router } from "@selvage/model";
import { makeHost, makeNatLease, put } from "@selvage/model/testing";
import fc from "fast-check";
import { secondsText } from "../transaction.ts";
import { restedBlocks, settleHost, settleRested, settleRouter, settleUse } from "./nat-leases.ts";
import { second, World } from "./testing/lease-world.ts";

/** What servers do every now and then. Gives what had rested. */
function lookForRested(world: World): readonly NatRest[] {
  const rested = restedBlocks(world.replica, secondsText(world.now));
  world.do((t) => settleRested(t, rested));
  return rested;
}

test("a host's first port behind a router brings a block, its last one takes it, and the block rests for two minutes", () => {
  const world = new World(2);
  world.router(1, [1, 2]);
  world.bind("a", 1, "h1");
  assert.deepEqual(world.holders, [], "there is no way out yet");
  world.gateway(1, ["2001:db8::1", "203.0.113.10"]);
  assert.deepEqual(world.holders, ["router-1 host-1 203.0.113.10"]);
  world.bind("b", 2, "h1");
  world.bind("c", 2, "h2");
  assert.deepEqual(world.holders, ["router-1 host-1 203.0.113.10", "router-1 host-2 203.0.113.10"]);
  world.check();
  const [first] = world.leases.filter((lease) => lease.host_id === "host-1");
  world.unplug("a");
  assert.equal(world.leases.length, 2, "another port is still there");
  // At the end of a second: times are written in whole ones.
  world.now += second - 1;
  world.unplug("b");
  assert.deepEqual(world.holders, ["router-1 host-2 203.0.113.10"]);
  world.now += 120 * second - 1;
  world.bind("a", 1, "h1");
  const block = (host: string) => world.leases.find((lease) => lease.host_id === host)?.first;
  assert.notEqual(block("host-1"), first?.first, "it rests");
  world.unplug("a");
  world.now += 122 * second;
  world.bind("a", 1, "h1");
  assert.equal(block("host-1"), first?.first, "it has rested");
  world.check();
  world.unplug("a");
  assert.equal(block("host-1"), undefined, "and comes back before it was forgotten that it had");
  lookForRested(world);
  assert.equal([...world.replica.objects(NatRest)].length, 1, "what has rested is forgotten");
  world.check();
});

test("what a router does not translate needs no block: without a gateway, without source translation, of IPv6 alone", () => {
  const world = new World(1);
  world.router(1, [1]);
  world.bind("a", 1, "h1");
  world.gateway(1, ["2001:db8::1"]);
  assert.deepEqual(world.holders, []);
  world.gateway(1, ["203.0.113.10"]);
  assert.equal(world.leases.length, 1);
  const snat = (enable_snat: boolean) =>
    world.do((t) => {
      const router = t.view.get(Router, "router-1");
      assert.ok(router);
      t.put(Router, { ...router, enable_snat });
      settleRouter(t, "router-1");
    });
  snat(false);
  assert.deepEqual(world.holders, []);
  snat(true);
  assert.equal(world.leases.length, 1);
  world.gateway(1, ["203.0.113.11"]);
  assert.deepEqual(world.holders, ["router-1 host-1 203.0.113.11"], "another address, another block");
  world.closeGateway(1);
  assert.deepEqual(world.holders, []);
});

test("a host that comes after its ports gets its block, and one of several addresses is taken where there is most room", () => {
  const world = new World(0);
  world.router(1, [1]);
  world.gateway(1, ["203.0.113.10", "203.0.113.11"]);
  for (let n = 1; n <= 4; n += 1) world.bind(`port-${n}`, 1, `h${n}`);
  assert.deepEqual(world.holders, []);
  for (let n = 1; n <= 4; n += 1) {
    world.do((t) => {
      t.put(Host, makeHost({ id: `host-${n}`, name: `h${n}`, key: n, tunnel_ip: null }));
      settleHost(t, "net-1", `h${n}`);
    });
  }
  world.check();
  assert.deepEqual(
    ["203.0.113.10", "203.0.113.11"].map((each) => world.leases.filter(({ address }) => address === each).length),
    [2, 2],
  );
});

test("a host that found no block gets one as soon as some have rested, without anything else changing", () => {
  const world = new World(2);
  world.router(1, [1]);
  world.gateway(1, ["203.0.113.10"]);
  world.do((t) => {
    for (let size = 1024; size <= 32_768; size *= 2) {
      const until = secondsText(world.now + 60 * second);
      t.put(NatRest, { id: `rest-${size}`, network_id: "outside", address: "203.0.113.10", first: size, size, until });
    }
  });
  world.bind("a", 1, "h1");
  assert.deepEqual(world.holders, []);
  assert.deepEqual([lookForRested(world).length, world.holders], [0, []]);
  world.now += 60 * second;
  assert.deepEqual([lookForRested(world).length, world.holders.length], [6, 1]);
  assert.equal([...world.replica.objects(NatRest)].length, 0);
  world.check();
});

test("who comes when blocks have rested, and has one of them at once, does not leave without those that waited", () => {
  const world = new World(3);
  world.router(1, [1]);
  world.gateway(1, ["203.0.113.10"]);
  world.do((t) => {
    for (let size = 1024; size <= 32_768; size *= 2)
      t.put(NatRest, {
        ...{ id: `rest-${size}`, network_id: "outside", address: "203.0.113.10", first: size, size },
        until: secondsText(world.now + 60 * second),
      });
  });
  world.bind("a", 1, "h1");
  world.bind("b", 1, "h2");
  world.now += 60 * second;
  world.bind("c", 1, "h3");
  assert.deepEqual(world.holders, ["router-1 host-3 203.0.113.10"]);
  lookForRested(world);
  assert.equal(world.holders.length, 3);
  world.check();
});

test("a block follows what is used of it: a larger one takes what is new, the old one goes when nothing is left in it", () => {
  const world = new World(1);
  world.router(1, [1]);
  world.gateway(1, ["203.0.113.10"]);
  world.bind("a", 1, "h1");
  const use = (of: (lease: NatLease) => number) =>
    world.do((t) => settleUse(t, "host-1", new Map(world.leases.map((each) => [each.id, of(each)]))));
  const shown = () => world.leases.map(({ size, current }) => `${size}${current ? "" : " draining"}`).sort();
  use(() => 768);
  assert.deepEqual(shown(), ["1024"]);
  use(() => 769);
  assert.deepEqual(shown(), ["1024 draining", "2048"]);
  use(({ current }) => (current ? 300 : 1));
  assert.deepEqual(shown(), ["1024 draining", "2048"], "one connection holds it");
  use(({ current }) => (current ? 300 : 0));
  assert.deepEqual(shown(), ["2048"]);
  world.check();
  use(() => 100);
  assert.deepEqual(shown(), ["1024", "2048 draining"]);
  use(() => 0);
  assert.deepEqual(shown(), ["1024"]);
  world.do((t) => settleUse(t, "host-1", new Map()));
  assert.deepEqual(shown(), ["1024"], "what nothing is said of stays");
  world.check();
});

test("a host that is busy now more and now less begins again in blocks that it has: they do not become more, and others find theirs", () => {
  const world = new World(2);
  world.router(1, [1]);
  world.gateway(1, ["203.0.113.10"]);
  world.bind("a", 1, "h1");
  const current = () => world.leases.filter((each) => each.current).map(({ size }) => size);
  // As agents tell it: of other blocks than the current one nothing, as long as the router has connections.
  const use = (count: number) =>
    world.do((t) => {
      const told = world.leases.filter((each) => each.current || count === 0);
      settleUse(t, "host-1", new Map(told.map((each) => [each.id, count])));
    });
  const sizes = [1024, 2048, 4096, 8192, 16_384];
  for (let day = 0; day < 3; day += 1) {
    for (const [at, size] of sizes.entries()) {
      assert.deepEqual(current(), [size]);
      use(at + 1 < sizes.length ? size : size / 2);
    }
    for (const size of sizes.toReversed()) {
      assert.deepEqual(current(), [size]);
      use(1);
    }
    assert.deepEqual(
      world.leases.map(({ size }) => size).sort((one, other) => one - other),
      sizes,
    );
    world.check();
  }
  world.bind("b", 1, "h2");
  assert.deepEqual(current(), [1024, 1024]);
  // The last connection has ended: what is current stays, and the others go.
  use(1024);
  use(0);
  assert.deepEqual(current().length, 2);
  use(0);
  assert.deepEqual(
    world.leases.map(({ size }) => size),
    [1024, 1024],
  );
  world.check();
});

test("another host's word about a block is nothing to it", () => {
  const world = new World(2);
  world.replica.apply([put(NatLease, makeNatLease({ id: "lease", router_id: "r", host_id: "host-1" }))], 99);
  world.do((t) => settleUse(t, "host-2", new Map([["lease", 1024]])));
  assert.deepEqual(world.leases.length, 1);
});

test("whatever comes, goes and moves, who needs a block has one, no two have a port in common, and none is given that rests", () => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ bind: fc.integer({ min: 1, max: 12 }), host: fc.integer({ min: 1, max: 9 }) }),
    },
    { weight: 3, arbitrary: fc.record({ unplug: fc.integer({ min: 1, max: 12 }) }) },
    { weight: 2, arbitrary: fc.record({ open: fc.integer({ min: 1, max: 2 }), address: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.record({ close: fc.integer({ min: 1, max: 2 }) }) },
    { weight: 2, arbitrary: fc.record({ pass: fc.integer({ min: 1, max: 200 }) }) },
    { weight: 4, arbitrary: fc.record({ used: fc.nat(1200), by: fc.integer({ min: 1, max: 9 }) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const world = new World(8);
      world.router(1, [1, 2]);
      world.router(2, [2, 3]);
      for (const each of steps) {
        if ("bind" in each) world.bind(`port-${each.bind}`, (each.bind % 3) + 1, `h${each.host}`);
        else if ("unplug" in each) world.unplug(`port-${each.unplug}`);
        else if ("open" in each) world.gateway(each.open, [`203.0.113.${10 * each.open + each.address}`]);
        else if ("close" in each) world.closeGateway(each.close);
        else if ("pass" in each) world.now += each.pass * second;
        else
          world.do((t) =>
            settleUse(
              t,
              `host-${each.by}`,
              new Map(world.leases.map(({ id, size }) => [id, Math.min(each.used, size)])),
            ),
          );
        world.check();
      }
    }),
    { numRuns: 60 },
  );
});
