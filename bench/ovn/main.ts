/** `npm run bench:ovn [-- PART… --full --json FILE]`: Selvage beside Debian's OVN on the same Open vSwitch, in one run. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inDirectory, whenInterrupted } from "../bench.ts";
import type { Report } from "../figures.ts";
import { runProgram } from "../program.ts";
import { addedPort } from "./added-port.ts";
import { failover } from "./failover.ts";
import { outside } from "./outside.ts";
import { OvnSide } from "./ovn.ts";
import { run, within } from "./processes.ts";
import { flowsAtScale, large, oneMore } from "./scale.ts";
import { SelvageSide } from "./selvage.ts";
import type { Side } from "./side.ts";
import { traffic } from "./traffic.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const packages = ["openvswitch-switch", "ovn-central", "ovn-host", "iperf3", "wrk", "busybox"];

/** Milliseconds between two signs of life of hosts: Selvage's, which OVN is told too. */
const betweenSigns = 200;

const many = 5_000;
/** Of OVN beside so many, ms. */
const longest = 1_800_000;

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
    name: "many",
    what: "the same beside 5,000 ports: Selvage alone, and with --full OVN alone after it",
    async run(report, { ovnAtScale }, directory) {
      await withSide(report, SelvageSide.start(2, directory), async (side) => {
        await addedPort(report, [side], many, 3);
      });
      if (!ovnAtScale) return;
      await withSide(report, OvnSide.start(2, directory), async (side) => {
        await within(`OVN beside ${many}`, longest, addedPort(report, [side], many, 3));
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

process.exitCode = await runProgram({
  command: "npm run bench:ovn",
  needs: `Needs root. Installs Debian's ${packages.join(", ")} by apt when they are not there; no service is started.`,
  full: "more and longer rounds, OVN at 5,000 ports and at 1,000 hosts: takes an hour",
  async prepare() {
    if (process.getuid?.() !== 0) throw new Error("bench:ovn needs root, for network namespaces");
    await run([join(root, "packages/lab/src/apt-install.sh"), ...packages]);
    return (await run(["ovn-controller", "--version"])).split("\n")[0] ?? "";
  },
  parts: parts.map((part) => ({
    name: part.name,
    what: part.what,
    run: (report, isFull) => inDirectory((directory) => part.run(report, isFull ? full : quick, directory)),
  })),
});
