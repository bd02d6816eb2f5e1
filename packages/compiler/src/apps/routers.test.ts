/** Packets through routers: on one host and across, both families and encapsulations, several routers, next hops, scopes, sizes, and what each refuses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ping,
  routerSolicitation,
  type Speaker,
  sameBytes,
  tcp,
  udp,
  udpBetween,
  udpOfSize,
} from "@selvage/datapath/testing";
import { Port, Router } from "@selvage/model";
import { put, remove } from "@selvage/model/testing";
import { RouterSolicitation } from "@selvage/pipeline";
import { fabric, type Journey, type TestFabric } from "../testing/fabric.ts";
import { type Machine, routedNet } from "../testing/intent.ts";
import { anythingOut } from "../testing/policy.ts";
import { poolId, scopeOf } from "../testing/routers.ts";

const families = [4, 6] as const;

/** What a machine sends to an address beyond a router. */
const beyond = (to: Speaker, gateway: Pick<Speaker, "mac">): Speaker => ({ ...to, mac: gateway.mac });

const datagram = (
  version: 4 | 6,
  from: Speaker,
  to: Speaker,
  { ttl = 64, src = 40_000 }: { readonly ttl?: number; readonly src?: number } = {},
): Uint8Array => udpBetween(version, from, to, { src, dst: 80 }, undefined, { ttl });

/** What comes out of a router for a machine: the same with other MACs and fewer hops. */
function assertRouted(journey: Journey, version: 4 | 6, from: Machine, last: Speaker, to: Machine, routers = 1): void {
  assert.deepEqual(journey.delivered, [to.name]);
  const wanted = datagram(version, { ...from, mac: last.mac }, to, { ttl: 64 - routers });
  assert.ok(journey.frames.every((frame) => sameBytes(frame, wanted)));
  assert.deepEqual([...journey.drops, ...journey.punts], []);
}

/** Dropped for a reason, and told to the agent of the sender's host. */
function assertReported(journey: Journey, reason: string, kind: string): void {
  assert.deepEqual([journey.drops, journey.punts.map((punt) => punt.kind), journey.delivered], [[reason], [kind], []]);
}

const joined = async (networks: { readonly office?: object; readonly lab?: object } = {}): Promise<TestFabric> =>
  fabric(
    { hosts: 3 },
    routedNet(1, "office", { a: "h1", c: "h2" }, networks.office),
    routedNet(2, "lab", { x: "h1", y: "h2" }, networks.lab),
  );

test("two networks are routed on one host and between two, in both families, by whichever encapsulation", async () => {
  const vxlan = { network: { "provider:network_type": "vxlan" } };
  for (const networks of [{}, { office: vxlan }, { lab: vxlan }, { office: vxlan, lab: vxlan }]) {
    const world = await joined(networks);
    const { office, lab } = world.route({ number: 1, on: { office: 1, lab: 1 } }).interfaces;
    assert.ok(office !== undefined && lab !== undefined);
    const m = (name: string) => world.machine(name);
    for (const version of families) {
      const ways: readonly (readonly [string, Speaker, Speaker, string, number])[] = [
        ["a", office, lab, "x", 0],
        ["a", office, lab, "y", 1],
        ["y", lab, office, "a", 1],
        ["y", lab, office, "c", 0],
      ];
      for (const [from, gateway, last, to, across] of ways) {
        const journey = world.send(from, datagram(version, m(from), beyond(m(to), gateway)));
        assertRouted(journey, version, m(from), last, m(to));
        assert.equal(journey.crossed, across);
      }
    }
    assert.deepEqual(world.send("a", udp(4, m("a"), m("c"), 1)).delivered, ["c"], "a network is still one");
  }
});

test("a machine on a host whose network has no other machine reaches it, and the host has the router no longer than its machines", async () => {
  const world = await fabric({ hosts: 3 }, routedNet(1, "office", { a: "h1" }), routedNet(2, "lab", { y: "h2" }));
  const made = world.route({ number: 1, on: { office: 1, lab: 1 } });
  const { office, lab } = made.interfaces;
  assert.ok(office !== undefined && lab !== undefined);
  const [a, y] = [world.machine("a"), world.machine("y")];
  assertRouted(world.send("a", datagram(4, a, beyond(y, office))), 4, a, lab, y);
  assert.deepEqual(
    world.rows("h3").filter((row) => row.table === "route"),
    [],
  );
  world.change([remove(Port, lab.port.id)]);
  assertReported(world.send("a", datagram(4, a, beyond(y, office))), "no-route", "no-route");
  world.change([remove(Port, office.port.id), remove(Router, made.router.id)]);
  assert.deepEqual(world.send("a", datagram(4, a, beyond(y, office))).drops, ["no-fdb-entry"]);
  assert.deepEqual(
    world
      .rows("h1")
      .filter(
        (row) =>
          ["route", "router_in", "to_router"].includes(row.table) && row.key.vrf !== undefined && row.key.vrf !== "",
      ),
    [],
  );
});

