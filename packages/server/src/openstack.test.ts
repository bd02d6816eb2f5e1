import assert from "node:assert/strict";
import { test } from "node:test";
import { type Json, startTestServer } from "./testing/mod.ts";
import { client, json } from "./testing/openstack.ts";

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
  const asked = ["--network", "azure", "--fixed-ip", "ip-substring=.0.77"];
  const ports = JSON.parse(await member("port", "list", ...asked, "-f", "json")) as readonly Json[];
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

test("the stock openstack client makes address scopes and subnet pools, and takes subnets from them, unchanged", async () => {
  await using server = await startTestServer();
  const red = await server.project("red");
  const admin = client(server, "admin", server.adminPassword, "admin");
  const member = client(server, red.memberName, "not a secret", "red");
  const scope = await json(member("address", "scope", "create", "s", "--ip-version", "4", "-f", "json"));
  assert.deepEqual([scope.name, scope.ip_version, scope.shared, scope.project_id], ["s", 4, false, red.id]);
  const lengths = ["--default-prefix-length", "26", "--min-prefix-length", "24", "--max-prefix-length", "28"];
  const prefix = ["--pool-prefix", "10.70.0.0/16"];
  const pool = await json(
    member("subnet", "pool", "create", "p", ...prefix, ...lengths, "--address-scope", "s", "-f", "json"),
  );
  assert.deepEqual(
    [pool.prefixes, String(pool.default_prefixlen), pool.address_scope_id],
    [["10.70.0.0/16"], "26", scope.id],
  );
  await member("network", "create", "n");
  const take = async (...args: readonly string[]) =>
    (await json(member("subnet", "create", "--network", "n", ...args, "-f", "json"))).cidr;
  assert.equal(await take("--subnet-pool", "p", "a"), "10.70.0.0/26");
  assert.equal(await take("--subnet-pool", "p", "--prefix-length", "27", "b"), "10.70.0.64/27");
  assert.equal(await take("--subnet-pool", "p", "--subnet-range", "10.70.9.0/24", "c"), "10.70.9.0/24");
  await assert.rejects(take("--subnet-pool", "p", "--prefix-length", "30", "d"), /maximum allowed prefix is 28/);
  assert.equal((await json(member("network", "show", "n", "-f", "json"))).ipv4_address_scope, scope.id);
  await member("subnet", "pool", "set", "p", "--pool-prefix", "10.71.0.0/16", "--default-prefix-length", "25");
  const set = await json(member("subnet", "pool", "show", "p", "-f", "json"));
  assert.deepEqual([set.prefixes, String(set.default_prefixlen)], [["10.70.0.0/15"], "25"]);
  const listed = JSON.parse(await member("subnet", "pool", "list", "-f", "json")) as readonly Json[];
  assert.deepEqual(
    listed.map((each) => each.Name),
    ["p"],
  );
  await assert.rejects(member("subnet", "pool", "delete", "p"), /Subnet pool has existing allocations/);
  await assert.rejects(member("address", "scope", "delete", "s"), /one or more subnet pools in use/);
  await admin("subnet", "pool", "create", "six", "--pool-prefix", "fd60::/48", "--default", "--share");
  const v6 = ["--ip-version", "6", "--ipv6-ra-mode", "slaac", "--ipv6-address-mode", "slaac"];
  assert.equal(await take("--use-default-subnet-pool", ...v6, "e"), "fd60::/64");
  const port = await json(member("port", "create", "q", "--network", "n", "-f", "json"));
  assert.match(JSON.stringify(port.fixed_ips), /fd60::f816:3eff:/);
  await member("port", "delete", "q");
  await member("network", "delete", "n");
  await member("subnet", "pool", "delete", "p");
  await member("address", "scope", "set", "s", "--name", "t");
  await member("address", "scope", "delete", "t");
  assert.equal((await member("address", "scope", "list", "-f", "value")).trim(), "");
});

