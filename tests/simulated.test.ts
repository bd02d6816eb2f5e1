/** `selvage up` where the datapath is simulated: asked for, or because the machine refuses namespaces to a user without rights. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { at, SERVER_UID } from "@selvage/lab";
import { processesNaming } from "@selvage/lab/testing";

const MAIN = fileURLToPath(new URL("../packages/cli/src/main.ts", import.meta.url));
const NOBODY = 65_534;
/** Not a deadline: what takes so long on any machine is stuck. */
const HANGS_MS = 600_000;

/** Why another user cannot try it from this tree, or undefined. */
function whyNotAsNobody(): string | undefined {
  if (process.getuid?.() !== 0) return "only root can become another user";
  const seen = spawnSync("/usr/bin/test", ["-r", MAIN], { uid: NOBODY, gid: NOBODY, cwd: "/" });
  return seen.status === 0 ? undefined : "another user cannot read this tree";
}

interface Person {
  readonly uid: number | undefined;
  readonly env: Readonly<Record<string, string>>;
}

function fabric(person: Person) {
  const root = mkdtempSync(join(tmpdir(), "selvage-simulated-"));
  chmodSync(root, 0o755);
  if (person.uid !== undefined) chownSync(root, person.uid, person.uid);
  const data = join(root, "d");
  const env = { ...process.env, ...person.env };
  const ids = person.uid === undefined ? {} : { uid: person.uid, gid: person.uid };
  const selvage = (...words: readonly string[]) => {
    const [first = "", second = "", ...rest] = words;
    const line =
      first === "lab" ? [first, second, "--data", data, ...rest] : [first, "--data", data, ...words.slice(1)];
    return spawnSync(process.execPath, [MAIN, ...line], { encoding: "utf8", timeout: HANGS_MS, env, cwd: "/", ...ids });
  };
  return {
    data,
    selvage,
    [Symbol.dispose]: () => {
      selvage("down", "--purge");
      rmSync(root, { recursive: true, force: true });
    },
  };
}

function provedOnce(person: Person, why: RegExp): void {
  using place = fabric(person);
  const up = place.selvage("up", "--hosts", "2", "--port", "0", "--json");
  assert.equal(up.status, 0, up.stderr);
  const report: unknown = JSON.parse(up.stdout);
  assert.equal(at(report, "datapath"), "simulated");
  assert.match(String(at(report, "why")), why);
  assert.equal(at(report, "ok"), true);
  const pings = at(report, "pings");
  assert.ok(Array.isArray(pings));
  assert.equal(pings.filter((ping: unknown) => at(ping, "expected") === "reached").length, 4);
  const machines = at(report, "machines");
  assert.ok(Array.isArray(machines));
  assert.deepEqual(machines.map((machine: unknown) => at(machine, "ipv4")).toSorted(), [
    "10.0.0.11",
    "10.0.0.11",
    "10.0.0.12",
    "10.0.0.13",
  ]);

  const entered = place.selvage("lab", "exec", "red-1", "--", "true");
  assert.equal(entered.status, 125);
  assert.match(entered.stderr, /simulated datapath: it has no machines to enter/);

  const traced = place.selvage("trace", "red-1", "red-2", "-6");
  assert.equal(traced.status, 0, traced.stderr);
  assert.match(traced.stdout, /^delivered: The packet is delivered, and so is its answer\.$/m);
  const flows = place.selvage("flows", "h1", "--port", "red-1");
  assert.equal(flows.status, 0, flows.stderr);
  assert.match(flows.stdout, /^ *[1-9]\d* {2}port red-1 +classify\(/m);

  // Clients hold the URL: the port that was chosen stays, after a kill, after `down`, and where any free one is asked for again.
  const run: unknown = JSON.parse(readFileSync(join(place.data, "run.json"), "utf8"));
  const pid = at(at(run, "server"), "pid");
  assert.ok(typeof pid === "number");
  assert.match(readFileSync(`/proc/${pid}/status`, "utf8"), /^NoNewPrivs:\t1$/m);
  process.kill(pid, "SIGKILL");
  const mended = place.selvage("up", "--port", "0", "--json");
  assert.equal(mended.status, 0, mended.stderr);
  assert.equal(at(JSON.parse(mended.stdout), "url"), at(report, "url"));
  assert.equal(place.selvage("down").status, 0);
  assert.deepEqual(processesNaming(place.data), []);
  const again = place.selvage("up");
  assert.equal(again.status, 0, again.stderr);
  assert.match(again.stdout, new RegExp(`^datapath: simulated {3}server: ${String(at(report, "url"))} `, "m"));
}

test("asked for with SELVAGE_DATAPATH, it serves the same demo and says why", () => {
  provedOnce({ uid: undefined, env: { SELVAGE_DATAPATH: "simulated" } }, /SELVAGE_DATAPATH=simulated/);
});

test("a user who may make no namespaces gets it with the machine's own words", {
  skip: whyNotAsNobody() ?? false,
}, () => {
  provedOnce(
    { uid: NOBODY, env: { HOME: "/nonexistent" } },
    /this machine refuses namespaces \(unshare: .*not permitted/,
  );
});

test("it says that it is ready only when its machines can be asked for, not as soon as the API answers", () => {
  const root = mkdtempSync(join(tmpdir(), "selvage-ready-"));
  try {
    const data = join(root, "d");
    // What `up` asks next, the control channel, cannot be served here: a folder has its name.
    mkdirSync(join(data, "lab.sock", "taken"), { recursive: true });
    chmodSync(root, 0o755);
    if (process.getuid?.() === 0) chownSync(data, SERVER_UID, SERVER_UID);
    const ready = join(data, "ready.json");
    const words = ["lab", "simulate", "--data", data, "--port", "0", "--ready-file", ready];
    const ended = spawnSync(process.execPath, [MAIN, ...words], { encoding: "utf8", timeout: HANGS_MS, cwd: "/" });
    assert.equal(ended.status, 1, ended.stderr);
    assert.match(ended.stderr, /lab\.sock/);
    assert.equal(existsSync(ready), false);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
