/** Runs a named request once: who repeats it gets the reply of the first, from the log, for as long as the log keeps it. */
import { fail, isError } from "@selvage/base";
import type { StoredObject } from "@selvage/model";
import { type LoggedEntry, type RequestMark, type Store, StoreFailure } from "@selvage/store";
import type { Reply } from "../http/exchange.ts";
import { AlreadyLogged, type RequestName } from "./named.ts";

/** The header that tells a repeated reply from a first one. */
const replayed = { "idempotency-replayed": "true" } as const;

/** An entry that a named request made. */
export type NamedEntry = LoggedEntry & { readonly request: RequestMark };

/** The objects that the first reply showed, as the entry has them. */
export function repliedWith(entry: NamedEntry, kind: string): readonly StoredObject[] {
  const written = new Map(entry.changes.filter((each) => each.kind === kind).map(({ id, object }) => [id, object]));
  return entry.request.ids.flatMap((id) => written.get(id) ?? []);
}

export class Retries {
  readonly #store: Pick<Store, "find">;
  /** Named requests on their way, by the id of their entry. */
  readonly #running = new Map<string, Promise<unknown>>();

  constructor(store: Pick<Store, "find">) {
    this.#store = store;
  }

  /**
   * `run` unless the log holds the request, else what `repeat` makes of its entry. A request of the same name that is on its way is
   * waited for. Throws what `run` throws (a request that was refused left no trace: its retry runs), IdempotencyKeyReused when the name
   * belongs to another request, StoreUnavailable.
   */
  async once(
    name: RequestName | undefined,
    run: () => Promise<Reply>,
    repeat: (entry: NamedEntry) => Reply,
  ): Promise<Reply> {
    if (name === undefined) return run();
    for (;;) {
      const other = this.#running.get(name.entryId);
      if (other === undefined) break;
      await other;
    }
    const running = this.#attempt(name, run);
    const settled = running.then(
      () => undefined,
      () => undefined,
    );
    this.#running.set(name.entryId, settled);
    try {
      const outcome = await running;
      if (!("entry" in outcome)) return outcome;
      return repeated(name, outcome.entry, repeat);
    } finally {
      this.#running.delete(name.entryId);
    }
  }

  async #attempt(name: RequestName, run: () => Promise<Reply>): Promise<Reply | { readonly entry: LoggedEntry }> {
    const entry = await this.#find(name.entryId);
    if (entry !== undefined) return { entry };
    try {
      return await run();
    } catch (error) {
      if (error instanceof AlreadyLogged) return { entry: error.entry };
      // Refused for what the request itself did: another server took it in the meantime.
      const taken = isError(error) && error.status < 500 ? await this.#find(name.entryId) : undefined;
      if (taken !== undefined) return { entry: taken };
      throw error;
    }
  }

  async #find(id: string): Promise<LoggedEntry | undefined> {
    try {
      return await this.#store.find(id);
    } catch (error) {
      if (!(error instanceof StoreFailure)) throw error;
      throw fail("StoreUnavailable", { reason: error.message }, { retryAfter: 1, cause: error });
    }
  }
}

function repeated(name: RequestName, entry: LoggedEntry, repeat: (entry: NamedEntry) => Reply): Reply {
  const { request } = entry;
  if (request === undefined || request.digest !== name.digest) {
    throw fail("IdempotencyKeyReused", { key: name.key, at: entry.at });
  }
  const reply = repeat({ ...entry, request });
  return { ...reply, headers: { ...reply.headers, ...replayed } };
}
