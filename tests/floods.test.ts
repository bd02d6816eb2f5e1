/**
 * One machine that takes all that it can of what a host's machines share, connections that are tracked and fragments that wait for their datagrams, on a running
 * fabric of two hosts with real switches: it takes nothing from another, it is told of, and it has its own again when it has stopped.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { at } from "@selvage/lab";
import { until, whyNoLab } from "@selvage/lab/testing";
import { heldFragments, limits } from "@selvage/pipeline";
import { Fabric, type Guest, type Program } from "./support/guests.ts";
import { fragmentFlood, synFlood } from "./support/raw-floods.ts";

const skip = (await whyNoLab()) ?? false;
const WAIT_MS = 120_000;
const most = 20_000;
const families = ["ip4", "ip6"] as const;

/** Says its name to whoever asks, and goes on saying it for whoever asks for a stream. */
const SERVER = `
  const [name] = process.argv.slice(1);
  require("node:http").createServer((request, response) => {
    if (request.url !== "/stream") return response.end(name);
    const timer = setInterval(() => response.write(name + "\\n"), 20);
    response.on("close", () => clearInterval(timer));
  }).listen(80, "::", () => console.log("listening"));
`;

interface World {
  readonly fabric: Fabric;
  /** On the first host: it may send what it likes, and get nothing but answers. */
  readonly flooder: Guest;
  /** On the second: nobody gets in, so that what is sent to it ends there. */
  readonly shut: Guest;
  /** One on each host, whom everybody may ask. */
  readonly one: Guest;
  readonly two: Guest;
  readonly servers: readonly Program[];
}
let world: World;

const bracketed = (address: string): string => (address.includes(":") ? `[${address}]` : address);

/** What a server says to a machine that asks; undefined where nobody answers in time. */
async function asks(from: Guest, address: string, seconds = 10): Promise<string | undefined> {
  const words = ["-s", "-g", "-m", String(seconds), `http://${bracketed(address)}/`];
  const { code, said } = await world.fabric.run(from, "curl", ...words);
  return code === 0 ? said : undefined;
}

/** What a program has said grows on: it is not cut. */
async function goesOn(program: Program): Promise<void> {
  const heard = program.said.length;
  await until("it has ended", WAIT_MS, async () => (program.said.length > heard + 100 ? true : undefined));
}

/** Packets that a host's agent has counted for a reason, as `selvage drops` shows them. */
function shown(host: string, reason: string): number {
  const [, packets = "0"] = new RegExp(`^(\\d+)  ${reason}: `, "m").exec(world.fabric.selvage("drops", host)) ?? [];
  return Number(packets);
}

/** What a host says is wrong of a port. */
async function problemsOf({ host, id }: Guest): Promise<readonly string[]> {
  const hosts = at(await world.fabric.api.ask("GET", "/v1/status"), "hosts");
  const found = (Array.isArray(hosts) ? hosts : []).find((each: unknown) => at(each, "name") === host);
  const problems = at(found, "problems");
  return (Array.isArray(problems) ? problems : []).map(String).filter((each) => each.includes(id));
}

before(async () => {
  if (skip !== false) return;
  const fabric = await Fabric.up("floods");
  try {
    const network_id = await fabric.make("networks", { name: "shared" });
    await fabric.make("subnets", { network_id, ip_version: 4, cidr: "192.168.50.0/24" });
    await fabric.make("subnets", { network_id, ip_version: 6, cidr: "fd50::/64" });
    const [shutGroup, open] = [
      await fabric.make("security-groups", { name: "shut" }),
      await fabric.make("security-groups", { name: "open" }),
    ];
    for (const ethertype of ["IPv4", "IPv6"])
      await fabric.make("security-group-rules", { security_group_id: open, direction: "ingress", ethertype });
    const guest = (name: string, host: string, group: string): Promise<Guest> =>
      fabric.guest(name, host, { network_id, security_groups: [group] });
    const [flooder, shut, one, two] = await Promise.all([
      guest("flooder", "h1", shutGroup),
      guest("shut", "h2", shutGroup),
      guest("one", "h1", open),
      guest("two", "h2", open),
    ]);
    await fabric.settled();
    const servers = [one, two].map((each) => fabric.start(each, process.execPath, "-e", SERVER, each.name));
    world = { fabric, flooder, shut, one, two, servers };
    for (const each of servers) await each.says(/listening/);
  } catch (cause) {
    await fabric[Symbol.asyncDispose]();
    throw cause;
  }
});

after(async () => {
  for (const each of world?.servers ?? []) await each[Symbol.asyncDispose]();
  await world?.fabric[Symbol.asyncDispose]();
});

