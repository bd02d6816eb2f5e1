/** Leased blocks as ports, interfaces, gateways and hosts come and go: who needs one has one, nobody has another's, and what was given back rests. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Host, keyOf, leasedPorts, NatLease, NatRest, Network, Port, Project, Replica, Router } from "@selvage/model";
import {
  makeExternalNetwork,
  makeGateway,
  makeHost,
  makeNatLease,
  makeNetwork,
  makePort,
  makeProject,
  makeRouter,
  put,
  testMac,
} from "@selvage/model/testing";
import fc from "fast-check";
import { overlaps } from "../nat-blocks.ts";
import { Transaction } from "../transaction.ts";
import { restedBlocks, settleHost, settleRested, settleRouter, settleUse, settleWays } from "./nat-leases.ts";
import { routersFrom } from "./router-ways.ts";
import { putPort, removePort } from "./security-group-sets.ts";

const second = 1_000;

/** A view that transactions are applied to, at a time that the test says. */
class World {
  readonly replica = new Replica();
  now = Date.parse("2026-01-01T00:00:00Z");

  constructor(hosts: number) {
    this.do((t) => {
      t.put(Project, makeProject());
      t.put(Network, makeExternalNetwork({ id: "outside" }));
      for (let n = 1; n <= hosts; n += 1)
        t.put(Host, makeHost({ id: `host-${n}`, name: `h${n}`, key: n, tunnel_ip: null }));
    });
  }

  do(rules: (transaction: Transaction) => void): void {
    const author = { kind: "system", id: "test", request_id: "test" } as const;
    const transaction = new Transaction(this.replica, author, this.now);
    rules(transaction);
    this.replica.apply(transaction.changes(), this.replica.revision + 1);
  }

  router(n: number, networks: readonly number[]): void {
    this.do((t) => {
      t.put(Router, makeRouter({ id: `router-${n}`, key: n }));
      for (const net of networks) {
        if (!t.view.has(Network, `net-${net}`))
          t.put(Network, makeNetwork({ id: `net-${net}`, "provider:segmentation_id": net }));
        putPort(t, this.port(`interface-${n}-${net}`, net, { router_id: `router-${n}` }));
      }
    });
  }

  port(id: string, net: number, more: Partial<Port> = {}): Port {
    const number = [...id].reduce((hash, letter) => (hash * 31 + letter.charCodeAt(0)) % 0xffffff, 7);
    const own = { id, network_id: `net-${net}`, mac_address: testMac(number), key: number + 1, fixed_ips: [] };
    return makePort({ ...own, port_security_enabled: false, ...more });
  }

  gateway(n: number, addresses: readonly string[]): void {
    const id = `gateway-${n}`;
    this.do((t) => {
      const fixed_ips = addresses.map((ip_address) => ({ subnet_id: "s", ip_address }));
      const port = makeGateway({
        id,
        network_id: "outside",
        gateway_of: `router-${n}`,
        fixed_ips,
        mac_address: testMac(0xd00000 + n),
        key: 0xd00000 + n,
      });
      putPort(t, port);
    });
  }

  closeGateway(n: number): void {
    this.do((t) => {
      const port = t.view.get(Port, `gateway-${n}`);
      if (port !== undefined) removePort(t, port);
    });
  }

  bind(id: string, net: number, host: string): void {
    this.do((t) => void putPort(t, this.port(id, net, { "binding:host_id": host })));
  }

  unplug(id: string): void {
    this.do((t) => {
      const port = t.view.get(Port, id);
      if (port !== undefined) removePort(t, port);
    });
  }

  get leases(): readonly NatLease[] {
    return [...this.replica.objects(NatLease)];
  }

  get holders(): readonly string[] {
    return this.leases.map((lease) => `${lease.router_id} ${lease.host_id} ${lease.address}`).sort();
  }

  /** Router and host, of each that should have a lease. */
  get wanted(): readonly string[] {
    const ports = [...this.replica.objects(Port)];
    const wanted = new Set<string>();
    for (const router of this.replica.objects(Router)) {
      const gateway = ports.find((port) => port.gateway_of === router.id);
      if (!router.enable_snat || gateway?.fixed_ips.some((fixed) => !fixed.ip_address.includes(":")) !== true) continue;
      const networks = ports.filter((port) => port.router_id === router.id).map((port) => port.network_id);
      for (const port of ports) {
        const [host] = this.replica.by(Host.index.name, port["binding:host_id"]);
        if (host !== undefined && networks.includes(port.network_id)) wanted.add(`${router.id} ${host.id}`);
      }
    }
    return [...wanted].sort();
  }

