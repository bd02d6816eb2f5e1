/** What stands between hosts for addresses that move: one MAC each, whose bits all tell addresses apart. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { movingMac } from "./addresses.ts";

test("an address that moves has a MAC of its own, that is local and nobody's group", () => {
  assert.equal(movingMac("10.0.1.200"), "0e:53:0a:00:01:c8");
  assert.match(movingMac("2001:db8::c8"), /^0a(:[0-9a-f]{2}){5}$/);
});

test("addresses that are alike in the last four octets of their MACs are told apart by the one before", () => {
  const [one, other] = ["2001:db8:1:1:6282:b856:820f:6ace", "2001:db8:1:1:dd21:3ccb:e369:8f23"].map(movingMac);
  assert.equal(one?.slice(6), other?.slice(6));
  assert.notEqual(one, other);
});
