/** The whole way: a port of a machine comes up, and a fake Nova with a fake Keystone before it gets the request that a real one takes. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Json, startTestServer } from "../testing/mod.ts";
import { novaEvents } from "./nova.ts";
import { type NovaOptions, novaOptions } from "./options.ts";
import { isRecord } from "./reading.ts";

interface Seen {
  readonly path: string;
  readonly token: string | undefined;
  readonly body: Json;
}

/** Nova and Keystone in one listener. `answer` gives a status and body to each request of events. */
async function fakeCloud(answer: (seen: Seen, count: number) => { readonly status: number; readonly body?: unknown }) {
  const seen: Seen[] = [];
  const logins: Json[] = [];
  const waiting = new Set<() => void>();
  const listener = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += String(chunk);
    const body = JSON.parse(text) as Json;
    const json = (status: number, value: unknown, headers = {}): void => {
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(JSON.stringify(value));
    };
    if (request.url === "/identity/v3/auth/tokens") {
      logins.push(body);
      const compute = (iface: string, region: string) => ({
        interface: iface,
        region,
        url: `${base()}/compute-of-${region}-${iface}/v2.1/`,
      });
      const catalog = [
        { type: "network", endpoints: [compute("internal", "RegionOne")] },
        {
          type: "compute",
          endpoints: [compute("public", "here"), compute("internal", "here"), compute("internal", "x")],
        },
      ];
      return json(201, { token: { catalog } }, { "x-subject-token": `token-${logins.length}` });
    }
    const one: Seen = { path: request.url ?? "", token: String(request.headers["x-auth-token"]), body };
    seen.push(one);
    const reply = answer(one, seen.length);
    json(reply.status, reply.body ?? {});
    for (const wake of waiting) wake();
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const base = (): string => `http://127.0.0.1:${(listener.address() as AddressInfo).port}`;
  const folder = await mkdtemp(join(tmpdir(), "selvage-nova-"));
  const passwordFile = join(folder, "password");
  await writeFile(passwordFile, "s3cret word\n", { mode: 0o600 });
  const options: NovaOptions = {
    authUrl: `${base()}/identity/v3/`,
    endpoint: `${base()}/v2.1`,
    username: "selvage",
    passwordFile,
    project: "service",
    userDomain: "Default",
    projectDomain: "Default",
    region: "here",
    gather: 5,
    batch: 100,
    timeout: 600_000,
  };
  return {
    seen,
    logins,
    options,
    until: async (count: number) => {
      while (seen.length < count)
        await new Promise<void>((resolve) => {
          waiting.add(resolve);
        });
    },
    [Symbol.asyncDispose]: async () => {
      listener.closeAllConnections();
      listener.close();
      await rm(folder, { recursive: true });
    },
  };
}

const takeAll = (seen: Seen) => ({
  status: 200,
  body: { events: (seen.body.events as readonly Json[]).map((event) => ({ ...event, code: 200 })) },
});

const server = "9b2f3c1e-0a4d-4c56-8f7e-1d2c3b4a5968";

async function fabric(options: NovaOptions) {
  const running = await startTestServer({ plugins: [novaEvents(options)] });
  const hostId = await running.host("h1");
  const network = await running.admin.create("network", { name: "blue" });
  await running.admin.create("subnet", { network_id: network.id, ip_version: 4, cidr: "10.0.0.0/24" });
  const port = await running.admin.create("port", { network_id: network.id });
  await running.admin.put(`/v2.0/ports/${port.id}`, {
    port: { device_id: server, device_owner: "compute:nova", "binding:host_id": "h1" },
  });
  return { running, hostId, port };
}

test("a port that comes up, goes down and is deleted is told to Nova as Neutron tells it", async () => {
  await using cloud = await fakeCloud(takeAll);
  const { running, hostId, port } = await fabric(cloud.options);
  await using _ = running;
  const { hosts } = running.running.core;
  const vif = (name: string) => ({ name, server_uuid: server, tag: port.id, status: "completed" });

  hosts.report(hostId, { portsUp: [port.id] });
  await cloud.until(1);
  hosts.report(hostId, { portsUp: [] });
  await cloud.until(2);
  await running.admin.delete(`/v2.0/ports/${port.id}`);
  await cloud.until(3);

  assert.deepEqual(
    cloud.seen.map(({ path, token, body }) => ({ path, token, body })),
    [
      { events: [vif("network-vif-plugged")] },
      { events: [vif("network-vif-unplugged")] },
      { events: [{ name: "network-vif-deleted", server_uuid: server, tag: port.id }] },
    ].map((body) => ({ path: "/v2.1/os-server-external-events", token: "token-1", body })),
  );
  assert.deepEqual(cloud.logins, [
    {
      auth: {
        identity: {
          methods: ["password"],
          password: { user: { name: "selvage", domain: { name: "Default" }, password: "s3cret word" } },
        },
        scope: { project: { name: "service", domain: { name: "Default" } } },
      },
    },
  ]);
});

