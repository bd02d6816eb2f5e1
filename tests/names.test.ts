/** Names on a running fabric of two hosts with real switches: `dig` in machines asks the resolver that DHCP told them, of ports' names and of others. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { askAgent, at } from "@selvage/lab";
import { until, whyNoLab } from "@selvage/lab/testing";
import { Fabric, type Guest, type Program } from "./support/guests.ts";

const skip = (await whyNoLab()) ?? false;
const WAIT_MS = 60_000;
const NAME_SERVER = fileURLToPath(new URL("support/name-server.ts", import.meta.url));
const resolver = { ip4: "169.254.169.252", ip6: "fe80::a9fe:a9fc%eth0" };

interface World {
  readonly fabric: Fabric;
  /** Servers elsewhere, on the first host: one that is silent, and the one that is asked then. */
  readonly mute: Program;
  readonly upstream: Program;
  /** In the office: on the first host and on the second. */
  readonly web: Guest;
  readonly db: Guest;
  /** There, too, without a name of its own. */
  readonly plain: Guest;
  /** In a network of its own zone, which no router joins to the office. */
  readonly lone: Guest;
  /** Another project's machine in the office. */
  readonly thief: Guest;
}

let world: World;

/** What dig says of a question, in short or whole. */
async function dig(from: Guest, ...words: readonly string[]): Promise<string> {
  const { said } = await world.fabric.run(from, "dig", "+tries=2", "+time=5", ...words);
  return said.trim();
}
const short = (from: Guest, ...words: readonly string[]): Promise<string> => dig(from, "+short", ...words);

