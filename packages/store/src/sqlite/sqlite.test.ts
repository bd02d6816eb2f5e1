/** The SQLite driver against the suite, each check on a file of its own. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Store } from "../store.ts";
import { storeConformance } from "../testing/conformance.ts";
import { openSqlite } from "./sqlite.ts";

await storeConformance("sqlite", async ({ now }) => {
  const folder = await mkdtemp(join(tmpdir(), "selvage-store-"));
  const handles: Store[] = [];
  const open = async (): Promise<Store> => {
    // Small pages: writes come between the pages of a snapshot, as they do with large stores.
    const store = await openSqlite({ path: join(folder, "intent.db"), now, snapshotPage: 7 });
    handles.push(store);
    return store;
  };
  const store = await open();
  return {
    store,
    peer: open,
    reopen: async () => {
      await store.close();
      return open();
    },
    dispose: async () => {
      await Promise.all(handles.map((handle) => handle.close()));
      await rm(folder, { recursive: true });
    },
  };
});
