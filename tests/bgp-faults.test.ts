/**
 * BGP when things go wrong, on a running fabric of two hosts and to a real FRR outside: both families, numbers of systems of four octets, every path tried by
 * real packets through the kernel outside; a host that is cut off, an agent that is killed, a peer that is away, a speaker that goes. What is lost is printed.
 */

import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import { askAgent, at, OUTSIDE_RANGES } from "@selvage/lab";
import { until, whyNoLab } from "@selvage/lab/testing";
import { hopsOf, Routing, wire } from "./support/bgp.ts";
import { Fabric, type Guest, type Program } from "./support/guests.ts";
import { makePublic } from "./support/way-out.ts";

const skip = (await whyNoLab()) ?? false;
const WAIT_MS = 60_000;
const systems = { ours: 4_200_000_001, theirs: 4_200_000_002 } as const;
const { ipv4, ipv6 } = OUTSIDE_RANGES;
/** Where the sessions of the second host end. */
const ends = ["2001:db8:ff::200:2", "203.0.113.202"];
const prefixes = { 4: "10.30.1.0/24", 6: "2001:db8:30:1::/64" } as const;
/** Addresses of the machine outside, so that the kernel there has several flows to divide. */
const sources = Array.from({ length: 16 }, (_, n) => [`198.51.100.${20 + n}`, `2001:db8:fa::${20 + n}`] as const);

interface World {
  readonly fabric: Fabric;
  readonly external: string;
  readonly router: string;
  readonly speakers: Readonly<Record<4 | 6, string>>;
  readonly peers: Readonly<Record<4 | 6, string>>;
  /** The hosts' own addresses on the external network, of IPv4 and of IPv6. */
  readonly hops: Readonly<Record<"h1" | "h2", readonly string[]>>;
  readonly a: Guest;
  readonly b: Guest;
}

let world: World;
let frr: Routing;

const families = [4, 6] as const;
const addressOf = (guest: Guest, version: 4 | 6): string => (version === 4 ? guest.ip4 : guest.ip6);
const hopsTo = (version: 4 | 6, ...hosts: readonly ("h1" | "h2")[]): readonly string[] =>
  hosts.map((host) => world.hops[host][version === 4 ? 0 : 1] ?? "");

const outside = (...argv: readonly string[]) => world.fabric.run(world.fabric.outside, ...argv);
const tellSpeaker = (version: 4 | 6, action: string, body: object): Promise<unknown> =>
  world.fabric.api.ask("PUT", `/v2.0/bgp-speakers/${world.speakers[version]}/${action}`, body);

/** Waits until it holds and gives how long that took, in ms. Throws an Error with all that is held outside when it does not. */
async function within(what: string, holds: () => boolean | Promise<boolean>): Promise<number> {
  const begun = performance.now();
  try {
    await until(`not seen: ${what}`, WAIT_MS, async () => ((await holds()) ? true : undefined));
  } catch (cause) {
    throw new Error(`not seen: ${what}; outside:\n${await frr.told()}`, { cause });
  }
  return performance.now() - begun;
}

/** Whether the kernel outside has just these ways to a prefix. */
async function divides(version: 4 | 6, ...hosts: readonly ("h1" | "h2")[]): Promise<boolean> {
  const said = await frr.kernel(prefixes[version]);
  const ways = [...said.matchAll(/via (\S+) /g)].map(([, hop]) => hop);
  return JSON.stringify(ways.sort()) === JSON.stringify([...hopsTo(version, ...hosts)].sort());
}

const bothDivide = async (...hosts: readonly ("h1" | "h2")[]): Promise<boolean> =>
  (await divides(4, ...hosts)) && (await divides(6, ...hosts));

/** By which host the kernel outside sends what one of its addresses says to a machine. */
async function wayOf(version: 4 | 6, from: string, to: string): Promise<string> {
  const proto = version === 4 ? "icmp" : "ipv6-icmp";
  const { said } = await outside("ip", `-${version}`, "route", "get", to, "from", from, "ipproto", proto);
  const via = / via (\S+) /.exec(said)?.[1] ?? "";
  return (["h1", "h2"] as const).find((host) => hopsTo(version, host).includes(via)) ?? said;
}

