/** What every command needs to know of where it runs: the program's own words, its tree, the data directory. */

import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** The words that run this program again, in another process. */
export const selvageWords: readonly string[] = [process.execPath, fileURLToPath(new URL("main.ts", import.meta.url))];

/** Where the launcher looks for running fabrics before it renews the libraries. */
export const runningMarks = join(ROOT, ".cache", "running");

/** The data directory: as named, else SELVAGE_DATA, else the system's for root and the user's own for others. */
export function dataDirectory(named: string | undefined): string {
  const chosen = named ?? process.env.SELVAGE_DATA;
  if (chosen !== undefined && chosen !== "") return resolve(chosen);
  if (process.getuid?.() === 0) return "/var/lib/selvage";
  return join(process.env.XDG_DATA_HOME ?? join(homedir(), ".local", "share"), "selvage");
}
