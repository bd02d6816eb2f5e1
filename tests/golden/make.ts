/**
 * Writes the golden deployment of the present schema: `node tests/golden/make.ts FILE.sql`. Two tenants, both families, two hosts with wires, tokens in waiting; an
 * external network, a VLAN, a router with its leases, floating IPs, a speaker of BGP; and a network of several segments where the program has such.
 */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Host } from "@selvage/model";
import { type Json, startTestServer, type TestClient, type TestServer } from "@selvage/server/testing";
import { dumpOf } from "./dump.ts";

const author = { kind: "system", id: "golden", request_id: "golden" } as const;

/** A host with the physical networks that its agent would tell of. */
async function host(server: TestServer, name: string, physical_networks: readonly string[]): Promise<void> {
  const id = await server.host(name);
  await server.running.core.writer.transact(author, (transaction) => {
    const made = transaction.view.get(Host, id);
    if (made !== undefined) transaction.put(Host, { ...made, physical_networks });
  });
}

async function done(client: TestClient, path: string, body: Json): Promise<Json> {
  const answer = await client.put(path, body);
  if (answer.status !== 200) throw new Error(`${path}: ${answer.text}`);
  return answer.body;
}

const place = (type: string, physical: string, tag?: number): Json => ({
  "provider:network_type": type,
  "provider:physical_network": physical,
  ...(tag === undefined ? {} : { "provider:segmentation_id": tag }),
});

/** A tenant's network with a port on each host; gives the ids by name. */
async function tenant(server: TestServer, name: string) {
  const { member } = await server.project(name);
  const { id } = await member.create("network", { name: `${name}-net` });
  const subnet = await member.create("subnet", {
    ...{ network_id: id, ip_version: 4, cidr: "10.0.0.0/24", name: `${name}-v4` },
  });
  await member.create("subnet", { network_id: id, ip_version: 6, cidr: "fd00:77::/64", name: `${name}-v6` });
  const ports: Json[] = [];
  for (const at of [1, 2]) {
    const port = await member.create("port", { network_id: id, name: `${name}-${at}` });
    await done(server.admin, `/v2.0/ports/${port.id}`, { port: { "binding:host_id": `h${at}` } });
    ports.push(port);
  }
  return { member, subnet, ports };
}

/** The way out of a tenant, and who tells the world of it. */
async function outside(server: TestServer, { member, subnet, ports }: Awaited<ReturnType<typeof tenant>>) {
  const { admin } = server;
  const wire = { name: "public", "router:external": true, ...place("flat", "public") };
  const { id: network_id } = await admin.create("network", wire);
  const off = { network_id, enable_dhcp: false };
  await admin.create("subnet", { ...off, ip_version: 4, cidr: "203.0.113.0/24", name: "public-v4" });
  await admin.create("subnet", { ...off, ip_version: 6, cidr: "2001:db8:ff::/64", name: "public-v6" });
  const router = await member.create("router", { name: "way-out", external_gateway_info: { network_id } });
  await done(member, `/v2.0/routers/${router.id}/add_router_interface`, { subnet_id: subnet.id });
  const of = { floating_network_id: network_id };
  await member.create("floatingip", { ...of, port_id: ports[0]?.id, description: "whole" });
  await member.create("floatingip", { ...of, description: "free" });
  // What one that goes had rests.
  const { id } = await member.create("port", { network_id: String(ports[1]?.network_id), name: "gone" });
  await done(admin, `/v2.0/ports/${id}`, { port: { "binding:host_id": "h3" } });
  await member.delete(`/v2.0/ports/${id}`);
  const speaker = await admin.post("/v2.0/bgp-speakers", {
    bgp_speaker: { name: "speaker", local_as: 64512, ip_version: 4 },
  });
  const peer = await admin.post("/v2.0/bgp-peers", {
    bgp_peer: { name: "peer", peer_ip: "203.0.113.1", remote_as: 64513, auth_type: "none" },
  });
  const path = `/v2.0/bgp-speakers/${(speaker.body.bgp_speaker as Json).id}`;
  await done(admin, `${path}/add_gateway_network`, { network_id });
  await done(admin, `${path}/add_bgp_peer`, { bgp_peer_id: (peer.body.bgp_peer as Json).id });
}

async function onWires({ admin }: TestServer): Promise<void> {
  const vlan = await admin.create("network", { name: "vlan", shared: true, ...place("vlan", "public", 7) });
  await admin.create("subnet", { network_id: vlan.id, ip_version: 4, cidr: "10.7.0.0/24", name: "vlan-v4" });
  const on = { network_id: vlan.id, "binding:host_id": "h1" };
  await admin.create("port", { ...on, name: "on-the-wire" });
  const extensions = (await admin.get("/v2.0/extensions")).body.extensions as readonly Json[];
  if (!extensions.some(({ alias }) => alias === "segment")) return;
  const segments = [place("vlan", "left", 101), place("vlan", "right", 102)];
  const wide = await admin.create("network", { name: "wide", shared: true, segments });
  for (const segment of await admin.list("segments", `network_id=${wide.id}`)) {
    const left = segment.physical_network === "left";
    const cidr = left ? "10.31.0.0/24" : "10.32.0.0/24";
    const name = `wide-${segment.physical_network}`;
    await admin.create("subnet", { network_id: wide.id, segment_id: segment.id, ip_version: 4, cidr, name });
  }
  for (const at of [1, 2])
    await admin.create("port", { network_id: wide.id, name: `wide-${at}`, "binding:host_id": `h${at}` });
}

const [target] = process.argv.slice(2);
if (target === undefined) throw new Error("name the file to write");
const dataDir = mkdtempSync(join(tmpdir(), "golden-"));
try {
  const server = await startTestServer({ dataDir, on: "sqlite" });
  await host(server, "h1", ["public", "left"]);
  await host(server, "h2", ["public", "right"]);
  await host(server, "h3", ["public"]);
  const red = await tenant(server, "red");
  await tenant(server, "blue");
  await outside(server, red);
  await onWires(server);
  const password = server.adminPassword;
  await server.running.close();
  const alone = join(dataDir, "copy.db");
  copyFileSync(join(dataDir, "store.db"), alone);
  writeFileSync(target, dumpOf(alone));
  process.stdout.write(`${target}: the admin's password is ${password}\n`);
} finally {
  rmSync(dataDir, { recursive: true, force: true });
}
