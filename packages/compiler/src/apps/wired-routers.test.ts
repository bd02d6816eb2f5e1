/** Routers' interfaces on flat and VLAN networks: machines of the overlay and of the wire meet, whoever's they are, and one host speaks there for the router. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { arpReply, arpRequest, icmpError, ping, type Speaker, tcp, udpBetween } from "@selvage/datapath/testing";
import { LearnedNeighbour, PeerDown } from "@selvage/model";
import { makeLearnedNeighbour, makePeerDown, put, testId } from "@selvage/model/testing";
import { decode, type Packet } from "@selvage/packet";
import { fabric, type Journey } from "../testing/fabric.ts";
import { routedNet } from "../testing/intent.ts";
import { macOfHost } from "../testing/outside.ts";

/** Of nobody's, on the wire; the network's gateway is the router. */
const q: Speaker = { mac: "02:00:00:00:00:99", ip4: "10.0.2.99", ip6: "2001:db8:2::99" };

function read(frame: Uint8Array | undefined): Packet {
  assert.ok(frame !== undefined, "a frame");
  const decoded = decode(frame);
  assert.ok(decoded.ok);
  return decoded.packet;
}

/** x and y in the overlay, p and r on the wire; a router between, and another that leads to a network of its own. */
async function wired(vlan: number | null) {
  const network = {
    ...{ "provider:network_type": vlan === null ? "flat" : "vlan", "provider:physical_network": "public" },
    ...{ "provider:segmentation_id": vlan, key: 0xf00001 },
  };
  const world = await fabric(
    { hosts: 2 },
    routedNet(1, "office", { x: "h1", y: "h2" }),
    routedNet(2, "dmz", { p: "h2", r: "h1" }, { network }),
    routedNet(3, "lab", { z: "h2" }),
  );
  world.wire("public");
  const send = world.outside("public", "q");
  const router = world.route({ number: 1, on: { office: 1, dmz: 1 } });
  const other = world.route({ number: 2, on: { lab: 1, dmz: 2 } });
  const tag = (frame: Uint8Array): Uint8Array =>
    vlan === null
      ? frame
      : Buffer.concat([frame.subarray(0, 12), Uint8Array.of(0x81, 0, vlan >> 8, vlan & 255), frame.subarray(12)]);
  const say = (frame: Uint8Array): Journey => send(tag(frame));
  for (const { name } of world.hosts) {
    const met = [q.ip4, q.ip6].map((address) =>
      put(
        LearnedNeighbour,
        makeLearnedNeighbour({ id: `q ${address}`, network_id: world.network("dmz").network.id, address, mac: q.mac }),
      ),
    );
    world.learn(name, met);
  }
  const { office, dmz } = router.interfaces;
  const beside = other.interfaces.dmz;
  assert.ok(office !== undefined && dmz !== undefined && beside !== undefined);
  /** Who answers for an address, once. */
  const spoken = (address: string): string => {
    const { delivered, frames } = say(arpRequest(q, address));
    assert.equal(delivered.filter((name) => name === "q").length, 1, "one answers, and no other");
    return read(frames[delivered.indexOf("q")]).arp?.sha ?? "";
  };
  return { world, say, office, dmz, beside, spoken, other };
}

