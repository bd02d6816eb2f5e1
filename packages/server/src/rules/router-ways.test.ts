/** Leased blocks by the ways between routers: who comes by one to another has a block there, and what has no part in a change is not looked at. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { keyOf, NatRest, Port, type View } from "@selvage/model";
import fc from "fast-check";
import { settleRested } from "./nat-leases.ts";
import { putPort, removePort } from "./security-group-sets.ts";
import { second, World } from "./testing/lease-world.ts";

test("machines behind a router whose routes lead to another have a block of that one's, for as long as they do", () => {
  const world = new World(3);
  world.router(1, [1]);
  world.router(2, [2]);
  world.router(3, [3]);
  world.stand("one", 1, 8, "10.8.0.1");
  world.stand("two", 2, 8, "10.8.0.2");
  world.stand("twice", 2, 9, "10.9.0.2");
  world.stand("three", 3, 9, "10.9.0.3");
  world.bind("a", 1, "h1");
  world.bind("b", 2, "h2");
  world.bind("c", 3, "h3");
  world.gateway(3, ["203.0.113.10"]);
  const holders = () => world.leases.map(({ host_id }) => host_id).sort();
  assert.deepEqual(holders(), ["host-3"]);
  world.route(1, ["10.8.0.2", "10.8.0.99", "2001:db8::1"]);
  assert.deepEqual(holders(), ["host-3"], "the way ends there");
  world.route(2, ["10.9.0.3"]);
  assert.deepEqual(holders(), ["host-1", "host-2", "host-3"]);
  world.bind("d", 8, "h1");
  world.unplug("a");
  assert.deepEqual(holders(), ["host-1", "host-2", "host-3"], "what is between them has the way too");
  world.unplug("d");
  assert.deepEqual(holders(), ["host-2", "host-3"]);
  world.bind("a", 1, "h1");
  world.closeGateway(3);
  assert.deepEqual(holders(), []);
  world.gateway(3, ["203.0.113.10"]);
  assert.deepEqual(holders(), ["host-1", "host-2", "host-3"]);
  world.route(1, []);
  assert.deepEqual(holders(), ["host-2", "host-3"]);
  world.route(1, ["10.8.0.2"]);
  assert.deepEqual(holders(), ["host-1", "host-2", "host-3"]);
  world.stand("twice", 2, 9, "10.9.0.4");
  world.stand("three", 3, 9, "10.9.0.5");
  assert.deepEqual(holders(), ["host-3"], "the next hop is nobody's any more");
});

test("an interface that goes takes the way on with it: no router further on keeps a block for who came by it", () => {
  for (const taken of ["first", "next"] as const) {
    const world = new World(3);
    for (const n of [1, 2, 3]) world.router(n, [n]);
    world.stand("first", 1, 8, "10.8.0.1");
    world.stand("next", 2, 8, "10.8.0.2");
    world.stand("further", 2, 9, "10.9.0.2");
    world.stand("last", 3, 9, "10.9.0.3");
    world.route(1, ["10.8.0.2"]);
    world.route(2, ["10.9.0.3"]);
    for (const n of [1, 2, 3]) world.bind(`machine-${n}`, n, `h${n}`);
    world.gateway(3, ["203.0.113.10"]);
    world.gateway(2, ["203.0.113.11"]);
    const held = ["router-2 host-1", "router-2 host-2", "router-3 host-1", "router-3 host-2", "router-3 host-3"];
    assert.deepEqual(world.pairs, held);
    world.unplug(taken);
    assert.deepEqual(world.pairs, ["router-2 host-2", "router-3 host-2", "router-3 host-3"], taken);
    if (taken === "first") world.stand("first", 1, 8, "10.8.0.1");
    else world.stand("next", 2, 8, "10.8.0.2");
    assert.deepEqual(world.pairs, held, "and it is back");
  }
});

test("a way that becomes one router too long is none any more", () => {
  const world = new World(1);
  for (let n = 1; n <= 5; n += 1) world.router(n, [n]);
  for (let n = 1; n <= 4; n += 1) {
    world.stand(`from-${n}`, n, 10 + n, `10.${n}.0.1`);
    world.stand(`to-${n}`, n + 1, 10 + n, `10.${n}.0.2`);
  }
  world.stand("short-from", 2, 20, "10.20.0.1");
  world.stand("short-to", 5, 20, "10.20.0.2");
  world.bind("machine", 1, "h1");
  world.gateway(5, ["203.0.113.10"]);
  for (const n of [1, 3, 4]) world.route(n, [`10.${n}.0.2`]);
  world.route(2, ["10.2.0.2", "10.20.0.2"]);
  assert.deepEqual(world.pairs, ["router-5 host-1"]);
  world.route(2, ["10.2.0.2"]);
  assert.deepEqual(world.pairs, []);
});

/** Routers with a network, a gateway and a machine each, that all stand on one network besides; none has a route. */
function beside(routers: number): World {
  const world = new World(routers + 1);
  for (let n = 1; n <= routers; n += 1) {
    world.router(n, [n]);
    world.stand(`shared-${n}`, n, 999, `10.99.0.${n}`);
    world.gateway(n, [`203.0.113.${n}`]);
    world.bind(`machine-${n}`, n, `h${n}`);
  }
  return world;
}

