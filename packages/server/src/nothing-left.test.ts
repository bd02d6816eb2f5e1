/** "No state but history after deletion": whatever leads outside is made and deleted again, in any order, and what stands in the store is what stood there before. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Host, resources } from "@selvage/model";
import fc from "fast-check";
import { settleHostOutside } from "./rules/host-gateways.ts";
import { restedBlocks, settleRested } from "./rules/nat-leases.ts";
import { type Answer, type Json, startTestServer, type TestClient, type TestServer } from "./testing/mod.ts";
import type { Made } from "./testing/outside.ts";

/** What undoes something: a request, or several. 404 says that it is gone, 409 that something else must go before. */
interface Undoing {
  readonly what: string;
  undo(): Promise<Answer>;
}

/** What there is of people, which no network has, and what hosts say of themselves alone. */
const ofPeople = ["project", "user", "assignment", "secret", "revoked_token"];
/** Kinds that must have stood for a run to say anything: all others, and so each that is added. */
const wanted = resources.filter(({ kind, fact }) => !fact && !ofPeople.includes(kind)).map(({ kind }) => kind);

/** The ids of what stands in the store, each with its kind. */
async function standing({ running: { core } }: TestServer): Promise<readonly string[]> {
  const { objects } = await core.store.snapshot();
  return objects.map(({ kind, id }) => `${kind} ${id}`).sort();
}

/** An author of its own: a host that says something, or the server itself. */
const author = { kind: "system", id: "test", request_id: "test" } as const;

