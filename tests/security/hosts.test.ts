/**
 * What a stolen host can do, over real TLS with its own certificate: it reads its need and nothing else, speaks for itself alone, binds nothing, and
 * ends with its removal. Joining, renewal and removal as such: packages/server/src/relay/join.test.ts.
 */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders } from "node:http";
import { request } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { joinHost } from "@selvage/agent";
import { createAuthority, createKeyAndRequest, identityOf, signHostRequest } from "@selvage/base";
import { Journal } from "@selvage/datapath/testing";
import { Host, Port, SecurityGroupRule, SecurityGroupSet } from "@selvage/model";
import { relay } from "@selvage/server";
import { type Json, startTestServer, type TestProject, type TestServer, tlsRoutes } from "@selvage/server/testing";
import { type FromServer, projectionFingerprint, protocolVersions, readFromServer, serverName } from "@selvage/sync";
import { WebSocket } from "ws";

const patience = 120_000;

interface Identity {
  readonly id: string;
  readonly cert: string;
  readonly key: string;
}

let server: TestServer;
/** What Nova's metadata service was asked: headers, path and body. */
const novaAsked: { readonly headers: IncomingHttpHeaders; readonly url: string; readonly body: string }[] = [];
const nova = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks).toString();
    novaAsked.push({ headers: request.headers, url: request.url ?? "", body });
    response.writeHead(request.url === "/moved" ? 302 : 200, {
      location: "http://127.0.0.1:1/",
      "content-type": "text/x",
    });
    response.end("of Nova");
  });
});
const novaSecret = "a secret that hosts never see";
let directory: string;
let red: TestProject;
let blue: TestProject;
let a: Identity;
let b: Identity;
/** Bound to A, to B, and to none. */
let ports: Readonly<Record<"a" | "b" | "none", string>>;

async function joined(name: string, tunnelIp: string): Promise<Identity> {
  const { body } = await server.admin.post("/v1/hosts", { name });
  const dataDir = join(directory, name);
  const token = `${String(body.token)}.${String(body.ca_fingerprint)}`;
  const { host } = await joinHost({ url: server.url.replace("http:", "https:"), token, dataDir, tunnelIp });
  const { present } = JSON.parse(await readFile(join(dataDir, "identity.json"), "utf8")) as {
    readonly present: { readonly certificate: string; readonly key: string };
  };
  return { id: host.id, cert: present.certificate, key: present.key };
}

async function portOn(project: TestProject, name: string, host: string): Promise<string> {
  const { id } = await project.member.create("network", { name: `${name}-network` });
  await project.member.create("subnet", { network_id: id, ip_version: 6, cidr: "fd00:5ec::/64" });
  const port = await project.member.create("port", { network_id: id, name, description: "of-nobody-else" });
  if (host !== "") await server.admin.put(`/v2.0/ports/${port.id}`, { port: { "binding:host_id": host } });
  return port.id;
}

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "selvage-security-"));
  nova.listen(0, "127.0.0.1");
  await once(nova, "listening");
  const { port } = nova.address() as AddressInfo;
  const secretFile = join(directory, "secret");
  await writeFile(secretFile, `${novaSecret}\n`);
  const metadata = { novaUrl: `http://127.0.0.1:${port}/`, secretFile, timeout: 10_000 };
  server = await startTestServer({ plugins: [relay({ metadata })] });
  [red, blue] = await Promise.all([server.project("red"), server.project("blue")]);
  [a, b] = [await joined("ha", "198.18.0.1"), await joined("hb", "198.18.0.2")];
  ports = {
    a: await portOn(red, "port-a", "ha"),
    b: await portOn(blue, "port-b", "hb"),
    none: await portOn(red, "port-c", ""),
  };
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
  nova.close();
  if (directory !== undefined) await rm(directory, { recursive: true, force: true });
});

