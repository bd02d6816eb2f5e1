/** Joining, renewing and syncing over real TLS: who may, who may not, and what is left behind by those who tried. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connect } from "node:tls";
import { type AgentStatus, joinHost, type RunningAgent, startAgent } from "@selvage/agent";
import {
  createAuthority,
  createKeyAndRequest,
  fingerprintOf,
  isError,
  ManualClock,
  realClock,
  signHostRequest,
  silentLog,
} from "@selvage/base";
import { SimulatedDatapath } from "@selvage/datapath";
import { Host, JoinToken } from "@selvage/model";
import { authorityOf } from "../identity/bootstrap.ts";
import { startTestServer, type TestServer } from "../testing/mod.ts";
import { relay } from "./plugin.ts";

/** A server with the relay, a directory for its hosts, and what goes away with it. */
class Deployment implements AsyncDisposable {
  readonly server: TestServer;
  readonly directory: string;
  readonly agents: RunningAgent[] = [];

  constructor(server: TestServer, directory: string) {
    this.server = server;
    this.directory = directory;
  }

  static async make(clock = realClock): Promise<Deployment> {
    const directory = await mkdtemp(join(tmpdir(), "join-"));
    const server = await startTestServer({ plugins: [relay()], socket: join(directory, "server.sock"), clock });
    return new Deployment(server, directory);
  }

  get url(): string {
    return this.server.url.replace("http:", "https:");
  }

  get view() {
    return this.server.running.core.writer.replica;
  }

  dataDir(name: string): string {
    return join(this.directory, name);
  }

  /** Adds a host; gives its id and the one word with which it joins. */
  async add(name: string): Promise<{ readonly id: string; readonly token: string }> {
    const { body } = await this.server.admin.post("/v1/hosts", { name });
    const { id } = body.host as { readonly id: string };
    return { id, token: `${String(body.token)}.${String(body.ca_fingerprint)}` };
  }

  async joined(name: string, tunnelIp: string): Promise<string> {
    const { id, token } = await this.add(name);
    const { host } = await joinHost({ url: this.url, token, dataDir: this.dataDir(name), tunnelIp });
    assert.deepEqual([host.id, host.name], [id, name]);
    return id;
  }

  async run(name: string, tunnelIp: string, clock = realClock): Promise<RunningAgent> {
    const agent = await startAgent({
      dataDir: this.dataDir(name),
      tunnelIp,
      datapath: new SimulatedDatapath(),
      log: silentLog,
      clock,
    });
    this.agents.push(agent);
    return agent;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const agent of this.agents) await agent.close();
    await this.server[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Resolves when the agent's status is as wanted. */
function until(agent: RunningAgent, wanted: (status: AgentStatus) => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (!wanted(agent.status)) return;
      stop();
      resolve();
    };
    const stop = agent.host.onChange(look);
    look();
  });
}

const connected = (status: AgentStatus): boolean => status.connected && status.inForce !== null;
const code = (expected: string) => (error: unknown) => isError(error) && error.code === expected;

test("a host joins with one word over TCP, keeps its key to itself, and syncs", async () => {
  await using deployment = await Deployment.make();
  const id = await deployment.joined("h1", "198.18.0.1");
  const kept = await readFile(join(deployment.dataDir("h1"), "identity.json"), "utf8");
  const { mode } = await stat(join(deployment.dataDir("h1"), "identity.json"));
  assert.equal(mode & 0o777, 0o600);
  const host = deployment.view.get(Host, id);
  assert.deepEqual([host?.tunnel_ip, host?.joined_at === null], ["198.18.0.1", false]);
  const { present } = JSON.parse(kept) as { readonly present: { readonly certificate: string; readonly key: string } };
  assert.equal(host?.certificate_fingerprint, fingerprintOf(present.certificate));
  assert.equal(JSON.stringify([...deployment.view.snapshot()]).includes(present.key.slice(40, 80)), false);
  const agent = await deployment.run("h1", "198.18.0.1");
  await until(agent, connected);
  const status = await deployment.server.admin.get("/v1/status");
  const [first] = status.body.hosts as readonly { readonly alive: boolean; readonly in_force: number }[];
  assert.deepEqual([first?.alive, typeof first?.in_force], [true, "number"]);
});

