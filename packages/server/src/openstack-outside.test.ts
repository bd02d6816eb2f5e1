/** Networks that lead outside, gateways, floating IPs and forwarded ports by the stock client, unchanged. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Json, startTestServer } from "./testing/mod.ts";
import { client, json } from "./testing/openstack.ts";

const asJson = ["-f", "json"] as const;

test("the stock openstack client leads a project outside and a machine out of it", async () => {
  await using server = await startTestServer();
  const red = await server.project("red");
  const admin = client(server, "admin", server.adminPassword, "admin");
  const member = client(server, red.memberName, "not a secret", "red");
  const provider = ["--provider-network-type", "flat", "--provider-physical-network", "public"];
  const external = await json(admin("network", "create", "--external", "--default", ...provider, "public", ...asJson));
  assert.deepEqual(
    [external["router:external"], external["provider:physical_network"], external.is_default],
    [true, "public", true],
  );
  const tagged = [
    "--provider-network-type",
    "vlan",
    "--provider-physical-network",
    "public",
    "--provider-segment",
    "100",
  ];
  const vlan = await json(admin("network", "create", ...tagged, "lan", ...asJson));
  assert.deepEqual([vlan["provider:segmentation_id"], vlan.mtu], [100, 1500]);
  await assert.rejects(
    admin("network", "create", ...tagged, "again"),
    /The VLAN 100 on physical network public is in use/,
  );
  await assert.rejects(member("network", "create", "--external", "mine"), /disallowed by policy/);
  const range = ["--subnet-range", "203.0.113.0/24", "--no-dhcp"];
  const outer = await json(admin("subnet", "create", "--network", "public", ...range, "out", ...asJson));

  await member("network", "create", "red");
  await member("subnet", "create", "--network", "red", "--subnet-range", "10.0.0.0/24", "s");
  await member("router", "create", "r");
  await member("router", "set", "r", "--external-gateway", "public");
  await member("router", "add", "subnet", "r", "s");
  const router = await json(member("router", "show", "r", ...asJson));
  const info = router.external_gateway_info as Json;
  assert.deepEqual([info.network_id, info.enable_snat], [external.id, true]);
  await assert.rejects(
    member("router", "set", "r", "--external-gateway", "public", "--disable-snat"),
    /disallowed by policy/,
  );
  const fixed = ["--fixed-ip", `subnet=${outer.id},ip-address=203.0.113.7`];
  await admin("router", "set", String(router.id), "--external-gateway", "public", "--disable-snat", ...fixed);
  const plain = (await json(member("router", "show", "r", ...asJson))).external_gateway_info as Json;
  assert.deepEqual(
    [plain.enable_snat, plain.external_fixed_ips],
    [false, [{ subnet_id: outer.id, ip_address: "203.0.113.7" }]],
  );

  const port = await json(member("port", "create", "--network", "red", "p", ...asJson));
  const [{ ip_address: inner } = {}] = port.fixed_ips as readonly Json[];
  const floating = await json(member("floating", "ip", "create", "public", "--description", "web", ...asJson));
  const ip = String(floating.floating_ip_address);
  assert.match(ip, /^203\.0\.113\./);
  await member("floating", "ip", "set", ip, "--port", "p");
  const led = await json(member("floating", "ip", "show", ip, ...asJson));
  assert.deepEqual([led.fixed_ip_address, led.port_id, led.router_id], [inner, port.id, router.id]);
  const listed = (await json(member("floating", "ip", "list", ...asJson))) as unknown as readonly Json[];
  assert.deepEqual(
    listed.map((each) => [each["Floating IP Address"], each["Fixed IP Address"], each.Port]),
    [[ip, inner, port.id]],
  );
  await assert.rejects(member("router", "unset", "r", "--external-gateway"), /is required by one or more floating IPs/);
  await member("floating", "ip", "unset", ip, "--port");
  assert.equal((await json(member("floating", "ip", "show", ip, ...asJson))).port_id, null);

  const forward = ["floating", "ip", "port", "forwarding"] as const;
  const inside = ["--internal-ip-address", String(inner), "--port", "p", "--protocol", "tcp"];
  const web = ["--internal-protocol-port", "80", "--external-protocol-port", "8080"];
  const made = await json(member(...forward, "create", ...inside, ...web, ip, ...asJson));
  assert.deepEqual([made.internal_port, made.external_port, made.protocol], [80, 8080, "tcp"]);
  await member(...forward, "set", "--internal-protocol-port", "81", ip, String(made.id));
  assert.equal((await json(member(...forward, "show", ip, String(made.id), ...asJson))).internal_port, 81);
  assert.equal((await member(...forward, "list", ip, "-f", "value", "-c", "ID")).trim(), made.id);
  await member(...forward, "delete", ip, String(made.id));
  await member("floating", "ip", "delete", ip);
  await member("router", "unset", "r", "--external-gateway");
  assert.equal((await json(member("router", "show", "r", ...asJson))).external_gateway_info, null);

  const check = member("network", "auto", "allocated", "topology", "create", "--check-resources");
  await assert.rejects(check, /No default subnetpools defined/);
  const give = ["--type", "network", "--action", "access_as_external", "--target-project", "red"];
  const policy = await json(admin("network", "rbac", "create", ...give, "lan", ...asJson));
  assert.equal(policy.action, "access_as_external");
  assert.match(await member("network", "list", "--external", "-f", "value", "-c", "Name"), /^lan$/m);
});
