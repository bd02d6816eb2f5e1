/** Routers' zones: hosts of those that are hinted at speak for a router's addresses, others while none of them is there; and what that costs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { arpRequest, type Speaker } from "@selvage/datapath/testing";
import { Attachment, type Change, Host, PeerDown, Port, Router } from "@selvage/model";
import { makeGateway, makePeerDown, makeRouter, put, remove, testId } from "@selvage/model/testing";
import { decode } from "@selvage/packet";
import { physicalName } from "@selvage/pipeline";
import { hostEngine } from "../host-engine.ts";
import { elected } from "../physical.ts";
import { costOf } from "../testing/cost.ts";
import { fabric, type TestFabric } from "../testing/fabric.ts";
import { hostName, hostsOf, net, routedNet } from "../testing/intent.ts";
import {
  externalChanges,
  floatingAddress,
  forwardingChanges,
  gatewayChanges,
  gatewayOf,
  macOfHost,
  meetUpstream,
  upstream,
} from "../testing/outside.ts";

const count = 6;

/** The hosts of the east are those whose number is even. */
const zoneOf = (number: number): string => (number % 2 === 0 ? "east" : "west");

const inZones = (many: number): readonly Host[] =>
  hostsOf(many).map((host) => ({ ...host, availability_zone: zoneOf(host.key), physical_networks: ["public"] }));

/** Whom a frame's answers come from, of so many hosts that were asked; each has answered once at most. */
function answering(
  world: TestFabric,
  send: ReturnType<TestFabric["outside"]>,
  address: string,
  by: Speaker = upstream,
) {
  const answers = send(arpRequest(by, address)).frames.map((frame) => {
    const decoded = decode(frame);
    assert.ok(decoded.ok);
    return decoded.packet.arp?.sha;
  });
  return world.hosts.map(({ name }) => name).filter((name) => answers.includes(macOfHost(name)));
}

const hostId = (name: string): string => testId("host", Number(name.slice(1)));
const lose = (name: string): Change => put(PeerDown, makePeerDown({ id: hostId(name) }));

/** Six hosts in two zones with a wire, and a router that is to be in some zones, with gateway and forwarded ports. */
async function site(hints: readonly string[]) {
  const world = await fabric({ hosts: count }, routedNet(1, "office", { a: "h1", y: "h2" }));
  world.wire("public");
  const send = world.outside("public", "out");
  world.change([...inZones(count).map((host) => put(Host, host)), ...externalChanges()]);
  const router = world.route({ number: 1, on: { office: 1 } });
  world.change(gatewayChanges(router, { availability_zone_hints: hints }));
  world.change(forwardingChanges(1, router, [[80, world.machine("a"), 80, "tcp"]]));
  meetUpstream(world);
  return { world, asked: (address: string) => answering(world, send, address) };
}

for (const [what, address] of [
  ["its gateway's address", gatewayOf(1).ip4],
  ["an address whose ports are forwarded", floatingAddress(1)],
] as const) {
  test(`hosts of a router's zones answer for ${what}, one at a time; others while none of them is there`, async () => {
    const ids = inZones(count);
    const first = elected(address, ids)?.name ?? assert.fail();
    // Zones in which the host is not that would answer without.
    const hinted = zoneOf(Number(first.slice(1))) === "east" ? "west" : "east";
    const { world, asked } = await site([hinted]);
    const isHinted = (name: string): boolean => zoneOf(Number(name.slice(1))) === hinted;
    const lost: Change[] = [];
    for (let left = count / 2; left > 0; left -= 1) {
      const [speaker, ...more] = asked(address);
      assert.ok(speaker !== undefined && more.length === 0 && isHinted(speaker), `${speaker} ${more}`);
      world.change([lose(speaker)]);
      lost.push(remove(PeerDown, hostId(speaker)));
    }
    assert.deepEqual(asked(address), [first], "no host of its zones is there: as if it had none");
    for (const back of lost.slice(0, 1)) world.change([back]);
    const again = asked(address);
    assert.ok(again.length === 1 && again.every(isHinted), `${again}: a host of its zones is back`);
  });
}

test("a router whose zones have no host with the wire, and one without zones, are answered for by any; so is a zone's by all of several", async () => {
  const address = gatewayOf(1).ip4;
  const any = elected(address, inZones(count))?.name ?? "";
  for (const hints of [[], ["north"], ["east", "west"], ["north", "east", "west"]])
    assert.deepEqual((await site(hints)).asked(address), [any], hints.join());
});

