import assert from "node:assert/strict";
import { test } from "node:test";
import { fail } from "@selvage/base";
import { keyOf, Network, Port, Project, Segment, Subnet } from "@selvage/model";
import { makeNetwork, makePort, makeProject, makeSegment, makeSubnet, testId, testMac } from "@selvage/model/testing";
import { type Author, type LoggedEntry, type MemoryStore, openMemory, type Store } from "@selvage/store";
import { pickAddress } from "./allocate.ts";
import type { Transaction } from "./transaction.ts";
import { Writer } from "./writer.ts";

const author: Author = { kind: "user", id: "tester", request_id: "req-1" };
const project = makeProject();

async function withWriter(run: (writer: Writer, store: MemoryStore) => Promise<void>): Promise<void> {
  const store = openMemory();
  const writer = await Writer.open(store);
  try {
    await writer.transact(author, (t) => t.put(Project, project));
    await run(writer, store);
  } finally {
    await writer.close();
    await store.close();
  }
}

const network = (n: number) =>
  makeNetwork({ id: testId("network", n), "provider:segmentation_id": n, name: `n${n}`, revision_number: 1 });
const addNetwork = (n: number) => (t: Transaction) => t.put(Network, network(n));

/** All entries of the store's log. */
async function logOf(store: Store): Promise<readonly LoggedEntry[]> {
  const { head } = await store.bounds();
  const entries: LoggedEntry[] = [];
  if (head === 0) return entries;
  for await (const entry of store.tail(0, new AbortController().signal)) {
    entries.push(entry);
    if (entry.revision === head) break;
  }
  return entries;
}

test("requests of one turn become one append, each an entry of its own, and a failing one fails alone", () =>
  withWriter(async (writer, store) => {
    const before = writer.figures.appends;
    const refused = fail("NetworkNotFound", { id: "x" });
    const results = await Promise.allSettled([
      writer.transact(author, addNetwork(1)),
      writer.transact(author, () => {
        throw refused;
      }),
      writer.transact(author, addNetwork(2)),
    ]);
    assert.deepEqual(
      results.map((result) => result.status),
      ["fulfilled", "rejected", "fulfilled"],
    );
    assert.equal(results[1]?.status === "rejected" && results[1].reason, refused);
    assert.equal(writer.figures.appends - before, 1);
    const entries = (await logOf(store)).slice(1);
    assert.deepEqual(
      entries.map((entry) => [entry.revision, entry.changes.length]),
      [
        [2, 1],
        [3, 1],
      ],
    );
    assert.deepEqual(
      results.flatMap((result) => (result.status === "fulfilled" ? [result.value.revision] : [])),
      [2, 3],
    );
  }));

test("a later request of a batch sees an earlier one, and readers see neither before the append", () =>
  withWriter(async (writer, store) => {
    let release: () => void = () => undefined;
    store.faults.plan({
      kind: "delay",
      until: new Promise<void>((done) => {
        release = done;
      }),
    });
    const first = writer.transact(author, addNetwork(1));
    const second = writer.transact(author, (t) => t.view.get(Network, network(1).id)?.name);
    await new Promise((next) => setImmediate(next));
    await new Promise((next) => setImmediate(next));
    assert.equal(writer.replica.has(Network, network(1).id), false);
    release();
    assert.equal((await second).result, "n1");
    await first;
    assert.equal(writer.replica.has(Network, network(1).id), true);
  }));

test("unique keys, references and deletions are held from the declarations", () =>
  withWriter(async (writer) => {
    await writer.transact(author, addNetwork(1));
    const subnet = makeSubnet({ network_id: network(1).id });
    await writer.transact(author, (t) => t.put(Subnet, subnet));
    const port = (n: number, ip: string) =>
      makePort({
        id: testId("port", n),
        key: n,
        network_id: network(1).id,
        mac_address: testMac(n),
        fixed_ips: [{ subnet_id: subnet.id, ip_address: ip }],
      });
    await writer.transact(author, (t) => t.put(Port, port(1, "10.0.0.5")));
    const refusal = async (rules: (t: Transaction) => unknown, expected: object) => {
      const { head } = { head: writer.replica.revision };
      await assert.rejects(writer.transact(author, rules), expected);
      assert.equal(writer.replica.revision, head, "nothing may be written");
    };
    await refusal((t) => t.put(Port, port(2, "10.0.0.5")), { type: "IpAddressAlreadyAllocated", status: 409 });
    await refusal((t) => t.put(Port, { ...port(2, "10.0.0.6"), mac_address: testMac(1) }), { type: "MacAddressInUse" });
    const place = { network_id: network(1).id, network_type: "geneve", physical_network: null, segmentation_id: 1 };
    await writer.transact(author, (t) => t.put(Segment, makeSegment(place)));
    await refusal((t) => t.put(Segment, makeSegment({ ...place, id: testId("segment", 2) })), {
      type: "TunnelIdInUse",
    });
    await refusal((t) => t.put(Port, { ...port(2, "10.0.0.6"), network_id: testId("absent") }), {
      type: "NetworkNotFound",
    });
    await refusal((t) => t.remove(Network, network(1).id), { type: "NetworkInUse" });
    await writer.transact(author, (t) => t.remove(Port, port(1, "").id));
    await writer.transact(author, (t) => t.remove(Network, network(1).id));
    assert.equal(writer.replica.has(Subnet, subnet.id), false, "the network's subnets go with it");
  }));

