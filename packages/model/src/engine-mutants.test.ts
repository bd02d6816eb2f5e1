import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Derivation, EngineRow, Query } from "./derivation.ts";
import { type Cause, Engine, type EngineOptions } from "./engine.ts";
import type { NodeTable } from "./nodes.ts";
import { Queries } from "./queries.ts";
import type { Outcome } from "./reading.ts";
import { Replica, type ReplicaOptions } from "./replica.ts";
import type { StoredObject } from "./resource.ts";
import { FoldedRows, type Origin, type RowStore } from "./rows.ts";
import { assertIncremental, randomHistory } from "./testing/mod.ts";
import { toyDerivations } from "./testing/toy-apps.ts";

type Make = (options: EngineOptions<EngineRow>) => Engine<EngineRow>;

/** An engine in which a change of this class of nodes wakes nobody. */
const deafTo =
  (deaf: Cause): Make =>
  (options) =>
    new (class extends Engine<EngineRow> {
      protected override wakes(cause: Cause): boolean {
        return cause !== deaf;
      }
    })(options);

const withRows =
  (make: (originOf: (node: number, tag: number) => Origin) => RowStore<EngineRow>): Make =>
  (options) =>
    new (class extends Engine<EngineRow> {
      protected override makeRows(originOf: (node: number, tag: number) => Origin): RowStore<EngineRow> {
        return make(originOf);
      }
    })(options);

const withQueries =
  (make: (...parts: ConstructorParameters<typeof Queries>) => Queries): Make =>
  (options) =>
    new (class extends Engine<EngineRow> {
      protected override makeQueries(...parts: ConstructorParameters<typeof Queries>): Queries {
        return make(...parts);
      }
    })(options);

class FirstFound extends FoldedRows<EngineRow> {
  protected override winner(rows: readonly [EngineRow, ...EngineRow[]]): EngineRow {
    return rows[0];
  }
}

class NeverEmptied extends FoldedRows<EngineRow> {
  override contribute(node: number, tag: number, rows: readonly EngineRow[]): void {
    if (rows.length > 0) super.contribute(node, tag, rows);
  }
}

class AlwaysTheSame extends Queries {
  protected override same(_query: Query<unknown>, before: Outcome<unknown> | undefined): boolean {
    return before !== undefined;
  }
}

/** Settles nothing ahead: a stale answer is found out only by whoever asks next. */
class Unsettled extends Queries {
  override settle(): void {
    return;
  }
}

class Unordered extends Replica {
  protected override ordered<O extends StoredObject>(members: O[]): readonly O[] {
    return members;
  }
}

const mutants: Readonly<Record<string, Make>> = {
  "deaf to objects": deafTo("object"),
  "deaf to presences": deafTo("presence"),
  "deaf to buckets": deafTo("bucket"),
  "deaf to existences": deafTo("existence"),
  "in conflict the first found wins": withRows((originOf) => new FirstFound(originOf)),
  "rows of what is gone stay": withRows((originOf) => new NeverEmptied(originOf)),
  "queries never wake their readers": withQueries((...parts) => new AlwaysTheSame(...parts)),
  "queries are not settled": withQueries((...parts) => new Unsettled(...parts)),
  "buckets in the order of arrival": (options) =>
    new (class extends Engine<EngineRow> {
      protected override makeReplica(given: ReplicaOptions, nodes: NodeTable): Replica {
        return new Unordered(given, nodes);
      }
    })(options),
  "what failed reads nothing": (options) =>
    new (class extends Engine<EngineRow> {
      protected override readsOfFailed(): Set<number> {
        return new Set();
      }
    })(options),
};

const derivations: readonly Derivation<EngineRow>[] = toyDerivations;

/** What the oracle says of an engine: the first difference that it finds, or null. */
function differenceOf(make: Make, runs: number): unknown {
  const history = randomHistory({ references: "dangling", identities: "clashing", facts: "host", steps: 50 });
  const details = fc.check(
    fc.property(history, fc.nat(1000), (steps, seed) =>
      assertIncremental(make({ derivations }), () => new Engine({ derivations }), steps, seed),
    ),
    { numRuns: runs, seed: 20260101, endOnFailure: true },
  );
  return details.errorInstance;
}

for (const [name, make] of Object.entries(mutants)) {
  test(`the oracle finds the engine out that has this fault: ${name}`, () => {
    const difference = differenceOf(make, 300);
    assert.ok(difference instanceof assert.AssertionError, `no difference was found, but ${difference}`);
  });
}

test("the oracle finds nothing in the engine itself, in the same histories", () => {
  assert.equal(
    differenceOf((options) => new Engine(options), 60),
    null,
  );
});
