/** Connection tracking says of random conversations what that of a real Open vSwitch says, packet by packet: state, what is kept, and when fragments go on. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { encode } from "@selvage/packet";
import fc from "fast-check";
import { Conversation, connectionTurns, type Turn, turns } from "../testing/conversation.ts";
import { Journal } from "../testing/journal.ts";
import { integrationBridge, OvsHost } from "../testing/ovs-host.ts";
import { Connections, type Tracked } from "./connections.ts";
import { datagramOf } from "./datagram.ts";

const one = { mac: "02:00:00:00:00:01", ip4: "10.0.0.1", ip6: "2001:db8::1" };
const two = { mac: "02:00:00:00:00:02", ip4: "10.0.0.2", ip6: "2001:db8::2" };
const deadline = 10_000;

/** A frame with what the switch is told of it in its source MAC: zone, what to keep, whether to commit, and its number. */
interface Sample {
  readonly frame: Uint8Array;
  readonly zone: number;
  readonly keep: number;
  readonly commits: boolean;
  readonly number: number;
}

function told({ frame, zone, keep, commits, number }: Sample): Uint8Array {
  const bytes = Uint8Array.from(frame);
  bytes.set([2, zone, keep, commits ? 1 : 0, number >> 8, number & 255], 6);
  return bytes;
}

/** Bits of `ct_state` (ovs-fields(7)). */
const bit = { new: 1, established: 2, related: 4, reply: 8, invalid: 16, tracked: 32 } as const;

/** Open vSwitch does not hand out the protocol of a connection whose packet is an error in the opener's direction. */
const saysProtocol = (state: number): boolean => (state & (bit.new | bit.established | bit.reply)) !== 0;

function textOf(number: number, { state, kept: values, opened }: Tracked): string {
  const bits =
    bit.tracked +
    (state.isNew ? bit.new : 0) +
    (state.established ? bit.established : 0) +
    (state.related ? bit.related : 0) +
    (state.reply ? bit.reply : 0) +
    (state.invalid ? bit.invalid : 0);
  const proto = saysProtocol(bits) ? ` proto ${opened?.protocol ?? 0}` : "";
  return `${number}: state ${bits}${state.invalid ? "" : ` label ${values.get("label") ?? 0n}`}${proto}`;
}

/** What the switch wrote into a frame's MACs. */
function readBack(frame: Uint8Array): string {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const state = view.getUint32(2);
  const label = (state & bit.invalid) === 0 ? ` label ${view.getUint8(1)}` : "";
  const proto = saysProtocol(state) ? ` proto ${view.getUint8(0)}` : "";
  return `${view.getUint16(10)}: state ${state}${label}${proto}`;
}

/** What goes into the frame's MACs in front of its return. */
const shown = [
  "move:NXM_NX_CT_STATE[0..31]->NXM_OF_ETH_DST[0..31]",
  "move:NXM_NX_CT_LABEL[0..7]->NXM_OF_ETH_DST[32..39]",
  "move:NXM_NX_CT_NW_PROTO[]->NXM_OF_ETH_DST[40..47]",
];
const zone = "zone=NXM_OF_ETH_SRC[32..47]";
const kept = `ct(commit,${zone},exec(move:NXM_OF_ETH_SRC[24..31]->NXM_NX_CT_LABEL[0..7]))`;
const commits = "dl_src=00:00:00:01:00:00/00:00:00:ff:00:00";
const flows = [
  ...["ip", "ipv6"].flatMap((family) => [
    `table=0,priority=10,${family},actions=ct(table=1,${zone})`,
    `table=1,priority=11,${family},ct_state=-inv+trk,${commits},actions=${[...shown, kept, "in_port"].join(",")}`,
    `table=1,priority=10,${family},ct_state=-inv+trk,actions=${[...shown, "in_port"].join(",")}`,
    `table=1,priority=10,${family},ct_state=+inv+trk,actions=${[...shown.slice(0, 1), "in_port"].join(",")}`,
  ]),
  // What marks the end of a run bears no IP.
  "table=0,priority=1,actions=in_port",
];

