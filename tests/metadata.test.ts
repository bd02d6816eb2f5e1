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
  /** Beside the first, without port security: it may send from any address. */
  readonly free: Guest;
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
      const tenant = async (name: string, device: string) => {
        const network_id = await fabric.make("networks", { name });
        const subnet_id = await fabric.make("subnets", {
          network_id,
          ip_version: 4,
          cidr: "10.7.0.0/24",
          gateway_ip: null,
        });
        const fixed_ips = [{ subnet_id, ip_address: "10.7.0.5" }];
        const guest = await fabric.guest(name, "h1", { network_id, fixed_ips, device_id: device });
        return { guest, network_id, subnet_id };
      };
      const { guest: red, ...place } = await tenant("red", "11111111-1111-4111-8111-111111111111");
      const { guest: blue } = await tenant("blue", "22222222-2222-4222-8222-222222222222");
      const free = await fabric.guest("free", "h1", {
        ...{ network_id: place.network_id, fixed_ips: [{ subnet_id: place.subnet_id, ip_address: "10.7.0.6" }] },
        ...{ device_id: "33333333-3333-4333-8333-333333333333", port_security_enabled: false },
      });
      const network_id = await fabric.make("networks", { name: "office" });
      const subnet_id = await fabric.make("subnets", { network_id, ip_version: 4, cidr: "10.8.0.0/24" });
      const router = await fabric.make("routers", { name: "way" });
      await fabric.api.ask("PUT", `/v2.0/routers/${router}/add_router_interface`, { subnet_id });
      const closed = await fabric.make("security-groups", { name: "closed" });
      const rules = await fabric.api.ask("GET", `/v2.0/security-group-rules?security_group_id=${closed}`);
      for (const rule of at(rules, "security_group_rules") as readonly unknown[])
        await fabric.remove("security-group-rules", String(at(rule, "id")));
      const routed = await fabric.guest("routed", "h2", { network_id, security_groups: [closed] });
      world = { fabric, red, blue, routed, free };
    } catch (cause) {
      await fabric[Symbol.asyncDispose]();
      throw cause;
    }
    for (const guest of [world.red, world.blue, world.routed, world.free])
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

  test("another machine's addresses are no way to its data, by IPv4 nor on the link", async () => {
    const { fabric, red, blue, free } = world;
    const linkLocal = (/inet6 (fe80::\S+)\/64/.exec(
      (await fabric.run(red, "ip", "-6", "addr", "show", "dev", "eth0")).said,
    ) ?? [])[1];
    assert.notEqual(linkLocal, undefined);
    // Asks from an address that it says, and tells what comes.
    const asking = [
      "import socket,sys",
      "source,to=sys.argv[1:]",
      "family=socket.AF_INET6 if ':' in to else socket.AF_INET",
      "place=lambda address,port: (address,port) if family==socket.AF_INET else (address,port,0,socket.if_nametoindex('eth0'))",
      "s=socket.socket(family); s.settimeout(3); s.bind(place(source,0))",
      "print('bound',flush=True)",
      "s.connect(place(to,80)); s.sendall(b'GET /openstack/latest/meta_data.json HTTP/1.0\\r\\n\\r\\n'); print(s.recv(65536))",
    ].join("\n");
    const from = async (guest: Guest, address: string, to: string): Promise<string> => {
      const added = address.includes(":")
        ? [`${address}/64`, "dev", "eth0", "nodad"]
        : [`${address}/32`, "dev", "eth0"];
      await fabric.run(guest, "ip", "addr", "add", ...added);
      const { said } = await fabric.run(guest, "python3", "-c", asking, address, to);
      await fabric.run(guest, "ip", "addr", "del", ...added.slice(0, 3));
      assert.match(said, /^bound/);
      return said;
    };
    for (const [address, to] of [
      [red.ip4, "169.254.169.254"],
      ["10.7.0.77", "169.254.169.254"],
      [linkLocal ?? "", "fe80::a9fe:a9fe"],
      ["fe80::77", "fe80::a9fe:a9fe"],
    ] as const) {
      const said = await fabric.drops(free.host, "metadata-denied", 1, () => from(free, address, to));
      assert.doesNotMatch(said, /uuid/, `${address}: ${said}`);
    }
    // Who has port security does not even come so far.
    assert.doesNotMatch(await from(blue, "10.7.0.6", "169.254.169.254"), /uuid/);
    assert.equal(await uuidOf(free, four), "33333333-3333-4333-8333-333333333333");
    assert.equal(await uuidOf(red, four), "11111111-1111-4111-8111-111111111111");
  });

  test("questions that are no questions are refused, one after another on a connection, and the agent lives", async () => {
    const { fabric, red } = world;
    const agent = (): unknown => {
      const { hosts } = JSON.parse(fabric.selvage("lab", "hosts", "--json"));
      return at(
        at(
          (hosts as readonly unknown[]).find((each) => at(each, "name") === "h1"),
          "pids",
        ),
        "agent",
      );
    };
    const before = agent();
    const status = (...argv: readonly string[]) => curl(red, "-o", "/dev/null", "-w", "%{http_code} ", ...argv);
    for (const path of ["constructor", "__proto__", "toString", "valueOf", "..%2f..%2fetc%2fpasswd"])
      assert.equal(await status(`${four}/openstack/latest/${path}`), "404 ", path);
    assert.equal(await status("--path-as-is", `${four}/../../../etc/passwd`), "404 ");
    assert.match(await status("-H", `X: ${"x".repeat(10_000)}`, `${four}/`), /^4\d\d $/);
    assert.equal(await status("-X", "DELETE", `${four}/latest/user-data`), "405 ");
    assert.equal(await status("-H", "Transfer-Encoding: chunked", "-d", "x".repeat(50_000), `${four}/latest/`), "405 ");
    const url = `${four}/latest/meta-data/hostname`;
    assert.equal(await curl(red, "-w", " %{num_connects} ", url, url), "red 1 red 0 ", "one connection");
    const lines = [
      "GET /latest/meta-data/hostname HTTP/1.1",
      "Host: x",
      "X-Instance-ID: blue",
      " X-Tenant-ID: blue",
      "",
      "",
    ];
    const raw = [
      "import socket,sys,time",
      "s=socket.create_connection(('169.254.169.254',80)); t=time.monotonic()",
      "s.sendall(sys.argv[1].encode())",
      "while s.recv(4096): pass",
      "print(round(time.monotonic()-t))",
    ].join("\n");
    await fabric.run(red, "python3", "-c", raw, lines.join("\r\n"));
    const slow = await fabric.run(red, "python3", "-c", raw, "GET /latest HTTP/1.1\r\nHo");
    assert.ok(
      Number(slow.said) >= 9 && Number(slow.said) <= 20,
      `a question without an end is waited for: ${slow.said} s`,
    );
    assert.equal(agent(), before);
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
