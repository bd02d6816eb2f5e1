/**
 * Routers on a running fabric of two hosts with real switches, asked by real programs and kernels: who reaches whom over them, what they say of packets that
 * they do not send on, what they advertise, and what is left when they go.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { at } from "@selvage/lab";
import { until, whyNoLab } from "@selvage/lab/testing";
import { Fabric, type Guest } from "./support/guests.ts";

const skip = (await whyNoLab()) ?? false;
const WAIT_MS = 60_000;
const smallMtu = 1300;

interface World {
  readonly fabric: Fabric;
  readonly router: string;
  /** Subnets of the office, of both families. */
  readonly office: readonly [string, string];
  /** In the office, on the first host. */
  readonly a: Guest;
  /** In the lab, whose frames are smaller: on the first host and on the second. */
  readonly x: Guest;
  readonly y: Guest;
}

let world: World;

const families = ["ip4", "ip6"] as const;
const officeGateway = { ip4: "10.1.0.1", ip6: "fd01::1" };

const run = (guest: Guest, ...argv: readonly string[]) => world.fabric.run(guest, ...argv);

async function pings(from: Guest, address: string, ...options: readonly string[]): Promise<boolean> {
  const { said } = await run(from, "ping", "-n", "-c", "1", "-W", "10", ...options, address);
  return said.includes(" 1 received");
}

const untilSeen = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
  await until(`not seen: ${what}`, WAIT_MS, async () => ((await holds()) ? true : undefined));
};

/** A network with a subnet of each family that routers advertise, at a number of their prefixes. */
async function network(fabric: Fabric, name: string, n: number, more: object = {}) {
  const id = await fabric.make("networks", { name, ...more });
  const four = await fabric.make("subnets", { network_id: id, ip_version: 4, cidr: `10.${n}.0.0/24` });
  const six = await fabric.make("subnets", {
    network_id: id,
    ip_version: 6,
    cidr: `fd0${n}::/64`,
    gateway_ip: `fd0${n}::1`,
    ipv6_ra_mode: "slaac",
    ipv6_address_mode: "slaac",
    dns_nameservers: ["2001:db8::53"],
  });
  return { id, subnets: [four, six] as const };
}

