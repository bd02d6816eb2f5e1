/** Trying again with exponential backoff and full jitter, so that those who failed together do not return together. */
import type { Clock } from "./clock.ts";
import { isError } from "./errors.ts";

/** How long to wait between attempts. */
export interface Backoff {
  /** Upper bound of the first wait, ms. */
  readonly base: number;
  /** Upper bound of every wait, ms. */
  readonly cap: number;
  /** Uniform number of 0 (included) to 1. */
  readonly random: () => number;
}

/** The wait before attempt `attempt` + 1 (0 after the first failure), ms: uniform between 0 and `min(cap, base * 2^attempt)`. */
export function backoffDelay({ base, cap, random }: Backoff, attempt: number): number {
  return random() * Math.min(cap, base * 2 ** Math.min(attempt, 52));
}

/** What {@link retry} needs. */
export interface RetryOptions extends Backoff {
  readonly clock: Clock;
  /** How often to try in all; without it, for ever. */
  readonly attempts?: number;
  /** Stops the waiting and further attempts. */
  readonly signal?: AbortSignal;
  /** Whether a failure may pass; without it, every one. */
  readonly retryIf?: (error: unknown) => boolean;
  /** Told of each failure that will be tried again: the wait in ms and the number of attempts made. */
  readonly onRetry?: (error: unknown, delay: number, attempts: number) => void;
}

/**
 * Runs `run` until it succeeds, waiting between attempts; where a failure says `retryAfter`, at least so long.
 * Gives its result. Throws the last failure, or the signal's reason. `run` must be idempotent.
 */
export async function retry<T>(run: (attempt: number) => Promise<T>, options: RetryOptions): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    options.signal?.throwIfAborted();
    try {
      return await run(attempt);
    } catch (error) {
      const last = options.attempts !== undefined && attempt + 1 >= options.attempts;
      if (last || options.signal?.aborted || options.retryIf?.(error) === false) throw error;
      const asked = isError(error) && error.retryAfter !== undefined ? error.retryAfter * 1000 : 0;
      const delay = asked + backoffDelay(options, attempt);
      options.onRetry?.(error, delay, attempt + 1);
      await options.clock.sleep(delay, options.signal);
    }
  }
}
