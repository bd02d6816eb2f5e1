/** The simulated switch and fabric, beyond what the conformance suite asks of every datapath. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { udp } from "../testing/frames.ts";
import { rowsFor, testPort } from "../testing/topology.ts";
import { SimulatedFabric } from "./fabric.ts";
import type { Trace } from "./interpreter.ts";

const a = testPort(1, 1, 0);
const b = testPort(2, 1, 1);
const addresses = ["192.0.2.1", "192.0.2.2"];

async function pair(traces: Trace[] = []) {
  const fabric = new SimulatedFabric();
  const hosts = addresses.map((address) => fabric.addHost(address, (trace) => traces.push(trace)));
  const got: Uint8Array[] = [];
  for (const [place, host] of hosts.entries()) {
    await host.adopt(rowsFor(place, [a, b], addresses));
    for (const port of [a, b]) if (port.host === place) host.plug(port.id, (frame) => got.push(frame));
  }
  return { fabric, hosts, got };
}

test("a trace tells every table, the row that was met there, and how it ended, on each host", async () => {
  const traces: Trace[] = [];
  const { hosts, fabric } = await pair(traces);
  hosts[0]?.receive(a.id, udp(4, a, b, 1));
  assert.deepEqual(
    traces.map(({ visits }) => visits.map(({ table }) => table)),
    [
      [
        ...["classify", "guard_mac", "guard_ip", "fragments", "service_class"],
        ...["sender", "to_router", "carriage", "l2", "tunnel_out"],
      ],
      ["classify", "tunnel_source", "fabric_in", "receiver", "turn", "deliver"],
    ],
  );
  assert.deepEqual(traces[0]?.visits.map(({ row }) => row?.id ?? "miss").slice(3), [
    "miss",
    "miss",
    "miss",
    "miss",
    "carriage(network: net=1)",
    `l2(port: net=1, ethDst=${b.mac}/ff:ff:ff:ff:ff:ff)`,
    "tunnel_out(host=2, encapsulation=0)",
  ]);
  assert.deepEqual(
    fabric.crossed.map(({ from, to, header }) => ({ from, to, header })),
    [{ from: "192.0.2.1", to: "192.0.2.2", header: { key: 1, srcPort: a.key, dstPort: b.key, srcSet: 0 } }],
  );
});

test("a packet to an address where no host is is counted and lost", async () => {
  const { fabric } = await pair();
  fabric.forget();
  const gone = fabric.inject({
    from: "192.0.2.1",
    to: "192.0.2.77",
    header: { key: 1, srcPort: 1, dstPort: 1 },
    frame: udp(4, a, b, 1),
  });
  assert.equal(gone, undefined);
  assert.equal(fabric.crossed.length, 1);
});

test("two hosts cannot be at one address", () => {
  const fabric = new SimulatedFabric();
  fabric.addHost("192.0.2.1");
  assert.throws(() => fabric.addHost("192.0.2.1"), /192\.0\.2\.1/);
});

test("a machine may answer while its frame is being delivered", async () => {
  const { hosts, got } = await pair();
  const [one, two] = hosts;
  two?.plug(b.id, () => two.receive(b.id, udp(4, b, a, 2)));
  one?.receive(a.id, udp(4, a, b, 1));
  assert.deepEqual(got, [udp(4, b, a, 2)]);
});
