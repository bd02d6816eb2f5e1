/** BGP speakers and peers by the stock client, unchanged. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startTestServer } from "./testing/mod.ts";
import { client, json } from "./testing/openstack.ts";

const asJson = ["-f", "json"] as const;

test("the stock openstack client makes a speaker, binds it to a network and a peer, and takes all of it back", async () => {
  await using server = await startTestServer();
  const admin = client(server, "admin", server.adminPassword, "admin");
  const provider = ["--provider-network-type", "flat", "--provider-physical-network", "public"];
  const network = await json(admin("network", "create", "--external", ...provider, "public", ...asJson));
  const made = ["--local-as", "4200000000", "--ip-version", "4", "speaker"];
  const speaker = await json(admin("bgp", "speaker", "create", ...made, ...asJson));
  assert.deepEqual([speaker.local_as, speaker.ip_version, speaker.advertise_tenant_networks], [4_200_000_000, 4, true]);
  const signed = ["--auth-type", "md5", "--password", "sesame"];
  const of = ["--peer-ip", "203.0.113.1", "--remote-as", "64513", "upstream"];
  const peer = await json(admin("bgp", "peer", "create", ...signed, ...of, ...asJson));
  assert.deepEqual(
    [peer.peer_ip, peer.remote_as, peer.auth_type, "password" in peer],
    ["203.0.113.1", 64513, "md5", false],
  );
  await admin("bgp", "speaker", "add", "network", "speaker", "public");
  await admin("bgp", "speaker", "add", "peer", "speaker", "upstream");
  await admin("bgp", "speaker", "set", "--no-advertise-tenant-networks", "speaker");
  const shown = await json(admin("bgp", "speaker", "show", "speaker", ...asJson));
  assert.deepEqual([shown.networks, shown.peers, shown.advertise_tenant_networks], [[network.id], [peer.id], false]);
  assert.deepEqual(JSON.parse(await admin("bgp", "speaker", "list", "advertised", "routes", "speaker", ...asJson)), []);
  assert.deepEqual(JSON.parse(await admin("bgp", "speaker", "show", "dragents", "speaker", ...asJson)), []);
  await assert.rejects(admin("bgp", "speaker", "add", "peer", "speaker", "upstream"), /is already configured to peer/);
  await admin("bgp", "speaker", "remove", "peer", "speaker", "upstream");
  await admin("bgp", "speaker", "remove", "network", "speaker", "public");
  await admin("bgp", "peer", "delete", "upstream");
  await admin("bgp", "speaker", "delete", "speaker");
  assert.deepEqual(JSON.parse(await admin("bgp", "speaker", "list", ...asJson)), []);
});
