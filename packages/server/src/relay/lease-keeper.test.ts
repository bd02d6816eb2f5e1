/** Leased blocks follow what hosts say: one transaction at a time for a host, none while the blocks fit, and a store that is away is no end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fail, silentLog } from "@selvage/base";
import { Host, NatLease, Network, Router } from "@selvage/model";
import { makeExternalNetwork, makeHost, makeNatLease, makeRouter, put } from "@selvage/model/testing";
import { LeaseKeeper } from "./lease-keeper.ts";
import { Log } from "./testing/world.ts";

function world() {
  const log = new Log();
  log.append([
    put(Host, makeHost({ id: "h" })),
    put(Network, makeExternalNetwork({ id: "x" })),
    put(Router, makeRouter({ id: "r" })),
    put(NatLease, makeNatLease({ id: "first", router_id: "r", host_id: "h", network_id: "x" })),
  ]);
  const sizes = () =>
    [...log.replica.objects(NatLease)].map(({ size, current }) => `${size}${current ? "" : " draining"}`).sort();
  return { log, sizes };
}

test("a full block is exchanged for a larger one, once, however often the host says it meanwhile", async () => {
  const { log, sizes } = world();
  const waiting: (() => void)[] = [];
  let written = 0;
  const keeper = new LeaseKeeper({
    log: silentLog,
    writer: {
      replica: log.replica,
      transact: async (author, rules) => {
        await new Promise<void>((resolve) => waiting.push(resolve));
        written += 1;
        return log.transact(author, rules);
      },
    } as ConstructorParameters<typeof LeaseKeeper>[0]["writer"],
  });
  keeper.used("h", [{ lease: "first", used: 512 }]);
  assert.equal(waiting.length, 0, "it fits");
  for (let times = 0; times < 3; times += 1) keeper.used("h", [{ lease: "first", used: 1024 }]);
  assert.equal(waiting.length, 1);
  waiting[0]?.();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([written, sizes()], [1, ["1024 draining", "2048"]]);
  keeper.used("h", [{ lease: "first", used: 0 }]);
  waiting[1]?.();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([written, sizes()], [2, ["2048"]]);
});

test("a store that is away is tried again with the next word of the host", async () => {
  const { log, sizes } = world();
  let isAway = true;
  const keeper = new LeaseKeeper({
    log: silentLog,
    writer: {
      replica: log.replica,
      transact: async (author, rules) => {
        if (isAway) throw fail("StoreUnavailable", { reason: "it is away" });
        return log.transact(author, rules);
      },
    } as ConstructorParameters<typeof LeaseKeeper>[0]["writer"],
  });
  const say = async (): Promise<void> => {
    keeper.used("h", [{ lease: "first", used: 1024 }]);
    await new Promise((resolve) => setImmediate(resolve));
  };
  await say();
  assert.deepEqual(sizes(), ["1024"]);
  isAway = false;
  await say();
  assert.deepEqual(sizes(), ["1024 draining", "2048"]);
});
