/**
 * Connections through source translation on a real switch, opened and ended as fast as is asked: `node packages/datapath/churn.ts [seconds] [connections a second]`
 * (60 and 2,000 unless told). Prints what became of them; fails when the switch is lost or anything leaves untranslated. Needs root and Open vSwitch.
 */
import { churn } from "./src/testing/churn.ts";
import { OvsHosts, ovsTestFabric } from "./src/testing/ovs-fabric.ts";
import { World } from "./src/testing/world.ts";

const seconds = Number(process.argv[2] ?? 60);
const rate = Number(process.argv[3] ?? 2_000);

const hosts = await OvsHosts.start(4, 2);
try {
  const fabric = await ovsTestFabric(hosts);
  const world = new World(fabric);
  const figures = await churn(world, { seconds, rate, sources: 1_000, destinations: 4 });
  const lost = world.heard(0).life.all.filter((event) => event === "lost").length;
  const drops = Object.fromEntries(await world.datapath(0).drops());
  process.stdout.write(`${JSON.stringify({ seconds, rate, ...figures, lost, drops })}\n`);
  if (lost > 0 || figures.leaked > 0) process.exitCode = 1;
  await fabric.dispose();
} finally {
  await hosts.dispose();
}
