/**
 * What comes round by the outside, on a running fabric of two hosts with real switches: a machine that asks for itself, errors that machines and routers send out
 * and that real kernels outside understand, and machines that reach the outside through two routers.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { at, OUTSIDE_RANGES } from "@selvage/lab";
import { until, whyNoLab } from "@selvage/lab/testing";
import { heldFragments, wireLimits } from "@selvage/pipeline";
import { Fabric, type Guest } from "./support/guests.ts";
import { fragmentFlood } from "./support/raw-floods.ts";
import { far, gatewayOf, leadBack, letsIn, makeBehind, makePublic } from "./support/way-out.ts";

const skip = (await whyNoLab()) ?? false;
const WAIT_MS = 60_000;
/** What the tenant's network carries; the wire outside carries more. */
const mtu = 1_400;

interface World {
  readonly fabric: Fabric;
  /** The router's addresses outside. */
  readonly shared: { readonly ip4: string; readonly ip6: string };
  /** Under security groups, behind the router that goes out: with a floating address, and with a forwarded port. */
  readonly a: Guest;
  readonly b: Guest;
  readonly floating: string;
  readonly forwarded: string;
  /** On the other host, alone there, behind a router whose default route leads to the first one. */
  readonly deep: Guest;
}

let world: World;

const run = (guest: Pick<Guest, "room">, ...argv: readonly string[]) => world.fabric.run(guest, ...argv);
const script = (guest: Pick<Guest, "room">, lines: readonly string[], ...argv: readonly string[]) =>
  world.fabric.start(guest, "python3", "-u", "-c", lines.join("\n"), ...argv);
const text = (value: unknown): string => {
  assert.equal(typeof value, "string");
  return String(value);
};
const untilSeen = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
  await until(`not seen: ${what}`, WAIT_MS, async () => ((await holds()) ? true : undefined));
};

/** A web server that answers with the address of who asks. */
const whoAsks = [
  "import http.server,socketserver,sys",
  "class H(http.server.BaseHTTPRequestHandler):",
  "  def do_GET(self):",
  "    body=self.client_address[0].encode()",
  "    self.send_response(200); self.send_header('content-length',str(len(body))); self.end_headers(); self.wfile.write(body)",
  "class S(socketserver.ThreadingMixIn,http.server.HTTPServer): daemon_threads=True",
  "s=S(('',int(sys.argv[1])),H)",
  "print('ready')",
  "s.serve_forever()",
];

/** Waits for a datagram, then sends back ever more of this size, until it hears an error; says which, and how large packets may be. */
const answers = [
  "import socket,sys,time",
  "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)",
  "s.setsockopt(socket.IPPROTO_IP,10,2)",
  "s.bind(('198.51.100.1',int(sys.argv[1])))",
  "print('ready')",
  "_,peer=s.recvfrom(100)",
  "s.connect(peer)",
  "s.settimeout(0.5)",
  "while True:",
  "  try:",
  "    s.send(bytes(int(sys.argv[2])))",
  "    s.recv(100)",
  "  except TimeoutError: continue",
  "  except ConnectionRefusedError: print('refused',peer[0],peer[1]); break",
  "  except OSError as e: print('error',e.errno,s.getsockopt(socket.IPPROTO_IP,14)); break",
];

const asks = [
  "import socket,sys,time",
  "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)",
  "s.sendto(b'x',(sys.argv[1],int(sys.argv[2])))",
  "if sys.argv[3]=='waits': print('asked'); time.sleep(3600)",
];

