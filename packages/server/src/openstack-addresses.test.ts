/** What leads to an address outside, by the stock client and its library, unchanged: lists of floating IPs, names, DHCP options, ranges, topologies, NDP proxies. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Json, startTestServer } from "./testing/mod.ts";
import { client, json } from "./testing/openstack.ts";
import { outside } from "./testing/outside.ts";

const asJson = ["-f", "json"] as const;

test("the stock openstack client makes a floating IP for a port, finds it by all that it is, and lets it go", async () => {
  await using server = await startTestServer();
  const red = await server.project("red");
  const admin = client(server, "admin", server.adminPassword, "admin");
  const member = client(server, red.memberName, "not a secret", "red");
  const { network, subnet } = await outside(server);
  const { id: network_id } = await red.member.create("network", { name: "red" });
  const inner = await red.member.create("subnet", { network_id, ip_version: 4, cidr: "10.0.0.0/24" });
  const router = await red.member.create("router", { external_gateway_info: { network_id: network.id }, name: "r" });
  await red.member.put(`/v2.0/routers/${router.id}/add_router_interface`, { subnet_id: inner.id });
  const fixed_ips = [{ ip_address: "10.0.0.7" }, { ip_address: "10.0.0.8" }];
  const port = await red.member.create("port", { network_id, name: "p", fixed_ips });

  const create = ["floating", "ip", "create", String(network.name)] as const;
  await assert.rejects(member(...create, "--port", "p"), /Must provide a specific IPv4 address/);
  const named = ["--dns-name", "web", "--dns-domain", "example.org.", "--tag", "blue"];
  const made = await json(
    member(...create, "--port", "p", "--fixed-ip-address", "10.0.0.8", "--description", "web", ...named, ...asJson),
  );
  const ip = String(made.floating_ip_address);
  assert.deepEqual(
    [made.fixed_ip_address, made.port_id, made.router_id, made.description, made.status],
    ["10.0.0.8", port.id, router.id, "web", "DOWN"],
  );
  assert.deepEqual([made.dns_name, made.dns_domain, made.tags], ["web", "example.org.", ["blue"]]);
  assert.deepEqual((made.port_details as Json).name, "p");
  await assert.rejects(member(...create, "--floating-ip-address", "203.0.113.250"), /disallowed by policy/);
  // Subnets outside are their owner's to see.
  const chosen = ["--subnet", subnet.id, "--floating-ip-address", "203.0.113.250", "--project", red.id];
  const other = await json(admin(...create, ...chosen, ...asJson));
  assert.deepEqual([other.floating_ip_address, other.project_id], ["203.0.113.250", red.id]);

  const found = async (...filter: readonly string[]): Promise<readonly string[]> => {
    const printed = await member("floating", "ip", "list", ...filter, "-f", "value", "-c", "Floating IP Address");
    return printed.trim().split("\n").filter(Boolean).sort();
  };
  const both = ["203.0.113.250", ip].sort();
  for (const [filter, expected] of [
    [["--network", String(network.name)], both],
    [["--port", "p"], [ip]],
    [["--router", "r"], [ip]],
    [["--fixed-ip-address", "10.0.0.8"], [ip]],
    [["--floating-ip-address", "203.0.113.250"], ["203.0.113.250"]],
    [["--status", "DOWN"], both],
    [["--status", "ACTIVE"], []],
    [["--tags", "blue"], [ip]],
    [["--not-tags", "blue"], ["203.0.113.250"]],
  ] as const)
    assert.deepEqual(await found(...filter), expected, filter.join(" "));
  const [long] = JSON.parse(
    await member("floating", "ip", "list", "--long", "--port", "p", ...asJson),
  ) as readonly Json[];
  assert.deepEqual(
    [long?.Router, long?.Status, long?.Description, long?.Tags, long?.["DNS Name"], long?.["DNS Domain"]],
    [router.id, "DOWN", "web", ["blue"], "web", "example.org."],
  );
  // The client sends what changes alone: not the port, where it stays.
  await member("floating", "ip", "unset", ip, "--port");
  await member("floating", "ip", "set", ip, "--port", "p", "--fixed-ip-address", "10.0.0.7", "--tag", "green");
  const moved = await json(member("floating", "ip", "show", ip, ...asJson));
  assert.deepEqual([moved.fixed_ip_address, moved.tags], ["10.0.0.7", ["blue", "green"]]);
  await member("floating", "ip", "unset", ip, "--port", "--all-tag");
  const left = await json(member("floating", "ip", "show", ip, ...asJson));
  assert.deepEqual([left.port_id, left.router_id, left.tags], [null, null, []]);
  await member("floating", "ip", "delete", ip, "203.0.113.250");
  assert.deepEqual(await found(), []);
});

test("the stock openstack client names ports and networks, and gives a port DHCP options", async () => {
  await using server = await startTestServer();
  const red = await server.project("red");
  const member = client(server, red.memberName, "not a secret", "red");
  const network = await json(member("network", "create", "n", "--dns-domain", "example.org.", ...asJson));
  assert.equal(network.dns_domain, "example.org.");
  await member("subnet", "create", "s", "--network", "n", "--subnet-range", "10.0.0.0/24");
  const options = ["name=bootfile-name,value=pxe.0", "name=dns-server,value=2001:db8::53,ip-version=6"];
  const create = ["port", "create", "--network", "n", "--dns-name", "db"] as const;
  const port = await json(
    member(...create, ...options.flatMap((each) => ["--extra-dhcp-option", each]), "p", ...asJson),
  );
  const [{ fqdn } = {}] = port.dns_assignment as readonly Json[];
  assert.deepEqual([port.dns_name, fqdn], ["db", "db.example.org."]);
  assert.deepEqual(port.extra_dhcp_opts, [
    { opt_name: "bootfile-name", opt_value: "pxe.0", ip_version: 4 },
    { opt_name: "dns-server", opt_value: "2001:db8::53", ip_version: 6 },
  ]);
  await member("port", "set", "p", "--dns-name", "other", "--extra-dhcp-option", "name=bootfile-name,value=new.0");
  const changed = await json(member("port", "show", "p", ...asJson));
  const [{ opt_value } = {}] = changed.extra_dhcp_opts as readonly Json[];
  assert.deepEqual([changed.dns_name, opt_value], ["other", "new.0"]);
  await assert.rejects(
    member("port", "set", "p", "--extra-dhcp-option", "name=nonsense,value=1"),
    /'nonsense' is no option of DHCPv4/,
  );
  await member("network", "set", "n", "--dns-domain", "example.net.");
  assert.equal((await json(member("network", "show", "n", ...asJson))).dns_domain, "example.net.");
});

test("the stock openstack client keeps ranges of numbers, counts addresses, and asks for a whole topology", async () => {
  await using server = await startTestServer();
  const red = await server.project("red");
  const admin = client(server, "admin", server.adminPassword, "admin");
  const member = client(server, red.memberName, "not a secret", "red");
  const range = ["network", "segment", "range"] as const;
  const vlans = ["--network-type", "vlan", "--physical-network", "lan", "--minimum", "100", "--maximum", "101"];
  const made = await json(admin(...range, "create", "--private", "--project", "red", ...vlans, "reds", ...asJson));
  assert.deepEqual(
    [made.network_type, made.physical_network, made.minimum, made.maximum, made.shared, made.project_id, made.default],
    ["vlan", "lan", 100, 101, false, red.id, false],
  );
  await assert.rejects(member(...range, "create", "--shared", ...vlans, "mine"), /disallowed by policy/);
  await assert.rejects(admin(...range, "create", "--shared", ...vlans, "same"), /overlap/);
  await admin(...range, "set", "reds", "--minimum", "100", "--maximum", "109", "--name", "wide");
  const provider = ["--provider-network-type", "vlan", "--provider-physical-network", "lan"];
  await admin("network", "create", "--project", "red", ...provider, "tagged");
  const listed = JSON.parse(await admin(...range, "list", "--used", "--long", ...asJson)) as readonly Json[];
  assert.deepEqual(
    listed.map((each) => [each.Name, each["Maximum ID"], Object.keys(each.Used as Json)]),
    [["wide", 109, [red.id]]],
  );
  await assert.rejects(admin(...range, "delete", "wide"), /1 of 1 network segment ranges failed/i);
  await admin("network", "delete", "tagged");
  await admin(...range, "delete", "wide");
  assert.deepEqual(JSON.parse(await admin(...range, "list", ...asJson)), []);

  await outside(server, { values: { is_default: true } });
  await server.admin.create("subnetpool", {
    name: "all",
    prefixes: ["10.64.0.0/16"],
    default_prefixlen: 24,
    shared: true,
    is_default: true,
  });
  const topology = ["network", "auto", "allocated", "topology"] as const;
  await member(...topology, "create", "--check-resources");
  const { id } = await json(member(...topology, "create", "--or-show", ...asJson));
  assert.equal((await json(member(...topology, "create", ...asJson))).id, id);
  assert.equal((await member("router", "list", "-f", "value", "-c", "Name")).trim(), "auto_allocated_router");
  const counted = JSON.parse(
    await admin("ip", "availability", "list", "--ip-version", "4", ...asJson),
  ) as readonly Json[];
  const own = counted.find((each) => each["Network ID"] === id);
  assert.deepEqual([own?.["Total IPs"], own?.["Used IPs"]], [253, 1]);
  await member(...topology, "delete");
  await assert.rejects(member("network", "show", String(id)), /No Network found/);
});

/** What the client of that release has no words for, its library has. */
const proxying = `
import openstack, json, sys
cloud = openstack.connect()
port = sys.argv[1]
router = cloud.network.find_router("r")
def told(call):
    try:
        call()
    except openstack.exceptions.HttpException as error:
        return [error.status_code, error.details]
made = dict(router_id=router.id, port_id=port, name="door")
refused = told(lambda: cloud.network.create_ndp_proxy(**made))
cloud.network.update_router(router, enable_ndp_proxy=True)
proxy = cloud.network.create_ndp_proxy(**made)
again = told(lambda: cloud.network.create_ndp_proxy(**made))
cloud.network.update_ndp_proxy(proxy, description="kept")
listed = [[each.name, each.description] for each in cloud.network.ndp_proxies(router_id=router.id)]
held = told(lambda: cloud.network.update_router(router, external_gateway_info={}))
cloud.network.delete_ndp_proxy(proxy)
print(json.dumps(dict(
    address=proxy.ip_address, refused=refused, again=again, listed=listed, held=held,
    enabled=cloud.network.get_router(router).enable_ndp_proxy, left=len(list(cloud.network.ndp_proxies())),
)))
`;

