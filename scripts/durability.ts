/** Hundreds of durability runs: `scripts/durability.ts --runs N --seed S`. One line a run, a sum at the end; exit code 1 when a promise was broken. */
import { parseArgs } from "node:util";
import { durabilityRun, type Report } from "../tests/durability/run.ts";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "100" },
    seed: { type: "string", default: "1" },
    clients: { type: "string", default: "32" },
    kills: { type: "string", default: "3" },
    servers: { type: "string", default: "1" },
    agents: { type: "string", default: "2" },
  },
});
const [runs = 0, seed = 0, clients = 0, kills = 0, servers = 0, agents = 0] = [
  values.runs,
  values.seed,
  values.clients,
  values.kills,
  values.servers,
  values.agents,
].map(Number);
if (![runs, seed, clients, kills, servers, agents].every((each) => Number.isSafeInteger(each) && each >= 0)) {
  throw new Error("usage: durability.ts --runs N --seed S [--clients N] [--kills N] [--servers N] [--agents N]");
}

const reports: Report[] = [];
for (let at = 0; at < runs; at += 1) {
  // Every second run kills what an operator runs; the others can end the store's thread as well.
  const kind = at % 2 === 0 ? "child" : "cli";
  const report = await durabilityRun({ seed: seed + at, kind, clients, kills, servers, agents });
  reports.push(report);
  const { acknowledged, refused, unknown, repeated, lostReplies, reads, entries, seconds, violations } = report;
  process.stdout.write(
    `seed ${report.seed} ${kind}: ${acknowledged} acknowledged, ${refused} refused, ${unknown} unknown, ${lostReplies} replies lost, ${repeated} repeated, ${reads} reads, ${entries} entries, ${seconds.toFixed(1)} s: ${violations.length === 0 ? "ok" : "BROKEN"}\n`,
  );
  for (const each of violations) process.stdout.write(`  ${each}\n`);
}
const sum = (of: (report: Report) => number): number => reports.reduce((total, report) => total + of(report), 0);
const brokenRuns = reports.filter(({ violations }) => violations.length > 0);
process.stdout.write(
  `${reports.length} runs, ${sum((each) => each.kills)} kills, ${sum((each) => each.workerEnds)} ends of the store's thread, ${sum((each) => each.cuts)} cuts of followers, ${sum((each) => each.agentKills)} kills of agents; ` +
    `${sum((each) => each.acknowledged)} writes acknowledged, ${sum((each) => each.refused)} refused, ${sum((each) => each.unknown)} unknown, ` +
    `${sum((each) => each.lostReplies)} replies lost, ${sum((each) => each.repeated)} repeated, ${sum((each) => each.reads)} reads; ` +
    `${brokenRuns.length} runs with a broken promise\n`,
);
if (brokenRuns.length > 0) process.exitCode = 1;