const pings = async (from: string, to: string, ...options: readonly string[]): Promise<boolean> =>
  (await outside("ping", "-n", "-c", "1", "-W", "10", ...options, "-I", from, to)).said.includes(" 1 received");

/** Packets, a hundred a second, until it is asked how many were lost. */
class Stream implements AsyncDisposable {
  readonly #program: Program;
  readonly #room: Pick<Guest, "room">;
  readonly #mark: string;

  constructor(from: string, to: string) {
    const { fabric } = world;
    this.#room = fabric.outside;
    this.#mark = `-i 0.01 -I ${from} ${to}`;
    this.#program = fabric.start(this.#room, "ping", "-n", "-i", "0.01", "-I", from, to);
  }

  /** Resolves once packets come back. */
  async flows(): Promise<void> {
    await this.#program.says(/icmp_seq/);
  }

  /** Ends it with a word of its own. */
  async lost(): Promise<{ readonly sent: number; readonly lost: number }> {
    await world.fabric.run(this.#room, "pkill", "-INT", "-f", `^ping -n ${this.#mark}$`);
    const [, sent, got] = await this.#program.says(/(\d+) packets transmitted, (\d+) received/);
    // Two may be under way when it ends.
    return { sent: Number(sent), lost: Math.max(0, Number(sent) - Number(got) - 2) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
  }
}

const tell = (t: TestContext, what: string, ms: number): void => t.diagnostic(`${what} after ${Math.round(ms)} ms`);

/** A source whose packets to a machine go by a host, of each family. */
async function sourceBy(version: 4 | 6, host: "h1" | "h2", to: string): Promise<string> {
  for (const [four, six] of sources) {
    const from = version === 4 ? four : six;
    if ((await wayOf(version, from, to)) === host) return from;
  }
  throw new Error(`no source whose packets to ${to} go by ${host}`);
}

const agentPid = (host: string): number => {
  const { hosts } = JSON.parse(world.fabric.selvage("lab", "hosts", "--json")) as {
    readonly hosts: readonly { readonly name: string; readonly pids: Readonly<Record<string, number | null>> }[];
  };
  return Number(hosts.find(({ name }) => name === host)?.pids.agent);
};

describe("bgp faults", { skip }, () => {
  before(async () => {
    const fabric = await Fabric.up("bgpf");
    try {
      const pools: Record<number, string> = {};
      const ranges = { 4: ["10.30.0.0/16", ipv4.cidr], 6: ["2001:db8:30::/48", ipv6.cidr] } as const;
      for (const version of families) {
        const scope = await fabric.make("address-scopes", { name: `open ${version}`, ip_version: version });
        const lengths = { default_prefixlen: version === 4 ? 24 : 64 };
        const fields = { name: `open ${version}`, address_scope_id: scope, prefixes: ranges[version], ...lengths };
        pools[version] = await fabric.make("subnetpools", fields);
      }
      const external = await makePublic(fabric, {
        4: { subnetpool_id: pools[4] },
        6: { subnetpool_id: pools[6], allocation_pools: [{ start: "2001:db8:ff::10", end: "2001:db8:ff::fff" }] },
      });
      const inner = await fabric.make("networks", { name: "inner" });
      const router = await fabric.make("routers", { name: "out", external_gateway_info: { network_id: external } });
      for (const version of families) {
        const modes = version === 4 ? {} : { ipv6_ra_mode: "slaac", ipv6_address_mode: "slaac" };
        const which = { ip_version: version, cidr: prefixes[version], subnetpool_id: pools[version] };
        const subnet_id = await fabric.make("subnets", { network_id: inner, ...which, ...modes });
        await fabric.api.ask("PUT", `/v2.0/routers/${router}/add_router_interface`, { subnet_id });
      }
      const at4 = { peer_ip: ipv4.gateway, remote_as: systems.theirs, auth_type: "none" };
      const speaker = (version: 4 | 6) =>
        fabric.make("bgp-speakers", { name: `s${version}`, local_as: systems.ours, ip_version: version });
      const speakers = { 4: await speaker(4), 6: await speaker(6) };
      const peers = {
        4: await fabric.make("bgp-peers", { ...at4, name: "four" }),
        6: await fabric.make("bgp-peers", { ...at4, name: "six", peer_ip: ipv6.gateway }),
      };
      world = { fabric, external, router, speakers, peers } as unknown as World;
      for (const version of families) {
        await tellSpeaker(version, "add_gateway_network", { network_id: external });
        await tellSpeaker(version, "add_bgp_peer", { bgp_peer_id: peers[version] });
      }
      await fabric.settled();
      const hops = { h1: await hopsOf(fabric, external, "h1"), h2: await hopsOf(fabric, external, "h2") };
      const open = { network_id: inner, port_security_enabled: false };
      const a = await fabric.guest("a", "h1", open);
      const b = await fabric.guest("b", "h2", open);
      world = { fabric, external, router, speakers, peers, hops, a, b };
      for (const [four, six] of sources) {
        await outside("ip", "addr", "add", `${four}/32`, "dev", "lo");
        await outside("ip", "addr", "add", `${six}/128`, "dev", "lo", "nodad");
      }
      // What a program sends has the label, and so the way, that the kernel says it has.
      await outside("sysctl", "-qw", "net.ipv6.auto_flowlabels=0");
      frr = await Routing.begin(fabric, { ...systems, isWatching: true });
    } catch (cause) {
      await fabric[Symbol.asyncDispose]();
      throw cause;
    }
    for (const guest of [world.a, world.b])
      await within(`a way out of ${guest.name} by IPv6`, async () =>
        (await world.fabric.run(guest, "ip", "-6", "route", "show", "default")).said.includes("proto ra"),
      );
  });

  after(async () => {
    await frr?.[Symbol.asyncDispose]();
    await world?.fabric[Symbol.asyncDispose]();
  });

  test("systems of four octets tell prefixes of both families, each by its own session, and the kernel outside divides what goes there", async () => {
    await within("four sessions", () => frr.established === 4);
    for (const version of families) {
      await within(`IPv${version} from both`, () => frr.leads(prefixes[version], hopsTo(version, "h1", "h2")));
      const paths = at(at(frr.show(`bgp ipv${version} unicast`), "routes"), prefixes[version]) as readonly unknown[];
      for (const path of paths) {
        assert.equal(at(path, "path"), String(systems.ours));
        assert.equal(at(path, "valid"), true);
      }
      await within("both ways in the kernel", () => divides(version, "h1", "h2"));
    }
    assert.equal(frr.routesOf(6).size, 1, "a speaker tells its own family alone");
  });

  test("packets by each path reach machines of each host, in both families, and so do answers", async () => {
    const { a, b } = world;
    for (const version of families)
      for (const guest of [a, b]) {
        const to = addressOf(guest, version);
        await within(`${to} is there`, () => pings(sources[0]?.[version === 4 ? 0 : 1] ?? "", to));
        const ways = new Map<string, number>();
        for (const [four, six] of sources) {
          const from = version === 4 ? four : six;
          const way = await wayOf(version, from, to);
          ways.set(way, (ways.get(way) ?? 0) + 1);
          assert.ok(await pings(from, to), `${to} from ${from} by ${way}`);
        }
        assert.deepEqual([...ways.keys()].sort(), ["h1", "h2"], `each of ${sources.length} flows has its way`);
      }
  });

  test("what is announced is in force already: the first packet by a new route arrives", async () => {
    const { fabric, external, a, b } = world;
    const made = at(
      await fabric.api.ask("POST", "/v2.0/floatingips", {
        floatingip: { floating_network_id: external, port_id: a.id },
      }),
      "floatingip",
    );
    const [id, address] = [String(at(made, "id")), String(at(made, "floating_ip_address"))];
    for (const guest of [a, b, a, b]) {
      await fabric.api.ask("PUT", `/v2.0/floatingips/${id}`, { floatingip: { port_id: guest.id } });
      const [hop = ""] = hopsTo(4, guest.host === "h1" ? "h1" : "h2");
      await within("its way in the kernel", async () => (await frr.kernel(address)).includes(`via ${hop} `));
      assert.ok(await pings(ipv4.far, address, "-W", "2"), `the first packet by ${hop}`);
    }
    await fabric.api.ask("DELETE", `/v2.0/floatingips/${id}`);
    await within("gone", () => !frr.routes.has(`${address}/32`));
  });

  for (const enable_snat of [true, false])
    test(`a host whose last machine leaves sends on what is under way to others: nothing is lost; the router ${enable_snat ? "translates" : "does not"}`, async (t) => {
      const { fabric, external, router, a } = world;
      const gateway = { external_gateway_info: { network_id: external, enable_snat } };
      await fabric.change("routers", router, gateway);
      await within("both families", () => bothDivide("h1", "h2"));
      for (const version of families) {
        const to = addressOf(a, version);
        const from = await sourceBy(version, "h2", to);
        await using stream = new Stream(from, to);
        await stream.flows();
        fabric.selvage("lab", "unplug", "b");
        tell(t, `IPv${version}: withdrawn`, await within("one way", () => divides(version, "h1")));
        assert.equal(await wayOf(version, from, to), "h1");
        // Whoever does not listen to announcements still sends there.
        const table = String(30 + version);
        const [hop = ""] = hopsTo(version, "h2");
        await outside("ip", `-${version}`, "route", "replace", prefixes[version], "via", hop, "table", table);
        await outside("ip", `-${version}`, "rule", "add", "from", from, "lookup", table, "pref", table);
        assert.equal(await wayOf(version, from, to), "h2");
        for (let n = 0; n < 5; n += 1)
          assert.ok(await pings(from, to, "-W", "2"), "sent on by the host without machines");
        await outside("ip", `-${version}`, "rule", "del", "pref", table);
        fabric.selvage("lab", "plug", "b", "--host", "h2");
        tell(t, `IPv${version}: announced again`, await within("two ways", () => divides(version, "h1", "h2")));
        const { sent, lost } = await stream.lost();
        t.diagnostic(`IPv${version}: lost ${lost} of ${sent}`);
        // The very packet that the switch looks at while its rows change may be, in one of forty runs on a machine that is busy (developing.md, "Known gaps").
        assert.ok(lost <= 2, `${lost} of ${sent}`);
      }
      await within("both families", () => bothDivide("h1", "h2"));
    });

  test("an agent that is killed under traffic: its routes stay, and what goes by its host to others is not lost", async (t) => {
    const { a, b } = world;
    const streams: { readonly what: string; readonly isOwn: boolean; readonly stream: Stream }[] = [];
    for (const version of families)
      for (const guest of [a, b]) {
        const to = addressOf(guest, version);
        const stream = new Stream(await sourceBy(version, "h2", to), to);
        // Its own machines ask for their router by neighbour discovery, which agents answer; and who is next outside is asked for anew.
        const isOwn = guest === b;
        streams.push({ what: `to ${guest.name}, IPv${version}`, isOwn, stream });
      }
    for (const { stream } of streams) await stream.flows();
    const before = agentPid("h2");
    process.kill(before, "SIGKILL");
    let isWhole = true;
    const took = await within("another agent, and fresh sessions", async () => {
      isWhole &&= await bothDivide("h1", "h2");
      const now = agentPid("h2");
      const paths = families.map((version) =>
        at(at(frr.show(`bgp ipv${version} unicast`), "routes"), prefixes[version]),
      );
      const isFresh = frr.established === 4 && !JSON.stringify(paths).includes('"stale":true') && frr.watched === 4;
      return now > 0 && now !== before && isFresh;
    });
    tell(t, "announced by the next agent", took);
    assert.ok(isWhole, "both ways were there all the time");
    for (const { what, isOwn, stream } of streams) {
      const { sent, lost } = await stream.lost();
      t.diagnostic(`${what}: lost ${lost} of ${sent}`);
      assert.ok(isOwn ? lost < took / 10 : lost === 0, `${what}: lost ${lost}`);
      await stream[Symbol.asyncDispose]();
    }
  });

  test("a host that is cut off is noticed by its missing signs of life, and what goes by it goes by another", async (t) => {
    const { fabric, a } = world;
    await within("all are watched", () => frr.watched === 4);
    const streams: Stream[] = [];
    for (const version of families) {
      const to = addressOf(a, version);
      streams.push(new Stream(await sourceBy(version, "h2", to), to));
    }
    for (const stream of streams) await stream.flows();
    wire(fabric, "h2", "down");
    t.after(() => wire(fabric, "h2", "up"));
    const took = await within("its routes gone", () => bothDivide("h1"));
    tell(t, "cut off: its routes were gone", took);
    assert.deepEqual(
      frr.ended,
      ends.map((end) => `${end} Cease/BFD Down`),
    );
    for (const version of families)
      await within("reached by the other", () =>
        pings(sources[0]?.[version === 4 ? 0 : 1] ?? "", addressOf(a, version)),
      );
    for (const stream of streams) {
      const { sent, lost } = await stream.lost();
      t.diagnostic(`lost ${lost} of ${sent}, a hundred a second`);
      assert.ok(lost > 0 && lost < sent, `${lost}`);
      await stream[Symbol.asyncDispose]();
    }
    wire(fabric, "h2", "up");
    tell(t, "back: announced", await within("both again", () => bothDivide("h1", "h2")));
  });

  test("a peer that does not watch for signs of life notices by silence, and keeps nothing of who is lost", async (t) => {
    const { fabric } = world;
    await frr[Symbol.asyncDispose]();
    const states = async (): Promise<string> => {
      const status = await askAgent(await fabric.agent("h1"), "/v1/status");
      return JSON.stringify(at(status, "bgp"));
    };
    await within("no session at the host", async () => !(await states()).includes("Established"));
    frr = await Routing.begin(fabric, systems);
    const isHeld = (version: 4 | 6): boolean => frr.leads(prefixes[version], hopsTo(version, "h1", "h2"));
    tell(t, "the peer is back: announced", await within("both families from both", () => isHeld(4) && isHeld(6)));
    await within("both ways", () => bothDivide("h1", "h2"));
    await within("sessions at the host", async () => (await states()).match(/Established/g)?.length === 2);
    wire(fabric, "h2", "down");
    t.after(() => wire(fabric, "h2", "up"));
    const took = await within("its routes gone", () => bothDivide("h1"));
    tell(t, "cut off, without signs of life: its routes were gone", took);
    assert.deepEqual(
      frr.ended,
      ends.map((end) => `${end} Hold Timer Expired`),
    );
    wire(fabric, "h2", "up");
    await within("both again", () => bothDivide("h1", "h2"));
  });

  test("a session by one family tells prefixes of the other, and packets follow them", async () => {
    const { a, b, peers } = world;
    for (const version of families) await tellSpeaker(version, "remove_bgp_peer", { bgp_peer_id: peers[version] });
    await within("nothing is told", () => frr.routes.size + frr.routesOf(6).size === 0);
    await tellSpeaker(6, "add_bgp_peer", { bgp_peer_id: peers[4] });
    await within("IPv6 from both", () => divides(6, "h1", "h2"));
    assert.ok(frr.peers.every((peer) => !peer.includes(":")));
    assert.equal(frr.routes.size, 0);
    for (const guest of [a, b]) for (const [, six] of sources.slice(0, 4)) assert.ok(await pings(six, guest.ip6));
    await tellSpeaker(6, "remove_bgp_peer", { bgp_peer_id: peers[4] });
    await within("nothing is told", () => frr.routesOf(6).size === 0);
    for (const version of families) await tellSpeaker(version, "add_bgp_peer", { bgp_peer_id: peers[version] });
    await within("both families", () => bothDivide("h1", "h2"));
  });

  test("a speaker that goes takes its routes with it, and none of another's", async (t) => {
    const { fabric, speakers } = world;
    await fabric.api.ask("DELETE", `/v2.0/bgp-speakers/${speakers[4]}`);
    const took = await within("no IPv4", () => frr.routes.size === 0);
    tell(t, "deleted: withdrawn", took);
    assert.ok(await divides(6, "h1", "h2"));
    await fabric.api.ask("DELETE", `/v2.0/bgp-speakers/${speakers[6]}`);
    await within("no session", () => frr.established === 0 && frr.routesOf(6).size === 0);
    assert.deepEqual(await hopsOf(fabric, world.external, "h1").catch(() => []), [], "nor has a host an address there");
  });
});
