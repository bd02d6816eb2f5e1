/** Checks with packets: who gets what, what crosses the underlay, what is punted and what is dropped and counted. */
import assert from "node:assert/strict";
import { GuardMac, probeKey, row } from "@selvage/pipeline";
import type { Check } from "./check.ts";
import {
  arpReply,
  arpRequest,
  broadcastMac,
  dhcp6Solicit,
  dhcpDiscover,
  gratuitousArp,
  neighbourSolicitation,
  udp,
  udpOfSize,
  udpToAll,
} from "./frames.ts";
import { type TestPort, testMtu, testPort, vxlanNet } from "./topology.ts";
import { sameBytes, type World } from "./world.ts";

const a = testPort(1, 1, 0);
const b = testPort(2, 1, 0);
const c = testPort(3, 1, 1);
const d = testPort(4, 1, 1);
const e = testPort(5, 1, 2);
/** Of another network, beside the others. */
const x = testPort(6, 2, 0);
const y = testPort(7, 2, 1);
const all = [a, b, c, d, e, x, y] as const;
/** Of a network that crosses by VXLAN. */
const u = testPort(8, vxlanNet, 0);
const v = testPort(9, vxlanNet, 1);
const w = testPort(10, vxlanNet, 1);
const mixed = [...all, u, v, w] as const;

/** A frame is flooded: once to each of `to`, and to nobody else. */
async function floods(world: World, from: TestPort, frame: Uint8Array, to: readonly TestPort[]): Promise<void> {
  await world.send(from, frame);
  for (const port of to) await world.arrives(port, frame, `the flooded frame arrives at ${port.id}`);
  for (const port of to) {
    await world.reaches(from, port);
    assert.equal(world.count(port, frame), 1, `${port.id} gets it once`);
    await world.reaches(port, from);
  }
  assert.equal(world.count(from, frame), 0, "its sender does not get it back");
}

