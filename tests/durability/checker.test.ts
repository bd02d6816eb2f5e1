/** The checker is checked: it takes what a right store does, and refuses each history that breaks one promise. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Change, StoredObject } from "@selvage/model";
import type { LoggedEntry } from "@selvage/store";
import fc from "fast-check";
import { violations } from "./checker.ts";
import type { Ask, Evidence, Outcome, Read, Write } from "./evidence.ts";

interface Values {
  readonly name: string;
  readonly [field: string]: unknown;
}

const object = (id: string, values: Values): StoredObject => ({ id, ...values }) as StoredObject;
const put = (kind: string, id: string, values: Values): Change => ({ kind, id, object: object(id, values) });
const network = (id: string, name: string, segment: number): Change =>
  put("network", id, { name, "provider:segmentation_id": segment });
const port = (id: string, name: string, at: number, address = `10.0.0.${at}`, mac = `fa:16:3e:00:00:0${at}`): Change =>
  put("port", id, {
    name,
    network_id: "n1",
    key: at,
    mac_address: mac,
    fixed_ips: [{ subnet_id: "s1", ip_address: address }],
  });

const entry = (
  revision: number,
  changes: readonly Change[],
  request?: { readonly key: string; readonly ids: readonly string[] },
): LoggedEntry => ({
  revision,
  id: `entry-${revision}`,
  at: "2026-01-01T00:00:00.000Z",
  author: { kind: "user", id: "u1", request_id: `req-${revision}` },
  ...(request === undefined ? {} : { request: { ...request, digest: "" } }),
  changes,
});

const acknowledged = (at: number, revision: number, ...ids: readonly string[]): Outcome => ({
  kind: "acknowledged",
  at,
  revision,
  ids,
});
const refused = (how: "alone" | "after a lost reply"): Outcome => ({
  kind: "refused",
  at: 61,
  status: 409,
  began: 55,
  alone: how === "alone",
});
const write = (key: string, ask: Ask, invoked: number, outcome: Outcome): Write => ({
  client: 1,
  key,
  ask,
  invoked,
  outcome,
});
const read = (id: string, invoked: number, at: number, name: string | null): Read => ({
  client: 2,
  resource: "network",
  id,
  invoked,
  at,
  name,
});

const snapshotOf = (log: readonly LoggedEntry[]): Evidence["snapshot"] => {
  const objects = new Map<string, Evidence["snapshot"]["objects"][number]>();
  for (const { revision, changes } of log) {
    for (const { kind, id, object } of changes) {
      if (object === null) objects.delete(`${kind}|${id}`);
      else objects.set(`${kind}|${id}`, { kind, id, revision, object });
    }
  }
  return { revision: log.length, objects: [...objects.values()] };
};

const followed = (log: readonly LoggedEntry[], from = 0) => ({
  follower: "f1",
  from,
  entries: log.slice(from).map(({ revision, id }) => ({ revision, id })),
});

/** Network n1 is made, renamed, three ports come in a bulk, n2 comes and goes. */
const log: readonly LoggedEntry[] = [
  entry(1, [put("project", "p1", { name: "p" })]),
  entry(2, [network("n1", "first", 7)], { key: "k1", ids: ["n1"] }),
  entry(3, [port("a", "a", 1), port("b", "b", 2), port("c", "c", 3)], { key: "k2", ids: ["b", "a", "c"] }),
  entry(4, [network("n1", "renamed", 7)], { key: "k3", ids: ["n1"] }),
  entry(5, [network("n2", "second", 8)], { key: "k4", ids: ["n2"] }),
  entry(6, [{ kind: "network", id: "n2", object: null }], { key: "k5", ids: [] }),
];

