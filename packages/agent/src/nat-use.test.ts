/** What a host says of its leased blocks: its own alone, in few steps, and of those that drain only when nothing is left. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeNatLease } from "@selvage/model/testing";
import { natUse } from "./nat-use.ts";

const lease = (id: string, size: number, more = {}) =>
  makeNatLease({ id, size, router_id: "r", host_id: "here", ...more });

test("a block is told as empty, nearly empty, in use or nearly full, and a connection more is no news", () => {
  const told = (count: number) => natUse([lease("a", 1024)], "here", () => count)[0]?.used;
  assert.deepEqual([0, 1, 127, 128, 768, 769, 5000].map(told), [0, 1, 1, 512, 512, 1024, 1024]);
});

test("others' blocks are theirs to tell, and so is what the switch cannot count", () => {
  const leases = [lease("a", 1024, { host_id: "there" }), lease("b", 1024), lease("c", 1024, { router_id: "unknown" })];
  assert.deepEqual(
    natUse(leases, "here", (router) => (router === "r" ? 3 : undefined)),
    [{ lease: "b", used: 1 }],
  );
});

test("a block that drains is told when nothing of the router is left, the fullest first", () => {
  const leases = [lease("old", 1024, { current: false }), lease("new", 2048)];
  assert.deepEqual(
    natUse(leases, "here", () => 900),
    [{ lease: "new", used: 1024 }],
  );
  assert.deepEqual(
    natUse(leases, "here", () => 0),
    [
      { lease: "new", used: 0 },
      { lease: "old", used: 0 },
    ],
  );
});
