/** A port's own DHCP options by the API (`extra_dhcp_opt`). */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { errorOf, type Json, startTestServer, type TestProject, type TestServer } from "../testing/mod.ts";

let server: TestServer;
let red: TestProject;
let network_id: string;
before(async () => {
  server = await startTestServer({ on: "memory" });
  red = await server.project("red");
  network_id = (await red.member.create("network", {})).id;
});
after(() => server[Symbol.asyncDispose]());

const option = (opt_name: string, opt_value: string | null, ip_version = 4): Json => ({
  opt_name,
  opt_value,
  ip_version,
});

test("a port keeps its options, a change of one leaves the others, and null takes one away", async () => {
  const said = [{ opt_name: "bootfile-name", opt_value: "pxe.0" }, option("67", null), option("24", "a.example", 6)];
  const port = await red.member.create("port", { network_id, extra_dhcp_opts: said });
  const first = [option("bootfile-name", "pxe.0"), option("24", "a.example", 6)];
  assert.deepEqual(port.extra_dhcp_opts, first);
  const change = async (extra_dhcp_opts: unknown): Promise<unknown> => {
    const answer = await red.member.put(`/v2.0/ports/${port.id}`, { port: { extra_dhcp_opts } });
    assert.equal(answer.status, 200, answer.text);
    return (answer.body.port as Json).extra_dhcp_opts;
  };
  assert.deepEqual(await change([option("bootfile-name", "other.0"), option("mtu", "1400")]), [
    option("bootfile-name", "other.0"),
    option("24", "a.example", 6),
    option("mtu", "1400"),
  ]);
  const left = [option("24", "a.example", 6), option("mtu", "1400")];
  assert.deepEqual(await change([option("bootfile-name", null)]), left);
  for (const nothing of [[], null]) assert.deepEqual(await change(nothing), left);
  const renamed = await red.member.put(`/v2.0/ports/${port.id}`, { port: { name: "p" } });
  assert.deepEqual((renamed.body.port as Json).extra_dhcp_opts, left);
  assert.deepEqual((await red.member.create("port", { network_id })).extra_dhcp_opts, []);
});

test("an option of one name is one of each version: they come, change and go without each other", async () => {
  const both = [option("dns-server", "192.0.2.1"), option("dns-server", "2001:db8::1", 6)];
  const port = await red.member.create("port", { network_id, extra_dhcp_opts: both });
  assert.deepEqual(port.extra_dhcp_opts, both);
  const change = async (...extra_dhcp_opts: readonly Json[]): Promise<unknown> =>
    ((await red.member.put(`/v2.0/ports/${port.id}`, { port: { extra_dhcp_opts } })).body.port as Json).extra_dhcp_opts;
  const other = option("dns-server", "2001:db8::2", 6);
  assert.deepEqual(await change(other), [both[0], other]);
  assert.deepEqual(await change({ opt_name: "dns-server", opt_value: null }), [other], "version 4 is meant");
  assert.deepEqual(await change(option("dns-server", null, 6)), []);
});

test("what no host could tell a machine is refused, and nothing is made", async () => {
  const tried = async (extra_dhcp_opts: unknown) => {
    const answer = await red.member.post("/v2.0/ports", { port: { network_id, name: "none", extra_dhcp_opts } });
    assert.deepEqual([answer.status, errorOf(answer).type], [400, "HTTPBadRequest"], answer.text);
    return errorOf(answer).message;
  };
  assert.match(await tried([option("nonsense", "1")]), /^Invalid input for extra_dhcp_opts\. Reason: 'nonsense' is no/);
  assert.match(await tried([option("mtu", "many")]), /'many' of mtu is not a number from 0 to 65535/);
  assert.match(await tried([option("dns-server", "2001:db8::1")]), /'2001:db8::1' of dns-server is not of IPv4 addr/);
  assert.match(await tried([option("dns-server", "192.0.2.1", 6)]), /is not of IPv6 addresses/);
  assert.match(await tried([option("preference", "1")]), /no option of DHCPv4 that can be given; DHCPv6 has it/);
  assert.match(await tried([option("mtu", "1400"), option("mtu", "1500")]), /Duplicate items in the list: 'mtu'/);
  assert.match(await tried([option("54", "192.0.2.1")]), /'54' is no option of DHCPv4/);
  assert.match(await tried([option("66", "a", 5)]), /is not in \[4, 6\]/);
  assert.match(await tried("boot"), /is not a list/);
  const { ports } = (await red.member.get("/v2.0/ports?name=none")).body;
  assert.deepEqual(ports, []);
  const full = await red.member.create("port", {
    network_id,
    extra_dhcp_opts: Array.from({ length: 32 }, (_, at) => option(String(160 + at), "t")),
  });
  const more = await red.member.put(`/v2.0/ports/${full.id}`, { port: { extra_dhcp_opts: [option("66", "t")] } });
  assert.deepEqual([more.status, errorOf(more).type], [400, "HTTPBadRequest"]);
  assert.match(errorOf(more).message, /at most, these are 33/);
});
