/** Checks of source translation: which address and port a connection leaves with, how its answers and errors come back, and that nothing leaves as it is. */
import assert from "node:assert/strict";
import { checksum, type Packet } from "@selvage/packet";
import { EthType, IpProto, NatAsk, NatOut, OwnLease, quotationNeed, row, SnatNew } from "@selvage/pipeline";
import type { Check } from "./check.ts";
import type { Speaker } from "./frames.ts";
import { fragmentsOf, icmpError, ping, sctp, tcp, udpBetween } from "./ip-frames.ts";
import { hostMacOf, physicalPort } from "./outside-topology.ts";
import {
  a,
  b,
  c,
  completed,
  entering,
  far,
  gateway,
  leaving,
  looselyOf,
  one,
  outside,
  outsideRows,
  packetOf,
  routerId,
  spokenBy,
} from "./outside-world.ts";
import type { TestPort } from "./topology.ts";
import { delta, type Outsider, sameBytes, type World } from "./world.ts";

const address = gateway.address.ip4;
/** The other side as a machine behind the router addresses it. */
const through: Speaker = { ...far, mac: one.mac };
const synAck = { flags: 18, seq: 5, ack: 2 } as const;
type Kind = "tcp" | "udp";
const make = (
  kind: Kind,
  from: Speaker,
  to: Speaker,
  ports: { readonly src: number; readonly dst: number },
  isAnswer = false,
): Uint8Array =>
  kind === "tcp" ? tcp(4, from, to, { ...ports, ...(isAnswer ? synAck : { seq: 1 }) }) : udpBetween(4, from, to, ports);
const portsOf = ({ tcp: segment, udp: datagram }: Packet) => segment ?? datagram;

/** A machine opens a connection: it leaves with the router's address, and a port of its host's block. Gives the port. */
async function opens(
  world: World,
  wire: Outsider,
  kind: Kind,
  from: TestPort,
  ports: { readonly src: number; readonly dst: number },
): Promise<number> {
  const { packet } = await leaving(
    world,
    wire,
    (got) => portsOf(got)?.dst === ports.dst,
    `a connection of ${from.id} leaves`,
    () => world.send(from, make(kind, from, through, ports)),
  );
  assert.deepEqual(
    [packet.eth.src, packet.eth.dst, packet.ipv4?.src, packet.ipv4?.dst, packet.ipv4?.ttl],
    [hostMacOf(from.host), far.mac, address, far.ip4, 63],
  );
  return portsOf(packet)?.src ?? assert.fail("no port");
}

/** The other side answers to the port, by whichever host owns the address: the machine gets it as if it had spoken for itself. */
async function answers(
  world: World,
  wire: Outsider,
  kind: Kind,
  to: TestPort,
  ports: { readonly src: number; readonly dst: number },
  outer: number,
): Promise<void> {
  const back = { src: ports.dst, dst: outer };
  const { packet } = await entering(
    world,
    to,
    (got) => portsOf(got)?.src === ports.dst,
    `an answer comes to ${to.id}`,
    () => wire.send(make(kind, far, spokenBy(0, address), back, true)),
  );
  assert.deepEqual(
    [packet.eth.src, packet.ipv4?.src, packet.ipv4?.dst, packet.ipv4?.ttl, portsOf(packet)?.dst],
    [one.mac, far.ip4, to.ip4, 63, ports.src],
  );
}

const isIn = (port: number, first: number, size: number): boolean => port >= first && port < first + size;

