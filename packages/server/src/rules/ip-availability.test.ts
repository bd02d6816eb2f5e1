/** Address counts of networks, checked against the ports that are there. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { errorOf, type Json, startTestServer } from "../testing/mod.ts";

test("each network's addresses are counted by subnet and whole, used and not; only for an admin", async () => {
  await using server = await startTestServer();
  const red = await server.project("red");
  const network = await red.member.create("network", { name: "n" });
  const subnet = (values: Json) => red.member.create("subnet", { network_id: network.id, ...values });
  const v4 = await subnet({ ip_version: 4, cidr: "10.0.0.0/24", name: "four" });
  const v6 = await subnet({ ip_version: 6, cidr: "fd00::/64" });
  const small = await subnet({
    ip_version: 4,
    cidr: "10.1.0.0/24",
    allocation_pools: [
      { start: "10.1.0.10", end: "10.1.0.19" },
      { start: "10.1.0.30", end: "10.1.0.30" },
    ],
  });
  for (const fixed_ips of [
    [{ subnet_id: v4.id }, { ip_address: "10.0.0.99" }, { subnet_id: v6.id }],
    [{ subnet_id: small.id, ip_address: "10.1.0.200" }],
  ]) {
    await red.member.create("port", { network_id: network.id, fixed_ips });
  }
  const other = await red.member.create("network", { name: "empty" });
  const path = `/v2.0/network-ip-availabilities`;
  const shown = await server.admin.get(`${path}/${network.id}`);
  const found = shown.body.network_ip_availability as Json;
  assert.deepEqual(Object.keys(found), [
    "network_id",
    "network_name",
    "tenant_id",
    "project_id",
    "subnet_ip_availability",
    "used_ips",
    "total_ips",
  ]);
  assert.deepEqual(
    [found.network_id, found.network_name, found.project_id, found.used_ips],
    [network.id, "n", red.id, 4],
  );
  const bySubnet = new Map((found.subnet_ip_availability as readonly Json[]).map((each) => [each.subnet_id, each]));
  assert.deepEqual(bySubnet.get(v4.id), {
    subnet_id: v4.id,
    ip_version: 4,
    cidr: "10.0.0.0/24",
    subnet_name: "four",
    used_ips: 2,
    total_ips: 253,
  });
  assert.deepEqual([bySubnet.get(small.id)?.used_ips, bySubnet.get(small.id)?.total_ips], [1, 11]);
  // 2^64 less the subnet's own address and the gateway's, and not rounded to what a double holds.
  assert.match(shown.text, /"total_ips":18446744073709551614\b/);
  assert.match(shown.text, /"total_ips":18446744073709551878\b/);
  const listed = async (query: string) =>
    (await server.admin.get(`${path}?${query}`)).body.network_ip_availabilities as readonly Json[];
  assert.deepEqual((await listed("")).map((each) => each.network_id).sort(), [network.id, other.id].sort());
  assert.deepEqual(
    (await listed(`network_name=empty`)).map(({ used_ips, total_ips }) => [used_ips, total_ips]),
    [[0, 0]],
  );
  const four = await listed("ip_version=4");
  assert.deepEqual(
    four.map(({ network_id, used_ips, total_ips }) => [network_id, used_ips, total_ips]),
    [[network.id, 3, 264]],
  );
  assert.deepEqual(await listed(`project_id=${"0".repeat(32)}`), []);
  assert.deepEqual((await red.member.get(path)).body, { network_ip_availabilities: [] });
  const refused = await red.member.get(`${path}/${network.id}`);
  assert.deepEqual([refused.status, errorOf(refused).type], [404, "NetworkNotFound"]);
  assert.equal((await server.admin.post(path, {})).status, 405);
});
