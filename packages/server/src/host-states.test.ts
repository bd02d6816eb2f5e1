import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryHostStates } from "./host-states.ts";

test("a host never heard of is not alive and has nothing up", () => {
  const { alive, heardAt, inForce, portsUp } = new MemoryHostStates().of("h");
  assert.deepEqual([alive, heardAt, inForce, portsUp.size], [false, 0, undefined, 0]);
});

test("a report changes what it names and nothing else; revision 0 and no port are reports, too", () => {
  const states = new MemoryHostStates({ now: () => 5 });
  states.report("h", { portsUp: ["a", "b"], inForce: 7, unbound: ["x"], datapath: "ovs", problems: ["p"] });
  states.report("h", { inForce: 0 });
  const state = states.of("h");
  assert.deepEqual([state.inForce, [...state.portsUp], state.unbound, state.problems], [0, ["a", "b"], ["x"], ["p"]]);
  assert.equal(state.datapath, "ovs");
  states.report("h", { portsUp: [], unbound: [], problems: [] });
  assert.deepEqual([states.portUp("h", "a"), states.of("h").unbound, states.inForce("h")], [false, [], 0]);
});

test("a host is alive while its stream is open and it was heard from lately; what it said last is kept", () => {
  let now = 1_000;
  const states = new MemoryHostStates({ now: () => now, lease: 100 });
  states.report("h", { portsUp: ["a"] });
  now += 99;
  assert.equal(states.alive("h"), true);
  now += 1;
  assert.equal(states.alive("h"), false);
  states.report("h", {});
  assert.equal(states.alive("h"), true);
  states.gone("h");
  assert.deepEqual([states.alive("h"), states.portUp("h", "a")], [false, true]);
  states.forget("h");
  assert.equal(states.portUp("h", "a"), false);
});

test("listeners are told which host changed, until they stop", () => {
  const states = new MemoryHostStates();
  const told: string[] = [];
  const stop = states.onChange((id) => told.push(id));
  states.report("a", {});
  states.gone("b");
  states.gone("a");
  stop();
  states.forget("a");
  assert.deepEqual(told, ["a", "a"], "of a host never heard of there is nothing to tell");
});