test("a host joins and syncs over the unix socket, and says there where its tunnels end", async () => {
  await using deployment = await Deployment.make();
  const { id, token } = await deployment.add("h1");
  const [secret = ""] = token.split(".");
  const url = `unix:${join(deployment.directory, "server.sock")}`;
  await joinHost({ url, token: secret, dataDir: deployment.dataDir("h1") });
  assert.equal(deployment.view.get(Host, id)?.tunnel_ip, null);
  await until(await deployment.run("h1", "2001:db8::1"), connected);
  assert.equal(deployment.view.get(Host, id)?.tunnel_ip, "2001:db8::1");
});

test("a token joins once: used, expired, revoked and foreign ones are refused and leave a trace", async () => {
  const clock = new ManualClock(Date.now());
  await using deployment = await Deployment.make(clock);
  const join1 = async (token: string) =>
    joinHost({ url: deployment.url, token, dataDir: deployment.dataDir("x"), tunnelIp: "198.18.0.9" });
  const used = await deployment.add("h1");
  await join1(used.token);
  await assert.rejects(join1(used.token), code("JoinTokenUsed"));
  const revoked = await deployment.add("h2");
  const late = await deployment.add("h2");
  await assert.rejects(join1(revoked.token), code("JoinTokenInvalid"));
  clock.advance(3_601_000);
  await assert.rejects(join1(late.token), code("JoinTokenExpired"));
  const fingerprint = late.token.split(".")[1];
  await assert.rejects(join1(`${"a".repeat(43)}.${fingerprint}`), code("JoinTokenInvalid"));
  const refused = [...deployment.view.objects(JoinToken)].map((token) => token.refused).sort();
  assert.deepEqual(refused, [1, 1, 1]);
  const metrics = (await deployment.server.running.core.metrics.text()).split("\n");
  const counted = metrics.filter((line) => line.startsWith("selvage_joins_refused_total{"));
  assert.deepEqual(counted.map((line) => line.replace(/.*"(\w+)".* (\d+)$/, "$1 $2")).sort(), [
    "JoinTokenExpired 1",
    "JoinTokenInvalid 2",
    "JoinTokenUsed 1",
  ]);
});

test("two that come with one token at once: one joins", async () => {
  await using deployment = await Deployment.make();
  const { token } = await deployment.add("h1");
  const tries = ["a", "b", "c"].map((name) =>
    joinHost({ url: deployment.url, token, dataDir: deployment.dataDir(name), tunnelIp: "198.18.0.1" }),
  );
  const outcomes = await Promise.allSettled(tries);
  assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
  for (const outcome of outcomes) if (outcome.status === "rejected") assert.ok(code("JoinTokenUsed")(outcome.reason));
});

test("a server of another deployment gets nothing: not even the token", async () => {
  await using deployment = await Deployment.make();
  await using other = await Deployment.make();
  const { id, token } = await deployment.add("h1");
  const dataDir = deployment.dataDir("h1");
  await assert.rejects(joinHost({ url: other.url, token, dataDir }), code("CertificateInvalid"));
  const metrics = await other.server.running.core.metrics.text();
  assert.doesNotMatch(metrics, /joins_refused_total\{/);
  await assert.rejects(
    joinHost({ url: deployment.url, token: token.split(".")[0] ?? "", dataDir }),
    code("UsageInvalid"),
  );
  assert.equal(deployment.view.get(Host, id)?.joined_at, null);
});

test("another host's tunnel address and a bad request take no token", async () => {
  await using deployment = await Deployment.make();
  await deployment.joined("h1", "198.18.0.1");
  const { token } = await deployment.add("h2");
  const join2 = (tunnelIp: string) =>
    joinHost({ url: deployment.url, token, dataDir: deployment.dataDir("h2"), tunnelIp });
  await assert.rejects(join2("198.18.0.1"), code("FieldInvalid"));
  await assert.rejects(join2("198.18.0"), code("FieldInvalid"));
  assert.equal((await join2("198.18.0.2")).host.name, "h2");
});

test("guessing tokens gets slower and slower", async () => {
  await using deployment = await Deployment.make(new ManualClock(Date.now()));
  const [, fingerprint] = (await deployment.add("h1")).token.split(".");
  const guess = () =>
    joinHost({ url: deployment.url, token: `${"b".repeat(43)}.${fingerprint}`, dataDir: deployment.directory });
  for (let tries = 0; tries < 11; tries += 1) await assert.rejects(guess(), code("JoinTokenInvalid"));
  await assert.rejects(guess(), code("TooManyAttempts"));
});

/** The first line and the body of the answer to an upgrade that is asked for with these credentials. */
function upgrade(port: number, credentials: { readonly cert?: string; readonly key?: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      port,
      host: "127.0.0.1",
      rejectUnauthorized: false,
      servername: "selvage-server",
      ...credentials,
    });
    let text = "";
    socket.on("error", reject);
    socket.on("data", (data: Buffer) => {
      text += data.toString("utf8");
      if (text.startsWith("HTTP/1.1 101")) socket.destroy();
    });
    socket.on("close", () => resolve(text));
    const headers =
      "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==";
    socket.write(`GET /v1/sync HTTP/1.1\r\nHost: selvage-server\r\n${headers}\r\n\r\n`);
  });
}

