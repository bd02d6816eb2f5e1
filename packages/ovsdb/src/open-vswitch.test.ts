/** The client against a real ovsdb-server, compared with ovs-vsctl; waiting for cur_cfg. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { connect, type OvsdbClient } from "./client.ts";
import { OvsdbError } from "./errors.ts";
import { parseJson } from "./json.ts";
import {
  Bridge,
  Configuration,
  Interface,
  OPEN_VSWITCH,
  OpenVSwitch,
  Port,
  transactApplied,
  untilApplied,
} from "./open-vswitch.ts";
import type { Operation } from "./operations.ts";
import { abort, comment, insert, mutate, select, update, wait } from "./operations.ts";
import type { Change } from "./replica.ts";
import { only, Replica } from "./replica.ts";
import { checkTables, parseSchema } from "./schema.ts";
import { pick, table } from "./table.ts";
import { startOvsdbServer } from "./testing/server.ts";
import { ALL, addPort, openSession } from "./testing/session.ts";

test("the declared tables agree with the schema that is installed, and one that does not is told so", async () => {
  await using held = await openSession();
  assert.ok((await held.client.listDatabases()).includes(OPEN_VSWITCH));
  const schema = await held.client.schema(OPEN_VSWITCH);
  checkTables(schema, ALL);
  const file = parseSchema(parseJson(await readFile("/usr/share/openvswitch/vswitch.ovsschema", "utf8")));
  assert.deepEqual(schema, file);
  await assert.rejects(
    held.client.schema("nope"),
    (error: unknown) => error instanceof OvsdbError && error.error === "unknown database",
  );
});

test("what is written here is what ovs-vsctl reads, and the other way round", async () => {
  await using held = await openSession();
  const { client, server } = held;
  const replica = new Replica(OPEN_VSWITCH, ALL);
  await client.monitor(replica);
  await server.vsctl(
    "add-br",
    "br0",
    "--",
    "set",
    "bridge",
    "br0",
    "fail_mode=secure",
    "protocols=OpenFlow13,OpenFlow15",
  );
  const bridge = await replica.until((r) => [...r.table(Bridge).values()].find(({ name }) => name === "br0") ?? null);
  assert.deepEqual([bridge.fail_mode, bridge.protocols], ["secure", new Set(["OpenFlow13", "OpenFlow15"])]);

  const ids = { "iface-id": 'naïve "quoted" \\ {name} 😀', empty: "" };
  const [iface, port, attached] = await client.transact(OPEN_VSWITCH, addPort("br0", "p1", ids));
  assert.equal(attached.count, 1);
  // The update came before the reply: nothing to wait for.
  assert.deepEqual(replica.table(Interface).get(iface.uuid)?.external_ids, new Map(Object.entries(ids)));
  assert.deepEqual(replica.table(Port).get(port.uuid)?.interfaces, new Set([iface.uuid]));
  assert.equal(await server.vsctl("list-ports", "br0"), "p1");
  assert.equal(await server.vsctl("get", "interface", "p1", "_uuid"), iface.uuid);
  const list = await server.vsctl("--format=json", "--columns=external_ids", "list", "interface", "p1");
  assert.deepEqual(new Map(JSON.parse(list).data[0][0][1]), new Map(Object.entries(ids)));

  await server.vsctl("set", "interface", "p1", "mtu_request=1400", "external_ids:extra=1");
  const changed = await replica.until((r) => {
    const row = r.table(Interface).get(iface.uuid);
    return row?.mtu_request === 1400 ? row : null;
  });
  assert.equal(changed.external_ids.get("extra"), "1");
  await server.vsctl("del-port", "p1");
  await replica.until((r) => (r.table(Interface).has(iface.uuid) || r.table(Port).has(port.uuid) ? null : true));
});

test("64-bit counters arrive whole", async () => {
  await using held = await openSession();
  const { client } = held;
  await held.server.vsctl("add-br", "br0");
  const replica = new Replica(OPEN_VSWITCH, [pick(Interface, ["name", "statistics"])]);
  await client.monitor(replica);
  const most = 2n ** 63n - 1n;
  const counters = new Map([
    ["rx_bytes", most],
    ["tx_bytes", 2n ** 53n + 1n],
    ["rx_errors", 0n],
    ["tx_errors", -(2n ** 63n)],
  ]);
  const [set_] = await client.transact(OPEN_VSWITCH, [
    update(Interface, [["name", "==", "br0"]], { statistics: counters }),
  ]);
  assert.equal(set_.count, 1);
  const [row] = replica.table(pick(Interface, ["statistics"])).values();
  assert.deepEqual(row?.statistics, counters);
});

test("every kind of operation does what RFC 7047 says, and faults carry index and table", async () => {
  await using held = await openSession();
  const { client, server } = held;
  await server.vsctl("add-br", "br0");
  const names = pick(Port, ["name", "tag", "trunks"]);
  const br0 = [["name", "==", "br0"]] as const;
  const [updated, mutated, selected] = await client.transact(OPEN_VSWITCH, [
    update(Port, br0, { tag: 0, trunks: [0, 4095] }),
    mutate(Port, br0, [
      ["trunks", "delete", [0]],
      ["trunks", "insert", [7]],
      ["external_ids", "insert", { a: "1", b: "2" }],
      ["external_ids", "delete", ["a"]],
    ]),
    select(names, br0),
    comment("a comment with\nlines and 😀"),
    wait(names, br0, { columns: ["tag"], until: "==", rows: [{ tag: 0 }], timeoutMs: 0 }),
  ]);
  assert.deepEqual([updated.count, mutated.count], [1, 1]);
  const [port] = selected.rows;
  assert.deepEqual([port?.name, port?.tag, port?.trunks], ["br0", 0, new Set([7, 4095])]);
  assert.equal(await server.vsctl("get", "port", "br0", "external_ids"), '{b="2"}');

  const failing = async (operations: readonly Operation[]) => {
    const error: unknown = await client.transact(OPEN_VSWITCH, operations).catch((caught: unknown) => caught);
    assert.ok(error instanceof OvsdbError, String(error));
    return [error.error, error.operation?.index, error.operation?.op, error.operation?.table];
  };
  assert.deepEqual(await failing([comment("x"), abort()]), ["aborted", 1, "abort", null]);
  assert.deepEqual(await failing([comment("x"), insert(table({ name: "Nope", columns: {} }), {}), comment("y")]), [
    "syntax error",
    1,
    "insert",
    "Nope",
  ]);
  assert.deepEqual(await failing([update(Port, br0, { tag: 4096 })]), ["constraint violation", 0, "update", "Port"]);
  assert.deepEqual(
    await failing([insert(OpenVSwitch, {})]),
    ["constraint violation", null, null, null],
    "found at commit",
  );
  assert.deepEqual(
    await failing([wait(names, br0, { columns: ["tag"], until: "!=", rows: [{ tag: 0 }], timeoutMs: 0 })]),
    ["timed out", 0, "wait", "Port"],
  );
  assert.deepEqual(await failing([mutate(OpenVSwitch, [], [["next_cfg", "/=", 0]])]), [
    "domain error",
    0,
    "mutate",
    "Open_vSwitch",
  ]);
  const [kept] = await client.transact(OPEN_VSWITCH, [select(names, br0)]);
  assert.equal(kept.rows[0]?.tag, 0, "nothing of the failed ones took effect");
});

test("the server itself ends a session over text that this client refuses to send", async () => {
  await using held = await openSession();
  const cause = await new Promise((resolve) => {
    held.client.closed.then(resolve);
    held.client.connection.notify("transact", [OPEN_VSWITCH, { op: "comment", comment: "a\u0000b" }]);
  });
  assert.deepEqual(cause, { kind: "remote" });
});

test("a waiting transaction can be given up, and the session goes on", async () => {
  await using held = await openSession();
  const { client } = held;
  const controller = new AbortController();
  const forever = client.transact(
    OPEN_VSWITCH,
    [wait(Configuration, [], { columns: ["cur_cfg"], until: "==", rows: [{ cur_cfg: 99 }] })],
    { signal: controller.signal },
  );
  const meanwhile = client.transact(OPEN_VSWITCH, [select(Configuration, [])]);
  assert.equal((await meanwhile)[0].rows.length, 1, "a waiting transaction does not hold up the next");
  controller.abort(new Error("enough"));
  await assert.rejects(forever, /enough/);
  assert.ok((await client.listDatabases()).includes(OPEN_VSWITCH));
});

test("a thousand transactions may be outstanding, and take effect in order", async () => {
  await using held = await openSession();
  const { client } = held;
  const replica = new Replica(OPEN_VSWITCH, [Configuration]);
  await client.monitor(replica);
  const results = await Promise.all(
    Array.from({ length: 1000 }, () =>
      client.transact(OPEN_VSWITCH, [mutate(OpenVSwitch, [], [["next_cfg", "+=", 1]]), select(Configuration, [])]),
    ),
  );
  assert.deepEqual(
    results.map(([, { rows }]) => rows[0]?.next_cfg),
    Array.from({ length: 1000 }, (_, index) => index + 1),
  );
  assert.equal([...replica.table(Configuration).values()][0]?.next_cfg, 1000);
});

test("a transaction settles as applied when cur_cfg has come as far, neither before nor by asking again", async () => {
  await using held = await openSession();
  const { client, server } = held;
  const replica = new Replica(OPEN_VSWITCH, [Configuration]);
  await client.monitor(replica);
  // This test is ovs-vswitchd: it moves cur_cfg when it sees next_cfg move.
  await using switchSide = await asyncDisposable(connect(server.endpoint));
  const seen = new Replica(OPEN_VSWITCH, [Configuration]);
  await switchSide.value.monitor(seen);
  let settled = false;
  const applying = transactApplied(client, replica, [
    comment("x"),
    update(OpenVSwitch, [], { external_ids: { a: "b" } }),
  ]);
  const done = applying.then((results) => {
    settled = true;
    return results;
  });
  const asked = await seen.until((r) => {
    const [root] = r.table(Configuration).values();
    return root !== undefined && root.next_cfg > 0 ? root.next_cfg : null;
  });
  const report = (cur_cfg: number) => switchSide.value.transact(OPEN_VSWITCH, [update(OpenVSwitch, [], { cur_cfg })]);
  await report(asked - 1);
  // A round trip on the client's own session: whatever was due there has been delivered.
  await client.listDatabases();
  assert.equal(settled, false);
  await report(asked);
  const results = await done;
  assert.deepEqual(results, [{}, { count: 1 }]);
  await untilApplied(replica, asked);
  await assert.rejects(transactApplied(client, replica, [abort()]), { error: "aborted" });
  await assert.rejects(untilApplied(replica, asked + 1, { signal: AbortSignal.abort(new Error("enough")) }), /enough/);
});

test("without a root row there is nothing that could apply, and that is said", async () => {
  await using server = await startOvsdbServer();
  using client = await connect(server.endpoint);
  const replica = new Replica(OPEN_VSWITCH, [Configuration]);
  await client.monitor(replica);
  await assert.rejects(transactApplied(client, replica, []), { error: "no configuration" });
});

test("a conditional monitor holds exactly the rows that match one of its conditions, as they come and go", async () => {
  await using held = await openSession();
  const { client, server } = held;
  await server.vsctl("add-br", "br0");
  const Names = pick(Interface, ["name", "mtu_request"]);
  const replica = new Replica(OPEN_VSWITCH, [
    only(Names, [
      ["name", "==", "p1"],
      ["mtu_request", "==", 1400],
    ]),
  ]);
  await client.monitor(replica);
  const names = () => [...replica.table(Names).values()].map(({ name }) => name).sort();
  assert.deepEqual(names(), []);
  await client.transact(OPEN_VSWITCH, addPort("br0", "p1"));
  await client.transact(OPEN_VSWITCH, addPort("br0", "p2"));
  assert.deepEqual(names(), ["p1"]);
  const mtu = (name: string, mtu_request: number | null) =>
    client.transact(OPEN_VSWITCH, [update(Interface, [["name", "==", name]], { mtu_request })]);
  await mtu("p2", 1400);
  assert.deepEqual(names(), ["p1", "p2"]);
  await mtu("p2", null);
  assert.deepEqual(names(), ["p1"]);
});

test("the end of the server is seen, and a replica handed to the next client catches up", async () => {
  await using held = await openSession();
  const { client, server } = held;
  const replica = new Replica(OPEN_VSWITCH, [pick(Bridge, ["name"])]);
  await client.monitor(replica);
  await server.vsctl("add-br", "kept", "--", "add-br", "gone");
  await replica.until((r) => (r.table(pick(Bridge, ["name"])).size === 2 ? true : null));
  client.close();
  assert.equal(replica.state.kind, "stale");
  await server.vsctl("del-br", "gone", "--", "add-br", "new");
  const heard: Change[] = [];
  replica.onChange((changes) => heard.push(...changes));
  using next = await connect(server.endpoint);
  await next.monitor(replica);
  assert.deepEqual(
    heard.map(({ kind }) => kind),
    ["delete", "insert"],
  );
  assert.deepEqual([...replica.table(pick(Bridge, ["name"])).values()].map(({ name }) => name).sort(), ["kept", "new"]);
  await server.stop();
  assert.deepEqual(await next.closed, { kind: "remote" });
});

async function asyncDisposable(
  opening: Promise<OvsdbClient>,
): Promise<{ readonly value: OvsdbClient } & AsyncDisposable> {
  const value = await opening;
  return {
    value,
    async [Symbol.asyncDispose]() {
      value.close();
    },
  };
}
