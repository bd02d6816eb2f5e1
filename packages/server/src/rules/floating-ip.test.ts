/** Floating IPs and forwarded ports by the API: addresses, association and its end, and everything that stands against them. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Answer, errorOf, type Json, startTestServer, type TestProject, type TestServer } from "../testing/mod.ts";
import { type Made, outside } from "../testing/outside.ts";

let server: TestServer;
let red: TestProject;
let blue: TestProject;
before(async () => {
  server = await startTestServer({ on: "memory", settings: { quotaRouter: -1 } });
  red = await server.project("red");
  blue = await server.project("blue");
});
after(() => server[Symbol.asyncDispose]());

const told = (answer: Answer): readonly unknown[] => [answer.status, errorOf(answer).type];
const floatingIn = ({ body }: Answer): Made => body.floatingip as Made;
const put = (id: string, values: Json, by = red.member) => by.put(`/v2.0/floatingips/${id}`, { floatingip: values });
const show = async (id: string): Promise<Made> => floatingIn(await red.member.get(`/v2.0/floatingips/${id}`));

/** An external network, a router that leads there, and a subnet of red's behind it. */
async function world() {
  const out = await outside(server);
  const network = await red.member.create("network", {});
  const subnet = await red.member.create("subnet", { network_id: network.id, ip_version: 4, cidr: "10.0.0.0/24" });
  const router = await red.member.create("router", { external_gateway_info: { network_id: out.network.id } });
  const path = `/v2.0/routers/${router.id}`;
  assert.equal((await red.member.put(`${path}/add_router_interface`, { subnet_id: subnet.id })).status, 200);
  const machine = (values: Json = {}) => red.member.create("port", { network_id: network.id, ...values });
  const post = (values: Json = {}, by = red.member) =>
    by.post("/v2.0/floatingips", { floatingip: { floating_network_id: out.network.id, ...values } });
  return { out, network, subnet, router, path, machine, post };
}

const ipOf = (port: Json): unknown => (port.fixed_ips as readonly Json[])[0]?.ip_address;

test("a floating IP has an address of its own, stands for a machine and for none again, and gives the address back", async () => {
  const { out, router, machine, post } = await world();
  const made = await post({ description: "web" });
  assert.equal(made.status, 201, made.text);
  const { id, ...first } = floatingIn(made);
  assert.match(String(first.floating_ip_address), /^203\.0\.113\.\d+$/);
  assert.deepEqual(
    [first.router_id, first.port_id, first.fixed_ip_address, first.status, first.description, first.port_details],
    [null, null, null, "DOWN", "web", null],
  );
  assert.deepEqual([first.port_forwardings, first.tags, first.project_id], [[], [], red.id]);
  assert.equal("name" in first, false);
  const [kept] = await server.admin.list("ports", `device_id=${id}`);
  assert.deepEqual(
    [kept?.device_owner, kept?.project_id, kept?.status, ipOf(kept ?? {})],
    ["network:floatingip", "", "N/A", first.floating_ip_address],
  );
  assert.deepEqual(told(await server.admin.delete(`/v2.0/ports/${kept?.id}`)), [409, "ServicePortInUse"]);
  const port = await machine();
  const led = floatingIn(await put(id, { port_id: port.id }));
  assert.deepEqual([led.router_id, led.port_id, led.fixed_ip_address], [router.id, port.id, ipOf(port)]);
  const details = led.port_details as Json;
  assert.deepEqual([details.mac_address, details.status, details.device_owner], [port.mac_address, "DOWN", ""]);
  assert.equal(floatingIn(await put(id, { description: "x" })).port_id, port.id, "what is not named stays");
  assert.deepEqual(floatingIn(await put(id, { port_id: port.id })).fixed_ip_address, ipOf(port));
  const none = floatingIn(await put(id, { port_id: null }));
  assert.deepEqual([none.router_id, none.port_id, none.fixed_ip_address, none.status], [null, null, null, "DOWN"]);
  assert.equal(floatingIn(await put(id, { port_id: port.id })).port_id, port.id);
  assert.equal(floatingIn(await put(id, {})).port_id, null, "to say nothing is to let go");
  assert.equal((await red.member.delete(`/v2.0/floatingips/${id}`)).status, 204);
  assert.deepEqual(await server.admin.list("ports", `device_id=${id}`), []);
  assert.deepEqual(told(await red.member.get(`/v2.0/floatingips/${id}`)), [404, "FloatingIPNotFound"]);
  const again = await post({ floating_ip_address: first.floating_ip_address }, server.admin);
  assert.deepEqual([again.status, floatingIn(again).floating_ip_address], [201, first.floating_ip_address]);
  assert.equal((await server.admin.delete(`/v2.0/networks/${out.network.id}`)).status, 409);
});

