/** The installer against a switch that refuses, fails, goes and comes: what it holds in the end is what is wanted, less what it refuses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SimulatedDatapath } from "@selvage/datapath";
import { Mcast, type Row, row } from "@selvage/pipeline";
import fc from "fast-check";
import { Fold } from "./fold.ts";
import { Installer } from "./installer.ts";

/** A row of one table, by number. */
const made = (net: number): Row => row(Mcast, { net }, "flood");
/** The same row with another body, as a changed action has it. */
const changed = (net: number, body: number): Row => ({ ...made(net), body: `flood(${body})` });

type Delta = Parameters<Fold["add"]>[0];

/** What turns one set of rows into another. */
function between(before: ReadonlyMap<string, Row>, after: ReadonlyMap<string, Row>): Delta {
  const added: Row[] = [];
  const modified: { before: Row; after: Row }[] = [];
  for (const [id, one] of after) {
    const old = before.get(id);
    if (old === undefined) added.push(one);
    else if (old.body !== one.body) modified.push({ before: old, after: one });
  }
  return { added, modified, removed: [...before.values()].filter(({ id }) => !after.has(id)) };
}

const state = fc.uniqueArray(fc.record({ net: fc.nat(5), body: fc.nat(2) }), {
  selector: ({ net }) => net,
  maxLength: 6,
});
type State = typeof state extends fc.Arbitrary<infer T> ? T : never;
const rowsOf = (each: State): ReadonlyMap<string, Row> =>
  new Map(each.map(({ net, body }) => [changed(net, body).id, changed(net, body)]));

test("differences folded into one lead where they lead one after another", () => {
  fc.assert(
    fc.property(fc.array(state, { minLength: 2, maxLength: 6 }), (states) => {
      const sets = states.map(rowsOf);
      const fold = new Fold();
      for (let at = 1; at < sets.length; at += 1) fold.add(between(sets[at - 1] ?? new Map(), sets[at] ?? new Map()));
      const whole = between(sets[0] ?? new Map(), sets.at(-1) ?? new Map());
      const sorted = ({ added, removed, modified }: Delta) => ({
        added: added.map(({ id, body }) => `${id}${body}`).sort(),
        removed: removed.map(({ id }) => id).sort(),
        modified: modified.map(({ before, after }) => `${before.id}${before.body}${after.body}`).sort(),
      });
      assert.deepEqual(sorted(fold.difference(() => false)), sorted(whole));
    }),
  );
});

/** A switch that refuses some rows, fails when told, and comes and goes. */
class Moody {
  readonly rows = new Map<string, Row>();
  readonly refused = new Set<string>();
  failures = 0;
  here = false;
  adoptions = 0;

  async adopt(rows: Iterable<Row>) {
    const wanted = new Map([...rows].map((each) => [each.id, each]));
    await this.#try([...wanted.values()]);
    this.adoptions += 1;
    const delta = between(this.rows, wanted);
    this.#put(delta);
    const counts = { added: delta.added.length, changed: delta.modified.length, removed: delta.removed.length };
    return { ...counts, kept: wanted.size - counts.added - counts.changed };
  }

  async apply(delta: Delta): Promise<void> {
    await this.#try([...delta.added, ...delta.modified.map(({ after }) => after)]);
    for (const each of delta.removed) assert.ok(this.rows.has(each.id), "only what is there is removed");
    for (const each of delta.added) assert.equal(this.rows.has(each.id), false, "only what is not there is added");
    this.#put(delta);
  }

  async installed() {
    return [...this.rows.values()].map((each) => ({ row: each, text: each.id, packets: 0 }));
  }

  async #try(rows: readonly Row[]): Promise<void> {
    await Promise.resolve();
    if (!this.here) throw new Error("away");
    if (this.failures > 0) {
      this.failures -= 1;
      throw new Error("failed once");
    }
    const bad = rows.find((each) => this.refused.has(`${each.id}${each.body}`));
    if (bad !== undefined) throw new Error(`refused ${bad.id}`);
  }

  #put(delta: Delta): void {
    for (const { id } of delta.removed) this.rows.delete(id);
    for (const each of [...delta.added, ...delta.modified.map(({ after }) => after)]) this.rows.set(each.id, each);
  }
}

const event = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("want" as const), state }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom("lose" as const, "find" as const, "fail" as const, "audit" as const) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("wait" as const) }) },
);

