/** ICMP errors to and from the outside, packet by packet through simulated hosts with a desk each: from whom they are, and what they quote. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMetrics, ManualClock, silentLog } from "@selvage/base";
import {
  externalChanges,
  fabric,
  floatingAddress,
  floatingChange,
  forwardingChanges,
  gatewayChanges,
  gatewayOf,
  type Journey,
  leaseChange,
  macOfHost,
  meetUpstream,
  routedNet,
  stranger,
  type TestFabric,
  upstream,
} from "@selvage/compiler/testing";
import { icmpError, ping, type Speaker, tcp, udpBetween } from "@selvage/datapath/testing";
import { LearnedNeighbour } from "@selvage/model";
import { makeLearnedNeighbour, put } from "@selvage/model/testing";
import { checksum, decode, type Packet, readIpv4, TcpFlag } from "@selvage/packet";
import { silence } from "./answer.ts";
import { Desk } from "./desk.ts";

/** What the first host's agent makes of a packet's ends: all that comes of it, and of what it was handed then. */
async function servedBy(world: TestFabric): Promise<(journey: Journey) => Promise<Journey>> {
  const { engine, datapath } = world.host("h1");
  const desk = new Desk({
    ...{ view: engine.view, rows: engine, hostName: "h1", datapath, dhcp: { leaseTime: 60 }, log: silentLog },
    ...{ clock: new ManualClock(), metrics: await createMetrics(), neighbours: { serve: () => silence("not asked") } },
  });
  return async (journey) => {
    for (let n = 0; n < journey.punts.length; n += 1) await desk.serve(journey.punts[n] ?? assert.fail());
    return journey;
  };
}

/** One host with a wire: a, b and c behind a router that goes out, a with a floating address, b with forwarded ports. */
async function outside(mtu = 1_500) {
  const world = await fabric({ hosts: 1 }, routedNet(1, "office", { a: "h1", b: "h1", c: "h1" }, { network: { mtu } }));
  world.wire("public");
  const out = world.outside("public", "out");
  world.change(externalChanges());
  const router = world.route({ number: 1, on: { office: 1 } });
  const [a, b, c] = [world.machine("a"), world.machine("b"), world.machine("c")];
  world.change([
    ...gatewayChanges(router),
    leaseChange(router, "h1", 1024),
    floatingChange(1, router, a),
    ...forwardingChanges(2, router, [
      [5353, b, 53, "udp"],
      [8080, b, 80, "tcp"],
    ]),
  ]);
  meetUpstream(world);
  const served = await servedBy(world);
  const { office } = router.interfaces;
  assert.ok(office !== undefined);
  return {
    ...{ world, router, a, b, c },
    away: { ...stranger, mac: office.mac } satisfies Speaker,
    send: (name: string, frame: Uint8Array) => served(world.send(name, frame)),
    come: (frame: Uint8Array) => served(out(frame)),
  };
}

const towards = (ip4: string, ip6 = "::"): Speaker => ({ mac: macOfHost("h1"), ip4, ip6 });

function packetOf(frame: Uint8Array | undefined): Packet {
  const read = decode(frame ?? assert.fail("no frame"));
  assert.ok(read.ok, "its checksums are right");
  return read.packet;
}

/** The last error that somebody got, and what it quotes. */
function errorOf({ delivered, frames }: Journey, to: string) {
  const at = delivered.lastIndexOf(to);
  const packet = packetOf(frames[at]);
  const { payload, icmp, icmpv6 } = packet;
  assert.ok(icmp !== undefined || icmpv6 !== undefined, "an error");
  const view = new DataView(payload.buffer, payload.byteOffset);
  const isFour = packet.ipv4 !== undefined;
  if (isFour) assert.equal(checksum(payload, 0, 20), 0, "the quoted header's checksum is right");
  return {
    packet,
    from: packet.ipv4?.src ?? packet.ipv6?.src,
    to: packet.ipv4?.dst ?? packet.ipv6?.dst,
    quoted: isFour
      ? { src: readIpv4(payload, 12), dst: readIpv4(payload, 16), ports: [view.getUint16(20), view.getUint16(22)] }
      : undefined,
    payload,
  };
}

