/**
 * Routes announced by BGP on a running fabric of two hosts, to a real FRR outside, by its own view of them and by its kernel's: floating IPs from the hosts of their
 * machines, tenants' prefixes from all that have some, withdrawn as they go; signed sessions; an agent that is killed and one that ends.
 */

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, before, describe, test } from "node:test";
import { at, OUTSIDE_RANGES } from "@selvage/lab";
import { until, whyNoLab } from "@selvage/lab/testing";
import { hopsOf, Routing } from "./support/bgp.ts";
import { Fabric, type Guest } from "./support/guests.ts";
import { makePublic } from "./support/way-out.ts";

const skip = (await whyNoLab()) ?? false;
const WAIT_MS = 60_000;
const systems = { ours: 64512, theirs: 64513 } as const;
const { ipv4 } = OUTSIDE_RANGES;
const tenant = "10.20.1.0/24";

interface World {
  readonly fabric: Fabric;
  readonly external: string;
  readonly speaker: string;
  readonly peer: string;
  /** The hosts' own addresses on the external network. */
  readonly hops: Readonly<Record<"h1" | "h2", string>>;
  readonly a: Guest;
  readonly b: Guest;
}

let world: World;
let frr: Routing;

const ask = (action: string, body: object): Promise<unknown> =>
  world.fabric.api.ask("PUT", `/v2.0/bgp-speakers/${world.speaker}/${action}`, body);

/** Waits until it holds and gives how long that took, in ms. */
async function within(what: string, holds: () => boolean | Promise<boolean>): Promise<number> {
  const begun = performance.now();
  await until(`not seen: ${what}`, WAIT_MS, async () => ((await holds()) ? true : undefined));
  return performance.now() - begun;
}

const leadsTo = (prefix: string, ...hops: readonly string[]): boolean => frr.leads(prefix, hops);

async function reached(address: string): Promise<boolean> {
  const { fabric } = world;
  const { said } = await fabric.run(fabric.outside, "ping", "-n", "-c", "1", "-W", "2", address);
  return said.includes(" 1 received");
}

const processes = (host: string): Readonly<Record<string, number | null>> => {
  const { hosts } = JSON.parse(world.fabric.selvage("lab", "hosts", "--json")) as {
    readonly hosts: readonly { readonly name: string; readonly pids: Readonly<Record<string, number | null>> }[];
  };
  return hosts.find(({ name }) => name === host)?.pids ?? {};
};

async function floatingIp(port?: string): Promise<{ readonly id: string; readonly address: string }> {
  const fields = { floating_network_id: world.external, ...(port === undefined ? {} : { port_id: port }) };
  const made = at(await world.fabric.api.ask("POST", "/v2.0/floatingips", { floatingip: fields }), "floatingip");
  return { id: String(at(made, "id")), address: String(at(made, "floating_ip_address")) };
}

