/** `selvage server rotate-keys`: replaces the key that signs tokens, or the certificate authority of the hosts, and says what has to be done then. */

import { at, LabError, openFabric } from "@selvage/lab";
import { dataDirectory } from "../context.ts";
import { Exit } from "../exit.ts";
import { type Output, printJson, standardOutput } from "../format.ts";

export interface KeysFlags {
  /** Replace the authority of the hosts, and not the key of tokens. */
  readonly authority?: boolean;
  readonly data?: string;
  readonly json?: boolean;
}

/** Runs `selvage server rotate-keys`. */
export async function rotateKeys(flags: KeysFlags, output: Output = standardOutput): Promise<number> {
  const { api, record } = await openFabric(dataDirectory(flags.data));
  const isLab = record.lab !== null || record.datapath === "simulated";
  if (flags.authority === true && isLab)
    throw new LabError(
      "setting",
      "the hosts of a lab join once: its authority stays as long as its data",
      "./selvage down --purge, then ./selvage up, makes a new one",
    );
  const reply = await api.ask("POST", "/v1/keys", { key: flags.authority === true ? "authority" : "tokens" });
  if (flags.json === true) {
    printJson(output, reply);
    return Exit.ok;
  }
  if (flags.authority !== true) {
    output.text("tokens are signed with a new key: those that were out have ended, and their users sign in again\n");
    return Exit.ok;
  }
  const hosts = at(reply, "hosts");
  const names = Array.isArray(hosts) ? hosts.map(String) : [];
  output.text("there is a new authority: certificates and join tokens of the old one are good for nothing now\n");
  if (names.length === 0) return Exit.ok;
  output.text(
    `\nEach host forwards on with what it holds, and learns of changes once it has joined anew: ${names.join(", ")}\n`,
  );
  for (const name of names) output.text(`  selvage host add ${name}\n`);
  output.text("\nand on each: selvage agent join URL TOKEN …, then restart its agent (docs/operating.md)\n");
  return Exit.ok;
}
