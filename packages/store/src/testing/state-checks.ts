/** Checks of the hosts' state: facts under one lease a host, apart from each other and from the log. */
import assert from "node:assert/strict";
import type { StateSpace } from "../store.ts";
import { appendAt, entry, logFrom } from "./entries.ts";
import type { Check } from "./harness.ts";

async function facts(state: StateSpace, host?: string): Promise<readonly string[]> {
  const records = await state.list(host);
  return records.map((record) => `${record.host} ${record.key} ${JSON.stringify(record.value)}`).sort();
}

export const stateChecks: readonly Check[] = [
  {
    name: "a fact is listed as it was put, until its lease ends",
    run: async ({ store: { state }, clock }) => {
      const value = { up: true, tunnels: [{ peer: "h2", ok: false }], name: "🧵", none: null, zero: 0 };
      await state.put("h1", "health", value, 1_000);
      const records = await state.list();
      assert.deepEqual(
        records.map((record) => ({ ...record })),
        [{ host: "h1", key: "health", value, expires: clock.now() + 1_000 }],
      );
    },
  },
  {
    name: "a lease holds until its last millisecond and ends with it",
    run: async ({ store: { state }, clock }) => {
      await state.put("h1", "a", 1, 1_000);
      clock.advance(999);
      assert.deepEqual(await facts(state), ["h1 a 1"]);
      clock.advance(1);
      assert.deepEqual(await facts(state), []);
      assert.deepEqual(await facts(state, "h1"), []);
    },
  },
  {
    name: "putting replaces the value and renews all of the host's facts",
    run: async ({ store: { state }, clock }) => {
      await state.put("h1", "a", 1, 1_000);
      await state.put("h1", "b", 1, 1_000);
      clock.advance(900);
      await state.put("h1", "b", 2, 1_000);
      clock.advance(900);
      assert.deepEqual(await facts(state), ["h1 a 1", "h1 b 2"]);
      assert.deepEqual([...new Set((await state.list()).map(({ expires }) => expires))], [clock.now() + 100]);
      clock.advance(100);
      assert.deepEqual(await facts(state), []);
    },
  },
  {
    name: "renewing keeps all of a host's facts and no other host's",
    run: async ({ store: { state }, clock }) => {
      for (const host of ["h1", "h2"]) for (const key of ["a", "b"]) await state.put(host, key, 0, 1_000);
      clock.advance(900);
      await state.renew("h1", 1_000);
      clock.advance(900);
      assert.deepEqual(await facts(state), ["h1 a 0", "h1 b 0"]);
    },
  },
  {
    name: "what has ended is not brought back, by renewing or by putting",
    run: async ({ store: { state }, clock }) => {
      await state.put("h1", "old", 1, 1_000);
      clock.advance(1_000);
      await state.renew("h1", 5_000);
      assert.deepEqual(await facts(state), []);
      await state.put("h1", "new", 2, 5_000);
      assert.deepEqual(await facts(state), ["h1 new 2"]);
    },
  },
  {
    name: "renewing a host that has reported nothing makes no fact; a lease of 0 ends at once",
    run: async ({ store: { state } }) => {
      await state.renew("h0", 1_000);
      assert.deepEqual(await facts(state), []);
      await state.put("h1", "a", 1, 1_000);
      await state.renew("h1", 0);
      assert.deepEqual(await facts(state), []);
      await state.put("h1", "b", 1, 0);
      assert.deepEqual(await facts(state), []);
    },
  },
  {
    name: "removing takes one fact and leaves the rest; removing what is not there is no error",
    run: async ({ store: { state } }) => {
      await state.put("h1", "a", 1, 1_000);
      await state.put("h1", "b", 2, 1_000);
      await state.put("h2", "a", 3, 1_000);
      await state.remove("h1", "a");
      await state.remove("h1", "never");
      await state.remove("h9", "a");
      assert.deepEqual(await facts(state), ["h1 b 2", "h2 a 3"]);
    },
  },
  {
    name: "hosts are apart, whatever their names and keys are made of",
    run: async ({ store: { state } }) => {
      const pairs = [
        ["a", "b/c"],
        ["a/b", "c"],
        ["a:b", "c"],
        ["a", "b:c"],
        ["", ""],
        ["a%", "_"],
        ["A", "b/c"],
        ["ä", "🧵"],
      ] as const;
      for (const [at, [host, key]] of pairs.entries()) await state.put(host, key, at, 1_000);
      assert.deepEqual(await facts(state), pairs.map(([host, key], at) => `${host} ${key} ${at}`).sort());
      for (const [host] of pairs) {
        const expected = pairs.flatMap(([name, key], at) => (name === host ? [`${name} ${key} ${at}`] : []));
        assert.deepEqual(await facts(state, host), expected.sort());
      }
    },
  },
  {
    name: "0, false, null and what is empty are values of facts",
    run: async ({ store: { state } }) => {
      const values = [0, false, null, "", [], {}];
      for (const [at, value] of values.entries()) await state.put("h1", `k${at}`, value, 1_000);
      const records = [...(await state.list("h1"))].sort((a, b) => (a.key < b.key ? -1 : 1));
      assert.deepEqual(
        records.map(({ value }) => value),
        values,
      );
    },
  },
  {
    name: "state is no part of the log, nor moved by its head",
    run: async ({ store }) => {
      await store.state.put("h1", "a", 1, 1_000);
      assert.deepEqual({ ...(await store.bounds()) }, { oldest: 1, head: 0 });
      await appendAt(store, 0, entry());
      await store.state.put("h1", "b", 2, 1_000);
      await store.compact(1);
      assert.equal((await logFrom(store, 1)).length, 0);
      assert.deepEqual(await facts(store.state), ["h1 a 1", "h1 b 2"]);
      assert.ok((await store.snapshot()).objects.every(({ kind }) => kind === "network"));
    },
  },
  {
    name: "what a host puts through one handle is seen through another",
    needs: "peer",
    run: async ({ store, peer, clock }) => {
      const other = await peer();
      await store.state.put("h1", "a", 1, 1_000);
      assert.deepEqual(await facts(other.state), ["h1 a 1"]);
      clock.advance(999);
      await other.state.renew("h1", 1_000);
      clock.advance(999);
      assert.deepEqual(await facts(store.state), ["h1 a 1"]);
      await other.state.remove("h1", "a");
      assert.deepEqual(await facts(store.state), []);
    },
  },
];
