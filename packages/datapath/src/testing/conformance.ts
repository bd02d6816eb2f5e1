/** The suite that every datapath passes. The checks are plain functions, so that broken datapaths can be shown to fail them. */
import { describe, test } from "node:test";
import { type Check, runCheck } from "./check.ts";
import { connectionChecks } from "./connection-checks.ts";
import type { MakeFabric } from "./fabric.ts";
import { lifecycleChecks } from "./lifecycle-checks.ts";
import { limitChecks } from "./limit-checks.ts";
import { natChecks } from "./nat-checks.ts";
import { packetChecks } from "./packet-checks.ts";
import { physicalChecks } from "./physical-checks.ts";
import { policyChecks } from "./policy-checks.ts";
import { roundChecks } from "./round-checks.ts";
import { routerChecks } from "./router-checks.ts";
import { rowChecks } from "./row-checks.ts";
import { serviceChecks } from "./service-checks.ts";

/** Every check, of every datapath. */
export const datapathChecks: readonly Check[] = [
  ...rowChecks,
  ...packetChecks,
  ...policyChecks,
  ...connectionChecks,
  ...routerChecks,
  ...limitChecks,
  ...serviceChecks,
  ...physicalChecks,
  ...natChecks,
  ...roundChecks,
  ...lifecycleChecks,
];

/** Defines the suite for one driver with node:test. `make` gives a new fabric, nothing plugged, for each check. */
export function datapathConformance(name: string, make: MakeFabric): void {
  describe(`${name} is a datapath`, () => {
    for (const check of datapathChecks) test(check.name, () => runCheck(check, make));
  });
}
