/** One guest's questions take nothing from another's, in one second or over many. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMetrics, ManualClock, silentLog } from "@selvage/base";
import type { Punt } from "@selvage/datapath";
import { Network, Port, Replica, Subnet } from "@selvage/model";
import { makeNetwork, makePort, makeSubnet, put } from "@selvage/model/testing";
import { encode } from "@selvage/packet";
import { ingressOf, physicalName } from "@selvage/pipeline";
import fc from "fast-check";
import { silence } from "./answer.ts";
import { Buckets } from "./buckets.ts";
import { Desk } from "./desk.ts";

const macOf = (key: number) => `fa:16:3e:00:00:0${key}`;

function discover(key: number): Punt {
  const frame = encode({
    eth: { src: macOf(key), dst: "ff:ff:ff:ff:ff:ff" },
    ipv4: { src: "0.0.0.0", dst: "255.255.255.255" },
    udp: { src: 68, dst: 67 },
    dhcp: { op: "request", xid: key, chaddr: macOf(key), options: { messageType: "discover" } },
  });
  return { kind: "dhcp4", attachment: `p${key}`, net: 1, vrf: 0, srcPort: key, frame };
}

async function deskWith(send: (port: string) => Promise<void>) {
  const view = new Replica();
  const ports = [1, 2].map((key) =>
    makePort({
      id: `p${key}`,
      key,
      network_id: "n",
      mac_address: macOf(key),
      fixed_ips: [{ subnet_id: "s", ip_address: `10.0.0.1${key}` }],
    }),
  );
  view.apply(
    [
      put(Network, makeNetwork({ id: "n" })),
      put(Subnet, makeSubnet({ id: "s", network_id: "n" })),
      ...ports.map((port) => put(Port, port)),
    ],
    1,
  );
  const clock = new ManualClock();
  const metrics = await createMetrics();
  const neighbours = { serve: () => silence("nobody is asked for") };
  const desk = new Desk({
    view,
    rows: { origins: () => [] },
    hostName: "h1",
    neighbours,
    datapath: { send, resume: async () => undefined },
    dhcp: { leaseTime: 60 },
    clock,
    log: silentLog,
    metrics,
  });
  return { desk, clock, metrics };
}

test("a guest that floods is answered in measure, and its neighbour as if nothing were", async () => {
  const sent = new Map<string, number>();
  const { desk, clock, metrics } = await deskWith(async (port) => void sent.set(port, (sent.get(port) ?? 0) + 1));
  for (let at = 0; at < 1_000; at += 1) await desk.serve(discover(1));
  await desk.serve(discover(2));
  assert.deepEqual(Object.fromEntries(sent), { p1: 20, p2: 1 });
  clock.advance(1_000);
  for (let at = 0; at < 1_000; at += 1) await desk.serve(discover(1));
  assert.equal(sent.get("p1"), 25);
  assert.match(await metrics.text(), /selvage_punts_total\{kind="dhcp4",outcome="limited"\} 1975/);
});

test("what comes by tunnels of either kind, or by a wire, has a measure of many; a machine has its own", async () => {
  const served = async (attachment: string): Promise<number> => {
    const { desk, metrics } = await deskWith(async () => undefined);
    const frame = new Uint8Array(60);
    for (let at = 0; at < 300; at += 1)
      await desk.serve({ kind: "neighbour", attachment, net: 1, vrf: 0, srcPort: 0, frame });
    const [, count = ""] = /kind="neighbour",outcome="silence"\} (\d+)/.exec(await metrics.text()) ?? [];
    return Number(count);
  };
  for (const each of [...Object.values(ingressOf), physicalName("public")]) assert.equal(await served(each), 300);
  assert.equal(await served("p1"), 40);
});

test("an interface that is gone when the answer is ready fails that answer alone", async () => {
  const { desk, metrics } = await deskWith(async (port) => {
    if (port === "p1") throw new Error("no interface");
  });
  await desk.serve(discover(1));
  await desk.serve(discover(2));
  const text = await metrics.text();
  assert.match(text, /outcome="failed"\} 1/);
  assert.match(text, /outcome="offer"\} 2/);
});

test("a bucket gives at most its burst and its rate over any time, and a key that is gone is forgotten", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(500), { maxLength: 300 }), (waits) => {
      const buckets = new Buckets({ rate: 5, burst: 20 });
      let now = 0;
      let given = 0;
      for (const wait of waits) {
        now += wait;
        if (buckets.take("a", now)) given += 1;
      }
      assert.ok(given <= 20 + (now * 5) / 1000);
      assert.ok(given >= Math.min(waits.length, 20));
      buckets.forget((key) => key === "a");
      assert.equal(buckets.size, 0);
    }),
  );
});
