/** Blocks of ports that have rested are given back every now and then, also when nothing else changes, and hosts that found none get them. Any number of servers may do it. */
import { type Clock, isError, type Log } from "@selvage/base";
import { restedBlocks, settleRested } from "../rules/nat-leases.ts";
import { secondsText } from "../transaction.ts";
import type { Writer } from "../writer.ts";

export interface RestedBlocksOptions {
  readonly writer: Pick<Writer, "replica" | "transact">;
  readonly clock: Clock;
  readonly log: Log;
}

/** Between two looks, ms. */
const period = 10_000;

/** Gives the way to stop; it resolves when nothing is on its way. */
export function giveBackRested({ writer, clock, log }: RestedBlocksOptions): () => Promise<void> {
  let running: Promise<void> | undefined;
  const look = async (): Promise<void> => {
    const rested = restedBlocks(writer.replica, secondsText(clock.now()));
    if (rested.length === 0) return;
    try {
      await writer.transact({ kind: "system", id: "nat", request_id: "nat" }, (transaction) =>
        settleRested(transaction, rested),
      );
    } catch (error) {
      // The next look tries again.
      if (isError(error)) log.warn("rested ports could not be given back", { error });
      else log.error("rested ports could not be given back", { error });
    }
  };
  const timer = clock.every(period, () => {
    running ??= look().finally(() => {
      running = undefined;
    });
  });
  return async () => {
    timer.cancel();
    await running;
  };
}
