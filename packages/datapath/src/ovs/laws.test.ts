/** Laws of what this switch executes, walked on the program itself: no address is translated where connections are tracked plainly, and packets do not come round too often. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Action } from "@selvage/openflow";
import {
  type AnyTable,
  type Column,
  type Action as Declared,
  F,
  type Field,
  type Row,
  type Step,
  selvageProgram,
} from "@selvage/pipeline";
import { actionsOf } from "./actions.ts";
import { shared } from "./layout.ts";
import { Ports } from "./ports.ts";
import { reentryTable } from "./reentry.ts";

/** Deeper than this many the userspace datapath drops at some release or other (six of its own, of which tunnels take some). */
const mostRecirculations = 4;
/** Lookups within lookups (ofproto-dpif-xlate.c, `MAX_DEPTH`). */
const mostLookups = 64;

const tables: ReadonlyMap<string, AnyTable> = selvageProgram.byName;
const tableOf = (name: string): AnyTable => tables.get(name) ?? assert.fail(`no table ${name}`);
const listsOf = (table: AnyTable): readonly (readonly Step[])[] => [
  ...Object.values<Declared>(table.actions).map(({ steps }) => steps),
  table.miss,
];
const nextOf = (steps: readonly Step[]): readonly { readonly name: string; readonly step: Step }[] =>
  steps.flatMap((step) => ("table" in step ? [{ name: step.table, step }] : []));

/** Each way back is taken as often as its table counts. */
const rounds = selvageProgram.constants.filter((row) =>
  tableOf(row.table).actions[row.action]?.steps.some((step: Step) => step.do === "back"),
).length;

/** The greatest sum of costs on any way through the program from a table. */
function longest(entry: string, cost: (steps: readonly Step[], step: Step) => number): number {
  const known = new Map<string, number>();
  const visit = (name: string, back: number): number => {
    const key = `${name} ${back}`;
    const held = known.get(key);
    if (held !== undefined) return held;
    const ways = listsOf(tableOf(name)).flatMap((steps) =>
      nextOf(steps).map(({ name: next, step }) => {
        if (step.do === "back" && back === 0) return 0;
        return cost(steps, step) + visit(next, step.do === "back" ? back - 1 : back);
      }),
    );
    const most = Math.max(0, ...ways);
    known.set(key, most);
    return most;
  };
  return visit(entry, rounds);
}

/** A packet that is tracked or kept is looked up again. */
const recirculates = (steps: readonly Step[], step: Step): boolean =>
  step.do === "track" || (step.do === "goto" && steps.some((each) => each.do === "commit"));

test("a packet comes round four times at most", () => {
  const most = longest("classify", (steps, step) => (recirculates(steps, step) ? 1 : 0));
  assert.ok(most <= mostRecirculations, `${most}`);
  assert.equal(most, 4, "from one machine to another of this host: each tracked and kept");
});

test("lookups within lookups stay below what the switch bears, through four routers too", () => {
  assert.equal(rounds, 4);
  // A packet that comes round is looked up anew, from the driver's own two tables on.
  const isNested = (steps: readonly Step[], step: Step) => (recirculates(steps, step) ? -1000 : 1);
  for (const entry of [
    "classify",
    ...selvageProgram.tables.flatMap((table) =>
      listsOf(table).flatMap((steps) =>
        nextOf(steps).flatMap(({ name, step }) => (recirculates(steps, step) ? [name] : [])),
      ),
    ),
  ])
    assert.ok(2 + longest(entry, isNested) <= mostLookups - 4, entry);
});

test("no zone has translation: what tracks and keeps connections says nothing of addresses", () => {
  const zones = new Ports([], 1, 2, new Map([["port", 64]]));
  const all = (actions: readonly Action[]): readonly Action[] =>
    actions.flatMap((each) => ("actions" in each ? [each, ...all(each.actions)] : [each]));
  let tracked = 0;
  for (const table of selvageProgram.tables) {
    for (const steps of listsOf(table)) {
      if (!steps.some(({ do: what }) => what === "track" || what === "commit")) continue;
      const row: Row = { table: table.name, key: {}, action: "", args: {}, id: table.name, body: "" };
      for (const each of all(actionsOf(selvageProgram, steps, row, zones) ?? assert.fail(table.name))) {
        assert.notEqual(each.kind, "nat", table.name);
        if (each.kind !== "ct") continue;
        tracked += 1;
        assert.equal(each.recircTable, reentryTable, `${table.name}: what comes out is looked at`);
        assert.equal(each.zone.kind, "field", `${table.name}: a zone is the port's`);
      }
    }
  }
  assert.equal(tracked, 4);
});

/** Fields that a list reads or writes, in its order. */
function* useOf(steps: readonly Step[]): Generator<{ readonly reads?: Field; readonly writes?: Field }> {
  for (const step of steps) {
    if (step.do === "set") {
      if (step.to.from === "field") yield { reads: step.to.field };
      yield { writes: step.field };
    } else if (step.do === "commit") {
      for (const { to } of step.keep) if (to.from === "field") yield { reads: to.field };
    }
  }
}

test("of two fields in one place a packet never has a use for both at once", () => {
  // Names of the fields that are read from a table on before they are written.
  const live = new Map<string, Set<string>>();
  const readFrom = (name: string): Set<string> => live.get(name) ?? new Set();
  for (let isGrowing = true; isGrowing; ) {
    isGrowing = false;
    for (const table of selvageProgram.tables) {
      const needed = new Set<string>(
        Object.values<Column>(table.columns)
          .slice(table.scheme === "clauses" ? 1 : 0)
          .map(({ field }) => field.name),
      );
      for (const steps of listsOf(table)) {
        const after = new Set(nextOf(steps).flatMap(({ name }) => [...readFrom(name)]));
        for (const { reads, writes } of [...useOf(steps)].reverse()) {
          if (writes !== undefined) after.delete(writes.name);
          if (reads !== undefined) after.add(reads.name);
        }
        for (const name of after) needed.add(name);
      }
      if (needed.size > readFrom(table.name).size) {
        live.set(table.name, needed);
        isGrowing = true;
      }
    }
  }
  assert.ok(readFrom("commit_out").has(F.rule.name) && readFrom("next_hops").has(F.route.name), "the walk sees uses");
  for (const [one, other] of shared)
    for (const [name, fields] of live)
      assert.ok(!(fields.has(one.name) && fields.has(other.name)), `${name}: ${one.name} and ${other.name}`);
});
