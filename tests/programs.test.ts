/**
 * What people run, on a fabric of two hosts with real switches, across networks of Geneve and VXLAN, one router and two: web servers behind stateful rules, scans,
 * transfers that are measured, ways that are traced; next hops that share a route, and address scopes.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { at } from "@selvage/lab";
import { until, whyNoLab } from "@selvage/lab/testing";
import { Fabric, type Guest } from "./support/guests.ts";

const skip = (await whyNoLab()) ?? false;
const WAIT_MS = 60_000;
const smallMtu = 1300;
const families = ["ip4", "ip6"] as const;
type Family = (typeof families)[number];

/** Says its name to whoever asks, at ports of both families. */
const SERVER = `
  const [name, ...ports] = process.argv.slice(1);
  const serve = (port) => new Promise((listening) =>
    require("node:http").createServer((_, response) => response.end(name)).listen(Number(port), "::", listening));
  Promise.all(ports.map(serve)).then(() => console.log("listening"));
`;

interface World {
  readonly fabric: Fabric;
  readonly router: string;
  /** The second router's addresses in the yard. */
  readonly second: { readonly ip4: string; readonly ip6: string };
  readonly groups: { readonly web: string; readonly clients: string };
  /** In the office, of Geneve, on the first host; a client. */
  readonly a: Guest;
  /** In the yard, of VXLAN and smaller frames: servers of the group web on both hosts, and a client on the second. */
  readonly near: Guest;
  readonly far: Guest;
  readonly client: Guest;
  /** Behind the second router, on the second host; a server. */
  readonly z: Guest;
}
let world: World;

const run = (guest: Guest, ...argv: readonly string[]) => world.fabric.run(guest, ...argv);
const bracketed = (address: string): string => (address.includes(":") ? `[${address}]` : address);
const version = (family: Family): string => (family === "ip4" ? "-4" : "-6");

async function pings(from: Guest, address: string, ...options: readonly string[]): Promise<boolean> {
  const { said } = await run(from, "ping", "-n", "-c", "1", "-W", "10", ...options, address);
  return said.includes(" 1 received");
}

/** What a server says to a machine that asks; undefined where nobody answers in time. */
async function asks(from: Guest, address: string, port = 80, seconds = 10): Promise<string | undefined> {
  const words = ["-s", "-g", "-m", String(seconds), `http://${bracketed(address)}:${port}/`];
  const { code, said } = await run(from, "curl", ...words);
  return code === 0 ? said : undefined;
}

/** A network with a subnet of each family at a number of their prefixes. */
async function network(fabric: Fabric, name: string, n: number, more: object = {}) {
  const id = await fabric.make("networks", { name, ...more });
  const four = await fabric.make("subnets", { network_id: id, ip_version: 4, cidr: `10.${n}.0.0/24` });
  const six = await fabric.make("subnets", {
    network_id: id,
    ip_version: 6,
    cidr: `fd${n}::/64`,
    gateway_ip: `fd${n}::1`,
    ipv6_ra_mode: "slaac",
    ipv6_address_mode: "slaac",
  });
  return { id, subnets: [four, six] as const };
}

async function join(fabric: Fabric, router: string, ...subnets: readonly string[]): Promise<void> {
  for (const subnet_id of subnets)
    await fabric.api.ask("PUT", `/v2.0/routers/${router}/add_router_interface`, { subnet_id });
}

/** Lets what a rule says in, by both families, and gives the ids. */
async function rule(fields: Readonly<Record<string, unknown>>, security_group_id = world.groups.web) {
  const ids: string[] = [];
  for (const ethertype of ["IPv4", "IPv6"])
    ids.push(
      await world.fabric.make("security-group-rules", {
        security_group_id,
        direction: "ingress",
        ethertype,
        ...fields,
      }),
    );
  await world.fabric.settled();
  return ids;
}
async function unrule(ids: readonly string[]): Promise<void> {
  for (const id of ids) await world.fabric.remove("security-group-rules", id);
}
const tcp = (port: number) => ({ protocol: "tcp", port_range_min: port, port_range_max: port });

async function hasWaysOut(fabric: Fabric, ...guests: readonly Guest[]): Promise<void> {
  for (const guest of guests)
    for (const family of families)
      await until(`${guest.name} has no way out by ${family}`, WAIT_MS, async () => {
        const { said } = await fabric.run(guest, "ip", version(family), "route", "show", "default");
        return said.includes("default") ? true : undefined;
      });
}

