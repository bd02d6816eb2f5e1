/** Copies: whole and of one moment while others write, refused when they are not whole, and never put under a server that runs. */
import assert from "node:assert/strict";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { StoreFailure } from "../store.ts";
import { appendAt, appendEach, entry, put, remove } from "../testing/entries.ts";
import { copySqlite, restoreSqlite } from "./copies.ts";
import { openSqlite } from "./sqlite.ts";

const folder = mkdtempSync(join(tmpdir(), "selvage-copies-"));
after(() => rmSync(folder, { recursive: true }));

/** A folder of its own for each test, so that what is left over shows. */
function place(name: string): { readonly live: string; readonly copy: string; readonly folder: string } {
  const own = mkdtempSync(join(folder, `${name}-`));
  return { live: join(own, "store.db"), copy: join(own, "copy.db"), folder: own };
}

const failed =
  (text: RegExp) =>
  (error: unknown): boolean =>
    error instanceof StoreFailure && text.test(error.message);

async function objectsOf(path: string): Promise<{ readonly revision: number; readonly names: readonly unknown[] }> {
  const store = await openSqlite({ path });
  const { revision, objects } = await store.snapshot();
  await store.close();
  return { revision, names: objects.map(({ object }) => ("name" in object ? object.name : object.id)).sort() };
}

test("a copy taken under a running store is a store of that moment, one file for its owner alone", async () => {
  const at = place("whole");
  const store = await openSqlite({ path: at.live });
  await appendEach(store, 0, [
    entry(put("network", "a", { name: "a" })),
    entry(put("network", "b", { name: "b" })),
    entry(remove("network", "a")),
  ]);
  const figures = await copySqlite(at.live, at.copy);
  await appendAt(store, 3, entry(put("network", "c", { name: "c" })));
  await store.close();
  assert.deepEqual([figures.revision, figures.objects, figures.bytes], [3, 1, statSync(at.copy).size]);
  assert.equal(statSync(at.copy).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(at.folder).sort(), ["copy.db", "store.db"], "nothing is left beside it");
  assert.deepEqual(await objectsOf(at.copy), { revision: 3, names: ["b"] });
});

test("copies taken while somebody writes without a pause are each of one moment", async () => {
  const at = place("busy");
  const store = await openSqlite({ path: at.live });
  let head = 0;
  let ends = false;
  // Each entry says its number in two objects: a copy that mixes two moments shows different ones.
  const writing = (async () => {
    while (!ends) {
      const number = head + 1;
      head = await appendAt(store, head, entry(put("network", "x", { number }), put("subnet", "y", { number })));
    }
  })();
  for (let round = 0; round < 5; round += 1) {
    const { revision } = await copySqlite(at.live, at.copy);
    const db = new DatabaseSync(at.copy, { readOnly: true });
    const bodies = db.prepare("SELECT body FROM object ORDER BY kind").all();
    const numbers = bodies.map(({ body }) => (JSON.parse(String(body)) as { readonly number: number }).number);
    assert.deepEqual(numbers, revision === 0 ? [] : [revision, revision]);
    assert.equal(db.prepare("SELECT count(*) AS n FROM log").get()?.n, revision);
    db.close();
  }
  ends = true;
  await writing;
  await store.close();
  assert.ok(head > 0);
});

test("a copy put back is what it was, and goes on beyond every revision that a host may hold", async () => {
  const at = place("restore");
  const store = await openSqlite({ path: at.live });
  const { logId } = store;
  await appendAt(store, 0, entry(put("network", "a", { name: "kept" })));
  await copySqlite(at.live, at.copy);
  await appendEach(store, 1, [
    entry(put("network", "a", { name: "lost" })),
    entry(put("network", "b", { name: "lost too" })),
  ]);
  await store.close();
  const figures = restoreSqlite(at.copy, at.live);
  assert.deepEqual([figures.revision, figures.head > 3, figures.objects], [1, true, 1]);
  assert.deepEqual(await objectsOf(at.live), { revision: figures.head, names: ["kept"] });
  assert.deepEqual((await objectsOf(`${at.live}.before-restore`)).names, ["lost", "lost too"]);
  assert.equal(statSync(at.live).mode & 0o777, 0o600);

  const again = await openSqlite({ path: at.live });
  assert.deepEqual(await again.bounds(), { oldest: figures.head + 1, head: figures.head });
  await appendAt(again, figures.head, entry(put("network", "c", { name: "new" })));
  const { objects } = await again.snapshot();
  assert.deepEqual(
    objects.map(({ id, revision }) => [id, revision]).sort(),
    [
      ["a", 1],
      ["c", figures.head + 1],
    ],
    "what was not written since keeps its revision",
  );
  assert.notEqual(again.logId, logId, "it is another log: what hosts hold of the one before does not count");
  await again.close();
});

