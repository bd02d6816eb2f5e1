/** Checks of routers: what they send on and how it looks then, what they answer, what they refuse and report, and how several next hops are shared. */
import assert from "node:assert/strict";
import { EthType, GuardIp, IpProto, row, ToRouter } from "@selvage/pipeline";
import type { Punt } from "../datapath.ts";
import type { Check } from "./check.ts";
import { neighbourSolicitation, routerSolicitation, type Speaker, udpOfSize } from "./frames.ts";
import { ping, tcp, udpBetween } from "./ip-frames.ts";
import { onePort, policyRows, type TestMember } from "./policy-topology.ts";
import { type RouterPlan, routerRowsFor, testInterface } from "./router-topology.ts";
import { type TestPort, testMtu, testPort } from "./topology.ts";
import { sameBytes, type World } from "./world.ts";

const a = testPort(1, 1, 0);
const c = testPort(3, 1, 1);
const x = testPort(6, 2, 0);
const y = testPort(7, 2, 1);
const all = [a, c, x, y] as const;

const one = testInterface(1, 1);
const two = testInterface(1, 2);
const plain: RouterPlan = { interfaces: [one, two] };

/** Builds the ports and a router's rows on every host. */
async function route(world: World, plan: RouterPlan, policed: readonly TestMember[] = []): Promise<void> {
  await world.build(all);
  for (const place of world.placesOf(all)) {
    const rows = [
      ...world.rows(place, all),
      ...routerRowsFor(place, all, world.addresses, plan),
      ...policyRows(place, policed, rules),
    ];
    await world.datapath(place).adopt([...new Map(rows.map((each) => [each.id, each])).values()]);
  }
}

const rules = ([4, 6] as const).flatMap((version) => [
  { number: 10 + version, direction: "egress", version, own: [1], service: "any" } as const,
  {
    number: 20 + version,
    direction: "ingress",
    version,
    own: [2],
    service: { protocol: IpProto.tcp, ports: [onePort(80)] },
    remote: { sets: [1] },
  } as const,
]);

/** To an address beyond the router: what the sender puts on the wire, and what comes out at the other end after so many routers. */
function routedPair(
  version: 4 | 6,
  from: Speaker,
  gateway: Speaker,
  last: Speaker,
  to: Speaker,
  mark: number,
  routers = 1,
) {
  const frame = (source: string, destination: string, ttl: number): Uint8Array =>
    udpBetween(
      version,
      { ...from, mac: source },
      { ...to, mac: destination },
      { src: 30_000 + (mark % 30_000), dst: 40_001 },
      Uint8Array.of(mark >> 8, mark & 255, 0, 0, 0, 0, 0, 0),
      { ttl },
    );
  return { sent: frame(from.mac, gateway.mac, 64), got: frame(last.mac, to.mac, 64 - routers) };
}

/** Waits for a report of a kind, which bears the packet as its sender sent it but for what the router has done to it. */
async function reports(world: World, from: TestPort, frame: Uint8Array, kind: Punt["kind"]): Promise<Punt> {
  const { punts } = world.heard(from.host);
  const seen = punts.all.length;
  await world.send(from, frame);
  const punt = await punts.first((each) => each.kind === kind, `a report of ${kind}`, world.deadline, seen);
  assert.equal(punt.attachment, from.id);
  assert.equal(punt.srcPort, from.key);
  return punt;
}

/** A frame is reported to the agent and dropped. */
async function refused(
  world: World,
  from: TestPort,
  frame: Uint8Array,
  kind: Punt["kind"],
  reason: Parameters<World["dropped"]>[1],
): Promise<Punt> {
  let punt: Punt | undefined;
  await world.drops(from.host, 1, reason, async () => {
    punt = await reports(world, from, frame, kind);
  });
  assert.ok(punt !== undefined);
  return punt;
}

