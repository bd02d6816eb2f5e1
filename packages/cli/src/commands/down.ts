/** `selvage down`: stops the fabric; with --purge its data go too. */

import { takeDown } from "@selvage/lab";
import { dataDirectory, runningMarks } from "../context.ts";
import { Exit } from "../exit.ts";
import { type Output, openProgress, printJson, standardOutput } from "../format.ts";

export interface DownFlags {
  readonly purge?: boolean;
  readonly data?: string;
  readonly json?: boolean;
}

/** Runs `selvage down`. */
export async function down(flags: DownFlags, output: Output = standardOutput): Promise<number> {
  const progress = openProgress(output);
  const report = await takeDown({
    dataDirectory: dataDirectory(flags.data),
    runningMarks,
    data: flags.purge === true ? "purge" : "keep",
    onStep: progress.step,
  });
  progress.end();
  if (flags.json === true) printJson(output, { was_running: report.wasRunning, purged: report.purged });
  else if (!report.wasRunning) output.text(`nothing was running${report.purged ? "; the data are gone" : ""}\n`);
  else
    output.text(report.purged ? "stopped; the data are gone\n" : "stopped; ./selvage up brings the same fabric back\n");
  return Exit.ok;
}
