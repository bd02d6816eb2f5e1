/** Deployments of earlier schemas under the present program: opened, used, gone on from; and the way back, by the copy that was taken before. */
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { resources } from "@selvage/model";
import { errorOf, type Json, startTestServer, type TestServer, testPassword } from "@selvage/server/testing";
import { restoreSqlite } from "@selvage/store";
import { dumpOf, loadDump } from "./dump.ts";

const golden = (version: number): string =>
  fileURLToPath(new URL(`./deployment-v${version}.sql`, import.meta.url));
/** As `make.ts` told them. Each opens nothing but its file. */
const adminPasswords: Readonly<Record<number, string>> = {
  1: "nuxlR6zIkLPZkhbrQ30pphoN",
  2: "4us8Gzzlm6g-dCNydx_HuP2o",
  3: "mpNY3nBZPzk6G3uftHGeh4QC",
};

/** A data directory with the deployment in it. */
function deployed(version: number) {
  const dataDir = mkdtempSync(join(tmpdir(), "selvage-golden-"));
  const store = join(dataDir, "store.db");
  loadDump(golden(version), store);
  writeFileSync(join(dataDir, "admin-password"), `${adminPasswords[version]}\n`, { mode: 0o600 });
  return { dataDir, store, [Symbol.dispose]: () => rmSync(dataDir, { recursive: true, force: true }) };
}

/** Every object that a file holds, as it is written there, by `kind|id`. */
function objectsOf(path: string): ReadonlyMap<string, string> {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    const rows = db.prepare("SELECT kind, id, body FROM object").all();
    return new Map(rows.map(({ kind, id, body }) => [`${String(kind)}|${String(id)}`, String(body)]));
  } finally {
    db.close();
  }
}

const schemaOf = (path: string): number => {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    return Number(db.prepare("SELECT max(version) AS version FROM schema").get()?.version);
  } finally {
    db.close();
  }
};

const placesOf = (objects: readonly Json[], prefix = ""): readonly unknown[] =>
  objects
    .map((each) => ["network_type", "physical_network", "segmentation_id"].map((name) => each[prefix + name]).join(" "))
    .sort();

/** What hosts are given of the outside: all that must be as it was. */
async function outsideOf(server: TestServer): Promise<unknown> {
  const { admin } = server;
  const [speaker] = (await admin.get("/v2.0/bgp-speakers")).body.bgp_speakers as readonly Json[];
  const blocks = (await admin.get("/v1/nat-leases")).body.nat_leases as readonly Json[];
  const routes = (await admin.get(`/v2.0/bgp-speakers/${speaker?.id}/get_advertised_routes`)).body;
  return {
    routers: (await admin.list("routers")).map((each) => [each.name, each.external_gateway_info]),
    floating: (await admin.list("floatingips")).map((each) => [each.description, each.status, each.port_id]).sort(),
    blocks: blocks.map((each) => [(each.host as Json).name, each.address, each.first_port, each.last_port]).sort(),
    routes: (routes.advertised_routes as readonly Json[]).map((each) => `${each.destination} ${each.next_hop}`).sort(),
  };
}

const names = (objects: readonly Json[]): readonly unknown[] => objects.map(({ name }) => name).sort();

const vlan7 = {
  "provider:network_type": "vlan",
  "provider:physical_network": "public",
  "provider:segmentation_id": 7,
} as const;

const kindsOfSchema3: readonly string[] = [
  ...["address_group", "address_scope", "assignment", "auto_allocated_topology", "bgp_peer", "bgp_speaker", "floatingip"],
  ...["free_prefix", "host", "host_gateway", "join_token", "nat_lease", "nat_rest", "ndp_proxy", "network"],
  ...["network_segment_range", "port", "port_forwarding", "project", "quota", "rbac_policy", "revoked_token", "router"],
  ...["secret", "security_group", "security_group_rule", "security_group_set", "segment", "subnet", "subnetpool", "user"],
];

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

