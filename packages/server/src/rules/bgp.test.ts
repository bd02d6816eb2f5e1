/** BGP speakers and peers by the API: what is refused, which addresses hosts get and give back, and which routes are said to be announced. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Host, HostGateway } from "@selvage/model";
import { type Answer, errorOf, type Json, startTestServer, type TestProject, type TestServer } from "../testing/mod.ts";
import { type Made, outside } from "../testing/outside.ts";
import { settleHostOutside } from "./host-gateways.ts";

let server: TestServer;
let red: TestProject;
before(async () => {
  server = await startTestServer({ on: "memory" });
  red = await server.project("red");
});
after(() => server[Symbol.asyncDispose]());

const told = (answer: Answer): readonly unknown[] => [answer.status, errorOf(answer).type];
const made = async (collection: string, kind: string, values: Json): Promise<Made> => {
  const answer = await server.admin.post(`/v2.0/${collection}`, { [kind]: values });
  assert.equal(answer.status, 201, answer.text);
  return answer.body[kind] as Made;
};
const speaker = (values: Json = {}) =>
  made("bgp-speakers", "bgp_speaker", { local_as: 64512, ip_version: 4, ...values });
const peer = (values: Json = {}) =>
  made("bgp-peers", "bgp_peer", { peer_ip: "203.0.113.1", remote_as: 64513, auth_type: "none", ...values });
const act = (id: string, action: string, body: Json) => server.admin.put(`/v2.0/bgp-speakers/${id}/${action}`, body);
const nobody = "00000000-0000-0000-0000-000000000000";

/** A host that has a physical network, as its agent would say it. */
async function host(name: string, ...physical_networks: readonly unknown[]): Promise<string> {
  const id = await server.host(name);
  await wires(id, ...physical_networks);
  return id;
}

async function wires(id: string, ...names: readonly unknown[]): Promise<readonly string[]> {
  const { writer, settings } = server.running.core;
  const author = { kind: "host", id, request_id: "sync" } as const;
  const { result } = await writer.transact(author, (transaction) => {
    const known = transaction.view.get(Host, id);
    assert.ok(known);
    const put = transaction.put(Host, { ...known, physical_networks: names.map(String) });
    return settleHostOutside({ transaction, settings }, put);
  });
  return result;
}

/** Ports that keep hosts' addresses on a network: by host. */
async function gateways(networkId: string): Promise<Readonly<Record<string, readonly string[]>>> {
  const ports = await server.admin.list(
    "ports",
    `network_id=${networkId}&device_owner=network:floatingip_agent_gateway`,
  );
  return Object.fromEntries(
    ports.map((port) => [
      String(port.device_id),
      (port.fixed_ips as readonly Json[]).map((fixed) => String(fixed.ip_address)),
    ]),
  );
}

const routes = async (id: string): Promise<readonly unknown[]> => {
  const { body } = await server.admin.get(`/v2.0/bgp-speakers/${id}/get_advertised_routes`);
  return (body.advertised_routes as readonly Json[])
    .map(({ destination, next_hop }) => `${destination} ${next_hop}`)
    .sort();
};

test("a speaker and a peer are shown as they were made, and a password never", async () => {
  const { id, ...shown } = await speaker({ name: "s", local_as: 4_294_967_295 });
  const project = String(shown.project_id);
  assert.deepEqual(shown, {
    name: "s",
    local_as: 4_294_967_295,
    ip_version: 4,
    advertise_floating_ip_host_routes: true,
    advertise_tenant_networks: true,
    peers: [],
    networks: [],
    project_id: project,
    tenant_id: project,
  });
  const signed = await peer({ name: "p", auth_type: "md5", password: "sesame" });
  assert.deepEqual(signed, {
    id: signed.id,
    name: "p",
    peer_ip: "203.0.113.1",
    remote_as: 64513,
    auth_type: "md5",
    project_id: project,
    tenant_id: project,
  });
  const all = await server.admin.get("/v2.0/bgp-peers");
  assert.doesNotMatch(all.text, /sesame|password|secret/);
  assert.equal((await server.admin.delete(`/v2.0/bgp-speakers/${id}`)).status, 204);
  assert.equal((await server.admin.delete(`/v2.0/bgp-peers/${signed.id}`)).status, 204);
});

