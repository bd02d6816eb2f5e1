/** What leaves for an external network and what comes in by it: floating addresses, forwarded ports, leased source NAT, prefixes, machines that stand outside, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { arpRequest, icmpError, ping, type Speaker, tcp, udpBetween } from "@selvage/datapath/testing";
import { LearnedNeighbour, PeerDown } from "@selvage/model";
import { makeLearnedNeighbour, makePeerDown, put, remove, testId } from "@selvage/model/testing";
import { decode, type Packet, TcpFlag } from "@selvage/packet";
import { fabric, type Journey, type TestFabric } from "../testing/fabric.ts";
import { net, routedNet } from "../testing/intent.ts";
import {
  externalChanges,
  externalId,
  floatingAddress,
  floatingChange,
  forwardingChanges,
  gatewayChanges,
  gatewayOf,
  leaseChange,
  macOfHost,
  meetUpstream,
  stranger,
  upstream,
} from "../testing/outside.ts";
import type { TestInterface, TestRouter } from "../testing/routers.ts";

function read(frame: Uint8Array | undefined): Packet {
  assert.ok(frame !== undefined, "a frame");
  const decoded = decode(frame);
  assert.ok(decoded.ok);
  return decoded.packet;
}

interface World {
  readonly world: TestFabric;
  readonly router: TestRouter;
  readonly office: TestInterface;
  readonly send: (frame: Uint8Array) => Journey;
}

/** Two hosts with the wire, a router with its gateway, the outside's router known; a and b on the first host, y on the second. */
async function outside(network: Parameters<typeof externalChanges>[0] = {}): Promise<World> {
  const world = await fabric({ hosts: 2 }, routedNet(1, "office", { a: "h1", b: "h1", y: "h2" }));
  world.wire("public");
  const send = world.outside("public", "out");
  world.change(externalChanges(network));
  const router = world.route({ number: 1, on: { office: 1 } });
  world.change(gatewayChanges(router));
  meetUpstream(world);
  const { office } = router.interfaces;
  assert.ok(office !== undefined);
  return { world, router, office, send };
}

/** The host that speaks for the router's address. */
const ownerOf = ({ send }: World): string => {
  const { frames } = send(arpRequest(upstream, gatewayOf(1).ip4));
  return read(frames[0]).arp?.sha === macOfHost("h1") ? "h1" : "h2";
};

/** To somebody outside, by the router. */
const away = ({ office }: Pick<World, "office">): Speaker => ({ ...stranger, mac: office.mac });

/** From somebody outside, for an address that a host has. */
const towards = (host: string, address: Partial<Speaker>): Speaker => ({
  mac: macOfHost(host),
  ip4: "0.0.0.0",
  ip6: "::",
  ...address,
});

test("a floating address stands for a machine both ways, with the MAC of its host, and any host's machine may have one", async () => {
  const at = await outside();
  const { world, router, send } = at;
  for (const [name, host, number] of [
    ["a", "h1", 1],
    ["y", "h2", 2],
  ] as const) {
    const machine = world.machine(name);
    world.change([floatingChange(number, router, machine)]);
    const left = world.send(name, tcp(4, machine, away(at), { src: 40_000, dst: 443 }));
    assert.deepEqual([left.delivered, left.drops, left.crossed], [["out"], [], 0]);
    const gone = read(left.frames[0]);
    assert.deepEqual([gone.eth.src, gone.eth.dst], [macOfHost(host), upstream.mac]);
    assert.deepEqual([gone.ipv4?.src, gone.ipv4?.dst, gone.ipv4?.ttl], [floatingAddress(number), stranger.ip4, 63]);
    assert.deepEqual([gone.tcp?.src, gone.tcp?.dst], [40_000, 443]);
    const back = send(tcp(4, stranger, towards(host, { ip4: floatingAddress(number) }), { src: 443, dst: 40_000 }));
    assert.deepEqual([back.delivered, back.drops, back.crossed], [[name], [], 0]);
    const come = read(back.frames[0]);
    assert.deepEqual([come.eth.src, come.eth.dst], [at.office.mac, machine.mac]);
    assert.deepEqual([come.ipv4?.src, come.ipv4?.dst, come.ipv4?.ttl], [stranger.ip4, machine.ip4, 63]);
  }
  assert.deepEqual(world.moved("public"), []);
});

