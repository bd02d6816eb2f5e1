/** What the test suite runs of a fuzz target: every input that once broke it, and a short run from its corpus that is the same each time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readCorpus, readFound } from "../../scripts/fuzz/found.ts";
import { fuzz } from "../../scripts/fuzz/fuzzer.ts";
import type { Target } from "../../scripts/fuzz/target.ts";
import { type Limits, Trial, usualLimits } from "../../scripts/fuzz/trial.ts";

/** Other tests run beside these: only what is slow beyond doubt is a fault here. */
const limits: Limits = { ms: 30_000, bytes: usualLimits.bytes, patience: 120_000 };

/** Declares the tests of a target. */
export async function replay(target: Target): Promise<void> {
  const [found, open] = await Promise.all([readFound(target.name, "found"), readFound(target.name, "open")]);
  if (found.length + open.length > 0) {
    test(`${target.name}: what once broke it does not, what is known to break it still does`, async () => {
      const subject = await target.load();
      using trial = new Trial(subject, limits);
      for (const { file, input } of found) {
        assert.equal(await trial.run(input), undefined, `tests/fuzz/found/${target.name}/${file}`);
      }
      for (const { file, name, input } of open) {
        const fault = await trial.run(input);
        const text = `tests/fuzz/open/${target.name}/${file}: if it is mended, move the file to tests/fuzz/found`;
        assert.equal(fault?.name, name, text);
      }
      await subject.close?.();
    });
  }

  test(`${target.name}: ${target.testRuns} inputs made from its corpus meet no fault that is not known`, async () => {
    const corpus = await readCorpus(target.name);
    const runs = target.testRuns;
    const report = await fuzz(target, { seed: 1, runs, corpus, guided: false, limits, endlessMs: 300_000 });
    const known = open.map(({ name }) => name);
    const news = report.findings.filter(({ fault }) => !known.includes(fault.name));
    assert.deepEqual(
      news.map(({ fault, input }) => ({ fault, input: Buffer.from(input).toString("hex") })),
      [],
    );
    assert.ok(report.executions >= runs + corpus.length);
  });
}