test("a deployment of schema 2 goes on with its wires, routers, floating IPs, leases and speakers; each network gets its segment", async () => {
  using place = deployed(2);
  const { dataDir, store } = place;
  const before = objectsOf(store);
  {
    await using server = await startTestServer({ dataDir, on: "sqlite" });
    const { admin } = server;
    const networks = await admin.list("networks");
    const segments = await admin.list("segments");
    assert.deepEqual(names(networks), ["blue-net", "public", "red-net", "vlan"]);
    assert.deepEqual(
      segments.map(({ network_id }) => network_id).sort(),
      networks.map(({ id }) => id).sort(),
    );
    assert.deepEqual(placesOf(segments), placesOf(networks, "provider:"));
    assert.ok(placesOf(segments).includes("flat public ") && placesOf(segments).includes("vlan public 7"));
    const ports = await admin.list("ports", "name=on-the-wire");
    const red = (await admin.list("ports", "name=red-1"))[0];
    const out = (await outsideOf(server)) as { readonly [name: string]: readonly (readonly unknown[])[] };
    assert.deepEqual(
      out.blocks?.map(([host, , first]) => [host, first]),
      [
        ["h1", 2048],
        ["h2", 1024],
      ],
    );
    assert.ok(out.floating?.some(([description, , port]) => description === "whole" && port === red?.id));
    assert.equal(out.routes?.length, 1, "the floating IP of a machine");
    assert.deepEqual(ports[0]?.["binding:host_id"], "h1");
  }
  const after = objectsOf(store);
  for (const [id, body] of before) assert.equal(after.get(id), body, `${id} is not written anew`);
  const made = [...after.keys()].filter((id) => !before.has(id)).map((id) => id.split("|")[0]);
  assert.deepEqual(made, Array(4).fill("segment"));
  await using again = await startTestServer({ dataDir, on: "sqlite" });
  assert.deepEqual([...objectsOf(store).keys()].sort(), [...after.keys()].sort(), "once");
  // The places are taken, by the segments as by the networks before.
  const vlan = { ...vlan7, name: "other" };
  assert.equal(errorOf(await again.admin.post("/v2.0/networks", { network: vlan })).type, "VlanIdInUse");
  const [own] = await again.admin.list("networks", "name=vlan");
  const second = { network_id: own?.id, network_type: "vlan", physical_network: "left", segmentation_id: 8 };
  const widened = await again.admin.post("/v2.0/segments", { segment: second });
  assert.equal(widened.status, 201, widened.text);
});

test("a deployment with networks of several segments is opened as it was left, and goes back the way by the copy", async () => {
  using place = deployed(3);
  const { dataDir, store } = place;
  assert.equal(schemaOf(store), 3);
  const before = objectsOf(store);
  let out: unknown;
  {
    await using server = await startTestServer({ dataDir, on: "sqlite" });
    out = await outsideOf(server);
    const [wide] = await server.admin.list("networks", "name=wide");
    assert.deepEqual(wide?.l2_adjacency, false);
    assert.deepEqual(placesOf(wide?.segments as readonly Json[], "provider:"), ["vlan left 101", "vlan right 102"]);
    const ports = await server.admin.list("ports", `network_id=${wide?.id}`);
    assert.deepEqual(
      ports.map((port) => [port["binding:host_id"], /10\.3[12]\.0\./.exec(JSON.stringify(port.fixed_ips))?.[0]]).sort(),
      [
        ["h1", "10.31.0."],
        ["h2", "10.32.0."],
      ],
    );
  }
  assert.deepEqual(objectsOf(store), before, "nothing was written");
  await using again = await startTestServer({ dataDir, on: "sqlite" });
  assert.deepEqual(await outsideOf(again), out);
  // With its network a segment goes, and its place is free.
  const [vlan] = await again.admin.list("networks", "name=vlan");
  for (const { id } of await again.admin.list("ports", `network_id=${vlan?.id}`)) await again.admin.delete(`/v2.0/ports/${id}`);
  assert.equal((await again.admin.delete(`/v2.0/networks/${vlan?.id}`)).status, 204);
  assert.deepEqual(await again.admin.list("segments", `network_id=${vlan?.id}`), []);
  await again.admin.create("network", vlan7);
});

test("objects of a kind that a schema does not know make a new schema, so that a program before refuses the file", async () => {
  using place = deployed(1);
  await (await startTestServer({ dataDir: place.dataDir, on: "sqlite" })).running.close();
  const stored = resources.filter(({ fact }) => !fact).map(({ kind }) => kind);
  assert.deepEqual(
    { schema: schemaOf(place.store), kinds: stored.sort() },
    { schema: 3, kinds: kindsOfSchema3 },
    "add a migration to packages/store/src/sqlite/schema.ts, make a golden deployment of it, and list here what it knows",
  );
});

for (const version of [1, 2])
  test(`before schema ${version} changed the file was copied; the copy is the deployment as it was, and a restore brings it back`, async () => {
    using place = deployed(version);
    const { dataDir, store } = place;
    {
      await using server = await startTestServer({ dataDir, on: "sqlite" });
      const red = await server.login("red-member", testPassword, "red");
      await red.create("network", { name: "after-the-upgrade" });
    }
    const copy = `${store}.schema-${version}`;
    assert.equal(statSync(copy).mode & 0o777, 0o600);
    // Copying moves indexes behind tables.
    const sorted = (dump: string) => dump.split("\n").sort().join("\n");
    assert.equal(sorted(dumpOf(copy)) === sorted(readFileSync(golden(version), "utf8")), true, "to the letter");
    // Whichever program restores it: the older one does the same with the same file.
    const kept = join(dataDir, "kept.db");
    copyFileSync(copy, kept);
    const { revision, head } = restoreSqlite(copy, store);
    assert.ok(head > revision, "it goes on beyond what hosts have seen");
    assert.equal(readFileSync(copy).equals(readFileSync(kept)), true, "the copy stays as it is");
    await using back = await startTestServer({ dataDir, on: "sqlite" });
    const wires = version === 1 ? [] : ["public", "vlan"];
    assert.deepEqual(names(await back.admin.list("networks")), ["blue-net", "red-net", ...wires].sort());
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
