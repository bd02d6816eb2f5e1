/** Two datapaths, one meaning: random packets through random topologies end alike on simulated and on real switches, and deliberate faults are found. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  HoldersHere,
  HoldersThere,
  outsideTables,
  policyTables,
  routerTables,
  ServiceIn,
  selvageProgram,
} from "@selvage/pipeline";
import { type CampaignResult, campaign, scenarioText } from "./campaign.ts";
import { FaultyRenderer, faults } from "./faults.ts";
import { RealSide } from "./real-side.ts";

/**
 * What these topologies have none of: security groups, routers, an outside, virtual MACs, and programs that answer as the host's services. They are compared in `datapath`,
 * by conversations (`agreement-switch.test.ts`) and by the suite that both drivers pass.
 */
const elsewhere: ReadonlySet<string> = new Set(
  [...policyTables, ...routerTables, ...outsideTables, HoldersHere, HoldersThere, ServiceIn].map(({ name }) => name),
);

const seed = 20_261;
const timeout = 120_000;

const told = ({ cases, topologies, traces, milliseconds }: CampaignResult): string =>
  `${cases} packets in ${topologies} topologies, ${traces} traces, ${Math.round(cases / (milliseconds / 1000))} packets/s`;

for (const [version, cases] of [
  [4, 1_300],
  [6, 700],
] as const) {
  describe(`on an IPv${version} underlay`, () => {
    let real: RealSide;
    before(async () => {
      real = await RealSide.start(version);
    });
    after(() => real?.dispose());

    test(`${cases} random packets end alike`, { timeout }, async (t) => {
      const result = await campaign(real, { seed: seed + version, cases, shrink: 100 });
      t.diagnostic(told(result));
      const { divergence } = result;
      assert.equal(divergence, null, `${divergence?.text}\n${divergence && scenarioText(divergence.scenario)}`);
      assert.ok(result.cases >= cases);
      const unmet = selvageProgram.tables.filter(({ name }) => !result.tables.has(name) && !elsewhere.has(name));
      assert.deepEqual(
        unmet.map(({ name }) => name),
        [],
        "every other table was met",
      );
      assert.deepEqual([...result.ends.keys()].sort(), ["drop", "output", "punt", "suppressed", "tunnel"]);
    });

    if (version === 6) return;

    for (const fault of faults) {
      test(`it is found when ${fault.name}`, { timeout }, async (t) => {
        for (const host of real.hosts) await host.drive({ renderer: new FaultyRenderer(fault) });
        try {
          const result = await campaign(real, { seed: seed + version, cases: 2_000, shrink: 0 });
          t.diagnostic(told(result));
          assert.notEqual(result.divergence, null, `not within ${result.cases} packets`);
        } finally {
          for (const host of real.hosts) await host.drive({});
        }
      });
    }

    test("what is found is told by a scenario of few packets", { timeout }, async () => {
      const [fault] = faults;
      assert.ok(fault);
      for (const host of real.hosts) await host.drive({ renderer: new FaultyRenderer(fault) });
      try {
        const { divergence } = await campaign(real, { seed: seed + version, cases: 2_000, shrink: 100 });
        assert.ok(divergence);
        assert.ok(divergence.scenario.shots.length <= 3, scenarioText(divergence.scenario));
        assert.match(divergence.text, /arp: arp\(own: /, "the row that should have been met");
        assert.match(divergence.text, /simulated on host[\s\S]*bridge\("br-int"\)/, "both sides' account");
      } finally {
        for (const host of real.hosts) await host.drive({});
      }
    });
  });
}
