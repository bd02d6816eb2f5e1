import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { derive, deriveKey, type EngineRow, type QueryingView, query } from "./derivation.ts";
import { Engine } from "./engine.ts";
import { keyOf } from "./resource.ts";
import { Host } from "./resources/host.ts";
import { Network } from "./resources/network.ts";
import { Port } from "./resources/port.ts";
import {
  assertIncremental,
  makeHost,
  makeNetwork,
  makePort,
  put,
  randomHistory,
  remove,
  shuffled,
  testId,
  testMac,
} from "./testing/mod.ts";
import { toyRow, unicast } from "./testing/toy-apps.ts";
import type { Change } from "./view.ts";

const network = makeNetwork();

function portOf(number: number, host = "h1"): Port {
  return makePort({ id: testId("port", number), mac_address: testMac(number), key: number, "binding:host_id": host });
}

/** What a remote port needs of a host's rows, as the compiler's apps will ask for it. */
const key = query("key", (view, id) => view.get(Network, id)?.["provider:segmentation_id"]);
const tunnel = query("tunnel", (view, name) => view.by(Host.index.name, name)[0]?.tunnel_ip ?? undefined);
const here = query("here", (view, id) => view.exists(Port.index.networkHost, keyOf(id, "h0")));
const apps = [
  derive("unicast", Port, (port, view) =>
    view.ask(here, port.network_id)
      ? [toyRow("unicast", keyOf(view.ask(key, port.network_id) ?? 0, port.mac_address), port.key)]
      : [],
  ),
  derive("location", Port, (port) => [toyRow("location", port.key, port["binding:host_id"])]),
  deriveKey("replicate", Port.index.networkHost, (pair, view) => {
    const [of = "", host = ""] = pair.split("|");
    return [toyRow("replicate", keyOf(view.ask(key, of) ?? 0, host), view.ask(tunnel, host))];
  }),
];

/** A network of ports, one a host, with a local one on h0. */
function fabric(ports: number): Engine<EngineRow> {
  const engine = new Engine<EngineRow>({ derivations: apps });
  const changes: Change[] = [put(Network, network), put(Port, portOf(0, "h0"))];
  for (let number = 1; number <= ports; number += 1) {
    const host = makeHost({
      id: testId("host", number),
      name: `h${number}`,
      key: number,
      tunnel_ip: `2001:db8::${number.toString(16)}`,
    });
    changes.push(put(Host, host), put(Port, portOf(number, host.name)));
  }
  engine.apply(changes, 1);
  return engine;
}

const costs: readonly [string, readonly Change[], { units: number; queries: number; rows: number }][] = [
  ["a remote port comes to a host that has one", [put(Port, portOf(900, "h7"))], { units: 2, queries: 0, rows: 2 }],
  ["a host joins the network", [put(Port, portOf(900, "h-new"))], { units: 3, queries: 1, rows: 3 }],
  [
    "a port moves to a host that has one, alone on its own",
    [put(Port, portOf(7, "h8"))],
    { units: 2, queries: 0, rows: 2 },
  ],
  ["a port is renamed", [put(Port, { ...portOf(7, "h7"), name: "x" })], { units: 2, queries: 0, rows: 0 }],
  ["a port goes, and its host with it", [remove(Port, portOf(7).id)], { units: 0, queries: 0, rows: 3 }],
  ["the network's MTU changes", [put(Network, { ...network, mtu: 1300 })], { units: 0, queries: 1, rows: 0 }],
  [
    "a host's tunnel moves",
    [put(Host, makeHost({ id: testId("host", 7), name: "h7", key: 7, tunnel_ip: "192.0.2.77" }))],
    { units: 1, queries: 1, rows: 1 },
  ],
  [
    "a host that is in no network changes",
    [put(Host, makeHost({ id: testId("host", 9999), name: "lone" }))],
    { units: 0, queries: 0, rows: 0 },
  ],
  ["a second local port comes", [put(Port, portOf(901, "h0"))], { units: 2, queries: 0, rows: 2 }],
];

