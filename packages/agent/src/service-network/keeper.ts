/**
 * Keeps the services' network of a host: takes the switch's interface in whenever it stands outside (after the switch's first wish for it, and after a restart of
 * a switch in user space, which makes it anew), and has the relay listen on it. Runs in the namespace of the services, and needs its rights over both; the agent,
 * to which it hands every conversation, needs none.
 */
import type { Clock, Log } from "@selvage/base";
import { Relay } from "./relay.ts";
import { isInside, isOutside, setUp, takeIn, type WiringPlan } from "./wiring.ts";

/** Milliseconds between two looks. */
const period = 500;

export interface KeeperOptions extends WiringPlan {
  /** The agent's socket. */
  readonly agent: string;
  readonly clock: Clock;
  readonly log: Log;
}

export class ServiceKeeper {
  readonly #options: KeeperOptions;
  readonly #closing = new AbortController();
  readonly #relay: Relay;
  #trouble = "";

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#relay = new Relay(options);
  }

  /** Keeps the network until `close`. Never rejects: what fails is logged, and tried again. */
  async run(): Promise<void> {
    const { clock, log } = this.#options;
    const { signal } = this.#closing;
    /** Whether the interface that is inside is the one that the relay listens on. */
    let isTaken = false;
    while (!signal.aborted) {
      try {
        if (await isOutside()) {
          isTaken = false;
          await takeIn(this.#options);
        }
        if (!isTaken && (await isInside())) {
          await this.#begin();
          isTaken = true;
        }
        this.#trouble = "";
      } catch (error) {
        const words = error instanceof Error ? error.message : String(error);
        if (words !== this.#trouble) log.error("the services' network is not as it should be", { error });
        this.#trouble = words;
      }
      // Only the end interrupts the wait.
      await clock.sleep(period, signal).catch(() => signal.aborted);
    }
    await this.#relay.close();
  }

  close(): void {
    this.#closing.abort();
  }

  async #begin(): Promise<void> {
    await this.#relay.close();
    await setUp();
    await this.#relay.open();
    this.#options.log.info("the host's services are reached by its switch");
  }
}