test("the stock library has a router speak for single addresses of machines", async () => {
  await using server = await startTestServer();
  const red = await server.project("red");
  const { network } = await outside(server);
  const six = { ip_version: 6, shared: true };
  const scope = await server.admin.post("/v2.0/address-scopes", { address_scope: { name: "world", ...six } });
  const { id: address_scope_id } = scope.body.address_scope as Json;
  const pool = { prefixes: ["2001:db8::/32"], default_prefixlen: 64, shared: true, address_scope_id };
  const { id: subnetpool_id } = await server.admin.create("subnetpool", { name: "all", ...pool });
  await server.admin.create("subnet", { network_id: network.id, ip_version: 6, subnetpool_id });
  const { id: network_id } = await red.member.create("network", { name: "red" });
  const inner = await red.member.create("subnet", { network_id, ip_version: 6, subnetpool_id });
  const router = await red.member.create("router", { name: "r", external_gateway_info: { network_id: network.id } });
  await red.member.put(`/v2.0/routers/${router.id}/add_router_interface`, { subnet_id: inner.id });
  const port = await red.member.create("port", { network_id, name: "p" });
  const python = client(server, red.memberName, "not a secret", "red", "/usr/bin/python3");
  const said = await json(python("-c", proxying, port.id));
  const [{ ip_address } = {}] = port.fixed_ips as readonly Json[];
  assert.deepEqual([said.address, said.enabled, said.left], [ip_address, true, 0]);
  assert.deepEqual(said.listed, [["door", "kept"]]);
  for (const [name, status, reason] of [
    ["refused", 409, /must be set as True/],
    ["again", 400, /already/],
    ["held", 409, /one or more ndp proxies/],
  ] as const) {
    const [code, details] = said[name] as readonly unknown[];
    assert.equal(code, status, name);
    assert.match(String(details), reason);
  }
});