test("it is active while the machine's port is up on its host", async () => {
  const { machine, post } = await world();
  const hostId = await server.host("fip-host");
  const port = await machine();
  const { id } = floatingIn(await post({ port_id: port.id }));
  assert.equal(
    (await server.admin.put(`/v2.0/ports/${port.id}`, { port: { "binding:host_id": "fip-host" } })).status,
    200,
  );
  assert.equal((await show(id)).status, "DOWN");
  server.running.core.hosts.report(hostId, { portsUp: [port.id] });
  const up = await show(id);
  assert.deepEqual([up.status, (up.port_details as Json).status], ["ACTIVE", "ACTIVE"]);
  assert.deepEqual(
    (await red.member.list("floatingips", "status=ACTIVE")).map((each) => each.id),
    [id],
  );
  server.running.core.hosts.report(hostId, { portsUp: [] });
  assert.equal((await show(id)).status, "DOWN");
});

test("who may ask for which address, of which network and subnet", async () => {
  const { out, network, post } = await world();
  const refused = await post({ floating_ip_address: "203.0.113.200" });
  assert.deepEqual(told(refused), [403, "PolicyNotAuthorized"]);
  assert.match(errorOf(refused).message, /^\(rule:create_floatingip and rule:create_floatingip:floating_ip_address\)/);
  assert.equal((await post({ floating_ip_address: "203.0.113.200" }, server.admin)).status, 201);
  assert.deepEqual(told(await post({ floating_ip_address: "203.0.113.200" }, server.admin)), [
    409,
    "IpAddressAlreadyAllocated",
  ]);
  assert.deepEqual(told(await post({ floating_ip_address: "10.9.9.9" }, server.admin)), [400, "InvalidIpForNetwork"]);
  const second = await server.admin.create("subnet", {
    network_id: out.network.id,
    ip_version: 4,
    cidr: "198.51.100.0/24",
  });
  const chosen = floatingIn(await post({ subnet_id: second.id }, server.admin));
  assert.match(String(chosen.floating_ip_address), /^198\.51\.100\./);
  const six = await server.admin.create("subnet", {
    network_id: out.network.id,
    ip_version: 6,
    cidr: "2001:db8:ff::/64",
  });
  assert.deepEqual(told(await post({ subnet_id: six.id }, server.admin)), [400, "ExternalIpAddressExhausted"]);
  const internal = await red.member.post("/v2.0/floatingips", { floatingip: { floating_network_id: network.id } });
  assert.deepEqual(told(internal), [400, "BadRequest"]);
  assert.match(errorOf(internal).message, /^Bad floatingip request: Network .* is not a valid external network\.$/);
  const unknown = await blue.member.post("/v2.0/floatingips", { floatingip: { floating_network_id: network.id } });
  assert.deepEqual(told(unknown), [404, "NetworkNotFound"]);
  assert.equal((await post({}, red.reader)).status, 403);
  const onlySix = await server.admin.create("network", { "router:external": true });
  await server.admin.create("subnet", { network_id: onlySix.id, ip_version: 6, cidr: "2001:db8:fe::/64" });
  const noFour = await red.member.post("/v2.0/floatingips", { floatingip: { floating_network_id: onlySix.id } });
  assert.match(errorOf(noFour).message, /does not contain any IPv4 subnet/);
});

test("another project's port on one's own network is seen, and not stood for; one on another's is not there", async () => {
  const { network, post } = await world();
  const floating = floatingIn(await post());
  const theirs = await server.admin.create("port", { network_id: network.id, project_id: blue.id });
  const refused = await put(floating.id, { port_id: theirs.id });
  assert.deepEqual(told(refused), [400, "BadRequest"]);
  assert.match(errorOf(refused).message, /since that port is owned by a different project/);
  const { id: network_id } = await blue.member.create("network", {});
  const hidden = await blue.member.create("port", { network_id });
  assert.deepEqual(told(await put(floating.id, { port_id: hidden.id })), [404, "PortNotFound"]);
});