/** A stream as a host's own program would open it, and as a thief of the host can. */
class Stream {
  readonly received = new Journal<FromServer>();
  readonly texts: string[] = [];
  readonly ended: Promise<void>;
  readonly #socket: WebSocket;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    this.ended = new Promise((resolve) => socket.once("close", () => resolve()));
    socket.on("message", (data) => {
      const text = String(data);
      this.texts.push(text);
      this.received.add(readFromServer(text));
    });
    socket.on("error", () => undefined);
  }

  static async open(identity: Pick<Identity, "cert" | "key">): Promise<Stream> {
    const { port } = server.running;
    const tls = { ...identity, servername: serverName, rejectUnauthorized: false };
    const socket = new WebSocket(`wss://127.0.0.1:${port}/v1/sync`, { perMessageDeflate: false, ...tls });
    const stream = new Stream(socket);
    await new Promise((resolve, reject) => {
      socket.once("open", resolve);
      socket.once("error", reject);
    });
    return stream;
  }

  say(message: Json): void {
    this.#socket.send(JSON.stringify(message));
  }

  hello(more: Json = {}): void {
    const projection = projectionFingerprint;
    const hello = {
      protocols: protocolVersions,
      agent: "thief",
      tunnel_ip: "198.18.0.1",
      projection,
      held: [],
      more: false,
    };
    this.say({ type: "hello", ...hello, ...more });
  }

  /** Greets, and resolves with the revision of the whole that it was sent. */
  async greeted(more: Json = {}): Promise<number> {
    this.hello(more);
    const whole = await this.received.first(
      (message) => message.type === "changes" && !message.more,
      "the whole is sent",
      patience,
    );
    return whole.type === "changes" ? whole.revision : 0;
  }

  /** Greets, and resolves with the code it was refused with, or with "greeted". */
  async answer(more: Json): Promise<string> {
    this.hello(more);
    const answers = (message: FromServer) => message.type === "refused" || message.type === "changes";
    const answer = await this.received.first(answers, "an answer", patience);
    return answer.type === "refused" ? answer.code : "greeted";
  }

  /** Resolves with the code that the stream was refused with. */
  async refusal(): Promise<string> {
    const refused = await this.received.first((message) => message.type === "refused", "a refusal", patience);
    await this.ended;
    return refused.type === "refused" ? refused.code : "";
  }

  async close(): Promise<void> {
    this.#socket.close();
    await this.ended;
  }

  get keys(): readonly string[] {
    const changes = this.received.all.flatMap((message) => (message.type === "changes" ? message.puts : []));
    return changes.map(({ kind, object }) => `${kind} ${object.id}`);
  }
}

const tunnelOf = (id: string): string | null | undefined => server.running.core.writer.replica.get(Host, id)?.tunnel_ip;
const facts = (ports_up: readonly string[]): Json => ({
  type: "facts",
  datapath: "ovs",
  ports_up,
  unbound: [],
  quarantined: [],
});

/** What a host with one guarded port needs. */
const needed = new Set([
  ...["host", "network", "subnet", "port"],
  ...["security_group", "security_group_rule", "security_group_set"],
]);

/** The security groups that an object on the stream speaks of. */
function groupsNamed(kind: string, id: string): readonly string[] {
  const { replica } = server.running.core.writer;
  if (kind === "security_group") return [id];
  if (kind === "security_group_set") return replica.get(SecurityGroupSet, id)?.groups ?? [];
  const rule = kind === "security_group_rule" ? replica.get(SecurityGroupRule, id) : undefined;
  return rule === undefined ? [] : [rule.security_group_id];
}

