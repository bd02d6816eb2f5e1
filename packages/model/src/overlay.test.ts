import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Overlay } from "./overlay.ts";
import { Replica } from "./replica.ts";
import type { Index } from "./resource.ts";
import { resources } from "./resources/all.ts";
import { Port } from "./resources/port.ts";
import { makePort, put, randomHistory, remove, testId } from "./testing/mod.ts";

test("an overlay reads as a replica to which its changes were applied, and leaves its base alone", () => {
  const history = randomHistory({ references: "dangling", identities: "clashing" });
  fc.assert(
    fc.property(history, fc.double({ min: 0, max: 1, noNaN: true }), (steps, at) => {
      const cut = Math.floor(steps.length * at);
      const base = new Replica();
      const whole = new Replica();
      for (const step of steps.slice(0, cut)) base.apply(step.changes, 1);
      for (const step of steps) whole.apply(step.changes, 1);
      const untouched = JSON.stringify([...base.snapshot()]);
      const overlay = new Overlay(base);
      for (const step of steps.slice(cut)) overlay.apply(step.changes);
      for (const change of steps.flatMap((step) => step.changes)) {
        const resource = resources.find((each) => each.kind === change.kind);
        assert.ok(resource);
        assert.deepEqual(overlay.get(resource, change.id), whole.get(resource, change.id));
        assert.equal(overlay.has(resource, change.id), whole.has(resource, change.id));
        if (change.object === null) continue;
        for (const index of Object.values<Index>(resource.index)) {
          for (const key of index.keys(change.object)) {
            assert.deepEqual(overlay.by(index, key), whole.by(index, key));
            assert.equal(overlay.count(index, key), whole.count(index, key));
            assert.equal(overlay.exists(index, key), whole.exists(index, key));
          }
        }
      }
      const after = new Replica();
      after.load(base.snapshot(), 1);
      after.apply(overlay.changes(), 2);
      assert.deepEqual(
        [...after.snapshot()].map(({ id, object }) => [id, object]).sort(),
        [...whole.snapshot()].map(({ id, object }) => [id, object]).sort(),
      );
      assert.equal(JSON.stringify([...base.snapshot()]), untouched);
    }),
    { numRuns: 60 },
  );
});

test("what is written twice and removed counts once", () => {
  const overlay = new Overlay(new Replica());
  const port = makePort();
  overlay.apply([put(Port, port), put(Port, { ...port, network_id: testId("network", 2) })]);
  assert.equal(overlay.count(Port.index.network_id, port.network_id), 0);
  assert.equal(overlay.count(Port.index.network_id, testId("network", 2)), 1);
  overlay.apply([remove(Port, port.id)]);
  assert.equal(overlay.exists(Port.index.network_id, testId("network", 2)), false);
  assert.deepEqual(overlay.changes(), [remove(Port, port.id)]);
  assert.throws(() => overlay.apply([{ kind: "unheard-of", id: "x", object: null }]), /no resource of kind/);
});
