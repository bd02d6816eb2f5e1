/** `selvage drift [HOST]`: what audits found on the hosts' switches that nobody asked for, with the difference; it is mended already. */

import { askStatus, type FabricStatus, LabError, openFabric } from "@selvage/lab";
import { dataDirectory } from "../context.ts";
import { Exit } from "../exit.ts";
import { type Output, printJson, standardOutput } from "../format.ts";

export interface DriftFlags {
  readonly data?: string;
  readonly json?: boolean;
}

type Host = FabricStatus["hosts"][number];

/** The hosts asked for: all of them, or the one of this name. Throws LabError when there is none. */
export function chosen(hosts: readonly Host[], name: string | undefined): readonly Host[] {
  if (name === undefined) return hosts;
  const host = hosts.find((one) => one.name === name);
  if (host === undefined)
    throw new LabError("unknown-host", `there is no host "${name}"`, "list them: selvage host list");
  return [host];
}

/** For people: each difference with its time, and below it the two texts under each other. */
export function showDrift(hosts: readonly Host[], output: Output): void {
  const found = hosts.filter(({ drift }) => drift.length > 0);
  if (found.length === 0) output.text("nothing was found on any switch but what is wanted\n");
  for (const { name, drift } of found) {
    for (const { at, what, row, wanted, found: there } of drift) {
      output.text(`${name}  ${at}  ${what}${row === null ? "" : `  ${row}`}\n`);
      if (there !== null) output.text(`  - ${there}\n`);
      if (wanted !== null) output.text(`  + ${wanted}\n`);
    }
  }
}

/** Runs `selvage drift [HOST]`. `-` is what was found, `+` what is there now. Exit code 0 also when something was found: it is mended. */
export async function drift(
  host: string | undefined,
  flags: DriftFlags,
  output: Output = standardOutput,
): Promise<number> {
  const { api } = await openFabric(dataDirectory(flags.data));
  const hosts = chosen((await askStatus(api)).hosts, host);
  if (flags.json === true) printJson(output, { hosts: hosts.map(({ name, drift }) => ({ name, drift })) });
  else showDrift(hosts, output);
  return Exit.ok;
}
