/** Lets leased blocks follow what hosts use of them: one transaction at a time for a host, with what it said last. */
import { isError, type Log } from "@selvage/base";
import type { Facts } from "@selvage/sync";
import { changeByUse, type LeaseUse, settleUse } from "../rules/nat-leases.ts";
import type { Writer } from "../writer.ts";

export interface LeaseKeeperOptions {
  readonly writer: Pick<Writer, "replica" | "transact">;
  readonly log: Log;
}

export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  readonly #busy = new Set<string>();
  readonly #waiting = new Map<string, LeaseUse>();

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
  }

  /** Takes what a host says of its blocks. Nothing is written while they fit. */
  used(hostId: string, said: NonNullable<Facts["nat"]>): void {
    this.#waiting.set(hostId, new Map(said.map(({ lease, used }) => [lease, used])));
    if (!this.#busy.has(hostId)) void this.#settle(hostId);
  }

  async #settle(hostId: string): Promise<void> {
    const { writer, log } = this.#options;
    this.#busy.add(hostId);
    try {
      for (let use = this.#take(hostId); use !== undefined; use = this.#take(hostId)) {
        const said = use;
        const { resize, drained } = changeByUse(writer.replica, hostId, said);
        if (resize.length + drained.length === 0) continue;
        await writer.transact({ kind: "host", id: hostId, request_id: "nat" }, (transaction) =>
          settleUse(transaction, hostId, said),
        );
      }
    } catch (error) {
      // The host says it again as long as it is so.
      if (isError(error)) log.warn("a host's leased ports could not be changed", { host: hostId, error });
      else log.error("a host's leased ports could not be changed", { host: hostId, error });
    } finally {
      this.#busy.delete(hostId);
    }
  }

  #take(hostId: string): LeaseUse | undefined {
    const use = this.#waiting.get(hostId);
    this.#waiting.delete(hostId);
    return use;
  }
}
