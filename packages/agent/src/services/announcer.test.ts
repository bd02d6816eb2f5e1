/** What came to a host is announced three times, as long as it stays; and a change costs what it touches, however much else is owned. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMetrics, ManualClock, silentLog } from "@selvage/base";
import { hostMac } from "@selvage/compiler";
import { Host, Network, Replica } from "@selvage/model";
import { makeHost, makeNetwork, put } from "@selvage/model/testing";
import { decode } from "@selvage/packet";
import { Deliver, FromPhysical, type Row, row } from "@selvage/pipeline";
import { Announcer, type Owned } from "./announcer.ts";

const net = 0xf00001;
const mac = hostMac(7);
const view = new Replica();
view.apply(
  [
    put(Host, makeHost({ name: "h1", key: 7, physical_networks: ["public"] })),
    put(
      Network,
      makeNetwork({
        key: net,
        "provider:network_type": "flat",
        "provider:physical_network": "public",
        "provider:segmentation_id": null,
      }),
    ),
  ],
  1,
);

async function made() {
  const clock = new ManualClock();
  const said: string[] = [];
  const send = async (port: string, frame: Uint8Array): Promise<void> => {
    const { eth, arp, icmpv6 } = decoded(frame);
    assert.deepEqual([port, eth?.src], ["physical:public", mac]);
    said.push(arp?.tpa ?? (icmpv6?.kind === "neighbor-advertisement" ? icmpv6.target : "?"));
  };
  const options = { view, hostName: "h1", datapath: { send }, clock, log: silentLog, metrics: await createMetrics() };
  /** What was said since it was asked last. */
  const heard = () => said.splice(0);
  return { announcer: new Announcer(options), clock, heard };
}

function decoded(frame: Uint8Array) {
  const read = decode(frame);
  assert.ok(read.ok);
  return read.packet;
}

const four = (arpTpa: string, ethSrc?: string): Row =>
  row(
    FromPhysical,
    { net, ethType: 0x0806, arpOp: 1, arpTpa, ...(ethSrc === undefined ? {} : { ethSrc }) },
    "arp",
    { mac },
    "question",
  );
const six = (ndTarget: string): Row =>
  row(FromPhysical, { net, ethType: 0x86dd, ipProto: 58, icmp6Type: 135, ndTarget }, "nd", {}, "question");

test("what came is said three times, a second apart, and no more once it has gone", async () => {
  const { announcer, clock, heard } = await made();
  const rows = [
    four("203.0.113.10"),
    six("2001:db8:ff::10"),
    six("fe80::1"),
    row(Deliver, { port: 1 }, "output", { port: "p" }),
  ];
  const come = announcer.changed({ added: rows, removed: [] });
  assert.deepEqual(come, [
    { net, address: "203.0.113.10" },
    { net, address: "2001:db8:ff::10" },
  ]);
  announcer.announce(come);
  assert.deepEqual(heard(), ["203.0.113.10", "2001:db8:ff::10"]);
  clock.advance(1_000);
  assert.deepEqual(heard(), ["203.0.113.10", "2001:db8:ff::10"]);
  announcer.changed({ added: [], removed: rows.slice(1, 2) });
  clock.advance(1_000);
  assert.deepEqual(heard(), ["203.0.113.10"]);
  clock.advance(10_000);
  assert.deepEqual([heard(), clock.pending], [[], 0]);
});

test("an address is owned for as long as any row says so", async () => {
  const { announcer } = await made();
  const rows = [four("203.0.113.10"), four("203.0.113.10", "02:00:00:00:00:01")];
  const owns = () => announcer.owns(net, "203.0.113.10");
  announcer.changed({ added: rows, removed: [] });
  assert.ok(owns());
  assert.ok(!announcer.owns(net + 1, "203.0.113.10"));
  announcer.changed({ added: [], removed: rows.slice(0, 1) });
  assert.ok(owns());
  // The same row told twice counts once, and one that was never there not at all.
  announcer.changed({ added: rows.slice(1), removed: rows.slice(0, 1) });
  announcer.changed({ added: [], removed: rows.slice(1) });
  assert.ok(!owns());
});

test("a change, an announcement and a question look at what they touch, and at nothing else that is owned", async () => {
  const { announcer, clock, heard } = await made();
  const others = announcer.changed({
    added: Array.from({ length: 500 }, (_, at) => four(`198.51.${100 + (at >> 8)}.${at & 255}`)),
    removed: [],
  });
  let looks = 0;
  for (const owned of others) {
    for (const key of ["net", "address"] as const satisfies readonly (keyof Owned)[]) {
      const value = owned[key];
      const get = (): number | string => {
        looks += 1;
        return value;
      };
      Object.defineProperty(owned, key, { get });
    }
  }
  const one = four("203.0.113.10");
  announcer.announce(announcer.changed({ added: [one], removed: [] }));
  assert.ok(announcer.owns(net, "203.0.113.10"));
  assert.ok(!announcer.owns(net, "203.0.113.11"));
  clock.advance(1_000);
  announcer.changed({ added: [], removed: [one] });
  clock.advance(1_000);
  assert.deepEqual(heard(), ["203.0.113.10", "203.0.113.10"]);
  assert.equal(looks, 0);
});
