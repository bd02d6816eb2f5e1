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
import { translates } from "../zone-kinds.ts";
import { actionsOf } from "./actions.ts";
import { bitsOf, shared } from "./layout.ts";
import { Ports } from "./ports.ts";
import { isTracked, reentryTable } from "./reentry.ts";

/** Deeper than this many the userspace datapath drops at some release or other (six of its own, of which tunnels take some). */
const mostRecirculations = 4;
/** Recirculations after which the userspace datapath drops (dpif-netdev.c, `MAX_RECIRC_DEPTH`). */
const mostOfSwitch = 6;
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
function longest(entry: string, cost: (steps: readonly Step[], step: Step) => number, times: number = rounds): number {
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
  return visit(entry, times);
}

/** A packet that is tracked, kept or translated is looked up again. */
const recirculates = (steps: readonly Step[], step: Step): boolean =>
  isTracked(step) ? step.do !== "commit" : step.do === "goto" && steps.some((each) => each.do === "commit");

/** The most that a packet comes round from a table on, as long as it does not come to some others. */
const deepest = (entry: string, others: readonly string[], times?: number): number =>
  longest(
    entry,
    (steps, step) => {
      if ("table" in step && others.includes(step.table)) return Number.NEGATIVE_INFINITY;
      return recirculates(steps, step) ? 1 : 0;
    },
    times,
  );

test("a packet comes round four times at most, and six where it goes out of a router and in by a floating address of the same host", () => {
  const outside = ["nat_out", "own_lease"];
  assert.equal(deepest("classify", outside), 4, "from one machine to another of this host: each tracked and kept");
  assert.ok(deepest("classify", outside) <= mostRecirculations);
  const [sender, receiver] = [deepest("classify", [...outside, "receiver"]), deepest("receiver", outside)];
  const [out, back] = [deepest("nat_out", [], 0), deepest("own_lease", ["nat_out"], 0)];
  assert.deepEqual({ sender, receiver, out, back }, { sender: 2, receiver: 2, out: 2, back: 1 });
  assert.ok(sender + out <= mostRecirculations, "to the wire");
  assert.ok(back + receiver <= mostRecirculations, "from the wire");
  assert.ok(sender + out + receiver <= mostOfSwitch, "both on one host, a connection's first packet");
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

test("a zone translates by whatever asks it, with an address where it keeps, or by nothing", () => {
  const zones = new Ports([], 1, 2, new Map([["port", 64]]));
  const all = (actions: readonly Action[]): readonly Action[] =>
    actions.flatMap((each) => ("actions" in each ? [each, ...all(each.actions)] : [each]));
  const seen = { plain: 0, translating: 0 };
  for (const table of selvageProgram.tables) {
    for (const steps of listsOf(table)) {
      const step = steps.find(isTracked);
      if (step === undefined) continue;
      const args = { address: "203.0.113.1", first: 1024, last: 2047 };
      const row: Row = { table: table.name, key: {}, action: "", args, id: table.name, body: "" };
      const asking = steps.filter(({ do: what }) => what !== "set");
      for (const each of all(actionsOf(selvageProgram, asking, row, zones) ?? assert.fail(table.name))) {
        if (each.kind !== "ct") continue;
        const nats = all(each.actions).filter(({ kind }) => kind === "nat");
        seen[translates(step.zone) ? "translating" : "plain"] += 1;
        assert.equal(nats.length, translates(step.zone) ? 1 : 0, table.name);
        for (const nat of nats)
          assert.ok(
            nat.kind === "nat" && (each.mode === "commit") === (nat.address !== null),
            `${table.name}: an address`,
          );
        assert.equal(each.recircTable, reentryTable, `${table.name}: what comes out is looked at`);
        assert.deepEqual(each.zone, { kind: "field", source: bitsOf(step.zone).subfield }, table.name);
      }
    }
  }
  assert.deepEqual(seen, { plain: 4, translating: 5 });
});

/** Fields that a list reads or writes, in its order. */
function* useOf(steps: readonly Step[]): Generator<{ readonly reads?: Field; readonly writes?: Field }> {
  for (const step of steps) {
    if (step.do === "set") {
      if (step.to.from === "field") yield { reads: step.to.field };
      yield { writes: step.field };
    } else if (isTracked(step)) {
      yield { reads: step.zone };
    }
    if (step.do === "commit") {
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
  assert.ok(readFrom("snat_new").has(F.natZone.name) && readFrom("track_out").has(F.srcZone.name), "it sees zones");
  assert.ok(readFrom("commit_out").has(F.rule.name) && readFrom("next_hops").has(F.route.name), "the walk sees uses");
  for (const [one, other] of shared)
    for (const [name, fields] of live)
      assert.ok(!(fields.has(one.name) && fields.has(other.name)), `${name}: ${one.name} and ${other.name}`);
});