test("its host, and no other, answers who asks for a floating address; so it does for a machine that moved", async () => {
  const { world, router, send } = await outside();
  const a = world.machine("a");
  const asked = () => send(arpRequest(upstream, floatingAddress(1)));
  assert.deepEqual(asked().delivered, [], "nobody has it yet");
  world.change([floatingChange(1, router, a)]);
  const first = asked();
  assert.deepEqual(first.delivered, ["out"]);
  assert.deepEqual(read(first.frames[0]).arp, {
    ...{ op: 2, sha: macOfHost("h1"), spa: floatingAddress(1), tha: upstream.mac, tpa: upstream.ip4 },
  });
  world.unplug("a");
  world.set("a", { "binding:host_id": "h2" });
  assert.deepEqual(asked().delivered, [], "between two hosts it is nobody's");
  world.plug("a");
  const second = asked();
  assert.deepEqual(second.delivered, ["out"]);
  assert.equal(read(second.frames[0]).arp?.sha, macOfHost("h2"));
});

test("a machine without one leaves with its router's address and a port of its host's block, and answers find it by whichever host they come", async () => {
  const at = await outside();
  const { world, router, send } = at;
  world.change([leaseChange(router, "h1", 1024), leaseChange(router, "h2", 2048)]);
  const outer = gatewayOf(1).ip4;
  for (const [name, host, first] of [
    ["a", "h1", 1024],
    ["y", "h2", 2048],
  ] as const) {
    const machine = world.machine(name);
    for (const via of ["h1", "h2"]) {
      const left = world.send(name, tcp(4, machine, away(at), { src: 40_001, dst: 80 }));
      assert.deepEqual([left.delivered, left.drops], [["out"], []]);
      const gone = read(left.frames[0]);
      assert.deepEqual([gone.eth.src, gone.ipv4?.src], [macOfHost(host), outer]);
      const port = gone.tcp?.src ?? 0;
      assert.ok(port >= first && port < first + 64, `${port} of the block at ${first}`);
      const syn = TcpFlag.syn | TcpFlag.ack;
      const back = send(tcp(4, stranger, towards(via, { ip4: outer }), { src: 80, dst: port, flags: syn }));
      assert.deepEqual([back.delivered, back.drops], [[name], []]);
      assert.equal(back.crossed, via === host ? 0 : 1, "one tunnel at most");
      const come = read(back.frames[0]);
      assert.deepEqual([come.ipv4?.dst, come.tcp?.dst], [machine.ip4, 40_001]);
    }
  }
});

test("pings, and errors about what left, find their machine though they bear no port: every host with a lease is asked", async () => {
  const at = await outside();
  const { world, router, send } = at;
  world.change([leaseChange(router, "h1", 1024), leaseChange(router, "h2", 2048)]);
  const outer = gatewayOf(1).ip4;
  for (const via of ["h1", "h2"]) {
    const y = world.machine("y");
    const asked = world.send("y", ping(4, "request", y, away(at), { id: 77 }));
    assert.deepEqual([asked.delivered, read(asked.frames[0]).ipv4?.src], [["out"], outer]);
    const answered = send(ping(4, "reply", stranger, towards(via, { ip4: outer }), { id: 77 }));
    assert.deepEqual(answered.delivered, ["y"]);
    assert.deepEqual(answered.drops, ["nat-not-here"], "the other host does not know it");
    const left = world.send("y", udpBetween(4, y, away(at), { src: 40_002, dst: 53 }, new Uint8Array(200)));
    const about = left.frames[0];
    assert.ok(about !== undefined);
    const error = send(icmpError(4, upstream, towards(via, { ip4: outer }), { type: 3, code: 1, about }));
    assert.deepEqual(error.delivered, ["y"]);
    const quoted = read(error.frames[0]).payload;
    assert.deepEqual([...quoted.subarray(12, 16)], y.ip4.split(".").map(Number), "it quotes what the machine sent");
  }
});

test("one host answers for a router's address, another when it is away, and pings to it are answered", async () => {
  const { world, router, send } = await outside();
  world.change([leaseChange(router, "h1", 1024)]);
  const outer = gatewayOf(1).ip4;
  const owner = () => {
    const { delivered, frames } = send(arpRequest(upstream, outer));
    assert.deepEqual(delivered, ["out"]);
    return read(frames[0]).arp?.sha ?? "";
  };
  const first = owner();
  const [there = "", other = ""] = first === macOfHost("h1") ? ["h1", "h2"] : ["h2", "h1"];
  const pinged = send(ping(4, "request", stranger, towards(there, { ip4: outer }), { id: 5 }));
  assert.deepEqual([pinged.delivered, read(pinged.frames[0]).ipv4?.src], [["out"], outer]);
  // The host that is away says nothing any more; the other notices.
  world.unwire("public", there);
  world.learn(other, [put(PeerDown, makePeerDown({ id: testId("host", Number(there.slice(1))) }))]);
  assert.equal(owner(), macOfHost(other));
  world.learn(other, [remove(PeerDown, testId("host", Number(there.slice(1))))]);
  assert.deepEqual(send(arpRequest(upstream, outer)).delivered, [], "it is the first's again");
});

