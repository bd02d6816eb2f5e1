/** Long work in turns: parts small enough that the event loop stands still for no more than some ten milliseconds between two of them. */
import { setImmediate } from "node:timers/promises";

/** Objects a part: at the 5 to 10 µs that the dearest of our work takes for each, well within the time of a turn. */
const partSize = 1_000;

/** The whole in parts, in order; none when there is nothing. */
export function* inParts<T>(whole: readonly T[], size: number = partSize): Iterable<readonly T[]> {
  for (let at = 0; at < whole.length; at += size) yield whole.slice(at, at + size);
}

/** Resolves when whatever else waits for the event loop has had its turn. */
export const turn = (): Promise<void> => setImmediate();