export const packetChecks: readonly Check[] = [
  {
    name: "a unicast frame arrives unchanged on the same host, and the underlay sees nothing",
    run: async (world) => {
      await world.build(all);
      const before = await world.fabric.crossed();
      await world.reaches(a, b, 4);
      await world.reaches(b, a, 6);
      assert.equal(await world.fabric.crossed(), before);
    },
  },
  {
    name: "a unicast frame crosses the underlay once and arrives unchanged on another host",
    run: async (world) => {
      await world.build(all);
      const before = await world.fabric.crossed();
      await world.reaches(a, c, 4);
      await world.reaches(c, b, 6);
      await world.until("two crossed", async () => (await world.fabric.crossed()) === before + 2);
      const frame = udp(4, a, c, world.mark());
      await world.send(a, frame);
      await world.arrives(c, frame);
      await world.arrivesNowhere(frame, [b], a);
      await world.arrivesNowhere(frame, [d], c);
    },
  },
  {
    name: "a flooded frame goes once to each other port of the network, here and there, and never back",
    run: async (world) => {
      await world.build(all);
      const before = await world.fabric.crossed();
      const frame = udpToAll(4, a, world.mark());
      await world.send(a, frame);
      for (const port of [b, c, d, e]) await world.arrives(port, frame);
      await world.until("one for each other host", async () => (await world.fabric.crossed()) === before + 2);
      await floods(world, a, udpToAll(4, a, world.mark()), [b, c, d, e]);
      await floods(world, e, udpToAll(6, e, world.mark()), [a, b, c, d]);
    },
  },
  {
    name: "a flooded frame does not leave its network",
    run: async (world) => {
      await world.build(all);
      const frame = udpToAll(6, a, world.mark());
      await floods(world, a, frame, [b, c, d, e]);
      await world.arrivesNowhere(frame, [x], y);
      await world.arrivesNowhere(frame, [y], x);
      const unicast = udp(4, a, x, world.mark());
      await world.send(a, unicast);
      await world.arrivesNowhere(unicast, [x], y);
    },
  },
  {
    name: "a question for a known address is answered on the asking host, for the asker alone",
    run: async (world) => {
      await world.build(all);
      const before = await world.fabric.crossed();
      await world.send(a, arpRequest(a, c.ip4));
      await world.arrives(a, arpReply(c, a), "the answer");
      assert.equal(await world.fabric.crossed(), before);
      await world.arrivesNowhere(arpRequest(a, c.ip4), [b], a);
      assert.equal(world.count(b, arpReply(c, a)), 0);
    },
  },
  {
    name: "what a port says of its own address reaches its network",
    run: async (world) => {
      await world.build(all);
      await floods(world, a, gratuitousArp(a), [b, c, d, e]);
    },
  },
  {
    name: "a punted packet bears its port, its network and the frame unchanged",
    run: async (world) => {
      await world.build(all);
      for (const port of [a, b, y]) {
        for (const [kind, frame] of [
          ["dhcp4", dhcpDiscover(port.mac, world.mark())],
          ["dhcp6", dhcp6Solicit(port, port.ip6, world.mark())],
        ] as const) {
          await world.send(port, frame);
          const punt = await world
            .heard(port.host)
            .punts.first((each) => sameBytes(each.frame, frame), "the question is punted", world.deadline);
          assert.deepEqual(
            { ...punt, frame: 0 },
            { kind, attachment: port.id, net: port.net, srcPort: port.key, vrf: 0, frame: 0 },
          );
          await world.arrivesNowhere(frame, [port === a ? b : a], port === y ? b : port);
        }
      }
    },
  },
  {
    name: "a solicitation for a known address is punted, one for an unknown address dropped",
    run: async (world) => {
      await world.build(all);
      await world.drops(0, 1, "neighbour-unresolved", async () => {
        await world.send(a, neighbourSolicitation(a, "2001:db8:1::dead"));
        await world.send(a, neighbourSolicitation(a, c.ip6));
        const punt = await world.heard(0).punts.first(() => true, "a punt", world.deadline);
        assert.equal(punt.kind, "nd");
        assert.equal(punt.srcPort, a.key);
        assert.ok(sameBytes(punt.frame, neighbourSolicitation(a, c.ip6)));
      });
      assert.equal(world.heard(0).punts.all.length, 1);
    },
  },
  {
    name: "send puts a frame out of a port's interface, past the program",
    run: async (world) => {
      await world.build(all);
      const frame = dhcpDiscover("02:00:00:00:00:99", world.mark());
      await world.datapath(0).send(b.id, frame);
      await world.arrives(b, frame);
      await world.arrivesNowhere(frame, [a], b);
      assert.equal(world.heard(0).punts.all.length, 0, "it is not punted back");
      await assert.rejects(world.datapath(0).send(c.id, frame), "its port is on another host");
    },
  },
  {
    name: "a frame of the network's MTU passes, here and to another host, and one byte more is dropped and counted",
    run: async (world) => {
      await world.build(all);
      // One that sends what it likes is held to the MTU as well.
      const open = row(GuardMac, { srcPort: d.key }, "unguarded", {}, "any");
      await world.datapath(d.host).adopt([...world.rows(d.host, all), open]);
      for (const version of [4, 6] as const) {
        for (const [from, to] of [
          [a, b],
          [d, a],
        ] as const) {
          const whole = udpOfSize(version, from, to, world.mark(), testMtu);
          assert.equal(whole.length, testMtu + 14);
          await world.send(from, whole);
          await world.arrives(to, whole, `a full IPv${version} frame from ${from.id} arrives at ${to.id}`);
          const larger = udpOfSize(version, from, to, world.mark(), testMtu + 1);
          await world.drops(from.host, 1, "mtu-exceeded", async () => {
            await world.send(from, larger);
            await world.reaches(from, to, version);
          });
          assert.equal(world.count(to, larger), 0, "nothing of it is delivered");
        }
      }
      const all4 = { mac: broadcastMac, ip4: "255.255.255.255", ip6: "ff02::1" };
      await floods(world, a, udpOfSize(4, a, all4, world.mark(), testMtu), [b, c, d, e]);
      const larger = udpOfSize(4, a, all4, world.mark(), testMtu + 1);
      // A copy for each port here and for each other host.
      await world.drops(0, 4, "mtu-exceeded", async () => {
        await world.send(a, larger);
        await world.reaches(a, b);
      });
      await world.arrivesNowhere(larger, [b, c, d, e], a);
      const before = await world.dropped(0, "mtu-exceeded");
      await world.drops(0, 1, "no-fdb-entry", async () => {
        await world.send(a, udp(4, a, { ...b, mac: "02:00:00:00:00:77" }, world.mark()));
      });
      assert.equal(await world.dropped(0, "mtu-exceeded"), before, "what is small enough is not counted as too large");
    },
  },
  {
    name: "a network of VXLAN reaches its ports on other hosts beside those of Geneve, unicast and flooded",
    run: async (world) => {
      await world.build(mixed);
      const before = await world.fabric.crossed();
      await world.reaches(u, v, 4);
      await world.reaches(v, u, 6);
      await world.reaches(a, c, 6);
      await world.until("three crossed", async () => (await world.fabric.crossed()) === before + 3);
      const frame = udp(4, u, w, world.mark());
      await world.send(u, frame);
      await world.arrives(w, frame);
      await world.arrivesNowhere(frame, [v], u);
      for (const version of [4, 6] as const) {
        await floods(world, u, udpToAll(version, u, world.mark()), [v, w]);
        await floods(world, w, udpToAll(version, w, world.mark()), [u, v]);
      }
      const flooded = udpToAll(4, v, world.mark());
      await floods(world, v, flooded, [u, w]);
      await world.arrivesNowhere(flooded, [a], b);
      await world.arrivesNowhere(flooded, [x], y);
    },
  },
  {
    name: "a packet by VXLAN is taken only from a host of that network, for a MAC of a port here, and never for a network of Geneve",
    run: async (world) => {
      await world.build(mixed);
      const forged = udp(4, v, u, world.mark());
      const at = { to: world.host(0).address, srcPort: 0, dstPort: 0, by: "vxlan" } as const;
      await world.drops(0, 4, "tunnel-source", async () => {
        await world.fabric.inject({ ...at, from: world.fabric.stranger, key: vxlanNet, frame: forged });
        await world.fabric.inject({ ...at, from: world.host(2).address, key: vxlanNet, frame: forged });
        const toAll = udpToAll(4, c, world.mark());
        await world.fabric.inject({ ...at, from: world.host(1).address, key: 1, frame: toAll });
        // And the other way about: by Geneve with the key of a network of VXLAN.
        const named = { ...at, by: "geneve", srcPort: v.key, dstPort: u.key } as const;
        await world.fabric.inject({ ...named, from: world.host(1).address, key: vxlanNet, frame: forged });
      });
      await world.drops(0, 2, "no-fdb-entry", async () => {
        const nobody = { ...u, mac: "02:00:00:00:00:77" };
        await world.fabric.inject({
          ...at,
          from: world.host(1).address,
          key: vxlanNet,
          frame: udp(6, v, nobody, world.mark()),
        });
        // The MAC is there, but on another network.
        await world.fabric.inject({
          ...at,
          from: world.host(1).address,
          key: vxlanNet,
          frame: udp(6, v, a, world.mark()),
        });
      });
      await world.arrivesNowhere(forged, [u], v);
      await world.fabric.inject({ ...at, from: world.host(1).address, key: vxlanNet, frame: forged });
      await world.arrives(u, forged, "the same from its own host");
    },
  },
  {
    name: "what is spoofed is dropped and counted by its reason",
    run: async (world) => {
      await world.build(all);
      await world.drops(0, 3, "anti-spoof-mac", async () => {
        for (let n = 0; n < 3; n += 1) await world.send(a, udp(4, { ...a, mac: b.mac }, c, world.mark()));
        await world.reaches(a, c);
      });
      await world.drops(1, 2, "anti-spoof-ip", async () => {
        await world.send(c, udp(4, { ...c, ip4: d.ip4 }, a, world.mark()));
        await world.send(c, udp(6, { ...c, ip6: d.ip6 }, a, world.mark()));
        await world.reaches(c, a);
      });
      await world.drops(0, 1, "arp-spoof", async () => {
        await world.send(a, gratuitousArp({ ...a, ip4: b.ip4 }));
        await world.reaches(a, b);
      });
    },
  },
  {
    name: "a tunnelled packet is taken only from a host that has a machine on that network",
    run: async (world) => {
      await world.build(all);
      const forged = udp(4, c, a, world.mark());
      const packet = { to: world.host(0).address, srcPort: c.key, dstPort: a.key, frame: forged };
      await world.drops(0, 1, "tunnel-key-unknown", () =>
        world.fabric.inject({ ...packet, from: world.host(1).address, key: 0xabcdef }),
      );
      await world.drops(0, 2, "tunnel-source", async () => {
        // From nobody's address; then from a host that has no machine on network 2, though it has on network 1.
        await world.fabric.inject({ ...packet, from: world.fabric.stranger, key: 1 });
        await world.fabric.inject({ ...packet, from: world.host(2).address, key: 2, dstPort: x.key });
      });
      await world.arrivesNowhere(forged, [a], c);
      await world.arrivesNowhere(forged, [x], y);
      await world.fabric.inject({ ...packet, from: world.host(1).address, key: 1 });
      await world.arrives(a, forged, "the same from its own host");
    },
  },
  {
    name: "a packet by which a switch looks for the way is taken in silence",
    run: async (world) => {
      await world.build(all);
      const frame = udp(4, c, a, world.mark());
      const known = { from: world.host(1).address, to: world.host(0).address, key: probeKey, frame };
      const before = await world.datapath(0).drops();
      await world.fabric.inject({ ...known, srcPort: 0, dstPort: 0 });
      await world.fabric.inject({ ...known, from: world.fabric.stranger, srcPort: c.key, dstPort: a.key });
      await world.arrivesNowhere(frame, [a, b], c);
      await world.arrivesNowhere(frame, [x], y);
      assert.deepEqual(await world.datapath(0).drops(), before, "nobody's packet was lost");
    },
  },
  {
    name: "a tunnelled packet for a port of another network, or of none here, goes nowhere",
    run: async (world) => {
      await world.build(all);
      const forged = udp(4, y, a, world.mark());
      const packet = { from: world.host(1).address, to: world.host(0).address, srcPort: y.key, frame: forged };
      await world.drops(0, 2, "port-not-bound", async () => {
        await world.fabric.inject({ ...packet, key: 2, dstPort: a.key });
        await world.fabric.inject({ ...packet, key: 2, dstPort: c.key });
      });
      await world.arrivesNowhere(forged, [a, b], c);
      await world.arrivesNowhere(forged, [x], y);
    },
  },
  {
    name: "a flooded tunnelled packet goes to the ports here and not on to other hosts",
    run: async (world) => {
      await world.build(all);
      const before = await world.fabric.crossed();
      const frame = udpToAll(4, c, world.mark());
      const at = { from: world.host(1).address, to: world.host(0).address };
      await world.fabric.inject({ ...at, key: 1, srcPort: c.key, dstPort: 0, frame });
      await world.arrives(a, frame);
      await world.arrives(b, frame);
      assert.equal(await world.fabric.crossed(), before, "nothing goes on");
      await world.arrivesNowhere(frame, [e], a);
      await world.arrivesNowhere(frame, [x], y);
      assert.equal(world.count(a, frame), 1);
      assert.equal(world.count(b, frame), 1);
    },
  },
];
