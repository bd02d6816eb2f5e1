import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Replica } from "./replica.ts";
import type { Index, StoredObject } from "./resource.ts";
import { resources } from "./resources/all.ts";
import { Network } from "./resources/network.ts";
import { Port } from "./resources/port.ts";
import { makeNetwork, makePort, put, randomHistory, remove, testId } from "./testing/mod.ts";

/** Every key that any object of the history ever had, by index. */
function everyKey(
  objects: readonly { readonly kind: string; readonly object: StoredObject | null }[],
): [Index, string][] {
  const found = new Map<string, [Index, string]>();
  for (const { kind, object } of objects) {
    const resource = resources.find((each) => each.kind === kind);
    for (const index of Object.values<Index>(resource?.index ?? {})) {
      for (const key of object === null ? [] : index.keys(object)) found.set(`${index.id} ${key}`, [index, key]);
    }
  }
  return [...found.values()];
}

test("after every step each bucket is what a scan of all objects finds, in id order", () => {
  fc.assert(
    fc.property(randomHistory({ references: "dangling", identities: "clashing" }), (steps) => {
      const replica = new Replica();
      const plain = new Map<string, { kind: string; object: StoredObject }>();
      const keys = everyKey(steps.flatMap((step) => step.changes));
      for (const [revision, step] of steps.entries()) {
        replica.apply(step.changes, revision + 1);
        for (const { kind, id, object } of step.changes) {
          if (object === null) plain.delete(`${kind} ${id}`);
          else plain.set(`${kind} ${id}`, { kind, object });
        }
      }
      for (const [index, key] of keys) {
        const expected = [...plain.values()]
          .filter(({ kind, object }) => kind === index.resource && index.keys(object).includes(key))
          .map(({ object }) => object)
          .sort((a, b) => (a.id < b.id ? -1 : 1));
        assert.deepEqual(replica.by(index, key), expected);
        assert.equal(replica.count(index, key), expected.length);
        assert.equal(replica.exists(index, key), expected.length > 0);
      }
      assert.equal([...replica.snapshot()].length, plain.size);
    }),
    { numRuns: 60 },
  );
});

test("revisions move forward only, and each object knows the one that wrote it last", () => {
  const replica = new Replica();
  const port = makePort();
  replica.apply([put(Port, port)], 4);
  replica.apply([put(Network, makeNetwork())], 5);
  assert.equal(replica.revision, 5);
  assert.equal(replica.revisionOf("port", port.id), 4);
  replica.apply([put(Port, { ...port, name: "other" })], 5);
  assert.equal(replica.revisionOf("port", port.id), 5);
  replica.apply([remove(Port, port.id)], 6);
  assert.equal(replica.revisionOf("port", port.id), undefined);
  assert.equal(replica.has(Port, port.id), false);
  assert.equal(replica.get(Port, port.id), undefined);
  assert.throws(() => replica.apply([], 5), RangeError);
  assert.throws(() => replica.apply([], Number.NaN), RangeError);
});

test("a loaded snapshot replaces all that was there", () => {
  const former = new Replica();
  former.apply([put(Port, makePort()), put(Network, makeNetwork())], 3);
  const kept = makePort({ id: testId("port", 2), key: 0 });
  former.load([{ kind: "port", id: kept.id, revision: 7, object: kept }], 9);
  assert.deepEqual([...former.snapshot()], [{ kind: "port", id: kept.id, revision: 7, object: kept }]);
  assert.equal(former.revision, 9);
  assert.equal(former.count(Port.index.key, "0"), 1, "0 is a key");
  assert.equal(former.count(Port.index.key, "1"), 0);
  former.load([], 10);
  assert.equal(former.entries, 0);
});

test("an object whose keys cannot be made is refused whole", () => {
  const replica = new Replica();
  replica.apply([put(Port, makePort())], 1);
  const bad = { id: testId("port", 1), fixed_ips: null };
  assert.throws(() => replica.apply([{ kind: "port", id: bad.id, object: bad }], 2), TypeError);
  assert.deepEqual(replica.get(Port, bad.id), makePort());
  assert.equal(replica.by(Port.index.network_id, testId("network", 1)).length, 1);
});

test("a replica of some kinds and indexes passes over other kinds and refuses other reads", () => {
  const replica = new Replica({ resources: [Port], indexes: [Port.index.host] });
  replica.apply([put(Network, makeNetwork()), put(Port, makePort({ "binding:host_id": "h1" }))], 1);
  assert.equal(replica.count(Port.index.host, "h1"), 1);
  assert.equal(replica.entries, 1);
  assert.throws(() => replica.has(Network, makeNetwork().id), /does not hold/);
  assert.throws(() => replica.by(Port.index.network_id, "n"), /does not keep/);
});

test("a projected port, which lacks most fields, stands in the indexes of those it has", () => {
  const replica = new Replica();
  const { id, network_id, mac_address, fixed_ips, allowed_address_pairs, key } = makePort();
  const object = { id, network_id, mac_address, fixed_ips, allowed_address_pairs, key, "binding:host_id": "h1" };
  replica.apply([{ kind: "port", id, object }], 1);
  assert.equal(replica.by(Port.index.networkHost, `${network_id}|h1`)[0]?.id, id);
  assert.equal(replica.count(Port.index.device, "undefined"), 0);
  assert.equal(replica.count(Port.index.project_id, "undefined"), 0);
});
