/** Security groups and routers on real switches, with real machines: what connection tracking, clauses of rules, routes and reports come to. */
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { decode } from "@selvage/packet";
import {
  Carriage,
  EthType,
  L2,
  LiveIn,
  LiveOut,
  Neighbour,
  NextHops,
  PolicyIn,
  PolicyOut,
  Receiver,
  Route,
  RouterIn,
  type Row,
  row,
  Sender,
  ToRouter,
  TunnelSource,
} from "@selvage/pipeline";
import { Recorder } from "../testing/fabric.ts";
import { udp } from "../testing/frames.ts";
import { fragmentsOf, udpBetween } from "../testing/ip-frames.ts";
import { Late } from "../testing/journal.ts";
import { OvsHosts, ovsTestFabric } from "../testing/ovs-fabric.ts";
import type { Machine, OvsHost } from "../testing/ovs-host.ts";
import { rowsFor, type TestPort, testPort } from "../testing/topology.ts";
import { delta } from "../testing/world.ts";
import type { OvsDatapath, OvsDatapathOptions } from "./driver.ts";

const deadline = 10_000;
/** On host 0, on host 1, and on host 0 beside the first. */
const a = testPort(1, 1, 0);
const b = testPort(2, 1, 1);
const c = testPort(3, 1, 0);
const all = [a, b, c] as const;
/** Sets of security groups, one a port. */
const setOf = (port: TestPort): number => port.key + 1000;

/** The part of a rule that says what packets it lets through. */
type Service = Omit<
  Parameters<typeof row<typeof PolicyIn.columns, typeof PolicyIn.actions, "service", "clause">>[1],
  "rule"
>;

interface Rule {
  readonly rule: number;
  readonly direction: "in" | "out";
  readonly own: TestPort;
  readonly services: readonly Service[];
  /** Whose packets, where not everybody's. */
  readonly from?: TestPort;
}

const anyIp: readonly Service[] = [{ ethType: EthType.ipv4 }, { ethType: EthType.ipv6 }];
const ping: readonly Service[] = [
  { ethType: EthType.ipv4, ipProto: 1 },
  { ethType: EthType.ipv6, ipProto: 58 },
];
const toPort = (kind: "udp" | "tcp", port: number): readonly Service[] =>
  [EthType.ipv4, EthType.ipv6].flatMap((ethType): readonly Service[] => {
    const ipProto = kind === "udp" ? 17 : 6;
    const exactly = `${port}/0xffff`;
    return [
      { ethType, ipProto, later: 0, ...(kind === "udp" ? { udpDst: exactly } : { tcpDst: exactly }) },
      { ethType, later: 1, ctProto: ipProto, ctDst: exactly },
    ];
  });

/** A rule, and the connections that it keeps alive. */
function ruleRows({ rule, direction, own, services, from }: Rule): readonly Row[] {
  const of = { of: from === undefined ? 2 : 3 };
  const args = { rule, generation: 0 };
  const set = setOf(own);
  const label = { ctRule: rule, ctGeneration: 0 };
  const live = [
    row(
      LiveOut,
      { srcSet: set, ...label, ...(from === undefined ? {} : { ctRemote: setOf(from) }) },
      "pass",
      {},
      "live",
    ),
    row(LiveIn, { dstSet: set, ...label, ...(from === undefined ? {} : { srcSet: setOf(from) }) }, "pass", {}, "live"),
  ];
  if (direction === "out")
    return [
      row(PolicyOut, { rule }, "allow", args, "verdict"),
      row(PolicyOut, { rule, srcSet: set }, "clause", of, "own"),
      ...services.map((service) => row(PolicyOut, { rule, ...service }, "clause", of, "service")),
      ...live,
    ];
  return [
    row(PolicyIn, { rule }, "allow", args, "verdict"),
    row(PolicyIn, { rule, dstSet: set }, "clause", of, "own"),
    ...services.map((service) => row(PolicyIn, { rule, ...service }, "clause", of, "service")),
    ...(from === undefined ? [] : [row(PolicyIn, { rule, srcSet: setOf(from) }, "clause", of, "remote")]),
    ...live,
  ];
}

/** A port whose packets are asked after, and that may send everything. */
const policed = (port: TestPort): readonly Row[] => [
  row(Sender, { srcPort: port.key }, "policed", { set: setOf(port), zone: port.id }),
  row(Receiver, { dstPort: port.key }, "policed", { set: setOf(port), zone: port.id }),
  ...ruleRows({ rule: port.key, direction: "out", own: port, services: anyIp }),
];
const ruleIn = (rule: number, own: TestPort, services: readonly Service[], from?: TestPort): readonly Row[] =>
  ruleRows({ rule, direction: "in", own, services, ...(from === undefined ? {} : { from }) });

const lost = (pinged: string): string =>
  /(\d+) packets transmitted, (\d+) received/.exec(pinged)?.slice(1).join(" sent, ") ?? pinged;