test("a router's addresses answer pings on the asking host, link-local ones too, and nothing else", async () => {
  const world = await joined();
  const { office, lab } = world.route({ number: 1, on: { office: 1, lab: 1 } }).interfaces;
  assert.ok(office !== undefined && lab !== undefined);
  const a = world.machine("a");
  const local = { ...a, ip6: "fe80::f816:3eff:fe00:1" };
  for (const version of families) {
    const both: readonly Speaker[] = [office, { ...lab, mac: office.mac }];
    for (const self of both) {
      const journey = world.send("a", ping(version, "request", a, self, { id: 7 }));
      assert.deepEqual([journey.delivered, journey.crossed, journey.punts], [["a"], 0, []]);
      assert.ok(journey.frames.every((frame) => sameBytes(frame, ping(version, "reply", self, a, { id: 7 }))));
      for (const frame of [tcp(version, a, self, { src: 1, dst: 22 }), ping(version, "reply", a, self, { id: 1 })])
        assertReported(world.send("a", frame), "router-port-closed", "port-unreachable");
    }
  }
  const self = { ...office, ip6: office.linkLocal };
  const journey = world.send("a", ping(6, "request", local, self, { id: 7 }));
  assert.deepEqual(journey.delivered, ["a"]);
  assert.ok(journey.frames.every((frame) => sameBytes(frame, ping(6, "reply", self, local, { id: 7 }))));
});

test("the gateway's address is resolved where it is asked", async () => {
  const world = await joined();
  const { office } = world.route({ number: 1, on: { office: 1, lab: 1 } }).interfaces;
  assert.ok(office !== undefined);
  const rows = world.rows("h1").filter((row) => row.table === "neighbour" && row.args.mac === office.mac);
  assert.deepEqual(rows.map((row) => String(row.key.nh)).sort(), [office.ip4, office.ip6, office.linkLocal].sort());
});

test("time to live ends at a router, and one hop more is enough", async () => {
  const world = await joined();
  const { office, lab } = world.route({ number: 1, on: { office: 1, lab: 1 } }).interfaces;
  assert.ok(office !== undefined && lab !== undefined);
  const [a, y] = [world.machine("a"), world.machine("y")];
  for (const version of families) {
    for (const ttl of [0, 1]) {
      const frame = datagram(version, a, beyond(y, office), { ttl });
      const journey = world.send("a", frame);
      assertReported(journey, "ttl-expired", "ttl-expired");
      assert.deepEqual(journey.punts, [
        { kind: "ttl-expired", attachment: a.port.id, net: 1, vrf: 1, srcPort: a.port.key, frame },
      ]);
    }
    assert.deepEqual(world.send("a", datagram(version, a, beyond(y, office), { ttl: 2 })).delivered, ["y"]);
  }
});

test("where there is no route or nobody at the address, the sender's agent is told; what no router sends on goes in silence", async () => {
  const world = await joined();
  const { office } = world.route({ number: 1, on: { office: 1, lab: 1 } }).interfaces;
  assert.ok(office !== undefined);
  const a = world.machine("a");
  const to = (ip4: string, ip6: string): Speaker => ({ mac: office.mac, ip4, ip6 });
  for (const version of families) {
    const strange = world.send("a", datagram(version, a, to("203.0.113.9", "2001:db8:ff::9")));
    assertReported(strange, "no-route", "no-route");
    const nobody = world.send("a", datagram(version, a, to("10.0.2.222", "2001:db8:2::dead")));
    assertReported(nobody, "neighbour-unresolved", "host-unreachable");
    assert.equal(nobody.punts[0]?.net, 2, "the network that it would have left by");
    const never = world.send("a", datagram(version, a, to("169.254.9.9", "fe80::9")));
    assert.deepEqual([never.drops, never.punts], [["no-route"], []]);
  }
  const unready = { ...a, ip6: "fe80::f816:3eff:fe00:1" };
  const local = world.send("a", datagram(6, unready, to("", world.machine("y").ip6)));
  assert.deepEqual([local.drops, local.punts], [["source-link-local"], []], "whose source means something here alone");
  assert.deepEqual(world.send("a", ping(6, "request", unready, office, { id: 1 })).delivered, ["a"]);
});

