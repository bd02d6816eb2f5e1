import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { violationsOf } from "../integrity.ts";
import { Replica } from "../replica.ts";
import type { Field, StoredObject } from "../resource.ts";
import { resources } from "../resources/all.ts";
import { Project } from "../resources/identity.ts";
import { randomHistory, type Step, shuffled } from "./history.ts";
import { makeAttachment, makeHost, makeNetwork, makePort, makeProject, makeSubnet, put } from "./objects.ts";

/** Each stored field is there and in its canonical form, and nothing else is. */
function assertValid(kind: string, object: StoredObject): void {
  const resource = resources.find((each) => each.kind === kind);
  assert.ok(resource, `${kind} is declared`);
  const stored = Object.entries<Field>(resource.fields).filter(([, field]) => field.mode === "stored");
  const given: Readonly<Record<string, unknown>> = { ...object };
  assert.deepEqual(Object.keys(given).sort(), stored.map(([name]) => name).sort(), kind);
  for (const [name, field] of stored) assert.deepEqual(field.type.parse(given[name]), given[name], `${kind}.${name}`);
}

test("what the makers make is valid and whole", () => {
  assertValid("project", makeProject());
  assertValid("host", makeHost());
  assertValid("network", makeNetwork());
  assertValid("subnet", makeSubnet());
  assertValid("port", makePort());
  assertValid("attachment", makeAttachment());
});

test("every object of every history is valid, and a default history breaks no declared rule at any step", () => {
  fc.assert(
    fc.property(
      randomHistory(),
      randomHistory({ references: "dangling", identities: "clashing", facts: "host" }),
      (whole, rough) => {
        for (const { kind, object } of [...whole, ...rough].flatMap((step) => step.changes)) {
          if (object !== null) assertValid(kind, object);
        }
        const replica = new Replica();
        replica.apply([put(Project, makeProject())], 0);
        for (const [revision, step] of whole.entries()) {
          replica.apply(step.changes, revision);
          assert.deepEqual(violationsOf(replica, step.changes), [], step.name);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("the kinds of steps that other rooms rely on do occur", () => {
  const seen = new Set<string>();
  const history = randomHistory({ references: "dangling", identities: "clashing", facts: "host" });
  for (const steps of fc.sample(history, { numRuns: 200, seed: 1 })) {
    for (const step of steps) for (const kind of kindsOf(step)) seen.add(kind);
  }
  const expected = ["host", "network", "subnet", "port", "attachment"].flatMap((kind) => [
    `put ${kind}`,
    `remove ${kind}`,
  ]);
  assert.deepEqual([...seen].sort(), expected.sort());
});

function kindsOf(step: Step): readonly string[] {
  return step.changes.map(({ kind, object }) => `${object === null ? "remove" : "put"} ${kind}`);
}

test("shuffling keeps every item and depends on the seed alone", () => {
  const items = Array.from({ length: 20 }, (_, position) => position);
  assert.deepEqual(
    [...shuffled(items, 7)].sort((a, b) => a - b),
    items,
  );
  assert.deepEqual(shuffled(items, 7), shuffled(items, 7));
  assert.notDeepEqual(shuffled(items, 7), shuffled(items, 8));
});
