/** What the outside is told when hosts come back: whoever was away may have spoken for what is here, and nobody outside knows by himself that it is here again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMetrics, ManualClock, silentLog } from "@selvage/base";
import { hostEngine, hostMac } from "@selvage/compiler";
import type { PeerWatch } from "@selvage/datapath";
import { type Change, FloatingIp, Host, Network, PeerDown } from "@selvage/model";
import { makeExternalNetwork, makeFloatingIp, makeHost, put, testId } from "@selvage/model/testing";
import { decode } from "@selvage/packet";
import { FromPhysical, type Row, row } from "@selvage/pipeline";
import { defaultAgentSettings } from "../settings.ts";
import { Outside } from "./outside.ts";

const network = makeExternalNetwork();
const net = 0xf00000;
const mac = hostMac(1);
const host = (number: number): Host =>
  makeHost({ id: testId("host", number), name: `h${number}`, key: number, physical_networks: ["public"] });
const question = (arpTpa: string): Row =>
  row(FromPhysical, { net, ethType: 0x0806, arpOp: 1, arpTpa }, "arp", { mac }, "question");
const none = { added: [], removed: [], modified: [] };

test("when a host is back, what hosts agree on is announced again, once it is in force, and no machine's own address", async () => {
  const engine = hostEngine({ name: "h1" });
  const clock = new ManualClock();
  const floating = makeFloatingIp({ floating_ip_address: "203.0.113.20" });
  const forwarded = makeFloatingIp({
    ...{ id: testId("floating ip", 2), floating_ip_address: "203.0.113.21" },
    ...{ port_id: null, fixed_ip_address: null },
  });
  engine.apply(
    [
      ...[put(Host, host(1)), put(Host, host(2)), put(Network, network)],
      ...[put(FloatingIp, floating), put(FloatingIp, forwarded)],
    ],
    1,
  );
  const said: string[] = [];
  const learned: Change[] = [];
  let tell: Parameters<PeerWatch["watch"]>[1] = () => assert.fail("nobody is watched");
  const outside = new Outside({
    ...{ view: engine.view, rows: engine, hostName: "h1", settings: defaultAgentSettings, random: () => 0.5 },
    ...{ clock, log: silentLog, metrics: await createMetrics() },
    datapath: {
      resume: async () => undefined,
      send: async (_port, frame) => {
        const decoded = decode(frame);
        assert.ok(decoded.ok);
        said.push(decoded.packet.arp?.tpa ?? "?");
      },
    },
    watch: {
      watch: (_peers, changed) => {
        tell = changed;
      },
    },
    learned: (changes) => {
      learned.push(...changes);
      outside.changed(none);
    },
  });
  const inForce = (): readonly string[] => {
    outside.announce(outside.taken());
    return said.splice(0);
  };
  try {
    outside.hostsChanged();
    const rows = ["203.0.113.10", "203.0.113.20", "203.0.113.21"].map(question);
    outside.changed({ ...none, added: rows });
    assert.deepEqual(inForce(), ["203.0.113.10", "203.0.113.20", "203.0.113.21"]);
    clock.advance(10_000);
    said.length = 0;
    tell(new Set([host(2).id]));
    assert.deepEqual(learned.splice(0), [{ kind: PeerDown.kind, id: host(2).id, object: { id: host(2).id } }]);
    assert.deepEqual(inForce(), [], "nothing came by that");
    tell(new Set());
    assert.deepEqual(learned.splice(0), [{ kind: PeerDown.kind, id: host(2).id, object: null }]);
    assert.deepEqual(said, [], "not before it is in force");
    assert.deepEqual(inForce(), ["203.0.113.10", "203.0.113.21"]);
    clock.advance(1_000);
    assert.deepEqual(said.splice(0), ["203.0.113.10", "203.0.113.21"]);
    assert.deepEqual(inForce(), [], "once");
  } finally {
    await outside.close();
  }
});