const bulk: Ask = { verb: "create", resource: "port", names: ["a", "b", "c"] };
const good: Evidence = {
  writes: [
    write("k1", { verb: "create", resource: "network", names: ["first"] }, 0, acknowledged(10, 2, "n1")),
    write("k2", bulk, 11, acknowledged(20, 3, "b", "a", "c")),
    write("k3", { verb: "rename", resource: "network", id: "n1", name: "renamed" }, 12, acknowledged(22, 4, "n1")),
    write("k4", { verb: "create", resource: "network", names: ["second"] }, 30, { kind: "unknown" }),
    write("k5", { verb: "delete", resource: "network", id: "n2" }, 50, acknowledged(60, 6)),
    write("k6", { verb: "delete", resource: "network", id: "n1" }, 50, refused("alone")),
    write("k7", { verb: "create", resource: "network", names: ["never"] }, 50, { kind: "unknown" }),
  ],
  reads: [
    read("n1", 1, 5, null),
    read("n1", 11, 13, "first"),
    read("n1", 14, 15, "renamed"),
    read("n2", 31, 40, "second"),
    read("n2", 62, 63, null),
  ],
  heads: [
    { at: 25, revision: 4 },
    { at: 70, revision: 6 },
  ],
  followers: [followed(log), followed(log, 3)],
  log,
  snapshot: snapshotOf(log),
};

test("a right history is taken", () => {
  assert.deepEqual(violations(good), []);
});

const withLog = (changed: readonly LoggedEntry[]): Evidence => ({
  ...good,
  log: changed,
  followers: [followed(changed)],
  snapshot: snapshotOf(changed),
});
const replaced = (revision: number, by: LoggedEntry): Evidence =>
  withLog(log.map((each) => (each.revision === revision ? by : each)));
const withWrite = (key: string, change: Partial<Write>): Evidence => ({
  ...good,
  writes: good.writes.map((each) => (each.key === key ? { ...each, ...change } : each)),
});
const withReads = (...reads: readonly Read[]): Evidence => ({ ...good, reads });

interface Broken {
  readonly name: string;
  readonly evidence: Evidence;
  readonly says: RegExp;
}