for (const vlan of [null, 42]) {
  const where = vlan === null ? "a flat network" : "a VLAN";
  test(`machines of the overlay and of ${where} meet through a router, and no MAC is on two hosts`, async () => {
    const { world, office, dmz } = await wired(vlan);
    for (const [from, to] of [
      ["x", "p"],
      ["x", "r"],
      ["y", "p"],
      ["y", "r"],
    ] as const) {
      const [one, two] = [world.machine(from), world.machine(to)];
      for (const version of [4, 6] as const) {
        const went = world.send(from, tcp(version, one, { ...two, mac: office.mac }, { src: 1, dst: 2 }));
        assert.deepEqual([[...new Set(went.delivered)].filter((name) => name !== "q"), went.drops], [[to], []]);
        const got = read(went.frames[went.delivered.indexOf(to)]);
        assert.deepEqual([got.eth.src, got.eth.dst], [macOfHost(one.host), two.mac]);
        const back = world.send(to, tcp(version, two, { ...one, mac: dmz.mac }, { src: 2, dst: 1, flags: 18 }));
        assert.deepEqual([back.delivered, back.drops], [[from], []]);
        assert.equal(read(back.frames[0]).eth.src, office.mac);
      }
    }
    assert.deepEqual(world.moved("public"), []);
  });

  test(`who is on ${where} itself reaches the overlay by the host that speaks for the router, and is reached`, async () => {
    const { world, say, office, dmz, spoken } = await wired(vlan);
    const owner = spoken(dmz.ip4);
    for (const name of ["x", "y"]) {
      const machine = world.machine(name);
      for (const version of [4, 6] as const) {
        const come = say(tcp(version, q, { ...machine, mac: owner }, { src: 5, dst: 80 }));
        assert.deepEqual([come.delivered, come.drops], [[name], []]);
        assert.equal(read(come.frames[0]).eth.src, office.mac);
        const left = world.send(name, tcp(version, machine, { ...q, mac: office.mac }, { src: 80, dst: 5, flags: 18 }));
        assert.deepEqual([left.delivered, left.drops], [["q"], []]);
        const gone = read(left.frames[0]);
        assert.deepEqual(
          [gone.eth.src, gone.eth.dst, gone.eth.vlan?.id],
          [macOfHost(machine.host), q.mac, vlan ?? undefined],
        );
      }
    }
    for (const version of [4, 6] as const)
      for (const own of [dmz, office]) {
        const asked = say(ping(version, "request", q, { ...own, mac: owner }, { id: 7 }));
        assert.deepEqual(asked.delivered, ["q"], "the router answers pings");
        assert.equal(read(asked.frames[0]).eth.vlan?.id, vlan ?? undefined);
      }
    const x = world.machine("x");
    const about = tcp(4, x, q, { src: 1, dst: 2 });
    const error = say(icmpError(4, q, { ...x, mac: owner }, { type: 3, code: 4, about }));
    assert.deepEqual(error.delivered, ["x"], "errors are packets like others");
    assert.deepEqual(world.moved("public"), []);
  });
}

test("of two routers on a wire each gets what it leads to, whichever host speaks for it", async () => {
  const { world, say, beside, spoken } = await wired(null);
  const z = world.machine("z");
  const owner = spoken(beside.ip4);
  assert.deepEqual(say(tcp(4, q, { ...z, mac: owner }, { src: 1, dst: 2 })).delivered, ["z"]);
  const nowhere = say(udpBetween(4, q, { mac: owner, ip4: "192.0.2.1", ip6: "::" }, { src: 1, dst: 2 }));
  assert.deepEqual([nowhere.delivered, nowhere.drops], [[], ["no-route"]], "the network's gateway has no route");
});

test("another host speaks for the router when one is away, and who is not known on the wire is asked for", async () => {
  const { world, say, dmz, office, spoken } = await wired(null);
  const first = spoken(dmz.ip4);
  const [there = "", other = ""] = first === macOfHost("h1") ? ["h1", "h2"] : ["h2", "h1"];
  world.unwire("public", there);
  world.learn(other, [put(PeerDown, makePeerDown({ id: testId("host", Number(there.slice(1))) }))]);
  assert.equal(spoken(dmz.ip4), macOfHost(other));
  const name = other === "h1" ? "x" : "y";
  const machine = world.machine(name);
  const unknown = { ...q, mac: office.mac, ip4: "10.0.2.98" };
  const asked = world.send(name, udpBetween(4, machine, unknown, { src: 1, dst: 2 }));
  assert.deepEqual([asked.drops, asked.punts.map(({ kind }) => kind)], [["neighbour-unresolved"], ["neighbour"]]);
  const heard = say(arpReply({ mac: q.mac, ip4: "10.0.2.98" }, { ...q, mac: macOfHost(other) }));
  assert.deepEqual(
    heard.punts.map(({ kind }) => kind),
    ["neighbour"],
  );
});
