/** Tests run under the pinned runtime: another Node would find no tests in TypeScript files and call that success. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

test("this is the pinned Node", () => {
  const lock = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8")) as {
    readonly optionalDependencies: Readonly<Record<string, string>>;
  };
  const pinned = new Set(Object.values(lock.optionalDependencies));
  assert.equal(pinned.size, 1, "both architectures pin one version");
  assert.equal(process.version, `v${[...pinned][0]}`);
});
