/** `npm run bench [-- NAME… --full --json FILE]`: the machine, then each bench's figures, then all of them as one table. */
import { api } from "./api.ts";
import type { Bench } from "./bench.ts";
import { firstPing } from "./first-ping.ts";
import { memory } from "./memory.ts";
import { runProgram } from "./program.ts";
import { rows } from "./rows.ts";

const benches: readonly Bench[] = [firstPing, api, rows, memory];

process.exitCode = await runProgram({
  command: "npm run bench",
  full: "the sizes of the aims: takes much longer",
  parts: benches.map((bench) => ({
    name: bench.name,
    what: bench.what,
    passedOver: ({ openVSwitch }) =>
      bench.needs === "switch" && (process.getuid?.() !== 0 || openVSwitch === null)
        ? "it needs root and Open vSwitch (./selvage setup)"
        : undefined,
    run: (report, isFull) => bench.run(report, isFull ? "full" : "quick"),
  })),
});