describe("names", { skip }, () => {
  before(async () => {
    process.env.SELVAGE_LAB_DNS_SERVERS = "127.0.0.1:5354,127.0.0.1:5353";
    const fabric = await Fabric.up("names");
    delete process.env.SELVAGE_LAB_DNS_SERVERS;
    try {
      const upstream = fabric.start({ room: { kind: "host", name: "h1" } }, process.execPath, NAME_SERVER, "5353");
      await upstream.says(/ready/);
      const mute = fabric.start({ room: { kind: "host", name: "h1" } }, process.execPath, NAME_SERVER, "5354", "mute");
      await mute.says(/ready/);
      const office = await fabric.make("networks", { name: "office" });
      await fabric.make("subnets", { network_id: office, ip_version: 4, cidr: "10.1.0.0/24" });
      const six = {
        ip_version: 6,
        cidr: "fd01::/64",
        ipv6_address_mode: "dhcpv6-stateless",
        ipv6_ra_mode: "dhcpv6-stateless",
      };
      await fabric.make("subnets", { network_id: office, ...six });
      const apart = await fabric.make("networks", { name: "apart", dns_domain: "apart.example.org." });
      await fabric.make("subnets", { network_id: apart, ip_version: 4, cidr: "10.1.0.0/24", gateway_ip: null });
      await fabric.settled();
      const web = await fabric.guest("web", "h1", { network_id: office, dns_name: "web" });
      const db = await fabric.guest("db", "h2", { network_id: office, dns_name: "DB" });
      const plain = await fabric.guest("plain", "h2", { network_id: office });
      const lone = await fabric.guest("lone", "h1", { network_id: apart, dns_name: "lone" });
      const rival = String(
        at(at(await fabric.api.ask("POST", "/identity/v3/projects", { project: { name: "rival" } }), "project"), "id"),
      );
      // Of another project, on the same network, with a name that is taken there.
      const thief = await fabric.guest("thief", "h1", { network_id: office, dns_name: "db", project_id: rival });
      world = { fabric, upstream, mute, thief, web, db, plain, lone };
    } catch (cause) {
      await fabric[Symbol.asyncDispose]();
      throw cause;
    }
    await until("the services of each host are reached", WAIT_MS, async () => {
      const said = await Promise.all([world.web, world.db].map((each) => short(each, "web.openstacklocal")));
      return said.every((each) => each === world.web.ip4) ? true : undefined;
    });
  });

  after(async () => {
    await world?.mute[Symbol.asyncDispose]();
    await world?.upstream[Symbol.asyncDispose]();
    await world?.fabric[Symbol.asyncDispose]();
  });

  test("the resolver is who DHCP says, over both families, and the zone is what short names are looked for in", async () => {
    const { fabric, web } = world;
    const { said } = await fabric.run(web, "cat", "/etc/resolv.conf");
    assert.match(said, /^search openstacklocal$/m);
    assert.match(said, new RegExp(`^nameserver ${resolver.ip4}$`, "m"));
    assert.match(said, new RegExp(`^nameserver ${resolver.ip6}$`, "m"));
    assert.equal(await short(web, "+search", "db"), world.db.ip4);
    const { said: found } = await fabric.run(web, "getent", "ahostsv4", "db");
    assert.match(found, new RegExp(`^${world.db.ip4} `), "the library's own way");
  });

  test("a port's name has its addresses, on its own host and on another, by datagram and by stream, over both families", async () => {
    const { web, db } = world;
    for (const [from, of] of [
      [web, db],
      [db, web],
      [web, web],
    ] as const) {
      const name = `${of.name}.openstacklocal`;
      for (const server of [resolver.ip4, resolver.ip6]) {
        for (const how of [[], ["+tcp"]]) {
          assert.equal(await short(from, `@${server}`, ...how, name, "A"), of.ip4, `${name} of ${server} ${how}`);
          assert.equal(await short(from, `@${server}`, ...how, name, "AAAA"), of.ip6, `${name} of ${server} ${how}`);
        }
      }
    }
  });

  test("an address has its port's name, and a port without one is called by its address", async () => {
    const { web, db, plain } = world;
    assert.equal(await short(web, "-x", db.ip4), "db.openstacklocal.");
    assert.equal(await short(web, "-x", db.ip6), "db.openstacklocal.");
    const called = `host-${plain.ip4.replaceAll(".", "-")}.openstacklocal.`;
    assert.equal(await short(web, "-x", plain.ip4), called);
    assert.equal(await short(web, called, "A"), plain.ip4);
    assert.match(await dig(web, "-x", "10.1.0.250"), /status: NXDOMAIN/);
  });

  test("a name that nobody has is said not to be, with authority; other names are asked of the operator's servers", async () => {
    const { web, db } = world;
    const none = await dig(web, "nobody.openstacklocal");
    assert.match(none, /status: NXDOMAIN/);
    assert.match(none, /flags: qr aa rd ra;/);
    assert.match(none, /openstacklocal\.\s+30\s+IN\s+SOA\s/);
    for (const how of [[], ["+tcp"]]) assert.equal(await short(web, ...how, "www.example.org"), "192.0.2.80");
    // On the second host nobody answers for the world.
    assert.match(await dig(db, "www.example.org"), /status: SERVFAIL/);
    assert.match(await dig(web, "refused.example.org"), /status: REFUSED/);
  });

  test("a name that is there without what was asked is no name that is not there", async () => {
    const { web } = world;
    for (const type of ["MX", "TXT", "SOA", "PTR"]) {
      const said = await dig(web, "web.openstacklocal", type);
      assert.match(said, /status: NOERROR/, type);
      assert.match(said, /ANSWER: 0, AUTHORITY: 1/, type);
    }
    assert.match(await dig(web, "openstacklocal", "SOA"), /ANSWER: 1/);
    assert.match(await dig(web, "openstacklocal", "AXFR"), /Transfer failed/);
    assert.match(await dig(web, "-c", "CH", "version.bind", "TXT"), /status: REFUSED/);
    assert.match(await dig(web, "+edns=1", "+noednsneg", "web.openstacklocal"), /status: BADVERS/);
  });

  test("what does not fit the datagram that a machine takes is cut off, and comes by stream", async () => {
    const { web } = world;
    for (const size of ["+noedns", "+bufsize=512", "+bufsize=4096"]) {
      const cut = await dig(web, "+ignore", size, "many.example.org");
      assert.match(cut, /flags: qr[^;]* tc/, size);
      assert.match(cut, /ANSWER: 0/, size);
    }
    assert.equal((await short(web, "many.example.org")).split("\n").length, 100, "as dig does by itself");
    assert.match(await dig(web, "web.openstacklocal"), /EDNS: version: 0, flags:; udp: 1232/);
  });

  test("a server elsewhere that is silent costs one question its patience, and the next ones nothing", async (t) => {
    const { web, db, mute } = world;
    const asked = async (from: Guest, name: string): Promise<string> => {
      const said = await dig(from, "+tries=1", name);
      t.diagnostic(
        `${name} from ${from.host}: ${/status: \w+/.exec(said)} after ${/Query time: (\d+)/.exec(said)?.[1]} ms`,
      );
      return said;
    };
    const names = ["one", "two", "three", "four"].map((name) => `${name}.example.org`);
    for (const name of names) assert.match(await asked(web, name), /status: NOERROR/);
    await mute.says(/asked for /);
    const waited = names.filter((name) => mute.said.includes(`asked for ${name}`));
    assert.ok(waited.length <= 1, `the silent one was asked for ${waited}`);
    // Asked once: where nobody answers that is said before machines ask again.
    assert.match(await asked(db, "five.example.org"), /status: SERVFAIL/);
  });

  test("a project's names are its own: another's machine on the same network has none of them, nor takes one", async () => {
    const { web, db, thief } = world;
    assert.equal(await short(web, "db.openstacklocal", "A"), db.ip4);
    assert.equal(await short(thief, "db.openstacklocal", "A"), thief.ip4);
    assert.match(await dig(thief, "web.openstacklocal"), /status: NXDOMAIN/);
    const called = (address: string): string => `host-${address.replaceAll(".", "-")}.openstacklocal.`;
    assert.equal(await short(web, "-x", thief.ip4), called(thief.ip4));
    assert.equal(await short(thief, "-x", web.ip4), called(web.ip4));
    assert.equal(await short(thief, called(web.ip4), "A"), web.ip4);
  });

  test("a machine that asks without end is held to its measure, and another is answered meanwhile", async () => {
    const { fabric, web, thief, db } = world;
    const flood = [
      "import socket",
      "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)",
      `q=bytes.fromhex('000101000001000000000000')+b'\\x02db\\x0eopenstacklocal\\x00\\x00\\x01\\x00\\x01'`,
      "print('ready',flush=True)",
      `while True: s.sendto(q,('${resolver.ip4}',53))`,
    ];
    const socket = await fabric.agent(thief.host);
    const held = async (): Promise<number> => {
      const drops = at(await askAgent(socket, "/v1/status"), "drops") as readonly unknown[];
      return Number(
        at(
          drops.find((drop) => at(drop, "reason") === "punt-rate"),
          "packets",
        ) ?? 0,
      );
    };
    const before = await held();
    await using flooding = fabric.start(thief, "python3", "-c", flood.join("\n"));
    await flooding.says(/ready/);
    for (let n = 0; n < 10; n += 1) assert.equal(await short(web, "db.openstacklocal", "A"), db.ip4);
    assert.equal(flooding.hasEnded, false);
    await until("the flood is cut", WAIT_MS, async () => ((await held()) > before + 1_000 ? true : undefined));
  });

  test("a machine without a way out asks on its link, in its network's own zone, and knows nothing of networks that it does not reach", async () => {
    const { fabric, web, lone } = world;
    assert.match((await fabric.run(lone, "cat", "/etc/resolv.conf")).said, /^search apart\.example\.org$/m);
    assert.equal(await short(lone, "lone.apart.example.org"), lone.ip4);
    assert.equal(await short(lone, "-x", lone.ip4), "lone.apart.example.org.");
    assert.match(await dig(lone, "web.openstacklocal"), /192\.0\.2\.80/, "that is anybody's name there");
    assert.doesNotMatch(await short(web, "lone.apart.example.org"), new RegExp(lone.ip4.replaceAll(".", "\\.")));
  });

  test("a name follows its port", async () => {
    const { fabric, web, db } = world;
    await fabric.change("ports", db.id, { dns_name: "store" });
    assert.equal(await short(web, "store.openstacklocal", "A"), db.ip4);
    assert.match(await dig(web, "db.openstacklocal"), /status: NXDOMAIN/);
  });
});
