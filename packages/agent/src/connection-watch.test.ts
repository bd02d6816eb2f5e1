/** Tests of what is seen of ports' connections: the fullest are shown, who is full is told once, and told again when there is room. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMetrics, ManualClock, silentLog } from "@selvage/base";
import type { PortConnections } from "@selvage/datapath";
import { ConnectionWatch } from "./connection-watch.ts";

async function watched(tracked: () => Promise<ReadonlyMap<string, PortConnections>>) {
  const clock = new ManualClock();
  const metrics = await createMetrics();
  const state = { here: true, told: 0 };
  const watch = new ConnectionWatch({
    datapath: { tracked },
    clock,
    log: silentLog,
    metrics,
    isHere: () => state.here,
    changed: () => {
      state.told += 1;
    },
  });
  const ratios = async (): Promise<readonly string[]> =>
    [...(await metrics.text()).matchAll(/^selvage_port_connections_ratio\{port="(.*)"\} (.*)$/gm)].map(
      ([, port, ratio]) => `${port} ${ratio}`,
    );
  return { clock, metrics, state, watch, ratios };
}

const of = (counts: Readonly<Record<string, number>>, most = 100): ReadonlyMap<string, PortConnections> =>
  new Map(Object.entries(counts).map(([port, count]) => [port, { count, most }]));

test("the ports that come nearest to what they may have are shown, and none that is not among them any more", async () => {
  let now = of({ a: 1, b: 20, c: 3, d: 4, e: 5, f: 6, g: 0 });
  const { watch, ratios, metrics } = await watched(async () => now);
  await watch.look();
  assert.deepEqual(await ratios(), ["b 0.2", "f 0.06", "e 0.05", "d 0.04", "c 0.03"]);
  assert.match(await metrics.text(), /^selvage_connections 39$/m);
  now = of({ a: 50 });
  await watch.look();
  assert.deepEqual(await ratios(), ["a 0.5"]);
  await watch.close();
});

test("a port that is full is told once, and once more when it has room again", async () => {
  let now = of({ a: 100, b: 99 });
  const { watch, state } = await watched(async () => now);
  await watch.look();
  assert.deepEqual([[...watch.full], state.told], [["a"], 1]);
  now = of({ a: 95, b: 99 });
  await watch.look();
  assert.deepEqual([[...watch.full], state.told], [["a"], 1], "it is about to be full again");
  now = of({ a: 80, b: 99 });
  await watch.look();
  assert.deepEqual([[...watch.full], state.told], [[], 2]);
  await watch.close();
});

test("it looks again and again, not while the switch is away, and outlives one that cannot tell", async () => {
  let looks = 0;
  const { watch, clock, state } = await watched(async () => {
    looks += 1;
    if (looks === 1) throw new Error("away");
    return of({ a: 100 });
  });
  const passes = async (): Promise<void> => {
    clock.advance(10_000);
    // What was begun has come to its end.
    await new Promise<void>((resolve) => setImmediate(resolve));
  };
  watch.start();
  await passes();
  assert.deepEqual([looks, watch.full.size], [1, 0]);
  await passes();
  assert.deepEqual([looks, watch.full.size], [2, 1]);
  state.here = false;
  await passes();
  assert.equal(looks, 2);
  await watch.close();
  await passes();
  assert.equal(looks, 2);
});