test("the revision number of a changed object grows by one a transaction, however often it is put", () =>
  withWriter(async (writer) => {
    await writer.transact(author, addNetwork(1));
    const { result } = await writer.transact(author, (t) => {
      t.put(Network, { ...network(1), name: "a" });
      return t.put(Network, { ...network(1), name: "b" });
    });
    assert.equal(result.revision_number, 2);
    assert.equal(writer.replica.get(Network, network(1).id)?.revision_number, 2);
  }));

test("the store gone: writes are refused with a time to come back, reads go on, and it heals", () =>
  withWriter(async (writer, store) => {
    await writer.transact(author, addNetwork(1));
    store.faults.takeDown();
    await assert.rejects(writer.transact(author, addNetwork(2)), {
      type: "StoreUnavailable",
      status: 503,
      retryAfter: 1,
    });
    assert.equal(writer.replica.get(Network, network(1).id)?.name, "n1");
    await assert.rejects(
      writer.transact(author, () => {
        throw fail("NetworkNotFound", { id: "x" });
      }),
      { type: "NetworkNotFound" },
    );
    store.faults.restore();
    await writer.transact(author, addNetwork(2));
    assert.equal(writer.replica.has(Network, network(2).id), true);
  }));

test("a lost reply is recognised: the write is answered as done, and done once", () =>
  withWriter(async (writer, store) => {
    store.faults.plan({ kind: "fail-after" });
    const { revision } = await writer.transact(author, addNetwork(1));
    assert.equal(revision, 2);
    assert.equal((await logOf(store)).length, 2);
    await writer.transact(author, addNetwork(2));
    assert.equal(writer.replica.revision, 3);
  }));

test("a write that did not reach the store before its reply was lost is not said to be done", () =>
  withWriter(async (writer, store) => {
    store.faults.plan({ kind: "fail-before" });
    await assert.rejects(writer.transact(author, addNetwork(1)), { type: "StoreUnavailable" });
    assert.equal((await logOf(store)).length, 1);
    assert.equal(writer.replica.has(Network, network(1).id), false);
  }));

test("two writers on one store: each sees all entries in order, each once, and only touched rules run again", async () => {
  const store = openMemory();
  const [left, right] = [await Writer.open(store), await Writer.open(store)];
  const seen: number[][] = [[], []];
  left.onCommitted((entry) => seen[0]?.push(entry.revision));
  right.onCommitted((entry) => seen[1]?.push(entry.revision));
  await left.transact(author, (t) => t.put(Project, project));
  await right.reached(1);
  let runs = 0;
  await Promise.all([
    ...[1, 2, 3, 4].map((n) => left.transact(author, addNetwork(n))),
    ...[5, 6, 7, 8].map((n) =>
      right.transact(author, (t) => {
        runs += 1;
        return addNetwork(n)(t);
      }),
    ),
  ]);
  const { head } = await store.bounds();
  await Promise.all([left.reached(head), right.reached(head)]);
  const all = Array.from({ length: 9 }, (_, index) => index + 1);
  assert.deepEqual(seen, [all, all]);
  assert.deepEqual(
    [...left.replica.snapshot()].map(({ id }) => id).sort(),
    [...right.replica.snapshot()].map(({ id }) => id).sort(),
  );
  assert.equal(runs, 4, "what nobody touched does not run again");
  await left.close();
  await right.close();
  await store.close();
});