describe("bgp", { skip }, () => {
  before(async () => {
    const fabric = await Fabric.up("bgp");
    try {
      const scope = await fabric.make("address-scopes", { name: "open", ip_version: 4 });
      const pool = await fabric.make("subnetpools", {
        ...{ name: "open", address_scope_id: scope, default_prefixlen: 24 },
        prefixes: ["10.20.0.0/16", ipv4.cidr],
      });
      const external = await makePublic(fabric, { 4: { subnetpool_id: pool } });
      const inner = await fabric.make("networks", { name: "inner" });
      const subnet_id = await fabric.make("subnets", {
        ...{ network_id: inner, ip_version: 4, cidr: tenant, subnetpool_id: pool },
      });
      const router = await fabric.make("routers", { name: "out", external_gateway_info: { network_id: external } });
      await fabric.api.ask("PUT", `/v2.0/routers/${router}/add_router_interface`, { subnet_id });
      const speaker = await fabric.make("bgp-speakers", { name: "s", local_as: systems.ours, ip_version: 4 });
      const peer = await fabric.make("bgp-peers", {
        ...{ name: "frr", peer_ip: ipv4.gateway, remote_as: systems.theirs, auth_type: "none" },
      });
      world = { fabric, external, speaker, peer } as unknown as World;
      await ask("add_gateway_network", { network_id: external });
      await ask("add_bgp_peer", { bgp_peer_id: peer });
      await fabric.settled();
      const hopOf = async (host: string) => (await hopsOf(fabric, external, host))[0] ?? "";
      const hops = { h1: await hopOf("h1"), h2: await hopOf("h2") };
      const open = { network_id: inner, port_security_enabled: false };
      const a = await fabric.guest("a", "h1", open);
      const b = await fabric.guest("b", "h2", open);
      frr = await Routing.begin(fabric, systems);
      world = { fabric, external, speaker, peer, hops, a, b };
    } catch (cause) {
      await fabric[Symbol.asyncDispose]();
      throw cause;
    }
  });

  after(async () => {
    await frr?.[Symbol.asyncDispose]();
    await world?.fabric[Symbol.asyncDispose]();
  });

  test("each host has a session, and both announce the tenants' prefix: the kernel outside divides what goes there", async () => {
    const { hops, a, b } = world;
    await within("two sessions", () => frr.established === 2);
    await within("the prefix from both", () => leadsTo(tenant, hops.h1, hops.h2));
    await within("two next hops in the kernel", async () => {
      const said = await frr.kernel(tenant);
      return said.includes(`via ${hops.h1} `) && said.includes(`via ${hops.h2} `);
    });
    for (const { name, ip4 } of [a, b]) await within(`${name} by its own address`, () => reached(ip4));
    for (const hop of Object.values(hops)) await within(`the host's address ${hop}`, () => reached(hop));
  });

  test("a floating IP is announced by its machine's host, moves with it, and is withdrawn", async (t) => {
    const { fabric, hops, a, b } = world;
    const { id, address } = await floatingIp(a.id);
    const prefix = `${address}/32`;
    const times: Record<string, number> = {};
    times.announced = await within("announced", () => leadsTo(prefix, hops.h1));
    await within("in the kernel", async () => (await frr.kernel(address)).includes(`via ${hops.h1} `));
    await within("reached", () => reached(address));
    await fabric.api.ask("PUT", `/v2.0/floatingips/${id}`, { floatingip: { port_id: b.id } });
    times.moved = await within("of the other host", () => leadsTo(prefix, hops.h2));
    await within("reached there", () => reached(address));
    await fabric.api.ask("PUT", `/v2.0/floatingips/${id}`, { floatingip: { port_id: null } });
    times.withdrawn = await within("withdrawn", () => !frr.routes.has(prefix));
    await fabric.api.ask("PUT", `/v2.0/floatingips/${id}`, { floatingip: { port_id: b.id } });
    await within("announced again", () => leadsTo(prefix, hops.h2));
    fabric.selvage("lab", "unplug", "b");
    times.unplugged = await within("withdrawn when its machine is unplugged", () => !frr.routes.has(prefix));
    fabric.selvage("lab", "plug", "b", "--host", "h1");
    times["machine moved"] = await within("announced where its machine is", () => leadsTo(prefix, hops.h1));
    await within("one next hop for the prefix", () => leadsTo(tenant, hops.h1));
    fabric.selvage("lab", "unplug", "b");
    fabric.selvage("lab", "plug", "b", "--host", "h2");
    await within("back again", () => leadsTo(prefix, hops.h2));
    await fabric.api.ask("DELETE", `/v2.0/floatingips/${id}`);
    times.deleted = await within("withdrawn when deleted", () => !frr.routes.has(prefix));
    for (const [what, took] of Object.entries(times)) t.diagnostic(`${what} after ${Math.round(took)} ms`);
  });

  test("what the server says is announced is what the peer has", async () => {
    const { fabric, speaker, a, b } = world;
    const made = [await floatingIp(a.id), await floatingIp(b.id), await floatingIp()];
    const said = async (): Promise<readonly string[]> => {
      const reply = await fabric.api.ask("GET", `/v2.0/bgp-speakers/${speaker}/get_advertised_routes`);
      const routes = at(reply, "advertised_routes") as readonly unknown[];
      return routes.map((route) => `${at(route, "destination")} ${at(route, "next_hop")}`).sort();
    };
    const held = (): readonly string[] =>
      [...frr.routes].flatMap(([prefix, hops]) => hops.map((hop) => `${prefix} ${hop}`)).sort();
    const wanted = await said();
    assert.equal(wanted.length, 4);
    await within("the same", () => JSON.stringify(held()) === JSON.stringify(wanted));
    await fabric.api.ask("PUT", `/v2.0/bgp-speakers/${speaker}`, { bgp_speaker: { advertise_tenant_networks: false } });
    assert.equal((await said()).length, 2);
    await within("no prefix", () => !frr.routes.has(tenant));
    await fabric.api.ask("PUT", `/v2.0/bgp-speakers/${speaker}`, { bgp_speaker: { advertise_tenant_networks: true } });
    await within("the prefix again", () => JSON.stringify(held()) === JSON.stringify(wanted));
    for (const { id } of made) await fabric.api.ask("DELETE", `/v2.0/floatingips/${id}`);
  });

  test("what a killed agent announced is kept until it is back; one that ends withdraws it", async (t) => {
    const { hops } = world;
    await within("announced by both", () => leadsTo(tenant, hops.h1, hops.h2));
    const isStale = (): boolean => {
      const paths = at(at(frr.show("bgp ipv4 unicast"), "routes"), tenant);
      return (paths as readonly unknown[] | undefined)?.some((path) => at(path, "stale") === true) === true;
    };
    let least = 2;
    const first = processes("h1").agent;
    process.kill(Number(first), "SIGKILL");
    await within("kept", isStale);
    await within("fresh again", () => {
      least = Math.min(least, frr.routes.get(tenant)?.length ?? 0);
      return !isStale() && frr.established === 2;
    });
    assert.equal(least, 2, "it was never withdrawn");
    const kept = readdirSync(tmpdir()).filter((name) => name.startsWith(`selvage-bgp-${world.speaker.slice(0, 8)}-`));
    assert.equal(kept.length, 2, "one directory for each host's daemon, none of the one that was killed");
    const second = processes("h1").agent;
    assert.notEqual(second, first);
    process.kill(Number(second), "SIGTERM");
    const took = await within("withdrawn", () => leadsTo(tenant, hops.h2));
    t.diagnostic(`withdrawn after ${Math.round(took)} ms`);
    await within("announced again", () => leadsTo(tenant, hops.h1, hops.h2));
  });

  test("a peer that wants signatures gets them, and nothing is said to it without the right one", async () => {
    const { fabric, hops, peer } = world;
    await frr[Symbol.asyncDispose]();
    const secret = `a|b?!#"'$c`;
    frr = await Routing.begin(fabric, { ...systems, secret });
    const signed = await fabric.make("bgp-peers", {
      ...{ name: "signed", peer_ip: ipv4.gateway, remote_as: systems.theirs, auth_type: "md5", password: "wrong" },
    });
    await ask("remove_bgp_peer", { bgp_peer_id: peer });
    await ask("add_bgp_peer", { bgp_peer_id: signed });
    await fabric.settled();
    // Segments with another signature are dropped by the kernel outside, which counts them.
    await within("refused", async () => {
      const { said } = await fabric.run(fabric.outside, "nstat", "-asz", "TcpExtTCPMD5Failure");
      return Number(/TCPMD5Failure\s+(\d+)/.exec(said)?.[1] ?? 0) > 0;
    });
    assert.equal(frr.established, 0);
    await fabric.api.ask("PUT", `/v2.0/bgp-peers/${signed}`, { bgp_peer: { password: secret } });
    await within("two sessions", () => frr.established === 2);
    await within("announced by both", () => leadsTo(tenant, hops.h1, hops.h2));
    await fabric.api.ask("DELETE", `/v2.0/bgp-peers/${signed}`);
    await within("nothing without a peer", () => frr.routes.size === 0);
  });
});
