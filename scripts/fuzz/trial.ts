/** One input run under limits of time and memory: fine, or what went wrong. */
import { setImmediate } from "node:timers/promises";
import { getHeapStatistics } from "node:v8";
import type { Subject } from "./target.ts";

/** What one input may take. */
export interface Limits {
  /** Milliseconds of the fastest of three runs. */
  readonly ms: number;
  /** Bytes by which the heap and what it holds outside may have grown when the input was done, in the least of three runs. */
  readonly bytes: number;
  /** Milliseconds after which what was promised counts as never coming. */
  readonly patience: number;
}

/** On a machine that does little else. */
export const usualLimits: Limits = { ms: 250, bytes: 48 * 1024 * 1024, patience: 2_000 };

/** What is wrong with how an input was taken. `name` is the same for inputs that meet the same fault. */
export type Fault =
  | { readonly kind: "crash"; readonly name: string; readonly error: unknown }
  | { readonly kind: "slow"; readonly name: string; readonly ms: number }
  | { readonly kind: "large"; readonly name: string; readonly bytes: number }
  | { readonly kind: "unsettled"; readonly name: string; readonly ms: number };

/** What was promised did not come. */
class Unsettled extends Error {
  override readonly name = "Unsettled";
}

interface Cost {
  readonly ms: number;
  readonly bytes: number;
}

/** Runs inputs; what is rejected without anyone waiting for it counts as thrown by the input at hand. */
export class Trial implements Disposable {
  readonly #subject: Subject;
  readonly #limits: Limits;
  #rejected: { readonly error: unknown } | undefined;
  readonly #onRejection = (error: unknown): void => {
    this.#rejected ??= { error };
  };

  constructor(subject: Subject, limits = usualLimits) {
    this.#subject = subject;
    this.#limits = limits;
    process.on("unhandledRejection", this.#onRejection);
  }

  /** Gives what went wrong, if anything. A limit counts as passed only when two more runs pass it too. */
  async run(input: Uint8Array): Promise<Fault | undefined> {
    try {
      let cost = await this.#once(input);
      for (let again = 0; again < 2 && this.#exceeds(cost); again++) {
        const next = await this.#once(input);
        cost = { ms: Math.min(cost.ms, next.ms), bytes: Math.min(cost.bytes, next.bytes) };
      }
      if (cost.ms > this.#limits.ms) return { kind: "slow", name: "slow", ms: cost.ms };
      if (cost.bytes > this.#limits.bytes) return { kind: "large", name: "large", bytes: cost.bytes };
      return undefined;
    } catch (error) {
      if (error instanceof Unsettled) return { kind: "unsettled", name: "unsettled", ms: this.#limits.patience };
      return { kind: "crash", name: nameOf(error), error };
    }
  }

  #exceeds({ ms, bytes }: Cost): boolean {
    return ms > this.#limits.ms || bytes > this.#limits.bytes;
  }

  async #once(input: Uint8Array): Promise<Cost> {
    const before = heldBytes();
    const start = performance.now();
    const done = this.#subject.run(input.slice());
    if (done !== undefined) await this.#settled(done);
    const cost = { ms: performance.now() - start, bytes: heldBytes() - before };
    if (done !== undefined) {
      // A rejection that nobody waits for is told of when the microtasks are done.
      await setImmediate();
      const rejected = this.#rejected;
      this.#rejected = undefined;
      if (rejected !== undefined) throw rejected.error;
    }
    const [added] = [...Object.keys(Object.prototype), ...Object.keys(Array.prototype)];
    if (added !== undefined) {
      Reflect.deleteProperty(Object.prototype, added);
      Reflect.deleteProperty(Array.prototype, added);
      throw new Error(`a prototype that all share has got the property ${JSON.stringify(added)}`);
    }
    return cost;
  }

  async #settled(done: Promise<void>): Promise<void> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Unsettled("it never settled")), this.#limits.patience);
    try {
      await Promise.race([done, promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  [Symbol.dispose](): void {
    process.off("unhandledRejection", this.#onRejection);
  }
}

function heldBytes(): number {
  const { used_heap_size, external_memory } = getHeapStatistics();
  return used_heap_size + external_memory;
}

/** Kind of error and the place in our code that threw it: `RangeError-wire.ts-u8`. */
function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return `thrown-${typeof error}`;
  const ours = (error.stack ?? "")
    .split("\n")
    .map((line) => /^\s+at (?:async )?(?:([^\s(]+) .*)?\(?.*\/packages\/.*?([\w.-]+\.ts):(\d+)/.exec(line))
    .find((match) => match !== null);
  const what = ours === undefined ? error.message : `${ours[2]}-${ours[1] ?? `line-${ours[3]}`}`;
  return `${error.name}-${error.name === "Broken" ? error.message : what}`.replace(/[^\w.]+/g, "-").slice(0, 80);
}
