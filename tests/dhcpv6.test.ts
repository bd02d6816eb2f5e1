/** DHCPv6 on a running fabric of two hosts with real switches: a real client asks, and is told what its port has (RFC 8415), with addresses and without. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { until, whyNoLab } from "@selvage/lab/testing";
import { Fabric, type Guest } from "./support/guests.ts";

const skip = (await whyNoLab()) ?? false;
const WAIT_MS = 60_000;
const server = "fd0a::53";

interface World {
  readonly fabric: Fabric;
  /** Where addresses come by DHCPv6: on the first host and on the second. */
  readonly a: Guest;
  readonly b: Guest;
  /** Where machines make their addresses, and are told names. */
  readonly x: Guest;
}

let world: World;

const run = (guest: Guest, ...argv: readonly string[]) => world.fabric.run(guest, ...argv);

/** A network with a router that advertises a subnet of one mode. */
async function network(fabric: Fabric, router: string, n: number, mode: string): Promise<string> {
  const id = await fabric.make("networks", { name: mode });
  const subnet_id = await fabric.make("subnets", {
    network_id: id,
    ip_version: 6,
    cidr: `fd0${n}::/64`,
    gateway_ip: `fd0${n}::1`,
    ipv6_ra_mode: mode,
    ipv6_address_mode: mode,
    dns_nameservers: [server],
  });
  await fabric.api.ask("PUT", `/v2.0/routers/${router}/add_router_interface`, { subnet_id });
  return id;
}

/** Lets a client ask, as that of a machine which has just come up, and gives what its script was told. */
async function asked(guest: Guest, ...flags: readonly string[]): Promise<string> {
  const files = ["-lf", "/run/asked.leases", "-pf", "/run/asked.pid", "-cf", "/dev/null", "-sf", "/usr/bin/env"];
  await using client = world.fabric.start(guest, "dhclient", "-6", "-d", "-q", ...files, ...flags, "eth0");
  await client.says(/reason=(BOUND|RENEW)6\n[\s\S]*PATH=/);
  return client.said;
}

describe("DHCPv6", { skip }, () => {
  before(async () => {
    const fabric = await Fabric.up("dhcpv6");
    try {
      const router = await fabric.make("routers", { name: "between" });
      const managed = await network(fabric, router, 1, "dhcpv6-stateful");
      const other = await network(fabric, router, 2, "dhcpv6-stateless");
      await fabric.settled();
      const a = await fabric.guest("a", "h1", { network_id: managed });
      const b = await fabric.guest("b", "h2", { network_id: managed });
      const x = await fabric.guest("x", "h2", { network_id: other });
      world = { fabric, a, b, x };
    } catch (cause) {
      await fabric[Symbol.asyncDispose]();
      throw cause;
    }
  });

  after(async () => {
    await world?.fabric[Symbol.asyncDispose]();
  });

  test("a client has its port's address, for a time and with name servers, and is reached at it from another host", async () => {
    const { a, b } = world;
    for (const guest of [a, b]) {
      const { said } = await run(guest, "ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "global");
      assert.match(said, new RegExp(`inet6 ${guest.ip6}/64 .* valid_lft [0-9]+sec`), "it came by a lease");
      assert.equal(said.trim().split("\n").length, 1, `no other: ${said}`);
    }
    assert.equal((await run(a, "cat", "/etc/resolv.conf")).said, `search openstacklocal.\nnameserver ${server}\n`);
    assert.match((await run(a, "ping", "-n", "-c", "1", "-W", "10", b.ip6)).said, / 1 received/);
  });

  test("a machine without an address makes itself known, and every host is the same server", async () => {
    const said = [await asked(world.a), await asked(world.b)];
    for (const [at, guest] of [world.a, world.b].entries()) {
      assert.match(said[at] ?? "", new RegExp(`new_ip6_address=${guest.ip6}`));
      assert.match(said[at] ?? "", new RegExp(`new_dhcp6_name_servers=${server}`));
    }
    const servers = said.map((each) => /new_dhcp6_server_id=(\S+)/.exec(each)?.[1]);
    assert.notEqual(servers[0], undefined);
    assert.equal(servers[0], servers[1]);
  });

  test("where machines make their addresses they are told name servers and given none", async () => {
    const { x } = world;
    assert.equal((await run(x, "cat", "/etc/resolv.conf")).said, `search openstacklocal.\nnameserver ${server}\n`);
    await run(x, "ip", "-6", "addr", "flush", "dev", "eth0", "scope", "global");
    await run(x, "rdisc6", "-1", "-q", "-w", "10000", "eth0");
    await until("an address of its own making", WAIT_MS, async () => {
      const { said } = await run(x, "ip", "-6", "addr", "show", "dev", "eth0", "dynamic");
      return said.includes(`${x.ip6}/64`) ? true : undefined;
    });
    const said = await asked(x, "-S");
    assert.match(said, new RegExp(`new_dhcp6_name_servers=${server}`));
    assert.doesNotMatch(said, /new_ip6_address/);
  });

  test("a router says by flags who is to ask", async () => {
    const flags = async (guest: Guest) => {
      const { said } = await run(guest, "rdisc6", "-1", "-w", "10000", "eth0");
      return [
        /Stateful address conf\. +: +(\w+)/,
        /Stateful other conf\. +: +(\w+)/,
        /Autonomous address conf\.: +(\w+)/,
      ].map((pattern) => pattern.exec(said)?.[1]);
    };
    assert.deepEqual(await flags(world.a), ["Yes", "No", "No"]);
    assert.deepEqual(await flags(world.x), ["No", "Yes", "Yes"]);
  });

  test("a machine that answers DHCPv6 is no server: what it says is dropped", async () => {
    const { fabric, a, b } = world;
    await fabric.drops(a.host, "dhcp-server-from-tenant", 1, async () => {
      const flags = ["-6", "-n", "-Pn", "-sU", "-g", "547", "-p", "546", "--max-retries", "0", "--host-timeout", "20s"];
      await run(a, "nmap", ...flags, b.ip6);
    });
  });
});
