/** A store that lies: it acknowledges what it will write in a moment. A run must find it out. */
import type { Appended, Store } from "@selvage/store";

/** Milliseconds that an acknowledged entry is on its way. */
const lateness = 30;

/** The store with appends acknowledged before they are written. One writer only. */
export function hasty(inner: Store): Store {
  let head: number | undefined;
  let writing: Promise<unknown> = Promise.resolve();
  return {
    driver: "hasty",
    durable: true,
    logId: inner.logId,
    snapshot: () => inner.snapshot(),
    append: async (at, entries): Promise<Appended> => {
      head ??= (await inner.bounds()).head;
      if (at !== head) return { outcome: "moved", head };
      head += entries.length;
      writing = writing.then(async () => {
        await new Promise((resolve) => setTimeout(resolve, lateness));
        await inner.append(at, entries);
      });
      return { outcome: "appended", revision: head };
    },
    tail: (from, signal) => inner.tail(from, signal),
    find: (id) => inner.find(id),
    bounds: async () => {
      const bounds = await inner.bounds();
      return { ...bounds, head: head ?? bounds.head };
    },
    compact: (through) => inner.compact(through),
    state: inner.state,
    close: async () => {
      await writing;
      await inner.close();
    },
  };
}