/** Asks for a fact until it is so; each question waits for the switch to count. Throws Late. */
async function settled(what: string, fact: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + deadline;
  while (!(await fact())) {
    if (performance.now() > end) throw new Late(what, deadline);
    // What is waited for comes in turns of its own.
    await nextTurn();
  }
}

/** What a machine's program prints; what it says when it fails is part of that. */
const printed = (running: Promise<string>): Promise<string> =>
  running.catch((error: { readonly stdout: string; readonly stderr: string }) => `${error.stdout}${error.stderr}`);

/** Answers datagrams of any size with themselves. */
const echoServer = (version: 4 | 6, port: number) => `
const s = require("node:dgram").createSocket("udp${version}");
s.on("message", (data, who) => s.send(data, who.port, who.address));
s.bind(${port});
`;
/** Sends datagrams of a size, each when the one before was answered, and prints how long the answers are, or why there is none. */
const asker = (version: 4 | 6, to: string, port: number, size: number, count: number) => `
const s = require("node:dgram").createSocket("udp${version}");
let left = ${count};
let timer;
const told = (text) => { clearTimeout(timer); console.log(text); next(); };
const next = () => {
  if (left-- === 0) return s.close();
  timer = setTimeout(() => told("nothing"), 1000);
  s.send(Buffer.alloc(${size}));
};
s.on("message", (data) => told(data.length));
s.on("error", (error) => told(error.code));
s.connect(${port}, "${to}", next);
`;
/** Sends a byte every 20 ms to whoever comes. */
const talker = (port: number) => `
require("node:net").createServer((c) => {
  const each = setInterval(() => c.write("x"), 20);
  c.on("error", () => clearInterval(each));
}).listen(${port}, "0.0.0.0");
`;
/** Reads until nothing came for a second. */
const listener = (to: string, port: number) => `
const c = require("node:net").connect(${port}, "${to}");
let n = 0;
c.setTimeout(1000, () => { console.log(n, "and no more"); c.destroy(); });
c.on("data", (data) => { n += data.length; });
`;

