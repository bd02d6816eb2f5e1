/** Packets and news between a real Open vSwitch and the controller (OpenFlow 1.5.1, sections 7.3.6 and 7.4). */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  type Action,
  act,
  Connection,
  connectSocket,
  type Events,
  type FieldMatch,
  FlowFlag,
  FlowRemovedReason,
  fieldValue,
  flowMod,
  type Match,
  PacketInFormat,
  PacketInReason,
  packetOut,
} from "./mod.ts";
import { type Switch, startSwitch } from "./testing/switch.ts";

const apply = (...actions: readonly Action[]) => [{ kind: "apply", actions } as const];
const everything = flowMod({ command: "delete", table: 0xff });
/** The smallest Ethernet frame, with a type nobody uses. */
const frame = new Uint8Array(60).fill(0xab, 0, 12).fill(0x88, 12, 13).fill(0xb5, 13, 14);

describe("packets and news of a real switch", { timeout: 120_000 }, () => {
  let ovs: Switch;
  let connection: Connection;

  before(async () => {
    ovs = await startSwitch();
    connection = await Connection.open(await connectSocket({ path: ovs.socket }));
    await connection.post({ kind: "setConfig", flags: 0, missSendLength: 0xffff });
    await connection.post({ kind: "setPacketInFormat", format: PacketInFormat.nxt2 });
  });

  after(async () => {
    connection?.close();
    await ovs?.stop();
  });

  const next = <K extends keyof Events>(kind: K) => {
    const { promise, resolve } = Promise.withResolvers<Events[K]>();
    const off = connection.on(kind, (event) => {
      off();
      resolve(event);
    });
    return promise;
  };

  test("a packet-out runs the pipeline, and its packet-in carries userdata, cookie, registers and tunnel", async () => {
    const userdata = new Uint8Array([0, 1, 2, 3, 255]);
    await connection.send([
      everything,
      flowMod({
        priority: 1,
        match: [{ field: "in_port", value: 2 }],
        instructions: apply(
          act.setField({ field: "reg3", value: 0x1234 }),
          act.setField({ field: "tun_dst", value: 0x0a00_0001 }),
          act.resubmit(9),
        ),
      }),
      flowMod({
        table: 9,
        priority: 1,
        cookie: 0xfeed_0000_0000_0001n,
        instructions: apply(act.controller({ userdata })),
      }),
    ]);
    await connection.barrier();
    const arrival = next("packetIn");
    const from: Match = [
      { field: "in_port", value: 2 },
      { field: "tunnel_id", value: 99n },
    ];
    await connection.post(packetOut(frame, [act.output(0xffff_fff9)], from));
    const packet = await arrival;
    assert.deepEqual(packet.userdata, userdata);
    assert.deepEqual(packet.packet, frame);
    assert.equal(packet.fullLength, null);
    assert.equal(packet.table, 9);
    assert.equal(packet.cookie, 0xfeed_0000_0000_0001n);
    assert.equal(packet.reason, PacketInReason.action);
    assert.equal(packet.continuation, null);
    const told = (["in_port", "reg3", "tunnel_id", "tun_dst"] as const).map((name) =>
      fieldValue(packet.metadata, name),
    );
    assert.deepEqual(told, [2, 0x1234, 99n, 0x0a00_0001]);
  });

  test("a paused packet goes on when it is resumed", async () => {
    const pause = act.controller({ userdata: new Uint8Array([7]), flow: "pause" });
    const rest = act.controller({ userdata: new Uint8Array([8]) });
    await connection.send([everything, flowMod({ instructions: apply(pause, rest) })]);
    await connection.barrier();
    const first = next("packetIn");
    await connection.post(packetOut(frame, [act.output(0xffff_fff9)], [{ field: "in_port", value: 1 }]));
    const paused = await first;
    assert.deepEqual([...paused.userdata], [7]);
    assert.ok(paused.continuation !== null);
    const second = next("packetIn");
    await connection.post({ ...paused, kind: "resume" });
    assert.deepEqual([...(await second).userdata], [8]);
  });

  test("a packet whose TTL ends comes to the controller once that is asked for", async () => {
    await connection.post({ kind: "setAsync", packetIn: 0b10_0111, portStatus: 7, flowRemoved: 0x3f });
    const ip: FieldMatch = { field: "eth_type", value: 0x0800 };
    await connection.send([everything, flowMod({ match: [ip], instructions: apply(act.decTtl(), act.output(1)) })]);
    await connection.barrier();
    const packet = new Uint8Array(60);
    packet.set([0x08, 0x00, 0x45, 0, 0, 46, 0, 0, 0, 0, 1, 253, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], 12);
    const arrival = next("packetIn");
    await connection.post(packetOut(packet, [act.output(0xffff_fff9)], [{ field: "in_port", value: 2 }]));
    assert.equal((await arrival).reason, PacketInReason.invalidTtl);
  });

  test("news of ports and of flows that went arrive", async () => {
    const status = next("portStatus");
    await ovs.ofctl("mod-port", "p2", "no-flood");
    await ovs.ofctl("mod-port", "p2", "no-packet-in");
    const { reason, port } = await status;
    assert.equal(reason, "modified");
    assert.equal(port.name, "p2");
    assert.equal(port.port, 2);
    const removed = next("flowRemoved");
    await connection.send([
      flowMod({ table: 3, priority: 0, cookie: 77n, flags: FlowFlag.sendRemoved }),
      flowMod({ command: "delete", table: 3 }),
    ]);
    await connection.barrier();
    const flow = await removed;
    assert.deepEqual([flow.table, flow.cookie, flow.reason], [3, 77n, FlowRemovedReason.delete]);
  });
});