const broken: readonly Broken[] = [
  {
    name: "an acknowledged write is lost",
    evidence: replaced(4, entry(4, [])),
    says: /k3 was acknowledged and is lost/,
  },
  {
    name: "the last acknowledged write is lost with the end of the log",
    evidence: withLog(log.slice(0, 5)),
    says: /k5 was acknowledged and is lost/,
  },
  {
    name: "a retry was done a second time",
    evidence: withLog([...log, entry(7, [network("n3", "first", 9)], { key: "k1", ids: ["n3"] })]),
    says: /k1 stands in the log 2 times/,
  },
  {
    name: "a write stands at another revision than its client was told",
    evidence: withWrite("k3", { outcome: acknowledged(22, 5, "n1") }),
    says: /k3 was told revision 5 and stands at 4/,
  },
  {
    name: "a client was told another object than the one that was made",
    evidence: withWrite("k1", { outcome: acknowledged(10, 2, "n9") }),
    says: /k1 was told other objects/,
  },
  {
    name: "a bulk is half done",
    evidence: replaced(3, entry(3, [port("a", "a", 1), port("b", "b", 2)], { key: "k2", ids: ["b", "a", "c"] })),
    says: /k2 is half done: 2 of 3/,
  },
  {
    name: "a bulk that nobody was told of is half done",
    evidence: {
      ...replaced(3, entry(3, [port("a", "a", 1)], { key: "k2", ids: ["a"] })),
      writes: withWrite("k2", { outcome: { kind: "unknown" } }).writes,
    },
    says: /k2 is half done: 1 of 3/,
  },
  {
    name: "a refused write was done",
    evidence: withLog([...log, entry(7, [{ kind: "network", id: "n1", object: null }], { key: "k6", ids: [] })]),
    says: /k6 was refused \(409\) and stands in the log/,
  },
  {
    name: "a retry was refused although its write was durable",
    evidence: withWrite("k4", { outcome: { kind: "refused", at: 90, status: 409, began: 80, alone: false } }),
    says: /k4 stood in the log at revision 5 when its retry was refused/,
  },
  {
    name: "what was durable at a restart is not what is built on",
    evidence: { ...good, heads: [{ at: 11.5, revision: 4 }] },
    says: /k3 began after revision 4 was acknowledged and has revision 4/,
  },
  {
    name: "a write that nobody asked for",
    evidence: withLog([...log, entry(7, [network("n3", "x", 9)], { key: "k99", ids: ["n3"] })]),
    says: /request k99 that nobody made/,
  },
  {
    name: "a rename wrote another name",
    evidence: replaced(4, entry(4, [network("n1", "other", 7)], { key: "k3", ids: ["n1"] })),
    says: /k3 is not the change that was asked/,
  },
  {
    name: "a delete left its object",
    evidence: replaced(6, entry(6, [network("n2", "second", 8)], { key: "k5", ids: [] })),
    says: /k5 did not delete/,
  },
  {
    name: "the log has a gap",
    evidence: withLog(log.filter(({ revision }) => revision !== 1)),
    says: /revision 2 where 1 belongs/,
  },
  {
    name: "the log is in another order than time",
    evidence: withWrite("k3", { invoked: 0, outcome: acknowledged(1, 4, "n1") }),
    says: /k\d began after revision 4 was acknowledged and has revision/,
  },
  {
    name: "a read shows what was overwritten before it began",
    evidence: withReads(read("n1", 23, 24, "first")),
    says: /shows network n1 as first/,
  },
  {
    name: "a read shows what was written after it",
    evidence: withReads(read("n1", 1, 5, "renamed")),
    says: /shows network n1 as renamed/,
  },
  {
    name: "a read goes behind an earlier one",
    evidence: withReads(read("n1", 13, 14, "renamed"), read("n1", 15, 16, "first")),
    says: /shows network n1 as first/,
  },
  {
    name: "a read misses what was acknowledged",
    evidence: withReads(read("n1", 11, 12, null)),
    says: /shows network n1 as gone/,
  },
  {
    name: "a read shows what was never written",
    evidence: withReads(read("n1", 11, 12, "dreamt")),
    says: /as dreamt/,
  },
  {
    name: "a follower has a gap",
    evidence: {
      ...good,
      followers: [{ ...followed(log), entries: followed(log).entries.filter((_, at) => at !== 2) }],
    },
    says: /follower f1 saw revision 4 where 3 belongs/,
  },
  {
    name: "a follower sees an entry twice after a cut",
    evidence: {
      ...good,
      followers: [
        { ...followed(log), entries: followed(log).entries.flatMap((each, at) => (at === 2 ? [each, each] : each)) },
      ],
    },
    says: /follower f1 saw revision 3 where 4 belongs/,
  },
  {
    name: "a follower saw an entry that did not last",
    evidence: {
      ...good,
      followers: [
        {
          ...followed(log),
          entries: followed(log).entries.map((each, at) => (at === 4 ? { ...each, id: "lost" } : each)),
        },
      ],
    },
    says: /revision 5 that the log does not hold/,
  },
  {
    name: "a follower ends early",
    evidence: { ...good, followers: [{ ...followed(log), entries: followed(log).entries.slice(0, 4) }] },
    says: /did not see the log to its end/,
  },
  {
    name: "one address of a subnet is given twice",
    evidence: replaced(
      3,
      entry(3, [port("a", "a", 1), port("b", "b", 2, "10.0.0.1"), port("c", "c", 3)], {
        key: "k2",
        ids: ["b", "a", "c"],
      }),
    ),
    says: /address 10\.0\.0\.1 of subnet s1 is held by port\|a and by port\|b/,
  },
  {
    name: "one MAC of a network is given twice",
    evidence: replaced(
      3,
      entry(3, [port("a", "a", 1), port("b", "b", 2, "10.0.0.2", "fa:16:3e:00:00:01"), port("c", "c", 3)], {
        key: "k2",
        ids: ["b", "a", "c"],
      }),
    ),
    says: /MAC fa:16:3e:00:00:01 of network n1 is held by/,
  },
  {
    name: "two networks have one segment",
    evidence: replaced(5, entry(5, [network("n2", "second", 7)], { key: "k4", ids: ["n2"] })),
    says: /segment 7 is held by network\|n1 and by network\|n2/,
  },
  {
    name: "a network went with ports on it",
    evidence: withLog([...log, entry(7, [{ kind: "network", id: "n1", object: null }])]),
    says: /port\|a stands on network n1, which is gone/,
  },
  {
    name: "the snapshot lacks an object",
    evidence: { ...good, snapshot: { ...good.snapshot, objects: good.snapshot.objects.slice(1) } },
    says: /stands in the log and not in the snapshot/,
  },
  {
    name: "the snapshot has an older value",
    evidence: {
      ...good,
      snapshot: {
        ...good.snapshot,
        objects: good.snapshot.objects.map((each) =>
          each.id === "n1" ? { ...each, object: { ...each.object, name: "first" } } : each,
        ),
      },
    },
    says: /network\|n1 is not what the log makes of it/,
  },
];