test("the stock openstack client shares a network with one project, and takes it back, unchanged", async () => {
  await using server = await startTestServer();
  const [red, blue, green] = await Promise.all([
    server.project("red"),
    server.project("blue"),
    server.project("green"),
  ]);
  const owner = client(server, red.memberName, "not a secret", "red");
  const guest = client(server, blue.memberName, "not a secret", "blue");
  const rbac = (...args: readonly string[]) => owner("network", "rbac", ...args);
  await owner("network", "create", "n");
  await owner("subnet", "create", "s", "--network", "n", "--subnet-range", "10.0.0.0/24");
  assert.equal((await guest("network", "list", "-f", "value", "-c", "Name")).trim(), "");
  const access = ["--type", "network", "--action", "access_as_shared"];
  const policy = await json(rbac("create", ...access, "--target-project", blue.id, "n", "-f", "json"));
  assert.deepEqual([policy.object_type, policy.action], ["network", "access_as_shared"]);
  assert.equal((await guest("network", "list", "-f", "value", "-c", "Name")).trim(), "n");
  assert.equal((await json(guest("network", "show", "n", "-f", "json"))).shared, true);
  await guest("port", "create", "p", "--network", "n");
  await assert.rejects(rbac("delete", String(policy.id)), /Failed to delete RBAC policy|cannot be removed/);
  await guest("port", "delete", "p");
  await assert.rejects(rbac("create", ...access, "--target-all-projects", "n"), /disallowed by policy/);
  const listed = JSON.parse(await rbac("list", "--long", "-f", "json")) as readonly Json[];
  assert.deepEqual(
    listed.map((each) => [each.ID, each["Object Type"], each.Action]),
    [[policy.id, "network", "access_as_shared"]],
  );
  await rbac("set", String(policy.id), "--target-project", green.id);
  assert.equal((await guest("network", "list", "-f", "value", "-c", "Name")).trim(), "");
  await rbac("delete", String(policy.id));
  assert.equal((await rbac("list", "-f", "value")).trim(), "");
});

test("the stock openstack client tags, filters by tags, reads agents, zones and address counts, and shuts a host", async () => {
  await using server = await startTestServer();
  const host = await server.host("h1");
  const red = await server.project("red");
  const admin = client(server, "admin", server.adminPassword, "admin");
  const member = client(server, red.memberName, "not a secret", "red");
  const made = await json(member("network", "create", "n", "--tag", "blue", "--tag", "a b", "-f", "json"));
  assert.deepEqual(made.tags, ["a b", "blue"]);
  await member("network", "set", "n", "--tag", "green");
  await member("network", "unset", "n", "--tag", "a b");
  await member("network", "create", "other");
  assert.equal((await member("network", "list", "--tags", "blue,green", "-f", "value", "-c", "Name")).trim(), "n");
  assert.equal(
    (await member("network", "list", "--not-any-tags", "blue", "-f", "value", "-c", "Name")).trim(),
    "other",
  );
  await member("subnet", "create", "s", "--network", "n", "--subnet-range", "10.0.0.0/24", "--tag", "t");
  await member("port", "create", "p", "--network", "n", "--tag", "t");
  await member("router", "create", "r", "--tag", "t");
  assert.equal((await member("router", "list", "--tags", "t", "-f", "value", "-c", "Name")).trim(), "r");
  // The client is slow: a host that has said nothing for so long would be dead.
  server.running.core.hosts.report(host, {});
  const agents = JSON.parse(await admin("network", "agent", "list", "-f", "json")) as readonly Json[];
  const [agent] = agents;
  assert.deepEqual([agents.length, agent?.Host, agent?.Alive, agent?.State], [1, "h1", true, true]);
  await admin("network", "agent", "set", String(agent?.ID), "--disable", "--description", "rack 4");
  const shown = await json(admin("network", "agent", "show", String(agent?.ID), "-f", "json"));
  assert.deepEqual([shown.admin_state_up, shown.description], [false, "rack 4"]);
  assert.match(await admin("availability", "zone", "list", "--network", "-f", "value"), /^nova not available$/m);
  const counts = await json(admin("ip", "availability", "show", "n", "-f", "json"));
  assert.deepEqual([counts.network_name, counts.used_ips, counts.total_ips], ["n", 1, 253]);
});

