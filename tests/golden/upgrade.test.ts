/** Deployments of earlier schemas under the present program: opened, used, gone on from; and the way back, by the copy that was taken before. */
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Json, startTestServer, testPassword } from "@selvage/server/testing";
import { restoreSqlite } from "@selvage/store";
import { dumpOf, loadDump } from "./dump.ts";

const golden = (version: number): string =>
  fileURLToPath(new URL(`./deployment-v${version}.sql`, import.meta.url));
/** As `make.ts` told it. It opens nothing but this file. */
const adminPassword = "nuxlR6zIkLPZkhbrQ30pphoN";

/** A data directory with the deployment in it. */
function deployed(version: number) {
  const dataDir = mkdtempSync(join(tmpdir(), "selvage-golden-"));
  const store = join(dataDir, "store.db");
  loadDump(golden(version), store);
  writeFileSync(join(dataDir, "admin-password"), `${adminPassword}\n`, { mode: 0o600 });
  return { dataDir, store, [Symbol.dispose]: () => rmSync(dataDir, { recursive: true, force: true }) };
}

const names = (objects: readonly Json[]): readonly unknown[] => objects.map(({ name }) => name).sort();

test("a deployment of schema 1 is opened and goes on: users, tokens, objects, addresses, history", async () => {
  using place = deployed(1);
  const { dataDir } = place;
  let kept: readonly Json[];
  {
    await using server = await startTestServer({ dataDir, on: "sqlite" });
    const { writer } = server.running.core;
    assert.equal(writer.replica.revision, 28, "networks got their segments, and nothing else was written");
    const segments = await server.admin.list("segments");
    assert.deepEqual(
      segments.map(({ network_id, network_type }) => [network_id, network_type]).sort(),
      (await server.admin.list("networks")).map(({ id }) => [id, "geneve"]).sort(),
    );
    assert.deepEqual(names(await server.admin.list("networks")), ["blue-net", "red-net"]);
    const ports = await server.admin.list("ports");
    assert.deepEqual(names(ports), ["blue-1", "blue-2", "red-1", "red-2"]);
    assert.deepEqual([...new Set(ports.map((port) => port["binding:host_id"]))].sort(), ["h1", "h2"]);
    const hosts = (await server.admin.get("/v1/hosts")).body.hosts as readonly Json[];
    assert.deepEqual(names(hosts), ["h1", "h2"]);
    const red = await server.login("red-member", testPassword, "red");
    assert.deepEqual(names(await red.list("subnets")), ["red-v4", "red-v6"], "a tenant sees its own, as before");
    const [network] = await red.list("networks");
    const made = await red.create("port", { network_id: network?.id, name: "red-3" });
    const addresses = (port: Json) => (port.fixed_ips as readonly Json[]).map(({ ip_address }) => ip_address);
    const taken = (await red.list("ports")).filter(({ id }) => id !== made.id).flatMap(addresses);
    assert.equal(addresses(made).length, 2);
    assert.equal(addresses(made).some((address) => taken.includes(address)), false);
    const history = (await server.admin.get("/v1/history?limit=1000")).body.history as readonly Json[];
    assert.deepEqual([history[0]?.revision, history.at(-1)?.revision], [29, 1]);
    kept = await server.admin.list("ports", "sort_key=id&sort_dir=asc");
  }
  await using again = await startTestServer({ dataDir, on: "sqlite" });
  assert.deepEqual(await again.admin.list("ports", "sort_key=id&sort_dir=asc"), kept);
});

test("before its schema changed the file was copied; the copy is the deployment as it was, and a restore brings it back", async () => {
  using place = deployed(1);
  const { dataDir, store } = place;
  {
    await using server = await startTestServer({ dataDir, on: "sqlite" });
    const red = await server.login("red-member", testPassword, "red");
    await red.create("network", { name: "after-the-upgrade" });
  }
  const copy = `${store}.schema-1`;
  assert.equal(statSync(copy).mode & 0o777, 0o600);
  // Copying moves indexes behind tables.
  const sorted = (dump: string) => dump.split("\n").sort().join("\n");
  assert.equal(sorted(dumpOf(copy)) === sorted(readFileSync(golden(1), "utf8")), true, "to the letter");
  // Whichever program restores it: the older one does the same with the same file.
  const kept = join(dataDir, "kept.db");
  copyFileSync(copy, kept);
  const { revision, head } = restoreSqlite(copy, store);
  assert.ok(head > revision, "it goes on beyond what hosts have seen");
  await using back = await startTestServer({ dataDir, on: "sqlite" });
  assert.deepEqual(names(await back.admin.list("networks")), ["blue-net", "red-net"]);
  assert.equal(readFileSync(copy).equals(readFileSync(kept)), true, "the copy stays as it is");
});

test("a file of a newer schema is refused with what to do, and stays as it is", async () => {
  using place = deployed(1);
  const { dataDir, store } = place;
  await (await startTestServer({ dataDir, on: "sqlite" })).running.close();
  const db = new DatabaseSync(store);
  db.exec("INSERT INTO schema VALUES (1000, 'of the future', '2030-01-01T00:00:00.000Z')");
  db.close();
  const before = dumpOf(store);
  await assert.rejects(
    startTestServer({ dataDir, on: "sqlite" }),
    /schema version 1000, this program knows up to \d+: use a newer Selvage, or restore the copy/,
  );
  assert.equal(dumpOf(store), before);
});