describe("one machine's flood", { skip }, () => {
  test("of connections fills its own port alone: what it has goes on, what it opens is dropped and told, and others have what they had", async (context) => {
    const { fabric, flooder, shut, one, two } = world;
    await using ping = fabric.start(two, "ping", "-n", "-i", "0.1", one.ip6);
    await using stream = fabric.start(two, "curl", "-s", "-N", `http://${one.ip4}/stream`);
    await using own = fabric.start(flooder, "curl", "-s", "-g", "-N", `http://[${two.ip6}]/stream`);
    for (const each of [stream, own]) await each.says(/(one|two)\n/);
    await ping.says(/icmp_seq=1 /);
    const began = performance.now();
    await using floods = new AsyncDisposableStack();
    for (const family of families) floods.use(fabric.start(flooder, ...synFlood(81, 15_000, flooder, shut, family)));
    await until("its port is not full", WAIT_MS, async () => {
      const { count, limit } = fabric.tracked(flooder);
      assert.equal(limit, most);
      assert.ok(count <= most, `${count} of ${most}`);
      return count === most ? true : undefined;
    });
    context.diagnostic(`its port was full after ${((performance.now() - began) / 1_000).toFixed(1)} s`);
    // It opens no more, of either family, and is told why.
    await fabric.drops("h1", "connection-limit", 500, async () => {
      for (const address of [one.ip4, two.ip6]) assert.equal(await asks(flooder, address, 2), undefined, address);
    });
    await goesOn(own);
    // Others neither lose what they have nor are refused what they open, on its host and on the other.
    for (const each of [stream, ping]) await goesOn(each);
    const times: number[] = [];
    for (let turn = 0; turn < 10; turn += 1)
      for (const [from, to] of [
        [one, two],
        [two, one],
      ] as const)
        for (const family of families) {
          const start = performance.now();
          assert.equal(await asks(from, to[family]), to.name, `${from.name} to ${to.name} by ${family}`);
          times.push(performance.now() - start);
        }
    const sorted = times.sort((a, b) => a - b);
    context.diagnostic(
      `others' ${times.length} new connections: ${sorted[times.length >> 1]?.toFixed(0)} ms in the middle, ${sorted.at(-1)?.toFixed(0)} ms at most`,
    );
    assert.ok(fabric.tracked(flooder).count >= most - 100, "it is still full");
    assert.ok(fabric.tracked(one).count < 500 && fabric.tracked(two).count < 500);
    // What is refused is told as that, and does not die later as the answer to nothing.
    for (const host of ["h1", "h2"]) assert.ok(fabric.dropped(host, "ct-invalid") < 50, host);
    // Whoever looks after the fabric is told.
    await until("`selvage drops` does not show it", WAIT_MS, async () =>
      shown("h1", "connection-limit") > 500 ? true : undefined,
    );
    const said = await until("the fault is not told", WAIT_MS, async () => (await problemsOf(flooder))[0]);
    assert.match(said, /connection-limit: the port has as many connections/);
    // Nothing that others opened was dropped for it.
    for (const each of [one, two]) assert.deepEqual(await problemsOf(each), []);
    assert.equal(shown("h2", "connection-limit"), 0);
    assert.match(fabric.selvage("status"), /connection-limit/);
    const port = at(await fabric.api.ask("GET", `/v2.0/ports/${flooder.id}`), "port");
    assert.equal(at(port, "status"), "ACTIVE", "the port works on");
  });

  test("of fragments that never become datagrams takes no datagram in fragments from another, by either family", async (context) => {
    const { fabric, flooder, shut, one, two } = world;
    const held = (host: string, what: string): number =>
      Number(new RegExp(`${what}: (\\d+)`).exec(fabric.appctl(host, "dpctl/ipf-get-status", "netdev@ovs-netdev"))?.[1]);
    assert.equal(held("h1", "max num frags \\(v4/v6\\)"), heldFragments);
    await using floods = new AsyncDisposableStack();
    for (const family of families) {
      const flood = floods.use(fabric.start(flooder, ...fragmentFlood(flooder, shut, family)));
      // More, of each family, than the host could hold.
      await flood.says(/sent 6000/);
    }
    for (const [from, to] of [
      [one, two],
      [two, one],
    ] as const)
      for (const family of families) {
        const { said } = await fabric.run(
          from,
          "ping",
          "-n",
          "-i",
          "0.2",
          "-c",
          "15",
          "-s",
          "4000",
          "-W",
          "10",
          to[family],
        );
        assert.match(said, / 15 received/, `${from.name} to ${to.name} by ${family}: ${said}`);
      }
    const [rate, burst] = [limits.fragments.rate, limits.fragments.burst];
    const waiting = held("h1", "num frag");
    context.diagnostic(`${waiting} fragments wait on the flooder's host, ${held("h2", "num frag")} on the other`);
    assert.ok(waiting > burst && waiting < 16 * rate + burst + 100, `${waiting} wait`);
    assert.ok(held("h2", "num frag") < 100, "none of them comes to the other host");
    await until("`selvage drops` does not show it", WAIT_MS, async () =>
      shown("h1", "fragment-rate") > 10_000 ? true : undefined,
    );
    assert.equal(shown("h2", "fragment-rate"), 0);
  });

  test("is over when it ends: its port opens connections again, its large datagrams pass, and nobody tells of it", async () => {
    const { fabric, flooder, one, two } = world;
    for (const address of [one.ip4, two.ip6])
      await until(`${address} is not asked again`, WAIT_MS, async () => asks(flooder, address, 2));
    for (const family of families) {
      const { said } = await fabric.run(flooder, "ping", "-n", "-c", "1", "-s", "4000", "-W", "10", two[family]);
      assert.match(said, / 1 received/);
    }
    await until("it is still told", WAIT_MS, async () => ((await problemsOf(flooder)).length === 0 ? true : undefined));
  });
});
