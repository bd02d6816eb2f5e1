import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { derive, type EngineRow, type Query, query } from "./derivation.ts";
import { Engine } from "./engine.ts";
import { Network } from "./resources/network.ts";
import { makeNetwork, put, remove, textOfRows } from "./testing/mod.ts";
import { toyRow } from "./testing/toy-apps.ts";

const network = makeNetwork({ mtu: 1000 });

/** Runs of each query, in order, by name. */
function recorder(): { readonly runs: string[]; counted: <T>(made: Query<T>) => Query<T> } {
  const runs: string[] = [];
  return {
    runs,
    counted: (made) => ({
      ...made,
      run: (view, key) => {
        runs.push(made.name);
        return made.run(view, key);
      },
    }),
  };
}

test("readers of a query sleep through changes that leave its answer the same", () => {
  const { runs, counted } = recorder();
  const hundreds = counted(query("hundreds", (view, id) => Math.floor((view.get(Network, id)?.mtu ?? 0) / 100)));
  const even = counted(query("even", (view, id) => view.ask(hundreds, id) % 2 === 0));
  const engine = new Engine<EngineRow>({
    derivations: [derive("app", Network, (each, view) => [toyRow("even", each.id, view.ask(even, each.id))])],
  });
  engine.apply([put(Network, network)], 1);
  assert.deepEqual(runs.splice(0), ["even", "hundreds"], "asked from above at first");
  const { unitsRun } = engine.counters;
  // The derivation runs with its own object; a second network shows that it is the query's readers that sleep.
  engine.apply([put(Network, { ...network, mtu: 1001 })], 2);
  assert.deepEqual(runs.splice(0), ["hundreds"]);
  assert.equal(engine.counters.unitsRun, unitsRun + 1);
  const modified = engine.apply([put(Network, { ...network, mtu: 1100 })], 3);
  assert.deepEqual(runs.splice(0), ["hundreds", "even"], "settled from below, each once");
  assert.deepEqual(modified.modified, [
    { before: toyRow("even", network.id, true), after: toyRow("even", network.id, false) },
  ]);
  engine.apply([put(Network, { ...network, mtu: 1300 })], 4);
  assert.deepEqual(runs.splice(0), ["hundreds", "even"]);
});

test("in a diamond nobody sees one side new and the other old, and each query runs once", () => {
  const { runs, counted } = recorder();
  const seen: string[] = [];
  const source = counted(query("source", (view, id) => view.get(Network, id)?.mtu ?? 0));
  const left = counted(query("left", (view, id) => view.ask(source, id)));
  const right = counted(query("right", (view, id) => view.ask(source, id) * 2));
  const bottom = counted(
    query("bottom", (view, id) => {
      seen.push(`${view.ask(left, id)}/${view.ask(right, id)}`);
      return view.ask(left, id) + view.ask(right, id);
    }),
  );
  const engine = new Engine<EngineRow>({
    derivations: [
      derive("app", Network, (each, view) => {
        seen.push(`unit ${view.ask(bottom, each.id)} of ${view.ask(left, each.id)}`);
        return [];
      }),
    ],
  });
  engine.apply([put(Network, network)], 1);
  engine.apply([put(Network, { ...network, mtu: 2000 })], 2);
  assert.deepEqual(seen, ["1000/2000", "unit 3000 of 1000", "2000/4000", "unit 6000 of 2000"]);
  assert.deepEqual([...runs].sort(), ["bottom", "bottom", "left", "left", "right", "right", "source", "source"]);
});

const ringOf = (view: { get: (resource: typeof Network, id: string) => { mtu: number } | undefined }, id: string) =>
  (view.get(Network, id)?.mtu ?? 0) >= 2000;
const a: Query<string> = query("a", (view, id) => `a${view.ask(b, id)}`);
const b: Query<string> = query("b", (view, id) => `b${view.ask(c, id)}`);
const c: Query<string> = query("c", (view, id) => (ringOf(view, id) ? `c${view.ask(a, id)}` : "c"));

for (const first of [a, b, c]) {
  test(`queries in a circle fail with one path when ${first.name} is asked first, the rest is derived, the repair heals`, () => {
    const engine = new Engine<EngineRow>({
      derivations: [
        derive("ring", Network, (each, view) => [toyRow("ring", each.id, view.ask(first, each.id))]),
        derive("rest", Network, (each) => [toyRow("rest", each.id, each.mtu)]),
      ],
    });
    const whole = engine.apply([put(Network, network)], 1);
    assert.deepEqual(whole.added.map((row) => row.id).sort(), [`rest ${network.id}`, `ring ${network.id}`]);
    const broken = engine.apply([put(Network, { ...network, mtu: 2000 })], 2);
    assert.deepEqual(
      broken.removed.map((row) => row.id),
      [`ring ${network.id}`],
    );
    assert.equal(engine.row(`rest ${network.id}`)?.body, "2000");
    const [failed] = [...engine.quarantined.values()];
    const names = ["a", "b", "c", "a"].map((name) => `${name}(${network.id})`);
    assert.equal(failed?.error.message, `queries ask each other in a circle: ${names.join(" -> ")}`);
    assert.deepEqual([failed?.derivation, failed?.over, failed?.key], ["ring", "network", network.id]);
    const healed = engine.apply([put(Network, { ...network, mtu: 1999 })], 3);
    assert.equal(healed.added.length, 1);
    assert.equal(engine.quarantined.size, 0);
    engine.apply([put(Network, { ...network, mtu: 2000 })], 4);
    engine.apply([remove(Network, network.id)], 5);
    assert.equal(engine.sizes.nodes, 0, "a circle that only itself reads is forgotten");
  });
}

