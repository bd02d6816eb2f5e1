/** Segments by the API: networks of several, subnets by segment, and which addresses ports get where. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Host, Segment, Subnet } from "@selvage/model";
import { type Answer, errorOf, type Json, startTestServer, type TestProject, type TestServer } from "../testing/mod.ts";

let server: TestServer;
let red: TestProject;
before(async () => {
  server = await startTestServer({ on: "memory" });
  red = await server.project("red");
  await host("l1", ["left"]);
  await host("l2", ["left"]);
  await host("r1", ["right"]);
  await host("both", ["left", "right"]);
  await host("none", []);
});
after(() => server[Symbol.asyncDispose]());

const author = { kind: "system", id: "test", request_id: "test" } as const;

async function host(name: string, physical_networks: readonly string[]): Promise<void> {
  const id = await server.host(name);
  await server.running.core.writer.transact(author, (transaction) => {
    const found = transaction.view.get(Host, id);
    if (found !== undefined) transaction.put(Host, { ...found, physical_networks });
  });
}

const told = (answer: Answer): readonly unknown[] => [answer.status, errorOf(answer).type];
const said = (answer: Answer): string => errorOf(answer).message;
const vlan = (physical: string, id?: number): Json => ({
  "provider:network_type": "vlan",
  "provider:physical_network": physical,
  ...(id === undefined ? {} : { "provider:segmentation_id": id }),
});
const network = (values: Json) => server.admin.post("/v2.0/networks", { network: values });
const networkIn = ({ body, status, text }: Answer): Json & { readonly id: string } => {
  assert.ok(status === 200 || status === 201, text);
  return body.network as Json & { readonly id: string };
};
const segmentsOf = (network_id: string) => server.admin.list("segments", `network_id=${network_id}`);
const segment = (values: Json) => server.admin.post("/v2.0/segments", { segment: values });
const port = (values: Json) => server.admin.post("/v2.0/ports", { port: values });
const put = (id: unknown, values: Json) => server.admin.put(`/v2.0/ports/${String(id)}`, { port: values });
const addresses = (each: Json): readonly string[] =>
  (each.fixed_ips as readonly Json[]).map(({ ip_address }) => String(ip_address)).sort();

let tag = 100;
/** A network with a VLAN on `left` and one on `right`, and an IPv4 subnet of each: 10.1.0.0/24 and 10.2.0.0/24. */
async function routed() {
  tag += 1;
  const made = networkIn(await network({ segments: [vlan("left", tag), vlan("right", tag)], shared: true }));
  const found = await segmentsOf(made.id);
  const at = (physical: string): Json => found.find((each) => each.physical_network === physical) ?? {};
  const subnet = (physical: string, cidr: string) =>
    server.admin.create("subnet", { network_id: made.id, ip_version: 4, cidr, segment_id: at(physical).id });
  const left = await subnet("left", "10.1.0.0/24");
  const right = await subnet("right", "10.2.0.0/24");
  return { id: made.id, left, right, segments: { left: at("left"), right: at("right") } };
}

test("a network has a segment from the beginning, which says what its provider attributes say", async () => {
  const made = networkIn(await network({ ...vlan("left", 90) }));
  const [own, ...more] = await segmentsOf(made.id);
  assert.deepEqual(more, []);
  const { id: _id, created_at: _created, updated_at: _updated, ...rest } = own ?? {};
  assert.deepEqual(rest, {
    network_id: made.id,
    name: null,
    description: null,
    physical_network: "left",
    network_type: "vlan",
    segmentation_id: 90,
    revision_number: 0,
  });
  assert.equal(made["provider:segmentation_id"], 90);
  assert.equal("segments" in made, false);
  const tenants = (await red.member.post("/v2.0/networks", { network: {} })).body.network as Json;
  assert.deepEqual(
    [tenants.l2_adjacency, "segments" in tenants, "provider:network_type" in tenants],
    [true, false, false],
  );
  assert.equal((await segmentsOf(String(tenants.id))).length, 1);
});

