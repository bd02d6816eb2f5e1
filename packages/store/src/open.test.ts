/** Store URLs: the two drivers by name, and everything else refused. */
import assert from "node:assert/strict";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openStore } from "./open.ts";
import { appendAt, entry } from "./testing/entries.ts";

test("memory: is a new volatile store each time", async () => {
  const [one, two] = [await openStore("memory:"), await openStore("memory:")];
  await appendAt(one, 0, entry());
  assert.deepEqual([one.driver, one.durable, (await two.bounds()).head], ["memory", false, 0]);
});

test("sqlite: opens the file at its path", async () => {
  const folder = await mkdtemp(join(tmpdir(), "selvage-store-"));
  const path = join(folder, "a:b ü.db");
  const store = await openStore(`sqlite:${path}`);
  await appendAt(store, 0, entry());
  assert.deepEqual([store.driver, store.durable], ["sqlite", true]);
  await store.close();
  assert.ok((await stat(path)).size > 0);
  const again = await openStore(`sqlite:${path}`);
  assert.equal((await again.bounds()).head, 1);
  await again.close();
  await rm(folder, { recursive: true });
});

test("any other URL is refused by name", async () => {
  for (const url of ["", "memory", "memory:x", "sqlite:", "sqlite", "/var/lib/selvage.db", "etcd://h1", "SQLITE:/x"]) {
    await assert.rejects(openStore(url), RangeError, url);
  }
});
