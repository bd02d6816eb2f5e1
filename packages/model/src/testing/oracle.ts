/** The oracle of every engine test: after each batch the engine's rows and deltas are those of a full recompute. */
import assert from "node:assert/strict";
import type { EngineRow } from "../derivation.ts";
import type { Delta, Engine } from "../engine.ts";
import { type Step, shuffled } from "./history.ts";

/** Rows as sorted texts, to compare or print. */
export function textOfRows(rows: Iterable<EngineRow>): readonly string[] {
  return [...rows].map((row) => `${row.id} = ${row.body}`).sort();
}

/** Changes `rows` as the delta says. Throws AssertionError when the delta does not fit them. */
export function replayDelta<Row extends EngineRow>(rows: Map<string, Row>, delta: Delta<Row>): void {
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
    assert.equal(before.id, after.id);
    assert.notEqual(before.body, after.body);
    rows.set(after.id, after);
  }
}

/** What is in quarantine and why, as sorted texts. */
export function textOfQuarantine<Row extends EngineRow>(engine: Engine<Row>): readonly string[] {
  return [...engine.quarantined].map(([name, { error }]) => `${name}: ${error.message}`).sort();
}

/**
 * Plays a history through an empty engine in batches of one to three steps, and compares it after each with a new engine
 * that gets all objects at once, in another order: rows, replayed deltas, quarantine, conflicts, and nothing recomputed.
 * Throws AssertionError, naming the batch, at the first difference.
 */
export function assertIncremental<Row extends EngineRow>(
  engine: Engine<Row>,
  makeFresh: () => Engine<Row>,
  steps: readonly Step[],
  seed: number,
): void {
  const rows = new Map<string, Row>();
  for (let at = 0; at < steps.length; ) {
    const batch = steps.slice(at, at + 1 + ((seed + at) % 3));
    at += batch.length;
    const { fullRecomputes } = engine.counters;
    replayDelta(
      rows,
      engine.apply(
        batch.flatMap((step) => step.changes),
        at,
      ),
    );
    assert.equal(engine.counters.fullRecomputes, fullRecomputes, "applying never recomputes");
    const fresh = makeFresh();
    fresh.apply(shuffled([...engine.view.snapshot()], seed + at), engine.revision);
    const after = `after ${batch.map((step) => step.name).join("; ")}`;
    const truth = textOfRows(fresh.rows());
    assert.deepEqual(textOfRows(engine.rows()), truth, `rows ${after}`);
    assert.deepEqual(textOfRows(rows.values()), truth, `deltas ${after}`);
    assert.deepEqual(textOfQuarantine(engine), textOfQuarantine(fresh), `quarantine ${after}`);
    assert.deepEqual(engine.conflicts(), fresh.conflicts(), `conflicts ${after}`);
  }
}
