/**
 * Addresses that move between machines (allowed address pairs), on a running fabric of three hosts with real switches: kernels have them, announce them and lose them,
 * and whoever is behind a router reaches them where they are.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { until, whyNoLab } from "@selvage/lab/testing";
import { Fabric, type Guest } from "./support/guests.ts";

const skip = (await whyNoLab()) ?? false;
const WAIT_MS = 60_000;
const vips = { ip4: "10.1.0.200", ip6: "fd01::c8" } as const;
const families = ["ip4", "ip6"] as const;
type Family = (typeof families)[number];
const lengths = { ip4: 24, ip6: 64 } as const;

interface World {
  readonly fabric: Fabric;
  /** On two hosts: both may have the addresses. */
  readonly a: Guest;
  readonly b: Guest;
  /** Beside them. */
  readonly c: Guest;
  /** Behind the router, on a host that has no machine of their network. */
  readonly x: Guest;
}

let world: World;

async function pings(from: Guest, address: string): Promise<boolean> {
  const { said } = await world.fabric.run(from, "ping", "-n", "-c", "1", "-W", "2", address);
  return said.includes(" 1 received");
}

const untilReached = (from: Guest, family: Family): Promise<true> =>
  until(`${from.name} does not reach ${vips[family]}`, WAIT_MS, async () =>
    (await pings(from, vips[family])) ? true : undefined,
  );

const address = (guest: Guest, what: "add" | "del", family: Family) =>
  world.fabric.run(
    guest,
    ...["ip", "address", what, `${vips[family]}/${lengths[family]}`, "dev", "eth0"],
    ...(family === "ip6" && what === "add" ? ["nodad"] : []),
  );

describe("addresses that move", { skip }, () => {
  before(async () => {
    const fabric = await Fabric.up("moving", 3);
    try {
      const [office, lab] = await Promise.all(["office", "lab"].map((name) => fabric.make("networks", { name })));
      const router = await fabric.make("routers", { name: "between" });
      for (const [at, network_id] of [office, lab].entries()) {
        const n = at + 1;
        const four = { network_id, ip_version: 4, cidr: `10.${n}.0.0/24` };
        const modes = { ipv6_ra_mode: "slaac", ipv6_address_mode: "slaac" };
        const six = { network_id, ip_version: 6, cidr: `fd0${n}::/64`, gateway_ip: `fd0${n}::1`, ...modes };
        for (const fields of [four, six]) {
          const subnet_id = await fabric.make("subnets", fields);
          await fabric.api.ask("PUT", `/v2.0/routers/${router}/add_router_interface`, { subnet_id });
        }
      }
      const allowed_address_pairs = Object.values(vips).map((ip_address) => ({ ip_address }));
      const open = async (name: string, host: string) => {
        const groups = await fabric.make("security-groups", { name });
        for (const ethertype of ["IPv4", "IPv6"])
          await fabric.make("security-group-rules", { security_group_id: groups, direction: "ingress", ethertype });
        return fabric.guest(name, host, { network_id: office, allowed_address_pairs, security_groups: [groups] });
      };
      const a = await open("a", "h1");
      const b = await open("b", "h2");
      const c = await fabric.guest("c", "h1", { network_id: office });
      const x = await fabric.guest("x", "h3", { network_id: lab });
      world = { fabric, a, b, c, x };
    } catch (cause) {
      await fabric[Symbol.asyncDispose]();
      throw cause;
    }
    for (const guest of [world.a, world.b, world.x])
      await until(`${guest.name} has no way out`, WAIT_MS, async () => {
        const { said } = await world.fabric.run(guest, "ip", "-6", "route", "show", "default");
        const four = await world.fabric.run(guest, "ip", "route", "show", "default");
        return said.includes("proto ra") && four.said !== "" ? true : undefined;
      });
  });

  after(async () => {
    await world?.fabric[Symbol.asyncDispose]();
  });

  test("nobody is reached by an address that nobody has", async () => {
    for (const family of families) assert.equal(await pings(world.x, vips[family]), false);
  });

  test("an address that a machine took without a word is found, by machines beside it and behind the router", async () => {
    const { a, c, x } = world;
    for (const family of families) {
      await address(a, "add", family);
      await untilReached(x, family);
      await untilReached(c, family);
    }
  });

  test("one that moved is where it was announced, at once", async () => {
    const { fabric, a, b, x, c } = world;
    await address(a, "del", "ip4");
    await address(b, "add", "ip4");
    await fabric.run(b, "arping", "-U", "-c", "1", "-I", "eth0", vips.ip4);
    for (const from of [x, c]) await untilReached(from, "ip4");
    // Who has it now says so again, when asked by nobody: it stays there.
    await fabric.run(b, "arping", "-U", "-c", "1", "-I", "eth0", vips.ip4);
    assert.ok(await pings(x, vips.ip4));
  });

  test("and where it was not announced, soon", async () => {
    const { a, b, x } = world;
    await address(a, "del", "ip6");
    await address(b, "add", "ip6");
    await untilReached(x, "ip6");
  });

  test("an agent that starts anew finds it again", async () => {
    const { fabric, b, x } = world;
    await fabric.killAgent(b.host);
    for (const family of families) await untilReached(x, family);
  });

  test("it is nobody's when the machine lets it go, and when the pair goes", async () => {
    const { fabric, b, x } = world;
    await fabric.change("ports", b.id, { allowed_address_pairs: [] });
    for (const family of families) assert.equal(await pings(x, vips[family]), false);
  });
});
