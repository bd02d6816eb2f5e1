/** Drivers that are each wrong in one way, over a right one: the conformance suite is itself held to catching every one of them. */
import { randomUUID } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import type { Change, Revision } from "@selvage/model";
import { type MemoryStore, openMemory } from "../memory.ts";
import {
  type Appended,
  type Entry,
  type LoggedEntry,
  type StateRecord,
  type StateSpace,
  type Store,
  StoreFailure,
} from "../store.ts";
import type { OpenForTest, TestClock } from "./harness.ts";

export interface BrokenDriver {
  readonly name: string;
  /** The check that must fail, by its name. */
  readonly caughtBy: string;
  readonly open: OpenForTest;
}

/** The right store with some of its verbs replaced. */
function replaced(inner: Store, verbs: Partial<Store>): Store {
  return {
    driver: "broken",
    durable: inner.durable,
    logId: inner.logId,
    snapshot: () => inner.snapshot(),
    append: (head, entries) => inner.append(head, entries),
    tail: (from, signal) => inner.tail(from, signal),
    find: (id) => inner.find(id),
    bounds: () => inner.bounds(),
    compact: (through) => inner.compact(through),
    state: inner.state,
    close: () => inner.close(),
    ...verbs,
  };
}

function stateReplaced(inner: StateSpace, verbs: Partial<StateSpace>): StateSpace {
  return {
    put: (host, key, value, ttl) => inner.put(host, key, value, ttl),
    renew: (host, ttl) => inner.renew(host, ttl),
    remove: (host, key) => inner.remove(host, key),
    list: (host) => inner.list(host),
    ...verbs,
  };
}

type Break = (inner: MemoryStore, clock: TestClock) => Partial<Store>;

function broken(name: string, caughtBy: string, how: Break): BrokenDriver {
  const open: OpenForTest = async (clock) => {
    const inner = openMemory({ now: clock.now });
    return { store: replaced(inner, how(inner, clock)), dispose: () => inner.close() };
  };
  return { name, caughtBy, open };
}

/** A tail made from the right one, entry by entry. */
function tailOf(inner: Store, each: (entry: LoggedEntry) => readonly LoggedEntry[]): Store["tail"] {
  return async function* (from, signal) {
    for await (const entry of inner.tail(from, signal)) yield* each(entry);
  };
}

const withChanges = (entry: Entry, change: (change: Change) => readonly Change[]): Entry => ({
  ...entry,
  changes: entry.changes.flatMap(change),
});

/** Every append changed on its way in. */
const appendOf =
  (inner: Store, each: (entry: Entry) => Entry): Store["append"] =>
  (head, entries) =>
    inner.append(head, entries.map(each));

const never = new AbortController().signal;

const order = "what was appended is read back, whole, in order and without gaps";
const found = "an entry is found by its id as long as the log keeps it";
const stale = "an append at another head than the log's writes nothing at all and names the head";
const duplicate = "an entry whose id is in the log is recognised, and what came with it is not written";
const abort = "an aborted tail ends without an error: before it began, while it waits, while entries are ready";
const anyRevision = "a tail begins behind any revision, 0 and the head too";
const replayed = "a snapshot is the log replayed to its revision, with the revision of each object";
const compaction = "compaction takes entries, never objects, and says so to who asks for them";

