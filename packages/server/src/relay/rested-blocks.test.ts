/** Blocks that have rested are looked for by the clock: given back in one transaction, and again where the store was away. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fail, ManualClock, silentLog } from "@selvage/base";
import { Host, NatLease, NatRest, Network, Port, Router, Subnet } from "@selvage/model";
import {
  makeExternalNetwork,
  makeGateway,
  makeHost,
  makeNetwork,
  makePort,
  makeRouter,
  makeSubnet,
  put,
} from "@selvage/model/testing";
import { giveBackRested, type RestedBlocksOptions } from "./rested-blocks.ts";
import { Log } from "./testing/world.ts";

const text = (milliseconds: number): string => `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;

test("what has rested goes to who waits for it, by itself, and a store that is away is tried again", async () => {
  const clock = new ManualClock();
  const log = new Log();
  const blocks = [1, 2, 4, 8, 16, 32].map((times) => 1024 * times);
  log.append([
    put(Host, makeHost({ id: "h", name: "h1" })),
    put(Network, makeExternalNetwork({ id: "x" })),
    put(Subnet, makeSubnet({ id: "s", network_id: "x", cidr: "203.0.113.0/24" })),
    put(Network, makeNetwork({ id: "n" })),
    put(Router, makeRouter({ id: "r" })),
    put(Port, makePort({ id: "i", key: 1, mac_address: "fa:16:3e:00:00:01", network_id: "n", router_id: "r" })),
    put(
      Port,
      makePort({ id: "p", key: 2, mac_address: "fa:16:3e:00:00:02", network_id: "n", "binding:host_id": "h1" }),
    ),
    put(
      Port,
      makeGateway({
        ...{ id: "g", key: 3, mac_address: "fa:16:3e:00:00:03", network_id: "x", gateway_of: "r" },
        fixed_ips: [{ subnet_id: "s", ip_address: "203.0.113.10" }],
      }),
    ),
    ...blocks.map((size) =>
      put(NatRest, {
        ...{ id: `rest-${size}`, network_id: "x", address: "203.0.113.10", first: size, size },
        until: text(clock.now() + 15_000),
      }),
    ),
  ]);
  let isAway = true;
  let written = 0;
  const stop = giveBackRested({
    clock,
    log: silentLog,
    writer: {
      replica: log.replica,
      transact: async (author, rules) => {
        if (isAway) throw fail("StoreUnavailable", { reason: "it is away" });
        written += 1;
        return log.transact(author, rules);
      },
    } as RestedBlocksOptions["writer"],
  });
  const pass = async (milliseconds: number): Promise<void> => {
    clock.advance(milliseconds);
    await new Promise((resolve) => setImmediate(resolve));
  };
  const held = () => [...log.replica.objects(NatLease)].map(({ host_id }) => host_id);
  await pass(10_000);
  assert.deepEqual([written, held()], [0, []], "they rest");
  await pass(10_000);
  isAway = false;
  await pass(10_000);
  assert.deepEqual([written, held(), [...log.replica.objects(NatRest)].length], [1, ["h"], 0]);
  await pass(10_000);
  assert.equal(written, 1);
  await stop();
  assert.equal(clock.pending, 0);
});
