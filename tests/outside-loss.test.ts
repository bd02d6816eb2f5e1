/**
 * What is lost when agents and hosts die, on a running fabric of three hosts with real switches: machines talk with each other and with the outside while the host
 * that speaks for their router's address loses its agent, then its power, comes back, and another goes. The losses are printed; nothing that was connected ends.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { hostMac } from "@selvage/compiler";
import { at } from "@selvage/lab";
import { until, whyNoLab } from "@selvage/lab/testing";
import { Fabric, type Guest } from "./support/guests.ts";
import { echoes, type Loss, Talks, tableOf, type Way } from "./support/probes.ts";
import { far, gatewayOf, leadBack, makeBehind, makePublic } from "./support/way-out.ts";

const skip = (await whyNoLab()) ?? false;
const WAIT_MS = 120_000;
const HOSTS = ["h1", "h2", "h3"] as const;

/** What a host has: a machine behind the router alone, and one with a floating IP. */
interface Pair {
  readonly host: string;
  readonly plain: Guest;
  readonly known: Guest;
  readonly floating: string;
}

interface World {
  readonly fabric: Fabric;
  readonly pairs: readonly Pair[];
  /** The router's address outside. */
  readonly shared: string;
}

let world: World;

/** Asks for a page, and gives whether one came. */
async function asks(from: Pick<Guest, "room">, address: string): Promise<boolean> {
  const url = `http://${address.includes(":") ? `[${address}]` : address}:8080/`;
  const { code } = await world.fabric.run(from, "curl", "-s", "-g", "-m", "10", "-o", "/dev/null", url);
  return code === 0;
}

/** The host that speaks for the router's address, by the MAC that the machine outside knows it by. */
async function speaker(): Promise<string> {
  const { fabric, shared } = world;
  const hosts = at(await fabric.api.ask("GET", "/v1/hosts"), "hosts") as readonly Readonly<Record<string, unknown>>[];
  const keyed = new Map(hosts.map(({ name, key }) => [hostMac(Number(key)), String(name)]));
  return until("nobody speaks for the router's address", WAIT_MS, async () => {
    await fabric.run(fabric.outside, "ping", "-n", "-c", "1", "-W", "1", shared);
    const { said } = await fabric.run(fabric.outside, "ip", "neigh", "show", shared);
    return keyed.get(/lladdr (\S+)/.exec(said)?.[1] ?? "");
  });
}

/** The ways on which machines of these hosts talk with each other and with the outside. */
function waysOf(hosts: readonly string[]): readonly Way[] {
  const { outside } = world.fabric;
  const pairs = world.pairs.filter(({ host }) => hosts.includes(host));
  return [
    ...pairs.slice(1).flatMap(({ host, plain }, place) => {
      const other = pairs[place] ?? assert.fail();
      return [
        { what: `${other.host} to ${host}`, from: other.plain, to: plain.ip4 },
        { what: `${other.host} to ${host} by IPv6`, from: other.plain, to: plain.ip6 },
      ];
    }),
    ...pairs.flatMap(({ host, plain, known, floating }) => [
      { what: `${host} out by the router's address`, from: plain, to: far.ip4 },
      { what: `${host} out by its floating IP`, from: known, to: far.ip4 },
      { what: `${host} in by its floating IP`, from: outside, to: floating },
      { what: `${host} out by IPv6`, from: plain, to: far.ip6 },
      { what: `${host} in by IPv6`, from: outside, to: plain.ip6 },
    ]),
  ];
}

/** What goes between hosts that stay, and by addresses of machines on them, needs nobody else. */
const needsNobody = ({ what }: Loss): boolean => / to |floating/.test(what);

/** Lets machines of some hosts talk while something happens, and until they go on; prints what was lost, and asserts what must not be. */
async function talking(
  title: string,
  hosts: readonly string[],
  happens: () => Promise<void>,
): Promise<readonly Loss[]> {
  await using talks = await Talks.begin(world.fabric, waysOf(hosts));
  await happens();
  await talks.goOn();
  const losses = await talks.end();
  console.log(tableOf(title, losses));
  for (const { what, by, lost } of losses.filter(needsNobody)) assert.equal(lost, 0, `${what} by ${by}: ${title}`);
  for (const { what, lost } of losses.filter(({ by }) => by === "tcp")) assert.equal(lost, 0, `${what}: ${title}`);
  return losses;
}

