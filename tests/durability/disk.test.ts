/** A full disk and a read-only one under a running server: writes are refused with the reason, reads go on, and it heals by itself. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Answer, errorOf, type Json, login, type TestClient } from "@selvage/server/testing";
import { type LoggedEntry, openSqlite } from "@selvage/store";
import { violations } from "./checker.ts";
import { DiskServer, whyNoDisk } from "./disk.ts";
import type { Write } from "./evidence.ts";

const skip = whyNoDisk() ?? false;

/** Creates one network a call and records it as the checker wants it. */
class Recorder {
  readonly writes: Write[] = [];
  readonly #client: TestClient;

  constructor(client: TestClient) {
    this.#client = client;
  }

  async write(): Promise<Answer> {
    const key = `w${this.writes.length}`;
    const invoked = performance.now();
    const body = { network: { name: key, description: "x".repeat(250) } };
    const answer = await this.#client.post("/v2.0/networks", body, { "idempotency-key": key });
    const at = performance.now();
    const id = String((answer.body.network as Json | undefined)?.id);
    const revision = Number(answer.headers.get("x-selvage-revision"));
    this.writes.push({
      client: 0,
      key,
      ask: { verb: "create", resource: "network", names: [key] },
      invoked,
      outcome: answer.status === 201 ? { kind: "acknowledged", at, revision, ids: [id] } : { kind: "unknown" },
    });
    return answer;
  }

  get acknowledged(): number {
    return this.writes.filter(({ outcome }) => outcome.kind === "acknowledged").length;
  }
}

function refusedFor(answer: Answer, reason: RegExp): void {
  assert.equal(answer.status, 503, answer.text);
  assert.equal(answer.headers.get("retry-after"), "1");
  assert.equal(errorOf(answer).type, "StoreUnavailable");
  assert.match(errorOf(answer).message, reason);
  assert.doesNotMatch(answer.text, /\/tmp|store\.db/, "no path of the server is told");
}

/** What the store's files hold, in a copy of them, against what the client was told. */
async function judged(disk: DiskServer, writes: readonly Write[]): Promise<readonly string[]> {
  const folder = mkdtempSync(join(tmpdir(), "selvage-copy-"));
  disk.copyStore(folder);
  const store = await openSqlite({ path: join(folder, "store.db") });
  const { head } = await store.bounds();
  const log: LoggedEntry[] = [];
  for await (const entry of store.tail(0, new AbortController().signal)) {
    log.push(entry);
    if (entry.revision === head) break;
  }
  const snapshot = await store.snapshot();
  await store.close();
  rmSync(folder, { recursive: true });
  return violations({ writes, reads: [], heads: [], followers: [], log, snapshot });
}

async function adminOf(disk: DiskServer): Promise<TestClient> {
  return login(disk.server.url, "admin", readFileSync(disk.path("admin-password"), "utf8").trim(), "admin");
}

test("a full disk: 503 that says so, nothing acknowledged is lost, reads go on, and room is enough to heal", {
  skip,
  timeout: 600_000,
}, async () => {
  await using disk = await DiskServer.start(12);
  const admin = await adminOf(disk);
  const recorder = new Recorder(admin);
  for (let at = 0; at < 20; at += 1) assert.equal((await recorder.write()).status, 201);
  for (let round = 0; round < 2; round += 1) {
    disk.fill();
    let answer = await recorder.write();
    // What the log's file holds already can be written over for a while.
    for (let at = 0; at < 3_000 && answer.status === 201; at += 1) answer = await recorder.write();
    refusedFor(answer, /the store's disk or its size limit is full/);
    refusedFor(await recorder.write(), /full/);
    assert.equal((await admin.list("networks")).length, recorder.acknowledged, "reads show what was acknowledged");
    assert.equal((await admin.get("/v1/status")).status, 200);
    assert.deepEqual(await judged(disk, recorder.writes), []);
    disk.free();
    const healed = await recorder.write();
    assert.equal(healed.status, 201, `without a restart: ${healed.text}`);
  }
  assert.deepEqual(await judged(disk, recorder.writes), []);
});

test("a disk that turns read-only: 503 that says so, reads go on, and it heals when it may be written again", {
  skip,
  timeout: 600_000,
}, async () => {
  await using disk = await DiskServer.start(12);
  const admin = await adminOf(disk);
  const recorder = new Recorder(admin);
  for (let at = 0; at < 20; at += 1) assert.equal((await recorder.write()).status, 201);
  // A disk can be made read-only while nothing on it is open for writing: right after the store's thread has died.
  do disk.server.endWorker();
  while (!disk.remount("ro"));
  let answer = await recorder.write();
  // Who asks before the thread's end is noticed is told of that, once.
  if (answer.text.includes("thread has ended")) answer = await recorder.write();
  refusedFor(answer, /the store's file is read-only/);
  refusedFor(
    await admin.put("/identity/v3/projects/x/users/y/roles/z", undefined).then(() => recorder.write()),
    /read-only/,
  );
  assert.equal((await admin.list("networks")).length, recorder.acknowledged);
  assert.equal((await admin.get("/readyz")).status, 503);
  assert.ok(disk.remount("rw"));
  assert.equal((await recorder.write()).status, 201, "without a restart");
  assert.equal((await admin.get("/readyz")).status, 200);
  assert.deepEqual(await judged(disk, recorder.writes), []);
});
