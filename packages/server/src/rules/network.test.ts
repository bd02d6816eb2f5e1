/** Networks of VXLAN by the API: who may ask for one, its key, its MTU and the number of its hosts. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { errorOf, type Json, startTestServer, type TestProject, type TestServer } from "../testing/mod.ts";
import { vxlanHosts } from "./network.ts";

let server: TestServer;
let red: TestProject;
before(async () => {
  server = await startTestServer({ on: "memory" });
  red = await server.project("red");
});
after(() => server[Symbol.asyncDispose]());

const create = (values: Json) => server.admin.post("/v2.0/networks", { network: values });
const vxlan = { "provider:network_type": "vxlan" } as const;
const networkIn = ({ body }: { readonly body: Json }): Json => body.network as Json;

test("an admin makes a network of VXLAN, with a key of its choice or a free one, and a member does not", async () => {
  const chosen = networkIn(await create({ ...vxlan, "provider:segmentation_id": 0xefffff }));
  assert.deepEqual([chosen["provider:network_type"], chosen["provider:segmentation_id"]], ["vxlan", 0xefffff]);
  assert.equal(chosen["provider:physical_network"], null);
  assert.equal(typeof networkIn(await create(vxlan))["provider:segmentation_id"], "number");
  const refused = await red.member.post("/v2.0/networks", { network: vxlan });
  assert.equal(refused.status, 403);
  // One space of keys for both types: a host tells networks by the key alone.
  const again = await create({ "provider:network_type": "geneve", "provider:segmentation_id": 0xefffff });
  assert.deepEqual([again.status, errorOf(again).type], [409, "TunnelIdInUse"]);
  for (const type of ["VXLAN", "", "gre"]) {
    assert.equal((await create({ "provider:network_type": type })).status, 400, type);
  }
  const physical = await create({ ...vxlan, "provider:physical_network": "physnet1" });
  assert.match(errorOf(physical).message, /specified for vxlan network/);
  const changed = await server.admin.put(`/v2.0/networks/${chosen.id}`, {
    network: { "provider:network_type": "geneve" },
  });
  assert.equal(changed.status, 400);
});

test("its MTU is what VXLAN leaves of the underlay's: 50 bytes less", async () => {
  const { id, mtu } = networkIn(await create(vxlan));
  assert.equal(mtu, 1450);
  assert.equal(networkIn(await create({ ...vxlan, mtu: 1450 })).mtu, 1450);
  assert.equal((await create({ ...vxlan, mtu: 1451 })).status, 400);
  assert.equal((await create({ mtu: 1450 })).status, 400, "Geneve leaves less");
  const put = (value: number) => server.admin.put(`/v2.0/networks/${id}`, { network: { mtu: value } });
  assert.equal(networkIn(await put(1400)).mtu, 1400);
  assert.equal((await put(1451)).status, 400);
  assert.equal(networkIn(await put(0)).mtu, 1450);
});

test("it spans so many hosts and no more, and a host that it left makes room", async () => {
  const { id } = networkIn(await create(vxlan));
  const onHost = (n: number) => ({ network_id: id, "binding:host_id": `host-${n}` });
  const made = await server.admin.post("/v2.0/ports", {
    ports: Array.from({ length: vxlanHosts }, (_, n) => onHost(n)),
  });
  assert.equal(made.status, 201);
  const post = (n: number) => server.admin.post("/v2.0/ports", { port: onHost(n) });
  const refused = await post(vxlanHosts);
  assert.deepEqual([refused.status, errorOf(refused).type], [400, "InvalidInput"]);
  assert.match(errorOf(refused).message, /spans 256 hosts/);
  assert.equal((await post(0)).status, 201, "a second port on a host of its own");
  const unbound = (await server.admin.post("/v2.0/ports", { port: { network_id: id } })).body.port as Json;
  const bind = () =>
    server.admin.put(`/v2.0/ports/${unbound.id}`, { port: { "binding:host_id": `host-${vxlanHosts}` } });
  assert.equal((await bind()).status, 400);
  const [, leaving] = made.body.ports as readonly Json[];
  assert.equal((await server.admin.delete(`/v2.0/ports/${leaving?.id}`)).status, 204);
  assert.equal((await bind()).status, 200);
});
