/** `selvage backup FILE`, `selvage restore FILE`: all intent of a server in one file, taken while it runs, put back while it does not. */

import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { LabError } from "@selvage/lab";
import { copySqlite, restoreSqlite } from "@selvage/store";
import { dataDirectory } from "../context.ts";
import { Exit } from "../exit.ts";
import { type Output, printJson, standardOutput } from "../format.ts";

export interface BackupFlags {
  readonly data?: string;
  readonly json?: boolean;
}

export interface RestoreFlags extends BackupFlags {
  /** Put it in the place of a store that is there. */
  readonly replace?: boolean;
}

/** The store's file: of a server that is a service, or of the server of a fabric that `selvage up` made. */
function storeFile(data: string): string {
  const inFabric = join(data, "server", "store.db");
  return existsSync(inFabric) ? inFabric : join(data, "store.db");
}

/** Runs `selvage backup FILE`. The server may run, and writes meanwhile are not held up. */
export async function backup(file: string, flags: BackupFlags, output: Output = standardOutput): Promise<number> {
  const path = storeFile(dataDirectory(flags.data));
  if (!existsSync(path)) throw new LabError("not-running", `there is no store at ${path}`, "name its --data DIR");
  const folder = dirname(resolve(file));
  if (!existsSync(folder)) throw new LabError("setting", `there is no directory ${folder}`, "make it first");
  const figures = await copySqlite(path, resolve(file));
  if (flags.json === true) printJson(output, { file: resolve(file), ...figures });
  else {
    const { revision, objects, bytes } = figures;
    output.text(`${file}: revision ${revision}, ${objects} objects, ${bytes} bytes, checked\n`);
    output.note("It holds the certificate authority's key and password hashes: keep it where only you can read it.\n");
  }
  return Exit.ok;
}

/** Runs `selvage restore FILE`. Refused while a server runs, and over a store that is there unless `--replace` says so. */
export async function restore(file: string, flags: RestoreFlags, output: Output = standardOutput): Promise<number> {
  const path = storeFile(dataDirectory(flags.data));
  const present = existsSync(path);
  if (present && flags.replace !== true) {
    const hint = `say --replace; what is there now is kept as ${path}.before-restore`;
    throw new LabError("data-dir", `there is a store at ${path} already`, hint);
  }
  const figures = restoreSqlite(resolve(file), path);
  if (flags.json === true) printJson(output, { store: path, ...figures });
  else {
    output.text(
      `${path}: ${figures.objects} objects of revision ${figures.revision}; goes on from revision ${figures.head}\n`,
    );
    if (present) output.text(`what was there: ${path}.before-restore\n`);
  }
  return Exit.ok;
}
