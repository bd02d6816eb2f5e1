/** Checks of physical networks: tags, what a host owns and answers for there, what it learns, and how another host is reached that knows more. */
import assert from "node:assert/strict";
import { NatOut, Neighbour, Routed, row } from "@selvage/pipeline";
import type { Check } from "./check.ts";
import {
  arpReply,
  arpRequest,
  gratuitousArp,
  neighbourAdvertisement,
  neighbourSolicitation,
  udp,
  udpToAll,
} from "./frames.ts";
import { icmpError, ping, tcp, udpBetween } from "./ip-frames.ts";
import { hostMacOf, physicalPort } from "./outside-topology.ts";
import {
  a,
  b,
  c,
  entering,
  far,
  gateway,
  internet,
  leaving,
  one,
  outside,
  outsideRows,
  p,
  packetOf,
  q,
  r,
  spokenBy,
  tagged,
} from "./outside-world.ts";
import { sameBytes, type World } from "./world.ts";

const onWire = (frame: Uint8Array) => (each: Uint8Array) => sameBytes(each, frame);
/** The router's address as it is spoken for by a host. */
const address = gateway.address.ip4;
const vlan = 42;

/** A punt of a kind, with the network that it came by. */
async function punted(world: World, kind: "neighbour" | "icmp-inner" | "nd", act: () => void | Promise<void>) {
  const { punts } = world.heard(0);
  const seen = punts.all.length;
  await act();
  return punts.first((each) => each.kind === kind, `a punt of ${kind}`, world.deadline, seen);
}