test("the stock clients set quotas, list them and what is used of them, and say what is over", async () => {
  await using server = await startTestServer();
  const red = await server.project("red");
  const admin = client(server, "admin", server.adminPassword, "admin");
  const member = client(server, red.memberName, "not a secret", "red");
  // The openstack client's `quota set` and `quota show` ask for a compute service before all else, as they do of a real Neutron; its sister does not.
  const neutron = client(server, "admin", server.adminPassword, "admin", "neutron");
  const quota = (verb: string, ...args: readonly string[]) => neutron(`quota-${verb}`, "--tenant-id", red.id, ...args);
  const set = await json(quota("update", "--network", "1", "--security-group-rule", "-1", "-f", "json"));
  assert.deepEqual([set.network, set.security_group_rule, set.port], [1, -1, 500]);
  assert.deepEqual(await json(quota("show", "-f", "json")), set);
  assert.equal((await json(quota("default-show", "-f", "json"))).network, 100);
  await assert.rejects(quota("update", "--network", "-2"), /'-2' is too small/);
  const quotas = JSON.parse(await admin("quota", "list", "--network", "-f", "json")) as readonly Json[];
  assert.deepEqual(
    quotas.map((each) => [each["Project ID"], each.Networks, each.Ports]),
    [[red.id, 1, 500]],
  );
  await member("network", "create", "one");
  await assert.rejects(member("network", "create", "two"), /Quota exceeded for resources: \['network'\]/);
  const used = JSON.parse(
    await admin("quota", "list", "--network", "--detail", "--project", "red", "-f", "json"),
  ) as readonly Json[];
  assert.deepEqual(
    used.find((each) => each.Resource === "networks"),
    { Resource: "networks", "In Use": 1, Reserved: 0, Limit: 1 },
  );
  await quota("delete");
  await member("network", "create", "two");
  await assert.rejects(quota("delete"), /Quota for tenant \S+ could not be found/);
});

test("the stock openstack client makes security groups, rules and address groups, and puts ports in them, unchanged", async () => {
  await using server = await startTestServer();
  const red = await server.project("red");
  const member = client(server, red.memberName, "not a secret", "red");
  const list = async (...args: readonly string[]): Promise<readonly Json[]> =>
    JSON.parse(await member(...args, "-f", "json")) as readonly Json[];
  const group = await json(member("security", "group", "create", "web", "--tag", "t", "-f", "json"));
  assert.deepEqual([group.name, group.stateful, group.tags, (group.rules as Json[]).length], ["web", true, ["t"], 2]);
  const rule = (...args: readonly string[]) =>
    json(member("security", "group", "rule", "create", "web", ...args, "-f", "json"));
  const http = await rule("--protocol", "tcp", "--dst-port", "80:81", "--remote-ip", "10.0.0.0/8");
  assert.deepEqual([http.protocol, http.port_range_min, http.port_range_max], ["tcp", 80, 81]);
  const ping = await rule("--protocol", "icmp", "--icmp-type", "8", "--icmp-code", "0");
  assert.deepEqual([ping.port_range_min, ping.port_range_max, ping.direction], [8, 0, "ingress"]);
  await rule("--remote-group", "web", "--ethertype", "IPv6");
  const addresses = await json(member("address", "group", "create", "peers", "--address", "10.9.0.0/16", "-f", "json"));
  assert.deepEqual(addresses.addresses, ["10.9.0.0/16"]);
  await member("address", "group", "set", "peers", "--address", "2001:db8::/32");
  await member("address", "group", "unset", "peers", "--address", "10.9.0.0/16");
  assert.deepEqual((await json(member("address", "group", "show", "peers", "-f", "json"))).addresses, [
    "2001:db8::/32",
  ]);
  await rule("--remote-address-group", "peers", "--ethertype", "IPv6", "--egress");
  await assert.rejects(member("address", "group", "delete", "peers"), /Failed to delete|in use/);
  const rules = await list("security", "group", "rule", "list", "web");
  assert.equal(rules.length, 6);
  await member("network", "create", "n");
  await member("subnet", "create", "s", "--network", "n", "--subnet-range", "10.0.0.0/24");
  await member("port", "create", "p", "--network", "n");
  const groups = await list("security", "group", "list");
  const idOf = (name: string) => String(groups.find((each) => each.Name === name)?.ID);
  const shown = await json(member("port", "show", "p", "-f", "json"));
  assert.deepEqual(shown.security_group_ids, [idOf("default")]);
  const pair = "ip-address=10.0.0.200,mac-address=00:00:5e:00:01:01";
  await member("port", "set", "p", "--no-security-group", "--security-group", "web", "--allowed-address", pair);
  const set = await json(member("port", "show", "p", "-f", "json"));
  assert.deepEqual(
    [set.security_group_ids, set.allowed_address_pairs],
    [[idOf("web")], [{ ip_address: "10.0.0.200", mac_address: "00:00:5e:00:01:01" }]],
  );
  await assert.rejects(member("security", "group", "delete", "web"), /Failed to delete|in use/);
  await member("port", "set", "p", "--no-security-group", "--no-allowed-address", "--disable-port-security");
  await member("security", "group", "rule", "delete", String(http.id));
  await member("security", "group", "set", "web", "--name", "www", "--stateless");
  assert.equal((await json(member("security", "group", "show", "www", "-f", "json"))).stateful, false);
  await member("security", "group", "delete", "www");
  await member("address", "group", "delete", "peers");
  assert.equal((await member("security", "group", "list", "-f", "value", "-c", "Name")).trim(), "default");
});

