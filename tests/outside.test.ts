/**
 * The outside on a running fabric of two hosts with real switches: machines go out by their router's address and are reached by floating addresses and forwarded
 * ports, from whichever host, all under stateful security groups; a machine outside answers with a real kernel, and sees what moves.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { hostMac } from "@selvage/compiler";
import { at, OUTSIDE_RANGES } from "@selvage/lab";
import { until, whyNoLab } from "@selvage/lab/testing";
import { Fabric, type Guest } from "./support/guests.ts";
import { far, gatewayOf, leadBack, letsIn, makeBehind, makePublic } from "./support/way-out.ts";

const skip = (await whyNoLab()) ?? false;
const WAIT_MS = 60_000;

interface World {
  readonly fabric: Fabric;
  readonly external: string;
  readonly router: string;
  /** The router's address outside. */
  readonly shared: string;
  /** Lets in what is tested; all machines here are under it. */
  readonly group: string;
  /** Of the pool of all subnets of IPv6, which are of one address scope. */
  readonly pooled: { readonly subnetpool_id: string };
  /** On the first host and on the second, in one network behind the router. */
  readonly a: Guest;
  readonly b: Guest;
}

let world: World;

const run = (guest: Pick<Guest, "room">, ...argv: readonly string[]) => world.fabric.run(guest, ...argv);
const text = (value: unknown): string => {
  assert.equal(typeof value, "string");
  return String(value);
};
const show = async (plural: string, id: string): Promise<unknown> =>
  at(await world.fabric.api.ask("GET", `/v2.0/${plural}/${id}`), plural.replace(/s$/, ""));

async function pings(from: Pick<Guest, "room">, address: string, ...options: readonly string[]): Promise<boolean> {
  const { said } = await run(from, "ping", "-n", "-c", "1", "-W", "10", ...options, address);
  return said.includes(" 1 received");
}

const untilSeen = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
  await until(`not seen: ${what}`, WAIT_MS, async () => ((await holds()) ? true : undefined));
};

/** A web server that says who asked; it answers with the peer's address. */
const whoAsks = [
  "import http.server,socketserver,socket,sys",
  "class H(http.server.BaseHTTPRequestHandler):",
  "  def do_GET(self):",
  "    body=(self.client_address[0]+' '+str(self.client_address[1])).encode()",
  "    self.send_response(200); self.send_header('content-length',str(len(body))); self.end_headers(); self.wfile.write(body)",
  "class S(socketserver.ThreadingMixIn,http.server.HTTPServer): address_family=socket.AF_INET6; daemon_threads=True",
  "s=S(('::',int(sys.argv[1])),H)",
  "print('ready',flush=True)",
  "s.serve_forever()",
].join("\n");

const serve = (guest: Pick<Guest, "room">, port: number) =>
  world.fabric.start(guest, "python3", "-c", whoAsks, String(port));

/** What a page says; empty where none came. */
async function page(from: Pick<Guest, "room">, url: string): Promise<string> {
  const { said } = await run(from, "curl", "-s", "-g", "-m", "20", url);
  return said.replace(/^::ffff:/, "");
}