test("what cannot be stood for is refused in Neutron's words", async () => {
  const { out, subnet, machine, post } = await world();
  const port = await machine();
  const first = floatingIn(await post({ port_id: port.id }));
  const twice = await post({ port_id: port.id });
  assert.deepEqual(told(twice), [409, "FloatingIPPortAlreadyAssociated"]);
  assert.match(
    errorOf(twice).message,
    new RegExp(`with port ${port.id} using fixed IP ${ipOf(port)}, as that fixed IP already`),
  );
  assert.deepEqual(told(await put(first.id, { fixed_ip_address: "10.0.0.9" })), [400, "BadRequest"]);
  const foreign = await blue.member.create("network", {});
  await blue.member.create("subnet", { network_id: foreign.id, ip_version: 4, cidr: "10.5.0.0/24" });
  const blues = await blue.member.create("port", { network_id: foreign.id });
  assert.deepEqual(told(await put(first.id, { port_id: blues.id })), [404, "PortNotFound"]);
  const unreached = await post({ port_id: blues.id }, blue.member);
  assert.deepEqual(told(unreached), [404, "ExternalGatewayForFloatingIPNotFound"]);
  assert.match(
    errorOf(unreached).message,
    new RegExp(`External network ${out.network.id} is not reachable from subnet`),
  );
  const pair = ["10.0.0.41", "10.0.0.42"].map((ip_address) => ({ subnet_id: subnet.id, ip_address }));
  const two = await machine({ fixed_ips: pair });
  assert.match(errorOf(await post({ port_id: two.id })).message, /has multiple fixed IPv4 addresses/);
  const [, last] = two.fixed_ips as readonly Json[];
  const named = await post({ port_id: two.id, fixed_ip_address: last?.ip_address });
  assert.equal(floatingIn(named).fixed_ip_address, last?.ip_address);
  assert.match(
    errorOf(await post({ port_id: two.id, fixed_ip_address: "10.0.0.250" })).message,
    /does not have fixed ip/,
  );
  assert.match(errorOf(await post({ port_id: two.id, fixed_ip_address: "::1" })).message, /not an IPv4 address/);
  const bare = await machine({ fixed_ips: [] });
  assert.match(errorOf(await post({ port_id: bare.id })).message, /has no fixed IPv4 addresses/);
});

test("it holds the router's gateway and interface, and ends with the machine's port or its address", async () => {
  const { subnet, path, machine, post } = await world();
  const port = await machine();
  const { id } = floatingIn(await post({ port_id: port.id }));
  const clear = () => red.member.put(path, { router: { external_gateway_info: {} } });
  const remove = () => red.member.put(`${path}/remove_router_interface`, { subnet_id: subnet.id });
  assert.deepEqual(told(await clear()), [409, "RouterExternalGatewayInUseByFloatingIp"]);
  assert.deepEqual(told(await remove()), [409, "RouterInterfaceInUseByFloatingIP"]);
  assert.equal((await red.member.delete(`/v2.0/ports/${port.id}`)).status, 204);
  assert.deepEqual([(await show(id)).port_id, (await show(id)).router_id], [null, null]);
  const other = await machine();
  assert.equal((await put(id, { port_id: other.id })).status, 200);
  const moved = await red.member.put(`/v2.0/ports/${other.id}`, { port: { fixed_ips: [{ ip_address: "10.0.0.77" }] } });
  assert.equal(moved.status, 200, moved.text);
  assert.equal((await show(id)).port_id, null);
  assert.equal((await remove()).status, 200);
  assert.equal((await clear()).status, 200);
});