test("only the certificate that a host was given last opens its stream", async () => {
  await using deployment = await Deployment.make();
  const id = await deployment.joined("h1", "198.18.0.1");
  const other = await deployment.joined("h2", "198.18.0.2");
  const { port } = deployment.server.running;
  const { present } = JSON.parse(await readFile(join(deployment.dataDir("h1"), "identity.json"), "utf8")) as {
    readonly present: { readonly certificate: string; readonly key: string };
  };
  const own = { cert: present.certificate, key: present.key };
  assert.match(await upgrade(port, own), /^HTTP\/1.1 101/);
  assert.match(await upgrade(port, {}), /403 .*CertificateInvalid/s);

  const { keyPem, csrPem } = await createKeyAndRequest("h2");
  const foreign = await signHostRequest(await createAuthority(), csrPem, { hostId: other, hostName: "h2" });
  assert.match(await upgrade(port, { cert: foreign.certificatePem, key: keyPem }), /403 .*CertificateInvalid/s);

  // Signed by our authority for another host, but never given to it by a join: what a thief of the authority alone would have.
  const minted = await signHostRequest(authorityOf(deployment.view), csrPem, { hostId: other, hostName: "h2" });
  assert.match(await upgrade(port, { cert: minted.certificatePem, key: keyPem }), /403 .*HostRevoked/s);

  await deployment.server.admin.delete(`/v1/hosts/${id}`);
  assert.match(await upgrade(port, own), /403 .*HostUnknown/s);
});

test("a removed host's stream ends at once: no clock has to go by for it", { timeout: 600_000 }, async () => {
  // Neither server nor agent sees time pass, so nothing of either that looks from time to time ends it.
  const clock = new ManualClock(Date.now());
  await using deployment = await Deployment.make(clock);
  const id = await deployment.joined("h1", "198.18.0.1");
  const agent = await deployment.run("h1", "198.18.0.1", clock);
  await until(agent, connected);
  const gone = until(agent, (status) => !status.connected);
  await deployment.server.admin.delete(`/v1/hosts/${id}`);
  await gone;
  assert.equal(deployment.server.running.core.hosts.alive(id), false);
});

test("a certificate is renewed over the old one, takes its place when it is first used, and the old one is worth nothing then", async () => {
  const clock = new ManualClock(Date.now());
  await using deployment = await Deployment.make(clock);
  const id = await deployment.joined("h1", "198.18.0.1");
  const path = join(deployment.dataDir("h1"), "identity.json");
  const before = await readFile(path, "utf8");
  const old = deployment.view.get(Host, id)?.certificate_fingerprint;
  // 61 of its 90 days have gone by, as the agent's clock has it.
  const agent = await deployment.run("h1", "198.18.0.1", new ManualClock(Date.now() + 61 * 86_400_000));
  const renewed = new Promise<void>((resolve) => {
    const stop = deployment.server.running.core.writer.onCommitted(() => {
      const now = deployment.view.get(Host, id)?.certificate_fingerprint;
      if (now === old) return;
      stop();
      resolve();
    });
  });
  await agent.renew();
  await renewed;
  await until(agent, connected);
  await agent.close();
  const after = JSON.parse(await readFile(path, "utf8")) as {
    readonly present: { readonly certificate: string };
    readonly next?: unknown;
  };
  assert.equal(fingerprintOf(after.present.certificate), deployment.view.get(Host, id)?.certificate_fingerprint);
  assert.equal(after.next, undefined);
  await writeFile(path, before);
  const { present } = JSON.parse(before) as {
    readonly present: { readonly certificate: string; readonly key: string };
  };
  const answer = await upgrade(deployment.server.running.port, { cert: present.certificate, key: present.key });
  assert.match(answer, /403 .*HostRevoked/s);
});