test("a router takes what is for its MAC and nothing else: to a group it is the network's", async () => {
  const world = await joined();
  world.route({ number: 1, on: { office: 1, lab: 1 } });
  const [a, x] = [world.machine("a"), world.machine("x")];
  const journey = world.send("a", datagram(4, a, { ...x, mac: "ff:ff:ff:ff:ff:ff" }));
  assert.deepEqual(journey.delivered, ["c"]);
  const multicast = world.send("a", datagram(6, a, { ...x, ip6: "ff02::1", mac: "33:33:00:00:00:01" }));
  assert.deepEqual([multicast.delivered, multicast.punts], [["c"], []]);
});

test("an extra route leads through a machine that routes, and ends with it", async () => {
  const world = await fabric(
    { hosts: 2 },
    routedNet(1, "office", { a: "h1" }),
    routedNet(2, "lab", { y: { host: "h2", port: { port_security_enabled: false } } }),
  );
  const [a, y] = [world.machine("a"), world.machine("y")];
  const routes = [
    { destination: "203.0.113.0/24", nexthop: y.ip4 },
    { destination: "2001:db8:ff::/48", nexthop: y.ip6 },
  ];
  const plan = { number: 1, on: { office: 1, lab: 1 } };
  const { office, lab } = world.route({ ...plan, routes }).interfaces;
  assert.ok(office !== undefined && lab !== undefined);
  const far = { mac: office.mac, ip4: "203.0.113.9", ip6: "2001:db8:ff::9" };
  for (const version of families) {
    const journey = world.send("a", datagram(version, a, far));
    const wanted = datagram(version, { ...a, mac: lab.mac }, { ...far, mac: y.mac }, { ttl: 63 });
    assert.deepEqual(journey.delivered, ["y"]);
    assert.ok(journey.frames.every((frame) => sameBytes(frame, wanted)));
  }
  world.route(plan);
  for (const version of families) assertReported(world.send("a", datagram(version, a, far)), "no-route", "no-route");
});

test("several next hops share the flows, each flow stays with one, and only those of one that goes are moved", async () => {
  const world = await fabric(
    { hosts: 2 },
    routedNet(1, "office", { a: "h1" }),
    routedNet(2, "lab", { x: "h1", y: "h2", z: "h2" }),
  );
  const a = world.machine("a");
  const hops = ["x", "y", "z"].map((name) => world.machine(name));
  const routesBy = (version: 4 | 6, names: readonly Machine[]) =>
    names.map((each) =>
      version === 4
        ? { destination: "203.0.113.0/24", nexthop: each.ip4 }
        : { destination: "2001:db8:ff::/48", nexthop: each.ip6 },
    );
  for (const version of families) {
    const through = (names: readonly Machine[]): ReadonlyMap<number, string> => {
      const { office } = world.route({
        number: 1,
        on: { office: 1, lab: 1 },
        routes: routesBy(version, names),
      }).interfaces;
      assert.ok(office !== undefined);
      const far = { mac: office.mac, ip4: "203.0.113.9", ip6: "2001:db8:ff::9" };
      const flows = Array.from({ length: 90 }, (_, at) => 40_000 + at);
      return new Map(
        flows.map((src) => {
          const ends = [1, 2].map(() => world.send("a", datagram(version, a, far, { src })).delivered.join());
          assert.equal(ends[0], ends[1], "one flow, one way");
          return [src, ends[0] ?? ""];
        }),
      );
    };
    const all = through(hops);
    for (const { name } of hops) assert.ok([...all.values()].filter((each) => each === name).length > 10, name);
    // The first of the list goes, and comes back at its end.
    const fewer = through(hops.slice(1));
    for (const [flow, name] of all) if (name !== "x") assert.equal(fewer.get(flow), name);
    assert.deepEqual(through([...hops.slice(1), ...hops.slice(0, 1)]), all);
  }
});

test("two routers in a row send on, each taking a hop; the answers come back", async () => {
  const world = await fabric(
    { hosts: 2 },
    routedNet(1, "office", { a: "h1" }),
    routedNet(2, "transit", {}),
    routedNet(3, "lab", { y: "h2" }),
  );
  const way = (net: number, last: number) => [
    { destination: `10.0.${net}.0/24`, nexthop: `10.0.2.${last}` },
    { destination: `2001:db8:${net}::/64`, nexthop: `2001:db8:2::${last}` },
  ];
  const one = world.route({ number: 1, on: { office: 1, transit: 1 }, routes: way(3, 2) }).interfaces;
  const two = world.route({ number: 2, on: { transit: 2, lab: 1 }, routes: way(1, 1) }).interfaces;
  assert.ok(one.office !== undefined && two.lab !== undefined);
  const [a, y] = [world.machine("a"), world.machine("y")];
  for (const version of families) {
    assertRouted(world.send("a", datagram(version, a, beyond(y, one.office))), version, a, two.lab, y, 2);
    assertRouted(world.send("y", datagram(version, y, beyond(a, two.lab))), version, y, one.office, a, 2);
    const second = world.send("a", datagram(version, a, beyond(y, one.office), { ttl: 2 }));
    assertReported(second, "ttl-expired", "ttl-expired");
    assert.deepEqual(
      [second.punts[0]?.vrf, second.punts[0]?.net],
      [2, 2],
      "the second router says it, on the network between",
    );
  }
});