/** Whether the checksum of a whole quoted UDP datagram is right. */
function isSound(quoted: Uint8Array): boolean {
  const whole = Buffer.concat([new Uint8Array(12), Uint8Array.from({ length: 2 }, (_, n) => [8, 0][n] ?? 0), quoted]);
  return decode(whole).ok;
}

test("an error of a machine that shares its router's address goes out, with what stood for it", async () => {
  const { a, c, away, send, come } = await outside();
  const outer = gatewayOf(1).ip4;
  for (const kind of ["udp", "tcp"] as const) {
    const left = await send(
      "c",
      kind === "udp" ? udpBetween(4, c, away, { src: 40_000, dst: 53 }) : tcp(4, c, away, { src: 40_000, dst: 53 }),
    );
    const { udp, tcp: segment } = packetOf(left.frames[0]);
    const port = (udp ?? segment)?.src ?? 0;
    const reply = { src: 53, dst: port };
    const answer = await come(
      kind === "udp"
        ? udpBetween(4, stranger, towards(outer), reply)
        : tcp(4, stranger, towards(outer), { ...reply, flags: TcpFlag.syn | TcpFlag.ack }),
    );
    assert.deepEqual(answer.delivered, ["c"]);
    const about = answer.frames[0] ?? assert.fail();
    for (const bytes of [28, 1_000]) {
      const said = await send("c", icmpError(4, c, away, { type: 3, code: 3, about, bytes }));
      assert.deepEqual([said.delivered, said.drops], [["out"], []]);
      const error = errorOf(said, "out");
      assert.deepEqual([error.from, error.to], [outer, stranger.ip4]);
      assert.deepEqual(error.quoted, { src: stranger.ip4, dst: outer, ports: [53, port] });
      assert.deepEqual([error.packet.eth.src, error.packet.eth.dst], [macOfHost("h1"), upstream.mac]);
      if (kind === "udp" && bytes > 28) assert.ok(isSound(error.payload));
    }
  }
  // About what it never got there is nothing to say, nor for others than who sent it, nor about another's packets.
  const never = udpBetween(4, away, c, { src: 53, dst: 41_111 });
  const lost = await send("c", icmpError(4, c, away, { type: 3, code: 3, about: never }));
  assert.deepEqual([lost.delivered, lost.drops], [[], ["nat-no-connection"]]);
  const other = udpBetween(4, { ...away, ip4: "198.51.100.8" }, c, { src: 53, dst: 40_000 });
  assert.deepEqual((await send("c", icmpError(4, c, away, { type: 3, code: 3, about: other }))).delivered, []);
  const foreign = udpBetween(4, away, a, { src: 53, dst: 40_000 });
  assert.deepEqual((await send("c", icmpError(4, c, away, { type: 3, code: 3, about: foreign }))).delivered, []);
});

test("an error about an answer to a ping, and about protocols without ports, goes out too", async () => {
  const { c, away, send, come } = await outside();
  const outer = gatewayOf(1).ip4;
  await send("c", ping(4, "request", c, away, { id: 7 }));
  const answer = await come(ping(4, "reply", stranger, towards(outer), { id: 7 }));
  assert.deepEqual(answer.delivered, ["c"]);
  const about = answer.frames[0] ?? assert.fail();
  const said = await send("c", icmpError(4, c, away, { type: 3, code: 1, about }));
  assert.deepEqual([said.delivered, errorOf(said, "out").quoted?.dst], [["out"], outer]);
});

