/** The conformance suite catches every broken datapath, by the check that is meant for it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { brokenDatapaths } from "./broken.ts";
import { runCheck } from "./check.ts";
import { datapathChecks } from "./conformance.ts";

test("no two checks bear the same name", () => {
  assert.equal(new Set(datapathChecks.map(({ name }) => name)).size, datapathChecks.length);
});

describe("a datapath is caught that", () => {
  for (const { name, caughtBy, make } of brokenDatapaths) {
    test(name, async () => {
      const check = datapathChecks.find((each) => each.name === caughtBy);
      assert.ok(check !== undefined, `there is no check '${caughtBy}'`);
      await assert.rejects(runCheck(check, make), Error, `'${caughtBy}' lets it pass`);
    });
  }
});
