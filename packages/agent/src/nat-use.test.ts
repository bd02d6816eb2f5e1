/** What a host says of its leased blocks: its own alone, in few steps, and of those that drain only when nothing is left. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeNatLease } from "@selvage/model/testing";
import { type NatLook, NatUse } from "./nat-use.ts";

const lease = (id: string, size: number, more = {}) =>
  makeNatLease({ id, size, router_id: "r", host_id: "here", ...more });

const natUse = (leases: readonly ReturnType<typeof lease>[], hostId: string, translated: NatLook["translated"]) => {
  const use = new NatUse();
  use.of(leases, hostId, { begun: 0, translated }, 0);
  return use.of(leases, hostId, { begun: 1, translated }, 2);
};

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

test("that nothing is left in a block is believed of a look that began when nothing could begin there any more", () => {
  const use = new NatUse();
  const [old, fresh] = [lease("a", 1024), lease("b", 512)];
  const drained = { ...old, current: false };
  const at = (begun: number, now: number | undefined, leases: readonly (typeof old)[]) =>
    use.of(leases, "here", { begun, translated: () => 0 }, now).map(({ lease }) => lease);
  assert.deepEqual(at(10, 11, [old]), ["a"]);
  assert.deepEqual(at(10, undefined, [drained, fresh]), ["b"], "the switch does not know yet");
  assert.deepEqual(at(16, undefined, [drained, fresh]), ["b"]);
  assert.deepEqual(at(16, 18, [drained, fresh]), ["b"], "the look is from before");
  assert.deepEqual(at(18, 19, [drained, fresh]), ["b"]);
  assert.deepEqual(at(20, undefined, [drained, fresh]), ["a", "b"]);
  assert.deepEqual(at(30, 31, [old, { ...fresh, current: false }]), ["a"], "it is in use again");
  assert.deepEqual(at(40, 41, [drained]), [], "and drains anew");
});