for (const size of [20, 400]) {
  for (const [name, changes, cost] of costs) {
    test(`cost among ${size} hosts: ${name}`, () => {
      const engine = fabric(size);
      const before = engine.counters;
      engine.apply(changes, 2);
      const after = engine.counters;
      assert.deepEqual(
        {
          units: after.unitsRun - before.unitsRun,
          queries: after.queriesRun - before.queriesRun,
          rows: after.rowsTouched - before.rowsTouched,
        },
        cost,
      );
      assert.equal(after.fullRecomputes, 0);
    });
  }
}

test("the last local port going closes the gate on every remote row, and its return opens it", () => {
  const engine = fabric(30);
  assert.equal(engine.apply([remove(Port, portOf(0).id)], 2).removed.length, 31 + 1 + 1);
  assert.equal(engine.apply([put(Port, portOf(0, "h0"))], 3).added.length, 31 + 1 + 1);
});

test("several changes of one object in a batch count as the last, and each unit runs once", () => {
  const engine = fabric(5);
  const { unitsRun } = engine.counters;
  const port = portOf(3, "h3");
  const delta = engine.apply(
    [
      remove(Port, port.id),
      put(Port, { ...port, key: 77 }),
      put(Port, { ...port, name: "x" }),
      put(Port, { ...port, name: "y" }),
    ],
    2,
  );
  assert.deepEqual([delta.added, delta.removed, delta.modified], [[], [], []]);
  assert.equal(engine.counters.unitsRun, unitsRun + 2);
});

test("two ports of one MAC: in every order the same one wins, the report names both, the loser follows the winner", () => {
  const one = makePort({ id: testId("port", 1), key: 10 });
  const two = makePort({ id: testId("port", 2), key: 9 });
  const three = makePort({ id: testId("port", 3), key: 9 });
  const id = toyRow("unicast", keyOf(1, one.mac_address), 0).id;
  for (const seed of [1, 2, 3, 4, 5, 6, 7]) {
    const engine = new Engine<EngineRow>({ derivations: [unicast] });
    engine.apply([put(Network, network)], 1);
    for (const change of shuffled([put(Port, one), put(Port, two), put(Port, three)], seed)) engine.apply([change], 1);
    const [conflict, ...others] = engine.conflicts();
    assert.deepEqual(others, []);
    assert.equal(conflict?.inForce.body, "10", "of the texts 10 and 9 the lesser");
    assert.deepEqual(
      conflict?.contributions.map(({ row, origin }) => `${row.body} by ${origin.derivation}(${origin.key})`),
      [`10 by unicast(${one.id})`, `9 by unicast(${two.id})`, `9 by unicast(${three.id})`],
    );
    assert.deepEqual(engine.origins(id), [{ derivation: "unicast", over: "port", key: one.id }]);
    const without = engine.apply([remove(Port, one.id)], 2);
    assert.deepEqual(
      without.modified.map(({ before, after }) => [before.body, after.body]),
      [["10", "9"]],
    );
    assert.deepEqual([without.conflicts, engine.conflicts()], [[], []]);
    assert.equal(engine.origins(id).length, 2, "one row of two contributors");
    assert.deepEqual(engine.apply([remove(Port, two.id)], 3).removed, [], "the other still wants it");
    assert.equal(engine.apply([remove(Port, three.id)], 4).removed.length, 1);
    assert.deepEqual(engine.origins(id), []);
  }
});

