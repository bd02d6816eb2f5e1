/** Real switches with policed machines: rules as rows, the programs that machines run, and how they are asked, for tests of security groups and routers. */
import assert from "node:assert/strict";
import { after, afterEach, before } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { EthType, LiveIn, LiveOut, PolicyIn, PolicyOut, Receiver, type Row, row, Sender } from "@selvage/pipeline";
import type { OvsDatapath } from "../ovs/driver.ts";
import type { OvsDatapathOptions } from "../ovs/options.ts";
import { Recorder } from "./fabric.ts";
import { Late } from "./journal.ts";
import { OvsHosts } from "./ovs-fabric.ts";
import type { Machine, OvsHost } from "./ovs-host.ts";
import { rowsFor, type TestPort, testPort } from "./topology.ts";

export const deadline = 10_000;
/** On host 0, on host 1, and on host 0 beside the first. */
export const a = testPort(1, 1, 0);
export const b = testPort(2, 1, 1);
export const c = testPort(3, 1, 0);
export const all = [a, b, c] as const;
/** Sets of security groups, one a port. */
export const setOf = (port: TestPort): number => port.key + 1000;

/** The part of a rule that says what packets it lets through. */
export type Service = Omit<
  Parameters<typeof row<typeof PolicyIn.columns, typeof PolicyIn.actions, "service", "clause">>[1],
  "rule"
>;

export interface Rule {
  readonly rule: number;
  readonly direction: "in" | "out";
  readonly own: TestPort;
  readonly services: readonly Service[];
  /** Whose packets, where not everybody's. */
  readonly from?: TestPort;
}

export const anyIp: readonly Service[] = [{ ethType: EthType.ipv4 }, { ethType: EthType.ipv6 }];
export const ping: readonly Service[] = [
  { ethType: EthType.ipv4, ipProto: 1 },
  { ethType: EthType.ipv6, ipProto: 58 },
];
export const toPort = (kind: "udp" | "tcp", port: number): readonly Service[] =>
  [EthType.ipv4, EthType.ipv6].flatMap((ethType): readonly Service[] => {
    const ipProto = kind === "udp" ? 17 : 6;
    const exactly = `${port}/0xffff`;
    return [
      { ethType, ipProto, later: 0, ...(kind === "udp" ? { udpDst: exactly } : { tcpDst: exactly }) },
      { ethType, later: 1, ctProto: ipProto, ctDst: exactly },
    ];
  });

/** A rule, and the connections that it keeps alive. */
export function ruleRows({ rule, direction, own, services, from }: Rule): readonly Row[] {
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
export const policed = (port: TestPort): readonly Row[] => [
  row(Sender, { srcPort: port.key }, "policed", { set: setOf(port), zone: port.id }),
  row(Receiver, { dstPort: port.key }, "policed", { set: setOf(port), zone: port.id }),
  ...ruleRows({ rule: port.key, direction: "out", own: port, services: anyIp }),
];
export const ruleIn = (rule: number, own: TestPort, services: readonly Service[], from?: TestPort): readonly Row[] =>
  ruleRows({ rule, direction: "in", own, services, ...(from === undefined ? {} : { from }) });

export const lost = (pinged: string): string =>
  /(\d+) packets transmitted, (\d+) received/.exec(pinged)?.slice(1).join(" sent, ") ?? pinged;

/** The questions of a running ping that were not answered, though later ones were: for the last it waits no longer than the slowest before it took. */
export function missed(pinged: string): readonly number[] {
  const answered = new Set([...pinged.matchAll(/icmp_seq=(\d+) ttl/g)].map(([, seq]) => Number(seq)));
  const last = Math.max(0, ...answered);
  return Array.from({ length: last }, (_, at) => at + 1).filter((seq) => !answered.has(seq));
}

/** Asks for a fact until it is so; each question waits for the switch to count. Throws Late. */
export async function settled(what: string, fact: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + deadline;
  while (!(await fact())) {
    if (performance.now() > end) throw new Late(what, deadline);
    // What is waited for comes in turns of its own.
    await nextTurn();
  }
}

/** What a machine's program prints; what it says when it fails is part of that. */
export const printed = (running: Promise<string>): Promise<string> =>
  running.catch((error: { readonly stdout: string; readonly stderr: string }) => `${error.stdout}${error.stderr}`);

/** Answers datagrams of any size with themselves. */
export const echoServer = (version: 4 | 6, port: number) => `
const s = require("node:dgram").createSocket("udp${version}");
s.on("message", (data, who) => s.send(data, who.port, who.address));
s.bind(${port});
`;
/** Sends datagrams of a size, each when the one before was answered, and prints how long the answers are, or why there is none. */
export const asker = (version: 4 | 6, to: string, port: number, size: number, count: number) => `
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
export const talker = (port: number) => `
require("node:net").createServer((c) => {
  const each = setInterval(() => c.write("x"), 20);
  c.on("error", () => clearInterval(each));
}).listen(${port}, "0.0.0.0");
`;
/** Reads until nothing came for a second. */
export const listener = (to: string, port: number) => `
const c = require("node:net").connect(${port}, "${to}");
let n = 0;
c.setTimeout(1000, () => { console.log(n, "and no more"); c.destroy(); });
c.on("data", (data) => { n += data.length; });
`;

/** Two hosts for the tests of one file, cleared after each. */
export function trackedSwitches() {
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
  return {
    switches: () => hosts,
    drivers,
    hostAt,
    addresses,
    base,
    ready,
    zoneOf,
    connections,
    counted,
    machines,
    during,
    pings,
    asks,
  };
}