test("an interface on a network that routers share settles its own router, and nothing of those beside it is asked but their routes", () => {
  const world = beside(20);
  const interfaceOf = (view: View): Port => {
    const port = view.get(Port, "shared-7");
    assert.ok(port);
    return port;
  };
  const others = new Set(Array.from({ length: 20 }, (_, at) => at + 1).filter((n) => n !== 7));
  const keys = new Set([...others].flatMap((n) => [`net-${n}`, `host-${n}`, keyOf(`router-${n}`, `host-${n}`)]));
  const looked = [
    ...world.counted((t) => removePort(t, interfaceOf(t.view))),
    ...world.counted((t) => void putPort(t, world.port("shared-7", 999, { router_id: "router-7" }))),
  ];
  assert.deepEqual(
    looked.filter((each) => keys.has(each.slice(each.indexOf(" ") + 1))),
    [],
  );
  const asked = looked.filter((each) => /^\w+ router-/.test(each) && !each.includes("router-7"));
  assert.deepEqual([...new Set(asked)].sort(), [...others].map((n) => `router router-${n}`).sort());
  assert.ok(asked.length <= 2 * others.size, `${asked.length}`);
  world.check();
});

test("the first and the last port of a shared network on a host cost what routers it has, not their square", () => {
  const lookups = (routers: number): readonly number[] => {
    const world = beside(routers);
    const host = `h${routers + 1}`;
    const came = world.counted((t) => void putPort(t, world.port("guest", 999, { "binding:host_id": host })));
    assert.equal(world.leases.filter(({ host_id }) => host_id === `host-${routers + 1}`).length, routers);
    world.check();
    const went = world.counted((t) => {
      const port = t.view.get(Port, "guest");
      assert.ok(port);
      removePort(t, port);
    });
    world.check();
    return [came.length, went.length];
  };
  const [few, more] = [lookups(10), lookups(40)];
  for (const [at, count] of more.entries()) assert.ok(count <= 4 * Number(few[at]), `${few} ${more}`);
});

test("what has rested of an address concerns its router, and there the hosts that wait", () => {
  const world = beside(20);
  const until = new Date(world.now).toISOString().replace(".000", "");
  const rest = { id: "rest", network_id: "outside", address: "203.0.113.7", first: 32_768, size: 1024, until };
  world.do((t) => void t.put(NatRest, rest));
  const looked = world.counted((t) => settleRested(t, [rest]));
  const routers = looked.flatMap((each) => /\brouter-\d+/.exec(each) ?? []);
  const first = looked.filter((each) => each.startsWith("gateway_of ") || each.startsWith("holder "));
  assert.deepEqual(first, ["gateway_of router-7"], "its host has a block, and is not asked for");
  assert.ok(routers.length > 0);
  world.check();
});

test("however interfaces, routes and gateways come and go, exactly those have a block whose way leads there", () => {
  const routers = 6;
  const router = fc.integer({ min: 1, max: routers });
  const net = fc.integer({ min: 11, max: 13 });
  const place = fc.record({ router, net });
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ stand: place, at: fc.nat(1) }) },
    { weight: 2, arbitrary: fc.record({ leave: place }) },
    { weight: 5, arbitrary: fc.record({ route: router, to: fc.array(fc.record({ place, at: fc.nat(1) })) }) },
    { weight: 2, arbitrary: fc.record({ open: router }) },
    { weight: 1, arbitrary: fc.record({ close: router }) },
    { weight: 2, arbitrary: fc.record({ bind: net, host: router }) },
    { weight: 1, arbitrary: fc.record({ unbind: net, host: router }) },
  );
  const addressOf = (at: { readonly router: number; readonly net: number }, which: number): string =>
    `10.${at.net}.0.${2 * at.router + which}`;
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 50, size: "max" }), (steps) => {
      const world = new World(routers);
      for (let n = 1; n <= routers; n += 1) {
        world.router(n, [n]);
        world.bind(`machine-${n}`, n, `h${n}`);
        world.gateway(n, [`203.0.113.${n}`]);
        // A chain to begin with.
        if (n <= 3) world.stand(`stand-${n}-${10 + n}`, n, 10 + n, addressOf({ router: n, net: 10 + n }, 0));
        if (n > 1 && n <= 4) world.stand(`stand-${n}-${9 + n}`, n, 9 + n, addressOf({ router: n, net: 9 + n }, 0));
        if (n > 1 && n <= 4) world.route(n - 1, [addressOf({ router: n, net: 9 + n }, 0)]);
      }
      for (const each of steps) {
        if ("stand" in each) {
          const { router, net } = each.stand;
          world.stand(`stand-${router}-${net}`, router, net, addressOf(each.stand, each.at));
        } else if ("leave" in each) world.unplug(`stand-${each.leave.router}-${each.leave.net}`);
        else if ("route" in each)
          world.route(each.route, [...new Set(each.to.map((to) => addressOf(to.place, to.at)))]);
        else if ("open" in each) world.gateway(each.open, [`203.0.113.${each.open}`]);
        else if ("close" in each) world.closeGateway(each.close);
        else if ("unbind" in each) world.unplug(`guest-${each.unbind}-${each.host}`);
        else world.bind(`guest-${each.bind}-${each.host}`, each.bind, `h${each.host}`);
        world.check();
        // Nothing is short of ports here.
        world.now += 200 * second;
      }
    }),
    { numRuns: 60 },
  );
});
