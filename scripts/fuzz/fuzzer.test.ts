/** The fuzzer on toy parsers: guidance finds what chance does not, every kind of fault is told, runs repeat. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { inputOf } from "./found.ts";
import { fuzz, type Options } from "./fuzzer.ts";
import type { Subject, Target } from "./target.ts";
import { Trial } from "./trial.ts";

const target: Target = {
  name: "guarded",
  about: "",
  code: ["/scripts/fuzz/testing/toy.ts"],
  shape: "bytes",
  maxLength: 64,
  batch: 16,
  testRuns: 0,
  load: async () => {
    const { guarded } = await import("./testing/toy.ts");
    return { seeds: [Uint8Array.of(1, 2, 3, 4)], dictionary: [], run: guarded };
  },
};

test("coverage leads through three nested guards, and what was found is cut down to what it takes", async () => {
  const options: Options = { seed: 1, runs: 30_000 };
  const guided = await fuzz(target, options);
  assert.deepEqual(
    guided.findings.map(({ fault, input }) => [fault.kind, fault.name, Buffer.from(input).toString()]),
    [["crash", "RangeError-behind-the-guard", "fuz"]],
  );
  const { begun, reached } = guided.coverage ?? {};
  assert.ok(begun !== undefined && reached !== undefined && reached.codeReached > begun.codeReached);
  assert.deepEqual([reached.functions, reached.functionsReached], [2, 1]);
  // Each input of the corpus goes one guard further than the one before it.
  assert.deepEqual(
    guided.corpus
      .map((input) =>
        Buffer.from(input)
          .toString()
          .replaceAll(/[^fuz].*/gs, ""),
      )
      .filter((start) => start !== ""),
    ["f", "fu", "fuz"],
  );
  const blind = await fuzz(target, { ...options, guided: false });
  assert.deepEqual(blind.findings, []);
  assert.equal(blind.coverage, undefined);
});

test("the same seed runs the same inputs, another seed others", async () => {
  const inputs: string[] = [];
  const recording: Target = {
    ...target,
    load: async () => ({
      seeds: [Uint8Array.of(1, 2, 3)],
      dictionary: [Uint8Array.of(9)],
      run: (input) => void inputs.push(Buffer.from(input).toString("hex")),
    }),
  };
  const runsOf = async (seed: number): Promise<readonly string[]> => {
    inputs.length = 0;
    await fuzz(recording, { seed, runs: 200, guided: false });
    return [...inputs];
  };
  const first = await runsOf(1);
  assert.equal(first.length, 201);
  assert.deepEqual(await runsOf(1), first);
  assert.notDeepEqual(await runsOf(2), first);
});

test("what throws, never settles, takes long, takes much or spoils a prototype is a fault; the rest is fine", async () => {
  const held: Uint8Array[] = [];
  const trialOf = async (run: Subject["run"]) => {
    using trial = new Trial({ seeds: [], dictionary: [], run }, { ms: 20, bytes: 1 << 20, patience: 50 });
    const fault = await trial.run(Uint8Array.of(1));
    return fault === undefined ? "fine" : `${fault.kind} ${fault.name}`;
  };
  const spin = (): void => {
    const end = performance.now() + 30;
    while (performance.now() < end);
  };
  assert.equal(await trialOf(() => undefined), "fine");
  assert.equal(await trialOf(async () => undefined), "fine");
  const thrown = (): never => {
    throw new TypeError("no");
  };
  assert.equal(await trialOf(thrown), "crash TypeError-no");
  assert.equal(await trialOf(async () => thrown()), "crash TypeError-no");
  assert.equal(await trialOf(() => new Promise(() => undefined)), "unsettled unsettled");
  assert.equal(await trialOf(spin), "slow slow");
  assert.equal(await trialOf(() => void held.push(new Uint8Array(2 << 20))), "large large");
  assert.equal(
    await trialOf(() => {
      Reflect.set(Object.prototype, "spoilt", 1);
    }),
    "crash Error-a-prototype-that-all-share-has-got-the-property-spoilt-",
  );
  assert.equal("spoilt" in {}, false);
});

test("an input that never ends is kept, and the process ended", () => {
  const folder = mkdtempSync(join(tmpdir(), "fuzz-"));
  try {
    const ended = spawnSync(process.execPath, [join(import.meta.dirname, "testing/endless.ts"), folder], {
      timeout: 60_000,
    });
    assert.equal(ended.signal, "SIGKILL");
    const [file = ""] = readdirSync(folder);
    assert.match(file, /^endless-[0-9a-f]{8}\.hex$/);
    assert.deepEqual(inputOf(readFileSync(join(folder, file), "utf8")), Uint8Array.of(0, 7));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
