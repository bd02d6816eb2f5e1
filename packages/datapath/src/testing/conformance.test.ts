/** The simulated datapath passes the suite. */
import { datapathConformance } from "./conformance.ts";
import { simulatedTestFabric } from "./simulated-fabric.ts";

for (const version of [4, 6] as const)
  datapathConformance(`the simulated switch, over IPv${version},`, () => simulatedTestFabric(version));