test("two writers claim the same key: one gets it, the other is told so", async () => {
  const store = openMemory();
  const writers = [await Writer.open(store), await Writer.open(store)];
  await writers[0]?.transact(author, (t) => t.put(Project, project));
  await Promise.all(writers.map((writer) => writer.reached(1)));
  const results = await Promise.allSettled(
    writers.map((writer, n) =>
      writer.transact(author, (t) => {
        const { id } = t.put(Network, network(n + 1));
        const place = { network_id: id, network_type: "geneve", physical_network: null, segmentation_id: 77 };
        t.put(Segment, makeSegment({ ...place, id: testId("segment", n) }));
      }),
    ),
  );
  assert.deepEqual(results.map((result) => result.status).sort(), ["fulfilled", "rejected"]);
  const refused = results.find((result) => result.status === "rejected");
  assert.equal(refused?.status === "rejected" && refused.reason.type, "TunnelIdInUse");
  for (const writer of writers) await writer.close();
  await store.close();
});

test("many writers on three servers take the last address of a subnet each once, and revisions have no gap", async () => {
  const store = openMemory();
  const writers = await Promise.all([1, 2, 3].map(() => Writer.open(store)));
  const [first] = writers;
  const subnet = makeSubnet({
    network_id: network(1).id,
    cidr: "10.0.0.0/26",
    allocation_pools: [{ start: "10.0.0.2", end: "10.0.0.33" }],
  });
  await first?.transact(author, (t) => {
    t.put(Project, project);
    addNetwork(1)(t);
    t.put(Subnet, subnet);
  });
  await Promise.all(writers.map((writer) => writer.reached(1)));
  const results = await Promise.allSettled(
    Array.from({ length: 36 }, (_, n) =>
      writers[n % 3]?.transact(author, (t) => {
        const ip_address = pickAddress(t, subnet);
        if (ip_address === undefined) throw fail("IpAddressGenerationFailure", { net_id: subnet.network_id });
        const id = testId("port", n);
        return t.put(
          Port,
          makePort({
            id,
            key: n + 1,
            network_id: subnet.network_id,
            mac_address: testMac(n),
            fixed_ips: [{ subnet_id: subnet.id, ip_address }],
          }),
        );
      }),
    ),
  );
  assert.equal(results.filter((result) => result.status === "fulfilled").length, 32);
  for (const result of results)
    if (result.status === "rejected") assert.equal(result.reason.type, "IpAddressGenerationFailure");
  const entries = await logOf(store);
  assert.deepEqual(
    entries.map((entry) => entry.revision),
    Array.from({ length: 33 }, (_, index) => index + 1),
  );
  const held = entries
    .flatMap((entry) => entry.changes)
    .flatMap(({ kind, object }) => (kind === "port" && object !== null ? Port.index.address.keys(object as Port) : []));
  assert.equal(new Set(held).size, 32);
  assert.ok(held.includes(keyOf(subnet.id, "10.0.0.2")), "the last address is given, too");
  for (const writer of writers) await writer.close();
  await store.close();
});

test("a refusal is about the present: what another server freed is there", async () => {
  const store = openMemory();
  const [left, right] = [await Writer.open(store), await Writer.open(store)];
  await left.transact(author, (t) => {
    t.put(Project, project);
    addNetwork(1)(t);
  });
  // Right has not heard of the network when it is asked: it must look before it says no.
  const { result } = await right.transact(author, (t) => {
    const found = t.view.get(Network, network(1).id);
    if (found === undefined) throw fail("NetworkNotFound", { id: network(1).id });
    return found.name;
  });
  assert.equal(result, "n1");
  await left.close();
  await right.close();
  await store.close();
});

test("a log that was compacted ahead of a server that was away is replaced by its snapshot", async () => {
  const store = openMemory();
  const [left, right] = [await Writer.open(store), await Writer.open(store)];
  await left.transact(author, (t) => {
    t.put(Project, project);
    addNetwork(1)(t);
  });
  await right.reached(1);
  const told: LoggedEntry[] = [];
  right.onCommitted((entry) => told.push(entry));
  await left.transact(author, (t) => t.remove(Network, network(1).id));
  await left.transact(author, addNetwork(2));
  await store.compact(3);
  store.faults.cutTails();
  assert.ok(await right.reached(3));
  assert.equal(right.replica.has(Network, network(1).id), false);
  assert.equal(right.replica.get(Network, network(2).id)?.name, "n2");
  assert.equal(told.at(-1)?.revision, 3);
  await left.close();
  await right.close();
  await store.close();
});

test("rules that return a promise are refused: they must read one revision", () =>
  withWriter(async (writer) => {
    await assert.rejects(
      writer.transact(author, async () => undefined),
      /synchronous/,
    );
  }));