/** Makes a project's way outside of everything there is. Gives what undoes it, in the order in which it was made. */
async function makeAll(server: TestServer, member: TestClient, projectId: string): Promise<readonly Undoing[]> {
  const { admin } = server;
  const undoings: Undoing[] = [];
  const undone = (what: string, undo: () => Promise<Answer>): void => void undoings.push({ what, undo });
  const act = async (by: TestClient, path: string, body: Json): Promise<void> => {
    const answer = await by.put(path, body);
    assert.equal(answer.status, 200, `${path}: ${answer.text}`);
  };
  const made = async (by: TestClient, collection: string, values: Json): Promise<Made> => {
    const only = collection.replace(/^.*\//, "").replaceAll("-", "_").replace(/ies$/, "y").replace(/s$/, "");
    const { status, body, text } = await by.post(`/v2.0/${collection}`, { [only]: values });
    assert.equal(status, 201, `${collection}: ${text}`);
    const object = body[only] as Made;
    undone(`${collection} ${object.id}`, () => admin.delete(`/v2.0/${collection}/${object.id}`));
    return object;
  };

  for (const name of ["h1", "h2"]) {
    const id = await server.host(name);
    undone(`host ${name}`, () => admin.delete(`/v1/hosts/${name}`));
    const { writer, settings } = server.running.core;
    await writer.transact(author, (transaction) => {
      const known = transaction.view.get(Host, id);
      assert.ok(known);
      const put = transaction.put(Host, { ...known, physical_networks: ["p", "q"] });
      return settleHostOutside({ transaction, settings }, put);
    });
  }
  const range = { network_type: "vlan", physical_network: "p", minimum: 100, maximum: 200, name: "r", shared: false };
  await made(admin, "network_segment_ranges", { ...range, project_id: projectId });
  const wire = (physical: string, more: Json) => ({
    "provider:network_type": "vlan",
    "provider:physical_network": physical,
    ...more,
  });
  const external = await made(admin, "networks", {
    ...wire("p", { "provider:segmentation_id": 7 }),
    ...{ "router:external": true, is_default: true },
  });
  const wide = await made(admin, "networks", wire("p", { "provider:segmentation_id": 8 }));
  const segment = { network_id: wide.id, network_type: "vlan", physical_network: "q", segmentation_id: 9 };
  await made(admin, "segments", segment);
  await made(member, "networks", { name: "of the range" });
  const sixScope = await made(admin, "address-scopes", { name: "six", ip_version: 6, shared: true });
  const pool = (prefix: string, default_prefixlen: number, more: Json = {}) =>
    made(admin, "subnetpools", {
      ...{ name: prefix, prefixes: [prefix], default_prefixlen, is_default: true, shared: true },
      ...more,
    });
  await pool("10.203.0.0/16", 24);
  const six = await pool("2001:db8::/32", 64, { address_scope_id: sixScope.id });
  await made(admin, "subnets", { network_id: external.id, ip_version: 4, cidr: "203.0.113.0/24", enable_dhcp: false });
  await made(admin, "subnets", { network_id: external.id, ip_version: 6, subnetpool_id: six.id, enable_dhcp: false });
  const target = { object_type: "network", action: "access_as_shared", target_tenant: projectId };
  await made(admin, "rbac-policies", { ...target, object_id: wide.id });

  const inner = await made(member, "networks", {});
  const subnets = [
    await made(member, "subnets", { network_id: inner.id, ip_version: 4, cidr: "10.7.0.0/24" }),
    await made(member, "subnets", { network_id: inner.id, ip_version: 6, subnetpool_id: six.id }),
  ];
  const gateway = { external_gateway_info: { network_id: external.id }, enable_ndp_proxy: true };
  const router = await made(member, "routers", gateway);
  for (const { id: subnet_id } of subnets) {
    await act(member, `/v2.0/routers/${router.id}/add_router_interface`, { subnet_id });
    undone(`interface of ${subnet_id}`, () =>
      admin.put(`/v2.0/routers/${router.id}/remove_router_interface`, { subnet_id }),
    );
  }
  const routes = [{ destination: "10.9.0.0/24", nexthop: "10.7.0.99" }];
  await act(member, `/v2.0/routers/${router.id}`, { router: { routes } });
  undone("routes", () => admin.put(`/v2.0/routers/${router.id}`, { router: { routes: [] } }));
  const group = await made(member, "security-groups", { name: "g" });
  const addresses = await made(member, "address-groups", { name: "a", addresses: ["198.51.100.0/24"] });
  const rule = { security_group_id: group.id, direction: "ingress" };
  await made(member, "security-group-rules", { ...rule, remote_group_id: group.id });
  await made(member, "security-group-rules", { ...rule, remote_address_group_id: addresses.id });
  const ports: Made[] = [];
  for (const host of ["h1", "h1", "h2"])
    ports.push(
      await made(admin, "ports", {
        ...{ network_id: inner.id, project_id: projectId, "binding:host_id": host, security_groups: [group.id] },
      }),
    );
  const [one, two, three] = ports;
  assert.ok(one !== undefined && two !== undefined && three !== undefined);
  const floating = { floating_network_id: external.id };
  await made(member, "floatingips", { ...floating, port_id: one.id });
  await made(member, "floatingips", floating);
  const many = await made(member, "floatingips", floating);
  const [{ ip_address } = {}] = (two.fixed_ips as readonly Json[]).filter((each) => /\./.test(String(each.ip_address)));
  const inside = { internal_port_id: two.id, internal_ip_address: ip_address, internal_port: 80, protocol: "tcp" };
  await made(member, `floatingips/${many.id}/port_forwardings`, { ...inside, external_port: 8080 });
  await made(member, "ndp_proxies", { router_id: router.id, port_id: three.id });
  const speaker = await made(admin, "bgp-speakers", { local_as: 64_512, ip_version: 4 });
  const peer = await made(admin, "bgp-peers", { peer_ip: "203.0.113.1", remote_as: 64_513, auth_type: "none" });
  await act(admin, `/v2.0/bgp-speakers/${speaker.id}/add_bgp_peer`, { bgp_peer_id: peer.id });
  await act(admin, `/v2.0/bgp-speakers/${speaker.id}/add_gateway_network`, { network_id: external.id });
  const quota = `/v2.0/quotas/${projectId}`;
  await act(admin, quota, { quota: { floatingip: 40 } });
  undone("quota", () => admin.delete(quota));
  const topology = `/v2.0/auto-allocated-topology/${projectId}`;
  const allocated = await member.get(topology);
  assert.equal(allocated.status, 200, allocated.text);
  undone("topology", () => admin.delete(topology));
  // What rests rests before all is gone, too.
  await act(admin, `/v2.0/ports/${three.id}`, { port: { "binding:host_id": "" } });
  return undoings;
}

test("what leads outside is deleted in any order, and leaves nothing in the store", async (context) => {
  await using server = await startTestServer();
  const red = await server.project("red");
  // A project's default group comes with the first look, and stays as long as the project.
  await red.member.list("security-groups");
  await server.admin.list("security-groups");
  const before = await standing(server);
  let runs = 0;
  const undone = async (order: readonly number[]): Promise<void> => {
    const undoings = await makeAll(server, red.member, red.id);
    const kinds = new Set((await standing(server)).map((each) => each.split(" ")[0]));
    assert.deepEqual(
      wanted.filter((kind) => !kinds.has(kind)),
      [],
      `of ${[...kinds].join()}`,
    );
    const shuffled = undoings
      .map((undoing, at) => ({ undoing, at: order[at] ?? at }))
      .sort((a, b) => a.at - b.at)
      .map(({ undoing }) => undoing);
    let left = shuffled;
    while (left.length > 0) {
      const refused: Undoing[] = [];
      const said: string[] = [];
      for (const undoing of left) {
        const { status, text } = await undoing.undo();
        if (status < 300 || status === 404) continue;
        // A pool with subnets is 400 in Neutron.
        assert.ok(status === 409 || status === 400, `${undoing.what}: ${text}`);
        refused.push(undoing);
        said.push(`${undoing.what}: ${text}`);
      }
      assert.ok(refused.length < left.length, `nothing more goes: ${said.join("; ")}`);
      left = refused;
    }
    // Two minutes later what rests has rested.
    const { writer } = server.running.core;
    await writer.transact(author, (transaction) => settleRested(transaction, restedBlocks(writer.replica, "9999")));
    assert.deepEqual(await standing(server), before);
    runs += 1;
  };
  await fc.assert(fc.asyncProperty(fc.array(fc.nat(), { minLength: 60, maxLength: 60 }), undone), {
    numRuns: 4,
    endOnFailure: true,
  });
  context.diagnostic(`${runs} orders`);
});
