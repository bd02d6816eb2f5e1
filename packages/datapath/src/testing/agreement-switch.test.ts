/** The simulated switches and real ones agree on random frames and conversations. */
import { after, before, describe, test } from "node:test";
import { assertAgreement } from "./agreement.ts";
import { OvsHosts, ovsTestFabric } from "./ovs-fabric.ts";

describe("real and simulated switches agree", () => {
  let hosts: OvsHosts;
  before(async () => {
    hosts = await OvsHosts.start(4);
  });
  after(() => hosts?.dispose());
  for (const seed of [7, 8])
    test(`on what seed ${seed} draws`, () => assertAgreement(() => ovsTestFabric(hosts), { seed, count: 200 }));
});