test("nothing was lost: the history stays as it is", async () => {
  const at = place("same");
  const store = await openSqlite({ path: at.live });
  await appendEach(store, 0, [entry(), entry()]);
  await store.close();
  await copySqlite(at.live, at.copy);
  assert.equal(restoreSqlite(at.copy, at.live).head, 2);
  const again = await openSqlite({ path: at.live });
  assert.deepEqual(await again.bounds(), { oldest: 1, head: 2 });
  await again.close();
});

test("a copy is put where nothing was, and where what was is damaged", async () => {
  const at = place("empty");
  const store = await openSqlite({ path: at.live });
  await appendAt(store, 0, entry(put("network", "a", { name: "a" })));
  await store.close();
  await copySqlite(at.live, at.copy);
  const elsewhere = join(place("target").folder, "store.db");
  assert.ok(restoreSqlite(at.copy, elsewhere).head > 1);
  assert.deepEqual((await objectsOf(elsewhere)).names, ["a"]);
  truncateSync(at.live, 5_000);
  assert.ok(restoreSqlite(at.copy, at.live).head > 1);
  assert.deepEqual((await objectsOf(at.live)).names, ["a"]);
});

test("under a store that is open nothing is put, and nothing changes", async () => {
  const at = place("open");
  const store = await openSqlite({ path: at.live });
  await appendAt(store, 0, entry(put("network", "a", { name: "a" })));
  await copySqlite(at.live, at.copy);
  await appendAt(store, 1, entry(put("network", "b", { name: "b" })));
  assert.throws(() => restoreSqlite(at.copy, at.live), failed(/in use: end the servers on it first/));
  await appendAt(store, 2, entry(put("network", "c", { name: "c" })));
  await store.close();
  assert.deepEqual((await objectsOf(at.live)).names, ["a", "b", "c"]);
  assert.ok(!existsSync(`${at.live}.before-restore`));
});

test("what is not a whole copy of ours is refused, and what was there stays", async () => {
  const at = place("refuse");
  const store = await openSqlite({ path: at.live });
  let head = 0;
  for (let each = 0; each < 50; each += 1)
    head = await appendAt(store, head, entry(put("network", `n${each}`, { name: "x".repeat(500) })));
  await store.close();
  await copySqlite(at.live, at.copy);
  const before = readFileSync(at.live);

  const text = join(at.folder, "text");
  writeFileSync(text, "no database at all ".repeat(100));
  const strange = join(at.folder, "strange.db");
  const db = new DatabaseSync(strange);
  db.exec("CREATE TABLE meta (key TEXT, value INTEGER)");
  db.close();
  const torn = join(at.folder, "torn.db");
  const bytes = readFileSync(at.copy);
  writeFileSync(torn, bytes.subarray(0, bytes.length - 8192));
  const rotten = join(at.folder, "rotten.db");
  writeFileSync(rotten, Buffer.concat([bytes.subarray(0, 12_000), Buffer.alloc(3000, 0xff), bytes.subarray(15_000)]));
  const newer = join(at.folder, "newer.db");
  writeFileSync(newer, bytes);
  const later = new DatabaseSync(newer);
  later.exec("INSERT INTO schema VALUES (999, 'of tomorrow', '2030-01-01T00:00:00Z')");
  later.close();

  for (const [copy, says] of [
    [text, /no SQLite database/],
    [strange, /no copy of a store of ours/],
    [torn, /damaged/],
    [rotten, /damaged/],
    [newer, /schema version 999.*use a newer Selvage/],
    [join(at.folder, "absent"), /there is no store at/],
  ] as const) {
    assert.throws(() => restoreSqlite(copy, at.live), failed(says), copy);
    assert.ok(readFileSync(at.live).equals(before), copy);
  }
  await assert.rejects(copySqlite(join(at.folder, "absent"), at.copy), failed(/there is no store at/));
  assert.ok(readFileSync(at.copy).equals(bytes), "a copy that fails leaves the one before it");
});
