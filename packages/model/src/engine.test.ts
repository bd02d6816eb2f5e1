import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { EngineRow } from "./derivation.ts";
import { Engine } from "./engine.ts";
import {
  assertIncremental,
  type HistoryOptions,
  randomHistory,
  replayDelta,
  shuffled,
  textOfQuarantine,
  textOfRows,
} from "./testing/mod.ts";
import { toyDerivations } from "./testing/toy-apps.ts";
import type { Change } from "./view.ts";

const rough: HistoryOptions = { references: "dangling", identities: "clashing", facts: "host", steps: 50 };

function emptied(engine: Engine<EngineRow>): readonly Change[] {
  return [...engine.view.snapshot()].map(({ kind, id }) => ({ kind, id, object: null }));
}

const makeFresh = () => new Engine<EngineRow>({ derivations: toyDerivations });

test("after every batch rows, deltas, quarantine and conflicts are those of a full recompute", () => {
  fc.assert(
    fc.property(randomHistory(rough), fc.nat(1000), (steps, seed) => {
      const engine = makeFresh();
      assertIncremental(engine, makeFresh, steps, seed);
      const { added, removed, modified } = engine.audit();
      assert.deepEqual([added, removed, modified], [[], [], []]);
    }),
    { numRuns: 80 },
  );
});

test("objects loaded one by one in any order give the rows of one batch", () => {
  fc.assert(
    fc.property(randomHistory(rough), fc.nat(0xffff), (steps, seed) => {
      const batch = makeFresh();
      batch.apply(
        steps.flatMap((step) => step.changes),
        1,
      );
      const single = makeFresh();
      for (const change of shuffled([...batch.view.snapshot()], seed)) single.apply([change], 1);
      assert.deepEqual(textOfRows(single.rows()), textOfRows(batch.rows()));
      assert.deepEqual(textOfQuarantine(single), textOfQuarantine(batch));
      assert.deepEqual(single.conflicts(), batch.conflicts());
    }),
    { numRuns: 40 },
  );
});

test("when every object is gone nothing is left: no row, edge, answer, entry or node", () => {
  fc.assert(
    fc.property(randomHistory(rough), fc.nat(0xffff), (steps, seed) => {
      const engine = makeFresh();
      for (const [revision, step] of steps.entries()) engine.apply(step.changes, revision);
      const gone = shuffled(emptied(engine), seed);
      for (const change of seed % 2 === 0 ? gone : []) engine.apply([change], steps.length);
      engine.apply(gone, steps.length);
      assert.deepEqual(engine.sizes, { rows: 0, contributions: 0, edges: 0, queries: 0, entries: 0, nodes: 0 });
      assert.equal(engine.quarantined.size, 0);
      assert.deepEqual(engine.conflicts(), []);
    }),
    { numRuns: 60 },
  );
});

test("the same changes again run nothing and change nothing", () => {
  fc.assert(
    fc.property(randomHistory(rough), (steps) => {
      const engine = makeFresh();
      engine.apply(
        steps.flatMap((step) => step.changes),
        1,
      );
      const { unitsRun, queriesRun } = engine.counters;
      const delta = engine.apply(engine.view.snapshot(), 2);
      assert.deepEqual(delta, { revision: 2, added: [], removed: [], modified: [], conflicts: [] });
      assert.equal(engine.counters.unitsRun, unitsRun);
      assert.equal(engine.counters.queriesRun, queriesRun);
    }),
    { numRuns: 20 },
  );
});

test("a loaded snapshot gives the rows of an engine that never held anything else, and leaves facts alone", () => {
  fc.assert(
    fc.property(randomHistory(rough), randomHistory(rough), (former, latter) => {
      const engine = makeFresh();
      engine.apply(
        former.flatMap((step) => step.changes),
        9,
      );
      const source = makeFresh();
      source.apply(
        latter.flatMap((step) => step.changes),
        4,
      );
      const facts = [...engine.view.snapshot()].filter(({ kind }) => kind === "attachment");
      const intent = [...source.view.snapshot()].filter(({ kind }) => kind !== "attachment");
      const rows = new Map([...engine.rows()].map((row) => [row.id, row]));
      replayDelta(rows, engine.load(intent, 4));
      assert.equal(engine.revision, 4);
      const fresh = makeFresh();
      fresh.apply([...intent, ...facts], 4);
      assert.deepEqual(textOfRows(engine.rows()), textOfRows(fresh.rows()));
      assert.deepEqual(textOfRows(rows.values()), textOfRows(fresh.rows()));
      const { unitsRun } = engine.counters;
      engine.load(intent, 4);
      assert.equal(engine.counters.unitsRun, unitsRun, "the same snapshot again runs nothing");
    }),
    { numRuns: 40 },
  );
});