test("what goes round in circles ends after four routers", async () => {
  const world = await fabric({ hosts: 1 }, routedNet(1, "office", { a: "h1" }), routedNet(2, "transit", {}));
  const to = (last: number) => [
    { destination: "203.0.113.0/24", nexthop: `10.0.2.${last}` },
    { destination: "2001:db8:ff::/48", nexthop: `2001:db8:2::${last}` },
  ];
  const { office } = world.route({ number: 1, on: { office: 1, transit: 1 }, routes: to(2) }).interfaces;
  world.route({ number: 2, on: { transit: 2 }, routes: to(1) });
  assert.ok(office !== undefined);
  const far = { mac: office.mac, ip4: "203.0.113.9", ip6: "2001:db8:ff::9" };
  for (const version of families)
    assert.deepEqual(world.send("a", datagram(version, world.machine("a"), far)).drops, ["loop-detected"]);
});

test("networks of different scopes, and one with a scope and one without, are not routed to each other", async () => {
  const world = await fabric(
    { hosts: 2 },
    routedNet(1, "one", { a: "h1" }, { subnet4: { subnetpool_id: poolId(1) } }),
    routedNet(2, "same", { b: "h2" }, { subnet4: { subnetpool_id: poolId(1) } }),
    routedNet(3, "other", { c: "h2" }, { subnet4: { subnetpool_id: poolId(2) } }),
    routedNet(4, "none", { d: "h2" }),
  );
  world.change([...scopeOf(1), ...scopeOf(2)]);
  const { one, none } = world.route({ number: 1, on: { one: 1, same: 1, other: 1, none: 1 } }).interfaces;
  assert.ok(one !== undefined && none !== undefined);
  const m = (name: string) => world.machine(name);
  const by = (version: 4 | 6, from: string, gateway: Speaker, to: string): Journey =>
    world.send(from, datagram(version, m(from), beyond(m(to), gateway)));
  assert.deepEqual(by(4, "a", one, "b").delivered, ["b"]);
  for (const [from, gateway, to] of [
    ["a", one, "c"],
    ["a", one, "d"],
    ["d", none, "a"],
  ] as const)
    assert.deepEqual(by(4, from, gateway, to).drops, ["address-scope"]);
  for (const to of ["b", "c", "d"]) assert.deepEqual(by(6, "a", one, to).delivered, [to], "no scope of IPv6");
  world.change(scopeOf(2).map((change) => ({ ...change, object: null })));
  assert.deepEqual(by(4, "d", none, "c").delivered, ["c"], "its scope has gone");
});

test("a router that is down sends nothing on and answers nothing, and one that comes up does", async () => {
  const world = await joined();
  const plan = { number: 1, on: { office: 1, lab: 1 } };
  const { office, lab } = world.route({ ...plan, up: false }).interfaces;
  assert.ok(office !== undefined && lab !== undefined);
  const [a, y] = [world.machine("a"), world.machine("y")];
  for (const version of families) {
    assert.deepEqual(world.send("a", datagram(version, a, beyond(y, office))).drops, ["router-admin-down"]);
    assert.deepEqual(world.send("a", ping(version, "request", a, office, { id: 1 })).drops, ["router-admin-down"]);
  }
  world.route(plan);
  assertRouted(world.send("a", datagram(6, a, beyond(y, office))), 6, a, lab, y);
});

test("what is too large for the network that it goes to is reported with that network; what just fits passes", async () => {
  const world = await joined({ lab: { network: { mtu: 1300 } } });
  const { office, lab } = world.route({ number: 1, on: { office: 1, lab: 1 } }).interfaces;
  assert.ok(office !== undefined && lab !== undefined);
  const a = world.machine("a");
  for (const version of families) {
    for (const name of ["x", "y"]) {
      const to = beyond(world.machine(name), office);
      const journey = world.send("a", udpOfSize(version, a, to, 1, 1301));
      assertReported(journey, "mtu-exceeded", "mtu-exceeded");
      assert.deepEqual([journey.punts[0]?.net, journey.punts[0]?.vrf], [2, 1]);
      assert.deepEqual(world.send("a", udpOfSize(version, a, to, 1, 1300)).delivered, [name]);
    }
    const own = world.send("a", udpOfSize(version, a, world.machine("c"), 1, 1443));
    assert.deepEqual([own.drops, own.punts], [["mtu-exceeded"], []], "nobody routes on a network itself");
  }
});

