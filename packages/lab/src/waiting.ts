/** Waits for a fact by looking at it, with a deadline; for facts of other processes that nothing announces. */

import { LabError } from "./failure.ts";

const PAUSE_MS = 100;

/**
 * Looks until there is something to see and gives it.
 * @throws LabError `start-failed` with `what` when the time is over; what `look` throws.
 */
export async function until<T>(what: string, timeoutMs: number, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    if (performance.now() > deadline)
      throw new LabError("start-failed", `${what} within ${timeoutMs / 1000} s`, "see the logs in the data directory");
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}
