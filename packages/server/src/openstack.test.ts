import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { type Json, startTestServer, type TestServer } from "./testing/mod.ts";

const run = promisify(execFile);

/** The stock client, told where and who by its environment. */
function client(server: TestServer, user: string, password: string, project: string) {
  const env = {
    PATH: process.env.PATH,
    OS_AUTH_URL: `${server.url}/identity/v3`,
    OS_IDENTITY_API_VERSION: "3",
    OS_USERNAME: user,
    OS_PASSWORD: password,
    OS_PROJECT_NAME: project,
    OS_USER_DOMAIN_NAME: "Default",
    OS_PROJECT_DOMAIN_NAME: "Default",
  };
  return async (...args: readonly string[]): Promise<string> => {
    try {
      return (await run("openstack", [...args], { env })).stdout;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") {
        throw new Error("the openstack client is not installed: run ./selvage setup", { cause: error });
      }
      throw error;
    }
  };
}

const json = async (text: Promise<string>): Promise<Json> => JSON.parse(await text) as Json;

test("the stock openstack client creates, shows, lists, sets and deletes networks, subnets and ports, unchanged", async () => {
  await using server = await startTestServer();
  await server.host("h1");
  const red = await server.project("red");
  const admin = client(server, "admin", server.adminPassword, "admin");
  const member = client(server, red.memberName, "not a secret", "red");
  const network = await json(member("network", "create", "blue", "-f", "json"));
  assert.deepEqual([network.name, network.mtu, network.status, network.project_id], ["blue", 1434, "ACTIVE", red.id]);
  const subnet = await json(
    member("subnet", "create", "s4", "--network", "blue", "--subnet-range", "10.0.0.0/24", "-f", "json"),
  );
  assert.equal(subnet.gateway_ip, "10.0.0.1");
  await member("subnet", "create", "s6", "--network", "blue", "--ip-version", "6", "--subnet-range", "fd00::/64");
  await member(
    "subnet",
    "set",
    "s4",
    "--dns-nameserver",
    "9.9.9.9",
    "--host-route",
    "destination=10.9.0.0/16,gateway=10.0.0.9",
  );
  const set = await json(member("subnet", "show", "s4", "-f", "json"));
  assert.deepEqual(
    [set.dns_nameservers, set.host_routes],
    [["9.9.9.9"], [{ destination: "10.9.0.0/16", nexthop: "10.0.0.9" }]],
  );
  const fixed = `subnet=s4,ip-address=10.0.0.77`;
  const port = await json(member("port", "create", "p", "--network", "blue", "--fixed-ip", fixed, "-f", "json"));
  assert.deepEqual(port.fixed_ips, [{ subnet_id: subnet.id, ip_address: "10.0.0.77" }]);
  await admin("port", "set", String(port.id), "--host", "h1", "--name", "q");
  const bound = await json(admin("port", "show", String(port.id), "-f", "json"));
  assert.deepEqual([bound.binding_host_id, bound.binding_vif_type, bound.name], ["h1", "ovs", "q"]);
  await member("network", "set", "blue", "--name", "azure", "--disable");
  const listed = JSON.parse(await member("network", "list", "--long", "-f", "json")) as readonly Json[];
  assert.deepEqual(
    listed.map((each) => each.Name),
    ["azure"],
  );
  const ports = JSON.parse(await member("port", "list", "--network", "azure", "-f", "json")) as readonly Json[];
  assert.deepEqual(
    ports.map((each) => each.Name),
    ["q"],
  );
  await assert.rejects(member("network", "delete", "azure"), /There are one or more ports still in use on the network/);
  await assert.rejects(member("network", "set", "azure", "--share"), /disallowed by policy/);
  await member("port", "delete", "q");
  await member("subnet", "delete", "s4");
  await member("network", "delete", "azure");
  assert.equal((await member("network", "list", "-f", "value")).trim(), "");
});

test("the stock openstack client manages projects, users and roles", async () => {
  await using server = await startTestServer();
  const admin = client(server, "admin", server.adminPassword, "admin");
  await admin("project", "create", "green");
  await admin("user", "create", "gina", "--password", "pw");
  await admin("role", "add", "--project", "green", "--user", "gina", "member");
  const gina = client(server, "gina", "pw", "green");
  assert.match(await gina("token", "issue", "-f", "value", "-c", "project_id"), /^[0-9a-f]{32}\n$/);
  const named = await json(admin("network", "create", "n", "--project", "green", "-f", "json"));
  assert.equal((await gina("network", "list", "-f", "value", "-c", "ID")).trim(), named.id);
  assert.match(
    await admin("role", "assignment", "list", "--names", "-f", "csv"),
    /"member","gina@Default","","green@Default"/,
  );
  await admin("role", "remove", "--project", "green", "--user", "gina", "member");
  await assert.rejects(gina("network", "list"), /requires authentication/);
  assert.match(await admin("catalog", "list", "-f", "value", "-c", "Name"), /neutron/);
  assert.match(await admin("extension", "list", "--network", "-f", "value", "-c", "Alias"), /^port-security$/m);
});
