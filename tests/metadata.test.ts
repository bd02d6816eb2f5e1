/**
 * Metadata on a running fabric of two hosts with real switches, asked by curl: by both families, isolated and routed, of tenants whose addresses are the same, with
 * forged headers, what cloud-init asks for, and from a host's own copy while the server is gone.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { at, openFabric } from "@selvage/lab";
import { until, whyNoLab } from "@selvage/lab/testing";
import { Fabric, type Guest } from "./support/guests.ts";

const skip = (await whyNoLab()) ?? false;
const WAIT_MS = 60_000;
const four = "http://169.254.169.254";
const six = "http://[fe80::a9fe:a9fe%25eth0]";

interface World {
  readonly fabric: Fabric;
  /** Of two tenants, with one address, on one host. */
  readonly red: Guest;
  readonly blue: Guest;
  /** Behind a router, on the other host; its group lets nothing out. */
  readonly routed: Guest;
}

let world: World;

async function curl(guest: Guest, ...argv: readonly string[]): Promise<string> {
  const { code, said } = await world.fabric.run(guest, "curl", "-sS", "--max-time", "10", ...argv);
  assert.equal(code, 0, said);
  return said;
}

const uuidOf = async (guest: Guest, base: string, ...more: readonly string[]): Promise<unknown> =>
  at(JSON.parse(await curl(guest, ...more, `${base}/openstack/latest/meta_data.json`)), "uuid");

describe("metadata", { skip }, () => {
  before(async () => {
    const fabric = await Fabric.up("metadata");
    try {
      const tenant = async (name: string, device: string): Promise<Guest> => {
        const network_id = await fabric.make("networks", { name });
        const subnet_id = await fabric.make("subnets", {
          network_id,
          ip_version: 4,
          cidr: "10.7.0.0/24",
          gateway_ip: null,
        });
        const fixed_ips = [{ subnet_id, ip_address: "10.7.0.5" }];
        return fabric.guest(name, "h1", { network_id, fixed_ips, device_id: device });
      };
      const red = await tenant("red", "11111111-1111-4111-8111-111111111111");
      const blue = await tenant("blue", "22222222-2222-4222-8222-222222222222");
      const network_id = await fabric.make("networks", { name: "office" });
      const subnet_id = await fabric.make("subnets", { network_id, ip_version: 4, cidr: "10.8.0.0/24" });
      const router = await fabric.make("routers", { name: "way" });
      await fabric.api.ask("PUT", `/v2.0/routers/${router}/add_router_interface`, { subnet_id });
      const closed = await fabric.make("security-groups", { name: "closed" });
      const rules = await fabric.api.ask("GET", `/v2.0/security-group-rules?security_group_id=${closed}`);
      for (const rule of at(rules, "security_group_rules") as readonly unknown[])
        await fabric.remove("security-group-rules", String(at(rule, "id")));
      const routed = await fabric.guest("routed", "h2", { network_id, security_groups: [closed] });
      world = { fabric, red, blue, routed };
    } catch (cause) {
      await fabric[Symbol.asyncDispose]();
      throw cause;
    }
    for (const guest of [world.red, world.blue, world.routed])
      await until(`${guest.name} asks nobody`, WAIT_MS, async () => {
        const { code } = await world.fabric.run(guest, "curl", "-s", "--max-time", "5", `${four}/`);
        return code === 0 ? true : undefined;
      });
  });

  after(async () => {
    await world?.fabric[Symbol.asyncDispose]();
  });

  test("two tenants' machines with one address get each its own, by IPv4 and by IPv6", async () => {
    const { red, blue } = world;
    assert.equal(red.ip4, blue.ip4);
    for (const base of [four, six]) {
      assert.equal(await uuidOf(red, base), "11111111-1111-4111-8111-111111111111");
      assert.equal(await uuidOf(blue, base), "22222222-2222-4222-8222-222222222222");
    }
  });

  test("behind a router it is asked by the router's MAC, and security groups have no part in it", async () => {
    const { routed } = world;
    assert.match((await world.fabric.run(routed, "ip", "route", "get", "169.254.169.254")).said, /via 10\.8\.0\.1 /);
    assert.equal(await uuidOf(routed, four), routed.id);
    assert.equal(await uuidOf(routed, six), routed.id);
  });

  test("headers that name another are nothing to it", async () => {
    const { red, blue } = world;
    const forged = [
      `X-Instance-ID: ${blue.id}`,
      "X-Instance-ID: 22222222-2222-4222-8222-222222222222",
      "X-Tenant-ID: another",
      `X-Forwarded-For: ${world.routed.ip4}`,
      "X-Instance-ID-Signature: 00",
    ].flatMap((header) => ["-H", header]);
    assert.equal(await uuidOf(red, four, ...forged), "11111111-1111-4111-8111-111111111111");
  });

  test("what cloud-init asks for is there, and user data once the port's project has given it", async () => {
    const { fabric, red, blue } = world;
    const network = JSON.parse(await curl(red, `${four}/openstack/latest/network_data.json`));
    assert.deepEqual(
      (at(network, "links") as readonly unknown[]).map((link) => at(link, "ethernet_mac_address")),
      [red.mac],
    );
    assert.equal(await curl(red, `${four}/latest/meta-data/local-ipv4`), "10.7.0.5");
    assert.equal(await curl(red, `${four}/2009-04-04/meta-data/instance-id`), "i-11111111");
    assert.equal(await curl(red, `${four}/2009-04-04/meta-data/hostname`), "red");
    const status = (guest: Guest) =>
      curl(guest, "-o", "/dev/null", "-w", "%{http_code}", `${four}/openstack/latest/user_data`);
    assert.equal(await status(red), "404");
    const script = "#!/bin/sh\necho hello\n";
    await fabric.api.ask("PUT", `/v1/ports/${red.id}/user-data`, { user_data: Buffer.from(script).toString("base64") });
    await fabric.settled();
    assert.equal(await curl(red, `${four}/openstack/latest/user_data`), script);
    assert.equal(await curl(red, `${four}/latest/user-data`), script);
    assert.equal(await status(blue), "404");
  });

  test("a flood of one machine's questions takes nothing from another", async () => {
    const { fabric, red, blue } = world;
    await using flood = fabric.start(red, "ping", "-f", "-q", "-l", "100", "169.254.169.254");
    for (let n = 0; n < 5; n += 1) assert.equal(await uuidOf(blue, four), "22222222-2222-4222-8222-222222222222");
    assert.equal(flood.hasEnded, false);
  });

  test("with the server dead and the agent started anew, a host answers from its own copy", async () => {
    const { fabric, red, blue } = world;
    const { record } = await openFabric(fabric.data);
    const { hosts } = JSON.parse(fabric.selvage("lab", "hosts", "--json"));
    const host = (hosts as readonly unknown[]).find((each) => at(each, "name") === "h1");
    process.kill(record.server.pid, "SIGKILL");
    process.kill(Number(at(at(host, "pids"), "agent")), "SIGKILL");
    await until("the agent answers again", WAIT_MS, async () => {
      const { code } = await fabric.run(red, "curl", "-s", "--max-time", "5", `${four}/`);
      return code === 0 ? true : undefined;
    });
    assert.equal(await uuidOf(red, four), "11111111-1111-4111-8111-111111111111");
    assert.equal(await uuidOf(blue, six), "22222222-2222-4222-8222-222222222222");
    assert.match(await curl(red, `${four}/latest/user-data`), /^#!/);
  });
});
