/** Checks of appending: order, all or none, the condition on the head, lost replies, what an entry may hold. */
import assert from "node:assert/strict";
import type { Revision } from "@selvage/model";
import { type Entry, type Store, StoreFailure } from "../store.ts";
import {
  appendAt,
  appendEach,
  entry,
  logFrom,
  numbered,
  objectsOf,
  put,
  randomNumbers,
  remove,
  take,
} from "./entries.ts";
import type { Check } from "./harness.ts";

const many = (count: number): readonly Entry[] => Array.from({ length: count }, () => entry());

const outcomes = (answers: readonly { readonly outcome: string }[]): readonly string[] =>
  answers.map(({ outcome }) => outcome);

/** Appends until it is taken, from whatever the head is, as the api does. Gives the revision. */
async function insist(store: Store, each: Entry): Promise<Revision> {
  let { head } = await store.bounds();
  for (;;) {
    const answer = await store.append(head, [each]);
    if (answer.outcome === "appended") return answer.revision;
    assert.notEqual(answer.head, head, "refused at the head that it names itself");
    head = answer.head;
  }
}

/** `rounds` entries each by concurrent writers over some handles: every acknowledged entry stands at its revision, once, nothing else does. */
async function contend(stores: readonly Store[], writers: number, rounds: number): Promise<void> {
  const acknowledged = new Map<Revision, string>();
  const write = async (writer: number): Promise<void> => {
    for (let round = 0; round < rounds; round += 1) {
      const each = entry(put("port", `w${writer}`, { round }));
      const revision = await insist(stores[writer % stores.length]!, each);
      assert.equal(acknowledged.get(revision), undefined, `revision ${revision} was given twice`);
      acknowledged.set(revision, each.id);
    }
  };
  await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)));
  for (const store of stores) {
    const log = await take(store, 0, writers * rounds);
    assert.deepEqual(
      log.map(({ revision, id }) => [revision, id]),
      log.map((_, at) => [at + 1, acknowledged.get(at + 1)]),
    );
    assert.equal((await store.bounds()).head, writers * rounds);
  }
}

