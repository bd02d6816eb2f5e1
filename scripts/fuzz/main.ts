/** Fuzzes the parsers (`npm run fuzz`): each target for a time or a number of inputs, from its kept corpus on; what breaks is kept as a file. */
import { relative } from "node:path";
import { parseArgs } from "node:util";
import type { Figures } from "./coverage.ts";
import { keepCorpus, keepFound, readCorpus, readFound } from "./found.ts";
import { type Finding, fuzz, type Report } from "./fuzzer.ts";
import type { Target } from "./target.ts";
import { targets } from "./targets.ts";

const HELP = `Usage: npm run fuzz -- [target…] [options]

Options:
  --seconds N     how long each target runs (default 30)
  --runs N        how many mutated inputs each target runs at most
  --seed N        where the pseudo-random numbers begin (default: the time)
  --keep-corpus   keep the inputs that reach everything, for the next run and the tests
  --list          the targets

Targets:
${targets.map(({ name, about }) => `  ${name.padEnd(14)}${about}`).join("\n")}

An input that breaks its target is kept as tests/fuzz/found/<target>/<what>-<hash>.hex; the test suite runs all of them from then on. Faults in tests/fuzz/open are known and not told again.
Exit code: 0 nothing was found, 1 something was, 64 wrong use.
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seconds: { type: "string" },
      runs: { type: "string" },
      seed: { type: "string" },
      "keep-corpus": { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (values.list) {
    process.stdout.write(targets.map(({ name }) => `${name}\n`).join(""));
    return 0;
  }
  const chosen = positionals.length === 0 ? targets : positionals.map(named);
  const seed = countOf("seed", values.seed) ?? Date.now();
  const runs = countOf("runs", values.runs);
  const seconds = countOf("seconds", values.seconds) ?? (runs === undefined ? 30 : Number.POSITIVE_INFINITY);
  let found = 0;
  for (const target of chosen) {
    const report = await fuzz(target, {
      seed,
      runs: runs ?? Number.POSITIVE_INFINITY,
      until: performance.now() + seconds * 1000,
      corpus: await readCorpus(target.name),
    });
    process.stdout.write(`${target.name}: ${lineOf(report)}, seed ${seed}\n`);
    const open = new Set((await readFound(target.name, "open")).map(({ name }) => name));
    const news = report.findings.filter(({ fault }) => !open.has(fault.name));
    for (const finding of news) await tell(target, finding);
    if (values["keep-corpus"]) await keepCorpus(target.name, report.corpus);
    found += news.length;
  }
  return found === 0 ? 0 : 1;
}

async function tell(target: Target, { fault, input }: Finding): Promise<void> {
  const text = noteOf(fault);
  const file = await keepFound(target.name, fault.name, input, text.split("\n", 1)[0] ?? fault.name);
  process.stdout.write(
    `  ${relative(process.cwd(), file)} (${input.length} bytes)\n    ${text.replaceAll("\n", "\n    ")}\n`,
  );
}

function noteOf(fault: Finding["fault"]): string {
  switch (fault.kind) {
    case "crash":
      return fault.error instanceof Error ? (fault.error.stack ?? fault.error.message) : String(fault.error);
    case "slow":
      return `took ${Math.round(fault.ms)} ms`;
    case "unsettled":
      return `did not settle within ${fault.ms} ms`;
    case "large":
      return `took ${fault.bytes} bytes`;
  }
}

function lineOf({ executions, seconds, corpus, coverage, findings }: Report): string {
  const parts = [
    `${executions} executions in ${seconds.toFixed(1)} s (${Math.round(executions / seconds)}/s)`,
    `corpus ${corpus.length}`,
    `found ${findings.length}`,
  ];
  if (coverage === undefined) return parts.join(", ");
  const { begun, reached } = coverage;
  const functions = `functions ${reached.functionsReached} of ${reached.functions}`;
  return [...parts, `code ${share(begun)} to ${share(reached)}`, functions].join(", ");
}

function share({ code, codeReached }: Figures): string {
  return code === 0 ? "none" : `${((100 * codeReached) / code).toFixed(1)} %`;
}

function named(name: string): Target {
  const target = targets.find((each) => each.name === name);
  if (target === undefined) throw new Error(`there is no target ${name}; --list tells which there are`);
  return target;
}

function countOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`--${name} is a whole number, not ${text}`);
  return value;
}

try {
  process.exitCode = await main();
} catch (cause) {
  process.stderr.write(`fuzz: ${cause instanceof Error ? cause.message : String(cause)}\n`);
  process.exitCode = 64;
}