export const routerChecks: readonly Check[] = [
  {
    name: "a router sends on to another network, here and on another host, with its own MAC, the next hop's, and one hop less",
    run: async (world) => {
      await route(world, plain);
      const before = await world.fabric.crossed();
      for (const version of [4, 6] as const) {
        for (const [from, gateway, last, to] of [
          [a, one, two, x],
          [a, one, two, y],
          [y, two, one, a],
          [x, two, one, c],
        ] as const) {
          const { sent, got } = routedPair(version, from, gateway, last, to, world.mark());
          await world.passes(sent, from, to, got, `IPv${version} is routed from ${from.id} to ${to.id}`);
        }
      }
      await world.until("each crossed once", async () => (await world.fabric.crossed()) === before + 6);
      await world.reaches(a, c);
    },
  },
  {
    name: "a router answers pings to its addresses with what was asked, on the asking host, and checksums that are right",
    run: async (world) => {
      await route(world, plain);
      const before = await world.fabric.crossed();
      for (const version of [4, 6] as const) {
        // To the address of the network it stands on, and to that of the other.
        for (const address of [one, two]) {
          const self = { ...address, mac: one.mac };
          const id = world.mark();
          await world.send(a, ping(version, "request", a, self, { id, sequence: 0 }, { ttl: 3 }));
          await world.arrives(a, ping(version, "reply", self, a, { id, sequence: 0 }, { ttl: 64 }), "the answer");
        }
      }
      assert.equal(await world.fabric.crossed(), before);
      assert.equal(world.heard(0).punts.all.length, 0, "the agent is not asked");
    },
  },
  {
    name: "what may go no hop further is reported with its network and router, and dropped; one hop more is enough",
    run: async (world) => {
      await route(world, plain);
      for (const version of [4, 6] as const) {
        for (const ttl of [0, 1]) {
          const frame = udpBetween(version, a, { ...x, mac: one.mac }, { src: 1, dst: world.mark() }, undefined, {
            ttl,
          });
          const { net, vrf, frame: bytes } = await refused(world, a, frame, "ttl-expired", "ttl-expired");
          assert.deepEqual({ net, vrf }, { net: 1, vrf: 1 });
          assert.ok(sameBytes(bytes, frame), "it is as it was sent");
        }
        const ports = { src: 1, dst: world.mark() };
        const sent = udpBetween(version, a, { ...x, mac: one.mac }, ports, undefined, { ttl: 2 });
        const got = udpBetween(version, { ...a, mac: two.mac }, x, ports, undefined, { ttl: 1 });
        await world.passes(sent, a, x, got);
      }
    },
  },
  {
    name: "where there is no route a packet is reported and dropped; what no router sends on is dropped in silence",
    run: async (world) => {
      await route(world, plain);
      const to = (version: 4 | 6, ip: string): Uint8Array =>
        udpBetween(version, a, { mac: one.mac, ip4: ip, ip6: ip }, { src: 1, dst: world.mark() });
      for (const frame of [to(4, "10.77.0.1"), to(6, "2001:db8:77::1")]) {
        const { net, vrf } = await refused(world, a, frame, "no-route", "no-route");
        assert.deepEqual({ net, vrf }, { net: 1, vrf: 1 });
      }
      const heard = world.heard(0).punts.all.length;
      const never = [to(4, "169.254.1.1"), to(4, "224.0.0.9"), to(4, "127.0.0.1"), to(4, "255.255.255.255")];
      for (const frame of [...never, to(6, "fe80::1"), to(6, "ff02::1")])
        await world.drops(0, 1, "no-route", () => world.send(a, frame));
      assert.equal(world.heard(0).punts.all.length, heard, "nothing is reported");
    },
  },
  {
    name: "a router has nothing at its addresses but its answer to a ping, and says so",
    run: async (world) => {
      await route(world, plain);
      for (const version of [4, 6] as const) {
        const self = { ...two, mac: one.mac };
        for (const frame of [
          udpBetween(version, a, self, { src: 1, dst: 53 }),
          tcp(version, a, self, { src: 1, dst: 22 }),
          ping(version, "reply", a, self, { id: 1 }),
        ]) {
          const { net, vrf, frame: bytes } = await refused(world, a, frame, "port-unreachable", "router-port-closed");
          assert.deepEqual({ net, vrf }, { net: 1, vrf: 1 });
          assert.ok(sameBytes(bytes, frame));
        }
      }
    },
  },
  {
    name: "a next hop that nobody has is reported and dropped",
    run: async (world) => {
      await route(world, plain);
      for (const version of [4, 6] as const) {
        const nobody = { mac: one.mac, ip4: "10.0.2.222", ip6: "2001:db8:2::dead" };
        const frame = udpBetween(version, a, nobody, { src: 1, dst: world.mark() });
        const { vrf } = await refused(world, a, frame, "host-unreachable", "neighbour-unresolved");
        assert.equal(vrf, 1);
      }
    },
  },
  {
    name: "a router that is down drops, and the networks themselves go on",
    run: async (world) => {
      await route(world, plain);
      const { sent } = routedPair(4, a, one, two, x, world.mark());
      const before = row(ToRouter, { net: 1, ethDst: one.mac }, "router", { vrf: 1 });
      const after = row(ToRouter, { net: 1, ethDst: one.mac }, "routerDown");
      await world.datapath(0).apply({ added: [], removed: [], modified: [{ before, after }] });
      await world.isDropped(sent, a, x, "router-admin-down");
      await world.reaches(a, c);
      const back = routedPair(4, x, two, one, a, world.mark());
      await world.passes(back.sent, x, a, back.got);
    },
  },
  {
    name: "networks of different address scopes are not routed to each other",
    run: async (world) => {
      await route(world, { ...plain, scopes: new Map([[1, 7]]) });
      for (const version of [4, 6] as const) {
        const there = routedPair(version, a, one, two, x, world.mark());
        await world.isDropped(there.sent, a, x, "address-scope");
        const back = routedPair(version, x, two, one, a, world.mark());
        await world.isDropped(back.sent, x, a, "address-scope");
        const own = testInterface(1, 1);
        await world.send(a, ping(version, "request", a, own, { id: 5 }));
        await world.arrives(a, ping(version, "reply", own, a, { id: 5 }), "the router itself answers");
      }
    },
  },
  {
    name: "what comes from a link-local address is answered by a router, and not sent on",
    run: async (world) => {
      await route(world, plain);
      const from = { ...a, ip4: "169.254.7.7", ip6: "fe80::7" };
      const keys = [
        { ethType: EthType.ipv4, ip4Src: `${from.ip4}/32` },
        { ethType: EthType.ipv6, ip6Src: `${from.ip6}/128` },
      ];
      const added = keys.map((key) => row(GuardIp, { srcPort: a.key, ...key }, "pass", {}, "allowed"));
      await world.datapath(0).apply({ added, removed: [], modified: [] });
      for (const version of [4, 6] as const) {
        const { sent } = routedPair(version, from, one, two, x, world.mark());
        await world.isDropped(sent, a, x, "source-link-local");
        await world.send(a, ping(version, "request", from, one, { id: 6 }));
        await world.arrives(a, ping(version, "reply", one, from, { id: 6 }), "the router itself answers");
      }
    },
  },
  {
    name: "a packet passes four routers and no fifth, and one that goes round in circles ends",
    run: async (world) => {
      // Routers 1 to 5 stand on both networks; each prefix goes by so many of them as its second number says, and out to y.
      const numbers = [1, 2, 3, 4, 5] as const;
      const interfaces = numbers.flatMap((vrf) => [testInterface(vrf, 1), testInterface(vrf, 2)]);
      const net = (vrf: number): number => (vrf % 2 === 1 ? 2 : 1);
      const chain = (routers: number, prefix4: string, prefix6: string) =>
        numbers.slice(0, routers).flatMap((vrf) => {
          const out = net(vrf);
          const next = testInterface(vrf + 1, out);
          const last = out === 2 ? y : c;
          const isLast = vrf === routers;
          return [
            { vrf, prefix: prefix4, via: [{ net: out, nh: isLast ? last.ip4 : next.ip4 }] },
            { vrf, prefix: prefix6, via: [{ net: out, nh: isLast ? last.ip6 : next.ip6 }] },
          ];
        });
      const circle = [
        { vrf: 1, prefix: "10.60.0.0/16", via: [{ net: 2, nh: testInterface(2, 2).ip4 }] },
        { vrf: 2, prefix: "10.60.0.0/16", via: [{ net: 1, nh: testInterface(1, 1).ip4 }] },
      ];
      const routes = [
        ...chain(3, "10.53.0.0/16", "2001:db8:53::/48"),
        ...chain(4, "10.54.0.0/16", "2001:db8:54::/48"),
        ...chain(5, "10.55.0.0/16", "2001:db8:55::/48"),
        ...circle,
      ];
      await route(world, { interfaces, routes });
      const beyond = (to: Speaker, ip4: string, ip6: string): Speaker => ({ mac: to.mac, ip4, ip6 });
      for (const version of [4, 6] as const) {
        const third = beyond(y, "10.53.0.1", "2001:db8:53::1");
        const three = routedPair(version, a, one, testInterface(3, 2), third, world.mark(), 3);
        await world.passes(three.sent, a, y, three.got, "by three routers");
        const fourth = beyond(c, "10.54.0.1", "2001:db8:54::1");
        const four = routedPair(version, a, one, testInterface(4, 1), fourth, world.mark(), 4);
        await world.passes(four.sent, a, c, four.got, "by four routers");
        const fifth = beyond(y, "10.55.0.1", "2001:db8:55::1");
        const five = routedPair(version, a, one, testInterface(5, 2), fifth, world.mark(), 5);
        await world.isDropped(five.sent, a, y, "loop-detected");
        assert.equal(world.count(y, five.got), 0, "by five routers");
      }
      const round = udpBetween(4, a, { mac: one.mac, ip4: "10.60.0.1", ip6: "::" }, { src: 1, dst: 2 });
      await world.isDropped(round, a, y, "loop-detected");
    },
  },
  {
    name: "of several next hops a flow takes one and stays with it, and flows take all of them",
    run: async (world) => {
      const routes = [
        { vrf: 1, prefix: "10.90.0.0/16", via: [x, y].map(({ ip4 }) => ({ net: 2, nh: ip4 })) },
        { vrf: 1, prefix: "2001:db8:90::/48", via: [x, y].map(({ ip6 }) => ({ net: 2, nh: ip6 })) },
      ];
      await route(world, { ...plain, routes });
      for (const version of [4, 6] as const) {
        const taken = new Map<string, number>();
        for (let flow = 0; flow < 40; flow += 1) {
          const ports = { src: 20_000 + flow, dst: 80 };
          const ends = new Set<string>();
          for (let n = 0; n < 3; n += 1) {
            const payload = Uint8Array.of(n, flow, version, 0);
            const far = { mac: one.mac, ip4: "10.90.0.1", ip6: "2001:db8:90::1" };
            await world.send(a, udpBetween(version, a, far, ports, payload));
            const got = (to: TestPort) =>
              udpBetween(version, { ...a, mac: two.mac }, { ...far, mac: to.mac }, ports, payload, { ttl: 63 });
            await Promise.any([x, y].map((to) => world.arrives(to, got(to), `flow ${flow} arrives`)));
            const takers = [x, y].filter((to) => world.count(to, got(to)) > 0);
            assert.equal(takers.length, 1, "one of them gets it");
            for (const { id } of takers) ends.add(id);
          }
          assert.equal(ends.size, 1, "a flow stays with its next hop");
          for (const id of ends) taken.set(id, (taken.get(id) ?? 0) + 1);
        }
        for (const { id } of [x, y]) assert.ok((taken.get(id) ?? 0) >= 5, `${id} gets its share: ${taken.get(id)}`);
      }
    },
  },
  {
    name: "what is too large for the network that it is routed to is reported and dropped",
    run: async (world) => {
      await route(world, plain);
      for (const version of [4, 6] as const) {
        const through = { ...y, mac: one.mac };
        const frame = udpOfSize(version, a, through, world.mark(), testMtu + 1);
        const { net, vrf } = await refused(world, a, frame, "mtu-exceeded", "mtu-exceeded");
        assert.deepEqual({ net, vrf }, { net: 2, vrf: 1 });
        const full = udpOfSize(version, a, through, world.mark(), testMtu);
        await world.send(a, full);
        await world
          .arrived(y)
          .first(
            (each) => each.length === full.length && sameBytes(each.subarray(54), full.subarray(54)),
            "a full one",
            world.deadline,
          );
      }
    },
  },
  {
    name: "a routed connection is policed at both ends, wherever they are",
    run: async (world) => {
      const members: readonly TestMember[] = [
        { port: a, set: 1 },
        { port: x, set: 2 },
        { port: y, set: 2 },
      ];
      await route(world, plain, members);
      for (const version of [4, 6] as const) {
        for (const to of [x, y]) {
          const ports = { src: 30_000 + world.mark(), dst: 80 };
          const back = { src: 80, dst: ports.src };
          const sent = tcp(version, a, { ...to, mac: one.mac }, { ...ports, seq: 1 });
          const got = tcp(version, { ...a, mac: two.mac }, to, { ...ports, seq: 1 }, undefined, { ttl: 63 });
          await world.passes(sent, a, to, got);
          const segment = { ...back, flags: 18, seq: 9, ack: 2 };
          const answer = tcp(version, to, { ...a, mac: two.mac }, segment);
          const answered = tcp(version, { ...to, mac: one.mac }, a, segment, undefined, { ttl: 63 });
          await world.passes(answer, to, a, answered);
          const closed = tcp(version, a, { ...to, mac: one.mac }, { ...ports, dst: 81 });
          await world.isDropped(closed, a, to, "sg-default-deny-ingress", to.host);
          const opened = tcp(version, to, { ...a, mac: two.mac }, { src: 1, dst: 2 });
          await world.isDropped(opened, to, a, "sg-default-deny-egress");
        }
        // Of a set that no rule names.
        const stranger = tcp(version, c, { ...x, mac: one.mac }, { src: 1, dst: 80 });
        await world.isDropped(stranger, c, x, "sg-default-deny-ingress", x.host);
      }
    },
  },
  {
    name: "a router solicitation is the agent's to answer",
    run: async (world) => {
      await route(world, plain);
      const frame = routerSolicitation(a);
      const punt = await reports(world, a, frame, "rs");
      assert.equal(punt.net, 1);
      assert.ok(sameBytes(punt.frame, frame));
      await world.send(a, neighbourSolicitation(a, one.ip6));
      await world.heard(0).punts.first((each) => each.kind === "nd", "the router is a neighbour", world.deadline);
    },
  },
];
