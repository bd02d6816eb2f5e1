/** Rows into a real switch: by the driver, against ovs-ofctl with the same flows; and what taking over a full switch costs its traffic. */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { derivationsFor } from "@selvage/compiler";
import { type DatapathEvents, OvsDatapath } from "@selvage/datapath";
import type { MachineState } from "@selvage/lab";
import { type BareLab, bareLab } from "@selvage/lab/testing";
import { Attachment, Engine, Host, Network, Port, Subnet } from "@selvage/model";
import {
  makeAttachment,
  makeHost,
  makeNetwork,
  makePort,
  makeSubnet,
  put,
  testId,
  testMac,
} from "@selvage/model/testing";
import type { Row } from "@selvage/pipeline";
import { type Bench, inDirectory, type Size, whenInterrupted } from "./bench.ts";
import { numberText, percentile, type Report, spread } from "./figures.ts";

const run = promisify(execFile);

/** Rows by size of the run; each remote port of two addresses has four. */
const counts: Readonly<Record<Size, { readonly rows: number; readonly rounds: number }>> = {
  quick: { rows: 100_000, rounds: 3 },
  full: { rows: 100_000, rounds: 9 },
};
const rowsOfPort = 4;

interface Rows {
  /** Of the two machines that ping each other. */
  readonly local: readonly Row[];
  readonly remote: readonly Row[];
  readonly machines: readonly Port[];
}

const port = (number: number, host: string): Port =>
  makePort({
    id: testId("port", number),
    key: number,
    mac_address: testMac(number),
    "binding:host_id": host,
    fixed_ips: [
      { subnet_id: testId("subnet", 1), ip_address: `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}` },
      {
        subnet_id: testId("subnet", 2),
        ip_address: `2001:db8::${(number + 0x10000).toString(16).slice(-5, -4)}:${(number & 0xffff).toString(16)}`,
      },
    ],
  });

/** The rows that the apps derive for a host with two machines here and so many ports on another. */
function derive(hostName: string, remotePorts: number): Rows {
  const engine = new Engine<Row>({ derivations: derivationsFor({ name: hostName }) });
  const machines = [port(1, hostName), port(2, hostName)];
  const begin = [
    put(Host, makeHost({ name: hostName })),
    put(Host, makeHost({ id: testId("host", 2), name: "elsewhere", key: 2, tunnel_ip: "198.18.200.1" })),
    put(Network, makeNetwork()),
    put(Subnet, makeSubnet({ cidr: "10.0.0.0/8", gateway_ip: null })),
    put(
      Subnet,
      makeSubnet({
        id: testId("subnet", 2),
        ip_version: 6,
        cidr: "2001:db8::/64",
        gateway_ip: null,
        allocation_pools: [],
      }),
    ),
    ...machines.map((machine) => put(Port, machine)),
    ...machines.map(({ id }) => put(Attachment, makeAttachment({ id }))),
  ];
  const { added: local } = engine.apply(begin, 1);
  const more = Array.from({ length: remotePorts }, (_, at) => put(Port, port(at + 3, "elsewhere")));
  return { local, remote: engine.apply(more, 2).added, machines };
}

/** A driver on the lab's host, open, and ready to be told. */
async function openDriver(database: string, tunnelIp: string): Promise<OvsDatapath> {
  const datapath = new OvsDatapath({ database, tunnelIp, datapathType: "netdev" });
  const { promise, resolve } = Promise.withResolvers<void>();
  const events: DatapathEvents = {
    attachments: () => undefined,
    punt: () => undefined,
    ready: resolve,
    lost: () => undefined,
  };
  await datapath.open(events);
  await promise;
  return datapath;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const before = performance.now();
  await work();
  return (performance.now() - before) / 1000;
}

/** ovs-ofctl for one bridge, with its own way of writing flows down. */
class Ofctl {
  readonly #bridge: string;

  constructor(bridge: string) {
    this.#bridge = bridge;
  }

