/** Runs the test suite (`./selvage test`, `npm test`): brings the system tools, runs every test file with node:test, ends with the line `N passed, N failed, N skipped`. */

import { existsSync, globSync, readFileSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, relative } from "node:path";
import { run } from "node:test";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { emptyTally, judge, parseAllowedSkips, summaryLine, type Tally, type TestEvent, tally } from "./tally.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PATTERNS = ["packages/*/src/**/*.test.ts", "tests/**/*.test.ts", "scripts/**/*.test.ts", "bench/**/*.test.ts"];
const ALLOWED_SKIPS = join(ROOT, "tests", "allowed-skips.json");

const HELP = `Usage: ./selvage test [options] [file, directory or pattern…]

Options:
  --name PATTERN   only tests whose name matches (repeatable)
  --concurrency N  files at a time (default 2)
  --no-setup       do not look for missing Debian packages first
  --verbose        show what the tests print, also when they pass

Examples:
  ./selvage test                          everything
  ./selvage test packages/lab             one room
  ./selvage test --name 'second up'       one test

With CI=true a skipped test is a failure unless tests/allowed-skips.json lists it with its reason.
Exit code: 0 all passed, 1 something failed, 64 wrong use.
`;

function filesOf(words: readonly string[]): readonly string[] {
  const patterns = words.flatMap((word) => {
    const path = relative(ROOT, join(process.cwd(), word)) || ".";
    if (existsSync(join(ROOT, path)) && statSync(join(ROOT, path)).isDirectory()) return [`${path}/**/*.test.ts`];
    return [path];
  });
  const found = globSync(patterns.length === 0 ? PATTERNS : patterns, {
    cwd: ROOT,
    exclude: (name) => name === "node_modules",
  });
  return [...new Set(found)].sort().map((path) => join(ROOT, path));
}

async function setUpTools(): Promise<void> {
  const { setUp } = await import("@selvage/lab");
  try {
    const result = await setUp("tests", (line) => process.stderr.write(`  ${line}\n`));
    if (result.installed.length > 0) process.stdout.write(`installed: ${result.installed.join(" ")}\n`);
  } catch (cause) {
    // The tests that need a tool say so themselves; the others are worth running.
    process.stderr.write(`selvage: ${cause instanceof Error ? cause.message : String(cause)}\n`);
  }
}

function milliseconds(value: number): string {
  return value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      name: { type: "string", multiple: true },
      concurrency: { type: "string", default: "2" },
      "no-setup": { type: "boolean", default: false },
      verbose: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const files = filesOf(positionals);
  if (files.length === 0) {
    process.stderr.write(`selvage: no test file matches ${positionals.join(" ") || PATTERNS.join(" ")}\n`);
    process.stdout.write(`${summaryLine(emptyTally)}\n`);
    return 1;
  }
  if (!values["no-setup"]) await setUpTools();
  const allowed = existsSync(ALLOWED_SKIPS) ? parseAllowedSkips(readFileSync(ALLOWED_SKIPS, "utf8")) : [];
  const strict = process.env.CI === "true" || process.env.CI === "1";
  const concurrency = Math.max(1, Math.min(Number(values.concurrency) || 1, availableParallelism() * 2));

  let result: Tally = emptyTally;
  const printed = new Map<string, string>();
  const stream = run({
    files: [...files],
    cwd: ROOT,
    concurrency,
    execArgv: ["--import", join(ROOT, "scripts", "deadline.ts")],
    ...(values.name === undefined ? {} : { testNamePatterns: values.name }),
  });
  for await (const event of stream) {
    switch (event.type) {
      case "test:stdout":
      case "test:stderr": {
        const { file, message } = event.data;
        if (values.verbose) process.stderr.write(message);
        else if (file !== undefined) printed.set(file, ((printed.get(file) ?? "") + message).slice(-20_000));
        break;
      }
      case "test:pass":
      case "test:fail": {
        const { data } = event;
        // The runner reports a file without tests as a passed test named for the file: it proves nothing.
        if (event.type === "test:pass" && data.name === data.file) break;
        const one: TestEvent = {
          name: data.name,
          file: data.file === undefined ? "" : relative(ROOT, data.file),
          suite: data.details.type === "suite",
          passed: event.type === "test:pass",
          // A test set aside as "todo" proves as little as a skipped one.
          skipped: data.skip !== undefined || data.todo !== undefined,
          skipReason: typeof data.skip === "string" ? data.skip : "",
        };
        result = tally(result, one);
        if (data.nesting === 0 && one.passed && !one.skipped) {
          process.stdout.write(`ok    ${one.file}: ${one.name} (${milliseconds(data.details.duration_ms)})\n`);
        } else if (one.skipped) {
          process.stdout.write(
            `skip  ${one.file}: ${one.name}${one.skipReason === "" ? "" : ` (${one.skipReason})`}\n`,
          );
        } else if (event.type === "test:fail") {
          const { error } = event.data.details;
          const cause = error.cause instanceof Error ? error.cause : error;
          process.stdout.write(
            `FAIL  ${one.file}: ${one.name}\n      ${(cause.stack ?? cause.message).replaceAll("\n", "\n      ")}\n`,
          );
          const words = data.file === undefined ? undefined : printed.get(data.file);
          if (words !== undefined && !one.suite)
            process.stdout.write(`      it printed:\n      ${words.trim().replaceAll("\n", "\n      ")}\n`);
        }
        break;
      }
      default:
        break;
    }
  }
  const verdict = judge(result, allowed, strict);
  for (const line of verdict.complaints) process.stdout.write(`FAIL  ${line}\n`);
  process.stdout.write(`${summaryLine(verdict.tally)}\n`);
  return verdict.tally.failed === 0 && verdict.tally.passed > 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (cause) {
  process.stderr.write(`selvage: ${cause instanceof Error ? cause.message : String(cause)}\n`);
  process.exitCode = 64;
}