test("what cannot be translated does not leave: no block, no port left, no address that means something there", async () => {
  const at = await outside();
  const { world, router } = at;
  const a = world.machine("a");
  const connect = (src: number) => world.send("a", tcp(4, a, away(at), { src, dst: 80 }));
  assert.deepEqual([connect(1).drops, connect(1).delivered], [["nat-no-port-block"], []]);
  world.change([leaseChange(router, "h1", 1024)]);
  for (let src = 1; src <= 64; src += 1) assert.deepEqual(connect(src).delivered, ["out"], `the ${src}th`);
  assert.deepEqual([connect(65).drops, connect(65).delivered], [["nat-exhausted"], []]);
  assert.deepEqual(connect(64).delivered, ["out"], "who has a port keeps it");
  world.change(gatewayChanges(router, { enable_snat: false }));
  const plain = connect(70);
  assert.deepEqual([plain.delivered, read(plain.frames[0]).ipv4?.src], [["out"], a.ip4]);
});

test("what belongs to no connection from inside does not come in, nor what no address of ours is for", async () => {
  const { world, router, send } = await outside();
  world.change([leaseChange(router, "h1", 1024), leaseChange(router, "h2", 2048)]);
  const outer = gatewayOf(1).ip4;
  const scan = (via: string, dst: number) =>
    send(tcp(4, stranger, towards(via, { ip4: outer }), { src: 5, dst })).drops;
  assert.deepEqual(scan("h1", 1030), ["nat-no-connection"]);
  assert.deepEqual(scan("h1", 2050), ["nat-no-connection"], "asked of the host that has the block");
  assert.deepEqual(scan("h2", 22), ["nat-no-connection", "nat-no-connection"], "of all, for it is of no block");
  assert.deepEqual(send(tcp(4, stranger, towards("h1", { ip4: "203.0.113.77" }), { src: 5, dst: 80 })).drops, [
    "outside-unknown",
  ]);
  const spent = send(tcp(4, stranger, towards("h1", { ip4: outer }), { src: 5, dst: 1030 }, undefined, { ttl: 1 }));
  assert.deepEqual(spent.drops, ["ttl-expired"]);
});

test("ports of one address stand for ports of machines on several hosts, by whichever host they come", async () => {
  const at = await outside();
  const { world, router, send } = at;
  const [a, y] = [world.machine("a"), world.machine("y")];
  world.change(
    forwardingChanges(1, router, [
      [8080, a, 80, "tcp"],
      [8081, y, 80, "tcp"],
      [5353, y, 53, "udp"],
    ]),
  );
  for (const via of ["h1", "h2"]) {
    for (const [outerPort, machine, host] of [
      [8080, a, "h1"],
      [8081, y, "h2"],
    ] as const) {
      const to = towards(via, { ip4: floatingAddress(1) });
      const come = send(tcp(4, stranger, to, { src: 6000, dst: outerPort }));
      assert.deepEqual([come.delivered, come.drops], [[machine.name], []]);
      const got = read(come.frames[0]);
      assert.deepEqual([got.ipv4?.dst, got.tcp?.dst], [machine.ip4, 80]);
      const left = world.send(machine.name, tcp(4, machine, away(at), { src: 80, dst: 6000, flags: TcpFlag.ack }));
      const gone = read(left.frames[0]);
      assert.deepEqual([gone.ipv4?.src, gone.tcp?.src, gone.eth.src], [floatingAddress(1), outerPort, macOfHost(host)]);
    }
    const datagram = udpBetween(4, stranger, towards(via, { ip4: floatingAddress(1) }), { src: 9, dst: 5353 });
    assert.deepEqual(send(datagram).delivered, ["y"]);
  }
  assert.deepEqual(send(tcp(4, stranger, towards("h1", { ip4: floatingAddress(1) }), { src: 9, dst: 81 })).drops, [
    "outside-unknown",
  ]);
});