test("a sender's group travels with what a router sends on, so that rules that name it hold across networks", async () => {
  const policy = {
    groups: {
      asking: { rules: anythingOut },
      other: { rules: anythingOut },
      answering: {
        rules: families.map(
          (version) => ({ direction: "ingress", version, protocol: "udp", group: "asking" }) as const,
        ),
      },
    },
  };
  for (const type of ["geneve", "vxlan"]) {
    const world = await fabric(
      { hosts: 2, policy },
      routedNet(1, "office", { a: { host: "h1", groups: ["asking"] }, b: { host: "h1", groups: ["other"] } }),
      routedNet(
        2,
        "lab",
        { x: { host: "h1", groups: ["answering"] }, y: { host: "h2", groups: ["answering"] } },
        { network: { "provider:network_type": type } },
      ),
    );
    const { office, lab } = world.route({ number: 1, on: { office: 1, lab: 1 } }).interfaces;
    assert.ok(office !== undefined && lab !== undefined);
    const m = (name: string) => world.machine(name);
    for (const version of families) {
      for (const to of ["x", "y"]) {
        assert.deepEqual(
          world.send("a", datagram(version, m("a"), beyond(m(to), office))).delivered,
          [to],
          `${type} ${to}`,
        );
        assert.deepEqual(world.send("b", datagram(version, m("b"), beyond(m(to), office))).drops, [
          "sg-default-deny-ingress",
        ]);
        const back = udpBetween(version, m(to), beyond(m("a"), lab), { src: 80, dst: 40_000 });
        assert.deepEqual(world.send(to, back).delivered, ["a"], "the answer belongs to it");
      }
    }
  }
});

test("solicitations are the agent's exactly where a router has a subnet to advertise", async () => {
  const modes = { subnet6: { ipv6_ra_mode: "slaac" as const } };
  const world = await joined({ office: modes });
  const asks = (name: string): Journey => world.send(name, routerSolicitation(world.machine(name)));
  assert.deepEqual(asks("a").delivered, ["c"], "no router: it is the network's");
  world.route({ number: 1, on: { office: 1, lab: 1 } });
  assert.deepEqual(
    asks("a").punts.map(({ kind }) => kind),
    ["rs"],
  );
  assert.deepEqual([asks("x").punts, asks("x").delivered], [[], ["y"]]);
  assert.deepEqual(
    world.rows("h1", [RouterSolicitation]).map(({ key }) => key.net),
    [1],
  );
  world.route({ number: 1, on: { office: 1, lab: 1 }, up: false });
  assert.deepEqual(asks("a").delivered, ["c"]);
});

test("a port that comes to a routed network costs every host the same few rows, however many there are", async () => {
  const costs = await Promise.all(
    [5, 50].map(async (count) => {
      const machines = Object.fromEntries(
        Array.from({ length: count }, (_, at) => [`m${at}`, at % 2 === 0 ? "h1" : "h2"]),
      );
      const world = await fabric(
        { hosts: 2 },
        routedNet(1, "office", { a: "h1" }),
        routedNet(2, "lab", machines),
        routedNet(3, "more", { z: { host: "h2", plugged: false } }),
      );
      world.route({ number: 1, on: { office: 1, lab: 1, more: 1 } });
      const { port } = world.machine("m1");
      const engine = world.host("h1").engine;
      const before = engine.counters;
      const added = {
        ...port,
        id: "added",
        key: 0x7000,
        mac_address: "fa:16:3e:00:70:00",
        fixed_ips: port.fixed_ips.map((each) => ({ ...each, ip_address: each.ip_address.replace(/[0-9a-f]+$/, "77") })),
      };
      const rows = new Set(world.rows("h1").map(({ id }) => id));
      world.change([put(Port, added)]);
      const now = world.rows("h1").filter(({ id }) => !rows.has(id));
      const { unitsRun, queriesRun } = engine.counters;
      return {
        tables: now.map(({ table }) => table).sort(),
        work: unitsRun + queriesRun - before.unitsRun - before.queriesRun,
      };
    }),
  );
  assert.deepEqual(costs[0]?.tables, ["l2", "neighbour", "neighbour", "neighbour"]);
  assert.deepEqual(costs[1], costs[0]);
});