test("a host that comes to be in a router's zone answers for it", async () => {
  const { world, asked } = await site(["north"]);
  const [before] = asked(gatewayOf(1).ip4);
  const other = inZones(count).find(({ name }) => name !== before) ?? assert.fail();
  world.change([put(Host, { ...other, availability_zone: "north" })]);
  assert.deepEqual(asked(gatewayOf(1).ip4), [other.name]);
});

test("on a wire where machines stand, of the hosts with machines behind a router those of its zones answer for its addresses", async () => {
  const behind = ["h1", "h2", "h3", "h4"];
  const world = await fabric(
    { hosts: count },
    net(
      "yard",
      { out: "h6" },
      {
        cidr4: "192.0.2.0/24",
        network: {
          ...{ "provider:network_type": "flat", "provider:physical_network": "public" },
          ...{ "provider:segmentation_id": null, key: 0xf00007 },
        },
      },
    ),
    routedNet(2, "office", Object.fromEntries(behind.map((host) => [`on-${host}`, host]))),
  );
  world.wire("public");
  const send = world.outside("public", "somebody");
  world.change(inZones(count).map((host) => put(Host, host)));
  const address = "192.0.2.77";
  const { router, interfaces } = world.route({ number: 1, on: { yard: 77, office: 1 } });
  assert.equal(interfaces.yard?.ip4, address);
  const by: Speaker = { mac: "02:00:00:00:00:09", ip4: "192.0.2.9", ip6: "2001:db8::9" };
  for (const zone of ["east", "west"]) {
    world.change([put(Router, { ...router, availability_zone_hints: [zone] })]);
    const [speaker, ...more] = answering(world, send, address, by);
    assert.ok(speaker !== undefined && more.length === 0, `${speaker} ${more}`);
    assert.ok(behind.includes(speaker) && zoneOf(Number(speaker.slice(1))) === zone, `${zone}: ${speaker}`);
  }
});

/** What changes cost host h1 that sees so many hosts on one wire, and gateways of so many hinted routers of others. */
function costs(hosts: number, gateways: number, act: (host: Host) => readonly Change[]) {
  const engine = hostEngine({ name: hostName(1) });
  const all = inZones(hosts);
  engine.apply(
    [
      ...all.map((host) => put(Host, host)),
      ...externalChanges(),
      put(Attachment, { id: physicalName("public") }),
      ...Array.from({ length: gateways }, (_, at) => gateway(at + 1)).flat(),
    ],
    1,
  );
  return costOf(engine, act(all[2] ?? assert.fail()), 2);
}

/** The n-th router, which is to be where h1 is not. */
function gateway(number: number): readonly Change[] {
  const router = makeRouter({ id: testId("router", number), key: number, availability_zone_hints: ["east"] });
  const ip_address = `203.0.${112 + (number >> 8)}.${number & 255}`;
  const fixed_ips = [{ subnet_id: testId("external subnet", 1), ip_address }];
  const port = { id: testId("gateway", number), key: 0x100000 + number, gateway_of: router.id, fixed_ips };
  return [put(Router, router), put(Port, makeGateway(port))];
}

/** Few hosts and routers, many hosts, many routers. */
const sizes = [
  [10, 3],
  [1_000, 3],
  [10, 1_000],
] as const;

test("a hinted router's gateway that comes costs the same with ten hosts and with a thousand, with few routers and with many", () => {
  const [first, ...others] = sizes.map(([hosts, gateways]) => costs(hosts, gateways, () => gateway(1_001)));
  assert.equal(first?.rows, 1, "the answer to a ping: h1 is not of the zone");
  for (const each of others) assert.deepEqual(each, first);
});

test("a host of no router's zone that is lost, or goes to another such zone, wakes no gateway", () => {
  for (const act of [
    ({ name }: Host) => [lose(name)],
    (host: Host) => [put(Host, { ...host, availability_zone: "south" })],
  ]) {
    const woken = sizes.map(([hosts, gateways]) => costs(hosts, gateways, act).unitsRun);
    assert.equal(new Set(woken).size, 1, woken.join());
    assert.ok((woken[0] ?? 0) < 10, woken.join());
  }
});
