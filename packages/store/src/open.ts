/** Opens a store by its URL: the one place that knows the names of all drivers. */
import { openMemory } from "./memory.ts";
import { openSqlite } from "./sqlite/sqlite.ts";
import type { Store } from "./store.ts";

export interface OpenOptions {
  /** The clock of the leases, milliseconds since the epoch. Absent: the system's. */
  readonly now?: () => number;
}

/**
 * `memory:` gives a new empty store that ends with the process; `sqlite:PATH` opens the file at PATH (absolute, or from the working
 * directory), making it where there is none. Throws RangeError for any other URL, StoreFailure when the engine cannot be opened.
 */
export async function openStore(url: string, options: OpenOptions = {}): Promise<Store> {
  const colon = url.indexOf(":");
  const [driver, rest] = [url.slice(0, Math.max(colon, 0)), url.slice(colon + 1)];
  if (driver === "memory" && rest === "") return openMemory(options);
  if (driver === "sqlite" && rest !== "") return openSqlite({ ...options, path: rest });
  throw new RangeError(`'${url}' names no store: use memory: or sqlite:PATH`);
}
