/** The installer against a switch that refuses, fails, goes and comes: what it holds in the end is what is wanted, less what it refuses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SimulatedDatapath } from "@selvage/datapath";
import { Mcast, type Row, row } from "@selvage/pipeline";
import fc from "fast-check";
import { Fold } from "./fold.ts";
import { Installer } from "./installer.ts";

/** All that is due now is done. */
const turn = (): Promise<void> => new Promise((next) => setImmediate(next));

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

/** A switch that refuses some rows, fails when told, and comes and goes. With `isSlow`, packets meet what it took when it is told to `follow`. */
class Moody {
  readonly rows = new Map<string, Row>();
  /** What packets meet. */
  met: ReadonlyMap<string, Row> = new Map();
  readonly refused = new Set<string>();
  failures = 0;
  isSlow = false;
  adoptions = 0;
  #here = false;
  #isKnown = false;
  #waiting: PromiseWithResolvers<void>[] = [];

  get here(): boolean {
    return this.#here;
  }

  /** One that goes takes all with it; nobody hears whether packets had met it. */
  set here(here: boolean) {
    this.#here = here;
    if (here) return;
    this.rows.clear();
    this.met = new Map();
    this.#isKnown = false;
    this.#settle((each) => each.reject(new Error("gone")));
  }

  /** Packets meet what it holds now. */
  follow(): void {
    this.met = new Map(this.rows);
    this.#settle((each) => each.resolve());
  }

  /** It is there, and packets will not meet what it took. */
  break(): void {
    this.#settle((each) => each.reject(new Error("broken")));
  }

  /** Who waited last hears first: the order is the installer's own to keep. */
  #settle(how: (each: PromiseWithResolvers<void>) => void): void {
    const waiting = this.#waiting.toReversed();
    this.#waiting = [];
    for (const each of waiting) how(each);
  }

  async #inForce(): Promise<void> {
    if (!this.isSlow) return this.follow();
    const met = Promise.withResolvers<void>();
    this.#waiting.push(met);
    await met.promise;
  }

  async adopt(rows: Iterable<Row>) {
    const wanted = new Map([...rows].map((each) => [each.id, each]));
    await this.#try([...wanted.values()]);
    this.adoptions += 1;
    const delta = between(this.rows, wanted);
    this.#put(delta);
    this.#isKnown = true;
    const counts = { added: delta.added.length, changed: delta.modified.length, removed: delta.removed.length };
    await this.#inForce();
    return { ...counts, kept: wanted.size - counts.added - counts.changed };
  }

  async apply(delta: Delta, taken?: () => void): Promise<void> {
    if (!this.#isKnown) throw new Error("nothing was adopted");
    await this.#try([...delta.added, ...delta.modified.map(({ after }) => after)]).catch((error: unknown) => {
      this.#isKnown = false;
      throw error;
    });
    for (const each of delta.removed) assert.ok(this.rows.has(each.id), "only what is there is removed");
    for (const each of delta.added) assert.equal(this.rows.has(each.id), false, "only what is not there is added");
    this.#put(delta);
    taken?.();
    await this.#inForce();
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
    arbitrary: fc.record({ do: fc.constantFrom("find" as const, "fail" as const, "audit" as const) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("lose" as const), late: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("wait" as const, "turn" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("slow" as const, "follow" as const, "break" as const) }) },
);
const wordsOf = (rows: Iterable<Row>): string =>
  [...rows]
    .map(({ id, body }) => `${id}${body}`)
    .sort()
    .join();

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
        const isBad = (each: Row): boolean => moody.refused.has(`${each.id}${each.body}`);
        const good = (rows: ReadonlyMap<string, Row>): string =>
          wordsOf([...rows.values()].filter((each) => !isBad(each)));
        /** What was wanted at each version. */
        const versions = [good(wanted)];
        const installer = new Installer<number>({
          datapath: moody,
          rows: () => wanted.values(),
          capture: () => version,
          inForce: (captured) => {
            assert.ok(captured >= told, "in order");
            assert.ok(
              versions.slice(captured).includes(wordsOf(moody.met.values())),
              "packets meet it, or what came after",
            );
            told = captured;
          },
          drift: () => undefined,
          failed: () => undefined,
        });
        const want = (next: ReadonlyMap<string, Row>): void => {
          const delta = between(wanted, next);
          wanted = next;
          version += 1;
          versions.push(good(next));
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
              // The driver hears of it from its connection, some time after the step has failed or before.
              if (each.late) await turn();
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
            case "turn":
              await turn();
              break;
            case "slow":
              moody.isSlow = true;
              break;
            case "follow":
              moody.follow();
              break;
            case "break":
              moody.break();
              break;
            case "wait":
              moody.isSlow = false;
              moody.follow();
              await installer.settled();
          }
        }
        moody.here = true;
        moody.failures = 0;
        moody.isSlow = false;
        moody.follow();
        installer.ready();
        await installer.settled();
        assert.equal(told, version);
        assert.equal(installer.inStep, true);
        assert.equal(wordsOf(moody.rows.values()), good(wanted));
        assert.equal(wordsOf(moody.met.values()), good(wanted));
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