test("a range of ports is forwarded whole; hosts that send it on have a row for each power of two in it", async () => {
  const at = await outside();
  const { world, router, send } = at;
  const y = world.machine("y");
  const before = world.rows("h1").length;
  world.change(forwardingChanges(1, router, [[2001, y, 1001, "tcp", 1_000]]));
  assert.ok(world.rows("h1").length - before < 20, "the other host");
  for (const via of ["h1", "h2"]) {
    const to = towards(via, { ip4: floatingAddress(1) });
    for (const dst of [2001, 2048, 2500, 3000]) {
      const come = send(tcp(4, stranger, to, { src: 6000, dst }));
      assert.deepEqual([come.delivered, read(come.frames[0]).tcp?.dst], [["y"], dst - 1_000], `${dst} by ${via}`);
    }
    for (const dst of [2000, 3001])
      assert.deepEqual(send(tcp(4, stranger, to, { src: 6, dst })).drops, ["outside-unknown"]);
  }
});

test("a machine reaches another's floating address, on its own host and on another", async () => {
  const at = await outside();
  const { world, router } = at;
  const [a, b, y] = [world.machine("a"), world.machine("b"), world.machine("y")];
  world.change([floatingChange(1, router, a), floatingChange(2, router, b), floatingChange(3, router, y)]);
  const near = world.send("a", tcp(4, a, { ...away(at), ip4: floatingAddress(2) }, { src: 1, dst: 2 }));
  assert.deepEqual([near.delivered, near.drops], [["b"], []]);
  assert.deepEqual([read(near.frames[0]).ipv4?.src, read(near.frames[0]).ipv4?.dst], [floatingAddress(1), b.ip4]);
  const far = world.send("a", tcp(4, a, { ...away(at), ip4: floatingAddress(3) }, { src: 1, dst: 2 }));
  assert.deepEqual([far.drops, far.punts.map(({ kind }) => kind)], [["neighbour-unresolved"], ["neighbour"]]);
});

test("a machine reaches itself by its own floating address and its own forwarded port, and as nobody's by no other way", async () => {
  const at = await outside();
  const { world, router } = at;
  const [a, b] = [world.machine("a"), world.machine("b")];
  world.change([floatingChange(1, router, a)]);
  const own = world.send("a", tcp(4, a, { ...away(at), ip4: floatingAddress(1) }, { src: 1, dst: 80 }));
  assert.deepEqual([own.delivered, own.drops], [["a"], []]);
  const { ipv4 } = read(own.frames[0]);
  assert.deepEqual([ipv4?.src, ipv4?.dst, ipv4?.ttl], [floatingAddress(1), a.ip4, 62]);
  const flags = TcpFlag.syn | TcpFlag.ack;
  const back = world.send("a", tcp(4, a, { ...away(at), ip4: floatingAddress(1) }, { src: 80, dst: 1, flags }));
  assert.deepEqual([back.delivered, read(back.frames[0]).ipv4?.src], [["a"], floatingAddress(1)]);
  assert.deepEqual(world.send("a", arpRequest(a, "10.0.0.255")).delivered, [], "what it floods does not come back");
  // By a forwarded port, of whose address its host may not be the one that speaks for it.
  world.change([leaseChange(router, "h1", 1024), ...forwardingChanges(2, router, [[8080, b, 80, "tcp"]])]);
  for (const { name } of world.hosts) {
    const owners = [gatewayOf(1).ip4, floatingAddress(2)].map((address) => {
      const mac = read(at.send(arpRequest(upstream, address)).frames[0]).arp?.sha ?? "";
      return put(LearnedNeighbour, makeLearnedNeighbour({ address, mac }));
    });
    world.learn(
      name,
      owners.filter(({ object }) => (object as LearnedNeighbour).mac !== macOfHost(name)),
    );
  }
  const come = world.send("b", tcp(4, b, { ...away(at), ip4: floatingAddress(2) }, { src: 7, dst: 8080 }));
  assert.deepEqual([come.delivered, come.drops], [["b"], []]);
  const got = read(come.frames[0]);
  assert.deepEqual([got.ipv4?.src, got.tcp?.dst], [gatewayOf(1).ip4, 80]);
  const answer = { src: 80, dst: got.tcp?.src ?? 0, flags };
  const answered = world.send("b", tcp(4, b, { ...away(at), ip4: gatewayOf(1).ip4 }, answer));
  assert.deepEqual([answered.delivered, answered.drops], [["b"], []]);
  const heard = read(answered.frames[0]);
  assert.deepEqual([heard.ipv4?.src, heard.tcp?.src, heard.tcp?.dst], [floatingAddress(2), 8080, 7]);
});

