/** What is Open vSwitch's own, against real switches: its configuration, restarts under traffic, limits, drift, and what it refuses. */
import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { createLog, type Log, ManualClock, realClock } from "@selvage/base";
import { act, bucket, Connection, connectSocket, flowMod, groupMod } from "@selvage/openflow";
import {
  action,
  Deliver,
  decrementTtl,
  drop,
  exact,
  F,
  makeRow,
  Neighbour,
  optional,
  program,
  row,
  selvageProgram,
  TunnelOut,
  table,
} from "@selvage/pipeline";
import type { DatapathEvents } from "../datapath.ts";
import { Recorder } from "../testing/fabric.ts";
import { arpReply, dhcpDiscover, udp } from "../testing/frames.ts";
import { Journal, Late } from "../testing/journal.ts";
import { OvsHosts } from "../testing/ovs-fabric.ts";
import type { Machine, OvsHost } from "../testing/ovs-host.ts";
import { rowsFor, type TestPort, testMtu, testPort, vxlanNet } from "../testing/topology.ts";
import { delta } from "../testing/world.ts";
import type { OvsDatapath } from "./driver.ts";
import { NotReady, RefusedRows } from "./errors.ts";
import type { OvsDatapathOptions } from "./options.ts";
import { probePeriod } from "./tunnel-ends.ts";

const deadline = 10_000;
/** How messages begin: version and type of the one that sets a switch's configuration, and length of the one that says that all is done (OpenFlow 1.5.1, section 7.3). */
const setConfigHeader = Buffer.of(6, 9);
const barrierReplyHeader = Buffer.of(6, 21, 0, 8);
const a = testPort(1, 1, 0);
const b = testPort(2, 1, 1);

/** A log whose lines are kept, and can be waited for. */
async function keptLog(): Promise<{ readonly log: Log; readonly lines: Journal<string> }> {
  const lines = new Journal<string>();
  return { log: await createLog({ level: "debug", destination: { write: (line) => lines.add(line) } }), lines };
}