test("an error of a machine with a floating address or a forwarded port goes out, so that the last hop of a traceroute answers", async () => {
  const { a, b, away, send, come } = await outside();
  for (const [name, machine, ip4, dst] of [
    ["a", a, floatingAddress(1), 33_434],
    ["b", b, floatingAddress(2), 5_353],
  ] as const) {
    const got = await come(udpBetween(4, stranger, towards(ip4), { src: 5, dst }));
    assert.deepEqual(got.delivered, [name]);
    const about = got.frames[0] ?? assert.fail();
    const said = await send(name, icmpError(4, machine, away, { type: 3, code: 3, about }));
    assert.deepEqual(said.delivered, ["out"]);
    const error = errorOf(said, "out");
    assert.deepEqual([error.from, error.quoted], [ip4, { src: stranger.ip4, dst: ip4, ports: [5, dst] }]);
    assert.ok(isSound(error.payload));
  }
});

test("an error about what came round comes to the machine here that sent it", async () => {
  const { world, router, a, c, away, send } = await outside();
  world.change([floatingChange(3, router, c)]);
  const got = await send("a", udpBetween(4, a, { ...away, ip4: floatingAddress(3) }, { src: 5, dst: 6 }));
  assert.deepEqual(got.delivered, ["c"]);
  const about = got.frames[0] ?? assert.fail();
  const to = { ...away, ip4: floatingAddress(1) };
  const said = await send("c", icmpError(4, c, to, { type: 3, code: 3, about }));
  assert.deepEqual([said.delivered, said.drops], [["a"], []]);
  const error = errorOf(said, "a");
  assert.deepEqual([error.from, error.to], [floatingAddress(3), a.ip4]);
  assert.deepEqual(error.quoted, { src: a.ip4, dst: floatingAddress(3), ports: [5, 6] });
});

test("a machine that looks for the way to an address outside that stands for a machine here sees the routers", async () => {
  const { a, b, c, away, send } = await outside();
  for (const [name, machine, dst] of [
    ["a", a, floatingAddress(1)],
    ["c", c, floatingAddress(1)],
    ["b", b, floatingAddress(2)],
  ] as const) {
    const ask = udpBetween(4, machine, { ...away, ip4: dst }, { src: 40_000, dst: 5_353 }, undefined, { ttl: 2 });
    const said = await send(name, ask);
    assert.deepEqual([said.delivered, said.drops], [[name], ["ttl-expired"]]);
    const error = errorOf(said, name);
    assert.deepEqual([error.packet.icmp?.kind, error.from, error.to], ["time-exceeded", gatewayOf(1).ip4, machine.ip4]);
    assert.deepEqual(error.quoted, { src: machine.ip4, dst, ports: [40_000, 5_353] });
  }
});

test("a packet from outside with no hop left is told of by the router, from its address there", async () => {
  const { a, come } = await outside();
  const { ip4, ip6 } = gatewayOf(1);
  for (const dst of [floatingAddress(1), floatingAddress(2), ip4]) {
    const ask = udpBetween(4, stranger, towards(dst), { src: 5, dst: 33_434 }, undefined, { ttl: 1 });
    const said = await come(ask);
    assert.deepEqual([said.delivered, said.drops], [["out"], ["ttl-expired"]]);
    const error = errorOf(said, "out");
    assert.deepEqual([error.packet.icmp?.kind, error.from, error.to], ["time-exceeded", ip4, stranger.ip4]);
    assert.deepEqual([...error.payload], [...ask.subarray(14)]);
    assert.equal(error.packet.eth.dst, upstream.mac);
  }
  const six = await come(udpBetween(6, stranger, towards("0.0.0.0", a.ip6), { src: 5, dst: 6 }, undefined, { ttl: 1 }));
  assert.deepEqual([six.delivered, errorOf(six, "out").from], [["out"], ip6]);
  const pinged = await come(ping(4, "request", stranger, towards(ip4), { id: 1 }, { ttl: 1 }));
  assert.equal(packetOf(pinged.frames[0]).icmp?.kind, "echo-reply", "it is there itself");
  const unknown = udpBetween(4, stranger, towards("203.0.113.77"), { src: 5, dst: 6 }, undefined, { ttl: 1 });
  assert.deepEqual((await come(unknown)).delivered, [], "no router is there");
});

