/** Runs OpenStack's own test suites of the Networking API against a fresh server (`npm run test:tempest`): Tempest's, or Neutron's plugin for it. */

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startTestServer, type TestServer } from "@selvage/server/testing";
import {
  type Allowed,
  emptyOutcomes,
  figuresLine,
  judgeOutcome,
  newlyPossible,
  type Outcome,
  type Outcomes,
  parseAllowed,
  parseLine,
  waiting,
} from "./tempest/outcomes.ts";
import { configuration, networkOutside, offeredBy } from "./tempest/settings.ts";
import { neutronSuite, type Suite, tempestSuite } from "./tempest/suites.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const RUNNER = fileURLToPath(new URL("tempest/run.py", import.meta.url));

const HELP = `Usage: npm run test:tempest -- [options] [pattern…]

Runs ${tempestSuite.name} of Tempest against a server of its own with a fresh data directory. When Tempest is not there, installs Debian's
packages ${tempestSuite.debian.join(" and ")} (as root, by apt, no service is started).

  pattern…     regular expressions: only tests whose name matches one
  --neutron    runs ${neutronSuite.name} instead, Debian's ${neutronSuite.debian.join(" and ")}: more tests of more extensions
  --json FILE  writes every test's outcome there
  --verbose    also tell each test that passed, and why each was skipped

Prints every failure with its cause, what is skipped and why, and how many passed, failed and were skipped. The extensions that Tempest is told
of are those that the server lists. scripts/tempest/allowed.json, or allowed-neutron.json, lists the tests that need what it does not have, each with its reason; an entry
counts only while what it waits for is not there, and one that has done its time is named at the end.
Exit code: 0 everything else passed, 1 a test failed or was skipped that is not in the list, 64 wrong use.
`;

/** Brings Debian's packages when they are not there. Throws when they cannot be had. */
async function bring({ debian, module }: Suite): Promise<void> {
  if (existsSync(module)) return;
  process.stdout.write(`installing Debian's ${debian.join(" and ")} (apt; no service is started)\n`);
  const script = join(ROOT, "packages/lab/src/apt-install.sh");
  const child = spawn(script, debian, { stdio: ["ignore", "ignore", "inherit"] });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (code !== 0 || !existsSync(module)) {
    throw new Error(`Tempest could not be installed; by hand: apt-get install ${debian.join(" ")}`);
  }
}

async function runTempest(
  suite: Suite,
  server: TestServer,
  offered: ReadonlySet<string>,
  patterns: readonly string[],
  heard: (outcome: Outcome) => void,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "selvage-tempest-"));
  try {
    const text = configuration(server, directory, offered, await networkOutside(server, offered));
    writeFileSync(join(directory, "tempest.conf"), text, { mode: 0o600 });
    const env = {
      ...process.env,
      TEMPEST_CONFIG_DIR: directory,
      TEMPEST_CONFIG: "tempest.conf",
      PYTHONWARNINGS: "ignore",
    };
    const child = spawn("/usr/bin/python3", [RUNNER, suite.name, ...patterns], {
      env,
      cwd: directory,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const words: string[] = [];
    createInterface({ input: child.stderr }).on("line", (line) => {
      words.push(line);
      if (words.length > 30) words.shift();
    });
    let listed = 0;
    createInterface({ input: child.stdout }).on("line", (line) => {
      const read = parseLine(line);
      if (read === undefined) return;
      if (read.kind === "listed") listed = read.count;
      else heard(read.outcome);
    });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    if (code !== 0) throw new Error(`Tempest ended with ${code}:\n${words.join("\n")}`);
    if (listed === 0) throw new Error("Tempest found no test");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const say = (text: string): void => void process.stdout.write(`${text}\n`);

function tell(outcomes: Outcomes, verbose: boolean): void {
  for (const { outcome, unexpected } of outcomes.judged) {
    if (!unexpected && !(verbose && outcome.outcome === "skipped")) continue;
    const mark = unexpected ? outcome.outcome.toUpperCase() : "skipped";
    say(`${mark} ${outcome.test} ${outcome.where}\n      ${outcome.why.replaceAll("\n", "\n      ")}`);
  }
  for (const { allowed, tests } of waiting(outcomes)) {
    const needs = allowed.needs.length === 0 ? "" : ` (needs ${allowed.needs.join(", ")})`;
    say(`${String(tests).padStart(4)} skipped: ${allowed.reason}${needs}`);
  }
}

function tellPossible({ allowed }: Suite, entries: readonly Allowed[]): void {
  for (const { pattern, reason } of entries) {
    say(`newly possible: take "${pattern.source}" out of ${relative(ROOT, allowed)}, where it says: ${reason}`);
  }
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      neutron: { type: "boolean", default: false },
      json: { type: "string" },
      verbose: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const suite = values.neutron ? neutronSuite : tempestSuite;
  await bring(suite);
  const allowed = parseAllowed(readFileSync(suite.allowed, "utf8"));
  await using server = await startTestServer({ on: "sqlite" });
  // The tests of agents want one; here a host is one.
  await server.host("tempest-host");
  const offered = await offeredBy(server);
  const outcomes = emptyOutcomes();
  const begun = performance.now();
  await runTempest(suite, server, offered, positionals, (outcome) => {
    judgeOutcome(outcomes, outcome, allowed, offered);
    if (values.verbose) process.stderr.write(`${outcome.outcome} ${outcome.test}\n`);
  });
  tell(outcomes, values.verbose);
  if (positionals.length === 0) tellPossible(suite, newlyPossible(outcomes, allowed, offered));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(outcomes.judged, undefined, 2)}\n`);
  process.stdout.write(`${figuresLine(suite, outcomes, (performance.now() - begun) / 1000)}\n`);
  return outcomes.unexpected > 0 ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  process.stderr.write(`test:tempest: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = code.startsWith("ERR_PARSE_ARGS") ? 64 : 1;
}
