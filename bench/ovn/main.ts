/** `npm run bench:ovn [-- PART… --full --json FILE]`: Selvage beside Debian's OVN on the same Open vSwitch, in one run. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { inDirectory, whenInterrupted } from "../bench.ts";
import { type Figure, isMet, numberText, type Report, tableText } from "../figures.ts";
import { commitName, describeMachine, loadNow, machineText } from "../machine.ts";
import { addedPort } from "./added-port.ts";
import { failover } from "./failover.ts";
import { outside } from "./outside.ts";
import { OvnSide } from "./ovn.ts";
import { run } from "./processes.ts";
import { flowsAtScale, large, oneMore } from "./scale.ts";
import { SelvageSide } from "./selvage.ts";
import type { Side } from "./side.ts";
import { traffic } from "./traffic.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const packages = ["openvswitch-switch", "ovn-central", "ovn-host", "iperf3", "wrk", "busybox"];

/** Milliseconds between two signs of life of hosts: Selvage's, which OVN is told too. */
const betweenSigns = 200;

interface Size {
  /** Ports that are there when one is added, and how often one is. */
  readonly there: readonly (readonly [ports: number, samples: number])[];
  readonly rounds: number;
  readonly seconds: number;
  /** How often a host is lost, and how often with OVN's signs of life as they come. */
  readonly losses: readonly [alike: number, asItComes: number];
  /** OVN, too, at 1,000 hosts: takes minutes. */
  readonly ovnAtScale: boolean;
}
const quick: Size = {
  there: [
    [10, 5],
    [100, 5],
    [1_000, 3],
  ],
  rounds: 5,
  seconds: 2,
  losses: [20, 5],
  ovnAtScale: false,
};
const full: Size = {
  there: [
    [10, 9],
    [100, 9],
    [1_000, 9],
    [5_000, 3],
  ],
  rounds: 9,
  seconds: 4,
  losses: [20, 20],
  ovnAtScale: true,
};

interface Part {
  readonly name: string;
  readonly what: string;
  run(report: Report, size: Size, directory: string): Promise<void>;
}

/** Runs with a side, which goes after it; tells what ended by itself, which is nobody's win. */
async function withSide<S extends Side>(
  report: Report,
  starting: Promise<S>,
  work: (side: S) => Promise<void>,
): Promise<void> {
  const side = await starting;
  const forget = whenInterrupted(() => side.end());
  try {
    await work(side);
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    report.step(`${side.name} failed: ${words}`);
    if (side.name === "Selvage") throw error;
  } finally {
    for (const death of side.deaths()) report.step(`${side.name}: ${death}`);
    await side.end();
    forget();
  }
}

const parts: readonly Part[] = [
  {
    name: "port",
    what: "one port more in a group that lets its members in, until its first ping is answered",
    async run(report, { there }, directory) {
      const medians: number[] = [];
      for (const [count, samples] of there) {
        const place = join(directory, `port-${count}`);
        report.step(`${count} ports`);
        await withSide(report, OvnSide.start(2, place), (ovn) =>
          withSide(report, SelvageSide.start(2, place), async (selvage) => {
            const each = await addedPort(report, [selvage, ovn], count, samples);
            const [ours = Number.NaN, theirs = Number.NaN] = [each.get("Selvage"), each.get("OVN")];
            medians.push(ours);
            report.add({ name: `one port more beside ${count}: OVN to Selvage`, value: theirs / ours, unit: "times" });
          }),
        );
      }
      report.add({
        name: "Selvage: one port more, slowest p50 to fastest",
        value: Math.max(...medians) / Math.min(...medians),
        unit: "times",
        aim: { is: "<", value: 1.5 },
      });
    },
  },
  {
    name: "traffic",
    what: "throughput, processor time, requests and connections a second",
    async run(report, { rounds, seconds }, directory) {
      await withSide(report, OvnSide.start(2, directory), async (ovn) => {
        await ovn.withoutZeroSnat();
        await withSide(report, SelvageSide.start(2, directory), (selvage) =>
          traffic(report, [selvage, ovn], rounds, seconds),
        );
      });
    },
  },
  {
    name: "outside",
    what: "the same with the outside, through a floating address and by the router's own",
    async run(report, { rounds, seconds }, directory) {
      await withSide(report, OvnSide.start(2, directory, "on ground"), async (ovn) => {
        await ovn.withoutZeroSnat();
        await withSide(report, SelvageSide.start(2, directory, "on ground"), (selvage) =>
          outside(report, [selvage, ovn], rounds, seconds),
        );
      });
    },
  },
  {
    name: "failover",
    what: "how long nothing comes back when the host that speaks for a router's address is lost",
    async run(report, { losses: [alike, asItComes] }, directory) {
      const place = join(directory, "alike");
      await withSide(report, OvnSide.start(3, place, "on ground"), async (ovn) => {
        await ovn.withoutZeroSnat();
        await withSide(report, SelvageSide.start(3, place, "on ground"), (selvage) =>
          failover(report, [selvage, ovn], alike, betweenSigns),
        );
      });
      await withSide(report, OvnSide.start(3, join(directory, "plain"), "on ground"), async (ovn) => {
        await ovn.withoutZeroSnat();
        await failover(report, [ovn], asItComes, undefined);
      });
    },
  },
  {
    name: "scale",
    what: "flows of one real switch among 1,000 hosts",
    async run(report, { ovnAtScale }, directory) {
      await withSide(report, SelvageSide.start(1, directory), (side) => flowsAtScale(report, side, large));
      if (!ovnAtScale) return;
      await withSide(report, OvnSide.start(1, directory), (side) => flowsAtScale(report, side, large));
    },
  },
  {
    name: "members",
    what: "a member or a rule more beside 10 and 10,000 members",
    async run(report, _size, directory) {
      const rows: (readonly number[])[] = [];
      for (const members of [10, 10_000]) {
        const place = join(directory, `members-${members}`);
        await withSide(report, SelvageSide.start(2, place), async (side) => {
          rows.push(await oneMore(report, side, members));
        });
      }
      const [few = [], many = []] = rows;
      report.add({
        name: "Selvage: rows that a member or a rule more changes beside 10,000 members, less those beside 10",
        value: Math.max(...many.map((count, at) => Math.abs(count - (few[at] ?? 0)))),
        unit: "rows",
        aim: { is: "<", value: 1 },
      });
    },
  },
];

