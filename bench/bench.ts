/** What every bench is: a name, a sentence, and a function that measures and reports. */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Report } from "./figures.ts";

/** `quick`: minutes for all benches together; `full`: the sizes of the aims. */
export type Size = "quick" | "full";

export interface Bench {
  readonly name: string;
  /** What it measures, in one sentence. */
  readonly what: string;
  /** Whether it needs real switches and root. */
  readonly needs: "nothing" | "switch";
  run(report: Report, size: Size): Promise<void>;
}

/** A directory of its own for as long as `work` takes; everyone may pass through it, as the server's own user must. */
export async function inDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "selvage-bench-"));
  await chmod(directory, 0o755);
  try {
    return await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Waits until `look` gives something, looking every `everyMs`. Throws when `limitMs` are over. */
export async function until<T>(
  what: string,
  limitMs: number,
  look: () => T | undefined | Promise<T | undefined>,
  everyMs = 10,
): Promise<T> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/** Takes down what would outlive this process when it is told to end (Ctrl-C); gives the way to forget about it. */
export function whenInterrupted(takeDown: () => PromiseLike<void>): () => void {
  const end = (): void =>
    void takeDown().then(
      () => process.exit(130),
      () => process.exit(130),
    );
  process.once("SIGINT", end);
  process.once("SIGTERM", end);
  return () => {
    process.off("SIGINT", end);
    process.off("SIGTERM", end);
  };
}
