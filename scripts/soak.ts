/** Random changes of ports, rules, routers and what leads outside under random traffic on a lab with real switches: `npm run test:soak -- --seconds N`. */
import { parseArgs } from "node:util";
import { soak } from "../tests/soak/soak.ts";

const { values } = parseArgs({
  options: {
    hosts: { type: "string", default: "3" },
    seconds: { type: "string", default: "300" },
    seed: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

const help = `Usage: npm run test:soak -- [options]

Options:
  --seconds N  for which things are done (default 300)
  --hosts N    hosts of the lab (default 3)
  --seed S     what draws them (default: one of its own, printed)

Exit code: 0 nothing was found wrong, 1 something was, 64 wrong use.
`;

async function main(): Promise<number> {
  const [hosts, seconds] = [Number(values.hosts), Number(values.seconds)];
  const seed = values.seed === undefined ? Math.floor(Math.random() * 0x7fffffff) : Number(values.seed);
  const isSound = Number.isSafeInteger(hosts) && hosts >= 2 && seconds > 0 && Number.isSafeInteger(seed);
  if (values.help || !isSound) {
    process[values.help ? "stdout" : "stderr"].write(help);
    return values.help ? 0 : 64;
  }
  process.stdout.write(`seed ${seed}, ${hosts} hosts, ${seconds} s\n`);
  const report = await soak({ hosts, seconds, seed, say: (line) => process.stdout.write(`  ${line}\n`) });
  const told = (counts: ReadonlyMap<string, number>): string =>
    [...counts].map(([what, times]) => `${what} ${times}`).join(", ");
  process.stdout.write(`${report.steps} steps (${told(report.done)}); refused: ${told(report.refused) || "none"}\n`);
  process.stdout.write(
    `${report.sent} frames and ${report.sentOutside} from outside; ${report.answered} of ${report.asked} pings beside it answered\n`,
  );
  for (const { host, rows, drops } of report.hosts)
    process.stdout.write(`${host}: ${rows} rows; dropped ${told(new Map(Object.entries(drops)))}\n`);
  for (const fault of report.faults) process.stdout.write(`FAULT ${fault}\n`);
  return report.faults.length === 0 ? 0 : 1;
}

process.exitCode = await main();
