/** Tests of the demo's plan: what it must prove follows from its addresses and places. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { demoPings, demoPlan } from "./demo.ts";

test("both projects have one address in common, and machines of a project are on different hosts", () => {
  for (const hosts of [
    ["h1", "h2"],
    ["h1", "h2", "h3"],
    ["h1", "h2", "h3", "h4", "h5"],
  ]) {
    const [red, blue] = demoPlan(hosts);
    assert.ok(red !== undefined && blue !== undefined);
    assert.equal(red.machines[0].ipv4, blue.machines[0].ipv4);
    assert.equal(red.machines[0].ipv6, blue.machines[0].ipv6);
    for (const project of [red, blue]) assert.notEqual(project.machines[0].host, project.machines[1].host);
  }
  assert.ok(demoPlan(["h1"]).every((project) => project.machines.every((machine) => machine.host === "h1")));
});

test("pings within a project must be answered, by IPv4 and IPv6; an address that only the other project has must not", () => {
  const pings = demoPings(demoPlan(["h1", "h2", "h3"]));
  const seen = pings.map((ping) => `${ping.from} ${ping.address} ${ping.expected}`);
  assert.deepEqual(seen, [
    "red-1 10.0.0.12 reached",
    "red-1 fd00::12 reached",
    "red-1 10.0.0.13 silence",
    "red-1 fd00::13 silence",
    "blue-1 10.0.0.13 reached",
    "blue-1 fd00::13 reached",
    "blue-1 10.0.0.12 silence",
    "blue-1 fd00::12 silence",
  ]);
});