export const natChecks: readonly Check[] = [
  {
    name: "a connection leaves with a router's address and a port of its host's block, and its answers come back, by another host too",
    run: async (world) => {
      const wire = await outside(world);
      const { added, changed, removed } = await world.datapath(0).adopt(outsideRows(world, 0));
      assert.deepEqual({ added, changed, removed }, { added: 0, changed: 0, removed: 0 }, "the rows are in force");
      for (const kind of ["tcp", "udp"] as const) {
        const ports = { src: 40_000, dst: 7_000 + world.mark() };
        const outer = [];
        for (const from of [a, b, c]) {
          const port = await opens(world, wire, kind, from, ports);
          assert.ok(isIn(port, from.host === 0 ? 1024 : 2048, 1024), `${port} is of the block of host ${from.host}`);
          outer.push([from, port] as const);
        }
        assert.equal(new Set(outer.map(([, port]) => port)).size, 3, "each has a port of its own");
        for (const [from, port] of outer) await answers(world, wire, kind, from, ports, port);
        // It stays with its port.
        for (const [from, port] of outer) {
          const { packet } = await leaving(
            world,
            wire,
            (got) => portsOf(got)?.dst === ports.dst,
            "more leaves",
            () =>
              world.send(
                from,
                kind === "tcp"
                  ? tcp(4, from, through, { ...ports, flags: 16, seq: 2, ack: 6 })
                  : make(kind, from, through, ports),
              ),
          );
          assert.equal(portsOf(packet)?.src, port);
          assert.equal(packet.ipv4?.src, address);
        }
      }
      assert.deepEqual(world.fabric.physical.moved, [], "no MAC is on two hosts");
    },
  },
  {
    name: "datagrams that nobody answers leave with one port all the same",
    run: async (world) => {
      const wire = await outside(world);
      const ports = { src: 40_000, dst: 9_000 };
      const first = await opens(world, wire, "udp", a, ports);
      for (let n = 0; n < 3; n += 1) assert.equal(await opens(world, wire, "udp", a, ports), first);
    },
  },
  {
    name: "where the ports run out a connection is dropped and counted, and never leaves as it is",
    run: async (world) => {
      const wire = await outside(world);
      const narrow = (ipProto: number, last: number) =>
        row(SnatNew, { vrf: 1, ipProto }, "lease", { address, first: 1024, last }, "ports");
      const changes = [IpProto.tcp, IpProto.udp].map((ipProto) => ({
        before: narrow(ipProto, 2047),
        after: narrow(ipProto, 1025),
      }));
      await world.datapath(0).apply(delta({ modified: changes }));
      for (const kind of ["tcp", "udp"] as const) {
        const dst = kind === "tcp" ? 80 : 53;
        const taken = [];
        for (const src of [50_001, 50_002]) taken.push(await opens(world, wire, kind, a, { src, dst }));
        assert.deepEqual(taken.sort(), [1024, 1025]);
        for (const from of [a, b]) {
          const frame = make(kind, from, through, { src: 50_003, dst });
          await world.drops(0, 1, "nat-exhausted", () => world.send(from, frame));
        }
        // To another port of the other side the same ones can be used once more.
        assert.ok(isIn(await opens(world, wire, kind, b, { src: 50_003, dst: dst + 1 }), 1024, 2));
      }
      const left = wire.arrived.all.flatMap((each) => packetOf(each).ipv4?.src ?? []);
      assert.deepEqual([...new Set(left)], [address]);
    },
  },
  {
    name: "a host without a block of ports lets nothing out, nor what has no translation at all",
    run: async (world) => {
      const wire = await outside(world, { gateway: { leases: [{ host: 1, first: 2048, size: 1024 }] } });
      await world.drops(0, 1, "nat-no-port-block", () =>
        world.send(a, make("tcp", a, through, { src: 1000, dst: 80 })),
      );
      const source = row(NatOut, { vrf: 1, ethType: EthType.ipv4 }, "source", { zone: routerId }, "source");
      await world.datapath(0).apply(delta({ removed: [source] }));
      await world.drops(0, 1, "nat-no-translation", () => world.send(a, make("udp", a, through, { src: 1, dst: 2 })));
      await opens(world, wire, "tcp", c, { src: 1000, dst: 80 });
      assert.ok(wire.arrived.all.every((each) => packetOf(each).ipv4?.src !== a.ip4));
    },
  },
  {
    name: "only what belongs to a connection from inside comes in by a router's address",
    run: async (world) => {
      const wire = await outside(world);
      const host = spokenBy(0, address);
      for (const kind of ["tcp", "udp"] as const)
        await world.drops(0, 1, "nat-no-connection", async () =>
          wire.send(make(kind, far, host, { src: 80, dst: 1100 })),
        );
      const ports = { src: 40_000, dst: 80 };
      const outer = await opens(world, wire, "udp", a, ports);
      // From another port of the same host: a connection is with one other side.
      await world.drops(0, 1, "nat-no-connection", async () =>
        wire.send(make("udp", far, host, { src: 81, dst: outer })),
      );
      // Of a port in nobody's block, every host that has one is asked.
      await world.drops(1, 1, "nat-no-connection", () =>
        world.drops(0, 1, "nat-no-connection", async () => wire.send(make("udp", far, host, { src: 80, dst: 9000 }))),
      );
      await answers(world, wire, "udp", a, ports, outer);
    },
  },
  {
    name: "pings and protocols without ports leave with the router's address, and come back to whose host knows them",
    run: async (world) => {
      const wire = await outside(world);
      for (const from of [a, c]) {
        const id = world.mark() + 600;
        const sent = ping(4, "request", from, through, { id });
        const { packet } = await leaving(
          world,
          wire,
          ({ icmp }) => icmp?.kind === "echo-request",
          "a ping leaves",
          () => world.send(from, sent),
        );
        assert.deepEqual([packet.ipv4?.src, packet.eth.src], [address, hostMacOf(from.host)]);
        assert.ok(packet.icmp?.kind === "echo-request" && packet.icmp.id === id);
        const answer = ping(4, "reply", far, spokenBy(0, address), { id });
        const back = ping(4, "reply", { ...far, mac: one.mac }, from, { id }, { ttl: 63 });
        // The other host is asked too, and that it does not know it is no scan.
        await world.drops(from.host === 0 ? 1 : 0, 1, "nat-not-here", async () => wire.send(answer));
        await world.arrives(from, back, "its answer comes back");
        assert.equal(world.count(from, back), 1);
        const other = sctp(4, from, through, { src: 5000, dst: 6000 });
        const left = await leaving(
          world,
          wire,
          ({ ipv4 }) => ipv4?.protocol === IpProto.sctp,
          "SCTP leaves",
          () => world.send(from, other),
        );
        assert.equal(left.packet.ipv4?.src, address);
        await entering(
          world,
          from,
          ({ ipv4 }) => ipv4?.protocol === IpProto.sctp,
          "SCTP comes back",
          () => wire.send(sctp(4, far, spokenBy(0, address), { src: 6000, dst: 5000 })),
        );
      }
      // Two of one host cannot ask the same one with the same number.
      const same = { id: 77 };
      await leaving(
        world,
        wire,
        ({ icmp }) => icmp?.kind === "echo-request",
        "the first leaves",
        () => world.send(a, ping(4, "request", a, through, same)),
      );
      await world.drops(0, 1, "nat-exhausted", () => world.send(b, ping(4, "request", b, through, same)));
    },
  },
  {
    name: "an ICMP error about a translated connection comes to the machine, and quotes what the machine has sent",
    run: async (world) => {
      const wire = await outside(world);
      for (const from of [a, c]) {
        for (const [kind, bytes] of [
          ["tcp", 28],
          ["tcp", 1000],
          ["udp", 28],
          ["udp", 1000],
        ] as const) {
          const ports = { src: 41_000, dst: 5_000 + world.mark() };
          const { frame } = await leaving(
            world,
            wire,
            (got) => portsOf(got)?.dst === ports.dst,
            "it leaves",
            () => world.send(from, make(kind, from, through, ports)),
          );
          const error = icmpError(4, far, spokenBy(0, address), { type: 3, code: 4, about: frame, bytes });
          const { punts } = world.heard(0);
          const punted = punts.all.length;
          const arrives = async (): Promise<void> => {
            wire.send(error);
            if (error.length >= quotationNeed) return;
            // The switch leaves it to the agent to complete it.
            const punt = await punts.first(({ kind }) => kind === "icmp-inner", "a punt", world.deadline, punted);
            assert.deepEqual([punt.attachment, punt.net], [physicalPort, gateway.net]);
            assert.ok(sameBytes(punt.frame, error));
            await world.datapath(0).resume("ext_in", punt, completed(error));
          };
          const { packet } = await entering(
            world,
            from,
            ({ icmp }) => icmp?.kind === "unreachable",
            "the error",
            arrives,
          );
          assert.deepEqual([packet.ipv4?.src, packet.ipv4?.dst], [far.ip4, from.ip4]);
          const quoted = packet.payload ?? assert.fail("it quotes nothing");
          const [source, destination] = [quoted.subarray(12, 16).join("."), quoted.subarray(16, 20).join(".")];
          assert.deepEqual([source, destination], [from.ip4, far.ip4], "inside, from whom and to whom it was");
          const port = new DataView(quoted.buffer, quoted.byteOffset + 20).getUint16(0);
          assert.equal(port, ports.src, "and by which port");
          assert.equal(checksum(quoted, 0, 20), 0, "the quoted header's checksum is right");
        }
      }
    },
  },
  {
    name: "a machine reaches a floating address of its own host by the outside's way, and neither side sees the other's own address",
    run: async (world) => {
      const outer = "203.0.113.20";
      const members = [
        { port: a, set: 1 },
        { port: b, set: 2 },
      ];
      const wire = await outside(world, {
        gateway: { floating: [{ port: b, address: outer }] },
        policed: members,
      });
      const there = { ...through, ip4: outer };
      const ports = { src: 42_000, dst: 80 };
      const { packet } = await entering(
        world,
        b,
        (got) => got.tcp?.dst === 80,
        "it comes in",
        () => world.send(a, tcp(4, a, there, { ...ports, seq: 1 })),
      );
      assert.equal(packet.ipv4?.src, address);
      const port = packet.tcp?.src ?? assert.fail();
      const got = await entering(
        world,
        a,
        ({ tcp: segment }) => segment?.src === 80,
        "the answer comes back",
        () => world.send(b, tcp(4, b, { ...through, ip4: address }, { src: 80, dst: port, ...synAck })),
      );
      assert.deepEqual([got.packet.ipv4?.src, got.packet.tcp?.dst], [outer, 42_000]);
      const next = await entering(
        world,
        b,
        ({ tcp: segment }) => segment?.flags === 16,
        "and it goes on",
        () => world.send(a, tcp(4, a, there, { ...ports, flags: 16, seq: 2, ack: 6 })),
      );
      assert.deepEqual([next.packet.ipv4?.src, next.packet.tcp?.src], [address, port]);
      await world.drops(0, 1, "sg-default-deny-ingress", () =>
        world.send(a, tcp(4, a, there, { src: 42_001, dst: 81 })),
      );
      assert.equal(
        wire.arrived.all.filter((each) => packetOf(each).tcp !== undefined).length,
        0,
        "nothing of it is outside",
      );
    },
  },
  {
    name: "a translated connection is policed as the machine's own: by its inside address, and its answers are let in",
    run: async (world) => {
      const members = [a, b, c].map((port, at) => ({ port, set: at + 1 }));
      const wire = await outside(world, {
        gateway: { floating: [{ port: b, address: "203.0.113.20" }] },
        policed: members,
      });
      for (const from of [a, c]) {
        const ports = { src: 43_000, dst: 443 };
        const outer = await opens(world, wire, "tcp", from, ports);
        await answers(world, wire, "tcp", from, ports, outer);
        const { packet } = await leaving(
          world,
          wire,
          (got) => got.tcp?.flags === 16,
          "the handshake ends",
          () => world.send(from, tcp(4, from, through, { ...ports, flags: 16, seq: 2, ack: 6 })),
        );
        assert.equal(packet.tcp?.src, outer);
      }
      const host = spokenBy(0, "203.0.113.20");
      await entering(
        world,
        b,
        (got) => got.tcp?.dst === 80,
        "a port that is open",
        () => wire.send(tcp(4, far, host, { src: 1, dst: 80 })),
      );
      await world.drops(0, 1, "sg-default-deny-ingress", async () => wire.send(tcp(4, far, host, { src: 1, dst: 81 })));
    },
  },
  {
    name: "fragments are translated with their datagram, both ways",
    run: async (world) => {
      const wire = await outside(world);
      const payload = Uint8Array.from({ length: 2_000 }, (_, n) => n & 255);
      const all = (arrived: readonly Uint8Array[], wanted: readonly Uint8Array[]): boolean =>
        wanted.every((each) => arrived.some((one) => sameBytes(one, each)));
      for (const from of [a, c]) {
        const ports = { src: 44_000, dst: 1_000 + world.mark() };
        const { ip4 } = from;
        const seen = wire.arrived.all.length;
        for (const each of fragmentsOf(udpBetween(4, from, through, ports, payload), 1_200, 4_711))
          await world.send(from, each);
        await world.until("both fragments leave", async () => wire.arrived.all.length >= seen + 2);
        const left = wire.arrived.all.slice(seen);
        const first = left.map(looselyOf).find(({ ipv4 }) => ipv4?.fragmentOffset === 0)?.payload;
        const { buffer, byteOffset } = first ?? assert.fail("no first fragment");
        const outer = new DataView(buffer, byteOffset).getUint16(0);
        assert.ok(isIn(outer, from.host === 0 ? 1024 : 2048, 1024), `${ip4} has the port ${outer}`);
        const ahead = { ...ports, src: outer };
        const own = spokenBy(from.host, address);
        assert.ok(all(left, fragmentsOf(udpBetween(4, own, far, ahead, payload, { ttl: 63 }), 1_200, 4_711)));
        // Later fragments bear no port, and go to every host that may know the connection: only at one of them the datagram is whole.
        const back = { src: ports.dst, dst: outer };
        for (const each of fragmentsOf(udpBetween(4, far, spokenBy(0, address), back, payload), 1_200, 4_712))
          wire.send(each);
        const inward = udpBetween(4, through, from, { src: ports.dst, dst: 44_000 }, payload, { ttl: 63 });
        for (const each of fragmentsOf(inward, 1_200, 4_712)) await world.arrives(from, each, "a fragment comes back");
      }
    },
  },
  {
    name: "a zone that no row names any more is forgotten, and what comes for its connections is not let in",
    run: async (world) => {
      const wire = await outside(world);
      const ports = { src: 45_000, dst: 80 };
      const outer = await opens(world, wire, "udp", a, ports);
      await answers(world, wire, "udp", a, ports, outer);
      const named = [
        row(OwnLease, { net: gateway.net, address }, "translate", { vrf: 1, zone: routerId }),
        row(NatOut, { vrf: 1, ethType: EthType.ipv4 }, "source", { zone: routerId }, "source"),
        row(NatAsk, { vrf: 1 }, "ask", { zone: routerId }),
      ];
      await world.datapath(0).apply(delta({ removed: named }));
      await world.drops(0, 1, "nat-no-connection", async () =>
        wire.send(make("udp", far, spokenBy(0, address), { src: 80, dst: outer })),
      );
      await world.datapath(0).apply(delta({ added: named }));
      await world.drops(0, 1, "nat-no-connection", async () =>
        wire.send(make("udp", far, spokenBy(0, address), { src: 80, dst: outer })),
      );
      const again = await opens(world, wire, "udp", a, ports);
      await answers(world, wire, "udp", a, ports, again);
    },
  },
];