for (const { name, evidence, says } of broken) {
  test(`refused: ${name}`, () => {
    const found = violations(evidence);
    assert.ok(
      found.some((sentence) => says.test(sentence)),
      `it says: ${found.join("; ") || "nothing"}`,
    );
  });
}

test("a try that was refused says nothing of one that was not answered and was done later", () => {
  const late = withWrite("k4", {
    outcome: { ...refused("after a lost reply"), kind: "refused", began: 29, at: 30 } as Outcome,
  });
  assert.deepEqual(violations(late), []);
});

test("an address that was freed may be given again, and an object may take its own key again", () => {
  const freed = [
    ...log,
    entry(7, [{ kind: "port", id: "a", object: null }]),
    entry(8, [port("d", "d", 1)]),
    entry(9, [port("d", "d again", 1)]),
  ];
  assert.deepEqual(violations(withLog(freed)), []);
});

/** Renames of one network, each within its own span of time, the revisions in the order of some point of each span. */
const spans = fc.array(
  fc.record({
    begin: fc.nat(1_000),
    length: fc.integer({ min: 2, max: 300 }),
    point: fc.double({ min: 0.01, max: 0.99, noNaN: true }),
  }),
  {
    minLength: 2,
    maxLength: 30,
  },
);

function historyOf(
  given: readonly { readonly begin: number; readonly length: number; readonly point: number }[],
): Evidence {
  const ordered = given
    .map((each) => ({ ...each, when: each.begin + each.length * each.point }))
    .sort((a, b) => a.when - b.when);
  const entries = [
    entry(1, [network("n1", "made", 7)]),
    ...ordered.map((_, at) => entry(at + 2, [network("n1", `name ${at}`, 7)], { key: `k${at}`, ids: ["n1"] })),
  ];
  return {
    writes: ordered.map(({ begin, length }, at) =>
      write(
        `k${at}`,
        { verb: "rename", resource: "network", id: "n1", name: `name ${at}` },
        begin,
        acknowledged(begin + length, at + 2, "n1"),
      ),
    ),
    // Each value is read right after the point at which it was written.
    reads: ordered.flatMap(({ when }, at) => {
      const next = ordered[at + 1]?.when ?? when + 1;
      return next - when > 1e-6 ? [read("n1", when, (when + next) / 2, `name ${at}`)] : [];
    }),
    heads: [],
    followers: [],
    log: entries,
    snapshot: snapshotOf(entries),
  };
}

test("every history with a point in each span is taken; two that do not overlap, exchanged, are refused", () => {
  fc.assert(
    fc.property(spans, (given) => {
      const history = historyOf(given);
      assert.deepEqual(violations(history), []);
      const { writes } = history;
      const first = writes[0];
      const last = writes.at(-1);
      if (first?.outcome.kind !== "acknowledged" || last?.outcome.kind !== "acknowledged") return;
      if (first.outcome.at >= last.invoked) return;
      const late = { ...first, outcome: { ...first.outcome, revision: last.outcome.revision } };
      const early = { ...last, outcome: { ...last.outcome, revision: first.outcome.revision } };
      const swapped = writes.map((each) => (each === first ? late : each === last ? early : each));
      assert.ok(violations({ ...history, writes: swapped }).some((sentence) => /began after revision/.test(sentence)));
    }),
    { numRuns: 300 },
  );
});