describe("Open vSwitch tracks connections", () => {
  let hosts: OvsHosts;
  const drivers: OvsDatapath[] = [];
  before(async () => {
    hosts = await OvsHosts.start(4, 2);
  });
  after(() => hosts?.dispose());
  afterEach(async () => {
    for (const driver of drivers.splice(0)) await driver.close();
    for (const host of hosts.hosts) await host.clear();
  });

  const hostAt = (place: number): OvsHost => hosts.hosts[place] ?? assert.fail(`no host ${place}`);
  const addresses = () => hosts.hosts.map(({ plan }) => plan.address);
  const base = (place: number, ports: readonly TestPort[] = all) => rowsFor(place, ports, addresses());

  const ready = async (place: number, options: Partial<OvsDatapathOptions> = {}) => {
    const heard = new Recorder();
    const driver = hosts.driver(place, options);
    drivers.push(driver);
    await driver.open(heard);
    await heard.life.first((event) => event === "ready", `host ${place} is ready`, deadline);
    return { driver, heard };
  };
  const zoneOf = async (port: TestPort): Promise<number> => {
    const text = await hostAt(port.host).vsctl("get", "bridge", "br-int", `external_ids:selvage-zone-${port.id}`);
    return Number(text.trim().replaceAll('"', ""));
  };
  const connections = async (port: TestPort): Promise<string> =>
    hostAt(port.host).appctl("dpctl/dump-conntrack", "netdev@ovs-netdev", `zone=${await zoneOf(port)}`);
  const counted = async (
    driver: OvsDatapath,
    reason: Parameters<Awaited<ReturnType<OvsDatapath["drops"]>>["get"]>[0],
  ) => (await driver.drops()).get(reason) ?? 0;

  /** Three policed machines with kernels, which may send everything and get what the rules say. */
  const machines = async (rules: readonly Row[] = []) => {
    const [one, two] = [await ready(0), await ready(1)];
    const made: Machine[] = [];
    for (const port of all)
      made.push(await hostAt(port.host).plugMachine(port.id, port.mac, [`${port.ip4}/24`, `${port.ip6}/64`]));
    const [left = assert.fail(), right = assert.fail(), beside = assert.fail()] = made;
    for (const [place, { driver, heard }] of [one, two].entries()) {
      const here = all.filter(({ host }) => host === place);
      await heard.attached.first((each) => each.length === here.length, `machines of host ${place}`, deadline);
      await driver.adopt([...base(place), ...here.flatMap(policed), ...rules]);
    }
    // Solicitations are answered by the agent, which is not here.
    for (const [at, machine] of made.entries())
      for (const other of all)
        if (other !== all[at])
          await machine.exec("ip", "neighbour", "replace", other.ip6, "lladdr", other.mac, "dev", "eth0");
    return { left, right, beside, here: one.driver, there: two.driver };
  };
  /** Runs a program in a machine for as long as something else lasts. */
  const during = async <T>(machine: Machine, program: string, work: () => Promise<T>): Promise<T> => {
    const stop = new AbortController();
    const running = machine.run([process.execPath, "-e", program], stop.signal);
    try {
      return await work();
    } finally {
      stop.abort();
      await running;
    }
  };
  const pings = (machine: Machine, to: string, ...more: readonly string[]) =>
    printed(machine.exec("ping", "-q", "-c", "3", "-i", "0.1", "-W", "1", ...more, to));
  const asks = (machine: Machine, version: 4 | 6, to: string, port: number, size: number, count = 3) =>
    printed(machine.exec(process.execPath, "-e", asker(version, to, port, size, count))).then((text) =>
      text.trim().split("\n"),
    );

  test("a ping of 10 ms loses nothing while another rule takes the place of its own, and is cut with the last", {
    timeout: 60_000,
  }, async () => {
    const { left, there } = await machines(ruleIn(21, b, ping));
    await left.exec("ping", "-c", "1", "-W", "5", b.ip4);
    assert.match(await connections(b), /labels=0x[0-9a-f]*15\b/);
    const running = left.exec("ping", "-i", "0.01", "-c", "300", "-q", b.ip4);
    for (let turn = 0; turn < 10; turn += 1) {
      const [before, after] = turn % 2 === 0 ? [21, 22] : [22, 21];
      await there.apply(delta({ added: ruleIn(after, b, ping), removed: ruleIn(before, b, ping) }));
    }
    await there.apply(delta({ added: ruleIn(22, b, ping), removed: ruleIn(21, b, ping) }));
    assert.equal(lost(await running), "300 sent, 300");
    assert.match(await connections(b), /labels=0x[0-9a-f]*16\b/, "the connection has the other rule's label");
    const cut = printed(left.exec("ping", "-i", "0.01", "-c", "200", "-W", "1", "-D", b.ip4));
    await settled("the ping goes", async () => (await counted(there, "sg-default-deny-ingress")) === 0);
    await there.apply(delta({ removed: ruleIn(22, b, ping) }));
    const end = Date.now() / 1000;
    const answered = [...(await cut).matchAll(/^\[([\d.]+)\]/gm)].map(([, at]) => Number(at));
    assert.ok(answered.length > 0 && answered.length < 200, `${answered.length} were answered`);
    assert.ok((answered.at(-1) ?? 0) <= end + 0.02, `the last answer came ${(answered.at(-1) ?? 0) - end} s after`);
    assert.ok((await counted(there, "sg-default-deny-ingress")) > 0);
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
    const start = performance.now();
    for (let mark = 1; performance.now() - start < 20_000; mark += 1) {
      host.send(wire(d), udp(4, d, e, mark));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const expired = /v4 frags expired: (\d+)/.exec(await host.appctl("dpctl/ipf-get-status", "netdev@ovs-netdev"));
    assert.ok(Number(expired?.[1]) > 0, "the switch let some of them go");
    assert.ok((seen.get(e.id)?.length ?? 0) > 100, "the others' packets came");
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
    const fabric = await ovsTestFabric(hosts);
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
      const running = left.exec("ping", "-i", "0.01", "-c", "200", "-q", c.ip4);
      await here.close();
      const wanted = [...base(0), ...policed(a), ...policed(c), ...ruleIn(21, b, ping), ...ruleIn(22, c, ping)];
      const { driver: next } = await ready(0);
      const { added, changed, removed } = await next.adopt(wanted);
      assert.deepEqual({ added, changed, removed }, { added: 0, changed: 0, removed: 0 });
      assert.equal(lost(await running), "200 sent, 200");
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
      const running = left.exec("ping", "-i", "0.02", "-c", "150", "-q", b.ip4);
      await settled("it goes", async () => /icmp/.test(await connections(b)));
      const full = `zone=${await zoneOf(b)},limit=1`;
      await hostAt(1).appctl("dpctl/ct-set-limits", "netdev@ovs-netdev", full);
      // What asks is let in, and not kept: what answers is then of no connection.
      assert.equal(lost(await pings(left, b.ip6)), "3 sent, 0");
      assert.equal(await counted(there, "ct-invalid"), 3);
      assert.match(await hostAt(1).appctl("dpctl/ct-get-limits", "netdev@ovs-netdev"), new RegExp(`${full},count=1`));
      assert.equal(lost(await pings(left, c.ip4)), "3 sent, 3");
      assert.equal(lost(await running), "150 sent, 150", "what it has goes on");
    });

    test("where there are none left a port waits, which is told, and has one when another's has rested", {
      timeout: 60_000,
    }, async () => {
      const told: (readonly string[])[] = [];
      const heard = new Recorder();
      const driver = hosts.driver(0, { zones: { first: 100, last: 100, rest: 300 } });
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