  check(): void {
    assert.deepEqual([...new Set(this.leases.map((each) => `${each.router_id} ${each.host_id}`))].sort(), this.wanted);
    const rests = [...this.replica.objects(NatRest)].filter((rest) => Date.parse(rest.until) > this.now);
    const blocks = [...this.leases, ...rests];
    for (const [at, one] of blocks.entries()) {
      assert.ok(one.first >= leasedPorts.first && one.first + one.size - 1 <= leasedPorts.last);
      assert.equal(one.first % one.size, 0);
      for (const other of blocks.slice(at + 1))
        assert.equal(one.address === other.address && overlaps(one, other), false, `${one.first} ${other.first}`);
    }
    for (const group of Map.groupBy(this.leases, (each) => keyOf(each.router_id, each.host_id)).values())
      assert.equal(group.filter((each) => each.current).length, 1);
  }
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
  world.unplug("b");
  assert.deepEqual(world.holders, ["router-1 host-2 203.0.113.10"]);
  world.now += 119 * second;
  world.bind("a", 1, "h1");
  const block = (host: string) => world.leases.find((lease) => lease.host_id === host)?.first;
  assert.notEqual(block("host-1"), first?.first, "it rests");
  world.unplug("a");
  world.now += 121 * second;
  world.bind("a", 1, "h1");
  assert.equal(block("host-1"), first?.first, "it has rested");
  assert.equal([...world.replica.objects(NatRest)].length, 0, "and what has is forgotten");
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

test("machines behind a router whose routes lead to another have a block of that one's, for as long as they do", () => {
  const world = new World(3);
  world.router(1, [1]);
  world.router(2, [2]);
  world.router(3, [3]);
  const stand = (id: string, router: number, net: number, ip_address: string): void =>
    world.do((t) => {
      if (!t.view.has(Network, `net-${net}`))
        t.put(Network, makeNetwork({ id: `net-${net}`, "provider:segmentation_id": net }));
      putPort(
        t,
        world.port(id, net, { router_id: `router-${router}`, fixed_ips: [{ subnet_id: `s-${net}`, ip_address }] }),
      );
    });
  stand("one", 1, 8, "10.8.0.1");
  stand("two", 2, 8, "10.8.0.2");
  stand("twice", 2, 9, "10.9.0.2");
  stand("three", 3, 9, "10.9.0.3");
  const route = (router: number, nexthops: readonly string[]): void =>
    world.do((t) => {
      const before = routersFrom(t.view, `router-${router}`);
      const routes = nexthops.map((nexthop) => ({ destination: "0.0.0.0/0", nexthop }));
      t.put(Router, makeRouter({ id: `router-${router}`, key: router, routes }));
      settleWays(t, `router-${router}`, before);
    });
  world.bind("a", 1, "h1");
  world.bind("b", 2, "h2");
  world.bind("c", 3, "h3");
  world.gateway(3, ["203.0.113.10"]);
  const holders = () => world.leases.map(({ host_id }) => host_id).sort();
  assert.deepEqual(holders(), ["host-3"]);
  route(1, ["10.8.0.2", "10.8.0.99", "2001:db8::1"]);
  assert.deepEqual(holders(), ["host-3"], "the way ends there");
  route(2, ["10.9.0.3"]);
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
  route(1, []);
  assert.deepEqual(holders(), ["host-2", "host-3"]);
  route(1, ["10.8.0.2"]);
  assert.deepEqual(holders(), ["host-1", "host-2", "host-3"]);
  stand("twice", 2, 9, "10.9.0.4");
  stand("three", 3, 9, "10.9.0.5");
  assert.deepEqual(holders(), ["host-3"], "the next hop is nobody's any more");
});

test("a host that found no block gets one as soon as some have rested, without anything else changing", () => {
  const world = new World(2);
  world.router(1, [1]);
  world.gateway(1, ["203.0.113.10"]);
  world.do((t) => {
    for (let size = 1024; size <= 32_768; size *= 2) {
      const until = new Date(world.now + 60 * second).toISOString().replace(".000", "");
      t.put(NatRest, { id: `rest-${size}`, network_id: "outside", address: "203.0.113.10", first: size, size, until });
    }
  });
  world.bind("a", 1, "h1");
  assert.deepEqual(world.holders, []);
  const look = (): readonly NatRest[] => {
    const rested = restedBlocks(world.replica, new Date(world.now).toISOString().replace(".000", ""));
    world.do((t) => settleRested(t, rested));
    return rested;
  };
  assert.deepEqual([look().length, world.holders], [0, []]);
  world.now += 60 * second;
  assert.deepEqual([look().length, world.holders.length], [6, 1]);
  assert.equal([...world.replica.objects(NatRest)].length, 0);
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