test("a query that catches the circle's error fails all the same", () => {
  const stubborn: Query<string> = query("stubborn", (view, id) => {
    try {
      return view.ask(other, id);
    } catch {
      return "caught";
    }
  });
  const other: Query<string> = query("other", (view, id) => view.ask(stubborn, id));
  for (const first of [stubborn, other]) {
    const engine = new Engine<EngineRow>({
      derivations: [derive("app", Network, (each, view) => [toyRow("x", each.id, view.ask(first, each.id))])],
    });
    engine.apply([put(Network, network)], 1);
    assert.equal([...engine.rows()].length, 0);
    assert.equal(engine.quarantined.size, 1);
  }
});

test("a query that throws fails its readers until what it read is repaired", () => {
  const strict = query("strict", (view, id) => {
    const found = view.get(Network, id);
    if (found?.mtu === 1000) throw new Error("not this one");
    return found?.mtu;
  });
  const engine = new Engine<EngineRow>({
    derivations: [derive("app", Network, (each, view) => [toyRow("x", each.id, view.ask(strict, each.id))])],
  });
  engine.apply([put(Network, network)], 1);
  assert.equal(engine.quarantined.get(`app(${network.id})`)?.error.message, "not this one");
  engine.apply([put(Network, { ...network, mtu: 1001 })], 2);
  assert.equal(engine.quarantined.size, 0);
  assert.equal(engine.row(`x ${network.id}`)?.body, "1001");
});

test("two queries of one name are told apart by failing", () => {
  const one = query("same", () => 1);
  const two = query("same", () => 2);
  const engine = new Engine<EngineRow>({
    derivations: [
      derive("first", Network, (each, view) => [toyRow("x", each.id, view.ask(one, ""))]),
      derive("second", Network, (each, view) => [toyRow("y", each.id, view.ask(two, ""))]),
    ],
  });
  engine.apply([put(Network, network)], 1);
  assert.deepEqual(
    [...engine.quarantined.values()].map(({ derivation, error }) => `${derivation}: ${error.message}`),
    ["second: two queries are named same"],
  );
});

/** A graph in the descriptions of networks: each names those that it asks. Its paths are counted, if they end. */
const pathsFrom: Query<number> = query("paths", (view, id) => {
  const asked =
    view
      .get(Network, id)
      ?.description.split(" ")
      .filter((name) => name !== "") ?? [];
  return asked.reduce((sum, next) => sum + view.ask(pathsFrom, next), 1);
});

/** The same by plain recursion; undefined when a path comes back to where it was. */
function plainPaths(
  graph: ReadonlyMap<string, readonly string[]>,
  id: string,
  above: readonly string[] = [],
): number | undefined {
  if (above.includes(id)) return undefined;
  let sum = 1;
  for (const next of graph.get(id) ?? []) {
    const below = plainPaths(graph, next, [...above, id]);
    if (below === undefined) return undefined;
    sum += below;
  }
  return sum;
}

test("over random graphs that change, circles included, each query is what plain recursion finds, and all is forgotten after", () => {
  const names = ["1", "2", "3", "4", "5", "6"];
  const edit = fc.record({
    at: fc.constantFrom(...names),
    asks: fc.option(fc.subarray(names, { maxLength: 2 }), { freq: 6 }),
  });
  fc.assert(
    fc.property(fc.array(fc.array(edit, { minLength: 1, maxLength: 3 }), { maxLength: 25 }), (batches) => {
      const engine = new Engine<EngineRow>({
        derivations: [derive("app", Network, ({ id }, view) => [toyRow("paths", id, view.ask(pathsFrom, id))])],
      });
      const graph = new Map<string, readonly string[]>();
      for (const [revision, batch] of batches.entries()) {
        const changes = batch.map(({ at, asks }) => {
          if (asks === null) graph.delete(at);
          else graph.set(at, asks);
          return asks === null
            ? remove(Network, at)
            : put(Network, makeNetwork({ id: at, description: asks.join(" ") }));
        });
        engine.apply(changes, revision);
        const expected: string[] = [];
        const failing: string[] = [];
        for (const id of graph.keys()) {
          const paths = plainPaths(graph, id);
          if (paths === undefined) failing.push(`app(${id})`);
          else expected.push(`paths ${id} = ${paths}`);
        }
        assert.deepEqual(textOfRows(engine.rows()), expected.sort());
        assert.deepEqual([...engine.quarantined.keys()].sort(), failing.sort());
        const { queriesRun } = engine.counters;
        engine.apply([], revision);
        assert.equal(engine.counters.queriesRun, queriesRun, "nothing is left unsettled");
      }
      engine.apply(
        names.map((name) => remove(Network, name)),
        batches.length,
      );
      assert.equal(engine.sizes.nodes, 0);
      assert.equal(engine.sizes.queries, 0);
    }),
    { numRuns: 300 },
  );
});