const help = `Usage: npm run bench:ovn -- [PART…] [--full] [--json FILE]

Needs root. Installs Debian's ${packages.join(", ")} by apt when they are not there; no service is started.

Parts, all of them unless some are named:
${parts.map(({ name, what }) => `  ${name.padEnd(9)} ${what}`).join("\n")}

  --full       5,000 ports, more and longer rounds, OVN at 1,000 hosts: takes an hour
  --json FILE  writes machine and figures to a file too
`;

function reportOf(bench: string, figures: Figure[]): Report {
  const begun = performance.now();
  const since = (): string => `${((performance.now() - begun) / 1000).toFixed(0)} s`.padStart(6);
  return {
    add(figure) {
      const whole = { bench, ...figure };
      figures.push(whole);
      const mark = isMet(whole) === false ? " MISSED" : "";
      const beside = whole.beside === undefined ? "" : `  (${whole.beside})`;
      process.stderr.write(`${since()}  ${whole.name}: ${numberText(whole.value)} ${whole.unit}${mark}${beside}\n`);
    },
    step: (text) => void process.stderr.write(`${since()}  … ${text}\n`),
  };
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      full: { type: "boolean", default: false },
      json: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  const unknown = positionals.filter((name) => !parts.some((part) => part.name === name));
  if (unknown.length > 0) {
    process.stderr.write(`there is no part ${unknown.join(", ")}\n\n${help}`);
    return 64;
  }
  if (process.getuid?.() !== 0) {
    process.stderr.write("bench:ovn: it needs root, for network namespaces\n");
    return 1;
  }
  await run([join(root, "packages/lab/src/apt-install.sh"), ...packages]);
  const machine = await describeMachine();
  const commit = commitName(root) ?? null;
  const ovn = (await run(["ovn-controller", "--version"])).split("\n")[0];
  process.stdout.write(`${machineText(machine)}, ${ovn}, commit ${commit ?? "unknown"}\n`);
  const size = values.full ? full : quick;
  const figures: Figure[] = [];
  const failed: string[] = [];
  const loads: Record<string, number> = {};
  for (const part of parts.filter(({ name }) => positionals.length === 0 || positionals.includes(name))) {
    process.stderr.write(`\n${part.name}: ${part.what}\n`);
    try {
      await inDirectory((directory) => part.run(reportOf(part.name, figures), size, directory));
    } catch (error) {
      failed.push(part.name);
      process.stderr.write(`${part.name} failed: ${error instanceof Error ? error.stack : String(error)}\n`);
    }
    loads[part.name] = loadNow();
  }
  process.stdout.write(`\n${tableText(figures)}\n`);
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ machine, commit, loads, figures, failed }, undefined, 2)}\n`);
  return failed.length === 0 ? 0 : 1;
}

process.exitCode = await main();