describe("Open vSwitch", () => {
  let hosts: OvsHosts;
  const drivers: OvsDatapath[] = [];
  before(async () => {
    hosts = await OvsHosts.start(4, 2);
  });
  after(() => hosts?.dispose());
  afterEach(async () => {
    for (const driver of drivers.splice(0)) await driver.close();
    for (const host of hosts.hosts) {
      if (!host.isUp) await hosts.restart(host);
      await host.clear();
    }
  });

  const hostAt = (place: number): OvsHost => hosts.hosts[place] ?? assert.fail(`no host ${place}`);
  const rows = (place: number, ports: readonly TestPort[]) =>
    rowsFor(
      place,
      ports,
      hosts.hosts.map(({ plan }) => plan.address),
    );

  const open = async (place: number, events: DatapathEvents, options: Partial<OvsDatapathOptions> = {}) => {
    const driver = hosts.driver(place, options);
    drivers.push(driver);
    await driver.open(events);
    return driver;
  };
  const ready = async (place: number, options: Partial<OvsDatapathOptions> = {}) => {
    const heard = new Recorder();
    const driver = await open(place, heard, options);
    await heard.life.first((event) => event === "ready", `host ${place} is ready`, deadline);
    return { driver, heard };
  };
  const attached = (heard: Recorder, ...names: readonly string[]) =>
    heard.attached.first(
      (all) => all.map(({ name }) => name).join() === names.join(),
      `${names.join()} are attached`,
      deadline,
    );

  /** Two machines with kernels, on two hosts, that can reach each other. */
  const machines = async (
    mtu = 1400,
  ): Promise<{
    readonly left: Machine;
    readonly right: Machine;
    readonly driver: OvsDatapath;
  }> => {
    const [one, two] = [await ready(0), await ready(1)];
    const left = await hostAt(0).plugMachine(a.id, a.mac, [`${a.ip4}/24`, `${a.ip6}/64`], mtu);
    const right = await hostAt(1).plugMachine(b.id, b.mac, [`${b.ip4}/24`, `${b.ip6}/64`], mtu);
    for (const [place, { driver, heard }] of [one, two].entries()) {
      await heard.attached.first((all) => all.length === 1, `the machine of host ${place} is attached`, deadline);
      await driver.adopt(rows(place, [a, b]));
    }
    await talk(left);
    return { left, right, driver: one.driver };
  };
  /** Resolves with the first answer that a machine gets from the other; it asks every second. */
  const talk = (machine: Machine): Promise<string> => machine.exec("ping", "-c", "1", "-w", "10", b.ip4);
  /** How many of three questions are answered: asked one by one, for of several ping waits for the last only twice as long as the slowest before it took. */
  const answersOf = async (machine: Machine, to: string, ...options: readonly string[]): Promise<number> => {
    let answers = 0;
    for (let turn = 0; turn < 3; turn += 1) {
      const asked = machine.exec("ping", "-M", "do", "-c", "1", "-W", "3", "-q", ...options, to);
      answers += await asked.then(
        () => 1,
        () => 0,
      );
    }
    return answers;
  };

  describe("its configuration", () => {
    test("a bridge that is missing is made as it must be, one that is there is kept", async () => {
      const host = hostAt(0);
      await ready(0);
      const columns = ["fail_mode", "datapath_type", "protocols", "other_config:disable-in-band"] as const;
      const [failMode, type, protocols, inBand] = (await host.vsctl("get", "bridge", "br-int", ...columns))
        .trim()
        .split("\n");
      assert.deepEqual([failMode, type, inBand], ["secure", "netdev", '"true"']);
      assert.match(protocols ?? "", /OpenFlow15/);
      const tunnel = await host.vsctl("get", "interface", "selvage-geneve", "type", "options");
      assert.deepEqual(tunnel.trim().split("\n"), [
        "geneve",
        '{csum="false", key=flow, local_ip="192.0.2.1", remote_ip=flow}',
      ]);
      const identities = () => host.vsctl("--columns=_uuid,name", "list", "interface");
      const before = await identities();
      await ready(0);
      assert.equal(await identities(), before);
    });

    test("a bridge of the platform's making keeps what is its own and gets what it lacks", async () => {
      const host = hostAt(0);
      await host.vsctl(
        "add-br",
        "br-int",
        "--",
        "set",
        "bridge",
        "br-int",
        "datapath_type=netdev",
        "other_config:mac-aging-time=77",
        "external_ids:owner=platform",
      );
      await ready(0);
      const [other, ids, mode] = (
        await host.vsctl("get", "bridge", "br-int", "other_config", "external_ids", "fail_mode")
      )
        .trim()
        .split("\n");
      assert.deepEqual(
        [other, ids, mode],
        ['{disable-in-band="true", mac-aging-time="77"}', "{owner=platform}", "secure"],
      );
    });

    test("an interface of our tunnels' name that is something else is left alone, and said", async () => {
      const host = hostAt(0);
      const { log, lines } = await keptLog();
      await host.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev");
      await host.vsctl(
        "add-port",
        "br-int",
        "selvage-geneve",
        "--",
        "set",
        "interface",
        "selvage-geneve",
        "type=dummy",
      );
      const heard = new Recorder();
      await open(0, heard, { log });
      await lines.first(
        (line) => line.includes("selvage-geneve is not a Geneve tunnel of br-int"),
        "the conflict is told",
        deadline,
      );
      assert.equal((await host.vsctl("get", "interface", "selvage-geneve", "type")).trim(), "dummy");
      assert.deepEqual(heard.life.all, []);
    });

    test("options that are mapped in another way are not taken over, until the operator removes them", async () => {
      const host = hostAt(0);
      const { log, lines } = await keptLog();
      await host.vsctl(
        "add-br",
        "br-int",
        "--",
        "set",
        "bridge",
        "br-int",
        "datapath_type=netdev",
        "protocols=OpenFlow13,OpenFlow15",
      );
      await host.ofctl("add-tlv-map", "{class=0x102,type=0x80,len=4}->tun_metadata0");
      const heard = new Recorder();
      await open(0, heard, { log });
      await lines.first(
        (line) => line.includes("maps Geneve options in another way"),
        "the conflict is told",
        deadline,
      );
      assert.match(await host.ofctl("dump-tlv-map"), /0x102/);
      assert.deepEqual(heard.life.all, []);
      await host.ofctl("del-tlv-map");
      await heard.life.first((event) => event === "ready", "the switch is ready", deadline);
      assert.match(await host.ofctl("dump-tlv-map"), /0xff53\s+0x81\s+12\s+tun_metadata0/);
    });

    test("of two interfaces that name a port the lower number counts, and one that does not work is told", async () => {
      const host = hostAt(0);
      const { log, lines } = await keptLog();
      const { heard } = await ready(0, { log });
      const first = await host.plugWire(a.id, () => undefined);
      await attached(heard, first);
      const second = await host.plugWire(a.id, () => undefined);
      await lines.first(
        (line) => line.includes(`${first} and ${second} both name port ${a.id}: ${second} is ignored`),
        "both are told",
        deadline,
      );
      assert.deepEqual(heard.attached.last, [{ port: a.id, name: first }]);
      await host.unplug(first);
      await attached(heard, second);
      await host
        .vsctl("add-port", "br-int", "nothing", "--", "set", "interface", "nothing", `external_ids:iface-id=${b.id}`)
        .catch(() => "ovs-vsctl complains too");
      await lines.first(
        (line) => line.includes(`interface nothing of port ${b.id} does not work`),
        "it is told",
        deadline,
      );
      assert.deepEqual(heard.attached.last, [{ port: a.id, name: second }]);
    });
  });

  describe("networks of VXLAN", () => {
    const u = testPort(3, vxlanNet, 0);
    const v = testPort(4, vxlanNet, 1);
    const vxlans = async (host: OvsHost) =>
      (await host.vsctl("--bare", "--columns=name", "find", "interface", "type=vxlan")).trim();

    test("machines of one reach each other between hosts, beside those of Geneve, at their MTU", {
      timeout: 60_000,
    }, async () => {
      const all = [a, b, u, v];
      const drivers = [await ready(0), await ready(1)];
      assert.equal(await vxlans(hostAt(0)), "", "no interface is made that nobody needs");
      const machine = (port: TestPort) =>
        hostAt(port.host).plugMachine(port.id, port.mac, [`${port.ip4}/24`, `${port.ip6}/64`], testMtu);
      const [left, , third] = [await machine(a), await machine(b), await machine(u), await machine(v)];
      for (const [place, { driver, heard }] of drivers.entries()) {
        await heard.attached.first((each) => each.length === 2, `the machines of host ${place} are attached`, deadline);
        await driver.adopt(rows(place, [a, b]));
        await driver.apply(
          delta({ added: rows(place, all).filter(({ id }) => !rows(place, [a, b]).some((one) => one.id === id)) }),
        );
        assert.equal(await vxlans(hostAt(place)), "selvage-vxlan");
      }
      const full = ["-s", String(testMtu - 28)];
      assert.equal(await answersOf(left, b.ip4, ...full), 3);
      assert.equal(await answersOf(third, v.ip4, ...full), 3);
      const [{ driver } = assert.fail()] = drivers;
      const byVxlan = "tunnel_out(host=2, encapsulation=1)";
      await settled("they went by VXLAN", async () =>
        (await driver.installed()).some((each) => each.row?.id === byVxlan && each.packets >= 3),
      );
      const again = await driver.adopt(rows(0, all));
      assert.deepEqual({ ...again, kept: 0 }, { added: 0, changed: 0, removed: 0, kept: 0 });
    });

    test("an interface that is there already and does the same is taken, not doubled", async () => {
      const host = hostAt(0);
      const { driver, heard } = await ready(0);
      await host.vsctl(
        ...["add-port", "br-int", "theirs", "--", "set", "interface", "theirs", "type=vxlan"],
        ...["options:key=flow", "options:remote_ip=flow", `options:local_ip=${host.plan.address}`],
      );
      const wire = await host.plugWire(u.id, () => undefined);
      await attached(heard, wire);
      await driver.adopt(rows(0, [u, v]));
      assert.equal(await vxlans(host), "theirs");
      const number = (await host.vsctl("get", "interface", "theirs", "ofport")).trim();
      const out = (await driver.installed()).find((each) => each.row?.action === "vxlan");
      assert.match(out?.text ?? "", new RegExp(`output:${number}$`));
    });

    test("one that cannot be had is told, and networks of Geneve go on", async () => {
      const host = hostAt(0);
      const { log, lines } = await keptLog();
      const { driver, heard } = await ready(0, { log });
      await host.vsctl("add-port", "br-int", "selvage-vxlan", "--", "set", "interface", "selvage-vxlan", "type=dummy");
      const wire = await host.plugWire(a.id, () => undefined);
      await attached(heard, wire);
      await driver.adopt(rows(0, [a, b, u, v]));
      await lines.first(
        (line) => line.includes("selvage-vxlan is not a VXLAN tunnel of br-int"),
        "it is told",
        deadline,
      );
      const held = (await driver.installed()).flatMap((each) => each.row?.id ?? []);
      assert.ok(held.includes("tunnel_out(host=2, encapsulation=0)"));
      assert.ok(!held.includes("tunnel_out(host=2, encapsulation=1)"), "it waits for its interface");
    });
  });

  describe("under traffic", () => {
    test("an established ping of 10 ms loses nothing while the driver restarts and adopts", {
      timeout: 60_000,
    }, async () => {
      const { left, driver } = await machines();
      // The answers to the first 300 count; those after them give the last of these time to come.
      const ping = left.exec("ping", "-i", "0.01", "-c", "400", b.ip4);
      await driver.close();
      for (let turn = 0; turn < 3; turn += 1) {
        const next = await ready(0);
        const adoption = await next.driver.adopt(rows(0, [a, b]));
        assert.deepEqual({ ...adoption, kept: 0 }, { added: 0, changed: 0, removed: 0, kept: 0 });
        await next.driver.close();
      }
      const { driver: last } = await ready(0);
      await last.adopt(rows(0, [a, b]));
      for (let turn = 0; turn < 20; turn += 1) {
        const other = row(Neighbour, { net: 1, nh: `10.0.1.${100 + turn}` }, "known", { mac: b.mac });
        await last.apply(delta({ added: [other] }));
      }
      const answered = new Set([...(await ping).matchAll(/icmp_seq=(\d+) /g)].map(([, number]) => Number(number)));
      const asked = Array.from({ length: 300 }, (_, at) => at + 1);
      assert.deepEqual(
        asked.filter((number) => !answered.has(number)),
        [],
        "lost",
      );
      await settled("the flow kept its count through all that", async () => {
        const all = await last.installed();
        const counted = all.find((each) => each.row?.table === "classify" && each.row.key.ingress === a.id);
        return (counted?.packets ?? 0) >= 300;
      });
    });

    test("a ping of the network's MTU that may not be fragmented is answered, one byte more is not; no packet is looked up twice for it", {
      timeout: 60_000,
    }, async () => {
      const { left, right, driver } = await machines(1500);
      // Solicitations are answered by the agent, which is not here.
      await left.exec("ip", "neighbour", "replace", b.ip6, "lladdr", b.mac, "dev", "eth0");
      await right.exec("ip", "neighbour", "replace", a.ip6, "lladdr", a.mac, "dev", "eth0");
      for (const [to, headers] of [
        [b.ip4, 28],
        [b.ip6, 48],
      ] as const) {
        const before = (await driver.drops()).get("mtu-exceeded") ?? 0;
        assert.equal(await answersOf(left, to, "-s", String(testMtu - headers)), 3);
        assert.equal((await driver.drops()).get("mtu-exceeded") ?? 0, before);
        const larger = ["-s", String(testMtu + 1 - headers)];
        assert.equal(await answersOf(left, to, ...larger, "-W", "1"), 0);
        await settled("all three are counted", async () => (await driver.drops()).get("mtu-exceeded") === before + 3);
      }
      const find = ["--bare", "--columns=ofport", "find", "interface", `external_ids:iface-id=${a.id}`];
      const ofport = (await hostAt(0).vsctl(...find)).trim();
      const flow = `in_port=${ofport},dl_src=${a.mac},dl_dst=${b.mac},udp,nw_src=${a.ip4},nw_dst=${b.ip4},udp_src=9,udp_dst=9`;
      const trace = await hostAt(0).appctl("ofproto/trace", "br-int", flow);
      assert.doesNotMatch(trace, /recirc\(/);
      assert.match(trace, /Datapath actions: check_pkt_len\(size=1456,gt\(meter\(\d+\)\),le\(.*tnl_push/);
      // Looked up: classify, both guards, fragments, service_class, sender, to_router, carriage, l2 for either outcome, tunnel_out.
      const [ours = ""] = trace.split('bridge("br-ul")');
      const tables = [...ours.matchAll(/^\s*(\d+)\. .*priority/gm)].map(([, table]) => Number(table));
      assert.deepEqual(tables, [0, 1, 2, 3, 4, 19, 27, 29, 30, 30, 80]);
    });

    test("the first packet between two hosts that have never met is not lost, nor one after a long silence", {
      timeout: 60_000,
    }, async () => {
      const manual = new ManualClock();
      const clock = { ...realClock, every: (ms: number, task: () => void) => manual.every(ms, task) };
      const arrived = new Journal<Uint8Array>();
      const heard = [new Recorder(), new Recorder()];
      const drivers = await Promise.all([
        open(0, heard[0] ?? assert.fail(), { clock }),
        open(1, heard[1] ?? assert.fail()),
      ]);
      const wire = await hostAt(0).plugWire(a.id, () => undefined);
      await hostAt(1).plugWire(b.id, (frame) => arrived.add(frame));
      for (const { attached: plugged } of heard)
        await plugged.first((each) => each.length === 1, "the wire is attached", deadline);
      const everywhere = (command: string) => Promise.all(hosts.hosts.map((host) => host.appctl(command)));
      const met = async () => (await hostAt(0).appctl("tnl/neigh/show")).includes(hostAt(1).plan.address);
      // As after 15 minutes of silence. Cached flows go first: a switch translates them anew when its neighbours change, and then asks for those it misses.
      const forgotten = () =>
        settled("the hosts have forgotten each other", async () => {
          for (const command of ["revalidator/purge", "tnl/neigh/flush"]) await everywhere(command);
          return !(await met());
        });
      const first = async (mark: number) => {
        const frame = udp(4, a, b, mark);
        hostAt(0).send(wire, frame);
        await arrived.first((each) => Buffer.compare(each, frame) === 0, "the first packet arrives", deadline);
      };
      await forgotten();
      for (const [place, driver] of drivers.entries()) await driver.adopt(rows(place, [a, b]));
      await settled("the hosts have met", met);
      await first(1);
      await forgotten();
      manual.advance(probePeriod);
      await settled("the hosts have met again", met);
      await first(2);
      const there = row(TunnelOut, { host: 2, encapsulation: 0 }, "geneve", { to: hostAt(1).plan.address });
      const [driver = assert.fail()] = drivers;
      await driver.apply(delta({ removed: [there] }));
      await forgotten();
      await driver.apply(delta({ added: [there] }));
      await settled("a host that returns is met", met);
      await first(3);
      assert.equal((await drivers[1]?.drops())?.get("tunnel-source") ?? 0, 0, "what looks for the way is no drop");
    });

    test("each copy of a flooded frame is measured by itself, however many there are", {
      timeout: 60_000,
    }, async () => {
      const host = hostAt(0);
      const { driver, heard } = await ready(0);
      const wire = await host.plugWire(a.id, () => undefined);
      await attached(heard, wire);
      const many = Array.from({ length: 200 }, (_, n) => testPort(n + 10, 1, n + 1));
      const ends = [host.plan.address, ...many.map((_, n) => `192.0.2.${n + 30}`)];
      for (const end of ends.slice(1)) await host.appctl("tnl/neigh/set", "br-ul", end, "02:5e:17:00:00:02");
      await driver.adopt(rowsFor(0, [a, ...many], ends));
      const number = (await host.vsctl("get", "interface", wire, "ofport")).trim();
      const flow = `in_port=${number},dl_src=${a.mac},dl_dst=ff:ff:ff:ff:ff:ff,udp,nw_src=${a.ip4}`;
      const [, actions = ""] = (await host.appctl("ofproto/trace", "br-int", flow)).split("Datapath actions: ");
      // Nested actions have a length of 16 bits: all copies within one measurement would not fit.
      const copies = actions.match(/check_pkt_len\(size=1456,gt\(meter\(\d+\)\),le\((clone\()?tnl_push\(/g) ?? [];
      assert.equal(copies.length, many.length);
      assert.equal(actions.split("tnl_push(").length - 1, many.length);
    });

    test("a switch that dies gets everything again, and the machines talk", { timeout: 60_000 }, async () => {
      const { left } = await machines();
      const heard = new Recorder();
      const driver = await open(0, heard);
      await heard.life.first((event) => event === "ready", "ready", deadline);
      await driver.adopt(rows(0, [a, b]));
      await hostAt(0).stopSwitch();
      await heard.life.first((event) => event === "lost", "lost", deadline);
      await assert.rejects(driver.adopt([]), NotReady);
      await assert.rejects(driver.send(a.id, udp(4, b, a, 1)));
      const from = heard.life.all.length;
      await hosts.restart(hostAt(0));
      await heard.life.first((event) => event === "ready", "ready again", deadline, from);
      const { kept, added } = await driver.adopt(rows(0, [a, b]));
      assert.deepEqual([kept, added], [0, rows(0, [a, b]).length]);
      await talk(left);
    });

    test("one port cannot ask more than its share, and does not take another's", async () => {
      const host = hostAt(0);
      const c = testPort(3, 1, 0);
      const { driver, heard } = await ready(0);
      const [first, second] = [await host.plugWire(a.id, () => undefined), await host.plugWire(c.id, () => undefined)];
      await attached(heard, first, second);
      await driver.adopt(rows(0, [a, c]));
      const sent = 200;
      const start = performance.now();
      for (let n = 0; n < sent; n += 1) host.send(first, dhcpDiscover(a.mac, n));
      host.send(second, dhcpDiscover(c.mac, 1));
      await heard.punts.first((each) => each.attachment === c.id, "the other is heard", deadline);
      const mine = () => heard.punts.all.filter((each) => each.attachment === a.id).length;
      const refused = async () => (await driver.drops()).get("punt-rate") ?? 0;
      await settled("each question is heard or refused", async () => (await refused()) + mine() === sent);
      // Twenty at once, and five a second.
      const share = 20 + 5 * Math.ceil((performance.now() - start) / 1000);
      assert.ok(mine() >= 1 && mine() <= share, `of ${sent} questions ${mine()} were heard, with a share of ${share}`);
    });
  });

  test("a packet for which a program has no row, nor anything to do without one, is counted as the program's fault", async () => {
    const host = hostAt(0);
    // A switch lowers the time to live of IP alone: of anything else nothing is said.
    const tables = selvageProgram.tables.map((each) =>
      each.name === "l2" ? { ...each, miss: [decrementTtl(), drop("no-fdb-entry")] } : each,
    );
    const { driver, heard } = await ready(0, { program: program(selvageProgram.entry, tables) });
    const wire = await host.plugWire(a.id, () => undefined);
    await attached(heard, wire);
    await driver.adopt(rows(0, [a]));
    const nobody = { ...b, mac: "02:00:00:00:00:77" };
    host.send(wire, udp(6, a, nobody, 1));
    host.send(wire, arpReply(a, nobody));
    await settled("both are counted", async () => {
      const drops = await driver.drops();
      return drops.get("no-fdb-entry") === 1 && drops.get("table-miss") === 1;
    });
  });

  describe("what is installed", () => {
    test("what nobody asked for is told in the switch's words, and adopt takes it away", async () => {
      const { driver } = await ready(0);
      const wanted = rows(0, [a, b]);
      await driver.adopt(wanted);
      const other = await Connection.open(await connectSocket({ path: `${hostAt(0).directory}/br-int.mgmt` }));
      await other.send([
        flowMod({
          table: 7,
          priority: 9,
          cookie: 0xabcn,
          match: [{ field: "in_port", value: 4 }],
          instructions: [{ kind: "apply", actions: [act.output(2)] }],
        }),
        groupMod({ group: 99, buckets: [bucket(1, [act.output(2)])] }),
      ]);
      await other.barrier();
      other.close();
      const foreign = (await driver.installed()).filter((each) => each.row === null).map(({ text }) => text);
      assert.deepEqual(foreign.sort(), [
        "group_id=99,bucket=bucket_id:1,actions=output:2",
        "table=7, priority=9,in_port=4 actions=output:2",
      ]);
      assert.equal((await driver.adopt(wanted)).removed, 2);
      assert.deepEqual(
        (await driver.installed()).filter((each) => each.row === null),
        [],
      );
      assert.doesNotMatch(await hostAt(0).ofctl("dump-groups"), /group_id=99/);
    });

    test("what a row dropped is counted after it has gone", async () => {
      const host = hostAt(0);
      const { driver, heard } = await ready(0);
      const wire = await host.plugWire(a.id, () => undefined);
      await attached(heard, wire);
      const down = row(Deliver, { port: b.key }, "portDown");
      const here = testPort(2, 1, 0);
      const wanted = rows(0, [a, here]).filter(({ id }) => id !== down.id);
      await driver.adopt([...wanted, down]);
      for (let n = 0; n < 3; n += 1) host.send(wire, udp(4, a, here, n));
      const dropped = async () => (await driver.drops()).get("port-admin-down") ?? 0;
      await settled("three are dropped", async () => (await dropped()) === 3);
      await driver.apply(
        delta({ modified: [{ before: down, after: row(Deliver, { port: b.key }, "output", { port: here.id }) }] }),
      );
      await settled("they still count", async () => (await dropped()) === 3);
      await driver.apply(delta({ removed: [down] }));
      assert.equal(await dropped(), 3);
    });

    test("a row that the switch refuses is named, what was with it is not in force, and adopt goes on without it", async () => {
      const unmet = { ...F.arpOp, requires: {} };
      const odd = table({
        number: 0,
        name: "odd",
        text: "",
        scheme: "ranked",
        ranks: { one: 1 },
        columns: { net: exact(F.net), arpOp: optional(unmet) },
        actions: { lose: action([drop("no-fdb-entry")]), wrong: action([drop("vlan-denied")]) },
        miss: [drop("port-not-bound")],
      });
      const { driver } = await ready(0, { program: program("odd", [odd]) });
      const good = makeRow(odd, { net: 1 }, "lose", {}, "one");
      const changed = makeRow(odd, { net: 1 }, "wrong", {}, "one");
      const bad = makeRow(odd, { net: 2, arpOp: 1 }, "lose", {}, "one");
      await driver.adopt([good]);
      await assert.rejects(
        driver.apply(delta({ added: [bad], modified: [{ before: good, after: changed }] })),
        (error) => {
          assert.ok(error instanceof RefusedRows);
          assert.deepEqual(error.rows, [bad.id]);
          assert.match(error.message, /odd\(one: net=2, arpOp=1\).*BAD_PREREQ/);
          return true;
        },
      );
      await assert.rejects(driver.apply(delta({ added: [changed] })), NotReady, "nothing is known until it is adopted");
      assert.match(
        await hostAt(0).ofctl("dump-flows", "table=0,metadata=1/0xffffff"),
        /cookie=0x10b/,
        "the change was one",
      );
      assert.equal((await driver.adopt([changed])).changed, 1);
      assert.deepEqual(
        (await driver.installed()).map((each) => each.row?.body),
        [changed.body],
      );
    });
  });

  test("a driver that is closed while it greets the switch is closed", { timeout: 30_000 }, async () => {
    await ready(0);
    const closing = Promise.withResolvers<void>();
    const path = join(hostAt(0).directory, "between");
    // Stands between the driver and the switch, and has the driver closed when its first message after the hello comes by.
    const between = createServer((driverSide) => {
      const switchSide = connect(join(hostAt(0).directory, "br-int.mgmt"));
      switchSide.pipe(driverSide);
      driverSide.on("data", (bytes: Buffer) => {
        if (bytes.includes(setConfigHeader)) closing.resolve(driver.close());
        switchSide.write(bytes);
      });
      for (const side of [driverSide, switchSide]) side.on("error", () => side.destroy());
      driverSide.on("close", () => switchSide.destroy());
    });
    const driver = hosts.driver(0, { openflow: { path } });
    await new Promise<void>((resolve) => between.listen(path, resolve));
    try {
      const heard = new Recorder();
      await driver.open(heard);
      await closing.promise;
      assert.deepEqual(heard.life.all, [], "it never became ready");
      await assert.rejects(driver.adopt([]), NotReady);
    } finally {
      between.close();
    }
  });

  test("a switch that greets us and then learns of what was written, and so hangs up, was not there yet", async () => {
    // It lacks what makes no real switch hang up.
    const kind = ["datapath_type=netdev", "protocols=OpenFlow10,OpenFlow15"];
    await hostAt(0).vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", ...kind);
    const path = join(hostAt(0).directory, "between");
    let connections = 0;
    // Stands between the driver and the switch, and hangs up in its place: when the greeting is at its end, the first time.
    const between = createServer((driverSide) => {
      connections += 1;
      const isFirst = connections === 1;
      const switchSide = connect(join(hostAt(0).directory, "br-int.mgmt"));
      driverSide.pipe(switchSide);
      switchSide.on("data", (bytes: Buffer) => {
        driverSide.write(bytes);
        if (isFirst && bytes.includes(barrierReplyHeader)) driverSide.end();
      });
      for (const side of [driverSide, switchSide]) side.on("error", () => side.destroy());
      driverSide.on("close", () => switchSide.destroy());
      switchSide.on("close", () => driverSide.destroy());
    });
    await new Promise<void>((resolve) => between.listen(path, resolve));
    try {
      const heard = new Recorder();
      const driver = await open(0, heard, { openflow: { path } });
      await heard.life.first((event) => event === "ready", "ready", deadline);
      await driver.adopt(rows(0, [a]));
      assert.ok(connections > 1);
      assert.deepEqual(heard.life.all, ["ready"]);
    } finally {
      between.close();
    }
  });

  test("a driver that is opened while the switch is away comes to it when it is there", async () => {
    await hostAt(0).stopSwitch();
    const heard = new Recorder();
    const driver = await open(0, heard);
    assert.deepEqual(heard.life.all, []);
    await assert.rejects(driver.adopt([]), NotReady);
    await hosts.restart(hostAt(0));
    await heard.life.first((event) => event === "ready", "ready", deadline);
    await driver.adopt(rows(0, [a]));
    assert.equal(
      (await driver.installed()).filter((each) => each.row !== null).length > selvageProgram.constants.length - 2,
      true,
    );
  });
});

/** Asks for a fact until it is so; each question waits for the switch to count. Throws Late. */
async function settled(what: string, fact: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + deadline;
  while (!(await fact())) if (performance.now() > end) throw new Late(what, deadline);
}
