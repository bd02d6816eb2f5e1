/** What bench programs share: the words of their command line, figures told as they come, and all of them as one table at the end. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Figure, isMet, numberText, type Report, tableText } from "./figures.ts";
import { commitName, describeMachine, loadNow, type Machine, machineText } from "./machine.ts";

/** One bench of a program. */
export interface Part {
  readonly name: string;
  readonly what: string;
  /** Why it cannot run on a machine; undefined: it can. */
  passedOver?(machine: Machine): string | undefined;
  run(report: Report, isFull: boolean): Promise<void>;
}

export interface Program {
  /** What is typed, such as `npm run bench`. */
  readonly command: string;
  readonly parts: readonly Part[];
  /** What its help says before the parts, and of `--full`. */
  readonly needs?: string;
  readonly full: string;
  /** Makes ready; gives words on what else the figures are of. Throws where it cannot. */
  prepare?(): Promise<string>;
}

const helpOf = ({
  command,
  parts,
  needs,
  full,
}: Program): string => `Usage: ${command} -- [NAME…] [--full] [--json FILE]
${needs === undefined ? "" : `\n${needs}\n`}
Parts, all of them unless some are named:
${parts.map(({ name, what }) => `  ${name.padEnd(12)} ${what}`).join("\n")}

  --full       ${full}
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

/** Runs a program; gives its exit code: 1 where a part failed, 64 where it was called wrongly. */
export async function runProgram(program: Program): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      full: { type: "boolean", default: false },
      json: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(helpOf(program));
    return 0;
  }
  const unknown = positionals.filter((name) => !program.parts.some((part) => part.name === name));
  if (unknown.length > 0) {
    process.stderr.write(`there is no part ${unknown.join(", ")}\n\n${helpOf(program)}`);
    return 64;
  }
  const besides = await program.prepare?.();
  const machine = await describeMachine();
  const commit = commitName(join(import.meta.dirname, "..")) ?? null;
  const words = [machineText(machine), ...(besides === undefined ? [] : [besides]), `commit ${commit ?? "unknown"}`];
  process.stdout.write(`${words.join(", ")}, ${values.full ? "full" : "quick"} sizes\n`);
  const figures: Figure[] = [];
  const failed: string[] = [];
  const loads: Record<string, number> = {};
  for (const part of program.parts.filter(({ name }) => positionals.length === 0 || positionals.includes(name))) {
    process.stderr.write(`\n${part.name}: ${part.what}\n`);
    const why = part.passedOver?.(machine);
    if (why !== undefined) {
      process.stderr.write(`  passed over: ${why}\n`);
      continue;
    }
    try {
      await part.run(reportOf(part.name, figures), values.full);
    } catch (error) {
      failed.push(part.name);
      process.stderr.write(`${part.name} failed: ${error instanceof Error ? error.stack : String(error)}\n`);
    }
    loads[part.name] = loadNow();
  }
  process.stdout.write(`\n${tableText(figures)}\n`);
  if (values.json !== undefined) {
    const size = values.full ? "full" : "quick";
    writeFileSync(values.json, `${JSON.stringify({ machine, commit, size, loads, figures, failed }, undefined, 2)}\n`);
  }
  return failed.length === 0 ? 0 : 1;
}
