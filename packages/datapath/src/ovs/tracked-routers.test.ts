/** Routers on real switches, with real machines: pings, reports, choices of next hops. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decode } from "@selvage/packet";
import {
  Carriage,
  EthType,
  L2,
  Neighbour,
  NextHops,
  Route,
  RouterIn,
  type Row,
  row,
  ToRouter,
  TunnelSource,
} from "@selvage/pipeline";
import { udpBetween } from "../testing/ip-frames.ts";
import type { Machine } from "../testing/ovs-host.ts";
import { rowsFor, testPort } from "../testing/topology.ts";
import { a, deadline, lost, ping, policed, printed, ruleIn, settled, trackedSwitches } from "../testing/tracked.ts";
import { delta } from "../testing/world.ts";

describe("Open vSwitch routes", () => {
  const { hostAt, addresses, ready, counted, pings } = trackedSwitches();

  describe("routers", () => {
    const mac = { one: "fa:16:3e:ff:00:01", two: "fa:16:3e:ff:00:02" };
    const vrf = 9;
    const d = testPort(6, 2, 1);
    const e = testPort(7, 2, 0);
    /** The router of both networks, whole on each host. */
    const router: readonly Row[] = [
      row(ToRouter, { net: 1, ethDst: mac.one }, "router", { vrf }),
      row(ToRouter, { net: 2, ethDst: mac.two }, "router", { vrf }),
      ...[1, 2].flatMap((net) => [
        row(
          RouterIn,
          { vrf, ethType: EthType.ipv4, ip4Dst: `10.0.${net}.1/32`, ipProto: 1, icmpType: 8 },
          "echo4",
          {},
          "echo",
        ),
        row(
          RouterIn,
          { vrf, ethType: EthType.ipv6, ip6Dst: `2001:db8:${net}::fffe/128`, ipProto: 58, icmp6Type: 128 },
          "echo6",
          {},
          "echo",
        ),
        row(RouterIn, { vrf, ethType: EthType.ipv4, ip4Dst: `10.0.${net}.1/32` }, "closed", {}, "own"),
        row(Route, { vrf, ethType: EthType.ipv4, ip4Dst: `10.0.${net}.0/24` }, "connected4", {
          net,
          mac: net === 1 ? mac.one : mac.two,
        }),
        row(Route, { vrf, ethType: EthType.ipv6, ip6Dst: `2001:db8:${net}::/64` }, "connected6", {
          net,
          mac: net === 1 ? mac.one : mac.two,
        }),
      ]),
      row(Neighbour, { net: 1, nh: "10.0.1.1" }, "known", { mac: mac.one }),
      row(Neighbour, { net: 2, nh: "10.0.2.1" }, "known", { mac: mac.two }),
    ];
    /** Both networks whole on both hosts, as behind a router they are. */
    const near = (place: number): readonly Row[] => {
      const ports = [a, d, e];
      const own = rowsFor(place, ports, addresses());
      const whole = ports
        .filter(({ net }) => !ports.some((each) => each.net === net && each.host === place))
        .flatMap((port) => [
          row(
            L2,
            { net: port.net, ethDst: `${port.mac}/ff:ff:ff:ff:ff:ff` },
            "remote",
            { port: port.key, host: port.host + 1 },
            "port",
          ),
          row(Neighbour, { net: port.net, nh: port.ip4 }, "known", { mac: port.mac }),
          row(Neighbour, { net: port.net, nh: port.ip6 }, "known", { mac: port.mac }),
          row(Carriage, { net: port.net }, "carry", { largest: 1456, encapsulation: 0 }, "network"),
        ]);
      const sources = [1, 2].map((net) =>
        row(
          TunnelSource,
          { ingress: "fabric", tunKey: net, tunSrc: addresses()[1 - place] ?? "" },
          "accept",
          {},
          "host",
        ),
      );
      return [...new Map([...own, ...whole, ...sources].map((each) => [each.id, each])).values()];
    };
    const routed = async () => {
      const [one, two] = [await ready(0), await ready(1)];
      const made: Machine[] = [];
      for (const port of [a, d, e])
        made.push(await hostAt(port.host).plugMachine(port.id, port.mac, [`${port.ip4}/24`, `${port.ip6}/64`]));
      for (const [place, { driver, heard }] of [one, two].entries()) {
        const here = [a, d, e].filter(({ host }) => host === place);
        await heard.attached.first((each) => each.length === here.length, `machines of host ${place}`, deadline);
        const rules = here.flatMap((port) => [...policed(port), ...ruleIn(port.key + 500, port, ping)]);
        await driver.adopt([...near(place), ...router, ...rules]);
      }
      for (const [at, machine] of made.entries()) {
        const net = at === 0 ? 1 : 2;
        const way = net === 1 ? mac.one : mac.two;
        await machine.exec("ip", "route", "add", "default", "via", `10.0.${net}.1`);
        await machine.exec("ip", "-6", "route", "add", "default", "via", `2001:db8:${net}::fffe`);
        await machine.exec("ip", "neighbour", "replace", `2001:db8:${net}::fffe`, "lladdr", way, "dev", "eth0");
      }
      const [left = assert.fail(), far = assert.fail(), close = assert.fail()] = made;
      return { left, far, close, one, two };
    };

    test("a guest's pings are answered by the router, and by machines behind it, here and on another host", {
      timeout: 60_000,
    }, async () => {
      const { left, far } = await routed();
      for (const to of ["10.0.1.1", "10.0.2.1", "2001:db8:1::fffe", "2001:db8:2::fffe"])
        assert.equal(lost(await pings(left, to)), "3 sent, 3", to);
      for (const to of [d.ip4, d.ip6, e.ip4, e.ip6]) {
        const text = await printed(left.exec("ping", "-c", "3", "-i", "0.1", "-W", "1", to));
        assert.equal(lost(text), "3 sent, 3", to);
        assert.match(text, /ttl=63/, "one hop");
      }
      assert.equal(lost(await pings(far, a.ip4)), "3 sent, 3");
    });

    test("what a router does not send on is reported, with the router, and dropped for its reason", {
      timeout: 60_000,
    }, async () => {
      const { left, one } = await routed();
      for (const [reason, kind, ...ping] of [
        ["ttl-expired", "ttl-expired", "-t", "1", d.ip4],
        ["ttl-expired", "ttl-expired", "-t", "1", d.ip6],
        ["no-route", "no-route", "10.9.9.9"],
        ["neighbour-unresolved", "host-unreachable", "10.0.2.200"],
      ] as const) {
        const from = one.heard.punts.all.length;
        const before = await counted(one.driver, reason);
        assert.match(await pings(left, ping.at(-1) ?? "", ...ping.slice(0, -1)), /0 received/);
        const punt = await one.heard.punts.first((each) => each.kind === kind, kind, deadline, from);
        assert.deepEqual([punt.attachment, punt.srcPort, punt.vrf], [a.id, a.key, vrf]);
        const read = decode(punt.frame);
        assert.equal(
          read.ok && (read.packet.ipv4?.src ?? read.packet.ipv6?.src),
          ping.at(-1)?.includes(":") ? a.ip6 : a.ip4,
        );
        await settled("all three are counted", async () => (await counted(one.driver, reason)) === before + 3);
      }
      // A flood of them: the agent hears some, and every packet is counted once, for its own reason.
      const before = await counted(one.driver, "no-route");
      await printed(left.exec("ping", "-q", "-f", "-c", "300", "-W", "1", "10.9.9.9"));
      await settled("the flood is counted", async () => (await counted(one.driver, "no-route")) === before + 300);
      assert.equal(await counted(one.driver, "punt-rate"), 0);
      const heard = one.heard.punts.all.filter(({ kind }) => kind === "no-route").length;
      assert.ok(heard < 200, `${heard} were heard`);
    });

    test("packets of one flow take one of several next hops, and flows take all of them", {
      timeout: 60_000,
    }, async () => {
      const host = hostAt(0);
      const { driver, heard } = await ready(0);
      const hops = [testPort(8, 2, 0), testPort(9, 2, 0), testPort(10, 2, 0)];
      const taken: { hop: number; src: number; ttl: number; from: string }[] = [];
      const wire = await host.plugWire(a.id, () => undefined);
      for (const [at, hop] of hops.entries())
        await host.plugWire(hop.id, (frame) => {
          const read = decode(frame);
          if (!read.ok || read.packet.udp === undefined) return;
          const { ipv4, ipv6, udp: ports, eth } = read.packet;
          taken.push({ hop: at, src: ports.src, ttl: ipv4?.ttl ?? ipv6?.hopLimit ?? 0, from: eth.src });
        });
      await heard.attached.first((each) => each.length === 4, "all are attached", deadline);
      const members = hops.map((hop, at) =>
        [4, 6].map((version) =>
          row(NextHops, { vrf, route: version, hop: at + 1 }, "via", {
            net: 2,
            mac: mac.two,
            nh: version === 4 ? hop.ip4 : hop.ip6,
          }),
        ),
      );
      const wanted = [
        ...rowsFor(0, [a, ...hops], addresses()),
        ...router,
        row(Route, { vrf, ethType: EthType.ipv4, ip4Dst: "0.0.0.0/0" }, "several", { route: 4 }),
        row(Route, { vrf, ethType: EthType.ipv6, ip6Dst: "::/0" }, "several", { route: 6 }),
        ...members.slice(0, 2).flat(),
      ];
      await driver.adopt(wanted);
      const { added, changed, removed } = await driver.adopt(wanted);
      assert.deepEqual(
        { added, changed, removed },
        { added: 0, changed: 0, removed: 0 },
        "a choice is read back as it is",
      );
      const far = { mac: mac.one, ip4: "198.51.100.7", ip6: "2001:db8:99::7" };
      const flows = Array.from({ length: 30 }, (_, n) => 20_000 + n);
      const sent = async (version: 4 | 6) => {
        taken.splice(0);
        for (let turn = 0; turn < 3; turn += 1)
          for (const src of flows) host.send(wire, udpBetween(version, a, far, { src, dst: 5300 }));
        await settled("all arrive", async () => taken.length === 3 * flows.length);
        const byFlow = Map.groupBy(taken, ({ src }) => src);
        for (const [src, packets] of byFlow)
          assert.equal(new Set(packets.map(({ hop }) => hop)).size, 1, `flow ${src}`);
        for (const { ttl, from } of taken) assert.deepEqual([ttl, from], [63, mac.two]);
        return new Map([...byFlow].map(([src, [first]]) => [src, first?.hop ?? -1]));
      };
      for (const version of [4, 6] as const) {
        const before = await sent(version);
        assert.deepEqual([...new Set(before.values())].sort(), [0, 1]);
        await driver.apply(delta({ added: members[2]?.filter((_, at) => at === (version === 4 ? 0 : 1)) ?? [] }));
        const after = await sent(version);
        assert.deepEqual([...new Set(after.values())].sort(), [0, 1, 2]);
        const moved = [...before].filter(([src, hop]) => after.get(src) !== hop);
        assert.ok(
          moved.every(([src]) => after.get(src) === 2),
          "who moves goes to the new one",
        );
      }
    });
  });
});
