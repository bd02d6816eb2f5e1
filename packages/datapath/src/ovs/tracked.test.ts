/** Security groups on real switches, with real machines: what connection tracking and clauses of rules come to. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Receiver, row, Sender } from "@selvage/pipeline";
import { Recorder } from "../testing/fabric.ts";
import { udp } from "../testing/frames.ts";
import { fragmentsOf, udpBetween } from "../testing/ip-frames.ts";
import type { Late } from "../testing/journal.ts";
import { ovsTestFabric } from "../testing/ovs-fabric.ts";
import { type TestPort, testPort } from "../testing/topology.ts";
import {
  a,
  anyIp,
  b,
  c,
  deadline,
  echoServer,
  listener,
  lost,
  missed,
  ping,
  policed,
  printed,
  ruleIn,
  setOf,
  settled,
  talker,
  toPort,
  trackedSwitches,
} from "../testing/tracked.ts";
import { delta } from "../testing/world.ts";

describe("Open vSwitch tracks connections", () => {
  const { switches, drivers, hostAt, base, ready, zoneOf, connections, counted, machines, during, pings, asks } =
    trackedSwitches();

  test("a ping of 10 ms loses no question while another rule takes the place of its own, and is cut with the last", {
    timeout: 60_000,
  }, async (context) => {
    const { left, there } = await machines(ruleIn(21, b, ping));
    await left.exec("ping", "-c", "1", "-W", "5", b.ip4);
    assert.match(await connections(b), /labels=0x[0-9a-f]*15\b/);
    const running = left.exec("ping", "-i", "0.01", "-c", "300", b.ip4);
    for (let turn = 0; turn < 10; turn += 1) {
      const [before, after] = turn % 2 === 0 ? [21, 22] : [22, 21];
      await there.apply(delta({ added: ruleIn(after, b, ping), removed: ruleIn(before, b, ping) }));
    }
    await there.apply(delta({ added: ruleIn(22, b, ping), removed: ruleIn(21, b, ping) }));
    // An answer that is on its way at the very moment of a change is of the rule that is gone, until its opener speaks again: with a busy kernel one or two.
    const [unanswered, revoked] = [missed(await running), await counted(there, "ct-rule-revoked")];
    assert.ok(
      unanswered.length <= Math.min(revoked, 11),
      `${unanswered} were not answered, ${revoked} answers revoked`,
    );
    assert.match(await connections(b), /labels=0x[0-9a-f]*16\b/, "the connection has the other rule's label");
    const cut = printed(left.exec("ping", "-i", "0.01", "-c", "200", "-W", "1", "-D", b.ip4));
    await settled("the ping goes", async () => (await counted(there, "sg-default-deny-ingress")) === 0);
    await there.apply(delta({ removed: ruleIn(22, b, ping) }));
    const end = Date.now() / 1000;
    const answered = [...(await cut).matchAll(/^\[([\d.]+)\].* icmp_seq=(\d+)/gm)];
    assert.ok(answered.length > 0 && answered.length < 200, `${answered.length} were answered`);
    context.diagnostic(
      `the last answer came ${(Number(answered.at(-1)?.[1]) - end).toFixed(3)} s after the last rule went`,
    );
    // From the first question that is refused on every one is: none is answered behind it.
    assert.equal(Number(answered.at(-1)?.[2]), answered.length);
    await settled("questions are refused", async () => (await counted(there, "sg-default-deny-ingress")) > 0);
  });

  test("answers pass without a rule of their own, here and between hosts; what is not asked for does not", {
    timeout: 60_000,
  }, async () => {
    const { left, right, beside, here } = await machines([...ruleIn(31, b, ping), ...ruleIn(32, c, ping, a)]);
    for (const [to4, to6] of [
      [b.ip4, b.ip6],
      [c.ip4, c.ip6],
    ] as const) {
      assert.equal(lost(await pings(left, to4)), "3 sent, 3");
      assert.equal(lost(await pings(left, to6)), "3 sent, 3");
    }
    assert.equal(lost(await pings(right, a.ip4)), "3 sent, 0");
    assert.equal(lost(await pings(beside, a.ip6)), "3 sent, 0");
    assert.equal(lost(await pings(right, c.ip4)), "3 sent, 0", "the rule names the other's set");
    assert.equal(await counted(here, "sg-default-deny-ingress"), 9);
    await here.apply(delta({ removed: ruleIn(32, c, ping, a) }));
    assert.equal(lost(await pings(left, c.ip4)), "3 sent, 0");
  });

  test("an answer is cut with the rule of what it answers, although the asker is silent", {
    timeout: 60_000,
  }, async () => {
    const { left, right, there } = await machines(ruleIn(33, b, toPort("tcp", 7000)));
    await during(right, talker(7000), async () => {
      await settled("it listens", async () => (await right.exec("ss", "-ltn")).includes(":7000"));
      const running = left.exec(process.execPath, "-e", listener(b.ip4, 7000));
      await settled("it talks", async () => /bytes_received:[1-9]\d/.test(await left.exec("ss", "-tni")));
      await there.apply(delta({ removed: ruleIn(33, b, toPort("tcp", 7000)) }));
      assert.match(await printed(running), /^[1-9]\d* and no more/, "the client hears no more");
      assert.ok((await counted(there, "ct-rule-revoked")) > 0, "what the server says is an answer to nothing allowed");
    });
  });

  test("an ICMP error about a connection reaches who opened it", { timeout: 60_000 }, async () => {
    const { left } = await machines([...ruleIn(34, b, toPort("udp", 5000)), ...ruleIn(35, c, toPort("udp", 5000))]);
    for (const [version, to] of [
      [4, b.ip4],
      [6, b.ip6],
      [4, c.ip4],
      [6, c.ip6],
    ] as const) {
      // Nobody listens there: the other's kernel says so, and the next use of the socket hears it.
      assert.deepEqual(await asks(left, version, to, 5000, 10, 1), ["ECONNREFUSED"], `${version} ${to}`);
      assert.deepEqual(await asks(left, version, to, 5001, 10, 1), ["nothing"], `${version} ${to}`);
    }
  });

  test("datagrams in fragments pass through a port that is allowed, both ways, and through no other", {
    timeout: 90_000,
  }, async () => {
    const rules = [...ruleIn(36, b, toPort("udp", 5000)), ...ruleIn(37, c, toPort("udp", 5000))];
    const { left, right, beside, here, there } = await machines(rules);
    for (const [machine, port] of [
      [right, b],
      [beside, c],
    ] as const) {
      for (const version of [4, 6] as const) {
        const to = version === 4 ? port.ip4 : port.ip6;
        for (const [number, answers] of [
          [5000, ["4000", "4000", "4000"]],
          [5001, ["nothing", "nothing", "nothing"]],
        ] as const) {
          await during(machine, echoServer(version, number), async () => {
            await settled("it listens", async () => (await machine.exec("ss", "-lun")).includes(`:${number}`));
            const got = await asks(left, version, to, number, 4_000);
            assert.deepEqual(got, answers, `IPv${version} from ${a.id} to ${port.id}:${number}`);
          });
        }
      }
    }
    for (const driver of [here, there]) assert.ok((await counted(driver, "sg-default-deny-ingress")) >= 3);
  });

  test("fragments that never become whole come out nowhere, not with another's packets either", {
    timeout: 60_000,
  }, async () => {
    const host = hostAt(0);
    const { driver, heard } = await ready(0);
    const seen = new Map<string, Uint8Array[]>();
    const d = testPort(4, 2, 0);
    const e = testPort(5, 2, 0);
    const ports = [a, c, d, e];
    const wires = new Map<TestPort, string>();
    for (const port of ports) {
      const frames: Uint8Array[] = [];
      seen.set(port.id, frames);
      wires.set(port, await host.plugWire(port.id, (frame) => frames.push(frame)));
    }
    await heard.attached.first((each) => each.length === ports.length, "all are attached", deadline);
    const rules = ports.flatMap((port, n) => ruleIn(40 + n, port, anyIp));
    await driver.adopt([...base(0, ports), ...ports.flatMap(policed), ...rules]);
    const wire = (port: TestPort) => wires.get(port) ?? assert.fail();
    // Many datagrams of the first network without their ends: the switch gives them up after 15 seconds.
    for (let n = 0; n < 60; n += 1) {
      const whole = udpBetween(4, a, c, { src: 6000, dst: 5000 }, new Uint8Array(2_000).fill(0xaa));
      const [first = assert.fail()] = fragmentsOf(whole, 1_400, n + 1);
      host.send(wire(a), first);
    }
    const expired = async () => {
      const told = await host.appctl("dpctl/ipf-get-status", "netdev@ovs-netdev");
      return Number(/v4 frags expired: (\d+)/.exec(told)?.[1]);
    };
    let mark = 0;
    const others = () => {
      mark += 1;
      host.send(wire(d), udp(4, d, e, mark));
    };
    const expiry = async () => {
      others();
      return (await expired()) >= 60;
    };
    // They go with what others send: so others do, until all have gone.
    for (let tries = 0; tries < 5 && !(await expiry()); tries += 1)
      await settled("the switch lets them go", expiry).catch((late: Late) => assert.ok(tries < 4, late));
    for (let more = 0; more < 20; more += 1) others();
    await settled("the others' packets come", async () => (seen.get(e.id)?.length ?? 0) >= mark - 1);
    for (const [id, frames] of seen)
      assert.equal(frames.filter((frame) => frame.includes(0xaa, 60) && frame.length > 1_000).length, 0, id);
    assert.ok((await counted(driver, "ct-invalid")) > 0, "they were dropped and counted");
  });

  test("a stateless port is asked of every packet, answers too", { timeout: 60_000 }, async () => {
    const { left, here } = await machines(ruleIn(38, b, ping));
    const stateless = [
      row(Sender, { srcPort: a.key }, "stateless", { set: setOf(a) }),
      row(Receiver, { dstPort: a.key }, "stateless", { set: setOf(a) }),
    ];
    assert.equal(lost(await pings(left, b.ip4)), "3 sent, 3");
    const tracked = policed(a).filter(({ table }) => table === "sender" || table === "receiver");
    const zone = await zoneOf(a);
    await here.apply(
      delta({ modified: stateless.map((after, at) => ({ before: tracked[at] ?? assert.fail(), after })) }),
    );
    assert.equal(lost(await pings(left, b.ip4)), "3 sent, 0");
    await here.apply(delta({ added: ruleIn(39, a, ping) }));
    assert.equal(lost(await pings(left, b.ip4)), "3 sent, 3");
    assert.equal(lost(await pings(left, b.ip6)), "3 sent, 3");
    const recorded = await hostAt(0).vsctl("get", "bridge", "br-int", "external_ids");
    assert.ok(!recorded.includes(a.id), "its zone is given back");
    assert.equal(
      (await hostAt(0).appctl("dpctl/dump-conntrack", "netdev@ovs-netdev", `zone=${zone}`)).trim(),
      "",
      "and forgotten",
    );
  });

  test("a clause that is lost behind the driver's back is told with its rule, and put again", async () => {
    const fabric = await ovsTestFabric(switches());
    const [host = assert.fail()] = fabric.hosts;
    const heard = new Recorder();
    await host.datapath.open(heard);
    try {
      await heard.life.first((event) => event === "ready", "ready", deadline);
      const rules = [...ruleIn(51, a, ping), ...ruleIn(52, c, ping), ...ruleIn(53, a, anyIp, c)];
      const wanted = [...base(0), ...policed(a), ...policed(c), ...rules];
      await host.datapath.adopt(wanted);
      const installed = async () =>
        (await host.datapath.installed()).flatMap(({ row: each }) => (each === null ? ["nobody's"] : [each.id])).sort();
      const whole = await installed();
      assert.deepEqual(
        rules.filter(({ id }) => !whole.includes(id)),
        [],
      );
      assert.ok(!whole.includes("nobody's"));
      // Both rules ask the same of a service: they share the flow.
      const lostOne = rules.find(
        ({ table, rank, key }) => table === "policy_in" && rank === "service" && key.rule === 51,
      );
      assert.ok(lostOne !== undefined);
      await host.lose(lostOne);
      assert.deepEqual(
        await installed(),
        whole.filter((id) => id !== lostOne.id),
      );
      const { differences, kept, ...counts } = await host.datapath.adopt(wanted);
      assert.deepEqual(counts, { added: 1, changed: 0, removed: 0 });
      assert.deepEqual([kept, differences?.length], [wanted.length - 1, 1]);
      assert.deepEqual([differences?.[0]?.what, differences?.[0]?.row], ["missing", lostOne.id]);
      assert.match(differences?.[0]?.wanted ?? "", /conjunction\(51,2\/2\),conjunction\(52,2\/2\)/);
      assert.deepEqual(await installed(), whole);
    } finally {
      await fabric.dispose();
    }
  });

  describe("zones", () => {
    test("a port keeps its zone, limited, through restarts of the driver; one that goes is forgotten", {
      timeout: 60_000,
    }, async () => {
      const { left, here } = await machines([...ruleIn(21, b, ping), ...ruleIn(22, c, ping)]);
      await left.exec("ping", "-c", "1", "-W", "5", c.ip4);
      const zones = [await zoneOf(a), await zoneOf(c)];
      assert.deepEqual(zones.toSorted(), [64, 65]);
      const limits = await hostAt(0).appctl("dpctl/ct-get-limits", "netdev@ovs-netdev");
      for (const zone of zones) assert.match(limits, new RegExp(`zone=${zone},limit=20000,count=1`));
      const running = left.exec("ping", "-i", "0.01", "-c", "200", c.ip4);
      await here.close();
      const wanted = [...base(0), ...policed(a), ...policed(c), ...ruleIn(21, b, ping), ...ruleIn(22, c, ping)];
      const { driver: next } = await ready(0);
      const { added, changed, removed } = await next.adopt(wanted);
      assert.deepEqual({ added, changed, removed }, { added: 0, changed: 0, removed: 0 });
      assert.deepEqual(missed(await running), []);
      assert.deepEqual([await zoneOf(a), await zoneOf(c)], zones);
      await next.close();
      // The agent was away when the port went.
      const { driver: last } = await ready(0);
      await last.adopt(wanted.filter((each) => !policed(c).some(({ id }) => id === each.id)));
      assert.match(await hostAt(0).vsctl("get", "bridge", "br-int", "external_ids"), new RegExp(a.id));
      assert.doesNotMatch(await hostAt(0).vsctl("get", "bridge", "br-int", "external_ids"), new RegExp(c.id));
      const left64 = await hostAt(0).appctl("dpctl/dump-conntrack", "netdev@ovs-netdev", `zone=${zones[1]}`);
      assert.equal(left64.trim(), "");
      assert.doesNotMatch(
        await hostAt(0).appctl("dpctl/ct-get-limits", "netdev@ovs-netdev"),
        new RegExp(`zone=${zones[1]},`),
      );
    });

    test("who has as many connections as a port can has no others, and no other port is the worse for it", {
      timeout: 60_000,
    }, async () => {
      const { left, there } = await machines([...ruleIn(21, b, ping), ...ruleIn(22, c, ping)]);
      const running = left.exec("ping", "-i", "0.02", "-c", "150", b.ip4);
      await settled("it goes", async () => /icmp/.test(await connections(b)));
      const full = `zone=${await zoneOf(b)},limit=1`;
      await hostAt(1).appctl("dpctl/ct-set-limits", "netdev@ovs-netdev", full);
      assert.equal(lost(await pings(left, b.ip6)), "3 sent, 0");
      assert.equal(await counted(there, "connection-limit"), 3);
      assert.equal(await counted(there, "ct-invalid"), 0);
      assert.match(await hostAt(1).appctl("dpctl/ct-get-limits", "netdev@ovs-netdev"), new RegExp(`${full},count=1`));
      assert.equal(lost(await pings(left, c.ip4)), "3 sent, 3");
      assert.deepEqual(missed(await running), [], "what it has goes on");
    });

    test("where there are none left a port waits, which is told, and has one when another's has rested", {
      timeout: 60_000,
    }, async () => {
      const told: (readonly string[])[] = [];
      const heard = new Recorder();
      const driver = switches().driver(0, { zones: { first: 100, last: 100, rest: 300, connections: 20 } });
      drivers.push(driver);
      await driver.open(
        Object.assign(heard, { faults: (faults: ReadonlyMap<string, string>) => told.push([...faults].flat()) }),
      );
      await heard.life.first((event) => event === "ready", "ready", deadline);
      await driver.adopt([...base(0), ...policed(a)]);
      await driver.apply(delta({ added: policed(c) }));
      assert.deepEqual(told, [[c.id, "ct-zone-full"]]);
      const held = async () =>
        (await driver.installed()).flatMap(({ row: each }) => (each?.table === "sender" ? [each.key.srcPort] : []));
      assert.deepEqual(await held(), [a.key]);
      await driver.apply(delta({ removed: policed(a) }));
      await settled("the other has it", async () => (await held()).includes(c.key));
      assert.equal(await zoneOf(c), 100);
      assert.deepEqual(told, [[c.id, "ct-zone-full"], []]);
    });
  });
});