test("what cannot be is refused as Neutron refuses it", async () => {
  const speakers = (values: Json) => server.admin.post("/v2.0/bgp-speakers", { bgp_speaker: values });
  for (const values of [
    { local_as: 0, ip_version: 4 },
    { local_as: 4_294_967_296, ip_version: 4 },
    { local_as: 64512, ip_version: 5 },
    { ip_version: 4 },
    { local_as: 64512 },
    { local_as: 64512, ip_version: 4, peers: [] },
  ])
    assert.deepEqual(told(await speakers(values)), [400, "HTTPBadRequest"], JSON.stringify(values));
  const peers = (values: Json) =>
    server.admin.post("/v2.0/bgp-peers", {
      bgp_peer: { peer_ip: "203.0.113.9", remote_as: 64513, auth_type: "none", ...values },
    });
  assert.deepEqual(told(await peers({ peer_ip: "x" })), [400, "HTTPBadRequest"]);
  assert.deepEqual(told(await peers({ auth_type: "sha" })), [400, "HTTPBadRequest"]);
  for (const values of [{}, { password: null }, { password: "" }])
    assert.deepEqual(told(await peers({ auth_type: "md5", ...values })), [400, "InvalidBgpPeerMd5Authentication"]);
  for (const password of ["two words", "line\nneighbor", "x".repeat(81)])
    assert.deepEqual(told(await peers({ auth_type: "md5", password })), [400, "HTTPBadRequest"], password);
  const plain = await peer();
  const silent = await server.admin.put(`/v2.0/bgp-peers/${plain.id}`, { bgp_peer: { password: "x" } });
  assert.deepEqual(told(silent), [404, "BgpPeerNotAuthenticated"]);
  const moved = await server.admin.put(`/v2.0/bgp-peers/${plain.id}`, { bgp_peer: { peer_ip: "203.0.113.2" } });
  assert.deepEqual(told(moved), [400, "HTTPBadRequest"]);
  const { id } = await speaker();
  assert.deepEqual(told(await server.admin.get(`/v2.0/bgp-peers/${nobody}`)), [404, "BgpPeerNotFound"]);
  assert.deepEqual(told(await server.admin.get(`/v2.0/bgp-speakers/${nobody}`)), [404, "BgpSpeakerNotFound"]);
  assert.deepEqual(told(await act(id, "add_bgp_peer", { bgp_peer_id: nobody })), [404, "BgpPeerNotFound"]);
  assert.deepEqual(told(await act(id, "add_bgp_peer", {})), [400, "BadRequest"]);
  assert.deepEqual(told(await act(id, "add_bgp_peer", { bgp_peer_id: "x" })), [400, "BadRequest"]);
  assert.deepEqual(told(await act(nobody, "add_bgp_peer", { bgp_peer_id: plain.id })), [404, "BgpSpeakerNotFound"]);
  const gone = await act(id, "remove_bgp_peer", { bgp_peer_id: plain.id });
  assert.deepEqual(told(gone), [404, "BgpSpeakerPeerNotAssociated"]);
  assert.deepEqual(told(await act(id, "add_gateway_network", { network_id: nobody })), [404, "NetworkNotFound"]);
  const unbound = await act(id, "remove_gateway_network", { network_id: nobody });
  assert.deepEqual(told(unbound), [404, "BgpSpeakerNetworkNotAssociated"]);
  const added = await act(id, "add_bgp_peer", { bgp_peer_id: plain.id });
  assert.deepEqual([added.status, added.body], [200, { bgp_peer_id: plain.id }]);
  const same = await peer({ name: "the same address" });
  const twice = await act(id, "add_bgp_peer", { bgp_peer_id: same.id });
  assert.deepEqual(told(twice), [409, "DuplicateBgpPeerIpException"]);
  assert.equal((await server.admin.delete(`/v2.0/bgp-peers/${plain.id}`)).status, 204);
  const after = (await server.admin.get(`/v2.0/bgp-speakers/${id}`)).body.bgp_speaker as Json;
  assert.deepEqual(after.peers, []);
});

test("members neither make nor see any of it", async () => {
  const { id } = await speaker();
  assert.deepEqual(told(await red.member.get(`/v2.0/bgp-speakers/${id}`)), [404, "BgpSpeakerNotFound"]);
  const made = await red.member.post("/v2.0/bgp-speakers", { bgp_speaker: { local_as: 1, ip_version: 4 } });
  assert.deepEqual(told(made), [403, "PolicyNotAuthorized"]);
});

