/** What a speaker's daemon is told: at first, and when what is to be said changes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Announcement, Told } from "./announcement.ts";
import { changes, configuration, farewell, type Standing } from "./configuration.ts";

const standing: Standing = { routerId: "10.0.0.1", source: "", restartTime: 15 };
const peer: Told = { address: "203.0.113.1", remoteAs: 64513, secret: null };
const hop = "203.0.113.50";

const announcement = (routes: Readonly<Record<string, string>>, more: Partial<Announcement> = {}): Announcement => ({
  ...{ speaker: "s", localAs: 64512, version: 4, peers: [peer] },
  routes: new Map(Object.entries(routes)),
  ...more,
});

test("a route leads to its own next hop, whose map comes before what names it", () => {
  const lines = configuration(standing, announcement({ "203.0.113.10/32": hop, "10.20.1.0/24": hop })).split("\n");
  const at = (line: string): number => {
    const found = lines.indexOf(line);
    assert.notEqual(found, -1, line);
    return found;
  };
  assert.ok(at(`route-map by-${hop} permit 10`) < at(`set ip next-hop ${hop}`));
  assert.ok(at(`set ip next-hop ${hop}`) < at("router bgp 64512"));
  assert.equal(lines.filter((line) => line.startsWith("route-map by-")).length, 1);
  for (const prefix of ["203.0.113.10/32", "10.20.1.0/24"]) at(`network ${prefix} route-map by-${hop}`);
  at("neighbor 203.0.113.1 attribute-unchanged next-hop");
  at("neighbor 203.0.113.1 route-map refuse in");
});

test("sessions are signed, of another system many hops away, from the address that the operator names", () => {
  const lines = (more: Partial<Announcement>, of: Partial<Standing> = {}) =>
    configuration({ ...standing, ...of }, announcement({}, more)).split("\n");
  assert.ok(
    lines({ peers: [{ ...peer, secret: "x y".replace(" ", "|") }] }).includes("neighbor 203.0.113.1 password x|y"),
  );
  assert.ok(!lines({}).some((line) => line.includes("password")));
  assert.ok(lines({}).includes("neighbor 203.0.113.1 ebgp-multihop 255"));
  assert.ok(!lines({ peers: [{ ...peer, remoteAs: 64512 }] }).some((line) => line.includes("multihop")));
  assert.ok(lines({}, { source: "203.0.113.201" }).includes("neighbor 203.0.113.1 update-source 203.0.113.201"));
  assert.ok(!lines({}, { source: "2001:db8::1" }).some((line) => line.includes("update-source")));
  assert.ok(lines({}).includes("bgp graceful-restart restart-time 15"));
  assert.ok(!lines({}, { restartTime: 0 }).some((line) => line.includes("graceful")));
});

test("IPv6 has its own family and next hops", () => {
  const six = announcement({ "2001:db8:1::/64": "2001:db8:ff::50" }, { version: 6 });
  const text = configuration(standing, six);
  assert.match(text, /^set ipv6 next-hop global 2001:db8:ff::50$/m);
  assert.match(text, /^address-family ipv6 unicast\nnetwork 2001:db8:1::\/64 route-map by-2001:db8:ff::50$/m);
});

test("only what differs is said again, withdrawals first; and nothing when nothing does", () => {
  const before = announcement({ "203.0.113.10/32": hop, "203.0.113.11/32": hop });
  assert.deepEqual(changes(standing, before, before), []);
  const after = announcement({ "203.0.113.11/32": "203.0.113.51", "203.0.113.12/32": hop });
  assert.deepEqual(changes(standing, before, after), [
    "configure terminal",
    "route-map by-203.0.113.51 permit 10",
    "set ip next-hop 203.0.113.51",
    "exit",
    "router bgp 64512",
    "address-family ipv4 unicast",
    "no network 203.0.113.10/32",
    "network 203.0.113.11/32 route-map by-203.0.113.51",
    "network 203.0.113.12/32 route-map by-203.0.113.50",
    "exit-address-family",
    "end",
  ]);
});

test("a peer whose secret is another is met anew, and one that went is left", () => {
  const before = announcement({}, { peers: [peer, { ...peer, address: "203.0.113.2" }] });
  const told = changes(standing, before, announcement({}, { peers: [{ ...peer, secret: "sesame" }] }));
  const left = told.indexOf("no neighbor 203.0.113.1");
  assert.ok(left > 0 && left < told.indexOf("neighbor 203.0.113.1 remote-as 64513"));
  assert.ok(told.includes("no neighbor 203.0.113.2"));
  assert.ok(told.includes("neighbor 203.0.113.1 password sesame"));
  assert.deepEqual(farewell(before).slice(2, 4), ["neighbor 203.0.113.1 shutdown", "neighbor 203.0.113.2 shutdown"]);
});

const routes = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 3 })))
  .map((pairs) => announcement(Object.fromEntries(pairs.map(([to, by]) => [`10.${to}.0.0/16`, `203.0.113.${by}`]))));

test("whatever was said before, the changes lead to what is wanted, and name no next hop that is not known", () => {
  fc.assert(
    fc.property(routes, routes, (before, after) => {
      const said = new Map(before.routes);
      const maps = new Set(before.routes.values());
      for (const command of changes(standing, before, after)) {
        const [, gone] = /^no network (\S+)$/.exec(command) ?? [];
        const [, map] = /^route-map by-(\S+) permit/.exec(command) ?? [];
        const [, to, by] = /^network (\S+) route-map by-(\S+)$/.exec(command) ?? [];
        if (gone !== undefined) said.delete(gone);
        if (map !== undefined) maps.add(map);
        if (to === undefined || by === undefined) continue;
        assert.ok(maps.has(by));
        said.set(to, by);
      }
      assert.deepEqual(Object.fromEntries(said), Object.fromEntries(after.routes));
    }),
  );
});
