/** Machines are told when an address that they may remember is at another MAC: all of the network but whose it is, and nobody when nothing is otherwise. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "@selvage/base";
import { Attachment, Network, Port, Replica } from "@selvage/model";
import { makeAttachment, makeNetwork, makePort, put, testId } from "@selvage/model/testing";
import { decode } from "@selvage/packet";
import { Neighbour, type Row, row } from "@selvage/pipeline";
import { Corrections } from "./corrections.ts";

const net = 5;
const wire = 0xf00001;
const [first, second] = ["fa:16:3e:00:00:01", "fa:16:3e:00:00:02"] as const;
const none = { added: [], removed: [], modified: [] };

function made() {
  const view = new Replica();
  const at = (number: number, part: object = {}) =>
    put(
      Port,
      makePort({
        id: testId("port", number),
        mac_address: `fa:16:3e:00:00:0${number}`,
        "binding:host_id": "h1",
        ...part,
      }),
    );
  const here = (number: number) => put(Attachment, makeAttachment({ id: testId("port", number) }));
  view.apply(
    [
      ...[
        put(Network, makeNetwork({ "provider:segmentation_id": net })),
        at(1),
        at(2, { router_id: testId("router", 1), "binding:host_id": "" }),
      ],
      ...[at(3), at(4, { "binding:host_id": "h2" }), at(5, { admin_state_up: false }), at(6)],
      ...[here(1), here(3), here(5)],
    ],
    1,
  );
  const said: unknown[] = [];
  const send = async (port: string, frame: Uint8Array): Promise<void> => {
    const read = decode(frame);
    assert.ok(read.ok);
    const { arp, icmpv6 } = read.packet;
    const nd = icmpv6?.kind === "neighbor-advertisement" ? icmpv6 : undefined;
    said.push([port, arp === undefined ? nd?.target : `${arp.spa} ${arp.tpa}`, read.packet.eth?.src, nd?.router]);
  };
  const corrections = new Corrections({ view, hostName: "h1", datapath: { send }, log: silentLog });
  /** What was said of a difference. */
  const told = (delta: Partial<Parameters<Corrections["changed"]>[0]>): readonly unknown[] => {
    corrections.say(corrections.changed({ ...none, ...delta }));
    return said.splice(0);
  };
  return { told };
}

const known = (nh: string, mac: string, of = net): Row => row(Neighbour, { net: of, nh }, "known", { mac });

test("another MAC of an address is told to each machine that is plugged in here, but to whose it is", () => {
  const { told } = made();
  const change = (nh: string, to: string) =>
    told({ modified: [{ before: known(nh, "02:5e:1f:00:00:43"), after: known(nh, to) }] });
  const machines = [testId("port", 1), testId("port", 3)];
  assert.deepEqual(
    change("10.0.0.1", second),
    machines.map((port) => [port, "10.0.0.1 10.0.0.1", second, undefined]),
  );
  assert.deepEqual(
    change("2001:db8::1", second),
    machines.map((port) => [port, "2001:db8::1", second, true]),
  );
  assert.deepEqual(change("2001:db8::9", first), [[testId("port", 3), "2001:db8::9", first, false]]);
});

test("an address that went and comes back is told when its MAC is another, and not told when it never was or is the same", () => {
  const { told } = made();
  assert.deepEqual(told({ added: [known("10.0.0.7", first)] }), [], "nobody remembers it");
  assert.deepEqual(told({ removed: [known("10.0.0.7", first)] }), []);
  assert.deepEqual(told({ added: [known("10.0.0.7", first)] }), [], "as it was");
  told({ removed: [known("10.0.0.7", first)] });
  assert.equal(told({ added: [known("10.0.0.7", second)] }).length, 2);
  assert.deepEqual(told({ added: [known("10.0.0.7", second)] }), [], "once");
});

test("nothing is told of physical networks, nor of MACs that stand for whoever has an address, and what is remembered has an end", () => {
  const { told } = made();
  const on = (of: number, mac: string) => known("203.0.113.9", mac, of);
  assert.deepEqual(told({ modified: [{ before: on(wire, first), after: on(wire, second) }] }), []);
  const moving = row(Neighbour, { net, nh: "10.0.0.8" }, "moving", { mac: second });
  assert.deepEqual(told({ modified: [{ before: known("10.0.0.8", first), after: moving }] }), []);
  const many = Array.from({ length: 4_097 }, (_, n) => known(`10.1.${n >> 8}.${n & 255}`, first));
  told({ removed: many });
  assert.deepEqual(told({ added: [known("10.1.0.0", second)] }), [], "the oldest is forgotten");
  assert.equal(told({ added: [known("10.1.0.1", second)] }).length, 2);
});
