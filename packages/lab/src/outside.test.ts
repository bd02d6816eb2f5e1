import assert from "node:assert/strict";
import { test } from "node:test";
import { parseWires } from "./outside.ts";

test("wires are said by physical network, and known by host", () => {
  const wires = parseWires("left=h1+h2,right=h3,third=h1");
  assert.deepEqual(
    [...wires],
    [
      ["h1", ["left", "third"]],
      ["h2", ["left"]],
      ["h3", ["right"]],
    ],
  );
  for (const wrong of [
    "",
    "left",
    "left=",
    "left=h1=h2",
    "left=1",
    "Left=h1",
    "le=h1",
    "left=h1,leftish=h2",
    "public=h1",
    "left=h1,left=h2",
  ])
    assert.throws(() => parseWires(wrong), { code: "setting" }, wrong);
});