test("a network of several segments shows them, is found by any, and loses and gains them", async () => {
  const made = networkIn(await network({ segments: [vlan("left", 91), vlan("right", 92)] }));
  assert.deepEqual(made.segments, [vlan("left", 91), vlan("right", 92)]);
  assert.deepEqual(
    Object.keys(made).filter((name) => name.startsWith("provider:")),
    [],
  );
  const found = await server.admin.list("networks", "provider:physical_network=right&provider:segmentation_id=92");
  assert.deepEqual(
    found.map(({ id }) => id),
    [made.id],
  );
  const added = await segment({ network_id: made.id, network_type: "flat", physical_network: "third", name: "t" });
  assert.equal(added.status, 201, added.text);
  const { id, revision_number, description, name } = added.body.segment as Json;
  assert.deepEqual([revision_number, description, name], [1, "", "t"]);
  const named = await server.admin.put(`/v2.0/segments/${String(id)}`, { segment: { name: "u", description: "d" } });
  assert.deepEqual([(named.body.segment as Json).name, (named.body.segment as Json).revision_number], ["u", 2]);
  const moved = await server.admin.put(`/v2.0/segments/${String(id)}`, { segment: { physical_network: "left" } });
  assert.equal(moved.status, 400);
  const [first, second] = (await segmentsOf(made.id)).toSorted((one, other) =>
    String(one.physical_network) < String(other.physical_network) ? -1 : 1,
  );
  for (const gone of [first, second])
    assert.equal((await server.admin.delete(`/v2.0/segments/${String(gone?.id)}`)).status, 204);
  const now = networkIn(await server.admin.get(`/v2.0/networks/${made.id}`));
  assert.deepEqual(
    [
      now["provider:network_type"],
      now["provider:physical_network"],
      now["provider:segmentation_id"],
      "segments" in now,
    ],
    ["flat", "third", null, false],
  );
  const last = await server.admin.delete(`/v2.0/segments/${String(id)}`);
  assert.deepEqual(told(last), [409, "SegmentInUse"]);
  assert.equal((await server.admin.delete(`/v2.0/networks/${made.id}`)).status, 204);
  assert.deepEqual(told(await server.admin.get(`/v2.0/segments/${String(id)}`)), [404, "SegmentNotFound"]);
  assert.equal((await network(vlan("left", 91))).status, 201, "the tag is free again");
});

test("a network that another program made without segments keeps its own place beside a new one", async () => {
  const made = networkIn(await network(vlan("left", 60)));
  const [own] = await segmentsOf(made.id);
  await server.running.core.writer.transact(author, (transaction) => transaction.remove(Segment, String(own?.id)));
  const values = { network_id: made.id, network_type: "vlan", physical_network: "right", segmentation_id: 60 };
  assert.equal((await segment(values)).status, 201);
  const now = networkIn(await server.admin.get(`/v2.0/networks/${made.id}`));
  assert.deepEqual(now.segments, [vlan("left", 60), vlan("right", 60)]);
});

test("what does not go together is refused", async () => {
  for (const [values, answer] of [
    [{ segments: [vlan("left", 95), vlan("left", 95)] }, [400, "SegmentsContainDuplicateEntry"]],
    [{ ...vlan("left", 95), segments: [vlan("left", 96)] }, [400, "SegmentsSetInConjunctionWithProviders"]],
    [{ segments: [vlan("left", 95), { "provider:network_type": "geneve" }] }, [400, "InvalidInput"]],
    [{ segments: [{ ...vlan("left", 95), more: 1 }] }, [400, "InvalidInput"]],
    [{ segments: [vlan("left", 5000)] }, [400, "InvalidInput"]],
    [{ segments: ["left"] }, [400, "HTTPBadRequest"]],
    [{ segments: [{ "provider:network_type": 7 }] }, [400, "InvalidInput"]],
    [{ segments: [{ ...vlan("left"), "provider:physical_network": {} }] }, [400, "InvalidInput"]],
    [{ segments: [{ ...vlan("left"), "provider:segmentation_id": "x" }] }, [400, "InvalidInput"]],
  ] as const) {
    assert.deepEqual(told(await network(values as Json)), answer, JSON.stringify(values));
  }
  assert.equal((await network(vlan("left", 97))).status, 201);
  assert.deepEqual(told(await network({ segments: [vlan("right", 97), vlan("left", 97)] })), [409, "VlanIdInUse"]);
  assert.equal((await network(vlan("right", 97))).status, 201, "nothing of what was refused is kept");
  const tunnelled = networkIn(await network({}));
  const joined = await segment({
    network_id: tunnelled.id,
    network_type: "vlan",
    physical_network: "left",
    segmentation_id: 98,
  });
  assert.deepEqual(told(joined), [400, "InvalidInput"]);
  assert.match(said(joined), /flat and vlan ones alone/);
  const updated = await server.admin.put(`/v2.0/networks/${tunnelled.id}`, {
    network: { segments: [vlan("left", 98)] },
  });
  assert.deepEqual(told(updated), [400, "InvalidInput"]);
  const [own] = await segmentsOf(tunnelled.id);
  assert.equal(own?.network_type, "geneve");
});