test("ports of a floating IP are forwarded one by one or in ranges, each port once", async () => {
  const { router, path, machine, post } = await world();
  const port = await machine();
  const { id } = floatingIn(await post());
  const all = `/v2.0/floatingips/${id}/port_forwardings`;
  const web = {
    protocol: "tcp",
    internal_ip_address: ipOf(port),
    internal_port: 80,
    internal_port_id: port.id,
    external_port: 8080,
  };
  const forward = (values: Json, by = red.member) => by.post(all, { port_forwarding: values });
  const made = await forward(web);
  assert.equal(made.status, 201, made.text);
  const { id: first, ...said } = made.body.port_forwarding as Made;
  assert.deepEqual(said, { ...web, external_port_range: "8080:8080", internal_port_range: "80:80", description: "" });
  const fip = await show(id);
  assert.deepEqual([fip.router_id, fip.port_id], [router.id, null]);
  assert.deepEqual(fip.port_forwardings, [{ id: first, ...web }]);
  const clash = await forward({ ...web, internal_port: 81 });
  assert.deepEqual(told(clash), [400, "BadRequest"]);
  assert.equal(
    errorOf(clash).message,
    "Bad port_forwarding request: There is a port collision with the external_port_range. The following ranges collides: 8080:8080 and 8080:8080.",
  );
  assert.match(
    errorOf(await forward({ ...web, external_port: 8081 })).message,
    /collision with the internal_port_range/,
  );
  const range = { protocol: "udp", internal_ip_address: ipOf(port), internal_port_id: port.id };
  const ranged = await forward({ ...range, internal_port_range: "100:110", external_port_range: "200:210" });
  const second = ranged.body.port_forwarding as Made;
  assert.deepEqual(
    [second.external_port, second.external_port_range, second.internal_port, second.internal_port_range],
    [null, "200:210", null, "100:110"],
  );
  for (const [values, message] of [
    [{ internal_port_range: "100:110", external_port_range: "300:301" }, /must have the same size/],
    [{ internal_port_range: "120:121", external_port_range: "210:211" }, /collision with the external_port_range/],
    [{ internal_port: 9, external_port_range: "9:8" }, /Invalid input for external_port_range/],
    [{ internal_port: 9, external_port_range: "9" }, /Invalid input for external_port_range/],
    [{ internal_port: 0, external_port: 9 }, /Invalid input for internal_port/],
    [{ internal_port: 9, external_port: 65_536 }, /Invalid input for external_port/],
    [{ internal_port: 9 }, /external_port or external_port_range must be specified/],
    [{ external_port: 9 }, /internal_port or internal_port_range must be specified/],
    [{ internal_port: 9, external_port: 9, protocol: "icmp" }, /Invalid input for protocol/],
    [{ internal_port: 9, external_port: 9, internal_ip_address: "10.0.0.250" }, /Requested internal IP address/],
    [{ internal_port: 9, external_port: 9, external_port_range: "9:10" }, /must not differ/],
    [
      { internal_port_range: "1001:2013", external_port_range: "1001:2013" },
      /external_port_range has 1013 ports, and 12 of the floating IP are forwarded already: 1024 may be/,
    ],
    [{ internal_port_range: "1:65535", external_port_range: "1:65535", protocol: "tcp" }, /has 65535 ports/],
  ] as const) {
    const refused = await forward({ ...range, ...values });
    assert.equal(refused.status, 400, JSON.stringify(values));
    assert.match(errorOf(refused).message, message);
  }
  const rest = await forward({ ...range, internal_port_range: "1001:2012", external_port_range: "1001:2012" });
  assert.equal(rest.status, 201, rest.text);
  const { id: last } = rest.body.port_forwarding as Made;
  const wider = { external_port_range: "1001:2013", internal_port_range: "1001:2013" };
  assert.match(
    errorOf(await red.member.put(`${all}/${last}`, { port_forwarding: wider })).message,
    /has 1013 ports, and 12/,
  );
  assert.equal((await red.member.delete(`${all}/${last}`)).status, 204);
  const list = (await red.member.get(`${all}?protocol=udp`)).body.port_forwardings as readonly Json[];
  assert.deepEqual(
    list.map((each) => each.id),
    [second.id],
  );
  const changed = await red.member.put(`${all}/${first}`, {
    port_forwarding: { internal_port: 82, description: "new" },
  });
  const after = changed.body.port_forwarding as Json;
  assert.deepEqual([after.internal_port, after.internal_port_range, after.external_port], [82, "82:82", 8080]);
  assert.equal(after.description, "new");
  assert.deepEqual(((await red.member.get(`${all}/${first}`)).body.port_forwarding as Json).internal_port, 82);
  assert.deepEqual(told(await put(id, { port_id: port.id })), [409, "FipInUseByPortForwarding"]);
  assert.deepEqual(told(await red.member.delete(`/v2.0/floatingips/${id}`)), [409, "FipInUseByPortForwarding"]);
  assert.deepEqual(told(await post({ port_id: port.id })), [409, "PortHasPortForwarding"]);
  assert.deepEqual(told(await red.member.put(path, { router: { external_gateway_info: null } })), [
    409,
    "RouterExternalGatewayInUseByFloatingIp",
  ]);
  assert.equal((await red.member.delete(`${all}/${first}`)).status, 204);
  assert.deepEqual(told(await red.member.get(`${all}/${first}`)), [404, "PortForwardingNotFound"]);
  assert.equal((await show(id)).router_id, router.id, "another one is left");
  assert.equal((await red.member.delete(`/v2.0/ports/${port.id}`)).status, 204);
  assert.deepEqual([(await show(id)).router_id, (await show(id)).port_forwardings], [null, []]);
  assert.equal((await red.member.delete(`/v2.0/floatingips/${id}`)).status, 204);
});