  async flows(): Promise<readonly string[]> {
    const { stdout } = await run("ovs-ofctl", ["-O", "OpenFlow15", "--no-stats", "dump-flows", this.#bridge], {
      maxBuffer: 2 ** 28,
    });
    return stdout
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line.includes("actions="));
  }

  async add(file: string): Promise<void> {
    await run("ovs-ofctl", ["-O", "OpenFlow15", "--bundle", "add-flows", this.#bridge, file]);
  }
}

/** Plugs both machines, with addresses and neighbours set by hand: only forwarding is asked of the switch. */
async function plugBoth(lab: BareLab, host: string, machines: readonly Port[]): Promise<readonly MachineState[]> {
  const plugged: MachineState[] = [];
  for (const { id, mac_address: mac } of machines) {
    plugged.push(await lab.plug({ port: id, name: id, host, mac, ipv6: [], dhcp: false }, 10_000));
  }
  for (const [at, machine] of plugged.entries()) {
    const [own, other] = [machines[at], machines[1 - at]];
    const words = [
      `ip address add ${own?.fixed_ips[0]?.ip_address}/8 dev eth0`,
      `ip neighbour replace ${other?.fixed_ips[0]?.ip_address} lladdr ${other?.mac_address} dev eth0`,
    ];
    const done = await lab.run(machine, "sh", "-ec", words.join("; "));
    if (done.code !== 0) throw new Error(`a machine could not be set up: ${done.stderr}`);
  }
  return plugged;
}

/** Pings for so many seconds, a hundred times each; gives how many were sent and how many had no answer. */
async function pinged(lab: BareLab, from: MachineState, to: string, seconds: number) {
  const words = ["ping", "-n", "-q", "-i", "0.01", "-c", String(seconds * 100), "-W", "1", to];
  const { stdout } = await lab.run(from, ...words);
  const [, sent, answered] = /(\d+) packets transmitted, (\d+) received/.exec(stdout) ?? [];
  if (sent === undefined || answered === undefined) throw new Error(`ping said: ${stdout}`);
  return { sent: Number(sent), lost: Number(sent) - Number(answered) };
}

async function measure(report: Report, size: Size): Promise<void> {
  await inDirectory(async (directory) => {
    await using lab = await bareLab({ hosts: 1 });
    using interruption = new DisposableStack();
    interruption.defer(whenInterrupted(() => lab[Symbol.asyncDispose]()));
    const [host] = (await lab.state()).hosts;
    if (host === undefined) throw new Error("the lab has no host");
    const { rows: wanted, rounds } = counts[size];
    report.step(`deriving ${wanted} rows`);
    const { local, remote, machines } = derive(host.name, Math.round(wanted / rowsOfPort));
    const [here, there] = await plugBoth(lab, host.name, machines);
    const address = machines[1]?.fixed_ips[0]?.ip_address;
    if (here === undefined || there === undefined || address === undefined) throw new Error("two machines are needed");
    const database = `unix:${join(host.directory, "run", "db.sock")}`;
    const ofctl = new Ofctl(`unix:${join(host.directory, "run", "br-int.mgmt")}`);
    await using drivers = new AsyncDisposableStack();
    const open = async (): Promise<OvsDatapath> =>
      drivers.adopt(await openDriver(database, host.tunnelIp), (driver) => driver.close());
    let datapath = await open();
    await datapath.adopt(local);
    const answer = await pinged(lab, here, address, 1);
    if (answer.lost === answer.sent) throw new Error("the machines do not reach each other");
    const base = new Set(await ofctl.flows());

    const ours: number[] = [];
    const theirs: number[] = [];
    const removals: number[] = [];
    const file = join(directory, "flows");
    let flows = 0;
    for (let round = 0; round < rounds; round += 1) {
      report.step(`round ${round + 1} of ${rounds}`);
      ours.push(remote.length / (await timed(() => datapath.apply({ added: remote, removed: [], modified: [] }))));
      // Save the one that leads into the set of hosts to flood to: ovs-ofctl would need the group to be there.
      const own = (await ofctl.flows()).filter((line) => !base.has(line) && !line.includes("group:"));
      flows = own.length;
      await writeFile(file, `${own.join("\n")}\n`);
      removals.push(remote.length / (await timed(() => datapath.apply({ added: [], removed: remote, modified: [] }))));
      const left = (await ofctl.flows()).length;
      if (left !== base.size) throw new Error(`${left} flows are left of ${base.size}`);
      theirs.push(remote.length / (await timed(() => ofctl.add(file))));
      if (round < rounds - 1) await datapath.adopt(local);
    }
    const rate = percentile(ours, 0.5);
    const other = percentile(theirs, 0.5);
    const ratios = ours.map((value, at) => value / (theirs[at] ?? Number.NaN));
    report.add({
      name: "rows a second, put",
      value: rate,
      unit: "/s",
      beside: `${remote.length} rows, ${flows} flows; rounds: ${ours.map(numberText).join(", ")}`,
    });
    report.add({
      name: "rows a second, ovs-ofctl --bundle add-flows of the same",
      value: other,
      unit: "/s",
      beside: `rounds: ${theirs.map(numberText).join(", ")}`,
    });
    report.add({
      name: "rows a second, ours to ovs-ofctl",
      value: percentile(ratios, 0.5),
      unit: "times",
      aim: { is: ">=", value: 0.8 },
      beside: spread(ratios),
    });
    report.add({ name: "rows a second, taken away", value: percentile(removals, 0.5), unit: "/s" });

    // The switch holds all rows now, put there by ovs-ofctl: another life of the driver finds them as its own.
    await datapath.close();
    datapath = await open();
    const all = [...local, ...remote];
    const seconds = 12;
    report.step("taking a full switch over, while a ping runs");
    const ping = pinged(lab, here, address, seconds);
    const found = { kept: 0, other: 0 };
    const taken = await timed(async () => {
      const { kept, added, changed, removed } = await datapath.adopt(all);
      found.kept = kept;
      found.other = added + changed + removed;
    });
    report.add({
      name: "taking over a switch with 100,000 rows",
      value: taken,
      unit: "s",
      aim: { is: "<", value: 5 },
      beside: `${found.kept} rows kept, ${found.other} others`,
    });
    const { sent, lost } = await ping;
    report.add({
      name: "echoes lost meanwhile",
      value: lost,
      unit: "",
      aim: { is: "<", value: 1 },
      beside: `of ${sent}, one each 10 ms`,
    });
    const one = [remote[0]].flatMap((row) => row ?? []);
    const single: number[] = [];
    for (let at = 0; at < 100; at += 1) {
      await datapath.apply({ added: [], removed: one, modified: [] });
      single.push(1000 * (await timed(() => datapath.apply({ added: one, removed: [], modified: [] }))));
    }
    report.add({
      name: "one row, until packets meet it, p50, beside 100,000",
      value: percentile(single, 0.5),
      unit: "ms",
      beside: `ms: ${spread(single)}`,
    });
  });
}

export const rows: Bench = {
  name: "rows",
  what: "rows into a real switch, against ovs-ofctl; a full switch taken over under traffic",
  needs: "switch",
  run: measure,
};