test("who is no admin sees no segment, makes none and names none", async () => {
  const { id, segments, left } = await routed();
  assert.deepEqual(await red.member.list("segments"), []);
  assert.equal((await red.member.get(`/v2.0/segments/${String(segments.left.id)}`)).status, 404);
  const own = (await red.member.post("/v2.0/networks", { network: {} })).body.network as Json;
  const [ownSegment] = await segmentsOf(String(own.id));
  for (const answer of [
    await red.member.post("/v2.0/segments", { segment: { network_id: own.id, network_type: "geneve" } }),
    await red.member.post("/v2.0/networks", { network: { segments: [vlan("left", 99)] } }),
    await red.member.post("/v2.0/subnets", {
      subnet: { network_id: own.id, ip_version: 4, cidr: "10.0.0.0/24", segment_id: ownSegment?.id },
    }),
  ])
    assert.equal(answer.status, 403, answer.text);
  assert.equal((await red.member.delete(`/v2.0/segments/${String(ownSegment?.id)}`)).status, 404);
  const seen = (await red.member.get(`/v2.0/subnets/${left.id}`)).body.subnet as Json;
  assert.equal("segment_id" in seen, false);
  const network = (await red.member.get(`/v2.0/networks/${id}`)).body.network as Json;
  assert.deepEqual(["segments" in network, network.l2_adjacency], [false, false]);
});

test("subnets are all by segment or none, each of one of its own network's, and stay there", async () => {
  const { id, left, segments } = await routed();
  const other = await routed();
  const subnet = (values: Json) =>
    server.admin.post("/v2.0/subnets", { subnet: { network_id: id, ip_version: 4, cidr: "10.3.0.0/24", ...values } });
  const nobody = "11111111-2222-4333-8444-555555555555";
  assert.deepEqual(told(await subnet({})), [400, "SubnetsNotAllAssociatedWithSegments"]);
  assert.deepEqual(told(await subnet({ segment_id: other.segments.left.id })), [400, "NetworkIdsDontMatch"]);
  assert.deepEqual(told(await subnet({ segment_id: nobody })), [404, "SegmentNotFound"]);
  assert.equal((await subnet({ segment_id: segments.left.id })).status, 201, "a second one of a segment");
  const change = (subnetId: string, segment_id: unknown) =>
    server.admin.put(`/v2.0/subnets/${subnetId}`, { subnet: { segment_id } });
  assert.deepEqual(told(await change(left.id, segments.right.id)), [400, "SubnetSegmentAssociationChangeNotAllowed"]);
  assert.deepEqual(told(await server.admin.delete(`/v2.0/segments/${String(segments.left.id)}`)), [
    409,
    "SegmentInUse",
  ]);

  const plain = networkIn(await network({ segments: [vlan("left", 80), vlan("right", 80)] }));
  const common = await server.admin.create("subnet", { network_id: plain.id, ip_version: 4, cidr: "10.4.0.0/24" });
  const [first, second] = await segmentsOf(plain.id);
  assert.deepEqual(told(await change(common.id, first?.id)), [400, "NoUpdateSubnetWhenMultipleSegmentsOnNetwork"]);
  assert.equal((await server.admin.delete(`/v2.0/segments/${String(second?.id)}`)).status, 204);
  assert.equal((await change(common.id, first?.id)).status, 200, "a network of one segment becomes a routed one");
  assert.equal(networkIn(await server.admin.get(`/v2.0/networks/${plain.id}`)).l2_adjacency, false);
});