test("a host that only sends on what comes for a router's prefix tells of a packet with no hop left, too", async () => {
  const world = await fabric({ hosts: 2 }, routedNet(1, "office", { y: "h2" }));
  world.wire("public");
  const out = world.outside("public", "out");
  world.change(externalChanges());
  world.change(gatewayChanges(world.route({ number: 1, on: { office: 1 } })));
  meetUpstream(world);
  const served = await servedBy(world);
  const y = world.machine("y");
  const ask = udpBetween(6, stranger, towards("0.0.0.0", y.ip6), { src: 5, dst: 6 }, undefined, { ttl: 1 });
  const told = await served(out(ask));
  assert.deepEqual([told.delivered, errorOf(told, "out").from], [["out"], gatewayOf(1).ip6]);
});

test("what is larger than the machine's network is refused from outside, quoting what was sent, whatever stands for the machine", async () => {
  const { world, router, a, c, away, send, come } = await outside(1_400);
  const left = await send("c", udpBetween(4, c, away, { src: 40_000, dst: 53 }));
  const port = packetOf(left.frames[0]).udp?.src ?? 0;
  const { ip4, ip6 } = gatewayOf(1);
  const big = new Uint8Array(1_400);
  for (const [dst, dstPort] of [
    [floatingAddress(1), 9],
    [floatingAddress(2), 5_353],
    [ip4, port],
  ] as const) {
    const sent = udpBetween(4, stranger, towards(dst), { src: 53, dst: dstPort }, big);
    const said = await come(sent);
    assert.deepEqual([said.delivered, said.drops], [["out"], ["mtu-exceeded"]]);
    const error = errorOf(said, "out");
    const { icmp } = error.packet;
    assert.ok(icmp?.kind === "unreachable" && icmp.code === 4 && icmp.mtu === 1_400);
    assert.deepEqual([error.from, error.to], [ip4, stranger.ip4]);
    assert.deepEqual([...error.payload], [...sent.subarray(14, 14 + error.payload.length)], "as it was sent");
  }
  const six = await come(udpBetween(6, stranger, towards("0.0.0.0", a.ip6), { src: 1, dst: 2 }, big));
  assert.deepEqual([six.delivered, six.drops], [["out"], ["mtu-exceeded"]]);
  const { icmpv6 } = errorOf(six, "out").packet;
  assert.ok(icmpv6?.kind === "packet-too-big" && icmpv6.mtu === 1_400);
  assert.equal(errorOf(six, "out").from, ip6);
  // From a machine here that reaches another's floating address.
  world.change([floatingChange(3, router, c)]);
  const round = await send(
    "c",
    udpBetween(4, c, { ...away, ip4: floatingAddress(1) }, { src: 5, dst: 6 }, new Uint8Array(1_372)),
  );
  assert.deepEqual(round.delivered, ["a"], "what its network carries");
  world.change(gatewayChanges(router, { enable_snat: false }));
  const plain = udpBetween(4, stranger, towards(world.machine("b").ip4), { src: 5, dst: 6 }, big);
  const said = await come(plain);
  assert.deepEqual([said.delivered, errorOf(said, "out").quoted?.dst], [["out"], world.machine("b").ip4]);
});