test("whatever is wanted, refused, lost and found: in the end the switch holds what is wanted less what it refuses", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(event, { maxLength: 25 }),
      fc.uniqueArray(fc.record({ net: fc.nat(5), body: fc.nat(2) }), { maxLength: 4 }),
      async (events, refused) => {
        const moody = new Moody();
        for (const { net, body } of refused) moody.refused.add(`${changed(net, body).id}${changed(net, body).body}`);
        let wanted: ReadonlyMap<string, Row> = new Map();
        let version = 0;
        let told = -1;
        const installer = new Installer<number>({
          datapath: moody,
          rows: () => wanted.values(),
          capture: () => version,
          inForce: (captured) => {
            assert.ok(captured >= told, "in order");
            told = captured;
          },
          drift: () => undefined,
          failed: () => undefined,
        });
        const want = (next: ReadonlyMap<string, Row>): void => {
          const delta = between(wanted, next);
          wanted = next;
          version += 1;
          installer.push(delta);
        };
        installer.begin();
        for (const each of events) {
          switch (each.do) {
            case "want":
              want(rowsOf(each.state));
              break;
            case "lose":
              moody.here = false;
              moody.rows.clear();
              installer.lost();
              break;
            case "find":
              moody.here = true;
              installer.ready();
              break;
            case "fail":
              moody.failures += 1;
              break;
            case "audit":
              installer.audit();
              break;
            case "wait":
              await installer.settled();
          }
        }
        moody.here = true;
        moody.failures = 0;
        installer.ready();
        await installer.settled();
        assert.equal(told, version);
        assert.equal(installer.inStep, true);
        const isBad = (each: Row): boolean => moody.refused.has(`${each.id}${each.body}`);
        const expected = [...wanted.values()].filter((each) => !isBad(each)).map(({ id, body }) => `${id}${body}`);
        assert.deepEqual([...moody.rows.values()].map(({ id, body }) => `${id}${body}`).sort(), expected.sort());
        assert.deepEqual(
          installer.refused.map(({ row: each }) => each.id).sort(),
          [...wanted.values()]
            .filter(isBad)
            .map(({ id }) => id)
            .sort(),
        );
      },
    ),
    { numRuns: 300 },
  );
});

test("nothing is done to a switch before there is a view", async () => {
  const datapath = new SimulatedDatapath();
  await datapath.open({
    attachments: () => undefined,
    punt: () => undefined,
    ready: () => undefined,
    lost: () => undefined,
  });
  await datapath.adopt([made(1)]);
  const installer = new Installer<null>({
    datapath,
    rows: () => [],
    capture: () => null,
    inForce: () => undefined,
    drift: () => undefined,
    failed: () => undefined,
  });
  installer.ready();
  await installer.settled();
  assert.ok((await datapath.installed()).some((each) => each.row?.id === made(1).id));
  installer.begin();
  await installer.settled();
  assert.equal(
    (await datapath.installed()).some((each) => each.row?.id === made(1).id),
    false,
  );
});

test("an audit repairs what somebody else did to the switch, and counts it", async () => {
  const moody = new Moody();
  moody.here = true;
  let drifted = 0;
  const told: unknown[] = [];
  const wanted = rowsOf([
    { net: 1, body: 0 },
    { net: 2, body: 0 },
  ]);
  const installer = new Installer<null>({
    datapath: moody,
    rows: () => wanted.values(),
    capture: () => null,
    inForce: () => undefined,
    drift: (rows, differences) => {
      drifted += rows;
      told.push(...differences.map(({ what, row }) => [what, row]));
    },
    failed: () => undefined,
  });
  installer.begin();
  installer.ready();
  await installer.settled();
  installer.audit();
  await installer.settled();
  assert.equal(drifted, 0);
  moody.rows.delete(made(1).id);
  moody.rows.set("stranger", { ...made(9), id: "stranger" });
  installer.audit();
  await installer.settled();
  assert.equal(drifted, 2);
  assert.deepEqual([...moody.rows.keys()].sort(), [...wanted.keys()].sort());
});

test("what was on its way when the switch went is not in force, and a row that is wanted no more is not set aside", async () => {
  const moody = new Moody();
  moody.here = true;
  moody.refused.add(`${changed(1, 0).id}${changed(1, 0).body}`);
  let wanted: ReadonlyMap<string, Row> = new Map();
  let told = 0;
  const installer = new Installer<null>({
    datapath: moody,
    rows: () => wanted.values(),
    capture: () => null,
    inForce: () => {
      told += 1;
    },
    drift: () => undefined,
    failed: () => undefined,
  });
  const want = (next: ReadonlyMap<string, Row>): void => {
    const delta = between(wanted, next);
    wanted = next;
    installer.push(delta);
  };
  installer.begin();
  installer.ready();
  await installer.settled();
  want(rowsOf([{ net: 1, body: 0 }]));
  await installer.settled();
  assert.equal(installer.refused.length, 1);
  want(new Map());
  await installer.settled();
  assert.equal(installer.refused.length, 0);
  const before = told;
  want(rowsOf([{ net: 2, body: 0 }]));
  installer.lost();
  await installer.settled();
  assert.equal(told, before);
  installer.ready();
  await installer.settled();
  assert.equal(told, before + 1);
});
