/** Faults that a test puts in the memory store's way: what a real engine does on its bad days, one append at a time. */
import { StoreFailure } from "./store.ts";

export type AppendFault =
  /** Nothing is written; StoreFailure `failed`. */
  | { readonly kind: "fail-before" }
  /** It is written, the reply is lost; StoreFailure `unknown`. */
  | { readonly kind: "fail-after" }
  /** The append, and all behind it, wait for the promise. */
  | { readonly kind: "delay"; readonly until: Promise<unknown> }
  /** The whole log is compacted right before the append. */
  | { readonly kind: "compact" };

/** The faults to come of one memory store. */
export class Faults {
  readonly #queue: AppendFault[] = [];
  readonly #cut: (error: Error) => void;
  #down = false;

  constructor(cut: (error: Error) => void) {
    this.#cut = cut;
  }

  /** Meets the next append that has no fault ahead of it yet. */
  plan(...faults: readonly AppendFault[]): void {
    this.#queue.push(...faults);
  }

  /** The engine is gone: waiting tails end in StoreFailure, every call throws it, until `restore`. */
  takeDown(): void {
    this.#down = true;
    this.cutTails();
  }

  restore(): void {
    this.#down = false;
  }

  /** Ends the tails that wait, as a lost connection would. */
  cutTails(): void {
    this.#cut(new StoreFailure("the connection to the store was lost", "failed"));
  }

  /** For the store: the fault of the append at hand. */
  take(): AppendFault | undefined {
    return this.#queue.shift();
  }

  /** For the store: throws StoreFailure while the engine is down. */
  check(): void {
    if (this.#down) throw new StoreFailure("the store cannot be reached", "failed");
  }
}
