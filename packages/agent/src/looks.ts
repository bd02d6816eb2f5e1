/** Looks at the switch from time to time: one at a time, while there is a switch to ask; what a look finds is its caller's. */
import type { Clock, Log, Timer } from "@selvage/base";

export interface LooksOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Whether there is a switch to ask now. */
  readonly isHere: () => boolean;
  /** Asks the switch. It may reject: the next look sees what this one could not. */
  readonly take: () => Promise<void>;
  /** What is looked at, for the log. */
  readonly what: string;
}

/** Pause between two looks, ms; longer where a look takes long, so that looking takes at most a fiftieth of the time. */
const shortestPause = 10_000;
const pausePerLook = 49;

export class Looks {
  readonly #options: LooksOptions;
  #timer: Timer | undefined;
  #looking: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: LooksOptions) {
    this.#options = options;
  }

  /** The first look is a pause from now. */
  start(): void {
    this.#again(shortestPause);
  }

  /** Looks now; the next look is a pause after it. Resolves when it was taken. Never rejects. */
  look(): Promise<void> {
    this.#timer?.cancel();
    this.#looking = this.#looking.then(async () => {
      const { clock } = this.#options;
      const begun = clock.monotonic();
      await this.#take();
      this.#again(Math.max(shortestPause, pausePerLook * (clock.monotonic() - begun)));
    });
    return this.#looking;
  }

  /** Resolves when nothing is asked of the switch any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#looking;
  }

  #again(pause: number): void {
    if (this.#isClosed) return;
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(pause, () => void this.look());
  }

  async #take(): Promise<void> {
    const { isHere, log, take, what } = this.#options;
    if (this.#isClosed || !isHere()) return;
    try {
      await take();
    } catch (error) {
      // A switch that went away meanwhile tells so by itself.
      log.debug("the switch could not be looked at", { what, error });
    }
  }
}