/** Asserts that every machine of these hosts reaches the outside and is reached from there. */
async function reachable(hosts: readonly string[]): Promise<void> {
  const { fabric, pairs } = world;
  for (const { host, plain, known, floating } of pairs.filter((each) => hosts.includes(each.host))) {
    for (const guest of [plain, known])
      for (const address of [far.ip4, far.ip6])
        assert.ok(await asks(guest, address), `${guest.name} of ${host} to ${address}`);
    for (const address of [floating, plain.ip6, known.ip6])
      assert.ok(await asks(fabric.outside, address), `outside to ${address} on ${host}`);
  }
}

const others = (...hosts: readonly string[]): readonly string[] => HOSTS.filter((host) => !hosts.includes(host));

describe("what is lost", { skip }, () => {
  before(async () => {
    const fabric = await Fabric.up("outside-loss", HOSTS.length);
    try {
      const external = await makePublic(fabric);
      const { inner, router } = await makeBehind(fabric, external, 8);
      await fabric.settled();
      const open = { network_id: inner, port_security_enabled: false };
      const pairs = await Promise.all(
        HOSTS.map(async (host): Promise<Pair> => {
          const [plain, known] = await Promise.all([
            fabric.guest(`plain-${host}`, host, open),
            fabric.guest(`known-${host}`, host, open),
          ]);
          const wanted = { floating_network_id: external, port_id: known.id };
          const made = at(await fabric.api.ask("POST", "/v2.0/floatingips", { floatingip: wanted }), "floatingip");
          return { host, plain, known, floating: String(at(made, "floating_ip_address")) };
        }),
      );
      await fabric.settled();
      const { ip4: shared, ip6 } = await gatewayOf(fabric, router);
      world = { fabric, pairs, shared };
      await leadBack(fabric, 8, ip6);
      const guests = pairs.flatMap(({ plain, known }) => [plain, known]);
      for (const guest of [...guests, fabric.outside]) await serve(guest);
      for (const guest of guests)
        for (const address of [far.ip4, far.ip6])
          await until(`${guest.name} does not reach ${address}`, WAIT_MS, async () =>
            (await asks(guest, address)) ? true : undefined,
          );
    } catch (cause) {
      await fabric[Symbol.asyncDispose]();
      throw cause;
    }
  });

  after(async () => {
    await world?.fabric[Symbol.asyncDispose]();
  });

  /** A web server and one that echoes, which end with the lab. */
  const serve = async (guest: Pick<Guest, "room">): Promise<void> => {
    await echoes(world.fabric, guest);
    const web = world.fabric.start(guest, "python3", "-m", "http.server", "--bind", "::", "8080");
    await web.says(/Serving/);
  };

  let first = "";

  test("nothing, when the agent of the host that speaks for the router's address is killed", async () => {
    first = await speaker();
    const losses = await talking(`the agent of ${first} is killed`, HOSTS, () => world.fabric.killAgent(first));
    for (const { what, by, lost } of losses) assert.equal(lost, 0, `${what} by ${by}`);
    await speaks(first);
  });

  test("no connection of other hosts, when that host loses its power, and when it is back", async () => {
    const { fabric } = world;
    const rest = others(first);
    await talking(`${first}, which speaks for the router's address, loses its power`, rest, async () => {
      fabric.kill(first);
      await until("nobody else speaks for it", WAIT_MS, async () => ((await speaker()) === first ? undefined : true));
    });
    await reachable(rest);
    await talking(`${first} is back`, rest, async () => {
      // It has been alone for so long that it has chosen itself for all, and has said so to nobody.
      await fabric.revive(first, rest.length);
      for (const host of HOSTS) await fabric.untilAway(host, 0);
      await speaks(first);
      await until(`${first} does not reach the outside`, WAIT_MS, async () => (await reaches(first)) || undefined);
    });
    await reachable(HOSTS);
  });

  test("no connection of other hosts, when another host loses its power", async () => {
    const { fabric } = world;
    const second = others(first)[0] ?? assert.fail();
    const rest = others(second);
    await talking(`${second} loses its power`, rest, async () => {
      fabric.kill(second);
      for (const host of rest) await fabric.untilAway(host, 1);
    });
    await speaks(first);
    await reachable(rest);
  });
});

/** Waits until a host speaks for the router's address: one whose signs of life a busy machine holds up does not for a moment. */
const speaks = (host: string): Promise<true> =>
  until(`${host} does not speak for it`, WAIT_MS, async () => (await speaker()) === host || undefined);

/** Whether a host's machines have the outside again. */
async function reaches(host: string): Promise<boolean> {
  const pair = world.pairs.find((each) => each.host === host) ?? assert.fail(host);
  const { said } = await world.fabric.run(pair.plain, "ping", "-n", "-c", "1", "-W", "1", far.ip4);
  return said.includes(" 1 received");
}
