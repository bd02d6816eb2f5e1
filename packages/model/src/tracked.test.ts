import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Replica } from "./replica.ts";
import { Host } from "./resources/host.ts";
import { Network } from "./resources/network.ts";
import { Port } from "./resources/port.ts";
import { makeNetwork, makePort, put, randomHistory, remove, testId } from "./testing/mod.ts";
import { track } from "./tracked.ts";
import type { View } from "./view.ts";

const network = makeNetwork();
const port = makePort({ "binding:host_id": "h1" });

function world(): Replica {
  const replica = new Replica();
  replica.apply([put(Network, network), put(Port, port)], 1);
  return replica;
}

const other = makePort({ id: testId("port", 2), network_id: testId("network", 2), key: 2 });
const arriving = makePort({ id: testId("port", 2), key: 2 });

const cases: readonly [string, (view: View) => unknown, Port | null, string, boolean][] = [
  ["an object read and changed", (view) => view.get(Port, port.id), { ...port, name: "x" }, port.id, true],
  ["an object read and another changed", (view) => view.get(Port, port.id), other, other.id, false],
  ["an absence read, then filled", (view) => view.get(Port, other.id), other, other.id, true],
  ["a presence read, the object changed", (view) => view.has(Port, port.id), { ...port, name: "x" }, port.id, false],
  ["a presence read, the object removed", (view) => view.has(Port, port.id), null, port.id, true],
  ["a bucket read, an arrival", (view) => view.by(Port.index.network_id, network.id), arriving, arriving.id, true],
  ["a bucket read, a departure", (view) => view.by(Port.index.network_id, network.id), null, port.id, true],
  [
    "a bucket read, a member changed",
    (view) => view.by(Port.index.network_id, network.id),
    { ...port, name: "x" },
    port.id,
    true,
  ],
  ["a bucket read, an arrival elsewhere", (view) => view.by(Port.index.network_id, network.id), other, other.id, false],
  [
    "an empty bucket read, then filled",
    (view) => view.by(Port.index.network_id, other.network_id),
    other,
    other.id,
    true,
  ],
  [
    "an existence read, one more",
    (view) => view.exists(Port.index.network_id, network.id),
    arriving,
    arriving.id,
    false,
  ],
  ["an existence read, the last gone", (view) => view.exists(Port.index.network_id, network.id), null, port.id, true],
  [
    "an absence of any read, the first come",
    (view) => view.exists(Port.index.host, "h2"),
    { ...other, "binding:host_id": "h2" },
    other.id,
    true,
  ],
  ["a count read, one more", (view) => view.count(Port.index.network_id, network.id), arriving, arriving.id, true],
];

for (const [name, read, object, id, expected] of cases) {
  test(`${name}: ${expected ? "touched" : "untouched"}`, () => {
    const replica = world();
    const { view, reads } = track(replica);
    read(view);
    assert.equal(reads.size, 1);
    assert.equal(reads.touchedBy([object === null ? remove(Port, id) : put(Port, object)], replica), expected);
  });
}

test("whoever is told that nothing was touched reads the same after the changes", () => {
  fc.assert(
    fc.property(randomHistory({ references: "dangling" }), fc.nat(0xffff), (steps, seed) => {
      const replica = new Replica();
      for (const [revision, step] of steps.entries()) {
        const sample = steps[(seed + revision * 7) % steps.length];
        assert.ok(sample);
        const read = (view: View) =>
          sample.changes.map(({ kind, id, object }) => {
            const about = object as Port | null;
            return kind === "port"
              ? [
                  view.get(Port, id),
                  about && view.by(Port.index.host, about["binding:host_id"]),
                  about && view.exists(Port.index.network_id, about.network_id),
                ]
              : [
                  view.has(Host, id),
                  view.count(Port.index.network_id, id),
                  view.exists(Port.index.network_id, id),
                  view.get(Network, id),
                ];
          });
        const { view, reads } = track(replica);
        const before = JSON.stringify(read(view));
        const touched = reads.touchedBy(step.changes, replica);
        replica.apply(step.changes, revision + 1);
        if (!touched) assert.equal(JSON.stringify(read(replica)), before);
      }
    }),
    { numRuns: 80 },
  );
});
