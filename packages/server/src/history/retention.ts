/**
 * How long the log is kept: each server forgets, every now and then, what is too old or too much. No leader: forgetting is idempotent
 * and only ever goes forward, so any number of servers may do it at once.
 */
import type { Clock, Log } from "@selvage/base";
import type { Revision } from "@selvage/model";
import { Compacted, type Store } from "@selvage/store";
import type { ServerSettings } from "../settings.ts";

/** What retention needs of a server. */
export interface Keeping {
  readonly store: Pick<Store, "bounds" | "tail" | "compact">;
  readonly settings: Pick<ServerSettings, "historySeconds" | "historyEntries">;
  readonly clock: Clock;
  readonly log: Log;
}

/** An entry younger than this is kept whatever the settings say: other servers and lost replies are about to look for it. */
const settling = 60_000;
const minute = 60_000;
/** Between two looks, ms; and what chance adds, so that servers started together do not look together. */
const period = { least: 10 * minute, added: 5 * minute } as const;

/** Forgets, from a minute after the start on, what is to be forgotten. Gives the way to stop; it resolves when nothing is on its way. */
export function keepHistory(keeping: Keeping, chance: () => number = Math.random): () => Promise<void> {
  const end = new AbortController();
  let running: Promise<void> = Promise.resolve();
  const look = (): void => {
    running = forget(keeping, end.signal).then(
      () => undefined,
      (error: unknown) => keeping.log.warn("the history could not be shortened", { error }),
    );
    timer = keeping.clock.after(period.least + chance() * period.added, look);
  };
  let timer = keeping.clock.after(minute, look);
  return async () => {
    timer.cancel();
    end.abort();
    await running;
  };
}

/**
 * Forgets what is older than `historySeconds` and what is more than the newest `historyEntries`. Gives the revision up to which the
 * log is gone now, 0 when nothing was to be done. Idempotent. Throws StoreFailure.
 */
export async function forget({ store, settings, clock }: Keeping, signal: AbortSignal): Promise<Revision> {
  const { oldest, head } = await store.bounds();
  if (oldest > head) return 0;
  const now = clock.now();
  let through = 0;
  try {
    for await (const { revision, at } of store.tail(oldest - 1, signal)) {
      const age = now - Date.parse(at);
      const old = age > settings.historySeconds * 1_000;
      const surplus = revision <= head - settings.historyEntries;
      if (age < settling || !(old || surplus)) break;
      through = revision;
      if (revision === head) break;
    }
  } catch (error) {
    // Another server was quicker.
    if (error instanceof Compacted) return 0;
    throw error;
  }
  if (through > 0 && !signal.aborted) await store.compact(through);
  return signal.aborted ? 0 : through;
}