test("forwardings are seen and made by the floating IP's project alone, and never beside a floating IP of the port", async () => {
  const { machine, post } = await world();
  const port = await machine();
  const own = floatingIn(await post({ port_id: port.id }));
  const { id } = floatingIn(await post());
  const all = `/v2.0/floatingips/${id}/port_forwardings`;
  const web = {
    protocol: "tcp",
    internal_ip_address: ipOf(port),
    internal_port: 80,
    internal_port_id: port.id,
    external_port: 80,
  };
  const forward = (by = red.member, path = all) => by.post(path, { port_forwarding: web });
  assert.deepEqual(told(await forward()), [409, "PortHasBindingFloatingIP"]);
  assert.deepEqual(told(await forward(red.member, `/v2.0/floatingips/${own.id}/port_forwardings`)), [
    409,
    "FloatingIPPortAlreadyAssociated",
  ]);
  assert.equal((await put(own.id, { port_id: null })).status, 200);
  const denied = await forward(red.reader);
  assert.deepEqual(told(denied), [403, "PolicyNotAuthorized"]);
  assert.match(errorOf(denied).message, /rule:create_floatingip_port_forwarding is disallowed/);
  const made = await forward();
  const path = `${all}/${(made.body.port_forwarding as Made).id}`;
  for (const by of [blue.member, blue.reader]) {
    assert.deepEqual(told(await by.get(all)), [404, "FloatingIPNotFound"]);
    assert.deepEqual(told(await by.get(path)), [404, "FloatingIPNotFound"]);
    assert.deepEqual(told(await by.delete(path)), [404, "FloatingIPNotFound"]);
    assert.deepEqual(told(await forward(by)), [404, "FloatingIPNotFound"]);
  }
  const elsewhere = `/v2.0/floatingips/${own.id}/port_forwardings/${(made.body.port_forwarding as Made).id}`;
  assert.deepEqual(told(await red.member.get(elsewhere)), [404, "PortForwardingNotFound"]);
  assert.equal((await red.reader.get(path)).status, 200);
  assert.equal((await red.member.request("PATCH", all)).status, 405);
  assert.equal((await server.admin.delete(path)).status, 204);
});

test("tags, quota and the network's end are as of any other resource", async () => {
  const { out, post } = await world();
  const { id } = floatingIn(await post());
  assert.equal((await red.member.put(`/v2.0/floatingips/${id}/tags`, { tags: ["b", "a"] })).status, 200);
  assert.deepEqual((await show(id)).tags, ["a", "b"]);
  assert.deepEqual(
    (await red.member.list("floatingips", "tags=a")).map((each) => each.id),
    [id],
  );
  const used = (await red.member.list("floatingips")).length;
  await server.admin.put(`/v2.0/quotas/${red.id}`, { quota: { floatingip: used } });
  assert.deepEqual(told(await post()), [409, "OverQuota"]);
  await server.admin.delete(`/v2.0/quotas/${red.id}`);
  const external = await server.admin.put(`/v2.0/networks/${out.network.id}`, {
    network: { "router:external": false },
  });
  assert.deepEqual(told(external), [409, "ExternalNetworkInUse"]);
});
