/** Checks of what comes round: a machine that asks for itself by an address outside, ICMP errors that machines send out, and what their router says to the outside. */
import assert from "node:assert/strict";
import { agentIngress } from "@selvage/pipeline";
import type { Check } from "./check.ts";
import { icmpError, ping, tcp, udpBetween } from "./ip-frames.ts";
import { hostMacOf, physicalPort } from "./outside-topology.ts";
import { a, b, entering, far, gateway, internet, leaving, one, outside, packetOf, spokenBy } from "./outside-world.ts";
import { sameBytes, type World } from "./world.ts";

const address = gateway.address.ip4;
const through = { ...far, mac: one.mac };
const synAck = { flags: 18, seq: 5, ack: 2 } as const;

/** A punt of a kind, of those that come from here on. */
async function punted(world: World, kind: string, act: () => void | Promise<void>) {
  const { punts } = world.heard(0);
  const seen = punts.all.length;
  await act();
  return punts.first((each) => each.kind === kind, `a punt of ${kind}`, world.deadline, seen);
}

export const roundChecks: readonly Check[] = [
  {
    name: "a machine reaches itself by its own floating address and its own forwarded port",
    run: async (world) => {
      const outer = { a: "203.0.113.20", b: "203.0.113.21" };
      await outside(world, {
        gateway: {
          floating: [{ port: a, address: outer.a }],
          forwarded: [{ port: b, protocol: "tcp", address: outer.b, outer: 8080, inner: 80 }],
        },
      });
      for (const [port, ip4, asked, seen] of [
        [a, outer.a, 80, outer.a],
        [b, outer.b, 8080, address],
      ] as const) {
        const there = { ...through, ip4 };
        const come = await entering(
          world,
          port,
          (got) => got.tcp?.dst === 80,
          `${port.id} asks for itself`,
          () => world.send(port, tcp(4, port, there, { src: 42_000, dst: asked, seq: 1 })),
        );
        assert.deepEqual([come.packet.ipv4?.src, come.packet.ipv4?.dst], [seen, port.ip4]);
        const from = come.packet.tcp?.src ?? assert.fail();
        const back = await entering(
          world,
          port,
          ({ tcp: segment }) => segment?.src === asked,
          "and answers itself",
          () => world.send(port, tcp(4, port, { ...through, ip4: seen }, { src: 80, dst: from, ...synAck })),
        );
        assert.deepEqual([back.packet.ipv4?.src, back.packet.tcp?.dst], [ip4, 42_000]);
      }
    },
  },
  {
    name: "a machine's ICMP error about a translated connection is the agent's to make right, which asks what stands for the machine",
    run: async (world) => {
      const wire = await outside(world);
      const at = { net: gateway.net, vrf: gateway.vrf };
      for (const kind of ["udp", "tcp", "ping"] as const) {
        const ports = { src: 41_000, dst: 53 };
        const first =
          kind === "udp"
            ? udpBetween(4, a, through, ports)
            : kind === "tcp"
              ? tcp(4, a, through, { ...ports, seq: 1 })
              : ping(4, "request", a, through, { id: 9 });
        const left = await leaving(
          world,
          wire,
          ({ ipv4 }) => ipv4?.src === address,
          `${kind} leaves`,
          () => world.send(a, first),
        );
        const about =
          kind === "udp"
            ? udpBetween(4, through, a, { src: 53, dst: 41_000 })
            : kind === "tcp"
              ? tcp(4, through, a, { src: 53, dst: 41_000, ...synAck })
              : ping(4, "reply", through, a, { id: 9 });
        const error = icmpError(4, a, through, { type: 3, code: 3, about });
        const punt = await punted(world, "icmp-inner", () => world.send(a, error));
        assert.deepEqual([punt.attachment, punt.net, punt.vrf, punt.srcPort], [a.id, at.net, at.vrf, a.key]);
        assert.deepEqual([packetOf(punt.frame).ipv4?.src, packetOf(punt.frame).ipv4?.dst], [a.ip4, far.ip4]);
        // Of TCP a segment that no connection takes for its own: it changes nothing of this one.
        const payload = Uint8Array.of(1, 2, 3, 4, 5);
        const question =
          kind === "udp"
            ? udpBetween(4, a, through, ports, payload)
            : kind === "tcp"
              ? tcp(4, a, through, { ...ports, flags: 6, seq: 0 }, payload)
              : ping(4, "request", a, through, { id: 9 });
        const answer = await punted(world, "translated", () => world.datapath(0).resume("nat_ask", at, question));
        assert.deepEqual([answer.attachment, answer.net, answer.vrf], [agentIngress, at.net, at.vrf]);
        const said = packetOf(answer.frame);
        assert.deepEqual([said.ipv4?.src, said.ipv4?.dst], [address, far.ip4]);
        assert.equal((said.tcp ?? said.udp)?.src, (left.packet.tcp ?? left.packet.udp)?.src);
        if (kind !== "ping") assert.deepEqual([...said.payload], [...payload]);
      }
      // Of what is not known there is no answer.
      const stranger = udpBetween(4, a, through, { src: 41_001, dst: 53 });
      await world.drops(0, 1, "nat-no-connection", () => world.datapath(0).resume("nat_ask", at, stranger));
      const quench = icmpError(4, a, through, {
        type: 4,
        code: 0,
        about: udpBetween(4, through, a, { src: 1, dst: 2 }),
      });
      await world.drops(0, 1, "nat-no-translation", () => world.send(a, quench));
      assert.ok(wire.arrived.all.every((each) => packetOf(each).icmp?.kind !== "unreachable"));
    },
  },
  {
    name: "what a router says to the outside goes by its routes, and what comes with no hop left is told to the agent",
    run: async (world) => {
      const wire = await outside(world);
      const ask = udpBetween(4, far, spokenBy(0, address), { src: 1, dst: 33_434 }, undefined, { ttl: 1 });
      const punt = await punted(world, "expired-outside", () => wire.send(ask));
      assert.deepEqual([punt.attachment, punt.net, punt.srcPort], [physicalPort, gateway.net, 0]);
      assert.ok(sameBytes(punt.frame, ask), "as it came");
      const own = { mac: "00:00:00:00:00:00", ip4: address, ip6: "::" };
      const error = icmpError(4, own, far, { type: 11, code: 0, about: ask });
      const at = { net: gateway.net, vrf: gateway.vrf };
      const { packet } = await leaving(
        world,
        wire,
        ({ icmp }) => icmp?.kind === "time-exceeded",
        "the error leaves",
        () => world.datapath(0).resume("route", at, error),
      );
      assert.deepEqual(
        [packet.eth.src, packet.eth.dst, packet.ipv4?.src, packet.ipv4?.dst],
        [hostMacOf(0), internet.mac, address, far.ip4],
      );
    },
  },
];