test("what a router behind another refuses is told by the one that goes out", async () => {
  const world = await fabric(
    { hosts: 1 },
    routedNet(1, "office", {}),
    routedNet(2, "cellar", { c: "h1" }, { network: { mtu: 1_400 } }),
  );
  world.wire("public");
  const out = world.outside("public", "out");
  world.change(externalChanges());
  const router = world.route({
    number: 1,
    on: { office: 1 },
    routes: [{ destination: "10.0.2.0/24", nexthop: "10.0.1.2" }],
  });
  const second = world.route({
    ...{ number: 2, on: { office: 2, cellar: 1 } },
    routes: [{ destination: "0.0.0.0/0", nexthop: "10.0.1.1" }],
  });
  world.change([...gatewayChanges(router), leaseChange(router, "h1", 1024)]);
  meetUpstream(world);
  const served = await servedBy(world);
  const c = world.machine("c");
  const away = { ...stranger, mac: second.interfaces.cellar?.mac ?? assert.fail() };
  const left = await served(world.send("c", udpBetween(4, c, away, { src: 40_000, dst: 53 })));
  const { ipv4, udp } = packetOf(left.frames[0]);
  const { ip4 } = gatewayOf(1);
  assert.equal(ipv4?.src, ip4);
  const back = { src: 53, dst: udp?.src ?? 0 };
  const sent = udpBetween(4, stranger, towards(ip4), back, new Uint8Array(1_400));
  const said = await served(out(sent));
  assert.deepEqual([said.delivered, said.drops], [["out"], ["mtu-exceeded"]]);
  const error = errorOf(said, "out");
  assert.deepEqual([error.from, error.to, error.quoted?.dst], [ip4, stranger.ip4, ip4]);
  const short = await served(out(udpBetween(4, stranger, towards(ip4), back, undefined, { ttl: 2 })));
  assert.deepEqual([short.drops, errorOf(short, "out").packet.icmp?.kind], [["ttl-expired"], "time-exceeded"]);
  assert.deepEqual(errorOf(short, "out").quoted?.ports, [53, back.dst]);
});

test("who is on a wire that a router stands on hears what it refuses, from its address there", async () => {
  const wire = {
    "provider:network_type": "flat",
    "provider:physical_network": "public",
    "provider:segmentation_id": null,
  };
  const world = await fabric(
    { hosts: 1 },
    routedNet(1, "office", { x: "h1" }, { network: { mtu: 1_400 } }),
    routedNet(2, "dmz", { p: "h1" }, { network: { ...wire, key: 0xf00001 } }),
  );
  world.wire("public");
  const send = world.outside("public", "q");
  const { dmz } = world.route({ number: 1, on: { office: 1, dmz: 1 } }).interfaces;
  assert.ok(dmz !== undefined);
  const q: Speaker = { mac: "02:00:00:00:00:99", ip4: "10.0.2.99", ip6: "2001:db8:2::99" };
  const id = world.network("dmz").network.id;
  world.learn("h1", [
    ...[q.ip4, q.ip6].map((address) =>
      put(LearnedNeighbour, makeLearnedNeighbour({ id: address, network_id: id, address, mac: q.mac })),
    ),
  ]);
  const served = await servedBy(world);
  const x = { ...world.machine("x"), mac: macOfHost("h1") };
  for (const version of [4, 6] as const) {
    const own: string = version === 4 ? dmz.ip4 : dmz.ip6;
    const short = await served(send(udpBetween(version, q, x, { src: 1, dst: 2 }, undefined, { ttl: 1 })));
    assert.deepEqual([short.delivered, short.drops], [["q"], ["ttl-expired"]]);
    assert.deepEqual([errorOf(short, "q").from, errorOf(short, "q").packet.eth.src], [own, macOfHost("h1")]);
    const large = await served(send(udpBetween(version, q, x, { src: 1, dst: 2 }, new Uint8Array(1_400))));
    assert.deepEqual([large.delivered, large.drops, errorOf(large, "q").from], [["q"], ["mtu-exceeded"], own]);
    const closed = await served(send(udpBetween(version, q, { ...dmz, mac: macOfHost("h1") }, { src: 1, dst: 2 })));
    assert.deepEqual([closed.drops, errorOf(closed, "q").from], [["router-port-closed"], own]);
  }
});