export const physicalChecks: readonly Check[] = [
  {
    name: "the way to a physical network is told as an interface, and what is sent there goes as it is",
    run: async (world) => {
      await world.open(0);
      const before = world.heard(0).attached.all.length;
      await world.join(0);
      const there = world.outside("internet");
      assert.deepEqual(
        world
          .heard(0)
          .attached.all.slice(before)
          .at(-1)
          ?.map(({ port }) => port),
        [physicalPort],
      );
      for (const frame of [gratuitousArp(a), tagged(gratuitousArp(b), 42), tagged(gratuitousArp(c), 4094)]) {
        await world.datapath(0).send(physicalPort, frame);
        await there.arrived.first(onWire(frame), "it is on the wire", world.deadline);
      }
    },
  },
  {
    name: "a frame from a physical network is of the network that its tag says, comes without it to whom it is for, and leaves with it",
    run: async (world) => {
      const wire = await outside(world);
      for (const version of [4, 6] as const) {
        const out = udp(version, p, internet, world.mark());
        await leaving(
          world,
          wire,
          (got) => got.udp !== undefined,
          "it leaves",
          () => world.send(p, out),
        );
        assert.ok(wire.arrived.all.some(onWire(tagged(out, vlan))), "with its tag");
        const back = udp(version, internet, p, world.mark());
        wire.send(tagged(back, vlan));
        await world.arrives(p, back);
        // To another host's machine by the wire, and to one of the same host not by it.
        const across = udp(version, p, q, world.mark());
        await world.passes(across, p, q);
        const beside = udp(version, p, r, world.mark());
        await world.passes(beside, p, r);
        assert.ok(wire.arrived.all.some(onWire(tagged(across, vlan))));
        assert.ok(!wire.arrived.all.some(onWire(tagged(beside, vlan))));
        const all = udpToAll(version, p, world.mark());
        await world.send(p, all);
        for (const port of [q, r]) await world.arrives(port, all);
        await wire.arrived.first(onWire(tagged(all, vlan)), "a broadcast leaves", world.deadline);
        assert.equal(world.count(p, all), 0, "and does not come back");
        const fromThere = udpToAll(version, internet, world.mark());
        wire.send(tagged(fromThere, vlan));
        for (const port of [p, q, r]) await world.arrives(port, fromThere);
      }
      assert.deepEqual(world.fabric.physical.moved, [], "no MAC is on two hosts");
    },
  },
  {
    name: "a frame of a VLAN that no network has is dropped, as is one for a machine of another",
    run: async (world) => {
      const wire = await outside(world);
      const frame = () => udp(4, internet, p, world.mark());
      // A bridge on the way may take VLAN 0 and 4095 for itself (IEEE 802.1Q, table 9-2).
      for (const other of [43, 1, 42 + 256, 4094])
        await world.drops(0, 1, "vlan-unknown", async () => wire.send(tagged(frame(), other)));
      const plain = frame();
      await world.drops(0, 1, "no-fdb-entry", async () => wire.send(plain));
      wire.send(tagged(frame(), vlan));
      const [last = assert.fail()] = [frame()];
      wire.send(tagged(last, vlan));
      await world.arrives(p, last);
      assert.equal(world.count(p, plain), 0);
    },
  },
  {
    name: "an address that a host owns is answered for there by its own MAC, and by no other host",
    run: async (world) => {
      const wire = await outside(world, { gateway: { floating: [{ port: c, address: "203.0.113.20" }] } });
      for (const [place, ip4] of [
        [0, address],
        [1, "203.0.113.20"],
      ] as const) {
        const answer = arpReply({ mac: hostMacOf(place), ip4 }, internet);
        wire.send(arpRequest(internet, ip4));
        await wire.arrived.first(onWire(answer), `${ip4} is answered for`, world.deadline);
      }
      const punt = await punted(world, "nd", () => wire.send(neighbourSolicitation(internet, gateway.address.ip6)));
      assert.deepEqual([punt.attachment, punt.net], [physicalPort, gateway.net]);
      for (const version of [4, 6] as const) {
        const self = { ...spokenBy(0, address, gateway.address.ip6) };
        wire.send(ping(version, "request", internet, self, { id: world.mark() }, { ttl: 9 }));
        const answers = wire.arrived.all.length;
        const answer = (each: Uint8Array) => (packetOf(each).icmp ?? packetOf(each).icmpv6)?.kind === "echo-reply";
        const got = packetOf(await wire.arrived.first(answer, "a ping is answered", world.deadline, answers - 1));
        assert.deepEqual([got.eth.src, got.eth.dst], [hostMacOf(0), internet.mac]);
        assert.equal(got.ipv4?.ttl ?? got.ipv6?.hopLimit, 64);
      }
      assert.equal(wire.arrived.all.filter((each) => packetOf(each).arp !== undefined).length, 2, "each by one host");
      assert.deepEqual(world.fabric.physical.moved, []);
    },
  },
  {
    name: "what neighbours on a physical network answer reaches the agent, with the network that it came by",
    run: async (world) => {
      const wire = await outside(world);
      const host = spokenBy(0, address, gateway.address.ip6);
      const reply = arpReply(internet, host);
      const advertised = neighbourAdvertisement(internet, internet.ip6);
      advertised.set(
        host.mac.split(":").map((each) => Number.parseInt(each, 16)),
        0,
      );
      for (const frame of [reply, advertised]) {
        const punt = await punted(world, "neighbour", () => wire.send(frame));
        assert.deepEqual([punt.attachment, punt.net, punt.srcPort], [physicalPort, gateway.net, 0]);
        assert.ok(sameBytes(punt.frame, frame));
      }
      // Whom nobody knows yet is asked for by the agent: it gets the packet that wants to go there.
      const frame = udpBetween(4, a, { ...one, ip4: "203.0.113.77" }, { src: 1, dst: 2 });
      const punt = await punted(world, "neighbour", () =>
        world.drops(0, 1, "neighbour-unresolved", () => world.send(a, frame)),
      );
      assert.deepEqual([punt.attachment, punt.net, punt.vrf], [a.id, gateway.net, gateway.vrf]);
      const nextHop = "203.0.113.77";
      assert.deepEqual([punt.waits?.nextHop, punt.waits?.underway.srcPort], [nextHop, a.key]);
      const known = row(Neighbour, { net: gateway.net, nh: nextHop }, "known", { mac: "02:00:00:00:ee:77" });
      await world.datapath(0).apply({ added: [known], removed: [], modified: [] });
      const { packet } = await leaving(
        world,
        wire,
        ({ udp }) => udp?.dst === 2,
        "then it goes",
        () => world.send(a, frame),
      );
      assert.equal(packet.eth.dst, "02:00:00:00:ee:77");
    },
  },
  {
    name: "what waited for a neighbour goes on where it was, translated and checked as all that goes there",
    run: async (world) => {
      const wire = await outside(world);
      const nhMac = "02:00:00:00:ee:78";
      for (const [version, address] of [
        [4, "203.0.113.78"],
        [6, "2001:db8:ff::78"],
      ] as const) {
        const dst = 3_000 + version;
        const to = version === 4 ? { ...one, ip4: address } : { ...one, ip6: address };
        const waits = await punted(world, "neighbour", () =>
          world.send(a, udpBetween(version, a, to, { src: 1, dst })),
        );
        const { net, vrf, frame } = waits;
        const { nextHop, underway } = waits.waits ?? assert.fail("it is not told what the packet waits for");
        assert.equal(nextHop, address);
        const goesOn = (known: typeof underway) =>
          world.datapath(0).resume(Routed.name, { net, vrf, sentOn: { nhMac, underway: known } }, frame);
        const leaves = (known: typeof underway) =>
          leaving(
            world,
            wire,
            ({ udp }) => udp?.dst === dst,
            "it goes",
            () => goesOn(known),
          );
        const { packet } = await leaves(underway);
        assert.deepEqual([packet.eth.dst, packet.eth.src], [nhMac, hostMacOf(0)]);
        if (version === 6) {
          assert.deepEqual([packet.ipv6?.src, packet.ipv6?.hopLimit], [a.ip6, 63]);
          continue;
        }
        assert.deepEqual([packet.ipv4?.src, packet.ipv4?.ttl], [gateway.address.ip4, 63]);
        // All that was known of it counts: by its sender and its scope it may leave as it is, and by its routers not at all.
        const own = row(NatOut, { vrf, srcPort: 77, scope: 9 }, "plain", {}, "own");
        await world.datapath(0).apply({ added: [own], removed: [], modified: [] });
        for (const [part, source] of [
          [{ srcPort: 77, scope: 9 }, a.ip4],
          [{ srcPort: 77, scope: 8 }, gateway.address.ip4],
          [{ srcPort: 76, scope: 9 }, gateway.address.ip4],
        ] as const)
          assert.equal((await leaves({ ...underway, ...part })).packet.ipv4?.src, source);
        await world.drops(0, 1, "loop-detected", () => goesOn({ ...underway, hop: 4 }));
      }
    },
  },
  {
    name: "what a host has said on a physical network and comes back to it is dropped",
    run: async (world) => {
      const wire = await outside(world);
      const frame = udp(4, { ...internet, mac: hostMacOf(0) }, p, world.mark());
      await world.drops(0, 1, "loop-detected", async () => wire.send(frame));
      await world.drops(0, 1, "loop-detected", async () => wire.send(tagged(frame, vlan)));
    },
  },
  {
    name: "a floating address stands for its machine, whoever speaks first, on the machine's host and with checksums that are right",
    run: async (world) => {
      const floating = [
        { port: a, address: "203.0.113.20" },
        { port: c, address: "203.0.113.21" },
      ];
      const wire = await outside(world, { gateway: { floating } });
      for (const { port, address: outer } of floating) {
        const here = spokenBy(port.host, outer);
        const ports = { src: 30_000 + world.mark(), dst: 80 };
        const back = { src: 80, dst: ports.src };
        for (const kind of ["tcp", "udp", "icmp"] as const) {
          const make = (from: typeof far, to: typeof far, there: boolean, ttl: number): Uint8Array => {
            const way = there ? ports : back;
            if (kind === "tcp") return tcp(4, from, to, { ...way, seq: 7 }, undefined, { ttl });
            if (kind === "udp") return udpBetween(4, from, to, way, undefined, { ttl });
            return ping(4, there ? "request" : "reply", from, to, { id: ports.src }, { ttl });
          };
          const came = make(far, here, true, 64);
          wire.send(came);
          await world.arrives(port, make({ ...far, mac: one.mac }, port, true, 63), `${kind} comes in`);
          await world.send(port, make(port, { ...far, mac: one.mac }, false, 64));
          const left = make(here, far, false, 63);
          await wire.arrived.first(onWire(left), `${kind} goes out`, world.deadline);
        }
      }
      await world.drops(0, 1, "outside-unknown", async () =>
        wire.send(udpBetween(4, far, spokenBy(0, "203.0.113.99"), { src: 1, dst: 2 })),
      );
    },
  },
  {
    name: "a forwarded port stands for a machine's, and no other of its address",
    run: async (world) => {
      const outer = "203.0.113.30";
      const forwarded = [
        { port: a, protocol: "tcp", address: outer, outer: 8080, inner: 80 },
        { port: b, protocol: "udp", address: outer, outer: 8080, inner: 53 },
      ] as const;
      const wire = await outside(world, { gateway: { forwarded } });
      const here = spokenBy(0, outer);
      wire.send(tcp(4, far, here, { src: 40_000, dst: 8080, seq: 1 }));
      await world.arrives(
        a,
        tcp(4, { ...far, mac: one.mac }, a, { src: 40_000, dst: 80, seq: 1 }, undefined, { ttl: 63 }),
      );
      const answer = { flags: 18, seq: 5, ack: 2 };
      await world.send(a, tcp(4, a, { ...far, mac: one.mac }, { src: 80, dst: 40_000, ...answer }));
      const left = tcp(4, here, far, { src: 8080, dst: 40_000, ...answer }, undefined, { ttl: 63 });
      await wire.arrived.first(onWire(left), "the answer bears the outer port", world.deadline);
      wire.send(udpBetween(4, far, here, { src: 40_000, dst: 8080 }));
      const at = { src: 40_000, dst: 53 };
      await world.arrives(b, udpBetween(4, { ...far, mac: one.mac }, b, at, undefined, { ttl: 63 }));
      await world.drops(0, 1, "outside-unknown", async () => wire.send(tcp(4, far, here, { src: 1, dst: 8081 })));
    },
  },
  {
    name: "an ICMP error about a floating address is the agent's to make right, whichever way it goes",
    run: async (world) => {
      const outer = "203.0.113.20";
      const wire = await outside(world, { gateway: { floating: [{ port: a, address: outer }] } });
      const sent = udpBetween(4, spokenBy(0, outer), far, { src: 5, dst: 6 });
      const error = icmpError(4, far, spokenBy(0, outer), { type: 3, code: 3, about: sent });
      const inward = await punted(world, "icmp-inner", () => wire.send(error));
      assert.deepEqual([inward.attachment, inward.net], [physicalPort, gateway.net]);
      assert.ok(sameBytes(inward.frame, error), "as it came");
      const got = udpBetween(4, { ...far, mac: one.mac }, a, { src: 6, dst: 5 });
      const own = icmpError(4, a, { ...far, mac: one.mac }, { type: 3, code: 3, about: got });
      const outward = await punted(world, "icmp-inner", () => world.send(a, own));
      assert.deepEqual([outward.attachment, outward.net, outward.vrf], [a.id, gateway.net, gateway.vrf]);
    },
  },
  {
    name: "IPv6 goes out and comes in as it is, and one hop less",
    run: async (world) => {
      const wire = await outside(world);
      const at = { src: 1000, dst: 2000 };
      await world.send(a, udpBetween(6, a, { ...far, mac: one.mac }, at));
      const left = udpBetween(6, { ...a, mac: hostMacOf(0) }, far, at, undefined, { ttl: 63 });
      await wire.arrived.first(onWire(left), "it goes out", world.deadline);
      wire.send(udpBetween(6, far, { ...a, mac: hostMacOf(0) }, at));
      await world.arrives(a, udpBetween(6, { ...far, mac: one.mac }, a, at, undefined, { ttl: 63 }));
      for (const ttl of [0, 1])
        await world.drops(0, 1, "ttl-expired", async () =>
          wire.send(udpBetween(6, far, { ...a, mac: hostMacOf(0) }, at, undefined, { ttl })),
        );
    },
  },
  {
    name: "a host without its way to the physical network goes on with all else, and takes it up when it comes",
    run: async (world) => {
      for (const place of [0, 1]) await world.open(place);
      for (const port of [a, b, p, r]) await world.plug(port);
      await world.datapath(0).adopt(outsideRows(world, 0));
      await world.reaches(a, b);
      await world.reaches(p, r);
      await world.join(0);
      const wire = world.outside("internet");
      await world.until("frames come to arrive", async () => {
        const frame = udp(4, internet, p, world.mark());
        wire.send(tagged(frame, vlan));
        return world.arrived(p).all.some((each) => packetOf(each).eth.src === internet.mac);
      });
      await entering(
        world,
        p,
        ({ eth }) => eth.src === internet.mac,
        "and go on arriving",
        () => wire.send(tagged(udp(4, internet, p, world.mark()), vlan)),
      );
    },
  },
];
