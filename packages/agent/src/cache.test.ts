/** The cache is the stream as it came: read back it gives the same copy, cut off it gives an older one, damaged it gives none. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { StoredObject } from "@selvage/model";
import type { Changes } from "@selvage/sync";
import fc from "fast-check";
import { CacheWriter, readCache } from "./cache.ts";
import { Copy } from "./copy.ts";

const ids = ["a", "b", "c", "d"] as const;
const object = fc.record({ kind: fc.constantFrom("port", "subnet"), id: fc.constantFrom(...ids), value: fc.nat(9) });

/** Differences in one to three parts, at growing revisions; now and then a reset, as after a new projection. */
const stream = fc.array(
  fc.record({
    reset: fc.integer({ min: 0, max: 9 }).map((roll) => roll === 0),
    parts: fc.array(
      fc.record({ puts: fc.array(object, { maxLength: 3 }), removes: fc.array(object, { maxLength: 2 }) }),
      { minLength: 1, maxLength: 3 },
    ),
  }),
  { maxLength: 12 },
);

type Differences = typeof stream extends fc.Arbitrary<infer T> ? T : never;

function messagesOf(differences: Differences): readonly Changes[] {
  return differences.flatMap(({ reset, parts }, at) =>
    parts.map(({ puts, removes }, part) => ({
      type: "changes" as const,
      revision: at + 1,
      reset: reset && part === 0,
      more: part < parts.length - 1,
      puts: puts.map(({ kind, id, value }) => ({ kind, revision: at + 1, object: { id, value } })),
      removes: removes.map(({ kind, id }) => ({ kind, id })),
    })),
  );
}

/** The plain model: applies each message's removes and then its puts. */
function model(messages: readonly Changes[]): ReadonlyMap<string, StoredObject> {
  const objects = new Map<string, StoredObject>();
  let whole = new Map(objects);
  for (const { reset, more, puts, removes } of messages) {
    if (reset) objects.clear();
    for (const { kind, id } of removes) objects.delete(`${kind}|${id}`);
    for (const { kind, object: put } of puts) objects.set(`${kind}|${put.id}`, put);
    if (!more) whole = new Map(objects);
  }
  return whole;
}

const contents = (copy: Copy): ReadonlyMap<string, StoredObject> =>
  new Map([...copy.objects()].map(({ kind, id, object: held }) => [`${kind}|${id}`, held]));
const sorted = (map: ReadonlyMap<string, StoredObject>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));

async function inDirectory<T>(run: (path: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "cache-"));
  try {
    return await run(join(directory, "snapshot"));
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function restored(path: string): Promise<Copy> {
  const cached = await readCache(path, "h");
  const copy = new Copy();
  if (cached.found === "differences") for (const { message, text } of cached.messages) copy.take(message, text);
  copy.dropParts();
  return copy;
}

test("a copy is what the whole differences add up to, and its own messages make an equal one", () => {
  fc.assert(
    fc.property(stream, fc.nat(40), (differences, length) => {
      const messages = messagesOf(differences).slice(0, length);
      const copy = new Copy();
      for (const message of messages) copy.take(message, JSON.stringify(message));
      assert.deepEqual(sorted(contents(copy)), sorted(model(messages)));
      const again = new Copy();
      for (const text of copy.texts()) again.take(JSON.parse(text) as Changes, text);
      assert.deepEqual([sorted(contents(again)), again.held().sort()], [sorted(contents(copy)), copy.held().sort()]);
      assert.equal(again.revision, copy.revision ?? 0);
    }),
  );
});

test("what is read back is what was taken, however often the file was begun anew", async () => {
  await fc.assert(
    fc.asyncProperty(stream, fc.integer({ min: 50, max: 2_000 }), (differences, rewriteAfter) =>
      inDirectory(async (path) => {
        const messages = messagesOf(differences);
        const copy = new Copy();
        const cache = new CacheWriter({ path, hostId: "h", texts: () => copy.texts(), rewriteAfter });
        for (const message of messages) {
          const difference = copy.take(message, JSON.stringify(message));
          if (difference !== undefined) cache.append(difference.texts);
        }
        await cache.close();
        assert.deepEqual(sorted(contents(await restored(path))), sorted(contents(copy)));
      }),
    ),
    { numRuns: 40 },
  );
});

const two = messagesOf([
  { reset: true, parts: [{ puts: [{ kind: "port", id: "a", value: 1 }], removes: [] }] },
  { reset: false, parts: [{ puts: [{ kind: "port", id: "b", value: 2 }], removes: [] }] },
]);

async function written(path: string): Promise<string> {
  const copy = new Copy();
  const cache = new CacheWriter({ path, hostId: "h", texts: () => copy.texts() });
  for (const message of two) {
    const difference = copy.take(message, JSON.stringify(message));
    if (difference !== undefined) cache.append(difference.texts);
    // One after another, so that each difference has a line of its own.
    await cache.settled();
  }
  await cache.close();
  return readFile(path, "utf8");
}

test("cut off anywhere it is an older copy or none; with any byte changed it is damage or shorter, never another copy", async () => {
  await inDirectory(async (path) => {
    const text = await written(path);
    const allowed = [[], ["a"], ["a", "b"]];
    for (let length = 0; length < text.length; length += 7) {
      await writeFile(path, text.slice(0, length));
      const copy = await restored(path);
      const held = [...copy.objects()].map(({ id }) => id).sort();
      assert.ok(allowed.some((each) => JSON.stringify(each) === JSON.stringify(held)));
    }
    for (let at = 0; at < text.length; at += 5) {
      await writeFile(path, `${text.slice(0, at)}${text[at] === "x" ? "y" : "x"}${text.slice(at + 1)}`);
      const copy = await restored(path);
      for (const { id, object: held } of copy.objects()) assert.deepEqual(held, { id, value: id === "a" ? 1 : 2 });
    }
  });
});

test("another host's, another format's and no cache at all are of no use; the file is its owner's alone", async () => {
  await inDirectory(async (path) => {
    assert.deepEqual(await readCache(path, "h"), { found: "nothing" });
    await written(path);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.equal((await readCache(path, "h")).found, "differences");
    assert.equal((await readCache(path, "other")).found, "damage");
  });
});

test("a file that cannot be written costs the cache and nothing else", async () => {
  await inDirectory(async (path) => {
    const copy = new Copy();
    const cache = new CacheWriter({ path: join(path, "no", "such"), hostId: "h", texts: () => copy.texts() });
    cache.append(['{"a":1}']);
    cache.append(['{"a":2}']);
    await cache.close();
    assert.deepEqual(await readCache(path, "h"), { found: "nothing" });
  });
});

test("a server makes no facts of this host, and parts whose last does not come are forgotten", () => {
  const copy = new Copy();
  const changes = (more: boolean, kind: string, id: string): Changes => ({
    type: "changes",
    revision: 1,
    reset: false,
    more,
    puts: [{ kind, revision: 1, object: { id } }],
    removes: [],
  });
  assert.equal(copy.take(changes(true, "port", "half"), ""), undefined);
  assert.equal(copy.revision, undefined);
  copy.dropParts();
  const whole = copy.take(changes(false, "attachment", "x"), "");
  assert.deepEqual([whole?.changes, copy.size], [[], 0]);
});
