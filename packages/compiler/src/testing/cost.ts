/** What a change costs a host's engine, in things done: for tests that it is the same however much else there is. */
import assert from "node:assert/strict";
import type { Change, Engine } from "@selvage/model";
import type { Row } from "@selvage/pipeline";

export interface Cost {
  readonly rows: number;
  readonly unitsRun: number;
  readonly queriesRun: number;
  /** What the engine has to remember of what it read. */
  readonly edges: number;
}

/** Applies changes and gives what that cost. Throws AssertionError when a derivation fails. */
export function costOf(engine: Engine<Row>, changes: readonly Change[], revision: number): Cost {
  const [before, { edges }] = [engine.counters, engine.sizes];
  const { added, removed, modified } = engine.apply(changes, revision);
  assert.deepEqual([...engine.quarantined.keys()], []);
  const { unitsRun, queriesRun } = engine.counters;
  return {
    rows: added.length + removed.length + modified.length,
    unitsRun: unitsRun - before.unitsRun,
    queriesRun: queriesRun - before.queriesRun,
    edges: engine.sizes.edges - edges,
  };
}