test("without an endpoint the catalogue's internal compute of the region is asked", async () => {
  await using cloud = await fakeCloud(takeAll);
  const { running, hostId, port } = await fabric({ ...cloud.options, endpoint: "" });
  await using _ = running;
  running.running.core.hosts.report(hostId, { portsUp: [port.id] });
  await cloud.until(1);
  assert.equal(cloud.seen[0]?.path, "/compute-of-here-internal/v2.1/os-server-external-events");
});

test("a token that holds no more is renewed, and a Nova that fails is asked again until it takes the event", async () => {
  const statuses = [401, 503, 200];
  await using cloud = await fakeCloud((seen, count) => {
    const status = statuses[count - 1] ?? 200;
    return status === 200 ? takeAll(seen) : { status };
  });
  const { running, hostId, port } = await fabric(cloud.options);
  await using _ = running;
  running.running.core.hosts.report(hostId, { portsUp: [port.id] });
  await cloud.until(3);
  assert.deepEqual(
    cloud.seen.map(({ token }) => token),
    ["token-1", "token-2", "token-2"],
  );
  assert.deepEqual(cloud.seen[2]?.body, cloud.seen[0]?.body);
});

test("of a 207 each event is judged by itself, and a 404 gives all of them up", async () => {
  await using cloud = await fakeCloud((seen, count) => {
    const events = seen.body.events as readonly Json[];
    if (count > 1) return { status: 404, body: { itemNotFound: { code: 404, message: "No instances found" } } };
    return { status: 207, body: { events: events.map((event) => ({ ...event, status: "failed", code: 422 })) } };
  });
  const { running, hostId, port } = await fabric(cloud.options);
  await using _ = running;
  const { hosts, metrics } = running.running.core;
  hosts.report(hostId, { portsUp: [port.id] });
  await cloud.until(1);
  hosts.report(hostId, { portsUp: [] });
  await cloud.until(2);
  // Nothing is sent again: the next request is the next event's.
  hosts.report(hostId, { portsUp: [port.id] });
  await cloud.until(3);
  const events = cloud.seen.map(({ body }) => (body.events as readonly Json[]).map(({ name }) => name));
  assert.deepEqual(events[2], ["network-vif-plugged"]);
  assert.match(await metrics.text(), /nova_events_total\{name="network-vif-unplugged",outcome="refused"\} 1\n/);
});

test("what Nova reads of a bound port: vif_type ovs and the details that its plugging needs", async () => {
  await using cloud = await fakeCloud(takeAll);
  const { running, hostId, port } = await fabric(cloud.options);
  await using _ = running;
  const typeThen = async (): Promise<unknown> => {
    const { "binding:vif_details": details } = await running.admin.show("port", port.id);
    return isRecord(details) ? details.datapath_type : undefined;
  };
  assert.equal(await typeThen(), "system", "of a host that does not say it");
  running.running.core.hosts.report(hostId, { datapathType: "netdev" });
  assert.equal(await typeThen(), "netdev");
  running.running.core.hosts.report(hostId, { datapathType: "system" });
  const shown = await running.admin.show("port", port.id);
  assert.equal(shown["binding:vif_type"], "ovs");
  assert.equal(shown["binding:vnic_type"], "normal");
  const details = shown["binding:vif_details"];
  assert.ok(isRecord(details));
  const { port_filter, connectivity, bridge_name, datapath_type, ovs_hybrid_plug } = details;
  assert.deepEqual(
    { port_filter, connectivity, bridge_name, datapath_type, ovs_hybrid_plug },
    { port_filter: true, connectivity: "l2", bridge_name: "br-int", datapath_type: "system", ovs_hybrid_plug: false },
  );
});

test("a port that Nova lets go is unbound and belongs to no machine any more, and Nova is told so", async () => {
  await using cloud = await fakeCloud(takeAll);
  const { running, hostId, port } = await fabric(cloud.options);
  await using _ = running;
  running.running.core.hosts.report(hostId, { portsUp: [port.id] });
  await cloud.until(1);
  // What nova/network/neutron.py sends for a port that it did not make.
  const letGo = { device_id: "", device_owner: "", "binding:host_id": null, "binding:profile": {} };
  const answer = await running.admin.put(`/v2.0/ports/${port.id}`, { port: letGo });
  assert.equal(answer.status, 200, answer.text);
  await cloud.until(2);
  assert.deepEqual(cloud.seen[1]?.body, {
    events: [{ name: "network-vif-unplugged", server_uuid: server, tag: port.id, status: "completed" }],
  });
  const shown = await running.admin.show("port", port.id);
  assert.deepEqual([shown["binding:host_id"], shown["binding:vif_type"], shown.status], ["", "unbound", "DOWN"]);
});

test("a server that cannot read the password does not start", async () => {
  await using cloud = await fakeCloud(takeAll);
  const wrong = { ...cloud.options, passwordFile: `${cloud.options.passwordFile}-of-nobody` };
  await assert.rejects(startTestServer({ plugins: [novaEvents(wrong)] }), /ENOENT/);
});

test("every option has a default, and by default nothing is told", () => {
  const defaults = new Map(Object.entries(novaOptions.properties).map(([name, schema]) => [name, { ...schema }]));
  assert.equal(Object.entries(defaults.get("authUrl") ?? {}).find(([name]) => name === "default")?.[1], "");
  for (const [name, schema] of defaults) assert.ok("default" in schema, name);
});
