/** `npm run bench [-- NAME… --full --json FILE]`: the machine, then each bench's figures, then all of them as one table. */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { api } from "./api.ts";
import type { Bench, Size } from "./bench.ts";
import { type Figure, isMet, numberText, type Report, tableText } from "./figures.ts";
import { firstPing } from "./first-ping.ts";
import { commitName, describeMachine, loadNow, machineText } from "./machine.ts";
import { memory } from "./memory.ts";
import { rows } from "./rows.ts";

const benches: readonly Bench[] = [firstPing, api, rows, memory];

const help = `Usage: npm run bench -- [NAME…] [--full] [--json FILE]

Benches, all of them unless some are named:
${benches.map(({ name, what }) => `  ${name.padEnd(12)} ${what}`).join("\n")}

  --full       the sizes of the aims: takes much longer
  --json FILE  writes machine and figures to a file too
`;

function report(bench: string, figures: Figure[]): Report {
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
  const unknown = positionals.filter((name) => !benches.some((bench) => bench.name === name));
  if (unknown.length > 0) {
    process.stderr.write(`there is no bench ${unknown.join(", ")}\n\n${help}`);
    return 2;
  }
  const size: Size = values.full ? "full" : "quick";
  const machine = await describeMachine();
  const commit = commitName(fileURLToPath(new URL("..", import.meta.url))) ?? null;
  process.stdout.write(`${machineText(machine)}, commit ${commit ?? "unknown"}, ${size} sizes\n`);
  const figures: Figure[] = [];
  const failed: string[] = [];
  const loads: Record<string, number> = {};
  for (const bench of benches.filter(({ name }) => positionals.length === 0 || positionals.includes(name))) {
    process.stderr.write(`\n${bench.name}: ${bench.what}\n`);
    if (bench.needs === "switch" && (process.getuid?.() !== 0 || machine.openVSwitch === null)) {
      process.stderr.write("  passed over: it needs root and Open vSwitch (./selvage setup)\n");
      continue;
    }
    try {
      await bench.run(report(bench.name, figures), size);
    } catch (error) {
      failed.push(bench.name);
      process.stderr.write(`${bench.name} failed: ${error instanceof Error ? error.stack : String(error)}\n`);
    }
    loads[bench.name] = loadNow();
  }
  process.stdout.write(`\n${tableText(figures)}\n`);
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ machine, commit, size, loads, figures, failed }, undefined, 2)}\n`);
  return failed.length === 0 ? 0 : 1;
}

process.exitCode = await main();