test("the stock openstack client makes routers, their interfaces and routes, unchanged", async () => {
  await using server = await startTestServer();
  const red = await server.project("red");
  const member = client(server, red.memberName, "not a secret", "red");
  await member("network", "create", "n");
  await member("subnet", "create", "s", "--network", "n", "--subnet-range", "10.0.0.0/24");
  await member("network", "create", "m");
  await member("subnet", "create", "t", "--network", "m", "--subnet-range", "10.1.0.0/24");
  const router = await json(member("router", "create", "r", "-f", "json"));
  assert.deepEqual([router.name, router.status, router.admin_state_up], ["r", "ACTIVE", true]);
  await member("router", "add", "subnet", "r", "s");
  const port = await json(member("port", "create", "q", "--network", "m", "--fixed-ip", "subnet=t", "-f", "json"));
  await member("router", "add", "port", "r", "q");
  const shown = await json(member("router", "show", "r", "-f", "json"));
  assert.equal((shown.interfaces_info as readonly Json[]).length, 2);
  await member("router", "add", "route", "r", "--route", "destination=172.16.0.0/12,gateway=10.0.0.9");
  await member("router", "set", "r", "--route", "destination=192.168.0.0/16,gateway=10.0.0.8");
  const routed = (await json(member("router", "show", "r", "-f", "json"))).routes as readonly Json[];
  assert.deepEqual(routed.map((each) => each.destination).sort(), ["172.16.0.0/12", "192.168.0.0/16"]);
  await assert.rejects(member("router", "remove", "subnet", "r", "s"), /required by one or more routes/);
  await assert.rejects(member("port", "delete", String(port.id)), /Failed to delete|cannot be deleted directly/);
  await member("router", "remove", "route", "r", "--route", "destination=172.16.0.0/12,gateway=10.0.0.9");
  await member("router", "unset", "r", "--route", "destination=192.168.0.0/16,gateway=10.0.0.8");
  await assert.rejects(member("router", "delete", "r"), /Failed to delete|still attached/);
  await member("router", "remove", "subnet", "r", "s");
  await member("router", "remove", "port", "r", "q");
  await member("router", "delete", "r");
  assert.equal((await member("router", "list", "-f", "value")).trim(), "");
});
