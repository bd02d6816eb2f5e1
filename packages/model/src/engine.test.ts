import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { EngineRow } from "./derivation.ts";
import { type Delta, Engine } from "./engine.ts";
import { type HistoryOptions, randomHistory, type Step, shuffled } from "./testing/mod.ts";
import { toyDerivations } from "./testing/toy-apps.ts";
import type { Change } from "./view.ts";

const rough: HistoryOptions = { references: "dangling", identities: "clashing", facts: "host", steps: 50 };

function textOf(rows: Iterable<EngineRow>): readonly string[] {
  return [...rows].map((row) => `${row.id} = ${row.body}`).sort();
}

/** The delta on top of the rows that were, refusing what does not fit them. */
function replay(rows: Map<string, EngineRow>, delta: Delta<EngineRow>): void {
  for (const row of delta.removed) {
    assert.equal(rows.get(row.id)?.body, row.body, `${row.id} is removed as it stood`);
    rows.delete(row.id);
  }
  for (const row of delta.added) {
    assert.ok(!rows.has(row.id), `${row.id} is added where it was not`);
    rows.set(row.id, row);
  }
  for (const { before, after } of delta.modified) {
    assert.equal(rows.get(before.id)?.body, before.body, `${before.id} is modified as it stood`);
    assert.notEqual(before.body, after.body);
    rows.set(after.id, after);
  }
}

function failures(engine: Engine<EngineRow>): readonly string[] {
  return [...engine.quarantined].map(([name, { error }]) => `${name}: ${error.message}`).sort();
}

function emptied(engine: Engine<EngineRow>): readonly Change[] {
  return [...engine.view.snapshot()].map(({ kind, id }) => ({ kind, id, object: null }));
}

/** Plays a history in batches of up to three steps. Throws at the first difference from a fresh engine. */
function check(engine: Engine<EngineRow>, steps: readonly Step[], seed: number): void {
  const rows = new Map<string, EngineRow>();
  for (let at = 0; at < steps.length; ) {
    const size = 1 + ((seed + at) % 3);
    const batch = steps.slice(at, at + size);
    at += size;
    const before = engine.counters.fullRecomputes;
    const delta = engine.apply(
      batch.flatMap((step) => step.changes),
      at,
    );
    assert.equal(engine.counters.fullRecomputes, before, "applying never recomputes");
    replay(rows, delta);
    const fresh = new Engine<EngineRow>({ derivations: toyDerivations });
    fresh.apply(shuffled([...engine.view.snapshot()], seed + at), engine.revision);
    const last = batch.map((step) => step.name).join("; ");
    assert.deepEqual(textOf(engine.rows()), textOf(fresh.rows()), `rows after ${last}`);
    assert.deepEqual(textOf(rows.values()), textOf(fresh.rows()), `deltas after ${last}`);
    assert.deepEqual(failures(engine), failures(fresh), `quarantine after ${last}`);
    assert.deepEqual(engine.conflicts(), fresh.conflicts(), `conflicts after ${last}`);
  }
}

test("after every batch rows, deltas, quarantine and conflicts are those of a full recompute", () => {
  fc.assert(
    fc.property(randomHistory(rough), fc.nat(1000), (steps, seed) => {
      const engine = new Engine<EngineRow>({ derivations: toyDerivations });
      check(engine, steps, seed);
      const { added, removed, modified } = engine.audit();
      assert.deepEqual([added, removed, modified], [[], [], []]);
    }),
    { numRuns: 80 },
  );
});

test("objects loaded one by one in any order give the rows of one batch", () => {
  fc.assert(
    fc.property(randomHistory(rough), fc.nat(0xffff), (steps, seed) => {
      const batch = new Engine<EngineRow>({ derivations: toyDerivations });
      batch.apply(
        steps.flatMap((step) => step.changes),
        1,
      );
      const single = new Engine<EngineRow>({ derivations: toyDerivations });
      for (const change of shuffled([...batch.view.snapshot()], seed)) single.apply([change], 1);
      assert.deepEqual(textOf(single.rows()), textOf(batch.rows()));
      assert.deepEqual(failures(single), failures(batch));
      assert.deepEqual(single.conflicts(), batch.conflicts());
    }),
    { numRuns: 40 },
  );
});

test("when every object is gone nothing is left: no row, edge, answer, entry or node", () => {
  fc.assert(
    fc.property(randomHistory(rough), fc.nat(0xffff), (steps, seed) => {
      const engine = new Engine<EngineRow>({ derivations: toyDerivations });
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
      const engine = new Engine<EngineRow>({ derivations: toyDerivations });
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