test("while a speaker announces by a network, each host with its wire has an address of each family there", async () => {
  const { network, subnet } = await outside(server, { six: "2001:db8:ff::/64" });
  const wire = network["provider:physical_network"];
  const one = await host("wired-1", wire);
  await host("elsewhere", "other");
  const { id } = await speaker();
  assert.deepEqual(await gateways(network.id), {});
  const bound = await act(id, "add_gateway_network", { network_id: network.id });
  assert.deepEqual([bound.status, bound.body], [200, { network_id: network.id }]);
  const twice = await act(id, "add_gateway_network", { network_id: network.id });
  assert.deepEqual(told(twice), [409, "BgpSpeakerNetworkBindingError"]);
  const first = await gateways(network.id);
  assert.deepEqual(Object.keys(first), [one]);
  assert.deepEqual(
    first[one]?.map((address) => address.includes(":")),
    [false, true],
  );
  const [port] = await server.admin.list("ports", `device_id=${one}`);
  assert.deepEqual(told(await server.admin.delete(`/v2.0/ports/${port?.id}`)), [409, "ServicePortInUse"]);
  assert.deepEqual(told(await server.admin.put(`/v2.0/ports/${port?.id}`, { port: { fixed_ips: [] } })), [
    400,
    "InvalidInput",
  ]);
  assert.deepEqual(told(await server.admin.delete(`/v2.0/subnets/${subnet.id}`)), [409, "SubnetInUse"]);
  const two = await host("wired-2", wire);
  assert.deepEqual(Object.keys(await gateways(network.id)).sort(), [one, two].sort());
  await wires(two);
  assert.deepEqual(await gateways(network.id), first);
  const agents = (await server.admin.get(`/v2.0/bgp-speakers/${id}/bgp-dragents`)).body.agents as readonly Json[];
  assert.deepEqual(
    agents.map((agent) => [agent.id, agent.host, agent.agent_type, agent.alive]),
    [[one, "wired-1", "BGP dynamic routing agent", true]],
  );
  assert.equal((await server.admin.delete(`/v1/hosts/${one}`)).status, 204);
  assert.deepEqual(await gateways(network.id), {});
  await wires(two, wire);
  assert.deepEqual(Object.keys(await gateways(network.id)), [two]);
  assert.equal((await act(id, "remove_gateway_network", { network_id: network.id })).status, 200);
  assert.deepEqual(await gateways(network.id), {});
  await act(id, "add_gateway_network", { network_id: network.id });
  assert.equal((await server.admin.delete(`/v2.0/networks/${network.id}`)).status, 204);
  const shown = (await server.admin.get(`/v2.0/bgp-speakers/${id}`)).body.bgp_speaker as Json;
  assert.deepEqual(shown.networks, []);
});

test("a host for which no address is left comes up all the same, and gets one when there is room", async () => {
  const { network } = await outside(server, { cidr: "203.0.113.0/30" });
  const wire = network["provider:physical_network"];
  const full = await host("full-1", wire);
  const late = await host("full-2");
  const { id } = await speaker();
  assert.equal((await act(id, "add_gateway_network", { network_id: network.id })).status, 200);
  assert.deepEqual(Object.keys(await gateways(network.id)), [full]);
  assert.deepEqual(await wires(late, wire), [network.name]);
  assert.deepEqual(Object.keys(await gateways(network.id)), [full]);
  await server.admin.create("subnet", { network_id: network.id, ip_version: 6, cidr: "2001:db8:1::/64" });
  const now = await gateways(network.id);
  assert.deepEqual([now[full]?.length, now[late]?.length ?? 0], [2, 1]);
  const other = await speaker();
  const refused = await act(other.id, "add_gateway_network", { network_id: network.id });
  assert.deepEqual(told(refused), [409, "IpAddressGenerationFailure"]);
});

test("a host that moves to another segment leaves its addresses behind, and has those of there", async () => {
  const { admin } = server;
  const vlan = (physical: string): Json => ({
    "provider:network_type": "vlan",
    "provider:physical_network": physical,
    "provider:segmentation_id": 7,
  });
  const sides = ["west", "east", "north"];
  const network = await admin.create("network", { "router:external": true, segments: sides.map(vlan) });
  const segments = await admin.list("segments", `network_id=${network.id}`);
  for (const [physical, ip_version, cidr] of [
    ["west", 4, "10.31.0.0/24"],
    ["west", 6, "2001:db8:31::/64"],
    ["east", 4, "10.32.0.0/24"],
  ] as const) {
    const segment = segments.find((each) => each.physical_network === physical);
    await admin.create("subnet", { network_id: network.id, ip_version, cidr, segment_id: segment?.id });
  }
  const mover = await host("mover", "west");
  const { id } = await speaker();
  assert.equal((await act(id, "add_gateway_network", { network_id: network.id })).status, 200);
  const said = async () => (await gateways(network.id))[mover]?.join() ?? "none";
  const known = () => server.running.core.writer.replica.by(HostGateway.index.host_id, mover);
  assert.match(await said(), /^10\.31\.0\.\d+,2001:db8:31:/);
  assert.deepEqual(await wires(mover, "east"), []);
  assert.match(await said(), /^10\.32\.0\.\d+$/);
  assert.deepEqual(
    known().map(({ addresses }) => addresses.join()),
    [await said()],
  );
  await wires(mover, "north");
  assert.deepEqual([await said(), known()], ["none", []], "there are no addresses there");
  await wires(mover, "west");
  assert.match(await said(), /^10\.31\.0\.\d+,2001:db8:31:/);
});

