/** DHCPv6 on a running fabric of two hosts with real switches: a real client asks, and is told what its port has (RFC 8415), with addresses and without. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { until, whyNoLab } from "@selvage/lab/testing";
import { Fabric, type Guest, type Program } from "./support/guests.ts";

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

const files = ["-lf", "/run/asked.leases", "-pf", "/run/asked.pid", "-cf", "/dev/null"];

/** Starts a client with what it remembers, and lets it say what it sends and hears; its script's words come between. */
const client = (guest: Guest, ...flags: readonly string[]): Program =>
  world.fabric.start(guest, "dhclient", "-6", "-d", ...files, ...flags, "eth0");

/** Changes what a client remembers. */
const remember = (guest: Guest, ...changes: readonly string[]) =>
  run(guest, "sed", "-i", "-E", changes.join(";"), "/run/asked.leases");

/** Lets a client ask, as that of a machine which has just come up, and gives what its script was told. */
async function asked(guest: Guest, ...flags: readonly string[]): Promise<string> {
  await run(guest, "rm", "-f", "/run/asked.leases");
  await using asking = client(guest, "-q", "-sf", "/usr/bin/env", ...flags);
  await asking.says(/reason=(BOUND|RENEW)6\n[\s\S]*PATH=/);
  return asking.said;
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

  test("a client that comes back has its address confirmed, renews it, and finds another server when its own is silent", async () => {
    const { a } = world;
    await asked(a);
    await remember(a, "s/renew [0-9]+;/renew 1;/", "s/rebind [0-9]+;/rebind 600;/");
    await using back = client(a, "-sf", "/usr/bin/env");
    await back.says(/XMT: Confirm on eth0[\s\S]*RCV: Reply message[\s\S]*reason=BOUND6/);
    await back.says(/XMT: Renew on eth0[\s\S]*RCV: Reply message[\s\S]*reason=RENEW6[\s\S]*PATH=/);
    assert.match(back.said, new RegExp(`XMT: Renew[\\s\\S]*new_ip6_address=${a.ip6}\n[\\s\\S]*reason=RENEW6`));
    await back[Symbol.asyncDispose]();
    await asked(a);
    const other = "s/(dhcp6.server-id) [0-9a-f:]+;/\\1 0:3:0:1:2:0:0:0:0:1;/";
    await remember(a, other, "s/renew [0-9]+;/renew 1;/", "s/rebind [0-9]+;/rebind 3;/");
    await using lost = client(a, "-sf", "/usr/bin/env");
    await lost.says(
      /XMT: Renew on eth0[\s\S]*XMT: Rebind on eth0[\s\S]*RCV: Reply message[\s\S]*reason=REBIND6[\s\S]*PATH=/,
    );
    assert.match(lost.said, new RegExp(`XMT: Rebind[\\s\\S]*new_ip6_address=${a.ip6}\n[\\s\\S]*reason=REBIND6`));
    assert.doesNotMatch(lost.said, /reason=RENEW6/, "nobody answers for another server");
  });

  test("what a client brings from elsewhere is not confirmed, and it asks anew", async () => {
    const { a } = world;
    await asked(a);
    await remember(a, `s/iaaddr ${a.ip6}/iaaddr fd09::66/`);
    await using moved = client(a, "-sf", "/usr/bin/env");
    await moved.says(/XMT: Confirm on eth0[\s\S]*XMT: Solicit on eth0[\s\S]*reason=BOUND6[\s\S]*PATH=/);
    assert.match(moved.said, new RegExp(`new_ip6_address=${a.ip6}`));
  });

  test("an address that is given back or declined is the port's all the same, and is given again", async () => {
    const { a } = world;
    await asked(a);
    await using wire = world.fabric.start(a, "tcpdump", "-n", "-l", "-i", "eth0", "udp port 546 or udp port 547");
    await wire.says(/listening on/);
    await run(a, "dhclient", "-6", "-r", ...files, "-sf", "/usr/bin/env", "eth0");
    // The client does not wait for what it is answered.
    await wire.says(/dhcp6 release[\s\S]*dhcp6 reply/);
    assert.match(await asked(a), new RegExp(`new_ip6_address=${a.ip6}`));
    // A script that finds the address taken says so by 3 (dhclient-script(8)).
    await run(
      a,
      "sh",
      "-c",
      "printf '#!/bin/sh\\n[ $reason != BOUND6 ] || exit 3\\n' > /run/taken; chmod +x /run/taken",
    );
    await run(a, "rm", "-f", "/run/asked.leases");
    await using declining = client(a, "-sf", "/run/taken");
    await declining.says(/XMT: Decline on eth0[\s\S]*RCV: Reply message/);
    await declining[Symbol.asyncDispose]();
    assert.match(await asked(a), new RegExp(`new_ip6_address=${a.ip6}`));
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
