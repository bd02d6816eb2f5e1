/** The comparison with the simulated switches agrees with themselves, shows enough of the program, and notices every kind of difference. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type AnyTable, constant, drop, F, goto, program, selvageProgram, set } from "@selvage/pipeline";
import { SimulatedDatapath, type SimulatedDatapathOptions } from "../simulated/datapath.ts";
import type { Trace } from "../simulated/interpreter.ts";
import { assertAgreement } from "./agreement.ts";
import { actionsOf, constantsWithout, stepsWithout } from "./broken-kinds.ts";
import { simulatedTestFabric } from "./simulated-fabric.ts";

const draw = { seed: 7, count: 300 } as const;

test("simulated switches agree with themselves, over either underlay, and the frames meet nearly all of the program", async () => {
  const traces: Trace[] = [];
  class Watched extends SimulatedDatapath {
    constructor(options: SimulatedDatapathOptions) {
      super({ ...options, watch: (trace) => traces.push(trace) });
    }
  }
  for (const version of [4, 6] as const)
    await assertAgreement(() => simulatedTestFabric(version, { make: (options) => new Watched(options) }), draw);
  const met = new Set(traces.flatMap(({ visits }) => visits.map(({ table }) => table)));
  // Which of several next hops a flow takes is each switch's own choice; the host's services and the agent's questions say nothing here, and no router stands on a wire
  // (tests/differential draws those).
  assert.deepEqual(
    selvageProgram.tables.flatMap(({ name }) => (met.has(name) ? [] : [name])),
    ["echo_back", "next_hops", "service_in", "interface_in", "nat_ask", "nat_asked"],
  );
  const kinds = new Set(traces.flatMap(({ outcomes }) => outcomes.map(({ kind }) => kind)));
  assert.deepEqual([...kinds].sort(), ["drop", "held", "output", "punt", "suppressed", "tunnel"]);
});

const connectedWithoutTtl = stepsWithout("route", "connected4", (step) => step.do === "decrementTtl");
const wrong: readonly (readonly [string, string, Partial<AnyTable>])[] = [
  ["lets spoofed MACs through", "guard_mac", { miss: [goto("guard_ip")] }],
  ["drops for another reason", "guard_mac", { miss: [drop("anti-spoof-ip")] }],
  ["floods what it does not know", "l2", { miss: [goto("mcast")] }],
  [
    "answers with another MAC",
    "neighbour",
    { actions: { known: { params: { mac: "mac" }, steps: [set(F.nhMac, constant("02:00:00:00:00:01"))] } } },
  ],
  ["leaves DHCP to the network", "dhcp", { actions: { serve: { params: {}, steps: [goto("l2")] } } }],
  ["keeps no connections", "commit_in", { miss: [goto("deliver")] }],
  ["lets known connections live", "live_out", { miss: [goto("to_router")] }],
  [
    "lets pass what is of no connection",
    "live_in",
    { actions: actionsOf("live_in", { invalid: [goto("policy_in")] }) },
  ],
  ["polices no stateless receivers", "receiver", { actions: actionsOf("receiver", { stateless: [goto("deliver")] }) }],
  ["looks up nobody's addresses", "remote_id", { actions: actionsOf("remote_id", { known: [goto("fabric_vni")] }) }],
  [
    "lets in from outside what nobody asked for",
    "ext_in_state",
    { constants: constantsWithout("ext_in_state", "ports"), miss: [goto("route")] },
  ],
  ["lets a machine's errors out", "nat_out", { constants: constantsWithout("nat_out", "error") }],
  ["does not count hops", "route", { actions: actionsOf("route", { connected4: connectedWithoutTtl }) }],
];

for (const [what, table, part] of wrong) {
  test(`a switch is caught that ${what}`, async () => {
    const tables = selvageProgram.tables.map((each): AnyTable => (each.name === table ? { ...each, ...part } : each));
    const other = program("classify", tables);
    await assert.rejects(assertAgreement(() => simulatedTestFabric(4, { deadline: 60, program: other }), draw));
  });
}
