/** Compares the simulated switches with real ones by random packets: `node scripts/differential.ts --cases N --seed S`. */
import { parseArgs } from "node:util";
import { campaign, scenarioText } from "../tests/differential/campaign.ts";
import { RealSide } from "../tests/differential/real-side.ts";

const { values } = parseArgs({
  options: {
    cases: { type: "string", default: "2000" },
    seed: { type: "string" },
    underlay: { type: "string", default: "4" },
    shrink: { type: "string", default: "300" },
    of: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

const help = `Usage: node scripts/differential.ts [options]

Options:
  --cases N      packets to compare (default 2000)
  --seed S       what draws topologies and packets (default: one of its own, printed)
  --underlay 4|6 family of the tunnels' addresses (default 4)
  --of KIND      inside or outside: draw topologies without an outside only, or with one only (default both)
  --shrink N     lesser scenarios to try for the least counterexample (default 300; 0: the first as it is)

Exit code: 0 all ended alike, 1 two ended differently, 64 wrong use.
`;

async function main(): Promise<number> {
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  const cases = Number(values.cases);
  const seed = values.seed === undefined ? Math.floor(Math.random() * 0x7fffffff) : Number(values.seed);
  const shrink = Number(values.shrink);
  const { of } = values;
  if (
    !Number.isSafeInteger(cases) ||
    !Number.isSafeInteger(seed) ||
    !(Number.isSafeInteger(shrink) && shrink >= 0) ||
    !["4", "6"].includes(values.underlay) ||
    (of !== undefined && of !== "inside" && of !== "outside")
  ) {
    process.stderr.write(help);
    return 64;
  }
  process.stdout.write(`seed ${seed}, ${cases} packets, IPv${values.underlay} underlay\n`);
  const real = await RealSide.start(values.underlay === "6" ? 6 : 4);
  try {
    let told = 0;
    const progress = (done: number): void => {
      if (done - told < 5_000) return;
      told = done;
      process.stdout.write(`  ${done} packets\n`);
    };
    const result = await campaign(real, { seed, cases, shrink, progress, ...(of === undefined ? {} : { of }) });
    const { topologies, traces, milliseconds, tables, ends, divergence } = result;
    const rate = Math.round(result.cases / (milliseconds / 1000));
    process.stdout.write(
      `${result.cases} packets in ${topologies} topologies ended alike, ${traces} traces read, ${(milliseconds / 1000).toFixed(1)} s, ${rate} packets/s\n`,
    );
    for (const [what, counts] of [
      ["ends", ends],
      ["tables", tables],
    ] as const)
      process.stdout.write(`${what}: ${[...counts].map(([name, number]) => `${name} ${number}`).join(", ")}\n`);
    if (divergence === null) return 0;
    process.stdout.write(
      `\nDIVERGENCE (seed ${seed})\n${divergence.text}\n\nscenario: ${scenarioText(divergence.scenario)}\n`,
    );
    return 1;
  } finally {
    await real.dispose();
  }
}

process.exitCode = await main();
