/** A short soak in every run of the tests; a long one is `npm run test:soak -- --seconds 600`. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { whyNoLab } from "@selvage/lab/testing";
import { Chance } from "./chance.ts";
import { soak } from "./soak.ts";

const skip = (await whyNoLab()) ?? false;

test("what is drawn is drawn again by the same seed, and is of those that are there", () => {
  const draw = (seed: number): readonly number[] => {
    const chance = new Chance(seed);
    return Array.from({ length: 1_000 }, () => chance.below(7));
  };
  assert.deepEqual(draw(5), draw(5));
  assert.notDeepEqual(draw(5), draw(6));
  for (let n = 0; n < 7; n += 1) assert.ok(draw(5).filter((each) => each === n).length > 100, `${n}`);
  assert.equal(new Chance(1).of([]), undefined);
});

test("whatever is done to ports, rules, routers and what leads outside, under whatever machines and the outside say, no packet misses a table, no row is lost, and a pair beside it notices nothing", {
  skip,
}, async (context) => {
  const seed = Math.floor(Math.random() * 0x7fffffff);
  context.diagnostic(`seed ${seed}`);
  const { faults, steps, sent, sentOutside, asked, hosts, done, refused } = await soak({ hosts: 3, seconds: 12, seed });
  context.diagnostic(
    `${steps} steps, ${sent} frames and ${sentOutside} from outside, ${asked} pings; ${JSON.stringify(Object.fromEntries(done))}`,
  );
  context.diagnostic(`refused: ${JSON.stringify(Object.fromEntries(refused))}`);
  for (const { host, rows, drops } of hosts)
    context.diagnostic(`${host}: ${rows} rows, dropped ${JSON.stringify(drops)}`);
  assert.deepEqual(faults, []);
  const met = (reason: string): number => hosts.reduce((sum, { drops }) => sum + (drops[reason] ?? 0), 0);
  assert.ok(met("outside-unknown") > 10, "what came from outside met what is for hosts there");
  assert.ok(steps > 10 && sent > 1_000 && sentOutside > 1_000 && asked > 50, "something happened");
});
