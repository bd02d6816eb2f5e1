/** The conformance suite catches every broken driver, by the check that is meant for it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { brokenDrivers } from "./broken.ts";
import { storeChecks } from "./conformance.ts";
import { runCheck } from "./harness.ts";

/** Milliseconds after which a driver that hangs counts as caught. Only drivers that hang ever wait for it. */
const deadline = 2_000;

test("no two checks bear the same name", () => {
  assert.equal(new Set(storeChecks.map(({ name }) => name)).size, storeChecks.length);
});

describe("a driver is caught that", () => {
  for (const { name, caughtBy, open } of brokenDrivers) {
    test(name, async () => {
      const check = storeChecks.find((each) => each.name === caughtBy);
      assert.ok(check !== undefined, `there is no check '${caughtBy}'`);
      await assert.rejects(runCheck(check, open, deadline), Error, `'${caughtBy}' lets it pass`);
    });
  }
});
