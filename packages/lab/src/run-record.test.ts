/** Tests of the lock on a data directory and of records that a crash cannot halve. */

import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { LabError } from "./failure.ts";
import { dataPaths, readRecord, writeRecord } from "./paths.ts";
import { identify, isAlive } from "./processes.ts";
import { lockData, markRunning, readRunRecord, unmarkRunning } from "./run-record.ts";

async function temporary() {
  const root = await mkdtemp(join(tmpdir(), "selvage-record-"));
  return { root, [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }) };
}

const self = () => {
  const identity = identify(process.pid);
  assert.ok(identity !== undefined);
  return identity;
};

test("one command at a time; the second one names the first; a dead one's lock is taken over", async () => {
  await using directory = await temporary();
  const path = join(directory.root, "lock");
  const lock = await lockData(path);
  await assert.rejects(
    lockData(path),
    (cause) => cause instanceof LabError && cause.code === "busy" && cause.message.includes(`process ${process.pid}`),
  );
  await lock.release();
  await writeFile(path, JSON.stringify({ ...self(), startedAt: "1" }));
  await (await lockData(path)).release();
  await writeFile(path, "{ cut sho");
  await (await lockData(path)).release();
  assert.deepEqual(await readdir(directory.root), []);
});

test("a process is told from a later one with the same id", () => {
  assert.equal(isAlive(self()), true);
  assert.equal(isAlive({ ...self(), startedAt: "1" }), false);
  assert.equal(isAlive({ ...self(), boot: "another" }), false);
  assert.equal(identify(2 ** 22 + 1), undefined);
});

test("a record is written whole, only its owner reads it, and one that is no JSON says how to go on", async () => {
  await using directory = await temporary();
  const path = join(directory.root, "run.json");
  assert.equal(await readRecord(path), undefined);
  await writeRecord(path, { a: 0 });
  assert.deepEqual(await readRecord(path), { a: 0 });
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(directory.root), ["run.json"], "nothing half-written stays");
  await writeFile(path, "{");
  await assert.rejects(
    readRecord(path),
    (cause) => cause instanceof LabError && (cause.hint ?? "").includes("--purge"),
  );
  await writeFile(path, '{"version":2}');
  assert.equal(await readRunRecord(path), undefined, "a record of another version is not taken for ours");
});

test("the launcher's marks name id and start time", async () => {
  await using directory = await temporary();
  await writeFile(join(directory.root, "1"), "1 7\n");
  await markRunning(directory.root, [self()]);
  assert.deepEqual(await readdir(directory.root), [String(process.pid)], "the mark of a dead process is swept away");
  assert.equal(
    await readFile(join(directory.root, String(process.pid)), "utf8"),
    `${process.pid} ${self().startedAt}\n`,
  );
  await unmarkRunning(directory.root, [self()]);
  assert.deepEqual(await readdir(directory.root), []);
});

test("a data directory that could not hold sockets, or that the lab would hide, is refused", () => {
  for (const bad of ["relative", `/${"x".repeat(80)}`, "/run/selvage", "/var/run/selvage", "/run"]) {
    assert.throws(() => dataPaths(bad), LabError, bad);
  }
  assert.equal(dataPaths("/running/x").labSocket, "/running/x/lab.sock");
});
