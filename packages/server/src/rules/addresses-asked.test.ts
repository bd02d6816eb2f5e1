/** Ports asked for by their addresses: whole, by subnet, by a part of their text; and a list that stands empty. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { errorOf, type Json, startTestServer } from "../testing/mod.ts";

test("ports are found by an address, a subnet, a part of an address, and by what one address has of each", async () => {
  await using server = await startTestServer();
  const { member } = await server.project("green");
  const made = async (path: string, body: Json): Promise<Json> => {
    const { status, body: reply, text } = await member.post(path, body);
    assert.equal(status, 201, text);
    return Object.values(reply)[0] as Json;
  };
  const network = await made("/v2.0/networks", { network: {} });
  const subnets = await Promise.all(
    ["10.50.0.0/24", "2001:db8:50::/64"].map((cidr) =>
      made("/v2.0/subnets", { subnet: { network_id: network.id, ip_version: cidr.includes(":") ? 6 : 4, cidr } }),
    ),
  );
  const port = async (name: string, ...addresses: readonly string[]): Promise<void> => {
    const fixed_ips = addresses.map((ip_address) => ({ ip_address }));
    await made("/v2.0/ports", { port: { network_id: network.id, name, fixed_ips } });
  };
  await port("a", "10.50.0.10", "2001:db8:50::a");
  await port("b", "10.50.0.101");
  await port("c", "2001:db8:50::c");
  await port("d", "10.50.0.20");
  const [four, six] = subnets.map(({ id }) => `subnet_id=${id}`);
  for (const [asked, names] of [
    [["ip_address=10.50.0.10"], "a"],
    [["ip_address=10.50.0.10", "ip_address=2001:db8:50::c"], "a c"],
    [[six], "a c"],
    [["ip_address_substr=50.0.10"], "a b"],
    [["ip_address_substr=0.10", "ip_address_substr=.20"], "a b d"],
    [["ip_address_substr=:50::"], "a c"],
    [[four, "ip_address_substr=:50::"], ""],
    [[four, "ip_address_substr=.10"], "a b"],
    [["ip_address=10.50.0.101", "ip_address_substr=.10"], "b"],
    [["ip_address_substr=99"], ""],
  ] as const) {
    const query = asked.map((each) => `fixed_ips=${encodeURIComponent(String(each))}`).join("&");
    const { body, text } = await member.get(`/v2.0/ports?sort_key=name&sort_dir=asc&${query}`);
    assert.equal((body.ports as readonly Json[])?.map(({ name }) => name).join(" "), names, `${query} ${text}`);
  }
  const wrong = await member.get("/v2.0/ports?fixed_ips=nope%3D1");
  assert.deepEqual([wrong.status, errorOf(wrong).type], [400, "InvalidInput"]);
});

test("providers of services are listed, to anybody: there are none", async () => {
  await using server = await startTestServer();
  const { reader } = await server.project("green");
  assert.deepEqual((await reader.get("/v2.0/service-providers")).body, { service_providers: [] });
  assert.equal((await server.admin.post("/v2.0/service-providers", { service_provider: {} })).status, 405);
  assert.equal((await reader.get("/v2.0/service-providers?nope=1")).status, 400);
});