before(async () => {
  if (skip !== false) return;
  const fabric = await Fabric.up("programs");
  try {
    const office = await network(fabric, "office", 61);
    const yard = await network(fabric, "yard", 62, { mtu: smallMtu, "provider:network_type": "vxlan" });
    const back = await network(fabric, "back", 63);
    const [web, clients] = [
      await fabric.make("security-groups", { name: "web" }),
      await fabric.make("security-groups", { name: "clients" }),
    ];
    // The first is everybody's gateway; the second shares the yard with it, and leads to what is behind.
    const router = await fabric.make("routers", { name: "first" });
    await join(fabric, router, ...office.subnets, ...yard.subnets);
    const second = await fabric.make("routers", { name: "second" });
    const [four, six] = yard.subnets;
    const fixed_ips = [{ subnet_id: four, ip_address: "10.62.0.2" }, { subnet_id: six }];
    const made = at(await fabric.api.ask("POST", "/v2.0/ports", { port: { network_id: yard.id, fixed_ips } }), "port");
    const port_id = String(at(made, "id"));
    const [, ip6 = ""] = (at(made, "fixed_ips") as readonly object[]).map((each) => String(at(each, "ip_address")));
    await fabric.api.ask("PUT", `/v2.0/routers/${second}/add_router_interface`, { port_id });
    await join(fabric, second, ...back.subnets);
    const by = (nexthops: readonly [string, string], n: number) => [
      { destination: `10.${n}.0.0/24`, nexthop: nexthops[0] },
      { destination: `fd${n}::/64`, nexthop: nexthops[1] },
    ];
    await fabric.change("routers", router, { routes: by(["10.62.0.2", ip6], 63) });
    await fabric.change("routers", second, { routes: by(["10.62.0.1", "fd62::1"], 61) });
    const guest = (name: string, host: string, network_id: string, ...security_groups: readonly string[]) =>
      fabric.guest(name, host, { network_id, security_groups });
    const [a, near, far, client, z] = await Promise.all([
      guest("a", "h1", office.id, clients),
      guest("near", "h1", yard.id, web),
      guest("far", "h2", yard.id, web),
      guest("client", "h2", yard.id, clients),
      guest("z", "h2", back.id, web),
    ]);
    await fabric.settled();
    world = { fabric, router, second: { ip4: "10.62.0.2", ip6 }, groups: { web, clients }, a, near, far, client, z };
    await hasWaysOut(fabric, a, near, far, client, z);
  } catch (cause) {
    await fabric[Symbol.asyncDispose]();
    throw cause;
  }
});

after(async () => {
  await world?.fabric[Symbol.asyncDispose]();
});