test("a renewed certificate that the server forgot is dropped, and the present one still holds", async () => {
  await using deployment = await Deployment.make();
  const id = await deployment.joined("h1", "198.18.0.1");
  const path = join(deployment.dataDir("h1"), "identity.json");
  const identity = JSON.parse(await readFile(path, "utf8")) as object;
  const { keyPem, csrPem } = await createKeyAndRequest("h1");
  const minted = await signHostRequest(authorityOf(deployment.view), csrPem, { hostId: id, hostName: "h1" });
  await writeFile(path, JSON.stringify({ ...identity, next: { certificate: minted.certificatePem, key: keyPem } }));
  const agent = await deployment.run("h1", "198.18.0.1");
  await until(agent, connected);
  await agent.close();
  assert.deepEqual(JSON.parse(await readFile(path, "utf8")), identity);
});

test("probes are answered on the agent's own socket", async () => {
  await using deployment = await Deployment.make();
  await deployment.joined("h1", "198.18.0.1");
  const agent = await startAgent({
    dataDir: deployment.dataDir("h1"),
    tunnelIp: "198.18.0.1",
    datapath: new SimulatedDatapath(),
    log: silentLog,
    health: { port: 0 },
  });
  deployment.agents.push(agent);
  await until(agent, connected);
  const ask = (path: string) => fetch(`http://127.0.0.1:${agent.health?.port ?? 0}${path}`);
  assert.equal((await ask("/readyz")).status, 200);
  assert.equal(((await (await ask("/v1/status")).json()) as AgentStatus).host, "h1");
  assert.match(await (await ask("/metrics")).text(), /^selvage_connected\{host="h1"\} 1$/m);
});

test("with a new authority no old certificate or token counts; hosts that join anew are the same, with their ports and addresses", async () => {
  await using deployment = await Deployment.make();
  const { admin } = deployment.server;
  const id = await deployment.joined("h1", "198.18.0.1");
  const old = await deployment.run("h1", "198.18.0.1");
  await until(old, connected);
  const project = await deployment.server.project("red");
  const network = await project.member.create("network", { name: "n" });
  const port = await project.member.create("port", { network_id: network.id });
  await admin.put(`/v2.0/ports/${port.id}`, { port: { "binding:host_id": "h1" } });
  const waiting = await deployment.add("h2");
  const before = fingerprintOf(authorityOf(deployment.view).certificatePem);

  const cut = until(old, (status) => !status.connected);
  const answer = await admin.post("/v1/keys", { key: "authority" });
  assert.deepEqual([answer.status, answer.body.key, answer.body.hosts], [200, "authority", ["h1"]]);
  const fingerprint = fingerprintOf(authorityOf(deployment.view).certificatePem);
  assert.notEqual(fingerprint, before);
  assert.equal(answer.body.ca_fingerprint, fingerprint);
  await cut;
  await old.close();

  // The server shows its new authority in its own time, soon: until then a host that compares fingerprints sends nothing.
  const again = async () => {
    for (;;) {
      const { token } = await deployment.add("h1");
      try {
        return await joinHost({
          url: deployment.url,
          token,
          dataDir: deployment.dataDir("h1"),
          tunnelIp: "198.18.0.1",
        });
      } catch (error) {
        if (!isError(error, "CertificateInvalid")) throw error;
      }
    }
  };
  assert.equal((await again()).host.id, id);
  await assert.rejects(
    joinHost({ url: deployment.url, token: waiting.token, dataDir: deployment.dataDir("h2") }),
    code("CertificateInvalid"),
    "a token of before names the old authority",
  );
  const [secret = ""] = waiting.token.split(".");
  await assert.rejects(
    joinHost({ url: deployment.url, token: `${secret}.${fingerprint}`, dataDir: deployment.dataDir("h2") }),
    code("JoinTokenInvalid"),
  );
  const anew = await deployment.run("h1", "198.18.0.1");
  await until(anew, connected);
  assert.equal(deployment.view.get(Host, id)?.tunnel_ip, "198.18.0.1");
  const shown = await admin.show("port", port.id);
  assert.deepEqual([shown["binding:host_id"], shown["binding:vif_type"]], ["h1", "ovs"]);
});
