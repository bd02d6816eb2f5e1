/** `selvage setup`: the Debian packages that are missing, and what this machine can do. */

import { probeCapability, setUp, switchVersion } from "@selvage/lab";
import { Exit } from "../exit.ts";
import { type Output, openProgress, printJson, printTable, standardOutput } from "../format.ts";

export interface SetupFlags {
  readonly tests?: boolean;
  readonly json?: boolean;
}

/** Runs `selvage setup`. */
export async function setup(flags: SetupFlags, output: Output = standardOutput): Promise<number> {
  const progress = openProgress(output);
  progress.step("looking for the tools and installing what is missing");
  const result = await setUp(flags.tests === true ? "tests" : "fabric", progress.detail);
  progress.step("trying what this machine lets us do");
  const capability = await probeCapability(process.env.SELVAGE_DATAPATH, () => Promise.resolve());
  progress.end();
  const version = (await switchVersion()) ?? null;
  if (flags.json === true) {
    printJson(output, { installed: result.installed, open_vswitch: version, ...capability });
    return Exit.ok;
  }
  output.text(result.installed.length === 0 ? "nothing was missing\n" : `installed: ${result.installed.join(" ")}\n`);
  output.text(`Open vSwitch ${version ?? "none"}   datapath: ${capability.datapath}\n`);
  if (capability.why !== null) output.text(`${capability.why}\n`);
  printTable(output, {
    columns: ["ability", "works", "reason"],
    rows: capability.probes.map((probe) => [probe.ability, probe.works ? "yes" : "no", probe.reason]),
  });
  return Exit.ok;
}