test("an app that throws for some objects loses those rows alone; other apps and objects are as without it", () => {
  const fails = (port: Port) => port.key % 3 === 0;
  const fragile = derive("fragile", Port, function* (port: Port) {
    yield toyRow("fragile", port.id, 0);
    if (fails(port)) throw new Error(`key ${port.key} is odd to me`);
  });
  fc.assert(
    fc.property(randomHistory({ references: "dangling" }), (steps) => {
      const engine = new Engine<EngineRow>({ derivations: [...apps, fragile] });
      assertIncremental(engine, () => new Engine<EngineRow>({ derivations: [...apps, fragile] }), steps, 1);
      const without = new Engine<EngineRow>({ derivations: apps });
      without.apply([...engine.view.snapshot()], 1);
      const ports = [...engine.view.objects(Port)];
      const expected = ports.filter((port) => !fails(port)).map((port) => `fragile ${port.id}`);
      const rows = [...engine.rows()].map((row) => row.id);
      assert.deepEqual(rows.sort(), [...[...without.rows()].map((row) => row.id), ...expected].sort());
      assert.deepEqual(
        [...engine.quarantined.keys()].sort(),
        ports
          .filter(fails)
          .map((port) => `fragile(${port.id})`)
          .sort(),
      );
    }),
    { numRuns: 25 },
  );
});

const malformed: readonly [string, unknown, RegExp][] = [
  ["no body", { id: "x" }, /no id or no body/],
  ["an empty id", { id: "", body: "x" }, /no id or no body/],
  ["nothing at all", undefined, /no id or no body/],
];
for (const [name, row, reason] of malformed) {
  test(`a row with ${name} quarantines its unit`, () => {
    // What a faulty app yields at run time, whatever its types say.
    const app = derive("faulty", Port, () => [row as EngineRow]);
    const engine = new Engine<EngineRow>({ derivations: [app] });
    engine.apply([put(Port, portOf(1))], 1);
    assert.match(engine.quarantined.get(`faulty(${portOf(1).id})`)?.error.message ?? "", reason);
    engine.apply([remove(Port, portOf(1).id)], 2);
    assert.equal(engine.quarantined.size, 0, "with the object its quarantine ends");
  });
}

test("an object whose index keys cannot be made is as absent, alone, until it is repaired", () => {
  const engine = fabric(3);
  const bad = { id: portOf(2).id, fixed_ips: 5 };
  const delta = engine.apply([{ kind: "port", id: bad.id, object: bad }, put(Port, portOf(50, "h1"))], 2);
  assert.equal(delta.added.length, 2);
  assert.equal(delta.removed.length, 3);
  const [name] = [...engine.quarantined.keys()];
  assert.equal(name, `indexing(port ${bad.id})`);
  assert.match(engine.quarantined.get(name ?? "")?.error.message ?? "", /cannot make the keys/);
  engine.apply([put(Port, portOf(2, "h2"))], 3);
  assert.equal(engine.quarantined.size, 0);
  assert.equal(engine.audit().added.length, 0);
});

test("a view read after its derivation has ended refuses", () => {
  const kept: QueryingView[] = [];
  const engine = new Engine<EngineRow>({
    derivations: [
      derive("leak", Port, (_port, view) => {
        kept.push(view);
        return [];
      }),
    ],
  });
  engine.apply([put(Port, portOf(1))], 1);
  assert.throws(() => kept[0]?.has(Port, "x"), /after its computation had ended/);
});

test("a derivation may not apply changes, and a batch may not go back in time", () => {
  let engine: Engine<EngineRow> | undefined;
  const meddle = derive("meddle", Port, () => {
    engine?.apply([], 5);
    return [];
  });
  engine = new Engine<EngineRow>({ derivations: [meddle] });
  engine.apply([put(Port, portOf(1))], 5);
  assert.match([...engine.quarantined.values()][0]?.error.message ?? "", /may not apply/);
  assert.throws(() => engine?.apply([], 4), RangeError);
  assert.equal(engine.apply([], 5).revision, 5);
});

test("names of derivations are unique, and a derivation is over what is kept", () => {
  const app = derive("app", Port, () => []);
  assert.throws(() => new Engine({ derivations: [app, app] }), /two derivations are named app/);
  assert.throws(() => new Engine({ resources: [Network], derivations: [app] }), /does not hold/);
});

test("recompute and audit are counted, and change nothing", () => {
  const engine = fabric(4);
  const rows = [...engine.rows()].length;
  assert.equal([...engine.recompute()].length, rows);
  engine.audit();
  assert.equal(engine.counters.fullRecomputes, 2);
  assert.equal([...engine.rows()].length, rows);
});
