/** The driver against real switches: the suite that every datapath passes, over an underlay of either family. */
import { after, before, describe } from "node:test";
import { datapathConformance } from "../testing/conformance.ts";
import { OvsHosts, ovsTestFabric } from "../testing/ovs-fabric.ts";

for (const version of [4, 6] as const) {
  describe(`real switches on an IPv${version} underlay`, () => {
    let hosts: OvsHosts;
    before(async () => {
      hosts = await OvsHosts.start(version);
    });
    after(() => hosts?.dispose());
    datapathConformance("Open vSwitch", () => ovsTestFabric(hosts));
  });
}