test("a port gets its addresses with its host, of the host's segment, and keeps to it", async () => {
  const { id, left } = await routed();
  const made = (await port({ network_id: id })).body.port as Json;
  assert.deepEqual([made.ip_allocation, made.fixed_ips], ["deferred", []]);
  const placed = await put(made.id, { "binding:host_id": "r1" });
  assert.equal(placed.status, 200, placed.text);
  const now = placed.body.port as Json;
  assert.match(addresses(now).join(), /^10\.2\.0\.\d+$/);
  assert.deepEqual([now.ip_allocation, now["binding:vif_type"]], ["immediate", "ovs"]);
  assert.deepEqual(told(await put(made.id, { "binding:host_id": "l1" })), [409, "HostNotCompatibleWithFixedIps"]);
  assert.equal((await put(made.id, { "binding:host_id": "" })).status, 200);
  assert.deepEqual(
    addresses((await server.admin.get(`/v2.0/ports/${String(made.id)}`)).body.port as Json),
    addresses(now),
  );
  assert.equal((await put(made.id, { "binding:host_id": "r1" })).status, 200);
  // With addresses of there it may go.
  const moved = await put(made.id, { "binding:host_id": "l1", fixed_ips: [{ subnet_id: left.id }] });
  assert.match(addresses(moved.body.port as Json).join(), /^10\.1\.0\.\d+$/, moved.text);
  assert.equal((await put(made.id, { "binding:host_id": "l2" })).status, 200, "another host of the same segment");

  for (const [name, answer] of [
    ["both", [409, "HostConnectedToMultipleSegments"]],
    ["none", [409, "HostNotConnectedToAnySegment"]],
    ["unknown", [409, "HostNotConnectedToAnySegment"]],
  ] as const)
    assert.deepEqual(told(await port({ network_id: id, "binding:host_id": name })), answer, name);
  const at = (await port({ network_id: id, "binding:host_id": "l1" })).body.port as Json;
  assert.match(addresses(at).join(), /^10\.1\.0\.\d+$/);
  const asked = await port({ network_id: id, fixed_ips: [{ subnet_id: left.id }] });
  assert.deepEqual([asked.status, (asked.body.port as Json).ip_allocation], [201, "immediate"], asked.text);
  const nothing = (await port({ network_id: id, fixed_ips: [], "binding:host_id": "l1" })).body.port as Json;
  assert.deepEqual([nothing.ip_allocation, nothing.fixed_ips], ["none", []]);
});

test("addresses of one port are of one segment, and of the segment where it is", async () => {
  const { id, left, right } = await routed();
  const two = [{ subnet_id: left.id }, { subnet_id: right.id }];
  assert.deepEqual(told(await port({ network_id: id, fixed_ips: two })), [400, "FixedIpsSubnetsNotOnSameSegment"]);
  const wrong = await port({ network_id: id, fixed_ips: [{ subnet_id: left.id }], "binding:host_id": "r1" });
  assert.deepEqual(told(wrong), [400, "InvalidInput"]);
  const text = await port({ network_id: id, fixed_ips: [{ ip_address: "10.1.0.77" }], "binding:host_id": "r1" });
  assert.deepEqual(told(text), [400, "InvalidIpForNetwork"]);
});

test("without subnets by segment a host of any segment will do, and one of none fails to bind", async () => {
  const made = networkIn(await network({ segments: [vlan("left", 70), vlan("right", 70)] }));
  await server.admin.create("subnet", { network_id: made.id, ip_version: 4, cidr: "10.7.0.0/24" });
  const typeOn = async (name: string): Promise<unknown> =>
    ((await port({ network_id: made.id, "binding:host_id": name })).body.port as Json)["binding:vif_type"];
  assert.deepEqual(
    [await typeOn("l1"), await typeOn("r1"), await typeOn("both"), await typeOn("none")],
    ["ovs", "ovs", "ovs", "binding_failed"],
  );
  const found = await segmentsOf(made.id);
  const right = found.find((each) => each.physical_network === "right");
  const kept = await server.admin.delete(`/v2.0/segments/${String(right?.id)}`);
  assert.deepEqual(told(kept), [409, "SegmentInUse"]);
  assert.match(said(kept), /port\(s\)/);
});

test("machines of IPv6 make their addresses on their segment's subnet alone", async () => {
  const { id, segments } = await routed();
  const waiting = (await port({ network_id: id })).body.port as Json;
  const placed = (await port({ network_id: id, "binding:host_id": "l1" })).body.port as Json;
  const modes = { ip_version: 6, ipv6_ra_mode: "slaac", ipv6_address_mode: "slaac" };
  for (const [physical, cidr] of [
    ["left", "2001:db8:1::/64"],
    ["right", "2001:db8:2::/64"],
  ] as const)
    await server.admin.create("subnet", { network_id: id, cidr, segment_id: segments[physical].id, ...modes });
  const show = async (each: Json) => (await server.admin.get(`/v2.0/ports/${String(each.id)}`)).body.port as Json;
  assert.deepEqual((await show(waiting)).fixed_ips, []);
  assert.match(addresses(await show(placed)).join(), /^10\.1\.0\.\d+,2001:db8:1:/);
  const late = (await put(waiting.id, { "binding:host_id": "r1" })).body.port as Json;
  assert.match(addresses(late).join(), /^10\.2\.0\.\d+,2001:db8:2:/);
});