test("a machine without a floating address reaches another's, and is answered", async () => {
  const at = await outside();
  const { world, router } = at;
  const [a, b] = [world.machine("a"), world.machine("b")];
  world.change([leaseChange(router, "h1", 1024), floatingChange(2, router, b)]);
  for (const { name } of world.hosts) {
    const known = [gatewayOf(1).ip4, floatingAddress(2)].map((address) => makeLearnedNeighbour({ address }));
    const owner = (address: string) => (address === floatingAddress(2) ? "h1" : ownerOf(at));
    const met = known.map((each) => put(LearnedNeighbour, { ...each, mac: macOfHost(owner(each.address)) }));
    world.learn(
      name,
      met.filter(({ object }) => (object as LearnedNeighbour).mac !== macOfHost(name)),
    );
  }
  const come = world.send("a", tcp(4, a, { ...away(at), ip4: floatingAddress(2) }, { src: 7, dst: 80 }));
  assert.deepEqual([come.delivered, come.drops], [["b"], []]);
  const { ipv4, tcp: segment } = read(come.frames[0]);
  assert.equal(ipv4?.src, gatewayOf(1).ip4);
  const answer = { src: 80, dst: segment?.src ?? 0, flags: TcpFlag.syn | TcpFlag.ack };
  const back = world.send("b", tcp(4, b, { ...away(at), ip4: gatewayOf(1).ip4 }, answer));
  assert.deepEqual([back.delivered, back.drops], [["a"], []]);
  assert.deepEqual([read(back.frames[0]).ipv4?.src, read(back.frames[0]).tcp?.dst], [floatingAddress(2), 7]);
});

test("IPv6 leaves as it is and comes in by prefix, from whichever host, to the machine's", async () => {
  const at = await outside();
  const { world, router, send } = at;
  world.change([leaseChange(router, "h1", 1024), leaseChange(router, "h2", 2048)]);
  for (const name of ["a", "y"]) {
    const machine = world.machine(name);
    const left = world.send(name, tcp(6, machine, away(at), { src: 1, dst: 2 }));
    assert.deepEqual([left.delivered, read(left.frames[0]).ipv6?.src], [["out"], machine.ip6]);
    for (const via of ["h1", "h2"]) {
      const come = send(tcp(6, stranger, towards(via, { ip6: machine.ip6 }), { src: 2, dst: 1 }));
      assert.deepEqual([come.delivered, come.drops], [[name], []]);
    }
  }
});

test("where nobody holds ports of a router's address, a prefix comes in by any host all the same", async () => {
  const at = await outside();
  const { world, send } = at;
  for (const name of ["a", "y"]) {
    const machine = world.machine(name);
    for (const via of ["h1", "h2"]) {
      const come = send(tcp(6, stranger, towards(via, { ip6: machine.ip6 }), { src: 2, dst: 1 }));
      assert.deepEqual([come.delivered, come.drops], [[name], []]);
    }
  }
});

test("packets too large for the outside are refused with what the sender can understand", async () => {
  const at = await outside({ mtu: 1400 });
  const { world, router } = at;
  const a = world.machine("a");
  world.change([floatingChange(1, router, a)]);
  const large = world.send("a", udpBetween(4, a, away(at), { src: 1, dst: 2 }, new Uint8Array(1400)));
  assert.deepEqual([large.drops, large.punts.map(({ kind }) => kind)], [["mtu-exceeded"], ["mtu-exceeded"]]);
  const [punt] = large.punts;
  assert.equal(read(punt?.frame).ipv4?.src, a.ip4);
});

test("errors about what a floating address stands for go by the agent, whose packets are made right there", async () => {
  const at = await outside();
  const { world, router, send } = at;
  const a = world.machine("a");
  world.change([floatingChange(1, router, a)]);
  const left = world.send("a", udpBetween(4, a, away(at), { src: 40_000, dst: 53 }));
  const about = left.frames[0];
  assert.ok(about !== undefined);
  const come = send(icmpError(4, upstream, towards("h1", { ip4: floatingAddress(1) }), { type: 3, code: 3, about }));
  assert.deepEqual(
    [come.punts.map(({ kind, attachment }) => [kind, attachment]), come.drops],
    [[["icmp-inner", "physical:public"]], []],
  );
  const got = send(udpBetween(4, stranger, towards("h1", { ip4: floatingAddress(1) }), { src: 1, dst: 9 })).frames[0];
  assert.ok(got !== undefined);
  const said = world.send("a", icmpError(4, a, away(at), { type: 3, code: 3, about: got }));
  assert.deepEqual(
    said.punts.map(({ kind, srcPort }) => [kind, srcPort]),
    [["icmp-inner", a.port.key]],
  );
});