export const brokenDrivers: readonly BrokenDriver[] = [
  broken("loses an entry on the way to the reader", order, (inner) => ({
    tail: tailOf(inner, (entry) => (entry.revision === 3 ? [] : [entry])),
  })),
  broken("gives an entry twice", order, (inner) => ({
    tail: tailOf(inner, (entry) => (entry.revision === 3 ? [entry, entry] : [entry])),
  })),
  broken("gives two neighbours in the wrong order", order, (inner) => {
    let held: LoggedEntry | undefined;
    return {
      tail: tailOf(inner, (entry) => {
        if (entry.revision === 3) {
          held = entry;
          return [];
        }
        return entry.revision === 4 && held !== undefined ? [entry, held] : [entry];
      }),
    };
  }),
  broken("acknowledges what it has not written", order, (inner) => {
    let appends = 0;
    return {
      append: async (head, entries): Promise<Appended> => {
        appends += 1;
        return appends === 4 ? { outcome: "appended", revision: head + entries.length } : inner.append(head, entries);
      },
    };
  }),
  broken("has a gap after reconnecting", anyRevision, (inner) => ({
    tail: (from, signal) => inner.tail(from === 0 ? 0 : from + 1, signal),
  })),
  broken("repeats an entry after reconnecting", anyRevision, (inner) => ({
    tail: (from, signal) => inner.tail(Math.max(0, from - 1), signal),
  })),
  broken("ends the tail at the head", "a waiting tail gets what is appended then, entry by entry", (inner) => ({
    tail: async function* (from, signal) {
      const { head } = await inner.bounds();
      let position = from;
      if (position >= head) return;
      for await (const entry of inner.tail(from, signal)) {
        yield entry;
        position = entry.revision;
        if (position >= head) return;
      }
    },
  })),
  broken("appends whatever the head is", stale, (inner) => ({
    append: async (_head, entries) => inner.append((await inner.bounds()).head, entries),
  })),
  broken("appends when it is only one entry late", stale, (inner) => ({
    append: async (head, entries) => {
      const now = (await inner.bounds()).head;
      return inner.append(head === now - 1 ? now : head, entries);
    },
  })),
  broken(
    "looks at the head first and writes later",
    "of appends at one head sent together exactly one is taken",
    (inner) => ({
      append: async (head, entries) => {
        const seen = (await inner.bounds()).head;
        if (seen !== head) return { outcome: "moved", head: seen };
        await setImmediate();
        return inner.append((await inner.bounds()).head, entries);
      },
    }),
  ),
  broken("leaves the first entry of a refused batch", stale, (inner) => ({
    append: async (head, entries) => {
      const answer = await inner.append(head, entries);
      if (answer.outcome === "moved") await inner.append(answer.head, entries.slice(0, 1));
      return answer;
    },
  })),
  broken("names the asked head as the log's when it refuses", stale, (inner) => ({
    append: async (head, entries) => {
      const answer = await inner.append(head, entries);
      return answer.outcome === "moved" ? { outcome: "moved", head } : answer;
    },
  })),
  broken("applies half of a batch that holds a known entry", duplicate, (inner) => {
    const known = new Set<string>();
    return {
      append: async (head, entries) => {
        const fresh = entries.filter(({ id }) => !known.has(id));
        const answer = await inner.append(head, fresh);
        if (answer.outcome === "appended") for (const { id } of fresh) known.add(id);
        return answer;
      },
    };
  }),
  broken("applies a known entry a second time", duplicate, (inner) => {
    const known = new Set<string>();
    return {
      append: async (head, entries) => {
        const renamed = entries.map((entry) => (known.has(entry.id) ? { ...entry, id: randomUUID() } : entry));
        const answer = await inner.append(head, renamed);
        if (answer.outcome === "appended") for (const { id } of entries) known.add(id);
        return answer;
      },
    };
  }),
  broken(
    "judges appends in another order than they were sent",
    "a chain at consecutive heads may be sent without waiting",
    (inner) => ({
      append: async (head, entries) => {
        if (head % 2 === 0) await setImmediate();
        return inner.append(head, entries);
      },
    }),
  ),
  broken(
    "gives a batch one revision for all",
    "a batch takes consecutive revisions and is acknowledged with its last",
    (inner) => ({
      append: (head, entries) => {
        const [first, ...rest] = entries;
        return inner.append(
          head,
          first === undefined ? [] : [{ ...first, changes: [first, ...rest].flatMap(({ changes }) => changes) }],
        );
      },
    }),
  ),
  broken("gives objects older than the snapshot's revision", replayed, (inner) => {
    let before: Awaited<ReturnType<Store["snapshot"]>> | undefined;
    return {
      snapshot: async () => {
        const now = await inner.snapshot();
        const given = { revision: now.revision, objects: (before ?? now).objects };
        before = now;
        return given;
      },
    };
  }),
  broken("gives objects newer than the snapshot's revision", replayed, (inner) => ({
    snapshot: async () => {
      const { revision, objects } = await inner.snapshot();
      return { revision: revision - 1, objects };
    },
  })),
  broken("gives every object the snapshot's revision", replayed, (inner) => ({
    snapshot: async () => {
      const { revision, objects } = await inner.snapshot();
      return { revision, objects: objects.map((each) => ({ ...each, revision })) };
    },
  })),
  broken("hides a compaction", compaction, (inner) => ({
    tail: async function* (from, signal) {
      const { oldest } = await inner.bounds();
      yield* inner.tail(Math.max(from, oldest - 1), signal);
    },
  })),
  broken("forgets objects with the entries that made them", compaction, (inner) => {
    let gone: Revision = 0;
    return {
      compact: (through) => {
        gone = through;
        return inner.compact(through);
      },
      snapshot: async () => {
        const { revision, objects } = await inner.snapshot();
        return { revision, objects: objects.filter((each) => each.revision > gone) };
      },
    };
  }),
  broken("finds no entry again", found, () => ({ find: async () => undefined })),
  broken("finds an entry at another revision than its own", found, (inner) => ({
    find: async (id) => {
      const entry = await inner.find(id);
      return entry === undefined ? undefined : { ...entry, revision: entry.revision + 1 };
    },
  })),
  broken("finds what the log keeps no more", found, (inner) => {
    const all = new Map<string, LoggedEntry>();
    return {
      find: async (id) => {
        const entry = (await inner.find(id)) ?? all.get(id);
        if (entry !== undefined) all.set(id, entry);
        return entry;
      },
    };
  }),
  broken("forgets how a client named its request", order, (inner) => ({
    append: appendOf(inner, ({ request: _, ...entry }) => entry),
  })),
  broken("throws when a tail is aborted", abort, (inner) => ({
    tail: async function* (from, signal) {
      yield* inner.tail(from, signal);
      signal.throwIfAborted();
    },
  })),
  broken("does not hear an abort while it waits", abort, (inner) => ({ tail: (from) => inner.tail(from, never) })),
  broken("takes 0 and null for nothing", "0, false, null and what is empty are values", (inner) => ({
    append: appendOf(inner, (entry) =>
      withChanges(entry, (change) => {
        if (change.object === null) return [change];
        const fields = Object.entries(change.object).filter(([, value]) => Boolean(value));
        return [{ ...change, object: { id: change.id, ...Object.fromEntries(fields) } }];
      }),
    ),
  })),
  broken(
    "does not remove what is set to null",
    "null removes an object, now and in the log; of changes to one object in one entry the last holds",
    (inner) => ({
      append: appendOf(inner, (entry) => withChanges(entry, (change) => (change.object === null ? [] : [change]))),
    }),
  ),
  broken("normalizes text", "text of every script comes back, in fields, ids and kinds", (inner) => ({
    append: appendOf(inner, (entry) => JSON.parse(JSON.stringify(entry).normalize("NFC"))),
  })),
  broken("keeps facts without a lease", "a lease holds until its last millisecond and ends with it", ({ state }) => ({
    state: stateReplaced(state, { put: (host, key, value) => state.put(host, key, value, 1e12) }),
  })),
  broken(
    "lists all hosts' facts as one host's",
    "hosts are apart, whatever their names and keys are made of",
    ({ state }) => ({
      state: stateReplaced(state, { list: () => state.list() }),
    }),
  ),
  broken(
    "joins host and key into one name",
    "hosts are apart, whatever their names and keys are made of",
    ({ state }) => ({
      state: stateReplaced(state, {
        put: (host, key, value, ttl) => {
          const [first = "", ...rest] = `${host}/${key}`.split("/");
          return state.put(first, rest.join("/"), value, ttl);
        },
      }),
    }),
  ),
  broken(
    "brings back ended facts when the host renews",
    "what has ended is not brought back, by renewing or by putting",
    ({ state }) => {
      const kept: StateRecord[] = [];
      return {
        state: stateReplaced(state, {
          put: async (host, key, value, ttl) => {
            kept.push({ host, key, value, expires: 0 });
            await state.put(host, key, value, ttl);
          },
          renew: async (host, ttl) => {
            for (const each of kept.filter((record) => record.host === host))
              await state.put(host, each.key, each.value, ttl);
          },
        }),
      };
    },
  ),
  broken("calls every log by one name", "a log is named by a UUID", () => ({ logId: "log" })),
  {
    name: "names its log anew at each opening",
    caughtBy: "opened again, a durable store has its log, objects, bounds, entry ids and live facts",
    open: async ({ now }) => {
      const inner = openMemory({ now });
      return {
        store: replaced(inner, { durable: true }),
        reopen: async () => replaced(inner, { durable: true, logId: randomUUID() }),
        dispose: () => inner.close(),
      };
    },
  },
  broken("goes on after it was closed", "a closed store refuses every call", () => ({ close: async () => undefined })),
  broken("drops what was sent before closing", "appends that were sent before closing are finished", (inner) => {
    let closed = false;
    return {
      append: async (head, entries) => {
        await setImmediate();
        if (closed) throw new StoreFailure("closed", "failed");
        return inner.append(head, entries);
      },
      close: () => {
        closed = true;
        return inner.close();
      },
    };
  }),
  {
    name: "is empty when opened again",
    caughtBy: "opened again, a durable store has its log, objects, bounds, entry ids and live facts",
    open: async ({ now }) => {
      const inner = openMemory({ now });
      return {
        store: replaced(inner, { durable: true }),
        reopen: async () => openMemory({ now }),
        dispose: () => inner.close(),
      };
    },
  },
];