test("subnets tell machines that the other segments' addresses are behind their own gateway", async () => {
  const { id, left, right, segments } = await routed();
  const routes = async (subnetId: string) =>
    ((await server.admin.get(`/v2.0/subnets/${subnetId}`)).body.subnet as Json).host_routes;
  const byLeft = { destination: "10.2.0.0/24", nexthop: "10.1.0.1" };
  const byRight = { destination: "10.1.0.0/24", nexthop: "10.2.0.1" };
  assert.deepEqual([await routes(left.id), await routes(right.id)], [[byLeft], [byRight]]);
  const change = (values: Json) => server.admin.put(`/v2.0/subnets/${left.id}`, { subnet: values });
  assert.equal((await change({ gateway_ip: "10.1.0.254", allocation_pools: [] })).status, 200);
  assert.deepEqual(await routes(left.id), [{ ...byLeft, nexthop: "10.1.0.254" }]);
  const wide = { destination: "10.0.0.0/8", nexthop: "10.1.0.254" };
  assert.equal((await change({ host_routes: [wide] })).status, 200);
  assert.deepEqual(await routes(left.id), [wide], "one that covers it is enough");
  const third = await server.admin.create("subnet", {
    ...{ network_id: id, ip_version: 4, cidr: "10.9.0.0/24", segment_id: segments.left.id },
  });
  assert.deepEqual(await routes(right.id), [byRight, { destination: "10.9.0.0/24", nexthop: "10.2.0.1" }]);
  assert.equal((await server.admin.delete(`/v2.0/subnets/${third.id}`)).status, 204);
  assert.deepEqual(await routes(right.id), [byRight]);
});

test("routes to peers are as many as there are, and count for nothing beside a subnet's own", async () => {
  const { id, left, segments } = await routed();
  for (let third = 10; third < 31; third += 1)
    await server.admin.create("subnet", {
      ...{ network_id: id, ip_version: 4, cidr: `10.2.${third}.0/24`, segment_id: segments.right.id },
    });
  const change = (values: Json) => server.admin.put(`/v2.0/subnets/${left.id}`, { subnet: values });
  const renamed = await change({ name: "many" });
  assert.equal(renamed.status, 200, renamed.text);
  const routes = (renamed.body.subnet as Json).host_routes as readonly Json[];
  assert.equal(routes.length, 22);
  const own = Array.from({ length: 20 }, (_, index) => ({ destination: `10.9.${index}.0/24`, nexthop: "10.1.0.9" }));
  const full = await change({ host_routes: [...routes, ...own] });
  assert.deepEqual([full.status, ((full.body.subnet as Json).host_routes as readonly Json[]).length], [200, 42]);
  const more = { destination: "10.9.20.0/24", nexthop: "10.1.0.9" };
  assert.deepEqual(told(await change({ host_routes: [...routes, ...own, more] })), [400, "HostRoutesExhausted"]);
  const again = { destination: "10.2.10.0/24", nexthop: "10.1.0.8" };
  assert.deepEqual(told(await change({ host_routes: [...routes, ...own, again] })), [400, "HostRoutesExhausted"]);
  const six = { destination: "2001:db8::/64", nexthop: "2001:db8::1" };
  assert.deepEqual(told(await change({ host_routes: [six] })), [400, "InvalidInput"]);
});

test("a router of ours has no interface on one segment of several", async () => {
  const { left } = await routed();
  const router = await server.admin.create("router", {});
  const add = (subnet_id: string) => server.admin.put(`/v2.0/routers/${router.id}/add_router_interface`, { subnet_id });
  assert.deepEqual(told(await add(left.id)), [400, "BadRequest"]);
  const plain = networkIn(await network(vlan("left", 61)));
  const [own] = await segmentsOf(plain.id);
  const alone = { network_id: plain.id, ip_version: 4, cidr: "10.6.0.0/24", segment_id: own?.id };
  assert.equal(
    (await add((await server.admin.create("subnet", alone)).id)).status,
    200,
    "the only segment is all of it",
  );
  const second = { network_id: plain.id, network_type: "vlan", physical_network: "right", segmentation_id: 61 };
  assert.deepEqual(told(await segment(second)), [400, "InvalidInput"]);
});