describe("outside", { skip }, () => {
  before(async () => {
    const fabric = await Fabric.up("outside");
    try {
      const scope = await fabric.make("address-scopes", { name: "six", ip_version: 6 });
      const prefixes = ["2001:db8:ff::/48", "fd07::/64"];
      const six = { prefixes, default_prefixlen: 64, address_scope_id: scope };
      const pooled = { subnetpool_id: await fabric.make("subnetpools", { name: "six", ...six }) };
      const external = await makePublic(fabric, { 4: {}, 6: pooled });
      const { inner, router } = await makeBehind(fabric, external, 7, {}, pooled);
      await fabric.settled();
      const group = await letsIn(fabric);
      const guarded = { network_id: inner, security_groups: [group] };
      const a = await fabric.guest("a", "h1", guarded);
      const b = await fabric.guest("b", "h2", guarded);
      const { ip4: shared, ip6 } = await gatewayOf(fabric, router);
      world = { fabric, external, router, shared, group, pooled, a, b };
      await leadBack(fabric, 7, ip6);
    } catch (cause) {
      await fabric[Symbol.asyncDispose]();
      throw cause;
    }
    for (const guest of [world.a, world.b]) {
      await untilSeen(
        "a way out by IPv4",
        async () => (await run(guest, "ip", "route", "show", "default")).said !== "",
      );
      await untilSeen("a way out by IPv6", async () =>
        (await run(guest, "ip", "-6", "route", "show", "default")).said.includes("proto ra"),
      );
    }
  });

  after(async () => {
    await world?.fabric[Symbol.asyncDispose]();
  });

  test("machines of every host reach the outside, with their router's address by IPv4 and their own by IPv6", async () => {
    const { fabric, a, b, shared } = world;
    for (const guest of [a, b]) {
      for (const family of ["ip4", "ip6"] as const)
        await untilSeen(`${guest.name} reaches ${far[family]}`, () => pings(guest, far[family]));
    }
    await using server = serve(fabric.outside, 80);
    await server.says(/ready/);
    const ports = new Map<string, number>();
    for (const guest of [a, b]) {
      const [from, port] = (await page(guest, `http://${far.ip4}/`)).split(" ");
      assert.equal(from, shared);
      ports.set(guest.host, Number(port));
      assert.equal((await page(guest, `http://[${far.ip6}]/`)).split(" ")[0], guest.ip6);
    }
    const listed = await fabric.api.ask("GET", "/v1/nat-leases");
    const leases = at(listed, "nat_leases") as readonly Readonly<Record<string, unknown>>[];
    assert.ok(leases.length >= 2, JSON.stringify(listed));
    const blocks = [...ports.values()].map((port) => Math.floor(port / 1_024));
    assert.notEqual(blocks[0], blocks[1], "each host has its own block");
  });

  test("what the outside says of a packet comes to the machine that sent it", async () => {
    const { a, b } = world;
    for (const guest of [a, b]) {
      const { said } = await run(guest, "traceroute", "-4", "-n", "-q", "1", "-w", "10", "-m", "3", far.ip4);
      const hops = said.split("\n").flatMap((line) => /^ *\d+ +(\S+)/.exec(line)?.[1] ?? []);
      assert.deepEqual(hops, ["10.7.0.1", far.ip4], said);
    }
  });

  test("a floating address is its machine's both ways, moves at once, and is nobody's when it goes", async () => {
    const { fabric, external, a, b } = world;
    const made = at(
      await fabric.api.ask("POST", "/v2.0/floatingips", {
        floatingip: { floating_network_id: external, port_id: a.id },
      }),
      "floatingip",
    );
    const [id, address] = [text(at(made, "id")), text(at(made, "floating_ip_address"))];
    await fabric.settled();
    await using inA = serve(a, 8080);
    await using inB = serve(b, 8080);
    await using out = serve(fabric.outside, 80);
    for (const server of [inA, inB, out]) await server.says(/ready/);
    await untilSeen("it is reached", () => pings(fabric.outside, address));
    assert.equal((await page(fabric.outside, `http://${address}:8080/`)).split(" ")[0], OUTSIDE_RANGES.ipv4.gateway);
    assert.equal((await page(a, `http://${far.ip4}/`)).split(" ")[0], address);
    assert.equal(at(await show("floatingips", id), "status"), "ACTIVE");
    // The machine outside knows the first host by its MAC, and hears at once that it is another's.
    await fabric.change("floatingips", id, { port_id: b.id });
    await untilSeen("it is the other's", () => pings(fabric.outside, address, "-i", "0.2"));
    assert.equal((await page(b, `http://${far.ip4}/`)).split(" ")[0], address);
    assert.equal((await page(a, `http://${far.ip4}/`)).split(" ")[0], world.shared);
    await fabric.remove("floatingips", id);
    assert.equal((await page(b, `http://${far.ip4}/`)).split(" ")[0], world.shared);
    const { said } = await run(fabric.outside, "ping", "-n", "-c", "1", "-W", "1", address);
    assert.ok(said.includes(" 0 received"), said);
  });

  test("ports of one address are machines' on two hosts, and machines inside reach them too", async () => {
    const { fabric, external, a, b } = world;
    const made = at(
      await fabric.api.ask("POST", "/v2.0/floatingips", { floatingip: { floating_network_id: external } }),
      "floatingip",
    );
    const [id, address] = [text(at(made, "id")), text(at(made, "floating_ip_address"))];
    const forwardings: string[] = [];
    const forward = async (guest: Guest, external_port: number): Promise<void> => {
      const inside = { internal_port_id: guest.id, internal_ip_address: guest.ip4, internal_port: 8080 };
      const port_forwarding = { ...inside, external_port, protocol: "tcp" };
      const path = `/v2.0/floatingips/${id}/port_forwardings`;
      const reply = await fabric.api.ask("POST", path, { port_forwarding });
      forwardings.push(`${path}/${text(at(at(reply, "port_forwarding"), "id"))}`);
    };
    await forward(a, 2001);
    await forward(b, 2002);
    await fabric.settled();
    await using inA = serve(a, 8080);
    await using inB = serve(b, 8080);
    for (const server of [inA, inB]) await server.says(/ready/);
    for (const port of [2001, 2002]) {
      await untilSeen(`port ${port} is reached`, async () => {
        const said = await page(fabric.outside, `http://${address}:${port}/`);
        return said.split(" ")[0] === OUTSIDE_RANGES.ipv4.gateway;
      });
      // A machine reaches itself by an address that stands for it, too.
      for (const guest of [a, b]) {
        await untilSeen(`${guest.name} reaches port ${port}`, async () => {
          const said = await page(guest, `http://${address}:${port}/`);
          return said.split(" ")[0] === world.shared;
        });
      }
    }
    assert.equal(await page(fabric.outside, `http://${address}:2003/`), "");
    for (const path of forwardings) await fabric.api.ask("DELETE", path);
    await fabric.remove("floatingips", id);
    assert.ok(!(await pings(fabric.outside, address, "-W", "1")), "it is nobody's");
  });

  test("an address that a router speaks for is found on the wire, with no route to its prefix, while it does", async () => {
    const { fabric, external, group, pooled } = world;
    const { outside } = fabric;
    const network_id = await fabric.make("networks", { name: "proxied" });
    const [cidr, gateway_ip] = ["2001:db8:ff:1::/64", "2001:db8:ff:1::1"];
    const slaac = { ip_version: 6, ipv6_ra_mode: "slaac", ipv6_address_mode: "slaac" };
    const subnet_id = await fabric.make("subnets", { ...pooled, ...slaac, network_id, cidr, gateway_ip });
    const router_id = await fabric.make("routers", { name: "r", external_gateway_info: { network_id: external } });
    await fabric.api.ask("PUT", `/v2.0/routers/${router_id}/add_router_interface`, { subnet_id });
    await fabric.change("routers", router_id, { enable_ndp_proxy: true });
    const [spoken, unspoken] = [
      await fabric.guest("spoken", "h2", { network_id, security_groups: [group] }),
      await fabric.guest("unspoken", "h2", { network_id, security_groups: [group] }),
    ];
    // The whole prefix is on the link, to whoever is outside: an address is reached when somebody answers for it there.
    assert.equal((await run(outside, "ip", "-6", "route", "add", cidr, "dev", "public")).code, 0);
    const { said } = await run(outside, "ping", "-n", "-c", "1", "-W", "2", spoken.ip6);
    assert.ok(said.includes(" 0 received"), said);
    const made = await fabric.api.ask("POST", "/v2.0/ndp_proxies", { ndp_proxy: { router_id, port_id: spoken.id } });
    await fabric.settled();
    await untilSeen("it is found", () => pings(outside, spoken.ip6));
    const hosts = at(await fabric.api.ask("GET", "/v1/hosts"), "hosts") as readonly Readonly<Record<string, unknown>>[];
    const key = Number(hosts.find(({ name }) => name === "h2")?.key);
    assert.match((await run(outside, "ip", "neigh", "show", spoken.ip6)).said, new RegExp(`lladdr ${hostMac(key)}`));
    assert.ok(await pings(spoken, far.ip6), "and it reaches who is outside");
    assert.ok(!(await pings(outside, unspoken.ip6, "-W", "2")), "the one beside it is nobody's there");
    await fabric.remove("ndp_proxies", text(at(at(made, "ndp_proxy"), "id")));
    await run(outside, "ip", "neigh", "flush", "to", spoken.ip6);
    assert.ok(!(await pings(outside, spoken.ip6, "-W", "2")), "nor is it, when it is not spoken for");
  });

  test("when a host is gone another speaks for the router's address, and what was connected goes on", async () => {
    const { fabric, shared, a, b } = world;
    await using out = fabric.start(fabric.outside, "iperf3", "-s", "-1", "--forceflush");
    await out.says(/listening/i);
    const neighbour = async (): Promise<string> =>
      (await run(fabric.outside, "ip", "neigh", "show", shared)).said.split(" ")[4] ?? "";
    await pings(fabric.outside, shared);
    const before = await neighbour();
    const hosts = at(await fabric.api.ask("GET", "/v1/hosts"), "hosts") as readonly Readonly<Record<string, unknown>>[];
    const keyed = new Map(hosts.map(({ name, key }) => [hostMac(Number(key)), String(name)]));
    const owner = keyed.get(before) ?? assert.fail(`${before} of ${[...keyed.keys()].join()}`);
    // The machine on the host that stays keeps a connection open over the loss of the other.
    const stays = owner === "h1" ? b : a;
    await using client = fabric.start(
      stays,
      "iperf3",
      "-c",
      far.ip4,
      "-t",
      "12",
      "-b",
      "2M",
      "-i",
      "1",
      "--forceflush",
    );
    await client.says(/ 1\.00-2\.0/);
    fabric.kill(owner);
    await untilSeen("another speaks for it", async () => (await neighbour()) !== before);
    await client.says(/iperf Done/);
    const seconds = [...client.said.matchAll(/(\d+)\.\d\d-\d+\.\d+ +sec +([\d.]+) \S*Bytes/g)].map(
      ([, , amount]) => amount,
    );
    // All of its seconds, and the sums of both sides.
    assert.ok(seconds.length >= 12 && seconds.every((amount) => Number(amount) > 0), client.said);
    await untilSeen("its machines still go out", () => pings(stays, far.ip4));
  });
});
