/** Which releases of the switch may change the wrong cached flow, told by their own words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { mayChangeWrongFlow } from "./control.ts";

const version = (text: string): string => `ovs-vswitchd (Open vSwitch) ${text}\n`;

test("releases before the mending of each branch may, later ones do not", () => {
  for (const text of ["2.15.0", "2.17.7", "2.17.0", "3.0.0", "3.0.4", "3.1.0", "3.1.2"])
    assert.equal(mayChangeWrongFlow(version(text)), true, text);
  for (const text of ["2.17.8", "2.17.12", "3.0.5", "3.1.3", "3.1.10", "3.2.0", "3.5.1", "4.0.0"])
    assert.equal(mayChangeWrongFlow(version(text)), false, text);
});

test("one that cannot be read may", () => {
  assert.equal(mayChangeWrongFlow("ovs-vswitchd of my own making"), true);
});