test("floating IPs are announced by their machines' hosts, tenants' prefixes of the outside's scope by each host near their router", async () => {
  const { admin } = server;
  const scope = await made("address-scopes", "address_scope", { ip_version: 4, name: "open", shared: true });
  const pool = await admin.create("subnetpool", {
    name: "open",
    prefixes: ["10.20.0.0/16", "203.0.112.0/23"],
    default_prefixlen: 24,
    address_scope_id: scope.id,
    shared: true,
  });
  const network = await admin.create("network", {
    "router:external": true,
    "provider:network_type": "flat",
    "provider:physical_network": "announced",
  });
  await admin.create("subnet", {
    network_id: network.id,
    ip_version: 4,
    subnetpool_id: pool.id,
    cidr: "203.0.113.0/24",
  });
  const [one, two] = [await host("a1", "announced"), await host("a2", "announced")];
  const { id } = await speaker();
  await act(id, "add_gateway_network", { network_id: network.id });
  const at = await gateways(network.id);
  const [hop1, hop2] = [at[one]?.[0], at[two]?.[0]];
  const inner = await red.member.create("network", {});
  const subnet = await red.member.create("subnet", {
    network_id: inner.id,
    ip_version: 4,
    subnetpool_id: pool.id,
    cidr: "10.20.1.0/24",
  });
  const away = await red.member.create("network", {});
  const closed = await red.member.create("subnet", { network_id: away.id, ip_version: 4, cidr: "10.99.1.0/24" });
  const router = await red.member.create("router", { external_gateway_info: { network_id: network.id } });
  for (const { id: subnet_id } of [subnet, closed]) {
    const added = await red.member.put(`/v2.0/routers/${router.id}/add_router_interface`, { subnet_id });
    assert.equal(added.status, 200, added.text);
  }
  assert.deepEqual(await routes(id), []);
  const machine = await admin.create("port", {
    network_id: inner.id,
    project_id: red.id,
    fixed_ips: [{ subnet_id: subnet.id }],
    "binding:host_id": "a1",
  });
  assert.deepEqual(await routes(id), [`10.20.1.0/24 ${hop1}`]);
  await admin.create("port", { network_id: inner.id, project_id: red.id, "binding:host_id": "a2" });
  const both = [`10.20.1.0/24 ${hop1}`, `10.20.1.0/24 ${hop2}`].sort();
  assert.deepEqual(await routes(id), both);
  const floating = await red.member.create("floatingip", { floating_network_id: network.id, port_id: machine.id });
  const address = floating.floating_ip_address;
  assert.deepEqual(await routes(id), [...both, `${address}/32 ${hop1}`].sort());
  await admin.put(`/v2.0/ports/${machine.id}`, { port: { "binding:host_id": "a2" } });
  assert.deepEqual(await routes(id), [`10.20.1.0/24 ${hop2}`, `${address}/32 ${hop2}`].sort());
  await admin.put(`/v2.0/bgp-speakers/${id}`, { bgp_speaker: { advertise_tenant_networks: false } });
  assert.deepEqual(await routes(id), [`${address}/32 ${hop2}`]);
  await admin.put(`/v2.0/routers/${router.id}`, { router: { admin_state_up: false } });
  assert.deepEqual(await routes(id), []);
  await admin.put(`/v2.0/routers/${router.id}`, { router: { admin_state_up: true } });
  const six = await speaker({ ip_version: 6 });
  await act(six.id, "add_gateway_network", { network_id: network.id });
  assert.deepEqual(await routes(six.id), []);
  assert.equal((await red.member.delete(`/v2.0/floatingips/${floating.id}`)).status, 204);
  assert.deepEqual(await routes(id), []);
});
