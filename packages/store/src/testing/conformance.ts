/** The suite that every driver of the store passes. The checks are plain functions, so that broken drivers can be shown to fail them. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { appendChecks } from "./append-checks.ts";
import { type Check, type Opened, type OpenForTest, runCheck, TestClock } from "./harness.ts";
import { lifecycleChecks } from "./lifecycle-checks.ts";
import { snapshotChecks } from "./snapshot-checks.ts";
import { stateChecks } from "./state-checks.ts";
import { tailChecks } from "./tail-checks.ts";

/** Every check, of every driver. */
export const storeChecks: readonly Check[] = [
  ...appendChecks,
  ...tailChecks,
  ...snapshotChecks,
  ...stateChecks,
  ...lifecycleChecks,
];

/** Whether a store opened for a test offers what the check needs. */
export function offers(opened: Opened, check: Check): boolean {
  return check.needs === undefined || opened[check.needs] !== undefined;
}

/** Defines the suite for one driver with node:test. `open` gives a new, empty store for each check. */
export async function storeConformance(name: string, open: OpenForTest): Promise<void> {
  const sample = await open(new TestClock());
  await sample.dispose();
  describe(`${name} is a store`, () => {
    test("a durable driver can be opened again", () => {
      assert.equal(sample.reopen !== undefined, sample.store.durable);
    });
    for (const check of storeChecks.filter((each) => offers(sample, each)))
      test(check.name, () => runCheck(check, open));
  });
}
