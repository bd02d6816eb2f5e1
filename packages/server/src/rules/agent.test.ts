/** Hosts as Neutron's clients see them: agents, their zones, and what a host that is shut means for ports. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Host, Port } from "@selvage/model";
import { errorOf, type Json, startTestServer, type TestProject, type TestServer } from "../testing/mod.ts";

let server: TestServer;
let red: TestProject;
let id: string;
before(async () => {
  server = await startTestServer();
  red = await server.project("red");
  id = await server.host("h1");
});
after(() => server?.[Symbol.asyncDispose]());

const agentIn = ({ body }: { readonly body: Json }): Json => body.agent as Json;
const put = (agent: Json) => server.admin.put(`/v2.0/agents/${id}`, { agent });

test("a host is an agent with the form that Neutron's have; who is no admin sees none", async () => {
  const agent = agentIn(await server.admin.get(`/v2.0/agents/${id}`));
  assert.deepEqual(Object.keys(agent).sort(), [
    "admin_state_up",
    "agent_type",
    "alive",
    "availability_zone",
    "binary",
    "configurations",
    "created_at",
    "description",
    "heartbeat_timestamp",
    "host",
    "id",
    "started_at",
    "topic",
  ]);
  assert.deepEqual(
    [agent.host, agent.agent_type, agent.alive, agent.admin_state_up, agent.availability_zone, agent.description],
    ["h1", "Open vSwitch agent", true, true, "nova", null],
  );
  for (const name of ["created_at", "started_at", "heartbeat_timestamp"]) {
    assert.match(String(agent[name]), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/, name);
  }
  assert.deepEqual(await server.admin.list("agents"), [agent]);
  assert.equal((await server.admin.list("agents", "host=h1&alive=true&fields=id")).length, 1);
  assert.equal((await server.admin.list("agents", "alive=false")).length, 0);
  assert.deepEqual(await red.member.list("agents"), []);
  for (const answer of [
    await red.member.get(`/v2.0/agents/${id}`),
    await red.member.put(`/v2.0/agents/${id}`, { agent: { admin_state_up: false } }),
  ]) {
    assert.deepEqual([answer.status, errorOf(answer).type], [404, "AgentNotFound"]);
  }
  server.running.core.hosts.gone(id);
  assert.equal(agentIn(await server.admin.get(`/v2.0/agents/${id}`)).alive, false);
  server.running.core.hosts.report(id, {});
});

test("an agent tells the physical networks that its host has", async () => {
  const told = async () =>
    (agentIn(await server.admin.get(`/v2.0/agents/${id}`)).configurations as Json).physical_networks;
  assert.deepEqual(await told(), []);
  const { writer } = server.running.core;
  await writer.transact({ kind: "system", id: "test", request_id: "test" }, (transaction) => {
    const host = transaction.view.get(Host, id);
    assert.ok(host);
    transaction.put(Host, { ...host, physical_networks: ["public"] });
  });
  assert.deepEqual(await told(), ["public"]);
});

test("an agent is neither made nor deleted, and only its description and state change", async () => {
  assert.equal((await server.admin.post("/v2.0/agents", { agent: { host: "h2" } })).status, 405);
  assert.equal((await server.admin.delete(`/v2.0/agents/${id}`)).status, 405);
  assert.equal((await put({ host: "h2" })).status, 400);
  assert.equal((await put({ availability_zone: "east" })).status, 400);
  assert.equal(agentIn(await put({ description: "rack 4" })).description, "rack 4");
  const key = { "idempotency-key": "agent" };
  const named = () => server.admin.put(`/v2.0/agents/${id}`, { agent: { description: "rack 5" } }, key);
  assert.deepEqual(agentIn(await named()), agentIn(await named()));
  assert.equal(agentIn(await put({ description: null })).description, null);
});

test("a port that is to be on a shut host is on none: binding_failed, until it is bound anew; those that are there stay", async () => {
  const network = await red.member.create("network", { name: "n" });
  const onHost = { network_id: network.id, "binding:host_id": "h1" };
  const staying = await server.admin.create("port", onHost);
  const moving = await server.admin.create("port", { network_id: network.id });
  assert.equal(agentIn(await put({ admin_state_up: false })).admin_state_up, false);
  const failed = await server.admin.create("port", onHost);
  const bind = async (port: Json, host: string | null) =>
    (await server.admin.put(`/v2.0/ports/${port.id}`, { port: { "binding:host_id": host } })).body.port as Json;
  for (const port of [failed, await bind(moving, "h1")]) {
    assert.deepEqual([port["binding:host_id"], port["binding:vif_type"]], ["h1", "binding_failed"]);
    assert.equal(
      (await server.admin.list("ports", "binding:host_id=h1&fields=id")).some((each) => each.id === port.id),
      true,
    );
  }
  const view = server.running.core.writer.replica;
  assert.deepEqual(
    view.by(Port.index.host, "h1").map((port) => port.id),
    [staying.id],
    "no host is told of it",
  );
  assert.equal((await server.admin.show("port", String(staying.id)))["binding:vif_type"], "ovs");
  assert.equal((await bind(staying, "h1"))["binding:vif_type"], "ovs", "nothing is asked of it anew");
  await put({ admin_state_up: true });
  assert.equal((await server.admin.show("port", String(failed.id)))["binding:vif_type"], "binding_failed");
  assert.equal((await bind(failed, "h1"))["binding:vif_type"], "ovs");
  await put({ admin_state_up: false });
  assert.equal((await bind(moving, null))["binding:vif_type"], "unbound");
  await put({ admin_state_up: true });
});

test("a host's zone is what its operator said; zones are listed to anybody, and only they can be hinted at", async () => {
  const made = await server.admin.post("/v1/hosts", { name: "h2", availability_zone: "east" });
  assert.equal((made.body.host as Json).availability_zone, "east");
  assert.equal((await server.admin.post("/v1/hosts", { name: "h3", availability_zone: "" })).status, 400);
  const zones = async (query = "") =>
    (await red.reader.list("availability_zones", query)).map(
      ({ name, resource, state }) => `${name} ${resource} ${state}`,
    );
  assert.deepEqual(await zones(), [
    "east network available",
    "east router available",
    "nova network available",
    "nova router available",
  ]);
  assert.deepEqual(await zones("name=east&resource=router"), ["east router available"]);
  assert.equal((await red.reader.get("/v2.0/availability_zones?nope=1")).status, 400);
  for (const kind of ["network", "router"]) {
    const hinted = await red.member.create(kind, { availability_zone_hints: ["east", "nova"] });
    assert.deepEqual([hinted.availability_zone_hints, hinted.availability_zones], [["east", "nova"], []]);
    const refused = await red.member.post(`/v2.0/${kind}s`, { [kind]: { availability_zone_hints: ["west"] } });
    assert.deepEqual(
      [refused.status, errorOf(refused).type, errorOf(refused).message],
      [404, "AvailabilityZoneNotFound", "AvailabilityZone west could not be found."],
    );
  }
  const network = await red.member.create("network", { name: "placed" });
  const subnet = await red.member.create("subnet", { network_id: network.id, ip_version: 4, cidr: "10.0.0.0/24" });
  const router = await red.member.create("router", { name: "r" });
  await red.member.put(`/v2.0/routers/${router.id}/add_router_interface`, { subnet_id: subnet.id });
  for (const host of ["h2", "h1", "unknown"]) {
    await server.admin.create("port", { network_id: network.id, "binding:host_id": host });
  }
  assert.deepEqual((await red.reader.show("network", network.id)).availability_zones, ["east", "nova"]);
  assert.deepEqual((await red.reader.show("router", router.id)).availability_zones, ["east", "nova"]);
  const { body } = await server.admin.get("/v1/hosts/h2");
  await server.admin.put(`/v2.0/agents/${(body.host as Json).id}`, { agent: { admin_state_up: false } });
  assert.deepEqual(await zones("name=east"), ["east network unavailable", "east router unavailable"]);
});