async function made(): Promise<World> {
  const fabric = await Fabric.up("outside-gaps");
  try {
    const external = await makePublic(fabric);
    const { inner, subnets, router: out } = await makeBehind(fabric, external, 7, { mtu });
    const below = await fabric.make("networks", { name: "below", mtu });
    const lower = await fabric.make("subnets", { network_id: below, ip_version: 4, cidr: "10.8.0.0/24" });
    const onward = await fabric.make("routers", { name: "onward" });
    const join = (router: string, body: object) =>
      fabric.api.ask("PUT", `/v2.0/routers/${router}/add_router_interface`, body);
    await join(onward, { subnet_id: lower });
    const fixed_ips = [{ subnet_id: subnets[4], ip_address: "10.7.0.254" }];
    await join(onward, { port_id: await fabric.make("ports", { network_id: inner, fixed_ips }) });
    await fabric.change("routers", onward, { routes: [{ destination: "0.0.0.0/0", nexthop: "10.7.0.1" }] });
    await fabric.change("routers", out, { routes: [{ destination: "10.8.0.0/24", nexthop: "10.7.0.254" }] });
    const group = await letsIn(fabric);
    const a = await fabric.guest("a", "h1", { network_id: inner, security_groups: [group] });
    const deep = await fabric.guest("deep", "h2", { network_id: below, security_groups: [group] });
    const floatingIp = async (fields: object): Promise<unknown> =>
      at(
        await fabric.api.ask("POST", "/v2.0/floatingips", { floatingip: { floating_network_id: external, ...fields } }),
        "floatingip",
      );
    const own = await floatingIp({ port_id: a.id });
    const shared = await gatewayOf(fabric, out);
    const many = await floatingIp({});
    const b = await fabric.guest("b", "h1", { network_id: inner, security_groups: [group] });
    await fabric.api.ask("POST", `/v2.0/floatingips/${text(at(many, "id"))}/port_forwardings`, {
      port_forwarding: {
        ...{ internal_port_id: b.id, internal_ip_address: b.ip4, internal_port: 8080 },
        ...{ external_port: 2001, protocol: "tcp" },
      },
    });
    await fabric.settled();
    await leadBack(fabric, 7, shared.ip6);
    const floating = text(at(own, "floating_ip_address"));
    const forwarded = text(at(many, "floating_ip_address"));
    return { fabric, shared, a, b, deep, floating, forwarded };
  } catch (cause) {
    await fabric[Symbol.asyncDispose]();
    throw cause;
  }
}

