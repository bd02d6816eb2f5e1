/** A process of its own for the test of the watchdog, as it ends by being killed: runs an input that never ends; its argument is where to keep it. */
import { fuzz } from "../fuzzer.ts";
import type { Target } from "../target.ts";

const target: Target = {
  name: "endless",
  about: "",
  code: [],
  shape: "bytes",
  maxLength: 16,
  batch: 1,
  testRuns: 0,
  load: async () => {
    const { endless } = await import("./toy.ts");
    return { seeds: [Uint8Array.of(1), Uint8Array.of(0, 7)], dictionary: [], run: endless };
  },
};

await fuzz(target, { seed: 1, runs: 0, guided: false, endlessMs: 200, endlessFolder: process.argv[2] ?? "" });
