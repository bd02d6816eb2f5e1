/** The store's face: the seam, and `openStore` for its drivers. */
export type { AppendFault, Faults } from "./faults.ts";
export { type MemoryOptions, type MemoryStore, openMemory } from "./memory.ts";
export { type OpenOptions, openStore } from "./open.ts";
export { type CopyFigures, copySqlite, type RestoreFigures, restoreSqlite } from "./sqlite/copies.ts";
export { type OpenSqliteOptions, openSqlite } from "./sqlite/sqlite.ts";
export {
  type Appended,
  type Author,
  type Bounds,
  Compacted,
  type Entry,
  type LoggedEntry,
  type RequestMark,
  type Snapshot,
  type SnapshotObject,
  type StateRecord,
  type StateSpace,
  type Store,
  StoreFailure,
} from "./store.ts";
