/** What SQLite's result codes mean for a writer (sqlite.org/rescode.html): certainly nothing written, or not known. */
import { StoreFailure } from "../store.ts";

/** `work`: before or beside a commit. `commit`: while a transaction was being made durable. */
export type Phase = "work" | "commit";

const primary = { busy: 5, locked: 6, nomem: 7, readonly: 8, corrupt: 11, full: 13, cantopen: 14, notadb: 26 } as const;

/** The primary result code of an error of node:sqlite; undefined for any other error. */
export function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") return undefined;
  return error.errcode & 0xff;
}

/** Another connection holds the write lock. */
export function isLocked(error: unknown): boolean {
  const code = resultCode(error);
  return code === primary.busy || code === primary.locked;
}

function meaning(code: number | undefined): string | undefined {
  switch (code) {
    case primary.busy:
    case primary.locked:
      return "the store's file is locked by another process";
    case primary.readonly:
      return "the store's file is read-only";
    case primary.full:
      return "the store's disk or its size limit is full";
    case primary.corrupt:
      return "the store's file is damaged";
    case primary.cantopen:
      return "the store's file cannot be opened";
    case primary.notadb:
      return "the file is not a store: it is no SQLite database";
    case primary.nomem:
      return "the store is out of memory";
    default:
      return undefined;
  }
}

/** What a system error means, by its code: the file is looked at before SQLite sees it. */
function systemMeaning(error: unknown): string | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  switch (code) {
    case "EROFS":
      return meaning(primary.readonly);
    case "ENOSPC":
    case "EDQUOT":
      return meaning(primary.full);
    case "EACCES":
    case "EPERM":
    case "ENOENT":
      return meaning(primary.cantopen);
    default:
      return undefined;
  }
}

/** These are found out before the commit record is whole, so the transaction cannot come back after a crash. */
const certain: ReadonlySet<number> = new Set([primary.busy, primary.locked, primary.readonly, primary.full]);

/** Takes any error, gives the StoreFailure that a caller is to see. A failed sync at commit may have reached the disk: `unknown`. */
export function failureOf(error: unknown, phase: Phase): StoreFailure {
  if (error instanceof StoreFailure) return error;
  const code = resultCode(error);
  // A system error's own words name the path, which is nobody's business who asks over the network: its code says enough.
  const system = systemMeaning(error);
  const words = error instanceof Error ? error.message : String(error);
  const detail = system === undefined ? words : words.slice(0, Math.max(0, words.indexOf(":")));
  const known = system ?? meaning(code);
  const outcome = phase === "work" || (code !== undefined && certain.has(code)) ? "failed" : "unknown";
  return new StoreFailure(known === undefined ? `the store failed: ${detail}` : `${known} (${detail})`, outcome, {
    cause: error,
  });
}