/** What the simulated tracking makes of the samples. */
function simulated(samples: readonly Sample[]): readonly string[] {
  const connections = new Connections<Sample>(() => 0);
  return samples.flatMap((sample) => {
    const { tracked, items } = connections.track(String(sample.zone), datagramOf(sample.frame), sample);
    // As the switch does it: all that go on do so before one of them is kept.
    const texts = items.map(({ number }) => textOf(number, tracked));
    for (const { commits, keep } of items)
      if (commits && !tracked.state.invalid) connections.commit(tracked, new Map([["label", BigInt(keep)]]));
    return texts;
  });
}

describe("connection tracking", () => {
  let host: OvsHost;
  let wire: string;
  const arrived = new Journal<Uint8Array>();
  before(async () => {
    host = await OvsHost.start({ address: "192.0.2.1", mac: "02:00:00:00:00:aa", underlay: () => undefined });
    await host.vsctl("add-br", integrationBridge, "--", "set", "bridge", integrationBridge, "datapath_type=netdev");
    await host.vsctl("set", "bridge", integrationBridge, "protocols=[OpenFlow15]", "fail_mode=secure");
    wire = await host.plugWire("p", (frame) => arrived.add(frame));
    await host.ofctl("del-flows");
    for (const flow of flows) await host.ofctl("add-flow", flow);
  });
  after(() => host?.dispose());

  let marks = 0;
  let firstId = 0;
  /** What the switch makes of the samples, each tracked anew in zones that hold nothing. */
  async function real(samples: readonly Sample[]): Promise<readonly string[]> {
    await host.appctl("dpctl/flush-conntrack");
    const from = arrived.all.length;
    for (const sample of samples) host.send(wire, told(sample));
    marks += 1;
    const mark = encode({
      eth: { src: "02:00:00:00:00:03", dst: "02:00:00:00:00:04", type: 0x88b5 },
      payload: Uint8Array.of(marks >> 8, marks & 255, ...new Uint8Array(50)),
    });
    host.send(wire, mark);
    const isMark = (frame: Uint8Array): boolean => Buffer.compare(frame, mark) === 0;
    await arrived.first(isMark, "all was tracked", deadline, from);
    return arrived.all
      .slice(from)
      .filter((frame) => !isMark(frame))
      .map(readBack);
  }

  const how = {
    zone: fc.nat(9).map((n) => (n === 0 ? 2 : 1)),
    keep: fc.nat(255),
    commits: fc.nat(9).map((n) => n > 0),
  };
  type Told = Omit<Sample, "frame" | "number"> & { readonly turn: Turn };

  function samplesOf(all: readonly Told[]): readonly Sample[] {
    const conversation = new Conversation(one, two, { firstId });
    let number = 0;
    firstId = (firstId + 2 * all.length) & 0xffff;
    return all.flatMap(({ turn, ...rest }) =>
      conversation.say(turn).map(({ frame }) => {
        number += 1;
        return { ...rest, frame, number };
      }),
    );
  }

  const seen = new Map<string, number>();
  async function agree(all: readonly Told[]): Promise<void> {
    const samples = samplesOf(all);
    const wanted = simulated(samples);
    for (const text of wanted) {
      const state = text.replace(/^\d+: (state \d+).*/, "$1");
      seen.set(state, (seen.get(state) ?? 0) + 1);
    }
    // Fragments that go on together do so in an order that is the switch's own.
    assert.deepEqual((await real(samples)).toSorted(), wanted.toSorted());
  }

  test("is the same for random conversations", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ turn: turns, ...how }), { minLength: 5, maxLength: 40, size: "max" }),
        agree,
      ),
      { numRuns: 120 },
    ));

  test("is the same for connections from their beginning to the next", () =>
    fc.assert(
      fc.asyncProperty(
        connectionTurns.chain((all) =>
          fc.tuple(...all.map((turn) => fc.record({ ...how, zone: fc.constant(1), turn: fc.constant(turn) }))),
        ),
        agree,
      ),
      { numRuns: 150 },
    ));

  test("has met every state that there is, often enough", () => {
    const { new: isNew, established, related, reply, invalid, tracked } = bit;
    const states = [isNew, established, established + reply, related, related + reply, invalid];
    for (const state of states) {
      const text = `state ${state + tracked}`;
      assert.ok((seen.get(text) ?? 0) > 3, `${text}: ${seen.get(text)}`);
    }
  });
});
