/** A thread that watches for an input that never ends: it keeps the input as a file and ends the process, which can no longer do so itself. */
import { mkdirSync, writeFileSync } from "node:fs";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { foundFile, foundText } from "./found.ts";

interface Shared {
  /** Where the input is kept. */
  readonly folder: string;
  readonly ms: number;
  /** Number of the input at hand (0: none), its length. */
  readonly state: Int32Array;
  readonly input: Uint8Array;
}

/** Told of each input before it runs and after. */
export class Watchdog {
  readonly #worker: Worker;
  readonly #state: Int32Array;
  readonly #input: Uint8Array;
  #count = 0;

  /** Takes where to keep what never ends, for how many milliseconds an input may run, and how long inputs are at most. */
  constructor(folder: string, limits: { readonly ms: number; readonly maxLength: number }) {
    this.#state = new Int32Array(new SharedArrayBuffer(8));
    this.#input = new Uint8Array(new SharedArrayBuffer(limits.maxLength));
    const shared: Shared = { folder, ms: limits.ms, state: this.#state, input: this.#input };
    this.#worker = new Worker(new URL(import.meta.url), { workerData: shared });
    this.#worker.unref();
  }

  begin(input: Uint8Array): void {
    this.#input.set(input.subarray(0, this.#input.length));
    Atomics.store(this.#state, 1, Math.min(input.length, this.#input.length));
    this.#count = (this.#count % 0x7fff_ffff) + 1;
    Atomics.store(this.#state, 0, this.#count);
  }

  end(): void {
    Atomics.store(this.#state, 0, 0);
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

function watch({ folder, ms, state, input }: Shared): void {
  let last = 0;
  let since = performance.now();
  setInterval(
    () => {
      const now = Atomics.load(state, 0);
      if (now === 0 || now !== last) {
        last = now;
        since = performance.now();
      } else if (performance.now() - since >= ms) {
        const bytes = input.slice(0, Atomics.load(state, 1));
        const file = foundFile(folder, "endless", bytes);
        mkdirSync(folder, { recursive: true });
        writeFileSync(file, foundText(bytes, `ran for more than ${ms} ms`));
        writeFileSync(2, `an input ran for more than ${ms} ms: ${file}\n`);
        process.kill(process.pid, "SIGKILL");
      }
    },
    Math.min(1_000, ms / 2),
  );
}

// The class above starts this very file as its thread.
if (!isMainThread && isShared(workerData)) watch(workerData);

function isShared(value: unknown): value is Shared {
  return typeof value === "object" && value !== null && "state" in value && "folder" in value;
}