describe("routers", { skip }, () => {
  before(async () => {
    const fabric = await Fabric.up("routers");
    try {
      const office = await network(fabric, "office", 1);
      const lab = await network(fabric, "lab", 2, { mtu: smallMtu });
      const router = await fabric.make("routers", { name: "between" });
      for (const subnet_id of [...office.subnets, ...lab.subnets])
        await fabric.api.ask("PUT", `/v2.0/routers/${router}/add_router_interface`, { subnet_id });
      await fabric.settled();
      const a = await fabric.guest("a", "h1", { network_id: office.id });
      const x = await fabric.guest("x", "h1", { network_id: lab.id });
      const y = await fabric.guest("y", "h2", { network_id: lab.id });
      world = { fabric, router, office: office.subnets, a, x, y };
    } catch (cause) {
      await fabric[Symbol.asyncDispose]();
      throw cause;
    }
    for (const guest of [world.a, world.x, world.y]) {
      await untilSeen(
        "a way out by IPv4",
        async () => (await run(guest, "ip", "route", "show", "default")).said !== "",
      );
      await untilSeen("a way out by IPv6", async () => {
        const { said } = await run(guest, "ip", "-6", "route", "show", "default");
        return said.includes("proto ra");
      });
    }
  });

  after(async () => {
    await world?.fabric[Symbol.asyncDispose]();
  });

  test("machines of two networks reach each other, on one host and on two, over both families", async () => {
    const { a, x, y } = world;
    for (const family of families) {
      for (const to of [x, y]) {
        assert.ok(await pings(a, to[family]), `a reaches ${to.name} by ${family}`);
        assert.ok(await pings(to, a[family]), `${to.name} reaches a by ${family}`);
      }
    }
  });

  test("a router's addresses answer pings, those of its other networks and the link-local one too", async () => {
    const { a } = world;
    for (const address of ["10.1.0.1", "10.2.0.1", "fd01::1", "fd02::1"]) assert.ok(await pings(a, address), address);
    const { said } = await run(a, "ip", "-6", "route", "show", "default");
    const [, local = ""] = /via (fe80:\S+)/.exec(said) ?? [];
    assert.ok(await pings(a, `${local}%eth0`), `its link-local address ${local}`);
  });

  test("traceroute sees the router and then the machine, by datagrams and by pings", async () => {
    const { a, y } = world;
    for (const family of families) {
      for (const how of [[], ["-I"]]) {
        const flags = [family === "ip4" ? "-4" : "-6", "-n", "-q", "1", "-w", "10", "-m", "4", ...how];
        const { said } = await run(a, "traceroute", ...flags, y[family]);
        const hops = said.split("\n").flatMap((line) => /^ *\d+ +(\S+)/.exec(line)?.[1] ?? []);
        assert.deepEqual(hops, [officeGateway[family], y[family]], said);
      }
    }
  });

  test("what a router cannot send on it says at once, from its address: no route, nobody there, nothing listens", async () => {
    const { a } = world;
    const refused = async (address: string): Promise<string> =>
      (await run(a, "ping", "-n", "-c", "1", "-W", "10", address)).said;
    assert.match(await refused("203.0.113.9"), /From 10\.1\.0\.1 .*Destination Net Unreachable/);
    assert.match(await refused("2001:db8:ff::9"), /From fd01::1 .*Destination unreachable: No route/);
    assert.match(await refused("10.2.0.250"), /From 10\.1\.0\.1 .*Destination Host Unreachable/);
    assert.match(await refused("fd02::dead"), /From fd01::1 .*Destination unreachable: Address unreachable/);
    for (const url of ["http://10.1.0.1/", "http://10.2.0.1/", "http://[fd01::1]/"]) {
      const { code, said } = await run(a, "curl", "-g", "-sS", "-m", "10", url);
      assert.equal(code, 7, `at once, and not for want of an answer: ${said}`);
    }
  });

  test("a packet that is too large for the next network is refused with its MTU, and the sender keeps to that", async () => {
    const { a, x, y } = world;
    const size = (bytes: number, family: "ip4" | "ip6"): string => String(bytes - (family === "ip4" ? 28 : 48));
    for (const family of families) {
      for (const to of [x, y]) {
        await run(a, "ip", family === "ip4" ? "-4" : "-6", "route", "flush", "cache");
        const large = await run(
          a,
          "ping",
          "-n",
          "-M",
          "do",
          "-c",
          "1",
          "-W",
          "10",
          "-s",
          size(1400, family),
          to[family],
        );
        const told =
          family === "ip4"
            ? /From 10\.1\.0\.1 .*Frag needed and DF set \(mtu = 1300\)/
            : /From fd01::1 .*Packet too big: mtu=1300/;
        assert.match(large.said, told);
        const again = await run(
          a,
          "ping",
          "-n",
          "-M",
          "do",
          "-c",
          "1",
          "-W",
          "10",
          "-s",
          size(1400, family),
          to[family],
        );
        assert.match(again.said, /message too long, mtu[=:] ?1300/i, "the kernel has taken it");
        assert.ok(await pings(a, to[family], "-M", "do", "-s", size(smallMtu, family)), "what just fits passes");
        assert.ok(await pings(a, to[family], "-M", "want", "-s", "2000"), "and what may be fragmented, in fragments");
      }
    }
  });

  test("a machine asks who routes, is told, and makes itself the address that its port has", async () => {
    const { a } = world;
    const { code, said } = await run(a, "rdisc6", "-1", "-w", "10000", "eth0");
    assert.equal(code, 0, said);
    assert.match(said, /Prefix +: fd01::\/64/);
    assert.match(said, /On-link +: +Yes/);
    assert.match(said, /Autonomous address conf\.: +Yes/);
    assert.match(said, /Router lifetime +: +1800/);
    assert.match(said, /Recursive DNS server +: +2001:db8::53/);
    assert.match(said, /Stateful address conf\. +: +No/);
    assert.match(said, /MTU +: +\d{4} bytes/);
    await run(a, "ip", "-6", "addr", "del", `${a.ip6}/64`, "dev", "eth0");
    await run(a, "rdisc6", "-1", "-q", "-w", "10000", "eth0");
    await untilSeen("an address that came of itself", async () => {
      const shown = await run(a, "ip", "-6", "addr", "show", "dev", "eth0", "dynamic");
      return shown.said.includes(`${a.ip6}/64`);
    });
    assert.ok(await pings(a, world.y.ip6));
  });

  test("a gateway says in neighbour discovery that it is a router", async () => {
    const { a } = world;
    await run(a, "ping", "-n", "-c", "1", "-W", "10", "fd01::1");
    const { said } = await run(a, "ip", "-6", "neigh", "show", "fd01::1");
    assert.match(said, /lladdr \S+ router/);
  });

  test("a router that is down sends nothing on, and its machines know of no way out; one that is up again does", async () => {
    const { fabric, router, a, y } = world;
    await fabric.change("routers", router, { admin_state_up: false });
    await fabric.drops("h1", "router-admin-down", 1, async () => {
      assert.equal(await pings(a, y.ip4, "-W", "2"), false);
    });
    await untilSeen(
      "no way out by IPv6",
      async () => (await run(a, "ip", "-6", "route", "show", "default")).said === "",
    );
    await fabric.change("routers", router, { admin_state_up: true });
    await untilSeen("a way out again", async () =>
      (await run(a, "ip", "-6", "route", "show", "default")).said.includes("proto ra"),
    );
    for (const family of families) assert.ok(await pings(a, y[family]));
  });

  test("a route through a machine leads there and back; an interface that goes takes its networks with it", async () => {
    const { fabric, router, office, a, y } = world;
    await fabric.api.ask("PUT", `/v2.0/ports/${y.id}`, { port: { port_security_enabled: false, security_groups: [] } });
    await run(y, "ip", "addr", "add", "192.0.2.9/32", "dev", "lo");
    await run(y, "ip", "addr", "add", "2001:db8:9::9/128", "dev", "lo");
    const routes = [
      { destination: "192.0.2.0/24", nexthop: y.ip4 },
      { destination: "2001:db8:9::/64", nexthop: y.ip6 },
    ];
    await fabric.change("routers", router, { routes });
    assert.ok(await pings(a, "192.0.2.9"));
    assert.ok(await pings(a, "2001:db8:9::9"));
    const shown = await fabric.api.ask("GET", `/v2.0/routers/${router}`);
    assert.deepEqual(at(at(shown, "router"), "routes"), routes);
    await fabric.change("routers", router, { routes: [] });
    for (const subnet_id of office)
      await fabric.api.ask("PUT", `/v2.0/routers/${router}/remove_router_interface`, { subnet_id });
    await fabric.settled();
    for (const family of families) assert.equal(await pings(a, y[family], "-W", "2"), false);
    await untilSeen(
      "no way out by IPv6",
      async () => (await run(a, "ip", "-6", "route", "show", "default")).said === "",
    );
  });

  test("machines that remember whose a gateway's address was are told when it is another's", async () => {
    const { fabric, router, office, a, y } = world;
    const remembered = async (): Promise<string> =>
      /lladdr (\S+)/.exec((await run(a, "ip", "neigh", "show", officeGateway.ip4)).said)?.[1] ?? "";
    // The DHCP server has it while no router does.
    await run(a, "ip", "neigh", "flush", "all");
    await pings(a, officeGateway.ip4, "-W", "1");
    const before = await remembered();
    assert.notEqual(before, "");
    const changes = (what: string) =>
      Promise.all(
        office.map((subnet_id) =>
          fabric.api.ask("PUT", `/v2.0/routers/${router}/${what}_router_interface`, { subnet_id }),
        ),
      );
    await changes("add");
    await untilSeen("the router's MAC", async () => ![before, ""].includes(await remembered()));
    assert.ok(await pings(a, y.ip4));
    await changes("remove");
    await untilSeen("the server's MAC", async () => (await remembered()) === before);
  });
});