describe("round by the outside", { skip }, () => {
  before(async () => {
    world = await made();
    for (const guest of [world.a, world.b, world.deep])
      await untilSeen("a way out", async () => (await run(guest, "ip", "route", "show", "default")).said !== "");
  });
  after(async () => {
    await world?.fabric[Symbol.asyncDispose]();
  });

  test("machines behind two routers reach the outside, with the address of the one that goes out", async () => {
    const { fabric, deep, shared } = world;
    await untilSeen("it reaches the outside", async () =>
      (await run(deep, "ping", "-n", "-c", "1", "-W", "10", far.ip4)).said.includes(" 1 received"),
    );
    await using server = script(fabric.outside, whoAsks, "80");
    await server.says(/ready/);
    assert.equal((await run(deep, "curl", "-s", "-m", "20", `http://${far.ip4}/`)).said, shared.ip4);
    const { said } = await run(deep, "traceroute", "-4", "-n", "-q", "1", "-w", "10", "-m", "4", far.ip4);
    const hops = said.split("\n").flatMap((line) => /^ *\d+ +(\S+)/.exec(line)?.[1] ?? []);
    assert.deepEqual([hops[0], hops.at(-1)], ["10.8.0.1", far.ip4], said);
  });

  test("a machine reaches itself by its own floating address and its own forwarded port, under its security groups", async () => {
    const { a, b, floating, forwarded, shared } = world;
    for (const [guest, url, seen] of [
      [a, `http://${floating}:8080/`, floating],
      [b, `http://${forwarded}:2001/`, shared.ip4],
    ] as const) {
      await using server = script(guest, whoAsks, "8080");
      await server.says(/ready/);
      await untilSeen("it reaches itself", async () => (await run(guest, "curl", "-s", "-m", "20", url)).said === seen);
    }
  });

  test("traceroute from outside shows the router and then the machine, whose own error is the last answer", async () => {
    const { fabric, floating, shared } = world;
    const { said } = await run(fabric.outside, "traceroute", "-4", "-n", "-q", "1", "-w", "10", "-m", "4", floating);
    const hops = said.split("\n").flatMap((line) => /^ *\d+ +(\S+)/.exec(line)?.[1] ?? []);
    assert.deepEqual(hops, [shared.ip4, floating], said);
  });

  test("who answers a machine that is gone is refused, by the address that they know", async () => {
    const { fabric, deep, shared } = world;
    await using server = script(fabric.outside, answers, "7001", "10");
    await server.says(/ready/);
    await run(deep, "python3", "-c", asks.join("\n"), far.ip4, "7001", "ends");
    const [, address] = await server.says(/refused (\S+) \d+/);
    assert.equal(address, shared.ip4);
  });

  test("fragments from outside that never become datagrams take no datagram in fragments from machines", async (context) => {
    const { fabric, a, b, deep, floating } = world;
    const { outside } = fabric;
    await run(outside, "ping", "-n", "-c", "1", "-W", "10", floating);
    const macIn = async (pattern: RegExp, ...words: readonly string[]): Promise<string> =>
      pattern.exec((await run(outside, "ip", ...words)).said)?.[1] ?? assert.fail(words.join(" "));
    const sender = await macIn(/link\/ether (\S+)/, "link", "show", "dev", "public");
    const host = await macIn(/lladdr (\S+)/, "neigh", "show", floating);
    const held = (): number =>
      Number(/num frag: (\d+)/.exec(fabric.appctl("h1", "dpctl/ipf-get-status", "netdev@ovs-netdev"))?.[1]);
    const from = { mac: sender, ip4: OUTSIDE_RANGES.ipv4.gateway, ip6: "" };
    await using flood = fabric.start(outside, ...fragmentFlood(from, { mac: host, ip4: floating, ip6: "" }, "ip4"));
    // More than the host could hold.
    await flood.says(/sent 6000/);
    for (const address of [deep.ip4, a.ip6]) {
      const { said } = await run(b, "ping", "-n", "-i", "0.2", "-c", "15", "-s", "4000", "-W", "10", address);
      assert.match(said, / 15 received/, `to ${address}: ${said}`);
    }
    const { rate, burst } = wireLimits.fragments;
    context.diagnostic(`${held()} fragments wait`);
    assert.ok(held() > burst && held() < 16 * rate + burst + 100 && held() < heldFragments / 2, `${held()} wait`);
    await untilSeen("what is above the rate is counted", async () => {
      const [, count = "0"] = /^(\d+) {2}fragment-rate: /m.exec(fabric.selvage("drops", "h1")) ?? [];
      return Number(count) > 3_000;
    });
  });

  test("senders outside learn how large packets to a machine may be, whatever stands for it", async () => {
    const { fabric, a, deep, floating } = world;
    const ping = (...argv: readonly string[]) =>
      run(fabric.outside, "ping", "-n", "-c", "3", "-i", "0.2", "-M", "do", ...argv);
    const four = await ping("-W", "10", "-s", String(mtu), floating);
    assert.match(four.said, new RegExp(`mtu ?= ?${mtu}`), four.said);
    const six = await ping("-6", "-W", "10", "-s", String(mtu), a.ip6);
    assert.match(six.said, new RegExp(`mtu ?[=:] ?${mtu}`), six.said);
    await using server = script(fabric.outside, answers, "7002", String(mtu));
    await server.says(/ready/);
    await using client = script(deep, asks, far.ip4, "7002", "waits");
    await client.says(/asked/);
    const [, code, most] = await server.says(/error (\d+) (\d+)/);
    assert.deepEqual([code, most], ["90", String(mtu)], "the message is too long");
  });
});
