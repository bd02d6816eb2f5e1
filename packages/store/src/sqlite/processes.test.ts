/** Several processes on one file: each sees everything in one order, live, and each acknowledged entry stands where it was said to stand. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { take } from "../testing/entries.ts";
import { openSqlite } from "./sqlite.ts";

const writer = fileURLToPath(new URL("./peer-writer.ts", import.meta.url));
const run = promisify(execFile);

test("three processes that open, make and write one file agree on it", { timeout: 60_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "selvage-peers-"));
  const path = join(folder, "intent.db");
  const [processes, each] = [3, 50];
  const writing = Array.from({ length: processes }, () => run(process.execPath, [writer, path, String(each)]));
  const store = await openSqlite({ path });
  const live = take(store, 0, processes * each);
  const outputs = await Promise.all(writing);
  const said = outputs.flatMap(({ stdout }) => stdout.trim().split("\n")).map((line) => line.split(" "));
  const log = await live;
  assert.deepEqual(
    log.map(({ revision, id }) => [String(revision), id]),
    said.sort(([a], [b]) => Number(a) - Number(b)),
  );
  assert.deepEqual(
    log.map(({ revision }) => revision),
    log.map((_, at) => at + 1),
  );
  await store.close();
  await rm(folder, { recursive: true });
});