test("machines that stand on a physical network meet each other and the outside by it, tagged where it is a VLAN", async () => {
  for (const vlan of [null, 42]) {
    const network = {
      "provider:network_type": vlan === null ? "flat" : "vlan",
      "provider:physical_network": "public",
      "provider:segmentation_id": vlan,
      key: 0xf00001,
    };
    const world = await fabric({ hosts: 2 }, net("dmz", { a: "h1", b: "h1", c: "h2" }, { network }));
    world.wire("public");
    const send = world.outside("public", "out");
    const [a, b, c] = [world.machine("a"), world.machine("b"), world.machine("c")];
    assert.deepEqual(world.send("a", tcp(4, a, b, { src: 1, dst: 2 })).delivered, ["b"]);
    // The wire has not learned yet where each is, so that the outside sees the first of each.
    assert.deepEqual([...world.send("c", tcp(4, c, a, { src: 1, dst: 2 })).delivered].sort(), ["a", "out"]);
    const far = world.send("a", tcp(4, a, c, { src: 1, dst: 2 }));
    assert.deepEqual([far.delivered, far.crossed], [["c"], 0]);
    const asked = world.send("a", arpRequest(a, "10.0.0.250"));
    assert.deepEqual([...asked.delivered].sort(), ["b", "c", "out"], "who is not known may be outside");
    const seen = asked.frames.map((frame) => read(frame).eth.vlan?.id);
    assert.equal(seen.filter((tag) => tag === (vlan ?? undefined)).length, vlan === null ? 3 : 1);
    const tagged = asked.frames.find((frame) => read(frame).eth.vlan !== undefined);
    if (vlan !== null) {
      assert.ok(tagged !== undefined);
      assert.deepEqual([...send(tagged.slice().fill(2, 6, 12)).delivered].sort(), ["a", "b", "c"]);
      assert.deepEqual(send(arpRequest(upstream, a.ip4)).drops, ["vlan-unknown", "vlan-unknown"]);
    } else assert.deepEqual([...send(arpRequest(upstream, a.ip4)).delivered].sort(), ["a", "b", "c"]);
  }
});

test("what comes by a wire on which no network stands is told as that, and not as a machine's that is bound nowhere", async () => {
  const world = await fabric({ hosts: 2 }, net("office", { a: "h1" }));
  world.wire("public", ["h1"]);
  const send = world.outside("public", "out");
  assert.deepEqual(send(arpRequest(upstream, "203.0.113.10")).drops, ["vlan-unknown"]);
});

test("a gateway on a network that stands on no physical one is no way out, and who sends there is told so", async () => {
  const tunnelled = {
    "provider:network_type": "geneve",
    "provider:physical_network": null,
    "provider:segmentation_id": 77,
    key: null,
  };
  const at = await outside(tunnelled);
  const { world, router } = at;
  world.change([leaseChange(router, "h1", 1024)]);
  const a = world.machine("a");
  for (const version of [4, 6] as const) {
    const left = world.send("a", tcp(version, a, away(at), { src: 1, dst: 2 }));
    assert.deepEqual(
      [left.delivered, left.drops, left.punts.map(({ kind }) => kind)],
      [[], ["no-route"], ["no-route"]],
    );
  }
});

test("a host without the wire says so", async () => {
  const network = { ...{ "provider:network_type": "flat", "provider:physical_network": "public" }, key: 0xf00001 };
  const world = await fabric(
    { hosts: 2 },
    net("dmz", { a: "h1", c: "h2" }, { network: { ...network, "provider:segmentation_id": null } }),
  );
  const [a, c] = [world.machine("a"), world.machine("c")];
  assert.deepEqual(world.send("a", tcp(4, a, c, { src: 1, dst: 2 })).drops, ["physical-missing"]);
});

test("a network that is gone leaves no row of the wire", async () => {
  const { world } = await outside();
  assert.ok(world.rows("h1").some((row) => row.table === "provider_in"));
  world.unwire("public", "h1");
  const tables = new Set(["provider_in", "provider_out", "physical_reply", "from_physical"]);
  assert.deepEqual(
    world.rows("h1").filter((row) => tables.has(row.table)),
    [],
  );
  assert.ok(externalId !== "");
});
