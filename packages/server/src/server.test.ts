import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { createServer as createTlsServer, connect as tlsConnect } from "node:tls";
import { createLog, serverCertificate } from "@selvage/base";
import { Host, JoinToken } from "@selvage/model";
import { openMemory } from "@selvage/store";
import { authorityOf, type ServerPlugin, startServer } from "./mod.ts";
import {
  errorOf,
  type Json,
  login,
  passwordAuth,
  startTestServer,
  TestClient,
  type TestServer,
} from "./testing/mod.ts";

test("one listener tells TLS from HTTP by the first byte, on TCP and on the unix socket", async () => {
  const directory = await mkdtemp(join(tmpdir(), "selvage-socket-"));
  after(() => rm(directory, { recursive: true }));
  const path = join(directory, "s");
  const plugin: ServerPlugin = async ({ writer }) => {
    const { certificatePem, keyPem } = await serverCertificate(authorityOf(writer.replica), {
      names: ["server"],
      ips: [],
    });
    const tls = createTlsServer({ cert: certificatePem, key: keyPem }, (socket) => socket.end("over TLS"));
    return { tls: (socket) => void tls.emit("connection", socket) };
  };
  await using server = await startTestServer({ plugins: [plugin], socket: path });
  const ca = authorityOf(server.running.core.writer.replica).certificatePem;
  for (const open of [() => createConnection(server.running.port, "127.0.0.1"), () => createConnection(path)]) {
    const socket = tlsConnect({ socket: open(), ca, servername: "server" });
    let text = "";
    for await (const chunk of socket) text += String(chunk);
    assert.equal(text, "over TLS");
    assert.match(
      await raw(open(), "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
      /^HTTP\/1\.1 200 OK/,
    );
  }
  const byte = createConnection(server.running.port, "127.0.0.1");
  await once(byte, "connect");
  byte.write("G");
  await new Promise((next) => setImmediate(next));
  assert.match(await raw(byte, "ET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), /^HTTP\/1\.1 200 OK/);
});

test("TLS without anything that takes it, and rubbish, end their connection and nothing else", async () => {
  await using server = await startTestServer();
  for (const bytes of [Buffer.from([0x16, 3, 1, 0, 1, 1]), Buffer.from("\0\0rubbish\r\n\r\n")]) {
    const socket = createConnection(server.running.port, "127.0.0.1");
    socket.on("error", () => undefined);
    socket.write(bytes);
    socket.resume();
    await once(socket, "close");
  }
  assert.equal((await server.nobody.get("/healthz")).status, 200);
});

test("paths that are nobody's, methods, bodies and Accept are answered in the API's own envelope", async () => {
  await using server = await startTestServer({ settings: { bodyLimit: 1000 } });
  const { admin } = server;
  for (const [method, path, body, status, type] of [
    ["GET", "/nope", undefined, 404, "HTTPNotFound"],
    ["PROPFIND", "/v2.0/networks", undefined, 404, "HTTPNotFound"],
    ["GET", "/v2.0/networks/%zz", undefined, 400, "HTTPBadRequest"],
    ["GET", "/v2.0/networks/a/b", undefined, 404, "HTTPNotFound"],
    ["POST", "/v2.0/networks/a", { network: {} }, 404, "HTTPNotFound"],
    ["PATCH", "/v2.0/networks/a", { network: {} }, 405, "HTTPMethodNotAllowed"],
    ["DELETE", "/v2.0/ports", undefined, 404, "PortNotFound"],
    ["POST", "/v2.0/networks", "[]", 400, "HTTPBadRequest"],
    ["POST", "/v2.0/networks", new Uint8Array([0xff, 0xfe]), 400, "HTTPBadRequest"],
    ["POST", "/v2.0/networks", { network: { name: "x".repeat(2000) } }, 413, "BodyTooLarge"],
    ["POST", "/v1/hosts", "{", 400, "FieldInvalid"],
    ["POST", "/v1/hosts", { name: "../etc" }, 400, "FieldInvalid"],
    ["GET", "/v1/nope", undefined, 404, "RouteUnknown"],
    ["GET", "/v1/hosts/nope", undefined, 404, "HostNotFound"],
  ] as const) {
    const answer = await admin.request(method, path, body);
    assert.deepEqual([answer.status, errorOf(answer).type], [status, type], `${method} ${path}`);
    assert.match(answer.headers.get("x-openstack-request-id") ?? "", /^req-/);
  }
  const ids = Array.from({ length: 500 }, (_, n) => `id=00000000-0000-0000-0000-${String(n).padStart(12, "0")}`);
  assert.deepEqual(await admin.list("networks", ids.join("&")), []);
  assert.equal((await admin.get("/v2.0/networks", { accept: "text/html, */*;q=0.1" })).status, 200);
  assert.equal((await admin.get("/v2.0/networks", { accept: "application/json;q=0" })).status, 406);
});

test("a name under which nobody could have come is not repeated to the caller", async () => {
  await using server = await startTestServer();
  const text = await new Promise<string>((resolve, reject) => {
    httpRequest({ port: server.running.port, path: "/", headers: { host: 'evil"/><script>' } }, async (reply) => {
      let body = "";
      for await (const chunk of reply) body += String(chunk);
      resolve(body);
    })
      .on("error", reject)
      .end();
  });
  assert.match(text, /"href":"http:\/\/localhost\/v2\.0\/"/);
});

test("hosts: made with a token that is shown once and stored hashed; made again, the older token ends; removed when nothing is bound", async () => {
  await using server = await startTestServer();
  const { admin } = server;
  const { replica } = server.running.core.writer;
  const first = await admin.post("/v1/hosts", { name: "h1" });
  assert.equal(first.status, 201);
  assert.match(String(first.body.ca_fingerprint), /^[0-9a-f:]{64,95}$/i);
  const second = await admin.post("/v1/hosts", { name: "h1" });
  const { id, alive } = second.body.host as Json;
  assert.deepEqual([(first.body.host as Json).id, alive], [id, false]);
  const tokens = replica.by(JoinToken.index.host_id, String(id));
  assert.deepEqual(tokens.map((token) => token.revoked).toSorted(), [false, true]);
  assert.equal(JSON.stringify([...replica.snapshot()]).includes(String(first.body.token)), false);
  const network = await admin.create("network", {});
  const port = await admin.create("port", { network_id: network.id, "binding:host_id": "h1" });
  const refused = await admin.delete("/v1/hosts/h1");
  assert.deepEqual([refused.status, errorOf(refused).type], [409, "HostInUse"]);
  const router = await admin.create("router", {});
  const range = { network_id: network.id, ip_version: 4, cidr: "10.0.0.0/24" };
  const subnet = await admin.create("subnet", range);
  await admin.put(`/v2.0/routers/${router.id}/add_router_interface`, { subnet_id: subnet.id });
  const { hosts } = server.running.core;
  hosts.report(String(id), { portsUp: [port.id], inForce: 5, unbound: ["stranger"], problems: [] });
  const status = (await admin.get("/v1/status")).body;
  const [host] = status.hosts as readonly Json[];
  assert.deepEqual(
    [host?.name, host?.alive, host?.in_force, host?.ports, host?.unbound],
    ["h1", true, 5, { up: 1, down: 0 }, ["stranger"]],
  );
  assert.deepEqual([status.revision, status.ports], [replica.revision, { up: 1, down: 0 }]);
  await admin.delete(`/v2.0/ports/${port.id}`);
  assert.equal((await admin.delete("/v1/hosts/h1")).status, 204);
  assert.equal(replica.has(Host, String(id)), false);
  assert.equal(replica.by(JoinToken.index.host_id, String(id)).length, 0);
  assert.equal(hosts.alive(String(id)), false);
});

test("the store gone: reads are answered, writes get 503 with a time to come back, and readiness says so", async () => {
  const store = openMemory();
  await using server = await startTestServer({ store });
  const { admin } = server;
  const network = await admin.create("network", { name: "n" });
  store.faults.takeDown();
  assert.equal((await admin.show("network", network.id)).name, "n");
  const refused = await admin.post("/v2.0/networks", { network: {} });
  assert.deepEqual(
    [refused.status, errorOf(refused).type, refused.headers.get("retry-after")],
    [503, "StoreUnavailable", "1"],
  );
  assert.equal((await server.nobody.get("/readyz")).status, 503);
  assert.equal((await server.nobody.get("/healthz")).status, 200);
  store.faults.restore();
  assert.equal((await admin.post("/v2.0/networks", { network: {} })).status, 201);
  assert.equal((await server.nobody.get("/readyz")).status, 200);
});

test("metrics count requests by API and status, and no line of the log holds a secret", async () => {
  const lines: string[] = [];
  const log = await createLog({ level: "trace", destination: { write: (line) => void lines.push(line) } });
  await using server = await startTestServer({ log });
  await server.admin.create("network", {});
  await server.nobody.post("/identity/v3/auth/tokens", passwordAuth("admin", "a wrong password", "admin"));
  const metrics = await server.nobody.get("/metrics");
  assert.match(metrics.text, /selvage_request_seconds_count\{api="networking",method="POST",status="201"\} 1/);
  assert.match(metrics.text, /selvage_networks 1/);
  const written = lines.find((line) => line.includes('"path":"/v2.0/networks"'));
  const { user, status, request_id, ms } = JSON.parse(written ?? "{}") as Json;
  assert.deepEqual([user, status], ["admin", 201]);
  assert.match(String(request_id), /^req-/);
  assert.ok(Number(ms) >= 0);
  for (const secret of [server.adminPassword, "a wrong password", server.admin.token ?? "no token"]) {
    assert.equal(lines.join("").includes(secret), false);
  }
});

test("closing answers what is on its way, and what was answered is there after a restart", async () => {
  const server = await startTestServer({ on: "sqlite" });
  const writes = Array.from({ length: 20 }, (_, n) =>
    server.admin.post("/v2.0/networks", { network: { name: `n${n}` } }),
  );
  const settled = Promise.allSettled(writes);
  await Promise.any(writes);
  await server.running.close();
  const answered = (await settled).flatMap((result) =>
    result.status === "fulfilled" && result.value.status === 201
      ? [String((result.value.body.network as Json).id)]
      : [],
  );
  assert.ok(answered.length > 0);
  const again = await startTestServer({ on: "sqlite", dataDir: server.dataDir });
  const there = new Set((await again.admin.list("networks", "fields=id")).map((network) => network.id));
  for (const id of answered) assert.ok(there.has(id), "an acknowledged network is gone");
  await again.running.close();
  await rm(server.dataDir, { recursive: true });
});

test("two servers on one file: what one acknowledged the other shows, and neither gives an address twice", async () => {
  await using left = await startTestServer({ on: "sqlite" });
  await using right = await startTestServer({ on: "sqlite", dataDir: left.dataDir });
  const network = await left.admin.create("network", {});
  await left.admin.create("subnet", { network_id: network.id, ip_version: 4, cidr: "10.0.0.0/27" });
  // Right refuses nothing for what it has not heard of yet: it looks at the log before it says no.
  const made = await Promise.all(
    Array.from({ length: 29 }, (_, n) => (n % 2 === 0 ? left : right).admin.create("port", { network_id: network.id })),
  );
  assert.equal(new Set(made.map((port) => JSON.stringify(port.fixed_ips))).size, 29);
  for (const { admin } of [left, right]) {
    const refused = await admin.post("/v2.0/ports", { port: { network_id: network.id } });
    assert.deepEqual([refused.status, errorOf(refused).type], [409, "IpAddressGenerationFailure"]);
  }
  const heads = [left, right].map((server) => server.running.core.writer);
  const head = Math.max(...heads.map((writer) => writer.replica.revision));
  assert.deepEqual(await Promise.all(heads.map((writer) => writer.reached(head))), [true, true]);
  const ids = async (server: TestServer) => (await server.admin.list("ports", "fields=id")).map((port) => port.id);
  assert.deepEqual(await ids(right), await ids(left));
});

test("a port in use is the system's error, and leaves nothing running", async () => {
  await using server = await startTestServer();
  await assert.rejects(startTestServer({ port: server.running.port }), { code: "EADDRINUSE" });
});

test("started as root it refuses to stay it unsaid, and else goes on as the user it was told, with its directory", async () => {
  assert.equal(process.getuid?.(), 0, "this test starts a server as root");
  const dataDir = await mkdtemp(join(tmpdir(), "selvage-root-"));
  await assert.rejects(startServer({ dataDir, port: 0, log: "silent" }), { type: "RootRefused" });
  const program = `
    import { startServer } from ${JSON.stringify(new URL("./mod.ts", import.meta.url).href)};
    const server = await startServer({ dataDir: process.argv[2], port: 0, log: "silent", runAs: { uid: 61616, gid: 61617 } });
    console.log(server.port);
    process.on("SIGTERM", () => void server.close());
  `;
  const file = join(await mkdtemp(join(tmpdir(), "selvage-program-")), "server.ts");
  await writeFile(file, program);
  const child = spawn(process.execPath, [file, dataDir], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const ended = once(child, "exit").then(([code]) =>
      Promise.reject(new Error(`the server ended with ${String(code)}`)),
    );
    const [line] = (await Promise.race([once(child.stdout, "data"), ended])) as [Buffer];
    ended.catch(() => undefined);
    const status = await readFile(`/proc/${child.pid}/status`, "utf8");
    assert.match(status, /^Uid:\s+61616\s+61616\s+61616\s+61616$/m);
    assert.match(status, /^Gid:\s+61617\s+61617\s+61617\s+61617$/m);
    assert.match(status, /^Groups:\s*$/m);
    for (const name of ["", "admin-password", "store.db"]) {
      const { uid, mode } = await stat(join(dataDir, name));
      assert.deepEqual([uid, mode & 0o077], [61616, 0], name);
    }
    const password = (await readFile(join(dataDir, "admin-password"), "utf8")).trim();
    const admin = await login(`http://127.0.0.1:${String(line).trim()}`, "admin", password, "admin");
    assert.ok((await admin.create("network", {})).id, "it writes as that user");
  } finally {
    if (child.exitCode === null) {
      const gone = once(child, "exit");
      child.kill("SIGTERM");
      await gone;
    }
    await rm(dirname(file), { recursive: true });
    await rm(dataDir, { recursive: true });
  }
});

test("a socket file left over from a server that was killed is taken over; one that answers is not", async () => {
  const directory = await mkdtemp(join(tmpdir(), "selvage-stale-"));
  after(() => rm(directory, { recursive: true }));
  const socket = join(directory, "s");
  const program = `require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))`;
  const child = spawn(process.execPath, ["-e", program, socket]);
  await once(child, "exit");
  assert.ok((await stat(socket)).isSocket());
  await using server = await startTestServer({ socket });
  assert.match(
    await raw(createConnection(socket), "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    /200 OK/,
  );
  await assert.rejects(startTestServer({ socket }), { code: "EADDRINUSE" });
  assert.equal((await new TestClient(server.url).get("/healthz")).status, 200);
});

/** What a connection answers to some text. */
async function raw(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  let answer = "";
  for await (const chunk of socket) answer += String(chunk);
  return answer;
}
