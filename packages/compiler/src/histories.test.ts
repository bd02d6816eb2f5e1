/** The laws of the apps over random histories of intent: what is derived step by step is what is derived at once, and nothing stays behind. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Attachment, Engine, Port } from "@selvage/model";
import { assertIncremental, type HistoryOptions, put, remove, type Step, withRouters } from "@selvage/model/testing";
import { type Row, selvageProgram } from "@selvage/pipeline";
import fc from "fast-check";
import { apps, derivationsFor } from "./mod.ts";
import { withOutside } from "./testing/outside-history.ts";
import { policyHistory } from "./testing/policy-history.ts";

/** The three hosts to which a history binds most ports. */
function busiest(steps: readonly Step[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const { kind, object } of steps.flatMap((step) => step.changes)) {
    // A change of a port bears a port.
    const host = kind === Port.kind && object !== null ? (object as Port)["binding:host_id"] : "";
    if (host !== "") counts.set(host, (counts.get(host) ?? 0) + 1);
  }
  return [...counts]
    .sort(([, one], [, other]) => other - one)
    .slice(0, 3)
    .map(([name]) => name);
}

const isPlugged = ({ router_id, gateway_of }: Port): boolean => router_id === null && gateway_of === null;

/** A history in which most ports are plugged as they are made; on which host it is, is each host's own fact. */
const lively = (options: HistoryOptions): fc.Arbitrary<readonly Step[]> =>
  withOutside(withRouters(policyHistory({ ...options, facts: "host", steps: 60 }))).map((steps) =>
    steps.map(({ name, changes }) => ({
      name,
      changes: [
        ...changes,
        ...changes
          .filter(({ kind, object }) => kind === Port.kind && object !== null)
          .filter(({ id, object }) => !id.endsWith("7") && isPlugged(object as Port))
          .map(({ id }) => put(Attachment, { id })),
      ],
    })),
  );

const engineFor = (name: string): Engine<Row> => new Engine<Row>({ derivations: derivationsFor({ name }) });

const kinds: readonly (readonly [string, HistoryOptions, number])[] = [
  ["whole", { references: "whole", identities: "unique" }, 40],
  ["in which references dangle", { references: "dangling", identities: "unique" }, 40],
  ["in which MACs and addresses clash", { references: "dangling", identities: "clashing" }, 40],
];

for (const [what, options, numRuns] of kinds) {
  test(`on three hosts, rows kept by steps are those of a full recompute, over histories ${what}`, () => {
    let rows = 0;
    fc.assert(
      fc.property(lively(options), fc.nat(), (steps, seed) => {
        for (const name of busiest(steps)) {
          const engine = engineFor(name);
          assertIncremental(engine, () => engineFor(name), steps, seed);
          rows += engine.sizes.rows;
        }
      }),
      { numRuns },
    );
    assert.ok(rows > 2_000, `the histories yield rows: ${rows}`);
  });
}

test("when everything is deleted no row is left, nor anything else, in whatever order it goes", () => {
  fc.assert(
    fc.property(lively({ references: "dangling", identities: "clashing" }), fc.nat(), (steps, seed) => {
      for (const name of busiest(steps)) {
        const engine = engineFor(name);
        for (const [at, { changes }] of steps.entries()) engine.apply(changes, at);
        const objects = [...engine.view.snapshot()];
        for (let turn = 0; objects.length > 0; turn += 1) {
          const [gone] = objects.splice((seed + turn * 7) % objects.length, 1);
          if (gone !== undefined) engine.apply([remove(gone, gone.id)], steps.length + turn);
        }
        assert.deepEqual([...engine.rows()], []);
        for (const [part, size] of Object.entries(engine.sizes)) assert.equal(size, 0, part);
      }
    }),
    { numRuns: 30 },
  );
});

test("over whole histories no two objects claim one row with different words", () => {
  fc.assert(
    fc.property(lively({}), (steps) => {
      for (const name of busiest(steps)) {
        const engine = engineFor(name);
        for (const [at, { changes }] of steps.entries()) engine.apply(changes, at);
        assert.deepEqual(engine.conflicts(), []);
        for (const row of engine.rows()) assert.ok(selvageProgram.byName.has(row.table));
      }
    }),
    { numRuns: 30 },
  );
});

test("the histories write every table of all apps", () => {
  const missing = new Set(apps.flatMap((app) => app.tables.map(({ name }) => name)));
  for (const steps of fc.sample(lively({}), { seed: 1, numRuns: 60 })) {
    for (const name of busiest(steps)) {
      const engine = engineFor(name);
      for (const [at, { changes }] of steps.entries())
        for (const { table } of engine.apply(changes, at).added) missing.delete(table);
    }
  }
  assert.deepEqual([...missing], []);
});