/** An HTTPS request with a host's certificate, or none. */
function ask(method: string, path: string, body: unknown, identity?: Pick<Identity, "cert" | "key">, token?: string) {
  return new Promise<{ readonly status: number; readonly text: string }>((resolve, reject) => {
    const sent = request(
      {
        host: "127.0.0.1",
        port: server.running.port,
        servername: serverName,
        rejectUnauthorized: false,
        method,
        path,
        headers: { "content-type": "application/json", ...(token === undefined ? {} : { "x-auth-token": token }) },
        ...identity,
        agent: false,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
      },
    );
    sent.on("error", reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

test("a host is sent its own need, and whatever it says it holds it is told nothing more of", async () => {
  const { replica } = server.running.core.writer;
  const everything = [...replica.snapshot()].map(({ kind, id, revision }) => [kind, id, revision]);
  const kinds = new Set(everything.map(([kind]) => kind));
  for (const kind of ["secret", "user", "join_token", "project", "assignment"]) assert.ok(kinds.has(kind), kind);
  const log = server.running.core.store.logId;
  const groupsOfA = replica.get(Port, ports.a)?.security_groups;
  for (const more of [{}, { held: everything }, { held: everything, log }, { held: [["port", ports.b, 0]], log }]) {
    const stream = await Stream.open(a);
    await stream.greeted(more);
    const all = stream.texts.join("\n");
    const puts = new Set(stream.keys);
    for (const key of puts) {
      const [kind = "", id = ""] = key.split(" ");
      assert.ok(needed.has(kind), key);
      if (kind === "port") assert.equal(id, ports.a);
      if (kind === "host") assert.equal(id, a.id);
      for (const group of groupsNamed(kind, id)) assert.deepEqual(groupsOfA, [group], "a group that its port is in");
    }
    assert.doesNotMatch(all, /of-nobody-else|port-b|PRIVATE KEY|argon2|red-network|certificate_fingerprint/);
    assert.equal(all.includes(b.id) && !("held" in more), false, "another host is not named to it");
    assert.equal(all.includes("198.18.0.2"), false, "nor where its tunnels end");
    await stream.close();
  }
});

test("a host acknowledges for itself alone, and only what it was sent", async () => {
  const { hosts } = server.running.core;
  const stream = await Stream.open(a);
  const revision = await stream.greeted();
  stream.say({ type: "ack", revision: revision + 1_000 });
  assert.equal(await stream.refusal(), "ProtocolViolation");
  assert.equal(hosts.inForce(b.id), undefined);
  for (const more of [{ host: b.id }, { host_id: b.id }]) {
    const other = await Stream.open(a);
    await other.greeted();
    other.say({ type: "ack", revision, ...more });
    assert.equal(await other.refusal(), "ProtocolViolation", "no message names a host");
  }
  assert.equal(hosts.inForce(b.id), undefined);
});

test("facts are of the host that tells them: another's port, and one that is bound nowhere, stay down", async () => {
  const stream = await Stream.open(a);
  await stream.greeted();
  const { hosts } = server.running.core;
  const told = new Promise<void>((resolve) => {
    const stop = hosts.onChange((hostId) => {
      if (hostId !== a.id || !hosts.portUp(a.id, ports.a)) return;
      stop();
      resolve();
    });
  });
  stream.say(facts([ports.a, ports.b, ports.none]));
  await told;
  const status = async (id: string) => (await server.admin.show("port", id)).status;
  assert.equal(await status(ports.a), "ACTIVE");
  assert.deepEqual([await status(ports.b), await status(ports.none)], ["DOWN", "DOWN"]);
  assert.deepEqual([...hosts.of(b.id).portsUp], []);
  const { replica } = server.running.core.writer;
  assert.deepEqual(
    [ports.a, ports.b, ports.none].map((id) => replica.get(Port, id)?.["binding:host_id"]),
    ["ha", "hb", ""],
    "and nothing is bound by it",
  );
  stream.say({ ...facts([ports.b]), host: b.id });
  assert.equal(await stream.refusal(), "ProtocolViolation");
});

test("the address of another host's tunnels is refused, and the other's stream stays", async () => {
  const victim = await Stream.open(b);
  await victim.greeted({ tunnel_ip: "198.18.0.2" });
  for (const tunnel_ip of ["198.18.0.2", "::ffff:198.18.0.2", "198.18.0.2 ", "not an address", ""]) {
    const stream = await Stream.open(a);
    const code = await stream.answer({ tunnel_ip });
    // What is read as another address is another address; it must not be read as the other host's by anyone.
    if (code === "greeted") assert.notEqual(tunnelOf(a.id), "198.18.0.2", tunnel_ip);
    else assert.ok(["FieldInvalid", "ProtocolViolation"].includes(code), `${tunnel_ip}: ${code}`);
    await stream.close();
  }
  assert.equal(tunnelOf(b.id), "198.18.0.2");
  assert.equal(server.running.core.hosts.alive(b.id), true);
  await victim.close();
  const back = await Stream.open(a);
  await back.greeted();
  await back.close();
});

test("a host renews its own certificate and no other, whatever its request says", async () => {
  const { csrPem } = await createKeyAndRequest("hb");
  const { status, text } = await ask("POST", "/v1/renew", { csr: csrPem }, a);
  assert.equal(status, 200);
  const { certificate } = JSON.parse(text) as { readonly certificate: string };
  const der = Buffer.from(certificate.replace(/-----[A-Z ]+-----|\s/g, ""), "base64");
  assert.equal(identityOf(der), a.id, "the name is of the certificate that asked, not of the request");
  for (const more of [{ host: b.id }, { host_id: b.id }, { name: "hb" }]) {
    assert.equal((await ask("POST", "/v1/renew", { csr: csrPem, ...more }, a)).status, 400, JSON.stringify(more));
  }
});

test("Nova is asked for a machine by the host that its port is bound on, signed here, and by no other", async () => {
  const device = "0123abcd-1111-4111-8111-111111111111";
  await server.admin.put(`/v2.0/ports/${ports.a}`, { port: { device_id: device } });
  const question = (port: string, more: Json = {}) => ({
    port,
    method: "GET",
    path: "/latest/meta-data?x",
    body: "",
    ...more,
  });
  const own = await ask("POST", "/v1/metadata", question(ports.a), a);
  assert.equal(own.status, 200, own.text);
  assert.deepEqual(JSON.parse(own.text), {
    status: 200,
    type: "text/x",
    body: Buffer.from("of Nova").toString("base64"),
  });
  const { headers, url } = novaAsked.at(-1) ?? assert.fail("Nova was not asked");
  assert.equal(url, "/latest/meta-data?x");
  assert.equal(headers["x-instance-id"], device);
  assert.equal(headers["x-tenant-id"], red.id);
  assert.equal(headers["x-instance-id-signature"], createHmac("sha256", novaSecret).update(device).digest("hex"));
  assert.match(String(headers["x-forwarded-for"]), /^fd00:5ec::/);
  const posted = await ask("POST", "/v1/metadata", question(ports.a, { method: "POST", body: "aGVsbG8=" }), a);
  assert.deepEqual([posted.status, novaAsked.at(-1)?.body], [200, "hello"]);
  const moved = await ask("POST", "/v1/metadata", question(ports.a, { path: "/moved" }), a);
  assert.equal(JSON.parse(moved.text).status, 302, "and Nova's answer leads this server nowhere");
  const before = novaAsked.length;
  for (const port of [ports.b, ports.none, "no such port", "../x"]) {
    const { status, text } = await ask("POST", "/v1/metadata", question(port), a);
    assert.deepEqual([status, text.includes("PortNotOnHost")], [403, true], text);
  }
  assert.equal((await ask("POST", "/v1/metadata", question(ports.a), b)).status, 403);
  for (const more of [
    { path: "latest" },
    { path: "/a b" },
    { path: "/a\r\nX-Instance-ID: 1" },
    { method: "DELETE" },
    { headers: { "x-instance-id": "1" } },
    { host: a.id },
  ])
    assert.equal((await ask("POST", "/v1/metadata", question(ports.a, more), a)).status, 400, JSON.stringify(more));
  assert.equal(novaAsked.length, before);
  const elsewhere = await ask("POST", "/v1/metadata", question(ports.a, { path: "//example.org/@x" }), a);
  assert.deepEqual([elsewhere.status, novaAsked.at(-1)?.url], [200, "//example.org/@x"], "a path is a path at Nova");
  const everything = JSON.stringify([own, posted, moved, elsewhere]);
  assert.ok(!everything.includes(novaSecret) && !everything.includes(String(headers["x-instance-id-signature"])));
});

test("every TLS route, by the table: without a certificate, with one of another authority, with a user's or an admin's token", async () => {
  const foreign = await createAuthority();
  const { keyPem, csrPem } = await createKeyAndRequest("ha");
  const signed = await signHostRequest(foreign, csrPem, { hostId: a.id, hostName: "ha" });
  const stranger = { cert: signed.certificatePem, key: keyPem };
  const revision = server.running.core.writer.replica.revision;
  const bodies: Readonly<Record<string, unknown>> = {
    "POST /v1/join": { token: server.admin.token, csr: csrPem },
    "POST /v1/renew": { csr: csrPem },
    "POST /v1/metadata": { port: ports.a, method: "GET", path: "/", body: "" },
    "GET /v1/sync": undefined,
  };
  for (const { method, path, access } of tlsRoutes) {
    assert.ok(`${method} ${path}` in bodies, `no case for the new route ${method} ${path}`);
    const body = bodies[`${method} ${path}`];
    for (const identity of [undefined, stranger]) {
      for (const token of [undefined, red.member.token, server.admin.token]) {
        const { status } = await ask(method, path, body, identity, token);
        // A token of the API is too long to be read as a join token.
        const refusals = access === "join-token" ? [400, 401, 403] : [401, 403, 404];
        assert.ok(refusals.includes(status), `${method} ${path} (${access}): ${status}`);
      }
      if (access !== "host" || method !== "GET") continue;
      await assert.rejects(Stream.open(identity ?? { cert: "", key: "" }), /403/);
    }
  }
  assert.equal(server.running.core.writer.replica.revision, revision);
});

test("a host's certificate opens no API: of tenants, of identity, of ours; over plain HTTP there is no join, renewal or stream", async () => {
  for (const path of ["/v2.0/ports", "/identity/v3/users", "/v1/status", "/v1/hosts", "/metrics", "/"]) {
    const { status, text } = await ask("GET", path, undefined, a);
    assert.deepEqual([status, text.includes("RouteUnknown")], [404, true], path);
  }
  for (const { method, path } of tlsRoutes) {
    const { status } = await server.admin.request(method, path, method === "GET" ? undefined : {});
    assert.equal(status, 404, `${method} ${path}`);
  }
});

test("removed while its stream is open it is cut, and its certificate opens nothing any more", async (context) => {
  const thief = await joined("hc", "198.18.0.3");
  const stream = await Stream.open(thief);
  await stream.greeted({ tunnel_ip: "198.18.0.3" });
  const start = performance.now();
  assert.equal((await server.admin.delete("/v1/hosts/hc")).status, 204);
  assert.equal(await stream.refusal(), "HostUnknown");
  // That no timer has part in it is shown in packages/server/src/relay/join.test.ts.
  context.diagnostic(`cut ${Math.round(performance.now() - start)} ms after the request`);
  await assert.rejects(Stream.open(thief), /403/);
  const { csrPem } = await createKeyAndRequest("hc");
  assert.equal((await ask("POST", "/v1/renew", { csr: csrPem }, thief)).status, 403);
  // The same name joined anew is another host: the old certificate is not its.
  await joined("hc", "198.18.0.3");
  await assert.rejects(Stream.open(thief), /403/);
});

test("a stolen host with ports is cut by one request: they are unbound by it, and the host is gone in the same revision", async () => {
  const thief = await joined("hd", "198.18.0.4");
  const bound = await portOn(red, "port-d", "hd");
  const stream = await Stream.open(thief);
  await stream.greeted({ tunnel_ip: "198.18.0.4" });
  assert.ok(stream.keys.includes(`port ${bound}`));
  assert.equal((await server.admin.delete("/v1/hosts/hd")).status, 409, "not by mistake");
  const { writer } = server.running.core;
  const before = writer.replica.revision;
  assert.equal((await server.admin.delete("/v1/hosts/hd?unbind=true")).status, 204);
  assert.equal(await stream.refusal(), "HostUnknown");
  assert.equal(writer.replica.revision, before + 1);
  assert.equal((await server.admin.show("port", bound))["binding:host_id"], "");
  await assert.rejects(Stream.open(thief), /403/);
});

test("a stream that a thief opens beside the host's own takes its place, and is seen: the host is told", async () => {
  const own = await Stream.open(a);
  await own.greeted();
  const thief = await Stream.open(a);
  await thief.greeted();
  assert.equal(await own.refusal(), "Superseded");
  await thief.close();
});