test("a router's gateway is on one segment, and floating IPs by it are of the same", async () => {
  const { id, segments } = await routed();
  const modes = { ip_version: 6, enable_dhcp: false };
  for (const [physical, cidr] of [
    ["left", "2001:db8:3::/64"],
    ["right", "2001:db8:4::/64"],
  ] as const)
    await server.admin.create("subnet", { network_id: id, cidr, segment_id: segments[physical].id, ...modes });
  assert.equal((await server.admin.put(`/v2.0/networks/${id}`, { network: { "router:external": true } })).status, 200);
  const router = await server.admin.create("router", { external_gateway_info: { network_id: id } });
  const { external_fixed_ips } = router.external_gateway_info as { readonly external_fixed_ips: readonly Json[] };
  const sides = external_fixed_ips.map(({ ip_address }) =>
    /^(10\.1\.|2001:db8:3:)/.test(String(ip_address)) ? "left" : "right",
  );
  assert.equal(sides.length, 2);
  assert.equal(new Set(sides).size, 1, JSON.stringify(external_fixed_ips));
  const inner = await server.admin.create("network", {});
  const subnet = await server.admin.create("subnet", { network_id: inner.id, ip_version: 4, cidr: "192.168.0.0/24" });
  await server.admin.put(`/v2.0/routers/${router.id}/add_router_interface`, { subnet_id: subnet.id });
  const machine = await server.admin.create("port", { network_id: inner.id });
  const own = sides[0] === "left" ? "10.1.0." : "10.2.0.";
  const floating = await server.admin.create("floatingip", { floating_network_id: id, port_id: machine.id });
  assert.ok(String(floating.floating_ip_address).startsWith(own));
  const second = await server.admin.create("port", { network_id: inner.id });
  const elsewhere = await server.admin.post("/v2.0/floatingips", {
    floatingip: {
      floating_network_id: id,
      port_id: second.id,
      floating_ip_address: sides[0] === "left" ? "10.2.0.9" : "10.1.0.9",
    },
  });
  assert.deepEqual(told(elsewhere), [400, "BadRequest"], elsewhere.text);

  const move = (prefix: string) =>
    server.admin.put(`/v2.0/routers/${router.id}`, {
      router: { external_gateway_info: { network_id: id, external_fixed_ips: [{ ip_address: `${prefix}77` }] } },
    });
  const other = own === "10.1.0." ? "10.2.0." : "10.1.0.";
  assert.deepEqual(told(await move(other)), [409, "RouterExternalGatewayInUseByFloatingIp"]);
  assert.equal((await move(own)).status, 200, "another address of the same segment");
  assert.equal((await server.admin.delete(`/v2.0/floatingips/${floating.id}`)).status, 204);
  const moved = await move(other);
  assert.equal(moved.status, 200, moved.text);
});

test("a router's gateway is where it has an address of each family, else where it has most", async () => {
  const { id, left, right } = await routed();
  const replica = server.running.core.writer.replica;
  // The segment that is asked last has both.
  const [first] = replica.by(Subnet.index.network_id, id);
  const [narrow, both] = first?.id === left.id ? [left, right] : [right, left];
  const six = await server.admin.create("subnet", {
    ...{ network_id: id, ip_version: 6, cidr: "2001:db8:5::/64", segment_id: both.segment_id, enable_dhcp: false },
  });
  assert.equal((await server.admin.put(`/v2.0/networks/${id}`, { network: { "router:external": true } })).status, 200);
  const router = () => server.admin.post("/v2.0/routers", { router: { external_gateway_info: { network_id: id } } });
  const subnetsOf = ({ body, text }: Answer): readonly unknown[] => {
    const info = (body.router as Json | undefined)?.external_gateway_info as Json | undefined;
    assert.ok(info, text);
    return (info.external_fixed_ips as readonly Json[]).map(({ subnet_id }) => subnet_id);
  };
  const fill = async (subnet: Json, allocation_pools: readonly Json[] = []) =>
    assert.equal(
      (await server.admin.put(`/v2.0/subnets/${String(subnet.id)}`, { subnet: { allocation_pools } })).status,
      200,
    );
  assert.deepEqual(subnetsOf(await router()), [both.id, six.id]);
  await fill(both);
  assert.deepEqual(subnetsOf(await router()), [narrow.id], "no segment gives both: IPv4");
  await fill(narrow);
  assert.deepEqual(told(await router()), [409, "IpAddressGenerationFailure"]);
  await fill(both, both.allocation_pools as readonly Json[]);
  await fill(six);
  assert.deepEqual(told(await router()), [409, "IpAddressGenerationFailure"]);
});
