/** Two datapaths, one meaning: random packets through random topologies end alike on simulated and on real switches, and deliberate faults are found. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { NatAsk, NatAsked, selvageProgram } from "@selvage/pipeline";
import { type CampaignResult, campaign, scenarioText } from "./campaign.ts";
import { type Fault, FaultyRenderer, faults } from "./faults.ts";
import { outsideFaults } from "./faults-outside.ts";
import { policyFaults, routerFaults } from "./faults-policy.ts";
import { RealSide } from "./real-side.ts";

/** Met by the agents' own packets alone, which no machine sends, and compared in `datapath`, by the suite that both drivers pass. */
const elsewhere: ReadonlySet<string> = new Set([NatAsk, NatAsked].map(({ name }) => name));

const usualSeed = 20_261;
const timeout = 120_000;
/** Packets among which a fault must be found. */
const enough = 6_000;

const told = ({ cases, topologies, traces, milliseconds }: CampaignResult): string =>
  `${cases} packets in ${topologies} topologies, ${traces} traces, ${Math.round(cases / (milliseconds / 1000))} packets/s`;

describe("simulated and real switches", () => {
  const sides = new Map<4 | 6, RealSide>();
  const tables = new Set<string>();
  const ends = new Set<string>();
  const real = (version: 4 | 6): RealSide => sides.get(version) ?? assert.fail("no switches");
  before(async () => {
    for (const version of [4, 6] as const) sides.set(version, await RealSide.start(version));
  });
  after(async () => {
    for (const side of sides.values()) await side.dispose();
  });

  for (const [version, cases] of [
    [4, 1_300],
    [6, 700],
  ] as const) {
    test(`${cases} random packets end alike on an IPv${version} underlay`, { timeout }, async (t) => {
      const result = await campaign(real(version), { seed: usualSeed + version, cases, shrink: 100 });
      t.diagnostic(told(result));
      const { divergence } = result;
      assert.equal(divergence, null, `${divergence?.text}\n${divergence && scenarioText(divergence.scenario)}`);
      assert.ok(result.cases >= cases);
      for (const name of result.tables.keys()) tables.add(name);
      for (const name of result.ends.keys()) ends.add(name);
    });
  }

  test("among them every table was met, and every end", () => {
    const unmet = selvageProgram.tables.filter(({ name }) => !tables.has(name) && !elsewhere.has(name));
    assert.deepEqual(
      unmet.map(({ name }) => name),
      [],
    );
    assert.deepEqual([...ends].sort(), ["drop", "held", "output", "punt", "suppressed", "tunnel"]);
  });

  /** Has the switches told what a fault makes of rows, while something is done. */
  async function faulty<T>(fault: Fault, act: (side: RealSide) => Promise<T>): Promise<T> {
    const side = real(4);
    for (const host of side.hosts) await host.drive({ renderer: new FaultyRenderer(fault) });
    try {
      return await act(side);
    } finally {
      for (const host of side.hosts) await host.drive({});
    }
  }

  test("what is found is told by a scenario of few packets", { timeout }, async () => {
    const [fault] = faults;
    assert.ok(fault);
    const { divergence } = await faulty(fault, (side) =>
      campaign(side, { seed: usualSeed + 4, cases: enough, shrink: 80, of: "inside" }),
    );
    assert.ok(divergence);
    assert.ok(divergence.scenario.shots.length <= 3, `${divergence.text}\n${scenarioText(divergence.scenario)}`);
    assert.match(divergence.text, /arp: arp\(own: /, "the row that should have been met");
    assert.match(divergence.text, /simulated on host[\s\S]*bridge\("br-int"\)/, "both sides' account");
  });

  for (const [of, usual, all] of [
    ["inside", usualSeed + 4, [...faults, ...policyFaults, ...routerFaults]],
    ["outside", 3, outsideFaults],
  ] as const)
    for (const fault of all) {
      test(`it is found when ${fault.name}`, { timeout }, async (t) => {
        const { seed = usual } = fault;
        const result = await faulty(fault, (side) => campaign(side, { seed, cases: enough, shrink: 0, of }));
        t.diagnostic(told(result));
        assert.notEqual(result.divergence, null, `not within ${result.cases} packets`);
      });
    }
});
