/**
 * Tests do not sleep: they wait on the fact. Wherever they, what helps them, scripts, benches or the lab that they drive name time, the file is listed here, with
 * how often and why: whoever adds a timer must say what fact it is that nothing announces, or what else the clock is for.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { everywhere } from "./sources.ts";

/** By whichever name the timer calls back, in this program, in a shell's or in another's. */
const timers = [
  /(?<![.\w])set(Timeout|Interval)\(/g,
  /\bsetTimeout\b(?=\s*[,)])/g,
  /(scheduler\.wait|Atomics\.wait(Async)?|\.sleep)\(/g,
  /\bsleep \$?[\d{.]/g,
];

/** A turn of the event loop is none. */
const modules = /import (?!\{ setImmediate( as \w+)? \}).* from "node:timers\/promises"/g;

const isLookedAt = ({ path, isTest }: { readonly path: string; readonly isTest: boolean }): boolean =>
  isTest || !path.startsWith("packages/") || path.startsWith("packages/lab/");

const looks = "looks again for a fact of other processes that nothing announces";
const late = "a time after which it fails";
const paced = "keeps a rate";

/** How often a file names time, and what for. */
const reasons: Readonly<Record<string, readonly [count: number, why: string]>> = {
  "bench/bench.ts": [1, looks],
  "bench/child.ts": [1, late],
  "bench/guest.ts": [1, late],
  "bench/ovn/echo-probe.ts": [1, paced],
  "bench/ovn/probe.ts": [1, late],
  "bench/ovn/processes.ts": [1, late],
  "bench/server-child.ts": [1, "measures what lies between a timer's turns"],
  "packages/agent/src/bgp/signs.test.ts": [1, "keeps the process while threads alone work"],
  "packages/agent/src/service-network/service-network.test.ts": [
    2,
    "a datagram that is lost is sent again; a time after which it fails",
  ],
  "packages/base/src/clock.test.ts": [6, "the clock is what is tested"],
  "packages/datapath/src/testing/check.ts": [1, late],
  "packages/datapath/src/testing/churn.ts": [1, paced],
  "packages/datapath/src/testing/journal.ts": [1, late],
  "packages/datapath/src/testing/tracked.ts": [
    2,
    "nothing came: the fact is that time passed; a program that talks keeps a rate",
  ],
  "packages/datapath/src/testing/world.ts": [1, looks],
  "packages/lab/src/command.ts": [1, late],
  "packages/lab/src/guest.ts": [3, "a client asks again (RFC 2131, section 4.1); a time after which it gives up"],
  "packages/lab/src/host.ts": [1, looks],
  "packages/lab/src/init.ts": [1, late],
  "packages/lab/src/lab-process.ts": [1, looks],
  "packages/lab/src/machine.ts": [1, late],
  "packages/lab/src/processes.ts": [1, looks],
  "packages/lab/src/server-process.ts": [1, looks],
  "packages/lab/src/supervise.ts": [
    2,
    "what fails is started again ever more rarely; what does not end in time is killed",
  ],
  "packages/lab/src/waiting.ts": [1, looks],
  "packages/store/src/sqlite/doorbell.test.ts": [1, "keeps the process while an unreferenced poll alone works"],
  "packages/store/src/testing/harness.ts": [1, late],
  "scripts/deadline.ts": [1, "ends a test file that hangs"],
  "scripts/fuzz/targets/metadata.ts": [1, "moves a test clock on until the server's patience is over"],
  "scripts/fuzz/trial.ts": [1, late],
  "scripts/fuzz/watchdog.ts": [1, "looks whether a thread that can tell nothing still moves"],
  "scripts/launcher.test.ts": [2, "a fetch that takes so long that others come meanwhile"],
  "tests/differential/real-host.ts": [2, "keeps a switch at it until it has counted; a time after which it fails"],
  "tests/durability/clients.ts": [1, "a refused client asks again, as clients do"],
  "tests/durability/hasty.ts": [1, "a store that is at fault, by being late"],
  "tests/durability/run.ts": [1, "kills come at random times"],
  "tests/fabric.test.ts": [1, looks],
  "tests/floods.test.ts": [1, paced],
  "tests/outside-gaps.test.ts": [1, "a program that stays until it is ended"],
  "tests/security-groups.test.ts": [2, paced],
  "tests/switches/drift.test.ts": [1, looks],
  "tests/switches/punts.test.ts": [1, paced],
};

test("nothing that tests wait for sleeps", () => {
  const wrong = everywhere.filter(isLookedAt).flatMap(({ path, text }) => {
    if (path === "tests/laws/timers.test.ts") return [];
    const count = [...timers, modules].reduce((sum, each) => sum + [...text.matchAll(each)].length, 0);
    const [may, why] = reasons[path] ?? [0, "no reason"];
    return count === may ? [] : [`${path}: names time ${count} times, may ${may} times (${why})`];
  });
  assert.deepEqual(wrong, []);
});
