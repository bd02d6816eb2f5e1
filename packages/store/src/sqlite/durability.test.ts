/** A writer killed with SIGKILL at random points, again and again on one file: what it acknowledged is there, nothing is half done. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Revision } from "@selvage/model";
import type { Store } from "../store.ts";
import { type Objects, objectsOf, replay, take } from "../testing/entries.ts";
import { openSqlite } from "./sqlite.ts";

/** Kills; SELVAGE_STORE_KILLS asks for more. */
const kills = Number(process.env.SELVAGE_STORE_KILLS ?? 20);
const copies = 7;
const writer = fileURLToPath(new URL("./crash-writer.ts", import.meta.url));

/** Runs the writer until it has acknowledged `lines` appends, kills it, and gives all acknowledged ids by revision, also those behind. */
async function killedAfter(path: string, lines: number): Promise<ReadonlyMap<Revision, string>> {
  const child = spawn(process.execPath, [writer, path], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<NodeJS.Signals | null>((resolve) => child.once("exit", (_code, signal) => resolve(signal)));
  const acknowledged = new Map<Revision, string>();
  let seen = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [last, ids] = line.split(" ");
    // A line torn by the kill is no acknowledgement: ids are 36 characters each, between commas.
    if (last === undefined || ids === undefined || ids.length % 37 !== 36) continue;
    const each = ids.split(",");
    for (const [at, id] of each.entries()) acknowledged.set(Number(last) - each.length + 1 + at, id);
    seen += 1;
    if (seen === lines) child.kill("SIGKILL");
  }
  assert.equal(await ended, "SIGKILL", "the writer ended by itself");
  return acknowledged;
}

/** Everything in the store after a kill, checked against the acknowledged and against what stood there before. */
async function verified(
  store: Store,
  before: Objects,
  from: Revision,
  acknowledged: ReadonlyMap<Revision, string>,
): Promise<Objects> {
  const { head } = await store.bounds();
  const log = await take(store, from, head - from);
  const ids = new Map(log.map(({ revision, id }) => [revision, id]));
  for (const [revision, id] of acknowledged)
    assert.equal(ids.get(revision), id, `acknowledged revision ${revision} is lost`);
  assert.deepEqual(
    [...ids.keys()],
    Array.from({ length: head - from }, (_, at) => from + at + 1),
  );
  const snapshot = await store.snapshot();
  const objects = objectsOf(snapshot);
  assert.equal(snapshot.revision, head);
  assert.deepEqual(objects, replay(before, log));
  const marks = snapshot.objects
    .filter(({ kind }) => kind === "mark")
    .map(({ revision, object }) => `${revision} ${Reflect.get(object, "value")}`);
  assert.deepEqual([marks.length, new Set(marks).size], [copies, 1], "an entry is half applied");
  return objects;
}

test(`${kills} kills lose nothing that was acknowledged`, { timeout: kills * 20_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "selvage-kill-"));
  const path = join(folder, "intent.db");
  let objects: Objects = new Map();
  let head = 0;
  for (let round = 0; round < kills; round += 1) {
    const lines = 1 + Math.floor(Math.random() * 120);
    const acknowledged = await killedAfter(path, lines);
    assert.ok(acknowledged.size >= lines);
    const store = await openSqlite({ path });
    objects = await verified(store, objects, head, acknowledged);
    head = (await store.bounds()).head;
    await store.close();
  }
  await rm(folder, { recursive: true });
});