export const appendChecks: readonly Check[] = [
  {
    name: "a new store is empty: head 0, oldest 1, no objects",
    run: async ({ store }) => {
      assert.deepEqual({ ...(await store.bounds()) }, { oldest: 1, head: 0 });
      assert.deepEqual({ ...(await store.snapshot()) }, { revision: 0, objects: [] });
    },
  },
  {
    name: "what was appended is read back, whole, in order and without gaps",
    run: async ({ store }) => {
      const named = { ...entry(), request: { key: "retry me", digest: "0".repeat(64), ids: ["b", "a"] } };
      const entries = [...many(40), named, ...many(1)];
      await appendEach(store, 0, entries);
      assert.deepEqual(await logFrom(store, 0), numbered(1, entries));
    },
  },
  {
    name: "an author without a project, and every kind of author, is kept as given",
    run: async ({ store }) => {
      const authors = [
        { kind: "system", id: "", request_id: "req-0" },
        { kind: "host", id: "h1", request_id: "req-1" },
        { kind: "user", id: "u1", project_id: "p1", request_id: "req-2" },
      ] as const;
      const entries = authors.map((author) => ({ ...entry(), author }));
      await appendAt(store, 0, ...entries);
      assert.deepEqual(await logFrom(store, 0), numbered(1, entries));
    },
  },
  {
    name: "a batch takes consecutive revisions and is acknowledged with its last",
    run: async ({ store }) => {
      const [first, second, third] = [many(1), many(7), many(2)];
      const head = await appendAt(
        store,
        await appendAt(store, await appendAt(store, 0, ...first), ...second),
        ...third,
      );
      assert.equal(head, 10);
      assert.deepEqual(await logFrom(store, 0), numbered(1, [...first, ...second, ...third]));
    },
  },
  {
    name: "an append at another head than the log's writes nothing at all and names the head",
    run: async ({ store }) => {
      const kept = many(3);
      await appendAt(store, 0, ...kept);
      for (const stale of [0, 1, 2, 4, 1_000]) {
        assert.deepEqual({ ...(await store.append(stale, many(2))) }, { outcome: "moved", head: 3 });
      }
      assert.deepEqual(await logFrom(store, 0), numbered(1, kept));
      assert.equal(objectsOf(await store.snapshot()).size, 4);
    },
  },
  {
    name: "of appends at one head sent together exactly one is taken",
    run: async ({ store }) => {
      for (let head = 0; head < 5; head += 1) {
        const entries = many(16);
        const answers = await Promise.all(entries.map((each) => store.append(head, [each])));
        assert.equal(outcomes(answers).filter((outcome) => outcome === "appended").length, 1);
        const winner = entries[outcomes(answers).indexOf("appended")];
        assert.equal((await take(store, head, 1))[0]?.id, winner?.id);
      }
      assert.equal((await store.bounds()).head, 5);
    },
  },
  {
    name: "concurrent writers who insist each get revisions of their own",
    run: ({ store }) => contend([store], 12, 6),
  },
  {
    name: "concurrent writers over two handles each get revisions of their own",
    needs: "peer",
    run: async ({ store, peer }) => contend([store, await peer()], 8, 6),
  },
  {
    name: "a chain at consecutive heads may be sent without waiting",
    run: async ({ store }) => {
      const entries = many(50);
      const answers = await Promise.all(entries.map((each, at) => store.append(at, [each])));
      assert.deepEqual(
        answers.map((answer) => ({ ...answer })),
        entries.map((_, at) => ({ outcome: "appended", revision: at + 1 })),
      );
      assert.deepEqual(await logFrom(store, 0), numbered(1, entries));
    },
  },
  {
    name: "a chain breaks behind a refused link",
    run: async ({ store }) => {
      const entries = many(4);
      const answers = await Promise.all([0, 1, 3, 4].map((head, at) => store.append(head, [entries[at]!])));
      assert.deepEqual(outcomes(answers), ["appended", "appended", "moved", "moved"]);
      assert.deepEqual(await logFrom(store, 0), numbered(1, entries.slice(0, 2)));
    },
  },
  {
    name: "an entry whose id is in the log is recognised, and what came with it is not written",
    run: async ({ store }) => {
      const known = entry();
      await appendAt(store, 0, known);
      assert.deepEqual({ ...(await store.append(0, [known])) }, { outcome: "moved", head: 1 });
      assert.deepEqual({ ...(await store.append(1, [known])) }, { outcome: "moved", head: 1 });
      assert.deepEqual({ ...(await store.append(1, [entry(), known, entry()])) }, { outcome: "moved", head: 1 });
      assert.deepEqual(await logFrom(store, 0), numbered(1, [known]));
      assert.equal(objectsOf(await store.snapshot()).size, 2);
    },
  },
  {
    name: "an entry is found by its id as long as the log keeps it",
    run: async ({ store }) => {
      const [first, second, third] = [
        entry(),
        { ...entry(), request: { key: "k", digest: "d", ids: [] } },
        entry(),
      ] as const;
      assert.equal(await store.find(first.id), undefined);
      await appendAt(store, 0, first, second, third);
      assert.deepEqual([await store.find(first.id), await store.find(second.id)], numbered(1, [first, second]));
      assert.equal(await store.find(entry().id), undefined);
      await store.compact(2);
      assert.deepEqual(
        [await store.find(first.id), await store.find(second.id), await store.find(third.id)],
        [undefined, undefined, ...numbered(3, [third])],
      );
    },
  },
  {
    name: "one id twice in an append is refused, and nothing of it is written",
    run: async ({ store }) => {
      const twice = entry();
      await assert.rejects(
        store.append(0, [entry(), twice, twice]),
        (error) => error instanceof StoreFailure && error.outcome === "failed",
      );
      assert.deepEqual({ ...(await store.bounds()) }, { oldest: 1, head: 0 });
    },
  },
  {
    name: "an append of no entries tells whether the head is there",
    run: async ({ store }) => {
      await appendAt(store, 0, ...many(2));
      assert.deepEqual({ ...(await store.append(2, [])) }, { outcome: "appended", revision: 2 });
      assert.deepEqual({ ...(await store.append(1, [])) }, { outcome: "moved", head: 2 });
      assert.equal((await store.bounds()).head, 2);
    },
  },
  {
    name: "an entry without changes is an entry",
    run: async ({ store }) => {
      const empty = { ...entry(), changes: [] };
      await appendAt(store, 0, empty);
      assert.deepEqual(await logFrom(store, 0), numbered(1, [empty]));
    },
  },
  {
    name: "an entry of 1,000 changes takes hold as one revision",
    run: async ({ store }) => {
      const bulk = entry(
        ...Array.from({ length: 1_000 }, (_, at) => put("port", `p${at}`, { at, text: "x".repeat(200) })),
      );
      await appendAt(store, 0, bulk);
      assert.deepEqual(await logFrom(store, 0), numbered(1, [bulk]));
      const objects = (await store.snapshot()).objects.filter(({ kind }) => kind === "port");
      assert.equal(objects.length, 1_000);
      assert.ok(objects.every(({ revision }) => revision === 1));
    },
  },
  {
    name: "a text of a million characters comes back",
    run: async ({ store }) => {
      const large = entry(put("network", "n1", { description: "ä".repeat(1_000_000) }));
      await appendAt(store, 0, large);
      assert.deepEqual(await logFrom(store, 0), numbered(1, [large]));
    },
  },
  {
    name: "text of every script comes back, in fields, ids and kinds",
    run: async ({ store }) => {
      const texts = [
        "žluťoučký",
        "网络",
        "🧵🪡",
        "e\u0301",
        "\u2028\u2029",
        "\u0000\u0007",
        "\ud800",
        "'; DROP TABLE log; --",
        '"\\',
        "",
      ];
      const strange = entry(
        ...texts.map((name, at) => put("network", `n${at}`, { name, [`key-${at}`]: [name] })),
        put("réseau", "идент-🧵", {}),
      );
      await appendAt(store, 0, strange);
      assert.deepEqual(await logFrom(store, 0), numbered(1, [strange]));
      const named = objectsOf(await store.snapshot());
      texts.forEach((name, at) => {
        const found = named.get(JSON.stringify(["network", `n${at}`]));
        assert.deepEqual(found?.object, { id: `n${at}`, name, [`key-${at}`]: [name] });
      });
      assert.ok(named.has(JSON.stringify(["réseau", "идент-🧵"])));
    },
  },
  {
    name: "0, false, null and what is empty are values",
    run: async ({ store }) => {
      const fields = {
        priority: 0,
        vlan: 0,
        enabled: false,
        gateway_ip: null,
        name: "",
        tags: [],
        options: {},
        deep: [0, null, [[]]],
        float: 0.1,
      };
      const zeros = entry(put("rule", "r0", fields));
      await appendAt(store, 0, zeros);
      assert.deepEqual(await logFrom(store, 0), numbered(1, [zeros]));
      const found = (await store.snapshot()).objects.find(({ id }) => id === "r0");
      assert.deepEqual(found?.object, { id: "r0", ...fields });
    },
  },
  {
    name: "null removes an object, now and in the log; of changes to one object in one entry the last holds",
    run: async ({ store }) => {
      const entries = [
        entry(put("port", "a", { v: 1 }), put("port", "b", { v: 1 }), put("network", "a", { v: 1 })),
        entry(remove("port", "a"), remove("port", "never")),
        entry(put("port", "c", { v: 1 }), remove("port", "c"), put("port", "b", { v: 2 }), put("port", "b", { v: 3 })),
        entry(put("port", "a", { v: 4 })),
      ];
      const at: (readonly string[])[] = [];
      for (const [head, each] of entries.entries()) {
        await appendAt(store, head, each);
        at.push(
          (await store.snapshot()).objects
            .map(({ kind, id, revision, object }) => `${kind} ${id} ${revision} ${JSON.stringify(object)}`)
            .sort(),
        );
      }
      const network = 'network a 1 {"id":"a","v":1}';
      assert.deepEqual(at, [
        [network, 'port a 1 {"id":"a","v":1}', 'port b 1 {"id":"b","v":1}'],
        [network, 'port b 1 {"id":"b","v":1}'],
        [network, 'port b 3 {"id":"b","v":3}'],
        [network, 'port a 4 {"id":"a","v":4}', 'port b 3 {"id":"b","v":3}'],
      ]);
      assert.deepEqual(await logFrom(store, 0), numbered(1, entries));
    },
  },
  {
    name: "what the caller does to its entry afterwards does not reach the store",
    run: async ({ store }) => {
      const tags = ["kept"];
      const mine = entry(put("network", "n1", { tags }));
      const appending = store.append(0, [mine]);
      tags.push("added while it was under way");
      await appending;
      const [read] = await take(store, 0, 1);
      assert.deepEqual(read?.changes[0]?.object, { id: "n1", tags: ["kept"] });
      // A reader may be careless too: what it does to its copy stays with it.
      Reflect.set(read?.changes[0]?.object ?? {}, "tags", "spoilt");
      assert.deepEqual((await store.snapshot()).objects[0]?.object, { id: "n1", tags: ["kept"] });
      assert.deepEqual((await take(store, 0, 1))[0]?.changes[0]?.object, { id: "n1", tags: ["kept"] });
    },
  },
  {
    name: "batches of random sizes at random heads leave exactly the acknowledged ones",
    run: async ({ store }) => {
      const random = randomNumbers(20_260_102);
      const kept: Entry[] = [];
      for (let round = 0; round < 60; round += 1) {
        const batch = many(random(4));
        const head = Math.max(0, kept.length + random(3) - 1);
        const answer = await store.append(head, batch);
        if (head === kept.length) {
          kept.push(...batch);
          assert.deepEqual({ ...answer }, { outcome: "appended", revision: kept.length });
        } else {
          assert.deepEqual({ ...answer }, { outcome: "moved", head: kept.length });
        }
      }
      assert.deepEqual(await logFrom(store, 0), numbered(1, kept));
    },
  },
];