describe("programs", { skip }, () => {
  test("curl gets a page through one router and through two, by a stateful rule that names its group; who serves may ask nothing in return", async () => {
    const { fabric, groups, a, near, far, client, z } = world;
    const servers = [near, far, z];
    await using serving = new AsyncDisposableStack();
    for (const server of servers) {
      const program = serving.use(fabric.start(server, process.execPath, "-e", SERVER, server.name, "80"));
      await program.says(/listening/);
    }
    await using answering = fabric.start(a, process.execPath, "-e", SERVER, "a", "80");
    await answering.says(/listening/);
    for (const server of servers)
      await fabric.drops(server.host, "sg-default-deny-ingress", 1, async () => {
        assert.equal(await asks(a, server.ip4, 80, 1), undefined, "nothing lets it in yet");
      });
    const ids = await rule({ ...tcp(80), remote_group_id: groups.clients });
    for (const from of [a, client])
      for (const server of servers)
        for (const family of families)
          assert.equal(await asks(from, server[family]), server.name, `${from.name} to ${server.name} by ${family}`);
    for (const family of families)
      await fabric.drops("h1", "sg-default-deny-ingress", 1, async () => {
        assert.equal(await asks(near, a[family], 80, 1), undefined, `the server asks by ${family}`);
      });
    await unrule(ids);
    assert.equal(await asks(a, near.ip4, 80, 1), undefined);
  });

  test("on a network of VXLAN a rule that names a group lets its members in by their addresses, here and there, and nobody else", async () => {
    const { fabric, groups, near, far, client } = world;
    const ids = await rule({ protocol: "icmp", remote_group_id: groups.clients });
    for (const server of [near, far])
      for (const family of families) assert.ok(await pings(client, server[family]), `${server.name} by ${family}`);
    // Of the other group, beside the client and on the other host.
    assert.equal(await pings(near, far.ip4, "-W", "1"), false);
    assert.equal(await pings(far, near.ip6, "-W", "1"), false);
    await fabric.change("ports", client.id, { security_groups: [groups.web] });
    for (const server of [near, far])
      await fabric.drops(server.host, "sg-default-deny-ingress", 1, async () => {
        assert.equal(await pings(client, server.ip4, "-W", "1"), false, "it has left the group");
      });
    await fabric.change("ports", client.id, { security_groups: [groups.clients] });
    for (const server of [near, far]) assert.ok(await pings(client, server.ip6), "it is back");
    await unrule(ids);
  });

  test("iperf3 measures transfers by both families: on one network, through one router, through two", async (context) => {
    const { fabric, a, near, client, z } = world;
    const ids = await rule(tcp(5201));
    for (const [from, to, way] of [
      [client, near, "one network of VXLAN, two hosts"],
      [a, near, "a router, one host"],
      [a, z, "two routers, two hosts"],
    ] as const)
      for (const family of families) {
        await using server = fabric.start(to, "iperf3", "-s", "-1", "--forceflush");
        await server.says(/listening/);
        const { code, said } = await run(from, "iperf3", version(family), "-J", "-t", "1", "-c", to[family]);
        assert.equal(code, 0, said);
        const received = at(at(JSON.parse(said), "end"), "sum_received");
        const rate = Number(at(received, "bits_per_second"));
        assert.ok(rate > 0, said);
        context.diagnostic(`${way}, ${family}: ${(rate / 1e6).toFixed(0)} Mb/s`);
      }
    await unrule(ids);
  });

  test("nmap is told by a port where nobody listens, when a rule lets it ask, and by nothing when none does; by TCP and UDP, through a router", async () => {
    const { fabric, a, near, far } = world;
    const scan = async (to: Guest, family: Family, how: "-sS" | "-sU", ports: string): Promise<readonly string[]> => {
      const words = ["-n", "-Pn", how, "-p", ports, "--max-retries", "1", "--max-rtt-timeout", "300ms", "-oG", "-"];
      const six = family === "ip6" ? ["-6"] : [];
      const { code, said } = await run(a, "nmap", ...six, ...words, to[family]);
      assert.equal(code, 0, said);
      return [...said.matchAll(/(\d+)\/(open|closed|filtered|open\|filtered)\/(tcp|udp)/g)].map(
        ([, port, state]) => `${port} ${state}`,
      );
    };
    await using serving = fabric.start(far, process.execPath, "-e", SERVER, "far", "80");
    await serving.says(/listening/);
    const ids = [
      ...(await rule({ protocol: "tcp", port_range_min: 79, port_range_max: 80 })),
      ...(await rule({ protocol: "udp", port_range_min: 5_300, port_range_max: 5_300 })),
    ];
    for (const family of families) {
      assert.deepEqual(await scan(far, family, "-sS", "79-81"), ["79 closed", "80 open", "81 filtered"]);
      assert.deepEqual(await scan(near, family, "-sS", "79-81"), ["79 closed", "80 closed", "81 filtered"]);
      assert.deepEqual(await scan(far, family, "-sU", "5300-5301"), ["5300 closed", "5301 open|filtered"]);
    }
    await unrule(ids);
    assert.deepEqual(await scan(far, "ip4", "-sS", "79-81"), ["79 filtered", "80 filtered", "81 filtered"]);
  });

  test("traceroute and tracepath see each router on the way by its address there, and what the narrowest network carries", async () => {
    const { a, far, z, second } = world;
    const ids = await rule({ protocol: "udp", port_range_min: 33_434, port_range_max: 45_000 });
    const routers = { ip4: ["10.61.0.1", second.ip4], ip6: ["fd61::1", second.ip6] } as const;
    for (const family of families) {
      const traced = await run(a, "traceroute", version(family), "-n", "-q", "1", "-w", "10", "-m", "5", z[family]);
      const hops = traced.said.split("\n").flatMap((line) => /^ *\d+ +(\S+)/.exec(line)?.[1] ?? []);
      assert.deepEqual(hops, [...routers[family], z[family]], traced.said);
      const path = await run(a, "tracepath", version(family), "-n", "-m", "5", z[family]);
      for (const each of [...routers[family], z[family]]) assert.ok(path.said.includes(`${each} `), path.said);
      assert.match(path.said, /reached\n +Resume: pmtu \d+ hops 3 /);
      const { said } = await run(a, "tracepath", version(family), "-n", "-m", "5", far[family]);
      const [first] = routers[family];
      assert.match(said, new RegExp(` ${first} .* pmtu ${smallMtu}\n`), said);
      assert.match(said, new RegExp(` ${far[family]} .*reached\n +Resume: pmtu ${smallMtu} hops 2 `), said);
    }
    await unrule(ids);
  });

  test("next hops that share a route share its connections, each of which stays with its own", async (context) => {
    const { fabric, router, a, near } = world;
    const { network_id } = at(await fabric.api.ask("GET", `/v2.0/ports/${near.id}`), "port") as { network_id: string };
    const unguarded = { network_id, port_security_enabled: false, security_groups: [] };
    const [one, two] = await Promise.all([fabric.guest("one", "h1", unguarded), fabric.guest("two", "h2", unguarded)]);
    await using serving = new AsyncDisposableStack();
    const shared = { ip4: "203.0.113.9", ip6: "2001:db8:113::9" };
    for (const each of [one, two]) {
      await run(each, "ip", "addr", "add", `${shared.ip4}/32`, "dev", "lo");
      await run(each, "ip", "addr", "add", `${shared.ip6}/128`, "dev", "lo");
      await serving.use(fabric.start(each, process.execPath, "-e", SERVER, each.name, "80")).says(/listening/);
    }
    await hasWaysOut(fabric, one, two);
    const shown = at(await fabric.api.ask("GET", `/v2.0/routers/${router}`), "router");
    const before = at(shown, "routes") as readonly object[];
    const routes = [one, two].flatMap((each) => [
      { destination: "203.0.113.0/24", nexthop: each.ip4 },
      { destination: "2001:db8:113::/64", nexthop: each.ip6 },
    ]);
    await fabric.change("routers", router, { routes: [...before, ...routes] });
    for (const family of families) {
      const url = `http://${bracketed(shared[family])}/`;
      // Each is a connection of its own, from a port of its own.
      const one40 = `for n in $(seq 40); do curl -s -g -m 10 -o - '${url}'; echo; done`;
      const { said } = await run(a, "sh", "-c", one40);
      const names = said.trim().split("\n");
      assert.equal(names.length, 40, said);
      const counts = Map.groupBy(names, (name) => name);
      context.diagnostic(`${family}: ${[...counts].map(([name, all]) => `${name} ${all.length}`).join(", ")}`);
      assert.deepEqual([...counts.keys()].sort(), ["one", "two"], said);
      for (const [name, all] of counts) assert.ok(all.length >= 5, `${name} had ${all.length} of 40`);
    }
    // One that is gone leaves the other all.
    const left = routes.filter(({ nexthop }) => nexthop === two.ip4 || nexthop === two.ip6);
    await fabric.change("routers", router, { routes: [...before, ...left] });
    for (const family of families) for (let n = 0; n < 5; n += 1) assert.equal(await asks(a, shared[family]), "two");
    await fabric.change("routers", router, { routes: before });
    for (const { id } of [one, two]) await fabric.remove("ports", id);
  });

  test("machines of one address scope reach each other through a router, of two they do not, and are told apart by family", async () => {
    const { fabric } = world;
    const scope = async (name: string, ip_version: 4 | 6) => fabric.make("address-scopes", { name, ip_version });
    const pool = async (name: string, prefix: string, address_scope_id: string): Promise<string> =>
      fabric.make("subnetpools", {
        name,
        prefixes: [prefix],
        default_prefixlen: prefix.includes(":") ? 64 : 24,
        address_scope_id,
      });
    const [red4, blue4, red6] = [await scope("red", 4), await scope("blue", 4), await scope("red", 6)];
    const pools = {
      red4: await pool("red-4", "10.70.0.0/16", red4),
      blue4: await pool("blue-4", "10.71.0.0/16", blue4),
      red6: await pool("red-6", "fd70::/48", red6),
    };
    const group = await fabric.make("security-groups", { name: "anybody" });
    for (const ethertype of ["IPv4", "IPv6"])
      await fabric.make("security-group-rules", { security_group_id: group, direction: "ingress", ethertype });
    const router = await fabric.make("routers", { name: "between scopes" });
    const side = async (name: string, host: string, four: string): Promise<Guest> => {
      const network_id = await fabric.make("networks", { name });
      const slaac = { ipv6_ra_mode: "slaac", ipv6_address_mode: "slaac" };
      const subnets = [
        await fabric.make("subnets", { network_id, ip_version: 4, subnetpool_id: four }),
        await fabric.make("subnets", { network_id, ip_version: 6, subnetpool_id: pools.red6, ...slaac }),
      ];
      await join(fabric, router, ...subnets);
      return fabric.guest(name, host, { network_id, security_groups: [group] });
    };
    const red = await side("red-1", "h1", pools.red4);
    const alike = await side("red-2", "h2", pools.red4);
    const blue = await side("blue-1", "h2", pools.blue4);
    await fabric.settled();
    await hasWaysOut(fabric, red, alike, blue);
    for (const family of families) assert.ok(await pings(red, alike[family]), `one scope by ${family}`);
    for (const [from, to] of [
      [red, blue],
      [blue, red],
    ] as const) {
      await fabric.drops(from.host, "address-scope", 1, async () => {
        assert.equal(await pings(from, to.ip4, "-W", "1"), false, `${from.name} to ${to.name}`);
      });
      assert.ok(await pings(from, to.ip6), "their IPv6 addresses are of one scope");
    }
  });
});
