import assert from "node:assert/strict";
import { test } from "node:test";
import { parseWires, refuseRewiring } from "./outside.ts";

const fabric = ["h1", "h2", "h3"];

test("wires are said by physical network, and known by host", () => {
  const wires = parseWires("left=h1+h2,right=h3,third=h1", fabric);
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
    assert.throws(() => parseWires(wrong, fabric), { code: "setting" }, wrong);
});

test("wires of a host that is not there, or named as something of the lab's, are refused by name", () => {
  for (const [wrong, message] of [
    ["left=h9", /no host h9$/],
    ["left=h1+h4", /no host h4$/],
    ["left=h1,right=h01", /no host h01$/],
    ["int=h1", /name int /],
    ["uplink=h1", /name uplink /],
    ["left=h1,underlay=h2", /name underlay /],
    ["all=h1", /name all /],
    ["default=h1", /name default /],
  ] as const)
    assert.throws(() => parseWires(wrong, fabric), { code: "setting", message }, wrong);
  for (const name of ["interior", "uplinks", "under"])
    assert.deepEqual([...parseWires(`${name}=h1`, fabric)], [["h1", [name]]]);
});

test("a host that is there keeps its wires: the same may be said again, others are refused", () => {
  const hosts = [{ name: "h1", wires: ["left", "right"] }, { name: "h2" }];
  refuseRewiring(parseWires("right=h1+h3,left=h1", fabric), hosts);
  const message = /h1 is there already, with left, right$/;
  assert.throws(() => refuseRewiring(parseWires("left=h1", fabric), hosts), { code: "setting", message });
  assert.throws(() => refuseRewiring(parseWires("left=h2", fabric), hosts), {
    message: /h2 is there already, with none$/,
  });
});