/** An installer with its switch, of which it tells by number what is in force. */
function installing(moody: Moody) {
  const told: number[] = [];
  let wanted: ReadonlyMap<string, Row> = new Map();
  let version = 0;
  const installer = new Installer<number>({
    datapath: moody,
    rows: () => wanted.values(),
    capture: () => version,
    inForce: (captured) => told.push(captured),
    drift: () => undefined,
    failed: () => undefined,
  });
  const want = (each: State): void => {
    const delta = between(wanted, rowsOf(each));
    wanted = rowsOf(each);
    version += 1;
    installer.push(delta);
  };
  return { told, installer, want };
}

/** One that has adopted an empty switch, whose packets meet from now on what it has taken when they are told to. */
async function slowly() {
  const moody = new Moody();
  moody.here = true;
  const made = installing(moody);
  made.installer.begin();
  made.installer.ready();
  await made.installer.settled();
  moody.isSlow = true;
  return { moody, ...made };
}

test("a step is sent when the switch has taken the one before; each is told of in its order, and not before packets meet it", async () => {
  const { moody, told, installer, want } = await slowly();
  want([{ net: 1, body: 0 }]);
  await turn();
  want([{ net: 1, body: 1 }]);
  await turn();
  assert.equal(wordsOf(moody.rows.values()), wordsOf([changed(1, 1)]), "both are taken");
  assert.deepEqual([told, installer.inStep], [[0], false]);
  moody.follow();
  await turn();
  assert.deepEqual([told, installer.inStep], [[0, 1, 2], true]);
});

test("what the switch took and packets had not met when it went is not told of, but what is adopted when it comes back", async () => {
  for (const isToldFirst of [true, false]) {
    const { moody, told, installer, want } = await slowly();
    want([{ net: 1, body: 0 }]);
    await turn();
    want([{ net: 2, body: 0 }]);
    await turn();
    if (isToldFirst) installer.lost();
    moody.here = false;
    await turn();
    if (!isToldFirst) installer.lost();
    moody.follow();
    await installer.settled();
    assert.deepEqual(told, [0]);
    moody.here = true;
    installer.ready();
    await turn();
    assert.deepEqual(told, [0], "taken, and not met");
    moody.follow();
    await installer.settled();
    assert.deepEqual(told, [0, 2]);
    assert.equal(wordsOf(moody.met.values()), wordsOf([changed(2, 0)]));
  }
});

test("what fails after it was taken is adopted, with what was taken behind it, and told of then alone", async () => {
  const { moody, told, installer, want } = await slowly();
  want([{ net: 1, body: 0 }]);
  await turn();
  want([{ net: 2, body: 0 }]);
  await turn();
  moody.break();
  await turn();
  assert.deepEqual([told, moody.adoptions, installer.inStep], [[0], 2, false]);
  moody.follow();
  await installer.settled();
  assert.deepEqual([told, installer.inStep], [[0, 2], true]);
});
