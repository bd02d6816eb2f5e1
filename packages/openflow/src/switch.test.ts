/** The codec and the connection against a real Open vSwitch: what we send is understood as meant, and reads back as sent. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  type Action,
  act,
  BatchError,
  BucketId,
  BundleError,
  bucket,
  Connection,
  canonicalMatch,
  connectSocket,
  type Flow,
  fieldValue,
  flowMod,
  groupMod,
  type Match,
  MeterFlag,
  meterMod,
  PacketInFormat,
  Port,
  subfield,
} from "./mod.ts";
import { actionCases } from "./testing/golden-actions.ts";
import { instructionCases, matchCases } from "./testing/golden-matches.ts";
import { type Switch, startSwitch } from "./testing/switch.ts";

const apply = (...actions: readonly Action[]) => [{ kind: "apply", actions } as const];
const everything = flowMod({ command: "delete", table: 0xff });

async function collect<T>(all: AsyncIterable<T>): Promise<readonly T[]> {
  const collected: T[] = [];
  for await (const one of all) collected.push(one);
  return collected;
}

describe("a real switch", { timeout: 120_000 }, () => {
  let ovs: Switch;
  let connection: Connection;

  before(async () => {
    ovs = await startSwitch();
    connection = await Connection.open(await connectSocket({ path: ovs.socket }));
    await connection.post({ kind: "setConfig", flags: 0, missSendLength: 0xffff });
    await connection.post({ kind: "setPacketInFormat", format: PacketInFormat.nxt2 });
    const mapping = { optionClass: 0xffff, optionType: 1, optionLength: 4, index: 0 };
    await connection.post({ kind: "tlvTableMod", command: "add", mappings: [mapping] });
    await connection.send([
      meterMod({ meter: 5, bands: [{ kind: "drop", rate: 10, burst: 0 }] }),
      groupMod({ group: 9, type: "all" }),
    ]);
    await connection.barrier();
  });

  after(async () => {
    connection?.close();
    await ovs?.stop();
  });

  /** Flows in force, by priority, each as `[match, actions]` in the words of ovs-ofctl. */
  const dump = async () => {
    const text = await ovs.ofctl("dump-flows", "--no-stats");
    const lines = [...text.matchAll(/priority=(\d+),?(\S*) actions=(.*)$/gm)];
    return new Map(lines.map(([, priority, match, actions]) => [Number(priority), [match, actions] as const]));
  };

  test("every action, match and instruction prints as meant and reads back as sent", async () => {
    const flows = [
      ...actionCases.map(({ actions, match = [], text }) => ({
        match,
        instructions: actions.length === 0 ? [] : apply(...actions),
        text: [undefined, text] as const,
      })),
      ...matchCases.map(({ match, text }) => ({
        match,
        instructions: [],
        text: [text, "drop"] as const,
      })),
      ...instructionCases.map(({ instructions, text }) => ({
        match: [],
        instructions,
        text: ["", text] as const,
      })),
    ];
    const priority = (index: number) => index + 1;
    await connection.send([
      everything,
      ...flows.map(({ match, instructions }, index) =>
        flowMod({
          priority: priority(index),
          match,
          instructions,
          cookie: 0xffff_ffff_0000_0000n + BigInt(index),
          importance: 3,
        }),
      ),
    ]);
    await connection.barrier();
    const printed = await dump();
    const told = new Map((await connection.flows({ table: 0 })).map((flow) => [flow.priority, flow]));
    assert.equal(printed.size, flows.length);
    assert.equal(told.size, flows.length);
    for (const [index, flow] of flows.entries()) {
      const [match, actions] = printed.get(priority(index)) ?? [];
      if (flow.text[0] !== undefined) assert.equal(match, flow.text[0]);
      assert.equal(actions, flow.text[1]);
      const back = told.get(priority(index));
      assert.ok(back !== undefined);
      assert.deepEqual(back.instructions, flow.instructions, flow.text[1]);
      assert.deepEqual(canonicalMatch(back.match), canonicalMatch(flow.match), flow.text.join(" "));
      assert.equal(back.cookie, 0xffff_ffff_0000_0000n + BigInt(index));
      assert.equal(back.importance, 3);
      assert.equal(back.statistics.packets, 0n);
    }
  });

  test("strict and loose changes touch the flows they should", async () => {
    const match: Match = [{ field: "in_port", value: 1 }];
    await connection.send([
      everything,
      flowMod({ priority: 1, match, cookie: 1n, instructions: apply(act.output(1)) }),
      flowMod({ priority: 2, match, cookie: 2n, instructions: apply(act.output(1)) }),
      flowMod({ priority: 3, cookie: 0x12n, table: 4 }),
      flowMod({ command: "modifyStrict", priority: 2, match, instructions: apply(act.output(2)) }),
    ]);
    await connection.barrier();
    const actions = (flows: readonly Flow[]) => flows.map(({ priority, instructions }) => [priority, instructions]);
    assert.deepEqual(actions(await connection.flows({ table: 0, cookie: 2n, cookieMask: 0xffffn })), [
      [2, apply(act.output(2))],
    ]);
    await connection.send([flowMod({ command: "deleteStrict", priority: 1, match })]);
    await connection.barrier();
    assert.deepEqual([...(await dump()).keys()].sort(), [2, 3]);
    await connection.send([flowMod({ command: "delete", table: 0xff, cookie: 2n, cookieMask: 0xfn })]);
    await connection.barrier();
    assert.deepEqual([...(await dump()).keys()], []);
  });

  test("an error names the message of the batch that caused it, and the others are in force", async () => {
    const bad = flowMod({ priority: 2, instructions: apply(act.group(777)) });
    const prerequisite = flowMod({ priority: 3, match: [{ field: "tcp_dst", value: 1 }] });
    await connection.send([everything, flowMod({ priority: 1 }), bad]);
    await connection.send([prerequisite, flowMod({ priority: 4 })]);
    await assert.rejects(connection.barrier(), (error) => {
      assert.ok(error instanceof BatchError);
      assert.deepEqual(
        error.failures.map(({ request, code }) => [request, code]),
        [
          [bad, "OFPBAC_BAD_OUT_GROUP"],
          [prerequisite, "OFPBMC_BAD_PREREQ"],
        ],
      );
      return true;
    });
    assert.deepEqual([...(await dump()).keys()].sort(), [1, 4]);
    await connection.barrier();
  });

  test("a bundle takes effect whole, or not at all and says why", async () => {
    await connection.bundle([
      everything,
      groupMod({ group: 20 }),
      flowMod({ priority: 5, instructions: apply(act.group(20)) }),
    ]);
    assert.deepEqual(await dump(), new Map([[5, ["", "group:20"]]]));
    const bad = flowMod({ priority: 7, instructions: apply(act.group(778)) });
    await assert.rejects(
      connection.bundle([everything, groupMod({ group: 21 }), flowMod({ priority: 6 }), bad]),
      (error) => {
        assert.ok(error instanceof BundleError);
        assert.deepEqual(
          error.failures.map(({ request, code }) => [request, code]),
          [[bad, "OFPBAC_BAD_OUT_GROUP"]],
        );
        return true;
      },
    );
    const malformed = flowMod({
      priority: 8,
      instructions: apply({ kind: "raw", bytes: new Uint8Array([0, 99, 0, 8, 0, 0, 0, 0]) }),
    });
    await assert.rejects(connection.bundle([everything, malformed]), (error) => {
      assert.ok(error instanceof BundleError);
      assert.deepEqual(
        error.failures.map(({ request, code }) => [request, code]),
        [[malformed, "OFPBAC_BAD_TYPE"]],
      );
      return true;
    });
    assert.deepEqual(await dump(), new Map([[5, ["", "group:20"]]]));
    assert.deepEqual((await connection.groups()).map(({ group }) => group).sort(), [20, 9]);
    await connection.bundle([]);
  });

  test("groups of every type read back; buckets come and go alone", async () => {
    const plain = (id: number, port: number) => bucket(id, [act.output(port)]);
    const weighted = (id: number, port: number, weight: number) => bucket(id, [act.output(port)], { weight });
    const fields = [{ field: "ipv4_dst", value: 0xffff_ffff } as const, { field: "ip_proto", value: 0xff } as const];
    const watched = bucket(1, [act.output(1)], { watchPort: 1 });
    const groups = [
      groupMod({ group: 30, type: "all", buckets: [plain(0, 1), plain(7, 2)] }),
      groupMod({
        group: 31,
        type: "select",
        buckets: [weighted(1, 1, 10), weighted(2, 2, 0)],
        selection: { method: "hash", parameter: 0n, fields },
      }),
      groupMod({ group: 32, type: "indirect", buckets: [plain(0, 3)] }),
      groupMod({ group: 33, type: "fastFailover", buckets: [watched, bucket(2, [], { watchGroup: 30 })] }),
    ];
    await connection.send(groups);
    await connection.barrier();
    for (const { group, type, buckets, selection } of groups) {
      const [told] = await connection.groups(group);
      const fieldsOf = (match: Match = []) => match.toSorted((a, b) => (a.field < b.field ? -1 : 1));
      assert.deepEqual(
        { ...told, selection: fieldsOf(told?.selection?.fields) },
        { group, type, buckets, selection: fieldsOf(selection?.fields) },
      );
      assert.equal(told?.selection?.method, selection?.method);
    }
    const printed = await ovs.ofctl("dump-groups", "31");
    assert.match(
      printed,
      /group_id=31,type=select,selection_method=hash,fields\(ip_dst,nw_proto\),bucket=bucket_id:1,weight:10,actions=output:1,bucket=bucket_id:2,weight:0,actions=output:2/,
    );
    const change = (command: "insertBucket" | "removeBucket", at: number, ...buckets: ReturnType<typeof plain>[]) =>
      groupMod({ command, group: 30, type: "all", bucket: at, buckets });
    const ids = async () => (await connection.groups(30))[0]?.buckets.map(({ id }) => id);
    await connection.send([
      change("insertBucket", BucketId.first, plain(3, 3)),
      change("insertBucket", 0, plain(4, 1)),
    ]);
    await connection.barrier();
    assert.deepEqual(await ids(), [3, 0, 4, 7]);
    await connection.send([change("removeBucket", 0), change("removeBucket", BucketId.last)]);
    await connection.barrier();
    assert.deepEqual(await ids(), [3, 4]);
  });

  test("meters read back and count", async () => {
    const meter = {
      meter: 6,
      flags: MeterFlag.kilobits | MeterFlag.burst | MeterFlag.statistics,
      bands: [{ kind: "drop", rate: 1000, burst: 100 } as const],
    };
    await connection.send([meterMod(meter)]);
    await connection.barrier();
    assert.deepEqual(await connection.meters(6), [meter]);
    const [counters] = await collect(connection.ask({ of: "meterCounters", meter: 6 }));
    assert.ok(counters?.of === "meterCounters");
    assert.deepEqual(
      counters.meters.map(({ meter: number, packets, bands }) => [number, packets, bands.length]),
      [[6, 0n, 1]],
    );
  });

  test("settings read back: ports, configuration, Geneve options, connection zones", async () => {
    const names = (await connection.ports()).map(({ port, name }) => [port, name]);
    assert.deepEqual(names, [
      [Port.local, "br"],
      [1, "p1"],
      [2, "p2"],
      [3, "p3"],
    ]);
    const config = await connection.request({ kind: "getConfigRequest" });
    assert.deepEqual(config, { kind: "getConfigReply", flags: 0, missSendLength: 0xffff });
    const table = await connection.request({ kind: "tlvTableRequest" });
    assert.ok(table.kind === "tlvTableReply");
    assert.deepEqual(table.mappings, [{ optionClass: 0xffff, optionType: 1, optionLength: 4, index: 0 }]);
    await connection.send([
      { kind: "ctFlushZone", zone: 0 },
      { kind: "ctFlushZone", zone: 65535 },
    ]);
    await connection.barrier();
    const echo = await connection.request({ kind: "echoRequest", data: new Uint8Array([1, 2, 3]) });
    assert.deepEqual(echo, { kind: "echoReply", data: new Uint8Array([1, 2, 3]) });
    const features = await connection.request({ kind: "featuresRequest" });
    assert.ok(features.kind === "featuresReply");
    assert.equal(features.tables, 254);
  });

  test("an answer in many parts is whole, one by one and collected", async () => {
    const count = 5_000;
    const flows = Array.from({ length: count }, (_, i) =>
      flowMod({
        table: 7,
        match: [{ field: "reg0", value: i }],
        instructions: apply(act.setField({ field: "reg1", value: i }), act.resubmit(8)),
      }),
    );
    await connection.bundle([everything, ...flows]);
    assert.equal((await connection.flows({ table: 7 })).length, count);
    const seen = new Set<number>();
    for await (const { match } of connection.flowStats()) seen.add(Number(fieldValue(match, "reg0")));
    assert.equal(seen.size, count);
    const [aggregate] = await collect(
      connection.ask({
        of: "aggregate",
        filter: { table: 7, outPort: Port.any, outGroup: 0xffff_ffff, cookie: 0n, cookieMask: 0n, match: [] },
      }),
    );
    assert.ok(aggregate?.of === "aggregate");
    assert.equal(aggregate.statistics.flows, count);
  });

  test("a copied field of another width is refused here, not by the switch", async () => {
    const crooked = act.copyField(subfield("reg0", 0, 8), subfield("reg1"));
    await assert.rejects(connection.send([flowMod({ instructions: apply(crooked) })]), { name: "EncodeError" });
    await connection.barrier();
  });

  test("when the switch goes, the connection says so", async () => {
    const lost = await Connection.open(await connectSocket({ path: ovs.socket }));
    await ovs.appctl("exit");
    const cause = await lost.closed;
    assert.ok(cause.kind === "peer" || cause.kind === "transport");
    await assert.rejects(lost.barrier(), { name: "ConnectionClosedError" });
  });
});
