/** Where a configuration stands and what was said of it on the command line; light enough for every command to load. */
import { existsSync } from "node:fs";
import { join } from "node:path";

export type PartName = "server" | "agent";

/** Where a configuration comes from. */
export interface Given {
  /** The file as it was named; false: neither file nor environment counts; absent: the usual one, where it exists. */
  readonly file?: string | false;
  /** Flags that were typed, by their names without hyphens in front. */
  readonly flags: Readonly<Record<string, unknown>>;
}

export const USUAL_DIRECTORY = "/etc/selvage";

/** The file that counts: the one that was named, else the usual one where it exists. */
export function fileInForce(part: PartName, named: Given["file"], directory = USUAL_DIRECTORY): string | undefined {
  if (named === false) return undefined;
  if (named !== undefined) return named;
  const usual = join(directory, `${part}.yaml`);
  return existsSync(usual) ? usual : undefined;
}
