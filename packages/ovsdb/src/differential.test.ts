/** Random transactions on a real ovsdb-server, followed in three ways and compared with what its own client dumps. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { connect } from "./client.ts";
import { OvsdbError } from "./errors.ts";
import { Bridge, Interface, OPEN_VSWITCH, OpenVSwitch, Port } from "./open-vswitch.ts";
import type { Operation } from "./operations.ts";
import { mutate, remove, update } from "./operations.ts";
import { Replica } from "./replica.ts";
import type { Row, Table, Uuid } from "./table.ts";
import { parseUuid } from "./table.ts";
import { ALL, addPort, openSession } from "./testing/session.ts";

test("random transactions: three replicas, one by each form of monitor, stay equal to what ovsdb-client dumps", async () => {
  await using held = await openSession();
  const { client, server } = held;
  await server.vsctl("add-br", "br0");
  const kinds = new Set<string>();
  const forms = ["monitor_cond_since", "monitor_cond", "monitor"] as const;
  const followers = await Promise.all(
    forms.map(async (_, skipped) => {
      const follower = await connect(server.endpoint);
      // The server does not refuse the newer methods, so this test does, in its place.
      const { connection } = follower;
      const request = connection.request.bind(connection);
      connection.request = (method, params, options) =>
        forms.slice(0, skipped).some((newer) => newer === method)
          ? Promise.reject(new OvsdbError({ error: "unknown method", details: null, method }))
          : request(method, params, options);
      const replica = new Replica(OPEN_VSWITCH, ALL);
      await follower.monitor(replica);
      replica.onChange((changes) => {
        for (const { kind } of changes) kinds.add(kind);
      });
      return { follower, replica, model: modelOf(replica) };
    }),
  );
  const key = fc.constantFrom("a", "b", "c", "}", '"', "é😀");
  const tags = fc.uniqueArray(fc.integer({ min: 0, max: 5 }));
  const ids = fc.dictionary(key, fc.constantFrom("", "1", "2"));
  const p = (n: number): readonly [readonly ["name", "==", string]] => [["name", "==", `p${n}`]];
  const which = fc.integer({ min: 0, max: 3 });
  const step: fc.Arbitrary<readonly Operation[]> = fc.oneof(
    which.map((n) => addPort("br0", `p${n}`)),
    fc.tuple(which, tags).map(([n, trunks]) => [update(Port, p(n), { trunks })]),
    fc.tuple(which, tags).map(([n, trunks]) => [mutate(Port, p(n), [["trunks", "insert", trunks]])]),
    fc.tuple(which, tags).map(([n, trunks]) => [mutate(Port, p(n), [["trunks", "delete", trunks]])]),
    fc.tuple(which, fc.option(fc.integer({ min: 0, max: 2 }))).map(([n, tag]) => [update(Port, p(n), { tag })]),
    fc.tuple(which, ids).map(([n, external_ids]) => [update(Interface, p(n), { external_ids })]),
    fc.tuple(which, ids).map(([n, given]) => [mutate(Interface, p(n), [["external_ids", "insert", given]])]),
    fc
      .tuple(which, fc.uniqueArray(key))
      .map(([n, keys]) => [mutate(Interface, p(n), [["external_ids", "delete", keys]])]),
    // Rows that nothing refers to any longer go by themselves (RFC 7047 §3.2 `isRoot`).
    fc.constant([update(Bridge, [["name", "==", "br0"]], { ports: [] })]),
    which.map((n) => [remove(Interface, p(n))]),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      // Most are refused at times (a second p1, a port without interface): the replicas must then not move either.
      await Promise.allSettled(steps.map((operations) => client.transact(OPEN_VSWITCH, operations)));
      const mark = `${Math.trunc(performance.now() * 1000)}`;
      await client.transact(OPEN_VSWITCH, [update(OpenVSwitch, [], { external_ids: { mark } })]);
      for (const { replica, model } of followers) {
        await replica.until((r) =>
          [...r.table(OpenVSwitch).values()][0]?.external_ids.get("mark") === mark ? true : null,
        );
        assert.deepEqual(model.rows, snapshot(replica), "changes alone rebuild the copy");
      }
      const [first, ...others] = followers.map(({ replica }) => snapshot(replica));
      for (const other of others) assert.deepEqual(other, first);
    }),
    { numRuns: 25 },
  );
  assert.deepEqual([...kinds].sort(), ["delete", "insert", "modify"], "the steps must have done something");
  for (const each of ALL) {
    const { headings, data } = await server.dump(OPEN_VSWITCH, each.name);
    const dumped = new Map(data.map((row) => [uuidOf(row[headings.indexOf("_uuid")]), row]));
    for (const { replica } of followers) {
      const rows = replica.table<Table>(each);
      assert.deepEqual([...rows.keys()].sort(), [...dumped.keys()].sort());
      for (const [uuid, row] of rows) {
        for (const name of Object.keys(each.columns)) {
          assert.deepEqual(
            plain(row[name]),
            normal(dumped.get(uuid)?.[headings.indexOf(name)]),
            `${each.name}.${name}`,
          );
        }
      }
    }
  }
  for (const { follower } of followers) follower.close();
});

/** Rows by table and uuid, rebuilt from changes alone. */
function modelOf(replica: Replica): { readonly rows: Map<string, Row<Table>> } {
  const rows = snapshot(replica);
  replica.onChange((changes) => {
    for (const change of changes) {
      const at = `${change.table} ${change.uuid}`;
      if (change.kind === "insert") assert.ok(!rows.has(at));
      else assert.deepEqual(rows.get(at), change.old);
      if (change.kind === "delete") rows.delete(at);
      else rows.set(at, change.row);
    }
  });
  return { rows };
}

function snapshot(replica: Replica): Map<string, Row<Table>> {
  return new Map(
    ALL.flatMap((each) => [...replica.table<Table>(each)].map(([uuid, row]) => [`${each.name} ${uuid}`, row] as const)),
  );
}

/** A column's value in one form, however it was written. */
function plain(value: unknown): unknown {
  if (value === null) return [];
  if (value instanceof Set) return [...value].map(String).sort();
  if (value instanceof Map) return [...value].map(([k, v]) => `${k}=${v}`).sort();
  return [String(value)];
}

/** The same form from the JSON that ovsdb-client prints. */
function normal(json: unknown): unknown {
  if (!Array.isArray(json)) return [String(json)];
  if (json[0] === "uuid") return [String(json[1])];
  if (json[0] === "map") return json[1].map(([k, v]: readonly unknown[]) => `${normal(k)}=${normal(v)}`).sort();
  return json[1].map((item: unknown) => String(normal(item))).sort();
}

function uuidOf(json: unknown): Uuid {
  assert.ok(Array.isArray(json) && typeof json[1] === "string");
  return parseUuid(json[1]);
}
