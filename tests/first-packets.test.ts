/**
 * The first packet to a neighbour outside, on a running fabric of two hosts with real switches (RFC 1122 section 2.3.2.2): it waits until the neighbour has answered and
 * goes on, so that no ping is lost and no connection is asked for twice, also where each side has to find the other.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { at, OUTSIDE_RANGES } from "@selvage/lab";
import { until, whyNoLab } from "@selvage/lab/testing";
import { Fabric, type Guest } from "./support/guests.ts";
import { gatewayOf, leadBack, letsIn, makeBehind, makePublic } from "./support/way-out.ts";

const skip = (await whyNoLab()) ?? false;
const WAIT_MS = 60_000;
/** Of the machine outside, each for one test: nobody knows them before. */
const strangers = { pinged: "203.0.113.221", asking: "203.0.113.222", served: "203.0.113.223" } as const;
const stranger6 = OUTSIDE_RANGES.ipv6.gateway.replace(/::.*/, "::221");

interface World {
  readonly fabric: Fabric;
  readonly external: string;
  /** On the first host: with a floating address, and without. */
  readonly known: Guest;
  readonly plain: Guest;
  /** On the second. */
  readonly other: Guest;
  readonly third: Guest;
}

let world: World;

const run = (guest: Pick<Guest, "room">, ...argv: readonly string[]) => world.fabric.run(guest, ...argv);

async function floats(fields: object): Promise<{ readonly id: string; readonly address: string }> {
  const floatingip = { floating_network_id: world.external, ...fields };
  const made = at(await world.fabric.api.ask("POST", "/v2.0/floatingips", { floatingip }), "floatingip");
  return { id: String(at(made, "id")), address: String(at(made, "floating_ip_address")) };
}

/** One packet, which nobody sends again. */
async function pingsOnce(from: Pick<Guest, "room">, address: string): Promise<void> {
  const { said } = await run(from, "ping", "-n", "-c", "1", "-W", "10", address);
  assert.ok(said.includes(" 1 received"), said);
}

/** A page is asked for while the asker's interface is watched: each side says once that it wants the connection. */
async function asksOnce(
  from: Pick<Guest, "room">,
  device: "eth0" | "public",
  port: number,
  ...curl: readonly string[]
): Promise<void> {
  const opening = `tcp port ${port} and tcp[tcpflags] & tcp-syn != 0`;
  await using wire = world.fabric.start(from, "tcpdump", "-i", device, "-n", "-l", "--immediate-mode", opening);
  await wire.says(/listening on/);
  const { said } = await run(from, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-m", "20", ...curl);
  assert.equal(said, "200");
  await wire.says(/Flags \[S\.\]/);
  const flags = [...wire.said.matchAll(/Flags \[(S\.?)\]/g)].map(([, each]) => each);
  assert.deepEqual(flags, ["S", "S."], wire.said);
}

const serve = async (guest: Pick<Guest, "room">, port: number) => {
  const server = world.fabric.start(guest, "python3", "-u", "-m", "http.server", String(port));
  await server.says(/Serving HTTP/);
  return server;
};

describe("first packets", { skip }, () => {
  before(async () => {
    const fabric = await Fabric.up("first-packets");
    try {
      const external = await makePublic(fabric);
      const { inner, router } = await makeBehind(fabric, external, 7);
      await fabric.settled();
      const under = { network_id: inner, security_groups: [await letsIn(fabric)] };
      const known = await fabric.guest("known", "h1", under);
      const plain = await fabric.guest("plain", "h1", under);
      const other = await fabric.guest("other", "h2", under);
      const third = await fabric.guest("third", "h2", under);
      world = { fabric, external, known, plain, other, third };
      await leadBack(fabric, 7, (await gatewayOf(fabric, router)).ip6);
      for (const address of Object.values(strangers))
        assert.equal((await run(fabric.outside, "ip", "addr", "add", `${address}/32`, "dev", "public")).code, 0);
      const six = ["-6", "addr", "add", `${stranger6}/128`, "dev", "public", "nodad"];
      assert.equal((await run(fabric.outside, "ip", ...six)).code, 0);
    } catch (cause) {
      await fabric[Symbol.asyncDispose]();
      throw cause;
    }
    const { known, plain, other, third } = world;
    for (const guest of [known, plain, other, third])
      for (const family of ["-4", "-6"])
        await until(`no way out of ${guest.name}`, WAIT_MS, async () =>
          (await run(guest, "ip", family, "route", "show", "default")).said === "" ? undefined : true,
        );
  });

  after(async () => {
    await world?.fabric[Symbol.asyncDispose]();
  });

  test("between floating addresses of two hosts, which do not know each other", async () => {
    const { fabric, known, other } = world;
    await floats({ port_id: known.id });
    const { address } = await floats({ port_id: other.id });
    await fabric.settled();
    await pingsOnce(known, address);
  });

  test("from behind a router's address to a floating one", async () => {
    const { fabric, plain, third } = world;
    const { address } = await floats({ port_id: third.id });
    await fabric.settled();
    await pingsOnce(plain, address);
  });

  test("to a machine on the link outside, of both families", async () => {
    await pingsOnce(world.plain, strangers.pinged);
    await pingsOnce(world.plain, stranger6);
  });

  test("a connection out is asked for once", async () => {
    const { fabric, plain } = world;
    await using _server = await serve(fabric.outside, 80);
    await asksOnce(plain, "eth0", 80, `http://${strangers.served}/`);
  });

  test("a connection to a forwarded port is asked for once, and answered once", async () => {
    const { fabric, plain } = world;
    const { id, address } = await floats({});
    const inside = { internal_port_id: plain.id, internal_ip_address: plain.ip4, internal_port: 8080 };
    await fabric.api.ask("POST", `/v2.0/floatingips/${id}/port_forwardings`, {
      port_forwarding: { ...inside, external_port: 2001, protocol: "tcp" },
    });
    await fabric.settled();
    await using _server = await serve(plain, 8080);
    await asksOnce(fabric.outside, "public", 2001, "--interface", strangers.asking, `http://${address}:2001/`);
  });
});
